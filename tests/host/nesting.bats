#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Containers in containers: podman of root and of a user in Debian 12 and 13, docker, and lodge in lodge.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

# One container per Debian for all tests here. Its template has the packages: see tests/recipes.
setup_file() { host_up; }
teardown_file() { host_down; }
teardown() { tell_more; }

# nest ID TEMPLATE: a container with podman, a user and an image's files, made once
nest() {
	need template "$2"
	[ -z "$(field "$1" .ctid 2>/dev/null)" ] || return 0
	lodge create "$1" --template "$2" --memory 1G --feature nesting --ip auto
	lodge start --wait "$1"
	in_ct "$1" sh -c 'set -e
		mkdir -p /srv/image/bin
		cp /bin/busybox /srv/image/bin
		for name in sh cat echo ip ls mkdir mount nc rm wget; do ln -s busybox /srv/image/bin/$name; done
		tar -C /srv/image -cf /srv/image.tar .
		printf "FROM scratch\nADD image.tar /\nRUN [\"/bin/sh\", \"-c\", \"mkdir -p /d/e; echo made >/d/e/f\"]\n" >/srv/Containerfile
		printf "RUN [\"/bin/sh\", \"-c\", \"rm -r /d; mkdir /d; echo built >/d/g\"]\n" >>/srv/Containerfile
		useradd -m -s /bin/sh tester
		loginctl enable-linger tester'
	has_bus() { in_ct "$1" test -S /run/user/1000/bus; }
	wait_for 60 has_bus "$1" || fail "the user's systemd does not come up"
}

# by_root ID COMMAND, by_user ID COMMAND: a shell's line inside
by_root() {
	run -0 --separate-stderr timeout 300 "$LG_LODGE" exec "$1" -- sh -c "$2"
}

by_user() {
	run -0 --separate-stderr timeout 300 "$LG_LODGE" exec "$1" -- su - tester -c \
		"export XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus; $2"
}

# runs_podman WHO ID PORT: what both of them can do
runs_podman() {
	"$1" "$2" 'cd /srv && podman build -q -t localhost/image . >/dev/null && podman run --rm localhost/image cat /d/g'
	is "$output" built "what the image has ($stderr)"
	"$1" "$2" 'podman run --rm localhost/image ls /d'
	is "$output" g "a folder that a later layer made anew"
	"$1" "$2" 'podman info --format "{{.Store.GraphDriverName}} {{index .Store.GraphStatus \"Backing Filesystem\"}} {{index .Store.GraphStatus \"Native Overlay Diff\"}}"'
	like "$output" '^overlay ' "its layers"
	[[ $output != *overlayfs* ]] || fail "its layers are on an overlay: $output"
	"$1" "$2" 'podman info --format "{{json .Store.GraphOptions}}"'
	[[ $output != *fuse* ]] || fail "the kernel's overlay does not do: $output"
	"$1" "$2" 'podman run --rm --privileged localhost/image mount | grep -c " /sys "'
	is "$output" 1 "a privileged one has /sys"
	"$1" "$2" 'podman run --rm --sysctl net.ipv4.ip_unprivileged_port_start=0 localhost/image cat /proc/sys/net/ipv4/ip_unprivileged_port_start'
	is "$output" 0 "its own network's settings"
	"$1" "$2" "podman run --rm -d --name web -p $3:80 localhost/image nc -l -p 80 -e echo hello >/dev/null
		for try in 1 2 3 4 5 6 7 8 9; do busybox nc 127.0.0.1 $3 </dev/null && break; sleep 0.2; done
		podman rm -f web >/dev/null 2>&1; true"
	is "$output" hello "a published port ($stderr)"
}

@test "debian-13: podman of root builds and runs containers" {
	nest 301 podman-13
	runs_podman by_root 301 8080
	by_root 301 "podman run --rm localhost/image ip -4 addr show eth0 | grep -c 'inet 10[.]'"
	is "$output" 1 "addresses of podman's bridge"
}

@test "debian-13: podman of a user builds and runs containers, with the ids that useradd gave" {
	nest 301 podman-13
	by_user 301 'cat /etc/subuid'
	is "$output" tester:100000:65536 "useradd's own choice"
	runs_podman by_user 301 8081
	by_user 301 "podman run --rm localhost/image cat /proc/self/uid_map | tr -s ' '"
	is "$output" $' 0 1000 1\n 1 100000 65536' "ids in there"
}

@test "debian-13: docker runs containers, on the kernel's overlay" {
	nest 301 podman-13
	in_ct 301 systemctl start docker
	docker_answers() { in_ct 301 docker info --format '{{.Driver}}' >"$BATS_TEST_TMPDIR/driver" 2>/dev/null; }
	wait_for 120 docker_answers || fail "$(in_ct 301 journalctl -u docker -o cat -n 20)"
	like "$(cat "$BATS_TEST_TMPDIR/driver")" '^overlay' "where its layers are"
	by_root 301 'docker import /srv/image.tar image >/dev/null
		docker run --rm image echo hello'
	is "$output" hello "what the container says ($stderr)"
	by_root 301 'docker run --rm --privileged image mount | grep -c " /sys "'
	is "$output" 1 "a privileged one has /sys"
	by_root 301 'docker run --rm image ip -4 addr show eth0 | grep -c "inet 172[.]"'
	is "$output" 1 "addresses of docker's bridge"
	in_ct 301 systemctl stop docker.socket docker containerd
}

@test "debian-13: nothing failed meanwhile" {
	nest 301 podman-13
	is "$(in_ct 301 systemctl --failed --no-legend)" "" "failed units"
}

@test "debian-12: podman of root builds and runs containers" {
	nest 302 podman-12
	runs_podman by_root 302 8080
}

@test "debian-12: podman of a user builds and runs containers" {
	nest 302 podman-12
	runs_podman by_user 302 8081
	is "$(in_ct 302 systemctl --failed --no-legend)" "" "failed units"
}

# put_lodge ID: this lodge into /opt/lodge of a container, with the libraries of this host but the C library. Those
# programs that are started without an environment of ours get it from a script in their place.
put_lodge() {
	local prefix=${LG_LODGE%/bin/lodge} tree=$BATS_TEST_TMPDIR/tree program
	mkdir -p "$tree/lib" "$tree/program"
	for program in lodge-shim lodge-worker; do
		cp "${LODGE_LIBEXECDIR:-$prefix/libexec/lodge}/$program" "$tree"
	done
	cp "$LG_LODGE" "$LG_LODGED" "$tree"
	cp -r "${LODGE_DATADIR:-$prefix/share/lodge}/templates" "$tree"
	ldd "$tree/lodged" "$tree/lodge-worker" | awk '$3 ~ "^/" { print $3 }' |
		grep -vE '/lib(c|m|pthread|rt|dl)[.]so' | sort -u | xargs cp -L -t "$tree/lib"
	for program in lodge lodge-worker; do
		mv "$tree/$program" "$tree/program"
		printf '#!/bin/sh\nLD_LIBRARY_PATH=/opt/lodge/lib exec /opt/lodge/program/%s "$@"\n' "$program" \
			>"$tree/$program"
		chmod 755 "$tree/$program"
	done
	in_ct "$1" mkdir -p /opt/lodge
	tar -C "$tree" -c . | lodge exec "$1" -- tar -C /opt/lodge -x
	in_ct "$1" sh -c 'printf "[Service]\nType=exec\nExecStart=/opt/lodge/lodged\nKillMode=process\nDelegate=yes\n" \
		>/run/systemd/system/lodged.service
		printf "Environment=LD_LIBRARY_PATH=/opt/lodge/lib LODGE_LIBEXECDIR=/opt/lodge LODGE_DATADIR=/opt/lodge\n" \
		>>/run/systemd/system/lodged.service
		ln -sf /opt/lodge/lodge /usr/local/bin/lodge
		systemctl daemon-reload && systemctl start lodged'
	inner_answers() { in_ct "$1" lodge version >/dev/null 2>&1; }
	wait_for 60 inner_answers "$1" || fail "$(in_ct "$1" journalctl -u lodged -o cat)"
}

@test "debian-13: lodge runs in lodge" {
	nest 301 podman-13
	put_lodge 301
	local base
	base=$(field 301 .id_base)
	by_root 301 'lodge template build busybox >/dev/null && lodge create 101 --template busybox --ip auto'
	by_root 301 'lodge start 101'
	like "$stderr" 'copying its template: ids cannot be mapped' "what it says about the copy"
	by_root 301 'lodge exec 101 -- cat /proc/self/uid_map </dev/null | tr -s " "'
	is "$output" " 0 524288 65536" "ids of the inner one, in the outer one"
	by_root 301 'lodge exec 101 -- stat -c "%u:%g %a" / /root /tmp </dev/null'
	is "$output" $'0:0 755\n0:0 700\n0:0 1777' "owners in the inner one"
	by_root 301 'lodge exec 101 -- sh -c "rm -r /var/spool && mkdir /var/spool && echo mine >/var/spool/file" </dev/null'
	is "$(stat -c %u "$LG_VAR/ct/301/plain/lodge/ct/101/upper/var/spool/file")" 524288 "owner on this host's disk"
	by_root 301 'lodge exec 101 -- sh -c "ping -c 1 -W 5 $(ip -4 route show default | sed "s/.*via \([0-9.]*\).*/\1/")" </dev/null'
	by_root 301 'lodge restart 101 && lodge exec 101 -- cat /var/spool/file </dev/null'
	like "$output" 'mine$' "its file after a restart"
	[[ $stderr != *copying* ]] || fail "it is copied again"
	by_root 301 'lodge create 102 --template busybox && lodge start 102 && lodge exec 102 -- cat /proc/self/uid_map </dev/null | tr -s " "'
	like "$output" ' 0 589824 65536$' "ids of the second one"
	in_ct 301 systemctl restart lodged
	wait_for 60 inner_answers 301
	by_root 301 "lodge list"
	is "$(grep -c running <<<"$output")" 2 "both go on without their daemon"
	by_root 301 'lodge stop 101 && lodge destroy 101 && lodge destroy --force 102 && lodge teardown && systemctl stop lodged'
	by_root 301 'ip -br link | grep -c lodge; find /sys/fs/cgroup -path "*/lodge/*"; ls -A /var/lib/lodge/ct'
	is "$output" 0 "what is left"
	is "$(field 301 .id_base)" "$base" "the outer one's ids"
}

@test "what engines keep is part of the layer, with ids of its own on disk" {
	nest 301 podman-13
	by_root 301 'touch /var/lib/containers/mark && chown 300000 /var/lib/containers/mark'
	is "$(stat -c %u "$LG_VAR/ct/301/plain/containers/mark")" 300000 "owner on disk"
	is "$(stat -c %u "$LG_VAR/ct/301/plain/home/tester")" 1000 "a home on disk"
	lodge restart 301 --wait
	by_root 301 'test -e /var/lib/containers/mark && podman images -q localhost/image | wc -l'
	is "$output" 1 "the image after a restart"
}

@test "a nesting container's ids are its own, however many" {
	need template busybox
	lodge create 311 --template busybox --feature nesting
	lodge create 312 --template busybox
	lodge create 313 --template busybox --feature nesting
	local base1 base2 base3
	base1=$(field 311 .id_base) base2=$(field 312 .id_base) base3=$(field 313 .id_base)
	[ $((base2 >= base1 + 1048576 || base2 + 65536 <= base1)) = 1 ] || fail "312 has ids of 311"
	[ $((base3 >= base1 + 1048576 || base3 + 1048576 <= base1)) = 1 ] || fail "313 has ids of 311"
	[ $((base2 >= base3 + 1048576 || base2 + 65536 <= base3)) = 1 ] || fail "312 has ids of 313"
	refused 85 'overlap those of 311' lodge create 314 --template busybox --id-base $((base1 + 983040))
	lodge start 313
	is "$(in_ct 313 cat /proc/self/uid_map | tr -s ' ')" " 0 $base3 1048576" "its map"
	lodge destroy 311
	lodge destroy 312
	lodge destroy --force 313
}

@test "a container that is switched to nesting gets more ids; what it has stays visible" {
	ct 311
	ct 312
	in_ct 311 sh -c 'mkdir /home/user && echo mine >/home/user/file && chown -R 1000 /home/user'
	lodge set 311 --feature nesting
	lodge restart 311 >/dev/null
	is "$(in_ct 311 awk '{ print $3 }' /proc/self/uid_map)" 1048576 "number of its ids"
	is "$(in_ct 311 cat /home/user/file)" mine "its file"
	is "$(in_ct 311 stat -c %u /home/user/file)" 1000 "its file's owner"
	is "$(in_ct 311 awk '$2 ~ "^/home|^/var/lib/(docker|containers)$" { print $2 }' /proc/mounts | sort | tr '\n' ' ')" \
		"/var/lib/containers /var/lib/docker " "mounts: a home with files stays where it is"
	lodge set 311 --feature nesting:off
	in_ct 311 touch /var/lib/docker/kept
	lodge restart 311 >/dev/null
	in_ct 311 test -e /var/lib/docker/kept
	lodge destroy --force 311
	lodge destroy --force 312
}

@test "engines' folders and homes count against the container's disk limit" {
	need template busybox
	lodge create 311 --template busybox --feature nesting --disk 64M
	lodge start 311 >/dev/null
	in_ct 311 awk '$2 == "/var/lib/containers" || $2 == "/home" { print $2 }' /proc/mounts >"$BATS_TEST_TMPDIR/mounts"
	is "$(sort "$BATS_TEST_TMPDIR/mounts" | tr '\n' ' ')" "/home /var/lib/containers " "folders beside the overlay"
	run ! in_ct 311 dd if=/dev/zero of=/var/lib/containers/file bs=1M count=100
	run ! in_ct 311 dd if=/dev/zero of=/home/file bs=1M count=20
	run ! in_ct 311 dd if=/dev/zero of=/root/file bs=1M count=20
	in_ct 311 rm /var/lib/containers/file
	in_ct 311 dd if=/dev/zero of=/root/file bs=1M count=20
	lodge destroy --force 311
}
