/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/json.h"

#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define JSON_FILE_MAX (4u << 20)

int lg_json_load(int dirfd, const char *name, json_t **ret, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	json_error_t why;
	size_t len = 0;
	json_t *value;
	int r = lg_file_read(dirfd, name, JSON_FILE_MAX, &text, &len, err);

	if (r < 0)
		return r;
	value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!value)
		return lg_refuse(err, -EINVAL, 0, "'%s' line %d: %s", name, why.line, why.text);
	*ret = value;
	return 0;
}

int lg_json_save(int dirfd, const char *name, const json_t *value, bool durable,
		 struct lg_err *err)
{
	lg_autofree char *text = json_dumps(value, JSON_INDENT(1) | JSON_SORT_KEYS);

	if (!text)
		return lg_fail(err, -ENOMEM, "write '%s'", name);
	return durable ? lg_file_replace(dirfd, name, text, strlen(text), 0600, err) :
			 lg_file_replace_fast(dirfd, name, text, strlen(text), 0600, err);
}

const char *lg_json_str(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

int64_t lg_json_int(const json_t *obj, const char *key, int64_t otherwise)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

bool lg_json_bool(const json_t *obj, const char *key, bool otherwise)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_boolean(v) ? json_is_true(v) : otherwise;
}
