# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the scripts here share: a place of their own, the small programs, the root file system that every
# system under measurement starts, and how each of them is asked for the same container: user
# namespace, veth on a bridge, MEMORY bytes, TASKS tasks, a seccomp filter (crun: no network). nspawn is
# for the scripts that ask for no verbs: without systemd it knows neither limits nor a way in.
#
# Everything made here bears the name lgb and is removed by bench_down, also after a failure.
#
#   LODGE_BIN_DIR         lodge and its companions of a release build (default: as installed)
#   LODGE_TEMPLATE_STORE  a folder with the busybox template (default: that of the installed lodge)

BENCH=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
MEMORY=$((64 << 20))
TASKS=100
ID_BASE=1800000000	# of the peers' ids; lodge chooses its own

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

bench_up() {
	[ "$EUID" -eq 0 ] || die "must run as root"
	exec {LOCK}<"$BENCH/lib.bash"
	flock --nonblock "$LOCK" || die "another script of bench/ runs: two would spoil each other's figures"
	WORK=$(mktemp -d /tmp/lgb.XXXX)
	trap bench_down EXIT
	cc -D_GNU_SOURCE -O2 -static -o "$WORK/first" "$BENCH/first.c"
	cc -D_GNU_SOURCE -O2 -static -o "$WORK/timer" "$BENCH/timer.c"
	local store=${LODGE_TEMPLATE_STORE:-/var/lib/lodge/templates}
	[ -d "$store/busybox/rootfs" ] || die "no busybox template in $store (lodge template build busybox)"
	cp -a "$store/busybox" "$WORK/template"
	cp "$WORK/first" "$WORK/template/rootfs/sbin/first"
	# One init, one name: whoever starts this root runs the clock.
	sed -i 's|^INIT=.*|INIT="/sbin/first"|; s|^NAME=.*|NAME="bench"|; s|^INIT_KIND=.*|INIT_KIND="other"|
		s|^STOP_SIGNAL=.*|STOP_SIGNAL="15"|' "$WORK/template/manifest"
	UPS=()
}

bench_down() {
	local name
	set +e
	for name in "${UPS[@]}"; do
		"${name}_down"
	done
	rm -rf "$WORK"
}

# use NAME...: those of the systems that are here
use() {
	local name
	for name in "$@"; do
		if "${name}_there"; then
			UPS+=("$name")
			"${name}_up"
		else
			echo "not here, left out: $name" >&2
		fi
	done
}

# write_section FILE NAME: standard input takes the place of what is between the marks of NAME in FILE
write_section() {
	local begin="<!-- $2 begin: written by bench/$2 -->" end="<!-- $2 end -->"
	if ! grep -qFx -e "$begin" "$1" || ! grep -qFx -e "$end" "$1"; then
		die "$1 lacks the lines '$begin' and '$end'"
	fi
	cat >"$WORK/section"
	awk -v begin="$begin" -v end="$end" -v section="$WORK/section" '
		$0 == end { inside = 0 }
		!inside { print }
		$0 == begin {
			inside = 1
			while ((getline line <section) > 0)
				print line
		}
	' "$1" >"$WORK/page"
	cat "$WORK/page" >"$1"
}

# seen_on SYSTEM...: one line about the machine and the versions
seen_on() {
	local name text
	text="Seen on $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r | grep -o "^[0-9.]*"), $(nproc) processors"
	[ -e /sys/fs/cgroup/cgroup.controllers ] || text+=", hybrid cgroups"
	[ -d /sys/kernel/security/apparmor ] || text+=", no AppArmor"
	for name in "$@"; do
		case $name in
		lodge) text+="; $(lodge --version | head -n 1)" ;;
		lxc) text+="; LXC $(lxc-start --version)" ;;
		nspawn) text+="; $(systemd-nspawn --version | head -n 1 | cut -d ' ' -f 1,2)" ;;
		crun) text+="; $(crun --version | head -n 1 | sed 's/ version//')" ;;
		esac
	done
	echo "$text."
}

# timed LABEL COMMAND...
timed() {
	"$WORK/timer" "$WORK/times" "$@"
}

# timed_first LABEL FILE COMMAND...
timed_first() {
	rm -f "$2"
	"$WORK/timer" -f "$2" "$WORK/times" "$1" "${@:3}"
}

# ---- lodge --------------------------------------------------------------------------------

lodge_there() {
	if [ -n "${LODGE_BIN_DIR:-}" ]; then
		export LODGE_LIBEXECDIR=${LODGE_LIBEXECDIR:-$LODGE_BIN_DIR}
		export LODGE_DATADIR=${LODGE_DATADIR:-${BENCH%/*}}
		PATH=$LODGE_BIN_DIR:$PATH
	fi
	type -P lodge lodged >/dev/null
}

lodge_up() {
	export LODGE_ROOT=$WORK/lodge
	LODGE_VAR=$LODGE_ROOT/var/lib/lodge
	mkdir -p "$LODGE_VAR/templates"
	chmod 0700 "$LODGE_VAR"
	cp -a "$WORK/template" "$LODGE_VAR/templates/bench"
	lodged --background 2>"$WORK/lodged.log"
	LODGED_PID=$(<"$LODGE_ROOT/run/lodge/lodged.pid")
}

lodge_create() {
	timed lodge.create lodge create "$1" --template bench --memory $((MEMORY >> 20))M --tasks $TASKS --ip auto
}

lodge_start() {
	timed_first lodge.start "$LODGE_VAR/ct/$1/upper/first" lodge start "$1"
}

lodge_exec() {
	timed lodge.exec lodge exec "$1" -- /bin/true
}

lodge_enter() {
	lodge exec "$1" -- "${@:2}"
}

lodge_list() {
	timed "lodge.list$1" lodge list
}

lodge_stop() {
	timed lodge.stop lodge stop --fast "$1"
}

lodge_destroy() {
	timed lodge.destroy lodge destroy "$1"
}

lodge_down() {
	local id
	for id in $(lodge list -a --json | jq -r '.[].ctid'); do
		lodge destroy --force "$id" >/dev/null
	done
	lodge teardown >/dev/null
	kill "$LODGED_PID"
	while [ -e "/proc/$LODGED_PID" ]; do
		sleep 0.05
	done
}

# ---- LXC ----------------------------------------------------------------------------------

lxc_there() {
	type -P lxc-start lxc-attach lxc-stop >/dev/null
}

lxc_up() {
	LXC=$WORK/lxc
	mkdir -p "$LXC"
	chmod 0711 "$WORK" "$LXC"
	# LXC parks dying monitors in a cgroup that it never removes.
	find /sys/fs/cgroup -maxdepth 2 -name lxc.pivot >"$WORK/pivots"
	ip link add lgb0 type bridge
	ip link set lgb0 up
}

lxc_limits() {
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		printf 'lxc.cgroup2.memory.max = %s\nlxc.cgroup2.pids.max = %s\n' $MEMORY $TASKS
	else
		printf 'lxc.cgroup.memory.limit_in_bytes = %s\nlxc.cgroup.pids.max = %s\n' $MEMORY $TASKS
	fi
}

# LXC has no verb that makes a container out of a template at once; the copy is not timed.
lxc_create() {
	mkdir -p "$LXC/lgb$1"
	cp -a "$WORK/template/rootfs" "$LXC/lgb$1/rootfs"
	chown -R $ID_BASE:$ID_BASE "$LXC/lgb$1/rootfs"
	cat >"$LXC/lgb$1/config" <<-END
		lxc.uts.name = lgb$1
		lxc.rootfs.path = dir:$LXC/lgb$1/rootfs
		lxc.init.cmd = /sbin/first
		lxc.idmap = u 0 $ID_BASE 65536
		lxc.idmap = g 0 $ID_BASE 65536
		lxc.net.0.type = veth
		lxc.net.0.link = lgb0
		lxc.net.0.flags = up
		lxc.net.0.ipv4.address = 10.213.$(($1 / 250)).$(($1 % 250 + 2))/16
		lxc.mount.auto = proc:mixed sys:ro cgroup:mixed
		lxc.autodev = 1
		lxc.pty.max = 1024
		lxc.apparmor.profile = unconfined
		lxc.seccomp.profile = /usr/share/lxc/config/common.seccomp
		lxc.cap.drop = sys_module sys_rawio sys_time mac_admin mac_override
		$(lxc_limits)
	END
}

lxc_start() {
	timed_first lxc.start "$LXC/lgb$1/rootfs/first" lxc-start -P "$LXC" -n "lgb$1"
}

lxc_exec() {
	timed lxc.exec lxc-attach -P "$LXC" -n "lgb$1" -- /bin/true
}

lxc_enter() {
	lxc-attach -P "$LXC" -n "lgb$1" -- "${@:2}"
}

lxc_list() {
	timed "lxc.list$1" lxc-ls -P "$LXC" --running -f
}

lxc_stop() {
	timed lxc.stop lxc-stop -k -P "$LXC" -n "lgb$1"
}

lxc_destroy() {
	timed lxc.destroy lxc-destroy -P "$LXC" -n "lgb$1"
}

lxc_down() {
	local dir name
	for dir in "$LXC"/lgb*; do
		name=${dir##*/}
		[ -d "$dir" ] || continue
		lxc-stop -k -P "$LXC" -n "$name" 2>/dev/null
		lxc-destroy -P "$LXC" -n "$name" >/dev/null
	done
	ip link del lgb0
	find /sys/fs/cgroup -depth -type d \( -name 'lxc.monitor.lgb*' -o -name 'lxc.payload.lgb*' \) \
		-exec rmdir {} + 2>/dev/null
	if [ ! -s "$WORK/pivots" ]; then
		find /sys/fs/cgroup -maxdepth 2 -name lxc.pivot -exec rmdir {} +
	fi
}

# ---- crun ---------------------------------------------------------------------------------

crun_there() {
	type -P crun >/dev/null
}

crun_up() {
	CRUN=$WORK/crun
	mkdir -p "$CRUN/state"
	chmod 0711 "$WORK" "$CRUN"
	(cd "$CRUN" && crun spec)
	# crun refuses hosts that mount cgroup2 beside v1 hierarchies: it is shown a host without.
	# shellcheck disable=SC2016 # expanded there
	unshare --mount --propagation private sh -c 'if [ -d /sys/fs/cgroup/unified ]; then
		umount /sys/fs/cgroup/unified; fi; echo ready >"$1"; exec sleep infinity' sh "$CRUN/ready" &
	CRUN_HOST=$!
	until [ -s "$CRUN/ready" ]; do
		sleep 0.05
	done
	# What a guest has no business with, the rest allowed: fewer rules than the others have.
	jq --argjson memory $MEMORY --argjson tasks $TASKS --argjson base $ID_BASE '
		.process.terminal = false | .process.args = ["/sbin/first"] | .root.readonly = false
		| .linux.namespaces = [{type: "pid"}, {type: "ipc"}, {type: "uts"}, {type: "mount"},
			{type: "cgroup"}, {type: "user"}, {type: "network"}]
		| .linux.uidMappings = [{containerID: 0, hostID: $base, size: 65536}]
		| .linux.gidMappings = .linux.uidMappings
		| .linux.resources = {memory: {limit: $memory}, pids: {limit: $tasks}}
		| .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64",
			"SCMP_ARCH_X86"], syscalls: [{action: "SCMP_ACT_ERRNO", names: ["kexec_load",
			"kexec_file_load", "open_by_handle_at", "init_module", "finit_module", "delete_module",
			"swapon", "swapoff", "acct", "iopl", "ioperm", "add_key", "request_key", "keyctl",
			"bpf", "perf_event_open", "userfaultfd", "settimeofday", "clock_settime"]}]}
	' "$CRUN/config.json" >"$CRUN/base.json"
}

crun_create() {
	mkdir -p "$CRUN/$1"
	cp -a "$WORK/template/rootfs" "$CRUN/$1/rootfs"
	chown -R $ID_BASE:$ID_BASE "$CRUN/$1/rootfs"
	jq --arg path "/lgb/$1" '.linux.cgroupsPath = $path' "$CRUN/base.json" >"$CRUN/$1/config.json"
}

on_crun_host() {
	nsenter --mount --target "$CRUN_HOST" "$@"
}

crun_do() {
	on_crun_host "$WORK/timer" "$WORK/times" "$1" crun --root "$CRUN/state" \
		--cgroup-manager cgroupfs "${@:2}"
}

crun_start() {
	rm -f "$CRUN/$1/rootfs/first"
	on_crun_host "$WORK/timer" -f "$CRUN/$1/rootfs/first" "$WORK/times" crun.start \
		crun --root "$CRUN/state" --cgroup-manager cgroupfs run -d --bundle "$CRUN/$1" "lgb$1"
}

crun_exec() {
	crun_do crun.exec exec "lgb$1" /bin/true
}

crun_enter() {
	on_crun_host crun --root "$CRUN/state" --cgroup-manager cgroupfs exec "lgb$1" "${@:2}"
}

crun_list() {
	crun_do "crun.list$1" list
}

crun_stop() {
	crun_do crun.stop delete --force "lgb$1"
}

crun_destroy() {
	rm -rf "${CRUN:?}/$1"
}

crun_down() {
	local dir
	for dir in "$CRUN"/state/lgb*; do
		[ -d "$dir" ] && on_crun_host crun --root "$CRUN/state" --cgroup-manager cgroupfs \
			delete --force "${dir##*/}"
	done
	kill "$CRUN_HOST"
	wait "$CRUN_HOST" 2>/dev/null
	find /sys/fs/cgroup -depth -type d -path '*/lgb*' -exec rmdir {} + 2>/dev/null
}

# ---- systemd-nspawn -----------------------------------------------------------------------

nspawn_there() {
	type -P systemd-nspawn >/dev/null
}

nspawn_up() {
	NSPAWN=$WORK/nspawn
	mkdir -p "$NSPAWN"
}

nspawn_create() {
	cp -a "$WORK/template/rootfs" "$NSPAWN/lgb$1"
}

nspawn_start() {
	:	# what is entered is what it starts
}

# Neither machined nor a unit of its own: what works on every host. It complains there even when all is well.
nspawn_enter() {
	systemd-nspawn --quiet --register=no --keep-unit --pipe -D "$NSPAWN/lgb$1" "${@:2}" \
		2>"$NSPAWN/complaints" || {
		cat "$NSPAWN/complaints" >&2
		return 1
	}
}

nspawn_stop() {
	:
}

nspawn_destroy() {
	rm -rf "${NSPAWN:?}/lgb$1"
}

nspawn_down() {
	rm -rf "${NSPAWN:?}"
	# It leaves a folder per name that ever ran.
	find /run/systemd/nspawn/propagate -mindepth 1 -maxdepth 1 -name 'lgb*' -exec rmdir {} + 2>/dev/null
}

# ---- the host itself ----------------------------------------------------------------------

bare_there() {
	:
}

bare_up() {
	:
}

# Same programs, same file system, none of the walls.
bare_create() {
	cp -a "$WORK/template/rootfs" "$WORK/bare"
	mknod -m 0666 "$WORK/bare/dev/null" c 1 3
}

bare_start() {
	:
}

bare_enter() {
	chroot "$WORK/bare" "${@:2}"
}

bare_stop() {
	:
}

bare_destroy() {
	rm -rf "${WORK:?}/bare"
}

bare_down() {
	:
}
