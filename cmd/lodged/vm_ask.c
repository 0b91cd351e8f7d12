/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Wishes to a running machine, by way of its shim. Each has a tag, by which the answer finds who waits for it. A machine that ends,
 * or takes too long, has answered, too: nobody waits for ever for what a guest does.
 */

#include <errno.h>
#include <stdlib.h>

#include "cmd/lodged/vm.h"
#include "lib/exit.h"

struct vm_question {
	struct vm_question *next;
	struct instance *ct;
	unsigned int tag;
	sd_event_source *timer;
	vm_answered_fn fn;
	void *arg;
};

static void take_out(struct vm_question *q)
{
	struct vm_question **at = &q->ct->vm_asked;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	sd_event_source_disable_unref(q->timer);
}

/* Out of the list first: who is told may ask anew. */
static void end(struct vm_question *q, const struct lg_msg *m, const struct lg_err *err)
{
	take_out(q);
	q->fn(m, err, q->arg);
	free(q);
}

static int too_late(sd_event_source *s, uint64_t usec, void *arg)
{
	struct lg_err err = { 0 };

	(void)s;
	(void)usec;
	lg_refuse(&err, -ETIMEDOUT, 0, "the guest does not answer");
	end(arg, NULL, &err);
	return 0;
}

void vm_ask_begin(struct lg_msg *m, const char *what)
{
	lg_msg_init(m, LG_P_ASK);
	lg_msg_put(m, "what", what);
}

int vm_ask(struct instance *ct, struct lg_msg *m, unsigned int seconds, vm_answered_fn fn, void *arg, struct lg_err *err)
{
	struct vm_question *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return lg_fail(err, -ENOMEM, "ask the machine");
	q->ct = ct;
	q->tag = ++ct->d->vm_asks;
	q->fn = fn;
	q->arg = arg;
	lg_msg_put_u64(m, "tag", q->tag);
	r = ct->shim ? lg_msg_send(ct->shim->sock, m) : -ENOTCONN;
	if (r == 0)
		r = sd_event_add_time_relative(ct->d->event, &q->timer, CLOCK_MONOTONIC, (uint64_t)seconds * 1000000, 0, too_late,
					       q);
	if (r < 0) {
		free(q);
		return lg_fail(err, r, "speak to the shim");
	}
	q->next = ct->vm_asked;
	ct->vm_asked = q;
	return 0;
}

void vm_told(struct instance *ct, const struct lg_msg *m)
{
	uint64_t tag = lg_msg_get_u64(m, "tag", 0);
	struct lg_err err = { 0 };

	for (struct vm_question *q = ct->vm_asked; q; q = q->next) {
		if (q->tag != tag)
			continue;
		if (!lg_msg_get(m, "error")) {
			end(q, m, NULL);
			return;
		}
		lg_msg_get_err(m, &err);
		end(q, NULL, &err);
		return;
	}
}

int vm_medium_check(const struct instance *ct, struct lg_err *err)
{
	return ct->vm_medium ? lg_refuse(err, -EBUSY, LG_EXIT_LOCKED, "what is in the drive of %s is being changed: try again when that is over",
					 instance_label(ct)) : 0;
}

void vm_asks_drop(struct instance *ct)
{
	struct lg_err err = { 0 };

	lg_refuse(&err, -ESRCH, 0, "it has ended meanwhile");
	while (ct->vm_asked)
		end(ct->vm_asked, NULL, &err);
}
