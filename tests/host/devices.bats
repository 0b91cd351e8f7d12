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
	drop_loop
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

# A device of our own: a loop device over a file in our root. Sets LOOP.
own_loop() {
	truncate -s 1M "$LODGE_ROOT/loop.img"
	LOOP=$(losetup --find --show "$LODGE_ROOT/loop.img")
	echo "$LOOP" >"$BATS_TEST_TMPDIR/loop"
}

drop_loop() {
	[ ! -e "$BATS_TEST_TMPDIR/loop" ] || losetup -d "$(<"$BATS_TEST_TMPDIR/loop")"
}

@test "a device given by name can be used inside, within what was allowed" {
	own_loop
	ct 101 --device "$LOOP:r"
	is "$(in_ct 101 stat -c %u:%g:%a "$LOOP")" 0:0:660 "node"
	is "$(in_ct 101 sh -c "head -c 512 $LOOP | wc -c")" 512 "read"
	run in_ct 101 sh -c "echo x >$LOOP"
	[ "$status" -ne 0 ]
	run lodge exec --user 1000:1000 101 -- head -c 1 "$LOOP"
	[ "$status" -ne 0 ]
}

@test "a device not given cannot be opened, even when the host's root binds its node inside" {
	local pid
	own_loop
	ct 101 --device /dev/fuse
	pid=$(init_pid 101)
	run in_ct 101 mknod /dev/sneak b 7 0
	[ "$status" -ne 0 ]
	in_ct 101 touch /dev/sneak
	# A node that everybody may open, from a file system that allows nodes, put there by the host's root.
	mkdir "$BATS_TEST_TMPDIR/nodes"
	mount -t tmpfs lodge-test "$BATS_TEST_TMPDIR/nodes"
	mknod -m 0666 "$BATS_TEST_TMPDIR/nodes/sneak" b "$((16#$(stat -c %t "$LOOP")))" "$((16#$(stat -c %T "$LOOP")))"
	is "$(head -c 512 "$BATS_TEST_TMPDIR/nodes/sneak" | wc -c)" 512 "the node is good"
	bind_into "$pid" "$BATS_TEST_TMPDIR/nodes/sneak" /dev/sneak
	umount "$BATS_TEST_TMPDIR/nodes"
	is "$(in_ct 101 stat -c %F:%a /dev/sneak)" "block special file:666" "the node inside"
	run in_ct 101 head -c 1 /dev/sneak
	[ "$status" -ne 0 ]
	like "$output" 'not permitted' "why"
	# And the same one, once it is given: the rules follow at once.
	lodge set 101 --device "$LOOP" >/dev/null
	is "$(in_ct 101 sh -c 'head -c 512 /dev/sneak | wc -c')" 512 "given while it runs"
	lodge set 101 --unset device >/dev/null
	run in_ct 101 head -c 1 /dev/sneak
	[ "$status" -ne 0 ]
}

# bind_into PID SOURCE TARGET: mount the host's file SOURCE on TARGET inside, as only the host's root can.
bind_into() {
	python3 - "$@" <<-'END'
		import ctypes, os, sys
		libc = ctypes.CDLL(None, use_errno=True)
		pid, source, target = sys.argv[1:]
		def call(*args):
		    r = libc.syscall(*args)
		    if r < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
		    return r
		tree = call(428, -100, source.encode(), 1 | 0o2000000)      # open_tree, OPEN_TREE_CLONE
		fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
		if libc.setns(fd, 0x20000): raise OSError("setns")
		call(429, tree, b"", -100, target.encode(), 4)              # move_mount, F_EMPTY_PATH
	END
}

@test "vzctl's devices: by name and by number" {
	own_loop
	local major minor
	major=$((16#$(stat -c %t "$LOOP"))) minor=$((16#$(stat -c %T "$LOOP")))
	lodge create 101 --template busybox >/dev/null
	vzctl set 101 --devices "b:$major:$minor:r" --devnodes fuse:rw --save
	grep -qx "DEVICES=\"b:$major:$minor:r\"" "$LG_ETC/ct/101.conf"
	grep -qx 'DEVNODES="fuse:rw"' "$LG_ETC/ct/101.conf"
	lodge start 101 >/dev/null
	is "$(in_ct 101 sh -c "head -c 512 $LOOP | wc -c")" 512 "by number"
	in_ct 101 sh -c ': <>/dev/fuse'
	refused 21 "not b\|c:MAJOR:MINOR" vzctl set 101 --devices b:7 --save
}

@test "a device that the host has not: a warning when it is set, an error when it starts" {
	lodge create 101 --template busybox >/dev/null
	run --separate-stderr lodge set 101 --device /dev/lodge-none
	[ "$status" -eq 0 ]
	like "$stderr" 'the host has no /dev/lodge-none' "warning"
	run --separate-stderr lodge start 101
	[ "$status" -ne 0 ]
	like "$stderr" 'the host has no /dev/lodge-none' "error"
	refused 21 "every container has its own" lodge set 101 --device /dev/null
	refused 21 "is not a device" lodge set 101 --device /etc/passwd
}

@test "a disk that the host has mounted is given with a warning" {
	own_loop
	mkfs.ext4 -q "$LOOP"
	mkdir "$BATS_TEST_TMPDIR/mnt"
	mount "$LOOP" "$BATS_TEST_TMPDIR/mnt"
	lodge create 101 --template busybox >/dev/null
	run --separate-stderr lodge set 101 --device "$LOOP"
	umount "$BATS_TEST_TMPDIR/mnt"
	[ "$status" -eq 0 ]
	like "$stderr" "$LOOP is mounted on $BATS_TEST_TMPDIR/mnt" "warning"
	run --separate-stderr lodge set 101 --device "$LOOP:r"
	is "$stderr" "" "not mounted any more"
}

@test "a device given to a running container appears in its /dev, and goes when it is taken away" {
	own_loop
	ct 101 --device /dev/fuse
	run --separate-stderr lodge set 101 --device /dev/fuse --device "$LOOP" --device /dev/net/tun
	[ "$status" -eq 0 ]
	[[ $output != *"next start"* ]] || fail "$output"
	wait_for 10 in_ct 101 test -b "$LOOP"
	wait_for 10 in_ct 101 test -c /dev/net/tun
	is "$(in_ct 101 stat -c %u:%g:%a "$LOOP")" 0:0:660 "node"
	is "$(in_ct 101 sh -c "head -c 512 $LOOP | wc -c")" 512 "read"
	in_ct 101 sh -c ': <>/dev/net/tun && : <>/dev/fuse'
	run in_ct 101 sh -c 'ls -a /dev | grep lodge.nodes; grep lodge.nodes /proc/self/mountinfo'
	is "$output" "" "left of the work"
	lodge set 101 --device /dev/net/tun >/dev/null
	wait_for 10 gone_inside "$LOOP"
	wait_for 10 gone_inside /dev/fuse
	in_ct 101 sh -c ': <>/dev/net/tun'
}

gone_inside() {
	run in_ct 101 test -e "$1"
	[ "$status" -eq 1 ]
}

@test "a guest that bends its /dev changes nothing outside, and keeps what is its own" {
	own_loop
	ct 101
	in_ct 101 sh -c 'ln -s /root /dev/net && mkdir /root/tun'
	lodge set 101 --device /dev/net/tun >/dev/null
	wait_for 10 event_said 'devices of 101: make the folder of /dev/net/tun'
	in_ct 101 test -d /root/tun
	[ ! -e /root/tun ]
	# A file of its own under the device's name stays when the device is taken away.
	in_ct 101 sh -c 'rm /dev/net; mkdir /dev/net; echo mine >/dev/net/tun'
	lodge set 101 --unset device >/dev/null
	lodge set 101 --device /dev/fuse >/dev/null
	wait_for 10 in_ct 101 test -c /dev/fuse
	is "$(in_ct 101 cat /dev/net/tun)" mine "the guest's file"
	# Another file system over /dev: said, and nothing else.
	in_ct 101 mount -t proc proc /dev
	lodge set 101 --device /dev/net/tun >/dev/null
	wait_for 10 event_said 'is not a tmpfs any more'
	lodge stop --fast 101 >/dev/null
}

event_said() {
	grep -qF -e "$1" "$LG_STATE/lodged.log"
}

@test "a capability that is switched off is gone for init and for what is entered" {
	ct 101 --capability net_admin:off,sys_time:on --ip auto
	local bounding
	bounding=$((16#$(in_ct 101 awk '/^CapBnd/ { print $2 }' /proc/1/status)))
	[ $((bounding >> 12 & 1)) -eq 0 ] || fail "init has net_admin"
	[ $((bounding >> 25 & 1)) -eq 1 ] || fail "init lacks sys_time"
	run in_ct 101 ip link set eth0 down
	[ "$status" -ne 0 ]
	run in_ct 101 date -s 2000-01-01
	like "$output" 'not permitted' "the clock is the host's, whatever is on"
	[ "$(date +%Y)" -gt 2000 ]
}

@test "the terminal of a session is the container's own: what is put into it is typed nowhere else" {
	ct 101
	# In a terminal of the test's own, so that anything that came through would be read by its shell.
	run on_a_terminal "$LG_LODGE exec -t 101 -- sh -c 'tty; stat -c %d /dev/pts/0; stat -L -c %d /proc/self/fd/0'"
	is "$status" 0 "status"
	like "${lines[0]}" '^/dev/pts/[0-9]+' "terminal"
	is "${lines[2]}" "${lines[1]}" "its file system is the container's devpts"
}

@test "lodge.conf may let every container use io_uring" {
	is "$(lodged_down)" 0 "the daemon's end"
	echo 'IO_URING="yes"' >>"$LG_ETC/lodge.conf"
	lodged_up
	given 101
	is "$(in_ct 101 /bin/probe call io_uring_setup)" EFAULT "io_uring"
	is "$(in_ct 101 /bin/probe call keyctl)" ENOSYS "keyctl"
}
