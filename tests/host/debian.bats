#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Whole Debian systems: systemd boots, nothing fails, packages install, it stops by itself.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() { host_up; }
teardown_file() { host_down; }
teardown() {
	tell_more
	destroy_all
}

boots() {
	need template "$1"
	lodge create 201 --template "$1" --name deb --memory 512M --cpus 1 --ip auto
	lodge start --wait 201
	run in_ct 201 systemctl is-system-running
	is "$output" running "systemd's word ($(in_ct 201 systemctl --failed --no-legend || test $? -eq 1))"
	is "$(in_ct 201 systemctl --failed --no-legend)" "" "failed units"
}

@test "debian-13 boots to running with no failed unit, start --wait waits for it" {
	boots debian-13
}

@test "debian-12 boots to running with no failed unit, start --wait waits for it" {
	boots debian-12
}

@test "debian-13: ps, uptime, systemd and the timers agree when it started" {
	local began=$EPOCHSECONDS now
	boots debian-13
	now=$EPOCHSECONDS
	between() { [ "$1" -ge $((began - 1)) ] && [ "$1" -le $((now + 1)) ] || fail "$2: $1 is not in $began..$now"; }
	between "$(in_ct 201 sh -c 'date -d "$(ps -o lstart= -p 1)" +%s')" "ps"
	between "$(in_ct 201 sh -c 'date -d "$(uptime -s)" +%s')" "uptime"
	between "$(in_ct 201 sh -c 'date -d "$(systemctl show --value -p UserspaceTimestamp)" +%s')" "systemd"
	[ "$(in_ct 201 ps -o etimes= -p 1)" -le $((EPOCHSECONDS - began + 1)) ]
	[ "$(in_ct 201 systemctl show --value -p UserspaceTimestampMonotonic)" -le $(((now - began + 1) * 1000000)) ]
	in_ct 201 systemd-run --on-boot=1 --unit=soon true
	in_ct 201 systemd-run --on-active=1 --timer-property=AccuracySec=100ms --unit=later touch /root/later
	wait_for 10 in_ct 201 test -e /root/later
}

@test "debian-13 stops by itself within its timeout, on its own" {
	boots debian-13
	in_ct 201 sh -c 'printf "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/sh -c \"echo ended >/root/ended\"\n" >/etc/systemd/system/mark.service; systemctl start mark'
	local begin=$SECONDS
	run lodge stop 201
	is "$status" 0 "status: $output"
	[[ $output != *kill* ]]
	[ $((SECONDS - begin)) -le 30 ] || fail "it took $((SECONDS - begin)) s"
	is "$(cat "$LG_VAR/ct/201/upper/root/ended")" ended "its services were stopped"
}

@test "debian-13: a reboot from inside comes up again with another init" {
	boots debian-13
	local pid
	pid=$(init_pid 201)
	in_ct 201 systemctl reboot
	rebooted() { [ "$(field 201 .state)" = running ] && [ "$(init_pid 201)" != "$pid" ]; }
	wait_for 60 rebooted
	is_up() { [ "$(in_ct 201 systemctl is-system-running)" = running ]; }
	wait_for 60 is_up
}

@test "debian-13: enter gives root's login shell" {
	need tool script
	boots debian-13
	mkfifo "$BATS_TEST_TMPDIR/keys"
	(sleep 2; printf 'echo I-am-$(id -un)-in-$(hostname)\nexit 6\n'; sleep 2) >"$BATS_TEST_TMPDIR/keys" 3>&- &
	run script -qec "$LG_LODGE enter deb" /dev/null <"$BATS_TEST_TMPDIR/keys"
	is "$status" 6 "status: $output"
	like "$output" 'I-am-root-in-' "what the shell said"
}

@test "debian-13: the console has a login prompt" {
	need tool script
	boots debian-13
	prompted() { grep -aq 'login:' "$LG_VAR/log/console/201.log"; }
	wait_for 20 prompted
}

@test "debian-13: its memory limit is what systemd and free see or the kernel holds" {
	boots debian-13
	is "$(cgroup_value memory 201 memory.max memory.limit_in_bytes)" $((512 << 20)) "limit"
	in_ct 201 systemd-run --wait --pipe -p MemoryMax=64M true
}

# What free says, and that sandboxed services, whose mount namespaces and proc are their own, can read theirs
# (that of systemd 252 is the kernel's from the start).
sees_limit() {
	[ "$(in_ct 201 free --kibi | awk '$1 == "Mem:" { print $2 }')" = 524288 ] &&
		in_ct 201 sh -c 'own=$(readlink /proc/1/ns/mnt)
			for p in /proc/[0-9]*; do
				[ "$(readlink "$p/ns/mnt")" = "$own" ] ||
					nsenter -t "${p#/proc/}" -m grep -q "$0" /proc/meminfo || exit 1
			done' "$1"
}

sees_limit_by_another() {
	[ "$(cat "$LG_RUN"/lxcfs/*.pid)" != "$1" ] && sees_limit "$2"
}

proc_tells_limits() {
	need tool lxcfs
	boots "$1"
	local old
	wait_for 10 sees_limit "$2"
	old=$(cat "$LG_RUN"/lxcfs/*.pid)
	kill -KILL "$old"
	wait_for 30 sees_limit_by_another "$old" "$2"
	[ "$(in_ct 201 cut -d. -f1 /proc/uptime)" -le $((SECONDS + 5)) ]
}

@test "debian-13: free and sandboxed services see the limits, also when lxcfs was killed" {
	proc_tells_limits debian-13 " 524288 kB"
}

@test "debian-12: free and sandboxed services see the limits, also when lxcfs was killed" {
	proc_tells_limits debian-12 ^MemTotal
}

@test "debian-13: the file system is writable and owned by its own root" {
	boots debian-13
	in_ct 201 sh -c 'useradd -m tester && su tester -c "touch ~/x && id -un"'
	is "$(stat -c %u "$LG_VAR/ct/201/upper/home/tester")" 1000 "owner on disk"
}

# Each directive alone, and all together; what the unit prints is read back, so that it did run.
sandboxed() {
	boots "$1"
	run in_ct 201 sh -c '
	set -- ProtectSystem=strict ProtectHome=tmpfs PrivateTmp=yes PrivateDevices=yes PrivateNetwork=yes PrivateUsers=yes \
		PrivateIPC=yes PrivateMounts=yes ProtectHostname=yes ProtectKernelTunables=yes ProtectKernelModules=yes \
		ProtectKernelLogs=yes ProtectControlGroups=yes ProtectClock=yes ProtectProc=invisible ProcSubset=pid \
		DynamicUser=yes NoNewPrivileges=yes RestrictNamespaces=yes RestrictSUIDSGID=yes RestrictRealtime=yes \
		RestrictAddressFamilies=AF_UNIX LockPersonality=yes MemoryDenyWriteExecute=yes KeyringMode=private \
		SystemCallFilter=@system-service IPAddressDeny=any DeviceAllow=/dev/null MemoryMax=64M TasksMax=50 CPUQuota=50% \
		LoadCredential=host:/etc/hostname SetCredential=text:words StateDirectory=lg RuntimeDirectory=lg LogsDirectory=lg \
		TemporaryFileSystem=/srv InaccessiblePaths=/boot ReadOnlyPaths=/etc BindReadOnlyPaths=/etc/hostname:/srv/name
	unit() {
		printf "[Service]\nType=oneshot\nExecStart=/bin/echo ran-$1\n%b" "$2" >"/run/systemd/system/lg$1.service"
	}
	n=0 all=
	for line in "$@"; do
		n=$((n + 1)) all="$all$line\n"
		unit "$n" "$line\n"
	done
	unit 0 "$all"
	systemctl daemon-reload
	for i in $(seq 0 "$n"); do
		systemctl start "lg$i" 2>/dev/null || cat "/run/systemd/system/lg$i.service"
	done
	journalctl --sync
	for i in $(seq 0 "$n"); do
		journalctl -o cat -u "lg$i" | grep -qx "ran-$i" || echo "lg$i did not run"
	done'
	is "$status $output" "0 " "units that do not run"
	is "$(in_ct 201 systemctl --failed --no-legend)" "" "failed units"
}

@test "debian-13: sandboxed units run" {
	sandboxed debian-13
}

@test "debian-12: sandboxed units run" {
	sandboxed debian-12
}

@test "debian-13: its systemd may limit its own units, and not raise what limits it" {
	boots debian-13
	local controllers limit
	controllers=$(in_ct 201 cat /sys/fs/cgroup/cgroup.controllers)
	run -0 in_ct 201 systemd-run -q --wait --pipe -p MemoryMax=64M -p TasksMax=20 sh -c \
		'at=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup); cat $at/memory.max $at/pids.max 2>/dev/null; echo "in $at"'
	like "$output" 'in /sys/fs/cgroup/system.slice/' "the unit's own cgroup"
	# On hybrid hosts these controllers are on other hierarchies, which guests do not see.
	[[ " $controllers " != *" memory "* ]] || like "$output" $'^67108864\n20\n' "the unit's limits"
	for limit in memory.max memory.high pids.max cpu.max cgroup.max.descendants cgroup.freeze cgroup.kill; do
		run in_ct 201 sh -c "echo 1 >/sys/fs/cgroup/$limit"
		[ "$status" -ne 0 ] || fail "it may write $limit of its own cgroup"
	done
	[ "$(in_ct 201 stat -c %u /sys/fs/cgroup/cgroup.subtree_control)" = 0 ] || fail "it may not enable controllers"
}

@test "an ssh key given at create logs root in" {
	need tool ssh-keygen
	ssh-keygen -q -t ed25519 -N '' -f "$BATS_TEST_TMPDIR/key"
	need template debian-13
	lodge create 201 --template debian-13 --ssh-key "$BATS_TEST_TMPDIR/key.pub"
	lodge start --wait 201
	is "$(in_ct 201 cat /root/.ssh/authorized_keys)" "$(cat "$BATS_TEST_TMPDIR/key.pub")" "authorized_keys"
	is "$(in_ct 201 stat -c %a:%u /root/.ssh /root/.ssh/authorized_keys | tr '\n' ' ')" "700:0 600:0 " "modes"
}

@test "debian-13: apt installs nginx over its own network and the host gets its page" {
	need internet
	need tool curl
	boots debian-13
	in_ct 201 sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y nginx' >"$BATS_TEST_TMPDIR/apt" 2>&1 ||
		fail "apt: $(tail -n 20 "$BATS_TEST_TMPDIR/apt")"
	has_page() { curl -s --noproxy '*' --max-time 3 "http://$(address_of 201)/" | grep -q nginx; }
	wait_for 20 has_page
	is "$(in_ct 201 systemctl --failed --no-legend)" "" "failed units"
}

@test "ten debian-13 share their template: none has a copy of its files" {
	need template debian-13
	local id
	for id in {211..220}; do
		lodge create "$id" --template debian-13
	done
	local kb
	kb=$(du -sk "$LG_VAR/ct" | cut -f1)
	[ "$kb" -le 2000 ] || fail "ten new containers take $kb KiB"
}
