/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_TEXT_H
#define LG_CMD_LODGE_TEXT_H

/* Text for people: what was meant, what may be shown, how long something took. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Looks for the known word that is nearest to the one that was typed. */
struct suggest {
	const char *typed;
	const char *best;	/* NULL: nothing is near enough */
	unsigned int distance;
};

void suggest_init(struct suggest *s, const char *typed);
void suggest_offer(struct suggest *s, const char *known);

/**
 * text_distance() - how many letters are to be changed, added, left out or swapped with their
 * neighbour to make @b of @a; UINT_MAX for words too long to be compared
 */
unsigned int text_distance(const char *a, const char *b);

/**
 * text_safe() - replace, in place, what could steer a terminal by '?'
 *
 * Names, descriptions and messages may come from inside a container. Control characters (those of
 * Unicode, too) go; printable UTF-8 stays. Return: @text.
 */
char *text_safe(char *text);

/** text_width() - columns that @text takes, one for each UTF-8 character. */
size_t text_width(const char *text);

/** text_span() - bytes of the first @wide columns of @text. */
size_t text_span(const char *text, size_t wide);

/** text_uptime() - "5d 03h", "3h 12m", "12m 05s", "42s". @buf: 24 bytes. */
void text_uptime(uint64_t seconds, char buf[24]);

/** text_time() - local date and time of @seconds since the epoch. @buf: 24 bytes. */
void text_time(int64_t seconds, char buf[24]);

/**
 * text_wrap() - print @text in lines of at most 80 columns
 * @at:		column that is already reached
 * @indent:	column where further lines start
 *
 * Ends with a new line. A new line in @text is one in the output.
 */
void text_wrap(FILE *f, size_t at, size_t indent, const char *text);

#endif
