# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Where Debian comes from: functions of the scripts beside it, which set TMPDIR and suite.

fail() {
	echo "$*" >&2
	exit 1
}

# mirror LABEL: where the host gets Debian's archive of that label from; empty if it does not
mirror() {
	# shellcheck disable=SC2016	# apt-get's own variable
	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' "Label: $1" 2>/dev/null |
		grep '^https\{0,1\}://' | head -n 1) || uri=
	echo "${uri%/}"
}

# The proxy that the host's apt uses serves the build too; it does not get into the template.
use_host_proxy() {
	# apt-config prints assignments for the shell.
	eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
	[ -z "${http_proxy:-}" ] || [ "$http_proxy" = DIRECT ] || export http_proxy
	[ -z "${https_proxy:-}" ] || [ "$https_proxy" = DIRECT ] || export https_proxy
}

# source_of URI SUITES
source_of() {
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$1" "$2" "$keyring"
}

write_sources() {
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$keyring" ] || fail "no keys of Debian's archive: install debian-archive-keyring"
	archive=$(mirror Debian)
	security=$(mirror Debian-Security)
	[ -n "$archive" ] || fail "this host's apt knows no Debian archive: run apt-get update, or add one to its sources"
	{
		source_of "$archive" "$suite $suite-updates"
		[ -z "$security" ] || source_of "$security" "$suite-security"
	} >"$TMPDIR/debian.sources"
}
