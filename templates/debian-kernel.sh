#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# debian-kernel.sh SUITE TARGET: fill the empty directory TARGET with the kernel of that Debian for virtual machines; the
# Debian kernel recipes run it.
#
# Nothing is installed: one package is downloaded and unpacked. What counts of it is /boot/vmlinuz-* and /lib/modules.
set -eu
suite=$1
target=$2
: "${TMPDIR:=/tmp}"
package=linux-image-cloud-amd64

# shellcheck source=templates/debian-archive.sh
. "${0%/*}/debian-archive.sh"

# apt's own folders for this build, so that the host's lists and packages stay as they are
prepare_apt() {
	for dir in state/lists/partial cache/archives/partial etc/apt.conf.d etc/preferences.d; do
		mkdir -p "$TMPDIR/$dir"
	done
	: >"$TMPDIR/status"
	cat >"$TMPDIR/apt.conf" <<END
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$TMPDIR/sources";
Dir::Etc::Parts "$TMPDIR/etc/apt.conf.d";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$TMPDIR/etc/preferences.d";
Dir::State "$TMPDIR/state";
Dir::State::Status "$TMPDIR/status";
Dir::Cache "$TMPDIR/cache";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "root";
Acquire::Languages "none";
END
	mkdir -p "$TMPDIR/sources"
	mv "$TMPDIR/debian.sources" "$TMPDIR/sources/"
}

# apt COMMAND...: with these folders; what it says is shown when it fails
apt() {
	APT_CONFIG=$TMPDIR/apt.conf apt-get -q "$@" >>"$TMPDIR/log" 2>&1 ||
		fail "$(grep '^E: ' "$TMPDIR/log" | tail -n 1 | sed 's/^E: //')"
}

# The real package that the other one, which is empty, stands for
kernel_package() {
	APT_CONFIG=$TMPDIR/apt.conf apt-cache depends "$package" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}

command -v dpkg-deb >/dev/null || fail "there is no dpkg-deb on this host: install dpkg"
use_host_proxy
write_sources
prepare_apt
echo "reading the list of packages"
apt update
kernel=$(kernel_package)
[ -n "$kernel" ] || fail "$suite has no package $package"
echo "downloading $kernel"
(cd "$TMPDIR/cache" && apt download "$kernel")
echo "unpacking it"
dpkg-deb --fsys-tarfile "$TMPDIR/cache/$kernel"_*.deb | tar -x -C "$target" --no-same-owner --exclude='./usr/share/*'
[ -e "$target/lib" ] || ln -s usr/lib "$target/lib"
# depmod's work, which the package's scripts would do
depmod -b "$target" "${kernel#linux-image-}"
rm -rf "$target"/boot/System.map-*
