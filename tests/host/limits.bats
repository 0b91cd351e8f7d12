#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Limits hold, inside and nowhere else, on cgroup v2 and on hybrid hosts.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
}
teardown_file() { host_down; }
setup() { HUGE_BEFORE=''; }
teardown() {
	tell_more
	destroy_all
	[ -z "$HUGE_BEFORE" ] || echo "$HUGE_BEFORE" >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
}

# periods in which the kernel made the container wait
throttled() {
	cgroup_value cpu 101 cpu.stat cpu.stat | awk '$1 == "nr_throttled" { print $2 }'
}

@test "the kernel holds the memory limit that was asked for" {
	ct 101 --memory 48M --swap 0
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((48 << 20)) "limit"
}

@test "more memory than the limit is killed inside; init and the neighbour live" {
	ct 101 --memory 48M --swap 0
	ct 102 --memory 48M
	put_probe 101
	local pid
	pid=$(init_pid 101)
	run in_ct 101 probe hog $((200 << 20))
	is "$status" 137 "the hog: $output"
	is "$(in_ct 101 echo alive)" alive "its container"
	is "$(init_pid 101)" "$pid" "its init"
	is "$(in_ct 102 echo alive)" alive "the neighbour"
	[ "$(field 101 '.usage.oom_kills // 0')" -ge 1 ]
	is "$(field 102 '.usage.oom_kills // 0')" 0 "kills of the neighbour"
}

@test "less memory than the limit is given" {
	ct 101 --memory 64M
	put_probe 101
	is "$(in_ct 101 probe hog $((24 << 20)))" "held $((24 << 20))" "the same program"
}

@test "what lands in the guest's tmpfs counts as its memory" {
	ct 101 --memory 32M --swap 0
	run in_ct 101 sh -c 'head -c 100000000 /dev/zero >/dev/shm/big'
	[ "$status" -ne 0 ]
	is "$(in_ct 101 echo alive)" alive "its container"
}

@test "the tasks limit stops a fork bomb; the host and the guest go on" {
	ct 101 --tasks 40
	put_probe 101
	run in_ct 101 probe fork
	is "$status" 0 "status: $output"
	like "$output" '^forked [1-3]?[0-9] then EAGAIN$' "how far it came"
	is "$(cgroup_value pids 101 pids.max pids.max)" 40 "limit"
	is "$(in_ct 101 echo alive)" alive "the guest afterwards"
}

# So little that it is reached on a busy host, too.
@test "a tenth of a CPU is a tenth: the kernel throttles and grants no more" {
	ct 101 --cpus 0.1
	put_probe 101
	local begin used
	begin=$(field 101 .usage.cpu_us)
	in_ct 101 probe spin 2
	used=$(($(field 101 .usage.cpu_us) - begin))
	[ "$(throttled)" -ge 5 ] || fail "throttled in $(throttled) periods only"
	[ "$used" -le 500000 ] || fail "used $used us of two seconds"
}

@test "without a cpu limit nothing is throttled" {
	ct 101
	put_probe 101
	in_ct 101 probe spin 0.5
	is "$(throttled)" 0 "throttled periods"
}

@test "the cpu weight is the kernel's" {
	ct 101 --cpu-weight 500
	cgroup_dir cpu 101
	if [ "$CG_VERSION" = 2 ]; then
		is "$(cat "$CG/cpu.weight")" 500 "cpu.weight"
	else
		is "$(cat "$CG/cpu.shares")" 5120 "cpu.shares"
	fi
}

@test "set changes a running container at once and keeps it for the next start" {
	ct 101 --memory 64M --tasks 60
	lodge set 101 --memory 96M --tasks 70
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((96 << 20)) "memory now"
	is "$(cgroup_value pids 101 pids.max pids.max)" 70 "tasks now"
	lodge restart --fast 101
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((96 << 20)) "memory later"
	is "$(cgroup_value pids 101 pids.max pids.max)" 70 "tasks later"
}

@test "memory can go down and up again, with its swap" {
	ct 101 --memory 64M --swap 64M
	lodge set 101 --memory 32M --swap 0
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((32 << 20)) "down"
	lodge set 101 --memory 128M --swap 128M
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((128 << 20)) "up"
}

@test "the guest cannot lift its limits" {
	ct 101 --memory 48M --tasks 40
	run in_ct 101 sh -c 'find /sys/fs/cgroup -name memory.max -o -name memory.limit_in_bytes -o -name pids.max |
		while read -r f; do echo max >"$f" || echo -1 >"$f"; done 2>/dev/null'
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((48 << 20)) "memory"
	is "$(cgroup_value pids 101 pids.max pids.max)" 40 "tasks"
}

@test "commands from outside count too" {
	ct 101 --memory 48M --tasks 30 --swap 0
	put_probe 101
	run in_ct 101 probe hog $((100 << 20))
	is "$status" 137 "exec'd hog"
	for _ in {1..40}; do
		timeout 10 "$LG_LODGE" exec 101 -- sleep 5 3>&- </dev/null >/dev/null 2>&1 &
	done
	sleep 1.5
	[ "$(cgroup_value pids 101 pids.current pids.current)" -le 30 ]
	wait
}

# ---- guarantees and preferences ------------------------------------------------------------

@test "above memory-high a container is slowed down and reclaimed, or set says what v1 does instead" {
	ct 101
	put_probe 101
	run --separate-stderr lodge set 101 --memory-high 16M
	cgroup_dir memory 101
	if [ "$CG_VERSION" = 2 ]; then
		is "$stderr" "" "nothing to warn of"
		is "$(<"$CG/memory.high")" $((16 << 20)) "memory.high"
		in_ct 101 sh -c 'head -c 60000000 /dev/zero >/root/data; cat /root/data >/dev/null'
		[ "$(awk '$1 == "high" { print $2 }' "$CG/memory.events")" -gt 0 ] || fail "never hit"
	else
		is "$(<"$CG/memory.soft_limit_in_bytes")" $((16 << 20)) "the soft limit"
		like "$stderr" 'soft limit' "what it is"
		like "$(field 101 '.effects["memory-high"]')" 'soft limit' "show"
	fi
	lodge set 101 --memory-high unlimited
	is "$(field 101 '.effects["memory-high"] // "none"')" none "without"
}

@test "a guarantee is the kernel's all the way up, or told of as not to be had" {
	ct 101
	ct 102 --memory-guarantee 4M
	run --separate-stderr lodge set 101 --memory-guarantee 8M
	cgroup_dir memory 101
	if [ "$CG_VERSION" = 2 ]; then
		is "$(<"$CG/memory.min")" $((8 << 20)) "memory.min"
		is "$(<"$CG/../memory.min")" $((12 << 20)) "of all containers"
		refused 62 'memory' lodge set 101 --memory-guarantee 1000T
	else
		like "$stderr" 'memory-guarantee is kept and has no effect' "warning"
		like "$(field 101 '.effects["memory-guarantee"]')" 'no effect here' "show"
	fi
	vzctl set 101 --vmguarpages 1024:2048 --save
	grep -qx 'VMGUARPAGES="1024:unlimited"' "$LG_ETC/ct/101.conf"
}

# score CTID: oom_score_adj of its init, of its shim and of a command from outside
scores() {
	echo "$(<"/proc/$(init_pid "$1")/oom_score_adj")" \
		"$(<"/proc/$(field "$1" .shim_pid)/oom_score_adj")" \
		"$(in_ct "$1" cat /proc/self/oom_score_adj)"
}

@test "who is killed first: init, all that runs and all that comes have the score" {
	ct 101 --oom-priority 300
	is "$(scores 101)" "300 300 300" "at the start"
	in_ct 101 sh -c 'echo 600 >/proc/$$/oom_score_adj; echo $$ >/it; exec sleep 60' </dev/null >/dev/null 3>&- &
	wait_for 10 in_ct 101 test -s /it
	lodge set 101 --oom-priority 400
	is "$(scores 101)" "400 400 400" "live"
	is "$(in_ct 101 sh -c 'cat /proc/$(cat /it)/oom_score_adj')" 600 "one that chose more"
	lodged_down KILL >/dev/null
	lodged_up
	is "$(scores 101)" "400 400 400" "without the daemon that set it"
	lodge restart --fast 101
	is "$(scores 101)" "400 400 400" "at the next start"
	lodge set 101 --oom-priority ""
	is "$(scores 101)" "0 0 0" "taken away"
}

@test "memory that the OOM killer does not hold against it lowers the score by as much" {
	ct 101
	local total guarantee
	total=$(awk '$1 ~ /^(MemTotal|SwapTotal):$/ { n += $2 } END { print n }' /proc/meminfo)
	guarantee=$((total / 10))K
	if [ $((0x$(awk '$1 == "CapEff:" { print $2 }' /proc/self/status) >> 24 & 1)) = 1 ]; then
		lodge set 101 --oom-guarantee "$guarantee"
		like "$(scores 101)" '^-(99|100|101) ' "a tenth of the host"
	else
		refused 62 'CAP_SYS_RESOURCE' lodge set 101 --oom-guarantee "$guarantee"
		is "$(scores 101)" "0 0 0" "as before"
	fi
	refused 21 'oom-priority: outside -999 to 1000' lodge set 101 --oom-priority -1000
}

# ---- CPUs -----------------------------------------------------------------------------------

cpus_of() {
	in_ct "$1" sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status
}

@test "a container runs on as many CPUs as it may see; two of them on different ones" {
	[ "$(nproc)" -ge 2 ] || cannot_run "needs two CPUs"
	ct 101 --cpus-seen 1
	ct 102 --cpus-seen 1
	local first second
	first=$(cpus_of 101)
	second=$(cpus_of 102)
	like "$first" '^[0-9]+$' "one CPU"
	like "$second" '^[0-9]+$' "one CPU"
	[ "$first" != "$second" ] || fail "both on CPU $first"
	is "$(in_ct 101 nproc)" 1 "nproc"
	is "$(field 101 '.effects["cpus-seen"]')" "runs on CPU $first" "show"
	lodge set 101 --memory 64M
	lodged_down KILL >/dev/null
	lodged_up
	is "$(cpus_of 101)" "$first" "later"
	vzctl set 101 --cpus 2 --save
	is "$(in_ct 101 nproc)" 2 "nproc with two"
	grep -qx 'CPUS="2"' "$LG_ETC/ct/101.conf"
}

@test "a mask of CPUs moves what runs, and is given back" {
	ct 101
	put_probe 101
	local all spinner
	all=$(cpus_of 101)
	in_ct 101 sh -c 'echo $$ >/it; exec probe spin 60' </dev/null >/dev/null 3>&- &
	wait_for 10 in_ct 101 test -s /it
	vzctl set 101 --cpumask 0 --save
	spinner=$(in_ct 101 sh -c 'sed -n "s/^Cpus_allowed_list:[[:space:]]*//p" "/proc/$(cat /it)/status"')
	is "$spinner" 0 "what ran before"
	is "$(cpus_of 101)" 0 "what is entered"
	vzctl set 101 --cpumask all --nodemask all --save
	is "$(cpus_of 101)" "$all" "all again"
	vzctl set 101 --cpumask auto --save
	is "$(cpus_of 101)" "$all" "those of its nodes"
}

@test "CPUs and nodes that the host does not have are refused by name" {
	ct 101
	refused 62 'no CPU 8000' lodge set 101 --cpumask 0,8000
	refused 62 'no NUMA node 900' lodge set 101 --nodemask 900
	refused 21 'cpumask' lodge set 101 --cpumask some
	refused 3 'no CPU 8000' lodge create 102 --template busybox --cpumask 8000
	run -14 lodge status 102
	run -0 lodge set 101 --nodemask 0
	is "$(in_ct 101 sed -n 's/^Mems_allowed_list:[[:space:]]*//p' /proc/self/status)" 0 "node"
}

# ---- huge pages -----------------------------------------------------------------------------

@test "huge pages end at the limit, at mmap and not by a signal" {
	local pool=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
	[ -e "$pool" ] || cannot_run "needs huge pages of 2 MB"
	HUGE_BEFORE=$(<$pool)
	[ "$HUGE_BEFORE" = 0 ] || cannot_run "the host's huge pages are in use"
	echo 4 >$pool
	[ "$(<$pool)" = 4 ] || cannot_run "no memory for four huge pages"
	ct 101 --hugepages 2MB:4M
	put_probe 101
	is "$(in_ct 101 probe huge $((4 << 20)))" "held $((4 << 20))" "as many"
	run in_ct 101 probe huge $((6 << 20))
	is "$status $output" "1 mmap: ENOMEM" "more"
	lodge set 101 --hugepages unlimited
	is "$(in_ct 101 probe huge $((6 << 20)))" "held $((6 << 20))" "without"
	lodge set 101 --hugepages 0
	run in_ct 101 probe huge $((2 << 20))
	is "$status $output" "1 mmap: ENOMEM" "none"
	refused 62 'no huge pages of 3MB' lodge set 101 --hugepages 3MB:6M
}

# ---- what belongs to mounts: at the next start -----------------------------------------------

@test "/dev/shm has its size, and pseudo-terminals end at theirs" {
	ct 101 --shm-size 1M --ptys 3
	is "$(in_ct 101 df -k /dev/shm | awk 'END { print $2 }')" 1024 "KiB of /dev/shm"
	run in_ct 101 sh -c 'exec 5<>/dev/ptmx 6<>/dev/ptmx 7<>/dev/ptmx 8<>/dev/ptmx 9<>/dev/ptmx'
	[ "$status" -ne 0 ] || fail "five terminals of three"
	run -0 in_ct 101 sh -c 'exec 5<>/dev/ptmx 6<>/dev/ptmx'
	run --separate-stderr lodge set 101 --shm-size 2M
	like "$output" 'next start: shm-size' "when"
	vzctl set 101 --numpty 8 --save
	lodge restart --fast 101
	is "$(in_ct 101 df -k /dev/shm | awk 'END { print $2 }')" 2048 "KiB later"
	run -0 in_ct 101 sh -c 'exec 5<>/dev/ptmx 6<>/dev/ptmx 7<>/dev/ptmx 8<>/dev/ptmx 9<>/dev/ptmx'
}

# ---- all of them ----------------------------------------------------------------------------

@test "a file of OpenVZ's with its LONG_MAX starts, and counts" {
	lodge create 101 --template busybox
	cat >>"$LG_ETC/ct/101.conf" <<-'END'
		PHYSPAGES="0:9223372036854775807"
		SWAPPAGES="0:9223372036854775807"
		VMGUARPAGES="33792:9223372036854775807"
		OOMGUARPAGES="0:9223372036854775807"
		KMEMSIZE="14372700:14790164"
		NUMPROC="240:240"
		CPUS="1"
		IOPRIO="4"
		IOLIMIT="0"
	END
	lodge start 101
	is "$(cgroup_value pids 101 pids.max pids.max)" 240 "tasks"
	is "$(in_ct 101 nproc)" 1 "CPUs"
	is "$(field 101 '.settings.memory')" unlimited "memory"
}

@test "no limit's file belongs to the guest" {
	ct 101 --hugepages 4M
	cgroup_dir hugetlb 101
	run find "$CG" -maxdepth 1 -type f ! -uid 0 ! -name cgroup.procs ! -name cgroup.threads \
		! -name cgroup.subtree_control
	is "$output" "" "files that are not the host's"
	in_ct 101 sh -c 'for f in /sys/fs/cgroup/*.max /sys/fs/cgroup/*.high /sys/fs/cgroup/*.min; do
		echo max >"$f"; done' 2>/dev/null || :
	is "$(<"$CG/hugetlb.2MB.max")" $((4 << 20)) "huge pages"
}

@test "a refused value changes neither the kernel nor the file" {
	ct 101 --memory 64M
	cp "$LG_ETC/ct/101.conf" "$BATS_TEST_TMPDIR/before"
	refused 21 'memory' lodge set 101 --memory 1x
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((64 << 20)) "memory"
	cmp "$LG_ETC/ct/101.conf" "$BATS_TEST_TMPDIR/before"
}

@test "usage tells memory, tasks and CPU time" {
	ct 101
	put_probe 101
	in_ct 101 probe spin 0.5
	[ "$(field 101 .usage.memory_bytes)" -gt 100000 ]
	[ "$(field 101 .usage.tasks)" -ge 1 ]
	[ "$(field 101 .usage.cpu_us)" -ge 50000 ]
}
