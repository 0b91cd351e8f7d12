#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Whoever is killed while a container is suspended, it runs on; while it is resumed, the next resume works.
#
# LG_CRIU_HOOK=WHO@POINT of lodged: at the point at which CRIU calls back, WHO is killed (criu, helper: lodge-criu, parent: lodged
# at a suspend, the shim at a resume) or hangs. LG_SUSPEND_S: how long a suspend and a resume may take.
# shellcheck disable=SC2154 # bats sets them

load ../host/lib

PORT=7007

setup_file() {
	need criu
	host_up "CRIU=\"$LG_CRIU\""
	need template busybox
	helper talk
	export HELPER
	lodge create 101 --template busybox --ip auto
	lodge start 101
	put_helper 101 talk
	lively_begin
}
teardown_file() {
	[ ! -e "$LG_STATE/load.pid" ] || kill "$(<"$LG_STATE/load.pid")" || is_no_more "$(<"$LG_STATE/load.pid")"
	host_down
}
teardown() {
	tell_more
	[ "${BATS_TEST_COMPLETED:-0}" = 1 ] || more_of_criu
}

# What CRIU said last, if anything.
more_of_criu() {
	[ ! -e "$LG_VAR/log/criu-101.log" ] || grep -n Error "$LG_VAR/log/criu-101.log" | head -5
}

# Processes with several threads that count, and a connection from outside.
lively_begin() {
	local n
	in_ct 101 sh -c 'for n in 1 2 3; do talk count /tmp/count.$n 4 </dev/null >/dev/null 2>&1 & done
		talk serve '$PORT' </dev/null >/dev/null 2>&1 &'
	wait_for 5 in_ct 101 test -s /tmp/count.3
	"$HELPER" load "$(address_of 101)" $PORT "$LG_STATE/load" 2>"$LG_STATE/load.err" 3>&- &
	echo $! >"$LG_STATE/load.pid"
	disown
	in_ct 101 sh -c 'ls /proc/1/fd | wc -l' >"$LG_STATE/fds"
}

progress_of() {
	in_ct 101 cat /tmp/count.1 /tmp/count.2 /tmp/count.3
	cat "$LG_STATE/load"
}

# Every one of them is further than in $1.
all_moved() {
	local now
	now=$(progress_of) || return 1
	[ "$(paste <(echo "$1") <(echo "$now") | awk '$2 + 0 > $1 + 0' | wc -l)" = 4 ]
}

lively() {
	local before
	is "$(field 101 .state)" running "state $1"
	before=$(progress_of) || fail "it does not answer $1"
	wait_for 100 all_moved "$before" || fail "something stands still $1:" "$before" "$(progress_of)" \
		"$(<"$LG_STATE/load.err")" "$(in_ct 101 ps)"
	is "$(in_ct 101 pidof talk | wc -w)" 5 "its processes $1"
}

# What a dump leaves in a container when nobody cleans up behind it.
unharmed() {
	local pid
	pid=$(init_pid 101)
	is "$(nsenter -t "$pid" -n nft list tables)" "" "tables $1"
	is "$(in_ct 101 find / -xdev -name 'link_remap.*')" "" "links $1"
	is "$(in_ct 101 cat /proc/sys/net/ipv4/ping_group_range | xargs)" "0 65535" "setting $1"
	is "$(in_ct 101 sh -c 'cat /proc/[0-9]*/status' | awk '/^TracerPid/ && $2' | wc -l)" 0 "traced processes $1"
	is "$(in_ct 101 sh -c 'grep CRIUMFD /proc/[0-9]*/maps; ls -l /proc/[0-9]*/fd 2>/dev/null | grep -E "CRIUMFD|criu.log"')" "" \
		"pieces of CRIU in its processes $1"
	is "$(in_ct 101 sh -c 'ls /proc/1/fd | wc -l')" "$(<"$LG_STATE/fds")" "open files of init $1"
	[ ! -e "$LG_VAR/checkpoint/101" ] || fail "half a checkpoint stays $1"
	is "$(find /sys/fs/cgroup -path "*/$LG_CGROUP/.shims/101/cgroup.procs" -exec cat {} +)" "" "helpers $1"
}

suspend_and_resume() {
	lodge suspend 101 || fail "the next suspend $1"
	is "$(field 101 .state)" suspended "after the next suspend"
	lodge resume 101 || fail "the next resume $1"
	lively "after the next resume, $1"
}

restart_lodged() {
	lodged_ended || lodged_down >/dev/null
	lodged_up "$@"
}

# die_at WHO POINT: at a suspend
die_at() {
	restart_lodged LG_CRIU_HOOK="$1@$2"
	run --separate-stderr lodge suspend 101
	[ "$status" -ne 0 ] || fail "$1 was not killed at $2: it is $(field 101 .state)"
	[ "$1" = parent ] || like "${stderr_lines[-1]}" 'lodge: suspend 101: .*(killed|called off)' "what it says for $1 at $2"
	[ "$1" != parent ] || wait_for 10 lodged_ended || fail "lodged lives at $2"
	restart_lodged
	lively "after $1 was killed at $2"
	unharmed "after $1 was killed at $2"
}

@test "a suspend and a resume, with nobody killed" {
	lively "before anything"
	suspend_and_resume "with nobody killed"
	unharmed "with nobody killed"
}

@test "CRIU killed at a dump: the container runs on" {
	local point
	for point in pre-dump network-lock post-dump; do
		die_at criu $point
		suspend_and_resume "behind $point"
	done
}

@test "what CRIU did is written down behind a failure, and not always" {
	local log="$LG_VAR/log/criu-101.log"
	rm -f "$log"
	die_at criu post-dump
	is "$(grep -vcE '(Warn|Error) +\(' "$log")" 0 "lines that are no complaint at the first try"
	die_at criu post-dump
	[ "$(wc -l <"$log")" -gt 500 ] || fail "at the next try it says in $(wc -l <"$log") lines what it does"
	touch -d '2 hours ago' "$log"
	die_at criu post-dump
	is "$(grep -vcE '(Warn|Error) +\(' "$log")" 0 "lines that are no complaint two hours later"
}

@test "lodge-criu killed at a dump: the container runs on" {
	local point
	for point in pre-dump network-lock post-dump; do
		die_at helper $point
		suspend_and_resume "behind $point"
	done
}

@test "lodged killed at a dump: the container runs on, and the next lodged finds it so" {
	local point
	for point in pre-dump network-lock post-dump; do
		die_at parent $point
		suspend_and_resume "behind $point"
	done
}

# Its processes are there yet, and nobody is who would end them in order: their ends must not reset a connection.
@test "killed when the images count: it is suspended, and its connections go on at the resume" {
	local who
	for who in criu helper parent; do
		restart_lodged LG_CRIU_HOOK=$who@go
		run lodge suspend 101
		[ "$who" = parent ] || [ "$status" -eq 0 ] || fail "$who killed: $output"
		[ "$who" != parent ] || wait_for 10 lodged_ended || fail "lodged lives"
		restart_lodged
		is "$(field 101 .state)" suspended "state when $who was killed"
		lodge resume 101 || fail "the resume after $who was killed"
		lively "after $who was killed"
		unharmed "after $who was killed"
	done
}

# The process that lodge-criu started, and of all that are there the one that does the work.
criu_of() {
	local dir pid program=""
	dir=$(find /sys/fs/cgroup -type d -path "*/$LG_CGROUP/.shims/$1" -print -quit)
	[ -n "$dir" ] || return 1
	for pid in $(<"$dir/cgroup.procs"); do
		program=$(readlink "/proc/$pid/exe") || continue
		[ "${program##*/}" != lodge-criu ] || lodge_criu=$pid
	done
	[ -n "${lodge_criu:-}" ] && CRIU_PID=$(awk '{ print $1 }' "/proc/$lodge_criu/task/$lodge_criu/children") && [ -n "$CRIU_PID" ]
}

# kill_after MS [WHO]: CRIU, or lodge-criu by SIGTERM, so long after it began; whether it was in time does not matter
kill_after() {
	local suspend lodge_criu="" CRIU_PID=""
	lodge suspend 101 >/dev/null 2>&1 &
	suspend=$!
	until criu_of 101 || is_no_more $suspend; do :; done
	sleep "$(printf '0.%03d' "$1")"
	if [ "${2:-criu}" = criu ]; then
		[ -z "$CRIU_PID" ] || kill -9 "$CRIU_PID" 2>/dev/null || is_no_more "$CRIU_PID"
	else
		[ -z "$lodge_criu" ] || kill -TERM "$lodge_criu" 2>/dev/null || is_no_more "$lodge_criu"
	fi
	wait $suspend || killed=$((killed + 1))
	[ "$(field 101 .state)" = running ] || lodge resume 101 >/dev/null
}

@test "CRIU killed at any moment of a dump: the container runs on" {
	local round killed=0
	for ((round = 0; round < ${LG_KILLS:-20}; round++)); do
		kill_after $((RANDOM % 150))
		lively "in round $round"
		unharmed "in round $round"
	done
	echo "# $killed of $round suspends were cut short" >&3
	[ "$killed" -gt 0 ]
	suspend_and_resume "after all of them"
}

@test "a dump that is called off at any moment: the container runs on" {
	local round killed=0
	for ((round = 0; round < ${LG_KILLS:-20}; round++)); do
		kill_after $((RANDOM % 150)) lodge-criu
		lively "in round $round"
		unharmed "in round $round"
	done
	echo "# $killed of $round suspends were called off" >&3
	[ "$killed" -gt 0 ]
	suspend_and_resume "after all of them"
}

@test "a CRIU that hangs is called off, and the container runs on" {
	restart_lodged LG_CRIU_HOOK=hang@network-lock LG_SUSPEND_S=2
	run --separate-stderr lodge suspend 101
	[ "$status" -ne 0 ]
	like "${stderr_lines[-1]}" 'suspend 101: it took more than 2 s' "what it says"
	restart_lodged
	lively "after it hung"
	unharmed "after it hung"
	suspend_and_resume "after it hung"
}

@test "no room for the images: the container runs on, and it is said why" {
	local small="$LG_VAR/checkpoint"
	restart_lodged
	rmdir "$small" 2>/dev/null || [ ! -e "$small/101" ]
	mkdir -p -m 0700 "$small"
	mount -t tmpfs -o size=400k,mode=0700 tmpfs "$small"
	run --separate-stderr lodge suspend 101
	umount "$small"
	[ "$status" -ne 0 ]
	like "${stderr_lines[-1]}" 'suspend 101: CRIU: .*no room' "what it says"
	lively "after the disk was full"
	unharmed "after the disk was full"
	suspend_and_resume "after the disk was full"
}

# What is on the host while it is suspended; a resume that failed must come back to this.
suspended_state() {
	host_state | sed -E 's/(process lodge[^ ]*) .*/\1/; s/spare-[0-9]+/spare/' | sort
}

as_when_suspended() {
	diff <(echo "$1") <(suspended_state) >"$LG_STATE/difference"
}

# fail_resume HOOK: a resume that comes to no good end leaves nothing, and the next one works
fail_resume() {
	local before
	restart_lodged
	[ "$(field 101 .state)" = suspended ] || lodge suspend 101 >/dev/null
	restart_lodged LG_CRIU_HOOK="$1" LG_SUSPEND_S="${2:-60}"
	sleep 0.5
	before=$(suspended_state)
	run --separate-stderr lodge resume 101
	[ "$status" -ne 0 ] || fail "the resume went through: $1"
	is "${#stderr_lines[@]}" 1 "lines on stderr, $1: $stderr"
	is "$(field 101 .state)" suspended "state after $1"
	wait_for 10 as_when_suspended "$before" || fail "$1 left:" "$(<"$LG_STATE/difference")"
	restart_lodged
	lodge resume 101 || fail "the resume after $1"
	lively "after $1"
}

@test "CRIU, lodge-criu or the shim killed at a resume: nothing is left, and the next one works" {
	local who point
	for who in criu helper parent; do
		for point in pre-restore setup-namespaces post-setup-namespaces post-restore; do
			fail_resume $who@$point
		done
	done
}

@test "a CRIU that hangs at a resume is ended, and the next one works" {
	fail_resume hang@post-setup-namespaces 3
}
