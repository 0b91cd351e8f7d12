/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cgroup/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

bool lg_cg_is_hybrid(const struct lg_cg_host *host)
{
	return host->nv1 > 0;
}

bool lg_cg_is_delegated(const struct lg_cg_host *host)
{
	return host->delegated;
}

const char *lg_cg_where(const struct lg_cg_host *host)
{
	return host->v2.path;
}

bool lg_cg_has(const struct lg_cg_host *host, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(lg_cg_ctls); i++)
		if (strcmp(lg_cg_ctls[i].name, name) == 0)
			return host->ctl[i].top >= 0;
	return false;
}

static int set_switch(struct lg_cg_host *host, const char *name, const char *file,
		      const char *text, struct lg_err *err)
{
	int r = lg_cg_check_name(name, false, err);

	if (r < 0)
		return r;
	r = lg_cg_write(host->v2.top, name, file, text);
	if (r == 0)
		return 0;
	return lg_fail(err, r, "write %s of cgroup %s/%s", file, host->v2.path, name);
}

int lg_cg_kill(struct lg_cg_host *host, const char *name, struct lg_err *err)
{
	return set_switch(host, name, "cgroup.kill", "1", err);
}

int lg_cg_freeze(struct lg_cg_host *host, const char *name, bool frozen, struct lg_err *err)
{
	return set_switch(host, name, "cgroup.freeze", frozen ? "1" : "0", err);
}

static bool event(const struct lg_cg_host *host, const char *name, const char *key)
{
	char text[LG_CG_TEXT];
	uint64_t value;

	return lg_cg_check_name(name, false, NULL) == 0 &&
	       lg_cg_read(host->v2.top, name, "cgroup.events", text, sizeof(text)) > 0 &&
	       lg_cg_keyed(text, key, &value) == 0 && value;
}

bool lg_cg_populated(struct lg_cg_host *host, const char *name)
{
	return event(host, name, "populated");
}

bool lg_cg_frozen(struct lg_cg_host *host, const char *name)
{
	return event(host, name, "frozen");
}

struct procs {
	int (*fn)(pid_t pid, void *arg);
	void *arg;
};

/* A pid of 0 is a process that this pid namespace does not see. */
static int each_line(FILE *f, const struct procs *procs)
{
	lg_autofree char *line = NULL;
	size_t size = 0;
	int r = 0;

	while (r == 0 && getline(&line, &size, f) > 0) {
		long pid = strtol(line, NULL, 10);

		if (pid > 0)
			r = procs->fn((pid_t)pid, procs->arg);
	}
	/* A threaded cgroup does not list processes; the one above it that is not does. */
	return r == 0 && ferror(f) && errno != EOPNOTSUPP && errno != ENODEV ? -errno : r;
}

static int procs_of(int parent, const char *name, void *arg)
{
	char path[NAME_MAX + LG_CG_PATH];
	lg_autoclose int fd = -1;
	lg_autofile FILE *f = NULL;

	snprintf(path, sizeof(path), "%s/cgroup.procs", name);
	fd = openat(parent, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	f = fdopen(fd, "r");
	if (!f)
		return -errno;
	lg_take_fd(&fd);
	return each_line(f, arg);
}

int lg_cg_procs_at(int cgroup_fd, int (*fn)(pid_t pid, void *arg), void *arg)
{
	struct procs procs = { .fn = fn, .arg = arg };

	return lg_cg_walk(cgroup_fd, ".", procs_of, &procs);
}

int lg_cg_procs(struct lg_cg_host *host, const char *name, int (*fn)(pid_t pid, void *arg),
		void *arg)
{
	struct procs procs = { .fn = fn, .arg = arg };
	int r = lg_cg_check_name(name, false, NULL);

	return r < 0 ? r : lg_cg_walk(host->v2.top, name, procs_of, &procs);
}
