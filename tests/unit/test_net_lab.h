/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TEST_NET_LAB_H
#define TEST_NET_LAB_H

/*
 * A small world of network namespaces: "host" with the network under test, two "containers" on
 * its bridge, and "internet" behind the host's uplink. The host's own network is never touched:
 * a test's process leaves it first, and everything goes away with the process.
 */

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "net/addr.h"
#include "net/link.h"
#include "net/net.h"
#include "net/nft.h"
#include "net/pool.h"

#define LAB_HOST4 "198.51.100.2"	/* on the uplink */
#define LAB_INET4 "198.51.100.1"
#define LAB_HOST6 "2001:db8:1::2"
#define LAB_INET6 "2001:db8:1::1"
#define LAB_GW4 "10.77.0.1"
#define LAB_GW6 "fd77::1"
#define LAB_TABLE "lodge_lab"
#define LAB_BRIDGE "labbr0"
#define LAB_SHORT_MS 150	/* for what must not arrive */
#define LAB_LONG_MS 3000	/* for what must */

static const char *const lab_ct4[] = { "10.77.0.2", "10.77.0.3" };
static const char *const lab_ct6[] = { "fd77::2", "fd77::3" };

struct lab {
	int host, inet, ct[2];
	struct lg_net_conf conf;
	struct lg_net *net;
	struct lg_net_if ifs[2];
	struct lg_addr addrs[2][2];
};

#define lab_ok(expr)                                                                         \
	do {                                                                                 \
		struct lg_err err_ = { 0 };                                                  \
		struct lg_err *err = &err_;                                                  \
		int r_ = (expr);                                                             \
		ck_assert_msg(r_ == 0, "%s: %d %s", #expr, r_, err_.msg);                    \
	} while (0)

static inline struct lg_addr lab_addr(const char *text)
{
	struct lg_addr a;

	ck_assert_int_eq(lg_parse_addr(text, &a, NULL), 0);
	return a;
}

static inline int lab_this_ns(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static inline void lab_enter(int ns)
{
	ck_assert_int_eq(setns(ns, CLONE_NEWNET), 0);
}

/* A new namespace; the caller stays where it is. */
static inline int lab_new_ns(void)
{
	int home = lab_this_ns(), ns;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ns = lab_this_ns();
	lab_enter(home);
	close(home);
	return ns;
}

static inline int lab_socket(const struct lab *lab, int ns, int domain, int type, int proto)
{
	int fd;

	lab_enter(ns);
	fd = socket(domain, type | SOCK_CLOEXEC, proto);
	lab_enter(lab->host);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static inline void lab_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "open %s", path);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static inline void lab_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	ck_assert_msg(fd >= 0, "open %s", path);
	n = read(fd, buf, size - 1);
	ck_assert_int_ge(n, 0);
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	close(fd);
}

static inline double lab_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline int lab_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline double lab_median(double *us, size_t n)
{
	qsort(us, n, sizeof(*us), lab_compare);
	return us[n / 2];
}

/* One end of the uplink: up, two addresses. */
static inline void lab_set_up_end(struct lg_nl *nl, const char *name, const char *a4,
				  const char *a6)
{
	struct lg_addr v4 = lab_addr(a4), v6 = lab_addr(a6);
	struct lg_link link;

	lab_ok(lg_link_find(nl, name, false, &link, err));
	v4.prefix = 24;
	v6.prefix = 64;
	lg_link_put_up(nl, 1, true, "lo");
	lg_link_put_up(nl, link.index, true, name);
	lg_addr_put(nl, link.index, &v4);
	lg_addr_put(nl, link.index, &v6);
	lab_ok(lg_nl_run(nl, NULL, NULL, err));
}

static inline void lab_make_uplink(struct lab *lab)
{
	static const uint8_t here[6] = { 2, 0, 0, 0, 0, 1 }, there[6] = { 2, 0, 0, 0, 0, 2 };
	struct lg_veth veth = { .host_name = "up0", .name = "eth0", .host_mac = here,
				.mac = there, .netns_fd = lab->inet };
	struct lg_addr via4 = lab_addr(LAB_HOST4), via6 = lab_addr(LAB_HOST6);
	struct lg_link link;
	struct lg_nl nl;

	lab_ok(lg_nl_open(&nl, err));
	lg_link_put_veth(&nl, &veth);
	lab_ok(lg_nl_run(&nl, NULL, NULL, err));
	lab_set_up_end(&nl, "up0", LAB_HOST4, LAB_HOST6);
	lg_nl_close(&nl);
	lab_ok(lg_nl_open_in(&nl, lab->inet, lab->host, err));
	lab_set_up_end(&nl, "eth0", LAB_INET4, LAB_INET6);
	/*
	 * The internet can find the containers: that nothing arrives must be the firewall's
	 * work.
	 */
	lab_ok(lg_link_find(&nl, "eth0", false, &link, err));
	lg_route_put_default(&nl, link.index, &via4);
	lg_route_put_default(&nl, link.index, &via6);
	lab_ok(lg_nl_run(&nl, NULL, NULL, err));
	lg_nl_close(&nl);
}

static inline void lab_fill_if(struct lab *lab, unsigned int i)
{
	struct lg_net_if *ifc = &lab->ifs[i];

	snprintf(ifc->host_name, sizeof(ifc->host_name), "lab%u.0", 101 + i);
	snprintf(ifc->name, sizeof(ifc->name), "eth0");
	lg_net_mac("lab", 101 + i, 0, false, ifc->mac);
	lg_net_mac("lab", 101 + i, 0, true, ifc->host_mac);
	lab->addrs[i][0] = lab_addr(lab_ct4[i]);
	lab->addrs[i][1] = lab_addr(lab_ct6[i]);
	ifc->addrs = lab->addrs[i];
	ifc->naddrs = 2;
}

/*
 * 1 or 0: do bridged frames go through the IP hooks as well? False where br_netfilter is
 * missing.
 */
static inline bool lab_call_iptables(const char *value)
{
	static const char *const files[] = {
		"/proc/sys/net/bridge/bridge-nf-call-iptables",
		"/proc/sys/net/bridge/bridge-nf-call-ip6tables",
		"/proc/sys/net/bridge/bridge-nf-call-arptables",
	};

	if (access(files[0], F_OK) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		lab_write(files[i], value);
	return true;
}

/* ---- traffic ---- */

union lab_sa {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static inline socklen_t lab_sockaddr(const struct lg_addr *a, uint16_t port, union lab_sa *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sa.sa_family = (sa_family_t)a->family;
	if (a->family == AF_INET) {
		ret->v4.sin_port = htons(port);
		ret->v4.sin_addr = a->v4;
		return sizeof(ret->v4);
	}
	ret->v6.sin6_port = htons(port);
	ret->v6.sin6_addr = a->v6;
	return sizeof(ret->v6);
}

static inline bool lab_wait(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) == 1;
}

/*
 * A bound receiver for @type sockets on port @port of namespace @ns, any address of the family.
 */
static inline int lab_listen(const struct lab *lab, int ns, int family, int type, uint16_t port)
{
	struct lg_addr any = { .family = family };
	int fd = lab_socket(lab, ns, family, type, 0), on = 1;
	union lab_sa sa;
	socklen_t len = lab_sockaddr(&any, port, &sa);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ck_assert_int_eq(bind(fd, &sa.sa, len), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

/* What is sent first may be early: IPv6 addresses come to life in the kernel's own time. */
static inline bool lab_retry(int tx, const void *msg, size_t len, const union lab_sa *sa,
			     socklen_t salen, int rx, int ms)
{
	double end = lab_now_us() + ms * 1e3;

	do {
		if (sendto(tx, msg, len, 0, &sa->sa, salen) < 0)
			usleep(LAB_SHORT_MS * 1000 / 3);
		if (lab_wait(rx, POLLIN, LAB_SHORT_MS / 3))
			return true;
	} while (lab_now_us() < end);
	return false;
}

/* Datagrams until one arrives. @seen_from: the sender as the receiver sees it; may be NULL. */
static inline bool lab_udp(const struct lab *lab, int from, int to, const char *dst, int ms,
			   char seen_from[LG_ADDR_TEXT])
{
	struct lg_addr a = lab_addr(dst), peer = { .family = a.family };
	int rx = lab_listen(lab, to, a.family, SOCK_DGRAM, 4000);
	int tx = lab_socket(lab, from, a.family, SOCK_DGRAM, 0);
	union lab_sa sa;
	socklen_t len = lab_sockaddr(&a, 4000, &sa);
	bool got = false;
	char c;

	if (lab_retry(tx, "x", 1, &sa, len, rx, ms)) {
		len = sizeof(sa);
		got = recvfrom(rx, &c, 1, 0, &sa.sa, &len) == 1;
		if (a.family == AF_INET)
			peer.v4 = sa.v4.sin_addr;
		else
			peer.v6 = sa.v6.sin6_addr;
		if (seen_from)
			lg_format_addr(&peer, false, seen_from);
	}
	close(rx);
	close(tx);
	return got;
}

/* Return: 0 when the connection is made, the errno that connect() gave, ETIMEDOUT after @ms. */
static inline int lab_tcp(const struct lab *lab, int from, int to, const char *dst, int ms)
{
	struct lg_addr a = lab_addr(dst);
	int rx = lab_listen(lab, to, a.family, SOCK_STREAM, 4001);
	int tx = lab_socket(lab, from, a.family, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
	socklen_t size = sizeof(error);
	union lab_sa sa;
	socklen_t len = lab_sockaddr(&a, 4001, &sa);

	if (connect(tx, &sa.sa, len) < 0 && errno != EINPROGRESS)
		error = errno;
	else if (!lab_wait(tx, POLLOUT, ms))
		error = ETIMEDOUT;
	else
		ck_assert_int_eq(getsockopt(tx, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	close(rx);
	close(tx);
	return error;
}

static inline uint16_t lab_checksum(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (len % 2)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static inline bool lab_is_reply(int family, const uint8_t *buf, ssize_t n)
{
	/* A raw IPv4 socket hands out the IP header too. */
	if (family == AF_INET)
		return n >= 28 && buf[20] == ICMP_ECHOREPLY;
	return n >= 8 && buf[0] == ICMP6_ECHO_REPLY;
}

static inline bool lab_ping(const struct lab *lab, int from, const char *dst, int ms)
{
	struct lg_addr a = lab_addr(dst);
	int proto = a.family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	int fd = lab_socket(lab, from, a.family, SOCK_RAW, proto);
	uint8_t msg[16] = { a.family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST, 0, 0, 0, 1 };
	uint16_t sum = lab_checksum(msg, sizeof(msg), 0);
	union lab_sa sa;
	socklen_t len = lab_sockaddr(&a, 0, &sa);
	double end = lab_now_us() + ms * 1e3;
	bool got = false;

	if (a.family == AF_INET)
		memcpy(msg + 2, &sum, 2);	/* the kernel does ICMPv6's */
	while (!got && lab_now_us() < end) {
		uint8_t buf[256];

		if (lab_retry(fd, msg, sizeof(msg), &sa, len, fd, ms))
			got = lab_is_reply(a.family, buf, recv(fd, buf, sizeof(buf), 0));
	}
	close(fd);
	return got;
}

/* ---- the world ---- */

/* Namespaces, uplink and configuration; no lg_net yet. */
static inline void lab_prepare(struct lab *lab)
{
	memset(lab, 0, sizeof(*lab));
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	/* A new namespace takes this over from the machine's own. */
	lab_write("/proc/sys/net/ipv4/ip_forward", "0");
	lab->host = lab_this_ns();
	lab->inet = lab_new_ns();
	lab->ct[0] = lab_new_ns();
	lab->ct[1] = lab_new_ns();
	lab_make_uplink(lab);
	snprintf(lab->conf.bridge, sizeof(lab->conf.bridge), LAB_BRIDGE);
	snprintf(lab->conf.table, sizeof(lab->conf.table), LAB_TABLE);
	lab->conf.gw4 = lab_addr(LAB_GW4 "/16");
	lab->conf.gw6 = lab_addr(LAB_GW6 "/64");
	lab->conf.nat4 = lab->conf.nat6 = true;
	lab_fill_if(lab, 0);
	lab_fill_if(lab, 1);
	ck_assert(lab_ping(lab, lab->inet, LAB_HOST4, LAB_LONG_MS));
	ck_assert(lab_ping(lab, lab->inet, LAB_HOST6, LAB_LONG_MS));
}

/* The whole world with both containers pinned and attached. */
static inline void lab_open(struct lab *lab)
{
	lab_prepare(lab);
	lab_ok(lg_net_new(&lab->conf, &lab->net, err));
	for (unsigned int i = 0; i < 2; i++) {
		lab_ok(lg_net_pin(lab->net, &lab->ifs[i], err));
		lab_ok(lg_net_attach(lab->net, &lab->ifs[i], lab->ct[i], err));
	}
}

static inline void lab_close(struct lab *lab)
{
	lg_net_free(lab->net);
	close(lab->host);
	close(lab->inet);
	close(lab->ct[0]);
	close(lab->ct[1]);
}

/* ---- the host's tables ---- */

static inline char *lab_nft(const char *command)
{
	struct lg_nft *nft = NULL;
	char *text = NULL;

	lab_ok(lg_nft_new(&nft, err));
	lab_ok(lg_nft_ask(nft, command, &text, err));
	lg_nft_free(nft);
	return text;
}

/* The sum of all counters in a table: what it dropped. */
static inline unsigned long lab_drops(const char *family)
{
	static const char mark[] = "counter packets ";
	lg_autofree char *text = NULL;
	char command[96];
	unsigned long sum = 0;

	snprintf(command, sizeof(command), "list table %s " LAB_TABLE, family);
	text = lab_nft(command);
	for (const char *p = text; (p = strstr(p, mark)) != NULL; p += strlen(mark))
		sum += strtoul(p + strlen(mark), NULL, 10);
	return sum;
}

#endif
