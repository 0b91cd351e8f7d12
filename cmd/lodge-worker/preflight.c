/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Before a move: both lodges say what their hosts are, ours what the container needs, one table compares them (ct/facts.h); and of a
 * container that is to move while it runs, what in it cannot be checkpointed. Nothing is changed anywhere.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodge-worker/job.h"
#include "cmd/lodge-worker/move.h"
#include "ct/facts.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/varlink.h"

static int ask_here(const char *socket, const char *method, json_t *params, json_t **ret, struct lg_err *err)
{
	struct lg_vclient *client = NULL;
	int r = lg_vclient_connect(socket, &client, err);

	if (r < 0) {
		json_decref(params);
		return r;
	}
	r = lg_vclient_call(client, method, params, ret, err);
	lg_vclient_free(client);
	return r;
}

/* "WHAT IT IS: what to do", onto the list. */
static void add(json_t *list, const char *text, const char *remedy)
{
	char line[700];

	snprintf(line, sizeof(line), "%s%s%s", text ? text : "", remedy && *remedy ? ": " : "",
		 remedy ? remedy : "");
	json_array_append_new(list, lg_varlink_text(line));
}

static int compare(const json_t *source, const json_t *target, const json_t *needs, json_t *blockers,
		   json_t *notes, struct lg_err *err)
{
	lg_autojson json_t *found = NULL;
	json_t *item;
	size_t i;
	int r = lg_facts_compare(source, target, needs, &found, err);

	if (r < 0)
		return r;
	json_array_foreach(found, i, item) {
		const char *level = lg_json_str(item, "level");

		add(level && strcmp(level, "blocker") == 0 ? blockers : notes, lg_json_str(item, "why"),
		    lg_json_str(item, "remedy"));
	}
	return 0;
}

/* "process 87 (nginx of nginx.service)", as it is called here */
static void who(const json_t *item, char *buf, size_t size)
{
	const char *process = lg_json_str(item, "process"), *unit = lg_json_str(item, "unit");

	if (process)
		snprintf(buf, size, "process %" PRId64 " (%s%s%s)", lg_json_int(item, "pid", 0), process,
			 unit ? " of " : "", unit ? unit : "");
	else
		snprintf(buf, size, "the container");
}

static void add_found(json_t *list, const json_t *item, const char *verdict)
{
	const char *reason = lg_json_str(item, "reason");
	char name[200], text[500];

	who(item, name, sizeof(name));
	snprintf(text, sizeof(text), "%s%s: %s", name, verdict, reason ? reason : "");
	add(list, text, lg_json_str(item, "remedy"));
}

static int check_processes(const char *socket, const char *id, json_t *blockers, json_t *notes,
			   struct lg_err *err)
{
	lg_autojson json_t *answer = NULL;
	json_t *item;
	size_t i;
	int r = ask_here(socket, "io.lodge.CheckpointCheck", json_pack("{s:s}", "id", id), &answer, err);

	if (r < 0)
		return r;
	json_array_foreach(json_object_get(answer, "blockers"), i, item)
		add_found(blockers, item, " cannot be moved");
	json_array_foreach(json_object_get(answer, "notes"), i, item)
		if (lg_json_bool(item, "lost", false))
			add_found(notes, item, " does not come back as it is");
	return 0;
}

/* What either disk has beyond what the move takes without: the images of the dump, and there the files. */
static uint64_t room_of(const json_t *facts, int64_t needed)
{
	int64_t free_bytes = lg_json_int(json_object_get(facts, "storage"), "free_bytes", -1);

	if (free_bytes < 0)
		return UINT64_MAX;	/* it does not say */
	return free_bytes > needed ? (uint64_t)(free_bytes - needed) : 0;
}

static void look_ahead(struct lg_ahead *a, const json_t *ours, const json_t *theirs, const json_t *needs)
{
	int64_t memory = lg_json_int(needs, "memory_bytes", 0);
	uint64_t here = room_of(ours, memory), there = room_of(theirs, memory + lg_json_int(needs, "bytes", 0));

	a->tracked = lg_json_bool(json_object_get(ours, "tracking"), "usable", false);
	a->memory_bytes = (uint64_t)lg_json_int(needs, "resident_bytes", 0);
	a->room_bytes = here < there ? here : there;
}

int preflight(struct move *m, struct lg_err *err)
{
	lg_autojson json_t *ours = NULL, *theirs = NULL;
	json_t *needs;
	char id[16];
	int r;

	snprintf(id, sizeof(id), "%" PRId64, lg_json_int(m->request, "ctid", 0));
	r = ask_here(m->job->socket, "io.lodge.Facts", json_pack("{s:s, s:b}", "id", id, "live", m->live), &ours,
		     err);
	if (r < 0)
		return r;
	needs = json_object_get(ours, "needs");
	if (!json_is_object(needs))
		return lg_refuse(err, -EPROTO, 0, "lodged does not say what the container needs");
	json_object_set_new(needs, "ctid", json_integer(m->there));
	r = wire_ask(&m->ssh.wire, json_pack("{s:s, s:O}", "op", "facts", "needs", needs), &theirs, err);
	if (r < 0)
		return r;
	look_ahead(&m->ahead, json_object_get(ours, "facts"), json_object_get(theirs, "facts"), needs);
	r = compare(json_object_get(ours, "facts"), json_object_get(theirs, "facts"), needs, m->blockers, m->notes,
		    err);
	return r == 0 && m->live && !m->vm ? check_processes(m->job->socket, id, m->blockers, m->notes, err) : r;
}
