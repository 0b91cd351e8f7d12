#!/usr/bin/env bats
# shellcheck disable=SC2154 # `status` and `output` are bats's
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a host says about itself and about a container that wants to come, before one moves (ct/facts.h).

load lib

setup_file() {
	export BATS_NO_PARALLELIZE_WITHIN_FILE=true
	need tool perl
	need tool jq
	host_up
	ct 101 --name web --memory 64M --ip auto
}

teardown_file() {
	host_down
}

teardown() {
	tell_more
}

# facts PARAMETERS: the answer's parameters
facts() {
	perl -MIO::Socket::UNIX -e '
		my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "connect: $!";
		$s->send("{\"method\":\"io.lodge.Facts\",\"parameters\":$ARGV[1]}\0");
		$s->shutdown(1);
		local $/ = "\0";
		my $answer = <$s>;
		chop $answer;
		print $answer;' "$LG_RUN/lodged.sock" "$1" | jq -e .parameters
}

# here CHANGE: what the host says about 101, when its needs are changed by a jq expression
here() {
	facts "$(facts '{"id":"101","live":true}' | jq -c "{needs: (.needs | $1)}")" | jq -c .facts.here
}

@test "a host says what it is" {
	run -0 facts '{}'
	is "$(jq -r .facts.kernel <<<"$output")" "$(uname -r)" "kernel"
	is "$(jq -r .facts.machine <<<"$output")" "$(uname -m)" "machine"
	is "$(jq -r .facts.page_bytes <<<"$output")" "$(getconf PAGESIZE)" "page size"
	is "$(jq -r .needs <<<"$output")" null "needs of nobody"
	[ "$(jq -r .facts.storage.free_bytes <<<"$output")" -gt 0 ]
	jq -e '.facts.criu | if .usable then .version else .why end | length > 0' <<<"$output"
}

@test "a container says what it needs" {
	run -0 facts '{"id":"web","live":true}'
	is "$(jq -c '.needs | [.ctid, .name, .live, .ids, .conf.NAME]' <<<"$output")" \
		'[101,"web",true,65536,"web"]' "who it is"
	is "$(jq -r '.needs.addresses[0]' <<<"$output")" "$(field 101 '.addresses[0]' | cut -d/ -f1)" "its address"
	[ "$(jq -r .needs.memory_bytes <<<"$output")" -gt 0 ]
	[ "$(jq -r .needs.bytes <<<"$output")" -gt 0 ]
	[ "$(jq -r .needs.inodes <<<"$output")" -gt 2 ]
	like "$(jq -r .needs.template.digest <<<"$output")" '^sha256:' "its template's digest"
	is "$(jq -r .needs.own_clocks <<<"$output")" true "clocks of its own"
	run facts '{"id":"999"}'
	is "$(jq -r .id <<<"$output")" 999 "who is not there"
}

@test "the host that it is on has no place for another of it" {
	is "$(here . | jq -c '[.ctid_taken, .name_taken_by, .template, .addresses[0].taken_by, .refused]')" \
		'[true,101,"same",101,[]]' "what is taken"
}

@test "another one may come" {
	is "$(here '.ctid = 105 | .name = "other" | .addresses = []' |
		jq -c '[.ctid_taken, .name_taken_by, .ids, .addresses, .refused]')" \
		'[false,0,true,[],[]]' "nothing is taken"
}

@test "what this host could not give is refused, with the reason" {
	run -0 here '.ctid = 105 | .conf.CPUMASK = "9999" | .conf.DEVNODES = "nothing:rw" | .ids = 2000000000000'
	is "$(jq -c .ids <<<"$output")" false "so many ids"
	like "$(jq -r '.refused[0]' <<<"$output")" 'CPU' "CPUs that are not there"
	like "$(jq -r '.refused[1]' <<<"$output")" '/dev/nothing' "a device that is not there"
	is "$(here '.template.digest = "sha256:0"' | jq -r .template)" other "another template"
	is "$(here '.template.name = "nothing"' | jq -r .template)" missing "no template"
	is "$(here '.addresses = ["192.0.2.7"]' | jq -c '.addresses[0] | [.taken_by, .known]')" '[0,false]' \
		"an address of another network"
}

@test "nonsense from another host does no harm" {
	here '.addresses = [1, {}, "no address"] | .conf = {"a b": "1", "A": 5} | .ctid = -1 | .name = {} | .template = []'
	facts '{"needs":{}}' | jq -e .facts.here
	is "$(facts '{"needs":7}' | jq -r .parameter)" needs "what is wrong with it"
	in_ct 101 true
}
