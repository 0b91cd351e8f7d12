/* SPDX-License-Identifier: GPL-2.0-or-later */

/* When a move was about to end and nobody knows how it did: the other host is asked, over a connection of its own. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-worker/job.h"
#include "cmd/lodge-worker/migrate.h"
#include "ct/migrate.h"
#include "lib/cleanup.h"
#include "lib/json.h"

#define REQUEST_MAX (1u << 16)
#define AGAIN_US 500000u

static int64_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static int ask_once(const json_t *request, const char *op, json_t **ret, struct lg_err *err)
{
	const char *host = lg_json_str(request, "host"), *remote = lg_json_str(request, "remote");
	const char *token = lg_json_str(request, "token");
	struct ssh ssh;
	int r;

	if (!host || !token)
		return lg_refuse(err, -EINVAL, 0, "ask-move wants a host and a token on its stdin");
	r = ssh_open(&ssh, json_object_get(request, "ssh"), host, remote ? remote : LG_MIGRATE_REMOTE, err);
	if (r < 0)
		return r;
	r = wire_ask(&ssh.wire, json_pack("{s:s, s:s}", "op", op, "token", token), ret, err);
	ssh_close(&ssh, r < 0 ? err : NULL);
	return r;
}

int migrate_ask(const struct job *job, struct lg_err *err)
{
	char text[REQUEST_MAX];
	size_t n = fread(text, 1, sizeof(text) - 1, stdin);
	lg_autojson json_t *request = json_loadb(text, n, 0, NULL), *answer = NULL;
	const char *op = lg_json_str(request, "op");
	int64_t until = now_s() + lg_json_int(request, "patience_s", 0);
	int r;

	(void)job;
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		*err = (struct lg_err){ 0 };
		printf("P asking the other host whether it has it\n");
		r = ask_once(request, op ? op : "query", &answer, err);
		if (r == 0 || r == -EINVAL || now_s() >= until)
			break;
		usleep(AGAIN_US);
	}
	if (r == 0)
		printf("P R {\"here\": %s}\n", lg_json_bool(answer, "here", false) ? "true" : "false");
	return r;
}
