/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Routes over a link without a carrier: a bridge inside that nothing is plugged into, or the container's own link while the host
 * holds it silent. The kernel tells their state (RTNH_F_LINKDOWN, RTNH_F_DEAD) in the flags and refuses a new route with them, so
 * they are taken out of the images: it finds out anew.
 *
 * The images are CRIU's route-N.img and route6-N.img, which are what `ip route save` wrote: a magic number, then the kernel's
 * messages.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define IMAGE_MAX (64u << 20)
#define MAGIC 0x45311224u
#define STATE (RTNH_F_DEAD | RTNH_F_LINKDOWN)

static bool clear_hops(struct rtattr *paths)
{
	struct rtnexthop *hop = RTA_DATA(paths);
	size_t left = RTA_PAYLOAD(paths);
	bool changed = false;

	while (left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && (size_t)RTNH_ALIGN(hop->rtnh_len) <= left) {
		changed = changed || (hop->rtnh_flags & STATE);
		hop->rtnh_flags &= (unsigned char)~STATE;
		left -= (size_t)RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
	return changed;
}

static bool clear_route(struct nlmsghdr *msg)
{
	struct rtmsg *route = NLMSG_DATA(msg);
	bool changed = route->rtm_flags & STATE;
	int left = (int)RTM_PAYLOAD(msg);

	route->rtm_flags &= ~(unsigned int)STATE;
	for (struct rtattr *at = RTM_RTA(route); RTA_OK(at, left); at = RTA_NEXT(at, left))
		if (at->rta_type == RTA_MULTIPATH)
			changed = clear_hops(at) || changed;
	return changed;
}

static int rewrite(const char *name, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	uint32_t magic = 0;
	bool changed = false;
	size_t len = 0;
	int left, r = lg_file_read(job.images, name, IMAGE_MAX, &text, &len, err);

	if (r < 0)
		return r;
	if (len >= sizeof(magic))
		memcpy(&magic, text, sizeof(magic));
	if (len && magic != MAGIC)
		return lg_refuse(err, -EBADMSG, 0, "'%s' of the images is not as `ip` writes it", name);
	left = len ? (int)(len - sizeof(magic)) : 0;
	for (struct nlmsghdr *msg = (void *)(text + sizeof(magic)); NLMSG_OK(msg, left); msg = NLMSG_NEXT(msg, left))
		if (msg->nlmsg_type == RTM_NEWROUTE && msg->nlmsg_len >= NLMSG_LENGTH(sizeof(struct rtmsg)))
			changed = clear_route(msg) || changed;
	return changed ? lg_file_replace_fast(job.images, name, text, len, 0644, err) : 0;
}

int routes_rewrite(struct lg_err *err)
{
	int fd = openat(job.images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		return lg_fail(err, -errno, "look at the images");
	while (r == 0 && (e = readdir(dir)))
		if ((strncmp(e->d_name, "route-", 6) == 0 || strncmp(e->d_name, "route6-", 7) == 0) &&
		    !strstr(e->d_name, ".tmp"))
			r = rewrite(e->d_name, err);
	return r;
}
