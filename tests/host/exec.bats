#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# exec and enter: streams, exit status, signals and terminals pass through as if the command ran here.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
	ct 101 --name guest
}
teardown_file() { host_down; }
teardown() { tell_more; }

@test "stdout and stderr come apart" {
	run --separate-stderr in_ct 101 sh -c 'echo out; echo err >&2'
	is "$status" 0 "status"
	is "$output" out "stdout"
	is "$stderr" err "stderr"
}

@test "stdin reaches the command and its end too" {
	is "$(printf 'a\nb\n' | lodge exec 101 -- wc -l | tr -d ' ')" 2 "lines"
	is "$(lodge exec 101 -- cat </dev/null)" "" "an empty stdin ends"
}

@test "the command's exit status is ours" {
	local code
	for code in 0 1 7 42 255; do
		run in_ct 101 sh -c "exit $code"
		is "$status" "$code" "status"
	done
}

@test "126 for what cannot be executed, 127 for what is not there" {
	in_ct 101 touch /root/plain
	run -126 --separate-stderr in_ct 101 /root/plain
	is "$status" 126 "not executable ($stderr)"
	like "$stderr" '/root/plain' "it names the file"
	run -127 --separate-stderr in_ct 101 no-such-command
	is "$status" 127 "not there ($stderr)"
	like "$stderr" 'no-such-command' "it names the command"
}

@test "a command killed by a signal gives 128 plus its number" {
	run in_ct 101 sh -c 'kill -KILL $$'
	is "$status" 137 "SIGKILL"
	run in_ct 101 sh -c 'kill -TERM $$'
	is "$status" 143 "SIGTERM"
}

@test "a signal sent to lodge exec reaches the command" {
	local signal
	# not INT: the background commands of a shell ignore it
	for signal in TERM HUP USR1; do
		rm -f "$BATS_TEST_TMPDIR/out"
		"$LG_LODGE" exec 101 -- sh -c "trap 'echo got $signal; exit 3' $signal; echo ready; while :; do sleep 0.05; done" \
			>"$BATS_TEST_TMPDIR/out" 3>&- &
		local pid=$!
		wait_for 5 grep -q ready "$BATS_TEST_TMPDIR/out"
		kill "-$signal" "$pid"
		ended "$pid"
		is "$ENDED" 3 "status after SIG$signal"
		like "$(cat "$BATS_TEST_TMPDIR/out")" "got $signal" "output"
	done
}

@test "when lodge exec is killed, its command inside is hung up" {
	"$LG_LODGE" exec 101 -- sh -c 'echo $$ >/root/pid; exec sleep 4242' 3>&- </dev/null &
	local pid=$!
	wait_for 5 in_ct 101 test -s /root/pid
	kill -KILL "$pid"
	ended "$pid"
	sleeper_is_gone() { ! in_ct 101 pgrep -f 'sleep 4242' >/dev/null; }
	wait_for 5 sleeper_is_gone
}

@test "the environment is clean, with PATH and what -e gives" {
	SECRET_OF_THE_HOST=1 run lodge exec -e 'GREETING=hello world' -e EMPTY= 101 -- env
	is "$status" 0 "status"
	like "$output" 'PATH=.*/bin' "PATH"
	like "$output" 'GREETING=hello world' "what -e gave"
	[[ $output != *SECRET_OF_THE_HOST* ]]
	[[ $output != *LODGE_ROOT* ]]
}

@test "-u runs as that user of the guest, with its home and groups" {
	in_ct 101 sh -c 'grep -q ^tester: /etc/passwd || echo tester:x:1234:1234::/tmp:/bin/sh >>/etc/passwd
		grep -q ^tester: /etc/group || echo tester:x:1234: >>/etc/group
		grep -q ^extra: /etc/group || echo extra:x:1300:tester >>/etc/group'
	is "$(lodge exec -u tester 101 -- id -u)" 1234 "uid"
	is "$(lodge exec -u tester 101 -- id -g)" 1234 "gid"
	is "$(lodge exec -u tester 101 -- id -G)" "1234 1300" "groups"
	# shellcheck disable=SC2016 # expanded inside
	is "$(lodge exec -u tester 101 -- sh -c 'echo $HOME')" /tmp "HOME"
	is "$(lodge exec -u 1234 101 -- id -u)" 1234 "by number"
	refused 127 'nobodyknown' lodge exec -u nobodyknown 101 -- true
}

@test "a command that runs as a user has no capabilities, root inside has only the guest's" {
	is "$(lodge exec -u 1234 101 -- awk '/^CapEff/ { print $2 }' /proc/self/status)" \
		0000000000000000 "CapEff of a user"
	is "$(in_ct 101 awk '/^CapBnd/ { print $2 }' /proc/self/status)" \
		"$(in_ct 101 awk '/^CapBnd/ { print $2 }' /proc/1/status)" "bounding set"
}

@test "-w sets the working directory; one that is not there is an error with its name" {
	is "$(lodge exec -w /etc 101 -- pwd)" /etc "pwd"
	refused 127 '/no/such/place' lodge exec -w /no/such/place 101 -- pwd
}

@test "ten megabytes go through both ways unchanged" {
	head -c 10485760 /dev/urandom >"$BATS_TEST_TMPDIR/in"
	lodge exec 101 -- cat <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out"
	cmp "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
}

@test "a reader that goes away ends the command" {
	run bash -c '"$LG_LODGE" exec 101 -- yes | head -n 1'
	is "$output" y "the first line"
	yes_is_gone() { ! in_ct 101 pgrep -x yes >/dev/null; }
	wait_for 5 yes_is_gone
}

@test "without -t there is no terminal, with -t there is one of the same size" {
	run in_ct 101 tty
	like "$output" 'not a tty' "without"
	need tool script
	run on_a_terminal "stty rows 33 cols 101; $LG_LODGE exec -t 101 -- sh -c 'tty; stty size'"
	like "$output" '/dev/(pts/[0-9]|console)' "with"
	like "$output" '33 101' "size"
}

@test "a terminal that changes its size changes the guest's" {
	need tool script
	cat >"$BATS_TEST_TMPDIR/go" <<-END
		stty rows 20 cols 60
		( sleep 1; stty rows 44 cols 144 </dev/tty ) &
		"$LG_LODGE" exec -t 101 -- sh -c 'stty size; sleep 2; stty size'
	END
	run on_a_terminal "bash $BATS_TEST_TMPDIR/go"
	like "$output" '20 60' "before"
	like "$output" '44 144' "after"
}

@test "Ctrl-C on the terminal interrupts the command inside and its status comes back" {
	need tool script
	mkfifo "$BATS_TEST_TMPDIR/keys"
	(sleep 1.5; printf '\003'; sleep 1) >"$BATS_TEST_TMPDIR/keys" 3>&- &
	run on_a_terminal "$LG_LODGE exec -t 101 -- sleep 30" "$BATS_TEST_TMPDIR/keys"
	is "$status" 130 "status"
}

@test "after exec -t the terminal is as it was" {
	need tool script
	run on_a_terminal "stty -a >$BATS_TEST_TMPDIR/a; $LG_LODGE exec -t 101 -- true; stty -a >$BATS_TEST_TMPDIR/b"
	is "$status" 0 "status: $output"
	cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
}

@test "enter gives a shell on the terminal" {
	need tool script
	mkfifo "$BATS_TEST_TMPDIR/keys"
	(sleep 1; printf 'hostname; exit 5\n'; sleep 1) >"$BATS_TEST_TMPDIR/keys" 3>&- &
	run on_a_terminal "$LG_LODGE enter guest" "$BATS_TEST_TMPDIR/keys"
	is "$status" 5 "status: $output"
	like "$output" 'exit 5' "the shell's echo"
}

@test "forty at once: each gets its own output and status" {
	local i bad=0
	local -a pids=()
	for i in {1..40}; do
		lodge exec 101 -- sh -c "echo $i; exit $i" >"$BATS_TEST_TMPDIR/$i" 3>&- &
		pids[i]=$!
	done
	for i in {1..40}; do
		ended "${pids[i]}"
		[ "$ENDED" = "$i" ] && [ "$(cat "$BATS_TEST_TMPDIR/$i")" = "$i" ] || bad=$((bad + 1))
	done
	is "$bad" 0 "wrong ones of 40"
}

@test "the command is in the container's namespaces and cgroup" {
	lodge exec 101 -- sleep 30 3>&- </dev/null &
	local ns pid init
	init=$(init_pid 101)
	find_sleeper() { pid=$(pgrep -f '^sleep 30$' --ns "$init" --nslist pid); [ -n "$pid" ]; }
	wait_for 5 find_sleeper
	for ns in user mnt pid net uts ipc cgroup; do
		is "$(readlink "/proc/$pid/ns/$ns")" "$(readlink "/proc/$init/ns/$ns")" "namespace $ns"
	done
	grep -q "/$LG_CGROUP/101\(/\|$\)" "/proc/$pid/cgroup"
	is "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")" 2 "seccomp mode"
	is "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" "$(field 101 .id_base)" "uid outside"
	kill "$pid"
	wait
}

@test "no descriptor of the host or of lodge is open in the command" {
	is "$(in_ct 101 ls /proc/self/fd | tr '\n' ' ')" "0 1 2 3 " "descriptors of ls: three and its own folder"
	run in_ct 101 sh -c 'ls -l /proc/1/fd'
	[[ $output != *"$LODGE_ROOT"* ]]
	[[ $output != *cgroup* ]]
}

@test "no zombie stays of many commands" {
	for _ in {1..20}; do
		in_ct 101 true
	done
	is "$(in_ct 101 sh -c 'cat /proc/[0-9]*/stat 2>/dev/null' | awk '$3 == "Z"' | wc -l)" 0 "zombies inside"
	is "$(pgrep -c -r Z -P "$(field 101 .shim_pid)" || test $? -eq 1)" 0 "of the shim"
}

@test "exec in a stopped container: one line, code 31" {
	lodge create 102 --template busybox
	refused 31 '102' lodge exec 102 -- true
	refused 31 '102' lodge enter 102
	lodge destroy 102
}

@test "exec without a command: code 21" {
	refused 21 'exec' lodge exec 101
	refused 21 'exec' lodge exec 101 --
}
