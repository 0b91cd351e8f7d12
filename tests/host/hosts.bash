# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two hosts, and a client that neither of them is. To be loaded after lib.
#
# How it works: A and B are two lodged, each with a root and a network namespace of its own, C is a namespace for clients.
# One switch joins A, B and C: the segment that containers are on (lodge's bridges have a port to it). Another one joins A and
# B: there an sshd listens in each, with keys made for these tests. `use_host A` turns what lib.bash knows to that host. All of
# it ends in hosts_down, which looks at both hosts as host_down does.
#
#   10.157.0.0/16, fd57::/64    containers, client at .9.9 and ::9
#   10.158.0.1, 10.158.0.2      hostA, hostB
#
#   LG_HOLD/A, LG_HOLD/B        where a move is to wait for the test (cmd/lodge-worker/migrate.h: wait_at)

# shellcheck disable=SC2154,SC2153 # status, output, stderr are set by bats' run, LG_LODGE by find_programs

need_hosts() {
	local program
	need root
	for program in ip nft ssh ssh-keygen nsenter; do
		need tool "$program"
	done
	[ -x /usr/sbin/sshd ] || cannot_run "needs openssh-server"
}

# The namespace of A, B, C or S (the switches).
ns_of() {
	echo "$LG_HOSTS_TAG-$1"
}

in_ns() {
	nsenter --net="/run/netns/$(ns_of "$1")" "${@:2}"
}

# use_host A|B
use_host() {
	LG_HOST=$1
	LODGE_ROOT=$(<"$BATS_FILE_TMPDIR/$1/root")
	LG_STATE=$BATS_FILE_TMPDIR/$1
	LG_LODGED=$LG_STATE/lodged
	export LG_HOST LODGE_ROOT LG_STATE LG_LODGED
	root_names "$LODGE_ROOT"
}

# on A|B COMMAND...: there, and back to the host before
on() {
	local before=$LG_HOST rc=0
	use_host "$1"
	shift
	"$@" || rc=$?
	use_host "$before"
	return $rc
}

other() {
	[ "$1" = A ] && echo B || echo A
}

# ---- up --------------------------------------------------------------------------------------

make_segments() {
	local n
	for n in S A B C; do
		ip netns add "$(ns_of $n)"
		ip -n "$(ns_of $n)" link set lo up
	done
	for n in guests hosts; do
		ip -n "$(ns_of S)" link add $n type bridge
		ip -n "$(ns_of S)" link set $n up
	done
	for n in A B C; do
		plug $n guests
		no_filter_on_bridges $n
	done
	no_filter_on_bridges S
	plug A hosts 10.158.0.1/24
	plug B hosts 10.158.0.2/24
	ip -n "$(ns_of C)" address add 10.157.9.9/16 dev guests
	ip -n "$(ns_of C)" address add fd57::9/64 dev guests nodad
}

# plug A SEGMENT [ADDRESS]: a cable from there to the switch
plug() {
	ip -n "$(ns_of S)" link add "$2$1" type veth peer name "$2" netns "$(ns_of "$1")"
	ip -n "$(ns_of S)" link set "$2$1" master "$2" up
	ip -n "$(ns_of "$1")" link set "$2" up
	[ -z "${3:-}" ] || ip -n "$(ns_of "$1")" address add "$3" dev "$2"
}

# A bridge that asks the host's packet filter is no switch.
# shellcheck disable=SC2016 # expanded inside
no_filter_on_bridges() {
	in_ns "$1" sh -c 'for f in iptables ip6tables arptables; do
		f=/proc/sys/net/bridge/bridge-nf-call-$f; [ ! -e $f ] || echo 0 >$f; done'
}

start_sshd() {
	local dir=$BATS_FILE_TMPDIR/$1
	ssh-keygen -q -t ed25519 -N '' -f "$dir/hostkey"
	cat >"$dir/sshd_config" <<-END
		ListenAddress $2
		HostKey $dir/hostkey
		AuthorizedKeysFile $BATS_FILE_TMPDIR/key.pub
		PidFile $dir/sshd.pid
		StrictModes no
		UsePAM no
		PasswordAuthentication no
		PermitRootLogin prohibit-password
		UseDNS no
	END
	echo "host$1 $(cut -d' ' -f1,2 "$dir/hostkey.pub")" >>"$BATS_FILE_TMPDIR/known_hosts"
	cat >>"$BATS_FILE_TMPDIR/ssh_config" <<-END
		Host host$1
		HostName $2
		HostKeyAlias host$1
		User root
		IdentityFile $BATS_FILE_TMPDIR/key
		IdentitiesOnly yes
		UserKnownHostsFile $BATS_FILE_TMPDIR/known_hosts
		GlobalKnownHostsFile /dev/null
		BatchMode yes
		ConnectTimeout 5
		ServerAliveInterval 5
		LogLevel ERROR
	END
	in_ns "$1" /usr/sbin/sshd -f "$dir/sshd_config" -E "$dir/sshd.log" 3>&-
	wait_for 5 test -s "$dir/sshd.pid"
}

# Its own log, root and network; LINEs into lodge.conf.
host_up_as() {
	local n=$1 base=/tmp
	shift
	[ "$(stat -f -c %T /tmp)" != tmpfs ] || base=/var/tmp
	mkdir -p "$BATS_FILE_TMPDIR/$n" "$LG_HOLD/$n"
	mktemp -d "$base/lgt.XXXX" >"$BATS_FILE_TMPDIR/$n/root"
	cat >"$BATS_FILE_TMPDIR/$n/lodged" <<-END
		#!/bin/sh
		export LG_MOVE_STOP=$LG_HOLD/$n
		exec nsenter --net=/run/netns/$(ns_of "$n") $LG_LODGED_HERE "\$@"
	END
	chmod +x "$BATS_FILE_TMPDIR/$n/lodged"
	use_host "$n"
	host_state | sort >"$LG_STATE/before"
	mkdir -p "$LG_ETC" "$LG_VAR"
	chmod 0700 "$LG_VAR"
	printf '%s\n' 'NETWORK="10.157.0.0/16"' 'NETWORK6="fd57::/64"' 'NAT="no"' 'SYSCTLS="no"' "$@" >"$LG_ETC/lodge.conf"
	share_templates
	lodged_up
	ip -n "$(ns_of "$n")" link set guests master "$LG_BRIDGE"
}

# hosts_up [LINE]...: LINEs go into both lodge.conf
hosts_up() {
	need_hosts
	find_programs
	LG_LODGED_HERE=$LG_LODGED
	LG_HOSTS_TAG=lgt$$
	echo "${LG_SHARED_HOST:-0}" >"$BATS_FILE_TMPDIR/shared_host"
	# The first namespace of a machine gets it a mount, which stays.
	ip netns add $LG_HOSTS_TAG && ip netns delete $LG_HOSTS_TAG
	[ "${LG_SHARED_HOST:-0}" = 1 ] || host_state | sort >"$BATS_FILE_TMPDIR/before"
	# What is on one of them is not the other's.
	export LG_SHARED_HOST=1
	LG_HOLD=$BATS_FILE_TMPDIR/hold
	export LG_LODGED_HERE LG_HOSTS_TAG LG_HOLD
	export ASAN_OPTIONS=${ASAN_OPTIONS:-exitcode=99} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
	[ -d /run/sshd ] || { mkdir -m 0755 /run/sshd && : >"$BATS_FILE_TMPDIR/made-run-sshd"; }
	make_segments
	ssh-keygen -q -t ed25519 -N '' -f "$BATS_FILE_TMPDIR/key"
	host_up_as A "$@"
	host_up_as B "$@"
	start_sshd A 10.158.0.1
	start_sshd B 10.158.0.2
	use_host A
}

# ---- down ------------------------------------------------------------------------------------

# What the namespace of a host still has of lodge: links and tables.
ns_state() {
	in_ns "$1" ip -o link | sed -n "s/^[0-9]*: \(${LG_TAG}[^:@]*\).*/link \1/p"
	in_ns "$1" nft list tables | sed 's/^/nft /'
}

ns_is_clean() {
	ns_state "$1" >"$LG_STATE/ns"
	[ ! -s "$LG_STATE/ns" ]
}

# Beside files_left: what moves write down, and images.
moves_left() {
	find "$LG_VAR/moving" "$LG_VAR/moved" "$LG_VAR/checkpoint" -mindepth 1 ! -name criu.kdat 2>/dev/null || test $? -eq 1
}

no_moves_left() {
	moves_left >"$LG_STATE/files"
	[ ! -s "$LG_STATE/files" ]
}

host_is_clean() {
	local bad=0
	lodged_answers || lodged_up || bad=1
	destroy_all || bad=1
	wait_for 10 trash_is_empty || bad=1
	wait_for 10 no_moves_left || { echo "$LG_HOST: left of moves:" && cat "$LG_STATE/files" && bad=1; }
	wait_for 10 no_files_left || { echo "$LG_HOST: files left:" && cat "$LG_STATE/files" && bad=1; }
	lodge teardown || bad=1
	wait_for 20 lodged_ended || bad=1
	LG_RC=$(<"$LG_STATE/lodged.rc")
	[ "${LG_RC:-none}" = 0 ] || { echo "lodged exited with ${LG_RC:-none}" && bad=1; }
	unshare_templates
	wait_for 10 ns_is_clean "$LG_HOST" || { echo "$LG_HOST: in its network:" && cat "$LG_STATE/ns" && bad=1; }
	wait_for 15 host_is_as_before || { echo "$LG_HOST:" && diff "$LG_STATE/before" "$LG_STATE/after"; bad=1; }
	! grep -nE 'Sanitizer|runtime error' "$LG_STATE/lodged.log" || bad=1
	[ "$bad" = 0 ] || { echo "lodged's last words on $LG_HOST (files in $LODGE_ROOT):" && tail -n 30 "$LG_STATE/lodged.log"; }
	return $bad
}

hosts_down() {
	local n bad=0
	[ -n "${LG_HOSTS_TAG:-}" ] || return 0
	[ ! -e "$BATS_FILE_TMPDIR/down" ] || return 1
	: >"$BATS_FILE_TMPDIR/down"
	for n in A B; do
		[ -e "$BATS_FILE_TMPDIR/$n/root" ] || continue
		use_host $n
		host_is_clean || bad=1
		[ ! -s "$LG_STATE/sshd.pid" ] || kill "$(<"$LG_STATE/sshd.pid")" || bad=1
		[ "$bad" = 1 ] || rm -rf "$LODGE_ROOT"
	done >&2
	for n in A B C S; do
		ip netns delete "$(ns_of $n)" || bad=1
	done
	[ ! -e "$BATS_FILE_TMPDIR/made-run-sshd" ] || rmdir /run/sshd
	LG_SHARED_HOST=$(<"$BATS_FILE_TMPDIR/shared_host")
	wait_for 15 all_is_as_before || { diff "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after" >&2; bad=1; }
	return $bad
}

# Of the machine that both are on. One that others use, too, says nothing.
all_is_as_before() {
	[ "$LG_SHARED_HOST" != 1 ] || return 0
	host_state | sort >"$BATS_FILE_TMPDIR/after"
	cmp -s "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after"
}

# At the end of a failed test, what both daemons said last.
hosts_tell_more() {
	local n
	[ "${BATS_TEST_COMPLETED:-0}" != 1 ] || return 0
	for n in A B; do
		echo "lodged's last words on $n:" && tail -n 15 "$BATS_FILE_TMPDIR/$n/lodged.log"
		grep -hB 2 Error "$(<"$BATS_FILE_TMPDIR/$n/root")"/var/lib/lodge/log/criu-*.log 2>/dev/null | tail -n 12
	done
}

# hosts_empty: between two tests both run, and have nothing
hosts_empty() {
	local n
	rm -f "$LG_HOLD"/*/*
	for n in A B; do
		use_host $n
		lodged_answers || lodged_up
		ip -n "$(ns_of $n)" link set guests master "$LG_BRIDGE"
		wait_for 60 nothing_goes_on
		destroy_all
	done
	use_host A
}

nothing_goes_on() {
	[ "$(lodge list -a --json | jq 'map(select(.busy)) | length')" = 0 ]
}

# ---- moves -----------------------------------------------------------------------------------

# remote_of A|B: what a move starts there
remote_of() {
	echo "env LODGE_ROOT=$(<"$BATS_FILE_TMPDIR/$1/root") LODGE_LIBEXECDIR=${LODGE_LIBEXECDIR:-} LG_MOVE_STOP=$LG_HOLD/$1" \
		"ASAN_OPTIONS=$ASAN_OPTIONS $LG_LODGE receive"
}

# move ID [OPTION]...: from the host in use to the other one
move() {
	local to
	to=$(other "$LG_HOST")
	lodge migrate "$1" "host$to" --ssh "ssh -F $BATS_FILE_TMPDIR/ssh_config" --remote "$(remote_of "$to")" "${@:2}"
}

# state_on A|B ID: its state there, or "none"
state_on() {
	on "$1" lodge list -a --json | jq -r --argjson id "$2" 'map(select(.ctid == $id)) | if length > 0 then .[0].state else "none" end'
}

# is_only_on A|B ID: it runs there, and the other host does not have it
is_only_on() {
	is "$(state_on "$1" "$2")" running "its state on $1"
	is "$(state_on "$(other "$1")" "$2")" none "its state on the other host"
}

# hold A|B POINT; is_held; let_go: a move waits there
hold() {
	: >"$LG_HOLD/$1/$2"
}

is_held() {
	[ -e "$LG_HOLD/$1/$2.here" ]
}

let_go() {
	rm -f "$LG_HOLD/$1/$2" "$LG_HOLD/$1/$2.here"
}

# ---- memory that is written to (dirty.c) ------------------------------------------------------

tells_what_is_written() {
	lodge doctor | tr -s ' \n' ' ' | grep -q 'this kernel tells which memory was written'
}

need_tracking() {
	tells_what_is_written || cannot_run "this kernel does not tell which memory was written (CONFIG_MEM_SOFT_DIRTY)" excused
}

# dirty_in ID MIB KIB-A-SECOND [moves]
dirty_in() {
	put_helper "$1" dirty
	in_ct "$1" sh -c "rm -f /dirty; setsid dirty $2 $3 /dirty ${4:-} </dev/null >/dev/null 2>&1 &"
	wait_for 60 in_ct "$1" test -s /dirty
}

# memory_is_right ID
# shellcheck disable=SC2016 # expanded inside
memory_is_right() {
	in_ct "$1" sh -c 'rm -f /dirty; kill -USR1 $(pidof dirty)'
	wait_for 60 in_ct "$1" test -s /dirty
	like "$(in_ct "$1" cat /dirty)" '^right ' "its memory"
}

# shellcheck disable=SC2016 # expanded inside
# count_of ID: what its process that counts has written to /count; for a moment the file is empty
count_of() {
	in_ct "$1" sh -c 'while :; do read -r n </count && echo "$n" && break; done'
}

# ct_out ID [create options]...: a busybox container that the client reaches at CT_ADDRESS and CT_ADDRESS6
ct_out() {
	ct "$1" --ip "10.157.0.$(($1 % 200 + 10))/16" --ip "fd57::$1/64" "${@:2}"
	CT_ADDRESS=10.157.0.$(($1 % 200 + 10))
	CT_ADDRESS6=fd57::$1
	export CT_ADDRESS CT_ADDRESS6
}

# client_out NAME COMMAND...: as client_start, in the client's namespace
client_out() {
	client_start "$1" nsenter --net="/run/netns/$(ns_of C)" "${@:2}"
}
