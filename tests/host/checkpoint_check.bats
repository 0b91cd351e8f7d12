#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What cannot be suspended or moved is named by process, unit and reason; --feature checkpointable prevents it.
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
}

# become ID KIND: have a process of that kind there, which is init's child
become() {
	in_ct "$1" sh -c 'setsid undumpable "$0" </dev/null >"/run/$0" 2>&1 &' "$2"
	wait_for 10 in_ct "$1" test -s "/run/$2"
	is "$(in_ct "$1" cat "/run/$2")" ready "undumpable $2"
}

unbecome() {
	in_ct "$1" sh -c 'for p in $(pidof undumpable); do kill -9 $p; done
		for m in $(grep -o "/tmp/undumpable[^ ]*" /proc/mounts); do umount $m; done'
}

# kinds ID [LIST]: what is found, a word each, between blanks
kinds() {
	lodge checkpoint --check "$1" --json | jq -r "[.${2:-blockers}[].kind] | unique | join(\" \")" ||
		test "${PIPESTATUS[0]}" -eq 16
}

# names ID KIND WORD
names() {
	become "$1" "$2"
	is "$(kinds "$1")" "$3" "what is found of $2"
	unbecome "$1"
}

@test "an idle container can be checkpointed, and the command says so" {
	ct 101 --name web
	run -0 lodge checkpoint --check web
	is "$output" "101 (web) can be checkpointed." "what it says"
	is "$(lodge checkpoint --check 101 --json | jq -c '[.ctid, .name, .possible, .blockers]')" \
		'[101,"web",true,[]]' "as JSON"
}

@test "namespaces within the container's are named, mount namespaces are none of them" {
	ct 101
	put_helper 101 undumpable
	names 101 userns user-namespace
	names 101 utsns uts-namespace
	names 101 ipcns ipc-namespace
	names 101 netns net-namespace
	names 101 pidns pid-namespace
	names 101 cgroupns cgroup-namespace
	names 101 ns-fd namespace-descriptor
	names 101 nsfs namespace-mount
	names 101 mntns ""
}

@test "a namespace that a mount keeps is named, also where the host keeps one itself" {
	ct 101
	put_helper 101 undumpable
	local kept=$BATS_TEST_TMPDIR/ns
	: >"$kept"
	mount --bind /proc/self/ns/net "$kept"
	become 101 nsfs
	local found
	found=$(kinds 101)
	umount "$kept"
	is "$found" namespace-mount "what is found of nsfs"
	unbecome 101
}

@test "objects of the kernel that CRIU does not know are named" {
	ct 101 --feature fuse,tun,io_uring,userfaultfd
	put_helper 101 undumpable
	names 101 io_uring io_uring
	names 101 userfaultfd userfaultfd
	names 101 listener seccomp-listener
	names 101 fscontext kernel-object
	names 101 fuse-dev device
	names 101 fuse "device file-system"
	names 101 path-socket path-socket
	names 101 packet-pipe packet-pipe
	names 101 cork corked-socket
	names 101 foreign-unix foreign-socket
	names 101 foreign-tcp foreign-socket
	names 101 ghost deleted-file
	for kind in tun-dev null-dev ptmx raw tcp unix netlink packet pidfd small-ghost tmpfs zombie; do
		names 101 "$kind" ""
	done
}

@test "processes in a state that cannot be dumped are named" {
	ct 101
	put_helper 101 undumpable
	names 101 traced traced
	names 101 ended-leader dead-leader
	names 101 vfork hangs
}

@test "the process, what it has and the remedy are told; the exit status is 16; nothing is touched" {
	ct 101
	put_helper 101 undumpable
	become 101 packet-pipe
	local pid
	pid=$(in_ct 101 pidof undumpable)
	run -16 lodge checkpoint --check 101
	like "$output" '^101 cannot be checkpointed:' "the first line"
	like "$output" "1\. undumpable \(process $pid, here [0-9]+\): it has a pipe that keeps" "the process"
	like "$output" '\(descriptor 4\)' "what it has"
	like "$output" '-> stop it' "the remedy"
	is "$(in_ct 101 pidof undumpable)" "$pid" "it goes on"
	is "$(lodge checkpoint --check 101 --json | jq -r '.blockers[0] | [.process, .inside_pid, .count] | join(" ")')" \
		"undumpable $pid 1" "as JSON"
}

@test "a session from outside is a note, and so is a ramfs" {
	ct 101
	put_helper 101 undumpable
	"$LG_LODGE" exec 101 -- sleep 60 3>&- &
	wait_for 10 in_ct 101 pidof sleep
	is "$(kinds 101 notes)" session "notes"
	is "$(kinds 101)" "" "blockers"
	kill $!
	ended $!
	session_is_over() { [ -z "$(kinds 101 notes)" ]; }
	wait_for 10 session_is_over
	become 101 ramfs
	is "$(kinds 101 notes)" ramfs "notes"
}

@test "what CRIU loses without a word is told, with its process and the remedy, and stops nothing" {
	ct 101
	put_helper 101 undumpable
	local kind
	while read -r kind word; do
		become 101 "$kind"
		is "$(kinds 101 notes)" "$word" "notes of $kind"
		run -0 lodge checkpoint --check 101
		unbecome 101
	done <<-END
		unaccepted accept-queue
		personality personality
		eventfd
	END
	# Linux 6.5 and newer say which eventfd is one.
	become 101 semaphore
	local pid
	pid=$(pidof undumpable)
	if grep -q '^eventfd-semaphore:' /proc/"${pid%% *}"/fdinfo/3; then
		is "$(kinds 101 notes)" eventfd-semaphore "notes of a semaphore"
		run -0 lodge checkpoint --check 101
		like "$output" '^101 can be checkpointed' "the first line"
		like "$output" 'Will not come back:.*undumpable \(process [0-9]+, here [0-9]+\): it has an eventfd' "its line"
		is "$(lodge checkpoint --check 101 --json | jq -c '[.notes[] | .lost]')" '[true]' "as JSON"
	fi
	unbecome 101
}

@test "what does not run, or is not there, cannot be looked at; without --check nothing is done" {
	lodge create 101 --template busybox >/dev/null
	refused 31 '101 is not running' lodge checkpoint --check 101
	refused 14 "no instance 'nosuch'" lodge checkpoint --check nosuch
	refused 20 'say --check' lodge checkpoint 101
}

@test "a large container does not keep the daemon waiting" {
	ct 101
	in_ct 101 sh -c 'i=0; while [ $i -lt 500 ]; do sleep 300 & i=$((i + 1)); done; exit 0' </dev/null >/dev/null 2>&1
	lodge checkpoint --check 101 --json >"$BATS_TEST_TMPDIR/answer" 3>&- &
	local worst=0 begin took
	while kill -0 $! 2>/dev/null; do
		begin=${EPOCHREALTIME/[.,]/}
		lodge status 101 >/dev/null
		took=$((${EPOCHREALTIME/[.,]/} - begin))
		[ "$took" -le "$worst" ] || worst=$took
	done
	ended $!
	is "$ENDED" 0 "the check"
	[ "$(jq .processes "$BATS_TEST_TMPDIR/answer")" -ge 500 ]
	echo "# the daemon answered others within $((worst / 1000)) ms" >&3
	[ "$worst" -lt 2000000 ]
}

@test "checkpointable and nesting exclude each other at create, at set and in a conf file" {
	refused 21 'checkpointable and nesting exclude each other' \
		lodge create 101 --template busybox --feature nesting,checkpointable
	ct 101 --feature checkpointable
	refused 21 'checkpointable and nesting exclude each other' \
		lodge set 101 --feature checkpointable,nesting
	lodge stop --fast 101
	sed -i 's/^FEATURES=.*/FEATURES="nesting:on checkpointable:on"/' "$LG_ETC/ct/101.conf"
	refused 21 'checkpointable and nesting exclude each other' lodge start 101
	sed -i 's/^FEATURES=.*/FEATURES="checkpointable:on"/' "$LG_ETC/ct/101.conf"
	lodge start 101
}

@test "a checkpointable container is refused what cannot be dumped" {
	ct 101 --feature checkpointable
	put_helper 101 undumpable
	is "$(field 101 .settings.feature)" "checkpointable:on" "show"
	local kind
	for kind in userns utsns ipcns netns pidns cgroupns timens; do
		is "$(in_ct 101 undumpable "$kind" || test $? -eq 1)" "$kind: EPERM" "$kind"
	done
	is "$(in_ct 101 undumpable io_uring || test $? -eq 1)" "io_uring: ENOSYS" "io_uring"
	is "$(in_ct 101 undumpable secretmem || test $? -eq 1)" "secretmem: ENOSYS" "secret memory"
	is "$(in_ct 101 undumpable mptcp || test $? -eq 1)" "mptcp: EPROTONOSUPPORT" "mptcp"
	names 101 mntns ""
}

@test "a template may give its containers the feature, and what they are told themselves counts more" {
	local own=$LG_VAR/templates/dumpable
	mkdir -p "$own/rootfs"
	sed 's/^NAME=.*/NAME="dumpable"/' "$LG_VAR/templates/busybox/manifest" >"$own/manifest"
	echo 'FEATURES="checkpointable"' >>"$own/manifest"
	lodge create 101 --template dumpable >/dev/null
	is "$(field 101 .settings.feature)" checkpointable:on "nothing said"
	lodge create 102 --template dumpable --feature fuse >/dev/null
	is "$(field 102 .settings.feature)" "fuse:on checkpointable:on" "another feature"
	lodge create 103 --template dumpable --feature nesting >/dev/null
	is "$(field 103 .settings.feature)" nesting:on "one that it excludes"
	lodge create 104 --template dumpable --feature checkpointable:off >/dev/null
	is "$(field 104 .settings.feature)" checkpointable:off "off"
	sed -i 's/^FEATURES=.*/FEATURES="warp"/' "$own/manifest"
	refused 21 "FEATURES of template dumpable: 'warp' is no feature" lodge create 105 --template dumpable
	destroy_all
	rm -r "$own"
}

# units ID SETTING...: a service for each in the guest, and one with all; all of them start
units() {
	local id=$1 setting n=0
	shift
	for setting; do
		n=$((n + 1))
		in_ct "$id" sh -c 'printf "[Service]\nType=exec\n%b\nExecStart=/bin/sleep 1000\n" "$1" >"/etc/systemd/system/boxed$0.service"' "$n" "$setting"
	done
	in_ct "$id" systemctl daemon-reload
	in_ct "$id" sh -c 'systemctl start $(cd /etc/systemd/system && echo boxed*)'
	is "$(in_ct "$id" sh -c 'systemctl is-active $(cd /etc/systemd/system && echo boxed*)' | sort -u)" active "units"
	is "$(in_ct "$id" systemctl --failed --no-legend)" "" "failed units"
}

ONE_EACH=(ProtectHostname=yes PrivateIPC=yes PrivateNetwork=yes PrivateUsers=yes ProtectControlGroups=yes)
ALL_OF_THEM=$(printf '%s\\n' "${ONE_EACH[@]}" PrivateTmp=yes ProtectSystem=strict PrivateDevices=yes)

stays_dumpable() {
	need template "$1"
	lodge create 201 --template "$1" --memory 512M --ip auto --feature checkpointable
	lodge start --wait 201
	is "$(in_ct 201 systemctl is-system-running)" running "systemd's word"
	units 201 "${ONE_EACH[@]}" "$ALL_OF_THEM" "${@:2}"
	is "$(kinds 201)" "" "blockers: $(lodge checkpoint --check 201 || test $? -eq 16)"
	is "$(in_ct 201 journalctl -b --grep "zz-lodge-checkpointable.*(Unknown|Failed)" --quiet || test $? -eq 1)" \
		"" "complaints about the drop-in"
}

@test "debian-13, checkpointable: sandboxed units all start and nothing is in the way" {
	stays_dumpable debian-13 PrivatePIDs=yes ProtectControlGroups=private ProtectControlGroups=strict
}

@test "debian-12, checkpointable: sandboxed units all start and nothing is in the way" {
	stays_dumpable debian-12
}

@test "debian-13 without the feature: each unit with a namespace of its own is named" {
	need template debian-13
	lodge create 201 --template debian-13 --memory 512M --ip auto
	lodge start --wait 201
	units 201 "${ONE_EACH[@]}" PrivateTmp=disconnected
	local unit kind
	while read -r unit kind; do
		lodge checkpoint --check 201 --json | jq -e --arg unit "$unit" --arg kind "$kind" \
			'any(.blockers[]; .unit == $unit and .kind == $kind and .process == "sleep")' >/dev/null ||
			fail "$kind of $unit is not named: $(lodge checkpoint --check 201)"
	done <<-END
		boxed1.service uts-namespace
		boxed2.service ipc-namespace
		boxed3.service net-namespace
		boxed4.service user-namespace
		boxed6.service bind-mount
	END
	is "$(lodge checkpoint --check 201 --json |
		jq -r '.blockers[] | select(.unit == "systemd-logind.service") | .kind')" uts-namespace "logind"
}
