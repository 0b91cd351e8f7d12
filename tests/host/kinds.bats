#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Every verb does the same with a container and with a microVM. kinds_vm.bats is this file under another name: of VMs.
#
# The tests of a file share one guest and boot it seldom: where nothing is emulated by hardware a VM takes seconds to boot.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	case $BATS_TEST_FILENAME in
	*kinds_vm.bats) export KIND=vm ;;
	*) export KIND=container ;;
	esac
	host_up
	need template busybox
	need tool script
	[ "$KIND" != vm ] || need tool qemu-system-x86_64
	[ "$KIND" != vm ] || need template debian-13-kernel
}
teardown_file() { host_down; }
teardown() { tell_more; }

# guest ID [OPTION]...: one of the kind, created
guest() {
	local -a kind=()
	[ "$KIND" != vm ] || kind=(--vm)
	lodge create "$1" --template busybox "${kind[@]}" --memory 128M --cpus 1 --disk 256M "${@:2}" 2>/dev/null
}

state_is() { [ "$(field 101 .state)" = "$1" ]; }

# attach ID: a console whose keys are written to descriptor 9 and whose screen is in $SCREEN.
attach() {
	SCREEN=$BATS_TEST_TMPDIR/screen
	mkfifo "$BATS_TEST_TMPDIR/keys"
	script -qfec "$LG_LODGE console $1" /dev/null <"$BATS_TEST_TMPDIR/keys" >"$SCREEN" 2>&1 3>&- &
	CONSOLE=$!
	exec 9>"$BATS_TEST_TMPDIR/keys"
	sleep 0.5
}

detach() {
	printf '\r\033.' >&9
	ended "$CONSOLE"
	exec 9>&-
}

on_screen() { grep -q "$1" "$SCREEN"; }

@test "create makes it and says so, list and show know its kind" {
	like "$(guest 101 --name web --ip auto)" '^created 101 \(web\) from busybox' "what create prints"
	is "$(field web .kind)" "$KIND" "kind"
	is "$(field web .state)" stopped "state"
	is "$(lodge list -a -H -o id,kind,state)" "101  $KIND  stopped" "list" ||
		like "$(lodge list -a -H -o id,kind,state)" "101 +$KIND +stopped" "list"
	is "$(vzlist -a -H -o ctid,status | tr -s ' ' | sed 's/^ //')" "101 stopped" "vzlist"
	refused 44 '101 exists already' guest_again
}

guest_again() {
	lodge create 101 --template busybox
}

@test "the console can be attached before the start, and shows the boot" {
	attach 101
	lodge start 101 2>/dev/null
	state_is running
	lodge exec 101 -- sh -c 'echo seen-on-the-console >/dev/console'
	wait_for 10 on_screen seen-on-the-console
	detach
	refused 32 'already running' lodge start 101
	like "$(lodge list -H -o id,state,kind)" "101 +running +$KIND" "list without -a"
}

@test "what is typed on the console reaches the guest, and its answer the screen" {
	attach 101
	printf '\r' >&9
	sleep 1
	printf 'echo typed-$((40 + 2))\r' >&9
	wait_for 10 on_screen typed-42
	detach
}

@test "exec: stdout and stderr come apart, stdin goes in and ends" {
	run --separate-stderr in_ct 101 sh -c 'echo out; echo err >&2'
	is "$status $output $stderr" "0 out err" "status and streams"
	is "$(printf 'a\nb\n' | lodge exec 101 -- wc -l | tr -d ' ')" 2 "lines"
	is "$(lodge exec 101 -- cat </dev/null)" "" "an empty stdin ends"
}

@test "exec: the command's exit status is ours, a signal's 128 and more" {
	local code
	for code in 0 1 42 255; do
		run in_ct 101 sh -c "exit $code"
		is "$status" "$code" "status"
	done
	run in_ct 101 sh -c 'kill -KILL $$'
	is "$status" 137 "SIGKILL"
}

@test "exec: 126 for what cannot be executed, 127 for what is not there" {
	in_ct 101 touch /root/plain
	run -126 --separate-stderr in_ct 101 /root/plain
	like "$stderr" '/root/plain' "it names the file"
	run -127 --separate-stderr in_ct 101 no-such-command
	like "$stderr" 'no-such-command' "it names the command"
}

@test "exec: much passes through unharmed, in both directions" {
	local want
	want=$(head -c 3000000 /dev/urandom | tee "$BATS_TEST_TMPDIR/much" | sha256sum)
	is "$(lodge exec 101 -- cat <"$BATS_TEST_TMPDIR/much" | sha256sum)" "$want" "3 MB there and back"
}

@test "exec: user, folder and environment are as they were asked for" {
	is "$(lodge exec -e 'A=b c' 101 -- sh -c 'echo "$A"')" "b c" "-e"
	is "$(lodge exec -w /etc 101 -- pwd)" /etc "-w"
	is "$(lodge exec -u 1234:567 101 -- sh -c 'echo $(id -u):$(id -g)')" 1234:567 "-u"
	like "$(lodge exec 101 -- env)" 'PATH=/' "what a login would set"
}

@test "exec: a signal to lodge exec reaches the command" {
	"$LG_LODGE" exec 101 -- sh -c 'trap "echo got; exit 3" TERM; echo ready; while :; do sleep 0.05; done' \
		>"$BATS_TEST_TMPDIR/out" 3>&- &
	local pid=$!
	wait_for 10 grep -q ready "$BATS_TEST_TMPDIR/out"
	kill -TERM "$pid"
	ended "$pid"
	is "$ENDED" 3 "status"
	like "$(cat "$BATS_TEST_TMPDIR/out")" got "output"
}

@test "exec: when lodge exec is killed, its command inside is hung up" {
	"$LG_LODGE" exec 101 -- sh -c 'echo $$ >/root/pid; exec sleep 4242' 3>&- </dev/null &
	local pid=$!
	wait_for 10 in_ct 101 test -s /root/pid
	kill -KILL "$pid"
	ended "$pid"
	sleeper_is_gone() { ! in_ct 101 pgrep -f 'sleep 4242' >/dev/null; }
	wait_for 10 sleeper_is_gone
}

@test "exec on a terminal: it has the size of ours, and one session does not hold up another" {
	like "$(on_a_terminal "stty rows 33 cols 101; $LG_LODGE exec -t 101 -- sh -c 'tty -s && stty size'")" '33 101' \
		"size inside"
	"$LG_LODGE" exec 101 -- sh -c 'yes | head -c 1000000' 3>&- | { sleep 3; cat >/dev/null; } &
	local pid=$!
	is "$(in_ct 101 echo beside)" beside "another session meanwhile"
	wait "$pid"
}

@test "enter gives a login shell on a terminal" {
	mkfifo "$BATS_TEST_TMPDIR/keys"
	on_a_terminal "$LG_LODGE enter 101" "$BATS_TEST_TMPDIR/keys" >"$BATS_TEST_TMPDIR/screen" 3>&- &
	local pid=$!
	sleep 1
	printf 'echo inside-$((6 * 7))\rexit 5\r' >"$BATS_TEST_TMPDIR/keys"
	ended "$pid"
	is "$ENDED" 5 "status"
	like "$(cat "$BATS_TEST_TMPDIR/screen")" 'inside-42' "what the shell said"
}

@test "its address answers, and the host's other side is reached" {
	ping -c 1 -W 5 "$(address_of 101)" >/dev/null
	in_ct 101 ping -c 1 -W 5 "$(ip -4 -o addr show "$LG_BRIDGE" | awk '{ print $4 }' | cut -d/ -f1)" >/dev/null
}

@test "set: memory is changed while it runs" {
	local before now
	before=$(available)
	like "$(lodge set 101 --memory 96M)" 'changed 101 \(web\): memory' "what it says"
	# A container's wall is its cgroup; a VM's balloon takes the memory from its guest.
	if [ "$KIND" = vm ]; then
		wait_for 20 less || fail "it has $now KiB left, and had $before"
	else
		is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((96 << 20)) "limit"
	fi
	lodge set 101 --memory 128M
	is "$(field 101 .settings.memory)" 128.0M "as it was"
	[ "$KIND" != vm ] || wait_for 20 as_much || fail "it has $now KiB left, and had $before"
}

available() {
	in_ct 101 awk '/MemAvailable/ { print $2 }' /proc/meminfo
}

less() {
	now=$(available)
	[ "$now" -lt $((before - 20000)) ]
}

as_much() {
	now=$(available)
	[ "$now" -gt $((before - 5000)) ]
}

@test "set: a CPU limit is changed while it runs" {
	lodge set 101 --cpus 0.5
	is "$(field 101 .settings.cpus)" 0.5 "show"
	if [ -n "$(controller_root cpu)" ] || [ -e "$(cgroup2_mount)/cpu.stat" ]; then
		cgroup_dir cpu 101
		[ "$CG_VERSION" = 2 ] && is "$(cat "$CG/cpu.max" | cut -d' ' -f1)" 50000 "quota" ||
			is "$(cat "$CG/cpu.cfs_quota_us")" 50000 "quota"
	fi
	lodge set 101 --cpus 1
}

@test "set: the host name is changed while it runs" {
	lodge set 101 --hostname other.example
	is "$(in_ct 101 hostname)" other.example "inside"
}

@test "set: an address comes and goes while it runs" {
	local first second
	first=$(address_of 101)
	lodge set 101 --ip-add auto
	second=$(field 101 '.addresses[1]' | cut -d/ -f1)
	ping -c 1 -W 5 "$second" >/dev/null
	lodge set 101 --ip-del "$second"
	! ping -c 1 -W 1 "$second" >/dev/null || fail "$second still answers"
	ping -c 1 -W 5 "$first" >/dev/null
}

@test "set: the disk grows while it runs" {
	local before
	# A container's needs CAP_SYS_RESOURCE while it is mounted.
	[ "$KIND" = vm ] || capsh --has-p=cap_sys_resource 2>/dev/null || skip "this host cannot"
	before=$(in_ct 101 df -k / | awk 'END { print $2 }')
	lodge set 101 --disk 512M
	grown() { [ "$(in_ct 101 df -k / | awk 'END { print $2 }')" -gt $((before + 150000)) ]; }
	wait_for 10 grown || fail "$(in_ct 101 df -k /)"
	refused 32 'only be made larger' lodge set 101 --disk 128M
}

@test "show, stats, why and events tell of it" {
	local stats
	[ "$(field 101 .usage.memory_bytes)" -gt 0 ]
	stats=$(lodge stats -i 0 --json 101 | jq -r '.stats[0] | "\(.ctid) \(.kind) \(.cpu_us > 0) \(.memory_bytes > 0)"')
	is "$stats" "101 $KIND true true" "stats"
	lodge why 101 >/dev/null
	timeout 20 "$LG_LODGE" events --json >"$BATS_TEST_TMPDIR/events" 3>&- &
	local pid=$!
	sleep 0.5
	lodge set 101 --description 'for an event'
	wait_for 5 grep -q '"changed"' "$BATS_TEST_TMPDIR/events"
	kill "$pid"
	wait "$pid" || test $? -gt 0
}

@test "rename works while it runs" {
	lodge rename web shop
	is "$(field shop .ctid)" 101 "new name"
	in_ct shop true
}

@test "a lodged that comes back finds it running" {
	local pid
	pid=$(init_pid 101)
	lodged_down KILL >/dev/null
	lodged_up
	state_is running
	is "$(init_pid 101)" "$pid" "the same process"
	is "$(in_ct 101 echo hello)" hello "exec"
	is "$(field 101 .kind)" "$KIND" "kind"
}

@test "a reboot from inside starts it again, restart does so from outside" {
	local pid
	in_ct 101 sh -c 'echo kept >/root/kept; sync'
	pid=$(init_pid 101)
	in_ct 101 sh -c 'reboot' || :
	is_another() { state_is running && [ "$(init_pid 101)" != "$pid" ] && in_ct 101 true 2>/dev/null; }
	wait_for 60 is_another
	is "$(in_ct 101 cat /root/kept)" kept "its files"
	pid=$(init_pid 101)
	lodge restart 101 2>/dev/null
	[ "$(init_pid 101)" != "$pid" ]
	is "$(in_ct 101 cat /root/kept)" kept "its files"
}

@test "poweroff from inside stops it" {
	in_ct 101 sh -c 'poweroff' || :
	wait_for 30 state_is stopped
	like "$(field 101 .last_exit)" 'powered off' "why it ended"
	refused 31 'is not running' lodge exec 101 true
	lodge why 101 | grep -q 'does not run'
}

@test "mount shows its files, and what is written there it finds" {
	local at
	at=$(lodge mount 101 | tail -n 1)
	at=$(field 101 .root)
	is "$(cat "$at/root/kept")" kept "a file of its own"
	test -e "$at/bin/busybox" -o -e "$at/bin/sh"
	echo outside >"$at/root/from-outside"
	refused 41 'is mounted' lodge destroy 101
	lodge umount 101
	lodge start 101 2>/dev/null
	is "$(in_ct 101 cat /root/from-outside)" outside "the file"
	refused 32 'is running' lodge mount 101
}

@test "stop shuts it down in good order, and what was written is there" {
	in_ct 101 sh -c 'echo late >/root/late'
	is "$(lodge stop 101)" "stopped 101" "what it says"
	state_is stopped
	lodge mount 101 >/dev/null
	is "$(cat "$(field 101 .root)/root/late")" late "the last write"
	lodge umount 101
	is "$(lodge stop 101)" "101 was not running" "again"
}

@test "destroy --force ends it while it runs, and nothing is left" {
	lodge start 101 2>/dev/null
	refused 32 'is running' lodge destroy 101
	lodge destroy --force 101
	refused 14 'no|101' lodge show 101
	wait_for 10 no_files_left || fail "$(cat "$LG_STATE/files")"
}
