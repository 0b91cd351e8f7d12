#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What CRIU cannot keep: what it refuses leaves the container running as it was, and what it would lose without a word is
# named before anything is touched.
# shellcheck disable=SC2154 # bats sets them

load lib
load survive

setup_file() {
	host_up "$(criu_line)"
	need template busybox
	survive_program
	export SURVIVE
}
teardown_file() { host_down; }
teardown() {
	tell_more
	destroy_all
}

# with ITEM: container 111 with this one alone
with() {
	ct 111
	put_survive 111
	survive_start 111 "$1"
}

refused_by_name() {
	with "$1"
	run lodge suspend 111
	[ "$status" -ne 0 ] || fail "it was suspended"
	is "${#lines[@]}" 1 "lines that say why: $output"
	like "$output" survive "the process that is in the way"
	is "$(field 111 .state)" running "state"
	survived 111 "$1"
}

named_before() {
	with "$1"
	run lodge checkpoint --check 111
	like "$output" survive "what would be lost"
	is "$(field 111 .state)" running "state"
	survived 111 "$1"
}

@test "every item has a test here" {
	local kind
	for kind in "refused refused_by_name" "lost named_before"; do
		diff <("$SURVIVE" --names "${kind% *}" | sort) \
			<(sed -n "s/.*{ ${kind#* } \\(.*\\); }\$/\\1/p" "$BATS_TEST_FILENAME" | sort)
	done
}

@test "refused, by name: tcp-backlog, a connection with data that waits for accept" { refused_by_name tcp-backlog; }
@test "refused, by name: unix-backlog-data, one that has sent already" { refused_by_name unix-backlog-data; }
@test "refused, by name: posix-mq, a POSIX queue with messages" { refused_by_name posix-mq; }
@test "named before it is lost: unix-dgram-empty, a queued message without a byte" { named_before unix-dgram-empty; }
@test "named before it is lost: timer-ticking, a timerfd that ticks every 5 ms" { named_before timer-ticking; }
@test "named before it is lost: eventfd-semaphore, EFD_SEMAPHORE" { named_before eventfd-semaphore; }
@test "named before it is lost: sysv-sem-undo, what is undone when a process ends" { named_before sysv-sem-undo; }
@test "named before it is lost: memory-wipeonfork, MADV_WIPEONFORK" { named_before memory-wipeonfork; }
@test "named before it is lost: affinity, the CPUs that it may use" { named_before affinity; }
@test "named before it is lost: timerslack, PR_SET_TIMERSLACK" { named_before timerslack; }
@test "named before it is lost: personality, personality" { named_before personality; }
