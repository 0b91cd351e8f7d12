#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Suspend and resume, and every word around them: states, dump files, keys, stop-mode, boot and shutdown, vzctl.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	# A setup_file cannot be skipped, a test can.
	find_criu || export LG_CRIU=/nonexistent/criu
	host_up "CRIU=\"$LG_CRIU\""
}

teardown_file() { host_down; }

setup() {
	need template busybox
	need criu
}

teardown() {
	tell_more
	destroy_all
	wait_for 5 no_checkpoints || fail "checkpoints of destroyed ones: $(ls "$LG_VAR/checkpoint")"
}

no_checkpoints() {
	[ ! -e "$LG_VAR/checkpoint" ] || [ -z "$(ls -A "$LG_VAR/checkpoint")" ]
}

# counts ID: a process that counts, in its memory and nowhere else, and says how far it is when it is asked (USR1).
counts() {
	in_ct "$1" sh -c 'cat >/bin/count && chmod 0755 /bin/count' <<'END'
#!/bin/sh
n=0
trap 'echo $n >/tmp/count.new && mv /tmp/count.new /tmp/count' USR1
while :; do n=$((n + 1)); sleep 0.02; done
END
	in_ct "$1" sh -c '(setsid /bin/count </dev/null >/dev/null 2>&1 & echo $! >/tmp/count.pid)'
	sleep 0.5
}

# So far it is; fails when it is not that process any more.
count_of() {
	in_ct "$1" sh -c 'rm -f /tmp/count; kill -USR1 "$(cat /tmp/count.pid)" || exit 1
		n=0; until [ -e /tmp/count ]; do n=$((n + 1)); [ $n -lt 200 ] || exit 1; sleep 0.02; done; cat /tmp/count'
}

# goes_on ID COUNT: it counts from there on
goes_on() {
	local now
	now=$(count_of "$1")
	[ "$now" -ge "$2" ] || fail "it was at $2 and is at $now"
	[ "$now" -lt $(($2 + 2000)) ] || fail "it was at $2 and is at $now: it ran meanwhile"
}

state_is() {
	is "$(field "$1" .state)" "$2" "state of $1"
}

# Restart the daemon with these lines in lodge.conf, too.
with_conf() {
	cp "$LG_ETC/lodge.conf" "$BATS_TEST_TMPDIR/lodge.conf"
	printf '%s\n' "$@" >>"$LG_ETC/lodge.conf"
	is "$(lodged_down)" 0 "lodged's status"
	lodged_up
}

without_conf() {
	cp "$BATS_TEST_TMPDIR/lodge.conf" "$LG_ETC/lodge.conf"
	is "$(lodged_down)" 0 "lodged's status"
	lodged_up
}

# As if the host had been rebooted: nothing runs, and RUN is of another boot.
reboots() {
	is "$(lodged_down)" 0 "lodged's status"
	echo another-boot >"$LG_RUN/boot_id"
	lodged_up
}

log_since() {
	tail -n "+$(($1 + 1))" "$LG_STATE/lodged.log"
}

log_lines() {
	wc -l <"$LG_STATE/lodged.log"
}

# ---- there and back -----------------------------------------------------------------------

@test "it goes on where it was: the process, its memory, its place in /proc" {
	ct 301 --ip auto
	counts 301
	local count pid
	count=$(count_of 301)
	pid=$(in_ct 301 cat /tmp/count.pid)
	run lodge suspend 301
	is "$status" 0 "suspend: $output"
	like "${lines[-1]}" '^suspended 301' "what it says"
	lodge resume 301
	state_is 301 running
	is "$(in_ct 301 cat /tmp/count.pid)" "$pid" "its process id"
	goes_on 301 "$count"
	# More than once.
	count=$(count_of 301)
	lodge suspend 301
	lodge resume 301
	goes_on 301 "$count"
}

# schedule_of ID PID...: "NUMBER INSIDE, NICE, POLICY" of each
schedule_of() {
	local pid
	for pid in "${@:2}"; do
		in_ct "$1" cat "/proc/$pid/stat" | sed 's/(.*)/x/' | awk '{ print $1, $19, $41 }'
	done
}

# outside ID PID: its number on the host
outside() {
	local pid
	for pid in $(pgrep --ns "$(init_pid "$1")" --nslist pid -x count); do
		[ "$(awk '/^NSpid:/ { print $NF }' "/proc/$pid/status")" != "$2" ] || echo "$pid"
	done
}

@test "its processes have the priorities that they had" {
	local before first second
	ct 312
	counts 312
	first=$(in_ct 312 cat /tmp/count.pid)
	counts 312
	second=$(in_ct 312 cat /tmp/count.pid)
	renice -n 7 -p "$(outside 312 "$first")" >/dev/null
	chrt --batch -p 0 "$(outside 312 "$second")"
	before=$(schedule_of 312 1 "$first" "$second")
	is "$(echo "$before" | cut -d' ' -f2- | paste -sd,)" "0 0,7 0,0 3" "what there is"
	lodge suspend 312
	lodge resume 312
	is "$(schedule_of 312 1 "$first" "$second")" "$before" "priorities"
}

@test "while it is suspended every list says so, and nothing of it is on the host" {
	ct 302 --name asleep --ip auto
	local link
	link=$(ls /sys/class/net | grep -F "${LG_TAG}302")
	[ -n "$link" ] || fail "it has no link"
	lodge suspend asleep
	is "$(lodge status 302)" suspended "lodge status"
	is "$(vzctl status 302)" "CTID 302 exist unmounted down suspended" "vzctl status"
	is "$(vzlist -H -S -o ctid,status | tr -s ' ' | sed 's/^ //; s/ $//')" "302 suspended" "vzlist -S"
	is "$(vzlist -H -o ctid 2>/dev/null || test $? -eq 1)" "" "vzlist of those that run"
	like "$(lodge list -a -H -o id,state,suspended,checkpoint | tr -s ' ')" \
		'302 suspended 20[0-9-]+ [0-9:]+ [0-9.]+K' "lodge list -a"
	is "$(lodge list -H -o id)" "" "lodge list of those that run"
	like "$(lodge show 302)" 'suspended +20.*checkpoint +[0-9.]+K' "lodge show"
	[ "$(field 302 .suspended_at)" -le "$(date +%s)" ]
	[ "$(field 302 .checkpoint_bytes)" -gt 10000 ]
	like "$(lodge why 302)" 'It is suspended since 20.*lodge resume 302' "lodge why"
	[ ! -e "/sys/class/net/$link" ] || fail "its link is there"
	is "$(find "$(cgroup2_mount)" -type d -path "*/$LG_CGROUP/302")" "" "its cgroup"
	is "$(stat -c %a "$LG_VAR/checkpoint")" 700 "who may look at images"
	lodge resume asleep
	is "$(field 302 '.suspended_at // "none"')" none "suspended_at of one that runs"
	is "$(ls -A "$LG_VAR/checkpoint")" "" "images of one that runs"
}

@test "a session from outside ends, and says why" {
	ct 303
	lodge exec 303 -- sleep 60 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	local session=$!
	sleep 0.5
	lodge suspend 303
	ended $session
	[ "$ENDED" -ne 0 ]
	like "$(<"$BATS_TEST_TMPDIR/out")" 'ended because 303 is being suspended' "what the session says"
}

@test "what cannot be dumped is found before anything is touched: the session goes on, the line says what to do" {
	ct 308
	put_helper 308 undumpable
	counts 308
	local count before session pid
	count=$(count_of 308)
	in_ct 308 sh -c 'setsid undumpable utsns </dev/null >/run/ready 2>&1 &'
	wait_for 10 in_ct 308 test -s /run/ready
	pid=$(in_ct 308 pidof undumpable)
	mkfifo "$BATS_TEST_TMPDIR/in"
	lodge exec 308 -- sh -c 'echo begins; read -r line; echo "read $line"' <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	session=$!
	exec 8>"$BATS_TEST_TMPDIR/in"
	wait_for 10 grep -q begins "$BATS_TEST_TMPDIR/out"
	before=$(find "$LG_VAR/checkpoint" "$LG_VAR/log" -newer "$BATS_TEST_TMPDIR/in" 2>/dev/null | wc -l)
	refused 16 "suspend 308: process $pid \(undumpable\): it is in a uts namespace.*checkpointable.*checkpoint --check 308. shows all" \
		lodge suspend 308
	refused 16 "suspend 308: process $pid .*shows all; .lodge stop --stop-mode stop 308. shuts it down" \
		lodge stop --stop-mode suspend 308
	run -16 vzctl chkpnt 308
	like "$output" "process $pid \(undumpable\): it is in a uts namespace" "vzctl's line"
	is "$(find "$LG_VAR/checkpoint" "$LG_VAR/log" -newer "$BATS_TEST_TMPDIR/in" 2>/dev/null | wc -l)" "$before" \
		"what CRIU has written"
	state_is 308 running
	echo word >&8
	exec 8>&-
	ended $session
	is "$ENDED" 0 "the session"
	is "$(tail -n 1 "$BATS_TEST_TMPDIR/out")" "read word" "what it says"
	goes_on 308 "$count"
	lodge stop --host-down --stop-mode suspend 308
	state_is 308 stopped
}

@test "what will not come back is told in one line, and stops nothing" {
	ct 307
	put_helper 307 undumpable
	run -0 --separate-stderr lodge suspend 307
	[[ $stderr != *"not come back"* ]] || fail "there is nothing: $stderr"
	lodge resume 307
	in_ct 307 sh -c 'setsid undumpable personality </dev/null >/run/ready 2>&1 &'
	wait_for 10 in_ct 307 test -s /run/ready
	run -0 --separate-stderr lodge suspend 307
	like "$stderr" 'warning: 1 thing will not come back: process [0-9]+ \(undumpable\): it has a personality.*checkpoint --check 307' \
		"what is told"
	state_is 307 suspended
	lodge resume 307
	state_is 307 running
}

@test "a connection from outside lives through it" {
	ct 304 --ip auto
	in_ct 304 sh -c '(setsid nc -l -p 7 -e cat </dev/null >/dev/null 2>&1 &)'
	local at reply
	at=$(address_of 304)
	answers() { in_ct 304 netstat -ltn | grep -q ':7 '; }
	wait_for 5 answers
	exec 7<>"/dev/tcp/$at/7"
	echo before >&7
	read -r -t 5 reply <&7
	is "$reply" before "its echo"
	lodge suspend 304
	echo meanwhile >&7
	lodge resume 304
	read -r -t 10 reply <&7
	is "$reply" meanwhile "what was sent while it was away"
	exec 7>&-
}

# Both ends of its link, indexes and timers aside.
link_state() {
	{
		nsenter --net="/proc/$(init_pid "$1")/ns/net" sh -c 'ip -d link show eth0; ip -4 addr show eth0; ip -4 route'
		bridge -d link show dev "$LG_TAG$1.0"
		ip -d link show "$LG_TAG$1.0"
		bridge fdb show br "$LG_BRIDGE" | grep "$LG_TAG$1.0"
	} | sed -E 's/^[0-9]+: //; s/@[^:]+:/:/; s/hold_timer.* topology/topology/; s/(port_id|port_no|designated_[a-z]+) [^ ]+ //g'
}

@test "its link is what it was at both ends, also where the bridge has gone meanwhile" {
	local before
	ct 311 --ip auto
	nsenter --net="/proc/$(init_pid 311)/ns/net" ip link set eth0 mtu 1400
	before=$(link_state 311)
	lodge suspend 311
	lodge resume 311
	is "$(link_state 311)" "$before" "its link after a resume"
	lodge suspend 311
	ip link del "$LG_BRIDGE"
	lodge resume 311
	is "$(link_state 311)" "$before" "its link on a bridge that was made anew"
	ping -c 1 -W 2 "$(address_of 311)" >/dev/null || fail "it does not answer"
}

@test "a link inside without a carrier comes back, and the routes over it" {
	ct 309
	in_ct 309 sh -c 'ip link add v0 type veth peer name v1 && ip addr add 10.99.0.1/24 dev v0 && ip link set v0 up'
	no_carrier() { nsenter --net="/proc/$(init_pid 309)/ns/net" ip route | grep -q linkdown; }
	wait_for 5 no_carrier
	lodge suspend 309
	lodge resume 309
	like "$(in_ct 309 ip route)" '10\.99\.0\.0/24 dev v0' "routes inside"
	like "$(in_ct 309 ip addr show v0)" '10\.99\.0\.1/24' "its address"
}

# Those of nftables CRIU takes itself; for these it starts the host's programs.
@test "iptables rules of the legacy kind come back, and rules that choose a table of routes" {
	local inside init
	type -P iptables-legacy >/dev/null || skip "no iptables-legacy here"
	ct 310
	init=$(init_pid 310)
	inside=(nsenter --net="/proc/$init/ns/net")
	"${inside[@]}" iptables-legacy -A INPUT -s 10.99.0.7 -j DROP || skip "no iptables in this kernel"
	"${inside[@]}" ip rule add from 10.99.0.8 lookup 77 priority 500
	lodge suspend 310
	lodge resume 310
	inside=(nsenter --net="/proc/$(init_pid 310)/ns/net")
	like "$("${inside[@]}" iptables-legacy -S INPUT)" '-s 10\.99\.0\.7/32 -j DROP' "its rules"
	is "$("${inside[@]}" ip rule | tr -s ' \t' ' ')" "0: from all lookup local
500: from 10.99.0.8 lookup 77
32766: from all lookup main
32767: from all lookup default" "its rules of routing"
}

@test "what makes no sense while it is suspended is refused in one line" {
	ct 305 --ip auto --disk 64M
	counts 305
	local count
	count=$(count_of 305)
	lodge suspend 305
	refused 32 'is suspended: resume it; --force starts it anew' lodge start 305
	refused 32 'is suspended: resume it' lodge restart 305
	refused 32 'files must stay as its memory knows them' lodge mount 305
	refused 31 'is suspended: resume it first' lodge exec 305 -- true
	refused 31 'is suspended already' lodge suspend 305
	refused 32 'use --force to lose that' lodge destroy 305
	refused 34 'its addresses are in its memory' lodge set 305 --ip-add auto
	refused 32 'can only be made larger' lodge set 305 --disk 48M
	run -32 vzctl set 305 --ostemplate busybox --save
	like "$output" 'template: it is suspended: resume and stop it first' "another template"
	state_is 305 suspended
	lodge resume 305
	goes_on 305 "$count"
	refused 32 'is already running' lodge resume 305
	lodge stop 305
	refused 17 'is not suspended: start it' lodge resume 305
	refused 31 'there is nothing to suspend' lodge suspend 305
}

@test "limits set meanwhile hold after the resume; what is in its memory waits for a start" {
	ct 306 --memory 64M
	lodge suspend 306
	run --separate-stderr lodge set 306 --memory 48M --tasks 77 --hostname other
	is "$status" 0 "set: $stderr"
	like "$output" 'changed 306: .*memory.*tasks' "what was changed"
	like "$output$stderr" 'next start: hostname' "what was not"
	lodge resume 306
	is "$(cgroup_value memory 306 memory.max memory.limit_in_bytes)" $((48 << 20)) "its memory limit"
	is "$(cgroup_value pids 306 pids.max pids.max)" 77 "its limit of tasks"
}

@test "start --force begins anew, destroy --force takes the images, too" {
	ct 307
	counts 307
	lodge suspend 307
	lodge start --force 307
	run in_ct 307 sh -c 'kill -0 "$(cat /tmp/count.pid)"'
	[ "$status" -ne 0 ] || fail "the process of before runs"
	is "$(ls -A "$LG_VAR/checkpoint")" "" "images of one that runs"
	lodge suspend 307
	lodge destroy --force 307
	wait_for 5 no_checkpoints
}

@test "an address that was edited into its file meanwhile is noticed" {
	ct 308 --ip auto
	lodge suspend 308
	cp "$LG_ETC/ct/308.conf" "$BATS_TEST_TMPDIR/conf"
	sed -i 's/^IP_ADDRESS=.*/IP_ADDRESS="192.0.2.7"/' "$LG_ETC/ct/308.conf"
	refused 17 'suspended with other addresses \(' lodge resume 308
	state_is 308 suspended
	cp "$BATS_TEST_TMPDIR/conf" "$LG_ETC/ct/308.conf"
	lodge resume 308
}

# ---- the daemon and the host --------------------------------------------------------------

@test "it stays suspended over a restart and a kill of lodged" {
	ct 310
	counts 310
	local count
	count=$(count_of 310)
	lodge suspend 310
	is "$(lodged_down)" 0 "lodged's status"
	lodged_up
	state_is 310 suspended
	lodged_down KILL
	lodged_up
	state_is 310 suspended
	lodge resume 310
	goes_on 310 "$count"
}

@test "the host's shutdown suspends, and its next boot resumes" {
	ct 311 --stop-mode suspend
	ct 312
	ct 313 --stop-mode suspend
	ct 314 --onboot yes
	counts 311
	local count
	count=$(count_of 311)
	# Not by the shutdown, and not to start with the host: it stays as it is. The next one is to start.
	lodge suspend 313
	lodge suspend 314
	run "$HERE/../../packaging/stop-guests" "$LG_LODGE"
	is "$status" 0 "stop-guests: $output"
	state_is 311 suspended
	state_is 312 stopped
	reboots
	is_up() { [ "$(lodge list -H -o id | tr -d ' \n')" = 311314 ]; }
	wait_for 20 is_up || fail "$(lodge list -a)"
	state_is 312 stopped
	state_is 313 suspended
	goes_on 311 "$count"
}

@test "what cannot be suspended at the shutdown is stopped, and the log says why" {
	lodge create 315 --template busybox --feature nesting --stop-mode suspend
	lodge start 315
	refused 16 'it has the feature nesting.*lodge stop --stop-mode stop 315' lodge stop 315
	state_is 315 running
	local lines
	lines=$(log_lines)
	lodge stop --host-down 315
	state_is 315 stopped
	like "$(log_since "$lines")" 'feature nesting.*it is stopped instead' "the log"
}

@test "a resume that fails at boot leaves it suspended, and the log says so" {
	ct 316 --onboot yes
	lodge suspend 316
	cp -a "$LG_VAR/checkpoint/316" "$BATS_TEST_TMPDIR/images"
	truncate -s 10 "$LG_VAR/checkpoint/316/pstree.img"
	local lines
	lines=$(log_lines)
	reboots
	said() { log_since "$lines" | grep -q 'resume 316 (which stays suspended)'; }
	wait_for 20 said || fail "$(log_since "$lines")"
	state_is 316 suspended
	rm -r "$LG_VAR/checkpoint/316"
	cp -a "$BATS_TEST_TMPDIR/images" "$LG_VAR/checkpoint/316"
	lodge resume 316
}

@test "stop means what stop-mode says, its own before the host's" {
	ct 317
	refused 21 "neither stop nor suspend" lodge set 317 --stop-mode sleep
	refused 20 "neither stop nor suspend" lodge stop 317 --stop-mode sleep
	with_conf 'VE_STOP_MODE="suspend"'
	is "$(lodge stop 317 2>/dev/null)" "suspended 317" "stop, as lodge.conf says"
	is "$(lodge stop 317)" "already suspended: 317" "stop again"
	lodge resume 317
	is "$(lodge stop 317 --stop-mode stop)" "stopped 317" "stop, as the call says"
	lodge start 317
	is "$(lodge stop --fast 317)" "stopped 317" "stop --fast"
	lodge start 317
	is "$(vzctl stop 317 | head -n 1)" "Stopping container ..." "vzctl stop"
	state_is 317 stopped
	lodge set 317 --stop-mode stop
	lodge start 317
	is "$(lodge stop 317)" "stopped 317" "stop, as its own setting says"
	without_conf
}

# ---- dump files ---------------------------------------------------------------------------

@test "a dump file may be copied, is root's alone, and only fits until the next run" {
	ct 320 --ip auto
	counts 320
	local count dump=$BATS_TEST_TMPDIR/dump
	count=$(count_of 320)
	run --separate-stderr lodge suspend 320 --dumpfile "$dump"
	is "$status" 0 "suspend: $stderr"
	is "$output" "suspended 320 to $dump" "what it says"
	is "$(stat -c '%a %u' "$dump")" "600 0" "mode and owner"
	is "$(ls "$LG_VAR/checkpoint/320")" state.json "images beside the file"
	is "$(field 320 .checkpoint_file)" "$dump" "where it is"
	is "$(field 320 .checkpoint_bytes)" "$(stat -c %s "$dump")" "its size"
	[ ! -e "$dump.part" ]
	mv "$dump" "$dump.copy"
	refused 17 'No such file' lodge -q resume 320
	state_is 320 suspended
	lodge resume 320 --dumpfile "$dump.copy"
	goes_on 320 "$count"
	lodge suspend 320
	refused 17 'other files than 320 has now: it has run since' lodge -q resume 320 --dumpfile "$dump.copy"
	lodge resume 320
	lodge stop 320
	refused 17 'other files than 320 has now' lodge -q resume 320 --dumpfile "$dump.copy"
	state_is 320 stopped
	is "$(ls -A "$LG_VAR/checkpoint")" "" "what the refused one left"
}

@test "of one that is suspended the images move; they are found again without being named" {
	ct 321
	counts 321
	local count
	count=$(count_of 321)
	lodge suspend 321
	# A relative name is the caller's.
	(cd "$BATS_TEST_TMPDIR" && lodge suspend 321 --dumpfile moved)
	is "$(field 321 .checkpoint_file)" "$BATS_TEST_TMPDIR/moved" "where it is"
	refused 16 'suspended already, with its images in' lodge suspend 321 --dumpfile "$BATS_TEST_TMPDIR/again"
	lodge resume 321
	goes_on 321 "$count"
	refused 20 'for one container' lodge suspend 321 322 --dumpfile x
}

@test "a file that is damaged, cut off, foreign or not root's alone changes nothing" {
	ct 322
	counts 322
	local count dump=$BATS_TEST_TMPDIR/dump bad=$BATS_TEST_TMPDIR/bad size
	count=$(count_of 322)
	lodge suspend 322 --dumpfile "$dump"
	size=$(stat -c %s "$dump")
	cp -p "$dump" "$bad"
	truncate -s $((size - 5)) "$bad"
	refused 17 "bad': it is cut off" lodge -q resume 322 --dumpfile "$bad"
	cp -p "$dump" "$bad"
	printf x | dd of="$bad" bs=1 seek=$((size / 2)) conv=notrunc status=none
	refused 17 "bad': it is damaged" lodge -q resume 322 --dumpfile "$bad"
	cp -p "$dump" "$bad"
	echo more >>"$bad"
	refused 17 "something behind its end" lodge -q resume 322 --dumpfile "$bad"
	tar -C "$LG_ETC" -cf "$bad" .
	chmod 0600 "$bad"
	refused 17 "no dump file of lodge" lodge -q resume 322 --dumpfile "$bad"
	cp -p "$dump" "$bad"
	chmod 0666 "$bad"
	refused 17 "only a file of root's" lodge -q resume 322 --dumpfile "$bad"
	chmod 0600 "$bad"
	chown 1 "$bad"
	refused 17 "only a file of root's" lodge -q resume 322 --dumpfile "$bad"
	rm "$bad"
	ln -s "$dump" "$bad"
	refused 17 "no plain file" lodge -q resume 322 --dumpfile "$bad"
	refused 17 "no plain file" lodge -q resume 322 --dumpfile /dev/zero
	state_is 322 suspended
	is "$(ls "$LG_VAR/checkpoint" "$LG_VAR/checkpoint/322" | xargs)" \
		"$LG_VAR/checkpoint: 322 $LG_VAR/checkpoint/322: state.json" "what was left"
	lodge resume 322
	goes_on 322 "$count"
}

@test "another container's dump file is refused" {
	ct 323
	ct 324
	lodge suspend 323 --dumpfile "$BATS_TEST_TMPDIR/dump"
	lodge suspend 324
	refused 17 "another container's" lodge -q resume 324 --dumpfile "$BATS_TEST_TMPDIR/dump"
	lodge resume 324
	lodge resume 323
}

@test "where there is no room, or no folder, it is refused before, and runs on" {
	ct 325
	local small=$BATS_TEST_TMPDIR/small
	mkdir "$small"
	mount -t tmpfs -o size=1m none "$small"
	run --separate-stderr lodge suspend 325 --dumpfile "$small/dump"
	umount "$small"
	is "$status" 16 "status"
	like "$stderr" 'its memory may take .*, and only .* are free below' "what it says"
	refused 16 "folder '/nonexistent'" lodge suspend 325 --dumpfile /nonexistent/dump
	refused 16 "no plain file" lodge suspend 325 --dumpfile "$small"
	state_is 325 running
	in_ct 325 true
}

@test "with a key dump files are encrypted, and refused with another" {
	ct 326
	counts 326
	local count dump=$BATS_TEST_TMPDIR/dump key=$BATS_TEST_TMPDIR/key
	count=$(count_of 326)
	(umask 077 && head -c 32 /dev/urandom >"$key")
	with_conf "CHECKPOINT_KEY=\"$key\""
	chmod 0644 "$key"
	refused 16 "nobody else may read" lodge suspend 326 --dumpfile "$dump"
	state_is 326 running
	chmod 0400 "$key"
	lodge suspend 326 --dumpfile "$dump"
	! grep -qa 'pstree.img' "$dump" || fail "it is readable"
	like "$(lodge doctor)" 'dump files are encrypted' "doctor"
	cp -p "$key" "$key.right"
	(umask 077 && rm "$key" && head -c 32 /dev/urandom >"$key")
	refused 17 "encrypted with another key" lodge -q resume 326
	without_conf
	refused 17 "it is encrypted, and no CHECKPOINT_KEY" lodge -q resume 326
	mv "$key.right" "$key"
	with_conf "CHECKPOINT_KEY=\"$key\""
	state_is 326 suspended
	lodge resume 326
	goes_on 326 "$count"
	without_conf
	lodge suspend 326 --dumpfile "$dump"
	with_conf "CHECKPOINT_KEY=\"$key\""
	refused 17 "it is not encrypted" lodge -q resume 326
	without_conf
	lodge resume 326
}

@test "with a copy of its files and conf file it goes on from the dump file elsewhere" {
	ct 327
	counts 327
	local count dump=$BATS_TEST_TMPDIR/dump copy=$BATS_TEST_TMPDIR/copy
	count=$(count_of 327)
	lodge suspend 327 --dumpfile "$dump"
	cp -a "$LG_VAR/ct/327" "$copy"
	cp "$LG_ETC/ct/327.conf" "$copy.conf"
	lodge destroy --force 327
	wait_for 10 trash_is_empty
	# What would have come from the other host.
	cp -a "$copy" "$LG_VAR/ct/327"
	cp "$copy.conf" "$LG_ETC/ct/327.conf"
	is "$(lodged_down)" 0 "lodged's status"
	lodged_up
	state_is 327 stopped
	lodge resume 327 --dumpfile "$dump"
	goes_on 327 "$count"
}

# ---- vzctl --------------------------------------------------------------------------------

@test "vzctl chkpnt and restore: words, statuses, stages" {
	ct 330
	counts 330
	local count dump=$BATS_TEST_TMPDIR/dump tab=$'\t'
	count=$(count_of 330)
	is "$(vzctl chkpnt 330)" "Setting up checkpoint...
${tab}suspend...
${tab}dump...
${tab}kill...
Checkpointing completed successfully
Container is unmounted" "vzctl chkpnt"
	is "$(vzctl restore 330)" "Restoring container ...
Container is mounted
${tab}undump...
${tab}resume...
Container start in progress...
Restoring completed successfully" "vzctl restore"
	goes_on 330 "$count"
	refused 32 '^Container is already running$' vzctl restore 330
	is "$(vzctl --quiet suspend 330 --dumpfile "$dump" --skip_arpdetect 2>&1)" \
		"WARNING: --skip_arpdetect: no meaning here, ignored" "one warning"
	refused 31 '^Container is not running$' vzctl chkpnt 330
	is "$(vzctl stop 330 2>&1)" "Unable to stop: container is not running" "vzctl stop"
	state_is 330 suspended
	vzctl resume 330 --dumpfile "$dump"
	goes_on 330 "$count"
	# By stages.
	vzctl chkpnt 330 --suspend
	vzctl chkpnt 330 --dump --dumpfile "$dump.2"
	vzctl chkpnt 330 --kill
	vzctl restore 330 --undump --dumpfile "$dump.2"
	vzctl restore 330 --resume
	goes_on 330 "$count"
	refused 14 'config file does not exist' vzctl chkpnt 399
	refused 20 'no-such' vzctl chkpnt 330 --no-such
	vzctl stop 330 --fast
	refused 31 '^Container is not running$' vzctl chkpnt 330
	run -17 vzctl restore 330
	like "$output" 'is not suspended' "vzctl restore of a stopped one"
}

@test "vzctl start of a suspended one begins anew and says so, destroy takes all" {
	ct 331
	counts 331
	vzctl suspend 331
	refused 31 'suspended: resume it first' vzctl set 331 --userpasswd root:x --save
	run --separate-stderr vzctl start 331
	is "$status" 0 "vzctl start: $stderr"
	like "$stderr" '^WARNING: Container was suspended: what was in its memory is lost' "its warning"
	run in_ct 331 sh -c 'kill -0 "$(cat /tmp/count.pid)"'
	[ "$status" -ne 0 ] || fail "the process of before runs"
	vzctl suspend 331
	vzctl destroy 331
	is "$(vzctl status 331)" "CTID 331 deleted unmounted down" "vzctl status"
}

@test "chkpnt that cannot be done exits with 16 and leaves it running" {
	lodge create 332 --template busybox --feature nesting
	lodge start 332
	run -16 --separate-stderr vzctl chkpnt 332
	like "$stderr" 'nesting' "why"
	state_is 332 running
}

@test "doctor says which CRIU, and what it can do" {
	run lodge doctor
	like "$output" 'checkpoint +CRIU [0-9.]+ \(' "doctor"
	like "$output" 'which memory was written' "whether memory is tracked"
	with_conf 'CRIU="/bin/false"'
	run lodge doctor
	like "$output" 'off +checkpoint +CRIU unknown \(/bin/false\) does not work' "doctor about a program that is none"
	without_conf
}

# ---- a whole system -----------------------------------------------------------------------

# wiped_of ID: which memory of its init a child finds empty
wiped_of() {
	awk '/^[0-9a-f]/ { at = $1 } /^VmFlags:.* wf/ { print at }' "/proc/$(init_pid "$1")/smaps"
}

@test "debian-13 with systemd: suspended and resumed it is as it was" {
	need template debian-13
	lodge create 340 --template debian-13 --memory 512M --ip auto
	# Sandboxes that make namespaces or take what cannot be dumped.
	lodge mount 340 >/dev/null
	local root
	root=$(field 340 .root)
	mkdir -p "$root/etc/systemd/system/service.d" "$root/etc/systemd/system.conf.d"
	# A watch of memory pressure is gone after a resume, and its file then reports errors without end.
	printf '%s\n' '[Manager]' ManagerEnvironment=MEMORY_PRESSURE_WATCH=/dev/null \
		>"$root/etc/systemd/system.conf.d/10.conf"
	printf '%s\n' '[Service]' ProtectHostname=no PrivateIPC=no PrivateNetwork=no PrivateUsers=no ImportCredential= \
		LoadCredential= MemoryPressureWatch=off >"$root/etc/systemd/system/service.d/10.conf"
	lodge umount 340
	lodge start --wait 340
	local boot count wiped
	boot=$(in_ct 340 journalctl -b -o cat --no-pager | wc -l)
	counts 340
	count=$(count_of 340)
	# Where the kernel has random numbers for programs, their state is wiped in a child.
	wiped=$(wiped_of 340)
	lodge suspend 340 --dumpfile "$BATS_TEST_TMPDIR/dump"
	is "$(lodge status 340)" suspended "lodge status"
	lodge resume 340
	goes_on 340 "$count"
	is "$(wiped_of 340)" "$wiped" "memory of systemd that a child finds empty"
	is "$(in_ct 340 systemctl is-system-running)" running "systemd's word"
	is "$(in_ct 340 systemctl --failed --no-legend)" "" "failed units"
	in_ct 340 sh -c 'logger after-it && journalctl --sync && journalctl -b -o cat --no-pager | grep -qx after-it'
	[ "$(in_ct 340 journalctl -b -o cat --no-pager | wc -l)" -gt "$boot" ]
	in_ct 340 systemctl restart cron
	run lodge stop 340
	is "$status" 0 "stop: $output"
	[[ $output != *kill* ]] || fail "it had to be killed: $output"
}

# One that is asked for a sign of life, and logind, which is by Debian.
@test "debian-13: services that have a watchdog go on, and timers expire in time" {
	need template debian-13
	lodge create 341 --template debian-13 --memory 512M --feature checkpointable
	lodge start --wait 341
	in_ct 341 sh -c 'mkdir -p /run/systemd/system/systemd-logind.service.d &&
		printf "[Service]\nWatchdogSec=20s\n" >/run/systemd/system/systemd-logind.service.d/50-test.conf &&
		systemctl daemon-reload && systemctl restart systemd-logind'
	local pid at
	pid=$(in_ct 341 systemctl show -P MainPID systemd-logind)
	lodge suspend 341
	lodge resume 341
	at=$(in_ct 341 date -d '+15 sec' '+%F %T')
	in_ct 341 systemd-run --quiet --on-calendar="$at" --timer-property=AccuracySec=100ms touch /run/it-is-time
	lodge suspend 341
	sleep 17
	lodge resume 341
	# By what was left of it at the suspend it would be nearly that long from now.
	wait_for 8 in_ct 341 test -e /run/it-is-time || fail "a timer of the wall clock is late"
	sleep 24
	is "$(in_ct 341 systemctl show -P MainPID,NRestarts systemd-logind | tr '\n' ' ')" "$pid 0 " "logind and its restarts"
	is "$(in_ct 341 systemctl is-system-running)" running "systemd's word"
}
