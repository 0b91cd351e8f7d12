#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Containers move from one host to another and back, over ssh.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib
load survive
load hosts

setup_file() {
	need criu
	hosts_up "CRIU=\"$LG_CRIU\""
	need template busybox
	survive_program
}
teardown_file() {
	clients_kill
	hosts_down
}
teardown() {
	hosts_tell_more
	clients_kill
	hosts_empty
}

COUNT='n=0; while sleep 0.02; do n=$((n + 1)); echo $n >/count; done >/dev/null 2>&1 </dev/null &'

# counts ID: it has a process that counts, and does
counts() {
	local before
	before=$(count_of "$1")
	sleep 0.3
	[ "$(count_of "$1")" -gt "$before" ] || fail "it does not count any more: $before"
}

# moves ID [OPTION]...: it does, and is used there from here on
moves() {
	run move "$@"
	is "$status" 0 "move $*: $output"
	use_host "$(other "$LG_HOST")"
}

# fails PATTERN COMMAND...: after its progress, with one line that says why
fails() {
	local pattern=$1
	shift
	run -3 --separate-stderr "$@"
	is "$(grep -c '^lodge: ' <<<"$stderr")" 1 "lines of error: $stderr"
	like "${stderr_lines[-1]}" "$pattern" "what it says"
}

# own_template NAME [NAME-OF-DIGEST]: a copy of busybox by that name, on the host in use
own_template() {
	cp -a "$LG_VAR/templates/busybox" "$LG_VAR/templates/$1"
	sed -i "s/^NAME=.*/NAME=\"$1\"/" "$LG_VAR/templates/$1/manifest"
	[ -z "${2:-}" ] || sed -i '/^DIGEST=/ { s/[0-7]/8/; t; s/[89]/1/ }' "$LG_VAR/templates/$1/manifest"
}

digest_of() {
	sed -n 's/^DIGEST=//p' "$LG_VAR/templates/$1/manifest"
}

var() {
	echo "$LG_VAR"
}

share_templates_again() {
	wait_for 10 trash_is_empty
	lodged_down >/dev/null
	unshare_templates
	share_templates
	lodged_up
}

remove_template() {
	[ ! -e "$LG_VAR/templates/$1" ] || lodge template remove "$1" >/dev/null
}

# ---- whether it can ----------------------------------------------------------------------------

@test "dry run: nothing is in the way, and nothing is done" {
	ct 101
	run move 101 --live --dry-run
	is "$status" 0 "status: $output"
	like "$output" '101 can move to hostB: nothing is in the way' "what it says"
	is "$(state_on A 101)" running "state here"
	is "$(state_on B 101)" none "state there"
	is "$(on B moves_left)" "" "files there"
}

@test "dry run: the number, the name and another template of that name are in the way, all named" {
	own_template odd
	on B own_template odd other
	lodge create 101 --template odd --name web
	on B lodge create 101 --template busybox
	on B lodge create 102 --template busybox --name web
	run move 101 --dry-run
	is "$status" 16 "status: $output"
	like "$output" 'the target has a container 101: give it another number there:' "the number"
	like "$output" "the target's container 102 is called web, too" "the name"
	like "$output" 'the target has a template odd with other files' "the template"
	like "$output" '101 cannot move to hostB: see above' "its last line"
	run move 101
	is "$status" 16 "without dry run: $output"
	is "$(state_on A 101)" stopped "it is here still"
	lodge destroy 101
	on B destroy_all
	remove_template odd
	on B remove_template odd
}

@test "dry run: no CRIU there is in the way of --live, and only of that" {
	use_host B
	cp "$LG_ETC/lodge.conf" "$LG_STATE/lodge.conf"
	sed -i '/^CRIU=/d' "$LG_ETC/lodge.conf"
	echo 'CRIU=""' >>"$LG_ETC/lodge.conf"
	lodged_down >/dev/null
	lodged_up
	use_host A
	ct 101
	run move 101 --live --dry-run
	local live=$status text=$output
	run move 101 --dry-run
	cp "$BATS_FILE_TMPDIR/B/lodge.conf" "$(<"$BATS_FILE_TMPDIR/B/root")/etc/lodge/lodge.conf"
	on B lodged_down >/dev/null
	on B lodged_up
	is "$live" 16 "with --live: $text"
	like "$text" 'this host has no CRIU that' "what it says"
	is "$status" 0 "without: $output"
}

@test "a host that does not answer, and one without lodge: one line, and it runs on" {
	ct 101
	fails 'migrate 101: no connection \(.*refused\)' lodge migrate 101 nobody@127.0.0.1 --ssh "ssh -F $BATS_FILE_TMPDIR/ssh_config -p 1" --live
	fails 'migrate 101: no connection \(.*no-such-program.*\)' lodge migrate 101 hostB \
		--ssh "ssh -F $BATS_FILE_TMPDIR/ssh_config" --remote no-such-program --live
	is "$(in_ct 101 echo fine)" fine "it"
}

# ---- stopped, shut down, suspended ---------------------------------------------------------------

@test "a stopped one: its name, settings and files, owners and all" {
	ct 101 --name web --memory 64M --description 'a web server'
	in_ct 101 sh -c 'echo hello >/root/file; chmod 0640 /root/file; chown 33:44 /root/file; ln -s file /root/link
		rm -rf /usr/share; head -c 3000000 /dev/urandom >/big; md5sum /big >/sum; mkfifo /fifo'
	lodge stop 101
	moves 101
	like "$output" 'moved 101 to hostB' "what it says"
	is "$(state_on B 101)" stopped "state there"
	is "$(state_on A 101)" none "state here"
	is "$(field 101 .name)" web "its name"
	is "$(field 101 .description)" 'a web server' "its description"
	lodge start 101
	is "$(in_ct 101 stat -c '%a %u:%g' /root/file)" '640 33:44' "mode and owner"
	is "$(in_ct 101 cat /root/link)" hello "content"
	in_ct 101 sh -c 'md5sum -c /sum && [ -p /fifo ] && [ ! -e /usr/share ]'
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((64 << 20)) "its limit"
}

@test "a running one without --live: shut down, and started there" {
	ct 101
	in_ct 101 sh -c "echo kept >/file; $COUNT"
	moves 101
	is_only_on B 101
	is "$(in_ct 101 cat /file)" kept "its file"
	is "$(in_ct 101 sh -c 'ps | grep -c "[s]leep 0.02"' || test $? -eq 1)" 0 "processes of before"
}

@test "a suspended one: it stays so, and is resumed there" {
	ct 101
	in_ct 101 sh -c "$COUNT"
	lodge suspend 101
	run move 101 --dry-run
	is "$status" 0 "dry run: $output"
	is "$(state_on A 101)" suspended "state after a dry run"
	fails 'migrate 101: no connection' lodge migrate 101 hostB --ssh "ssh -F $BATS_FILE_TMPDIR/ssh_config" --remote false
	is "$(state_on A 101)" suspended "state after a move that failed"
	moves 101
	is "$(state_on B 101)" suspended "state there"
	is "$(state_on A 101)" none "state here"
	lodge resume 101
	counts 101
}

@test "--new-id and --keep-source" {
	ct 101
	in_ct 101 sh -c "$COUNT"
	run move 101 --live --new-id 205 --keep-source
	is "$status" 0 "move: $output"
	is "$(state_on B 205)" running "state there"
	is "$(state_on A 101)" stopped "state here"
	is "$(moves_left)" "" "what the move wrote down here"
	on B counts 205
	is "$(on B moves_left)" "" "and there"
	lodge start 101
	is "$(in_ct 101 echo fine)" fine "the one here"
}

# ---- live ----------------------------------------------------------------------------------------

@test "live, there and back: nothing inside and no client outside notices" {
	ct_out 101 --memory 512M
	put_survive 101
	survive_start 101
	local item kind
	client_out tcp4 "$SURVIVE" client tcp "$CT_ADDRESS" 7001 300
	client_out tcp6 "$SURVIVE" client tcp "$CT_ADDRESS6" 7001 300
	client_out ping "$SURVIVE" client ping "$CT_ADDRESS" 7001 300
	client_out udp4 "$SURVIVE" client udp "$CT_ADDRESS" 7001 300
	client_out udp6 "$SURVIVE" client udp "$CT_ADDRESS6" 7001 300
	sleep 0.5
	moves 101 --live
	is_only_on B 101
	echo "# ${lines[*]: -11:1}" >&3
	sleep 0.5
	moves 101 --live
	is_only_on A 101
	echo "# ${lines[*]: -11:1}" >&3
	sleep 0.5
	for kind in tcp4 tcp6 ping udp4 udp6; do
		client_was_fine $kind
	done
	echo "# the longest wait of the client was $(client_figure ping gap_ms) ms" >&3
	for item in $("$SURVIVE" --names); do
		survived 101 "$item"
	done
}

@test "live, with a file system of its own and limits: they hold there" {
	ct 101 --disk 64M --memory 96M --tasks 40
	in_ct 101 sh -c "head -c 5000000 /dev/urandom >/big; md5sum /big >/sum; $COUNT"
	moves 101 --live
	is_only_on B 101
	counts 101
	in_ct 101 md5sum -c /sum
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((96 << 20)) "memory"
	is "$(cgroup_value pids 101 pids.max pids.max)" 40 "tasks"
	[ "$(in_ct 101 df -k / | awk 'NR > 1 { print $(NF - 4) }')" -lt 70000 ]
	run in_ct 101 sh -c 'head -c 90000000 /dev/zero >/more'
	[ "$status" -ne 0 ]
}

@test "live, --max-downtime: it is given up in time, and runs on" {
	ct 101
	in_ct 101 sh -c "$COUNT"
	run move 101 --live --max-downtime 1ms
	is "$status" 16 "status: $output"
	like "${lines[-1]}" 'has stood still for the 1 ms that it may: it runs on here' "what it says"
	is_only_on A 101
	counts 101
}

# stage NAME FIELD: of the last move's report, with --json; 0 where there is none
stage() {
	jq -r "[.stages[] | select(.name == \"$1\") | .$2 // 0] | add // 0" <<<"$output"
}

# moves_json ID [OPTION]...
moves_json() {
	run --separate-stderr move "$@" --live --quiet --json
	is "$status" 0 "move $*: $output $stderr"
	use_host "$(other "$LG_HOST")"
}

@test "live, memory is copied ahead: what is written meanwhile is right" {
	need_tracking
	ct 101 --memory 512M
	dirty_in 101 96 4000
	local host
	for host in B A; do
		moves_json 101
		is_only_on $host 101
		memory_is_right 101
		echo "# $(jq -c '[.stages[] | [.name, .us, .bytes]]' <<<"$output"), stood still for $(jq .downtime_us <<<"$output") us" >&3
		[ "$(stage 'round 1' bytes)" -ge $((96 << 20)) ] || fail "the first round is not all of it: $output"
		[ "$(stage 'round 2' us)" -gt 0 ] || fail "there is no second round: $output"
		[ "$(stage memory bytes)" -lt $((96 << 20)) ] || fail "all of it was copied again: $output"
		[[ $output != *'not copied ahead'* ]] || fail "it is a note that it was not: $output"
	done
	is "$(on A moves_left)$(on B moves_left)" "" "what is left"
}

@test "live, little memory is not copied ahead, unless it is wanted" {
	need_tracking
	ct 101
	in_ct 101 sh -c "$COUNT"
	moves_json 101
	is "$(stage 'round 1' us)" 0 "a round"
	moves_json 101 --rounds 1
	[ "$(stage 'round 1' us)" -gt 0 ] || fail "there is no round: $output"
	is "$(stage 'round 2' us)" 0 "a second round"
	moves_json 101 --rounds 0
	is "$(stage 'round 1' us)" 0 "a round that is not wanted"
	counts 101
}

@test "live, a process that moves its memory about: nothing that was copied ahead is used" {
	need_tracking
	ct 101 --memory 512M
	dirty_in 101 32 1000 moves
	moves_json 101 --rounds 3
	like "$(<"$BATS_FILE_TMPDIR/A/lodged.log")" 'its processes move memory about' "the log"
	like "$output" 'its memory is not copied ahead, but while it stands still' "what it says"
	[ "$(stage memory bytes)" -ge $((32 << 20)) ] || fail "not all of it was copied at the end: $output"
	memory_is_right 101
}

@test "live, memory that cannot be copied ahead: it says so, and moves in one piece" {
	! tells_what_is_written || cannot_run "this kernel tells which memory was written" excused
	ct 101
	in_ct 101 sh -c "$COUNT"
	moves 101 --live --rounds 2
	like "$(tr -s ' \n' ' ' <<<"$output")" \
		'note: its memory is not copied ahead, but while it stands still: it does not mark what is written' "what it says"
	like "$(<"$BATS_FILE_TMPDIR/A/lodged.log")" '101: its memory is not copied ahead: it does not mark' "the log"
	[[ $output != *'round 1 '* ]] || fail "a round is in the report: $output"
	is_only_on B 101
	counts 101
	run -20 move 101 --live --rounds many
	like "$output" "'many' is no number from 0 to 16" "a bad number"
}

@test "live, with a template that is not there: it is sent, and is the same" {
	on B umount "$(on B var)/templates/busybox"
	on B rmdir "$(on B var)/templates/busybox"
	ct 101
	in_ct 101 sh -c "$COUNT"
	moves 101 --live
	like "$output" 'sending the template busybox' "what it says"
	is_only_on B 101
	counts 101
	is "$(digest_of busybox)" "$(on A digest_of busybox)" "its digest"
	lodge destroy --force 101
	lodge template remove busybox
	share_templates_again
}

@test "a session from outside ends with the reason, and what it left goes on there" {
	ct 101
	lodge exec 101 -- sh -c "(setsid sh -c '$COUNT'); echo begun; sleep 100" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	local pid=$!
	wait_for 5 grep -q begun "$BATS_TEST_TMPDIR/out"
	moves 101 --live
	ended "$pid"
	[ "$ENDED" -ne 0 ]
	is "$(wc -l <"$BATS_TEST_TMPDIR/err")" 1 "lines on stderr: $(<"$BATS_TEST_TMPDIR/err")"
	like "$(<"$BATS_TEST_TMPDIR/err")" 'the session ended because 101 is moving to hostB' "what it says"
	counts 101
}

@test "live, Debian 13: its systemd is as well as before, and its journal goes on" {
	use_host A
	need template debian-13
	lodge create 101 --template debian-13 --memory 512M --feature checkpointable
	lodge start --wait 101
	in_ct 101 logger before-the-move
	local boot
	boot=$(in_ct 101 cat /proc/sys/kernel/random/boot_id)
	moves 101 --live
	is_only_on B 101
	is "$(in_ct 101 systemctl is-system-running)" running "systemd"
	is "$(in_ct 101 systemctl --failed --no-legend)" "" "failed units"
	in_ct 101 logger after-the-move
	in_ct 101 journalctl --sync
	in_ct 101 sh -c 'journalctl -b | grep -q before-the-move && journalctl -b | grep -q after-the-move'
	in_ct 101 systemd-run --wait true
	moves 101 --live
	is_only_on A 101
	is "$(in_ct 101 systemctl is-system-running)" running "systemd, back again"
	is "$(in_ct 101 cat /proc/sys/kernel/random/boot_id)" "$boot" "boot"
}
