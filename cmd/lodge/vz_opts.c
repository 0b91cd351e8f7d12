/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * vzctl's parameters: each is a setting of lodge's, or a key of the configuration that is kept as
 * vzctl would have written it.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge/vz.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

#define CPULIMIT_TOP 10000000u

/* ---- one value ---- */

typedef int (*convert_fn)(const char *text, long cpus, char **ret, struct lg_err *err);

static int give(char **ret, char *text)
{
	*ret = text;
	return text ? 0 : -ENOMEM;
}

static char *format_u64(const char *fmt_after, uint64_t v)
{
	char *text;

	return asprintf(&text, "%" PRIu64 "%s", v, fmt_after) < 0 ? NULL : text;
}

/* LONG_MAX is how vzctl's configurations spell "no limit". */
static bool is_unlimited(uint64_t v, uint64_t unit)
{
	return v == LG_UNLIMITED || v >= (uint64_t)INT64_MAX / unit;
}

static char *format_half(uint64_t v, uint64_t unit)
{
	return is_unlimited(v, unit) && v >= (uint64_t)INT64_MAX - 1 ? strdup("unlimited") :
								       format_u64("", v / unit);
}

/* A "barrier:limit" whose halves may be LONG_MAX, which no size can be. */
static int parse_pair(const char *text, uint64_t unit, uint64_t *b, uint64_t *l,
		      struct lg_err *err)
{
	static const char long_max[] = "9223372036854775807";
	char half[2][64];
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	uint64_t *to[2] = { b, l };

	if (len >= sizeof(half[0]) || strlen(text) - len > sizeof(half[0]))
		return lg_parse_size("", unit, b, err);
	snprintf(half[0], sizeof(half[0]), "%.*s", (int)len, text);
	snprintf(half[1], sizeof(half[1]), "%s", colon ? colon + 1 : half[0]);
	for (int i = 0; i < 2; i++) {
		int r = 0;

		if (strcmp(half[i], long_max) == 0)
			*to[i] = LG_UNLIMITED;
		else
			r = lg_parse_size(half[i], unit, to[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int to_pair(const char *text, uint64_t bare, uint64_t saved, char **ret,
		   struct lg_err *err)
{
	lg_autofree char *first = NULL, *second = NULL;
	uint64_t b, l;
	int r = parse_pair(text, bare, &b, &l, err);

	if (r < 0)
		return r;
	first = format_half(b, saved);
	second = format_half(l, saved);
	if (!first || !second || asprintf(ret, "%s:%s", first, second) < 0)
		return -ENOMEM;
	return 0;
}

static int bytes_pair(const char *text, long cpus, char **ret, struct lg_err *err)
{
	(void)cpus;
	return to_pair(text, 1, 1, ret, err);
}

static int pages_pair(const char *text, long cpus, char **ret, struct lg_err *err)
{
	(void)cpus;
	return to_pair(text, LG_PAGE, LG_PAGE, ret, err);
}

static int kib_pair(const char *text, long cpus, char **ret, struct lg_err *err)
{
	(void)cpus;
	return to_pair(text, 1024, 1024, ret, err);
}

/* The limit of a pair of pages, as the size that lodge's setting takes. */
static int pages_limit(const char *text, long cpus, char **ret, struct lg_err *err)
{
	uint64_t b, l;
	int r = parse_pair(text, LG_PAGE, &b, &l, err);

	(void)cpus;
	if (r < 0)
		return r;
	return give(ret, l == LG_UNLIMITED ? strdup("unlimited") : format_u64("", l));
}

/* The barrier of one: what is guaranteed. */
static int pages_barrier(const char *text, long cpus, char **ret, struct lg_err *err)
{
	uint64_t b, l;
	int r = parse_pair(text, LG_PAGE, &b, &l, err);

	(void)cpus;
	if (r < 0)
		return r;
	return give(ret, b == LG_UNLIMITED ? strdup("0") : format_u64("", b));
}

static int as_it_is(const char *text, long cpus, char **ret, struct lg_err *err)
{
	(void)cpus;
	(void)err;
	return give(ret, strdup(text));
}

/* "50": percent of one CPU; "50%": of all that the host has. */
static int cpulimit(const char *text, long cpus, char **ret, struct lg_err *err)
{
	size_t len = strlen(text);
	char number[24];
	uint64_t v = 0;
	bool of_host = len > 0 && text[len - 1] == '%';
	int r;

	if (len == 0 || len >= sizeof(number))
		return lg_parse_u64("", 0, 1, &v, err);
	snprintf(number, sizeof(number), "%.*s", (int)(of_host ? len - 1 : len), text);
	r = lg_parse_u64(number, 0, of_host ? 100 : CPULIMIT_TOP, &v, err);
	if (r < 0)
		return r;
	if (of_host)
		v *= (uint64_t)cpus;
	return give(ret, v ? format_u64("%", v) : strdup("unlimited"));
}

/* 1000 units are vzctl's normal share, weight 100 is the kernel's. */
static int cpuunits(const char *text, long cpus, char **ret, struct lg_err *err)
{
	uint64_t v = 0;
	int r = lg_parse_u64(text, 8, 500000, &v, err);

	(void)cpus;
	if (r < 0)
		return r;
	v /= 10;
	return give(ret, format_u64("", v < 1 ? 1 : v > 10000 ? 10000 : v));
}

/* A bare number is MB/s, the configuration has bytes. */
static int iolimit(const char *text, long cpus, char **ret, struct lg_err *err)
{
	uint64_t v = 0;
	int r = lg_parse_size(text, 1u << 20, &v, err);

	(void)cpus;
	return r < 0 ? r : give(ret, format_u64("", v == LG_UNLIMITED ? 0 : v));
}

static int iopslimit(const char *text, long cpus, char **ret, struct lg_err *err)
{
	uint64_t v = 0;
	int r = lg_parse_size(text, 1, &v, err);

	(void)cpus;
	return r < 0 ? r : give(ret, format_u64("", v == LG_UNLIMITED ? 0 : v));
}

/* Options whose value is not simply copied; @name: lodge's setting that does the same. */
static const struct {
	const char *opt, *name;
	convert_fn convert;
} conversions[] = {
	{ "physpages", "memory", pages_limit },	   { "swappages", "swap", pages_limit },
	{ "numproc", "tasks", bytes_pair },	   { "cpulimit", "cpus", cpulimit },
	{ "cpuunits", "cpu-weight", cpuunits },	   { "iolimit", NULL, iolimit },
	{ "cpuweight", "cpu-weight", as_it_is },
	{ "iopslimit", NULL, iopslimit },	   { "diskspace", NULL, kib_pair },
	{ "diskinodes", NULL, bytes_pair },	   { "kmemsize", NULL, bytes_pair },
	{ "lockedpages", NULL, pages_pair },	   { "privvmpages", NULL, pages_pair },
	{ "shmpages", NULL, pages_limit },	   { "vmguarpages", NULL, pages_barrier },
	{ "oomguarpages", NULL, pages_barrier },	   { "numtcpsock", NULL, bytes_pair },
	{ "numflock", NULL, bytes_pair },	   { "numpty", NULL, bytes_pair },
	{ "numsiginfo", NULL, bytes_pair },	   { "tcpsndbuf", NULL, bytes_pair },
	{ "tcprcvbuf", NULL, bytes_pair },	   { "othersockbuf", NULL, bytes_pair },
	{ "dgramrcvbuf", NULL, bytes_pair },	   { "numothersock", NULL, bytes_pair },
	{ "numfile", NULL, bytes_pair },	   { "dcachesize", NULL, bytes_pair },
	{ "numiptent", NULL, bytes_pair },	   { "avnumproc", NULL, bytes_pair },
};

static convert_fn conversion(const char *opt, const char **name)
{
	for (size_t i = 0; i < ARRAY_SIZE(conversions); i++)
		if (strcmp(conversions[i].opt, opt) == 0) {
			if (conversions[i].name)
				*name = conversions[i].name;
			return conversions[i].convert;
		}
	return NULL;
}

int vz_value(const char *opt, const char *text, long cpus, const char **name, char **value,
	     struct lg_err *err)
{
	const struct lg_setting *s = lg_setting_by_vz_opt(opt);
	lg_autofree char *checked = NULL;
	convert_fn convert;
	int r;

	if (!s)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION, "Invalid option: --%s", opt);
	*name = s->name ? s->name : s->key;
	convert = conversion(opt, name);
	r = convert && *text ? convert(text, cpus, value, err) : give(value, strdup(text));
	/* Checked here, too: without --save nothing else might ever look at it. */
	if (r == 0 && **value) {
		const struct lg_setting *as = lg_setting_by_name(*name);

		r = lg_setting_to_conf(as ? as : s, *value, &checked, err);
	}
	if (r < 0) {
		int exit_code = err && err->exit_code ? err->exit_code : LG_EXIT_BAD_VALUE;

		lg_within(err, r, "--%s", opt);
		if (err)
			err->exit_code = exit_code;
		return r;
	}
	return s->type == LG_SET_KEPT ? 1 : 0;
}

/* ---- lists that are changed member by member ---- */

/* "ifname=eth0,mac=..." is called eth0; any other member by itself. */
static bool is_called(const char *member, size_t len, const char *name)
{
	static const char ifname[] = "ifname=";
	size_t skip = sizeof(ifname) - 1;

	if (len > skip && strncmp(member, ifname, skip) == 0) {
		member += skip;
		len = strcspn(member, ",;");
	}
	return strlen(name) == len && strncmp(member, name, len) == 0;
}

char *vz_list_edit(const char *old, char sep, const char *add, const char *del)
{
	const char seps[] = { sep, '\0' };
	char *list = calloc(1, strlen(old ? old : "") + strlen(add ? add : "") + 2);
	size_t at = 0;

	if (!list)
		return NULL;
	for (const char *p = old; p && *p;) {
		size_t len = strcspn(p, seps);
		bool gone = del && (strcmp(del, "all") == 0 || is_called(p, len, del));

		if (len && !gone) {
			if (at)
				list[at++] = sep;
			memcpy(list + at, p, len);
			at += len;
		}
		p += len + (p[len] ? 1 : 0);
	}
	if (add && *add)
		stpcpy(stpcpy(list + at, at ? seps : ""), add);
	return list;
}

static const struct {
	const char *opt, *key;
	char sep;
	bool del;
} lists[] = {
	{ "netif_add", "NETIF", ';', false },	{ "netif_del", "NETIF", ';', true },
	{ "netdev_add", "NETDEV", ' ', false }, { "netdev_del", "NETDEV", ' ', true },
	{ "pci_add", "PCI", ' ', false },	{ "pci_del", "PCI", ' ', true },
};

/* --netif_add takes "if,mac,host_if,host_mac,bridge"; the file has names in front. */
static char *netif_member(const char *text)
{
	static const char *const names[] = { "ifname", "mac", "host_ifname", "host_mac", "bridge" };
	const size_t size = strlen(text) + 64;	/* room for all the names */
	lg_autofree char *copy = strdup(text);
	char *member = calloc(1, size), *rest = copy, *part;
	size_t at = 0;

	for (size_t i = 0; member && copy && i < ARRAY_SIZE(names) && at < size; i++) {
		part = strsep(&rest, ",");
		if (part && *part)
			at += (size_t)snprintf(member + at, size - at, "%s%s=%s", at ? "," : "",
					       names[i], part);
	}
	return member;
}

int vz_lists_apply(struct vz_wish *w, const json_t *conf)
{
	for (size_t i = 0; i < json_array_size(w->lists); i++) {
		const json_t *change = json_array_get(w->lists, i);
		size_t row = (size_t)lg_json_int(change, "row", 0);
		const char *key = lists[row].key, *text = lg_json_str(change, "text");
		const char *old = lg_json_str(w->set, key);
		lg_autofree char *member = NULL, *list = NULL;

		if (!old)
			old = lg_json_str(conf, key);
		member = strcmp(key, "NETIF") == 0 && !lists[row].del ? netif_member(text) :
									strdup(text);
		if (!member)
			return -ENOMEM;
		list = vz_list_edit(old, lists[row].sep, lists[row].del ? NULL : member,
				    lists[row].del ? member : NULL);
		if (!list || json_object_set_new(w->set, key, json_string(list)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- all of them ---- */

/* Options that are no settings, or whose setting has another name than vzctl's key. */
static const struct opt own_opts[] = {
	{ "ipadd", 0, "ADDR", "" },	    { "ip", 0, "ADDR", "" },
	{ "ipdel", 0, "ADDR|all", "" },	    { "userpasswd", 0, "USER:PASSWORD", "" },
	{ "crypted", 0, NULL, "" },	    { "save", 0, NULL, "" },
	{ "force", 0, NULL, "" },	    { "setmode", 0, "restart|ignore", "" },
	{ "reset_ub", 0, NULL, "" },	    { "config", 0, "NAME", "" },
	{ "applyconfig", 0, "NAME", "" },   { "applyconfig_map", 0, "NAME", "" },
	{ "netif_add", 0, "IFNAME", "" },   { "netif_del", 0, "IFNAME|all", "" },
	{ "netdev_add", 0, "NAME", "" },    { "netdev_del", 0, "NAME", "" },
	{ "pci_add", 0, "ADDR", "" },	    { "pci_del", 0, "ADDR", "" },
	{ 0 },
};

/* Other spellings, and one-letter options of vzctl's. */
static const struct {
	const char *opt, *same;
} spellings[] = {
	{ "ve_layout", "layout" }, { "velayout", "layout" }, { "ip", "ipadd" },
};

/* Accepted so that scripts go on working; neither lodge nor its configuration has a place for them. */
static const struct opt ignored_opts[] = {
	{ "ve_layout", 0, "LAYOUT", "" },	{ "velayout", 0, "LAYOUT", "" },
	{ "offline-resize", 0, NULL, "" },	{ "ifname", 0, "IFNAME", "" },
	{ "mac", 0, "MAC", "" },		{ "host_ifname", 0, "IFNAME", "" },
	{ "host_mac", 0, "MAC", "" },		{ "bridge", 0, "BRIDGE", "" },
	{ "mac_filter", 0, "on|off", "" },	{ "numnetif", 0, "N", "" },
	{ "pagecache-isolation", 0, "yes|no", "" },
	{ "jquota", 0, "on|off", "" },		{ "ext_ipadd", 0, "ADDR", "" },
	{ "ext_ipdel", 0, "ADDR", "" },		{ "gw", 0, "ADDR", "" },
	{ "gw6", 0, "ADDR", "" },		{ "dhcp", 0, "yes|no", "" },
	{ "dhcp6", 0, "yes|no", "" },		{ "network", 0, "ID", "" },
	{ "configure", 0, "none|all", "" },	{ "rate", 0, "DEV:CLASS:KBITS", "" },
	{ "ratebound", 0, "yes|no", "" },	{ "noatime", 0, "yes|no", "" },
	{ "bindmount_add", 0, "[SRC:]DST", "" }, { "bindmount_del", 0, "DST|all", "" },
	{ "distribution", 0, "NAME", "" },	{ "ha_enable", 0, "yes|no", "" },
	{ "ha_prio", 0, "N", "" },		{ 0 },
};

/* The settings' vzctl names as a table of options, with vzctl's letters. */
static const struct opt *setting_opts(void)
{
	static const struct {
		char letter;
		const char *opt;
	} letters[] = {
		{ 'e', "numiptent" },	{ 'p', "numproc" },    { 'f', "numflock" },
		{ 't', "numpty" },	{ 'i', "numsiginfo" }, { 'l', "lockedpages" },
		{ 'k', "kmemsize" },	{ 'a', "avnumproc" },  { 'n', "numfile" },
	};
	static struct opt table[128];
	size_t n = 0;

	for (size_t i = 0; i < lg_nsettings && n + 1 < ARRAY_SIZE(table); i++) {
		if (!lg_settings[i].vz_opt)
			continue;
		table[n] = (struct opt){ .name = lg_settings[i].vz_opt, .help = "",
					 .arg = lg_settings[i].arg };
		for (size_t k = 0; k < ARRAY_SIZE(letters); k++)
			if (strcmp(letters[k].opt, table[n].name) == 0)
				table[n].letter = letters[k].letter;
		n++;
	}
	return table;
}

static bool is_ignored(const char *opt)
{
	for (const struct opt *o = ignored_opts; o->name; o++)
		if (strcmp(o->name, opt) == 0)
			return true;
	return false;
}

static int take_list(struct vz_wish *w, const char *opt, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (strcmp(lists[i].opt, opt) == 0) {
			json_array_append_new(w->lists, json_pack("{s:i, s:s}", "row", (int)i,
								  "text", text));
			vz_warn("--%s has no meaning here; kept in the configuration", opt);
			return 1;
		}
	return 0;
}

static int take_address(struct vz_wish *w, const char *opt, const char *text,
			struct lg_err *err)
{
	bool add = strcmp(opt, "ipadd") == 0;
	struct lg_addr addr;

	if (!add && strcmp(opt, "ipdel") != 0)
		return 0;
	if (!(add && strcmp(text, "auto") == 0) && !(!add && strcmp(text, "all") == 0) &&
	    lg_parse_addr(text, &addr, err) < 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_IP, "Invalid IP address: %s", text);
	json_array_append_new(add ? w->add_ip : w->del_ip, json_string(text));
	return 1;
}

/* What steers the call itself. */
static int take_switch(struct vz_wish *w, const char *opt, const char *text)
{
	const struct {
		const char *opt;
		bool *flag;
		const char **text;
	} switches[] = {
		{ "save", &w->save, NULL },	    { "force", &w->force, NULL },
		{ "reset_ub", &w->reset_ub, NULL }, { "crypted", &w->crypted, NULL },
		{ "setmode", NULL, &w->setmode },   { "config", NULL, &w->config },
		{ "userpasswd", NULL, &w->userpasswd },
		{ "applyconfig", NULL, &w->applyconfig },
	};

	for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
		if (strcmp(switches[i].opt, opt) == 0) {
			if (switches[i].flag)
				*switches[i].flag = true;
			else
				*switches[i].text = text;
			return 1;
		}
	return 0;
}

static int take_setting(struct vz_wish *w, const char *opt, const char *text,
			struct lg_err *err)
{
	const struct lg_setting *s = lg_setting_by_vz_opt(opt);
	lg_autofree char *value = NULL;
	const char *name, *before;
	int r = vz_value(opt, text, sysconf(_SC_NPROCESSORS_ONLN), &name, &value, err);

	if (r < 0)
		return r;
	before = lg_json_str(w->set, name);
	if (before && (s->flags & LG_SF_LIST))
		json_object_set_new(w->set, name, json_sprintf("%s %s", before, value));
	else if (json_object_set_new(w->set, name, json_string(value)) < 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "--%s: not UTF-8 text", opt);
	if (s->flags & LG_SF_NEEDS_SAVE)
		w->needs_save = s->vz_opt;
	if (strcmp(s->key, "VE_ROOT") == 0 || strcmp(s->key, "VE_PRIVATE") == 0)
		w->paths = true;
	if (r == 1)
		vz_warn("--%s has no meaning here; kept in the configuration", opt);
	return 0;
}

static int take(struct vz_wish *w, const struct arg *a, struct lg_err *err)
{
	const char *opt = a->opt->name, *text = a->value ? a->value : "";
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++)
		if (strcmp(spellings[i].opt, opt) == 0)
			opt = spellings[i].same;
	if (is_ignored(opt) || strcmp(opt, "applyconfig_map") == 0) {
		vz_warn("--%s has no meaning here; ignored", opt);
		return 0;
	}
	r = take_switch(w, opt, text);
	if (r == 0)
		r = take_address(w, opt, text, err);
	if (r == 0)
		r = take_list(w, opt, text);
	if (r != 0)
		return r < 0 ? r : 0;
	return take_setting(w, opt, text, err);
}

int vz_wish_parse(struct vz_wish *w, size_t nwords, char **words, struct lg_err *err)
{
	struct opt_space space = { .tables = { own_opts, setting_opts(), ignored_opts },
				   .abbreviate = true };
	struct args args;
	int r;

	*w = (struct vz_wish){ .set = json_object(), .add_ip = json_array(),
			       .del_ip = json_array(), .lists = json_array() };
	r = opt_parse(&space, nwords, words, &args, err);
	if (r == 0 && args.nwords)
		r = lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION, "Invalid argument: %s",
			      args.words[0]);
	for (size_t i = 0; r == 0 && i < args.ngiven; i++)
		r = take(w, &args.given[i], err);
	opt_free(&args);
	return r;
}

void vz_wish_free(struct vz_wish *w)
{
	json_decref(w->set);
	json_decref(w->add_ip);
	json_decref(w->del_ip);
	json_decref(w->lists);
}
