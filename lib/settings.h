/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_SETTINGS_H
#define LG_LIB_SETTINGS_H

/*
 * Every setting of an instance is one row: its name on lodge's command line and in the API, its key in
 * the conf file, vzctl's option, how its value is written in each place, and its help. The rows feed the
 * parsers of both command lines, completion, the man page, and the daemon's checks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/err.h"

enum lg_setting_type {
	LG_SET_TEXT,		/* as it is */
	LG_SET_NAME,
	LG_SET_HOSTNAME,
	LG_SET_TEMPLATE,
	LG_SET_BOOL,		/* conf: yes/no */
	LG_SET_NUMBER,		/* min to max */
	LG_SET_SECONDS,
	LG_SET_STOP_MODE,	/* stop or suspend */
	LG_SET_CHOICE,		/* one of the words of the row's arg: "container|vm" */
	LG_SET_PAGES,		/* API: a size; conf: "0:PAGES" (barrier:limit of UBC) */
	LG_SET_SIZE,		/* API: a size or "unlimited"; conf: bytes */
	LG_SET_KIB_PAIR,	/* API: a size or "unlimited"; conf: "KiB:KiB" (soft:hard of a quota) */
	LG_SET_COUNT_PAIR,	/* API: a number or "unlimited"; conf: "n:n" */
	LG_SET_CPUS,		/* API: cores or percent; conf: percent of one core, 0 = none */
	LG_SET_CPU_WEIGHT,	/* API: 1 to 10000; conf: CPUUNITS, ten times that */
	LG_SET_GUARANTEE,	/* API: a size; conf: "PAGES:unlimited", the barrier counts */
	LG_SET_RATE,		/* API: bytes a second or "unlimited"; conf: bytes, 0 = none */
	LG_SET_OPS,		/* API: a number a second or "unlimited"; conf: 0 = none */
	LG_SET_OOM,		/* -999 to 1000; as a number: 1000 more, which is never negative */
	LG_SET_PERCENT,		/* min to max; "auto" is 0 */
	LG_SET_BITS,		/* "0-2,7" or "all"; "auto" where the row's arg says so */
	LG_SET_HUGEPAGES,	/* sizes by page size; lg_hugepages_next() */
	LG_SET_ADDRS,		/* list of addresses, blank between; "auto" only in the API */
	LG_SET_NAMESERVERS,	/* list of addresses without prefix; "inherit" */
	LG_SET_WORDS,		/* list of words */
	LG_SET_CAPS,		/* vzctl's name:on,name:off */
	LG_SET_FEATURES,	/* lib/features.h */
	LG_SET_DEVICES,		/* lib/devices.h: by name */
	LG_SET_DEVICE_NUMBERS,	/* vzctl's, by number */
	LG_SET_RLIMITS,		/* lib/rlimits.h */
	LG_SET_SYSCTLS,		/* lib/sysctls.h */
	LG_SET_KEPT,		/* vzctl's, without meaning here: kept, one warning */
	LG_SET_COUNT_,
};

enum lg_setting_flag {
	LG_SF_LIVE = 1,		/* takes effect on a running instance at once */
	LG_SF_LIST = 2,		/* the option may be repeated; values are gathered with blanks */
	LG_SF_NEEDS_SAVE = 4,	/* vzctl refuses it without --save */
	LG_SF_CREATE_ONLY = 8,
	LG_SF_NO_CREATE = 16,	/* not on `create` */
};

struct lg_setting {
	const char *name;	/* "memory": --memory; NULL: has no lodge option (vzctl only) */
	const char *key;	/* "PHYSPAGES" */
	const char *vz_opt;	/* "ram": vzctl's --ram; NULL: none */
	const char *arg;	/* what the help calls its value: "SIZE" */
	enum lg_setting_type type;
	unsigned int flags;
	uint64_t min, max;	/* of LG_SET_NUMBER */
	const char *help;	/* one line, lower case, no full stop */
};

extern const struct lg_setting lg_settings[];
extern const size_t lg_nsettings;

/** lg_setting_by_name() / _by_key() / _by_vz_opt() - the row; NULL. */
const struct lg_setting *lg_setting_by_name(const char *name);
const struct lg_setting *lg_setting_by_key(const char *key);
const struct lg_setting *lg_setting_by_vz_opt(const char *opt);

/** lg_setting_is_size() - does what lg_setting_from_conf() gives leave out what did not fit "1.5G"? */
bool lg_setting_is_size(const struct lg_setting *s);

/**
 * lg_setting_to_conf() - check a value as people and the API write it and give the conf file's form
 * @ret:	malloc()ed
 *
 * Return: 0; -EINVAL or -ERANGE with a line that names the setting and what is allowed.
 */
int lg_setting_to_conf(const struct lg_setting *s, const char *value, char **ret,
		       struct lg_err *err);

/**
 * lg_setting_from_conf() - the other way: what `lodge show` prints; malloc()ed
 * A conf file is edited by hand: a value that does not parse gives -EINVAL with key and value.
 */
int lg_setting_from_conf(const struct lg_setting *s, const char *conf, char **ret,
			 struct lg_err *err);

/**
 * lg_hugepages_next() - the next member of a list "2MB:64M,1GB:0"
 * @p:		where to go on; moved behind the member
 * @size:	"2MB"; "" where the member counts for every page size
 * @ret:	bytes, LG_UNLIMITED
 *
 * Return: 1; 0 at the end; -EINVAL, -ERANGE.
 */
int lg_hugepages_next(const char **p, char size[16], uint64_t *ret, struct lg_err *err);

/**
 * lg_setting_value() - the number a numeric setting has in @conf: bytes, percent, weight, count, seconds, 0/1
 * @otherwise:	when it is not set
 */
int lg_setting_value(const struct lg_conf *conf, const char *name, uint64_t otherwise,
		     uint64_t *ret, struct lg_err *err);

#endif
