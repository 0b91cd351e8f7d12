/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/facts.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define HOST                                                                                        \
	"{\"protocol\": 1, \"lodge\": \"0.2.1\", \"kernel\": \"6.12.9-amd64\", \"machine\": \"x86_64\","  \
	" \"page_bytes\": 4096, \"time_us\": 1700000000000000, \"time_namespaces\": true,"            \
	" \"lxcfs\": true, \"apparmor\": true,"                                                        \
	" \"cpu\": {\"vendor\": \"V\", \"family\": \"6\", \"model\": \"85\", \"name\": \"Some CPU\","    \
	"  \"features\": [\"sse2\", \"avx2\"], \"xcr0\": 7, \"xsave_bytes\": 832},"                      \
	" \"criu\": {\"usable\": true, \"version\": \"4.1.1\", \"features\": [\"mem_dirty_track\"]},"    \
	" \"cgroups\": {\"kind\": \"unified\", \"controllers\": [\"memory\", \"pids\"]},"               \
	" \"storage\": {\"fs\": \"ext4\", \"project_quotas\": true, \"images\": true,"                  \
	"  \"free_bytes\": 10737418240, \"free_inodes\": 100000}, \"features\": [\"fuse\", \"tun\"]}"
#define HERE                                                                                        \
	"{\"here\": {\"ctid_taken\": false, \"name_taken_by\": 0, \"ids\": true, \"template\": \"same\"," \
	" \"addresses\": [{\"address\": \"10.0.0.2\", \"taken_by\": 0, \"known\": true}], \"refused\": []}}"
#define NEEDS                                                                                       \
	"{\"ctid\": 101, \"name\": \"web\", \"live\": true, \"own_clocks\": true, \"apparmor\": true,"  \
	" \"disk_limited\": true, \"features\": [\"fuse\"], \"ids\": 65536, \"bytes\": 1073741824,"     \
	" \"inodes\": 5000, \"memory_bytes\": 268435456, \"template\": {\"name\": \"debian-13\","       \
	"  \"digest\": \"sha256:1\", \"bytes\": 524288000}, \"addresses\": [\"10.0.0.2\"]}"

/*
 * What is changed of two equal hosts and a container that fits, and what is said then; in a row without
 * @says nothing is. Objects are merged.
 */
/* clang-format off */
static const struct {
	const char *what, *source, *target, *needs;
	const char *level, *says;
} cases[] = {
	{ "protocol", "{}", "{\"protocol\": 2}", "{}", "blocker", "version 1 of the protocol, lodge on the target version 2" },
	{ "protocol", "{}", "{\"protocol\": null}", "{}", "blocker", "version 0" },
	{ "protocol", "{\"protocol\": 2}", "{\"protocol\": 2}", "{}", NULL, NULL },
	{ "machine", "{}", "{\"machine\": \"aarch64\"}", "{\"live\": false}", "blocker", "made for x86_64, and the target is aarch64" },
	{ "machine", "{\"machine\": \"aarch64\"}", "{\"machine\": \"aarch64\"}", "{}", NULL, NULL },
	{ "page", "{}", "{\"page_bytes\": 65536}", "{}", "blocker", "pages of 4096 bytes, the target's of 65536" },
	{ "page", "{}", "{\"page_bytes\": 65536}", "{\"live\": false}", NULL, NULL },
	{ "cpu-features", "{\"cpu\": {\"features\": [\"sse2\", \"avx2\", \"avx512f\", \"gfni\"]}}", "{}", "{}", "blocker", "lacks avx512f gfni," },
	{ "cpu-features", "{}", "{\"cpu\": {\"features\": []}}", "{\"live\": false}", NULL, NULL },
	{ "cpu-features", "{}", "{\"cpu\": {\"features\": [\"avx2\", \"avx512f\", \"sse2\"]}}", "{}", NULL, NULL },
	{ "cpu-state", "{\"cpu\": {\"xcr0\": 231, \"xsave_bytes\": 2440}}", "{}", "{}", "blocker", "room for 832 bytes, needed are 2440" },
	{ "cpu-state", "{\"cpu\": {\"xcr0\": 519}}", "{\"cpu\": {\"xcr0\": 231, \"xsave_bytes\": 2440}}", "{}", "blocker", "registers" },
	{ "cpu-state", "{}", "{\"cpu\": {\"xcr0\": 231, \"xsave_bytes\": 2440}}", "{}", NULL, NULL },
	{ "clocks", "{}", "{\"time_namespaces\": false}", "{}", "blocker", "no time namespaces" },
	{ "clocks", "{}", "{\"time_namespaces\": false}", "{\"own_clocks\": false}", NULL, NULL },
	{ "clocks", "{}", "{\"time_namespaces\": false}", "{\"live\": false}", NULL, NULL },
	{ "cgroups", "{}", "{\"cgroups\": {\"kind\": \"hybrid\"}}", "{}", "blocker", "unified here and hybrid on the target" },
	{ "cgroups", "{\"cgroups\": {\"kind\": \"hybrid\"}}", "{}", "{}", "blocker", "hybrid here and unified on the target" },
	{ "cgroups", "{}", "{\"cgroups\": {\"kind\": \"hybrid\"}}", "{\"live\": false}", NULL, NULL },
	{ "criu-source", "{\"criu\": {\"usable\": false, \"why\": \"CRIU is too old\"}}", "{}", "{}", "blocker", "written here: CRIU is too old" },
	{ "criu-source", "{\"criu\": {\"usable\": false}}", "{}", "{\"live\": false}", NULL, NULL },
	{ "criu-target", "{}", "{\"criu\": null}", "{}", "blocker", "read on the target: no CRIU" },
	{ "criu-target", "{}", "{\"criu\": null}", "{\"live\": false}", NULL, NULL },
	{ "criu-older", "{}", "{\"criu\": {\"version\": \"3.17.1\"}}", "{}", "blocker", "CRIU 3.17.1 does not read what CRIU 4.1.1 writes" },
	{ "criu-older", "{\"criu\": {\"version\": \"3.17.1\"}}", "{}", "{}", NULL, NULL },
	{ "apparmor-lost", "{}", "{\"apparmor\": false}", "{}", "blocker", "no AppArmor to put them in" },
	{ "apparmor-lost", "{}", "{\"apparmor\": false}", "{\"apparmor\": false}", NULL, NULL },
	{ "room", "{}", "{\"storage\": {\"free_bytes\": 1342177279}}", "{}", "blocker", "1280 MiB are needed for it, and the target has 1280 MiB free" },
	{ "room", "{}", "{\"storage\": {\"free_bytes\": 1342177280}}", "{}", NULL, NULL },
	{ "room", "{}", "{\"storage\": {\"free_bytes\": 1073741824}}", "{\"live\": false}", NULL, NULL },
	{ "room", "{}", "{\"storage\": {\"free_bytes\": null}}", "{}", NULL, NULL },
	{ "room", "{}", "{\"storage\": {\"free_bytes\": -9223372036854775807}}", "{\"bytes\": 9223372036854775807}", "blocker", "has 0 MiB free" },
	{ "room-inodes", "{}", "{\"storage\": {\"free_inodes\": 4999}}", "{}", "blocker", "5000 files, and the target's file system has room for 4999" },
	{ "room-inodes", "{}", "{\"storage\": {\"free_inodes\": 5000}}", "{}", NULL, NULL },
	{ "room-inodes", "{}", "{\"storage\": {\"free_inodes\": null}}", "{}", NULL, NULL },
	{ "disk-limit", "{}", "{\"storage\": {\"fs\": \"xfs\", \"project_quotas\": false, \"images\": false}}", "{}", "blocker", "xfs has no project quotas there" },
	{ "disk-limit", "{}", "{\"storage\": {\"project_quotas\": false}}", "{}", NULL, NULL },
	{ "disk-limit", "{}", "{\"storage\": {\"images\": false}}", "{}", NULL, NULL },
	{ "disk-limit", "{}", "{\"storage\": {\"project_quotas\": false, \"images\": false}}", "{\"disk_limited\": false}", NULL, NULL },
	{ "feature", "{}", "{\"features\": [\"tun\"]}", "{}", "blocker", "cannot give it the feature fuse" },
	{ "feature", "{}", "{\"features\": [\"fuse\", \"kvm\"]}", "{}", NULL, NULL },
	{ "refused", "{}", "{\"here\": {\"refused\": [\"io-read: the files are on no disk\"]}}", "{}", "blocker", "refuses: io-read: the files are on no disk" },
	{ "refused", "{}", "{\"here\": {\"refused\": null}}", "{}", NULL, NULL },
	{ "ctid", "{}", "{\"here\": {\"ctid_taken\": true}}", "{}", "blocker", "has a container 101" },
	{ "ctid", "{}", "{\"here\": {\"ctid_taken\": false}}", "{}", NULL, NULL },
	{ "name", "{}", "{\"here\": {\"name_taken_by\": 107}}", "{}", "blocker", "container 107 is called web" },
	{ "name", "{}", "{}", "{\"name\": \"\"}", NULL, NULL },
	{ "ids", "{}", "{\"here\": {\"ids\": false}}", "{}", "blocker", "no range of 65536 ids" },
	{ "ids", "{}", "{\"here\": {\"ids\": true}}", "{}", NULL, NULL },
	{ "template-other", "{}", "{\"here\": {\"template\": \"other\"}}", "{}", "blocker", "a template debian-13 with other files" },
	{ "template-other", "{}", "{\"here\": {\"template\": \"same\"}}", "{}", NULL, NULL },
	{ "address-taken", "{}", "{\"here\": {\"addresses\": [{\"address\": \"10.0.0.2\", \"taken_by\": 105}]}}", "{}", "blocker", "10.0.0.2 is the target's container 105's" },
	{ "address-taken", "{}", "{\"here\": {\"addresses\": []}}", "{}", NULL, NULL },
	{ "lodge", "{}", "{\"lodge\": \"0.1.9\"}", "{}", "note", "lodge 0.1.9 is older than 0.2.1" },
	{ "lodge", "{}", "{\"lodge\": \"0.10.0\"}", "{}", NULL, NULL },
	{ "cpu-model", "{}", "{\"cpu\": {\"model\": \"86\", \"name\": \"Other CPU\"}}", "{}", "note", "Some CPU here, Other CPU on the target" },
	{ "cpu-model", "{}", "{\"cpu\": {\"model\": \"86\"}}", "{\"live\": false}", NULL, NULL },
	{ "kernel", "{}", "{\"kernel\": \"6.1.0-40-amd64\"}", "{}", "note", "kernel 6.1.0-40-amd64 is older than 6.12.9-amd64" },
	{ "kernel", "{}", "{\"kernel\": \"6.18.1\"}", "{}", NULL, NULL },
	{ "kernel", "{}", "{\"kernel\": \"6.12.1\"}", "{}", NULL, NULL },
	{ "criu-minor", "{}", "{\"criu\": {\"version\": \"4.0\"}}", "{}", "note", "CRIU 4.0 is older than 4.1.1" },
	{ "criu-minor", "{}", "{\"criu\": {\"version\": \"4.2\"}}", "{}", NULL, NULL },
	{ "untracked", "{\"tracking\": {\"usable\": false, \"why\": \"no marks\"}}", "{}", "{\"resident_bytes\": 16777216}", "note", "memory of 16 MiB is copied while it stands still, as this kernel does not tell what is written meanwhile: no marks" },
	{ "untracked", "{\"tracking\": {\"usable\": false, \"why\": \"no marks\"}}", "{}", "{\"resident_bytes\": 16777215}", NULL, NULL },
	{ "untracked", "{\"tracking\": {\"usable\": true}}", "{\"tracking\": {\"usable\": false}}", "{\"resident_bytes\": 99999999}", NULL, NULL },
	{ "apparmor-less", "{}", "{\"apparmor\": false}", "{\"live\": false}", "note", "without an AppArmor profile" },
	{ "apparmor-less", "{\"apparmor\": false}", "{\"apparmor\": false}", "{\"live\": false, \"apparmor\": false}", NULL, NULL },
	{ "apparmor-late", "{\"apparmor\": false}", "{}", "{\"apparmor\": false}", "note", "until it is restarted" },
	{ "apparmor-late", "{}", "{}", "{\"apparmor\": false, \"live\": false}", NULL, NULL },
	{ "lxcfs", "{}", "{\"lxcfs\": false}", "{}", "note", "no lxcfs" },
	{ "lxcfs", "{\"lxcfs\": false}", "{}", "{}", NULL, NULL },
	{ "time-of-day", "{}", "{\"time_us\": 1700000007000000}", "{}", "note", "clock is 7 s ahead" },
	{ "time-of-day", "{}", "{\"time_us\": 1699996400000000}", "{\"live\": false}", "note", "clock is 3600 s behind" },
	{ "time-of-day", "{}", "{\"time_us\": 1700000001000000}", "{}", NULL, NULL },
	{ "template-sent", "{}", "{\"here\": {\"template\": \"missing\"}}", "{}", "note", "its 500 MiB are sent first" },
	{ "template-sent", "{}", "{\"here\": {\"template\": \"same\"}}", "{}", NULL, NULL },
	{ "address-unknown", "{}", "{\"here\": {\"addresses\": [{\"address\": \"192.0.2.1\", \"known\": false}]}}", "{}", "note", "does not have the address 192.0.2.1" },
	{ "address-unknown", "{}", "{\"here\": {\"addresses\": [{\"address\": \"192.0.2.1\"}]}}", "{}", NULL, NULL },
	/* What another host may send. */
	{ "feature", "{}", "{\"features\": {}}", "{}", "blocker", "fuse" },
	{ "refused", "{}", "{\"here\": {\"refused\": [\"a\\u001b[2Jb\\nc\"]}}", "{}", "blocker", "refuses: a?[2Jb?c" },
	{ "refused", "{}", "{\"here\": {\"refused\": [{}]}}", "{}", "blocker", "refuses: " },
	{ "address-taken", "{}", "{\"here\": {\"addresses\": [7]}}", "{}", NULL, NULL },
	{ "machine", "{}", "{\"machine\": [\"x86_64\"]}", "{}", "blocker", "the target is " },
	{ "time-of-day", "{}", "{\"time_us\": -9223372036854775807}", "{}", "note", "behind" },
};
/* clang-format on */

static json_t *parsed(const char *text)
{
	json_error_t e;
	json_t *value = json_loads(text, 0, &e);

	ck_assert_msg(value, "%s: %s", text, e.text);
	return value;
}

static json_t *changed(const char *text, const char *more, const char *change)
{
	json_t *value = parsed(text);
	lg_autojson json_t *second = more ? parsed(more) : NULL, *third = parsed(change);

	if (second)
		json_object_update(value, second);
	ck_assert_int_eq(json_object_update_recursive(value, third), 0);
	return value;
}

static json_t *compared(const char *source, const char *target, const char *needs)
{
	lg_autojson json_t *a = changed(HOST, NULL, source), *b = changed(HOST, HERE, target);
	lg_autojson json_t *n = changed(NEEDS, NULL, needs);
	struct lg_err err = { 0 };
	json_t *found = NULL;

	ck_assert_int_eq(lg_facts_compare(a, b, n, &found, &err), 0);
	ck_assert(json_is_array(found));
	return found;
}

static const json_t *find(const json_t *found, const char *what)
{
	const json_t *item;
	size_t i;

	json_array_foreach(found, i, item)
		if (strcmp(lg_json_str(item, "what"), what) == 0)
			return item;
	return NULL;
}

START_TEST(each_check_says_its_sentence_where_it_hurts_and_nowhere_else)
{
	lg_autojson json_t *found = compared(cases[_i].source, cases[_i].target, cases[_i].needs);
	const json_t *item = find(found, cases[_i].what);
	lg_autofree char *text = json_dumps(found, 0);

	if (!cases[_i].says) {
		ck_assert_msg(!item, "%s: %s", cases[_i].what, text);
		return;
	}
	ck_assert_msg(item, "%s: %s", cases[_i].what, text);
	ck_assert_str_eq(lg_json_str(item, "level"), cases[_i].level);
	ck_assert_msg(strstr(lg_json_str(item, "why"), cases[_i].says), "%s: %s", cases[_i].what, text);
	ck_assert_ptr_null(strchr(lg_json_str(item, "why"), '{'));
	ck_assert_ptr_null(strchr(lg_json_str(item, "remedy"), '{'));
	ck_assert_int_gt(strlen(lg_json_str(item, "remedy")), 5);
	ck_assert(lg_facts_block(found) || strcmp(cases[_i].level, "note") == 0);
}
END_TEST

START_TEST(between_equal_hosts_nothing_is_said)
{
	lg_autojson json_t *live = compared("{}", "{}", "{}");
	lg_autojson json_t *cold = compared("{}", "{}", "{\"live\": false}");

	ck_assert_uint_eq(json_array_size(live), 0);
	ck_assert_uint_eq(json_array_size(cold), 0);
	ck_assert(!lg_facts_block(live));
}
END_TEST

static bool is_tried(const char *what, bool says)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (strcmp(cases[i].what, what) == 0 && (cases[i].says != NULL) == says)
			return true;
	return false;
}

START_TEST(every_row_is_tried_both_ways)
{
	for (size_t i = 0; lg_facts_check_name(i); i++)
		for (int says = 0; says < 2; says++)
			ck_assert_msg(is_tried(lg_facts_check_name(i), says), "%s, %d",
				      lg_facts_check_name(i), says);
}
END_TEST

START_TEST(blockers_come_first)
{
	lg_autojson json_t *found = compared("{}",
					     "{\"lxcfs\": false, \"here\": {\"ctid_taken\": true}, "
					     "\"machine\": \"aarch64\"}", "{}");

	ck_assert_uint_eq(json_array_size(found), 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_str_eq(lg_json_str(json_array_get(found, i), "level"),
				 i < 2 ? "blocker" : "note");
}
END_TEST

START_TEST(nothing_at_all_blocks)
{
	lg_autojson json_t *nothing = json_object();
	json_t *found = NULL;

	ck_assert_int_eq(lg_facts_compare(nothing, nothing, nothing, &found, NULL), 0);
	ck_assert(lg_facts_block(found));
	json_decref(found);
	ck_assert_int_eq(lg_facts_compare(NULL, NULL, NULL, &found, NULL), 0);
	ck_assert(lg_facts_block(found));
	json_decref(found);
}
END_TEST

/* ---- this host ---- */

static bool lists(const json_t *list, const char *text)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		if (strcmp(json_string_value(item), text) == 0)
			return true;
	return false;
}

START_TEST(a_processor_is_read_from_its_first_paragraph)
{
	lg_autojson json_t *x = lg_facts_cpu("processor\t: 0\nvendor_id\t: GenuineX\ncpu family\t: 6\n"
					     "model\t\t: 85\nmodel name\t: X CPU @ 2GHz\n"
					     "flags\t\t: fpu avx2 avx512_vnni pti ibrs smep\n\n"
					     "processor\t: 1\nvendor_id\t: Other\n");
	lg_autojson json_t *arm = lg_facts_cpu("processor\t: 0\nFeatures\t: fp asimd sve\n"
					       "CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n");

	ck_assert_str_eq(lg_json_str(x, "vendor"), "GenuineX");
	ck_assert_str_eq(lg_json_str(x, "model"), "85");
	ck_assert_str_eq(lg_json_str(x, "name"), "X CPU @ 2GHz");
	ck_assert_uint_eq(json_array_size(json_object_get(x, "features")), 3);
	ck_assert(lists(json_object_get(x, "features"), "avx512_vnni"));
	ck_assert(!lists(json_object_get(x, "features"), "pti"));
	ck_assert_str_eq(lg_json_str(arm, "vendor"), "0x41");
	ck_assert_uint_eq(json_array_size(json_object_get(arm, "features")), 3);
}
END_TEST

static const struct {
	const char *mountinfo, *kind;
	const char *has;
} mounts[] = {
	{ "1 0 0:1 / /nowhere rw - cgroup2 cgroup2 rw\n", "unified", NULL },
	{ "1 0 0:1 / /a rw - cgroup cgroup rw,cpu,cpuacct\n2 0 0:2 / /nowhere rw - cgroup2 cgroup2 rw\n",
	  "hybrid", "cpuacct" },
	{ "1 0 0:1 / /a rw - cgroup cgroup rw,memory\n", "legacy", "memory" },
	{ "1 0 0:1 / /a rw - cgroup cgroup rw,xattr,name=systemd\n2 0 0:2 / /nowhere rw - cgroup2 none rw\n",
	  "unified", NULL },
};

START_TEST(cgroups_are_of_one_of_three_kinds)
{
	lg_autojson json_t *cgroups = lg_facts_cgroups(mounts[_i].mountinfo);

	ck_assert_str_eq(lg_json_str(cgroups, "kind"), mounts[_i].kind);
	ck_assert(!mounts[_i].has || lists(json_object_get(cgroups, "controllers"), mounts[_i].has));
}
END_TEST

static char var[] = "/tmp/facts.XXXXXX";
static char program[64];

static void make_var(void)
{
	memcpy(strrchr(var, '.'), ".XXXXXX", sizeof(".XXXXXX"));
	ck_assert_ptr_nonnull(mkdtemp(var));
	snprintf(program, sizeof(program), "%s/criu", var);
}

static void remove_var(void)
{
	lg_remove_tree(AT_FDCWD, var, NULL);
}

/* A program that counts how often it is asked. */
static void make_criu(const char *answers)
{
	FILE *f = fopen(program, "we");

	ck_assert_ptr_nonnull(f);
	fprintf(f, "#!/bin/sh\necho >>%s.asked\n%s\n", program, answers);
	fclose(f);
	ck_assert_int_eq(chmod(program, 0755), 0);
}

static size_t asked(void)
{
	lg_autofree char *text = NULL;
	char path[80];
	size_t len = 0;

	snprintf(path, sizeof(path), "%s.asked", program);
	lg_file_read(AT_FDCWD, path, 4096, &text, &len, NULL);
	return len;
}

static const char good[] =
	"case \"$*\" in --version) echo Version: 4.1.1;; check) echo Looks good.;; "
	"'check --feature mem_dirty_track') exit 0;; *) exit 1;; esac";

START_TEST(criu_is_asked_once_for_each_program)
{
	struct lg_facts_where where = { .var = var, .criu = program };
	size_t first;

	make_criu(good);
	for (int i = 0; i < 3; i++) {
		lg_autojson json_t *criu = lg_facts_criu(&where);

		ck_assert(lg_json_bool(criu, "usable", false));
		ck_assert_str_eq(lg_json_str(criu, "version"), "4.1.1");
		ck_assert(lists(json_object_get(criu, "features"), "mem_dirty_track"));
		ck_assert_uint_eq(json_array_size(json_object_get(criu, "features")), 1);
		if (i == 0)
			first = asked();
	}
	ck_assert_uint_gt(first, 2);
	ck_assert_uint_eq(asked(), first);
	unlink(program);
	make_criu(good);
	json_decref(lg_facts_criu(&where));
	ck_assert_uint_gt(asked(), first);
}
END_TEST

static const struct {
	const char *answers, *why;
} bad_criu[] = {
	{ "echo Version: 4.1; [ $1 = --version ] || { echo 'Error (x.c:1): no ptrace' >&2; echo bye; exit 1; }",
	  "no ptrace" },
	{ "exit 3", "it says nothing" },
	{ "echo something else", "something else" },
	{ "kill -9 $$", "Input/output error" },
};

START_TEST(a_criu_that_does_not_work_says_why_every_time)
{
	struct lg_facts_where where = { .var = var, .criu = program };

	make_criu(bad_criu[_i].answers);
	for (int i = 0; i < 2; i++) {
		lg_autojson json_t *criu = lg_facts_criu(&where);

		ck_assert(!lg_json_bool(criu, "usable", true));
		ck_assert_msg(strstr(lg_json_str(criu, "why"), bad_criu[_i].why), "%s",
			      lg_json_str(criu, "why"));
	}
	ck_assert_uint_ge(asked(), 2);
}
END_TEST

START_TEST(no_criu_is_said_in_the_words_of_who_looked)
{
	struct lg_facts_where none = { .var = var, .criu_why = "CRIU is off" };
	struct lg_facts_where gone = { .var = var, .criu = "/nowhere/criu" };
	lg_autojson json_t *a = lg_facts_criu(&none), *b = lg_facts_criu(&gone);

	ck_assert_str_eq(lg_json_str(a, "why"), "CRIU is off");
	ck_assert_ptr_nonnull(strstr(lg_json_str(b, "why"), "No such file"));
}
END_TEST

START_TEST(this_host_is_like_itself)
{
	struct lg_facts_where where = { .var = var, .criu = program, .lxcfs = true };
	lg_autojson json_t *a = NULL, *b = NULL, *found = NULL, *needs = json_pack("{s:b}", "live", 1);
	struct lg_err err = { 0 };

	make_criu(good);
	ck_assert_int_eq(lg_facts_gather(&where, &a, &err), 0);
	ck_assert_int_eq(lg_facts_gather(&where, &b, &err), 0);
	ck_assert_int_gt(lg_json_int(json_object_get(a, "storage"), "free_bytes", 0), 0);
	ck_assert(json_array_size(json_object_get(json_object_get(a, "cpu"), "features")) > 3);
	ck_assert_int_eq(lg_facts_compare(a, b, needs, &found, &err), 0);
	ck_assert(!lg_facts_block(found));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("facts");
	TCase *tc = tcase_create("compare"), *host = tcase_create("host");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, each_check_says_its_sentence_where_it_hurts_and_nowhere_else, 0,
			    ARRAY_SIZE(cases));
	tcase_add_test(tc, between_equal_hosts_nothing_is_said);
	tcase_add_test(tc, every_row_is_tried_both_ways);
	tcase_add_test(tc, blockers_come_first);
	tcase_add_test(tc, nothing_at_all_blocks);
	tcase_add_test(tc, a_processor_is_read_from_its_first_paragraph);
	tcase_add_loop_test(tc, cgroups_are_of_one_of_three_kinds, 0, ARRAY_SIZE(mounts));
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(host, make_var, remove_var);
	tcase_add_test(host, criu_is_asked_once_for_each_program);
	tcase_add_loop_test(host, a_criu_that_does_not_work_says_why_every_time, 0,
			    ARRAY_SIZE(bad_criu));
	tcase_add_test(host, no_criu_is_said_in_the_words_of_who_looked);
	tcase_add_test(host, this_host_is_like_itself);
	suite_add_tcase(suite, host);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
