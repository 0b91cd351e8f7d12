/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/columns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/lodge/cli.h"
#include "cmd/lodge/text.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

static double put_text(char *buf, const char *text)
{
	snprintf(buf, CELL_MAX, "%s", text ? text : "");
	return 0;
}

static double put_number(char *buf, const json_t *obj, const char *key)
{
	int64_t v = lg_json_int(obj, key, -1);

	if (v < 0)
		buf[0] = '\0';
	else
		snprintf(buf, CELL_MAX, "%lld", (long long)v);
	return (double)v;
}

static double put_size(char *buf, const json_t *instance, const char *key)
{
	int64_t v = lg_json_int(json_object_get(instance, "usage"), key, -1);

	buf[0] = '\0';
	if (v >= 0)
		lg_format_size((uint64_t)v, buf);
	return (double)v;
}

static double put_setting(char *buf, const json_t *instance, const char *name)
{
	return put_text(buf, lg_json_str(json_object_get(instance, "settings"), name));
}

/* A limit sorts by its size; none is the largest. */
static double put_limit(char *buf, const json_t *instance, const char *name)
{
	uint64_t v = LG_UNLIMITED;

	put_setting(buf, instance, name);
	if (!buf[0] || lg_parse_size(buf, 1, &v, NULL) < 0 || v == LG_UNLIMITED)
		return 1e30;
	return (double)v;
}

static double get_id(const json_t *i, char *buf)
{
	return put_number(buf, i, "ctid");
}

static double get_name(const json_t *i, char *buf)
{
	return put_text(buf, lg_json_str(i, "name"));
}

static double get_state(const json_t *i, char *buf)
{
	const char *state = lg_json_str(i, "state"), *busy = lg_json_str(i, "busy");

	snprintf(buf, CELL_MAX, "%s%s%s%s", state ? state : "", busy ? " (" : "",
		 busy ? busy : "", busy ? ")" : "");
	return 0;
}

static double get_template(const json_t *i, char *buf)
{
	return put_text(buf, lg_json_str(i, "template"));
}

/* One address is enough for a table; --json and show have all. */
static double get_address(const json_t *i, char *buf)
{
	char *blank;

	out_addresses(i, buf, CELL_MAX);
	blank = strchr(buf, ' ');
	if (blank)
		*blank = '\0';
	return 0;
}

static double get_addresses(const json_t *i, char *buf)
{
	out_addresses(i, buf, CELL_MAX);
	return 0;
}

static double get_memory(const json_t *i, char *buf)
{
	return put_size(buf, i, "memory_bytes");
}

static double get_memory_peak(const json_t *i, char *buf)
{
	return put_size(buf, i, "memory_peak_bytes");
}

static double get_swap(const json_t *i, char *buf)
{
	return put_size(buf, i, "swap_bytes");
}

static double get_rx(const json_t *i, char *buf)
{
	return put_size(buf, i, "rx_bytes");
}

static double get_tx(const json_t *i, char *buf)
{
	return put_size(buf, i, "tx_bytes");
}

static double get_memory_max(const json_t *i, char *buf)
{
	return put_limit(buf, i, "memory");
}

static double get_tasks_max(const json_t *i, char *buf)
{
	return put_limit(buf, i, "tasks");
}

static double get_cpus(const json_t *i, char *buf)
{
	double v = put_limit(buf, i, "cpus");

	return v < 1e30 ? strtod(buf, NULL) : v;
}

/* CPU time used so far. */
static double get_cpu(const json_t *i, char *buf)
{
	int64_t us = lg_json_int(json_object_get(i, "usage"), "cpu_us", -1);

	if (us < 0)
		buf[0] = '\0';
	else
		snprintf(buf, CELL_MAX, "%.1fs", (double)us / 1e6);
	return (double)us;
}

static double get_tasks(const json_t *i, char *buf)
{
	return put_number(buf, json_object_get(i, "usage"), "tasks");
}

static double get_oom(const json_t *i, char *buf)
{
	return put_number(buf, json_object_get(i, "usage"), "oom_kills");
}

static double get_uptime(const json_t *i, char *buf)
{
	int64_t since = lg_json_int(i, "started_at", 0), t = time(NULL);

	buf[0] = '\0';
	if (since <= 0 || t < since)
		return 0;
	text_uptime((uint64_t)(t - since), buf);
	return (double)(t - since);
}

static double get_created(const json_t *i, char *buf)
{
	int64_t t = lg_json_int(i, "created_at", 0);

	buf[0] = '\0';
	if (t > 0)
		text_time(t, buf);
	return (double)t;
}

static double get_hostname(const json_t *i, char *buf)
{
	return put_text(buf, lg_json_str(i, "hostname"));
}

static double get_description(const json_t *i, char *buf)
{
	return put_text(buf, lg_json_str(i, "description"));
}

static double get_onboot(const json_t *i, char *buf)
{
	return put_setting(buf, i, "onboot");
}

static double get_kind(const json_t *i, char *buf)
{
	return put_text(buf, lg_json_str(i, "kind"));
}

static double get_pid(const json_t *i, char *buf)
{
	return put_number(buf, i, "init_pid");
}

/* clang-format off */
const struct column columns[] = {
	/* name		header		help					need	right	shrinks	get		number */
	{ "id",		"ID",		"number",				NEED_BRIEF, true, false, get_id,	true },
	{ "name",	"NAME",		"name",					NEED_BRIEF, false, true, get_name,	false },
	{ "state",	"STATE",	"stopped, running, mounted, and what it is busy with", NEED_BRIEF, false, false, get_state, false },
	{ "template",	"TEMPLATE",	"OS template it was made from",		NEED_BRIEF, false, true, get_template,	false },
	{ "address",	"ADDRESS",	"first address",			NEED_BRIEF, false, false, get_address,	false },
	{ "addresses",	"ADDRESSES",	"all addresses",			NEED_BRIEF, false, true, get_addresses,	false },
	{ "hostname",	"HOSTNAME",	"host name inside",			NEED_BRIEF, false, true, get_hostname,	false },
	{ "description", "DESCRIPTION",	"description",				NEED_ALL, false, true, get_description, false },
	{ "memory",	"MEMORY",	"memory in use",			NEED_USAGE, true, false, get_memory,	true },
	{ "memory-peak", "PEAK",	"most memory it ever used",		NEED_USAGE, true, false, get_memory_peak, true },
	{ "memory-max",	"MEMORY-MAX",	"memory it may use",			NEED_ALL, true, false, get_memory_max,	true },
	{ "swap",	"SWAP",		"swap in use",				NEED_USAGE, true, false, get_swap,	true },
	{ "cpu",	"CPU",		"CPU time used since its start",	NEED_USAGE, true, false, get_cpu,	true },
	{ "cpus",	"CPUS",		"CPUs it may use",			NEED_ALL, true, false, get_cpus,	true },
	{ "tasks",	"TASKS",	"processes and threads",		NEED_USAGE, true, false, get_tasks,	true },
	{ "tasks-max",	"TASKS-MAX",	"processes and threads it may have",	NEED_ALL, true, false, get_tasks_max,	true },
	{ "oom",	"OOM",		"times the kernel killed for want of memory", NEED_USAGE, true, false, get_oom, true },
	{ "rx",		"RX",		"bytes received",			NEED_USAGE, true, false, get_rx,	true },
	{ "tx",		"TX",		"bytes sent",				NEED_USAGE, true, false, get_tx,	true },
	{ "uptime",	"UPTIME",	"time since its start",			NEED_BRIEF, true, false, get_uptime,	true },
	{ "created",	"CREATED",	"when it was made",			NEED_ALL, false, false, get_created,	true },
	{ "onboot",	"ONBOOT",	"does it start with the host?",		NEED_ALL, false, false, get_onboot,	false },
	{ "kind",	"KIND",		"container or vm",			NEED_ALL, false, false, get_kind,	false },
	{ "pid",	"PID",		"process id of its init, on the host",	NEED_ALL, true, false, get_pid,		true },
	{ 0 },
};
/* clang-format on */

const struct column *column_find(const char *name, size_t len)
{
	/* What JSON calls it. */
	if (len == 4 && strncmp(name, "ctid", len) == 0)
		return &columns[0];
	for (const struct column *c = columns; c->name; c++)
		if (strlen(c->name) == len && strncmp(c->name, name, len) == 0)
			return c;
	return NULL;
}

static int unknown(const char *name, size_t len, struct lg_err *err)
{
	char all[400] = "";
	size_t at = 0;

	for (const struct column *c = columns; c->name && at < sizeof(all); c++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", at ? ", " : "",
				       c->name);
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION,
			 "no column is called '%.*s'; there are: %s",
			 (int)(len < 40 ? len : 40), name, all);
}

int columns_parse(const char *list, const struct column **ret, struct lg_err *err)
{
	int n = 0;

	do {
		size_t len = strcspn(list, ",");
		const struct column *c = column_find(list, len);

		if (!c)
			return unknown(list, len, err);
		if (n == (int)COLUMNS_MAX)
			return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION,
					 "at most %u columns", COLUMNS_MAX);
		ret[n++] = c;
		list += len;
	} while (*list++);
	return n;
}

struct key {
	json_t *row;
	size_t at;
	double number;
	char text[CELL_MAX];
};

static int compare(const void *pa, const void *pb, void *arg)
{
	const struct key *a = pa, *b = pb;
	const int *direction = arg;
	int c = a->number < b->number ? -1 : a->number > b->number ? 1 : 0;

	if (c == 0)
		c = strcmp(a->text, b->text);
	if (c == 0)
		return a->at < b->at ? -1 : 1;
	return c * *direction;
}

void columns_sort(json_t **rows, size_t n, const struct column *column, bool down)
{
	lg_autofree struct key *keys = calloc(n + 1, sizeof(*keys));
	int direction = down ? -1 : 1;

	if (!keys)
		return;	/* unsorted is better than nothing */
	for (size_t i = 0; i < n; i++) {
		double v = column->get(rows[i], keys[i].text);

		keys[i].row = rows[i];
		keys[i].at = i;
		keys[i].number = column->number ? v : 0;
		if (column->number)
			keys[i].text[0] = '\0';
	}
	qsort_r(keys, n, sizeof(*keys), compare, &direction);
	for (size_t i = 0; i < n; i++)
		rows[i] = keys[i].row;
}
