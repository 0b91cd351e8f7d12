#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A hostile root swaps what paths lead to while lodged works: nothing outside is read or changed, nothing waits.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
	# A folder of the host's that looks like what lodge might read and write in a guest. Old access times
	# tell of any reading.
	export CANARY=$LODGE_ROOT/canary
	mkdir -p "$CANARY/.ssh" "$CANARY/systemd/system" "$CANARY/pts"
	local name
	for name in passwd group hosts hostname resolv.conf shadow .ssh/authorized_keys profile; do
		printf 'root:x:0:0:canary:/canary:/bin/canary\n' >"$CANARY/$name"
	done
	ln -s "$CANARY" "$CANARY/etc"
	find "$CANARY" -depth ! -type l -exec touch -d 2001-02-03 {} +
}
teardown_file() { host_down; }

setup() {
	canary >"$BATS_TEST_TMPDIR/canary"
}

teardown() {
	tell_more
	[ -z "${RACER:-}" ] || wait "$RACER" || [ $? -le 128 ]
	destroy_all
}

# Every name, owner, mode, time of access and change. Only its inodes' data: it does not read the files.
canary() {
	find "$CANARY" -printf '%P %i %U %m %s %A@ %T@ %C@\n' | sort
}

canary_is_well() {
	canary | diff "$BATS_TEST_TMPDIR/canary" - || fail "the canary was touched"
}

# Does reading show in the access time here at all?
reading_shows() {
	local before
	touch -a -d 2001-02-03 "$BATS_FILE_TMPDIR/read"
	before=$(stat -c %X "$BATS_FILE_TMPDIR/read")
	cat "$BATS_FILE_TMPDIR/read" >/dev/null
	[ "$(stat -c %X "$BATS_FILE_TMPDIR/read")" != "$before" ]
}

# race ID SECONDS: begin
race() {
	put_helper "$1" race
	lodge exec "$1" -- race "$2" "$CANARY" >"$BATS_TEST_TMPDIR/race" 2>&1 3>&- </dev/null &
	RACER=$!
	wait_for 10 grep -q racing "$BATS_TEST_TMPDIR/race"
}

# attempt COMMAND...: it may fail (its container is being torn apart) but not hang, and not kill the daemon
attempt() {
	status=0
	output=$(timeout 20 "$LG_LODGE" "$@" 2>&1 </dev/null) || status=$?
	[ "$status" -ne 124 ] || fail "it hangs: lodge $*"
	[ "$status" -ne 201 ] || fail "lodged is gone: lodge $*"
	[[ $output != *canary* ]] || fail "it shows the canary: lodge $*: $output"
	ATTEMPTS=$((${ATTEMPTS:-0} + 1))
	[ "$status" -ne 0 ] || WORKED=$((${WORKED:-0} + 1))
}

with_terminal() {
	status=0
	output=$(on_a_terminal "$LG_LODGE exec -t 101 -- tty" 2>&1) || status=$?
	[ "$status" -ne 124 ] || fail "a session with a terminal hangs"
	[[ $output == *dev/pts/* ]] || [ "$status" -ne 0 ] || fail "a terminal that is none: $output"
}

@test "the canary works: reading it would show" {
	echo x >"$BATS_FILE_TMPDIR/read"
	reading_shows || skip "this file system keeps no times of access"
	local before
	before=$(canary)
	cat "$CANARY/passwd" >/dev/null
	[ "$(canary)" != "$before" ]
	touch -a -d 2001-02-03 "$CANARY/passwd"
}

@test "entering while /etc, /proc, /dev, /run and the home are swapped and covered" {
	ct 101
	race 101 9
	local end=$((SECONDS + 8))
	while [ "$SECONDS" -lt "$end" ]; do
		attempt exec 101 -- true
		attempt exec --user root 101 -- true
		attempt exec --user nobody 101 -- /bin/busybox true
		attempt exec --cwd /etc 101 -- pwd
		attempt exec --cwd /root 101 -- pwd
		with_terminal
	done
	echo "# $ATTEMPTS attempts, ${WORKED:-0} of them worked" >&3
	[ "${WORKED:-0}" -gt 0 ]
	wait "$RACER"
	cat "$BATS_TEST_TMPDIR/race"
	# Every swap was really done.
	[ "$(grep -cE '^[a-z-]+ [1-9][0-9]+$' "$BATS_TEST_TMPDIR/race")" -ge 13 ]
	canary_is_well
}

@test "every setting that is changed while it runs, its console, and its stop" {
	ct 101 --ip auto
	race 101 8
	local end=$((SECONDS + 6)) n=0
	while [ "$SECONDS" -lt "$end" ]; do
		attempt set 101 --hostname "host$((n++))"
		attempt set 101 --nameserver 192.0.2.53
		attempt set 101 --ip-add 10.255.255.9
		attempt set 101 --ip-del 10.255.255.9
		attempt set 101 --memory 200M
		attempt show 101
		attempt list -a
		timeout 1 "$LG_LODGE" console 101 </dev/null >/dev/null 2>&1 || status=$?
	done
	attempt stop --fast 101
	is "$(field 101 .state)" stopped "state"
	canary_is_well
}

@test "a stop, a start, a mount and a destroy in the middle of it" {
	local i
	for i in 1 2 3; do
		ct 101
		race 101 20
		attempt stop 101 --timeout 1
		attempt start 101
		attempt stop --fast 101
		attempt mount 101
		attempt umount 101
		attempt destroy --force 101
		wait "$RACER" || true
		canary_is_well
	done
}

# layout WHAT COMMANDS: what a guest leaves behind for its next start; each of these must succeed
layout() {
	ct 101
	run in_ct 101 sh -ec "$2"
	is "$status" 0 "$1: it cannot be left so: $output"
	lodge stop --fast 101
	attempt start 101
	echo "# $1: start gives $status" >&3
	[ "$status" -eq 0 ] || [ "$(wc -l <<<"$output")" -eq 1 ] || fail "more than one line: $output"
	[ "$status" -ne 0 ] || attempt exec 101 -- /bin/busybox true
	canary_is_well
	lodge destroy --force 101 >/dev/null
}

@test "what is in the way of the files that a start places" {
	layout "/etc leads out" "mv /etc /e; ln -s $CANARY /etc"
	layout "/etc leads out by dots" "mv /etc /e; ln -s ../../../../../..$CANARY /etc"
	layout "/etc leads into /proc" "mv /etc /e; ln -s /proc/1/root$CANARY /etc"
	layout "its files lead out" "rm -f /etc/hosts /etc/hostname /etc/resolv.conf; ln -s $CANARY/hosts /etc/hosts; ln -s $CANARY/hostname /etc/hostname; ln -s $CANARY/resolv.conf /etc/resolv.conf"
	layout "its files are fifos" "cd /etc; rm -f hosts hostname resolv.conf; mkfifo hosts hostname resolv.conf passwd2; mv passwd2 passwd"
	layout "its files are folders" "cd /etc; rm -f hosts hostname; mkdir -p hosts/x hostname/x"
	layout "the new file's name is taken" "cd /etc; ln -s $CANARY/hosts .lodge.new; rm -f resolv.conf; mkdir -p resolv.conf/x"
}

@test "what is in the way of the folders that a start mounts on" {
	layout "/run leads out" "umount -l /run; rm -rf /run; ln -s $CANARY /run"
	layout "/proc leads out" "umount -l /proc; rmdir /proc; ln -s $CANARY /proc"
	layout "/dev leads out" "umount -l /dev; rm -rf /dev; ln -s $CANARY /dev"
	layout "/sys is a file" "umount -l /sys; rmdir /sys; touch /sys"
	layout "init leads out" "rm -f /sbin/init; ln -s $CANARY/profile /sbin/init"
	layout "init is a fifo" "rm -f /sbin/init; mkfifo /sbin/init; chmod 755 /sbin/init"
}

@test "keys given at create go to a folder that no guest has had" {
	mkdir -p "$BATS_TEST_TMPDIR/t"
	printf 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFzZGZhc2RmYXNkZmFzZGZhc2RmYXNkZmFzZGZhc2Rm test\n' >"$BATS_TEST_TMPDIR/key.pub"
	lodge create 101 --template busybox --ssh-key "$BATS_TEST_TMPDIR/key.pub" >/dev/null
	lodge start 101 >/dev/null
	is "$(in_ct 101 stat -c %a:%u /root/.ssh/authorized_keys)" 600:0 "the file"
	canary_is_well
}

@test "its files are deleted without following what it left, while the host's stay" {
	ct 101
	in_ct 101 sh -c "mkdir -p /d/e/f; ln -s $CANARY /d/link; ln -s ../../../../../../..$CANARY /d/e/up; cd /d/e/f && for i in \$(seq 200); do mkdir x && cd x || exit; done; ln -s $CANARY here"
	lodge destroy --force 101
	wait_for 20 trash_is_empty
	canary_is_well
}
