/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/setting_type.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/devices.h"
#include "lib/exit.h"
#include "lib/features.h"
#include "lib/rlimits.h"
#include "lib/sysctls.h"
#include "lib/parse.h"

#define WEIGHT_TO_UNITS 10u	/* CPUUNITS 1000 is vzctl's normal share, weight 100 the kernel's */

static char *format_u64(const char *fmt_before, uint64_t v)
{
	char *text;

	return asprintf(&text, "%s%" PRIu64, fmt_before, v) < 0 ? NULL : text;
}

static int check_range(const struct lg_setting *s, uint64_t v, struct lg_err *err)
{
	if (v >= s->min && (s->max == 0 || v <= s->max))
		return 0;
	if (s->type == LG_SET_PAGES || s->type == LG_SET_SIZE || s->type == LG_SET_KIB_PAIR)
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

/* ---- types that are numbers ---- */

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

static int kib_pair_to_conf(const struct lg_setting *s, const char *value, char **ret,
			    struct lg_err *err)
{
	uint64_t soft, hard;
	int r = lg_parse_pair(value, strchr(value, ':') ? 1024 : 1, &soft, &hard, err);

	if (r < 0)
		return r;
	if (hard == LG_UNLIMITED) {
		*ret = strdup("unlimited:unlimited");
		return 0;
	}
	r = check_range(s, hard, err);
	if (r < 0)
		return r;
	if (soft > hard)
		soft = hard;
	if (asprintf(ret, "%" PRIu64 ":%" PRIu64, (soft + 1023) / 1024, (hard + 1023) / 1024) < 0)
		*ret = NULL;
	return 0;
}

static int size_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	uint64_t v;
	int r = lg_parse_size(value, 1, &v, err);

	if (r == 0 && v != LG_UNLIMITED)
		r = check_range(s, v, err);
	if (r == 0)
		*ret = v == LG_UNLIMITED ? strdup("unlimited") : format_u64("", v);
	return r;
}

static int number_to_conf(const struct lg_setting *s, const char *value, char **ret,
			  struct lg_err *err)
{
	uint64_t v;
	int r = lg_parse_u64(value, s->min, s->max, &v, err);

	if (r == 0)
		*ret = format_u64("", v);
	return r;
}

static int seconds_to_conf(const struct lg_setting *s, const char *value, char **ret,
			   struct lg_err *err)
{
	uint64_t v;
	int r = lg_parse_seconds(value, &v, err);

	(void)s;
	if (r == 0)
		*ret = format_u64("", v);
	return r;
}

static int cpus_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	uint64_t v;
	int r = lg_parse_cpus(value, &v, err);

	(void)s;
	if (r == 0)
		*ret = format_u64("", v == LG_UNLIMITED ? 0 : v);
	return r;
}

static int weight_to_conf(const struct lg_setting *s, const char *value, char **ret,
			  struct lg_err *err)
{
	uint64_t v;
	int r = lg_parse_u64(value, s->min, s->max, &v, err);

	if (r == 0)
		*ret = format_u64("", v * WEIGHT_TO_UNITS);
	return r;
}

static int bool_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	bool v;
	int r = lg_parse_bool(value, &v, err);

	(void)s;
	if (r == 0)
		*ret = strdup(v ? "yes" : "no");
	return r;
}

static int pages_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
			struct lg_err *err)
{
	uint64_t barrier;

	(void)s;
	return lg_parse_pair(conf, LG_PAGE, &barrier, ret, err);
}

static int pair_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
		       struct lg_err *err)
{
	uint64_t barrier;

	(void)s;
	return lg_parse_pair(conf, 1, &barrier, ret, err);
}

static int kib_pair_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
			   struct lg_err *err)
{
	uint64_t soft;

	(void)s;
	return lg_parse_pair(conf, 1024, &soft, ret, err);
}

static int size_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
		       struct lg_err *err)
{
	(void)s;
	return lg_parse_size(conf, 1, ret, err);
}

static int plain_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
			struct lg_err *err)
{
	(void)s;
	return lg_parse_u64(conf, 0, UINT64_MAX - 1, ret, err);
}

static int seconds_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
			  struct lg_err *err)
{
	(void)s;
	return lg_parse_seconds(conf, ret, err);
}

static int cpus_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
		       struct lg_err *err)
{
	uint64_t v;
	int r = lg_parse_u64(conf, 0, 100000000, &v, err);

	(void)s;
	if (r == 0)
		*ret = v == 0 ? LG_UNLIMITED : v;
	return r;
}

static int weight_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
			 struct lg_err *err)
{
	uint64_t v;
	int r = lg_parse_u64(conf, 1, 500000, &v, err);

	if (r < 0)
		return r;
	v /= WEIGHT_TO_UNITS;
	*ret = v < s->min ? s->min : v > s->max ? s->max : v;
	return 0;
}

static int bool_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
		       struct lg_err *err)
{
	bool v;
	int r = lg_parse_bool(conf, &v, err);

	(void)s;
	if (r == 0)
		*ret = v;
	return r;
}

static char *number_text(uint64_t v)
{
	return format_u64("", v);
}

static char *size_text(uint64_t v)
{
	char size[16];

	lg_format_size(v, size);
	return strdup(size);
}

static char *bool_text(uint64_t v)
{
	return strdup(v ? "yes" : "no");
}

static char *cpus_text(uint64_t v)
{
	char *text;

	if (v % 100 == 0)
		return format_u64("", v / 100);
	if (asprintf(&text, "%" PRIu64 ".%02u", v / 100, (unsigned int)(v % 100)) < 0)
		return NULL;
	if (text[strlen(text) - 1] == '0')
		text[strlen(text) - 1] = '\0';
	return text;
}

/* ---- types that are texts: checked, the same in the file ---- */

/* @r: what the check said */
static int same(int r, const char *value, char **ret)
{
	if (r == 0)
		*ret = strdup(value);
	return r;
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

static int text_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	(void)s;
	return same(check_text(value, err), value, ret);
}

static int stop_mode_to_conf(const struct lg_setting *s, const char *value, char **ret,
			     struct lg_err *err)
{
	(void)s;
	if (strcmp(value, "stop") != 0 && strcmp(value, "suspend") != 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "'%.80s' is neither stop nor suspend",
				 value);
	*ret = strdup(value);
	return 0;
}

static int choice_to_conf(const struct lg_setting *s, const char *value, char **ret, struct lg_err *err)
{
	size_t len = strlen(value);

	for (const char *p = s->arg; *p; p += strcspn(p, "|"), p += *p == '|')
		if (strcspn(p, "|") == len && strncmp(p, value, len) == 0)
			return same(0, value, ret);
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "'%.80s' is none of %s", value, s->arg);
}

static int name_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	(void)s;
	return same(lg_check_name(value, err), value, ret);
}

static int hostname_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	(void)s;
	return same(lg_check_hostname(value, err), value, ret);
}

static int template_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	(void)s;
	return same(lg_check_template_name(value, err), value, ret);
}

static int addrs_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	(void)s;
	return same(check_words(value, check_ip_word, err), value, ret);
}

static int nameservers_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	(void)s;
	return same(check_words(value, check_nameserver_word, err), value, ret);
}

static int words_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	(void)s;
	return same(check_words(value, lg_check_hostname, err), value, ret);
}

static int caps_to_conf(const struct lg_setting *s, const char *value, char **ret,
			struct lg_err *err)
{
	(void)s;
	return same(check_caps_text(value, err), value, ret);
}

static int features_to_conf(const struct lg_setting *s, const char *value, char **ret,
			    struct lg_err *err)
{
	uint32_t on, off;
	int r = lg_features_parse(value, &on, &off, err);

	(void)s;
	if (r == 0)
		*ret = lg_features_format(on, off);
	return r;
}

static int devices_to_conf(const struct lg_setting *s, const char *value, char **ret,
			   struct lg_err *err)
{
	(void)s;
	return lg_devices_format_names(value, ret, err);
}

static int device_numbers_to_conf(const struct lg_setting *s, const char *value, char **ret,
				  struct lg_err *err)
{
	(void)s;
	return lg_devices_format_rules(value, ret, err);
}

static int rlimits_to_conf(const struct lg_setting *s, const char *value, char **ret,
			   struct lg_err *err)
{
	(void)s;
	return lg_rlimits_format(value, ret, err);
}

static int sysctls_to_conf(const struct lg_setting *s, const char *value, char **ret,
			   struct lg_err *err)
{
	(void)s;
	return lg_sysctls_format(value, ret, err);
}

/* clang-format off */
const struct lg_setting_type_ops lg_setting_types[] = {
	[LG_SET_TEXT]		= { text_to_conf,	 NULL,		 NULL },
	[LG_SET_NAME]		= { name_to_conf,	 NULL,		 NULL },
	[LG_SET_HOSTNAME]	= { hostname_to_conf,	 NULL,		 NULL },
	[LG_SET_TEMPLATE]	= { template_to_conf,	 NULL,		 NULL },
	[LG_SET_BOOL]		= { bool_to_conf,	 bool_number,	 bool_text },
	[LG_SET_NUMBER]		= { number_to_conf,	 plain_number,	 number_text },
	[LG_SET_SECONDS]	= { seconds_to_conf,	 seconds_number, number_text },
	[LG_SET_STOP_MODE]	= { stop_mode_to_conf,	 NULL,		 NULL },
	[LG_SET_CHOICE]		= { choice_to_conf,	 NULL,		 NULL },
	[LG_SET_PAGES]		= { pages_to_conf,	 pages_number,	 size_text },
	[LG_SET_SIZE]		= { size_to_conf,	 size_number,	 size_text },
	[LG_SET_KIB_PAIR]	= { kib_pair_to_conf,	 kib_pair_number, size_text },
	[LG_SET_COUNT_PAIR]	= { pair_to_conf,	 pair_number,	 number_text },
	[LG_SET_CPUS]		= { cpus_to_conf,	 cpus_number,	 cpus_text },
	[LG_SET_CPU_WEIGHT]	= { weight_to_conf,	 weight_number,	 number_text },
	[LG_SET_GUARANTEE]	= { lg_guarantee_to_conf, lg_guarantee_number, size_text },
	[LG_SET_RATE]		= { lg_rate_to_conf,	 lg_rate_number, lg_rate_text },
	[LG_SET_OPS]		= { lg_rate_to_conf,	 lg_rate_number, number_text },
	[LG_SET_OOM]		= { lg_oom_to_conf,	 lg_oom_number,	 lg_oom_text },
	[LG_SET_PERCENT]	= { lg_percent_to_conf,	 lg_percent_number, number_text },
	[LG_SET_BITS]		= { lg_bits_to_conf,	 NULL,		 NULL },
	[LG_SET_HUGEPAGES]	= { lg_hugepages_to_conf, NULL,		 NULL },
	[LG_SET_ADDRS]		= { addrs_to_conf,	 NULL,		 NULL },
	[LG_SET_NAMESERVERS]	= { nameservers_to_conf, NULL,		 NULL },
	[LG_SET_WORDS]		= { words_to_conf,	 NULL,		 NULL },
	[LG_SET_CAPS]		= { caps_to_conf,	 NULL,		 NULL },
	[LG_SET_FEATURES]	= { features_to_conf,	 NULL,		 NULL },
	[LG_SET_DEVICES]	= { devices_to_conf,	 NULL,		 NULL },
	[LG_SET_DEVICE_NUMBERS]	= { device_numbers_to_conf, NULL,	 NULL },
	[LG_SET_RLIMITS]	= { rlimits_to_conf,	 NULL,		 NULL },
	[LG_SET_SYSCTLS]	= { sysctls_to_conf,	 NULL,		 NULL },
	[LG_SET_KEPT]		= { text_to_conf,	 NULL,		 NULL },
};
/* clang-format on */
_Static_assert(ARRAY_SIZE(lg_setting_types) == LG_SET_COUNT_, "one row per type");
