#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Disk limits: they hold against root inside, grow, shrink where that is safe, and leave nothing.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
}
teardown_file() { host_down; }
teardown() {
	tell_more
	destroy_all
	! mountpoint -q "$LG_VAR/ct" || layers_home
}

image() {
	echo "$LG_VAR/ct/$1/disk.img"
}

# Loop devices of our root, one a line. A file that was removed has "(deleted)" behind its name.
loops() {
	local file
	for file in /sys/block/loop*/loop/backing_file; do
		[ -e "$file" ] || continue
		grep -F "$LODGE_ROOT" "$file" || test $? -eq 1
	done
}

# A stopped one's shim may still be writing back.
no_loops() {
	[ -z "$(loops)" ]
}

# KiB of its root that $1 sees: size, used, free
df_inside() {
	in_ct "$1" df -kP / | awk 'NR == 2 { print $2, $3, $4 }'
}

can_grow_mounted() {
	[ $((0x$(awk '/^CapBnd/ { print $2 }' /proc/self/status) >> 24 & 1)) = 1 ]
}

@test "a container with --disk sees its own size and use, and so does lodge" {
	ct 101 --disk 64M
	ct 102
	read -r size used _ <<<"$(df_inside 101)"
	[ "$size" -gt 50000 ] && [ "$size" -le 65536 ] || fail "size inside: $size KiB"
	[ "$used" -lt 1024 ] || fail "used when new: $used KiB"
	in_ct 101 dd if=/dev/zero of=/root/ten bs=1M count=10 2>/dev/null
	in_ct 101 sync
	read -r _ used _ <<<"$(df_inside 101)"
	[ "$used" -ge 10240 ] || fail "used after 10 MiB: $used KiB"
	is "$(field 101 '.settings.disk')" 64.0M "setting"
	is "$(field 101 '.usage.disk_bytes / 1024')" "$used" "use that lodge knows"
	is "$(field 101 '.usage.disk_bytes_max / 1024')" "$size" "size that lodge knows"
	is "$(lodge list -H -o id,disk-max 101 | xargs)" "101 64.0M" "list"
	is "$(vzlist -H -o diskspace,diskspace.h 101 | xargs)" "$used 65536" "vzlist"
	is "$(field 102 '.usage.disk_bytes')" null "use of one without limit"
	lodge stop --fast 101
	wait_for 10 no_loops
	is "$(field 101 '.usage.disk_bytes / 1024')" "$used" "use of a stopped one"
}

@test "root inside fills its disk: ENOSPC there, and nothing anywhere else" {
	ct 101 --disk 64M
	ct 102 --disk 64M
	run in_ct 101 dd if=/dev/zero of=/fill bs=1M
	like "$output" "No space left" "what dd says"
	run in_ct 101 sh -c 'echo more >/usr/more; cat /usr/more'
	[ "$(stat -c %b "$(image 101)")" -le $((64 * 1024 * 2)) ] || fail "the image is larger than its limit"
	in_ct 102 sh -c 'dd if=/dev/zero of=/room bs=1M count=20 2>/dev/null && rm /room'
	is "$(in_ct 101 sh -c 'rm /fill && echo again >/file && cat /file')" again "after it made room"
}

@test "what a guest deletes is given back to the host" {
	ct 101 --disk 128M
	local before after
	in_ct 101 sh -c 'dd if=/dev/zero of=/fill bs=1M count=60 2>/dev/null; sync'
	before=$(stat -c %b "$(image 101)")
	[ "$before" -gt $((60 * 1024 * 2)) ]
	in_ct 101 sh -c 'rm /fill; sync'
	gave_back() {
		in_ct 101 sync
		after=$(stat -c %b "$(image 101)")
		[ "$after" -lt $((before / 2)) ]
	}
	wait_for 30 gave_back || fail "blocks before: $before, now $after"
}

@test "an inode bomb stops at the container's own number of inodes" {
	ct 101 --disk 64M --inodes 2000
	ct 102 --disk 64M
	local left made
	made=$(in_ct 101 sh -c 'i=0; while true >/root/f$i; do i=$((i+1)); done 2>/dev/null; echo $i')
	[ "$made" -gt 1500 ] && [ "$made" -lt 2100 ] || fail "files made: $made"
	left=$(in_ct 101 df -iP / | awk 'NR == 2 { print $4 }')
	is "$left" 0 "inodes left inside"
	is "$(field 101 '.usage.disk_inodes == .usage.disk_inodes_max')" true "what lodge knows"
	in_ct 102 touch /root/file
}

@test "bad values are refused with one line and make nothing" {
	refused 21 "disk" lodge create 101 --template busybox --disk ten
	refused 21 "32768 KiB" lodge create 101 --template busybox --disk 1M
	refused 21 "inodes" lodge create 101 --template busybox --disk 1G --inodes 5
	refused 21 "--disk" lodge create 101 --template busybox --inodes 5000
	refused 21 "diskspace" vzctl create 101 --ostemplate busybox --diskspace 5
	is "$(lodge list -a --json)" "[]" "containers"
	[ ! -e "$LG_VAR/ct/101" ]
}

@test "vzctl's --diskspace is in KiB, the hard limit counts" {
	vzctl create 101 --ostemplate busybox --diskspace 65536:131072 >/dev/null
	is "$(stat -c %s "$(image 101)")" $((131072 * 1024)) "image"
	like "$(cat "$LG_ETC/ct/101.conf")" 'DISKSPACE="65536:131072"' "conf file"
	is "$(vzlist -aH -o diskspace.s,diskspace.h 101 | xargs)" "65536 131072" "vzlist"
}

@test "a running container's disk grows where the host allows it, and never shrinks" {
	ct 101 --disk 64M
	in_ct 101 sh -c 'echo kept >/root/file'
	if can_grow_mounted; then
		lodge set 101 --disk 256M
		read -r size _ _ <<<"$(df_inside 101)"
		[ "$size" -gt 200000 ] || fail "size inside: $size KiB"
		in_ct 101 dd if=/dev/zero of=/fill bs=1M count=150 2>/dev/null
		is "$(field 101 .settings.disk)" 256.0M "setting"
		in_ct 101 rm /fill
	else
		refused 32 "CAP_SYS_RESOURCE" lodge set 101 --disk 256M
		is "$(field 101 .settings.disk)" 64.0M "setting"
	fi
	refused 32 "stop it first" lodge set 101 --disk 40M
	refused 32 "stop it first" lodge set 101 --disk unlimited
	is "$(in_ct 101 cat /root/file)" kept "file"
}

@test "a stopped container's disk grows, shrinks, and keeps every kind of file" {
	ct 101 --disk 64M
	in_ct 101 sh -c 'cd /root; echo a >plain; ln plain hard; ln -s plain soft; mkfifo pipe
		chmod 4755 plain; chown 1000:1001 plain; mkdir -m 1777 dir; touch -d 2001-02-03 dir
		rm /bin/ls; rm -rf /var/spool; mkdir -p /var/spool; truncate -s 30M hole'
	facts() {
		in_ct "$1" sh -c 'cd /root; stat -c "%n %a %u:%g %h %F %s %Y" plain hard soft pipe dir hole
			ls -di plain hard | awk "{print \$1}" | uniq | wc -l
			cat soft; test -e /bin/ls || echo no ls; ls -A /var/spool | wc -l' 2>&1 |
			grep -v "not found" | sed 's/soft .*link .*/soft/'
	}
	local before after to
	before=$(facts 101)
	lodge stop 101
	for to in 256M 48M unlimited 80M; do
		lodge set 101 --disk "$to"
		lodge start 101 >/dev/null
		after=$(facts 101)
		is "$after" "$before" "files after --disk $to"
		lodge stop --fast 101
		is "$(find "$LG_VAR/ct/101" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs)" \
			"$([ "$to" = unlimited ] && echo upper work || echo disk.img)" "what is left of $to"
	done
	wait_for 10 no_loops || fail "loop devices: $(loops)"
}

@test "a disk too small for what is there is refused, says what is used, and loses nothing" {
	ct 101 --disk 128M
	in_ct 101 dd if=/dev/zero of=/root/fill bs=1M count=50 2>/dev/null
	lodge stop 101
	refused 46 "take 50" lodge set 101 --disk 40M
	# Above what is used, and yet too small with what a file system needs itself.
	refused 46 "do not fit" lodge set 101 --disk 52M
	is "$(field 101 .settings.disk)" 128.0M "setting"
	is "$(find "$LG_VAR/ct/101" -mindepth 1 -printf '%f\n')" disk.img "files"
	lodge start 101
	is "$(in_ct 101 stat -c %s /root/fill)" $((50 << 20)) "file"
}

@test "a container without limit gets one when it is stopped; a lie in its conf file is found" {
	ct 101
	in_ct 101 sh -c 'echo kept >/root/file'
	refused 32 "stop it first" lodge set 101 --disk 64M
	lodge stop 101
	echo 'DISKSPACE="65536:65536"' >>"$LG_ETC/ct/101.conf"
	refused 85 "lodge set 101 --disk" lodge start 101
	lodge set 101 --disk 64M
	lodge start 101
	is "$(in_ct 101 cat /root/file)" kept "file"
	[ "$(df_inside 101 | cut -d' ' -f1)" -le 65536 ]
}

@test "mount shows the files of a limited container, and start umounts it" {
	ct 101 --disk 64M
	in_ct 101 sh -c 'echo kept >/root/file'
	lodge stop 101
	local at
	at=$(lodge mount 101 | tail -n 1 | grep -o "/[^ ]*$")
	is "$(cat "$LG_VAR/root/101/root/file")" kept "file (at $at)"
	refused 41 "umount" lodge set 101 --disk 100M
	lodge umount 101
	is "$(loops)" "" "loop devices after umount"
	lodge mount 101 >/dev/null
	lodge start 101
	is "$(in_ct 101 cat /root/file)" kept "file"
	is "$(loops | wc -l)" 1 "loop devices when it runs"
}

@test "ssh keys reach a limited container, and destroy leaves no file and no loop device" {
	echo "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI$(printf 'A%.0s' {1..43}) me@here" >"$BATS_TEST_TMPDIR/key.pub"
	lodge create 101 --template busybox --disk 64M --ssh-key "$BATS_TEST_TMPDIR/key.pub"
	is "$(loops)" "" "loop devices after create"
	lodge start 101
	is "$(in_ct 101 cat /root/.ssh/authorized_keys)" "$(cat "$BATS_TEST_TMPDIR/key.pub")" "key"
	lodge destroy --force 101
	wait_for 10 trash_is_empty
	[ ! -e "$LG_VAR/ct/101" ]
	wait_for 10 no_loops || fail "loop devices after destroy: $(loops)"
}

layers_home() {
	lodged_down >/dev/null
	umount "$LG_VAR/ct"
	lodged_up
}

# An administrator mounts a disk there, for the customers alone.
@test "the folder of all layers may be a file system of its own" {
	local image="$BATS_TEST_TMPDIR/customers"
	destroy_all
	truncate --size 512M "$image"
	mkfs.ext4 -q -F "$image"
	lodged_down >/dev/null
	mount -o loop "$image" "$LG_VAR/ct"
	lodged_up
	lodge create 101 --template busybox
	lodge create 102 --template busybox --disk 64M
	lodge start 101
	lodge start 102
	in_ct 101 sh -c 'echo kept >/root/file'
	lodge restart 101
	is "$(in_ct 101 cat /root/file)" kept "file"
	lodge destroy --force 101
	lodge destroy --force 102
	in_its_trash() { find "$LG_VAR/ct/.trash" -mindepth 1; }
	gone() { [ -z "$(in_its_trash)" ]; }
	wait_for 10 gone || fail "in the trash: $(in_its_trash)"
	is "$(find "$LG_VAR/ct" -mindepth 1 ! -name lost+found ! -name .trash)" "" "what is left"
	layers_home
}

@test "a killed shim leaves no loop device, and the next start finds the files" {
	ct 101 --disk 64M
	in_ct 101 sh -c 'echo kept >/root/file; sync'
	kill -9 "$(field 101 .shim_pid)"
	is_stopped() { [ "$(field 101 .state)" = stopped ]; }
	wait_for 10 is_stopped
	wait_for 10 no_loops || fail "loop devices: $(loops)"
	wait_for 10 lodge start 101
	is "$(in_ct 101 cat /root/file)" kept "file"
}

@test "a killed daemon changes nothing for a limited container" {
	ct 101 --disk 64M
	lodged_down KILL >/dev/null
	lodged_up
	is "$(field 101 .state)" running "state"
	[ "$(field 101 .usage.disk_bytes_max)" -gt 50000000 ]
	in_ct 101 sh -c 'echo kept >/root/file'
	lodge stop 101
	wait_for 10 no_loops || fail "loop devices: $(loops)"
}

@test "a daemon killed while a disk is made anew: the old one stays, the rest is swept" {
	ct 101 --disk 256M
	in_ct 101 sh -c 'mkdir /root/d; i=0; while [ $i -lt 4000 ]; do echo $i >/root/d/$i; i=$((i+1)); done
		dd if=/dev/zero of=/root/fill bs=1M count=100 2>/dev/null'
	lodge stop 101
	lodge set 101 --disk 200M >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	local client=$!
	wait_for 10 test -e "$LG_VAR/ct/101/disk.img.new"
	lodged_down KILL >/dev/null
	ended "$client"
	[ "$ENDED" != 0 ]
	lodged_up
	[ ! -e "$LG_VAR/ct/101/disk.img.new" ]
	is "$(stat -c %s "$(image 101)")" $((256 << 20)) "size of its disk"
	is "$(field 101 .settings.disk)" 256.0M "setting"
	lodge start 101
	is "$(in_ct 101 sh -c 'ls /root/d | wc -l')" 4000 "files"
}

@test "lodge.conf gives a limit to those that name none" {
	echo 'DISKSPACE="98304:98304"' >>"$LG_ETC/lodge.conf"
	lodged_down >/dev/null
	lodged_up
	lodge create 101 --template busybox
	lodge create 102 --template busybox --disk unlimited
	sed -i '/DISKSPACE/d' "$LG_ETC/lodge.conf"
	lodged_down >/dev/null
	lodged_up
	is "$(field 101 .settings.disk)" 96.0M "of lodge.conf"
	is "$(stat -c %s "$(image 101)")" $((96 << 20)) "its image"
	is "$(field 102 .settings.disk)" unlimited "of one that wants none"
	[ ! -e "$(image 102)" ]
}

@test "folders for nested engines are below the limit, and move with the disk" {
	lodge create 101 --template busybox --feature nesting
	lodge start 101
	in_ct 101 sh -c 'echo inner >/var/lib/containers/file'
	lodge stop --fast 101
	lodge set 101 --disk 64M
	is "$(find "$LG_VAR/ct/101/plain" -type f)" "" "files beside the image"
	lodge start 101
	is "$(in_ct 101 cat /var/lib/containers/file)" inner "file after the move"
	run in_ct 101 dd if=/dev/zero of=/var/lib/containers/fill bs=1M
	like "$output" "No space left" "what dd says"
	is "$(field 101 '.usage.disk_bytes > 50000000')" true "counted"
	in_ct 101 rm /var/lib/containers/fill
	lodge stop --fast 101
	lodged_down >/dev/null
	lodged_up
	lodge start 101
	is "$(in_ct 101 cat /var/lib/containers/file)" inner "file after a new daemon"
	lodge stop --fast 101
	lodge set 101 --disk unlimited
	lodge start 101
	is "$(in_ct 101 cat /var/lib/containers/file)" inner "file after the way back"
	is "$(cat "$LG_VAR/ct/101/plain/containers/file")" inner "where it is now"
}

@test "every tmpfs inside has its own size and number of inodes" {
	ct 101
	local at size inodes
	for at in /dev /dev/shm /run; do
		size=$(in_ct 101 df -kP "$at" | awk 'NR == 2 { print $2 }')
		inodes=$(in_ct 101 df -iP "$at" | awk 'NR == 2 { print $2 }')
		[ "$size" -le $((64 * 1024)) ] || fail "$at has $size KiB"
		[ "$inodes" -le 131072 ] || fail "$at has $inodes inodes"
	done
	run in_ct 101 dd if=/dev/zero of=/run/fill bs=1M
	like "$output" "No space left" "what dd says"
}

@test "what goes into a tmpfs of the guest's own is its memory, the neighbour lives" {
	ct 101 --memory 48M
	ct 102
	in_ct 101 mount -t tmpfs -o size=100%,nr_inodes=0 none /mnt
	run in_ct 101 dd if=/dev/zero of=/mnt/fill bs=1M count=200
	[ "$status" != 0 ] || fail "200 MiB went into a tmpfs of a container with 48 MiB"
	[ "$(field 101 '.usage.memory_bytes // 0')" -le $((48 << 20)) ]
	in_ct 102 true
}

# with_conf LINE... : a daemon with these lines in lodge.conf
with_conf() {
	cp -p "$LG_ETC/lodge.conf" "$BATS_TEST_TMPDIR/conf"
	printf '%s\n' "$@" >>"$LG_ETC/lodge.conf"
	lodged_down >/dev/null
	lodged_up
	cp -p "$BATS_TEST_TMPDIR/conf" "$LG_ETC/lodge.conf"
}

@test "space is promised beyond what there is, or not: as lodge.conf says" {
	local free
	free=$(df -kP "$LG_VAR" | awk 'NR == 2 { print $4 }')
	lodge create 101 --template busybox --disk "$((free * 2))K"
	like "$(lodge doctor || test $? -eq 203)" "may still take" "doctor"
	lodge destroy 101 >/dev/null
	with_conf 'DISK_OVERCOMMIT="no"'
	refused 46 "not promised" lodge create 101 --template busybox --disk "$((free * 2))K"
	refused 46 "DISK_OVERCOMMIT" lodge create 101 --template busybox
	lodge create 101 --template busybox --disk "$((free / 3))K"
	lodge create 102 --template busybox --disk "$((free / 3))K"
	refused 46 "not promised" lodge create 103 --template busybox --disk "$((free / 3))K"
	refused 46 "not promised" lodge set 102 --disk "$((free * 9 / 10))K"
	with_conf "DISK_RESERVE=\"$((free * 2))K\""
	refused 46 "DISK_RESERVE" lodge create 103 --template busybox --disk 64M
	refused 46 "DISK_RESERVE" lodge start 101
	lodged_down >/dev/null
	lodged_up
	lodge start 101
}
