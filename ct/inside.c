/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ct/fds.h"
#include "ct/mounts.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"

#define ARGS_MAX 64u

struct inside {
	const struct lg_start *start;
	int sock, seccomp;
	int root, old_root, nodes;
	int plain[LG_PLAIN_MAX];
	int devpts, master, slave;
	struct lg_procfs_dirs dirs;
	char *argv[ARGS_MAX + 1], *envp[ARGS_MAX + 4];
};

static int wait_for(struct inside *in, uint32_t kind, struct lg_msg *ret, struct lg_err *err)
{
	int r = lg_msg_recv(in->sock, ret);

	if (r == 0)
		_exit(1);	/* the shim is gone: nobody to tell */
	if (r < 0)
		return lg_fail(err, r, "listen to the shim");
	if (ret->kind != kind)
		return lg_refuse(err, -EPROTO, 0, "the shim said %u, not %u", ret->kind, kind);
	return 0;
}

/*
 * The image is walked over later, and a link in it may name /proc/self/fd: what is not needed is
 * closed before.
 */
static int keep_fds(struct inside *in, struct lg_err *err)
{
	int *keep[2 + LG_PROCFS_FILES] = { &in->sock, &in->seccomp };
	size_t n = lg_procfs_keep(in->start->procfs, &keep[2]);
	int r = lg_fds_keep(keep, 2 + n);

	return r < 0 ? lg_fail(err, r, "close what is the shim's") : 0;
}

static int set_limits(struct inside *in, struct lg_err *err)
{
	return lg_confine_limits(&in->start->rlimits, err);
}

static int set_name(struct inside *in, struct lg_err *err)
{
	const char *name = in->start->hostname;

	if (sethostname(name, strlen(name)) < 0)
		return lg_fail(err, -errno, "set host name '%s'", name);
	if (setsid() < 0)
		return lg_fail(err, -errno, "make a session");
	return 0;
}

static int choose_profile(struct inside *in, struct lg_err *err)
{
	return lg_confine_apparmor(lg_msg_get(in->start->msg, "apparmor"), err);
}

static int drop_caps(struct inside *in, struct lg_err *err)
{
	return lg_confine_caps(in->start->keep_caps, err);
}

static int wait_root(struct inside *in, struct lg_err *err)
{
	static struct lg_msg m;
	int r = wait_for(in, LG_H_ROOT, &m, err);
	unsigned int n = 0;

	in->root = lg_msg_take_fd(&m, 0);
	for (const char *p = lg_msg_get(in->start->msg, "plain"); p && n < LG_PLAIN_MAX;
	     p = lg_msg_next(in->start->msg, "plain", p), n++)
		in->plain[n] = lg_msg_take_fd(&m, 1 + n);
	in->nodes = lg_msg_take_fd(&m, 1 + n);
	while (n < LG_PLAIN_MAX)
		in->plain[n++] = -1;
	return r;
}

static int become_root(struct inside *in, struct lg_err *err)
{
	(void)in;
	return lg_confine_ids(err);
}

static int enter_root(struct inside *in, struct lg_err *err)
{
	int r = lg_mounts_root(in->root, &in->old_root, err);

	in->root = lg_close(in->root);
	return r;
}

static int mount_kernel(struct inside *in, struct lg_err *err)
{
	return lg_mounts_kernel(in->start, &in->devpts, err);
}

static int tell_limits(struct inside *in, struct lg_err *err)
{
	struct lg_procfs *files = in->start->procfs;
	int r = 0;

	lg_procfs_dirs(&in->dirs);
	if (files->dev)
		r = lg_procfs_place(&in->dirs, NULL, files, err);
	lg_procfs_close(files);
	return r;
}

static int make_devices(struct inside *in, struct lg_err *err)
{
	int r = lg_devices_make(in->start, in->old_root, in->nodes, err);

	in->nodes = lg_close(in->nodes);
	return r;
}

static int detach_host(struct inside *in, struct lg_err *err)
{
	int r = lg_mounts_detach_host(in->old_root, err);

	in->old_root = lg_close(in->old_root);
	return r;
}

static int mount_plain(struct inside *in, struct lg_err *err)
{
	int r = lg_mounts_plain(in->start, in->plain, err);

	for (unsigned int i = 0; i < LG_PLAIN_MAX; i++)
		in->plain[i] = lg_close(in->plain[i]);
	return r;
}

static int make_console(struct inside *in, struct lg_err *err)
{
	static struct lg_msg m;
	int r = lg_devices_console(&in->master, &in->slave, err);

	if (r < 0)
		return r;
	lg_msg_init(&m, LG_H_TTY);
	lg_msg_put_fd(&m, in->devpts);
	lg_msg_put_fd(&m, in->master);
	lg_msg_put_fd(&m, in->dirs.proc);
	if (in->dirs.cpu >= 0)
		lg_msg_put_fd(&m, in->dirs.cpu);
	r = lg_msg_send(in->sock, &m);
	in->dirs.proc = lg_close(in->dirs.proc);
	in->dirs.cpu = lg_close(in->dirs.cpu);
	in->devpts = lg_close(in->devpts);
	in->master = lg_close(in->master);
	return r < 0 ? lg_fail(err, r, "hand over the console") : 0;
}

static int hide_paths(struct inside *in, struct lg_err *err)
{
	return lg_mounts_hide(in->start, err);
}

static int share_mounts(struct inside *in, struct lg_err *err)
{
	(void)in;
	return lg_mounts_share(err);
}

static int place_files(struct inside *in, struct lg_err *err)
{
	return lg_place_fields(in->start->msg, err);
}

static int take_console(struct inside *in, struct lg_err *err)
{
	if (ioctl(in->slave, TIOCSCTTY, 0) < 0)
		return lg_fail(err, -errno, "take the console");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(in->slave, fd) < 0)
			return lg_fail(err, -errno, "open the console");
	return 0;
}

static int load_seccomp(struct inside *in, struct lg_err *err)
{
	return lg_confine_seccomp(in->seccomp, err);
}

static int gather(const struct lg_msg *m, const char *key, char **list, size_t *n,
		  struct lg_err *err)
{
	for (const char *v = lg_msg_get(m, key); v; v = lg_msg_next(m, key, v)) {
		if (*n == ARGS_MAX)
			return lg_refuse(err, -E2BIG, 0, "START has too many '%s'", key);
		list[(*n)++] = (char *)(uintptr_t)v;	/* execve() only reads */
	}
	return 0;
}

static bool has_env(char *const *envp, size_t n, const char *entry)
{
	size_t name = strcspn(entry, "=") + 1;

	for (size_t i = 0; i < n; i++)
		if (strncmp(envp[i], entry, name) == 0)
			return true;
	return false;
}

static int prepare_exec(struct inside *in, struct lg_err *err)
{
	static char path[] = "PATH=" LG_PATH_ROOT, term[] = "TERM=linux";
	static char container[] = LG_CONTAINER_ENV;
	char *const defaults[] = { path, term, container };
	size_t argc = 0, envc = 0;
	int r = gather(in->start->msg, "arg", in->argv, &argc, err);

	if (r < 0)
		return r;
	if (argc == 0)
		in->argv[0] = (char *)(uintptr_t)in->start->init;
	r = gather(in->start->msg, "env", in->envp, &envc, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(defaults); i++)
		if (!has_env(in->envp, envc, defaults[i]))
			in->envp[envc++] = defaults[i];
	return r;
}

static int wait_go(struct inside *in, struct lg_err *err)
{
	static struct lg_msg m;

	lg_report(in->sock, LG_H_READY, NULL);
	return wait_for(in, LG_H_GO, &m, err);
}

/*
 * A new network namespace takes after the host's: it must not forward because the host does. And
 * ping is for every user, as systemd says of ordinary hosts; the numbers it uses for that do not
 * exist in here. What this kernel lacks is no reason not to start.
 */
static int set_sysctls(struct inside *in, struct lg_err *err)
{
	static const struct {
		const char *path, *value;
	} settings[] = {
		{ "/proc/sys/net/ipv4/ip_forward", "0" },
		{ "/proc/sys/net/ipv4/ping_group_range", "0 65535" },
	};

	(void)in;
	(void)err;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (lg_file_write(AT_FDCWD, settings[i].path, settings[i].value, NULL) < 0)
			lg_trace(settings[i].path);
	return 0;
}

static int set_given_sysctls(struct inside *in, struct lg_err *err)
{
	return lg_place_sysctls(in->start->msg, err);
}

static int exec_init(struct inside *in, struct lg_err *err)
{
	const char *init = in->start->init;

	lg_confine_signals();
	lg_report(in->sock, LG_H_EXEC, NULL);
	execve(init, in->argv, in->envp);
	if (errno == ENOENT || errno == EACCES)
		return lg_refuse(err, -errno, LG_EXIT_BAD_TEMPLATE, "%s: %s", init,
				 errno == ENOENT ? "there is no such program in the container"
						 : "it is not executable");
	return lg_fail(err, -errno, "%s", init);
}

/* clang-format off */
static const struct {
	const char *name;
	int (*run)(struct inside *in, struct lg_err *err);
} steps[] = {
	{ "close descriptors",	keep_fds },
	{ "set limits",		set_limits },
	{ "set the host name",	set_name },
	{ "choose a profile",	choose_profile },	/* by the host's /proc */
	{ "drop capabilities",	drop_caps },
	{ "wait for the root",	wait_root },	/* from here on the ids are mapped */
	{ "become root",	become_root },
	{ "enter the root",	enter_root },
	{ "mount",		mount_kernel },
	{ "tell limits",	tell_limits },
	{ "make devices",	make_devices },
	{ "leave the host",	detach_host },	/* from here on every path is inside */
	{ "mount plain folders", mount_plain },
	{ "make the console",	make_console },
	{ "set kernel settings", set_sysctls },
	{ "hide paths",		hide_paths },
	{ "share the mounts",	share_mounts },
	{ "place files",	place_files },
	{ "take the console",	take_console },
	{ "load seccomp",	load_seccomp },
	{ "prepare exec",	prepare_exec },
	{ "wait for go",	wait_go },
	{ "set given kernel settings", set_given_sysctls },	/* the network is there */
	{ "start init",		exec_init },
};
/* clang-format on */

void lg_inside(const struct lg_start *start, int sock)
{
	struct inside in = { .start = start, .sock = sock, .seccomp = start->seccomp_fd,
			     .root = -1, .old_root = -1, .nodes = -1, .devpts = -1, .master = -1,
			     .slave = -1, .dirs = LG_PROCFS_NO_DIRS };
	struct lg_err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int r = steps[i].run(&in, &err);

		if (r < 0) {
			lg_within(&err, r, "%s", steps[i].name);
			lg_report(in.sock, LG_H_FAILED, &err);
			_exit(1);
		}
		lg_trace(steps[i].name);
	}
	_exit(1);
}
