/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Why: look at everything, wait a moment, look again, and answer with what came out. The daemon does other
 * things meanwhile; the container may even be gone when the time is over.
 */

#include "cmd/lodged/why.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/limits.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/json.h"

#define SAMPLE_MS 500
#define SAMPLE_MS_MAX 60000
#define ACCURACY_US 10000

struct why {
	struct daemon *d;
	struct lg_vcall *call;
	sd_event_source *timer;
	uint32_t ctid;
	struct looks before;
	struct why_facts facts;
};

static void why_free(struct why *why)
{
	sd_event_source_disable_unref(why->timer);
	look_free(&why->before);
	lg_vcall_unref(why->call);
	free(why);
}

/* ---- facts ---- */

static uint64_t file_number(const char *path)
{
	lg_autofree char *text = NULL;
	unsigned long long v;

	if (lg_file_read(AT_FDCWD, path, 64, &text, NULL, NULL) < 0 ||
	    sscanf(text, "%llu", &v) != 1)
		return UINT64_MAX;
	return v;
}

/* The second line begins with the number of entries of the whole table, in hexadecimal digits. */
static uint64_t own_connections(const struct instance *ct)
{
	lg_autofree char *text = NULL;
	unsigned long long v;
	const char *line;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/net/stat/nf_conntrack", (int)ct->init_pid);
	if (lg_file_read(AT_FDCWD, path, 1u << 20, &text, NULL, NULL) < 0)
		return UINT64_MAX;
	line = strchr(text, '\n');
	return line && sscanf(line, " %llx", &v) == 1 ? v : UINT64_MAX;
}

static void gather_host(const struct instance *ct, struct why_facts *f)
{
	struct statvfs fs;

	look_host(&f->host);
	f->connections = own_connections(ct);
	f->host_connections = file_number("/proc/sys/net/netfilter/nf_conntrack_count");
	f->connections_max = file_number("/proc/sys/net/netfilter/nf_conntrack_max");
	f->disk_bytes = f->disk_inodes = UINT64_MAX;
	if (fstatvfs(ct->d->var_fd, &fs) < 0)
		return;
	f->disk_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	f->disk_free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	f->disk_inodes = fs.f_files;
	f->disk_free_inodes = fs.f_favail;
}

static void gather_account(struct instance *ct, struct why_facts *f)
{
	const struct account *a = account_look(ct, NULL, NULL);

	f->at = time(NULL);
	f->oom_kills = UINT64_MAX;
	f->no_names = ct->d->kmsg_errno ? strerror(ct->d->kmsg_errno) : NULL;
	if (!a)
		return;
	f->oom_kills = account_fails(a, COUNT_OOMGUARPAGES);
	f->oom_at = a->counts[COUNT_OOMGUARPAGES].last_hit;
	/* The name that is known may be an earlier one's. */
	if (a->oom.at && a->oom.at >= f->oom_at) {
		f->oom_pid = a->oom.pid;
		snprintf(f->oom_name, sizeof(f->oom_name), "%s", a->oom.name);
	}
}

static uint64_t more(uint64_t now, uint64_t before)
{
	return now != UINT64_MAX && before != UINT64_MAX && now > before ? now - before : 0;
}

static uint64_t each_second(uint64_t grown, uint64_t us)
{
	return us ? (uint64_t)((double)grown * 1e6 / (double)us) : 0;
}

static uint64_t amount_of(enum why_what what, const struct look *now, const struct look *before)
{
	uint64_t us = now->at_us - before->at_us;

	switch (what) {
	case WHY_CPU:
		return each_second(more(now->use.cpu_us, before->use.cpu_us), us) / 10000;
	case WHY_MEMORY:
		return now->use.memory_bytes == UINT64_MAX ? 0 : now->use.memory_bytes;
	case WHY_IO:
		return each_second(more(now->use.read_bytes, before->use.read_bytes) +
				   more(now->use.write_bytes, before->use.write_bytes), us);
	case WHY_WHAT_COUNT_:
		break;
	}
	return 0;
}

/* Who uses most beside @ctid; for CPUs, all that is in no container is one, too. */
static void gather_others(const struct why *why, const struct looks *looks, struct why_facts *f)
{
	uint64_t us = f->host.at_us - f->host_before.at_us;
	uint64_t outside = each_second(more(f->host.cpu_us, f->host_before.cpu_us), us) / 10000;
	struct why_user user;

	for (size_t i = 0; i < looks->n; i++) {
		const struct look *now = &looks->list[i], *was = look_find(&why->before, now->ctid);
		const struct instance *ct = instance_by_ctid(why->d, now->ctid);

		for (int what = 0; was && ct && what < WHY_WHAT_COUNT_; what++) {
			user = (struct why_user){ .ctid = now->ctid,
						  .amount = amount_of(what, now, was) };
			snprintf(user.label, sizeof(user.label), "%s", instance_label(ct));
			if (what == WHY_CPU)
				outside -= user.amount < outside ? user.amount : outside;
			if (now->ctid != why->ctid && user.amount)
				why_users_add(&f->others[what], &user);
		}
	}
	user = (struct why_user){ .amount = outside };
	snprintf(user.label, sizeof(user.label), "what is in no container");
	if (outside)
		why_users_add(&f->others[WHY_CPU], &user);
}

static void gather_guest(const struct instance *ct, struct why_facts *f)
{
	const struct vm_usage *u = ct->vm ? vm_usage_of(ct) : NULL;

	f->emulated = ct->vm && !ct->vm_run.kvm;
	if (!u || u->memory_total == UINT64_MAX || u->memory_available == UINT64_MAX)
		return;
	f->guest_memory = u->memory_total;
	f->guest_available = u->memory_available;
}

/* Return: false when it does not run any more. */
static bool gather(struct why *why, struct instance *ct, const struct looks *looks)
{
	const struct look *now = look_find(looks, ct->ctid), *was = look_find(&why->before, ct->ctid);
	struct why_facts *f = &why->facts;
	struct limits limits;

	if (!now || !was)
		return false;
	snprintf(f->id, sizeof(f->id), "%u", ct->ctid);
	f->us = now->at_us - was->at_us;
	f->before = was->use;
	f->now = now->use;
	f->has_net = now->has_net && was->has_net;
	f->net_before = was->net;
	f->net = now->net;
	f->own_disk = now->disk;
	gather_guest(ct, f);
	for (size_t i = 0; i < LG_LIMIT_COUNT_; i++)
		f->limits.value[i] = LG_UNLIMITED;
	if (limits_of_running(ct, ct->conf, &limits, NULL) == 0)
		f->limits = limits.set;
	gather_host(ct, f);
	gather_account(ct, f);
	gather_others(why, looks, f);
	return true;
}

/* ---- the answer ---- */

static json_t *findings_json(const struct why_report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->n; i++) {
		const struct why_finding *f = &report->list[i];
		json_t *obj = json_pack("{s:s, s:i}", "area", f->area, "weight", (int)f->weight);

		json_object_set_new(obj, "text", lg_varlink_text(f->text));
		if (f->remedy[0])
			json_object_set_new(obj, "remedy", lg_varlink_text(f->remedy));
		json_array_append_new(list, obj);
	}
	return list;
}

static json_t *others_json(const struct why_facts *facts)
{
	static const char *const names[] = { "cpu", "memory", "io" };
	json_t *list = json_array();

	for (int what = 0; what < WHY_WHAT_COUNT_; what++)
		for (size_t i = 0; i < facts->others[what].n; i++) {
			const struct why_user *u = &facts->others[what].list[i];
			json_t *obj = json_pack("{s:s, s:I}", "what", names[what], "amount",
						(json_int_t)u->amount);

			json_object_set_new(obj, "label", lg_varlink_text(u->label));
			if (u->ctid)
				json_object_set_new(obj, "ctid", json_integer(u->ctid));
			json_array_append_new(list, obj);
		}
	return list;
}

static json_t *head_json(const struct instance *ct)
{
	json_t *obj = json_pack("{s:I, s:b}", "ctid", (json_int_t)ct->ctid, "running",
				ct->state == STATE_RUNNING);

	if (ct->name[0])
		json_object_set_new(obj, "name", lg_varlink_text(ct->name));
	if (ct->started_at)
		json_object_set_new(obj, "started_at", json_integer(ct->started_at));
	return obj;
}

static void answer(struct lg_vcall *call, const struct instance *ct, const struct why_facts *facts,
		   const struct why_report *report)
{
	json_t *obj = head_json(ct);

	json_object_set_new(obj, "watched_us", json_integer((json_int_t)facts->us));
	json_object_set_new(obj, "findings", findings_json(report));
	json_object_set_new(obj, "others", others_json(facts));
	if (report->now[0])
		json_object_set_new(obj, "now", lg_varlink_text(report->now));
	lg_vcall_reply(call, obj);
}

static void say_suspended(const struct instance *ct, struct why_report *report)
{
	lg_autojson json_t *state = checkpoint_state(ct);
	time_t since = (time_t)lg_json_int(state, "suspended_at", 0);
	char when[40] = "";
	struct tm tm;

	if (since > 0 && localtime_r(&since, &tm))
		strftime(when, sizeof(when), " since %Y-%m-%d %H:%M", &tm);
	snprintf(report->list[0].text, sizeof(report->list[0].text),
		 "It is suspended%s: all of it waits on the disk.", when);
	snprintf(report->list[0].remedy, sizeof(report->list[0].remedy), "lodge resume %u", ct->ctid);
}

/* A container that does not run is held back by that. */
static void answer_stopped(struct lg_vcall *call, const struct instance *ct)
{
	static const struct why_facts nothing;
	struct why_report report = { .n = 1 };

	report.list[0].area = "state";
	report.list[0].weight = 1000;
	if (checkpoint_is_there(ct)) {
		say_suspended(ct, &report);
		answer(call, ct, &nothing, &report);
		return;
	}
	snprintf(report.list[0].text, sizeof(report.list[0].text), "It does not run%s%s.",
		 ct->last_exit[0] ? ": " : "", ct->last_exit);
	snprintf(report.list[0].remedy, sizeof(report.list[0].remedy), "lodge start %u", ct->ctid);
	answer(call, ct, &nothing, &report);
}

static int look_again(sd_event_source *s, uint64_t usec, void *arg)
{
	struct why *why = arg;
	struct instance *ct = instance_by_ctid(why->d, why->ctid);
	struct lg_err err = { 0 };
	struct why_report report;
	struct looks looks = { 0 };

	(void)s;
	(void)usec;
	if (!ct) {
		lg_refuse(&err, -ENOENT, LG_EXIT_NO_CONF, "%u was destroyed meanwhile", why->ctid);
		lg_vcall_fail(why->call, &err);
	} else if (look_all(why->d, NULL, LG_CG_LIGHT | LG_CG_DENIED, &looks, &err) < 0) {
		lg_vcall_fail(why->call, &err);
	} else if (!gather(why, ct, &looks)) {
		answer_stopped(why->call, ct);
	} else {
		why_find(&why->facts, &report);
		answer(why->call, ct, &why->facts, &report);
	}
	look_free(&looks);
	why_free(why);
	return 0;
}

static int begin(struct why *why, uint64_t sample_ms, struct lg_err *err)
{
	int r = look_all(why->d, NULL, LG_CG_LIGHT | LG_CG_DENIED, &why->before, err);

	if (r < 0)
		return r;
	look_host(&why->facts.host_before);
	r = sd_event_add_time_relative(why->d->event, &why->timer, CLOCK_MONOTONIC, sample_ms * 1000,
				       ACCURACY_US, look_again, why);
	return r < 0 ? lg_fail(err, r, "wait for a moment") : 0;
}

void api_why(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	struct instance *ct = api_instance(call, params, d);
	int64_t ms = lg_json_int(params, "sample_ms", SAMPLE_MS);
	lg_autojson json_t *ids = NULL;
	struct lg_err err = { 0 };
	struct why *why;

	if (!ct)
		return;
	if (ct->state != STATE_RUNNING) {
		answer_stopped(call, ct);
		return;
	}
	ids = json_pack("[O]", json_object_get(params, "id"));
	if (vm_usage_first(d, ids, call, params, api_why))
		return;
	ms = ms < 10 ? 10 : ms > SAMPLE_MS_MAX ? SAMPLE_MS_MAX : ms;
	why = calloc(1, sizeof(*why));
	if (!why) {
		lg_fail(&err, -ENOMEM, "why");
		lg_vcall_fail(call, &err);
		return;
	}
	why->d = d;
	why->ctid = ct->ctid;
	why->call = lg_vcall_ref(call);
	if (begin(why, (uint64_t)ms, &err) < 0) {
		lg_vcall_fail(call, &err);
		why_free(why);
	}
}
