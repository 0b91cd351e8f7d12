#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Limits of the disk hold where they say they do, or are refused.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
}
teardown_file() { host_down; }
setup() { LOOP='' STORE=''; }
teardown() {
	tell_more
	destroy_all
	if [ -n "$STORE" ]; then
		wait_for 10 trash_is_empty
		wait_for 10 umount "$STORE"
		rmdir "$STORE"
	fi
	[ -z "$LOOP" ] || losetup -d "$LOOP"
}

# MAJOR:MINOR (NAME) of the disk that a folder is on, by other means than lodge's.
disk_of() {
	local dev name
	dev=$(findmnt -n -o MAJ:MIN -T "$1" | tr -d " ")
	name=$(basename "$(readlink "/sys/dev/block/$dev")")
	if [ -e "/sys/dev/block/$dev/partition" ]; then
		dev=$(<"/sys/dev/block/$dev/../dev")
		name=$(basename "$(readlink "/sys/dev/block/$dev")")
	fi
	echo "$dev ($name)"
}

# limit_of CTID KEY V1-FILE: what the kernel holds for the disk of the layers, "none" where nothing
limit_of() {
	local dev
	dev=$(disk_of "$LG_VAR/ct")
	cgroup_dir blkio "$1"
	if [ "$CG_VERSION" = 2 ]; then
		awk -v dev="${dev% *}" -v key="$2=" '$1 == dev { for (i = 2; i <= NF; i++)
			if (index($i, key) == 1) v = substr($i, length(key) + 1) }
			END { print v == "" || v == "max" ? "none" : v }' "$CG/io.max"
	else
		awk -v dev="${dev% *}" '$1 == dev { v = $2 } END { print v == "" ? "none" : v }' \
			"$CG/blkio.throttle.$3"
	fi
}

# The bytes that requests of SIZE did in two seconds: io_in CTID HOW SIZE
io_in() {
	in_ct "$1" probe io /root/data "$2" "$3" 2
}

@test "direct writes keep to bytes a second, and are free again without the limit" {
	ct 101
	put_probe 101
	local free held after
	free=$(io_in 101 write 65536)
	lodge set 101 --io-write 1M
	held=$(io_in 101 write 65536)
	# Twice what two seconds grant: the kernel lets a slice pass at once.
	[ "$held" -le $((4 << 20)) ] || fail "wrote $held bytes in two seconds of 1M/s"
	[ "$held" -gt 0 ] || fail "wrote nothing"
	lodge set 101 --io-write unlimited
	after=$(io_in 101 write 65536)
	[ "$free" -gt "$held" ] || fail "no faster without: $free"
	[ "$after" -gt "$held" ] || fail "no faster when lifted: $after"
	is "$(limit_of 101 wbps write_bps_device)" none "the kernel's file"
}

@test "synced writes keep to bytes a second" {
	ct 101 --io-write 512K
	put_probe 101
	local held
	held=$(io_in 101 sync 65536)
	[ "$held" -le $((2 << 20)) ] || fail "wrote $held bytes in two seconds of 512K/s"
}

@test "reads keep to bytes a second" {
	ct 101
	put_probe 101
	in_ct 101 dd if=/dev/zero of=/root/data bs=1M count=16 conv=fsync
	lodge set 101 --io-read 1M
	local held
	held=$(io_in 101 read 65536)
	[ "$held" -le $((4 << 20)) ] || fail "read $held bytes in two seconds of 1M/s"
	[ "$held" -gt 0 ] || fail "read nothing"
}

@test "writes and reads keep to a number a second" {
	ct 101 --iops-write 20
	put_probe 101
	local held
	held=$(($(io_in 101 write 4096) / 4096))
	[ "$held" -le 80 ] || fail "$held writes in two seconds of 20 a second"
	lodge set 101 --iops-write unlimited --iops-read 20
	in_ct 101 dd if=/dev/zero of=/root/data bs=1M count=16 conv=fsync
	held=$(($(io_in 101 read 4096) / 4096))
	[ "$held" -le 80 ] || fail "$held reads in two seconds of 20 a second"
}

@test "plain writes keep to it where the kernel can tell whose they are, else set says so" {
	ct 101
	put_probe 101
	run --separate-stderr lodge set 101 --io-write 1M
	local told=$stderr
	run --separate-stderr lodge create 102 --template busybox --io-write 1M --quiet
	is "$stderr" "$told" "create says the same"
	run --separate-stderr lodge set 102 --io-write 2M
	is "$stderr" "$told" "and set of one that does not run"
	cgroup_dir blkio 101
	if [ "$CG_VERSION" = 2 ]; then
		is "$told" "" "nothing to warn of"
		io_in 101 plain 65536
		in_ct 101 sync
		[ "$(awk '{ for (i = 2; i <= NF; i++) if ($i ~ /^wbytes=/) n += substr($i, 8) }
			END { print n + 0 }' "$CG/io.stat")" -gt 1000000 ] || fail "they are not charged"
	else
		is "$(wc -l <<<"$told")" 1 "lines: $told"
		like "$told" 'O_DIRECT, O_SYNC, fsync' "which writes it counts"
		like "$(lodge show 101)" 'io-write +1.0M/s +\(enforced on .*; direct and synced writes only' "show"
	fi
}

@test "show names the disk, and it is the one that stat names" {
	ct 101 --io-read 10M --io-limit 20M
	local disk
	disk=$(disk_of "$LG_VAR/ct")
	# The template may lie on another disk, which is then named, too.
	like "$(field 101 '.effects["io-read"]')" "^enforced on (.*, )?${disk//[()]/.}(,|$)" "the effect"
	like "$(lodge show 101)" "io-read +10.0M/s  \(enforced on (.*, )?${disk//[()]/.}" "for people"
	is "$(field 101 '.settings["io-read"]')" "10.0M/s" "the setting"
}

@test "of several settings the lowest counts; vzctl's cover both directions" {
	ct 101 --io-read 1M
	vzctl set 101 --iolimit 2 --iopslimit 300 --save
	is "$(limit_of 101 rbps read_bps_device)" $((1 << 20)) "reads: the lower one"
	is "$(limit_of 101 wbps write_bps_device)" $((2 << 20)) "writes"
	is "$(limit_of 101 riops read_iops_device)" 300 "reads a second"
	is "$(limit_of 101 wiops write_iops_device)" 300 "writes a second"
	grep -qx 'IOLIMIT="2097152"' "$LG_ETC/ct/101.conf"
	grep -qx 'IOPSLIMIT="300"' "$LG_ETC/ct/101.conf"
	vzctl set 101 --iolimit 0 --iopslimit unlimited --save
	is "$(limit_of 101 wbps write_bps_device)" none "writes without"
	is "$(limit_of 101 rbps read_bps_device)" $((1 << 20)) "lodge's own stays"
}

@test "they outlive the daemon and a restart of the container" {
	ct 101 --io-write 3M
	lodged_down KILL
	is "$(limit_of 101 wbps write_bps_device)" $((3 << 20)) "without a daemon"
	lodged_up
	like "$(field 101 '.effects["io-write"]')" "^enforced on" "with the next one"
	lodge set 101 --memory 64M
	is "$(limit_of 101 wbps write_bps_device)" $((3 << 20)) "another limit is changed"
	lodge restart --fast 101
	is "$(limit_of 101 wbps write_bps_device)" $((3 << 20)) "at the next start"
}

@test "the guest cannot lift them" {
	ct 101 --io-write 1M
	run in_ct 101 sh -c 'find /sys/fs/cgroup -name "io.max" -o -name "blkio.throttle.*" |
		while read -r f; do echo "8:0 wbps=max" >"$f"; done 2>/dev/null'
	is "$(limit_of 101 wbps write_bps_device)" $((1 << 20)) "limit"
}

@test "files in memory: refused with the reason, nothing is changed" {
	lodge create 101 --template busybox
	STORE=$(mktemp -d /tmp/lgt.XXXX)
	mount -t tmpfs lgt "$STORE"
	cp -a "$LG_VAR/ct/101/." "$STORE/"
	mount --bind "$STORE" "$LG_VAR/ct/101"
	cp "$LG_ETC/ct/101.conf" "$BATS_TEST_TMPDIR/before"
	run -62 --separate-stderr lodge set 101 --io-write 1M
	umount "$LG_VAR/ct/101"
	like "$stderr" 'in memory \(tmpfs\)' "the reason"
	cmp "$LG_ETC/ct/101.conf" "$BATS_TEST_TMPDIR/before"
}

# layer_on FS FOLDER: 101 with its layer in that folder of a file system on a loop device
layer_on() {
	need tool "mkfs.$1"
	modprobe -q "$1" || grep -qw "$1" /proc/filesystems || cannot_run "this kernel has no $1" excused
	lodge create 101 --template busybox
	truncate -s 256M "$BATS_TEST_TMPDIR/disk"
	"mkfs.$1" -q "$BATS_TEST_TMPDIR/disk"
	LOOP=$(losetup --find --show "$BATS_TEST_TMPDIR/disk")
	STORE=$(mktemp -d /tmp/lgt.XXXX)
	mount "$LOOP" "$STORE"
	[ "$1" != btrfs ] || btrfs subvolume create "$STORE/$2"
	mkdir -p "$STORE/$2"
	cp -a "$LG_VAR/ct/101/." "$STORE/$2/"
	mount --bind "$STORE/$2" "$LG_VAR/ct/101"
	lodge start 101
	put_probe 101
}

# What show says to SAID, what two seconds of 1M/s did to HELD; the layer is unmounted.
limit_layer() {
	lodge set 101 --io-write 1M
	SAID=$(field 101 '.effects["io-write"]')
	HELD=$(io_in 101 write 65536)
	lodge stop --fast 101
	wait_for 10 umount "$LG_VAR/ct/101"
}

@test "a layer on a loop device is limited there, and keeps to it" {
	layer_on ext4 layer
	limit_layer
	like "$SAID" "^enforced on $(losetup -n -O MAJ:MIN "$LOOP" | tr -d ' ') \(${LOOP#/dev/}\)" "the disk"
	[ "$HELD" -le $((4 << 20)) ] || fail "wrote $HELD bytes in two seconds of 1M/s"
}

# stat() gives a subvolume a device number that no device has.
@test "a layer on a btrfs subvolume is limited on the disk of the file system" {
	layer_on btrfs sub
	limit_layer
	like "$SAID" "^enforced on $(losetup -n -O MAJ:MIN "$LOOP" | tr -d ' ') \(${LOOP#/dev/}\)" "the disk"
	[ "$HELD" -le $((4 << 20)) ] || fail "wrote $HELD bytes in two seconds of 1M/s"
	[ "$HELD" -gt 0 ] || fail "wrote nothing"
}

@test "a layer in an image of its own is limited on the disk that holds the image" {
	lodge create 101 --template busybox --disk 64M
	lodge start 101
	put_probe 101
	lodge set 101 --io-write 1M
	local held
	held=$(io_in 101 write 65536)
	is "$(limit_of 101 wbps write_bps_device)" $((1 << 20)) "the disk's limit"
	[ "$held" -le $((4 << 20)) ] || fail "wrote $held bytes in two seconds of 1M/s"
	[ "$held" -gt 0 ] || fail "wrote nothing"
}

@test "a rate below what the kernel can do is refused" {
	ct 101
	refused 21 'io-write: less than 4096' lodge set 101 --io-write 100
	refused 21 'iops-read' lodge set 101 --iops-read many
}

@test "a priority is the kernel's weight, and show says where it decides nothing" {
	ct 101 --io-priority 6
	cgroup_dir blkio 101
	local file weight=none
	for file in "$CG"/blkio.bfq.weight "$CG"/io.bfq.weight "$CG"/blkio.weight "$CG"/io.weight; do
		[ -e "$file" ] && weight=$(awk '{ print $NF; exit }' "$file") && break
	done
	if [ "$weight" = none ]; then
		like "$(field 101 '.effects["io-priority"]')" 'no effect' "no such file"
	else
		is "$weight" 400 "four times the normal one"
	fi
	vzctl set 101 --ioprio 7 --save
	grep -qx 'IOPRIO="7"' "$LG_ETC/ct/101.conf"
	refused 21 'io-priority' lodge set 101 --io-priority 8
}
