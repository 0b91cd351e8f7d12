#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Resource limits and kernel settings of a container.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
}
teardown_file() { host_down; }
teardown() {
	tell_more
	destroy_all
}

limit_of() { # ID NAME: "soft hard" of what is entered
	in_ct "$1" awk -v n="$2" 'index($0, n) == 1 { print $(NF - 2), $(NF - 1) }' /proc/self/limits
}

@test "resource limits hold for init and for what is entered" {
	ct 101 --rlimit nofile=100:200 --rlimit fsize=8K
	is "$(limit_of 101 'Max open files')" "100 200" "entered"
	is "$(awk '/^Max open files/ { print $4, $5 }' "/proc/$(init_pid 101)/limits")" "100 200" "init"
	run in_ct 101 sh -c 'ulimit -n 300'
	[ "$status" -ne 0 ]
	run in_ct 101 sh -c 'dd if=/dev/zero of=/root/big bs=4096 count=4'
	[ "$status" -ne 0 ]
	is "$(in_ct 101 stat -c %s /root/big)" 8192 "what a file may hold"
	grep -qx 'RLIMITS="fsize=8192:8192 nofile=100:200"' "$LG_ETC/ct/101.conf"
}

@test "without a word the limits are those of a freshly booted machine" {
	ct 101
	is "$(limit_of 101 'Max open files')" "1024 $(ulimit -Hn | awk '{ print $1 < 524288 ? $1 : 524288 }')" "open files"
}

@test "UBC's numfile and lockedpages hold each process" {
	lodge create 101 --template busybox >/dev/null
	vzctl set 101 --numfile 50:60 --lockedpages 4 --save
	lodge start 101 >/dev/null
	is "$(limit_of 101 'Max open files')" "60 60" "numfile"
	is "$(limit_of 101 'Max locked memory')" "16384 16384" "lockedpages"
}

@test "bad limits are refused with what there is" {
	ct 101
	refused 21 "'files' is no resource limit; there are as, core, " lodge set 101 --rlimit files=1
	refused 21 "above the hard one" lodge set 101 --rlimit nofile=2:1
}

@test "kernel settings of its namespaces, at the start and while it runs" {
	local before after
	before=$(cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/sem)
	ct 101 --sysctl net.ipv4.ip_local_port_range="2000 3000" --sysctl kernel.sem="100 32000 32 77" --ip auto \
		--sysctl net.ipv4.conf.eth0.forwarding=1
	is "$(in_ct 101 cat /proc/sys/net/ipv4/ip_local_port_range | tr '\t' ' ')" "2000 3000" "network"
	is "$(in_ct 101 cat /proc/sys/kernel/sem | tr '\t' ' ')" "100 32000 32 77" "ipc"
	is "$(in_ct 101 cat /proc/sys/net/ipv4/conf/eth0/forwarding)" 1 "of its interface"
	lodge set 101 --sysctl net.ipv4.ip_local_port_range="2500 3500" \
		--sysctl user.max_mnt_namespaces=77 --sysctl fs.mqueue.msg_max=33 >/dev/null
	is "$(in_ct 101 cat /proc/sys/net/ipv4/ip_local_port_range | tr '\t' ' ')" "2500 3500" "network, live"
	is "$(in_ct 101 cat /proc/sys/user/max_mnt_namespaces)" 77 "user, live"
	is "$(in_ct 101 cat /proc/sys/fs/mqueue/msg_max)" 33 "mqueue, live"
	after=$(cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/sem)
	is "$after" "$before" "the host's own"
}

@test "a kernel setting that cannot be made changes nothing, and says why" {
	ct 101 --sysctl fs.mqueue.msg_max=20
	refused 21 "kernel.panic is the host's" lodge set 101 --sysctl kernel.panic=1
	run --separate-stderr lodge set 101 --sysctl "fs.mqueue.msg_max=30 net.ipv4.no_such=1"
	[ "$status" -ne 0 ]
	like "$stderr" 'no_such.*No such file' "why"
	is "$(in_ct 101 cat /proc/sys/fs/mqueue/msg_max)" 20 "put back"
	grep -qx 'SYSCTL="fs.mqueue.msg_max=20"' "$LG_ETC/ct/101.conf"
	lodge create 102 --template busybox --sysctl net.ipv4.no_such=1 >/dev/null
	run --separate-stderr lodge start 102
	[ "$status" -ne 0 ]
	like "$stderr" 'set given kernel settings.*no_such' "start"
}
