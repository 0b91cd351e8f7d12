/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/devices.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"

#define BETWEEN ", \t"
#define WORD_MAX 160u
#define LIST_MAX 4096u

/* What lodge itself puts into /dev. */
static bool is_taken(const char *name)
{
	static const char *const names[] = {
		"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", "fd", "stdin",
		"stdout", "stderr", "pts", "shm", "mqueue", "log", ".lodge",
	};
	size_t first = strcspn(name, "/");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == first && strncmp(names[i], name, first) == 0)
			return true;
	return false;
}

/* "rw", "r", "rwq", "none"; -1: something else. */
static int parse_access(const char *text)
{
	static const struct {
		char letter;
		int access;
	} letters[] = { { 'r', LG_DEVICE_READ }, { 'w', LG_DEVICE_WRITE },
			{ 'm', LG_DEVICE_MKNOD }, { 'q', 0 } };
	int access = 0;

	if (strcmp(text, "none") == 0)
		return 0;
	for (const char *p = text; *p; p++) {
		size_t i = 0;

		while (i < ARRAY_SIZE(letters) && letters[i].letter != *p)
			i++;
		if (i == ARRAY_SIZE(letters))
			return -1;
		access |= letters[i].access;
	}
	return *text ? access : -1;
}

static void format_access(unsigned int access, char buf[8])
{
	snprintf(buf, 8, "%s%s%s", access & LG_DEVICE_READ ? "r" : "",
		 access & LG_DEVICE_WRITE ? "w" : "", access & LG_DEVICE_MKNOD ? "m" : "");
	if (!access)
		snprintf(buf, 8, "none");
}

static bool is_path(const char *name)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789_-+.:@/";

	return *name && *name != '/' && name[strspn(name, good)] == '\0' && !strstr(name, "..") &&
	       !strstr(name, "//") && name[strlen(name) - 1] != '/' && strncmp(name, "./", 2) != 0 &&
	       !strstr(name, "/./");
}

static int parse_name(const char *word, struct lg_device_name *ret, struct lg_err *err)
{
	const char *name = strncmp(word, "/dev/", 5) == 0 ? word + 5 : word;
	const char *colon = strrchr(name, ':');
	int access = colon ? parse_access(colon + 1) : -1;
	size_t len = access >= 0 ? (size_t)(colon - name) : strlen(name);

	if (len >= sizeof(ret->name))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "'%s' is too long", word);
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)len, name);
	ret->access = access >= 0 ? (unsigned int)access : LG_DEVICE_READ | LG_DEVICE_WRITE;
	if (!is_path(ret->name))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "'%s' is not a device: write /dev/NAME, or /dev/NAME:r", word);
	if (is_taken(ret->name))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "/dev/%s: every container has its own", ret->name);
	return 0;
}

static int parse_number(const char *text, uint32_t max, uint32_t *ret)
{
	uint64_t v;

	if (lg_parse_u64(text, 0, max, &v, NULL) < 0)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

/* The kernel's widths of a device number. */
#define MAJOR_MAX ((1u << 12) - 1)
#define MINOR_MAX ((1u << 20) - 1)

static int parse_rule(const char *word, struct lg_device_rule *ret, struct lg_err *err)
{
	char buf[WORD_MAX], *part[4], *rest = buf;
	int access = -1;
	size_t n = 0;

	snprintf(buf, sizeof(buf), "%s", word);
	for (char *p; n < ARRAY_SIZE(part) && (p = strsep(&rest, ":"));)
		part[n++] = p;
	if (n == ARRAY_SIZE(part) && !rest)
		access = parse_access(part[3]);
	ret->minor = LG_DEVICE_ANY;
	if (access < 0 || strlen(part[0]) != 1 || !strchr("bc", *part[0]) ||
	    parse_number(part[1], MAJOR_MAX, &ret->major) < 0 ||
	    (strcmp(part[2], "all") != 0 && parse_number(part[2], MINOR_MAX, &ret->minor) < 0))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "'%s' is not b|c:MAJOR:MINOR|all:[r][w][q]|none", word);
	ret->kind = *part[0];
	ret->access = (unsigned int)access;
	return 0;
}

static int each_word(const char *text, int (*fn)(const char *word, void *ctx, struct lg_err *err),
		     void *ctx, struct lg_err *err)
{
	char word[WORD_MAX];

	for (text += strspn(text, BETWEEN); *text; text += strspn(text, BETWEEN)) {
		size_t len = strcspn(text, BETWEEN);
		int r;

		if (len >= sizeof(word))
			return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "a word is too long");
		snprintf(word, sizeof(word), "%.*s", (int)len, text);
		r = fn(word, ctx, err);
		if (r != 0)
			return r;
		text += len;
	}
	return 0;
}

struct names {
	int (*fn)(const struct lg_device_name *d, void *arg);
	void *arg;
};

static int call_name(const char *word, void *ctx, struct lg_err *err)
{
	struct lg_device_name d;
	struct names *names = ctx;
	int r = parse_name(word, &d, err);

	return r < 0 ? r : names->fn(&d, names->arg);
}

int lg_devices_each_name(const char *text, int (*fn)(const struct lg_device_name *d, void *arg),
			 void *arg, struct lg_err *err)
{
	return each_word(text, call_name, &(struct names){ fn, arg }, err);
}

struct rules {
	int (*fn)(const struct lg_device_rule *d, void *arg);
	void *arg;
};

static int call_rule(const char *word, void *ctx, struct lg_err *err)
{
	struct lg_device_rule d;
	struct rules *rules = ctx;
	int r = parse_rule(word, &d, err);

	return r < 0 ? r : rules->fn(&d, rules->arg);
}

int lg_devices_each_rule(const char *text, int (*fn)(const struct lg_device_rule *d, void *arg),
			 void *arg, struct lg_err *err)
{
	return each_word(text, call_rule, &(struct rules){ fn, arg }, err);
}

/* ---- as the conf file has them ---- */

struct list {
	char text[LIST_MAX];
	size_t len;
};

static int add(struct list *list, const char *name, unsigned int access)
{
	char letters[8];
	int n;

	format_access(access, letters);
	n = snprintf(list->text + list->len, sizeof(list->text) - list->len, "%s%s:%s",
		     list->len ? " " : "", name, letters);
	if (n < 0 || (size_t)n >= sizeof(list->text) - list->len)
		return -E2BIG;
	list->len += (size_t)n;
	return 0;
}

static int add_name(const struct lg_device_name *d, void *arg)
{
	return add(arg, d->name, d->access);
}

static int add_rule(const struct lg_device_rule *d, void *arg)
{
	char name[40], minor[16];

	snprintf(minor, sizeof(minor), "%u", d->minor);
	snprintf(name, sizeof(name), "%c:%u:%s", d->kind, d->major,
		 d->minor == LG_DEVICE_ANY ? "all" : minor);
	return add(arg, name, d->access);
}

static int take(int r, const struct list *list, char **ret, struct lg_err *err)
{
	if (r == -E2BIG)
		return lg_refuse(err, r, LG_EXIT_BAD_VALUE, "too many devices");
	if (r < 0)
		return r;
	*ret = strdup(list->text);
	return *ret ? 0 : lg_fail(err, -ENOMEM, "devices");
}

int lg_devices_format_names(const char *text, char **ret, struct lg_err *err)
{
	struct list list = { .len = 0 };

	return take(lg_devices_each_name(text, add_name, &list, err), &list, ret, err);
}

int lg_devices_format_rules(const char *text, char **ret, struct lg_err *err)
{
	struct list list = { .len = 0 };

	return take(lg_devices_each_rule(text, add_rule, &list, err), &list, ret, err);
}
