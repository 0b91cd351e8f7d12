#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Suspend and resume are the same for a container (101) and a microVM (102). suspend.bats has what only containers have.
# shellcheck disable=SC2154 # bats sets them

load lib

PORT=7007

setup_file() {
	need criu
	host_up "CRIU=\"$LG_CRIU\""
	need template busybox
	need tool qemu-system-x86_64
	need template debian-13-kernel
	helper talk
	export HELPER
	lodge create 101 --name box --template busybox --ip auto --memory 128M --cpus 1 --disk 256M >/dev/null
	lodge create 102 --name vm --vm --template busybox --ip auto --memory 128M --cpus 1 --disk 256M >/dev/null 2>&1
	lodge start 101
	lodge start 102 2>/dev/null
	local id
	for id in 101 102; do
		put_helper "$id" talk
		in_ct "$id" sh -c 'talk count /tmp/count 4 </dev/null >/dev/null 2>&1 & talk serve '$PORT' </dev/null >/dev/null 2>&1 &'
	done
}
teardown_file() { host_down; }
teardown() { tell_more; }

state_is() { [ "$(field "$1" .state)" = "$2" ]; }

count_of() { in_ct "$1" cat /tmp/count; }

has_counted() { [ "$(count_of "$1")" -gt "$2" ]; }

goes_on() {
	state_is "$1" running || fail "$1 is $(field "$1" .state)"
	wait_for 30 has_counted "$1" "$2" || fail "$1: it stands still at $(count_of "$1"), and was at $2"
}

# twice COMMAND...: for the container and the VM
twice() {
	"$@" 101
	"$@" 102
}

# As if the host had been rebooted: nothing runs, and RUN is of another boot.
reboots() {
	is "$(lodged_down)" 0 "lodged's status"
	echo another-boot >"$LG_RUN/boot_id"
	lodged_up
}

there_and_back() {
	local count pid
	wait_for 10 in_ct "$1" test -s /tmp/count
	count=$(count_of "$1")
	pid=$(in_ct "$1" pidof talk)
	run lodge suspend "$1"
	is "$status" 0 "suspend: $output"
	like "${lines[-1]}" "^suspended $1" "what it says"
	[ -s "$LG_VAR/checkpoint/$1/state.json" ]
	lodge resume "$1" 2>/dev/null
	is "$(in_ct "$1" pidof talk)" "$pid" "its processes"
	goes_on "$1" "$count"
	is "$(ls -A "$LG_VAR/checkpoint")" "" "images of one that runs"
	count=$(count_of "$1")
	lodge suspend "$1"
	lodge resume "$1" 2>/dev/null
	goes_on "$1" "$count"
}

@test "it goes on where it was, more than once" { twice there_and_back; }

asleep() {
	lodge suspend "$1"
	is "$(lodge status "$1")" suspended "lodge status"
	is "$(vzctl status "$1")" "CTID $1 exist unmounted down suspended" "vzctl status"
	like "$(lodge list -a -H -o id,state,checkpoint | tr -s ' ')" "$1 suspended [0-9.]+[KM]" "lodge list -a"
	like "$(lodge show "$1")" 'suspended +20.*checkpoint +[0-9.]+[KM]' "lodge show"
	like "$(lodge why "$1")" "It is suspended since 20.*lodge resume $1" "lodge why"
	is "$(find "$(cgroup2_mount)" -type d -path "*/$LG_CGROUP/$1")" "" "its cgroup"
	[ ! -e "/sys/class/net/${LG_TAG}$1" ] || fail "its link is there"
	refused 32 'is suspended: resume it; --force' lodge start "$1"
	refused 32 'is suspended' lodge mount "$1"
	refused 31 'is suspended already' lodge suspend "$1"
	refused 32 'is suspended' lodge destroy "$1"
	refused 31 'is suspended: resume it first' lodge exec "$1" true
	lodge resume "$1" 2>/dev/null
	refused 32 'is already running' lodge resume "$1"
}

@test "while it is suspended every list says so, and nothing of it is on the host" { twice asleep; }

session_ends() {
	lodge exec "$1" -- sleep 60 >"$BATS_TEST_TMPDIR/out.$1" 2>&1 3>&- &
	local session=$!
	begun() { in_ct "$1" pidof sleep >/dev/null; }
	wait_for 10 begun "$1"
	lodge suspend "$1"
	ended "$session"
	[ "$ENDED" -ne 0 ] || fail "its status is 0"
	like "$(cat "$BATS_TEST_TMPDIR/out.$1")" 'being suspended' "why it ended"
	lodge resume "$1" 2>/dev/null
	is "$(in_ct "$1" echo again)" again "another session"
}

@test "a session from outside ends, and says why; the next one works" { twice session_ends; }

connection_goes_on() {
	local load moved
	"$HELPER" load "$(address_of "$1")" $PORT "$BATS_TEST_TMPDIR/load.$1" 2>"$BATS_TEST_TMPDIR/err.$1" 3>&- &
	load=$!
	wait_for 10 test -s "$BATS_TEST_TMPDIR/load.$1"
	lodge suspend "$1"
	lodge resume "$1" 2>/dev/null
	moved=$(cat "$BATS_TEST_TMPDIR/load.$1")
	carries() { [ "$(cat "$BATS_TEST_TMPDIR/load.$1")" -gt "$moved" ]; }
	wait_for 30 carries "$1" || fail "$1: the connection stands still: $(cat "$BATS_TEST_TMPDIR/err.$1")"
	kill "$load"
}

@test "a connection from outside goes on, under the same address and MAC" { twice connection_goes_on; }

sleeps() {
	count_of "$1" >"$BATS_TEST_TMPDIR/count.$1"
	lodge set "$1" --stop-mode suspend --onboot yes >/dev/null
	like "$(lodge stop "$1")" "suspended $1" "what a stop says"
}

awakes() {
	wait_for 30 state_is "$1" running || fail "$1 is $(field "$1" .state)"
	goes_on "$1" "$(<"$BATS_TEST_TMPDIR/count.$1")"
	lodge set "$1" --stop-mode stop --onboot no >/dev/null
}

@test "a stop that suspends, and the next boot that resumes" {
	twice sleeps
	reboots
	twice awakes
}

through_a_file() {
	local count file=$LODGE_ROOT/dump.$1
	count=$(count_of "$1")
	lodge suspend "$1" --dumpfile "$file"
	[ -s "$file" ]
	is "$(find "$LG_VAR/checkpoint/$1" -type f -printf '%f ')" "state.json " "what is left"
	lodge resume "$1" 2>/dev/null
	goes_on "$1" "$count"
	rm "$file"
}

@test "through a dump file" { twice through_a_file; }

@test "a VM's clock is right after a sleep, its random numbers are not those of then" {
	local apart
	lodge suspend 102
	sleep 3
	lodge resume 102 2>/dev/null
	is_right() {
		apart=$(($(in_ct 102 date +%s) - $(date +%s)))
		[ "${apart#-}" -le 2 ]
	}
	wait_for 5 is_right || fail "its clock is $apart s away"
}

@test "the machine is the one of then, whatever its conf file says now" {
	lodge suspend 102
	lodge set 102 --memory 192M --cpus 2 >/dev/null
	refused 32 "disk stays as it is" lodge set 102 --disk 300M
	lodge resume 102 2>/dev/null
	is "$(in_ct 102 nproc)" 1 "processors"
	[ "$(in_ct 102 awk '/MemTotal/ { print $2 }' /proc/meminfo)" -lt 131072 ] || fail "it has more memory"
	lodge set 102 --memory 128M --cpus 1 >/dev/null
}

edit_state() {
	jq "$1" "$LG_VAR/checkpoint/102/state.json" >"$BATS_TEST_TMPDIR/state"
	cp "$BATS_TEST_TMPDIR/state" "$LG_VAR/checkpoint/102/state.json"
}

@test "what cannot go on here is refused with one line, and stays suspended" {
	local count
	count=$(count_of 102)
	lodge suspend 102
	cp "$LG_VAR/checkpoint/102/state.json" "$BATS_TEST_TMPDIR/kept"
	edit_state '.vm.qemu = "5.1.0"'
	refused 17 'written by QEMU 5.1.0, and QEMU .* is here' lodge resume 102
	edit_state '.vm.qemu = "'"$(jq -r .vm.qemu "$BATS_TEST_TMPDIR/kept")"'" | .vm.base_id = "00"'
	refused 17 "not known what it was booted from" lodge resume 102
	cp "$BATS_TEST_TMPDIR/kept" "$LG_VAR/checkpoint/102/state.json"
	edit_state '.vm.base_id = "0123456789abcdef0123456789abcdef"'
	refused 17 'disk of a template .* \(01234567\), is not on this host' lodge resume 102
	cp "$BATS_TEST_TMPDIR/kept" "$LG_VAR/checkpoint/102/state.json"
	edit_state '.vm.modules_id = "0123456789abcdef0123456789abcdef"'
	refused 17 'the kernel .* \(01234567\), is not on this host' lodge resume 102
	cp "$BATS_TEST_TMPDIR/kept" "$LG_VAR/checkpoint/102/state.json"
	edit_state '.vm.kvm = true'
	[ -w /dev/kvm ] || refused 17 'ran under KVM, which cannot be used here' lodge resume 102
	cp "$BATS_TEST_TMPDIR/kept" "$LG_VAR/checkpoint/102/state.json"
	edit_state 'del(.vm)'
	refused 17 'suspended as a container, and its conf file makes it a VM' lodge resume 102
	cp "$BATS_TEST_TMPDIR/kept" "$LG_VAR/checkpoint/102/state.json"
	truncate -s 100000 "$LG_VAR/checkpoint/102/machine.img.cut" && mv "$LG_VAR/checkpoint/102/machine.img" "$BATS_TEST_TMPDIR/" &&
		mv "$LG_VAR/checkpoint/102/machine.img.cut" "$LG_VAR/checkpoint/102/machine.img"
	refused 17 'QEMU ended before' lodge resume 102
	state_is 102 suspended
	mv "$BATS_TEST_TMPDIR/machine.img" "$LG_VAR/checkpoint/102/machine.img"
	lodge resume 102 2>/dev/null
	goes_on 102 "$count"
}

cleaned_up() { [ ! -e "$LG_VAR/vm/base/.left.1.new" ]; }

@test "what it boots from is found by what it is: paths of its checkpoint are not believed, and nobody cleans it away" {
	local count
	count=$(count_of 102)
	lodge suspend 102
	edit_state '.vm.files.base = "/etc/shadow" | .vm.files.modules = "/none" | .vm.files.vmlinux = "/dev/zero"'
	: >"$LG_VAR/vm/base/.left.1.new"
	# As a template's other making, which nothing but this VM needs.
	local base
	base=$(find "$LG_VAR/vm/base" -name '*.img' | head -n 1)
	mv "$base" "${base%.img}+00112233445566778899aabbccddeeff.img"
	is "$(lodged_down)" 0 "lodged's status"
	lodged_up
	wait_for 10 cleaned_up
	lodge resume 102 2>/dev/null
	goes_on 102 "$count"
	lodge stop 102
	is "$(lodged_down)" 0 "lodged's status"
	lodged_up
	is_gone() { [ ! -e "${base%.img}+00112233445566778899aabbccddeeff.img" ]; }
	wait_for 10 is_gone || fail "it stays without a use"
	lodge start 102 2>/dev/null
	put_helper 102 talk
	in_ct 102 sh -c 'talk count /tmp/count 4 </dev/null >/dev/null 2>&1 &'
	wait_for 10 in_ct 102 test -s /tmp/count
}

forced() {
	lodge suspend "$1"
	lodge start --force "$1" 2>/dev/null
	is "$(in_ct "$1" pidof talk || test $? -eq 1)" "" "what ran before"
	is "$(ls -A "$LG_VAR/checkpoint")" "" "images of one that was started anew"
	lodge suspend "$1"
	lodge destroy --force "$1"
	no_images() { [ -z "$(ls -A "$LG_VAR/checkpoint")" ]; }
	wait_for 5 no_images || fail "images of one that is no more"
}

@test "start --force begins anew, destroy --force takes the images along" { twice forced; }
