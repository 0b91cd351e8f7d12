# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Finding a CRIU that works on the running kernel. To be sourced after lib.sh.
#
# How it works: the host's own program is taken when `criu check` passes. Debian 12's does not start on newer
# kernels, so there Debian 13's is unpacked into a folder of lodge's own, with the libraries it was
# linked against, and started through its own dynamic linker. apt fetches it from the mirror that it has
# Debian 12 from, with a configuration of its own: signatures are checked, the host's package lists and
# packages stay as they are.

CRIU_RELEASE=trixie

# criu_works PROGRAM: does it run on this kernel? What it says goes to standard output.
criu_works() {
	[ -x "$1" ] && "$1" check </dev/null 2>&1
}

# criu_complaint PROGRAM: one line that says why it does not; the first error is the cause.
criu_complaint() {
	local said
	said=$("$1" check </dev/null 2>&1) || :
	awk '/Error/ && !/util\.c/ && !n++ { sub(/^Error \([^)]*\): */, ""); print }' <<<"$said"
}

# private_apt DIR MIRROR: write DIR/apt.conf, for an apt that knows $CRIU_RELEASE and nothing is installed.
private_apt() {
	mkdir -p "$1/state/lists/partial" "$1/cache/archives/partial" "$1/packages"
	: >"$1/status"
	printf 'deb [signed-by=%s] %s %s main\n' \
		/usr/share/keyrings/debian-archive-keyring.gpg "$2" "$CRIU_RELEASE" >"$1/sources.list"
	cat >"$1/apt.conf" <<-END
		Dir::Etc::sourcelist "$1/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State "$1/state";
		Dir::State::status "$1/status";
		Dir::Cache "$1/cache";
		APT::Sandbox::User "root";
	END
}

# criu_packages: criu and the libraries it needs, as apt resolves them.
criu_packages() {
	apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
		--no-replaces --no-enhances criu | grep '^[a-z]'
}

# criu_unpack WORK DIR: fetch and unpack it all into DIR, what only people read left out. Every command
# carries its own check: errexit does not reach into a function whose failure is looked at.
criu_unpack() (
	export APT_CONFIG=$1/apt.conf
	apt-get update --quiet=2 || exit
	names=$(criu_packages) || exit
	cd "$1/packages" || exit
	# shellcheck disable=SC2086 # one name a line
	apt-get download --quiet=2 $names || exit
	for package in *.deb; do
		dpkg-deb --extract "$package" "$2" || exit
	done
	cd "$2" && rm -rf usr/share etc var
)

# criu_wrapper DIR PROGRAM: write PROGRAM, which starts the criu of DIR with DIR's libraries.
criu_wrapper() {
	local linker libraries
	linker=$(find "$1" -name 'ld-linux*.so.*' -print | sort | tail -n 1)
	libraries=$(dirname "$(find "$1" -name 'libc.so.6' -print | head -n 1)")
	[ -n "$linker" ] || die "the packages of criu bring no dynamic linker"
	mkdir -p "${2%/*}"
	printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' \
		"$linker" "$libraries" "$1/usr/sbin/criu" >"$2.new"
	chmod 0755 "$2.new"
	mv -- "$2.new" "$2"
}

# criu_fetch DIR PROGRAM: put it into DIR, started by PROGRAM. Fails with a reason on standard error.
criu_fetch() {
	local work mirror status=0
	mirror=$(debian_mirror)
	if [ -z "$mirror" ]; then
		echo "apt names no mirror to fetch Debian 13's criu from" >&2
		return 1
	fi
	work=$(mktemp -d /var/tmp/lodge-criu.XXXXXX)
	rm -rf -- "$1" "$1.new"
	mkdir -p "$1.new"
	private_apt "$work" "$mirror"
	criu_unpack "$work" "$1.new" || status=$?
	rm -rf -- "$work"
	if [ "$status" -ne 0 ]; then
		rm -rf -- "$1.new"
		echo "apt could not fetch Debian 13's criu from $mirror" >&2
		return 1
	fi
	mv -- "$1.new" "$1"
	criu_wrapper "$1" "$2"
}
