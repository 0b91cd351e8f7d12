/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A container's file is whatever an administrator, or a migration, left there. */

#include "lib/conf.h"
#include "lib/settings.h"
#include "tests/fuzz/fuzz.h"

static int same_in(const char *key, const char *value, void *arg)
{
	const char *other = lg_conf_get(arg, key);

	promise(other && strcmp(other, value) == 0, "a value survives being written and read");
	return 0;
}

static int show(const char *key, const char *value, void *arg)
{
	const struct lg_setting *s = lg_setting_by_key(key);
	char *text = NULL;
	struct lg_err err = { 0 };

	(void)arg;
	if (s && lg_setting_from_conf(s, value, &text, &err) < 0)
		promise(err.code < 0 && err.msg[0], "a refusal has a reason");
	free(text);
	return 0;
}

/* Set again through the writer, so that quoting is tried on what the parser gave. */
static int rewrite(const char *key, const char *value, void *arg)
{
	if (strpbrk(value, "\r\n"))
		return 0;
	promise(lg_conf_set(arg, key, "", NULL) == 0, "a key that was read can be set");
	promise(lg_conf_set(arg, key, value, NULL) == 0, "a value that was read can be set");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lg_conf *conf = NULL, *again = NULL, *copy;
	struct lg_err err = { 0 };
	char *text, *more;

	if (lg_conf_parse((const char *)data, size, &conf, &err) < 0) {
		promise(err.code < 0 && err.msg[0] && !conf, "a refusal has a reason");
		return 0;
	}
	lg_conf_each(conf, show, NULL);
	text = lg_conf_format(conf);
	promise(strncmp(text, (const char *)data, size) == 0, "what is not changed is kept");
	copy = lg_conf_copy(conf);
	promise(copy != NULL, "what was read can be copied");
	lg_conf_each(conf, rewrite, copy);
	more = lg_conf_format(copy);
	promise(lg_conf_parse(more, strlen(more), &again, NULL) == 0 || strlen(more) > LG_CONF_MAX,
		"what was written can be read");
	if (again)
		lg_conf_each(copy, same_in, again);
	lg_conf_free(conf);
	lg_conf_free(again);
	lg_conf_free(copy);
	free(text);
	free(more);
	return 0;
}
