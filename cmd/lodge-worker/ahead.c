/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Memory is copied ahead: a round is asked of lodged, which has CRIU write what was written to since the round before, and sent
 * while the next one waits (ct/ahead.h says how often). Where that fails all of it follows with the dump, as if there were no rounds.
 */

#include <stdio.h>
#include <string.h>

#include "cmd/lodge-worker/move.h"
#include "ct/migrate.h"
#include "lib/cleanup.h"
#include "lib/varlink.h"

void move_goes_without(struct move *m, const char *why)
{
	char line[700];

	snprintf(line, sizeof(line), "its memory is not copied ahead, but while it stands still: %s", why);
	printf("P %s\n", line);
	json_array_append_new(m->notes, lg_varlink_text(line));
	m->ahead.rounds = 0;
}

static int send_round(struct move *m, int folder, unsigned int n, struct lg_err *err)
{
	int r = wire_ask(&m->ssh.wire, json_pack("{s:s, s:i}", "op", "round", "round", (int)n), NULL, err);

	if (r == 0)
		r = move_folder(m, folder, n, err);
	return r < 0 ? r : wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "done"), NULL, err);
}

/* Return: 1: there is another one now; 0: there is no more to come. */
static int make_round(struct move *m, struct lg_err *err)
{
	unsigned int n = m->ahead.rounds + 1;
	lg_autoclose int folder = -1;
	uint64_t start = move_now_us(), sending;
	struct lg_err why = { 0 };
	char name[24];
	int r;

	m->stage_bytes = 0;
	snprintf(name, sizeof(name), "round %u", n);
	wait_at(name);
	printf("P copying memory, round %u\n", n);
	if (move_ask(m, LG_M_AHEAD, &folder, &why) < 0) {
		move_goes_without(m, why.msg);
		return 0;
	}
	sending = move_now_us();
	r = send_round(m, folder, n, err);
	if (r < 0)
		return r;
	printf("P copying memory, round %u: %.1f MiB\n", n, (double)m->stage_bytes / (1 << 20));
	move_note(m, name, start);
	lg_ahead_took(&m->ahead, m->stage_bytes, move_now_us() - sending);
	return 1;
}

int move_ahead(struct move *m, struct lg_err *err)
{
	int r = m->live;

	if (m->vm)
		return m->live ? move_stream(m, err) : 0;
	while (r == 1 && lg_ahead_more(&m->ahead))
		r = make_round(m, err);
	return r < 0 ? r : 0;
}
