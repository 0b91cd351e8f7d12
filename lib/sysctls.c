/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/sysctls.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"

#define BETWEEN " \t"
#define LIST_MAX 4096u

/* The first row that fits decides. A name that ends in a dot is all that begins so. */
/* clang-format off */
static const struct {
	const char *name;
	bool own;
	const char *why;	/* whose namespace it is in, or what to do instead */
} rows[] = {
	{ "net.",			true,  "network namespace; what of it is the host's is not there inside" },
	{ "fs.mqueue.",			true,  "ipc namespace" },
	{ "kernel.shmmax",		true,  "ipc namespace" },
	{ "kernel.shmall",		true,  "ipc namespace" },
	{ "kernel.shmmni",		true,  "ipc namespace" },
	{ "kernel.shm_rmid_forced",	true,  "ipc namespace" },
	{ "kernel.shm_next_id",		true,  "ipc namespace" },
	{ "kernel.msgmax",		true,  "ipc namespace" },
	{ "kernel.msgmnb",		true,  "ipc namespace" },
	{ "kernel.msgmni",		true,  "ipc namespace" },
	{ "kernel.msg_next_id",		true,  "ipc namespace" },
	{ "kernel.sem",			true,  "ipc namespace" },
	{ "kernel.sem_next_id",		true,  "ipc namespace" },
	{ "kernel.domainname",		false, "its root sets it inside, with domainname(1)" },
	{ "kernel.hostname",		false, "use --hostname" },
	{ "user.",			true,  "user namespace" },
};
/* clang-format on */

static bool fits(const char *row, const char *key)
{
	size_t n = strlen(row);

	return row[n - 1] == '.' ? strncmp(row, key, n) == 0 && key[n] : strcmp(row, key) == 0;
}

static int check_key(const char *key, struct lg_err *err)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_-./";

	if (!*key || key[strspn(key, good)] || strstr(key, "..") || strstr(key, "//") ||
	    strstr(key, "./") || strstr(key, "/.") || key[strlen(key) - 1] == '.' ||
	    key[strlen(key) - 1] == '/')
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "'%s' is no kernel setting's name", key);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (fits(rows[i].name, key))
			return rows[i].own ? 0 : lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
							   "%s: %s", key, rows[i].why);
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
			 "%s is the host's: a container has net.*, fs.mqueue.*, user.* and those of "
			 "System V IPC (kernel.shm*, kernel.msg*, kernel.sem) of its own", key);
}

/*
 * "net/ipv4/conf/eth0.100/forwarding", as sysctl(8) has it for names with dots: the slashes part it.
 * Otherwise the dots do. Kept with dots and slashes changed over, so that the parts are dots again.
 */
static void normalize(char *key)
{
	if (!strchr(key, '/') || strcspn(key, ".") < strcspn(key, "/"))
		return;
	for (; *key; key++)
		*key = *key == '/' ? '.' : *key == '.' ? '/' : *key;
}

void lg_sysctl_path(const char *key, char *buf, size_t size)
{
	int n = snprintf(buf, size, "/proc/sys/%s", key);

	for (char *p = buf + strlen("/proc/sys/"); n > 0 && p < buf + size && *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
}

struct entry {
	char key[LG_SYSCTL_KEY];
	char value[LG_SYSCTL_VALUE];
};

static int begin(struct entry *e, const char *word, size_t len, struct lg_err *err)
{
	const char *equal = memchr(word, '=', len);
	size_t key = (size_t)(equal - word);

	if (key >= sizeof(e->key) || len - key - 1 >= sizeof(e->value))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "'%.40s...' is too long", word);
	snprintf(e->key, sizeof(e->key), "%.*s", (int)key, word);
	snprintf(e->value, sizeof(e->value), "%.*s", (int)(len - key - 1), equal + 1);
	normalize(e->key);
	return check_key(e->key, err);
}

static int go_on(struct entry *e, const char *word, size_t len, struct lg_err *err)
{
	size_t at = strlen(e->value);

	if (!e->key[0])
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "'%.*s' is not KEY=VALUE",
				 (int)len, word);
	if (at + 1 + len >= sizeof(e->value))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "%s: the value is too long",
				 e->key);
	snprintf(e->value + at, sizeof(e->value) - at, " %.*s", (int)len, word);
	return 0;
}

static int finish(const struct entry *e, int (*fn)(const char *key, const char *value, void *arg),
		  void *arg, struct lg_err *err)
{
	if (!e->key[0])
		return 0;
	if (!e->value[0])
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "%s: no value is given", e->key);
	return fn(e->key, e->value, arg);
}

int lg_sysctls_each(const char *text, int (*fn)(const char *key, const char *value, void *arg),
		    void *arg, struct lg_err *err)
{
	struct entry e = { "", "" };
	int r = 0;

	for (text += strspn(text, BETWEEN); r == 0 && *text; text += strspn(text, BETWEEN)) {
		size_t len = strcspn(text, BETWEEN);

		if (memchr(text, '=', len)) {
			r = finish(&e, fn, arg, err);
			if (r == 0)
				r = begin(&e, text, len, err);
		} else {
			r = go_on(&e, text, len, err);
		}
		text += len;
	}
	return r ? r : finish(&e, fn, arg, err);
}

struct list {
	char text[LIST_MAX];
	size_t len;
};

static int add(const char *key, const char *value, void *arg)
{
	struct list *list = arg;
	size_t room = sizeof(list->text) - list->len;
	char name[LG_SYSCTL_KEY];
	int n;

	/* As it was read: with slashes where a part has a dot in it. */
	snprintf(name, sizeof(name), "%s", key);
	if (strchr(name, '/'))
		for (char *p = name; *p; p++)
			*p = *p == '/' ? '.' : *p == '.' ? '/' : *p;
	n = snprintf(list->text + list->len, room, "%s%s=%s", list->len ? " " : "", name, value);
	if (n < 0 || (size_t)n >= room)
		return -E2BIG;
	list->len += (size_t)n;
	return 0;
}

int lg_sysctls_format(const char *text, char **ret, struct lg_err *err)
{
	struct list list = { .len = 0 };
	int r = lg_sysctls_each(text, add, &list, err);

	if (r == -E2BIG)
		return lg_refuse(err, r, LG_EXIT_BAD_VALUE, "too many kernel settings");
	if (r < 0)
		return r;
	*ret = strdup(list.text);
	return *ret ? 0 : lg_fail(err, -ENOMEM, "kernel settings");
}
