/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: cgroups do not tell the OOM killer whom to spare; oom_score_adj does, on either kind
 * of host. It is inherited, so the shim has it and with it all that the shim starts. The killer adds
 * a thousandth of the host's memory and swap per point to what a process uses, so a guarantee of
 * that many bytes is that many points less.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/host.h"
#include "cgroup/limits.h"
#include "lib/cleanup.h"

#define ADJ_MIN (-999)
#define ADJ_MAX 1000
#define PASSES_MAX 8	/* over its processes, which may fork meanwhile */

int lg_oom_adj(int priority, uint64_t guarantee, uint64_t total)
{
	uint64_t point = total / 1000;
	uint64_t points = point ? guarantee / point : 0;
	int adj = priority - (points > 2000 ? 2000 : (int)points);

	return adj < ADJ_MIN ? ADJ_MIN : adj > ADJ_MAX ? ADJ_MAX : adj;
}

struct pass {
	const struct lg_cg_host *host;
	const char *name;
	int old, adj;
	unsigned int changed;
	int r;
};

/* Numbers of processes are used again: is this one still the instance's? */
static bool belongs(const struct pass *pass, int proc)
{
	char text[LG_CG_TEXT], want[64];
	const char *at;

	snprintf(want, sizeof(want), "/%s/%s", pass->host->name, pass->name);
	if (lg_cg_read(proc, "", "cgroup", text, sizeof(text)) < 0)
		return false;
	at = strstr(text, want);
	return at && strchr("/\n", at[strlen(want)]);
}

static int change(struct pass *pass, int proc)
{
	char text[16];
	int now;

	if (lg_cg_read(proc, "", "oom_score_adj", text, sizeof(text)) < 0)
		return 0;
	now = (int)strtol(text, NULL, 10);
	if (now == pass->adj || (now != pass->old && now > pass->adj))
		return 0;
	snprintf(text, sizeof(text), "%d", pass->adj);
	pass->changed++;
	return lg_cg_write(proc, "", "oom_score_adj", text);
}

static int change_pid(pid_t pid, void *arg)
{
	struct pass *pass = arg;
	char path[32];
	lg_autoclose int proc = -1;
	int r;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || !belongs(pass, proc))
		return 0;
	r = change(pass, proc);
	return r == -ESRCH || r == -ENOENT ? 0 : r;
}

static int change_shim(struct pass *pass, pid_t shim)
{
	char path[32];
	lg_autoclose int proc = -1;

	if (shim <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d", (int)shim);
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return proc < 0 ? 0 : change(pass, proc);
}

int lg_oom_apply(struct lg_cg_host *host, const char *name, pid_t shim, int old, int adj,
		 struct lg_err *err)
{
	struct pass pass = { .host = host, .name = name, .old = old, .adj = adj };
	int r = lg_cg_check_name(name, false, err);

	if (r < 0)
		return r;
	/* First who forks, then the forked; what is born between is found by another pass. */
	r = change_shim(&pass, shim);
	for (int i = 0; r == 0 && i < PASSES_MAX; i++) {
		pass.changed = 0;
		r = lg_cg_procs(host, name, change_pid, &pass);
		if (pass.changed == 0)
			break;
	}
	if (r == -EACCES || r == -EPERM)
		return lg_refuse(err, r, 0,
				 "the kernel lets only a process with CAP_SYS_RESOURCE be spared by "
				 "the OOM killer, which lodged does not have here");
	return r == 0 ? 0 : lg_fail(err, r, "set oom_score_adj of %s", name);
}
