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
teardown() {
	tell_more
	destroy_all
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

@test "half a CPU is half a CPU: the kernel throttles and grants half the time" {
	ct 101 --cpus 0.5
	put_probe 101
	local begin used
	begin=$(field 101 .usage.cpu_us)
	in_ct 101 probe spin 2
	used=$(($(field 101 .usage.cpu_us) - begin))
	[ "$(throttled)" -ge 8 ] || fail "throttled in $(throttled) periods only"
	[ "$used" -le 1300000 ] || fail "used $used us of two seconds"
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
	in_ct 101 probe spin 0.3
	[ "$(field 101 .usage.memory_bytes)" -gt 100000 ]
	[ "$(field 101 .usage.tasks)" -ge 1 ]
	[ "$(field 101 .usage.cpu_us)" -ge 250000 ]
}
