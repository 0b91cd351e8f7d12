/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The side that a container leaves; migrate.h has the story. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-worker/boot_files.h"
#include "cmd/lodge-worker/job.h"
#include "cmd/lodge-worker/migrate.h"
#include "cmd/lodge-worker/move.h"
#include "ct/migrate.h"
#include "lib/cleanup.h"
#include "lib/conf.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/kind.h"
#include "lib/msg.h"
#include "storage/template.h"
#include "storage/transfer.h"

#define REQUEST_MAX (1u << 20)
#define LIVE_PASSES 3u		/* of the layer while it runs; fewer when little changes */
#define LITTLE (1u << 20)	/* bytes that a pass may leave to the last one */

uint64_t move_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- lodged here ---- */

int move_hear(struct move *m, int *ret_fd, struct lg_err *err)
{
	int r = lg_msg_recv(LG_MIGRATE_FD, &m->msg);

	if (r != 1)
		return lg_fail(err, r < 0 ? r : -EPIPE, "ask lodged");
	if (m->msg.kind == LG_M_FAILED) {
		lg_msg_drop_fds(&m->msg);
		return lg_msg_get_err(&m->msg, err);
	}
	if (ret_fd)
		*ret_fd = lg_msg_take_fd(&m->msg, 0);
	return 0;
}

int move_say(const struct move *m, uint32_t kind, struct lg_err *err)
{
	struct lg_msg msg;
	int r;

	lg_msg_init(&msg, kind);
	if (kind == LG_M_COMMIT)
		lg_msg_put(&msg, "token", m->token);
	r = lg_msg_send(LG_MIGRATE_FD, &msg);
	return r < 0 ? lg_fail(err, r, "ask lodged") : 0;
}

int move_ask(struct move *m, uint32_t kind, int *ret_fd, struct lg_err *err)
{
	int r = move_say(m, kind, err);

	return r < 0 ? r : move_hear(m, ret_fd, err);
}

/* ---- stages ---- */

static int offer(struct move *m, struct lg_err *err);
static int send_template(struct move *m, struct lg_err *err);
static int begin(struct move *m, struct lg_err *err);
static int send_layer_live(struct move *m, struct lg_err *err);
static int send_layer_again(struct move *m, struct lg_err *err);
static int freeze(struct move *m, struct lg_err *err);
static int send_layer_last(struct move *m, struct lg_err *err);
static int restore(struct move *m, struct lg_err *err);
static int commit(struct move *m, struct lg_err *err);
static int go(struct move *m, struct lg_err *err);

/* clang-format off */
static const struct stage {
	const char *name;
	int (*run)(struct move *m, struct lg_err *err);
	const char *progress;	/* NULL: too short to be told of */
	bool own;		/* it tells of its parts by itself */
} stages[] = {
	{ "preflight",	offer,		 "asking the other host", false },
	{ "template",	send_template,	 NULL, false },
	{ "boot files",	move_boot_files, NULL, false },
	{ "prepare",	begin,		 NULL, false },
	{ "files",	send_layer_live, "sending its files", false },
	{ "copy ahead",	move_ahead,	 NULL, true },
	{ "files again", send_layer_again, NULL, false },
	{ "freeze",	freeze,		 "freezing it", false },
	{ "last files",	send_layer_last, NULL, false },
	{ "memory",	move_images,	 "sending its memory", false },
	{ "restore",	restore,	 "restoring it there", false },
	{ "commit",	commit,		 NULL, false },
	{ "go",		go,		 NULL, false },
};
/* clang-format on */

static int add_texts(json_t *list, const json_t *from)
{
	json_t *text;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)from, i, text)
		if (json_is_string(text))
			json_array_append(list, text);
	return 0;
}

static int offer(struct move *m, struct lg_err *err)
{
	const char *template = lg_conf_get(m->conf, "OSTEMPLATE");
	struct lg_template t = { 0 };
	lg_autojson json_t *answer = NULL;
	int r = template ? lg_template_load(m->job->var, template, &t, err) : 0;

	if (r == 0)
		r = preflight(m, err);
	if (r < 0)
		return r;
	r = wire_ask(&m->ssh.wire,
		     json_pack("{s:s, s:O, s:O*, s:b}", "op", "offer", "conf", json_object_get(m->request, "conf"), "vm",
			       json_object_get(m->request, "vm"), "live", m->live || m->suspended),
		     &answer, err);
	if (r < 0)
		return r;
	add_texts(m->blockers, json_object_get(answer, "blockers"));
	add_texts(m->notes, json_object_get(answer, "notes"));
	if (lg_json_bool(answer, "need_template", false))
		json_object_set_new(m->request, "need_template", json_true());
	json_object_set(m->request, "need_boot", json_object_get(answer, "need_boot"));
	return 0;
}

static int send_template(struct move *m, struct lg_err *err)
{
	const char *name = lg_conf_get(m->conf, "OSTEMPLATE");
	struct lg_template t;
	int r;

	if (!lg_json_bool(m->request, "need_template", false))
		return 0;
	r = lg_template_load(m->job->var, name, &t, err);
	if (r < 0)
		return r;
	printf("P sending the template %s\n", name);
	r = wire_send(&m->ssh.wire, json_pack("{s:s, s:s, s:s}", "op", "template", "name", name, "digest",
					      t.digest), err);
	if (r == 0)
		r = lg_transfer_send_template(m->job->var, name, m->ssh.wire.out, NULL, err);
	return r < 0 ? r : wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "done"), NULL, err);
}

static int begin(struct move *m, struct lg_err *err)
{
	uint8_t random[16];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return lg_fail(err, -errno, "make a token");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(m->token + 2 * i, 3, "%02x", random[i]);
	return wire_ask(&m->ssh.wire,
			json_pack("{s:s, s:I, s:O, s:s, s:b, s:b, s:O*}", "op", "begin", "ctid",
				  (json_int_t)m->there, "conf", json_object_get(m->request, "conf"),
				  "token", m->token, "live", m->live || m->suspended, "start",
				  m->running && !m->live, "vm", json_object_get(m->request, "vm")), NULL, err);
}

static const struct lg_transfer_send runs, still = { .still = true }, frozen = { .frozen = true };

/* Of a VM: what is not as it was the last time. */
static int send_disk_pass(struct move *m, uint64_t *ret_bytes, struct lg_err *err)
{
	int r = wire_send(&m->ssh.wire, json_pack("{s:s}", "op", "disk"), err);

	if (r == 0)
		r = lg_blocks_send_written(m->layer, m->written, &m->blocks, m->ssh.wire.out, ret_bytes, err);
	if (r == 0)
		r = wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "done"), NULL, err);
	m->stage_bytes += r == 0 ? *ret_bytes : 0;
	return r;
}

static int send_pass(struct move *m, const struct lg_transfer_send *how, uint64_t *ret_bytes, struct lg_err *err)
{
	struct lg_transfer_index *next = NULL;
	struct lg_transfer_sent sent = { 0 };
	int r;

	if (m->vm)
		return send_disk_pass(m, ret_bytes, err);
	r = wire_send(&m->ssh.wire, json_pack("{s:s}", "op", "layer"), err);
	if (r == 0)
		r = lg_transfer_send(m->layer, m->index, m->ssh.wire.out, how, &sent,
				     how->frozen ? NULL : &next, err);
	if (r == 0)
		r = wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "done"), NULL, err);
	if (r < 0) {
		lg_transfer_index_free(next);
		return r;
	}
	lg_transfer_index_free(m->index);
	m->index = next;
	*ret_bytes = sent.sent.bytes;
	m->stage_bytes += sent.sent.bytes;
	return 0;
}

static int send_layer_live(struct move *m, struct lg_err *err)
{
	uint64_t bytes = UINT64_MAX;
	int r = 0;

	if (!m->running)
		return 0;
	r = move_ask(m, LG_M_LAYER, &m->layer, err);
	m->written = r == 0 ? lg_msg_take_fd(&m->msg, 1) : -1;
	for (unsigned int i = 0; r == 0 && i < LIVE_PASSES && bytes > LITTLE; i++)
		r = send_pass(m, &runs, &bytes, err);
	return r;
}

/* What has changed while memory was copied. */
static int send_layer_again(struct move *m, struct lg_err *err)
{
	uint64_t bytes;

	return m->ahead.rounds ? send_pass(m, &runs, &bytes, err) : 0;
}

/*
 * It is stopped, and CRIU writes its memory meanwhile. What CRIU does to its files (names for what has none any more) the last pass
 * brings. When it has run again since the last time this counts as a pass like those before.
 */
static int send_layer_still(struct move *m, struct lg_err *err)
{
	uint64_t bytes;

	lg_transfer_index_used(m->index);
	wait_at("still files");
	return send_pass(m, &still, &bytes, err);
}

static int say_soon(const struct move *m, struct lg_err *err)
{
	return wire_send(&m->ssh.wire, json_pack("{s:s}", "op", "soon"), err);
}

/* What fails beside the dump waits for its end: then it is let go in order. */
static int freeze_live(struct move *m, struct lg_err *err)
{
	struct lg_err why = { 0 };
	int r = move_ask(m, LG_M_FREEZE, &m->images, err);

	while (r == 0 && m->msg.kind == LG_M_FROZEN) {
		m->frozen_us = lg_msg_get_u64(&m->msg, "us", move_now_us());
		if (!why.code && say_soon(m, &why) == 0 && send_layer_still(m, &why) == 0)
			move_early(m, &why);
		m->images = lg_close(m->images);
		r = move_hear(m, &m->images, err);
	}
	if (r == 0)
		m->frozen_us = lg_msg_get_u64(&m->msg, "us", move_now_us());
	if (r == 0 && why.code) {
		*err = why;
		r = why.code;
	}
	return r;
}

static int freeze(struct move *m, struct lg_err *err)
{
	int r;

	if (!m->running || (m->vm && m->live))
		return 0;
	if (!m->live) {
		printf("P shutting it down\n");
		r = move_ask(m, LG_M_STOP, NULL, err);
		m->layer = lg_close(m->layer);
		return r;
	}
	return freeze_live(m, err);
}

static int send_layer_last(struct move *m, struct lg_err *err)
{
	uint64_t bytes;
	int r = m->layer >= 0 ? 0 : move_ask(m, LG_M_LAYER, &m->layer, err);

	if (r == 0)
		r = send_pass(m, &frozen, &bytes, err);
	return r == 0 && m->vm ? move_vars(m, err) : r;
}

int move_check_time(const struct move *m, struct lg_err *err)
{
	json_int_t ms = lg_json_int(m->request, "max_downtime_ms", 0);

	if (!ms || !m->frozen_us || move_now_us() - m->frozen_us <= (uint64_t)ms * 1000)
		return 0;
	return lg_refuse(err, -ETIME, LG_EXIT_CHKPNT,
			 "it has stood still for the %" JSON_INTEGER_FORMAT " ms that it may: it runs on here", ms);
}

static int restore(struct move *m, struct lg_err *err)
{
	int r = move_check_time(m, err);

	return r < 0 || !m->live ? r : wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "restore"), NULL, err);
}

static int commit(struct move *m, struct lg_err *err)
{
	int r = move_check_time(m, err);

	return r < 0 ? r : move_ask(m, LG_M_COMMIT, NULL, err);
}

static int go(struct move *m, struct lg_err *err)
{
	lg_autojson json_t *answer = NULL;
	uint64_t said_us = move_now_us(), ago_us;
	int r = wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "go"), &answer, err);

	m->running_us = move_now_us();
	/* It is that host's word, and not before we said go. */
	ago_us = (uint64_t)lg_json_int(answer, "ago_us", 0);
	if (ago_us < m->running_us - said_us)
		m->running_us -= ago_us;
	m->went = r == 0;
	return r;
}

/* ---- all of it ---- */

void move_note(struct move *m, const char *name, uint64_t start)
{
	json_t *entry = json_pack("{s:s, s:I}", "name", name, "us", (json_int_t)(move_now_us() - start));

	if (m->stage_bytes)
		json_object_set_new(entry, "bytes", json_integer((json_int_t)m->stage_bytes));
	json_array_append_new(m->stages, entry);
}

static int run_stage(struct move *m, const struct stage *s, struct lg_err *err)
{
	uint64_t start = move_now_us();
	int r;

	m->stage_bytes = 0;
	wait_at(s->name);
	if (s->progress)
		printf("P %s\n", s->progress);
	r = s->run(m, err);
	if (!s->own)
		move_note(m, s->name, start);
	return r < 0 ? lg_within(err, r, "%s", s->name) : 0;
}

static int run_stages(struct move *m, struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		int r = run_stage(m, &stages[i], err);

		if (r < 0)
			return r;
		if (i == 0 && (json_array_size(m->blockers) || lg_json_bool(m->request, "dry_run", false)))
			return 0;
	}
	return 0;
}

static int read_request(struct move *m, struct lg_err *err)
{
	lg_autofree char *text = calloc(1, REQUEST_MAX);
	const char *conf;
	int r;
	size_t n = text ? fread(text, 1, REQUEST_MAX - 1, stdin) : 0;

	m->request = n ? json_loads(text, 0, NULL) : NULL;
	conf = lg_json_str(m->request, "conf");
	m->host = lg_json_str(m->request, "host");
	if (!conf || !m->host)
		return lg_refuse(err, -EINVAL, 0, "migrate wants a request on its stdin");
	if (lg_json_str(m->request, "hold"))
		setenv("LG_MOVE_STOP", lg_json_str(m->request, "hold"), 1);
	m->remote = lg_json_str(m->request, "remote");
	if (!m->remote)
		m->remote = LG_MIGRATE_REMOTE;
	m->words = json_object_get(m->request, "ssh");
	m->running = lg_json_bool(m->request, "running", false);
	m->suspended = lg_json_bool(m->request, "suspended", false);
	m->live = m->running && lg_json_bool(m->request, "live", false);
	m->ahead.wanted = lg_json_int(m->request, "rounds", -1);
	m->ahead.budget_us = (uint64_t)lg_json_int(m->request, "max_downtime_ms", 0) * 1000;
	m->there = (uint32_t)lg_json_int(m->request, "new_id", 0);
	if (!m->there)
		m->there = (uint32_t)lg_json_int(m->request, "ctid", 0);
	r = lg_conf_parse(conf, strlen(conf), &m->conf, err);
	m->vm = r == 0 && lg_kind_is_vm(m->conf);
	return r;
}

static void report(struct move *m)
{
	lg_autojson json_t *all = json_pack("{s:b, s:O, s:O, s:O}", "moved", m->went, "blockers",
					    m->blockers, "notes", m->notes, "stages", m->stages);
	lg_autofree char *text = NULL;

	if (m->went && m->live && m->running_us > m->frozen_us)
		json_object_set_new(all, "downtime_us",
				    json_integer((json_int_t)(m->running_us - m->frozen_us)));
	if (m->forgotten)
		json_object_set_new(all, "forgotten", json_true());
	text = json_dumps(all, JSON_COMPACT);
	if (text)
		printf("P R %s\n", text);
}

/* Once lodged has it written down nobody will ask the other host any more. */
static int take_leave(struct move *m, struct lg_err *err)
{
	int r = move_ask(m, LG_M_MOVED, NULL, err);

	if (r == 0 && lg_msg_get_u64(&m->msg, "noted", 0))
		m->forgotten = wire_ask(&m->ssh.wire, json_pack("{s:s, s:s}", "op", "forget", "token", m->token),
					NULL, NULL) == 0;
	return r;
}

static void move_finish(struct move *m)
{
	lg_transfer_index_free(m->index);
	lg_blocks_free(m->blocks);
	lg_close(m->layer);
	lg_close(m->images);
	lg_close(m->written);
	lg_close(m->stream);
	lg_close(m->kept);
	lg_conf_free(m->conf);
	json_decref(m->request);
	json_decref(m->stages);
	json_decref(m->notes);
	json_decref(m->blockers);
}

static int connect_and_move(struct move *m, struct lg_err *err)
{
	int r;

	wait_at("connect");
	printf("P connecting to %s\n", m->host);
	r = ssh_open(&m->ssh, m->words, m->host, m->remote, err);
	if (r < 0)
		return r;
	r = run_stages(m, err);
	if (r == 0)
		wait_at("after go");
	if (r == 0 && m->went)
		r = take_leave(m, err);
	ssh_close(&m->ssh, r < 0 ? err : NULL);
	return r;
}

int migrate_send(const struct job *job, struct lg_err *err)
{
	struct move m = { .job = job, .layer = -1, .images = -1, .written = -1, .stream = -1, .kept = -1, .stages = json_array(),
			  .notes = json_array(), .blockers = json_array() };
	int r = read_request(&m, err);

	signal(SIGPIPE, SIG_IGN);
	fcntl(LG_MIGRATE_FD, F_SETFD, FD_CLOEXEC);
	if (r == 0)
		r = connect_and_move(&m, err);
	if (r == 0)
		report(&m);
	move_finish(&m);
	return r;
}
