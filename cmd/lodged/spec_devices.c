/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What devices a conf file gives: nodes to make and rules for the kernel. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "cmd/lodged/devices.h"
#include "cmd/lodged/features.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/log.h"

#define FEATURE_MODE 0666	/* who inside may use what was given is for the guest to say */
#define GIVEN_MODE 0660

struct gathering {
	struct device_set *set;
	json_t *warnings;
	struct lg_err *err;
};

static int find(const char *name, struct stat *st, struct lg_err *err)
{
	char path[LG_DEVICE_NAME + 8];

	snprintf(path, sizeof(path), "/dev/%s", name);
	if (stat(path, st) < 0)
		return errno == ENOENT || errno == ENOTDIR ?
			       lg_refuse(err, -ENODEV, 0, "the host has no %s", path) :
			       lg_fail(err, -errno, "look at %s", path);
	if (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode))
		return lg_refuse(err, -ENODEV, 0, "%s is not a device", path);
	return 0;
}

static struct device_node *node_of(struct device_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->node[i].name, name) == 0)
			return &set->node[i];
	return NULL;
}

static int add_rule(const struct gathering *g, const struct lg_device_rule *rule)
{
	return lg_device_rules_add(&g->set->rules, rule) < 0 ?
		       lg_refuse(g->err, -E2BIG, LG_EXIT_BAD_VALUE, "more than %u devices",
				 DEVICE_NODES_MAX) : 0;
}

static int add_node(const struct gathering *g, const char *name, mode_t mode, dev_t dev)
{
	struct device_node *node = node_of(g->set, name);

	if (!node && g->set->n == DEVICE_NODES_MAX)
		return lg_refuse(g->err, -E2BIG, LG_EXIT_BAD_VALUE, "more than %u devices",
				 DEVICE_NODES_MAX);
	if (!node)
		node = &g->set->node[g->set->n++];
	snprintf(node->name, sizeof(node->name), "%s", name);
	node->mode = mode;
	node->dev = dev;
	return 0;
}

static int give(const struct gathering *g, const char *name, mode_t mode, unsigned int access)
{
	struct lg_device_rule rule = { .access = access };
	struct stat st;
	int r = find(name, &st, g->err);

	if (r < 0)
		return r;
	rule.kind = S_ISBLK(st.st_mode) ? 'b' : 'c';
	rule.major = major(st.st_rdev);
	rule.minor = minor(st.st_rdev);
	r = add_rule(g, &rule);
	return r < 0 ? r : add_node(g, name, (st.st_mode & S_IFMT) | mode, st.st_rdev);
}

/* A device that is not there is an error of a start, and a warning in a configuration. */
static int forgive(const struct gathering *g, int r)
{
	if (r != -ENODEV || !g->warnings)
		return r;
	json_array_append_new(g->warnings, json_string(g->err->msg));
	memset(g->err, 0, sizeof(*g->err));
	return 0;
}

static int add_feature(const struct lg_feature *f, void *arg)
{
	const struct gathering *g = arg;

	for (size_t i = 0; i < ARRAY_SIZE(f->devices) && f->devices[i]; i++) {
		bool optional = *f->devices[i] == '?';
		const char *name = f->devices[i] + optional;
		struct stat st;
		int r;

		if (optional && find(name, &st, NULL) < 0)
			continue;
		r = give(g, name, FEATURE_MODE, LG_DEVICE_READ | LG_DEVICE_WRITE);
		if (r < 0)
			r = forgive(g, lg_within(g->err, r, "feature %s", f->name));
		if (r < 0)
			return r;
	}
	return 0;
}

/* "none" also takes away what a feature gave. */
static int add_name(const struct lg_device_name *d, void *arg)
{
	const struct gathering *g = arg;
	struct device_node *node = node_of(g->set, d->name);

	if (d->access)
		return forgive(g, give(g, d->name, GIVEN_MODE, d->access));
	if (node) {
		struct lg_device_rule rule = { .kind = S_ISBLK(node->mode) ? 'b' : 'c',
					       .major = major(node->dev),
					       .minor = minor(node->dev) };

		add_rule(g, &rule);
		*node = g->set->node[--g->set->n];
	}
	return 0;
}

/* The kernel says what a number is called: "DEVNAME=net/tun" in its uevent file. */
static bool name_of(const struct lg_device_rule *rule, char name[LG_DEVICE_NAME])
{
	lg_autofree char *text = NULL;
	const char *at;
	char path[64];

	snprintf(path, sizeof(path), "/sys/dev/%s/%u:%u/uevent",
		 rule->kind == 'b' ? "block" : "char", rule->major, rule->minor);
	if (lg_file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
		return false;
	at = strstr(text, "DEVNAME=");
	if (!at)
		return false;
	at += strlen("DEVNAME=");
	return (size_t)snprintf(name, LG_DEVICE_NAME, "%.*s", (int)strcspn(at, "\n"), at) <
	       LG_DEVICE_NAME;
}

static int add_number(const struct lg_device_rule *rule, void *arg)
{
	const struct gathering *g = arg;
	char name[LG_DEVICE_NAME];
	int r = add_rule(g, rule);

	if (r < 0 || !rule->access || rule->minor == LG_DEVICE_ANY || !name_of(rule, name))
		return r;
	return add_node(g, name, (rule->kind == 'b' ? S_IFBLK : S_IFCHR) | GIVEN_MODE,
			makedev(rule->major, rule->minor));
}

int devices_of(const struct lg_conf *conf, struct device_set *ret, json_t *warnings,
	       struct lg_err *err)
{
	struct gathering g = { .set = ret, .warnings = warnings, .err = err };
	const char *names = lg_conf_get(conf, "DEVNODES");
	const char *numbers = lg_conf_get(conf, "DEVICES");
	uint32_t on;
	int r = features_of(conf, &on, err);

	lg_device_rules_init(&ret->rules);
	ret->n = 0;
	if (r == 0)
		r = lg_features_each(on, add_feature, &g);
	if (r == 0 && numbers)
		r = lg_devices_each_rule(numbers, add_number, &g, err);
	if (r == 0 && names)
		r = lg_devices_each_name(names, add_name, &g, err);
	return r;
}

void devices_warn(const struct device_set *set, json_t *warnings)
{
	char what[300];

	for (size_t i = 0; i < set->n; i++)
		if (S_ISBLK(set->node[i].mode) &&
		    block_in_use(set->node[i].dev, what, sizeof(what)))
			json_array_append_new(warnings,
				json_sprintf("/dev/%s is %s: two that write to one disk destroy "
					     "what is on it", set->node[i].name, what));
}

int devices_attach(const struct instance *ct, const struct device_set *set, struct lg_err *err)
{
	static bool said;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "%u", ct->ctid);
	r = lg_device_rules_attach(ct->d->cg, name, &set->rules, err);
	if (r != -EPERM && r != -ENOSYS && r != -EINVAL)
		return r;
	if (!said)
		lg_log(LG_LOG_WARN, "%s: containers are kept from devices only by not being "
		       "able to make nodes", err->msg);
	said = true;
	memset(err, 0, sizeof(*err));
	return 0;
}

int device_put(const struct device_node *node, struct lg_msg *m)
{
	char field[LG_DEVICE_NAME + 40];

	snprintf(field, sizeof(field), "%04o %c %u %u %s", (unsigned int)node->mode & 0777,
		 S_ISBLK(node->mode) ? 'b' : 'c', major(node->dev), minor(node->dev), node->name);
	return lg_msg_put(m, "device", field);
}

int spec_devices(const struct device_set *set, struct lg_msg *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->n; i++)
		r = device_put(&set->node[i], m);
	return r;
}
