/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_VARLINK_IDL_H
#define LG_LIB_VARLINK_IDL_H

/*
 * The text of an interface, parsed: what is published is what the server checks calls against.
 *
 *   interface = "interface" NAME { "type" Name (struct | enum) | "error" Name struct
 *             | "method" Name struct "->" struct }
 *   struct    = "(" [ field ":" type { "," field ":" type } ] ")"
 *   enum      = "(" field { "," field } ")"
 *   type      = [ "?" ] ( "bool" | "int" | "float" | "string" | "object" | Name | struct | enum
 *             | "[]" type | "[string]" type )
 * with "#" comments to the end of the line.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

#define LG_VIDL_MAX (64u * 1024u)	/* bytes of a description */
#define LG_VIDL_DEPTH 16u		/* types within types */

enum lg_vtype_kind {
	LG_VT_BOOL,
	LG_VT_INT,
	LG_VT_FLOAT,
	LG_VT_STRING,
	LG_VT_OBJECT,	/* anything that is a JSON object */
	LG_VT_ENUM,
	LG_VT_STRUCT,
	LG_VT_NAMED,
	LG_VT_ARRAY,
	LG_VT_MAP,
};

struct lg_vfield;

struct lg_vtype {
	enum lg_vtype_kind kind;
	bool optional;			/* may be missing or null */
	const char *name;		/* of LG_VT_NAMED */
	struct lg_vtype *of;		/* NAMED: what it stands for; ARRAY, MAP: the elements */
	struct lg_vfield *fields;	/* STRUCT; ENUM: names only */
};

struct lg_vfield {
	const char *name;
	struct lg_vtype *type;		/* NULL in an enum */
	struct lg_vfield *next;
};

enum lg_vmember_kind { LG_VM_TYPE, LG_VM_METHOD, LG_VM_ERROR };

struct lg_vmember {
	enum lg_vmember_kind kind;
	const char *name;		/* without the interface's */
	struct lg_vtype *in;		/* TYPE: itself; METHOD: parameters; ERROR: fields */
	struct lg_vtype *out;		/* METHOD: of the answer */
	struct lg_vmember *next;
};

struct lg_vidl {
	const char *name;		/* "io.lodge" */
	struct lg_vmember *members;
	void *memory;			/* all of the above */
};

/**
 * lg_vidl_parse() - read the description @text of @len bytes
 *
 * Return: 0 and *@ret the caller's; -EINVAL with "line N: why"; -E2BIG; -ENOMEM.
 */
int lg_vidl_parse(const char *text, size_t len, struct lg_vidl **ret, struct lg_err *err);
void lg_vidl_free(struct lg_vidl *idl);

/** lg_vidl_find() - the member of this kind and name; NULL. */
const struct lg_vmember *lg_vidl_find(const struct lg_vidl *idl, enum lg_vmember_kind kind,
				      const char *name);

#define LG_VPATH_MAX 160

/**
 * lg_vtype_check() - does @value fit the struct @type?
 * @path:	on failure the parameter that does not: "set", "instances[2].kind"; a name of the peer's
 *		own is cut to fit
 *
 * Return: 0; -EINVAL for one that is missing, unknown or of another type.
 */
int lg_vtype_check(const struct lg_vtype *type, const json_t *value, char path[LG_VPATH_MAX]);

#endif
