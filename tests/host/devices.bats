#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What a container is given beyond the usual: features, devices.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
}
teardown_file() { host_down; }
teardown() {
	tell_more
	destroy_all
}

# given ID [OPTION]...: a container with the probe in it
given() {
	ct "$@"
	put_probe "$1"
}

@test "a feature gives its devices, which the container's root owns and everybody inside may open" {
	ct 101 --feature fuse,tun
	is "$(in_ct 101 stat -c '%F %t:%T %u:%g %a' /dev/fuse)" \
		"character special file $(stat -c %t:%T /dev/fuse) 0:0 666" /dev/fuse
	in_ct 101 sh -c ': <>/dev/fuse && : <>/dev/net/tun'
	lodge exec --user 1000:1000 101 -- sh -c ': <>/dev/fuse'
	run in_ct 101 test -e /dev/.lodge/nodes
	[ "$status" -ne 0 ]
	is "$(in_ct 101 grep -c '/dev/.lodge/nodes' /proc/self/mountinfo || test $? -eq 1)" 0 "mounts left"
}

@test "the container's root may say who inside uses a device it was given" {
	ct 101 --feature fuse
	in_ct 101 chmod 0600 /dev/fuse
	run lodge exec --user 1000:1000 101 -- sh -c ': <>/dev/fuse'
	[ "$status" -ne 0 ]
	# The host's own node is another one.
	is "$(in_ct 101 stat -c %a /dev/fuse)" 600 "inside"
	[ "$(stat -c %i /dev/fuse)" != "$(in_ct 101 stat -c %i /dev/fuse)" ] ||
		[ "$(stat -c %d /dev/fuse)" != "$(in_ct 101 stat -c %d /dev/fuse)" ]
}

@test "without a feature there is no such device, and with it off neither" {
	ct 101
	ct 102 --feature fuse:off,tun
	for id in 101 102; do
		run in_ct "$id" test -e /dev/fuse
		[ "$status" -eq 1 ]
	done
}

@test "a feature lets its system calls through, and no others" {
	given 101 --feature io_uring
	is "$(in_ct 101 /bin/probe call io_uring_setup)" EFAULT "io_uring with its feature"
	is "$(in_ct 101 /bin/probe call keyctl)" ENOSYS "keyctl without its feature"
	given 102 --feature keyctl
	is "$(in_ct 102 /bin/probe call keyctl)" ok "keyctl with its feature"
	is "$(in_ct 102 /bin/probe call io_uring_setup)" ENOSYS "io_uring without its feature"
	is "$(find "$LG_VAR/cache" -name 'seccomp-*' | wc -l)" 3 "filters in the cache: the usual one and two"
}

@test "vzctl's features are kept, with a warning where they change nothing" {
	ct 101
	run --separate-stderr lodge set 101 --feature nfs:on,sysfs:off
	[ "$status" -eq 0 ]
	like "$stderr" 'nfs:on is kept, but has no effect' "nfs"
	like "$stderr" 'sysfs:off is kept, but has no effect' "sysfs"
	grep -qx 'FEATURES="sysfs:off nfs:on"' "$LG_ETC/ct/101.conf"
	run --separate-stderr lodge set 101 --feature tun
	is "$stderr" "" "nothing to warn of"
	run --separate-stderr vzctl set 101 --features ppp:off --save
	[ "$status" -eq 0 ]
	grep -qx 'FEATURES="ppp:off"' "$LG_ETC/ct/101.conf"
	refused 21 "'warp' is no feature; there are fuse, " lodge set 101 --feature warp
}

@test "a feature whose device the host has not is refused at the start" {
	[ ! -e /dev/ppp ] || skip "this host has /dev/ppp"
	lodge create 101 --template busybox --feature ppp
	run --separate-stderr lodge start 101
	[ "$status" -ne 0 ]
	like "$stderr" 'feature ppp: the host has no /dev/ppp' "why"
	is "$(field 101 .state)" stopped "state"
}
