#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# ./setup from a clone to a running VPS, and back, on a host with systemd. There is no network here: packages and
# templates are there already, and so are the object files of the build.
# Only for the QEMU tier: it uses the host's own /etc/lodge and /var/lib/lodge.
# shellcheck disable=SC2154 # bats sets them

load ../host/lib

CLONE=/src

setup_file() {
	need root
	[ ! -e /etc/lodge ] || fail "this host has a lodge of its own"
	mkdir -p "$CLONE"
	tar --extract --file /payload/src.tar -C "$CLONE"
	mkdir -p /var/lib/lodge/templates
	chmod 0700 /var/lib/lodge
	cp -a "${LODGE_TEMPLATE_STORE:?}"/busybox "$LODGE_TEMPLATE_STORE"/debian-13 /var/lib/lodge/templates/
}

# As installed.
lodge() {
	command lodge "$@"
}

at_clone() {
	cd "$CLONE"
	./setup "$@" </dev/null 2>&1
}

@test "setup --no-vps: lodge is installed and its service runs" {
	run at_clone --no-vps
	is "$status" 0 "setup: $output"
	like "$output" "daemon +changed +started" "what it says of the daemon"
	is "$(systemctl is-active lodged)" active "the service"
	is "$(systemctl is-enabled lodged)" enabled "at the next boot"
	is "$(readlink /usr/bin/vzctl)" lodge "vzctl"
	lodge doctor
}

@test "the host's own CRIU is configured where it works" {
	criu check
	grep -q '^CRIU="/.*criu"$' /etc/lodge/lodge.conf
}

@test "setup makes the first VPS, starts it and tells how to enter it" {
	run at_clone
	is "$status" 0 "setup: $output"
	like "$output" "101 +first +running" "the list"
	like "$output" "lodge enter 101" "the way in"
	is "$(lodge exec 101 -- systemctl is-system-running)" running "its systemd"
	is "$(lodge show 101 --json | jq -r .settings.memory)" 512.0M "its memory"
}

@test "run again it changes nothing and says so" {
	local before
	before=$(stat -c '%n %Y' /etc/lodge/lodge.conf /etc/lodge/ct/101.conf /usr/bin/lodge; lodge list -a -o id,pid)
	run at_clone
	is "$status" 0 "setup: $output"
	like "$output" "nothing was changed" "what it says"
	[[ $output != *" changed "* ]] || fail "something was changed: $output"
	is "$(stat -c '%n %Y' /etc/lodge/lodge.conf /etc/lodge/ct/101.conf /usr/bin/lodge; lodge list -a -o id,pid)" \
		"$before" "files and containers"
}

@test "a build that fails is told with its log and what to do" {
	mv "$CLONE/lib/err.c" "$CLONE/lib/err.c.away"
	echo 'int nonsense(' >"$CLONE/lib/err.c"
	run at_clone --no-vps
	mv "$CLONE/lib/err.c.away" "$CLONE/lib/err.c"
	[ "$status" -ne 0 ] || fail "it did not fail: $output"
	like "$output" "step 'build' failed" "which step"
	like "$output" "err.c" "the log's last lines"
	is "$(systemctl is-active lodged)" active "the service that was there"
}

@test "--remove without a terminal leaves other people's containers alone" {
	lodge create 102 --template busybox
	run at_clone --remove
	is "$status" 1 "setup --remove: $output"
	like "$output" "102" "whose"
	is "$(lodge show 101 --json | jq -r .state)" running "the VPS"
	lodge destroy 102
}

@test "--remove takes everything away" {
	run at_clone --remove
	is "$status" 0 "setup --remove: $output"
	for path in /etc/lodge /var/lib/lodge /run/lodge /usr/bin/lodge /usr/sbin/lodged /usr/bin/vzctl \
		/usr/libexec/lodge /usr/share/lodge /usr/lib/lodge /usr/lib/systemd/system/lodged.service \
		/sys/class/net/lodge0 /sys/fs/cgroup/system.slice/lodge-containers.service; do
		[ ! -e "$path" ] || fail "$path is left behind"
	done
	[ -z "$(nft list tables | grep lodge)" ] || fail "nftables: $(nft list tables)"
	is "$(pgrep -l '^(lodged|lodge-shim|shim )' || test $? -eq 1)" "" "processes"
}

@test "--remove of nothing says so" {
	run at_clone --remove
	is "$status" 0 "setup --remove: $output"
	like "$output" "nothing of lodge" "what it says"
}
