#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The walls, tried one by one as root inside. SECURITY.md has the table.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
	ct 101 --ip auto
	ct 102 --ip auto
	put_helper 101 attack
	put_probe 101
}
teardown_file() { host_down; }
teardown() { tell_more; }

attack() {
	lodge exec 101 -- attack "$@" </dev/null
}

# denied COMMAND...: what it answers is none of ok
denied() {
	local got
	got=$(attack "$@")
	like "$got" '^E[A-Z0-9]+$' "attack $*"
}

# as_nobody PROGRAM: started by a shell of that user, who has no capability left
as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'exec "$0" id' "$1"
}

# Processes of the host as it sees them: lodged, a shim, init of the neighbour.
outside_pids() {
	cat "$LG_RUN/lodged.pid"
	field 101 .shim_pid
	init_pid 102
}

@test "no node of a device can be made: memory, ports, disks, the kernel's log" {
	local row
	for row in "c 1 1" "c 1 2" "c 1 4" "c 1 11" "c 10 237" "c 10 229" "c 10 232" "b 7 0" "b 8 0" "b 254 0" "b 259 0"; do
		# shellcheck disable=SC2086 # three words
		is "$(attack node /root/node $row)" EPERM "$row"
	done
	# Whiteouts of an overlay are allowed, and are no device.
	denied node /root/whiteout c 0 0
}

@test "no file system of the host or its kernel can be mounted" {
	local type disk
	disk=$(findmnt -n -o SOURCE -T "$LODGE_ROOT")
	for type in ext4 xfs btrfs vfat iso9660 squashfs erofs; do
		denied mount "$disk" /root/mnt "$type" ""
		denied mount /root/image /root/mnt "$type" ""
	done
	for type in debugfs tracefs securityfs configfs devtmpfs pstore efivarfs selinuxfs nfs cifs 9p virtiofs; do
		denied mount none /root/mnt "$type" ""
	done
	denied loop /dev/loop-control
}

@test "read-only mounts made writable open nothing of the host's, and nodev ones give no devices" {
	# Of its own namespaces' mounts it may have the say; whose the files are counts.
	attack remount /sys >/dev/null
	is "$(attack writable /sys | grep -vE '^/sys/(fs/cgroup|devices/virtual/net/(eth0|lo))/' || test $? -eq 1)" "" "in /sys"
	attack remount / >/dev/null
	like "$(in_ct 101 awk '$5 == "/" { print $6 }' /proc/self/mountinfo)" '(^|,)nodev(,|$)' "options of /"
}

@test "below /proc and /sys nothing opens for writing but what is the container's own" {
	local open
	open=$(attack writable /proc | grep -vE \
		'^/proc/sys/(net|user|fs/mqueue)/|^/proc/sys/kernel/(hostname|domainname|pid_max|sem|sem_next_id|shm[a-z_]*|msg[a-z_]*|auto_msgmni|ns_last_pid)$|^/proc/pressure/|^/proc/(keys|timer_list|kcore|sched_debug|latency_stats)$' ||
		test $? -eq 1)
	is "$open" "" "in /proc"
	is "$(attack writable /sys | grep -vE '^/sys/(fs/cgroup|devices/virtual/net/(eth0|lo))/' || test $? -eq 1)" "" "in /sys"
	# Another proc and another sys are no better.
	in_ct 101 sh -c 'mkdir -p /root/p /root/s && mount -t proc none /root/p; mount -t sysfs none /root/s; true'
	is "$(attack writable /root/p/sys/kernel | grep -vE '/(hostname|domainname|pid_max|sem|sem_next_id|shm[a-z_]*|msg[a-z_]*|auto_msgmni|ns_last_pid)$' || test $? -eq 1)" "" "in its own proc"
	is "$(attack writable /root/s | grep -vE '^/root/s/devices/virtual/net/(eth0|lo)/' || test $? -eq 1)" "" "in its own sysfs"
	in_ct 101 sh -c 'umount /root/p; umount /root/s; true'
	denied write /proc/sysrq-trigger c
	denied write /proc/sys/kernel/core_pattern "|/root/x"
	denied write /proc/sys/kernel/modprobe /root/x
	denied write /proc/sys/vm/overcommit_memory 1
}

@test "the limits of its cgroup cannot be opened for writing, by no hierarchy that it can mount" {
	local open controller
	open=$(attack writable /sys/fs/cgroup | grep -E '^/sys/fs/cgroup/[^/]*$' |
		grep -vE '/cgroup\.(procs|threads|subtree_control)$' || test $? -eq 1)
	is "$open" "" "at the top"
	in_ct 101 sh -c 'mkdir -p /root/cg && mount -t cgroup2 none /root/cg; true'
	is "$(attack writable /root/cg | grep -E '^/root/cg/[^/]*$' |
		grep -vE '/cgroup\.(procs|threads|subtree_control)$' || test $? -eq 1)" "" "mounted anew"
	in_ct 101 sh -c 'umount /root/cg; true'
	for controller in memory cpu pids devices freezer blkio; do
		[ "$(attack mount none /root/cg cgroup "$controller")" = ok ] || continue
		is "$(attack writable /root/cg)" "" "v1 hierarchy $controller"
		run in_ct 101 mkdir /root/cg/mine
		[ "$status" -ne 0 ]
		in_ct 101 umount /root/cg
	done
}

@test "it cannot move out of its cgroup, nor have the host run a program at its end" {
	denied write /sys/fs/cgroup/../cgroup.procs 1
	denied write /sys/fs/cgroup/release_agent /root/x
	denied write /sys/fs/cgroup/cgroup.max.descendants max
	local before
	before=$(cat "/proc/$(init_pid 101)/cgroup")
	in_ct 101 sh -c 'mkdir -p /sys/fs/cgroup/in && echo 1 >/sys/fs/cgroup/in/cgroup.procs; echo 1 >/sys/fs/cgroup/cgroup.procs; true'
	is "$(cat "/proc/$(init_pid 101)/cgroup")" "$before" "init's cgroups as the host sees them"
}

@test "processes of the host and of neighbours can be neither signalled, traced nor looked at" {
	local pid
	for pid in $(outside_pids); do
		is "$(attack signal "$pid")" ESRCH "signal to $pid"
		is "$(attack ptrace "$pid")" ESRCH "ptrace of $pid"
		denied open "/proc/$pid/mem"
		denied open "/proc/$pid/root"
	done
	ct 103
	in_ct 103 sh -c 'kill -9 -1' || true
	lodge exec 103 -- true || true
	is "$(in_ct 102 echo alive)" alive "the neighbour of one that kills all it can"
	lodge destroy --force 103
	for pid in $(outside_pids); do
		kill -0 "$pid"
	done
}

@test "no namespace but its own can be entered or asked for" {
	local kind
	for kind in user pid; do
		is "$(attack parent "$kind")" EPERM "parent of its $kind namespace"
	done
	denied setns /proc/0/ns/mnt
	for kind in mnt net pid user uts ipc cgroup; do
		is "$(in_ct 101 sh -c "for p in /proc/[0-9]*; do readlink \$p/ns/$kind; done" | sort -u | wc -l)" 1 "$kind namespaces in sight"
		[ "$(in_ct 101 readlink "/proc/1/ns/$kind")" != "$(readlink "/proc/self/ns/$kind")" ]
	done
}

@test "modules, kexec, bpf, keys, file handles, the clock: refused" {
	denied handle /
	denied bpf 0
	denied bpf 5
	denied settime 1000000000
	denied keyring -4
	local name
	for name in init_module finit_module delete_module kexec_load kexec_file_load perf_event_open acct swapon iopl ioperm; do
		like "$(in_ct 101 probe call "$name")" '^(EPERM|ENOSYS|EACCES)$' "$name"
	done
	# Families of sockets that know no namespaces.
	denied socket 40 1 0
}

@test "the kernel's log can be neither read nor written" {
	denied open /dev/kmsg
	denied open /proc/kmsg
	denied write /dev/kmsg hello
	in_ct 101 sh -c 'mkdir -p /root/m; mount -t devtmpfs none /root/m' && fail "devtmpfs"
	run in_ct 101 dmesg
	[ "$status" -ne 0 ]
}

@test "resource limits of its processes cannot go above what they began with" {
	local hard
	# 7: open files; 8: locked memory; 13: nice; 14: real-time priority
	hard=$(in_ct 101 awk '/^Max open files/ { print $5 }' /proc/self/limits)
	denied rlimit 7 $((hard + 1))
	denied rlimit 8 $((1 << 40))
	denied rlimit 14 99
	run in_ct 101 renice -n -20 -p 1
	[ "$(ps -o ni= -p "$(init_pid 101)" | tr -d ' ')" -ge 0 ] || fail "$output"
}

@test "ids end where the container's do, and what is on the disk is out of reach" {
	run in_ct 101 chown 65536 /root
	[ "$status" -ne 0 ]
	is "$(attack setxattr /root trusted.overlay.opaque y)" EPERM "trusted attributes"
	is "$(attack setxattr /root trusted.overlay.redirect /../../..)" EPERM "overlay's redirect"
	in_ct 101 sh -c 'cp /bin/busybox /root/suid && chown 0:0 /root/suid && chmod 6755 /root/suid; cp /bin/busybox /root/capable'
	attack filecap /root/capable 0 >/dev/null
	attack filecap /root/capable -1 >/dev/null
	local file
	for file in suid capable; do
		[ -e "$LG_VAR/ct/101/upper/root/$file" ]
		run as_nobody "$LG_VAR/ct/101/upper/root/$file"
		is "$status" 126 "$file run by a user of the host"
	done
	# Nor by the way of a process of the container.
	run as_nobody "/proc/$(init_pid 101)/root/root/suid"
	is "$status" 126 "through /proc"
}

@test "a root that is shown on the host (lodge mount) gives nobody its set-uid bits" {
	lodge create 104 --template busybox >/dev/null
	local path
	path=$(lodge mount 104 --json 2>/dev/null | jq -r .path) || path=$LG_VAR/root/104
	[ -d "$path" ] || { lodge mount 104 && path=$LG_VAR/root/104; }
	like "$(findmnt -n -o OPTIONS "$path")" 'nosuid' "options"
	like "$(findmnt -n -o OPTIONS "$path")" 'nodev' "options"
	lodge umount 104
	lodge destroy 104
}

# ---- entering ----------------------------------------------------------------------------

@test "a program that is entered has three streams, none of the host's files, and its own folder" {
	is "$(attack fds | cut -d ' ' -f 1 | paste -sd ' ')" "0 1 2" "descriptors"
	like "$(on_a_terminal "$LG_LODGE exec -t 101 -- attack fds" | tr -d '\r' | paste -sd ' ')" \
		'^0 /dev/pts/([0-9]+) 1 /dev/pts/([0-9]+) 2 /dev/pts/([0-9]+)$' "with a terminal"
	is "$(in_ct 101 sh -c 'readlink /proc/self/cwd')" /root "its folder"
	local fd
	for fd in 3 4 5 6 7 8 9 10; do
		run lodge exec --cwd "/proc/self/fd/$fd" 101 -- pwd
		[ "$status" -ne 0 ] || fail "descriptor $fd is a folder: $output"
		run lodge exec --cwd "/proc/self/fd/$fd/../../.." 101 -- pwd
		[ "$status" -ne 0 ] || fail "beyond descriptor $fd is a folder: $output"
	done
}

@test "the program that enters is nothing that a guest could execute, read or write" {
	local sum shim
	shim=$(readlink "/proc/$(field 101 .shim_pid)/exe")
	sum=$(sha256sum "$shim")
	in_ct 101 sh -c 'ln -s /proc/self/exe /root/me; printf "#!/proc/self/exe\n" >/root/script; chmod 755 /root/script
		for i in 3 4 5 6 7; do printf "#!/proc/self/fd/$i\n" >/root/script$i; chmod 755 /root/script$i; done'
	run lodge exec 101 -- /root/me
	is "$status" 126 "a link to it: $output"
	run lodge exec 101 -- /root/script
	is "$status" 126 "a script of it: $output"
	local i
	for i in 3 4 5 6 7; do
		status=0
		output=$(lodge exec 101 -- "/root/script$i" 2>&1) || status=$?
		[ "$status" -ge 126 ] || fail "descriptor $i can be executed: $output"
	done
	is "$(sha256sum "$shim")" "$sum" "the host's program"
	is "$(stat -c %a "$shim")" 700 "its mode"
}

# Looks at every process that comes up while COMMAND... runs fifteen times.
caught_while() {
	lodge exec 101 -- attack catch 3 >"$BATS_TEST_TMPDIR/catch" 3>&- </dev/null &
	local catcher=$!
	sleep 0.5
	for _ in {1..15}; do
		"$@" >/dev/null </dev/null
	done
	wait "$catcher"
	cat "$BATS_TEST_TMPDIR/catch"
}

@test "a process that enters shows nothing of itself until it is the guest's program" {
	run -0 caught_while timeout 20 "$LG_LODGE" exec 101 -- true
	like "$output" 'seen [1-9][0-9]* found 0$' "without terminal"
	run -0 caught_while on_a_terminal "$LG_LODGE exec -t 101 -- true"
	like "$output" 'seen [1-9][0-9]* found 0$' "with one"
	run -0 caught_while timeout 20 "$LG_LODGE" exec --user 1000:1000 101 -- true
	like "$output" 'seen [1-9][0-9]* found 0$' "as a user"
	# That it would see one that does: a program that is no file of the container's.
	run -0 caught_while timeout 20 "$LG_LODGE" exec 101 -- attack vanish
	like "$output" 'found [1-9]' "one that is open"
}

# ---- the network -------------------------------------------------------------------------

@test "the host's servers, its loopback and its abstract sockets are out of reach" {
	local gateway port=28917 name=lodge-test-$$ address
	gateway=$(in_ct 101 ip route | awk '$1 == "default" { print $3 }')
	helper attack
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	"$HELPER" listen 0.0.0.0 "$port" "$name" <"$BATS_TEST_TMPDIR/fifo" >"$BATS_TEST_TMPDIR/listen" 3>&- &
	exec 7>"$BATS_TEST_TMPDIR/fifo"
	wait_for 10 grep -q '^0' "$BATS_TEST_TMPDIR/listen"
	is "$("$HELPER" connect 127.0.0.1 "$port")" ok "from the host itself"
	is "$("$HELPER" abstract "$name")" ok "from the host itself, by its name"
	denied connect 127.0.0.1 "$port"
	denied abstract "$name"
	# Bridges of other daemons come and go.
	for address in "$gateway" $(ip -4 -o addr show scope global | awk '$2 !~ /br0$/ { sub("/.*", "", $4); print $4 }'); do
		denied connect "$address" "$port"
	done
	exec 7>&-
	wait
}

@test "only its own interfaces and neighbours' nothing are in sight" {
	is "$(in_ct 101 ls /sys/class/net | sort | paste -sd ' ')" "eth0 lo" "interfaces"
	is "$(in_ct 101 sh -c 'wc -l </proc/net/unix')" "$(in_ct 101 sh -c 'wc -l </proc/net/unix')" "unix sockets"
	[[ $(in_ct 101 cat /proc/net/unix) != *lodge* ]]
	denied connect "$(address_of 102)" 22
}

@test "a reboot, a power-off and a halt are the container's" {
	local boot
	boot=$(</proc/sys/kernel/random/boot_id)
	ct 105
	in_ct 105 sh -c 'reboot -f' || true
	in_ct 105 true || true
	wait_for 10 ended_by_itself 105
	is "$(</proc/sys/kernel/random/boot_id)" "$boot" "the host's boot"
	lodge destroy --force 105
}

ended_by_itself() {
	[ -n "$(field "$1" '.last_exit // empty')" ]
}
