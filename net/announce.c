/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Where a container is now. Switches and bridges between this host and the rest of the segment still send what is for it to
 * the host that it came from, until they see a frame with its MAC from here; hosts and routers that know it by another MAC
 * need an answer that they did not ask for. Both are said by one ARP announcement (RFC 5227, 3) for each IPv4 address, and an
 * unsolicited neighbour advertisement (RFC 4861, 7.2.6) for each IPv6 address.
 *
 * And a guest's own kernel still sends to the MAC of the other host what is for its gateway, whose address is the same here: it is told
 * by the same frames, which nobody else gets.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "net/net.h"
#include "net/private.h"

struct arp_frame {
	struct ether_header eth;
	struct arphdr arp;
	uint8_t sender_mac[6], sender[4], target_mac[6], target[4];
} __attribute__((packed));

struct nd_frame {
	struct ether_header eth;
	struct ip6_hdr ip;
	struct nd_neighbor_advert na;
	uint8_t option, option_len, mac[6];
} __attribute__((packed));

static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t all_nodes[6] = { 0x33, 0x33, 0, 0, 0, 1 };

/* Who says where it is, and to whom. */
struct said {
	const uint8_t *mac;
	const uint8_t *to;	/* NULL: everybody */
	uint8_t flags;		/* of a neighbour advertisement */
};

static void make_arp(const struct said *s, const struct lg_addr *addr, struct arp_frame *f)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->eth.ether_dhost, s->to ? s->to : all, 6);
	memcpy(f->eth.ether_shost, s->mac, 6);
	f->eth.ether_type = htons(ETHERTYPE_ARP);
	f->arp.ar_hrd = htons(ARPHRD_ETHER);
	f->arp.ar_pro = htons(ETHERTYPE_IP);
	f->arp.ar_hln = 6;
	f->arp.ar_pln = 4;
	f->arp.ar_op = htons(ARPOP_REQUEST);
	memcpy(f->sender_mac, s->mac, 6);
	memcpy(f->sender, &addr->v4, 4);
	memcpy(f->target, &addr->v4, 4);
}

/* RFC 4443, 2.3: over a pseudo-header and the message. */
static uint16_t checksum(const struct nd_frame *f, size_t len)
{
	const uint8_t *p = (const uint8_t *)&f->ip.ip6_src;
	const uint8_t *m = (const uint8_t *)&f->na;
	uint32_t sum = (uint32_t)len + IPPROTO_ICMPV6;

	for (size_t i = 0; i < 32; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(m[i] << 8 | m[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void make_nd(const struct said *s, const struct lg_addr *addr, struct nd_frame *f)
{
	size_t len = sizeof(*f) - offsetof(struct nd_frame, na);

	memset(f, 0, sizeof(*f));
	memcpy(f->eth.ether_dhost, s->to ? s->to : all_nodes, 6);
	memcpy(f->eth.ether_shost, s->mac, 6);
	f->eth.ether_type = htons(ETHERTYPE_IPV6);
	f->ip.ip6_flow = htonl(6u << 28);
	f->ip.ip6_plen = htons((uint16_t)len);
	f->ip.ip6_nxt = IPPROTO_ICMPV6;
	f->ip.ip6_hlim = 255;
	memcpy(&f->ip.ip6_src, &addr->v6, 16);
	inet_pton(AF_INET6, "ff02::1", &f->ip.ip6_dst);
	f->na.nd_na_type = ND_NEIGHBOR_ADVERT;
	f->na.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE | s->flags;
	memcpy(&f->na.nd_na_target, &addr->v6, 16);
	f->option = ND_OPT_TARGET_LINKADDR;
	f->option_len = 1;
	memcpy(f->mac, s->mac, 6);
	f->na.nd_na_cksum = checksum(f, len);
}

/* A packet socket: what the guest's own rules say about its traffic is of no concern here. */
static int open_in(int netns_fd, int home_fd, const char *name, struct sockaddr_ll *at)
{
	lg_autoclose int fd = -1;
	struct ifreq req = { 0 };
	int r = 0;

	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	memcpy(req.ifr_name, name, strnlen(name, sizeof(req.ifr_name) - 1));
	if (fd < 0 || ioctl(fd, SIOCGIFINDEX, &req) < 0)
		r = -errno;
	if (setns(home_fd, CLONE_NEWNET) < 0)
		abort();
	at->sll_family = AF_PACKET;
	at->sll_ifindex = req.ifr_ifindex;
	at->sll_halen = 6;
	return r < 0 ? r : lg_take_fd(&fd);
}

static int say(int fd, struct sockaddr_ll *at, const struct said *s, const struct lg_addr *addr)
{
	struct arp_frame arp;
	struct nd_frame nd;
	const void *frame = addr->family == AF_INET ? (void *)&arp : (void *)&nd;
	size_t len = addr->family == AF_INET ? sizeof(arp) : sizeof(nd);

	if (addr->family == AF_INET)
		make_arp(s, addr, &arp);
	else
		make_nd(s, addr, &nd);
	memcpy(at->sll_addr, frame, 6);
	return sendto(fd, frame, len, MSG_DONTWAIT, (struct sockaddr *)at, sizeof(*at)) < 0 ? -errno : 0;
}

int lg_net_announce(struct lg_net *net, const struct lg_net_if *ifc, int netns_fd, struct lg_err *err)
{
	const struct said said = { .mac = ifc->mac };
	struct sockaddr_ll at = { 0 };
	lg_autoclose int fd = open_in(netns_fd, net->home_fd, ifc->name, &at);
	int r = 0;

	if (fd < 0)
		return lg_fail(err, fd, "announce %s", ifc->host_name);
	for (unsigned int i = 0; i < ifc->naddrs; i++) {
		int failed = say(fd, &at, &said, &ifc->addrs[i]);

		r = failed < 0 ? failed : r;
	}
	return r < 0 ? lg_fail(err, r, "announce %s", ifc->host_name) : 0;
}

int lg_net_tell_gateway(struct lg_net *net, const struct lg_net_if *ifc, struct lg_err *err)
{
	const struct lg_addr *const gateways[] = { &net->conf.gw4, &net->conf.gw6 };
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = net->bridge, .sll_halen = 6 }, own;
	lg_autoclose int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct said said = { .mac = own.sll_addr, .to = ifc->mac, .flags = ND_NA_FLAG_ROUTER };
	socklen_t len = sizeof(own);
	int r = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || getsockname(fd, (struct sockaddr *)&own, &len) < 0)
		return lg_fail(err, -errno, "tell %s its gateway", ifc->host_name);
	for (size_t i = 0; i < ARRAY_SIZE(gateways); i++) {
		int failed = gateways[i]->family ? say(fd, &at, &said, gateways[i]) : 0;

		r = failed < 0 ? failed : r;
	}
	return r < 0 ? lg_fail(err, r, "tell %s its gateway", ifc->host_name) : 0;
}
