/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/log.h"

struct op *op_new(struct instance *ct, const char *verb, struct lg_vcall *call)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	op->verb = verb;
	op->ct = ct;
	op->call = call ? lg_vcall_ref(call) : NULL;
	op->netns_fd = op->state_fd = -1;
	op->wait_sock = -1;
	ct->op = op;
	return op;
}

static void op_free(struct op *op)
{
	if (op->ct && op->ct->op == op)
		op->ct->op = NULL;
	sd_event_source_disable_unref(op->timer);
	sd_event_source_disable_unref(op->wait_io);
	lg_close(op->wait_sock);
	lg_close(op->netns_fd);
	lg_close(op->state_fd);
	json_decref(op->answer);
	vm_start_free(op->vm);
	free(op->file);
	if (op->call)
		lg_vcall_unref(op->call);
	free(op);
}

void op_end(struct op *op, json_t *answer)
{
	struct lg_vcall *call = op->call ? lg_vcall_ref(op->call) : NULL;

	if (op->answer && answer)
		json_object_update(answer, op->answer);
	if (op->done)
		op->done(op, NULL);
	/* Freed first: the answer shows the instance, which is not busy any more. */
	op_free(op);
	if (call) {
		lg_vcall_reply(call, answer);
		lg_vcall_unref(call);
	} else {
		json_decref(answer);
	}
}

void op_fail(struct op *op, const struct lg_err *err)
{
	struct lg_vcall *call = op->call ? lg_vcall_ref(op->call) : NULL;
	struct lg_err copy = *err;

	lg_log(LG_LOG_WARN, "%s %s: %s", op->verb, instance_label(op->ct), copy.msg);
	if (op->done)
		op->done(op, &copy);
	op_free(op);
	if (call) {
		lg_vcall_fail(call, &copy);
		lg_vcall_unref(call);
	}
}

void op_progress(struct op *op, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	if (!op->call || !lg_vcall_more(op->call) || lg_vcall_gone(op->call))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	lg_vcall_notify(op->call, json_pack("{s:s}", "progress", text));
}

int op_timer(struct op *op, uint64_t seconds, sd_event_time_handler_t fn)
{
	op->timer = sd_event_source_disable_unref(op->timer);
	return sd_event_add_time_relative(op->ct->d->event, &op->timer, CLOCK_MONOTONIC,
					  seconds * 1000000, 0, fn, op);
}
