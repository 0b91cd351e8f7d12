/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A JSON value against a type of an interface. How deep it goes is bounded by how deep the JSON parser
 * lets a value be. What does not fit is named on the way back up, so that what fits costs no text.
 */

#include "lib/varlink_idl.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int check_value(const struct lg_vtype *type, const json_t *value, char *path);

/* Names may be the peer's own: what does not fit is cut, never inside a character. */
static void path_prepend(char *path, const char *name)
{
	char below[LG_VPATH_MAX];
	const char *dot;
	size_t len;

	memcpy(below, path, sizeof(below));
	dot = below[0] && below[0] != '[' ? "." : "";
	if (snprintf(path, LG_VPATH_MAX, "%s%s%s", name, dot, below) < (int)LG_VPATH_MAX)
		return;
	len = strlen(path);
	while (len > 0 && ((unsigned char)path[len - 1] & 0xc0) == 0x80)
		len--;
	if (len > 0 && (unsigned char)path[len - 1] >= 0xc0)
		len--;
	path[len] = '\0';
}

static const struct lg_vfield *field_named(const struct lg_vtype *type, const char *name)
{
	const struct lg_vfield *f = type->fields;

	while (f && strcmp(f->name, name) != 0)
		f = f->next;
	return f;
}

/* jansson's iterators change nothing, but do not take a constant object. */
static json_t *iterable(const json_t *obj)
{
	return (json_t *)(uintptr_t)obj;
}

static int check_struct(const struct lg_vtype *type, const json_t *value, char *path)
{
	json_t *obj = iterable(value);
	size_t known = 0;

	if (!json_is_object(value))
		return -EINVAL;
	for (const struct lg_vfield *f = type->fields; f; f = f->next) {
		const json_t *member = json_object_get(value, f->name);

		known += member != NULL;
		if (check_value(f->type, member, path) < 0) {
			path_prepend(path, f->name);
			return -EINVAL;
		}
	}
	if (known == json_object_size(value))
		return 0;
	for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it))
		if (!field_named(type, json_object_iter_key(it))) {
			path_prepend(path, json_object_iter_key(it));
			break;
		}
	return -EINVAL;
}

static int check_array(const struct lg_vtype *type, const json_t *value, char *path)
{
	char index[32];

	if (!json_is_array(value))
		return -EINVAL;
	for (size_t i = 0; i < json_array_size(value); i++) {
		if (check_value(type->of, json_array_get(value, i), path) == 0)
			continue;
		snprintf(index, sizeof(index), "[%zu]", i);
		path_prepend(path, index);
		return -EINVAL;
	}
	return 0;
}

static int check_map(const struct lg_vtype *type, const json_t *value, char *path)
{
	json_t *obj = iterable(value);

	if (!json_is_object(value))
		return -EINVAL;
	for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it)) {
		if (check_value(type->of, json_object_iter_value(it), path) == 0)
			continue;
		path_prepend(path, json_object_iter_key(it));
		return -EINVAL;
	}
	return 0;
}

static int check_enum(const struct lg_vtype *type, const json_t *value)
{
	const char *text = json_string_value(value);

	return text && field_named(type, text) ? 0 : -EINVAL;
}

static int check_value(const struct lg_vtype *type, const json_t *value, char *path)
{
	if (!value || json_is_null(value))
		return type->optional ? 0 : -EINVAL;
	switch (type->kind) {
	case LG_VT_BOOL:
		return json_is_boolean(value) ? 0 : -EINVAL;
	case LG_VT_INT:
		return json_is_integer(value) ? 0 : -EINVAL;
	case LG_VT_FLOAT:
		return json_is_number(value) ? 0 : -EINVAL;
	case LG_VT_STRING:
		return json_is_string(value) ? 0 : -EINVAL;
	case LG_VT_OBJECT:
		return json_is_object(value) ? 0 : -EINVAL;
	case LG_VT_ENUM:
		return check_enum(type, value);
	case LG_VT_STRUCT:
		return check_struct(type, value, path);
	case LG_VT_NAMED:
		return check_value(type->of, value, path);
	case LG_VT_ARRAY:
		return check_array(type, value, path);
	case LG_VT_MAP:
		return check_map(type, value, path);
	}
	return -EINVAL;
}

int lg_vtype_check(const struct lg_vtype *type, const json_t *value, char path[LG_VPATH_MAX])
{
	memset(path, 0, LG_VPATH_MAX);
	return check_value(type, value, path);
}
