/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What this host's CRIU can do. To find out it has to be run, which a worker does: once for a program, again when that has
 * changed. The report waits for it.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/doctor.h"
#include "ct/tracking.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "storage/seal.h"

/* What CRIU calls it, and what it means not to have it. */
static const struct {
	const char *name, *without;
} features[] = {
	{ "timens", "no time namespaces (CONFIG_TIME_NS): clocks inside jump when a container is resumed" },
};
_Static_assert(ARRAY_SIZE(features) <= 8 * sizeof(((struct criu_known *)0)->features), "a bit for each");

struct probe {
	struct daemon *d;
	struct criu_known found;
	void (*then)(struct daemon *d, struct lg_vcall *call);
	struct lg_vcall *call;
};

static void take_feature(struct criu_known *k, const char *name, bool has)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (strcmp(features[i].name, name) == 0 && has)
			k->features |= 1u << i;
}

static void on_line(const char *line, void *arg)
{
	struct criu_known *k = &((struct probe *)arg)->found;
	char word[32];
	int has;

	if (strncmp(line, "version ", 8) == 0)
		snprintf(k->version, sizeof(k->version), "%s", line + 8);
	else if (strncmp(line, "check ", 6) == 0)
		snprintf(k->complaint, sizeof(k->complaint), "%s", line + 6);
	else if (sscanf(line, "feature %31s %d", word, &has) == 2)
		take_feature(k, word, has == 1);
}

static void on_end(int r, const struct lg_err *err, void *arg)
{
	struct probe *p = arg;

	if (r < 0)
		snprintf(p->found.complaint, sizeof(p->found.complaint), "%.190s", err->msg);
	p->d->criu = p->found;
	p->then(p->d, p->call);
	lg_vcall_unref(p->call);
	free(p);
}

static bool is_current(const struct daemon *d, const char *path, const struct stat *st)
{
	return strcmp(d->criu.program, path) == 0 && d->criu.mtime == st->st_mtim.tv_sec &&
	       d->criu.inode == st->st_ino;
}

bool doctor_criu_first(struct daemon *d, struct lg_vcall *call,
		       void (*then)(struct daemon *d, struct lg_vcall *call))
{
	const char *path, *argv[] = { "criu-probe", "--var", d->root.var, NULL, NULL };
	struct lg_err err = { 0 };
	struct probe *p;
	struct stat st;

	if (criu_program(d, &path, NULL) < 0 || stat(path, &st) < 0 || is_current(d, path, &st))
		return false;
	p = calloc(1, sizeof(*p));
	if (!p)
		return false;
	p->d = d;
	p->then = then;
	p->call = lg_vcall_ref(call);
	p->found.mtime = st.st_mtim.tv_sec;
	p->found.inode = st.st_ino;
	snprintf(p->found.program, sizeof(p->found.program), "%s", path);
	argv[3] = path;
	if (worker_run(d, argv, on_line, on_end, p, &err) == 0)
		return true;
	lg_log(LG_LOG_WARN, "ask CRIU what it can do: %s", err.msg);
	lg_vcall_unref(p->call);
	free(p);
	return false;
}

static void check_key(struct report *r)
{
	const char *path = daemon_conf(r->d, "CHECKPOINT_KEY", NULL);
	struct lg_err err = { 0 };
	struct lg_seal_key key;

	if (!path || !*path)
		return;
	if (lg_seal_key_load(path, &key, &err) < 0)
		say(r, "checkpoint", "off", "CHECKPOINT_KEY in lodge.conf: %s: dump files cannot be written or read",
		    err.msg);
	else
		say(r, "checkpoint", "ok", "dump files are encrypted");
	explicit_bzero(&key, sizeof(key));
}

static void say_features(struct report *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (!(r->d->criu.features >> i & 1))
			say(r, "checkpoint", "off", "%s", features[i].without);
}

static void say_tracking(struct report *r)
{
	struct lg_err why = { 0 };

	if (lg_tracking_check(&why) == 0)
		say(r, "checkpoint", "ok", "this kernel tells which memory was written: a live move copies it ahead, while the "
		    "container runs");
	else
		say(r, "checkpoint", "off", "this kernel does not tell which memory was written: a live move copies it while the "
		    "container stands still: %s", why.msg);
}

void doctor_criu(struct report *r)
{
	const struct criu_known *k = &r->d->criu;
	struct lg_err err = { 0 };
	const char *path;

	if (criu_program(r->d, &path, &err) < 0) {
		say(r, "checkpoint", "off", "%s; until then nothing can be suspended", err.msg);
		return;
	}
	if (strcmp(k->program, path) != 0) {
		say(r, "checkpoint", "off", "%s could not be asked what it can do: see lodged's log", path);
	} else if (k->complaint[0]) {
		say(r, "checkpoint", "off", "CRIU %s (%s) does not work on this kernel: %s: try a newer one (CRIU in "
		    "lodge.conf)", k->version, path, k->complaint);
	} else {
		say(r, "checkpoint", "ok", "CRIU %s (%s): containers can be suspended", k->version, path);
		say_features(r);
		say_tracking(r);
	}
	check_key(r);
}
