#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What CRIU cannot keep. It refuses it: the container runs on as it was. Or it loses it without a word: lodge tells it before.
# shellcheck disable=SC2154 # bats sets them

load lib
load survive

setup_file() {
	need criu
	host_up "CRIU=\"$LG_CRIU\""
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

refused_with_reason() {
	with "$1"
	run lodge suspend 111
	[ "$status" -ne 0 ] || fail "it was suspended"
	like "${lines[-1]}" "^lodge: suspend 111: ..*" "the line that says why"
	is "$(field 111 .state)" running "state"
	survived 111 "$1"
}

# told_and_lost ITEM KIND: where that is seen from outside
told_and_lost() {
	with "$1"
	is "$(lodge checkpoint --check 111 --json | jq -r '[.notes[] | select(.lost) | .kind] | join(" ")')" "$2" "what is told of $1"
	run -0 --separate-stderr lodge suspend 111
	[ -z "$2" ] || like "$stderr" '1 thing will not come back: process [0-9]+ \(survive\)' "the warning"
	lodge resume 111
	run in_ct 111 survive --verify "$1"
	like "$output" '^FAIL' "$1: if it is kept, it is not lost any more"
}

# Whether timer-ticking loses its phase is chance.
@test "every item has a test here" {
	diff <("$SURVIVE" --names lost | grep -vx timer-ticking | sort) \
		<(sed -n "s/.*{ told_and_lost \\([^ ]*\\) .*; }\$/\\1/p" "$BATS_TEST_FILENAME" | sort)
	diff <("$SURVIVE" --names refused | sort) \
		<(sed -n "s/.*{ refused_with_reason \\(.*\\); }\$/\\1/p" "$BATS_TEST_FILENAME" | sort)
}

@test "refused: unix-backlog-data, one that has sent already" { refused_with_reason unix-backlog-data; }
@test "refused: posix-mq, a POSIX queue with messages" { refused_with_reason posix-mq; }
@test "lost and told: tcp-backlog, a connection that waits for accept" { told_and_lost tcp-backlog accept-queue; }
@test "lost and told: eventfd-semaphore, EFD_SEMAPHORE" { told_and_lost eventfd-semaphore eventfd-semaphore; }
@test "lost and told: personality" { told_and_lost personality personality; }
@test "lost: sysv-sem-undo, what SEM_UNDO would undo" { told_and_lost sysv-sem-undo ""; }
@test "lost: unix-dgram-empty, a datagram without a byte" { told_and_lost unix-dgram-empty ""; }
