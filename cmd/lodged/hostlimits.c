/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/hostlimits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/hostlimits.h"
#include "lib/log.h"
#include "lib/parse.h"

/* One for the host, as the values are: daemons with other roots add to it, the last one puts back. */
#define STATE_FOLDER "/run"
#define STATE "lodge-sysctls"
#define CONTAINERS_MAX 100000u
#define NEARLY 80u	/* percent */

static int containers_of(const struct daemon *d, uint64_t *ret, struct lg_err *err)
{
	const char *text = daemon_conf(d, "MAX_CONTAINERS", NULL);
	int r;

	*ret = LG_HOSTLIMITS_CONTAINERS;
	r = text ? lg_parse_u64(text, 1, CONTAINERS_MAX, ret, err) : 0;
	return r < 0 ? lg_within(err, r, "MAX_CONTAINERS in lodge.conf") : 0;
}

static int wanted(const struct daemon *d, bool *ret, struct lg_err *err)
{
	const char *text = daemon_conf(d, "SYSCTLS", "yes");

	*ret = strcmp(text, "yes") == 0;
	if (!*ret && strcmp(text, "no") != 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "SYSCTLS=\"%.40s\" in lodge.conf is neither yes nor no", text);
	return 0;
}

/* Held while the values and the state file are worked on: closing it lets the next daemon in. */
static int open_state_folder(struct lg_err *err)
{
	lg_autoclose int dir = lg_open_dir(AT_FDCWD, STATE_FOLDER, err);

	if (dir >= 0 && flock(dir, LOCK_EX) < 0)
		return lg_fail(err, -errno, "lock " STATE_FOLDER);
	return dir < 0 ? err->code : lg_take_fd(&dir);
}

int hostlimits_begin(struct daemon *d, struct lg_err *err)
{
	lg_autoclose int proc = lg_open_dir(AT_FDCWD, "/proc", err);
	lg_autoclose int dir = -1;
	struct lg_err why = { 0 };
	uint64_t containers;
	bool set;
	int r;

	if (proc < 0 || containers_of(d, &containers, err) < 0 || wanted(d, &set, err) < 0)
		return err->code;
	if (!set)
		return 0;
	dir = open_state_folder(&why);
	r = dir < 0 ? dir : lg_hostlimits_raise(proc, containers, dir, STATE, &why);
	if (r < 0)
		lg_log(LG_LOG_WARN, "size the host's limits: %s", why.msg);
	else if (r > 0)
		lg_log(LG_LOG_INFO, "raised %d of the host's limits for %" PRIu64 " containers "
		       "(" STATE_FOLDER "/" STATE ")", r, containers);
	return 0;
}

/* Is there another lodged's cgroup beside ours? */
static bool is_alone(const struct daemon *d)
{
	const char *where = lg_cg_where(d->cg), *own = strrchr(where, '/');
	lg_autodir DIR *dir = NULL;
	char path[PATH_MAX];
	struct dirent *e;

	own = own ? own + 1 : where;
	snprintf(path, sizeof(path), "%.*s", (int)(own - where), where);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if ((strcmp(e->d_name, "lodge") == 0 || strncmp(e->d_name, "lodge-", 6) == 0) &&
		    strcmp(e->d_name, own) != 0 && !strchr(e->d_name, '.'))
			return false;	/* names with a dot are units of systemd */
	return true;
}

void hostlimits_end(struct daemon *d)
{
	lg_autoclose int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lg_err err = { 0 };
	lg_autoclose int dir = open_state_folder(&err);
	int r = dir < 0 ? dir : 0;

	if (r == 0 && is_alone(d))
		r = lg_hostlimits_put_back(proc, dir, STATE, &err);
	if (r < 0)
		lg_log(LG_LOG_WARN, "put back the host's limits: %s", err.msg);
}

/* ---- doctor ---- */

/* Return: how many lines it said. */
static int say_limit(struct report *r, int proc, const struct lg_hostlimit *lim,
		     uint64_t containers)
{
	uint64_t want = lg_hostlimit_wanted(lim, containers), now, used;
	bool set = true;

	if (lg_hostlimit_read(proc, lim, &now, &used) < 0 || (now == 0 && lim->zero_is_off))
		return 0;
	wanted(r->d, &set, NULL);
	if (used != UINT64_MAX && now > 0 && used >= now / 100 * NEARLY) {
		say(r, "host limits", "off", "%s: %" PRIu64 " of %" PRIu64 " are used: "
		    "at its end it fails: %s", lim->name, used, now, lim->what);
		return 1;
	}
	if (now >= want)
		return 0;
	say(r, "host limits", "off", "%s is %" PRIu64 ", %" PRIu64 " containers want %" PRIu64
	    " (%s)%s", lim->name, now, containers, want, lim->what,
	    set ? ": it was lowered, or cannot be set" : ": SYSCTLS is \"no\" in lodge.conf");
	return 1;
}

void doctor_hostlimits(struct report *r)
{
	lg_autoclose int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t containers;
	int said = 0;

	if (proc < 0 || containers_of(r->d, &containers, NULL) < 0)
		return;
	for (size_t i = 0; i < lg_nhostlimits; i++)
		said += say_limit(r, proc, &lg_hostlimits[i], containers);
	if (!said)
		say(r, "host limits", "ok", "enough for %" PRIu64 " containers", containers);
}
