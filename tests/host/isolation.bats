#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What root inside a container is not and cannot.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
	ct 101
	ct 102
	put_probe 101
}
teardown_file() { host_down; }
teardown() { tell_more; }

@test "each container has its own 65,536 ids, none of the host's, none shared" {
	local pid base1 base2
	pid=$(init_pid 101)
	base1=$(field 101 .id_base)
	base2=$(field 102 .id_base)
	[ "$base1" -ge 65536 ]
	is "$(awk '{ print $1, $2, $3 }' "/proc/$pid/uid_map")" "0 $base1 65536" "uid_map"
	is "$(awk '{ print $1, $2, $3 }' "/proc/$pid/gid_map")" "0 $base1 65536" "gid_map"
	[ $((base1 > base2 ? base1 - base2 : base2 - base1)) -ge 65536 ]
}

@test "no namespace is the host's" {
	local ns pid
	pid=$(init_pid 101)
	for ns in user mnt pid net uts ipc cgroup; do
		[ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ] ||
			fail "namespace $ns is the host's"
		[ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink "/proc/$(init_pid 102)/ns/$ns")" ] ||
			fail "namespace $ns is shared by two containers"
	done
}

@test "the bounding set lacks what a guest must not have" {
	local bounding name bit
	bounding=$((16#$(in_ct 101 awk '/^CapBnd/ { print $2 }' /proc/1/status)))
	while read -r name bit; do
		[ $((bounding >> bit & 1)) -eq 0 ] || fail "it has $name"
	done <<-END
		sys_module 16
		sys_rawio 17
		sys_time 25
		mac_override 32
		mac_admin 33
		syslog 34
		wake_alarm 35
	END
}

@test "files on disk belong to the ids inside, so that one template serves all" {
	in_ct 101 sh -c 'echo x >/root/owned; echo y >/root/by1000; chown 1000:1000 /root/by1000'
	is "$(stat -c %u:%g "$LG_VAR/ct/101/upper/root/owned")" 0:0 "root's"
	is "$(stat -c %u:%g "$LG_VAR/ct/101/upper/root/by1000")" 1000:1000 "user's"
	is "$(in_ct 101 stat -c %u /root/by1000)" 1000 "inside"
}

@test "a setuid file that a guest makes cannot be reached by the host's users" {
	in_ct 101 sh -c 'cp /bin/busybox /root/suid && chmod 4755 /root/suid'
	is "$(stat -c %a:%u "$LG_VAR")" 700:0 "VAR"
	is "$(stat -c %a:%u "$LG_VAR/ct/101")" 700:0 "the layer"
	run setpriv --reuid 65534 --regid 65534 --clear-groups test -e "$LG_VAR/ct/101/upper/root/suid"
	[ "$status" -ne 0 ]
}

@test "the daemon's socket and state are closed to other users" {
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$LG_LODGE" list
	[ "$status" -ne 0 ]
	is "$(stat -c %a "$LG_RUN/shim" | cut -c3)" 0 "RUN/shim for others"
}

@test "the template below is not changed by a guest" {
	local store=$LG_VAR/templates/busybox/rootfs before
	before=$(find "$store" -printf '%p %s %m %T@\n' | sort | sha256sum)
	in_ct 101 sh -c 'rm -rf /etc/passwd; echo x >/etc/new; chmod 777 /bin; chown 5:5 /root' || true
	is "$(find "$store" -printf '%p %s %m %T@\n' | sort | sha256sum)" "$before" "template"
	[ -n "$(in_ct 102 cat /etc/passwd)" ]
	in_ct 101 sh -c 'chmod 755 /bin; chown 0:0 /root; echo root:x:0:0:root:/root:/bin/sh >/etc/passwd'
}

@test "no mount of the host is visible inside" {
	local mounts
	mounts=$(in_ct 101 cat /proc/self/mountinfo)
	[[ $mounts != *"$LODGE_ROOT"*" $LODGE_ROOT"* ]]
	is "$(awk '{ print $5 }' <<<"$mounts" | grep -cvE '^/($|dev|proc|sys|run|tmp)' || test $? -eq 1)" 0 \
		"mounts outside of the known: $(awk '{ print $5 }' <<<"$mounts")"
	is "$(awk '$5 == "/" { n++ } END { print n }' <<<"$mounts")" 1 "roots"
}

# peers PID: the groups in which its mounts hand mounts and umounts on, and take them
peers() {
	grep -oE '(shared|master|propagate_from):[0-9]+' "/proc/$1/mountinfo" | cut -d: -f2 | sort -u
}

@test "what a guest mounts appears nowhere else" {
	local pid other
	pid=$(init_pid 101)
	[ -n "$(peers "$pid")" ]
	for other in self "$(init_pid 102)" "$(field 101 .shim_pid)"; do
		is "$(comm -12 <(peers "$pid") <(peers "$other"))" "" "groups shared with $other"
	done
	in_ct 101 sh -c 'echo mine >/tmp/mine; for f in /proc/cpuinfo /proc/meminfo /etc/passwd /dev/null; do
		mount --bind /tmp/mine $f || exit 1; done'
	[ "$(in_ct 102 cat /proc/cpuinfo)" != mine ]
	[ "$(in_ct 102 cat /etc/passwd)" != mine ]
	is "$(grep -c /tmp/mine /proc/self/mountinfo || test $? -eq 1)" 0 "mounts on the host"
	in_ct 101 umount /proc/cpuinfo /proc/meminfo /etc/passwd /dev/null
}

@test "/sys is read-only" {
	run in_ct 101 sh -c 'echo x >/sys/kernel/uevent_seqnum'
	[ "$status" -ne 0 ]
	like "$(in_ct 101 grep ' /sys sysfs ' /proc/mounts)" '^[^ ]+ /sys sysfs ro' "mount"
	run in_ct 101 mount -o remount,rw /sys
	[ "$status" -ne 0 ]
}

@test "what of /proc changes the host cannot be written" {
	local file
	for file in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe \
		/proc/sys/vm/drop_caches /proc/sys/kernel/panic /proc/sys/fs/file-max /proc/irq/default_smp_affinity; do
		[ -e "$file" ] || continue
		run in_ct 101 sh -c "cat $file >/dev/null; echo 1 >$file"
		[ "$status" -ne 0 ] || fail "$file was written"
	done
}

@test "what of /proc tells about the host cannot be read" {
	local file
	for file in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/interrupts; do
		[ -e "$file" ] || continue
		is "$(in_ct 101 sh -c "head -c 64 $file 2>/dev/null | wc -c" | tr -d ' ')" 0 "bytes of $file"
	done
}

@test "the guest's own network settings under /proc/sys can be written" {
	in_ct 101 sh -c 'echo 17 >/proc/sys/net/ipv4/ip_default_ttl'
	is "$(in_ct 101 cat /proc/sys/net/ipv4/ip_default_ttl)" 17 "inside"
	is "$(in_ct 102 cat /proc/sys/net/ipv4/ip_default_ttl)" 64 "in the neighbour"
	is "$(cat /proc/sys/net/ipv4/ip_default_ttl)" 64 "on the host"
}

@test "only processes of its own are in /proc" {
	local pids
	pids=$(in_ct 101 sh -c 'ls -d /proc/[0-9]* | wc -l' | tr -d ' ')
	[ "$pids" -le 15 ] || fail "$pids processes"
	run in_ct 101 sh -c "kill -0 $(init_pid 102)"
	[ "$status" -ne 0 ]
}

@test "/dev holds harmless devices only, and no other can be made or opened" {
	local found
	found=$(in_ct 101 sh -c 'find /dev -type b -o -type c' | grep -vE \
		'^/dev/(null|zero|full|random|urandom|tty[0-9]*|console|ptmx|pts/.*|fuse|net/tun)$' || test $? -eq 1)
	is "$found" "" "devices"
	run in_ct 101 mknod /root/mem c 1 1
	[ "$status" -ne 0 ]
	run in_ct 101 mknod /root/disk b 254 0
	[ "$status" -ne 0 ]
	in_ct 101 sh -c 'echo x >/dev/null; head -c 4 /dev/zero >/dev/null; head -c 4 /dev/urandom >/dev/null'
}

@test "the seccomp filter refuses what a guest has no business with" {
	is "$(in_ct 101 probe call getpid)" ok "getpid"
	local name
	for name in kexec_load kexec_file_load init_module finit_module delete_module open_by_handle_at \
		swapon swapoff acct iopl ioperm; do
		like "$(in_ct 101 probe call "$name")" '^(EPERM|ENOSYS)$' "$name"
	done
	is "$(awk '/^Seccomp:/ { print $2 }' "/proc/$(init_pid 101)/status")" 2 "mode of init"
}

@test "the kernel's keys and tracing of the host are out of reach" {
	local name
	for name in bpf perf_event_open; do
		like "$(in_ct 101 probe call "$name")" '^(EPERM|ENOSYS|EACCES)$' "$name"
	done
}

@test "a block device or file system image of the host cannot be mounted" {
	run in_ct 101 sh -c 'mkdir -p /root/m; mount -t ext4 /dev/vda /root/m || mount -t proc none /root/m -o hidepid=0 && mount -t devtmpfs none /root/m'
	[ "$status" -ne 0 ]
	run in_ct 101 mount -t debugfs none /sys/kernel/debug
	[ "$status" -ne 0 ]
}

@test "the guest may mount tmpfs and make namespaces of its own" {
	in_ct 101 sh -c 'mkdir -p /root/t && mount -t tmpfs none /root/t && touch /root/t/x && umount /root/t'
}

@test "the guest cannot leave its root" {
	is "$(in_ct 101 stat -c %i /)" "$(in_ct 101 stat -c %i /../..)" "the root's parent"
	run in_ct 101 sh -c 'cd /proc/1/root/.. && ls -d '"$LODGE_ROOT"
	[ "$status" -ne 0 ]
}

@test "the guest cannot leave its cgroup nor see the host's" {
	run in_ct 101 cat /proc/1/cgroup
	like "$output" '(^|[[:space:]])0::/' "its own view"
	[[ $(grep '^0::' <<<"$output") != *lodge* ]]
}

@test "the host's hostname, time and kernel log stay as they are" {
	local name
	name=$(hostname)
	in_ct 101 hostname changed
	is "$(hostname)" "$name" "the host's name"
	run in_ct 101 date -s 2001-01-01
	like "$output" 'not permitted' "setting the clock"
	run in_ct 101 dmesg
	[ "$status" -ne 0 ]
}

@test "where AppArmor has the profile, init and what is entered run in it" {
	local list=/sys/kernel/security/apparmor/profiles
	grep -qs '^lodge-container ' "$list" || skip "this host has not loaded the profile"
	like "$(cat "/proc/$(init_pid 101)/attr/apparmor/current")" '^lodge-container ' "init"
	like "$(in_ct 101 cat /proc/self/attr/apparmor/current)" '^lodge-container ' "entered"
	in_ct 101 unshare -m true
}
