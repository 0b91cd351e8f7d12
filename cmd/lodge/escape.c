/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/escape.h"

#define ESC 0x1b

size_t escape_filter(struct escape *e, const char *in, size_t len, char *out, bool *detach)
{
	size_t n = 0;

	*detach = false;
	for (size_t i = 0; i < len; i++) {
		char c = in[i];

		if (c == DETACH_KEY || (e->held && c == '.')) {
			*detach = true;
			e->held = false;
			return n;
		}
		if (e->held)
			out[n++] = ESC;
		e->held = false;
		if (c == ESC && !e->mid_line) {
			e->held = true;
			continue;
		}
		out[n++] = c;
		e->mid_line = c != '\r' && c != '\n';
	}
	return n;
}
