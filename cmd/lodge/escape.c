/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/escape.h"

#define ESC 0x1b

/* What @c makes of the state, when it is not held back and leaves nothing. */
static void follow(struct escape *e, char c)
{
	switch (e->state) {
	case ESCAPE_HELD:
		e->state = c == '[' ? ESCAPE_CSI : c == 'O' ? ESCAPE_SS3 : ESCAPE_NONE;
		if (e->state != ESCAPE_NONE)
			return;
		break;
	case ESCAPE_CSI:
		if (c >= '@' && c <= '~')
			e->state = ESCAPE_NONE;
		return;
	case ESCAPE_SS3:
		e->state = ESCAPE_NONE;
		return;
	case ESCAPE_NONE:
		break;
	}
	e->mid_line = c != '\r' && c != '\n';
}

size_t escape_filter(struct escape *e, const char *in, size_t len, char *out, bool *detach)
{
	size_t n = 0;

	*detach = false;
	for (size_t i = 0; i < len; i++) {
		char c = in[i];

		if (c == DETACH_KEY || (e->state == ESCAPE_HELD && c == '.')) {
			*detach = true;
			e->state = ESCAPE_NONE;
			return n;
		}
		if (e->state == ESCAPE_HELD)
			out[n++] = ESC;
		if (c == ESC && !e->mid_line) {
			e->state = ESCAPE_HELD;
			continue;
		}
		follow(e, c);
		out[n++] = c;
	}
	return n;
}
