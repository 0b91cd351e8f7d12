# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Where an installed lodge is, its settings file, and its daemon: a unit where systemd is process 1, else a
# process in the background with a pid file. To be sourced after lib.sh.
#
# shellcheck disable=SC2034 # what is set here is looked at by those who source it

CONF=/etc/lodge/lodge.conf
VAR=/var/lib/lodge
RUN=/run/lodge
STATE=$VAR/setup	# what setup remembers: packages that it installed, that it has started its VPS
VPS=101			# the first one, and the description that says whose it is
VPS_MARK='made by setup'
UNITS='lodge-containers.service lodged.service lodge-guests.service'

# Ids of the host for containers, 65536 for each: behind those that systemd and useradd give to others.
ID_BASE=1879048192
ID_COUNT=268435456

# subids_in BASE COUNT: the first entry of /etc/subuid or /etc/subgid that has an id of these
subids_in() {
	local files=() file
	for file in /etc/subuid /etc/subgid; do
		[ ! -e "$file" ] || files+=("$file")
	done
	[ "${#files[@]}" -gt 0 ] || return 0
	awk -F : -v base="$1" -v count="$2" '
		$2 ~ /^[0-9]+$/ && $3 ~ /^[0-9]+$/ && $2 + 0 < base + count && base < $2 + $3 {
			print $1 " (" FILENAME ")"; exit
		}' "${files[@]}"
}

APPARMOR_PROFILE=/etc/apparmor.d/lodge-container

# profile_load: the containers' AppArmor profile, where this host has AppArmor; at boot it is loaded with the rest.
profile_load() {
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] || return 0
	[ -n "$(type -P apparmor_parser)" ] && [ -e "$APPARMOR_PROFILE" ] || return 0
	apparmor_parser --replace --write-cache "$APPARMOR_PROFILE"
}

profile_unload() {
	[ ! -e "$APPARMOR_PROFILE" ] || [ -z "$(type -P apparmor_parser)" ] ||
		apparmor_parser --remove "$APPARMOR_PROFILE" 2>/dev/null || :
}

# subids_remove: take away what setup granted, not what an administrator did.
subids_remove() {
	local file line
	line=$(cat "$STATE/subids" 2>/dev/null) || return 0
	for file in /etc/subuid /etc/subgid; do
		[ ! -e "$file" ] || sed -i "/^$line\$/d" "$file"
	done
}

# paths_of PREFIX: set the names of what is installed there
paths_of() {
	LODGE=$1/bin/lodge
	LODGED=$1/sbin/lodged
	LIBEXEC=$1/libexec/lodge
	SHARE=$1/share/lodge
	MANIFEST=$SHARE/manifest
	CRIU_DIR=$1/lib/lodge/criu
	CRIU_PROGRAM=$LIBEXEC/criu
}

# install_manifest LIST: remember what was installed; what an older version had and this one has not goes.
install_manifest() {
	local file
	if [ -e "$MANIFEST" ]; then
		# CMake ends its list without a newline.
		comm -23 <(sort -u "$MANIFEST") <(sort -u "$1") | while read -r file; do
			[ -z "$file" ] || rm -f -- "$file"
		done
	fi
	sort -u "$1" >"$MANIFEST.new"
	cmp -s "$MANIFEST.new" "$MANIFEST" || cp "$MANIFEST.new" "$MANIFEST"
	rm -f "$MANIFEST.new"
}

# ---- lodge.conf ---------------------------------------------------------------------------

conf_get() {
	[ ! -e "$CONF" ] || sed -n "s/^[[:space:]]*$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}[[:space:]]*\$/\1/p" "$CONF" |
		tail -n 1
}

# conf_set KEY VALUE: leave every other line as it is; an empty value for a key that is not there stays out.
conf_set() {
	[ "$(conf_get "$1")" != "$2" ] || return 0
	grep -v "^[[:space:]]*$1=" "$CONF" >"$CONF.new" || :
	[ -z "$2" ] || printf '%s="%s"\n' "$1" "$2" >>"$CONF.new"
	chmod --reference="$CONF" "$CONF.new"
	mv -- "$CONF.new" "$CONF"
	changed "set $1 in $CONF"
	restart_daemon=yes
}

# vps_is_ours: an administrator who wants to keep it gives it another description.
vps_is_ours() {
	grep -qxF "DESCRIPTION=\"$VPS_MARK\"" "/etc/lodge/ct/$VPS.conf" 2>/dev/null
}

# ---- lodged -------------------------------------------------------------------------------

daemon_answers() {
	[ -x "$LODGE" ] && [ -S "$RUN/lodged.sock" ] && "$LODGE" version >/dev/null 2>&1
}

# daemon_pid: of the lodged that the pid file names, if that is what it is.
daemon_pid() {
	local pid comm
	pid=$(cat "$RUN/lodged.pid" 2>/dev/null) || return 0
	comm=$(cat "/proc/${pid:-none}/comm" 2>/dev/null) || return 0
	[ "$comm" != lodged ] || echo "$pid"
}

# wait_until SECONDS COMMAND...
wait_until() {
	local tries=$(($1 * 10))
	shift
	until "$@"; do
		[ $((tries -= 1)) -gt 0 ] || return 1
		sleep 0.1
	done
}

daemon_gone() {
	[ -z "$(daemon_pid)" ]
}

# daemon_start: start it, or let a newer one take over. Containers run on meanwhile.
daemon_start() {
	if has_systemd; then
		systemctl daemon-reload
		# shellcheck disable=SC2086 # a list of words
		systemctl enable $UNITS
		systemctl start lodge-containers.service
		systemctl restart lodged.service
		systemctl start lodge-guests.service
		return
	fi
	daemon_stop
	# What it says goes to $VAR/log/lodged.log; why it did not start, to us.
	"$LODGED" --background
}

# daemon_stop: end it; its unit stays enabled.
daemon_stop() {
	local pid
	if has_systemd; then
		systemctl stop lodged.service
		return
	fi
	pid=$(daemon_pid)
	[ -z "$pid" ] || kill "$pid"
	wait_until 20 daemon_gone
}
