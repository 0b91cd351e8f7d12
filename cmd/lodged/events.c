/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/lodged/lodged.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define SUBSCRIBERS_MAX 256u

static void unsubscribe(struct daemon *d, struct lg_vcall *call)
{
	for (size_t i = 0; i < d->nsubscribers; i++) {
		if (d->subscribers[i] != call)
			continue;
		d->subscribers[i] = d->subscribers[--d->nsubscribers];
		lg_vcall_unref(call);
		return;
	}
}

static void subscriber_gone(struct lg_vcall *call, void *arg)
{
	unsubscribe(arg, call);
}

void api_events(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	struct lg_vcall **bigger;
	struct lg_err err = { 0 };

	(void)params;
	if (!lg_vcall_more(call)) {
		lg_vcall_error(call, "org.varlink.service.ExpectedMore", NULL);
		return;
	}
	bigger = d->nsubscribers < SUBSCRIBERS_MAX ?
			 reallocarray(d->subscribers, d->nsubscribers + 1, sizeof(*bigger)) : NULL;
	if (!bigger) {
		lg_refuse(&err, -EBUSY, 0, "%u clients listen to events already",
			  SUBSCRIBERS_MAX);
		lg_vcall_fail(call, &err);
		return;
	}
	d->subscribers = bigger;
	d->subscribers[d->nsubscribers++] = lg_vcall_ref(call);
	lg_vcall_on_gone(call, subscriber_gone, d);
}

void emit_event(struct daemon *d, const char *event, const struct instance *ct, const char *fmt, ...)
{
	lg_autofree char *text = NULL;
	struct timespec ts;
	va_list ap;
	json_t *obj;

	if (fmt) {
		va_start(ap, fmt);
		if (vasprintf(&text, fmt, ap) < 0)
			text = NULL;
		va_end(ap);
	}
	lg_log(LG_LOG_INFO, "%s%s%s%s%s", event, ct ? " " : "", ct ? instance_label(ct) : "",
	       text ? ": " : "", text ? text : "");
	if (d->nsubscribers == 0)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	obj = json_pack("{s:I, s:s}", "time_us",
			(json_int_t)ts.tv_sec * 1000000 + (json_int_t)(ts.tv_nsec / 1000), "event", event);
	if (ct)
		json_object_set_new(obj, "ctid", json_integer(ct->ctid));
	if (ct && ct->name[0])
		json_object_set_new(obj, "name", lg_varlink_text(ct->name));
	if (text)
		json_object_set_new(obj, "text", lg_varlink_text(text));
	/* From the end: one that does not read is dropped by the send and leaves the list. */
	for (size_t i = d->nsubscribers; i-- > 0;)
		lg_vcall_notify(d->subscribers[i], json_pack("{s:O}", "event", obj));
	json_decref(obj);
}
