#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What is a microVM's alone: how it is made, what its settings mean, what runs it, what it does not do. What it has in common with
# containers is in kinds.bats.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
	need template debian-13-kernel
	need tool qemu-system-x86_64
}
teardown_file() { host_down; }
teardown() { tell_more; }

has_kvm() {
	[ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo
}

@test "what means nothing to a VM is refused, in one line that says why" {
	local row
	while read -r -a row; do
		refused 20 "create.*${row[0]}: .*" lodge create 101 --vm --template busybox "--${row[0]}" "${row[1]}"
	done <<-END
		feature fuse
		device /dev/fuse
		capability net_admin:on
		tasks 100
		ptys 10
		shm-size 1M
	END
	refused 20 'kernel-template: a container' lodge create 101 --template busybox --kernel-template debian-13-kernel
	refused 20 'boot-timeout: a container' lodge create 101 --template busybox --boot-timeout 10
	is "$(lodge list -a -H)" "" "nothing was made"
}

@test "a VM has sizes, and none of them is unlimited" {
	local setting
	for setting in memory disk cpus; do
		refused 21 "$setting: .*unlimited" lodge create 101 --vm --template busybox "--$setting" unlimited
	done
	refused 21 'memory: .*less than' lodge create 101 --vm --template busybox --memory 16M
	is "$(lodge list -a -H)" "" "nothing was made"
}

@test "templates of kernels are no systems, and a kernel that is not there is named" {
	refused 47 'kernel' lodge create 101 --template debian-13-kernel
	refused 91 'no-such' lodge create 101 --vm --template busybox --kernel-template no-such
	is "$(lodge list -a -H)" "" "nothing was made"
}

@test "without a word about sizes it has 512M, one CPU and a disk of 10G that takes no room yet" {
	run --separate-stderr lodge create 101 --vm --template busybox --ip auto
	is "$status" 0 "status: $stderr"
	has_kvm || like "$stderr" 'without KVM' "it is said that it will be slow"
	is "$(field 101 '.settings | "\(.memory) \(.cpus) \(.disk) \(.kind)"')" "512.0M 1 10.0G vm" "settings"
	[ -f "$LG_VAR/ct/101/disk.img" ]
	[ "$(du -k "$LG_VAR/ct/101/disk.img" | cut -f1)" -lt 200000 ]
	lodge destroy 101
}

@test "it boots a kernel of its own, as a user of its own, behind its wall" {
	run --separate-stderr lodge create 101 --vm --template busybox --memory 160M --cpus 2 --disk 256M --ip auto --start
	is "$status" 0 "status: $stderr"
	has_kvm || like "$stderr" 'without KVM' "it is said that it is slow"
	local kernel pid
	kernel=$(field 101 .kernel)
	is "$(in_ct 101 uname -r)" "$kernel" "kernel inside"
	[ "$kernel" != "$(uname -r)" ]
	is "$(field 101 .machine)" microvm "machine"
	is "$(field 101 .accel)" "$(has_kvm && echo kvm || echo tcg)" "accel"
	is "$(in_ct 101 grep -c ^processor /proc/cpuinfo)" 2 "processors"
	pid=$(init_pid 101)
	like "$(readlink "/proc/$pid/exe")" qemu "what it is on the host"
	is "$(awk '/^Uid/ { print $2 }' "/proc/$pid/status")" "$(field 101 .id_base)" "its user"
	[ "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" -gt $((160 << 20)) ]
	is "$(cgroup_value pids 101 pids.max pids.max)" 256 "tasks of QEMU"
}

@test "show and stats tell the guest's memory and what is on top of it" {
	local stats
	like "$(lodge show 101)" 'running VM' "show"
	like "$(lodge show 101)" 'machine +(microvm|q35)' "show"
	stats=$(lodge stats -i 0 --json 101 | jq '.stats[0]')
	[ "$(jq .guest_memory_total <<<"$stats")" -gt $((100 << 20)) ]
	[ "$(jq .guest_memory_bytes <<<"$stats")" -gt 0 ]
	[ "$(jq .guest_tasks <<<"$stats")" -gt 1 ]
	[ "$(jq .overhead_bytes <<<"$stats")" -gt 0 ]
	[ "$(jq .overhead_bytes <<<"$stats")" -lt "$(jq .memory_bytes <<<"$stats")" ]
	like "$(lodge stats 101)" 'GUEST-MEM +OVERHEAD' "columns of VMs"
	[ "$(field 101 .usage.disk_bytes_max)" -gt $((200 << 20)) ]
}

@test "more than its machine has it gets at its next start, which is said" {
	run --separate-stderr lodge set 101 --memory 192M --cpus 5
	is "$status" 0 "status: $stderr"
	like "$output" 'next start: .*memory' "what it says"
	like "$stderr" 'memory: 192.0M from the next start' "the warning"
	like "$stderr" 'cpus: 5 from the next start' "the warning"
	lodge set 101 --cpus 1
	is "$(in_ct 101 grep -c ^processor /proc/cpuinfo)" 1 "one processor went offline"
	lodge set 101 --cpus 2
	is "$(in_ct 101 grep -c ^processor /proc/cpuinfo)" 2 "and came back"
	refused 20 'feature: a VM' lodge set 101 --feature fuse
	lodge set 101 --cpus 1
	lodge restart 101 2>/dev/null
	[ "$(in_ct 101 awk '/MemTotal/ { print $2 }' /proc/meminfo)" -gt 150000 ]
}

@test "processors that it was not started with come while it runs, as far as the host has them" {
	[ "$(nproc)" -ge 2 ] || skip "one processor is all that this host has"
	is "$(in_ct 101 grep -c ^processor /proc/cpuinfo)" 1 "processors"
	run --separate-stderr lodge set 101 --cpus 2
	is "$status $stderr" "0 " "what it says"
	is "$(in_ct 101 grep -c ^processor /proc/cpuinfo)" 2 "processors"
	lodge suspend 101
	lodge resume 101 2>/dev/null
	is "$(in_ct 101 grep -c ^processor /proc/cpuinfo)" 2 "after a resume"
}

# suspended ID: is all that it is on the disk, and nothing of it on the host?
suspended() {
	is "$(field "$1" .state)" suspended "state"
	[ ! -e "/sys/class/net/$LG_TAG$1.0" ]
	[ "$(field "$1" .checkpoint_bytes)" -gt $((8 << 20)) ]
}

@test "suspend writes it to the disk, resume goes on with the same memory, clock and address" {
	in_ct 101 sh -c '(i=0; while :; do echo $((i += 1)) >/run/count; sleep 0.1; done) >/dev/null 2>&1 </dev/null & echo secret >/run/memory'
	like "$(lodge checkpoint --check 101)" 'VM' "what a check says"
	local before after boot
	before=$(in_ct 101 cat /run/count)
	boot=$(in_ct 101 cat /proc/sys/kernel/random/boot_id)
	lodge suspend 101
	suspended 101
	refused 32 'suspended' lodge start 101
	refused 32 'suspended' lodge mount 101
	refused 31 'suspended' lodge exec 101 true
	lodged_down >/dev/null
	lodged_up
	suspended 101
	sleep 2
	lodge resume 101 2>/dev/null
	is "$(in_ct 101 cat /run/memory)" secret "what was in its memory"
	is "$(in_ct 101 cat /proc/sys/kernel/random/boot_id)" "$boot" "it did not boot"
	after=$(in_ct 101 cat /run/count)
	[ "$after" -ge "$before" ] && [ "$after" -lt $((before + 100)) ] || fail "counted from $before to $after"
	counts_on() { [ "$(in_ct 101 cat /run/count)" -gt "$after" ]; }
	wait_for 5 counts_on
	local inside
	inside=$(in_ct 101 date +%s)
	[ $((inside - $(date +%s))) -le 1 ] && [ $((inside - $(date +%s))) -ge -1 ] || fail "its clock: $inside"
	ping -c 1 -W 5 "$(address_of 101)" >/dev/null
	[ ! -e "$LG_VAR/checkpoint/101" ]
}

@test "a stop that means suspend suspends it, and start --force loses what was in its memory" {
	lodge set 101 --stop-mode suspend
	lodge stop 101
	suspended 101
	lodge set 101 --unset stop-mode
	lodge start --force 101 2>/dev/null
	run in_ct 101 cat /run/memory
	[ "$status" -ne 0 ]
	[ ! -e "$LG_VAR/checkpoint/101" ]
}

@test "a guest whose kernel panics is stopped, and the reason is told" {
	in_ct 101 sh -c 'echo c >/proc/sysrq-trigger' || :
	is_stopped() { [ "$(field 101 .state)" = stopped ]; }
	wait_for 30 is_stopped
	like "$(field 101 .last_exit)" 'panic' "why it ended"
}

@test "a boot that takes too long is given up, and how far it came is told" {
	lodge set 101 --boot-timeout 1
	run --separate-stderr lodge start 101
	# A fast host boots within a second.
	if [ "$status" -ne 0 ]; then
		like "$stderr" '101' "which"
		is "$(field 101 .state)" stopped "state"
	else
		lodge stop --fast 101
	fi
	lodge set 101 --unset boot-timeout
}

@test "what it boots from is made anew when it vanished" {
	rm -rf "$LG_VAR/vm/base" "$LG_VAR/vm/kernel"
	lodge start 101 2>/dev/null
	in_ct 101 true
	lodge stop 101
	lodge destroy 101
}

@test "doctor knows whether VMs can be had" {
	run lodge doctor
	like "$output" 'vm.*QEMU [0-9]+\.' "QEMU and its version"
	like "$output" 'template debian-[0-9]+-kernel has a kernel for VMs' "the kernel"
}

@test "a stock Debian 13 boots to the end, and its services run" {
	need template debian-13
	lodge create 102 --vm --template debian-13 --memory 512M --cpus 2 --disk 2G --ip auto --hostname trixie 2>/dev/null
	lodge start --wait 102 2>/dev/null || fail "its console:" "$(tail -n 40 "$LG_VAR/log/console/102.log")"
	is "$(in_ct 102 hostname)" trixie "host name"
	like "$(in_ct 102 systemctl is-system-running || :)" 'running|degraded' "systemd"
	is "$(in_ct 102 systemctl --failed --no-legend --plain | awk '{ print $1 }' | xargs)" "" "failed units"
	ping -c 1 -W 5 "$(address_of 102)" >/dev/null
	is "$(lodge stop 102)" "stopped 102" "it shuts down in good order"
	lodge destroy 102
}
