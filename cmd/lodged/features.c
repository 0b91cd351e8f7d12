/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/features.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodged/change.h"
#include "ct/seccomp.h"
#include "lib/cleanup.h"

int features_of(const struct lg_conf *conf, uint32_t *on, struct lg_err *err)
{
	const char *text = lg_conf_get(conf, "FEATURES");
	int r;

	*on = 0;
	if (!text)
		return 0;
	r = lg_features_parse(text, on, NULL, err);
	return r < 0 ? lg_within(err, r, "FEATURES") : 0;
}

bool features_has(const struct lg_conf *conf, enum lg_feature_id id)
{
	uint32_t on;

	return features_of(conf, &on, NULL) == 0 && (on & LG_FEATURE_BIT(id));
}

int features_default(struct lg_conf *conf, const struct lg_template *t, struct lg_err *err)
{
	const char *own = lg_conf_get(conf, "FEATURES");
	uint32_t on = 0, off = 0, defaults, all;
	lg_autofree char *text = NULL;
	int r = own ? lg_features_parse(own, &on, &off, err) : 0;

	if (r == 0 && lg_features_parse(t->features, &defaults, NULL, err) < 0)
		return lg_within(err, err->code, "the FEATURES of template %s", t->name);
	if (r < 0)
		return r;
	all = lg_features_add(on, off, defaults);
	if (all == on)
		return 0;
	text = lg_features_format(all, off);
	return text ? lg_conf_set(conf, "FEATURES", text, err) : lg_fail(err, -ENOMEM, "FEATURES");
}

/* What lodge.conf lets all do, but for those that are to be suspended and moved. */
static unsigned int calls_of_all(const struct daemon *d, unsigned int own)
{
	if (own & LG_CALLS_DUMPABLE)
		return 0;
	return strcmp(daemon_conf(d, "IO_URING", "no"), "yes") == 0 ? LG_CALLS_IO_URING : 0;
}

int features_filter(const struct instance *ct, struct lg_err *err)
{
	struct daemon *d = ct->d;
	char cache[300];
	uint32_t on;
	unsigned int calls;
	int r = features_of(ct->conf, &on, err);

	if (r < 0)
		return r;
	calls = lg_features_calls(on);
	calls = (calls | calls_of_all(d, calls)) & (LG_CALLS_SETS - 1);
	if (d->filters[calls] >= 0)
		return d->filters[calls];
	snprintf(cache, sizeof(cache), "%s/cache", d->root.var);
	d->filters[calls] = lg_seccomp_open(cache, calls, err);
	return d->filters[calls];
}

static void warn(json_t *warnings, const struct lg_feature *f, bool on)
{
	if ((on && f->kind == LG_FEATURE_NEVER) || (!on && f->kind == LG_FEATURE_ALWAYS))
		json_array_append_new(warnings, json_sprintf("feature %s:%s is kept, but has no "
							     "effect: %s", f->name,
							     on ? "on" : "off", f->help));
}

void features_warn(const struct lg_conf *conf, json_t *warnings)
{
	const char *text = lg_conf_get(conf, "FEATURES");
	uint32_t on, off;

	if (!text || lg_features_parse(text, &on, &off, NULL) < 0)
		return;
	for (size_t i = 0; i < LG_FEATURE_COUNT_; i++)
		if ((on | off) & LG_FEATURE_BIT(i))
			warn(warnings, &lg_features[i], on & LG_FEATURE_BIT(i));
}

static int check_features(struct change *c, struct lg_err *err)
{
	uint32_t on;
	int r = features_of(c->conf, &on, err);

	if (r == 0 && !change_keeps(c, "FEATURES"))
		features_warn(c->conf, c->warnings);
	return r;
}

const struct applier apply_features = { check_features, NULL, NULL };
