#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2154 # $ for the shell inside; `status`, `output` are bats's
# SPDX-License-Identifier: GPL-2.0-or-later
#
# /proc inside tells the container's own limits, whatever happens to lxcfs.

load lib

setup_file() {
	export BATS_NO_PARALLELIZE_WITHIN_FILE=true
	need tool lxcfs
	# A program of our own, to be replaced by "a newer one".
	cp "$(type -P lxcfs)" "$BATS_FILE_TMPDIR/lxcfs"
	host_up "LXCFS=\"$BATS_FILE_TMPDIR/lxcfs\""
	lxcfs_is_up || wait_for 10 lxcfs_is_up
	ct 101 --memory 64M --cpus 1
	ct 102 --memory 96M
	init_pid 101 >"$BATS_FILE_TMPDIR/init-101"
}

teardown_file() {
	host_down
}

teardown() {
	tell_more
}

lxcfs_pid() {
	cat "$LG_RUN"/lxcfs/*.pid
}

lxcfs_is_up() {
	lodge doctor | grep -q '^ok *lxcfs'
}

# There is one, it lends its files, and it is not process $1.
lxcfs_is_another() {
	lxcfs_is_up && [ "$(lxcfs_pid)" != "$1" ]
}

memory_is() {
	[ "$(in_ct "$1" awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)" = "$2" ]
}

# Read all the time until /stop is there: how many reads failed, and for how long at a stretch at most (whole seconds).
read_on() {
	in_ct "$1" sh -c 'rm -f /stop; exec 2>/dev/null; n=0 bad=0 worst=0 since=0
		until [ -e /stop ]; do
			n=$((n + 1))
			if read -r _ kb _ </proc/meminfo && read -r _ </proc/loadavg; then
				since=0
				continue
			fi
			bad=$((bad + 1)) now=$(date +%s)
			[ $since -gt 0 ] || since=$now
			[ $((now - since)) -le $worst ] || worst=$((now - since))
		done
		echo "$n $bad $worst"' </dev/null >"$BATS_TEST_TMPDIR/reads-$1" &
	eval "READER_$1=\$!"
	wait_for 10 in_ct "$1" sh -c '! [ -e /stop ]'
}

# ended_reading CTID: sets READS, BAD, WORST
ended_reading() {
	local reader=READER_$1
	in_ct "$1" touch /stop
	ended "${!reader}"
	read -r READS BAD WORST <"$BATS_TEST_TMPDIR/reads-$1"
	[ "$READS" -gt 0 ]
}

# ---- what it tells ------------------------------------------------------------------------

@test "memory and swap are the limits, also after a change" {
	memory_is 101 65536
	memory_is 102 98304
	lodge set 101 --memory 80M >/dev/null
	memory_is 101 81920
	lodge set 101 --memory 64M >/dev/null
	memory_is 101 65536
	run -0 in_ct 101 awk '$1 == "MemAvailable:" || $1 == "SwapTotal:" { print ($2 <= 65536) }' \
		/proc/meminfo
	is "$output" $'1\n1' "MemAvailable and SwapTotal within the limit"
	run -0 in_ct 101 head -n 1 /proc/swaps
	like "$output" '^Filename' "swaps has its heading"
}

@test "CPUs are those of the limit" {
	is "$(in_ct 101 grep -c '^processor' /proc/cpuinfo)" 1 "CPUs in cpuinfo"
	# lxcfs takes the lines of stat from the CPU time on each CPU, which cgroup2 does not tell.
	[ -e /sys/fs/cgroup/cgroup.controllers ] ||
		is "$(in_ct 101 grep -c '^cpu[0-9]' /proc/stat)" 1 "CPUs in stat"
	is "$(in_ct 102 grep -c '^processor' /proc/cpuinfo)" "$(nproc)" "CPUs without a limit"
	is "$(in_ct 102 cat /sys/devices/system/cpu/online)" \
		"$(cat /sys/devices/system/cpu/online)" "online without a limit"
}

# Seconds since the epoch: when 103's init started, by what ps adds up inside.
started_by_ps() {
	in_ct 103 awk -v hz="$(getconf CLK_TCK)" '$1 == "btime" { boot = $2 }
		FILENAME == "/proc/1/stat" { start = $22 } END { print int(boot + start / hz) }' \
		/proc/stat /proc/1/stat
}

@test "its clocks begin with it: uptime, sysinfo, start times; the load is its own" {
	local before=$SECONDS began up
	began=$(date +%s)
	ct 103
	up=$(in_ct 103 cut -d. -f1 /proc/uptime)
	[ "$up" -le $((SECONDS - before + 1)) ]
	[ "$(in_ct 101 cut -d. -f1 /proc/uptime)" -ge "$up" ]
	run -0 in_ct 103 uptime
	like "$output" ' up [01] min,' "uptime by sysinfo(2)"
	# Of lxcfs's file, and of the kernel's below it.
	run -0 started_by_ps
	[ "$output" -ge $((began - 1)) ] && [ "$output" -le $((began + SECONDS - before + 1)) ] ||
		fail "init started at $output, which was between $began and $(date +%s)"
	up=$output
	in_ct 103 umount /proc/stat
	[ $(($(started_by_ps) - up)) -le 1 ] && [ $((up - $(started_by_ps))) -le 1 ]
	run -0 in_ct 103 cat /proc/loadavg
	like "$output" '^[0-9.]+ [0-9.]+ [0-9.]+ [0-9]+/[0-9]{1,2} [0-9]+' "loadavg of few tasks"
	lodge destroy --force 103 >/dev/null
}

@test "what is entered has the clocks of the container" {
	is "$(in_ct 101 readlink /proc/self/ns/time)" "$(in_ct 101 readlink /proc/1/ns/time)" "time namespace"
	[ "$(in_ct 101 readlink /proc/self/ns/time)" != "$(readlink /proc/self/ns/time)" ]
	[ "$(in_ct 101 readlink /proc/self/ns/time)" != "$(in_ct 102 readlink /proc/self/ns/time)" ]
}

@test "the guest cannot set its clocks" {
	run ! in_ct 101 sh -c 'echo "boottime 1000 0" >/proc/self/timens_offsets'
	run ! in_ct 101 sh -c 'echo "boottime 1000 0" >/proc/1/timens_offsets'
}

@test "without a time namespace it has the host's clocks, and lxcfs tells its uptime" {
	local limit=/proc/sys/user/max_time_namespaces was
	[ "${LG_SHARED_HOST:-0}" != 1 ] || skip "changes a setting of the whole host"
	was=$(<"$limit")
	echo "$was" 2>/dev/null >"$limit" || cannot_run "may not set $limit" excused
	echo 0 >"$limit"
	ct 106 && in_ct 106 true || was="$was failed"
	echo "${was%% *}" >"$limit"
	is "${was#* }" "${was%% *}" "the start"
	is "$(in_ct 106 readlink /proc/self/ns/time)" "$(readlink /proc/self/ns/time)" "time namespace"
	[ "$(in_ct 106 cut -d. -f1 /proc/uptime)" -lt 60 ]
	is "$(in_ct 106 grep -c lxcfs /proc/self/mountinfo)" 8 "mounts of lxcfs inside"
	lodge destroy --force 106 >/dev/null
}

@test "the files are the guest's to read, not to write" {
	run ! in_ct 101 sh -c 'echo 1 >/proc/meminfo'
	is "$(in_ct 101 sh -c 'head -n 2 /proc/diskstats | wc -l')" 2 "diskstats has lines"
}

@test "nested namespaces can still mount a proc and a sysfs" {
	in_ct 101 unshare -U -r -m -p -f sh -c 'mount -t proc proc /mnt && [ -e /mnt/self/stat ]'
	in_ct 101 unshare -U -r -m -n sh -c 'mount -t sysfs -o ro sysfs /mnt && [ -d /mnt/class ]'
}

# ---- when it dies -------------------------------------------------------------------------

@test "lxcfs is killed: guests read on, and soon read the truth again" {
	local old
	old=$(lxcfs_pid)
	read_on 101
	kill -KILL "$old"
	wait_for 20 lxcfs_is_another "$old"
	wait_for 10 memory_is 101 65536
	wait_for 10 memory_is 102 98304
	ended_reading 101
	[ "$WORST" -le 1 ] || fail "reads failed for $WORST s, $BAD of $READS"
	is "$(in_ct 101 grep -c lxcfs /proc/self/mountinfo)" 7 "mounts of lxcfs inside"
	is "$(grep -c "$LG_RUN/lxcfs" /proc/self/mountinfo)" 1 "mounts of lxcfs on the host"
}

@test "lxcfs is killed while lodged is away: the kernel's files until it is back" {
	local old
	old=$(lxcfs_pid)
	is "$(lodged_down)" 0 "lodged's exit status"
	kill -KILL "$old"
	wait_for 10 is_no_more "$old"
	# No lodged, no exec: from outside, by the container's root.
	wait_for 10 reads_kernels "$(cat "$BATS_FILE_TMPDIR/init-101")"
	lodged_up
	wait_for 20 lxcfs_is_another "$old"
	wait_for 10 memory_is 101 65536
	wait_for 10 memory_is 102 98304
}

reads_kernels() {
	! grep -q lxcfs "/proc/$1/mountinfo" && grep -q '^MemTotal' "/proc/$1/root/proc/meminfo"
}

@test "lxcfs hangs: it is killed, guests read on" {
	local old
	is "$(lodged_down)" 0 "lodged's exit status"
	lodged_up LG_LXCFS_PROBE_S=1
	wait_for 10 lxcfs_is_up
	old=$(lxcfs_pid)
	kill -STOP "$old"
	wait_for 40 is_no_more "$old"
	wait_for 20 lxcfs_is_another "$old"
	wait_for 10 memory_is 101 65536
	is "$(lodged_down)" 0 "lodged's exit status"
	lodged_up
}

@test "lodged is restarted: the same lxcfs goes on, no read fails" {
	local old
	old=$(lxcfs_pid)
	read_on 101
	is "$(lodged_down KILL)" 137 "lodged's exit status"
	lodged_up
	wait_for 10 lxcfs_is_up
	ended_reading 101
	is "$BAD" 0 "failed reads"
	is "$(lxcfs_pid)" "$old" "process of lxcfs"
	memory_is 101 65536
}

@test "a newer lxcfs takes over, no read fails" {
	local old
	old=$(lxcfs_pid)
	read_on 101
	cp "$BATS_FILE_TMPDIR/lxcfs" "$BATS_FILE_TMPDIR/lxcfs.new"
	mv "$BATS_FILE_TMPDIR/lxcfs.new" "$BATS_FILE_TMPDIR/lxcfs"
	wait_for 30 is_no_more "$old"
	ended_reading 101
	is "$BAD" 0 "failed reads of $READS"
	lxcfs_is_another "$old"
	memory_is 101 65536
}

# ---- a guest that does not want ----------------------------------------------------------

@test "what a guest puts over the files is its own affair" {
	local old
	old=$(lxcfs_pid)
	# An exchange by the test before must have come to its end in here, too.
	wait_for 10 memory_is 102 98304
	sleep 1
	in_ct 102 sh -c 'umount /proc/loadavg && echo mine >/tmp/mine &&
		mount --bind /tmp/mine /proc/cpuinfo && mount -t tmpfs none /sys/devices'
	kill -KILL "$old"
	wait_for 20 lxcfs_is_another "$old"
	wait_for 10 memory_is 101 65536
	wait_for 10 memory_is 102 98304
	is "$(in_ct 102 cat /proc/cpuinfo)" mine "the guest's own cover"
	in_ct 102 sh -c 'umount /sys/devices; umount /proc/cpuinfo'
	in_ct 102 grep -q MemTotal /proc/meminfo
}

@test "a guest without its /proc harms nobody" {
	local old
	old=$(lxcfs_pid)
	ct 104
	in_ct 104 sh -c 'umount -l /proc; mkdir -p /proc/x; mount -t tmpfs none /proc'
	kill -KILL "$old"
	wait_for 20 lxcfs_is_another "$old"
	wait_for 10 memory_is 101 65536
	lodge stop --fast 104 >/dev/null
	lodge destroy 104 >/dev/null
}

# ---- without it ---------------------------------------------------------------------------

@test "LXCFS=no: it ends, guests see the kernel's files; and back again" {
	local conf=$LG_ETC/lodge.conf old
	old=$(lxcfs_pid)
	is "$(lodged_down)" 0 "lodged's exit status"
	sed -i 's/^LXCFS=.*/LXCFS="no"/' "$conf"
	lodged_up
	wait_for 10 is_no_more "$old"
	doctor_says 'off lxcfs LXCFS is "no"'
	wait_for 10 memory_is 101 "$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)"
	ct 105 --memory 64M
	is "$(in_ct 105 grep -c lxcfs /proc/self/mountinfo || true)" 0 "mounts of lxcfs in a new one"
	is "$(lodged_down)" 0 "lodged's exit status"
	sed -i "s|^LXCFS=.*|LXCFS=\"$BATS_FILE_TMPDIR/lxcfs\"|" "$conf"
	lodged_up
	wait_for 10 memory_is 105 65536
	wait_for 10 memory_is 101 65536
	lodge destroy --force 105 >/dev/null
}

@test "a program that is not there: one line of doctor, and everything else works" {
	local conf=$LG_ETC/lodge.conf
	is "$(lodged_down)" 0 "lodged's exit status"
	sed -i 's|^LXCFS=.*|LXCFS="/nowhere/lxcfs"|' "$conf"
	lodged_up
	doctor_says 'off lxcfs LXCFS="/nowhere/lxcfs" in lodge.conf: there is no such program'
	in_ct 101 true
	is "$(lodged_down)" 0 "lodged's exit status"
	sed -i 's|^LXCFS=.*|LXCFS="/bin/false"|' "$conf"
	lodged_up
	wait_for 10 doctor_says 'off lxcfs lxcfs .* has ended without having mounted anything'
	in_ct 101 true
	is "$(lodged_down)" 0 "lodged's exit status"
	sed -i "s|^LXCFS=.*|LXCFS=\"$BATS_FILE_TMPDIR/lxcfs\"|" "$conf"
	lodged_up
	wait_for 10 memory_is 101 65536
}

# However its lines are folded.
doctor_says() {
	lodge doctor | tr -s ' \n' ' ' | grep -qE "$1"
}

@test "a boot id of its own, new at each start" {
	local first second
	ct 141
	ct 142
	first=$(in_ct 141 cat /proc/sys/kernel/random/boot_id)
	second=$(in_ct 142 cat /proc/sys/kernel/random/boot_id)
	[[ $first =~ ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$ ]] || fail "no id: $first"
	[ "$first" != "$second" ] || fail "two containers have one"
	[ "$first" != "$(</proc/sys/kernel/random/boot_id)" ] || fail "it is the host's"
	# It is the kernel's word, and no file of the container's.
	run in_ct 141 sh -c 'echo x >/proc/sys/kernel/random/boot_id'
	[ "$status" -ne 0 ] || fail "it can be written"
	lodge restart 141
	second=$(in_ct 141 cat /proc/sys/kernel/random/boot_id)
	[ "$first" != "$second" ] || fail "it is that of the last start"
}
