/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Kernel settings and resource limits, changed. */

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "cmd/lodged/change.h"
#include "lib/ns.h"
#include "lib/parse.h"
#include "lib/rlimits.h"
#include "lib/sysctls.h"

struct writing {
	struct change *c;
	struct lg_err *err;
};

struct finding {
	const char *key;
	char value[LG_SYSCTL_VALUE];
};

static int find_one(const char *key, const char *value, void *arg)
{
	struct finding *f = arg;

	if (strcmp(f->key, key) == 0)
		snprintf(f->value, sizeof(f->value), "%s", value);
	return 0;
}

/* The value that @conf has for it; "": none. */
static void find(const struct lg_conf *conf, const char *key, struct finding *f)
{
	const char *text = lg_conf_get(conf, "SYSCTL");

	f->key = key;
	f->value[0] = '\0';
	if (text)
		lg_sysctls_each(text, find_one, f, NULL);
}

static int write_one(const struct change *c, const char *key, const char *value,
		     struct lg_err *err)
{
	char path[LG_SYSCTL_KEY + 16];

	lg_sysctl_path(key, path, sizeof(path));
	return lg_ns_write(c->ct->init_pid, path, value, err);
}

static int write_changed(const char *key, const char *value, void *arg)
{
	struct writing *w = arg;
	struct finding before;

	find(w->c->ct->conf, key, &before);
	return strcmp(before.value, value) == 0 ? 0 : write_one(w->c, key, value, w->err);
}

/* Nobody knows what it was before lodge set it. */
static int warn_removed(const char *key, const char *value, void *arg)
{
	struct change *c = arg;
	struct finding after;

	(void)value;
	find(c->conf, key, &after);
	if (!after.value[0])
		json_array_append_new(c->warnings, json_sprintf("%s keeps its value until the next "
								"start", key));
	return 0;
}

/* What lodged may not have itself it cannot give. */
static int warn_rlimit(const struct lg_rlimit *l, void *arg)
{
	struct change *c = arg;
	struct rlimit own;

	if (getrlimit((__rlimit_resource_t)l->resource, &own) == 0 &&
	    own.rlim_max != RLIM_INFINITY && l->hard > own.rlim_max)
		json_array_append_new(c->warnings,
			json_sprintf("rlimit %s: lodged itself may have %llu, so containers have "
				     "no more", l->name, (unsigned long long)own.rlim_max));
	return 0;
}

static int check(struct change *c, struct lg_err *err)
{
	const char *rlimits = lg_conf_get(c->conf, "RLIMITS");
	const char *before = lg_conf_get(c->ct->conf, "SYSCTL");

	if (rlimits && !change_keeps(c, "RLIMITS"))
		lg_rlimits_each(rlimits, warn_rlimit, c, NULL);
	if (before && change_runs(c) && !c->ct->vm && !change_keeps(c, "SYSCTL"))
		lg_sysctls_each(before, warn_removed, c, NULL);
	(void)err;
	return 0;
}

static int apply(struct change *c, struct lg_err *err)
{
	struct writing w = { c, err };
	const char *text = lg_conf_get(c->conf, "SYSCTL");

	if (!text || !change_runs(c) || c->ct->vm || change_keeps(c, "SYSCTL"))
		return 0;
	return lg_sysctls_each(text, write_changed, &w, err);
}

static int write_back(const char *key, const char *value, void *arg)
{
	struct change *c = arg;
	struct finding after;

	find(c->conf, key, &after);
	if (strcmp(after.value, value) != 0)
		write_one(c, key, value, NULL);
	return 0;
}

static void undo(struct change *c)
{
	const char *before = lg_conf_get(c->ct->conf, "SYSCTL");

	if (before && change_runs(c) && !c->ct->vm)
		lg_sysctls_each(before, write_back, c, NULL);
}

const struct applier apply_kernel = { check, apply, undo };
