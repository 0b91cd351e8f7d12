# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the two halves of a test with a reboot share. To be loaded after host/lib.

# As installed.
lodge() {
	command lodge "$@"
}

# The cgroups that systemd delegates.
SUBTREE=/sys/fs/cgroup/system.slice/lodge-containers.service

# cgroups ID: every setting of every cgroup that it has, from outside
cgroups() {
	(cd "$SUBTREE/lodge/$1" && find . -type f \( -name cgroup.subtree_control -o -name cgroup.type -o \
		-name 'memory.max' -o -name 'memory.high' -o -name 'memory.low' -o -name 'memory.swap.max' -o \
		-name pids.max -o -name cpu.max -o -name cpu.weight -o -name io.weight -o -name io.max -o \
		-name cpuset.cpus \) -exec grep -H '' {} + | sort)
}

# counter ID: a process that counts, in a file of a tmpfs
counter() {
	# shellcheck disable=SC2016 # expanded inside
	lodge exec "$1" -- sh -c 'mkdir -p /run/t; i=0
		(while :; do i=$((i + 1)); echo $i >/run/t/new; mv /run/t/new /run/t/count; sleep 0.2; done) \
			</dev/null >/dev/null 2>&1 & echo $! >/run/t/pid'
}

# counts_on ID COUNT
counts_on() {
	[ "$(lodge exec "$1" -- cat /run/t/count)" -gt "$2" ]
}

subtree_is_gone() {
	[ ! -e "$SUBTREE" ]
}
