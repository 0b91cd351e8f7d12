/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: a row per check, at the end. Its function looks at one thing, or at each item of a list, answers
 * whether it hurts, and leaves the words for {a} and {b} of the row's sentences.
 */

#include "ct/facts_checks.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ct/ahead.h"
#include "ct/facts.h"
#include "lib/cleanup.h"

#define WORD_MAX LG_FACTS_WORD
#define SIZE_TOP (INT64_MAX / 4)
#define CLOCK_OFF_US 2000000	/* less may be the way that the question took */

/* ---- words ---- */

static void put(char word[WORD_MAX], const char *text)
{
	size_t n = 0;

	for (; text && *text && n < WORD_MAX - 1; text++)
		word[n++] = isprint((unsigned char)*text) ? *text : '?';
	word[n] = '\0';
}

static void put_number(char word[WORD_MAX], int64_t value)
{
	snprintf(word, WORD_MAX, "%" PRId64, value);
}

static void put_bytes(char word[WORD_MAX], int64_t bytes)
{
	snprintf(word, WORD_MAX, "%" PRId64 " MiB", (bytes + (1 << 20) - 1) >> 20);
}

static const char *text_of(const json_t *obj, const char *key)
{
	const char *text = lg_json_str(obj, key);

	return text ? text : "";
}

static bool put_both(const struct lg_facts_pair *p, const char *key, struct lg_facts_words *w)
{
	put(w->a, text_of(p->source, key));
	put(w->b, text_of(p->target, key));
	return true;
}

/* ---- lists ---- */

static bool has(const json_t *list, const char *text)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
			return true;
	return false;
}

/* Adds to @word what @want has and @have has not. Return: is there such a thing? */
static bool put_missing(const json_t *want, const json_t *have, char word[WORD_MAX])
{
	char one[WORD_MAX];
	const json_t *item;
	size_t i, n = 0;

	word[0] = '\0';
	json_array_foreach(want, i, item) {
		if (!json_is_string(item) || has(have, json_string_value(item)))
			continue;
		put(one, json_string_value(item));
		if (n + strlen(one) + 6 < WORD_MAX)
			n += (size_t)snprintf(word + n, WORD_MAX - n, "%s%s", n ? " " : "", one);
		else if (word[n - 1] != '.')
			n += (size_t)snprintf(word + n, WORD_MAX - n, " ...");
	}
	return n > 0;
}

/* The other host may say anything: no sum of these overflows. */
static int64_t size_of(const json_t *obj, const char *key, int64_t otherwise)
{
	int64_t n = lg_json_int(obj, key, otherwise);

	return n < 0 ? 0 : n > SIZE_TOP ? SIZE_TOP : n;
}

static const json_t *of(const json_t *obj, const char *key)
{
	return json_object_get(obj, key);
}

/* ---- versions: the numbers that a text begins with ---- */

static int compare_numbers(const char *a, const char *b, unsigned int n)
{
	while (n-- > 0) {
		unsigned long x = strtoul(a, NULL, 10), y = strtoul(b, NULL, 10);

		if (x != y)
			return x < y ? -1 : 1;
		a += strcspn(a, ".");
		b += strcspn(b, ".");
		a += *a == '.';
		b += *b == '.';
	}
	return 0;
}

static bool target_is_older(const struct lg_facts_pair *p, const char *key, unsigned int n)
{
	return compare_numbers(text_of(p->target, key), text_of(p->source, key), n) < 0;
}

/* ---- the hosts ---- */

static bool protocol(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	int64_t a = lg_json_int(p->source, "protocol", 0), b = lg_json_int(p->target, "protocol", 0);

	(void)item;
	put_number(w->a, a);
	put_number(w->b, b);
	return a != b || a == 0;
}

static bool machine(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	put_both(p, "machine", w);
	return strcmp(w->a, w->b) != 0 || !w->a[0];
}

static bool page(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	int64_t a = lg_json_int(p->source, "page_bytes", 0), b = lg_json_int(p->target, "page_bytes", 0);

	(void)item;
	put_number(w->a, a);
	put_number(w->b, b);
	return a != b || a == 0;
}

static bool cpu_features(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	return put_missing(of(of(p->source, "cpu"), "features"), of(of(p->target, "cpu"), "features"),
			   w->a);
}

/* CRIU puts saved registers back as they lie: the target must know every part, and have the room. */
static bool cpu_state(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	const json_t *a = of(p->source, "cpu"), *b = of(p->target, "cpu");
	int64_t parts = lg_json_int(a, "xcr0", 0), bytes = lg_json_int(a, "xsave_bytes", 0);

	(void)item;
	put_number(w->a, bytes);
	put_number(w->b, lg_json_int(b, "xsave_bytes", 0));
	return (parts & ~lg_json_int(b, "xcr0", 0)) != 0 || lg_json_int(b, "xsave_bytes", 0) < bytes;
}

static bool cpu_model(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	const json_t *a = of(p->source, "cpu"), *b = of(p->target, "cpu");
	static const char *const keys[] = { "vendor", "family", "model" };
	bool differs = false;

	(void)item;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		differs |= strcmp(text_of(a, keys[i]), text_of(b, keys[i])) != 0;
	put(w->a, text_of(a, "name"));
	put(w->b, text_of(b, "name"));
	return differs;
}

static bool kernel(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	return target_is_older(p, "kernel", 2) && put_both(p, "kernel", w);
}

static bool lodge(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	return target_is_older(p, "lodge", 3) && put_both(p, "lodge", w);
}

static bool clocks(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	(void)w;
	return lg_json_bool(p->needs, "own_clocks", false) &&
	       !lg_json_bool(p->target, "time_namespaces", false);
}

static bool time_of_day(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	int64_t off = size_of(p->target, "time_us", 0) - size_of(p->source, "time_us", 0);

	(void)item;
	snprintf(w->a, sizeof(w->a), "%" PRId64 " s %s", (off < 0 ? -off : off) / 1000000,
		 off < 0 ? "behind" : "ahead");
	return off >= CLOCK_OFF_US || off <= -CLOCK_OFF_US;
}

static bool lxcfs(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	(void)w;
	return lg_json_bool(p->source, "lxcfs", false) && !lg_json_bool(p->target, "lxcfs", false);
}

static bool loses_apparmor(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	(void)w;
	return lg_json_bool(p->needs, "apparmor", false) && !lg_json_bool(p->target, "apparmor", false);
}

static bool gains_apparmor(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	(void)w;
	return !lg_json_bool(p->needs, "apparmor", false) && lg_json_bool(p->target, "apparmor", false);
}

static bool cgroups(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	put(w->a, text_of(of(p->source, "cgroups"), "kind"));
	put(w->b, text_of(of(p->target, "cgroups"), "kind"));
	return strcmp(w->a, w->b) != 0;
}

/* ---- CRIU ---- */

static bool no_criu(const json_t *facts, struct lg_facts_words *w)
{
	const json_t *criu = of(facts, "criu");
	const char *why = text_of(criu, "why");

	put(w->a, *why ? why : "no CRIU");
	return !lg_json_bool(criu, "usable", false);
}

static bool criu_source(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	return no_criu(p->source, w);
}

static bool criu_target(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	return no_criu(p->target, w);
}

/* Of those that have one; @n: by so many numbers. */
static bool criu_is_older(const struct lg_facts_pair *p, unsigned int n, struct lg_facts_words *w)
{
	const json_t *a = of(p->source, "criu"), *b = of(p->target, "criu");

	put(w->a, text_of(a, "version"));
	put(w->b, text_of(b, "version"));
	return lg_json_bool(a, "usable", false) && lg_json_bool(b, "usable", false) &&
	       compare_numbers(w->b, w->a, n) < 0;
}

static bool criu_major(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	return criu_is_older(p, 1, w);
}

static bool criu_minor(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	return criu_is_older(p, 2, w) && !criu_is_older(p, 1, w);
}

static bool untracked(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	const json_t *tracking = of(p->source, "tracking");

	(void)item;
	put_bytes(w->a, size_of(p->needs, "resident_bytes", 0));
	put(w->b, text_of(tracking, "why"));
	return size_of(p->needs, "resident_bytes", 0) >= (int64_t)LG_AHEAD_MEMORY_MIN &&
	       !lg_json_bool(tracking, "usable", true);
}

/* ---- room ---- */

static bool is_sent(const struct lg_facts_pair *p)
{
	return strcmp(text_of(p->here, "template"), "missing") == 0;
}

static int64_t bytes_needed(const struct lg_facts_pair *p)
{
	return size_of(p->needs, "bytes", 0) +
	       (lg_json_bool(p->needs, "keeps_memory", lg_json_bool(p->needs, "live", false)) ? size_of(p->needs, "memory_bytes", 0) : 0) +
	       (is_sent(p) ? size_of(of(p->needs, "template"), "bytes", 0) : 0);
}

static bool room(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	int64_t free_bytes = size_of(of(p->target, "storage"), "free_bytes", SIZE_TOP);

	(void)item;
	put_bytes(w->a, bytes_needed(p));
	put_bytes(w->b, free_bytes);
	return bytes_needed(p) > free_bytes;
}

static bool room_inodes(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	int64_t free_inodes = size_of(of(p->target, "storage"), "free_inodes", SIZE_TOP);

	(void)item;
	put_number(w->a, size_of(p->needs, "inodes", 0));
	put_number(w->b, free_inodes);
	return size_of(p->needs, "inodes", 0) > free_inodes;
}

static bool disk_limit(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	const json_t *storage = of(p->target, "storage");

	(void)item;
	put(w->a, text_of(storage, "fs"));
	return lg_json_bool(p->needs, "disk_limited", false) &&
	       !lg_json_bool(storage, "project_quotas", false) && !lg_json_bool(storage, "images", false);
}

/* ---- the container ---- */

static const json_t *features_needed(const struct lg_facts_pair *p)
{
	return of(p->needs, "features");
}

static bool feature(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	put(w->a, json_string_value(item));
	return json_is_string(item) && !has(of(p->target, "features"), json_string_value(item));
}

static const json_t *refusals(const struct lg_facts_pair *p)
{
	return of(p->here, "refused");
}

static bool refused(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)p;
	put(w->a, json_string_value(item));
	return true;
}

static bool ctid(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	put_number(w->a, lg_json_int(p->needs, "ctid", 0));
	return lg_json_bool(p->here, "ctid_taken", false);
}

static bool name(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	int64_t by = lg_json_int(p->here, "name_taken_by", 0);

	(void)item;
	put(w->a, text_of(p->needs, "name"));
	put_number(w->b, by);
	return by != 0;
}

static bool ids(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	put_number(w->a, lg_json_int(p->needs, "ids", 0));
	return !lg_json_bool(p->here, "ids", true);
}

static bool template_other(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	put(w->a, text_of(of(p->needs, "template"), "name"));
	return strcmp(text_of(p->here, "template"), "other") == 0;
}

static bool template_sent(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)item;
	put(w->a, text_of(of(p->needs, "template"), "name"));
	put_bytes(w->b, size_of(of(p->needs, "template"), "bytes", 0));
	return is_sent(p);
}

static const json_t *addresses(const struct lg_facts_pair *p)
{
	return of(p->here, "addresses");
}

static bool address_taken(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	int64_t by = lg_json_int(item, "taken_by", 0);

	(void)p;
	put(w->a, text_of(item, "address"));
	put_number(w->b, by);
	return by != 0;
}

static bool address_unknown(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w)
{
	(void)p;
	put(w->a, text_of(item, "address"));
	return !lg_json_bool(item, "known", true);
}

/* ---- the table ---- */

#define BLOCKER LG_FACTS_BLOCKER
#define NOTE "note"

/* clang-format off */
const struct lg_facts_check lg_facts_checks[] = {
	{ "protocol",	LG_ALWAYS,	BLOCKER, protocol, NULL,
		"lodge here speaks version {a} of the protocol, lodge on the target version {b}",
		"install the same version of lodge on both hosts" },
	{ "machine",	LG_ALWAYS,	BLOCKER, machine, NULL,
		"its programs are made for {a}, and the target is {b}",
		"choose a target with the same kind of processor" },
	{ "page",	LG_LIVE,	BLOCKER, page, NULL,
		"the kernel here has pages of {a} bytes, the target's of {b}",
		"migrate it without --live, or boot the target with a kernel of the same page size" },
	{ "cpu-features", LG_LIVE,	BLOCKER, cpu_features, NULL,
		"the target's processor lacks {a}, which running programs may be using",
		"migrate it without --live, or choose a target whose processor has them" },
	{ "cpu-state",	LG_LIVE,	BLOCKER, cpu_state, NULL,
		"the target's processor does not keep all registers that this one does (room for {b} bytes, needed are {a})",
		"migrate it without --live, or choose a target with the same kind of processor" },
	{ "clocks",	LG_LIVE,	BLOCKER, clocks, NULL,
		"the target's kernel has no time namespaces, so that its clocks would jump",
		"migrate it without --live, or boot the target with a kernel that has CONFIG_TIME_NS" },
	{ "cgroups",	LG_LIVE,	BLOCKER, cgroups, NULL,
		"cgroups are {a} here and {b} on the target, and its processes know theirs",
		"migrate it without --live, or boot both hosts with the same kind of cgroups" },
	{ "criu-source", LG_LIVE,	BLOCKER, criu_source, NULL,
		"its memory cannot be written here: {a}",
		"migrate it without --live, or see `lodge doctor` here" },
	{ "criu-target", LG_LIVE,	BLOCKER, criu_target, NULL,
		"its memory cannot be read on the target: {a}",
		"migrate it without --live, or see `lodge doctor` on the target" },
	{ "criu-older",	LG_LIVE,	BLOCKER, criu_major, NULL,
		"the target's CRIU {b} does not read what CRIU {a} writes",
		"install CRIU {a} on the target" },
	{ "apparmor-lost", LG_LIVE, BLOCKER, loses_apparmor, NULL,
		"its processes are in an AppArmor profile, and the target has no AppArmor to put them in",
		"migrate it without --live, or load the profile lodge-container on the target" },
	{ "room",	LG_ALWAYS,	BLOCKER, room, NULL,
		"{a} are needed for it, and the target has {b} free",
		"make room on the target" },
	{ "room-inodes", LG_ALWAYS, BLOCKER, room_inodes, NULL,
		"it has {a} files, and the target's file system has room for {b}",
		"make room on the target" },
	{ "disk-limit",	LG_ALWAYS,	BLOCKER, disk_limit, NULL,
		"the target cannot limit its disk: {a} has no project quotas there, and images cannot be made",
		"mount the target's /var/lib/lodge with project quotas, or install mkfs.ext4 there" },
	{ "feature",	LG_ALWAYS,	BLOCKER, feature, features_needed,
		"the target cannot give it the feature {a}",
		"switch it off (lodge set --feature {a}:off), or load the driver on the target" },
	{ "refused",	LG_ALWAYS,	BLOCKER, refused, refusals,
		"the target refuses: {a}",
		"change the setting (lodge set), or prepare the target for it" },
	{ "ctid",	LG_ALWAYS,	BLOCKER, ctid, NULL,
		"the target has a container {a}",
		"give it another number there: --new-id N" },
	{ "name",	LG_ALWAYS,	BLOCKER, name, NULL,
		"the target's container {b} is called {a}, too",
		"rename one of them (lodge rename)" },
	{ "ids",	LG_ALWAYS,	BLOCKER, ids, NULL,
		"the target has no range of {a} ids left",
		"grant lodge more in /etc/subuid and /etc/subgid of the target" },
	{ "template-other", LG_ALWAYS, BLOCKER, template_other, NULL,
		"the target has a template {a} with other files",
		"remove it there if no container uses it (lodge template remove {a}): it is sent then" },
	{ "address-taken", LG_ALWAYS, BLOCKER, address_taken, addresses,
		"the address {a} is the target's container {b}'s",
		"give one of them another address (lodge set --ip)" },
	{ "lodge",	LG_ALWAYS,	NOTE, lodge, NULL,
		"the target's lodge {b} is older than {a}",
		"upgrade it: settings that it does not know have no effect there" },
	{ "cpu-model",	LG_LIVE,	NOTE, cpu_model, NULL,
		"the processor is another model: {a} here, {b} on the target",
		"nothing has to be done; programs that looked at it when they started do not see the change" },
	{ "kernel",	LG_LIVE,	NOTE, kernel, NULL,
		"the target's kernel {b} is older than {a}: what running programs use of the newer one may be missing",
		"boot the target with a kernel that is as new" },
	{ "criu-minor",	LG_LIVE,	NOTE, criu_minor, NULL,
		"the target's CRIU {b} is older than {a}",
		"install CRIU {a} on the target if the images are not read there" },
	{ "untracked",	LG_LIVE,	NOTE, untracked, NULL,
		"its memory of {a} is copied while it stands still, as this kernel does not tell what is written meanwhile: {b}",
		"boot this host with a kernel that tells, as Debian's do, to have it copied ahead" },
	{ "apparmor-less", LG_COLD, NOTE, loses_apparmor, NULL,
		"it runs without an AppArmor profile on the target: this wall is missing there",
		"load the profile lodge-container on the target, if its kernel has AppArmor" },
	{ "apparmor-late", LG_LIVE, NOTE, gains_apparmor, NULL,
		"its processes are in no AppArmor profile, and stay so on the target until it is restarted",
		"restart it there when there is time" },
	{ "lxcfs",	LG_ALWAYS,	NOTE, lxcfs, NULL,
		"the target has no lxcfs: /proc inside tells the host's memory and CPUs there",
		"install lxcfs on the target" },
	{ "time-of-day", LG_ALWAYS, NOTE, time_of_day, NULL,
		"the target's clock is {a}",
		"let both hosts take the time from NTP" },
	{ "template-sent", LG_ALWAYS, NOTE, template_sent, NULL,
		"the target does not have the template {a}: its {b} are sent first",
		"nothing has to be done; to save the time build or copy it there before" },
	{ "address-unknown", LG_ALWAYS, NOTE, address_unknown, addresses,
		"the target's network does not have the address {a}: nobody may reach it there",
		"set NETWORK in lodge.conf of the target, or route the address to it" },
};
/* clang-format on */

const size_t lg_facts_nchecks = ARRAY_SIZE(lg_facts_checks);
