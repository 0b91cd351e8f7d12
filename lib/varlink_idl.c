/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/varlink_idl.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

/* Everything parsed hangs on one chain, so that nothing is lost wherever the parser stops. */
struct chunk {
	struct chunk *next;
	_Alignas(max_align_t) char data[];
};

struct parser {
	const char *p, *end;
	unsigned int line;
	struct lg_vidl *idl;
	struct lg_err *err;
};

struct word {
	const char *text;
	size_t len;
};

static void *take_memory(struct parser *ps, size_t size)
{
	struct chunk *c = calloc(1, sizeof(*c) + size);

	if (!c) {
		lg_fail(ps->err, -ENOMEM, "read interface");
		return NULL;
	}
	c->next = ps->idl->memory;
	ps->idl->memory = c;
	return c->data;
}

static char *keep_word(struct parser *ps, struct word w)
{
	char *text = take_memory(ps, w.len + 1);

	if (text)
		memcpy(text, w.text, w.len);
	return text;
}

__attribute__((format(printf, 2, 3)))
static int wrong(struct parser *ps, const char *fmt, ...)
{
	char why[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return lg_refuse(ps->err, -EINVAL, 0, "line %u: %s", ps->line, why);
}

static void skip_blanks(struct parser *ps)
{
	for (; ps->p < ps->end; ps->p++) {
		if (*ps->p == '#')
			while (ps->p + 1 < ps->end && ps->p[1] != '\n')
				ps->p++;
		else if (*ps->p == '\n')
			ps->line++;
		else if (!isspace((unsigned char)*ps->p))
			break;
	}
}

/* Is @token next? Then step over it. */
static bool accept(struct parser *ps, const char *token)
{
	size_t len = strlen(token);

	skip_blanks(ps);
	if ((size_t)(ps->end - ps->p) < len || memcmp(ps->p, token, len) != 0)
		return false;
	ps->p += len;
	return true;
}

static int expect(struct parser *ps, const char *token)
{
	if (accept(ps, token))
		return 0;
	if (ps->p == ps->end)
		return wrong(ps, "'%s' expected, the text ends", token);
	return wrong(ps, "'%s' expected before '%c'", token,
		     isprint((unsigned char)*ps->p) ? *ps->p : '?');
}

/* Letters and digits, and what @extra allows between them. */
static struct word read_word(struct parser *ps, const char *extra)
{
	struct word w;

	skip_blanks(ps);
	w.text = ps->p;
	while (ps->p < ps->end && *ps->p &&
	       (isalnum((unsigned char)*ps->p) || strchr(extra, *ps->p)))
		ps->p++;
	w.len = (size_t)(ps->p - w.text);
	return w;
}

static bool word_is(struct word w, const char *text)
{
	return w.len == strlen(text) && memcmp(w.text, text, w.len) == 0;
}

/* Starts with a letter, ends with a letter or digit, never two of @extra in a row. */
static bool well_formed(struct word w, const char *extra)
{
	if (w.len == 0 || !isalpha((unsigned char)w.text[0]) ||
	    strchr(extra, w.text[w.len - 1]))
		return false;
	for (size_t i = 1; i < w.len; i++)
		if (strchr(extra, w.text[i]) && strchr(extra, w.text[i - 1]))
			return false;
	return true;
}

static int read_interface_name(struct parser *ps, const char **ret)
{
	struct word w = read_word(ps, "-.");

	if (!well_formed(w, "-.") || !memchr(w.text, '.', w.len))
		return wrong(ps, "an interface's name (like io.lodge) expected");
	*ret = keep_word(ps, w);
	return *ret ? 0 : -ENOMEM;
}

static int read_member_name(struct parser *ps, const char **ret)
{
	struct word w = read_word(ps, "");

	if (w.len == 0 || !isupper((unsigned char)w.text[0]))
		return wrong(ps, "a name with a capital letter first expected");
	*ret = keep_word(ps, w);
	return *ret ? 0 : -ENOMEM;
}

static int read_field_name(struct parser *ps, const char **ret)
{
	struct word w = read_word(ps, "_");

	if (!well_formed(w, "_"))
		return wrong(ps, "a field's name expected");
	*ret = keep_word(ps, w);
	return *ret ? 0 : -ENOMEM;
}

static const struct lg_vfield *find_field(const struct lg_vfield *fields, const char *name)
{
	while (fields && strcmp(fields->name, name) != 0)
		fields = fields->next;
	return fields;
}

static int read_type(struct parser *ps, unsigned int depth, struct lg_vtype **ret);

/* One field of a struct, or one word of an enum. */
static int read_field(struct parser *ps, unsigned int depth, enum lg_vtype_kind kind,
		      struct lg_vtype *type, struct lg_vfield ***tail)
{
	struct lg_vfield *f = take_memory(ps, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	r = read_field_name(ps, &f->name);
	if (r < 0)
		return r;
	if (find_field(type->fields, f->name))
		return wrong(ps, "'%.60s' is there twice", f->name);
	if (kind == LG_VT_STRUCT) {
		r = expect(ps, ":");
		if (r == 0)
			r = read_type(ps, depth + 1, &f->type);
		if (r < 0)
			return r;
	}
	**tail = f;
	*tail = &f->next;
	return 0;
}

/* After the "(": a word and ":" make it a struct, a word and anything else an enum. */
static enum lg_vtype_kind look_ahead(const struct parser *ps)
{
	struct parser copy = *ps;

	if (accept(&copy, ")"))
		return LG_VT_STRUCT;
	read_word(&copy, "_");
	return accept(&copy, ":") ? LG_VT_STRUCT : LG_VT_ENUM;
}

static int read_fields(struct parser *ps, unsigned int depth, struct lg_vtype *type)
{
	struct lg_vfield *first = NULL, **tail = &first;
	int r;

	type->kind = look_ahead(ps);
	if (accept(ps, ")"))
		return 0;
	do {
		r = read_field(ps, depth, type->kind, type, &tail);
		if (r < 0)
			return r;
		type->fields = first;
	} while (accept(ps, ","));
	return expect(ps, ")");
}

static int read_simple_type(struct parser *ps, struct lg_vtype *type)
{
	static const struct {
		const char *word;
		enum lg_vtype_kind kind;
	} simple[] = {
		{ "bool", LG_VT_BOOL },	    { "int", LG_VT_INT },	{ "float", LG_VT_FLOAT },
		{ "string", LG_VT_STRING }, { "object", LG_VT_OBJECT },
	};
	struct parser before = *ps;
	struct word w = read_word(ps, "");

	for (size_t i = 0; i < ARRAY_SIZE(simple); i++)
		if (word_is(w, simple[i].word)) {
			type->kind = simple[i].kind;
			return 0;
		}
	if (w.len == 0 || !isupper((unsigned char)w.text[0]))
		return wrong(ps, "a type expected, not '%.*s'", (int)(w.len < 60 ? w.len : 60),
			     w.text);
	ps->p = before.p;
	ps->line = before.line;
	type->kind = LG_VT_NAMED;
	return read_member_name(ps, &type->name);
}

static int read_type(struct parser *ps, unsigned int depth, struct lg_vtype **ret)
{
	struct lg_vtype *type = take_memory(ps, sizeof(*type));

	if (!type)
		return -ENOMEM;
	*ret = type;
	if (depth > LG_VIDL_DEPTH)
		return wrong(ps, "types lie within each other more than %u deep", LG_VIDL_DEPTH);
	type->optional = accept(ps, "?");
	if (accept(ps, "[")) {
		type->kind = accept(ps, "string") ? LG_VT_MAP : LG_VT_ARRAY;
		return expect(ps, "]") < 0 ? -EINVAL : read_type(ps, depth + 1, &type->of);
	}
	if (accept(ps, "("))
		return read_fields(ps, depth, type);
	return read_simple_type(ps, type);
}

static int read_struct(struct parser *ps, struct lg_vtype **ret)
{
	struct lg_vtype *type = take_memory(ps, sizeof(*type));
	int r;

	if (!type)
		return -ENOMEM;
	r = expect(ps, "(");
	if (r == 0)
		r = read_fields(ps, 1, type);
	if (r < 0)
		return r;
	*ret = type;
	return 0;
}

static int read_body(struct parser *ps, struct lg_vmember *m)
{
	int r = read_struct(ps, &m->in);

	if (r < 0)
		return r;
	if (m->kind != LG_VM_TYPE && m->in->kind != LG_VT_STRUCT)
		return wrong(ps, "%.60s: fields with types expected", m->name);
	if (m->kind != LG_VM_METHOD)
		return 0;
	r = expect(ps, "->");
	if (r == 0)
		r = read_struct(ps, &m->out);
	if (r == 0 && m->out->kind != LG_VT_STRUCT)
		r = wrong(ps, "%.60s: fields with types expected", m->name);
	return r;
}

static int read_member(struct parser *ps, struct lg_vmember ***tail)
{
	static const char *const kinds[] = {
		[LG_VM_TYPE] = "type", [LG_VM_METHOD] = "method", [LG_VM_ERROR] = "error",
	};
	struct word w = read_word(ps, "");
	struct lg_vmember *m;
	size_t kind = 0;
	int r;

	while (kind < ARRAY_SIZE(kinds) && !word_is(w, kinds[kind]))
		kind++;
	if (kind == ARRAY_SIZE(kinds))
		return wrong(ps, "'type', 'method' or 'error' expected");
	m = take_memory(ps, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->kind = (enum lg_vmember_kind)kind;
	r = read_member_name(ps, &m->name);
	if (r < 0)
		return r;
	for (const struct lg_vmember *o = ps->idl->members; o; o = o->next)
		if (strcmp(o->name, m->name) == 0)
			return wrong(ps, "'%.60s' is there twice", m->name);
	r = read_body(ps, m);
	if (r < 0)
		return r;
	**tail = m;
	*tail = &m->next;
	return 0;
}

static int read_interface(struct parser *ps)
{
	struct lg_vmember *first = NULL, **tail = &first;
	int r;

	if (!word_is(read_word(ps, ""), "interface"))
		return wrong(ps, "'interface' expected first");
	r = read_interface_name(ps, &ps->idl->name);
	for (skip_blanks(ps); r == 0 && ps->p < ps->end; skip_blanks(ps)) {
		r = read_member(ps, &tail);
		ps->idl->members = first;
	}
	return r;
}

/* Names of types may be used above their definition, so they are looked up when all is read. */
static int resolve(struct lg_vidl *idl, struct lg_vtype *type, struct lg_err *err)
{
	const struct lg_vmember *m;
	int r = 0;

	if (!type)
		return 0;
	if (type->kind == LG_VT_NAMED) {
		m = lg_vidl_find(idl, LG_VM_TYPE, type->name);
		if (!m)
			return lg_refuse(err, -EINVAL, 0, "there is no type '%.60s'", type->name);
		type->of = m->in;
		return 0;
	}
	for (struct lg_vfield *f = type->fields; r == 0 && f; f = f->next)
		r = resolve(idl, f->type, err);
	return r < 0 ? r : resolve(idl, type->of, err);
}

static int resolve_all(struct lg_vidl *idl, struct lg_err *err)
{
	int r = 0;

	for (struct lg_vmember *m = idl->members; r == 0 && m; m = m->next) {
		r = resolve(idl, m->in, err);
		if (r == 0)
			r = resolve(idl, m->out, err);
		if (r < 0)
			return lg_within(err, r, "%.60s", m->name);
	}
	return 0;
}

int lg_vidl_parse(const char *text, size_t len, struct lg_vidl **ret, struct lg_err *err)
{
	struct parser ps = { .p = text, .end = text + len, .line = 1, .err = err };
	int r;

	if (len > LG_VIDL_MAX)
		return lg_refuse(err, -E2BIG, 0, "the interface is larger than %u bytes",
				 LG_VIDL_MAX);
	ps.idl = calloc(1, sizeof(*ps.idl));
	if (!ps.idl)
		return lg_fail(err, -ENOMEM, "read interface");
	r = read_interface(&ps);
	if (r == 0)
		r = resolve_all(ps.idl, err);
	if (r < 0) {
		lg_vidl_free(ps.idl);
		return r;
	}
	*ret = ps.idl;
	return 0;
}

void lg_vidl_free(struct lg_vidl *idl)
{
	struct chunk *c, *next;

	if (!idl)
		return;
	for (c = idl->memory; c; c = next) {
		next = c->next;
		free(c);
	}
	free(idl);
}

const struct lg_vmember *lg_vidl_find(const struct lg_vidl *idl, enum lg_vmember_kind kind,
				      const char *name)
{
	const struct lg_vmember *m = idl->members;

	while (m && (m->kind != kind || strcmp(m->name, name) != 0))
		m = m->next;
	return m;
}
