/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"

struct line {
	char *key;	/* NULL: a comment, a blank, or something we do not understand */
	char *value;	/* unquoted */
	char *text;	/* as it stood in the file; NULL once the value was changed */
};

struct lg_conf {
	struct line *lines;
	size_t n, room;
};

static void line_clear(struct line *line)
{
	free(line->key);
	free(line->value);
	free(line->text);
	memset(line, 0, sizeof(*line));
}

struct lg_conf *lg_conf_new(void)
{
	return calloc(1, sizeof(struct lg_conf));
}

void lg_conf_free(struct lg_conf *conf)
{
	if (!conf)
		return;
	for (size_t i = 0; i < conf->n; i++)
		line_clear(&conf->lines[i]);
	free(conf->lines);
	free(conf);
}

/* Takes over what @line points to, also on failure. */
static int append(struct lg_conf *conf, struct line *line)
{
	if (conf->n == conf->room) {
		size_t room = conf->room ? conf->room * 2 : 16;
		struct line *bigger = reallocarray(conf->lines, room, sizeof(*bigger));

		if (!bigger) {
			line_clear(line);
			return -ENOMEM;
		}
		conf->lines = bigger;
		conf->room = room;
	}
	conf->lines[conf->n++] = *line;
	return 0;
}

static size_t key_length(const char *p, const char *end)
{
	const char *start = p;

	if (p < end && (isalpha((unsigned char)*p) || *p == '_'))
		while (p < end && (isalnum((unsigned char)*p) || *p == '_'))
			p++;
	return (size_t)(p - start);
}

/*
 * The value as sh would see it: double quotes with backslash escapes, single quotes, or a bare word
 * up to a blank. Returns -EINVAL for a quote that does not end.
 */
static int unquote(const char *p, const char *end, char *out)
{
	while (p < end && !isspace((unsigned char)*p)) {
		char quote = *p == '"' || *p == '\'' ? *p++ : '\0';

		for (; p < end && (quote ? *p != quote : !isspace((unsigned char)*p)); p++) {
			if (*p == '\\' && quote != '\'' && p + 1 < end &&
			    (!quote || strchr("\"\\$`", p[1])))
				p++;
			else if (!quote && (*p == '"' || *p == '\''))
				break;
			*out++ = *p;
		}
		if (quote && p == end)
			return -EINVAL;
		if (quote)
			p++;
	}
	*out = '\0';
	return 0;
}

static int parse_line(struct lg_conf *conf, const char *p, const char *end)
{
	struct line line = { .text = strndup(p, (size_t)(end - p)) };
	const char *start = p;
	size_t keylen;
	int r = 0;

	if (!line.text)
		return -ENOMEM;
	while (start < end && isblank((unsigned char)*start))
		start++;
	keylen = key_length(start, end);
	if (keylen > 0 && start + keylen < end && start[keylen] == '=') {
		line.key = strndup(start, keylen);
		line.value = malloc((size_t)(end - start));
		if (!line.key || !line.value)
			r = -ENOMEM;
		else
			r = unquote(start + keylen + 1, end, line.value);
	}
	if (r < 0) {
		line_clear(&line);
		return r;
	}
	return append(conf, &line);
}

static int parse_lines(struct lg_conf *conf, const char *text, size_t len, struct lg_err *err)
{
	const char *p = text, *end = text + len;

	for (unsigned int nr = 1; p < end; nr++) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		int r = parse_line(conf, p, eol ? eol : end);

		if (r == -EINVAL)
			return lg_refuse(err, r, LG_EXIT_BAD_CONF,
					 "line %u: a quote does not end", nr);
		if (r < 0)
			return lg_fail(err, r, "line %u", nr);
		p = eol ? eol + 1 : end;
	}
	return 0;
}

int lg_conf_parse(const char *text, size_t len, struct lg_conf **ret, struct lg_err *err)
{
	struct lg_conf *conf;
	int r;

	if (len > LG_CONF_MAX)
		return lg_refuse(err, -E2BIG, LG_EXIT_BAD_CONF, "larger than %u bytes", LG_CONF_MAX);
	if (memchr(text, '\0', len))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF, "a NUL byte is in it");
	conf = lg_conf_new();
	if (!conf)
		return lg_fail(err, -ENOMEM, "read configuration");
	r = parse_lines(conf, text, len, err);
	if (r < 0) {
		lg_conf_free(conf);
		return r;
	}
	*ret = conf;
	return 0;
}

int lg_conf_load(int dirfd, const char *name, struct lg_conf **ret, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	size_t len = 0;
	int r = lg_file_read(dirfd, name, LG_CONF_MAX, &text, &len, err);

	if (r < 0)
		return r;
	r = lg_conf_parse(text, len, ret, err);
	return r < 0 ? lg_within(err, r, "%s", name) : 0;
}

static void write_quoted(FILE *f, const char *key, const char *value)
{
	fprintf(f, "%s=\"", key);
	for (; *value; value++) {
		if (strchr("\"\\$`", *value))
			fputc('\\', f);
		fputc(*value, f);
	}
	fputs("\"\n", f);
}

char *lg_conf_format(const struct lg_conf *conf)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (size_t i = 0; i < conf->n; i++) {
		const struct line *line = &conf->lines[i];

		if (line->text)
			fprintf(f, "%s\n", line->text);
		else
			write_quoted(f, line->key, line->value);
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

int lg_conf_save(const struct lg_conf *conf, int dirfd, const char *name, struct lg_err *err)
{
	lg_autofree char *text = lg_conf_format(conf);

	if (!text)
		return lg_fail(err, -ENOMEM, "write '%s'", name);
	return lg_file_replace(dirfd, name, text, strlen(text), 0644, err);
}

struct lg_conf *lg_conf_copy(const struct lg_conf *conf)
{
	lg_autofree char *text = lg_conf_format(conf);
	struct lg_conf *copy = NULL;

	if (text)
		lg_conf_parse(text, strlen(text), &copy, NULL);
	return copy;
}

static struct line *find(const struct lg_conf *conf, const char *key)
{
	for (size_t i = conf->n; i-- > 0;)
		if (conf->lines[i].key && strcmp(conf->lines[i].key, key) == 0)
			return &conf->lines[i];
	return NULL;
}

const char *lg_conf_get(const struct lg_conf *conf, const char *key)
{
	const struct line *line = find(conf, key);

	return line ? line->value : NULL;
}

static void remove_key(struct lg_conf *conf, const char *key)
{
	struct line *line;

	while ((line = find(conf, key))) {
		size_t i = (size_t)(line - conf->lines);

		line_clear(line);
		memmove(line, line + 1, (conf->n - i - 1) * sizeof(*line));
		conf->n--;
	}
}

int lg_conf_set(struct lg_conf *conf, const char *key, const char *value, struct lg_err *err)
{
	struct line *old, line = { 0 };
	size_t len = strlen(key);

	if (len == 0 || key_length(key, key + len) != len)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF, "'%.80s' cannot be a key", key);
	if (!value) {
		remove_key(conf, key);
		return 0;
	}
	if (strpbrk(value, "\n\r"))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "the value of %s may not hold a line break", key);
	old = find(conf, key);
	if (old && strcmp(old->value, value) == 0)
		return 0;
	line.key = strdup(key);
	line.value = strdup(value);
	if (!line.key || !line.value) {
		line_clear(&line);
		return lg_fail(err, -ENOMEM, "set %s", key);
	}
	if (old) {
		line_clear(old);
		*old = line;
		return 0;
	}
	return append(conf, &line);
}

int lg_conf_each(const struct lg_conf *conf,
		 int (*fn)(const char *key, const char *value, void *arg), void *arg)
{
	for (size_t i = 0; i < conf->n; i++) {
		const struct line *line = &conf->lines[i];
		int r;

		if (!line->key || find(conf, line->key) != line)
			continue;
		r = fn(line->key, line->value, arg);
		if (r != 0)
			return r;
	}
	return 0;
}
