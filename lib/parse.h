/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_PARSE_H
#define LG_LIB_PARSE_H

/* What people type: sizes, counts, times, identifiers, addresses. Nothing here allocates. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

#define LG_UNLIMITED UINT64_MAX
#define LG_PAGE 4096u

#define LG_CTID_MIN 101u		/* 1 to 100 are reserved, as in OpenVZ; 0 is the host */
#define LG_CTID_MAX 2147483644u
#define LG_NAME_MAX 64u
#define LG_HOSTNAME_MAX 64u

/**
 * lg_parse_u64() - a decimal number and nothing else
 * @ret:	untouched on failure
 *
 * Return: 0; -EINVAL; -ERANGE outside [@min, @max].
 */
int lg_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret,
		 struct lg_err *err);

/**
 * lg_parse_size() - bytes: "512M", "1.5G", "100P" (pages), "4096", "unlimited" or "max"
 * @unit:	what a bare number counts: 1 for bytes, 1024 for KiB, LG_PAGE for pages
 *
 * Suffixes T G M K P B, either case, powers of 1024, an "iB" or "B" behind them allowed.
 * Return: 0; -EINVAL; -ERANGE when it does not fit 63 bits.
 */
int lg_parse_size(const char *text, uint64_t unit, uint64_t *ret, struct lg_err *err);

/**
 * lg_parse_pair() - vzctl's "barrier[:limit]"; without limit both are the same
 * @unit:	as for lg_parse_size()
 */
int lg_parse_pair(const char *text, uint64_t unit, uint64_t *barrier, uint64_t *limit,
		  struct lg_err *err);

/**
 * lg_parse_cpus() - cores with up to two decimals ("1.5"), or percent of one core ("150%")
 * @ret:	percent of one core; LG_UNLIMITED for "unlimited", "max", 0
 */
int lg_parse_cpus(const char *text, uint64_t *ret, struct lg_err *err);

/** lg_parse_seconds() - "30", "30s", "5m", "1h". @ret: seconds. */
int lg_parse_seconds(const char *text, uint64_t *ret, struct lg_err *err);

/** lg_parse_bool() - yes/no, on/off, true/false, 1/0. */
int lg_parse_bool(const char *text, bool *ret, struct lg_err *err);

/**
 * lg_parse_ctid() - the number of a container
 *
 * Return: 0; -EINVAL when @text is not a number (it may be a name); -ERANGE when it is one
 * that no container can have.
 */
int lg_parse_ctid(const char *text, uint32_t *ret, struct lg_err *err);

/**
 * lg_check_name() - may this be an instance's name: letters, digits and " -+_.", not only
 * digits (that would be a number), no leading '-' or '.', 1 to LG_NAME_MAX bytes
 */
int lg_check_name(const char *text, struct lg_err *err);

/** lg_check_hostname() - RFC 1123 host name, dots allowed, at most LG_HOSTNAME_MAX bytes. */
int lg_check_hostname(const char *text, struct lg_err *err);

/** lg_check_template_name() - letters, digits, '-', '_', '.'; starts with a letter or digit. */
int lg_check_template_name(const char *text, struct lg_err *err);

struct lg_addr {
	int family;		/* AF_INET, AF_INET6 */
	uint8_t prefix;		/* /32 or /128 when none was given */
	bool has_prefix;
	union {
		struct in_addr v4;
		struct in6_addr v6;
	};
};

#define LG_ADDR_TEXT 50	/* longest IPv6 address, slash, prefix, NUL */

/** lg_parse_addr() - "10.1.2.3", "10.1.2.3/24", "10.1.2.3/255.255.255.0", "fd00::5/64". */
int lg_parse_addr(const char *text, struct lg_addr *ret, struct lg_err *err);

/** lg_format_addr() - the address; with "/prefix" where @with_prefix. */
void lg_format_addr(const struct lg_addr *addr, bool with_prefix, char buf[LG_ADDR_TEXT]);

/** lg_addr_equal() - the same address; prefixes are not compared. */
bool lg_addr_equal(const struct lg_addr *a, const struct lg_addr *b);

/** lg_addr_inside() - is @addr in the network @net (its prefix counts)? */
bool lg_addr_inside(const struct lg_addr *addr, const struct lg_addr *net);

/** lg_format_size() - bytes for people: "512.0M", "1.5G"; "unlimited". @buf: 16 bytes. */
void lg_format_size(uint64_t bytes, char buf[16]);

#endif
