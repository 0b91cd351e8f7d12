# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What every host test stands on.
#
# How it works: a file's setup_file calls host_up, which writes down what is on the host, starts a lodged of its
# own under a short temporary root and leaves it running for the file's tests. teardown destroys what a
# test left, teardown_file calls host_down, which ends the daemon and compares the host with before:
# nothing may be left behind.
#
#   LODGE_BIN_DIR         lodge, lodged, lodge-shim, lodge-worker of a build tree (default: as installed)
#   LODGE_DATADIR         recipes (default with LODGE_BIN_DIR: the source tree)
#   LODGE_TEMPLATE_STORE  a folder with built templates (NAME/manifest, NAME/rootfs)
#   LODGE_SERVER_STORE    another one, of stock servers (tests/servers)
#   LG_PROBE              the built tests/host/probe.c (default: compiled here)
#   LG_HELPERS            a folder with the other helpers, built (default: compiled when needed)
#   LG_CRIU               a CRIU that works here (default: the host's own; else the one that tests/criu finds or fetches)
#   LG_MUST_RUN=1         a test that cannot run fails
#   LG_NO_INTERNET=1      this host has no way out, so tests that need one are skipped even so
#   LG_SHARED_HOST=1      others work on this host: compare only what bears this daemon's tag

# shellcheck disable=SC2154 # status, output, stderr are set by bats' run
# shellcheck disable=SC2119,SC2120 # arguments of lodged_up and lodged_down may be left out

bats_require_minimum_version 1.5.0

HERE=${BASH_SOURCE[0]%/*}

# ---- what a test needs --------------------------------------------------------------------

cannot_run() {
	if [ "${LG_MUST_RUN:-0}" = 1 ] && [ "${2:-}" != excused ]; then
		echo "cannot run: $1" >&2
		return 1
	fi
	skip "$1"
}

# need root | cgroup2 | template NAME | tool NAME | internet | criu
need() {
	case $1 in
	root) [ "$EUID" -eq 0 ] || cannot_run "needs root" ;;
	cgroup2) [ -n "$(cgroup2_mount)" ] || cannot_run "needs a mounted cgroup2" ;;
	template) [ -e "$LG_VAR/templates/$2/manifest" ] || cannot_run "needs the template $2" ;;
	criu) find_criu || cannot_run "needs a CRIU that works on this kernel" ;;
	tool) [ -n "$(type -P "$2")" ] || cannot_run "needs the program $2" ;;
	internet)
		[ "${LG_NO_INTERNET:-0}" != 1 ] || cannot_run "this host has no way out" excused
		[ -n "$(ip -4 route show default)" ] || cannot_run "needs a default route"
		;;
	*)
		echo "need: $1?" >&2
		return 1
		;;
	esac
}

# Sets LG_CRIU for a line of lodge.conf, "CRIU=\"$LG_CRIU\"": as it is given, as this host has it, or as tests/criu finds one.
find_criu() {
	[ -n "${LG_CRIU:-}" ] || LG_CRIU=$(installed_criu) || LG_CRIU=$("$HERE/../criu") || return 1
	export LG_CRIU
	"$LG_CRIU" check >/dev/null 2>&1
}

# A host without the source tree beside these files (tests/vm) has nothing else.
installed_criu() {
	local conf=/etc/lodge/lodge.conf named='' program
	[ ! -e "$conf" ] || named=$(sed -n 's/^CRIU="\(.*\)"/\1/p' "$conf")
	for program in "$named" "$(type -P criu || :)"; do
		if [ -x "$program" ] && "$program" check >/dev/null 2>&1; then
			echo "$program"
			return
		fi
	done
	return 1
}

# ---- the host as it is --------------------------------------------------------------------

cgroup2_mount() {
	awk '{ for (i = 7; i <= NF; i++) if ($i == "-") break }
		$(i + 1) == "cgroup2" { print $5; exit }' /proc/self/mountinfo
}

# The folder that cgroup NAME has on the hierarchy of controller CONTROLLER: "where" and, behind a
# blank, 1 or 2.
controller_root() {
	awk -v want="$1" '{ for (i = 7; i <= NF; i++) if ($i == "-") break }
		$(i + 1) == "cgroup" && ("," $NF ",") ~ ("," want ",") { print $5, 1; exit }' \
		/proc/self/mountinfo
}

# cgroup_dir CONTROLLER CTID: where that container's limit lives on this host; sets CG and CG_VERSION.
cgroup_dir() {
	local at version
	read -r at version <<<"$(controller_root "$1")"
	CG_VERSION=${version:-2}
	CG=$(find "${at:-$(cgroup2_mount)}" -type d -path "*/$LG_CGROUP/$2" -print -quit)
	[ -d "$CG" ] || fail "container $2 has no cgroup for $1"
}

# cgroup_value CONTROLLER CTID V2-FILE V1-FILE
cgroup_value() {
	cgroup_dir "$1" "$2"
	if [ "$CG_VERSION" = 2 ]; then
		cat "$CG/$3"
	else
		cat "$CG/$4"
	fi
}

# Names that lodge gives to things under this root. The bridge is LG_TAG + br0, a link LG_TAG + CTID.
ours() {
	if [ "${LG_SHARED_HOST:-0}" = 1 ]; then
		grep -F -e "$1" || test $? -eq 1
	else
		cat
	fi
}

# By their program: what they call themselves is theirs to change.
processes_of_lodge() {
	local dir program
	for dir in /proc/[0-9]*; do
		program=$(readlink "$dir/exe") || continue
		program=${program##*/}
		case $program in
		lodge* | lxcfs*)
			[ "${LG_SHARED_HOST:-0}" != 1 ] || process_is_ours "${dir#/proc/}" || continue
			echo "process ${program% (deleted)} ${dir#/proc/}"
			;;
		esac
	done
}

# Does process PID work for our root? By its arguments, environment, open files or cgroup.
process_is_ours() {
	grep -qaF -e "$LODGE_ROOT" "/proc/$1/cmdline" "/proc/$1/environ" 2>/dev/null ||
		grep -qF -e "$LG_CGROUP" "/proc/$1/cgroup" 2>/dev/null
}

# One line for each thing on the host that lodge could have made.
host_state() {
	local dir
	for dir in /sys/class/net/*; do
		echo "link ${dir##*/}"
	done | ours "link ${LG_TAG:-}"
	awk '{ print "mount", $5 }' /proc/self/mountinfo | ours "${LODGE_ROOT:-}"
	awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts | sort -u | while read -r dir; do
		find "$dir" -type d -name '*lodge*' -printf 'cgroup %p\n'
	done | ours "/${LG_CGROUP:-}"
	losetup --noheadings --output NAME,BACK-FILE | sed 's/^/loop /' | ours "${LODGE_ROOT:-}"
	nft list tables | sed 's/^/nft /' | ours "${LG_TABLE:-}"
	processes_of_lodge
	if [ "${LG_SHARED_HOST:-0}" != 1 ]; then
		# Names of services change on a living host; sockets and namespaces that lodge keeps do not go.
		lsns --noheadings --type net --output NS | sed 's/^/netns /'
		ip netns list | sed 's/^/named netns /'
	fi
}

# What may stay below the root when every container is destroyed: what an administrator would miss.
files_left() {
	find "$LODGE_ROOT/etc/lodge/ct" "$LODGE_ROOT/etc/lodge/names" "$LG_VAR/ct" "$LG_VAR/trash" \
		"$LG_VAR/log/console" "$LG_VAR/account" "$LG_RUN/ct" "$LG_RUN/shim" "$LG_RUN/root" \
		-mindepth 1 ! -name '*.conf.destroyed' 2>/dev/null || test $? -eq 1
}

# ---- the daemon ---------------------------------------------------------------------------

# The names that everything under a root bears: the same sum as in lib/root.c, so that a change of
# it is a decision and not an accident.
root_names() {
	local digits=0123456789abcdefghijklmnopqrstuvwxyz sum=2166136261 i char
	for ((i = 0; i < ${#1}; i++)); do
		printf -v char %d "'${1:i:1}"
		sum=$((((sum ^ char) * 16777619) & 0xffffffff))
	done
	LG_TAG=l
	for i in 1 2 3; do
		LG_TAG+=${digits:sum % 36:1}
		sum=$((sum / 36))
	done
	LG_CGROUP=lodge-$LG_TAG
	LG_TABLE=lodge_$LG_TAG
	LG_BRIDGE=${LG_TAG}br0
	LG_VAR=$1/var/lib/lodge
	LG_RUN=$1/run/lodge
	LG_ETC=$1/etc/lodge
	export LG_TAG LG_CGROUP LG_TABLE LG_BRIDGE LG_VAR LG_RUN LG_ETC
}

find_programs() {
	if [ -n "${LODGE_BIN_DIR:-}" ]; then
		LG_LODGE=$LODGE_BIN_DIR/lodge
		LG_LODGED=$LODGE_BIN_DIR/lodged
		: "${LODGE_LIBEXECDIR:=$LODGE_BIN_DIR}"
		: "${LODGE_DATADIR:=$(cd "$HERE/../.." && pwd)}"
		export LODGE_LIBEXECDIR LODGE_DATADIR
	else
		LG_LODGE=$(type -P lodge)
		LG_LODGED=$(type -P lodged)
	fi
	if [ ! -x "$LG_LODGE" ] || [ ! -x "$LG_LODGED" ]; then
		fail "no lodge and lodged: set LODGE_BIN_DIR"
	fi
	export LG_LODGE LG_LODGED
}

share_templates() {
	share_store "${LODGE_TEMPLATE_STORE:-/var/lib/lodge/templates}"
	[ -z "${LODGE_SERVER_STORE:-}" ] || share_store "$LODGE_SERVER_STORE"
}

# Read-only bind mounts: a test that empties its root cannot reach the store behind them.
share_store() {
	local store=$1 template name
	for template in "$store"/*/manifest; do
		[ -e "$template" ] || return 0
		name=$(basename "${template%/manifest}")
		mkdir -p "$LG_VAR/templates/$name"
		mount --bind "$store/$name" "$LG_VAR/templates/$name"
		mount -o remount,bind,ro "$LG_VAR/templates/$name"
	done
}

unshare_templates() {
	local at
	awk -v var="$LG_VAR/templates/" 'index($5, var) == 1 { print $5 }' /proc/self/mountinfo |
		while read -r at; do
			umount "$at"
		done
}

lodge() {
	"$LG_LODGE" "$@"
}

vzctl() {
	(exec -a vzctl "$LG_LODGE" "$@")
}

vzlist() {
	(exec -a vzlist "$LG_LODGE" "$@")
}

# lodged_up [ENV=VALUE]... : start the daemon and wait until it answers.
lodged_up() {
	rm -f "$LG_STATE/lodged.rc"
	(
		set +e
		env "$@" "$LG_LODGED" --root "$LODGE_ROOT" >>"$LG_STATE/lodged.log" 2>&1 </dev/null
		echo $? >"$LG_STATE/lodged.rc"
	) 2>/dev/null 3>&- &
	disown
	if ! wait_for 60 lodged_answers_or_ended || lodged_ended; then
		fail "lodged does not answer: $(tail -n 20 "$LG_STATE/lodged.log")"
	fi
}

lodged_answers() {
	[ -S "$LG_RUN/lodged.sock" ] && lodge version >/dev/null 2>&1
}

lodged_answers_or_ended() {
	lodged_ended || lodged_answers
}

lodged_ended() {
	[ -e "$LG_STATE/lodged.rc" ]
}

# lodged_down [SIGNAL]: end it and say how it ended.
lodged_down() {
	local pid
	pid=$(<"$LG_RUN/lodged.pid")
	grep -qaF "$LODGE_ROOT" "/proc/$pid/cmdline" || fail "process $pid is not our lodged"
	# After a teardown it ends by itself, perhaps at this moment.
	kill "-${1:-TERM}" "$pid" || lodged_ended || sleep 1
	wait_for 20 lodged_ended || fail "lodged is still there 20 s after SIG${1:-TERM}"
	cat "$LG_STATE/lodged.rc"
}

# host_up [LINE]... : everything a file's tests need; LINEs go into lodge.conf.
host_up() {
	need root
	find_programs
	local base=/tmp
	[ "$(stat -f -c %T /tmp)" != tmpfs ] || base=/var/tmp
	LODGE_ROOT=$(mktemp -d "$base/lgt.XXXX")
	LG_STATE=$BATS_FILE_TMPDIR
	export LODGE_ROOT LG_STATE
	root_names "$LODGE_ROOT"
	# Sanitizers stop at the first finding; the exit status says so in host_down.
	export ASAN_OPTIONS=${ASAN_OPTIONS:-exitcode=99} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
	make_probe
	host_state | sort >"$LG_STATE/before"
	mkdir -p "$LG_ETC" "$LG_VAR"
	chmod 0700 "$LG_VAR"
	[ $# -eq 0 ] || printf '%s\n' "$@" >"$LG_ETC/lodge.conf"
	share_templates
	lodged_up
}

make_probe() {
	if [ -z "${LG_PROBE:-}" ]; then
		LG_PROBE=$LG_STATE/probe
		cc -D_GNU_SOURCE -O1 -static -o "$LG_PROBE" "$HERE/probe.c"
		export LG_PROBE
	fi
}

# helper NAME: compile tests/host/NAME.c where it is not there yet; sets HELPER to the program
helper() {
	HELPER=${LG_HELPERS:-$LG_STATE}/$1
	[ -x "$HELPER" ] || cc -D_GNU_SOURCE -O1 -static -o "$HELPER" "$HERE/$1.c"
}

# host_down: end everything and compare. Fails when something is left behind.
host_down() {
	[ -n "${LG_STATE:-}" ] || return 0
	# bats calls teardown_file once more when it failed.
	[ ! -e "$LG_STATE/down" ] || return 1
	: >"$LG_STATE/down"
	local bad=0
	destroy_all || bad=1
	wait_for 10 trash_is_empty || bad=1
	wait_for 10 no_files_left || bad=1
	lodge teardown || bad=1
	LG_RC=$(lodged_down) || bad=1
	[ "${LG_RC:-none}" = 0 ] || { echo "lodged exited with ${LG_RC:-none}" && bad=1; }
	unshare_templates
	wait_for 15 host_is_as_before || bad=1
	if [ -s "$LG_STATE/files" ]; then
		echo "files left behind:" && cat "$LG_STATE/files"
		bad=1
	fi
	if grep -nE 'Sanitizer|runtime error' "$LG_STATE/lodged.log"; then
		bad=1
	fi
	if [ "$bad" != 0 ]; then
		diff "$LG_STATE/before" "$LG_STATE/after" | sed -n 's/^[<>]/& /p'
		echo "lodged's last words (its files are in $LODGE_ROOT):" && tail -n 30 "$LG_STATE/lodged.log"
		return 1
	fi >&2
	rm -rf "$LODGE_ROOT"
}

# An answer may be here before the last file is gone.
no_files_left() {
	files_left >"$LG_STATE/files"
	[ ! -s "$LG_STATE/files" ]
}

trash_is_empty() {
	[ -z "$(ls -A "$LG_VAR/trash" 2>/dev/null)" ]
}

# The kernel takes namespaces apart on its own time, links with them: hence the wait around this.
host_is_as_before() {
	host_state | sort >"$LG_STATE/after"
	cmp -s "$LG_STATE/before" "$LG_STATE/after"
}

# tell_more: at the end of a test; when it failed, what the daemon said last goes with it.
tell_more() {
	[ "${BATS_TEST_COMPLETED:-0}" = 1 ] || { echo "lodged's last words:" && tail -n 15 "$LG_STATE/lodged.log"; }
}

# ---- containers ---------------------------------------------------------------------------

all_ctids() {
	lodge list -a --json | jq -r '.[].ctid'
}

destroy_all() {
	local id bad=0
	for id in $(all_ctids); do
		lodge destroy --force "$id" >/dev/null || bad=1
	done
	return $bad
}

# field ID JQ-EXPRESSION: of what `show` says
field() {
	lodge show "$1" --json | jq -r "$2"
}

address_of() {
	field "$1" '.addresses[0] // empty' | cut -d/ -f1
}

init_pid() {
	field "$1" '.init_pid // empty'
}

# ct ID [create options]...: a busybox container, started
ct() {
	lodge create "$1" --template busybox "${@:2}" >/dev/null
	lodge start "$1" >/dev/null
}

in_ct() {
	lodge exec "$1" -- "${@:2}"
}

put_probe() {
	lodge exec "$1" -- sh -c 'cat >/bin/probe && chmod 0755 /bin/probe' <"$LG_PROBE"
}

# put_helper ID NAME: into its /bin
put_helper() {
	helper "$2"
	lodge exec "$1" -- sh -c "cat >/bin/$2 && chmod 0755 /bin/$2" <"$HELPER"
}

# on_a_terminal COMMAND [KEYS]: within a terminal of 80x24, for a minute at the most; its output is what the terminal
# showed. KEYS is a fifo for what is typed. The input never ends: script(1) would type Ctrl-D then, and the echo of
# that falls anywhere into the output, as "^D" or, when the terminal turns raw meanwhile, as "^@".
on_a_terminal() {
	local keys=${2:-$BATS_FILE_TMPDIR/no-keys}
	[ -p "$keys" ] || mkfifo "$keys"
	timeout 60 script -qec "$1" /dev/null <>"$keys"
}

# ---- what a test says ---------------------------------------------------------------------

fail() {
	printf '%s\n' "$@" >&2
	return 1
}

# is GOT WANTED WHAT
is() {
	[ "$1" = "$2" ] || fail "$3" "  wanted: $2" "  got:    $1"
}

# like GOT PATTERN WHAT: an extended regular expression
like() {
	[[ $1 =~ $2 ]] || fail "$3" "  wanted like: $2" "  got:         $1"
}

# refused STATUS PATTERN COMMAND...: it fails so, with nothing on stdout and one line that says why.
refused() {
	local want=$1 pattern=$2
	shift 2
	run "-$want" --separate-stderr "$@"
	is "$output" "" "stdout of: $*"
	is "${#stderr_lines[@]}" 1 "lines on stderr of: $* ($stderr)"
	like "$stderr" "$pattern" "what it says: $*"
}

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# shellcheck disable=SC2034 # read by the tests
# ended PID: wait for a background command, 20 s at the most; its status in ENDED.
ended() {
	ENDED=0
	wait_for 20 is_no_more "$1" || fail "process $1 does not end"
	wait "$1" || ENDED=$?
}

is_no_more() {
	! kill -0 "$1" 2>/dev/null
}

# disk_is_whole ID: of a VM that does not run. A power cut would be no different to it: its journal may have to be played back, behind that
# there is nothing to mend.
disk_is_whole() {
	local copy=$BATS_TEST_TMPDIR/disk.img
	cp --sparse=always "$LG_VAR/ct/$1/disk.img" "$copy"
	e2fsck -p "$copy" >/dev/null || [ $? -le 1 ] || fail "its disk is not whole"
	e2fsck -fn "$copy" >"$BATS_TEST_TMPDIR/fsck" 2>&1 || fail "$(cat "$BATS_TEST_TMPDIR/fsck")"
	rm -f "$copy"
}
