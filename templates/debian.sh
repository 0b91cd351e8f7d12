#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# debian.sh SUITE TARGET [PACKAGE...]: fill the empty directory TARGET with Debian and these packages more; the Debian
# recipes run it.
#
# The result is a clean Debian: nothing in it knows that it runs in a container, or where.
set -eu
suite=$1
target=$2
shift 2
: "${TMPDIR:=/tmp}"
log=$TMPDIR/log

# What a customer finds on a small Debian server; recommended packages are left out.
packages=systemd-sysv,dbus,libpam-systemd,ca-certificates,cron,iproute2,iputils-ping,less
packages=$packages,logrotate,nano,netbase,openssh-server,procps,tzdata
for more; do
	packages=$packages,$more
done

# Left out of what the template installs; packages installed later bring theirs. A blank between.
left_out="/usr/share/doc/* /usr/share/info/* /usr/share/locale/* /usr/share/lintian/*"

# shellcheck source=templates/debian-archive.sh
. "${0%/*}/debian-archive.sh"

bootstrap() {
	set -- --variant=minbase --mode=root --format=directory --include="$packages"
	set -f
	for path in $left_out; do
		set -- "$@" --dpkgopt="path-exclude=$path"
	done
	set +f
	set -- "$@" --dpkgopt='path-include=/usr/share/doc/*/copyright' \
		--dpkgopt='path-include=/usr/share/locale/locale.alias' \
		--aptopt='Acquire::Languages "none"'
	mmdebstrap "$@" "$suite" "$target" "$TMPDIR/debian.sources"
}

# Its progress lines are ours; the rest is kept for when it fails.
run_bootstrap() {
	echo 1 >"$TMPDIR/status"
	{
		status=0
		bootstrap || status=$?
		echo "$status" >"$TMPDIR/status"
	} 2>&1 | while IFS= read -r line; do
		printf '%s\n' "$line" >>"$log"
		case $line in
		*"received signal"*) ;;
		"I: "*...) printf '%s\n' "${line#I: }" ;;
		esac
	done
	[ "$(cat "$TMPDIR/status")" = 0 ] || fail "$(reason)"
}

# The first line that says what went wrong, not what went wrong because of it.
reason() {
	for pattern in 'Failed to fetch' '^dpkg: error' '^E: '; do
		if line=$(grep -m 1 -e "$pattern" "$log"); then
			printf '%s\n' "$line" | sed -e 's/^[EW]: //' -e 's/   */: /g'
			return
		fi
	done
	tail -n 1 "$log"
}

finish() {
	cd "$target"
	rm -f etc/apt/apt.conf.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/99mmdebstrap
	mv etc/apt/sources.list.d/*debian.sources etc/apt/sources.list.d/debian.sources.new
	rm -f etc/apt/sources.list
	mv etc/apt/sources.list.d/debian.sources.new etc/apt/sources.list.d/debian.sources

	# Everything that must be each instance's own. An empty machine-id is filled at the first boot;
	# a missing one would make systemd ask its questions of a first boot.
	rm -f etc/hostname etc/resolv.conf etc/ssh/ssh_host_* var/lib/dbus/machine-id \
		var/lib/systemd/random-seed var/lib/systemd/credential.secret
	: >etc/machine-id
	mkdir -p etc/systemd/system/ssh.service.d
	cat >etc/systemd/system/ssh.service.d/host-keys.conf <<'END'
# The template has no host keys: make those that are missing.
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
END
	cat >etc/hosts <<'END'
127.0.0.1	localhost
::1		localhost ip6-localhost ip6-loopback
END
	echo 'LANG=C.UTF-8' >etc/default/locale

	# What systemd does once for a new /usr (the linker's cache, users) was done by the packages.
	# Debian 12 has it not.
	[ ! -x lib/systemd/systemd-update-done ] || chroot . /lib/systemd/systemd-update-done

	rm -rf dev/* run/* tmp/* var/tmp/* var/lib/apt/lists/* var/cache/apt/*.bin \
		var/cache/apt/archives/*.deb var/cache/ldconfig/aux-cache var/cache/debconf/*-old \
		var/lib/dpkg/*-old var/log/apt/* var/log/*.log etc/passwd- etc/group- etc/shadow- \
		etc/gshadow-
}

command -v mmdebstrap >/dev/null || fail "there is no mmdebstrap on this host: install it"
use_host_proxy
write_sources
run_bootstrap
echo "cleaning up"
finish
