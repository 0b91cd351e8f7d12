/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the console's last line is, and whether the guest's kernel panicked. */

#include <stdio.h>
#include <string.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/console.h"

#define LINE 160u

static const char panic_words[] = "Kernel panic - not syncing";
static char line[LINE], last[LINE];	/* being written; the last one that says something */
static size_t len;

static void end_line(void)
{
	line[len] = '\0';
	/* What comes behind a panic does not say why. */
	if (vm.panicked) {
		len = 0;
		return;
	}
	if (strstr(line, panic_words))
		vm.panicked = true;
	if (len > 0)
		memcpy(last, line, len + 1);
	len = 0;
}

/* What terminals would take for an order is left out. */
static void watch(const char *text, size_t n)
{
	if (!*vm.stage && vm.phase == PHASE_MADE && vm.cont)
		start_stage("kernel");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n')
			end_line();
		else if (c >= ' ' && c < 127 && len < sizeof(line) - 1)
			line[len++] = (char)c;
	}
}

void progress_init(void)
{
	lg_console_watch(watch);
}

void progress_describe(char *text, size_t size)
{
	int n;

	if (!*vm.stage) {
		snprintf(text, size, "its kernel was started and said nothing");
		return;
	}
	end_line();
	n = snprintf(text, size, "it came as far as '%s'", vm.stage);
	if (*last && n > 0 && (size_t)n < size)
		snprintf(text + n, size - (size_t)n, ", and its console's last line is '%s'", last);
}
