/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ct/clocks.h"
#include "ct/devices.h"
#include "ct/inside.h"
#include "ct/mounts.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/ns.h"
#include "storage/image.h"
#include "storage/overlay.h"

/* clang-format off */
static const struct {
	const char *key;
	size_t at;
} texts[] = {
	{ "lower",	 offsetof(struct lg_start, lower) },
	{ "upper",	 offsetof(struct lg_start, upper) },
	{ "work",	 offsetof(struct lg_start, work) },
	{ "target",	 offsetof(struct lg_start, target) },
	{ "scratch",	 offsetof(struct lg_start, scratch) },
	{ "socket",	 offsetof(struct lg_start, socket) },
	{ "exit_file",	 offsetof(struct lg_start, exit_file) },
	{ "console_log", offsetof(struct lg_start, console_log) },
	{ "hostname",	 offsetof(struct lg_start, hostname) },
	{ "init",	 offsetof(struct lg_start, init) },
};
/* clang-format on */

#define RUN_SIZE_DEFAULT (64u << 20)
#define IMAGE_PATIENCE_MS 10000u	/* the last run may be writing back */
#define ID_MIN 65536u	/* never the host's own ids */

int lg_start_parse(struct lg_msg *m, struct lg_start *ret, struct lg_err *err)
{
	uint64_t ctid = lg_msg_get_u64(m, "ctid", 0);
	uint64_t base = lg_msg_get_u64(m, "id_base", 0);
	uint64_t count = lg_msg_get_u64(m, "id_count", LG_ID_COUNT);
	unsigned int nfds;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *text = lg_msg_get(m, texts[i].key);

		if (!text || !*text)
			return lg_refuse(err, -EINVAL, 0, "START lacks '%s'", texts[i].key);
		*(const char **)((char *)ret + texts[i].at) = text;
	}
	if (ctid == 0 || ctid > UINT32_MAX)
		return lg_refuse(err, -EINVAL, 0, "START has a bad 'ctid'");
	if (count < LG_ID_COUNT || count > UINT32_MAX)
		return lg_refuse(err, -EINVAL, 0, "START has a bad 'id_count'");
	if (base < ID_MIN || base > UINT32_MAX - count)
		return lg_refuse(err, -EINVAL, 0, "START has a bad 'id_base'");
	ret->restore = lg_msg_get_u64(m, "restore", 0) != 0;
	nfds = (lg_msg_get_u64(m, "seccomp", 0) ? 3u : 2u) + (ret->restore ? 3u : 0u);
	if (m->nfds != nfds)
		return lg_refuse(err, -EINVAL, 0, "START came with %u descriptors", m->nfds);
	if (lg_confine_parse(m, &ret->rlimits, err) < 0)
		return err->code;
	ret->msg = m;
	ret->ctid = (uint32_t)ctid;
	ret->id_base = (uint32_t)base;
	ret->id_count = (uint32_t)count;
	ret->shifted = lg_msg_get_u64(m, "shifted", 0) != 0;
	ret->nesting = lg_msg_get_u64(m, "nesting", 0) != 0;
	ret->image = lg_msg_get(m, "image");
	ret->keep_caps = lg_msg_get_u64(m, "keep_caps", 0);
	ret->run_size = lg_msg_get_u64(m, "run_size", RUN_SIZE_DEFAULT);
	ret->tmp_size = lg_msg_get_u64(m, "tmp_size", RUN_SIZE_DEFAULT);
	ret->ptys = lg_msg_get_u64(m, "ptys", 0);
	ret->cgroup_fd = lg_msg_take_fd(m, 0);
	ret->leaf_fd = lg_msg_take_fd(m, 1);
	ret->seccomp_fd = lg_msg_get_u64(m, "seccomp", 0) ? lg_msg_take_fd(m, 2) : -1;
	ret->images_fd = ret->restore ? lg_msg_take_fd(m, nfds - 3) : -1;
	ret->host_ns_fd = ret->restore ? lg_msg_take_fd(m, nfds - 2) : -1;
	ret->helpers_fd = ret->restore ? lg_msg_take_fd(m, nfds - 1) : -1;
	return 0;
}

/*
 * The kernel counts what is made in a user namespace (inotify instances, namespaces, ...) also against the
 * user who made that, and his limits are the host's. Made by root, all containers and the host's root
 * would share them, and one could use them up for all. So each is made by its own root's id. What we may
 * do does not change with it.
 */
static int be_effectively(uid_t uid)
{
	int saved = prctl(PR_GET_SECUREBITS);
	int r;

	if (saved < 0 || prctl(PR_SET_SECUREBITS, saved | SECBIT_NO_SETUID_FIXUP) < 0)
		return -errno;
	r = setresuid((uid_t)-1, uid, (uid_t)-1) < 0 ? -errno : 0;
	if (prctl(PR_SET_SECUREBITS, saved) < 0)
		abort();
	return r;
}

/*
 * Without CLONE_NEWNS and CLONE_NEWCGROUP: the mount namespace must be copied after the overlay is
 * mounted in ours, and a cgroup namespace made here would have our cgroup as its root, not the one that the
 * process is born in.
 */
static pid_t clone_init(const struct lg_start *start, int *pidfd, bool *ret_own_clocks)
{
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS |
			 CLONE_NEWIPC | CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)start->cgroup_fd,
	};
	long pid;
	int r = be_effectively(start->id_base), home;

	if (r < 0)
		return r;
	home = lg_clocks_begin();
	*ret_own_clocks = home >= 0;
	if (home >= 0) {
		args.flags |= CLONE_NEWTIME;
		lg_procfs_leave_clock(start->procfs);
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	r = pid < 0 ? -errno : 0;
	if (pid == 0)
		return 0;
	lg_clocks_end(home);
	if (be_effectively(0) < 0)
		abort();
	return r < 0 ? r : (pid_t)pid;
}

int lg_launch_clone(const struct lg_start *start, struct lg_launch *ret, struct lg_err *err)
{
	lg_autoclose int pidfd = -1;
	int sock[2], netns;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
		return lg_fail(err, -errno, "make the handshake's socket");
	pid = clone_init(start, &pidfd, &ret->own_clocks);
	if (pid == 0) {
		close(sock[0]);
		lg_inside(start, sock[1]);
	}
	close(sock[1]);
	if (pid < 0) {
		close(sock[0]);
		return lg_fail(err, pid, "make the namespaces");
	}
	lg_trace("cloned");
	lg_oom_reset(pid);
	netns = lg_ns_open(pid, "net", err);
	if (netns < 0 || fcntl(sock[0], F_SETFL, O_NONBLOCK) < 0) {
		close(sock[0]);	/* init ends by itself when the handshake does */
		lg_close(netns);
		return netns < 0 ? netns : lg_fail(err, -errno, "prepare the handshake");
	}
	ret->pid = pid;
	ret->pidfd = lg_take_fd(&pidfd);
	ret->netns_fd = netns;
	ret->sock = sock[0];
	return 0;
}

/*
 * "SOURCE\nTARGET": a folder of the layer that is mounted beside the overlay. An image stands at
 * scratch/layer by now, with its ids mapped.
 */
static int open_plain(const struct lg_start *start, const char *field, int userns,
		      struct lg_err *err)
{
	const char *end = strchr(field, '\n');
	char source[PATH_MAX], inside[PATH_MAX];
	int n;

	if (!end || (size_t)(end - field) >= sizeof(source) || *field != '/')
		return lg_refuse(err, -EINVAL, 0, "START has a bad 'plain'");
	memcpy(source, field, (size_t)(end - field));
	source[end - field] = '\0';
	if (!start->image)
		return lg_overlay_map(source, MOUNT_ATTR_NODEV, userns, err);
	n = snprintf(inside, sizeof(inside), "%s/layer/plain%s", start->scratch,
		     strrchr(source, '/'));
	if (n < 0 || (size_t)n >= sizeof(inside))
		return lg_fail(err, -ENAMETOOLONG, "START has a long 'plain'");
	return lg_overlay_map(inside, MOUNT_ATTR_NODEV, -1, err);
}

static int open_plains(const struct lg_start *start, int userns, int *fds, unsigned int *n,
		       struct lg_err *err)
{
	for (const char *p = lg_msg_get(start->msg, "plain"); p;
	     p = lg_msg_next(start->msg, "plain", p)) {
		if (*n == LG_PLAIN_MAX)
			return lg_refuse(err, -E2BIG, 0, "START has too many 'plain'");
		fds[*n] = open_plain(start, p, userns, err);
		if (fds[*n] < 0)
			return fds[*n];
		(*n)++;
	}
	return 0;
}

static int send_root(const struct lg_start *start, int userns, int nodes, int sock,
		     struct lg_msg *m, struct lg_err *err)
{
	lg_autoclose int root = open(start->target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int plain[LG_PLAIN_MAX];
	unsigned int n = 0;
	int r;

	if (root < 0)
		return lg_fail(err, -errno, "open '%s'", start->target);
	r = open_plains(start, userns, plain, &n, err);
	if (r == 0) {
		lg_msg_init(m, LG_H_ROOT);
		lg_msg_put_fd(m, root);
		for (unsigned int i = 0; i < n; i++)
			lg_msg_put_fd(m, plain[i]);
		if (nodes >= 0)
			lg_msg_put_fd(m, nodes);
		r = lg_msg_send(sock, m);
		if (r < 0)
			lg_fail(err, r, "hand over the root");
	}
	for (unsigned int i = 0; i < n; i++)
		close(plain[i]);
	return r;
}

int lg_launch_mount(const struct lg_start *start, int userns, struct lg_err *err)
{
	struct lg_overlay ov = { .lower = start->lower, .upper = start->upper,
				 .work = start->work, .target = start->target,
				 .scratch = start->scratch, .id_base = start->id_base,
				 .layer_fd = -1, .shifted = start->shifted, .keep_scratch = true,
				 .userns_fd = userns };
	lg_autoclose int disk = -1;
	int r;

	if (start->image) {
		disk = lg_image_mount(start->image, IMAGE_PATIENCE_MS, err);
		if (disk < 0)
			return disk;
		ov.layer_fd = disk;
		lg_trace("image mounted");
	}
	r = lg_overlay_mount(&ov, err);
	if (r < 0)
		return lg_within(err, r, "mount the root file system");
	lg_trace("overlay mounted");
	return 0;
}

int lg_launch_root(const struct lg_start *start, const struct lg_launch *launch,
		   struct lg_msg *scratch, struct lg_err *err)
{
	lg_autoclose int userns = -1, nodes = -1;
	int r;

	r = lg_ns_map_ids(launch->pid, start->id_base, start->id_count, err);
	if (r < 0)
		return r;
	lg_trace("ids mapped");
	userns = lg_ns_open(launch->pid, "user", err);
	if (userns < 0)
		return userns;
	r = lg_launch_mount(start, userns, err);
	if (r < 0)
		return r;
	r = lg_devices_prepare(start->msg, start->id_base, &nodes, err);
	if (r == 0)
		r = send_root(start, userns, nodes, launch->sock, scratch, err);
	if (r < 0)
		umount2(start->target, MNT_DETACH);
	return r;
}
