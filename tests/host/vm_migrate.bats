#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# VMs move from one host to another and back, over ssh: shut down here and started there, or suspended.
# shellcheck disable=SC2154 # bats sets them

load lib
load hosts

setup_file() {
	need tool qemu-system-x86_64
	hosts_up
	need template busybox
	need template debian-13-kernel
	lodge create 101 --vm --template busybox --ip auto --memory 128M --disk 256M 2>/dev/null
	lodge start 101 2>/dev/null
}
teardown_file() { hosts_down; }
teardown() { hosts_tell_more; }

moves() {
	run move "$@"
	is "$status" 0 "move $*: $output"
	use_host "$(other "$LG_HOST")"
}

@test "a host without a kernel for VMs is named before anything is touched" {
	on B without_kernel
	run move 101 --dry-run
	on B with_kernel
	is "$status" 16 "status: $output"
	like "$output" 'in the way: there is no kernel for microVMs' "what it says"
	is "$(state_on A 101)" running "state"
}

# There may be more than one.
kernels() { basename -a "$LODGE_TEMPLATE_STORE"/*-kernel; }
without_kernel() {
	local name
	for name in $(kernels); do
		umount "$LG_VAR/templates/$name" && rmdir "$LG_VAR/templates/$name"
	done
}
with_kernel() {
	local name
	for name in $(kernels); do
		mkdir "$LG_VAR/templates/$name"
		mount --bind "$LODGE_TEMPLATE_STORE/$name" "$LG_VAR/templates/$name"
		mount -o remount,bind,ro "$LG_VAR/templates/$name"
	done
}

is_heard() { in_ns "$LG_HOST" ping -c 1 -W 1 "$1" >/dev/null; }

@test "one that runs is shut down, and runs there with all its files" {
	local sum address
	address=$(address_of 101)
	in_ct 101 sh -c 'head -c 20000000 /dev/urandom >/root/much; echo late >/root/late; rm -f /root/none'
	sum=$(in_ct 101 sha256sum /root/much)
	wait_for 10 is_heard "$address" || fail "it is not heard here"
	moves 101
	is "$(state_on A 101)" none "state where it was"
	is "$(field 101 .state)" running "state where it is"
	is "$(field 101 .kind)" vm "kind"
	is "$(in_ct 101 sha256sum /root/much)" "$sum" "its files"
	is "$(in_ct 101 cat /root/late)" late "the last write"
	is "$(address_of 101)" "$address" "address"
	wait_for 10 is_heard "$address" || fail "it is not heard there"
	is "$(on A moves_left)" "" "files where it was"
}

@test "one that is stopped goes back, sparse as it was" {
	use_host B
	lodge stop 101
	disk_is_whole 101
	moves 101
	is "$(field 101 .state)" stopped "state"
	[ $(($(stat -c %b "$LG_VAR/ct/101/disk.img") * 512)) -lt 60000000 ] || fail "its disk is not sparse"
	is "$(stat -c %s "$LG_VAR/ct/101/disk.img")" $((256 << 20)) "its size"
	disk_is_whole 101
	lodge start 101 2>/dev/null
	is "$(in_ct 101 cat /root/late)" late "a file"
}

# break_at STAGE WHO: the move is held there, and WHO is killed
break_at() {
	local mover pid
	: >"$LG_HOLD/A/$1"
	move 101 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	mover=$!
	wait_for 60 test -e "$LG_HOLD/A/$1.here" || fail "it did not come to $1: $(cat "$BATS_TEST_TMPDIR/out")"
	case $2 in
	worker)
		for pid in /proc/[0-9]*; do
			[[ $(tr '\0' ' ' <"$pid/cmdline" 2>/dev/null) == *"lodge-worker migrate --var $LG_VAR"* ]] && kill -KILL "${pid#/proc/}"
		done || :
		;;
	lodged)
		lodged_down KILL >/dev/null
		;;
	esac
	rm -f "$LG_HOLD/A/$1.here"
	ended "$mover"
	[ "$ENDED" -ne 0 ] || fail "it says that it moved"
	[ "$2" != lodged ] || lodged_up
}

is_here() { [ "$(state_on A 101)" = running ] && [ "$(field 101 .busy)" = null ]; }
is_nowhere_else() { [ "$(state_on B 101)" = none ] && [ -z "$(on B moves_left)" ]; }

@test "broken off at any point before the end: it runs here with all its files, and nothing of it is there" {
	local who stage
	for who in worker lodged; do
		for stage in files last-files commit; do
			break_at $stage $who
			wait_for 60 is_here || fail "$who killed at $stage: it is $(state_on A 101)"
			wait_for 20 is_nowhere_else || fail "$who killed at $stage: it is $(state_on B 101) there, too"
			is "$(in_ct 101 cat /root/late)" late "$who killed at $stage: a file"
		done
	done
}

# ---- suspended: with its memory, and what it was booted from --------------------------------------

# Something that is in memory alone: who counts, and a file in /dev/shm.
# shellcheck disable=SC2016 # expanded inside
remembers() {
	in_ct 101 sh -c 'echo "n=0; while :; do n=\$((n + 1)); echo \$n >/count; sleep 0.1; done" >/counts
		setsid sh /counts </dev/null >/dev/null 2>&1 &
		echo word >/dev/shm/word'
	wait_for 10 in_ct 101 test -s /count
}

has_counted() { [ "$(count_of 101)" -gt "$1" ]; }

clock_is_right() {
	local apart=$(($(in_ct 101 date +%s) - $(date +%s)))
	[ "${apart#-}" -le 2 ]
}

# goes_to_sleep: COUNT is what it has counted
goes_to_sleep() {
	COUNT=$(count_of 101)
	lodge suspend 101
}

# It goes on where it was, as its neighbours know it.
awakes() {
	lodge resume 101 2>/dev/null
	wait_for 20 has_counted "$COUNT" || fail "it stands still at $(count_of 101), and was at $COUNT"
	[ "$(count_of 101)" -lt $((COUNT + 1000)) ] || fail "it is at $(count_of 101), and was at $COUNT"
	is "$(in_ct 101 cat /dev/shm/word)" word "what was in memory"
	wait_for 5 clock_is_right || fail "its clock is $(in_ct 101 date +%s), and it is $(date +%s)"
	wait_for 20 is_heard "$(address_of 101)" || fail "it is not heard"
}

# What VMs boot from here, a name a line.
boot_files() { (cd "$LG_VAR/vm" 2>/dev/null && find . -mindepth 2 -maxdepth 2 -printf '%P\n' | sort); }

no_boot_files() { rm -rf "${LG_VAR:?}/vm"; }

moves_asleep() {
	run move 101
	is "$status" 0 "move: $output"
	is "$(state_on "$LG_HOST" 101)" none "state where it was"
	is "$(moves_left)" "" "files where it was"
	use_host "$(other "$LG_HOST")"
	is "$(field 101 .state)" suspended "state where it is"
}

@test "a suspended one goes there and back with its memory" {
	use_host A
	remembers
	goes_to_sleep
	moves_asleep
	like "$output" 'sending what it boots from: [0-9]+ MiB' "progress"
	like "$(boot_files)" '[0-9a-f]{64}\+[0-9a-f]{32}\.img' "beside the one that was made there"
	awakes
	goes_to_sleep
	moves_asleep
	[[ $output != *"what it boots from"* ]] || fail "it sends what is there: $output"
	awakes
}

@test "a host that lacks all of it gets it, and a kernel is not needed to go on" {
	use_host A
	goes_to_sleep
	on B no_boot_files
	on B without_kernel
	run move 101 --dry-run
	is "$status" 0 "what is in the way: $output"
	like "$output" 'it goes on there, and cannot be started anew: there is no kernel' "what is worth knowing"
	is "$(on B boot_files)" "" "a dry run sends it"
	moves_asleep
	like "$(boot_files)" 'kernel/[0-9a-f]{64}$' "a kernel's plain name"
	like "$(boot_files)" '^base/[0-9a-f]{64}\.img' "a base's plain name"
	awakes
	# It is cleaned around: nothing here has that kernel's template.
	: >"$LG_VAR/vm/base/.left.1.new"
	is "$(lodged_down)" 0 "lodged's status"
	lodged_up
	is_clean() { [ ! -e "$LG_VAR/vm/base/.left.1.new" ]; }
	wait_for 10 is_clean || fail "nothing is cleaned"
	like "$(boot_files)" 'kernel/[0-9a-f]{64}$' "what it runs on"
	goes_to_sleep
	with_kernel
	moves_asleep
	awakes
}

@test "broken off in its boot files, or later: it is suspended here, and nothing of it is there" {
	local who stage
	use_host A
	goes_to_sleep
	asleep_here() { [ "$(state_on A 101)" = suspended ] && [ "$(field 101 .busy)" = null ]; }
	for who in worker lodged; do
		for stage in boot-files prepare last-files memory commit; do
			on B no_boot_files
			break_at $stage $who
			wait_for 60 asleep_here || fail "$who killed at $stage: it is $(state_on A 101)"
			wait_for 20 is_nowhere_else || fail "$who killed at $stage: it is $(state_on B 101) there, too"
			is "$(on B boot_files | grep -F .new || test $? -eq 1)" "" "$who killed at $stage: half of it"
		done
	done
	awakes
}

@test "what it went with and nobody needs any more goes" {
	use_host B
	rm -rf "${LG_VAR:?}/vm"
	use_host A
	goes_to_sleep
	on B without_kernel
	break_at prepare worker
	like "$(on B boot_files)" 'kernel/[0-9a-f]{64}$' "its kernel"
	use_host B
	is "$(lodged_down)" 0 "lodged's status"
	lodged_up
	no_kernels() { [ -z "$(ls -A "$LG_VAR/vm/kernel")" ]; }
	wait_for 10 no_kernels || fail "left: $(boot_files)"
	with_kernel
	use_host A
	awakes
}

@test "a machine that could not go on there is named before anything is touched" {
	use_host A
	local state=$LG_VAR/checkpoint/101/state.json
	goes_to_sleep
	cp "$state" "$BATS_TEST_TMPDIR/kept"
	in_the_way() {
		jq "$1" "$BATS_TEST_TMPDIR/kept" >"$BATS_TEST_TMPDIR/state" && cp "$BATS_TEST_TMPDIR/state" "$state"
		run move 101
		is "$status" 16 "$1: status: $output"
		like "$(tr -s ' \n' ' ' <<<"$output")" "$2" "$1"
		is "$(state_on A 101)" suspended "$1: state"
	}
	in_the_way '.vm.qemu = "5.1.0"' 'on the other host: its memory was written by QEMU 5.1.0, and QEMU [0-9.]+ is here'
	[ -w /dev/kvm ] || in_the_way '.vm.kvm = true' 'on the other host: it ran under KVM, which cannot be used here'
	in_the_way '.vm.base_id = "../../../../../../../etc/passwd0"' 'it is not known what it was booted from'
	in_the_way 'del(.vm)' 'it is not known what machine it is'
	in_the_way '.dumpfile = "/srv/dump"' "its memory is in the dump file '/srv/dump'"
	cp "$BATS_TEST_TMPDIR/kept" "$state"
	awakes
}

@test "a dump file goes on where what it was booted from is, under whatever name" {
	local dump=$BATS_TEST_TMPDIR/dump from
	use_host A
	COUNT=$(count_of 101)
	lodge suspend 101 --dumpfile "$dump"
	cp -a --sparse=always "$LG_VAR/ct/101" "$BATS_TEST_TMPDIR/101"
	cp "$LG_ETC/ct/101.conf" "$BATS_TEST_TMPDIR/"
	from=$LG_VAR/vm
	use_host B
	no_boot_files
	cp -a "$BATS_TEST_TMPDIR/101" "$LG_VAR/ct/101"
	cp "$BATS_TEST_TMPDIR/101.conf" "$LG_ETC/ct/"
	is "$(lodged_down)" 0 "lodged's status"
	lodged_up
	run -17 --separate-stderr lodge -q resume 101 --dumpfile "$dump"
	like "$stderr" 'the disk of a template that is in its memory.* is not on this host' "what is missing"
	mkdir -p "$LG_VAR/vm"
	cp -a "$from/base" "$from/kernel" "$LG_VAR/vm/"
	lodge resume 101 --dumpfile "$dump" 2>/dev/null
	on A lodge destroy --force 101
	wait_for 20 has_counted "$COUNT" || fail "it stands still at $(count_of 101), and was at $COUNT"
	is "$(in_ct 101 cat /dev/shm/word)" word "what was in memory"
}

@test "one with a system of its own goes there and back, suspended, with what its firmware has stored" {
	local sum
	[ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || [ -e /usr/share/OVMF/OVMF_CODE.fd ] || cannot_run "needs the package ovmf"
	use_host A
	: >"$BATS_TEST_TMPDIR/cd.iso"
	truncate -s 1M "$BATS_TEST_TMPDIR/cd.iso"
	chmod 0644 "$BATS_TEST_TMPDIR/cd.iso"
	lodge create 104 --vm --os other --firmware uefi --cdrom "$BATS_TEST_TMPDIR/cd.iso" --disk 48M --memory 128M 2>/dev/null
	echo "what is on its disk" | dd of="$LG_VAR/ct/104/disk.raw" bs=1M seek=7 conv=notrunc status=none
	lodge start 104 2>/dev/null
	sleep 2
	lodge suspend 104
	sum=$(cd "$LG_VAR/ct/104" && sha256sum disk.raw vars.fd)
	mv "$BATS_TEST_TMPDIR/cd.iso" "$BATS_TEST_TMPDIR/away.iso"
	run move 104
	is "$status" 16 "without what is in its drive: $output"
	like "$(tr -s ' \n' ' ' <<<"$output")" "on the other host: cdrom: open '.*cd.iso': No such file" "what is in the way"
	mv "$BATS_TEST_TMPDIR/away.iso" "$BATS_TEST_TMPDIR/cd.iso"
	for _ in there back; do
		run move 104
		is "$status" 0 "move: $output"
		is "$(state_on "$LG_HOST" 104)" none "state where it was"
		use_host "$(other "$LG_HOST")"
		is "$(cd "$LG_VAR/ct/104" && sha256sum disk.raw vars.fd)" "$sum" "its disk, and its firmware's"
		lodge resume 104 2>/dev/null
		is "$(field 104 .state)" running "state"
		lodge suspend 104
		sum=$(cd "$LG_VAR/ct/104" && sha256sum disk.raw vars.fd)
	done
	lodge destroy --force 104
}
