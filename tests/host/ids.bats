#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Ranges of ids: whose they are, where that is written, and when another container gets them.
# shellcheck disable=SC2154 # bats sets them

load lib

setup_file() {
	host_up 'ID_BASE="2900000000"' 'ID_COUNT="196608"' # three ranges
	need template busybox
}
teardown_file() { host_down; }
teardown() {
	tell_more
	destroy_all
	configure 'ID_BASE="2900000000"' 'ID_COUNT="196608"'
}

# The lines that count besides the address pool, which lodged found and wrote there.
configure() {
	local network
	network=$(grep '^NETWORK=' "$LG_ETC/lodge.conf")
	printf '%s\n' "$@" "$network" >"$LG_ETC/lodge.conf.new"
	if ! cmp -s "$LG_ETC/lodge.conf.new" "$LG_ETC/lodge.conf"; then
		mv "$LG_ETC/lodge.conf.new" "$LG_ETC/lodge.conf"
		lodged_down
		lodged_up
	fi
}

create() { # ID [OPTION]...
	lodge create "$1" --template busybox "${@:2}" >/dev/null
}

edit_conf() {
	sed -i "$2" "$LG_ETC/ct/$1.conf"
}

@test "a range is written in the conf file before anything runs, and stays over restarts" {
	create 101
	local base
	base=$(field 101 .id_base)
	grep -qx "LOCAL_UID=\"$base\"" "$LG_ETC/ct/101.conf"
	grep -qx "LOCAL_GID=\"$base\"" "$LG_ETC/ct/101.conf"
	lodge start 101
	lodged_down KILL
	lodged_up
	is "$(field 101 .id_base)" "$base" "with another daemon"
	lodge restart --fast 101
	is "$(awk '{ print $2 }' "/proc/$(init_pid 101)/uid_map")" "$base" "at the next start"
}

@test "no more ranges than are granted are given out, and none twice" {
	local id
	for id in 101 102 103; do
		create "$id"
	done
	is "$(for id in 101 102 103; do field "$id" .id_base; done | sort -u | paste -sd ' ')" \
		"2900000000 2900065536 2900131072" "ranges"
	refused 6 'all 3 id ranges from 2900000000 \(lodge.conf\) are in use' create 104
	wait_for 10 lodge destroy 102
	wait_for 10 create 104
	is "$(field 104 .id_base)" 2900065536 "the one that became free"
}

@test "a bad ID_BASE or ID_COUNT is named, and what runs goes on" {
	ct 101
	configure 'ID_BASE="1000"'
	refused 85 'ID_BASE in lodge.conf' create 102
	configure 'ID_BASE="2900000000"' 'ID_COUNT="1"'
	refused 85 'ID_COUNT in lodge.conf' create 102
	is "$(in_ct 101 echo here)" here "what runs"
	run -203 lodge doctor
	like "$output" 'ID_COUNT in lodge.conf' "doctor"
}

@test "without configuration another root's range is not the host's daemon's" {
	configure
	create 101
	[ "$(field 101 .id_base)" -ge $((0x80000000)) ]
}

@test "ids edited by hand so that they overlap are refused at start, naming both" {
	create 101 --name one
	create 102 --name two
	local base
	base=$(field 101 .id_base)
	edit_conf 102 "s/^LOCAL_UID=.*/LOCAL_UID=\"$((base + 65535))\"/; s/^LOCAL_GID=.*/LOCAL_GID=\"$((base + 65535))\"/"
	refused 85 "start 102 \(two\): .*ids from $((base + 65535)) .*overlap those of 101 \(one\), from $base" lodge start 102
	edit_conf 102 '/^LOCAL_[UG]ID=/d'
	lodge start 102
	lodge start 101
	is "$(grep -c ^LOCAL_UID= "$LG_ETC/ct/102.conf")" 1 "written again"
}

@test "a range that is none, or two different ones, is refused at start" {
	create 101
	edit_conf 101 's/^LOCAL_UID=.*/LOCAL_UID="none"/'
	refused 85 'LOCAL_UID in its conf file' lodge start 101
	edit_conf 101 's/^LOCAL_UID=.*/LOCAL_UID="1000"/'
	refused 85 'LOCAL_UID in its conf file' lodge start 101
	edit_conf 101 's/^LOCAL_UID=.*/LOCAL_UID="2900065536"/'
	refused 85 'LOCAL_UID is 2900065536 and LOCAL_GID is 2900000000' lodge start 101
}

@test "ids that are edited while it runs count at the next start, those it has until then" {
	ct 101
	edit_conf 101 's/^LOCAL_\([UG]\)ID=.*/LOCAL_\1ID="2900131072"/'
	lodged_down
	lodged_up
	create 102
	is "$(field 102 .id_base)" 2900065536 "the neighbour's: neither the old nor the new range"
	lodge restart --fast 101
	is "$(awk '{ print $2 }' "/proc/$(init_pid 101)/uid_map")" 2900131072 "the edited one"
}

@test "a range that was asked for must be nobody's" {
	create 101
	refused 85 'overlap those of 101' create 102 --id-base $((2900000000 - 1))
	refused 21 'id-base' create 102 --id-base 1000
	local user first
	user=$(awk -F : '$2 >= 65536 && $3 > 0 { print $1; exit }' /etc/subuid)
	[ -n "$user" ] || skip "nobody has an entry in /etc/subuid"
	first=$(awk -F : -v user="$user" '$1 == user { print $2; exit }' /etc/subuid)
	refused 21 "overlap the entry of '$user' in /etc/subuid" create 102 --id-base "$first"
}

@test "a range is not given away while files of its last owner are in the trash" {
	local id
	for id in 101 102 103; do
		create "$id"
	done
	# An immutable file keeps the trash from being emptied, over a restart of the daemon too.
	touch "$LG_VAR/ct/102/upper/stay"
	chattr +i "$LG_VAR/ct/102/upper/stay"
	lodge destroy 102
	run lodge create 104 --template busybox
	local first=$status
	lodged_down KILL
	lodged_up
	run lodge create 104 --template busybox
	find "$LG_VAR/trash" -name stay -exec chattr -i {} +
	is "$first" 6 "while it is there"
	is "$status" 6 "with another daemon"
	lodged_down
	lodged_up
	wait_for 20 trash_is_empty
	create 104
	is "$(field 104 .id_base)" 2900065536 "afterwards"
}
