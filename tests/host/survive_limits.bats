#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What CRIU cannot keep and refuses: the container runs on as it was.
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

refused_with_reason() {
	with "$1"
	run lodge suspend 111
	[ "$status" -ne 0 ] || fail "it was suspended"
	like "${lines[-1]}" "^lodge: suspend 111: ..*" "the line that says why"
	is "$(field 111 .state)" running "state"
	survived 111 "$1"
}

@test "every item has a test here" {
	diff <("$SURVIVE" --names refused | sort) \
		<(sed -n "s/.*{ refused_with_reason \\(.*\\); }\$/\\1/p" "$BATS_TEST_FILENAME" | sort)
}

@test "refused: unix-backlog-data, one that has sent already" { refused_with_reason unix-backlog-data; }
@test "refused: posix-mq, a POSIX queue with messages" { refused_with_reason posix-mq; }
