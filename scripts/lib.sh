# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What setup, run-tests and the test tiers share. To be sourced by bash with `set -euo pipefail`.

LODGE_TREE=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)

# Everything that tests may keep between runs: template stores, the QEMU tier's disk.
LODGE_CACHE=${LODGE_CACHE:-/var/cache/lodge-tests}

# Standard output of the person who called; setup sends everything else to its log.
exec {TELL_FD}>&1

tell() {
	printf '%s\n' "$*" >&"$TELL_FD"
}

# die WHAT [WHAT-TO-DO]
die() {
	printf '%s: %s\n' "${0##*/}" "$1" >&2
	[ -z "${2:-}" ] || printf '  %s\n' "$2" >&2
	exit 1
}

# Start this program again as root, through sudo if need be. $@: its arguments.
become_root() {
	[ "$EUID" -ne 0 ] || return 0
	[ -n "$(type -P sudo)" ] ||
		die "this needs root, and there is no sudo to ask" "become root (su -) and run: $0 $*"
	exec sudo -- "$0" "$@"
}

# ---- Debian -------------------------------------------------------------------------------

# debian_field NAME: a field of os-release, empty when it is not there.
debian_field() {
	# shellcheck disable=SC1091 # it belongs to the host
	(. /etc/os-release && printf '%s' "${!1:-}")
}

has_systemd() {
	[ -d /run/systemd/system ]
}

# packages_of RELEASE GROUP...: the names in these groups, one a line.
packages_of() {
	local release=$1 group
	shift
	for group; do
		awk -F '\t' -v group="$group" -v release="$release" '
			$1 == group || $1 == group " " release {
				n = split($2, name, " ")
				for (i = 1; i <= n; i++) print name[i]
			}' "$LODGE_TREE/scripts/packages"
	done | sort -u
}

# packages_missing PACKAGE...: those of them that are not installed, one a line.
packages_missing() {
	local status name
	for name; do
		# dpkg-query fails for a package it never heard of: that is an answer too.
		status=$(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) || status=
		[ "$status" = "install ok installed" ] || printf '%s\n' "$name"
	done
}

# packages_install PACKAGE...: fetch the lists only when they do not know one of the names, or when what
# they name is gone from the mirror.
packages_install() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get install --simulate --quiet=2 --no-install-recommends "$@" >/dev/null 2>&1 ||
		apt-get update --quiet=2
	apt-get install --yes --quiet=2 --no-install-recommends "$@" ||
		{ apt-get update --quiet=2 &&
			apt-get install --yes --quiet=2 --no-install-recommends "$@"; }
}

# The archive this machine has Debian from, as apt's own configuration names it.
debian_mirror() {
	local release
	release=$(debian_field VERSION_CODENAME)
	# shellcheck disable=SC2016 # fields of apt's, not variables
	apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
		awk -v release="$release" '$1 == release && $2 !~ /security/ && !n++ { print $2 }'
}

# ---- folders of the tests -----------------------------------------------------------------

# hash_of FILE...: twelve letters that change when one of these files or folders does, the same in every clone.
hash_of() {
	find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sed "s,  $LODGE_TREE/,  ," |
		sha256sum | cut -c 1-12
}

# keep_newest PATTERN COUNT: of the folders $LODGE_CACHE/PATTERN remove all but the newest.
keep_newest() {
	local dir n=0
	while read -r dir; do
		n=$((n + 1))
		[ "$n" -le "$2" ] || rm -rf -- "$dir"
	done < <(find "$LODGE_CACHE" -mindepth 1 -maxdepth 1 -name "$1" -printf '%T@ %p\n' |
		sort -rn | cut -d ' ' -f 2-)
}
