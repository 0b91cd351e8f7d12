#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Processors that come to a VM with a system of its own while it runs, and stay through suspend, resume and a move.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib
load hosts
load own_disk

setup_file() {
	need tool qemu-system-x86_64
	need tool as
	[ "$(nproc --all)" -ge 2 ] || cannot_run "needs two processors"
	hosts_up
	export IMAGES=$BATS_FILE_TMPDIR
	make_bootsector
	lodge create 301 --vm --os other --memory 64M --cpus 1 --disk 64M --disk-image "$IMAGES/disk.img" 2>/dev/null
	lodge start 301 2>/dev/null
}
teardown_file() { hosts_down; }
teardown() { hosts_tell_more; }

# set_cpus ID N: what it says is in $stderr, or nothing where it has nothing to say
set_cpus() {
	run --separate-stderr lodge set "$1" --cpus "$2"
	is "$status" 0 "set --cpus $2: $output $stderr"
}
threads() { find "/proc/$(init_pid "$1")/task" -mindepth 1 -maxdepth 1 | wc -l; }
cpus_of() { lodge exec "$1" -- /bin/nproc; }
has_cpus() { [ "$(cpus_of "$1")" = "$2" ]; }
state_is() { [ "$(field "$1" .state)" = "$2" ]; }
says() { grep -q "$2" "$LG_VAR/log/console/$1.log" 2>/dev/null; }

@test "with nobody inside who would: the machine has it at once, and the answer says who switches it on" {
	local before
	wait_for 60 says 301 'boot sector: here'
	before=$(threads 301)
	set_cpus 301 2
	like "$stderr" 'cpus: the machine has 2: the guest may have to switch them on itself: it has no guest agent' "note"
	is "${#stderr_lines[@]}" 1 "lines ($stderr)"
	is "$(threads 301)" $((before + 1)) "QEMU's threads"
	is "$(field 301 .settings.cpus)" 2 "setting"
}

@test "less, and more than there are places, is for the next start, and the time that it gets is changed at once" {
	set_cpus 301 1
	like "$stderr" 'cpus: 1 from the next start on; until then the 2 that its machine has' "less"
	is "$(quota 301)" 100000 "time"
	set_cpus 301 2
	is "$stderr" "" "what it has already"
	set_cpus 301 200
	like "$stderr" "cpus: 200 from the next start on; until then the $(most) that its machine has" "more"
	set_cpus 301 2
}
quota() { cgroup_value cpu "$1" cpu.max cpu.cfs_quota_us | cut -d' ' -f1; }
most() { local n; n=$(nproc); echo $((n < 4 ? n : 4)); }

@test "who suspends it writes down what it has, and it goes on with it" {
	local before
	before=$(threads 301)
	lodge suspend 301 2>/dev/null
	is "$(jq -c '.vm | [.vcpus, .cpus_added]' "$LG_VAR/checkpoint/301/state.json")" "[1,1]" "its checkpoint"
	lodge resume 301 2>/dev/null
	state_is 301 running
	set_cpus 301 1
	like "$stderr" 'until then the 2 that its machine has' "what it has"
	lodge stop 301 --fast
}

@test "a checkpoint of a machine that had no places goes on" {
	local state=$LG_VAR/checkpoint/301/state.json
	lodge set 301 --cpus 4 2>/dev/null
	lodge start 301 2>/dev/null
	lodge suspend 301 2>/dev/null
	jq 'del(.vm.cpus_max, .vm.cpus_added)' "$state" >"$IMAGES/state.json"
	cat "$IMAGES/state.json" >"$state"
	lodge resume 301 2>/dev/null
	state_is 301 running
	set_cpus 301 5
	like "$stderr" 'cpus: 5 from the next start on; until then the 4 that its machine has' "more"
	lodge stop 301 --fast
}

@test "a daemon that is killed while one comes: the next one knows how many there are" {
	local i
	lodge set 301 --cpus 1
	for i in 0 0.02 0.1; do
		lodge start 301 2>/dev/null
		"$LG_LODGE" set 301 --cpus 2 >/dev/null 2>&1 3>&- &
		sleep $i
		lodged_down KILL >/dev/null
		lodged_up
		lodge suspend 301 2>/dev/null
		lodge resume 301 2>/dev/null
		state_is 301 running || fail "killed after $i s: it is $(field 301 .state)"
		set_cpus 301 2
		set_cpus 301 1
		like "$stderr" 'until then the 2 that its machine has' "killed after $i s: what it has"
		lodge stop 301 --fast
	done
}

# As when a daemon was killed between the file and the machine.
@test "what the file has and the machine has not comes when it is said once more" {
	local conf=$LG_ETC/ct/301.conf before
	lodge set 301 --cpus 1
	lodge start 301 2>/dev/null
	before=$(threads 301)
	lodged_down >/dev/null
	sed -i 's/^CPULIMIT=.*/CPULIMIT="200"/' "$conf"
	lodged_up
	is "$(field 301 .settings.cpus)" 2 "setting"
	lodge set 301 --description other
	is "$(threads 301)" "$before" "QEMU's threads after another setting"
	set_cpus 301 2
	is "$(threads 301)" $((before + 1)) "QEMU's threads"
	lodge stop 301 --fast
}

@test "two at once: one after the other" {
	lodge start 301 2>/dev/null
	"$LG_LODGE" set 301 --cpus 2 >/dev/null 2>&1 3>&- &
	local first=$!
	run lodge set 301 --cpus 1.5
	is "$status" 0 "the second: $output"
	ended $first
	is "$ENDED" 0 "the first"
	set_cpus 301 1
	like "$stderr" 'until then the 2 that its machine has' "what it has"
	lodge stop 301 --fast
	lodge destroy 301
}

@test "a Linux with QEMU's guest agent has it switched on at once" {
	make_linux
	lodge create 302 --vm --firmware uefi --memory 384M --cpus 1 --disk 64M --disk-image "$IMAGES/linux.img" 2>/dev/null
	lodge start 302 2>/dev/null
	wait_for 240 says 302 'has its port'
	wait_for 60 has_cpus 302 1 || fail "processors: $(cpus_of 302)"
	set_cpus 302 2
	is "$stderr" "" "nothing is missing"
	is "$(cpus_of 302)" 2 "processors"
	is "$(lodge exec 302 -- /bin/cat /sys/devices/system/cpu/online)" 0-1 "which"
}

# works ID: on both of them; what a processor that was forgotten would not do.
works() {
	lodge exec "$1" -- /bin/sh -c 'taskset 1 true && taskset 2 sh -c "i=0; while [ \$i -lt 2000 ]; do i=\$((i+1)); done"' ||
		fail "a processor does not work"
}

@test "it has both after suspend and resume" {
	[ "$(state_on A 302)" = running ] || skip "it does not run"
	lodge suspend 302 2>/dev/null
	lodge resume 302 2>/dev/null
	wait_for 60 has_cpus 302 2 || fail "processors: $(cpus_of 302)"
	works 302
}

@test "it has both on another host, and back" {
	[ "$(state_on A 302)" = running ] || skip "it does not run"
	local to
	for to in B A; do
		run move 302 --live
		is "$status" 0 "to $to: $output"
		use_host $to
		is "$(field 302 .state)" running "state on $to"
		wait_for 60 has_cpus 302 2 || fail "on $to: $(cpus_of 302) processors"
		works 302
	done
}

@test "what came before a move is known after it" {
	[ "$(state_on A 302)" = running ] || skip "it does not run"
	set_cpus 302 1
	like "$stderr" 'cpus: 1 from the next start on; until then the 2 that its machine has' "what it has"
	set_cpus 302 2
	is "$stderr" "" "it has both"
	lodge stop 302 --fast
	lodge destroy 302
}

@test "one comes also to a machine that was moved, and resumed, before" {
	[ -e "$IMAGES/linux.img" ] || skip "there is no Linux"
	lodge create 303 --vm --firmware uefi --memory 384M --cpus 1 --disk 64M --disk-image "$IMAGES/linux.img" 2>/dev/null
	lodge start 303 2>/dev/null
	wait_for 240 says 303 'has its port'
	run move 303 --live
	is "$status" 0 "to B: $output"
	use_host B
	lodge suspend 303 2>/dev/null
	lodge resume 303 2>/dev/null
	wait_for 60 has_cpus 303 1 || fail "processors: $(cpus_of 303)"
	set_cpus 303 2
	is "$stderr" "" "nothing is missing"
	works 303
	lodge stop 303 --fast
	lodge destroy 303
}
