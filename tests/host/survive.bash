# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Containers full of what must survive, and clients outside of them (tests/survive). To be loaded after lib.
#
# How it works: `survive` is started inside, an item each in the background; when the container has been suspended and
# resumed, or moved, each is asked whether it noticed. Clients outside run from before until after and report once.

# shellcheck disable=SC2154 # status, output are set by bats' run

# The program, as the build made it or compiled here; sets SURVIVE.
survive_program() {
	local at
	for at in "${LG_HELPERS:-}/survive" "${LODGE_BIN_DIR:-}/survive" "$LG_STATE/survive"; do
		SURVIVE=$at
		[ ! -x "$at" ] || return 0
	done
	cc -D_GNU_SOURCE -O1 -static -o "$SURVIVE" "$HERE"/../survive/*.c -lm
}

# put_survive ID: into its /bin
put_survive() {
	survive_program
	lodge exec "$1" -- sh -c "cat >/bin/survive && chmod 0755 /bin/survive" <"$SURVIVE"
}

# survive_start ID [ITEM]...: without names, all that must be kept
survive_start() {
	in_ct "$1" survive --start "${@:2}" || fail "not everything could be set up"
}

# survived ID ITEM: its own word for it
survived() {
	run in_ct "$1" survive --verify "$2"
	is "$output" pass "$2"
	is "$status" 0 "status of $2"
}

# client_start NAME COMMAND...: in the background until client_end; what it says goes to a file
client_start() {
	local name=$1
	shift
	"$@" >"$LG_STATE/client.$name" 2>"$LG_STATE/client.$name.err" </dev/null 3>&- &
	echo $! >"$LG_STATE/client.$name.pid"
	disown
}

client_is_over() {
	[ ! -e "/proc/$1" ]
}

# client_end NAME: let it come to its end and print what it said
client_end() {
	local pid
	pid=$(<"$LG_STATE/client.$1.pid")
	client_is_over "$pid" || kill -TERM "$pid"
	wait_for 20 client_is_over "$pid" || fail "the client $1 does not end"
	cat "$LG_STATE/client.$1"
}

# client_figure NAME KEY: of the report of a `survive client`
client_figure() {
	sed -n "s/.* $2=\([^ ]*\).*/\1/p" "$LG_STATE/client.$1"
}

# client_was_fine NAME: it was there to the end, and nothing was lost, doubled or changed
client_was_fine() {
	run client_end "$1"
	like "$output" 'verdict=good$' "the client $1 ($(cat "$LG_STATE/client.$1.err"))"
	[ "$(client_figure "$1" received)" -gt 0 ] || fail "the client $1 received nothing: $output"
}

# clients_kill: those that a failed test left
clients_kill() {
	local file pid
	for file in "$LG_STATE"/client.*.pid; do
		[ -e "$file" ] || return 0
		pid=$(<"$file")
		client_is_over "$pid" || kill -KILL "$pid"
	done
}
