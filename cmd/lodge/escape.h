/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_ESCAPE_H
#define LG_CMD_LODGE_ESCAPE_H

/*
 * The keys that leave a console: Ctrl-] anywhere, and vzctl's Esc and then '.' at the beginning of
 * a line. An Esc there is held back until the next key shows what it was. Sequences that begin with
 * Esc (arrow keys, and what a terminal answers to a guest's shell that asks where the cursor is)
 * are not typed text: the line has not begun with them.
 */

#include <stdbool.h>
#include <stddef.h>

#define DETACH_KEY 0x1d		/* Ctrl-] */

struct escape {
	bool mid_line;		/* something was typed since the last Return */
	enum {
		ESCAPE_NONE,
		ESCAPE_HELD,	/* an Esc waits for the next key */
		ESCAPE_CSI,	/* behind "Esc [", up to a letter */
		ESCAPE_SS3,	/* behind "Esc O": one more */
	} state;
};

/**
 * escape_filter() - what of @in is for the guest
 * @out:	room for @len + 1 bytes
 * @detach:	set when a detach key was among them; what came before it is in @out
 *
 * Return: bytes in @out.
 */
size_t escape_filter(struct escape *e, const char *in, size_t len, char *out, bool *detach);

#endif
