/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The link of a microVM. */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "net/net.h"
#include "net/private.h"

#define TAP_TRIES 4
#define VNET_HEADER 12	/* struct virtio_net_hdr_v1 */

/*
 * A tap of that name that nobody holds open would be opened instead of made (a persistent one, which is not ours); IFF_TUN_EXCL
 * refuses that with EBUSY.
 */
static int make(int fd, const char *name)
{
	struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL) };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	return ioctl(fd, TUNSETIFF, &ifr) < 0 ? -errno : 0;
}

static int make_named(struct lg_net *net, const char *name, int *ret, struct lg_err *err)
{
	for (int i = 0; i < TAP_TRIES; i++) {
		lg_autoclose int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
		int r;

		if (fd < 0)
			return lg_fail(err, -errno, "open '/dev/net/tun'");
		r = make(fd, name);
		if (r == 0) {
			*ret = lg_take_fd(&fd);
			return 0;
		}
		if (r != -EBUSY && r != -EEXIST && r != -EINVAL)
			return lg_fail(err, r, "make link %s", name);
		/* A link of another kind answers EINVAL. */
		r = lg_net_move_away(net, name, err);
		if (r < 0)
			return r;
	}
	return lg_refuse(err, -EEXIST, 0, "link %s: its name does not become free", name);
}

static int set_up(int fd, uid_t owner, const char *name, struct lg_err *err)
{
	int size = VNET_HEADER;

	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 || ioctl(fd, TUNSETOWNER, (unsigned long)owner) < 0)
		return lg_fail(err, -errno, "set up link %s", name);
	return 0;
}

/* Up is a batch of its own: not before the link is one of the instances' and on the bridge. */
static int put_on_bridge(struct lg_net *net, const struct lg_net_if *ifc, struct lg_err *err)
{
	struct lg_veth as = { .host_mac = ifc->host_mac, .mtu = ifc->mtu, .group = net->group };
	struct lg_link link = { 0 };
	int r = lg_link_find(&net->nl, ifc->host_name, false, &link, err);

	for (int i = 0; r == 0 && i < 2; i++) {
		as.bridge = net->bridge;
		lg_link_put_adopt(&net->nl, link.index, &as, ifc->host_name);
		r = lg_nl_run(&net->nl, NULL, NULL, err);
		if (r == 0)
			break;
		/* The bridge may have been taken away or made anew by somebody else. */
		if (i == 0)
			r = lg_net_repair(net, err);
	}
	if (r < 0)
		return r;
	lg_net_put_port(net, link.index, ifc);
	return lg_nl_run(&net->nl, NULL, NULL, err);
}

int lg_net_tap(struct lg_net *net, const struct lg_net_if *ifc, uid_t owner, int *ret, struct lg_err *err)
{
	lg_autoclose int fd = -1;
	int r = make_named(net, ifc->host_name, &fd, err);

	if (r == 0)
		r = set_up(fd, owner, ifc->host_name, err);
	if (r == 0)
		r = put_on_bridge(net, ifc, err);
	if (r < 0)
		return lg_within(err, r, "attach %s", ifc->host_name);
	*ret = lg_take_fd(&fd);
	return 0;
}
