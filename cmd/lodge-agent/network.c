/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The machine's one interface. libmnl, which lodged has, is no static library everywhere; of netlink this takes four
 * messages only, and the rest are ioctls.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/lodge-agent/agent.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/parse.h"

#define GIVEN_MAX 64u

/* What we gave it, so that it can be taken back. What the guest adds is the guest's. */
static struct given {
	struct lg_addr list[GIVEN_MAX];
	unsigned int n;
} given_addrs, given_gateways;

/* ---- netlink ---- */

struct request {
	struct nlmsghdr head;
	union {
		struct ifaddrmsg addr;
		struct rtmsg route;
	};
	uint8_t attributes[128];
};

static void begin(struct request *q, uint16_t type, uint16_t flags, size_t header)
{
	memset(q, 0, sizeof(*q));
	q->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(header);
	q->head.nlmsg_type = type;
	q->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
}

static void put(struct request *q, uint16_t type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)(void *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	q->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(a->rta_len));
}

static void put_address(struct request *q, uint16_t type, const struct lg_addr *a)
{
	if (a->family == AF_INET)
		put(q, type, &a->v4, sizeof(a->v4));
	else
		put(q, type, &a->v6, sizeof(a->v6));
}

static int ask(const struct request *q)
{
	lg_autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		uint8_t rest[512];
	} answer;
	ssize_t n;

	if (fd < 0 || send(fd, q, q->head.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < NLMSG_LENGTH(sizeof(answer.error)) || answer.head.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}

/* ---- addresses and routes ---- */

static int change_address(const struct machine *m, const struct lg_addr *a, bool add)
{
	const uint32_t flags = IFA_F_NODAD | IFA_F_PERMANENT;
	struct request q;
	int r;

	begin(&q, add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof(q.addr));
	q.addr.ifa_family = (uint8_t)a->family;
	q.addr.ifa_prefixlen = a->prefix;
	q.addr.ifa_scope = RT_SCOPE_UNIVERSE;
	q.addr.ifa_index = (uint32_t)m->ifindex;
	put_address(&q, IFA_LOCAL, a);
	put_address(&q, IFA_ADDRESS, a);
	/* It can be nobody else's: looking for duplicates would only delay. */
	if (add && a->family == AF_INET6)
		put(&q, IFA_FLAGS, &flags, sizeof(flags));
	r = ask(&q);
	return r == -EEXIST || r == -EADDRNOTAVAIL ? 0 : r;
}

/* The gateway answers on the link, whatever the addresses' prefixes say. */
static int change_gateway(const struct machine *m, const struct lg_addr *via, bool add)
{
	const uint32_t index = (uint32_t)m->ifindex;
	struct request q;
	int r;

	begin(&q, add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(q.route));
	q.route.rtm_family = (uint8_t)via->family;
	q.route.rtm_table = RT_TABLE_MAIN;
	q.route.rtm_protocol = RTPROT_STATIC;
	q.route.rtm_scope = RT_SCOPE_UNIVERSE;
	q.route.rtm_type = RTN_UNICAST;
	q.route.rtm_flags = RTNH_F_ONLINK;
	put_address(&q, RTA_GATEWAY, via);
	put(&q, RTA_OIF, &index, sizeof(index));
	r = ask(&q);
	return r == -EEXIST || (!add && r == -ESRCH) ? 0 : r;
}

static int read_list(const struct lg_msg *msg, const char *key, struct given *ret, struct lg_err *err)
{
	ret->n = 0;
	for (const char *v = lg_msg_get(msg, key); v; v = lg_msg_next(msg, key, v)) {
		if (ret->n == GIVEN_MAX)
			return lg_refuse(err, -E2BIG, 0, "more than %u of '%s'", GIVEN_MAX, key);
		if (lg_parse_addr(v, &ret->list[ret->n++], err) < 0)
			return err->code;
	}
	return 0;
}

static bool has(const struct given *g, const struct lg_addr *a)
{
	for (unsigned int i = 0; i < g->n; i++)
		if (lg_addr_equal(&g->list[i], a) && g->list[i].prefix == a->prefix)
			return true;
	return false;
}

/* Those of @old that are not in @new go first, as a default route has room for one gateway. */
static int replace(const struct machine *m, struct given *old, const struct given *new,
		   int (*change)(const struct machine *m, const struct lg_addr *a, bool add), struct lg_err *err)
{
	char text[LG_ADDR_TEXT];
	int r = 0;

	for (unsigned int i = 0; i < old->n; i++)
		if (!has(new, &old->list[i]))
			change(m, &old->list[i], false);
	for (unsigned int i = 0; r == 0 && i < new->n; i++) {
		r = change(m, &new->list[i], true);
		lg_format_addr(&new->list[i], true, text);
		if (r < 0)
			lg_fail(err, r, "give %s to %s", text, m->ifname);
	}
	*old = *new;
	return r;
}

int network_change(const struct machine *m, const struct lg_msg *msg, struct lg_err *err)
{
	struct given addrs, gateways;
	int r = read_list(msg, "addr", &addrs, err);

	if (r == 0)
		r = read_list(msg, "gateway", &gateways, err);
	if (r < 0)
		return r;
	if (!*m->ifname)
		return addrs.n ? lg_refuse(err, -ENODEV, 0, "the machine has no network") : 0;
	r = replace(m, &given_addrs, &addrs, change_address, err);
	return r < 0 ? r : replace(m, &given_gateways, &gateways, change_gateway, err);
}

/* ---- the interface ---- */

static int set_up(int sock, const char *name)
{
	struct ifreq q = { 0 };

	snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name);
	if (ioctl(sock, SIOCGIFFLAGS, &q) < 0)
		return -errno;
	q.ifr_flags |= IFF_UP;
	return ioctl(sock, SIOCSIFFLAGS, &q) < 0 ? -errno : 0;
}

static bool has_mac(int sock, const char *name, const uint8_t mac[6])
{
	struct ifreq q = { 0 };

	snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name);
	return ioctl(sock, SIOCGIFHWADDR, &q) == 0 && q.ifr_hwaddr.sa_family == ARPHRD_ETHER &&
	       memcmp(q.ifr_hwaddr.sa_data, mac, 6) == 0;
}

static int parse_mac(const char *text, uint8_t ret[6])
{
	int n = 0;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &ret[0], &ret[1], &ret[2], &ret[3], &ret[4],
		      &ret[5], &n) == 6 && !text[n] ? 0 : -EINVAL;
}

static int find_by_mac(int sock, const uint8_t mac[6], char ret[IFNAMSIZ])
{
	struct if_nameindex *all = if_nameindex();
	int index = -ENODEV;

	for (struct if_nameindex *i = all; i && i->if_index; i++)
		if (has_mac(sock, i->if_name, mac)) {
			snprintf(ret, IFNAMSIZ, "%s", i->if_name);
			index = (int)i->if_index;
			break;
		}
	if (all)
		if_freenameindex(all);
	return index;
}

/* Only ours can be there: nobody else loads modules yet, so that its name is nobody's. */
static int rename_to(int sock, const char *old, const char *name)
{
	struct ifreq q = { 0 };

	if (strcmp(old, name) == 0)
		return 0;
	snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", old);
	snprintf(q.ifr_newname, sizeof(q.ifr_newname), "%s", name);
	return ioctl(sock, SIOCSIFNAME, &q) < 0 ? -errno : 0;
}

static int set_mtu(int sock, const char *name, uint64_t mtu)
{
	struct ifreq q = { 0 };

	if (mtu == 0)
		return 0;
	snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name);
	q.ifr_mtu = mtu > 65535 ? 65535 : (int)mtu;
	return ioctl(sock, SIOCSIFMTU, &q) < 0 ? -errno : 0;
}

/* The link's own address is made of its hardware's, which is nobody else's either. */
static void without_dad(const struct machine *m)
{
	char path[64];

	snprintf(path, sizeof(path), "sys/net/ipv6/conf/%s/accept_dad", m->ifname);
	(void)lg_file_write(m->proc, path, "0", NULL);
}

int network_up(struct machine *m, const struct lg_msg *setup, struct lg_err *err)
{
	lg_autoclose int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *mac_text = lg_msg_get(setup, "mac"), *name = lg_msg_get(setup, "ifname");
	char old[IFNAMSIZ];
	uint8_t mac[6];
	int r;

	if (sock < 0 || set_up(sock, "lo") < 0)
		return lg_fail(err, -errno, "set lo up");
	if (!mac_text)
		return 0;
	name = name && *name ? name : "eth0";
	if (parse_mac(mac_text, mac) < 0 || strlen(name) >= sizeof(m->ifname))
		return lg_refuse(err, -EINVAL, 0, "SETUP has a bad 'mac' or 'ifname'");
	m->ifindex = find_by_mac(sock, mac, old);
	if (m->ifindex < 0)
		return lg_refuse(err, -ENODEV, 0, "there is no interface with the address %s", mac_text);
	r = rename_to(sock, old, name);
	if (r < 0)
		return lg_fail(err, r, "rename %s to %s", old, name);
	snprintf(m->ifname, sizeof(m->ifname), "%s", name);
	without_dad(m);
	r = set_mtu(sock, name, lg_msg_get_u64(setup, "mtu", 0));
	if (r == 0)
		r = set_up(sock, name);
	return r < 0 ? lg_fail(err, r, "set %s up", name) : network_change(m, setup, err);
}
