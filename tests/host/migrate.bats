#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Containers move from one host to another and back, over ssh.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib
load survive
load hosts

setup_file() {
	hosts_up "$(criu_line)"
	need template busybox
	survive_program
}
teardown_file() {
	clients_kill
	hosts_down
}
teardown() {
	hosts_tell_more
	clients_kill
	hosts_empty
}

@test "a stopped one" {
	lodge create 101 --template busybox --name web
	run move 101
	is "$status" 0 "move: $output"
	like "$output" "moved 101 to hostB" "what it says"
	is "$(state_on B 101)" stopped "state there"
	is "$(state_on A 101)" none "state here"
	use_host B
	is "$(field 101 .name)" web "its name"
	lodge start 101
	is "$(in_ct 101 echo hello)" hello "it works there"
}

@test "a running one, live: it goes on there" {
	ct 101
	in_ct 101 sh -c 'n=0; while sleep 0.02; do n=$((n + 1)); echo $n >/count; done >/dev/null 2>&1 </dev/null &'
	sleep 0.5
	run move 101 --live
	is "$status" 0 "move: $output"
	echo "# $output" >&3
	is_only_on B 101
	use_host B
	[ "$(in_ct 101 cat /count)" -gt 10 ]
}
