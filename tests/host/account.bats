#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What containers use and were denied is counted, kept, and told with its reason.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
}
teardown_file() { host_down; }
teardown() {
	tell_more
	[ -z "${EVENTS:-}" ] || kill "$EVENTS"
	destroy_all
}

# counter ID RESOURCE JQ-EXPRESSION
counter() {
	lodge ubc "$1" --json | jq -r ".[0].counters[] | select(.resource == \"$2\") | $3"
}

# at_least ID RESOURCE FIELD NUMBER
at_least() {
	local got
	got=$(counter "$1" "$2" ".$3 // 0")
	[ "$got" -ge "$4" ] || fail "$3 of $2 is $got, not at least $4"
}

# hog ID: want far more memory than it may have
hog() {
	run in_ct "$1" probe hog $((200 << 20))
	is "$status" 137 "the hog: $output"
}

# Can this host's kernel log be read? Elsewhere killed processes have no names.
need_kernel_log() {
	dd if=/dev/kmsg of=/dev/null bs=8192 count=1 iflag=nonblock 2>/dev/null ||
		cannot_run "needs to read /dev/kmsg" excused
}

names_the_hog() {
	[ "$(counter 101 oomguarpages '.process // empty')" = probe ]
}

@test "memory: the most it had, the kill, and who was killed" {
	need_kernel_log
	ct 101 --memory 48M --swap 0
	put_probe 101
	is "$(counter 101 oomguarpages .failcnt)" 0 "kills before"
	hog 101
	is "$(counter 101 oomguarpages .failcnt)" 1 "kills"
	at_least 101 physpages failcnt 1
	is "$(counter 101 physpages .limit)" $((48 * 256)) "limit in pages"
	is "$(counter 101 physpages .maxheld)" $((48 * 256)) "most pages"
	wait_for 5 names_the_hog || fail "nobody is named: $(lodge ubc 101)"
	at_least 101 oomguarpages last_hit $(($(date +%s) - 60))
	run lodge ubc 101 --failed
	like "$output" 'oomguarpages .*killed probe \([0-9]+\)' "the table"
}

@test "tasks: a fork bomb is counted" {
	ct 101 --tasks 30
	put_probe 101
	in_ct 101 probe fork
	at_least 101 numproc failcnt 1
	is "$(counter 101 numproc .maxheld)" 30 "most tasks"
	is "$(counter 101 numproc .limit)" 30 "limit"
}

@test "CPU time: slices in which the limit was used up are counted" {
	ct 101 --cpus 0.3
	put_probe 101
	in_ct 101 probe spin 1
	at_least 101 cpulimit failcnt 3
	is "$(counter 101 cpulimit .limit)" 30 "limit"
}

@test "counters live on when lodged is killed and when the container is restarted" {
	ct 101 --memory 48M --swap 0 --tasks 30
	put_probe 101
	hog 101
	in_ct 101 probe fork
	is "$(lodged_down KILL)" 137 "lodged"
	lodged_up
	is "$(counter 101 oomguarpages .failcnt)" 1 "kills after the daemon"
	at_least 101 numproc failcnt 1
	local forks
	forks=$(counter 101 numproc .failcnt)
	lodge restart --fast 101
	is "$(counter 101 oomguarpages .failcnt)" 1 "kills after the restart"
	is "$(counter 101 numproc .failcnt)" "$forks" "refused forks after the restart"
	is "$(counter 101 numproc .maxheld)" 30 "most tasks after the restart"
	hog 101
	is "$(counter 101 oomguarpages .failcnt)" 2 "kills of both runs"
	lodge stop --fast 101
	is "$(counter 101 oomguarpages .failcnt)" 2 "kills when it is stopped"
}

@test "what happens while no daemon is there is counted by the next" {
	ct 101 --memory 48M --swap 0 --tasks 30
	put_probe 101
	local pid
	pid=$(init_pid 101)
	in_ct 101 probe fork
	is "$(lodged_down KILL)" 137 "lodged"
	kill -9 "$pid"
	wait_for 10 is_no_more "$pid"
	lodged_up
	is "$(lodge status 101)" stopped "state"
	at_least 101 numproc failcnt 1
}

@test "a destroyed container's counters do not become another's" {
	ct 101 --tasks 30
	put_probe 101
	in_ct 101 probe fork
	at_least 101 numproc failcnt 1
	lodge destroy --force 101
	ct 101
	is "$(counter 101 numproc .failcnt)" 0 "refused forks of the new one"
}

@test "a kill is an event, and so is the limit of tasks" {
	need_kernel_log
	ct 101 --memory 48M --swap 0 --tasks 30 --name web
	put_probe 101
	"$LG_LODGE" events --json >"$BATS_TEST_TMPDIR/events" 2>&1 3>&- &
	EVENTS=$!
	wait_for 10 subscribed
	hog 101
	in_ct 101 probe fork
	wait_for 10 grep -q '"limit"' "$BATS_TEST_TMPDIR/events"
	wait_for 10 grep -q '"oom"' "$BATS_TEST_TMPDIR/events"
	like "$(grep '"oom"' "$BATS_TEST_TMPDIR/events")" 'process [0-9]+ \(probe\): a memory limit' "oom"
}

# Events are told only to those who listen already: make some until one is heard.
subscribed() {
	lodge set 101 --description "$RANDOM" >/dev/null
	[ -s "$BATS_TEST_TMPDIR/events" ]
}

@test "vzlist shows the counters" {
	ct 101 --tasks 30
	put_probe 101
	in_ct 101 probe fork
	run vzlist -H -o numproc.m,numproc.l,numproc.f
	like "$output" '^ *30 +30 +[1-9][0-9]*$' "numproc"
	is "$(vzlist -j -o numproc | jq -r '.[0].numproc.maxheld')" 30 "the same in JSON"
}

@test "stats tell of all that run, with rates, in one answer" {
	local id
	for id in 101 102 103 104; do
		ct "$id" --cpus 1.5 --memory 64M
	done
	lodge stop --fast 104
	put_probe 101
	in_ct 101 probe spin 2 &
	local spin=$!
	run lodge stats --json
	wait "$spin"
	is "$(jq -r '[.stats[].ctid] | join(" ")' <<<"$output")" "101 102 103" "who runs"
	is "$(jq -r '.stats[0].memory_limit' <<<"$output")" $((64 << 20)) "memory limit"
	is "$(jq -r '.stats[0].cpu_limit' <<<"$output")" 150 "CPU limit"
	is "$(jq -r '.stats[0].rates.cpu_percent > 20' <<<"$output")" true "the busy one: $output"
	is "$(jq -r '.stats[1].tasks >= 1' <<<"$output")" true "tasks"
	is "$(jq -r '.host.cpus' <<<"$output")" "$(nproc)" "CPUs of the host"
	is "$(lodge stats 103 102 -H -o id | xargs)" "102 103" "those that are named"
	is "$(lodge stats -H -o id --sort -id | xargs)" "103 102 101" "sorted"
}

@test "top without a terminal prints one table after the other" {
	ct 101
	run timeout 20 sh -c '"$1" top --interval 0.2 </dev/null | head -n 7' - "$LG_LODGE"
	is "$(grep -c '^1 run; CPU' <<<"$output")" 2 "$output"
	is "$(grep -c '^101 ' <<<"$output")" 2 "$output"
}

# why ID AREA: the sentences about AREA; fails when there is none
why() {
	lodge why "$1" --json | jq -re ".findings[] | select(.area == \"$2\") | .text"
}

@test "why: an idle container is held back by nothing of its own" {
	ct 101 --name web --memory 64M
	# Others on this host may make it wait; what it has itself is enough.
	is "$(lodge why web --json | jq -r '[.findings[].area] - ["cpu", "io", "host", "disk"] | length')" 0 \
		"findings: $(lodge why web)"
	like "$(lodge why web)" '^101 \(web\), watched for ' "its first line"
	like "$(lodge why web)" 'memory [0-9.]+[KM] of 64.0M' "what it uses"
}

@test "why: the CPU limit is named, with its share" {
	ct 101 --cpus 0.3
	put_probe 101
	in_ct 101 probe spin 6 &
	local spin=$!
	wait_for 5 is_throttled
	run why 101 cpu
	wait "$spin"
	like "$output" '^Its CPU limit holds it back: in [0-9]+ of 100 slices of time .* its 30% of a CPU' "$output"
}

is_throttled() {
	[ "$(lodge why 101 --watch 0.3 --json | jq '.findings | length')" -gt 0 ]
}

@test "why: the process that was killed for want of memory is named" {
	need_kernel_log
	ct 101 --memory 48M --swap 0
	put_probe 101
	hog 101
	wait_for 5 names_the_hog || fail "nobody is named"
	like "$(why 101 memory)" '^The kernel killed probe \(process [0-9]+\) for want of memory, [0-9]+ s ago; 1 in all' \
		"$(lodge why 101)"
}

@test "why: tasks at their limit are named" {
	ct 101
	lodge set 101 --tasks "$(field 101 .usage.tasks)"
	like "$(why 101 tasks)" '^It has all the tasks it may have: ([0-9]+) of ([0-9]+); the kernel refused it' \
		"$(lodge why 101)"
	is "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "tasks and limit"
}

@test "why: the neighbour that uses the CPUs is named" {
	ct 101
	ct 102 --name loud
	put_probe 102
	in_ct 102 probe spin 6 &
	local spin=$!
	wait_for 5 loud_is_seen || fail "$(lodge why 101)"
	wait "$spin"
}

loud_is_seen() {
	lodge why 101 --json | jq -e '.others[] | select(.what == "cpu" and .ctid == 102 and .amount > 10)' >/dev/null
}

@test "why: one that does not run says why it ended" {
	ct 101
	lodge stop --fast 101
	is "$(why 101 state)" "It does not run: init killed by signal 9." "$(lodge why 101)"
	refused 14 "no instance 'nosuch'" lodge why nosuch
}

@test "why: its own disk, when it is full, is named; stats and ubc tell how full" {
	ct 101 --disk 64M
	run in_ct 101 sh -c 'dd if=/dev/zero of=/big bs=64k'
	[ "$status" -ne 0 ]
	like "$(why 101 disk)" '^Its disk is full: its files take [0-9.]+M of [0-9.]+M\.' "$(lodge why 101)"
	[ "$(lodge stats 101 --json | jq '.stats[0] | .disk_bytes / .disk_limit > 0.95')" = true ]
	at_least 101 diskspace held 40000
}
