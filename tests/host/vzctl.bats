#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# vzctl and vzlist: the words on stdout, the exit codes and the conf file that scripts rely on.
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

# says STATUS TEXT COMMAND...: exactly this on stdout and nothing on stderr
says() {
	local want=$1 text=$2
	shift 2
	run --separate-stderr "$@"
	is "$status" "$want" "exit status of: $* ($stderr)"
	is "$output" "$text" "stdout of: $*"
	is "$stderr" "" "stderr of: $*"
}

# fails STATUS PATTERN COMMAND...: the code, and the words somewhere in what it prints
fails() {
	local want=$1 pattern=$2
	shift 2
	run "$@"
	is "$status" "$want" "exit status of: $* ($output)"
	like "$output" "$pattern" "words of: $*"
}

vz_ct() {
	vzctl create 101 --ostemplate busybox "$@" >/dev/null
	vzctl start 101 >/dev/null
}

@test "create, start, stop, destroy: the transcript" {
	says 0 "Creating container private area (busybox)
Container private area was created" vzctl create 101 --ostemplate busybox
	says 0 "Starting container...
Container start in progress..." vzctl start 101
	says 0 "Stopping container ...
Container was stopped
Container is unmounted" vzctl stop 101
	says 0 "Destroying container private area: $LG_VAR/ct/101
Container private area was destroyed" vzctl destroy 101
	[ -e "$LG_ETC/ct/101.conf.destroyed" ]
}

@test "start --wait says so" {
	vzctl create 101 --ostemplate busybox
	run vzctl start 101 --wait
	is "$status" 0 "status: $output"
	like "${lines[0]}" '^Starting container\.\.\.' "first line"
	like "$output" 'Container start in progress, waiting \.\.\.' "second"
	like "${lines[-1]}" '^Container started successfully$' "last line"
}

@test "restart says what stop and start say" {
	vz_ct
	says 0 "Restarting container
Stopping container ...
Container was stopped
Container is unmounted
Starting container...
Container start in progress..." vzctl restart 101
}

@test "status is one line, exit 0 even for what is not there" {
	says 0 "CTID 101 deleted unmounted down" vzctl status 101
	vzctl create 101 --ostemplate busybox
	says 0 "CTID 101 exist unmounted down" vzctl status 101
	vzctl start 101
	says 0 "CTID 101 exist mounted running" vzctl status 101
}

@test "mount and umount" {
	vzctl create 101 --ostemplate busybox
	says 0 "Container is mounted" vzctl mount 101
	says 0 "CTID 101 exist mounted down" vzctl status 101
	fails 0 'already mounted' vzctl mount 101
	fails 41 'mounted' vzctl destroy 101
	says 0 "Container is unmounted" vzctl umount 101
	fails 40 'CT is not mounted' vzctl umount 101
}

@test "verbs that do not fit the state" {
	vz_ct
	fails 32 'Container is already running' vzctl start 101
	fails 32 'Container is currently running\. Stop it first\.' vzctl destroy 101
	fails 32 'running' vzctl umount 101
	vzctl stop 101 --fast
	fails 0 'Unable to stop: container is not running' vzctl stop 101
	fails 31 'not running' vzctl exec 101 true
	fails 31 'not running' vzctl enter 101
}

@test "what is not there and what is wrong on the command line" {
	fails 14 'Container config file does not exist' vzctl start 777
	fails 14 'Container config file does not exist' vzctl destroy 777
	fails 21 'Unable to find container by name' vzctl start nosuchname
	fails 21 'CT ID missing' vzctl start
	fails 20 'Bad command: frobnicate' vzctl frobnicate 101
	fails 20 '[Uu]sage' vzctl
	fails 21 '.' vzctl start 0
	fails 91 'nosuch' vzctl create 101 --ostemplate nosuch
	vzctl create 101 --ostemplate busybox
	fails 20 '.' vzctl start 101 --frobnicate
	fails 44 '.' vzctl create 101 --ostemplate busybox
}

@test "exec joins its words for a shell; any failure is 8" {
	vz_ct
	says 0 "a b" vzctl exec 101 echo a b
	says 0 "x y" vzctl exec 101 'v="x y"; echo "$v"'
	fails 8 '' vzctl exec 101 exit 3
	fails 20 '' vzctl exec 101
	is "$(echo 'echo from stdin' | vzctl exec 101 -)" "from stdin" "commands from stdin"
}

@test "exec2 gives the command's own code, exec3 leaves its words alone" {
	vz_ct
	fails 3 '' vzctl exec2 101 exit 3
	says 0 '$HOME a  b' vzctl exec3 101 echo '$HOME' 'a  b'
	fails 4 '' vzctl exec3 101 sh -c 'exit 4'
}

@test "exec's environment is HOME, TERM and PATH" {
	vz_ct
	SECRET=1 run vzctl exec 101 env
	like "$output" 'PATH=' "PATH"
	like "$output" 'HOME=/' "HOME"
	like "$output" 'TERM=' "TERM"
	[[ $output != *SECRET* ]]
}

@test "set --save writes the conf file and says where" {
	vzctl create 101 --ostemplate busybox
	says 0 "CT configuration saved to $LG_ETC/ct/101.conf" vzctl set 101 --hostname web.example --save
	grep -qx 'HOSTNAME="web.example"' "$LG_ETC/ct/101.conf"
}

@test "set without --save warns in vzctl's words" {
	vz_ct
	fails 0 'WARNING: Settings were not saved to config and will be lost after CT restart \(use --save flag\)' \
		vzctl set 101 --ram 64M
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((64 << 20)) "applied"
	! grep -q PHYSPAGES "$LG_ETC/ct/101.conf" || fail "it was saved"
	vzctl stop 101 --fast
	fails 0 'WARNING: Settings were not saved to config \(use --save flag\)' vzctl set 101 --ram 64M
}

@test "a failed apply leaves the file untouched and says so" {
	vz_ct --ipadd 10.66.0.5
	vzctl create 102 --ostemplate busybox
	vzctl start 102
	cp "$LG_ETC/ct/102.conf" "$BATS_TEST_TMPDIR/before"
	fails 78 '.' vzctl set 102 --ipadd 10.66.0.5 --hostname changed --save
	cmp "$LG_ETC/ct/102.conf" "$BATS_TEST_TMPDIR/before"
	fails 21 '.' vzctl set 102 --ram nonsense --save
	cmp "$LG_ETC/ct/102.conf" "$BATS_TEST_TMPDIR/before"
}

@test "comments, unknown lines and order survive a save; the changed line stays in place" {
	vzctl create 101 --ostemplate busybox --hostname old.example
	sed -i '1i # the first line' "$LG_ETC/ct/101.conf"
	sed -i '/^HOSTNAME=/i # why this name\nMY_OWN_KEY="kept as it is"' "$LG_ETC/ct/101.conf"
	printf '\n# the last line\n' >>"$LG_ETC/ct/101.conf"
	sed 's/^HOSTNAME=.*/HOSTNAME="new.example"/' "$LG_ETC/ct/101.conf" >"$BATS_TEST_TMPDIR/want"
	vzctl set 101 --hostname new.example --save
	diff "$BATS_TEST_TMPDIR/want" "$LG_ETC/ct/101.conf"
}

@test "memory, swap, processes and CPU keep vzctl's units in the file" {
	vzctl create 101 --ostemplate busybox
	vzctl set 101 --ram 512M --swap 1G --numproc 100:100 --cpulimit 50 --cpuunits 1000 --save
	grep -qx 'PHYSPAGES="0:131072"' "$LG_ETC/ct/101.conf"
	grep -qx 'SWAPPAGES="0:262144"' "$LG_ETC/ct/101.conf"
	grep -qx 'NUMPROC="100:100"' "$LG_ETC/ct/101.conf"
	grep -qx 'CPULIMIT="50"' "$LG_ETC/ct/101.conf"
	grep -qx 'CPUUNITS="1000"' "$LG_ETC/ct/101.conf"
	vzctl start 101
	is "$(cgroup_value pids 101 pids.max pids.max)" 100 "tasks"
	vzctl set 101 --cpulimit 50% --save
	grep -qx "CPULIMIT=\"$((50 * $(nproc)))\"" "$LG_ETC/ct/101.conf"
}

@test "a parameter without meaning today is kept and answered with one warning" {
	vzctl create 101 --ostemplate busybox
	run --separate-stderr vzctl set 101 --kmemsize 1000:2000 --save
	is "$status" 0 "status: $stderr"
	is "$(grep -c -i kmemsize <<<"$output
$stderr")" 1 "warnings"
	grep -qx 'KMEMSIZE="1000:2000"' "$LG_ETC/ct/101.conf"
}

@test "a name is a link in the names folder, and works for every verb" {
	vzctl create 101 --ostemplate busybox
	vzctl set 101 --name web --save
	is "$(basename "$(readlink "$LG_ETC/names/web")")" 101.conf "link"
	vzctl start web
	says 0 "CTID 101 exist mounted running" vzctl status web
	vzctl stop web --fast
	vzctl set web --name '' --save
	[ ! -e "$LG_ETC/names/web" ]
}

@test "--ipadd and --ipdel change the list" {
	vzctl create 101 --ostemplate busybox --ipadd 10.66.0.5 --ipadd 10.66.0.6
	grep -qE '^IP_ADDRESS="10\.66\.0\.5(/32)? 10\.66\.0\.6(/32)?"$' "$LG_ETC/ct/101.conf"
	vzctl set 101 --ipdel 10.66.0.5 --save
	grep -qE '^IP_ADDRESS="10\.66\.0\.6(/32)?"$' "$LG_ETC/ct/101.conf"
	vzctl set 101 --ipdel all --save
	run -1 grep -E '^IP_ADDRESS="[^"]' "$LG_ETC/ct/101.conf"
	fails 71 '.' vzctl set 101 --ipadd 10.66.0.300 --save
}

@test "--quiet says nothing that is not a failure" {
	says 0 "" vzctl --quiet create 101 --ostemplate busybox
	says 0 "" vzctl --quiet start 101
	says 0 "" vzctl --quiet stop 101
}

@test "vzlist: the columns, running only, then all" {
	vz_ct --hostname web.example
	vzctl create 102 --ostemplate busybox --name idle
	run vzlist
	is "$status" 0 "status: $output"
	like "${lines[0]}" '^ +CTID +NPROC +STATUS +IP_ADDR +HOSTNAME' "header"
	like "${lines[1]}" '^ +101 +[0-9]+ +running +- +web\.example' "its line"
	is "${#lines[@]}" 2 "lines"
	run vzlist -a
	is "${#lines[@]}" 3 "lines of -a"
	like "${lines[2]}" '^ +102 +- +stopped +- +-' "a stopped one"
	run vzlist -S
	is "${#lines[@]}" 2 "lines of -S"
}

@test "vzlist -1, -H, -o, -s, -N and numbers" {
	vz_ct --name web
	vzctl create 102 --ostemplate busybox --name idle
	run vzlist -a -1
	is "$(tr -d ' ' <<<"$output" | tr '\n' ,)" "101,102," "-1"
	run vzlist -a -H -o ctid,name,ostemplate -s -ctid
	like "${lines[0]}" '^ +102 +idle +busybox' "-o and -s"
	run vzlist -a -H -o name -N 'w*'
	is "$(tr -d ' ' <<<"$output")" web "-N"
	run vzlist -H -o status 102
	is "$(tr -d ' ' <<<"$output")" stopped "by number, though it does not run"
	fails 1 'Container\(s\) not found' vzlist 777
	run vzlist -L
	like "$output" 'hostname' "-L"
}

@test "vzlist -j is JSON with vzctl's field names" {
	vz_ct --hostname web.example --ipadd 10.66.0.5
	vzlist -j | jq -e '.[0].ctid == 101 and .[0].status == "running" and .[0].hostname == "web.example"
		and (.[0].ip | type) == "array" and .[0].numproc.held >= 1 and .[0].onboot == null'
}

@test "--version and verbs before options, not behind" {
	run vzctl --version
	is "$status" 0 "status"
	like "$output" '^vzctl version ' "its words"
}
