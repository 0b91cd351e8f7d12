/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/conf.h"
#include "lib/parse.h"

enum value_type { VALUE_TEXT, VALUE_SIGNAL, VALUE_BYTES, VALUE_TIME, VALUE_INIT_KIND };

enum key_flag {
	KEY_ALWAYS = 1,		/* in a recipe's manifest and in a template's */
	KEY_BUILT = 2,		/* in a template's: the build knows it */
	KEY_GUEST = 4,		/* in both, where instances are made of it: it is no kernel's */
};

#define SIGNAL_MAX 64u
#define TEXT_OF(member) offsetof(struct lg_template, member), \
	sizeof(((struct lg_template *)NULL)->member)

static const struct key {
	const char *key;
	enum value_type type;
	unsigned int flags;	/* when it must be there */
	size_t offset, size;
} keys[] = {
	/* clang-format off */
	{ "NAME",	 VALUE_TEXT,	  KEY_ALWAYS, TEXT_OF(name) },
	{ "VERSION",	 VALUE_TEXT,	  KEY_ALWAYS, TEXT_OF(version) },
	{ "OS",		 VALUE_TEXT,	  KEY_ALWAYS, TEXT_OF(os) },
	{ "ARCH",	 VALUE_TEXT,	  KEY_BUILT,  TEXT_OF(arch) },
	{ "DESCRIPTION", VALUE_TEXT,	  0,	      TEXT_OF(description) },
	{ "KERNEL_FOR",	 VALUE_TEXT,	  0,	      TEXT_OF(kernel_for) },
	{ "INIT",	 VALUE_TEXT,	  KEY_GUEST,  TEXT_OF(init) },
	{ "INIT_KIND",	 VALUE_INIT_KIND, KEY_GUEST,  TEXT_OF(init_kind) },
	{ "FEATURES",	 VALUE_TEXT,	  0,	      TEXT_OF(features) },
	{ "STOP_SIGNAL", VALUE_SIGNAL,	  KEY_GUEST,  TEXT_OF(stop_signal) },
	{ "DIGEST",	 VALUE_TEXT,	  KEY_BUILT,  TEXT_OF(digest) },
	{ "SIZE",	 VALUE_BYTES,	  KEY_BUILT,  TEXT_OF(size_bytes) },
	{ "BUILT",	 VALUE_TIME,	  KEY_BUILT,  TEXT_OF(built_at) },
	/* clang-format on */
};

static const char *const init_kinds[] = {
	[LG_INIT_OTHER] = "other",
	[LG_INIT_SYSTEMD] = "systemd",
	[LG_INIT_BUSYBOX] = "busybox",
};

static int parse_init_kind(const char *text, enum lg_init_kind *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(init_kinds); i++) {
		if (strcmp(text, init_kinds[i]) == 0) {
			*ret = (enum lg_init_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Text goes to terminals and into JSON: printable bytes and UTF-8 only. */
static int parse_text(const char *text, char *ret, size_t size)
{
	size_t len = strlen(text);

	if (len == 0 || len >= size)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return -EINVAL;
	memcpy(ret, text, len + 1);
	return 0;
}

static int parse_value(const struct key *key, const char *text, struct lg_template *t)
{
	char *at = (char *)t + key->offset;
	uint64_t number = 0;
	int r;

	switch (key->type) {
	case VALUE_TEXT:
		return parse_text(text, at, key->size);
	case VALUE_INIT_KIND:
		return parse_init_kind(text, &t->init_kind);
	case VALUE_SIGNAL:
		r = lg_parse_u64(text, 1, SIGNAL_MAX, &number, NULL);
		t->stop_signal = (int)number;
		return r;
	case VALUE_BYTES:
		return lg_parse_u64(text, 0, INT64_MAX, &t->size_bytes, NULL);
	case VALUE_TIME:
		r = lg_parse_u64(text, 0, INT64_MAX, &number, NULL);
		t->built_at = (int64_t)number;
		return r;
	}
	return -EINVAL;
}

static int parse_manifest(const struct lg_conf *conf, unsigned int needed,
			  struct lg_template *t, struct lg_err *err)
{
	if (!lg_conf_get(conf, "KERNEL_FOR"))
		needed |= KEY_GUEST;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *text = lg_conf_get(conf, keys[i].key);

		if (!text && (keys[i].flags & needed))
			return lg_refuse(err, -EINVAL, 0, "the manifest has no %s",
					 keys[i].key);
		if (text && *text && parse_value(&keys[i], text, t) < 0)
			return lg_refuse(err, -EINVAL, 0, "the manifest's %s is wrong: '%.80s'",
					 keys[i].key, text);
	}
	if (t->init[0] != '/' && !t->kernel_for[0])
		return lg_refuse(err, -EINVAL, 0,
				 "the manifest's INIT is no absolute path: '%s'", t->init);
	return 0;
}

int lg_manifest_load(int dirfd, const char *name, int built, struct lg_template *ret,
		     struct lg_err *err)
{
	struct lg_template t = { 0 };
	struct lg_conf *conf;
	int r;

	r = lg_conf_load(dirfd, "manifest", &conf, err);
	if (r < 0)
		return r;
	r = parse_manifest(conf, KEY_ALWAYS | (built ? KEY_BUILT : 0), &t, err);
	lg_conf_free(conf);
	if (r < 0)
		return r;
	if (strcmp(t.name, name) != 0)
		return lg_refuse(err, -EINVAL, 0, "the manifest's NAME is '%s'", t.name);
	*ret = t;
	return 0;
}

static void format_value(const struct key *key, const struct lg_template *t, char *buf,
			 size_t size)
{
	const char *at = (const char *)t + key->offset;

	switch (key->type) {
	case VALUE_TEXT:
		snprintf(buf, size, "%s", at);
		break;
	case VALUE_INIT_KIND:
		snprintf(buf, size, "%s", init_kinds[t->init_kind]);
		break;
	case VALUE_SIGNAL:
		snprintf(buf, size, "%d", t->stop_signal);
		break;
	case VALUE_BYTES:
		snprintf(buf, size, "%" PRIu64, t->size_bytes);
		break;
	case VALUE_TIME:
		snprintf(buf, size, "%" PRId64, t->built_at);
		break;
	}
}

int lg_manifest_save(int dirfd, const struct lg_template *t, struct lg_err *err)
{
	struct lg_conf *conf = lg_conf_new();
	int r = conf ? 0 : lg_fail(err, -ENOMEM, "write the manifest");

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(keys); i++) {
		char value[256];

		format_value(&keys[i], t, value, sizeof(value));
		if (*value && !(t->kernel_for[0] && keys[i].flags & KEY_GUEST))
			r = lg_conf_set(conf, keys[i].key, value, err);
	}
	if (r == 0)
		r = lg_conf_save(conf, dirfd, "manifest", err);
	lg_conf_free(conf);
	return r;
}
