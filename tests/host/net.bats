#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The network: there before init runs, reachable from the host, closed between tenants, pinned to its addresses.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up 'NETWORK6="fd77:1d9e::/64"'
	need template busybox
	ct 101 --ip auto --hostname one.example --nameserver 192.0.2.53 --searchdomain example.test
	ct 102 --ip auto
	put_probe 101
	put_probe 102
	ADDR1=$(address_of 101)
	ADDR2=$(address_of 102)
	GATEWAY=$(ip -4 -o addr show dev "$LG_BRIDGE" | awk '{ sub("/.*", "", $4); print $4 }')
	MAC1=$(in_ct 101 cat /sys/class/net/eth0/address)
	export ADDR1 ADDR2 GATEWAY MAC1
}
teardown_file() { host_down; }
teardown() { tell_more; }

# Does a frame that container 101 sends arrive at the host's end of the network?
# arrives KIND ETHER-FROM ARP-FROM IP-FROM IP-TO: prints "seen N"
arrives() {
	local mark=mark$RANDOM$RANDOM
	"$LG_PROBE" sniff "$LG_BRIDGE" 1.2 "$mark" >"$BATS_TEST_TMPDIR/sniff" 3>&- &
	local pid=$!
	wait_for 3 grep -q listening "$BATS_TEST_TMPDIR/sniff"
	in_ct 101 probe send eth0 "$@" "$mark" >/dev/null
	wait "$pid"
	tail -n 1 "$BATS_TEST_TMPDIR/sniff"
}

@test "the address is there before the guest's init runs a single line" {
	lodge create 110 --template busybox --ip auto
	local root
	lodge mount 110
	root=$(field 110 .root)
	mkdir -p "$root/etc/init.d"
	printf '#!/bin/sh\nip -4 addr show dev eth0 >/root/at-boot\nip route >>/root/at-boot\n' >"$root/root/early"
	chmod 0755 "$root/root/early"
	sed -i '1i ::sysinit:/root/early' "$root/etc/inittab"
	lodge umount 110
	lodge start 110
	wait_for 5 in_ct 110 test -s /root/at-boot
	like "$(in_ct 110 cat /root/at-boot)" "inet $(address_of 110)/" "address at boot"
	like "$(in_ct 110 cat /root/at-boot)" "default via $GATEWAY" "route at boot"
	lodge destroy --force 110
}

@test "the host reaches the container" {
	ping -c 1 -W 2 "$ADDR1"
	in_ct 101 sh -c 'echo hello-from-guest >/root/index.html; httpd -p 8080 -h /root'
	is "$(curl -s --noproxy '*' --max-time 3 "http://$ADDR1:8080/")" hello-from-guest "page"
}

@test "the container reaches nothing of the host but ping" {
	in_ct 101 ping -c 1 -W 2 "$GATEWAY"
	# A server on the bridge's address: the host itself reaches it, the container does not.
	echo of-the-host >"$BATS_TEST_TMPDIR/index.html"
	busybox httpd -f -p "$GATEWAY:7171" -h "$BATS_TEST_TMPDIR" 3>&- &
	local pid=$!
	wait_for 3 curl -s --noproxy '*' --max-time 1 -o "$BATS_TEST_TMPDIR/got" "http://$GATEWAY:7171/"
	is "$(cat "$BATS_TEST_TMPDIR/got")" of-the-host "what the host gets"
	run in_ct 101 timeout 2 wget -q -O - "http://$GATEWAY:7171/"
	kill "$pid"
	ended "$pid"
	[ "$status" -ne 0 ]
	[[ $output != *of-the-host* ]]
}

@test "tenants do not see each other" {
	run in_ct 101 ping -c 1 -W 1 "$ADDR2"
	[ "$status" -ne 0 ]
	"$LG_LODGE" exec 102 -- probe sniff eth0 1.5 tenant-mark >"$BATS_TEST_TMPDIR/sniff" 3>&- &
	local pid=$!
	wait_for 3 grep -q listening "$BATS_TEST_TMPDIR/sniff"
	in_ct 101 probe send eth0 ip4 "$MAC1" "$MAC1" "$ADDR1" "$ADDR2" tenant-mark
	in_ct 101 probe send eth0 arp "$MAC1" "$MAC1" "$ADDR1" "$ADDR2" tenant-mark
	wait "$pid"
	is "$(tail -n 1 "$BATS_TEST_TMPDIR/sniff")" "seen 0" "frames of the other tenant"
}

@test "frames with one's own addresses pass (so that the next tests mean something)" {
	is "$(arrives ip4 "$MAC1" "$MAC1" "$ADDR1" "$GATEWAY")" "seen 3" "IPv4"
	is "$(arrives arp "$MAC1" "$MAC1" "$ADDR1" "$GATEWAY")" "seen 3" "ARP"
}

@test "another's MAC does not pass" {
	is "$(arrives ip4 02:00:00:00:00:99 "$MAC1" "$ADDR1" "$GATEWAY")" "seen 0" "IPv4"
	is "$(arrives arp 02:00:00:00:00:99 "$MAC1" "$ADDR1" "$GATEWAY")" "seen 0" "ARP"
}

@test "another's IPv4 address does not pass, the neighbour's or the gateway's" {
	is "$(arrives ip4 "$MAC1" "$MAC1" "$ADDR2" "$GATEWAY")" "seen 0" "the neighbour's"
	is "$(arrives ip4 "$MAC1" "$MAC1" "$GATEWAY" "$ADDR2")" "seen 0" "the gateway's"
	is "$(arrives ip4 "$MAC1" "$MAC1" 192.0.2.1 "$GATEWAY")" "seen 0" "a stranger's"
}

@test "an ARP claim of another's address or MAC does not pass" {
	is "$(arrives arp "$MAC1" "$MAC1" "$ADDR2" "$GATEWAY")" "seen 0" "address"
	is "$(arrives arp "$MAC1" 02:00:00:00:00:99 "$ADDR1" "$GATEWAY")" "seen 0" "MAC"
	is "$(arrives arp "$MAC1" "$MAC1" "$GATEWAY" "$ADDR2")" "seen 0" "the gateway's"
}

@test "another's IPv6 address does not pass" {
	is "$(arrives ip6 "$MAC1" "$MAC1" fd77:1d9e::dead ff02::1)" "seen 0" "IPv6"
	is "$(arrives ip6 "$MAC1" "$MAC1" 2001:db8::1 ff02::1)" "seen 0" "a stranger's"
}

@test "an address that the guest gives itself goes nowhere" {
	in_ct 101 ip addr add 10.255.254.253/32 dev eth0
	run in_ct 101 ping -c 1 -W 1 -I 10.255.254.253 "$GATEWAY"
	in_ct 101 ip addr del 10.255.254.253/32 dev eth0
	[ "$status" -ne 0 ]
}

@test "a changed MAC goes nowhere" {
	ct 103 --ip auto
	in_ct 103 ping -c 1 -W 2 "$GATEWAY"
	in_ct 103 sh -c 'ip link set eth0 down && ip link set eth0 address 02:00:00:00:00:99 && ip link set eth0 up &&
		ip route add '"$GATEWAY"' dev eth0'
	run in_ct 103 ping -c 1 -W 1 "$GATEWAY"
	[ "$status" -ne 0 ]
	lodge destroy --force 103
}

@test "resolv.conf, hosts and hostname are the container's" {
	is "$(in_ct 101 hostname)" one.example "hostname"
	like "$(in_ct 101 cat /etc/resolv.conf)" 'nameserver 192\.0\.2\.53' "nameserver"
	like "$(in_ct 101 cat /etc/resolv.conf)" 'search example\.test' "search"
	like "$(in_ct 101 cat /etc/hosts)" '127\.0\.0\.1[[:space:]]+.*localhost' "localhost"
	like "$(in_ct 101 cat /etc/hosts)" "${ADDR1}[[:space:]]+one\.example" "its own name"
	like "$(in_ct 101 cat /etc/hostname)" '^one' "/etc/hostname"
}

@test "a symbolic link in place of resolv.conf does not lead lodge out of the guest" {
	ct 104
	echo untouched >"$BATS_TEST_TMPDIR/victim"
	in_ct 104 sh -c "rm -f /etc/resolv.conf /etc/hosts; mkdir -p $BATS_TEST_TMPDIR
		ln -s $BATS_TEST_TMPDIR/victim /etc/resolv.conf; ln -s ../../../../../../../../$BATS_TEST_TMPDIR/victim /etc/hosts"
	lodge restart --fast 104
	is "$(cat "$BATS_TEST_TMPDIR/victim")" untouched "a file of the host"
	lodge destroy --force 104
}

@test "addresses are added to and taken from a running container" {
	lodge set 102 --ip-add 10.77.1.9/32
	like "$(in_ct 102 ip -4 addr show dev eth0)" '10\.77\.1\.9' "added inside"
	lodge set 102 --ip-del 10.77.1.9
	[[ $(in_ct 102 ip -4 addr show dev eth0) != *10.77.1.9* ]]
}

@test "a container without an address has loopback only" {
	lodge create 105 --template busybox
	lodge start 105
	is "$(in_ct 105 ls /sys/class/net)" lo "links"
	in_ct 105 ping -c 1 -W 1 127.0.0.1
	lodge destroy --force 105
}

@test "the host's firewall has one table of lodge's own with the pins, and NAT" {
	run nft list ruleset
	like "$output" "table [a-z]+ $LG_TABLE " "its table"
	like "$output" 'masquerade' "NAT"
	like "$output" "${LG_TAG}101\.0.*$MAC1|$MAC1" "the pin"
}

@test "a destroyed container's pins are gone" {
	ct 106 --ip auto
	lodge destroy --force 106
	[[ $(nft list ruleset) != *"${LG_TAG}106.0"* ]]
}

@test "counters tell what the guest sent and received" {
	local before
	before=$(field 101 .usage.rx_bytes)
	ping -c 3 -i 0.2 -s 1000 -W 1 "$ADDR1"
	[ "$(field 101 .usage.rx_bytes)" -ge $((before + 3000)) ]
	[ "$(field 101 .usage.tx_bytes)" -ge 3000 ]
}

@test "the guest cannot take the host's end down, nor see the host's links" {
	is "$(in_ct 101 ls /sys/class/net | sort | tr '\n' ' ')" "eth0 lo " "links inside"
}
