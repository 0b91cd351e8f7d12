# What is installed where. With the prefix /usr everything is where the host looks for it; setup keeps the
# list of files (install_manifest.txt) so that they can be taken away again.
install(TARGETS lodge RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS lodged RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
install(TARGETS lodge-worker lodge-agent RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/lodge)
# For root alone, as guests can name them: the shims, and what drives CRIU.
install(TARGETS lodge-shim lodge-vm lodge-criu RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/lodge
	PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
install(TARGETS lodge-lxcfs-calls LIBRARY DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/lodge)
install(TARGETS lodge-criu-calls LIBRARY DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/lodge
	PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
# CRIU runs it with a container's ids.
install(TARGETS lodge-criu-tar RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/lodge/lodge-criu-path)
foreach(name iptables-save ip6tables-save iptables-restore ip6tables-restore)
	install(PROGRAMS $<TARGET_FILE:lodge-criu-iptables> RENAME ${name}
		DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/lodge/lodge-criu-path)
endforeach()
install(PROGRAMS packaging/stop-guests DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/lodge)

install(DIRECTORY templates/ DESTINATION ${CMAKE_INSTALL_DATADIR}/lodge/templates
	USE_SOURCE_PERMISSIONS)
install(FILES packaging/lodge.conf DESTINATION ${CMAKE_INSTALL_DATADIR}/lodge)
install(FILES lib/io.lodge.varlink DESTINATION ${CMAKE_INSTALL_DATADIR}/lodge)

install(FILES packaging/lodge-container.apparmor RENAME lodge-container
	DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/apparmor.d)

foreach(section 5 8)
	file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.${section})
	install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

install(FILES completions/lodge.bash RENAME lodge
	DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES completions/_lodge DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)

foreach(unit lodged lodge-containers lodge-guests)
	configure_file(packaging/${unit}.service.in ${PROJECT_BINARY_DIR}/${unit}.service @ONLY)
	install(FILES ${PROJECT_BINARY_DIR}/${unit}.service DESTINATION lib/systemd/system)
endforeach()

install(CODE "set(LODGE_BINDIR \"${CMAKE_INSTALL_FULL_BINDIR}\")")
install(SCRIPT cmake/InstallNames.cmake)
