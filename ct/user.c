/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define FILE_MAX (256u * 1024u)
#ifdef LG_MACHINE
#define ID_TOP (UINT32_MAX - 1)
#define ID_DIGITS 10
#else
#define ID_TOP 65535u	/* of a container's ids; lib/ns.h gives it so many */
#define ID_DIGITS 5
#endif

struct field {
	const char *at;
	size_t len;
};

/* Cut a line at its colons into @n fields. Return: false when there are fewer. */
static bool cut_line(const char *line, size_t len, struct field *f, size_t n)
{
	const char *end = line + len;

	for (size_t i = 0; i < n; i++) {
		const char *colon = memchr(line, ':', (size_t)(end - line));

		f[i].at = line;
		f[i].len = (size_t)((colon ? colon : end) - line);
		if (!colon)
			return i == n - 1;
		line = colon + 1;
	}
	return true;
}

static bool is_text(const struct field *f, const char *text, size_t len)
{
	return f->len == len && memcmp(f->at, text, len) == 0;
}

static bool to_id(const struct field *f, uint32_t *ret)
{
	uint64_t v = 0;

	if (f->len == 0 || f->len > ID_DIGITS)
		return false;
	for (size_t i = 0; i < f->len; i++) {
		if (f->at[i] < '0' || f->at[i] > '9')
			return false;
		v = v * 10 + (unsigned int)(f->at[i] - '0');
	}
	if (v > ID_TOP)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static void copy_field(char *to, size_t size, const struct field *f)
{
	snprintf(to, size, "%.*s", (int)(f->len < size ? f->len : size - 1), f->at);
}

static const char *next_line(const char *line, size_t *len)
{
	line += *len;
	line += *line == '\n';
	*len = strcspn(line, "\n");
	return line;
}

/* By name, or by id where @want is a number. */
static bool find_passwd(const char *text, const struct field *want, struct lg_user *user)
{
	size_t len = strcspn(text, "\n");
	bool numeric = to_id(want, &user->uid);
	struct field f[7];
	uint32_t uid, gid;

	for (const char *line = text; *line; line = next_line(line, &len)) {
		if (!cut_line(line, len, f, 7) || !to_id(&f[2], &uid) || !to_id(&f[3], &gid))
			continue;
		if (numeric ? uid != user->uid : !is_text(&f[0], want->at, want->len))
			continue;
		user->uid = uid;
		user->gid = gid;
		copy_field(user->name, sizeof(user->name), &f[0]);
		copy_field(user->home, sizeof(user->home), &f[5]);
		copy_field(user->shell, sizeof(user->shell), &f[6]);
		return true;
	}
	return false;
}

static bool in_list(const struct field *list, const char *name)
{
	const char *p = list->at, *end = list->at + list->len;
	size_t n = strlen(name);

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t len = (size_t)((comma ? comma : end) - p);

		if (len == n && memcmp(p, name, n) == 0)
			return true;
		p += len + 1;
	}
	return false;
}

static void find_groups(const char *text, struct lg_user *user)
{
	size_t len = strcspn(text, "\n");
	struct field f[4];
	uint32_t gid;

	for (const char *line = text; *line; line = next_line(line, &len)) {
		if (!cut_line(line, len, f, 4) || !to_id(&f[2], &gid) || gid == user->gid)
			continue;
		if (user->ngroups < LG_USER_GROUPS && in_list(&f[3], user->name))
			user->groups[user->ngroups++] = gid;
	}
}

static bool find_gid(const char *text, const struct field *want, gid_t *ret)
{
	size_t len = strcspn(text, "\n");
	struct field f[4];
	uint32_t gid;

	if (to_id(want, ret))
		return true;
	for (const char *line = text; *line; line = next_line(line, &len))
		if (cut_line(line, len, f, 4) && is_text(&f[0], want->at, want->len) &&
		    to_id(&f[2], &gid)) {
			*ret = gid;
			return true;
		}
	return false;
}

/* Only where /etc/passwd says nothing. */
static void fill_defaults(struct lg_user *user)
{
	if (user->uid == 0 && !user->name[0])
		snprintf(user->name, sizeof(user->name), "root");
	if (!user->home[0])
		snprintf(user->home, sizeof(user->home), "%s", user->uid == 0 ? "/root" : "/");
	if (!user->shell[0])
		snprintf(user->shell, sizeof(user->shell), "/bin/sh");
}

int lg_user_find(const char *spec, const char *passwd, const char *group, struct lg_user *ret,
		 struct lg_err *err)
{
	const char *text = spec && *spec ? spec : "0";
	struct field who = { text, strcspn(text, ":") };
	const char *colon = text[who.len] ? text + who.len : NULL;
	struct lg_user user = { 0 };
	uint32_t id;

	if (who.len == 0 || (colon && !colon[1]))
		return lg_refuse(err, -EINVAL, 0, "'%s' is not USER or USER:GROUP", text);
	if (!find_passwd(passwd ? passwd : "", &who, &user)) {
		bool is_root = is_text(&who, "root", 4);

		if (!is_root && !to_id(&who, &id))
			return lg_refuse(err, -ENOENT, 0, "there is no user '%.*s' in the " LG_INSIDE,
					 (int)who.len, text);
		user.uid = is_root ? 0 : id;
	}
	if (colon) {
		struct field g = { colon + 1, strlen(colon + 1) };

		if (!find_gid(group ? group : "", &g, &user.gid))
			return lg_refuse(err, -ENOENT, 0, "there is no group '%s' in the " LG_INSIDE,
					 g.at);
	}
	fill_defaults(&user);
	user.groups[user.ngroups++] = user.gid;
	if (!colon && group && user.name[0])
		find_groups(group, &user);
	*ret = user;
	return 0;
}

/*
 * A fifo must not block, and no link of /proc may lead to what this process still has of the shim.
 * What is there is hostile, down to a file that changes while it is read.
 */
static char *read_etc(const char *path)
{
	lg_autofree char *text = NULL;
	lg_autoclose int fd = lg_open_beneath(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	size_t len = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return NULL;
	while (len < (size_t)st.st_size &&
	       (n = read(fd, text + len, (size_t)st.st_size - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return lg_take_ptr(&text);
}

int lg_user_load(const char *spec, struct lg_user *ret, struct lg_err *err)
{
	lg_autofree char *passwd = read_etc("/etc/passwd");
	lg_autofree char *group = read_etc("/etc/group");

	return lg_user_find(spec, passwd, group, ret, err);
}
