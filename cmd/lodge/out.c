/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/lodge/cli.h"
#include "cmd/lodge/text.h"
#include "lib/cleanup.h"
#include "lib/json.h"

void out_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
	fputc('\n', stdout);
}

void out_line(const struct cli *cli, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (cli->quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	puts(text_safe(text));
}

void out_warn(const struct cli *cli, const char *text)
{
	char safe[600];
	bool colour = out_colour(STDERR_FILENO);

	snprintf(safe, sizeof(safe), "%s", text);
	fflush(stdout);
	fprintf(stderr, "%s: %swarning:%s %s\n", cli->who, colour ? "\033[33m" : "",
		colour ? "\033[0m" : "", text_safe(safe));
}

void out_warnings(const struct cli *cli, const json_t *texts)
{
	for (size_t i = 0; i < json_array_size(texts); i++) {
		const char *text = json_string_value(json_array_get(texts, i));

		if (text)
			out_warn(cli, text);
	}
}

bool out_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term;

	if ((no && *no) || !isatty(fd))
		return false;
	term = getenv("TERM");
	return term && *term && strcmp(term, "dumb") != 0;
}

size_t out_width(void)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_col == 0)
		return 0;
	return ws.ws_col;
}

bool out_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *v = getenv(names[i]);

		if (v && *v)
			return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
	}
	return false;
}

const char *out_label(const json_t *instance, char buf[LABEL_MAX])
{
	const char *name = lg_json_str(instance, "name");
	long long ctid = (long long)lg_json_int(instance, "ctid", 0);

	if (name)
		snprintf(buf, LABEL_MAX, "%lld (%s)", ctid, name);
	else
		snprintf(buf, LABEL_MAX, "%lld", ctid);
	return buf;
}

void out_addresses(const json_t *instance, char *buf, size_t size)
{
	const json_t *list = json_object_get(instance, "addresses");
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < json_array_size(list) && at < size; i++) {
		const char *a = json_string_value(json_array_get(list, i));
		int n = a ? snprintf(buf + at, size - at, "%s%s", at ? " " : "", a) : 0;

		if (n > 0)
			at += (size_t)n;
	}
}
