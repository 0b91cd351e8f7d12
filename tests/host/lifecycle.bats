#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# create, start, stop, restart, destroy, rename, list, show, status: what each promises.
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

# What the host would show of container $1, whether running or not.
traces_of() {
	find "$LG_ETC/ct" "$LG_VAR/ct" "$LG_RUN/ct" "$LG_RUN/shim" "$LG_RUN/root" -mindepth 1 -name "$1*" \
		! -name '*.destroyed' 2>/dev/null || test $? -eq 1
	find /sys/fs/cgroup -type d -path "*/$LG_CGROUP/$1" || test $? -eq 1
	ls -d "/sys/class/net/$LG_TAG$1.0" 2>/dev/null || test $? -ne 0
	awk -v at="$LODGE_ROOT/" 'index($5, at) == 1 && $5 ~ "/'"$1"'(/|$)" { print }' /proc/self/mountinfo
}

@test "create gives the first free number from 101 on and says it" {
	run lodge create --template busybox
	is "$status" 0 "status: $output"
	like "$output" 101 "it names the number"
	lodge create --template busybox
	is "$(lodge list -a --json | jq -c '[.[].ctid]')" "[101,102]" "numbers"
}

@test "create makes a conf file that sh reads, and nothing runs" {
	lodge create 150 --template busybox --name web --hostname web.example --memory 64M
	(
		# shellcheck disable=SC1091
		. "$LG_ETC/ct/150.conf"
		is "$NAME" web "NAME"
		is "$HOSTNAME" web.example "HOSTNAME"
		is "$OSTEMPLATE" busybox "OSTEMPLATE"
	)
	is "$(field 150 .state)" stopped "state"
	[ ! -e "/sys/class/net/${LG_TAG}150.0" ]
}

@test "a started container runs its init as its own process 1" {
	ct 101
	is "$(field 101 .state)" running "state"
	is "$(in_ct 101 cat /proc/1/comm)" init "process 1"
	local pid
	pid=$(init_pid 101)
	is "$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status")" 1 "number of its init inside"
}

@test "create --start starts it" {
	lodge create 101 --template busybox --start
	is "$(field 101 .state)" running "state"
}

@test "stop ends every process and takes link, mount and cgroup away" {
	ct 101
	local pid
	pid=$(init_pid 101)
	lodge stop 101
	is "$(field 101 .state)" stopped "state"
	[ ! -e "/proc/$pid" ]
	wait_for 5 test ! -e "/sys/class/net/${LG_TAG}101.0"
	is "$(find /sys/fs/cgroup -type d -path "*/$LG_CGROUP/101")" "" "cgroups"
}

@test "stop lets the guest end by itself; files it wrote are there after the next start" {
	ct 101
	in_ct 101 sh -c 'echo kept >/root/file'
	lodge stop 101
	lodge start 101
	is "$(in_ct 101 cat /root/file)" kept "file"
}

@test "stop --fast kills at once what ignores every signal" {
	ct 101
	lodge exec 101 -- sh -c 'trap "" TERM HUP INT; sleep 60' </dev/null >/dev/null 2>&1 3>&- &
	sleep 0.3
	local begin=$SECONDS
	lodge stop --fast 101
	[ $((SECONDS - begin)) -le 3 ]
	is "$(field 101 .state)" stopped "state"
}

@test "restart gives a new init and keeps address and files" {
	ct 101 --ip auto
	local pid address
	pid=$(init_pid 101)
	address=$(address_of 101)
	in_ct 101 sh -c 'echo kept >/root/file'
	lodge restart 101
	[ "$(init_pid 101)" != "$pid" ]
	is "$(address_of 101)" "$address" "address"
	is "$(in_ct 101 cat /root/file)" kept "file"
}

@test "a guest that powers itself off is stopped; one that reboots is running again" {
	ct 101
	local pid
	pid=$(init_pid 101)
	# init may end the command that asks for it before that has ended by itself.
	run in_ct 101 reboot
	rebooted() { [ "$(field 101 .state)" = running ] && [ "$(init_pid 101)" != "$pid" ]; }
	wait_for 15 rebooted
	run in_ct 101 poweroff
	is_stopped() { [ "$(field 101 .state)" = stopped ]; }
	wait_for 15 is_stopped
}

@test "destroy leaves nothing but the conf file under another name" {
	ct 101 --name gone
	in_ct 101 sh -c 'echo x >/root/file'
	lodge stop 101
	lodge destroy 101
	is "$(traces_of 101)" "" "traces"
	[ -e "$LG_ETC/ct/101.conf.destroyed" ]
	[ ! -e "$LG_ETC/names/gone" ]
	refused 14 'gone|exist' lodge start gone
}

@test "destroy refuses a running container; --force stops it first" {
	ct 101
	refused 32 running lodge destroy 101
	is "$(field 101 .state)" running "state"
	lodge destroy --force 101
	is "$(traces_of 101)" "" "traces"
}

@test "a number that was destroyed can be used again, with nothing of its past" {
	ct 101
	in_ct 101 sh -c 'echo old >/root/secret'
	lodge destroy --force 101
	ct 101
	run in_ct 101 cat /root/secret
	is "$status" 1 "the old file"
}

@test "names and numbers both work everywhere" {
	lodge create 120 --template busybox --name alpha
	lodge start alpha
	is "$(lodge exec alpha -- echo hi)" hi "exec by name"
	is "$(lodge show alpha --json | jq .ctid)" 120 "show by name"
	is "$(lodge status alpha)" running "status by name"
	lodge stop alpha
	lodge destroy alpha
}

@test "rename moves the name and frees the old one" {
	lodge create 120 --template busybox --name alpha
	lodge rename alpha beta
	is "$(field beta .ctid)" 120 "new name"
	refused 14 alpha lodge start alpha
	lodge create 121 --template busybox --name alpha
}

@test "a name is given once" {
	lodge create 120 --template busybox --name alpha
	refused 131 'alpha' lodge create 121 --template busybox --name alpha
	is "$(traces_of 121)" "" "traces of the one refused"
	lodge create 121 --template busybox --name beta
	refused 131 'alpha' lodge rename beta alpha
	is "$(field 121 .name)" beta "name kept"
}

@test "status is one word; code 14 says that there is no such container" {
	run --separate-stderr lodge status 777
	is "$status:$output" 14:absent "no such container"
	lodge create 101 --template busybox
	is "$(lodge status 101)" stopped "created"
	lodge start 101
	is "$(lodge status 101)" running "started"
	lodge stop --fast 101
	lodge mount 101
	is "$(lodge status 101)" mounted "mounted"
}

@test "list shows what runs, list -a all, in order of their numbers" {
	lodge create 130 --template busybox
	ct 102 --name two
	run lodge list
	is "$status" 0 "status"
	like "$output" '102' "the running one"
	[[ $output != *130* ]]
	is "$(lodge list -a --json | jq -c '[.[].ctid]')" "[102,130]" "list -a"
}

@test "list -o picks columns and -s sorts" {
	lodge create 103 --template busybox --name aaa
	lodge create 102 --template busybox --name bbb
	run lodge list -a -o id,name -s name
	is "$status" 0 "status: $output"
	like "${lines[1]}" '103 +aaa' "first"
	like "${lines[2]}" '102 +bbb' "second"
}

@test "list of nothing is an empty list, not a failure" {
	run --separate-stderr lodge list -a --json
	is "$status" 0 "status"
	is "$(jq -c . <<<"$output")" "[]" "json"
}

@test "show tells settings, template, address and the conf file's path" {
	lodge create 101 --template busybox --memory 64M --tasks 50 --ip auto
	is "$(field 101 .template)" busybox "template"
	is "$(field 101 .conf_path)" "$LG_ETC/ct/101.conf" "conf_path"
	like "$(field 101 .settings.memory)" '^64(\.0)?M' "memory"
	is "$(field 101 .settings.tasks)" 50 "tasks"
	like "$(address_of 101)" '^10\.' "address"
	like "$(lodge show 101)" 'busybox' "for people"
}

@test "--json of every printing verb is JSON" {
	ct 101
	lodge list --json | jq -e 'type == "array"'
	lodge show 101 --json | jq -e '.ctid == 101'
	lodge status 101 --json | jq -e '.running == true'
	lodge template list --json | jq -e 'map(.name) | index("busybox") != null'
	lodge template show busybox --json | jq -e '.name == "busybox"'
	lodge version --json | jq -e '.version | length > 0'
	lodge doctor --json | jq -e 'type == "array" and length > 3'
}

@test "start of what runs, stop of what does not: vzctl's codes" {
	ct 101
	refused 32 'running' lodge start 101
	lodge stop 101
	run lodge stop 101
	is "$status" 0 "stopping what is stopped"
}

@test "a container that is not there: one line with its name, code 14" {
	local verb
	for verb in start destroy show restart enter console; do
		refused 14 '777' lodge "$verb" 777
	done
	refused 14 '777' lodge exec 777 -- true
	refused 14 'nobody' lodge start nobody
}

@test "create with an unknown template leaves nothing" {
	refused 91 'nosuch' lodge create 101 --template nosuch
	is "$(traces_of 101)" "" "traces"
}

@test "create with a number that is taken changes nothing" {
	lodge create 101 --template busybox --hostname first
	refused 44 '101' lodge create 101 --template busybox --hostname second
	is "$(field 101 .hostname)" first "hostname"
}

@test "create refuses bad values, names the option and leaves nothing" {
	refused 21 'memory' lodge create 101 --template busybox --memory lots
	refused 21 'memory' lodge create 101 --template busybox --memory -1
	refused 21 'tasks' lodge create 101 --template busybox --tasks 0
	refused 21 'cpus' lodge create 101 --template busybox --cpus none-at-all
	refused 21 '5' lodge create 5 --template busybox
	refused 71 '10.1.2.300' lodge create 101 --template busybox --ip 10.1.2.300
	refused 131 'name' lodge create 101 --template busybox --name '../../etc'
	refused 70 'hostname' lodge create 101 --template busybox --hostname 'a b'
	is "$(traces_of 101)" "" "traces"
	is "$(all_ctids)" "" "containers"
}

@test "create refuses an address that another container has" {
	lodge create 101 --template busybox --ip auto
	local taken
	taken=$(address_of 101)
	refused 78 "$taken" lodge create 102 --template busybox --ip "$taken"
	is "$(traces_of 102)" "" "traces"
}

@test "an address is free again after destroy" {
	lodge create 101 --template busybox --ip auto
	local first
	first=$(address_of 101)
	lodge destroy 101
	lodge create 102 --template busybox --ip auto
	is "$(address_of 102)" "$first" "address"
}

@test "an unknown verb or option: one line, code 20" {
	refused 20 'frobnicate' lodge frobnicate 101
	refused 20 'frobnicate' lodge start --frobnicate 101
}

@test "every verb has help on stdout within 80 columns" {
	local verb
	run lodge --help
	is "$status" 0 "lodge --help"
	for verb in create start stop restart destroy list show status exec enter console set mount \
		umount rename template events version doctor; do
		run --separate-stderr lodge "$verb" --help
		is "$status" 0 "$verb --help ($stderr)"
		is "$stderr" "" "stderr of $verb --help"
		like "$output" "lodge $verb" "$verb --help"
		is "$(awk 'length > 80' <<<"$output")" "" "lines over 80 columns of $verb"
	done
}

@test "mount shows the files of a stopped container as they are owned inside; umount takes it away" {
	ct 101
	in_ct 101 sh -c 'echo kept >/root/file; mkdir -p /home/u; chown 1000:1000 /home/u'
	lodge stop 101
	local at
	at=$(lodge mount 101 | grep -o '/[^ ]*' | tail -n 1)
	is "$(field 101 .state)" mounted "state"
	at=$(field 101 .root)
	is "$(cat "$at/root/file")" kept "file"
	is "$(stat -c %u "$at/home/u")" 1000 "owner"
	refused 41 'mounted' lodge destroy 101
	lodge umount 101
	is "$(field 101 .state)" stopped "state"
	refused 40 'mounted' lodge umount 101
	is "$(grep -cF "$at" /proc/self/mountinfo || test $? -eq 1)" 0 "mounts"
}

@test "settings that a hand wrote into the conf file count at the next start" {
	lodge create 101 --template busybox --hostname before
	sed -i 's/^HOSTNAME=.*/HOSTNAME="byhand"/' "$LG_ETC/ct/101.conf"
	lodge start 101
	is "$(in_ct 101 hostname)" byhand "hostname"
}

@test "a conf file that does not parse is refused by name and touches nothing else" {
	lodge create 101 --template busybox
	ct 102
	echo 'PHYSPAGES="0:many"' >>"$LG_ETC/ct/101.conf"
	refused 85 'PHYSPAGES' lodge start 101
	is "$(in_ct 102 echo fine)" fine "the neighbour"
	is "$(field 102 .state)" running "state"
}

@test "events tell start and stop as they happen" {
	lodge create 101 --template busybox
	"$LG_LODGE" events --json >"$BATS_TEST_TMPDIR/events" 3>&- &
	local pid=$!
	sleep 1
	lodge start 101
	lodge stop --fast 101
	sleep 0.3
	kill "$pid"
	wait "$pid" || test $? -gt 128
	is "$(jq -r 'select(.ctid == 101) | .event' "$BATS_TEST_TMPDIR/events" | tr '\n' ' ')" "started stopped " "events"
}

@test "two lodged with different roots do not see each other" {
	ct 101
	local other pid
	other=$(mktemp -d /tmp/lgt.XXXX)
	"$LG_LODGED" --root "$other" --background 3>&-
	pid=$(<"$other/run/lodge/lodged.pid")
	is "$(lodge --root "$other" list -a --json | jq length)" 0 "containers of the other"
	is "$(field 101 .state)" running "ours"
	lodge --root "$other" teardown
	wait_for 10 test ! -e "/proc/$pid"
	rm -rf "$other"
	is "$(in_ct 101 echo alive)" alive "ours afterwards"
}

@test "a second lodged on the same root says who is there and ends" {
	refused 9 'lodged' "$LG_LODGED" --root "$LODGE_ROOT"
	lodged_answers
}
