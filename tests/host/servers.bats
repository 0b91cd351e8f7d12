#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Stock Debian servers in the middle of their work, suspended and resumed: their clients outside go on with the same
# connections, and what was promised to them is there. One container for each release, with everything in it.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib
load survive

SECONDS_MAX=600
ROWS=20000

setup_file() {
	[ -n "${LODGE_SERVER_STORE:-}" ] || cannot_run "needs the templates of tests/servers" excused
	need criu
	host_up "CRIU=\"$LG_CRIU\""
	need template servers-13
	need template servers-12
	survive_program
	mkdir "$LG_STATE/shared"
	export SURVIVE
	boot 301 servers-13 1536M
	boot 302 servers-12 512M
	ADDRESS=$(address_of 301)
	ADDRESS12=$(address_of 302)
	export ADDRESS ADDRESS12
	prepare_databases
	common_clients 301 "$ADDRESS" "$LG_VAR/templates/servers-13/rootfs"
	common_clients 302 "$ADDRESS12" "$LG_VAR/templates/servers-12/rootfs"
	database_clients
	client_start java "$SURVIVE" client http "$ADDRESS" 8080 / $SECONDS_MAX
	in_ct 301 systemctl restart build-loop
	wait_for 60 all_at_work || fail "not everything is at work: $(wc -l "$LG_STATE"/client.* "$LG_STATE"/shared/*)"
	remember 301
	remember 302
}
teardown_file() {
	[ -z "${LG_STATE:-}" ] || : >"$LG_STATE/shared/stop"
	clients_kill
	host_down
}
teardown() { tell_more; }

# ---- before ----------------------------------------------------------------------------------

boot() {
	[ -e "$LG_STATE/shared/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$LG_STATE/shared/key"
	lodge create "$1" --template "$2" --memory "$3" --ip auto --feature checkpointable \
		--ssh-key "$LG_STATE/shared/key.pub"
	lodge start --wait "$1"
	is "$(in_ct "$1" systemctl is-system-running)" running "$2 ($(in_ct "$1" systemctl --failed --no-legend))"
}

# outside ROOTFS COMMAND: a shell's line with that template's programs and the host's network; /mnt is shared/
outside() {
	ROOT=$1 SHARED=$LG_STATE/shared exec unshare --mount --propagation private sh -c '
		mount -t tmpfs tmpfs "$ROOT/tmp"
		mount --rbind /dev "$ROOT/dev"
		mount --bind "$SHARED" "$ROOT/mnt"
		exec env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 HOME=/tmp chroot "$ROOT" sh -c "$1"' sh "$2"
}

in_shell() {
	in_ct "$1" sh -c "$2"
}

# A feeder prints lines, one each 20 ms, until /mnt/stop is there.
FEEDER='feed() { n=1; while [ ! -e /mnt/stop ]; do printf "$1\n" "$n"; n=$((n + 1)); sleep 0.02; done; }; '
export FEEDER

# An ssh session with a counting shell, and a web page on one connection.
common_clients() {
	client_start "ssh$1" outside "$3" "$FEEDER"'feed "line %d" | ssh -i /mnt/key -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null -o BatchMode=yes root@'"$2"' '\''while read line; do echo "$$ $line"; done'\'''
	client_start "nginx$1" "$SURVIVE" client http "$2" 80 /page $SECONDS_MAX
}

prepare_databases() {
	in_shell 301 'runuser -u postgres -- psql -q' <<-END
		CREATE ROLE tester LOGIN;
		CREATE DATABASE tests OWNER tester;
		\\c tests
		SET ROLE tester;
		CREATE TABLE rows (id int PRIMARY KEY, v text);
		CREATE TABLE promised (n int PRIMARY KEY);
		INSERT INTO rows SELECT g, md5(g::text) FROM generate_series(1, $ROWS) g;
	END
	in_shell 301 mariadb <<-END
		CREATE DATABASE tests;
		CREATE USER tester@'%';
		GRANT ALL ON tests.* TO tester@'%';
		USE tests;
		CREATE TABLE numbered (id int PRIMARY KEY, v varchar(40)) ENGINE=InnoDB;
		CREATE TABLE promised (n int PRIMARY KEY) ENGINE=InnoDB;
		INSERT INTO numbered SELECT seq, md5(seq) FROM seq_1_to_$ROWS;
	END
}

PSQL="psql -q -t -A -v ON_ERROR_STOP=1 -U tester tests"
MARIADB="mariadb --unbuffered --skip-column-names --skip-reconnect --skip-ssl -u tester tests"

# Of each database: one that commits a row at a time and notes the answers, one with a transaction that stays open.
database_clients() {
	local root=$LG_VAR/templates/servers-13/rootfs go='while [ ! -e /mnt/go ]; do sleep 0.05; done'
	client_start pg outside "$root" "$FEEDER"'feed "INSERT INTO promised VALUES (%d) RETURNING n;" |
		'"$PSQL -h $ADDRESS"
	client_start pg-open outside "$root" '{ echo "BEGIN; DELETE FROM rows WHERE id % 2 = 0; SELECT count(*) FROM rows;"
		'"$go"'; echo "INSERT INTO rows VALUES (0, md5('\''0'\'')); COMMIT; SELECT 4711;"; } | '"$PSQL -h $ADDRESS"
	client_start maria outside "$root" "$FEEDER"'feed "INSERT INTO promised VALUES (%d) RETURNING n;" |
		'"$MARIADB -h $ADDRESS"
	client_start maria-open outside "$root" '{ echo "BEGIN; DELETE FROM numbered WHERE id % 2 = 0; SELECT count(*) FROM numbered;"
		'"$go"'; echo "INSERT INTO numbered VALUES (0, md5(0)); COMMIT; SELECT 4711;"; } | '"$MARIADB -h $ADDRESS"
	client_start redis outside "$root" "$FEEDER"'feed "INCR counter" | redis-cli -h '"$ADDRESS"
}

has_lines() {
	[ "$(wc -l <"$LG_STATE/client.$1")" -ge "$2" ]
}

all_at_work() {
	local name
	for name in ssh301 ssh302 pg maria redis; do
		has_lines "$name" 20 || return 1
	done
	has_lines pg-open 1 && has_lines maria-open 1 && in_ct 301 test -s /srv/build/rounds &&
		in_ct 301 test -d /srv/build/out
}

# Every service's main process: none of them may be another one afterwards.
main_processes() {
	in_shell "$1" 'systemctl list-units --type=service --state=running --plain --no-legend | cut -d" " -f1 |
		grep -v -e systemd-tmpfiles -e apt- -e logrotate | sort | while read unit; do
			echo "$unit $(systemctl show -P MainPID "$unit")"
		done'
}

remember() {
	main_processes "$1" >"$LG_STATE/processes.$1"
	in_ct "$1" cat /proc/uptime >"$LG_STATE/uptime.$1"
	in_shell "$1" 'wc -l </var/log/beat 2>/dev/null || echo 0' >"$LG_STATE/beats.$1"
}

# ---- suspended and resumed -------------------------------------------------------------------------

suspend_and_resume() {
	lodge suspend "$1"
	is "$(field "$1" .state)" suspended "state"
	sleep 2
	local name
	for name in ssh301 ssh302 pg maria redis; do
		wc -l <"$LG_STATE/client.$name" >"$LG_STATE/lines.$name"
	done
	lodge resume "$1"
	is "$(field "$1" .state)" running "state"
	: >"$LG_STATE/resumed.$1"
}

@test "debian-13 with all its servers at work is suspended and resumed" {
	suspend_and_resume 301
	# Clients go on for a while before they are asked.
	sleep 2
	: >"$LG_STATE/shared/go"
}

@test "debian-12 with ssh, cron and nginx at work is suspended and resumed" {
	suspend_and_resume 302
	sleep 2
	: >"$LG_STATE/shared/stop"
}

# What was never suspended has not survived it.
resumed() {
	[ -e "$LG_STATE/resumed.$1" ] || fail "container $1 was not suspended and resumed"
}

# ---- systemd -------------------------------------------------------------------------------------

systemd_goes_on() {
	resumed "$1"
	is "$(in_ct "$1" systemctl is-system-running)" running "systemd's word"
	is "$(in_ct "$1" systemctl --failed --no-legend)" "" "failed units"
	is "$(main_processes "$1")" "$(cat "$LG_STATE/processes.$1")" "main processes of the services"
	in_ct "$1" systemd-run --wait --pipe -q true
	# Time is its own: it has not gone back, and has not run ahead.
	in_ct "$1" cat /proc/uptime | awk -v was="$(cut -d' ' -f1 "$LG_STATE/uptime.$1")" \
		'$1 < was || $1 > was + 120 { print "uptime was " was ", is " $1; exit 1 }'
}

journald_goes_on() {
	resumed "$1"
	in_shell "$1" 'echo written-after | systemd-cat -t lgtest && journalctl --sync'
	is "$(in_ct "$1" journalctl -o cat -t lgtest)" written-after "the journal"
	in_ct "$1" journalctl --verify >/dev/null
}

# Prints a word of every line that came; a gap or another shell is a failure.
session_goes_on() {
	resumed "$1"
	run client_end "ssh$1"
	local last
	last=$(awk 'NR == 1 { shell = $1 }
		$1 != shell || $2 != "line" || $3 != NR { print "line " NR ": " $0; exit }
		END { print "good", NR }' <<<"$output" | head -n 1)
	like "$last" '^good [0-9]+$' "lines of the session ($(cat "$LG_STATE/client.ssh$1.err"))"
	[ "${last#good }" -gt "$(cat "$LG_STATE/lines.ssh$1")" ] || fail "the session said nothing more"
}

@test "debian-13: systemd and its services are those they were" { systemd_goes_on 301; }
@test "debian-12: systemd and its services are those they were" { systemd_goes_on 302; }
@test "debian-13: journald takes and keeps what is logged" { journald_goes_on 301; }
@test "debian-12: journald takes and keeps what is logged" { journald_goes_on 302; }

@test "debian-13: an ssh session goes on, line by line" { session_goes_on 301; }
@test "debian-12: an ssh session goes on, line by line" { session_goes_on 302; }

@test "debian-13: logind makes a new session" {
	resumed 301
	run outside "$LG_VAR/templates/servers-13/rootfs" 'ssh -i /mnt/key -o StrictHostKeyChecking=no -o BatchMode=yes \
		-o UserKnownHostsFile=/dev/null root@'"$ADDRESS"' "loginctl show-session \$XDG_SESSION_ID -P Name -P State" 2>/dev/null'
	is "$output" $'root\nactive' "the session"
}

# ---- servers -----------------------------------------------------------------------------------------

@test "debian-13: nginx answers on the same connection" {
	resumed 301
	client_was_fine nginx301
}

@test "debian-12: nginx answers on the same connection" {
	resumed 302
	client_was_fine nginx302
}

@test "debian-13: a Java server answers on the same connection" {
	resumed 301
	client_was_fine java
}

# promises_kept CLIENT COMMAND: the client's answers are 1, 2, ... and the table has each of them; COMMAND prints
# "count highest" of it
promises_kept() {
	resumed 301
	run client_end "$1"
	local answers=${#lines[@]} count highest
	is "$output" "$(seq "$answers")" "answers ($(cat "$LG_STATE/client.$1.err"))"
	[ "$answers" -gt "$(cat "$LG_STATE/lines.$1")" ] || fail "no answer since it was suspended"
	read -r count highest <<<"$("${@:2}")"
	is "$count" "$highest" "rows without a gap"
	[ "$count" -ge "$answers" ] || fail "$answers were promised, $count are there"
}

pg() {
	in_shell 301 'runuser -u postgres -- psql -q -t -A -F " " tests' <<<"$1"
}

maria() {
	in_shell 301 'mariadb --skip-column-names tests' <<<"$1"
}

@test "debian-13: PostgreSQL has every row that it promised" {
	promises_kept pg pg "SELECT count(*), max(n) FROM promised;"
}

@test "debian-13: PostgreSQL's open transaction goes on and commits" {
	resumed 301
	run client_end pg-open
	is "$output" "$((ROWS / 2))"$'\n4711' "answers ($(cat "$LG_STATE/client.pg-open.err"))"
	is "$(pg "SELECT md5(string_agg(v, '' ORDER BY id)) FROM rows;")" \
		"$(pg "SELECT md5(string_agg(md5(g::text), '' ORDER BY g)) FROM generate_series(0, $ROWS) g WHERE g % 2 = 1 OR g = 0;")" \
		"checksum of the rows"
}

@test "debian-13: MariaDB has every row that it promised" {
	promises_kept maria maria "SELECT count(*), max(n) FROM promised"
}

@test "debian-13: MariaDB's open transaction goes on and commits" {
	resumed 301
	run client_end maria-open
	is "$output" "$((ROWS / 2))"$'\n4711' "answers ($(cat "$LG_STATE/client.maria-open.err"))"
	is "$(maria "SELECT sum(crc32(v)) FROM numbered")" \
		"$(maria "SELECT sum(crc32(md5(seq))) + crc32(md5(0)) FROM seq_1_to_$ROWS WHERE seq % 2 = 1")" "checksum of the rows"
	like "$(maria "CHECK TABLE numbered, promised")" $'status\tOK.*status\tOK' "CHECK TABLE"
}

@test "debian-13: redis counts on for the same client" {
	resumed 301
	run client_end redis
	is "$output" "$(seq "${#lines[@]}")" "its answers ($(cat "$LG_STATE/client.redis.err"))"
	[ "${#lines[@]}" -gt "$(cat "$LG_STATE/lines.redis")" ] || fail "no answer since it was suspended"
	is "$(in_ct 301 redis-cli get counter)" "${#lines[@]}" "the counter"
}

builds_on() {
	[ "$(in_shell 301 'wc -l </srv/build/rounds')" -gt "$1" ]
}

@test "debian-13: a build goes on, and its results are right" {
	resumed 301
	local rounds
	rounds=$(in_shell 301 'wc -l </srv/build/rounds')
	wait_for 60 builds_on $((rounds + 1)) || fail "no round of the build ends"
	is "$(in_ct 301 systemctl is-active build-loop)" active "the build"
}

beats_on() {
	[ "$(in_shell "$1" 'wc -l </var/log/beat 2>/dev/null || echo 0')" -gt "$(cat "$LG_STATE/beats.$1")" ]
}

@test "debian-13: cron does what is due in the next minute" {
	resumed 301
	wait_for 75 beats_on 301
}

@test "debian-12: cron does what is due in the next minute" {
	resumed 302
	wait_for 75 beats_on 302
}
