/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int one = -1, other = -1; /* connected to each other */
static int open_to_all = -1;     /* bound, not connected */
static struct sockaddr_storage address;
static socklen_t address_size;

static int bound(int family)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in four = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return sv_errno("socket");
	if (family == AF_INET)
		r = bind(fd, (struct sockaddr *)&four, sizeof(four));
	else
		r = bind(fd, (struct sockaddr *)&six, sizeof(six));
	return r < 0 ? sv_errno("bind") : fd;
}

static int name_of(int fd)
{
	address_size = sizeof(address);
	return getsockname(fd, (struct sockaddr *)&address, &address_size);
}

static int setup(int family)
{
	int tos = 0x10;

	one = bound(family);
	other = bound(family);
	open_to_all = bound(family);
	if (one < 0 || other < 0 || open_to_all < 0)
		return -1;
	if (name_of(one) < 0 || connect(other, (struct sockaddr *)&address, address_size) < 0 ||
	    name_of(other) < 0 || connect(one, (struct sockaddr *)&address, address_size) < 0 ||
	    name_of(open_to_all) < 0)
		return sv_errno("connect");
	if (family == AF_INET && setsockopt(one, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)) < 0)
		return sv_errno("IP_TOS");
	return 0;
}

static int udp4_setup(void)
{
	return setup(AF_INET);
}

static int udp6_setup(void)
{
	return setup(AF_INET6);
}

static int verify(void)
{
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	char got[8];

	if (sv_passes("one way", one, other) < 0 || sv_passes("the other way", other, one) < 0)
		return -1;
	/* Its port is what others know. */
	if (sendto(open_to_all, "abc", 3, 0, (struct sockaddr *)&address, address_size) != 3)
		return sv_errno("sendto");
	if (recvfrom(open_to_all, got, sizeof(got), MSG_DONTWAIT, (struct sockaddr *)&from,
		     &size) != 3)
		return sv_errno("the bound socket: recvfrom");
	if (size != address_size || memcmp(&from, &address, size) != 0)
		return sv_fail("the bound socket has another address");
	return 0;
}

static int udp4_verify(void)
{
	int tos = 0;
	socklen_t size = sizeof(tos);

	getsockopt(one, IPPROTO_IP, IP_TOS, &tos, &size);
	return sv_same("IP_TOS", 0x10, tos) < 0 ? -1 : verify();
}

/* Another port. */
static void spoil(void)
{
	dup2(bound(address.ss_family), open_to_all);
}

static void udp4_spoil(void)
{
	int tos = 0;

	setsockopt(one, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
}

const struct sv_item sv_udp_items[] = {
	{"udp4", "IPv4 sockets, bound and connected", udp4_setup, udp4_verify, udp4_spoil, NULL,
	 SV_KEPT},
	{"udp6", "IPv6 sockets, bound and connected", udp6_setup, verify, spoil, NULL, SV_KEPT},
	{.name = NULL},
};
