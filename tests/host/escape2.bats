#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# As much as one can take of everything: it ends somewhere, the neighbour goes on and the host is well.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up 'CONNECTIONS="400"'
	need template busybox
	ct 102 --memory 128M --tasks 200 --ip auto
	put_helper 102 attack
}
teardown_file() { host_down; }

setup() {
	ct 101 --memory 96M --swap 0 --tasks 150 --ip auto
	put_helper 101 attack
	put_probe 101
	start_beat
}

teardown() {
	tell_more
	exec 7>&- 8>&-
	# What hundreds of its network namespaces leave takes the kernel a while.
	wait_for 120 destroyed
}

destroyed() {
	lodge destroy --force 101 >/dev/null
}

# The neighbour does something fifty times a second, and says at the end how it went.
start_beat() {
	mkfifo "$BATS_TEST_TMPDIR/beat.in"
	lodge exec 102 -- attack beat /root/beat <"$BATS_TEST_TMPDIR/beat.in" >"$BATS_TEST_TMPDIR/beat" 3>&- &
	BEAT=$!
	exec 7>"$BATS_TEST_TMPDIR/beat.in"
	wait_for 10 grep -q beating "$BATS_TEST_TMPDIR/beat"
}

# neighbour_is_well WHAT: it has not failed once; the worst it took is told, not judged
neighbour_is_well() {
	local beats
	exec 7>&-
	wait "$BEAT"
	beats=$(tail -n 1 "$BATS_TEST_TMPDIR/beat")
	like "$beats" '^[1-9][0-9]* beats, 0 failed' "the neighbour"
	echo "# $1: neighbour: $beats" >&3
	is "$(lodge exec 102 -- echo alive </dev/null)" alive "the neighbour, entered"
}

# One whose memory is used up by what belongs to no process loses its init in the end; the loss is its own.
up_again() {
	[ "$(field 101 .state)" = running ] || lodge start 101 >/dev/null
}

# take WHAT N [ARG]: hold as much as one gets, at most N; sets GOT, 0 where it could not say, and WHY: an error, or
# "killed", or "stuck" when its memory is full of what cannot be taken back. The kernel then takes the last pages of
# its programs and reads them again, over and over, for seconds or, emulated, many minutes before it kills.
take() {
	local before
	up_again
	before=$(kills)
	cgroup_dir memory 101
	FULL_SINCE=
	mkfifo "$BATS_TEST_TMPDIR/take.in"
	lodge exec 101 -- attack "$@" <"$BATS_TEST_TMPDIR/take.in" >"$BATS_TEST_TMPDIR/take" 2>&1 3>&- 7>&- &
	TAKER=$!
	exec 8>"$BATS_TEST_TMPDIR/take.in"
	wait_for 400 taken || fail "neither an end nor a refusal: $(cat "$BATS_TEST_TMPDIR/take")"
	GOT=0 WHY=stuck
	! is_no_more "$TAKER" || WHY=killed
	[ ! -s "$BATS_TEST_TMPDIR/take" ] || read -r GOT WHY <"$BATS_TEST_TMPDIR/take"
	[ "$WHY" != killed ] || wait_for 10 killed_since "$before" || fail "it ended, but not for its memory"
	echo "# $1${3:+ }${3:-}: $GOT, then $WHY" >&3
}

taken() {
	[ -s "$BATS_TEST_TMPDIR/take" ] || is_no_more "$TAKER" || is_full
}

kills() {
	lodge ubc 101 --json | jq '.[0].counters[] | select(.resource == "oomguarpages") | .failcnt'
}

killed_since() {
	[ "$(kills)" -gt "$1" ]
}

# Within half a MiB of its memory, at every look for three seconds?
is_full() {
	local used limit
	if [ "$CG_VERSION" = 2 ]; then
		read -r used <"$CG/memory.current" && read -r limit <"$CG/memory.max"
	else
		read -r used <"$CG/memory.usage_in_bytes" && read -r limit <"$CG/memory.limit_in_bytes"
	fi 2>/dev/null || return 1
	[ "$used" -le "$limit" ] || fail "$used bytes of $limit"
	[ "$used" -ge $((limit - (512 << 10))) ] || { FULL_SINCE= && return 1; }
	: "${FULL_SINCE:=$SECONDS}"
	[ $((SECONDS - FULL_SINCE)) -ge 4 ]
}

let_go() {
	exec 8>&-
	[ "$WHY" != stuck ] || timeout 60 "$LG_LODGE" stop --fast 101
	wait "$TAKER" || [ $? -ne 124 ]
	rm -f "$BATS_TEST_TMPDIR/take.in" "$BATS_TEST_TMPDIR/take"
}

# The neighbour gets NUMBER of the same.
neighbour_gets() {
	is "$(lodge exec 102 -- attack "$@" </dev/null)" "$2 -" "what is left of $1 for the neighbour"
}

host_is_well() {
	lodge list >/dev/null
	sh -c : && [ -n "$(mktemp -u)" ]
	: >"$BATS_TEST_TMPDIR/file"
}

at_its_tasks() {
	[ "$(cgroup_value pids 101 pids.current pids.current)" -ge 149 ]
}

@test "a fork bomb ends at its tasks" {
	# Forks that fail take memory too until the kernel has cleaned up behind them.
	lodge set 101 --memory 512M >/dev/null
	lodge exec 101 -- attack forkbomb </dev/null >/dev/null 2>&1 3>&- 7>&- &
	local bomb=$! tasks
	wait_for 20 at_its_tasks
	sleep 2
	tasks=$(cgroup_value pids 101 pids.current pids.current)
	[ "$tasks" -le 150 ] || fail "$tasks tasks"
	host_is_well
	neighbour_is_well "fork bomb ($tasks tasks)"
	timeout 30 "$LG_LODGE" stop --fast 101
	wait "$bomb" || true
	lodge start 101
}

@test "a memory bomb is killed inside" {
	run in_ct 101 probe hog $((512 << 20))
	is "$status" 137 "the bomb"
	host_is_well
	neighbour_is_well "memory bomb"
}

@test "many memory bombs at once are killed inside" {
	local i
	for i in 1 2 3 4 5 6; do
		lodge exec 101 -- sh -c 'probe hog 80000000; true' </dev/null >/dev/null 2>&1 3>&- 7>&- &
	done
	sleep 2
	host_is_well
	neighbour_is_well "memory bombs"
	lodge stop --fast 101
	wait
	lodge start 101
}

@test "bytes in every tmpfs are its memory, or the file system is full" {
	local dir
	for dir in /run /dev /dev/shm; do
		take bytes 100000 "$dir/big"
		[ "$GOT" -lt 1600 ] || fail "$((GOT * 64)) KiB in $dir"
		let_go
		in_ct 101 rm -f "$dir/big"
	done
	up_again
	in_ct 101 sh -c 'mkdir -p /mnt/t && mount -t tmpfs -o size=10G none /mnt/t'
	take bytes 100000 /mnt/t/big
	[ "$GOT" -lt 1600 ] || fail "$((GOT * 64)) KiB in a tmpfs of its own"
	let_go
	host_is_well
	neighbour_is_well "tmpfs"
}

@test "inodes in every tmpfs are its memory, or the file system is full" {
	local dir
	lodge set 101 --memory 32M >/dev/null
	for dir in /run /dev /dev/shm /mnt/t; do
		in_ct 101 sh -c 'mkdir -p /mnt/t && mount -t tmpfs -o nr_inodes=0 none /mnt/t'
		take files 300000 "$dir"
		[ "$GOT" -lt 300000 ] || fail "$GOT files in $dir"
		let_go
		lodge restart --fast 101 >/dev/null
	done
	host_is_well
	neighbour_is_well "inodes"
}

@test "inotify instances and watches are counted for each container alone" {
	local max
	max=$(</proc/sys/fs/inotify/max_user_instances)
	take inotify $((max + 100))
	[ "$GOT" -le "$max" ]
	neighbour_gets inotify 20
	# The host's root has his own.
	helper attack
	is "$("$HELPER" inotify 5 </dev/null)" "5 -" "the host"
	let_go
	neighbour_is_well "inotify"
}

@test "terminals of its /dev/pts end where its mount says; the neighbour and the host have theirs" {
	take ptys 2000 /dev/pts
	[ "$GOT" -le 1024 ] || fail "$GOT terminals"
	neighbour_gets ptys 20 /dev/pts
	like "$(on_a_terminal "$LG_LODGE exec -t 102 -- tty")" /dev/pts/ "the neighbour's session"
	like "$(on_a_terminal tty)" /dev/pts/ "a terminal of the host's"
	let_go
	neighbour_is_well "terminals"
}

@test "keys of the kernel cannot be made" {
	is "$(lodge exec 101 -- attack keys 10 </dev/null)" "0 ENOSYS" "keys"
	neighbour_is_well "keys"
}

@test "message queues, shared memory and pipes end at its limits" {
	take mqueues 20000
	[ "$GOT" -lt 20000 ]
	neighbour_gets mqueues 5
	let_go
	take shm 2000
	[ "$GOT" -lt 100 ] || fail "$GOT MiB of shared memory"
	let_go
	lodge restart --fast 101 >/dev/null
	take pipes 20000
	[ "$GOT" -lt 20000 ]
	neighbour_gets pipes 20
	let_go
	host_is_well
	neighbour_is_well "queues, shared memory, pipes"
}

@test "timers, queued signals, watched files, open files and locks end at its limits" {
	local what
	for what in "timers 1000000" "signals 1000000" "epoll 1000000" "opens 1000000 /etc/passwd"; do
		# shellcheck disable=SC2086 # words
		take $what
		[ "$GOT" -lt 1000000 ] || fail "no end of $what"
		# shellcheck disable=SC2086
		neighbour_gets ${what%% *} 50 ${what##*1000000}
		let_go
	done
	host_is_well
	neighbour_is_well "timers, signals, files"
}

@test "namespaces and mounts end at its limits, and leave the neighbour his" {
	local kind
	lodge set 101 --memory 32M >/dev/null
	for kind in uts net mnt; do
		take namespaces 20000 "$kind"
		[ "$GOT" -lt 20000 ] || fail "$GOT $kind namespaces"
		neighbour_gets namespaces 10 "$kind"
		let_go
	done
	up_again
	in_ct 101 mkdir -p /mnt/m
	take tmpfs 200000 /mnt/m
	[ "$GOT" -lt 200000 ] || fail "$GOT mounts"
	let_go
	host_is_well
	lodge stop --fast 101
	neighbour_is_well "namespaces and mounts"
}

@test "cgroups of its own are bounded" {
	take cgroups 100000 /sys/fs/cgroup
	[ "$GOT" -lt 5000 ] || fail "$GOT cgroups"
	neighbour_gets cgroups 10 /sys/fs/cgroup
	let_go
	lodge stop --fast 101
	neighbour_is_well "cgroups"
}

@test "bytes and inodes of its disk end where its limits are" {
	lodge create 103 --template busybox --disk 48M --inodes 4096 --memory 96M --tasks 100 >/dev/null
	lodge start 103 >/dev/null
	put_helper 103 attack
	local got
	got=$(lodge exec 103 -- attack bytes 100000 /root/big </dev/null)
	like "$got" '^[0-9]+ ENOSPC$' "bytes"
	[ "${got% *}" -lt 800 ] || fail "$((${got% *} * 64)) KiB"
	in_ct 103 rm -f /root/big
	got=$(lodge exec 103 -- attack files 100000 /root </dev/null)
	like "$got" '^[0-9]+ ENOSPC$' "inodes"
	[ "${got% *}" -le 4096 ] || fail "${got% *} files"
	host_is_well
	lodge destroy --force 103
	neighbour_is_well "disk"
}

# Packets that were dropped because their address had enough connections.
dropped_flows() {
	nft list chain inet "$LG_TABLE" flows | awk '/flows4/ { for (i = 1; i < NF; i++) if ($i == "packets") print $(i + 1) }'
}

@test "connections of one address do not fill the host's table" {
	local world=${LG_TAG}w dropped
	# A way out that ends here: addresses for documentation, behind a bridge without ports.
	ip link add "$world" type bridge
	ip link set "$world" up
	ip route add 203.0.113.0/24 dev "$world"
	lodge exec 101 -- attack flows 3000 0xcb007105 </dev/null
	dropped=$(dropped_flows)
	[ "$dropped" -ge 2500 ] || fail "$dropped of 3000 were dropped"
	lodge exec 102 -- attack flows 300 0xcb007105 </dev/null
	is "$(dropped_flows)" "$dropped" "of the neighbour's"
	is "$(in_ct 102 ping -c 1 -W 2 "$(in_ct 102 ip route | awk '$1 == "default" { print $3 }')" | grep -c ' 0% packet loss')" 1 "the neighbour's ping"
	ip link del "$world"
	host_is_well
	neighbour_is_well "connections"
}

@test "a bad CONNECTIONS is named" {
	cp "$LG_ETC/lodge.conf" "$BATS_TEST_TMPDIR/conf"
	sed -i 's/^CONNECTIONS=.*/CONNECTIONS="many"/' "$LG_ETC/lodge.conf"
	exec 7>&-
	wait "$BEAT"
	lodged_down
	run timeout 20 "$LG_LODGED" --root "$LODGE_ROOT"
	local said=$output
	cp "$BATS_TEST_TMPDIR/conf" "$LG_ETC/lodge.conf"
	lodged_up
	[ "$status" -ne 0 ]
	like "$said" "CONNECTIONS in lodge.conf: 'many'" "what it says"
}
