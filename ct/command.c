/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "ct/inside.h"
#include "lib/cleanup.h"

int lg_command_streams(const int streams[3])
{
	int high[3];

	for (int i = 0; i < 3; i++) {
		high[i] = fcntl(streams[i], F_DUPFD_CLOEXEC, 64);
		if (high[i] < 0)
			return -errno;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(high[i], i) < 0)
			return -errno;
	return 0;
}

int lg_command_session(const struct lg_command *c, const struct lg_rlimits *rlimits, struct lg_err *err)
{
	if (setsid() < 0)
		return lg_fail(err, -errno, "make a session");
	if (c->tty && ioctl(0, TIOCSCTTY, 0) < 0)
		return lg_fail(err, -errno, "take the terminal");
	return lg_confine_limits(rlimits, err);
}

int lg_command_user(struct lg_command *c, struct lg_err *err)
{
	return lg_user_load(lg_msg_get(c->msg, "user"), &c->user, err);
}

int lg_command_become(const struct lg_command *c, struct lg_err *err)
{
	const struct lg_user *u = &c->user;

	/* So that the user may open /dev/stdout too. What is not the container's own stays as it is. */
	for (int fd = 0; fd < 3 && u->uid; fd++)
		if (fchown(fd, u->uid, u->gid) < 0 && errno != EPERM)
			return lg_fail(err, -errno, "hand over stream %d", fd);
	if (setgroups(u->ngroups, u->groups) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
	    setresuid(u->uid, u->uid, u->uid) < 0)
		return lg_fail(err, -errno, "become user %u", (unsigned int)u->uid);
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? lg_fail(err, -errno, "stay out of sight")
						      : 0;
}

static bool has_env(const struct lg_command *c, size_t n, const char *entry, size_t name)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(c->envp[i], entry, name) == 0)
			return true;
	return false;
}

static void make_env(struct lg_command *c, size_t n)
{
	const struct lg_user *u = &c->user;
	const struct {
		const char *name, *value;
	} defaults[] = {
		{ "PATH", u->uid == 0 ? LG_PATH_ROOT : LG_PATH_USER },
		{ "HOME", u->home },
		{ "SHELL", u->shell },
		{ "USER", u->name },
		{ "LOGNAME", u->name },
		{ "TERM", c->tty ? "xterm" : "dumb" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		char *entry = c->env[i];

		snprintf(entry, sizeof(c->env[i]), "%s=%s", defaults[i].name, defaults[i].value);
		if (*defaults[i].value && !has_env(c, n, entry, strlen(defaults[i].name) + 1))
			c->envp[n++] = entry;
	}
	if (!c->contained)
		return;
	snprintf(c->env[6], sizeof(c->env[6]), "%s", LG_CONTAINER_ENV);
	if (!has_env(c, n, c->env[6], strlen("container=")))
		c->envp[n++] = c->env[6];
}

static int gather(const struct lg_command *c, const char *key, char **list, size_t *n, struct lg_err *err)
{
	for (const char *v = lg_msg_get(c->msg, key); v; v = lg_msg_next(c->msg, key, v)) {
		if (*n == LG_COMMAND_ARGS)
			return lg_refuse(err, -E2BIG, 126, "more than %u arguments", LG_COMMAND_ARGS);
		list[(*n)++] = (char *)(uintptr_t)v;	/* execve() only reads */
	}
	return 0;
}

int lg_command_arguments(struct lg_command *c, struct lg_err *err)
{
	size_t argc = 0, envc = 0;
	int r = gather(c, "arg", c->argv, &argc, err);

	if (r == 0)
		r = gather(c, "env", c->envp, &envc, err);
	if (r < 0)
		return r;
	make_env(c, envc);
	return 0;
}

int lg_command_folder(const struct lg_command *c, struct lg_err *err)
{
	const char *cwd = lg_msg_get(c->msg, "cwd");

	if (cwd && *cwd)
		return chdir(cwd) < 0 ? lg_fail(err, -errno, "folder '%s' in the " LG_INSIDE, cwd)
				      : 0;
	if (chdir(c->user.home) < 0 && chdir("/") < 0)
		return lg_fail(err, -errno, "folder '/' in the " LG_INSIDE);
	return 0;
}

/* A text without "#!" is a shell script, as execvp(3) and every shell have it. */
static int exec_file(struct lg_command *c, const char *file)
{
	static char shell[] = "/bin/sh";

	execve(file, c->argv, c->envp);
	if (errno == ENOEXEC) {
		size_t n = 0;

		while (c->argv[n])
			n++;
		if (n >= LG_COMMAND_ARGS)
			return -E2BIG;
		memmove(c->argv + 2, c->argv + 1, n * sizeof(*c->argv));
		c->argv[0] = shell;
		c->argv[1] = (char *)(uintptr_t)file;
		execve(shell, c->argv, c->envp);
	}
	return -errno;
}

static const char *path_value(const struct lg_command *c)
{
	for (char *const *e = c->envp; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			return *e + 5;
	return LG_PATH_USER;
}

static int search_path(struct lg_command *c, const char *name)
{
	char file[4096];
	int found = -ENOENT;

	for (const char *p = path_value(c); p; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL) {
		int n = snprintf(file, sizeof(file), "%.*s/%s", (int)strcspn(p, ":"), p, name);
		int r;

		if (n < 0 || (size_t)n >= sizeof(file))
			continue;
		r = exec_file(c, *file == '/' && file[1] == '/' ? file + 1 : file);
		if (r == -EACCES)
			found = r;
		else if (r != -ENOENT && r != -ENOTDIR)
			return r;
	}
	return found;
}

int lg_command_exec(struct lg_command *c, int sock, struct lg_err *err)
{
	static char login[260];
	const char *name = c->argv[0];
	int r;

	lg_confine_signals();
	lg_report(sock, LG_H_EXEC, NULL);
	if (!name) {
		const char *slash = strrchr(c->user.shell, '/');

		name = c->user.shell;
		snprintf(login, sizeof(login), "-%s", slash ? slash + 1 : name);
		c->argv[0] = login;
	}
	r = strchr(name, '/') ? exec_file(c, name) : *name ? search_path(c, name) : -ENOENT;
	if (r == -ENOENT || r == -ENOTDIR)
		return lg_refuse(err, r, 127, "%s: there is no such command in the " LG_INSIDE,
				 name);
	return lg_refuse(err, r, 126, "%s: cannot be executed: %s", name, strerror(-r));
}
