/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-worker/checkpoint.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/cgroup.h"
#include "ct/blockers.h"
#include "lib/cleanup.h"
#include "lib/parse.h"

struct pids {
	pid_t *list;
	size_t n, room;
};

static int add_pid(pid_t pid, void *arg)
{
	struct pids *p = arg;

	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 64;
		pid_t *list = reallocarray(p->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		p->list = list;
		p->room = room;
	}
	p->list[p->n++] = pid;
	return 0;
}

static int print_blocker(const struct lg_blocker *b, void *arg)
{
	(void)arg;
	printf("P blocker %s %d %d %u\t%s\t%s\t%s\n", lg_blocker_rows[b->kind].name, (int)b->pid,
	       (int)b->inside, b->count, b->process, b->unit, b->what);
	return 0;
}

/* The last two parts of the directory's path: "TOP/CTID". */
static const char *cgroup_name(char *buf, size_t size)
{
	ssize_t n = readlink("/proc/self/fd/0", buf, size - 1);
	char *slash;

	if (n < 0)
		return NULL;
	buf[n] = '\0';
	slash = strrchr(buf, '/');
	while (slash && slash > buf && slash[-1] != '/')
		slash--;
	return slash && slash > buf ? slash - 1 : NULL;
}

int checkpoint_check(const char *init, struct lg_err *err)
{
	struct pids pids = { 0 };
	struct lg_blockers of = { .ghost_limit = LG_GHOST_LIMIT };
	char path[4096];
	uint64_t pid;
	int r = lg_parse_u64(init, 1, INT32_MAX, &pid, err);

	if (r < 0)
		return r;
	of.cgroup = cgroup_name(path, sizeof(path));
	if (!of.cgroup)
		return lg_refuse(err, -EINVAL, 0, "checkpoint-check wants a cgroup as its stdin");
	r = lg_cg_procs_at(STDIN_FILENO, add_pid, &pids);
	if (r < 0)
		return lg_fail(err, r, "list its processes");
	printf("P processes %zu\n", pids.n);
	of.pids = pids.list;
	of.npids = pids.n;
	of.init = (pid_t)pid;
	r = lg_blockers_find(&of, print_blocker, NULL, err);
	free(pids.list);
	return r;
}
