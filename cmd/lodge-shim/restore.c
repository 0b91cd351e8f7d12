/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A start out of images. The root is mounted here, as for any start; then lodge-criu, a child, has CRIU make the
 * processes (ct/checkpoint.h has what is said). Init becomes our child when CRIU ends: we adopt orphans meanwhile.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-shim/shim.h"
#include "ct/checkpoint.h"
#include "ct/console.h"
#include "ct/clocks.h"
#include "ct/devices.h"
#include "ct/proto.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/ns.h"
#include "lib/proc.h"

#define UNDO_US 2000u
#define UNDO_TRIES 2500u

static void on_answer(struct lg_source *s, uint32_t events);

static struct lg_source helper = { .fd = -1, .on_event = on_answer };

/* ---- what lodge-criu is told ---- */

/* Fields of START that go on as they are. */
static const char *const passed_on[] = { "criu", "calls_lib", "cache", "log", "netdev", "pair", "lxcfs", "hook" };

/* "CONTROLLERS\nPATH", or one for each of controllers that are mounted together, as CRIU knows them. */
static void put_cgroup(struct lg_msg *m, char *controllers, const char *path)
{
	char field[600], *save = NULL, *one = strtok_r(controllers, ",", &save);

	do {
		snprintf(field, sizeof(field), "%s\n%s", one ? one : "", path);
		lg_msg_put(m, "cgroup", field);
	} while (one && (one = strtok_r(NULL, ",", &save)));
}

/*
 * Where the container's cgroups are: we are in its own of the v1 hierarchies, and on cgroup2 in the one beside them that
 * all shims share.
 */
static int put_cgroups(const struct lg_start *start, struct lg_msg *m, struct lg_err *err)
{
	lg_autofile FILE *f = fopen("/proc/self/cgroup", "re");
	char line[600];

	if (!f)
		return lg_fail(err, -errno, "find our cgroups");
	while (fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':'), *path = NULL;

		if (controllers)
			path = strchr(++controllers, ':');
		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (!*controllers && strrchr(path, '/'))
			snprintf(strrchr(path, '/'), 16, "/%u", start->ctid);
		put_cgroup(m, controllers, path);
	}
	return 0;
}

static void put_fields(const struct lg_start *start, struct lg_msg *m)
{
	lg_msg_init(m, LG_K_RESTORE);
	lg_msg_put(m, "root", start->target);
	lg_msg_put_u64(m, "owner", start->id_base);
	lg_msg_put_u64(m, "count", start->id_count);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		for (const char *v = lg_msg_get(start->msg, passed_on[i]); v;
		     v = lg_msg_next(start->msg, passed_on[i], v))
			lg_msg_put(m, passed_on[i], v);
	for (const char *v = lg_msg_get(start->msg, "device"); v;
	     v = lg_msg_next(start->msg, "device", v)) {
		struct lg_node node;

		if (lg_node_parse(v, &node, NULL) == 0)
			lg_msg_put(m, "node", node.name);
	}
}

static int request(const struct lg_start *start, struct lg_err *err)
{
	lg_autoclose int root = -1, nodes = -1;
	int r = lg_devices_prepare(start->msg, start->id_base, &nodes, err);

	if (r < 0)
		return r;
	root = open_tree(AT_FDCWD, start->target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (root < 0)
		return lg_fail(err, -errno, "copy the mount of the root");
	put_fields(start, &msg_out);
	r = put_cgroups(start, &msg_out, err);
	if (r < 0)
		return r;
	lg_msg_put_fd(&msg_out, start->images_fd);
	lg_msg_put_fd(&msg_out, root);
	lg_msg_put_fd(&msg_out, start->host_ns_fd);
	if (nodes >= 0)
		lg_msg_put_fd(&msg_out, nodes);
	r = lg_msg_send(helper.fd, &msg_out);
	return r < 0 ? lg_fail(err, r, "speak to lodge-criu") : 0;
}

static int spawn(const char *path, int cgroup, struct lg_err *err)
{
	static char name[] = "lodge-criu";
	char *const argv[] = { name, NULL };
	int pair[2], fds[4] = { -1, -1, STDERR_FILENO, -1 };
	struct lg_spawn how = { .path = path, .argv = argv, .fds = fds, .nfds = 4,
				.end_signal = SIGKILL, .cgroup_fd = cgroup };
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return lg_fail(err, -errno, "socketpair");
	fds[3] = pair[1];
	helper.fd = pair[0];
	pid = lg_spawn(&how, NULL, err);
	close(pair[1]);
	return pid < 0 ? (int)pid : 0;
}

int restore_begin(const struct lg_start *start, struct lg_err *err)
{
	const char *path = lg_msg_get(start->msg, "helper");
	lg_autoclose int userns = -1;
	int r;

	if (!path)
		return lg_refuse(err, -EINVAL, 0, "START lacks 'helper'");
	shim.restored = true;
	userns = lg_ns_make_user(start->id_base, start->id_count, err);
	if (userns < 0)
		return userns;
	r = lg_launch_mount(start, userns, err);
	if (r == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		r = lg_fail(err, -errno, "adopt orphans");
	if (r == 0)
		r = spawn(path, start->helpers_fd, err);
	if (r == 0)
		r = request(start, err);
	close(start->images_fd);
	close(start->host_ns_fd);
	close(start->helpers_fd);
	if (r < 0)
		return r;
	fcntl(helper.fd, F_SETFL, O_NONBLOCK);
	r = lg_source_add(&helper, EPOLLIN);
	return r < 0 ? lg_fail(err, r, "watch lodge-criu") : 0;
}

/* ---- what it answers ---- */

static void made(const struct lg_msg *m)
{
	struct lg_err err = { 0 };
	int r;

	shim.launch.pid = (pid_t)lg_msg_get_u64(m, "pid", 0);
	shim.launch.pidfd = lg_pidfd_open(shim.launch.pid);
	shim.launch.netns_fd = lg_ns_open(shim.launch.pid, "net", &err);
	shim.launch.own_clocks = lg_clocks_differ(shim.launch.pid);
	if (shim.launch.pidfd < 0 || shim.launch.netns_fd < 0)
		r = lg_fail(&err, -ESRCH, "find the restored init (process %d)",
			    (int)shim.launch.pid);
	else
		r = start_made(&err);
	if (r < 0)
		start_fail(&err);
	lg_trace("restored namespaces");
}

static void take_terminals(struct lg_msg *m)
{
	bool console = lg_msg_get_u64(m, "console", 0) != 0;

	shim.devpts = lg_msg_take_fd(m, 0);
	if (console)
		lg_console_open(lg_msg_take_fd(m, 1));
	procfs_dirs(m, console ? 2 : 1);
	procfs_restored();
}

void restore_go(void)
{
	if (!shim.ready || !shim.go)
		return;
	lg_msg_init(&msg_out, LG_K_GO);
	lg_msg_send(helper.fd, &msg_out);
}

static void held(void)
{
	shim.ready = true;
	lg_trace("restored");
	lg_msg_init(&msg_out, LG_P_HELD);
	lg_link_send();
	restore_go();
}

static void kill_children(void)
{
	lg_autofile FILE *f = fopen("/proc/thread-self/children", "re");
	int child;

	while (f && fscanf(f, "%d", &child) == 1)
		kill(child, SIGKILL);
}

/*
 * CRIU, what it started and what it had made of the container: whoever loses its parent becomes our child, so that this gets all
 * of them. Only then lodged hears of it and removes what they would have made anew.
 */
void restore_undo(void)
{
	for (unsigned int i = 0; i < UNDO_TRIES; i++) {
		pid_t pid;

		kill_children();
		while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
			;
		if (pid < 0)
			return;
		usleep(UNDO_US);
	}
}

/* CRIU has ended, so that init is our child by now. */
static void done(void)
{
	lg_source_close(&helper);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	start_done();
}

static void take_answer(struct lg_msg *m)
{
	struct lg_err err = { 0 };

	switch (m->kind) {
	case LG_K_MADE:
		made(m);
		break;
	case LG_K_TTY:
		take_terminals(m);
		break;
	case LG_K_HELD:
		held();
		break;
	case LG_K_DONE:
		done();
		break;
	case LG_K_FAILED:
		lg_msg_get_err(m, &err);
		start_fail(&err);
	default:
		break;
	}
	lg_msg_drop_fds(m);
}

static void on_answer(struct lg_source *s, uint32_t events)
{
	struct lg_err err = { 0 };
	int r = lg_msg_recv(s->fd, &msg_in);

	(void)events;
	if (r == 1) {
		take_answer(&msg_in);
	} else if (r != -EAGAIN && r != -EBADMSG) {
		lg_refuse(&err, -ECHILD, 0, "CRIU was killed, or lodge-criu");
		start_fail(&err);
	}
}
