/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The device nodes of a start: what the host's nodes are, in the words of ct/proto.h. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cmd/lodged/devices.h"
#include "cmd/lodged/features.h"

#define FEATURE_MODE 0666	/* who inside may use what was given is for the guest to say */

struct putting {
	struct lg_msg *m;
	struct lg_err *err;
};

static int put_node(struct lg_msg *m, const char *name, mode_t mode, const struct stat *st)
{
	char field[160];

	snprintf(field, sizeof(field), "%04o %c %u %u %s", (unsigned int)mode,
		 S_ISBLK(st->st_mode) ? 'b' : 'c', major(st->st_rdev), minor(st->st_rdev), name);
	return lg_msg_put(m, "device", field);
}

int device_stat(const char *name, struct stat *st, struct lg_err *err)
{
	char path[160];

	snprintf(path, sizeof(path), "/dev/%s", name);
	if (stat(path, st) < 0)
		return errno == ENOENT ? lg_refuse(err, -ENODEV, 0, "the host has no %s", path) :
					 lg_fail(err, -errno, "look at %s", path);
	if (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode))
		return lg_refuse(err, -ENODEV, 0, "%s is not a device", path);
	return 0;
}

static bool is_there(const struct lg_msg *m, const char *name)
{
	for (const char *v = lg_msg_get(m, "device"); v; v = lg_msg_next(m, "device", v))
		if (strcmp(strrchr(v, ' ') + 1, name) == 0)
			return true;
	return false;
}

static int put_feature(const struct lg_feature *f, void *arg)
{
	struct putting *p = arg;

	for (size_t i = 0; i < sizeof(f->devices) / sizeof(*f->devices) && f->devices[i]; i++) {
		bool optional = *f->devices[i] == '?';
		const char *name = f->devices[i] + optional;
		struct stat st;
		int r;

		if (is_there(p->m, name))
			continue;
		r = device_stat(name, &st, optional ? NULL : p->err);
		if (r < 0 && optional)
			continue;
		if (r < 0)
			return lg_within(p->err, r, "feature %s", f->name);
		put_node(p->m, name, FEATURE_MODE, &st);
	}
	return 0;
}

int spec_devices(const struct instance *ct, struct lg_msg *m, struct lg_err *err)
{
	struct putting p = { .m = m, .err = err };
	uint32_t on;
	int r = features_of(ct->conf, &on, err);

	return r < 0 ? r : lg_features_each(on, put_feature, &p);
}
