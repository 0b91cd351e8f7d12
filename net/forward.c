/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/forward.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

/*
 * How it works
 *
 * IPv4 has to be switched on for the whole host: answers come in through whichever link leads
 * out, and that one must forward too.
 *
 * IPv6's "forwarding" makes a router of the host: it forgets the default routes that it learnt
 * from router advertisements and takes no more. Linux 6.17 and newer have "force_forwarding",
 * which forwards and changes nothing else; that is taken where it is. Elsewhere every link that
 * takes advertisements now (accept_ra 1, not forwarding) is told to go on doing so (accept_ra
 * 2) first.
 *
 * The state file has one line per change, "PATH OLD NEW", in the order of the changes; they are
 * put back last first, each only if it still has our value. NEW "*" is put back whatever is
 * there: the kernel itself changes accept_redirects along with ip_forward.
 */

#define SYSCTL "/proc/sys/net/"
#define IPV6_CONF SYSCTL "ipv6/conf/"
#define STATE_MAX 65536u
#define VALUE_MAX 16u

static int read_value(const char *path, char ret[VALUE_MAX], struct lg_err *err)
{
	lg_autofree char *text = NULL;
	int r = lg_file_read(AT_FDCWD, path, 4096, &text, NULL, err);

	if (r < 0)
		return r;
	snprintf(ret, VALUE_MAX, "%.*s", (int)strcspn(text, " \n"), text);
	return 0;
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

/*
 * The state file's text with one more line; a path that is in it keeps its first (oldest) line.
 */
static int record(const struct lg_net_conf *conf, const char *path, const char *old,
		  const char *new, struct lg_err *err)
{
	lg_autofree char *text = NULL, *longer = NULL;
	char key[300];
	int r, n;

	if (!conf->state_path[0])
		return 0;
	r = lg_file_read(AT_FDCWD, conf->state_path, STATE_MAX, &text, NULL, NULL);
	if (r < 0 && r != -ENOENT)
		return lg_fail(err, r, "read '%s'", conf->state_path);
	snprintf(key, sizeof(key), "%s ", path);
	if (text && strstr(text, key))
		return 0;
	n = asprintf(&longer, "%s%s%s %s\n", text ? text : "", key, old, new);
	if (n < 0) {
		longer = NULL;
		return lg_fail(err, -ENOMEM, "remember '%s'", path);
	}
	return lg_file_replace_fast(AT_FDCWD, conf->state_path, longer, (size_t)n, 0600, err);
}

static int change(const struct lg_net_conf *conf, const char *path, const char *value,
		  struct lg_err *err)
{
	char old[VALUE_MAX] = "";
	int r = read_value(path, old, err);

	if (r < 0 || strcmp(old, value) == 0)
		return r;
	r = record(conf, path, old, value, err);
	return r < 0 ? r : lg_file_write(AT_FDCWD, path, value, err);
}

static int forward_v4(const struct lg_net_conf *conf, struct lg_err *err)
{
	static const char redirects[] = SYSCTL "ipv4/conf/all/accept_redirects";
	static const char forward[] = SYSCTL "ipv4/ip_forward";
	char on[VALUE_MAX] = "", old[VALUE_MAX] = "";
	int r = read_value(forward, on, err);

	if (r < 0 || strcmp(on, "1") == 0)
		return r;
	r = read_value(redirects, old, err);
	if (r == 0)
		r = record(conf, redirects, old, "*", err);
	return r < 0 ? r : change(conf, forward, "1", err);
}

static int keep_adverts(const struct lg_net_conf *conf, const char *link, struct lg_err *err)
{
	char path[300], accept[VALUE_MAX] = "", forwards[VALUE_MAX] = "";

	snprintf(path, sizeof(path), IPV6_CONF "%.60s/forwarding", link);
	if (read_value(path, forwards, NULL) < 0)
		return 0;	/* the link went away */
	snprintf(path, sizeof(path), IPV6_CONF "%.60s/accept_ra", link);
	if (read_value(path, accept, NULL) < 0)
		return 0;
	if (strcmp(accept, "1") != 0 || strcmp(forwards, "0") != 0)
		return 0;
	return change(conf, path, "2", err);
}

/* Links made later follow "default", so that one is treated as a link. */
static int keep_all_adverts(const struct lg_net_conf *conf, struct lg_err *err)
{
	lg_autodir DIR *dir = opendir(IPV6_CONF);
	const struct dirent *d;
	int r = 0;

	if (!dir)
		return lg_fail(err, -errno, "open '%s'", IPV6_CONF);
	while (r == 0 && (d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.' && strcmp(d->d_name, "all") != 0 &&
		    strcmp(d->d_name, "lo") != 0 && strcmp(d->d_name, conf->bridge) != 0)
			r = keep_adverts(conf, d->d_name, err);
	return r;
}

static int forward_v6(const struct lg_net_conf *conf, struct lg_err *err)
{
	static const char force[] = IPV6_CONF "all/force_forwarding";
	static const char all[] = IPV6_CONF "all/forwarding";
	char on[VALUE_MAX] = "";
	int r = read_value(all, on, err);

	if (r < 0 || strcmp(on, "1") == 0)
		return r;
	if (is_there(force))
		return change(conf, force, "1", err);
	r = keep_all_adverts(conf, err);
	return r < 0 ? r : change(conf, all, "1", err);
}

int lg_forward_on(const struct lg_net_conf *conf, struct lg_err *err)
{
	int r = 0;

	if (conf->gw4.family)
		r = forward_v4(conf, err);
	if (r == 0 && conf->gw6.family)
		r = forward_v6(conf, err);
	return r < 0 ? lg_within(err, r, "turn on forwarding") : 0;
}

static int put_back(char *line, struct lg_err *err)
{
	char *save = NULL, now[VALUE_MAX] = "";
	const char *path = strtok_r(line, " ", &save), *old = strtok_r(NULL, " ", &save);
	const char *new = strtok_r(NULL, " ", &save);

	if (!path || !old || !new || strncmp(path, SYSCTL, strlen(SYSCTL)) != 0)
		return 0;
	if (read_value(path, now, NULL) < 0 || strcmp(now, old) == 0)
		return 0;	/* the link went away; or nothing to do */
	if (strcmp(new, "*") != 0 && strcmp(now, new) != 0)
		return 0;
	return lg_file_write(AT_FDCWD, path, old, err);
}

int lg_forward_off(const struct lg_net_conf *conf, bool others, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	char *line;
	int r = 0, first = 0;

	if (!conf->state_path[0])
		return 0;
	if (!others) {
		r = lg_file_read(AT_FDCWD, conf->state_path, STATE_MAX, &text, NULL, err);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
	}
	while (text && (line = strrchr(text, '\n')) != NULL) {
		*line = '\0';
		line = strrchr(text, '\n');
		r = put_back(line ? line + 1 : text, first ? NULL : err);
		if (r < 0 && !first)
			first = r;
		if (!line)
			break;
	}
	if (unlink(conf->state_path) < 0 && errno != ENOENT && !first)
		first = lg_fail(err, -errno, "remove '%s'", conf->state_path);
	return first;
}

int lg_forward_bridge(const struct lg_net_conf *conf, struct lg_err *err)
{
	static const struct {
		const char *name, *value;
	} rows[] = {
		{ "accept_ra", "0" },	/* tenants are no routers */
		{ "accept_dad", "0" },	/* nor may one deny the gateway its address */
		{ "forwarding", "1" },	/* the gateway says "router" in its advertisements */
	};
	char path[300];
	int r = 0;

	snprintf(path, sizeof(path), IPV6_CONF "%.15s", conf->bridge);
	if (!is_there(path))
		return 0;	/* a kernel without IPv6, or with it switched off */
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++) {
		snprintf(path, sizeof(path), IPV6_CONF "%.15s/%s", conf->bridge, rows[i].name);
		r = lg_file_write(AT_FDCWD, path, rows[i].value, err);
	}
	return r;
}
