# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# setup --remove: the way back, in the order in which it is safe. To be sourced after daemon.sh; setup's
# variable `yes` counts here.

# instances: the numbers of all of them, one a line.
instances() {
	"$LODGE" list -a -H -o id | tr -d ' '
}

# Setup's own first VPS left out.
instances_of_others() {
	if vps_is_ours; then
		instances | grep -vx "$VPS" || test $? -eq 1
	else
		instances
	fi
}

# ask OTHERS: may the instances go? Without a terminal, what setup made itself may.
ask() {
	local answer
	[ "${yes:-no}" != yes ] || return 0
	if [ ! -t 0 ]; then
		[ -z "$1" ] || die "there are instances that setup did not make: $1" \
			"There is no terminal to ask on: say --yes if they shall go too."
		return 0
	fi
	printf 'Destroy all instances (%s) and remove lodge? [y/N] ' "$(instances | paste -s -d ' ')"
	read -r answer
	[[ $answer == [yY]* ]] || die "nothing was removed"
}

# The daemon is needed to take instances apart properly; a host where it is gone gets it once more.
need_daemon() {
	daemon_answers || { [ -x "$LODGED" ] && daemon_start >/dev/null 2>&1 && daemon_answers; } ||
		die "lodged does not answer and does not start, so instances cannot be taken apart" \
			"./setup --no-vps puts it in order; then remove again"
}

remove_instances() {
	local others id
	if [ -z "$(find /etc/lodge/ct -name '[1-9]*.conf' 2>/dev/null | head -n 1)" ] && ! daemon_answers; then
		return
	fi
	need_daemon
	others=$(instances_of_others | paste -s -d ' ')
	[ -z "$(instances)" ] || ask "$others"
	for id in $(instances); do
		"$LODGE" destroy --force "$id" || die "instance $id could not be destroyed; nothing else was removed"
	done
}

# Bridge, nftables tables, cgroups: lodged knows what is its own. It ends itself after that.
remove_from_host() {
	if daemon_answers; then
		"$LODGE" teardown || die "lodged could not take down what it put on this host"
		echo "took down bridge, tables and cgroups"
	fi
	if has_systemd; then
		# shellcheck disable=SC2086 # a list of words
		systemctl --quiet disable $UNITS 2>/dev/null || :
		systemctl --quiet stop lodge-guests.service lodged.service 2>/dev/null || :
	fi
	wait_until 20 daemon_gone || die "lodged does not end (process $(daemon_pid))"
}

remove_files() {
	local file n=0
	profile_unload
	if [ -e "$MANIFEST" ]; then
		while read -r file; do
			[ -z "$file" ] || { rm -f -- "$file" && n=$((n + 1)); }
		done <"$MANIFEST"
	fi
	rm -rf -- "$LIBEXEC" "$SHARE" "${CRIU_DIR%/criu}"
	if has_systemd; then
		systemctl daemon-reload
		# As long as its file is there this unit refuses to be stopped.
		systemctl --quiet stop lodge-containers.service 2>/dev/null || :
	fi
	echo "removed $n installed files"
}

remove_state() {
	if awk '$5 ~ "^/(var/lib|run)/lodge/" { n++ } END { exit n == 0 }' /proc/self/mountinfo; then
		die "something is still mounted below $VAR or $RUN" "findmnt shows it; umount it and say --remove again"
	fi
	subids_remove
	rm -rf -- /etc/lodge "$VAR" "$RUN"
	rm -rf -- "$LODGE_TREE/build/release"
	echo "removed /etc/lodge, $VAR and $RUN"
}

remove_everything() {
	local packages=''
	if [ ! -e "$LODGED" ] && [ ! -e /etc/lodge ] && [ ! -e "$VAR" ]; then
		echo "There is nothing of lodge on this host."
		return
	fi
	[ ! -e "$STATE/packages" ] || packages=$(sort -u "$STATE/packages" | paste -s -d ' ')
	remove_instances
	remove_from_host
	remove_files
	remove_state
	[ -z "$packages" ] ||
		printf 'Packages that setup installed are left (apt-get remove takes them):\n  %s\n' "$packages"
	echo "lodge is gone from this host."
}
