/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A description, and behind a NUL a value that is held against every method in it. */

#include "lib/varlink_idl.h"
#include "tests/fuzz/fuzz.h"

static void check_value(const struct lg_vidl *idl, const char *text, size_t len)
{
	json_t *value = json_loadb(text, len, 0, NULL), *name;
	char path[LG_VPATH_MAX];

	for (const struct lg_vmember *m = value ? idl->members : NULL; m; m = m->next) {
		memset(path, 'x', sizeof(path));
		if (lg_vtype_check(m->in, value, path) == 0)
			promise(path[0] == '\0', "what fits has no path");
		promise(memchr(path, '\0', sizeof(path)) != NULL, "a path ends");
		name = json_string(path);
		promise(name != NULL, "a path is UTF-8");
		json_decref(name);
	}
	json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *nul = size > 0 ? memchr(text, '\0', size) : NULL;
	size_t len = nul ? (size_t)(nul - text) : size;
	struct lg_vidl *idl = NULL;
	struct lg_err err = { 0 };

	if (lg_vidl_parse(text, len, &idl, &err) < 0) {
		promise(err.code < 0 && err.msg[0] && !idl, "a refusal has a reason");
		return 0;
	}
	for (const struct lg_vmember *m = idl->members; m; m = m->next)
		promise(lg_vidl_find(idl, m->kind, m->name) == m, "a member is found by its name");
	if (nul)
		check_value(idl, nul + 1, size - len - 1);
	lg_vidl_free(idl);
	return 0;
}
