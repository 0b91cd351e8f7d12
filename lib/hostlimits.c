/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/hostlimits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/parse.h"

#define STATE_MAX 65536u
#define FILE_LEN_MAX 4096u
#define NAME_LEN 128u

/*
 * "each" is what a busy server takes: a few hundred tasks, some thousand open files and connections.
 *
 * inotify, keys and namespaces are counted against a user, and every container is a user of its own: their rows do not
 * grow with the number of containers. The rest is one pot for all.
 *
 * Conntrack: the table of the host has the connections of all containers that go through its NAT.
 * Neighbours: one table for all network namespaces; what is looked up in vain takes a place, too.
 */
/* clang-format off */
const struct lg_hostlimit lg_hostlimits[] = {
	{ "fs.inotify.max_user_instances", 1024, 0, 0, LG_USED_UNKNOWN, NULL, false,
		"inotify_init() of each container" },
	{ "fs.inotify.max_user_watches", 524288, 0, 0, LG_USED_UNKNOWN, NULL, false,
		"inotify_add_watch() of each container" },
	{ "kernel.keys.maxkeys", 2000, 0, 0, LG_USED_UNKNOWN, NULL, false,
		"keyrings of nested containers" },
	{ "kernel.keys.maxbytes", 2000000, 0, 0, LG_USED_UNKNOWN, NULL, false,
		"keyrings of nested containers" },
	{ "user.max_user_namespaces", 4096, 0, 0, LG_USED_UNKNOWN, NULL, true,
		"namespaces of each container" },
	{ "user.max_mnt_namespaces", 4096, 0, 0, LG_USED_UNKNOWN, NULL, true,
		"namespaces of each container" },
	{ "user.max_net_namespaces", 4096, 0, 0, LG_USED_UNKNOWN, NULL, true,
		"namespaces of each container" },
	{ "user.max_pid_namespaces", 4096, 0, 0, LG_USED_UNKNOWN, NULL, true,
		"namespaces of each container" },
	{ "kernel.pid_max", 32768, 4096, 4194304, LG_USED_TASKS, "loadavg", false,
		"every fork on this host" },
	{ "kernel.threads-max", 32768, 2048, 0, LG_USED_TASKS, "loadavg", false,
		"every fork on this host" },
	{ "fs.file-max", 262144, 16384, 0, LG_USED_NUMBER, "sys/fs/file-nr", false,
		"every open() on this host" },
	{ "fs.nr_open", 1048576, 0, 0, LG_USED_UNKNOWN, NULL, false,
		"limits of open files in containers" },
	{ "fs.aio-max-nr", 65536, 4096, 0, LG_USED_NUMBER, "sys/fs/aio-nr", false,
		"io_setup() of databases" },
	{ "kernel.pty.max", 4096, 1024, 1048576, LG_USED_NUMBER, "sys/kernel/pty/nr", false,
		"terminals, logins among them" },
	{ "net.netfilter.nf_conntrack_max", 65536, 16384, 0, LG_USED_NUMBER,
		"sys/net/netfilter/nf_conntrack_count", true,
		"new connections of containers" },
	{ "net.ipv4.neigh.default.gc_thresh3", 1024, 64, 0, LG_USED_ENTRIES,
		"net/stat/arp_cache", false, "packets to addresses not spoken to before" },
	{ "net.ipv4.neigh.default.gc_thresh2", 512, 32, 0, LG_USED_UNKNOWN, NULL, false,
		"packets to addresses not spoken to before" },
	{ "net.ipv6.neigh.default.gc_thresh3", 1024, 64, 0, LG_USED_ENTRIES,
		"net/stat/ndisc_cache", false, "packets to IPv6 addresses not spoken to before" },
	{ "net.ipv6.neigh.default.gc_thresh2", 512, 32, 0, LG_USED_UNKNOWN, NULL, false,
		"packets to IPv6 addresses not spoken to before" },
};
/* clang-format on */
const size_t lg_nhostlimits = ARRAY_SIZE(lg_hostlimits);

uint64_t lg_hostlimit_wanted(const struct lg_hostlimit *lim, uint64_t containers)
{
	uint64_t v = lim->base + lim->each * containers;

	return lim->top && v > lim->top ? lim->top : v;
}

static void path_of(const char *name, char path[NAME_LEN])
{
	snprintf(path, NAME_LEN, "sys/%s", name);
	for (char *p = path + 4; *p; p++)
		if (*p == '.')
			*p = '/';
}

static int parse_number(const char *text, int base, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, base);
	if (end == text || errno || strchr(text, '-') == text)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int read_number(int proc, const char *name, uint64_t *ret)
{
	lg_autofree char *text = NULL;
	char path[NAME_LEN];
	int r;

	path_of(name, path);
	r = lg_file_read(proc, path, FILE_LEN_MAX, &text, NULL, NULL);
	return r < 0 ? r : parse_number(text, 10, ret);
}

static uint64_t read_used(int proc, const struct lg_hostlimit *lim)
{
	lg_autofree char *text = NULL;
	const char *p;
	uint64_t v;

	if (!lim->used || lg_file_read(proc, lim->used, FILE_LEN_MAX, &text, NULL, NULL) < 0)
		return UINT64_MAX;
	p = text;
	if (lim->how == LG_USED_TASKS)
		p = strchr(text, '/');
	else if (lim->how == LG_USED_ENTRIES)
		p = strchr(text, '\n');
	if (!p || parse_number(lim->how == LG_USED_TASKS ? p + 1 : p,
			       lim->how == LG_USED_ENTRIES ? 16 : 10, &v) < 0)
		return UINT64_MAX;
	return v;
}

int lg_hostlimit_read(int proc, const struct lg_hostlimit *lim, uint64_t *ret,
		      uint64_t *ret_used)
{
	int r = read_number(proc, lim->name, ret);

	if (r == 0 && ret_used)
		*ret_used = read_used(proc, lim);
	return r;
}

/* ---- the state file ---- */

static int load_state(int dir, const char *state, char **ret, struct lg_err *err)
{
	int r = lg_file_read(dir, state, STATE_MAX, ret, NULL, NULL);

	return r < 0 && r != -ENOENT ? lg_fail(err, r, "read '%s'", state) : 0;
}

/* The line of @name, "" for none: the first value that was there is the one to put back. */
static const char *line_of(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = text; line && *line; line += strcspn(line, "\n") + 1) {
		if (strncmp(line, name, len) == 0 && line[len] == ' ')
			return line;
		if (!strchr(line, '\n'))
			break;
	}
	return "";
}

static int record(int dir, const char *state, const char *name, uint64_t old, uint64_t new,
		  struct lg_err *err)
{
	lg_autofree char *text = NULL, *longer = NULL;
	const char *line, *rest;
	uint64_t first = old;
	int n, r = load_state(dir, state, &text, err);

	if (r < 0)
		return r;
	line = line_of(text, name);
	rest = line + strcspn(line, "\n");
	rest += *rest == '\n';
	if (*line && parse_number(line + strlen(name), 10, &first) < 0)
		first = old;
	n = asprintf(&longer, "%.*s%s%s %" PRIu64 " %" PRIu64 "\n",
		     *line ? (int)(line - text) : 0, text ? text : "",
		     *line ? rest : text ? text : "", name, first, new);
	if (n < 0) {
		longer = NULL;
		return lg_fail(err, -ENOMEM, "remember %s", name);
	}
	return lg_file_replace_fast(dir, state, longer, (size_t)n, 0600, err);
}

/* ---- raising and putting back ---- */

static int write_number(int proc, const char *name, uint64_t value, struct lg_err *err)
{
	char path[NAME_LEN], text[24];
	int r;

	path_of(name, path);
	snprintf(text, sizeof(text), "%" PRIu64 "\n", value);
	r = lg_file_write(proc, path, text, NULL);
	return r < 0 ? lg_fail(err, r, "set %s to %" PRIu64, name, value) : 0;
}

static int raise_one(int proc, const struct lg_hostlimit *lim, uint64_t containers, int dir,
		     const char *state, struct lg_err *err)
{
	uint64_t wanted = lg_hostlimit_wanted(lim, containers), now;
	int r = read_number(proc, lim->name, &now);

	if (r < 0)
		return r == -ENOENT ? 0 : lg_fail(err, r, "read %s", lim->name);
	if (now >= wanted || (now == 0 && lim->zero_is_off))
		return 0;
	r = record(dir, state, lim->name, now, wanted, err);
	if (r == 0)
		r = write_number(proc, lim->name, wanted, err);
	return r < 0 ? r : 1;
}

int lg_hostlimits_raise(int proc, uint64_t containers, int dir, const char *state,
			struct lg_err *err)
{
	int first = 0, n = 0;

	for (size_t i = 0; i < lg_nhostlimits; i++) {
		int r = raise_one(proc, &lg_hostlimits[i], containers, dir, state,
				  first ? NULL : err);

		if (r < 0 && !first)
			first = r;
		else if (r > 0)
			n++;
	}
	return first ? first : n;
}

static const struct lg_hostlimit *limit_of(const char *name)
{
	for (size_t i = 0; i < lg_nhostlimits; i++)
		if (strcmp(lg_hostlimits[i].name, name) == 0)
			return &lg_hostlimits[i];
	return NULL;
}

static int put_back(int proc, char *line, struct lg_err *err)
{
	char *save = NULL;
	const char *name = strtok_r(line, " ", &save), *old = strtok_r(NULL, " ", &save);
	const char *new = strtok_r(NULL, " ", &save);
	uint64_t was, ours, now;

	/* Of another version, or not ours. */
	if (!name || !old || !new || !limit_of(name) || parse_number(old, 10, &was) < 0 ||
	    parse_number(new, 10, &ours) < 0)
		return 0;
	if (read_number(proc, name, &now) < 0 || now != ours)
		return 0;
	return write_number(proc, name, was, err);
}

int lg_hostlimits_put_back(int proc, int dir, const char *state, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	char *save = NULL;
	int first = load_state(dir, state, &text, err);

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		int r = put_back(proc, line, first ? NULL : err);

		if (r < 0 && !first)
			first = r;
	}
	if (unlinkat(dir, state, 0) < 0 && errno != ENOENT && !first)
		first = lg_fail(err, -errno, "remove '%s'", state);
	return first;
}
