/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "ct/tracking.h"
#include "lib/cleanup.h"
#include "lib/features.h"
#include "lib/file.h"
#include "lib/parse.h"
#include "storage/disk.h"

#define TEXT_MAX (1u << 20)
#define APPARMOR "/sys/module/apparmor/parameters/enabled"
#define PROFILES "/sys/kernel/security/apparmor/profiles"
#define PROFILE "lodge-container "

/* ---- cgroups ---- */

struct mount_line {
	char point[PATH_MAX], fs[32], options[512];
};

static bool parse_line(const char *line, struct mount_line *ret)
{
	const char *dash = strstr(line, " - ");

	return dash && sscanf(line, "%*d %*d %*s %*s %4095s", ret->point) == 1 &&
	       sscanf(dash, " - %31s %*s %511[^\n]", ret->fs, ret->options) == 2;
}

static void add(json_t *list, const char *words, const char *between)
{
	for (words += strspn(words, between); *words; words += strspn(words, between)) {
		size_t n = strcspn(words, between);

		json_array_append_new(list, json_stringn(words, n));
		words += n;
	}
}

/* "cpu,cpuacct" among "rw,cpu,cpuacct": what is no controller does no harm in the list of them. */
static void add_v1(json_t *list, const char *options)
{
	if (strstr(options, "name="))
		return;
	add(list, options + strcspn(options, ",") + (strchr(options, ',') != NULL), ",");
}

static void add_v2(json_t *list, const char *point)
{
	lg_autofree char *text = NULL;
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/cgroup.controllers", point);
	if (lg_file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) == 0)
		add(list, text, " \n");
}

json_t *lg_facts_cgroups(const char *mountinfo)
{
	struct mount_line m;
	json_t *list = json_array();
	bool v1 = false, v2 = false;

	for (const char *line = mountinfo; list && *line; line += *line == '\n') {
		bool parsed = parse_line(line, &m);

		if (parsed && strcmp(m.fs, "cgroup") == 0) {
			v1 |= !strstr(m.options, "name=");
			add_v1(list, m.options);
		} else if (parsed && strcmp(m.fs, "cgroup2") == 0) {
			v2 = true;
			add_v2(list, m.point);
		}
		line += strcspn(line, "\n");
	}
	return json_pack("{s:s, s:o}", "kind", !v1 ? "unified" : v2 ? "hybrid" : "legacy",
			 "controllers", list);
}

static json_t *cgroups(void)
{
	lg_autofree char *text = NULL;

	if (lg_file_read(AT_FDCWD, "/proc/self/mountinfo", TEXT_MAX, &text, NULL, NULL) < 0)
		return NULL;
	return lg_facts_cgroups(text);
}

/* ---- the rest ---- */

static json_t *cpu(void)
{
	lg_autofree char *text = NULL;

	if (lg_file_read(AT_FDCWD, "/proc/cpuinfo", 16 * TEXT_MAX, &text, NULL, NULL) < 0)
		return NULL;
	return lg_facts_cpu(text);
}

/* The name that the mount table has; "" where it cannot be told. */
static void file_system(const char *path, char ret[32])
{
	lg_autofree char *text = NULL;
	struct stat st;
	unsigned int major, minor;
	char *save = NULL;

	ret[0] = '\0';
	if (stat(path, &st) < 0 ||
	    lg_file_read(AT_FDCWD, "/proc/self/mountinfo", TEXT_MAX, &text, NULL, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *dash = strstr(line, " - ");

		if (dash && sscanf(line, "%*d %*d %u:%u", &major, &minor) == 2 &&
		    makedev(major, minor) == st.st_dev && sscanf(dash, " - %31s", ret) == 1)
			return;
	}
}

static json_t *storage(const char *var)
{
	static const struct lg_disk_limit any = { .bytes = LG_DISK_MIN * 2, .inodes = LG_UNLIMITED };
	json_t *o;
	struct statvfs fs;
	json_int_t free_bytes;
	char name[32];

	file_system(var, name);
	o = json_pack("{s:s, s:b, s:b}", "fs", name, "project_quotas", lg_disk_project.probe(var, &any),
		      "images", lg_disk_image.probe(var, &any));
	if (o && statvfs(var, &fs) == 0) {
		free_bytes = (json_int_t)fs.f_bavail * (json_int_t)fs.f_frsize;
		json_object_set_new(o, "free_bytes", json_integer(free_bytes));
		/* btrfs makes them as it needs them, and says 0 of 0. */
		if (fs.f_files)
			json_object_set_new(o, "free_inodes", json_integer((json_int_t)fs.f_favail));
	}
	return o;
}

static bool has_devices(const struct lg_feature *f)
{
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(f->devices) && f->devices[i]; i++) {
		snprintf(path, sizeof(path), "/dev/%s", f->devices[i]);
		if (f->devices[i][0] != '?' && access(path, F_OK) < 0)
			return false;
	}
	return true;
}

static json_t *features(void)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < LG_FEATURE_COUNT_; i++)
		if (has_devices(&lg_features[i]))
			json_array_append_new(list, json_string(lg_features[i].name));
	return list;
}

/* Switched on, and with the profile for containers: without that they do without. */
static bool has_apparmor(void)
{
	lg_autofree char *on = NULL, *profiles = NULL;

	return lg_file_read(AT_FDCWD, APPARMOR, 16, &on, NULL, NULL) == 0 && *on == 'Y' &&
	       lg_file_read(AT_FDCWD, PROFILES, TEXT_MAX, &profiles, NULL, NULL) == 0 &&
	       strstr(profiles, PROFILE);
}

static json_t *tracking(void)
{
	struct lg_err why = { 0 };

	if (lg_tracking_check(&why) == 0)
		return json_pack("{s:b}", "usable", 1);
	return json_pack("{s:b, s:s}", "usable", 0, "why", why.msg);
}

int lg_facts_gather(const struct lg_facts_where *where, json_t **ret, struct lg_err *err)
{
	struct timespec now;
	struct utsname uts;
	json_t *facts;

	uname(&uts);
	facts = json_pack("{s:i, s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:o*, s:o, s:o*, s:o, s:o, s:o}",
			  "protocol", LG_FACTS_PROTOCOL, "lodge", LODGE_VERSION, "kernel", uts.release,
			  "machine", uts.machine, "page_bytes", (json_int_t)sysconf(_SC_PAGESIZE),
			  "time_namespaces", access("/proc/self/ns/time", F_OK) == 0, "lxcfs",
			  where->lxcfs, "apparmor", has_apparmor(), "cpu", cpu(), "criu",
			  lg_facts_criu(where), "cgroups", cgroups(), "storage", storage(where->var),
			  "features", features(), "tracking", tracking());
	if (!facts)
		return lg_fail(err, -ENOMEM, "describe this host");
	/* Last, so that asking CRIU is not taken for a clock that is behind. */
	clock_gettime(CLOCK_REALTIME, &now);
	json_object_set_new(facts, "time_us",
			    json_integer((json_int_t)now.tv_sec * 1000000 + now.tv_nsec / 1000));
	*ret = facts;
	return 0;
}
