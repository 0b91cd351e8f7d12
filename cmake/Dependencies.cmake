# Every library that lodge stands on, found by pkg-config; what is missing is named with its Debian package.
find_package(PkgConfig REQUIRED)

function(lodge_need var module package)
	pkg_check_modules(${var} IMPORTED_TARGET ${module})
	if(NOT ${var}_FOUND)
		message(FATAL_ERROR "lodge needs ${module}: install the package ${package}")
	endif()
endfunction()

lodge_need(JANSSON jansson libjansson-dev)
lodge_need(SYSTEMD libsystemd libsystemd-dev)
lodge_need(CAP libcap libcap-dev)
lodge_need(SECCOMP libseccomp libseccomp-dev)
lodge_need(MNL libmnl libmnl-dev)
lodge_need(NFTABLES libnftables libnftables-dev)
lodge_need(CGROUP libcgroup libcgroup-dev)
lodge_need(ARCHIVE libarchive libarchive-dev)
lodge_need(NETTLE nettle nettle-dev)
