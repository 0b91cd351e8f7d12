/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The columns of vzlist, each made from what lodged says of an instance. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/lodge/vz.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/parse.h"

#define UBC_UNLIMITED UINT64_C(9223372036854775807)

static const char *conf_value(const json_t *instance, const char *key)
{
	const char *v = lg_json_str(json_object_get(instance, "conf"), key);

	return v && *v ? v : NULL;
}

static bool is_state(const json_t *instance, const char *state)
{
	const char *s = lg_json_str(instance, "state");

	return s && strcmp(s, state) == 0;
}

static void put(char *buf, const char *text)
{
	snprintf(buf, VZ_CELL, "%s", text ? text : "");
}

static void get_conf(const struct vz_field *f, const json_t *i, char sub, char *buf)
{
	(void)sub;
	put(buf, conf_value(i, f->key));
}

/* A member of the instance itself. */
static void get_member(const struct vz_field *f, const json_t *i, char sub, char *buf)
{
	(void)sub;
	put(buf, lg_json_str(i, f->key));
}

static void get_ctid(const struct vz_field *f, const json_t *i, char sub, char *buf)
{
	(void)f;
	(void)sub;
	snprintf(buf, VZ_CELL, "%lld", (long long)lg_json_int(i, "ctid", 0));
}

static void get_status(const struct vz_field *f, const json_t *i, char sub, char *buf)
{
	const char *state = lg_json_str(i, "state");

	(void)f;
	(void)sub;
	/* vzlist knows four words; a paused container still runs for it. */
	put(buf, state && strcmp(state, "paused") == 0 ? "running" : state);
}

static void get_ip(const struct vz_field *f, const json_t *i, char sub, char *buf)
{
	(void)f;
	(void)sub;
	out_addresses(i, buf, VZ_CELL);
}

static void get_uptime(const struct vz_field *f, const json_t *i, char sub, char *buf)
{
	int64_t since = lg_json_int(i, "started_at", 0), now = time(NULL), s = now - since;

	(void)f;
	(void)sub;
	if (since <= 0 || s < 0)
		return;
	snprintf(buf, VZ_CELL, "%.3dd%.2dh:%.2dm:%.2ds", (int)(s / 86400),
		 (int)(s / 3600 % 24), (int)(s / 60 % 60), (int)(s % 60));
}

/* Limits by count and pages decide; there are no other beancounters to have. */
static void get_vswap(const struct vz_field *f, const json_t *i, char sub, char *buf)
{
	(void)f;
	(void)sub;
	put(buf, conf_value(i, "PHYSPAGES") ? "yes" : "no");
}

/* ---- beancounters: what is in use, and "barrier:limit" of the configuration ---- */

struct ubc {
	uint64_t held, maxheld, barrier, limit, failcnt;
	bool known;		/* held means something: it runs, and lodge counts it */
	bool has_limit;
};

/* What lodged's account says, which vzlist() put beside each instance, under the field's name. */
static void ubc_held(const char *name, const json_t *i, struct ubc *u)
{
	const json_t *counter = json_object_get(json_object_get(i, "ubc"), name);
	int64_t held = lg_json_int(counter, "held", -1);

	if (!is_state(i, "running") || held < 0)
		return;
	u->held = (uint64_t)held;
	u->maxheld = (uint64_t)lg_json_int(counter, "maxheld", held);
	u->failcnt = (uint64_t)lg_json_int(counter, "failcnt", 0);
	u->known = true;
}

/* The file's own numbers, in its own unit: pages or pieces, suffixes where someone wrote them. */
static void ubc_limits(const char *key, const json_t *i, struct ubc *u)
{
	const char *text = conf_value(i, key);
	uint64_t unit = strstr(key, "PAGES") ? LG_PAGE : 1;
	uint64_t *half[2] = { &u->barrier, &u->limit };

	u->barrier = u->limit = UBC_UNLIMITED;
	if (!text)
		return;
	u->has_limit = true;
	if (lg_parse_pair(text, unit, &u->barrier, &u->limit, NULL) < 0)
		u->barrier = u->limit = LG_UNLIMITED;
	for (int k = 0; k < 2; k++)
		*half[k] = *half[k] >= UBC_UNLIMITED - 1 ? UBC_UNLIMITED : *half[k] / unit;
}

static void read_ubc(const struct vz_field *f, const json_t *i, struct ubc *u)
{
	*u = (struct ubc){ .held = 0 };
	ubc_held(f->name, i, u);
	ubc_limits(f->key, i, u);
}

static void get_ubc(const struct vz_field *f, const json_t *i, char sub, char *buf)
{
	struct ubc u;
	bool shown;
	uint64_t v;

	read_ubc(f, i, &u);
	switch (sub) {
	case 'm':
		v = u.maxheld;
		shown = u.known;
		break;
	case 'b':
		v = u.barrier;
		shown = u.has_limit;
		break;
	case 'l':
		v = u.limit;
		shown = u.has_limit;
		break;
	case 'f':
		v = u.failcnt;
		shown = u.known;
		break;
	default:
		v = u.held;
		shown = u.known;
		break;
	}
	if (shown)
		snprintf(buf, VZ_CELL, "%" PRIu64, v);
}

static json_t *ubc_json(const struct vz_field *f, const json_t *i)
{
	struct ubc u;

	read_ubc(f, i, &u);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "held", (json_int_t)u.held, "maxheld",
			 (json_int_t)u.maxheld, "barrier", (json_int_t)u.barrier, "limit",
			 (json_int_t)u.limit, "failcnt", (json_int_t)u.failcnt);
}

/* What is in use, as lodged's account has it; "soft:hard" of the configuration. */
static void get_quota(const struct vz_field *f, const json_t *i, char sub, char *buf)
{
	const char *text = conf_value(i, f->key), *colon = text ? strchr(text, ':') : NULL;
	const json_t *counter = json_object_get(json_object_get(i, "ubc"), f->name);
	int64_t held = lg_json_int(counter, "held", -1);

	if (!sub && held >= 0)
		snprintf(buf, VZ_CELL, "%" PRId64, held);
	if (!text || !sub)
		return;
	if (sub == 'h')
		put(buf, colon ? colon + 1 : text);
	else
		snprintf(buf, VZ_CELL, "%.*s", (int)(colon ? colon - text : (long)strlen(text)),
			 text);
}

static void get_nothing(const struct vz_field *f, const json_t *i, char sub, char *buf)
{
	(void)f;
	(void)i;
	(void)sub;
	buf[0] = '\0';
}

/* clang-format off */
#define CONF(name, header, width, key) { name, header, width, VZ_JSON_STRING, false, key, get_conf }
#define NUMBER(name, header, width, key) { name, header, width, VZ_JSON_NUMBER, false, key, get_conf }
#define UBC(name, header, key) { name, header, 10, VZ_JSON_UBC, true, key, get_ubc }

const struct vz_field vz_fields[] = {
	{ "ctid", "CTID", 10, VZ_JSON_NUMBER, false, NULL, get_ctid },
	{ "veid", "CTID", 10, VZ_JSON_NUMBER, false, NULL, get_ctid },
	{ "vpsid", "CTID", 10, VZ_JSON_NUMBER, false, NULL, get_ctid },
	{ "private", "PRIVATE", -32, VZ_JSON_STRING, false, "private_path", get_member },
	{ "root", "ROOT", -32, VZ_JSON_STRING, false, "root", get_member },
	CONF("mount_opts", "MOUNT_OPTS", -16, "MOUNT_OPTS"),
	CONF("origin_sample", "ORIGIN_SAMPLE", -32, "ORIGIN_SAMPLE"),
	CONF("hostname", "HOSTNAME", -32, "HOSTNAME"),
	CONF("name", "NAME", -32, "NAME"),
	CONF("smart_name", "SMARTNAME", -32, "NAME"),
	CONF("description", "DESCRIPTION", -32, "DESCRIPTION"),
	CONF("ostemplate", "OSTEMPLATE", -32, "OSTEMPLATE"),
	{ "ip", "IP_ADDR", -15, VZ_JSON_LIST, false, NULL, get_ip },
	{ "configured_ip", "CFG_IP_ADDR", -15, VZ_JSON_LIST, false, NULL, get_ip },
	{ "nameserver", "NAMESERVER", -15, VZ_JSON_LIST, false, "NAMESERVER", get_conf },
	{ "searchdomain", "SEARCHDOMAIN", -15, VZ_JSON_LIST, false, "SEARCHDOMAIN", get_conf },
	{ "status", "STATUS", -9, VZ_JSON_STRING, false, NULL, get_status },
	UBC("kmemsize", "KMEMSIZE", "KMEMSIZE"),
	UBC("lockedpages", "LOCKEDP", "LOCKEDPAGES"),
	UBC("privvmpages", "PRIVVMP", "PRIVVMPAGES"),
	UBC("shmpages", "SHMP", "SHMPAGES"),
	UBC("numproc", "NPROC", "NUMPROC"),
	UBC("physpages", "PHYSP", "PHYSPAGES"),
	UBC("vmguarpages", "VMGUARP", "VMGUARPAGES"),
	UBC("oomguarpages", "OOMGUARP", "OOMGUARPAGES"),
	UBC("numtcpsock", "NTCPSOCK", "NUMTCPSOCK"),
	UBC("numflock", "NFLOCK", "NUMFLOCK"),
	UBC("numpty", "NPTY", "NUMPTY"),
	UBC("numsiginfo", "NSIGINFO", "NUMSIGINFO"),
	UBC("tcpsndbuf", "TCPSNDB", "TCPSNDBUF"),
	UBC("tcprcvbuf", "TCPRCVB", "TCPRCVBUF"),
	UBC("othersockbuf", "OTHSOCKB", "OTHERSOCKBUF"),
	UBC("dgramrcvbuf", "DGRAMRB", "DGRAMRCVBUF"),
	UBC("numothersock", "NOTHSOCK", "NUMOTHERSOCK"),
	UBC("dcachesize", "DCACHESZ", "DCACHESIZE"),
	UBC("numfile", "NFILE", "NUMFILE"),
	UBC("numiptent", "NIPTENT", "NUMIPTENT"),
	UBC("swappages", "SWAPP", "SWAPPAGES"),
	{ "diskspace", "DSPACE", 10, VZ_JSON_NUMBER, true, "DISKSPACE", get_quota },
	{ "diskinodes", "DINODES", 10, VZ_JSON_NUMBER, true, "DISKINODES", get_quota },
	{ "laverage", "LAVERAGE", 14, VZ_JSON_LIST, false, NULL, get_nothing },
	{ "uptime", "UPTIME", 15, VZ_JSON_NUMBER, false, NULL, get_uptime },
	NUMBER("cpulimit", "CPULIM", 7, "CPULIMIT"),
	NUMBER("cpuunits", "CPUUNI", 7, "CPUUNITS"),
	NUMBER("cpus", "CPUS", 5, "CPUS"),
	NUMBER("ioprio", "IOP", 3, "IOPRIO"),
	NUMBER("iolimit", "IOLIMIT", 10, "IOLIMIT"),
	NUMBER("iopslimit", "IOPS", 10, "IOPSLIMIT"),
	{ "onboot", "ONBOOT", 6, VZ_JSON_BOOL, false, "ONBOOT", get_conf },
	NUMBER("bootorder", "BOOTORDER", 10, "BOOTORDER"),
	CONF("layout", "LAYOUT", -6, "VE_LAYOUT"),
	{ "features", "FEATURES", -15, VZ_JSON_SWITCHES, false, "FEATURES", get_conf },
	{ "vswap", "VSWAP", 5, VZ_JSON_BOOL, false, NULL, get_vswap },
	{ "disabled", "DISABL", 6, VZ_JSON_BOOL, false, "DISABLED", get_conf },
	CONF("vm_overcommit", "VM_OVC", 6, "VM_OVERCOMMIT"),
	CONF("netfilter", "NETFILTER", -10, "NETFILTER"),
	CONF("capability", "CAPABILITY", -15, "CAPABILITY"),
	CONF("netif", "NETIF", -32, "NETIF"),
	CONF("cpumask", "CPUMASK", -10, "CPUMASK"),
	CONF("nodemask", "NODEMASK", -10, "NODEMASK"),
	CONF("devnodes", "DEVNODES", -15, "DEVNODES"),
	{ 0 },
};
/* clang-format on */

static const char *subs_of(const struct vz_field *f)
{
	return f->get == get_ubc ? "mblf" : f->get == get_quota ? "sh" : "";
}

const struct vz_field *vz_field_find(const char *name, size_t len, char *sub)
{
	size_t base = len;

	*sub = 0;
	if (len > 2 && name[len - 2] == '.') {
		base = len - 2;
		*sub = name[len - 1];
	}
	for (const struct vz_field *f = vz_fields; f->name; f++)
		if (strlen(f->name) == base && strncmp(f->name, name, base) == 0)
			return *sub && !strchr(subs_of(f), *sub) ? NULL : f;
	return NULL;
}

void vz_field_text(const struct vz_field *f, const json_t *instance, char sub, char buf[VZ_CELL])
{
	buf[0] = '\0';
	f->get(f, instance, sub, buf);
	if (!buf[0])
		put(buf, "-");
}

static json_t *list_json(char *text)
{
	json_t *list = json_array();
	char *word;

	while ((word = strsep(&text, " ")))
		if (*word && strcmp(word, "-") != 0)
			json_array_append_new(list, json_string(word));
	return list;
}

/* "nfs:on,ipip:off" */
static json_t *switches_json(char *text)
{
	json_t *obj = json_object();
	char *word;

	while ((word = strsep(&text, ", "))) {
		char *colon = strchr(word, ':');

		if (!colon)
			continue;
		*colon = '\0';
		json_object_set_new(obj, word, json_boolean(strcmp(colon + 1, "on") == 0));
	}
	return obj;
}

static json_t *number_json(const struct vz_field *f, const json_t *instance, const char *text)
{
	int64_t since = lg_json_int(instance, "started_at", 0);
	uint64_t v;

	if (f->get == get_uptime)
		return since > 0 ? json_integer((json_int_t)(time(NULL) - since)) : json_null();
	if (lg_parse_u64(text, 0, INT64_MAX, &v, NULL) < 0)
		return json_null();
	return json_integer((json_int_t)v);
}

json_t *vz_field_json(const struct vz_field *f, const json_t *instance)
{
	char text[VZ_CELL];

	vz_field_text(f, instance, 0, text);
	switch (f->json) {
	case VZ_JSON_UBC:
		return ubc_json(f, instance);
	case VZ_JSON_LIST:
		return f->get == get_nothing ? json_null() : list_json(text);
	case VZ_JSON_SWITCHES:
		return switches_json(text);
	case VZ_JSON_NUMBER:
		return number_json(f, instance, text);
	case VZ_JSON_BOOL:
		return strcmp(text, "yes") == 0 ? json_true() :
		       strcmp(text, "no") == 0 ? json_false() : json_null();
	case VZ_JSON_STRING:
		break;
	}
	return strcmp(text, "-") == 0 ? json_null() : json_string(text);
}
