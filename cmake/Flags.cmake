# Compiler and linker flags, each probed; the target lg_flags carries them to every folder.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

option(LODGE_WERROR "warnings are errors" OFF)
option(LODGE_SANITIZE "AddressSanitizer and UBSan in everything but the shim" OFF)
option(LODGE_STATIC "link the command and the shim statically" ON)
option(LODGE_TESTS "build the tests" ON)
option(LODGE_FUZZ "build the fuzzers with libFuzzer (clang)" OFF)

if(NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Our own choice of optimisation stands below, the same for every build type but Debug.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")

add_library(lg_flags INTERFACE)
target_compile_definitions(lg_flags INTERFACE _GNU_SOURCE)

function(lodge_flags)
	foreach(flag IN LISTS ARGN)
		string(MAKE_C_IDENTIFIER "HAVE${flag}" var)
		check_c_compiler_flag("-Werror ${flag}" ${var})
		if(${var})
			target_compile_options(lg_flags INTERFACE ${flag})
		endif()
	endforeach()
endfunction()

lodge_flags(-Wall -Wextra -Wformat=2 -Wshadow -Wstrict-prototypes -Wmissing-prototypes
	-Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla
	-Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference -Wdouble-promotion
	-Wconversion -Wno-sign-conversion -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init
	-fno-common -fvisibility=hidden -fstack-protector-strong -fstack-clash-protection
	-fcf-protection -ftrivial-auto-var-init=zero)
if(LODGE_WERROR)
	target_compile_options(lg_flags INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
	target_compile_definitions(lg_flags INTERFACE LG_DEBUG=1)
else()
	target_compile_options(lg_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()

# Carried by everything but the shim, which is always static.
add_library(lg_sanitize INTERFACE)
if(LODGE_SANITIZE)
	set(LODGE_STATIC OFF)
	target_compile_options(lg_sanitize INTERFACE
		-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
	target_link_options(lg_sanitize INTERFACE -fsanitize=address,undefined)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
target_link_options(lg_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
