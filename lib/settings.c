/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"

#define WEIGHT_TO_UNITS 10u	/* CPUUNITS 1000 is vzctl's normal share, weight 100 the kernel's */

/* clang-format off */
const struct lg_setting lg_settings[] = {
	/* name		key		vzctl		value		type			flags				min	max	help */
	{ "template",	"OSTEMPLATE",	"ostemplate",	"NAME",		LG_SET_TEMPLATE,	LG_SF_CREATE_ONLY | LG_SF_NEEDS_SAVE, 0, 0, "OS template to make it from" },
	{ "name",	"NAME",		"name",		"NAME",		LG_SET_NAME,		LG_SF_LIVE | LG_SF_NEEDS_SAVE,	0, 0, "name that works wherever the number does" },
	{ "hostname",	"HOSTNAME",	"hostname",	"HOST",		LG_SET_HOSTNAME,	0,				0, 0, "host name inside" },
	{ "description", "DESCRIPTION",	"description",	"TEXT",		LG_SET_TEXT,		LG_SF_LIVE,			0, 0, "what it is for, one line" },
	{ "memory",	"PHYSPAGES",	"ram",		"SIZE",		LG_SET_PAGES,		LG_SF_LIVE,			1 << 20, 0, "memory it may use (512M, 2G, unlimited)" },
	{ "swap",	"SWAPPAGES",	"swap",		"SIZE",		LG_SET_PAGES,		LG_SF_LIVE,			0, 0, "swap it may use" },
	{ "cpus",	"CPULIMIT",	"cpulimit",	"N",		LG_SET_CPUS,		LG_SF_LIVE,			0, 0, "CPU time in cores (1.5) or percent of one (150%)" },
	{ "cpu-weight",	"CPUUNITS",	"cpuunits",	"N",		LG_SET_CPU_WEIGHT,	LG_SF_LIVE,			1, 10000, "share when CPUs are busy, 1 to 10000 (100)" },
	{ "tasks",	"NUMPROC",	"numproc",	"N",		LG_SET_COUNT_PAIR,	LG_SF_LIVE,			2, 4194304, "processes and threads it may have" },
	{ "ip",		"IP_ADDRESS",	"ipadd",	"auto|ADDR[/MASK]", LG_SET_ADDRS,	LG_SF_LIVE | LG_SF_LIST,	0, 0, "address; auto takes one from the pool" },
	{ "nameserver",	"NAMESERVER",	"nameserver",	"ADDR|inherit",	LG_SET_NAMESERVERS,	LG_SF_LIST,			0, 0, "DNS server; inherit takes the host's" },
	{ "searchdomain", "SEARCHDOMAIN", "searchdomain", "DOMAIN",	LG_SET_WORDS,		LG_SF_LIST,			0, 0, "DNS search domain" },
	{ "onboot",	"ONBOOT",	"onboot",	"yes|no",	LG_SET_BOOL,		LG_SF_LIVE,			0, 0, "start it when the host boots" },
	{ "boot-order",	"BOOTORDER",	"bootorder",	"N",		LG_SET_NUMBER,		LG_SF_LIVE,			0, 1000000, "start order at boot, higher first" },
	{ "disabled",	"DISABLED",	"disabled",	"yes|no",	LG_SET_BOOL,		LG_SF_LIVE,			0, 0, "refuse to start it" },
	{ "stop-timeout", "STOP_TIMEOUT", "stop-timeout", "SECONDS",	LG_SET_SECONDS,		LG_SF_LIVE | LG_SF_NEEDS_SAVE,	0, 0, "time to stop cleanly before it is killed (120)" },
	{ "capability",	"CAPABILITY",	"capability",	"NAME:on|off,...", LG_SET_CAPS,	0,				0, 0, "change the set of capabilities it keeps" },
	{ "id-base",	"LOCAL_UID",	"local_uid",	"ID",		LG_SET_NUMBER,		LG_SF_CREATE_ONLY,		65536, UINT32_MAX - 65536, "first host id of its own 65536" },

	/* vzctl's own ways to say the same, or settings whose work a later release does */
	{ NULL,		"CPUS",		"cpus",		"N",		LG_SET_NUMBER,		LG_SF_LIVE,			1, 8192, "number of CPUs" },
	{ NULL,		"LOCAL_GID",	"local_gid",	"ID",		LG_SET_KEPT, 0, 0, 0, "first host group id" },
	{ NULL,		"VE_ROOT",	"root",		"PATH",		LG_SET_KEPT, 0, 0, 0, "mount point of the root" },
	{ NULL,		"VE_PRIVATE",	"private",	"PATH",		LG_SET_KEPT, 0, 0, 0, "private area" },
	{ NULL,		"VE_LAYOUT",	"layout",	"LAYOUT",	LG_SET_KEPT, 0, 0, 0, "private area layout" },
	{ NULL,		"MOUNT_OPTS",	"mount_opts",	"OPTS",		LG_SET_KEPT, 0, 0, 0, "mount options" },
	{ NULL,		"NETIF",	"netif_add",	"IFNAME",	LG_SET_KEPT, 0, 0, 0, "virtual interface" },
	{ NULL,		"NETDEV",	"netdev_add",	"NAME",		LG_SET_KEPT, 0, 0, 0, "host interface" },
	{ NULL,		"VM_OVERCOMMIT", "vm_overcommit", "F",		LG_SET_KEPT, 0, 0, 0, "memory overcommit" },
	{ NULL,		"KMEMSIZE",	"kmemsize",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "kernel memory" },
	{ NULL,		"LOCKEDPAGES",	"lockedpages",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "locked pages" },
	{ NULL,		"PRIVVMPAGES",	"privvmpages",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "private virtual memory" },
	{ NULL,		"SHMPAGES",	"shmpages",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "shared memory" },
	{ NULL,		"PHYSPAGES",	"physpages",	"B[:L]",	LG_SET_PAGES, LG_SF_LIVE, 1 << 20, 0, "resident pages" },
	{ NULL,		"SWAPPAGES",	"swappages",	"B[:L]",	LG_SET_PAGES, LG_SF_LIVE, 0, 0, "swap pages" },
	{ NULL,		"VMGUARPAGES",	"vmguarpages",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "guaranteed memory" },
	{ NULL,		"OOMGUARPAGES",	"oomguarpages",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "memory safe from OOM" },
	{ NULL,		"NUMTCPSOCK",	"numtcpsock",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "TCP sockets" },
	{ NULL,		"NUMFLOCK",	"numflock",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "file locks" },
	{ NULL,		"NUMPTY",	"numpty",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "pseudo-terminals" },
	{ NULL,		"NUMSIGINFO",	"numsiginfo",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "queued signals" },
	{ NULL,		"TCPSNDBUF",	"tcpsndbuf",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "TCP send buffers" },
	{ NULL,		"TCPRCVBUF",	"tcprcvbuf",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "TCP receive buffers" },
	{ NULL,		"OTHERSOCKBUF",	"othersockbuf",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "other socket buffers" },
	{ NULL,		"DGRAMRCVBUF",	"dgramrcvbuf",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "datagram receive buffers" },
	{ NULL,		"NUMOTHERSOCK",	"numothersock",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "other sockets" },
	{ NULL,		"NUMFILE",	"numfile",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "open files" },
	{ NULL,		"DCACHESIZE",	"dcachesize",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "dentry cache" },
	{ NULL,		"NUMIPTENT",	"numiptent",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "packet filter rules" },
	{ NULL,		"AVNUMPROC",	"avnumproc",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "average processes" },
	{ NULL,		"CPUMASK",	"cpumask",	"LIST",		LG_SET_KEPT, 0, 0, 0, "CPUs it may run on" },
	{ NULL,		"NODEMASK",	"nodemask",	"LIST",		LG_SET_KEPT, 0, 0, 0, "NUMA nodes" },
	{ NULL,		"IOPRIO",	"ioprio",	"0-7",		LG_SET_KEPT, 0, 0, 0, "disk priority" },
	{ NULL,		"IOLIMIT",	"iolimit",	"N",		LG_SET_KEPT, 0, 0, 0, "disk bandwidth" },
	{ NULL,		"IOPSLIMIT",	"iopslimit",	"N",		LG_SET_KEPT, 0, 0, 0, "disk operations" },
	{ NULL,		"DISK_QUOTA",	"diskquota",	"yes|no",	LG_SET_KEPT, 0, 0, 0, "disk quota" },
	{ NULL,		"DISKSPACE",	"diskspace",	"S[:H]",	LG_SET_KEPT, 0, 0, 0, "disk space" },
	{ NULL,		"DISKINODES",	"diskinodes",	"S[:H]",	LG_SET_KEPT, 0, 0, 0, "number of files" },
	{ NULL,		"QUOTATIME",	"quotatime",	"SECONDS",	LG_SET_KEPT, 0, 0, 0, "quota grace time" },
	{ NULL,		"QUOTAUGIDLIMIT", "quotaugidlimit", "N",	LG_SET_KEPT, 0, 0, 0, "user and group quotas" },
	{ NULL,		"DEVNODES",	"devnodes",	"DEV:rwq",	LG_SET_KEPT, 0, 0, 0, "devices by name" },
	{ NULL,		"DEVICES",	"devices",	"b|c:MAJ:MIN:rw", LG_SET_KEPT, 0, 0, 0, "devices by number" },
	{ NULL,		"PCI",		"pci_add",	"BUS:SLOT.FN",	LG_SET_KEPT, 0, 0, 0, "PCI device" },
	{ NULL,		"FEATURES",	"features",	"NAME:on|off",	LG_SET_KEPT, 0, 0, 0, "features" },
	{ NULL,		"NETFILTER",	"netfilter",	"MODE",		LG_SET_KEPT, 0, 0, 0, "packet filter inside" },
	{ NULL,		"IPTABLES",	"iptables",	"LIST",		LG_SET_KEPT, 0, 0, 0, "packet filter modules" },
	{ NULL,		"MEMINFO",	"meminfo",	"MODE",		LG_SET_KEPT, 0, 0, 0, "memory shown inside" },
	{ NULL,		"CPUWEIGHT",	"cpuweight",	"N",		LG_SET_KEPT, 0, 0, 0, "CPU weight" },
};
/* clang-format on */

const size_t lg_nsettings = ARRAY_SIZE(lg_settings);

const struct lg_setting *lg_setting_by_name(const char *name)
{
	for (size_t i = 0; i < lg_nsettings; i++)
		if (lg_settings[i].name && strcmp(lg_settings[i].name, name) == 0)
			return &lg_settings[i];
	return NULL;
}

const struct lg_setting *lg_setting_by_key(const char *key)
{
	for (size_t i = 0; i < lg_nsettings; i++)
		if (strcmp(lg_settings[i].key, key) == 0)
			return &lg_settings[i];
	return NULL;
}

const struct lg_setting *lg_setting_by_vz_opt(const char *opt)
{
	for (size_t i = 0; i < lg_nsettings; i++)
		if (lg_settings[i].vz_opt && strcmp(lg_settings[i].vz_opt, opt) == 0)
			return &lg_settings[i];
	return NULL;
}

static char *format_u64(const char *fmt_before, uint64_t v)
{
	char *text;

	return asprintf(&text, "%s%" PRIu64, fmt_before, v) < 0 ? NULL : text;
}

static const char *label(const struct lg_setting *s)
{
	return s->name ? s->name : s->vz_opt;
}

static int check_range(const struct lg_setting *s, uint64_t v, struct lg_err *err)
{
	if (v >= s->min && (s->max == 0 || v <= s->max))
		return 0;
	if (s->type == LG_SET_PAGES)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE, "less than %" PRIu64 " KiB",
				 s->min >> 10);
	return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE, "outside %" PRIu64 " to %" PRIu64, s->min,
			 s->max);
}

/* Every word of a blank-separated list through @check. */
static int check_words(const char *list, int (*check)(const char *word, struct lg_err *err),
		       struct lg_err *err)
{
	const char *p = list;
	char word[256];

	while (*(p += strspn(p, " \t"))) {
		size_t len = strcspn(p, " \t");
		int r;

		if (len >= sizeof(word))
			return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "a word is too long");
		snprintf(word, sizeof(word), "%.*s", (int)len, p);
		r = check(word, err);
		if (r < 0)
			return r;
		p += len;
	}
	return 0;
}

static int check_ip_word(const char *word, struct lg_err *err)
{
	struct lg_addr addr;
	int r;

	if (strcmp(word, "auto") == 0)
		return 0;
	r = lg_parse_addr(word, &addr, err);
	if (r < 0 && err)
		err->exit_code = LG_EXIT_BAD_IP;
	return r;
}

static int check_nameserver_word(const char *word, struct lg_err *err)
{
	struct lg_addr addr;
	int r;

	if (strcmp(word, "inherit") == 0)
		return 0;
	r = lg_parse_addr(word, &addr, err);
	if (r == 0 && addr.has_prefix)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "'%s': a DNS server's address has no prefix", word);
	return r;
}

static int check_domain_word(const char *word, struct lg_err *err)
{
	return lg_check_hostname(word, err);
}

static int check_text(const char *value, struct lg_err *err)
{
	if (strlen(value) > 1024)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "longer than 1024 bytes");
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (*p < ' ' || *p == 0x7f)
			return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
					 "control characters are not allowed");
	return 0;
}

static int check_caps_text(const char *value, struct lg_err *err)
{
	const char *p = value;

	while (*p) {
		size_t name = strspn(p, "abcdefghijklmnopqrstuvwxyz_0123456789");
		size_t word = strcspn(p, ", ");
		bool known = (word == name + 3 && strncmp(p + name, ":on", 3) == 0) ||
			     (word == name + 4 && strncmp(p + name, ":off", 4) == 0);

		if (name == 0 || !known)
			return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
					 "'%s' is not name:on or name:off", p);
		p += word;
		p += strspn(p, ", ");
	}
	return 0;
}

static int pages_to_conf(const struct lg_setting *s, const char *value, char **ret,
			 struct lg_err *err)
{
	uint64_t barrier, limit;
	int r = lg_parse_pair(value, strchr(value, ':') || !s->name ? LG_PAGE : 1, &barrier, &limit,
			      err);

	if (r == 0)
		r = check_range(s, limit, err);
	if (r < 0)
		return r;
	*ret = limit == LG_UNLIMITED ? strdup("0:unlimited") : format_u64("0:", limit / LG_PAGE);
	return 0;
}

static int pair_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	uint64_t barrier, limit;
	int r = lg_parse_pair(value, 1, &barrier, &limit, err);

	if (r < 0)
		return r;
	if (limit == LG_UNLIMITED) {
		*ret = strdup("unlimited:unlimited");
		return 0;
	}
	r = check_range(s, limit, err);
	if (r < 0)
		return r;
	if (barrier > limit)
		barrier = limit;
	if (asprintf(ret, "%" PRIu64 ":%" PRIu64, barrier, limit) < 0)
		*ret = NULL;
	return 0;
}

static int number_to_conf(const struct lg_setting *s, const char *value, char **ret,
			  struct lg_err *err)
{
	uint64_t v;
	int r;

	switch ((int)s->type) {
	case LG_SET_CPUS:
		r = lg_parse_cpus(value, &v, err);
		if (r == 0 && v == LG_UNLIMITED)
			v = 0;
		break;
	case LG_SET_SECONDS:
		r = lg_parse_seconds(value, &v, err);
		break;
	case LG_SET_CPU_WEIGHT:
		r = lg_parse_u64(value, s->min, s->max, &v, err);
		if (r == 0)
			v *= WEIGHT_TO_UNITS;
		break;
	default:
		r = lg_parse_u64(value, s->min, s->max, &v, err);
		break;
	}
	if (r == 0)
		*ret = format_u64("", v);
	return r;
}

static int bool_to_conf(const char *value, char **ret, struct lg_err *err)
{
	bool v;
	int r = lg_parse_bool(value, &v, err);

	if (r == 0)
		*ret = strdup(v ? "yes" : "no");
	return r;
}

/* Types whose form is the same in the file: only checked. */
static int check_plain(const struct lg_setting *s, const char *value, struct lg_err *err)
{
	switch (s->type) {
	case LG_SET_NAME:
		return lg_check_name(value, err);
	case LG_SET_HOSTNAME:
		return lg_check_hostname(value, err);
	case LG_SET_TEMPLATE:
		return lg_check_template_name(value, err);
	case LG_SET_ADDRS:
		return check_words(value, check_ip_word, err);
	case LG_SET_NAMESERVERS:
		return check_words(value, check_nameserver_word, err);
	case LG_SET_WORDS:
		return check_words(value, check_domain_word, err);
	case LG_SET_CAPS:
		return check_caps_text(value, err);
	case LG_SET_TEXT:
	case LG_SET_KEPT:
	case LG_SET_BOOL:
	case LG_SET_NUMBER:
	case LG_SET_SECONDS:
	case LG_SET_PAGES:
	case LG_SET_COUNT_PAIR:
	case LG_SET_CPUS:
	case LG_SET_CPU_WEIGHT:
		break;
	}
	return check_text(value, err);
}

static int convert(const struct lg_setting *s, const char *value, char **ret, struct lg_err *err)
{
	int r;

	switch (s->type) {
	case LG_SET_PAGES:
		return pages_to_conf(s, value, ret, err);
	case LG_SET_COUNT_PAIR:
		return pair_to_conf(s, value, ret, err);
	case LG_SET_NUMBER:
	case LG_SET_SECONDS:
	case LG_SET_CPUS:
	case LG_SET_CPU_WEIGHT:
		return number_to_conf(s, value, ret, err);
	case LG_SET_BOOL:
		return bool_to_conf(value, ret, err);
	case LG_SET_TEXT:
	case LG_SET_NAME:
	case LG_SET_HOSTNAME:
	case LG_SET_TEMPLATE:
	case LG_SET_ADDRS:
	case LG_SET_NAMESERVERS:
	case LG_SET_WORDS:
	case LG_SET_CAPS:
	case LG_SET_KEPT:
		break;
	}
	r = check_plain(s, value, err);
	if (r == 0)
		*ret = strdup(value);
	return r;
}

int lg_setting_to_conf(const struct lg_setting *s, const char *value, char **ret,
		       struct lg_err *err)
{
	char *text = NULL;
	int r = convert(s, value, &text, err);

	if (r < 0) {
		int exit_code = err ? err->exit_code : 0;

		lg_within(err, r, "%s", label(s));
		if (err)
			err->exit_code = exit_code ? exit_code : LG_EXIT_BAD_VALUE;
		return r;
	}
	if (!text)
		return lg_fail(err, -ENOMEM, "%s", label(s));
	*ret = text;
	return 0;
}

/* The number in a conf value, in the unit that the API speaks of. */
static int parse_conf_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
			     struct lg_err *err)
{
	uint64_t barrier, v = 0;
	bool yes = false;
	int r;

	switch ((int)s->type) {
	case LG_SET_PAGES:
		r = lg_parse_pair(conf, LG_PAGE, &barrier, &v, err);
		break;
	case LG_SET_COUNT_PAIR:
		r = lg_parse_pair(conf, 1, &barrier, &v, err);
		break;
	case LG_SET_CPUS:
		r = lg_parse_u64(conf, 0, 100000000, &v, err);
		if (r == 0 && v == 0)
			v = LG_UNLIMITED;
		break;
	case LG_SET_CPU_WEIGHT:
		r = lg_parse_u64(conf, 1, 500000, &v, err);
		if (r == 0)
			v = v / WEIGHT_TO_UNITS ? v / WEIGHT_TO_UNITS : 1;
		if (r == 0 && v > 10000)
			v = 10000;
		break;
	case LG_SET_BOOL:
		r = lg_parse_bool(conf, &yes, err);
		v = yes;
		break;
	case LG_SET_SECONDS:
		r = lg_parse_seconds(conf, &v, err);
		break;
	default:
		r = lg_parse_u64(conf, 0, UINT64_MAX - 1, &v, err);
		break;
	}
	if (r == 0)
		*ret = v;
	return r;
}

static char *format_number(const struct lg_setting *s, uint64_t v)
{
	char size[16], *text = NULL;

	if (v == LG_UNLIMITED)
		return strdup("unlimited");
	if (s->type == LG_SET_PAGES) {
		lg_format_size(v, size);
		return strdup(size);
	}
	if (s->type == LG_SET_BOOL)
		return strdup(v ? "yes" : "no");
	if (s->type == LG_SET_CPUS && v % 100) {
		if (asprintf(&text, "%" PRIu64 ".%02u", v / 100, (unsigned int)(v % 100)) < 0)
			return NULL;
		if (text[strlen(text) - 1] == '0')
			text[strlen(text) - 1] = '\0';
		return text;
	}
	return format_u64("", s->type == LG_SET_CPUS ? v / 100 : v);
}

static bool is_numeric(const struct lg_setting *s)
{
	return s->type == LG_SET_PAGES || s->type == LG_SET_COUNT_PAIR || s->type == LG_SET_CPUS ||
	       s->type == LG_SET_CPU_WEIGHT || s->type == LG_SET_BOOL ||
	       s->type == LG_SET_NUMBER || s->type == LG_SET_SECONDS;
}

int lg_setting_from_conf(const struct lg_setting *s, const char *conf, char **ret,
			 struct lg_err *err)
{
	char *text;
	uint64_t v;
	int r;

	if (is_numeric(s)) {
		r = parse_conf_number(s, conf, &v, err);
		if (r < 0)
			return lg_within(err, r, "%s", s->key);
		text = format_number(s, v);
	} else {
		text = strdup(conf);
	}
	if (!text)
		return lg_fail(err, -ENOMEM, "%s", s->key);
	*ret = text;
	return 0;
}

int lg_setting_value(const struct lg_conf *conf, const char *name, uint64_t otherwise,
		     uint64_t *ret, struct lg_err *err)
{
	const struct lg_setting *s = lg_setting_by_name(name);
	const char *text;
	int r;

	if (!s || !is_numeric(s))
		return lg_refuse(err, -EINVAL, 0, "no numeric setting is called '%s'", name);
	text = lg_conf_get(conf, s->key);
	if (!text || !*text) {
		*ret = otherwise;
		return 0;
	}
	r = parse_conf_number(s, text, ret, err);
	return r < 0 ? lg_within(err, r, "%s=\"%s\"", s->key, text) : 0;
}
