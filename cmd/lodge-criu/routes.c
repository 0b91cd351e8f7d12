/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Routes over a link without a carrier: a bridge inside that nothing is plugged into, or the container's own link while the host
 * holds it silent. The kernel tells their state (RTNH_F_LINKDOWN, RTNH_F_DEAD) in the flags and refuses a new route with them, so
 * they are taken out of the images: it finds out anew.
 *
 * And the rules that choose between tables of routes: to restore those of a new network namespace, which is what nearly all have,
 * CRIU takes the kernel's away and puts the same ones back. The kernel waits for all its readers with each. So an image that only
 * says that goes, as does one of iptables without a rule: for those CRIU starts six programs.
 *
 * The images are CRIU's route-N.img, route6-N.img and rule-N.img, which are what `ip route save` and `ip rule save` wrote: a magic
 * number, then the kernel's messages.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "net/saved.h"

#define IMAGE_MAX (64u << 20)

static int drop(const char *name, struct lg_err *err)
{
	return unlinkat(job.images, name, 0) < 0 ? lg_fail(err, -errno, "remove '%s' of the images", name) : 0;
}

static int rewrite_routes(const char *name, char *text, size_t len, struct lg_err *err)
{
	int changed = lg_saved_routes_forget_state(text, len);

	if (changed < 0)
		return lg_fail(err, changed, "'%s' of the images", name);
	return changed ? lg_file_replace_fast(job.images, name, text, len, 0644, err) : 0;
}

static int rewrite_rules(const char *name, char *text, size_t len, struct lg_err *err)
{
	int usual = lg_saved_rules_are_usual(text, len);

	if (usual < 0)
		return lg_fail(err, usual, "'%s' of the images", name);
	return usual ? drop(name, err) : 0;
}

/* clang-format off */
static const struct kind {
	const char *prefix;
	int (*run)(const char *name, char *text, size_t len, struct lg_err *err);	/* NULL: only an empty one goes */
} kinds[] = {
	{ "route-",	rewrite_routes },
	{ "route6-",	rewrite_routes },
	{ "rule-",	rewrite_rules },
	{ "iptables-",	NULL },
	{ "ip6tables-",	NULL },
};
/* clang-format on */

static int rewrite(const char *name, void *arg, struct lg_err *err)
{
	const struct kind *kind = arg;
	lg_autofree char *text = NULL;
	size_t len = 0;
	int r = lg_file_read(job.images, name, IMAGE_MAX, &text, &len, err);

	if (r < 0)
		return r;
	if (!len)
		return drop(name, err);
	return kind->run ? kind->run(name, text, len, err) : 0;
}

int routes_rewrite(struct lg_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		r = images_each(kinds[i].prefix, rewrite, (void *)(uintptr_t)&kinds[i], err);	/* it only reads */
	return r;
}
