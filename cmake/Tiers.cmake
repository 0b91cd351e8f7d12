# The tiers beside unit and fuzz, as tests of ctest; included at the end of tests/CMakeLists.txt. A test that
# cannot run exits 77 and counts as skipped; with LODGE_MUST_RUN (CI) it counts as failed.
option(LODGE_MUST_RUN "a test that cannot run has failed" OFF)
option(LODGE_TIERS "add the tiers lint, host and vm, which need root and other builds" OFF)

# lodge_script(NAME tier/name LABEL tier TIMEOUT s COMMAND ...)
function(lodge_script)
	cmake_parse_arguments(arg "" "NAME;LABEL;TIMEOUT" "COMMAND" ${ARGN})
	add_test(NAME ${arg_NAME} COMMAND ${arg_COMMAND} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
	set_tests_properties(${arg_NAME} PROPERTIES
		LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77)
endfunction()

function(lodge_lint_tier)
	foreach(check includes length prototypes banned shell man apparmor)
		lodge_script(NAME lint/${check} LABEL lint TIMEOUT 120 COMMAND tests/lint/${check})
	endforeach()
	lodge_script(NAME lint/generated LABEL lint TIMEOUT 120
		COMMAND man/generate --check $<TARGET_FILE:lodge>)

	# The other compiler, and the hardened build: warnings depend on both.
	set(common -DLODGE_WERROR=ON -DLODGE_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo)
	lodge_script(NAME build/clang LABEL build TIMEOUT 900
		COMMAND tests/lint/build build/clang -DCMAKE_C_COMPILER=clang ${common})
	lodge_script(NAME build/gcc LABEL build TIMEOUT 900
		COMMAND tests/lint/build build/gcc -DCMAKE_C_COMPILER=gcc ${common})
	set_tests_properties(build/clang PROPERTIES PROCESSORS 2 FIXTURES_SETUP clang_build)
	set_tests_properties(build/gcc PROPERTIES PROCESSORS 2)
	lodge_script(NAME lint/tidy LABEL lint TIMEOUT 1200 COMMAND tests/lint/tidy build/clang)
	set_tests_properties(lint/tidy PROPERTIES PROCESSORS 2 FIXTURES_REQUIRED clang_build)
endfunction()

# One test a file; they measure times and look at the host as a whole, so nothing runs beside them.
function(lodge_host_tier)
	lodge_script(NAME host/templates LABEL host TIMEOUT 900
		COMMAND tests/templates ${PROJECT_BINARY_DIR})
	set_tests_properties(host/templates PROPERTIES FIXTURES_SETUP templates)
	lodge_script(NAME host/server-templates LABEL host TIMEOUT 900
		COMMAND tests/servers/store ${PROJECT_BINARY_DIR})
	set_tests_properties(host/server-templates PROPERTIES FIXTURES_SETUP servers)
	file(GLOB files CONFIGURE_DEPENDS
		${CMAKE_CURRENT_SOURCE_DIR}/host/*.bats ${CMAKE_CURRENT_SOURCE_DIR}/fail/*.bats)
	foreach(file IN LISTS files)
		get_filename_component(name ${file} NAME_WE)
		get_filename_component(tier ${file} DIRECTORY)
		get_filename_component(tier ${tier} NAME)
		# The matrices of fail/ end something at every moment, one after the other.
		lodge_script(NAME ${tier}/${name} LABEL host TIMEOUT 1800
			COMMAND tests/host-file ${PROJECT_BINARY_DIR} ${file})
		set_tests_properties(${tier}/${name} PROPERTIES
			RUN_SERIAL ON FIXTURES_REQUIRED templates)
	endforeach()
	set_tests_properties(host/servers PROPERTIES FIXTURES_REQUIRED "templates;servers")
	lodge_script(NAME soak/migrate LABEL host TIMEOUT 1800
		COMMAND tests/soak/migrate ${PROJECT_BINARY_DIR} 5)
	set_tests_properties(soak/migrate PROPERTIES RUN_SERIAL ON FIXTURES_REQUIRED servers)
endfunction()

function(lodge_vm_tier)
	lodge_script(NAME vm/host-suite LABEL vm TIMEOUT 3600
		COMMAND tests/vm/run --templates-of ${PROJECT_BINARY_DIR})
	set_tests_properties(vm/host-suite PROPERTIES RUN_SERIAL ON FIXTURES_REQUIRED templates)
endfunction()

if(LODGE_TIERS)
	lodge_lint_tier()
	lodge_host_tier()
	lodge_vm_tier()
endif()

if(LODGE_MUST_RUN)
	get_property(tests DIRECTORY PROPERTY TESTS)
	foreach(test IN LISTS tests)
		set_property(TEST ${test} PROPERTY SKIP_RETURN_CODE)
	endforeach()
endif()
