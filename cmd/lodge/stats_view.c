/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Rates, columns and tables of `lodge stats` and `lodge top`. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge/stats.h"
#include "cmd/lodge/text.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

#define WIDE 120u	/* columns of a terminal that all of the usual ones need */
#define ALL_OF_IT "id,name,cpu,memory,memory-max,swap,tasks,disk,read,write,rx,tx,cpu-wait,memory-wait,io-wait"
#define MOST_OF_IT "id,name,cpu,memory,tasks,read,write,rx,tx,cpu-wait,io-wait"
#define INTERVAL_ONCE 0.3
#define INTERVAL_AGAIN 2.0

/* ---- rates ---- */

/* What a counter gives: its growth in a second, times @factor. */
static const struct rate {
	const char *name, *counter;
	double factor;
} rates[] = {
	{ "cpu_percent", "cpu_us", 1e-4 },
	{ "read_bps", "read_bytes", 1 },
	{ "write_bps", "write_bytes", 1 },
	{ "reads_ps", "reads", 1 },
	{ "writes_ps", "writes", 1 },
	{ "rx_bps", "rx_bytes", 1 },
	{ "tx_bps", "tx_bytes", 1 },
	{ "drops_ps", "rx_dropped", 1 },
};

static double growth(const json_t *now, const json_t *before, const char *key)
{
	int64_t a = lg_json_int(before, key, -1), b = lg_json_int(now, key, -1);

	return a < 0 || b < a ? -1 : (double)(b - a);
}

static void add_rates(json_t *now, const json_t *before)
{
	double seconds = growth(now, before, "at_us") / 1e6;
	double periods = growth(now, before, "periods");
	double throttled = growth(now, before, "throttled");
	json_t *obj;

	if (seconds <= 0)
		return;
	obj = json_object();
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		double more = growth(now, before, rates[i].counter);

		if (more >= 0)
			json_object_set_new(obj, rates[i].name,
					    json_real(more * rates[i].factor / seconds));
	}
	if (periods >= 0 && throttled >= 0)
		json_object_set_new(obj, "throttled_percent",
				    json_real(periods > 0 ? 100 * throttled / periods : 0));
	json_object_set_new(now, "rates", obj);
}

void stats_rates(json_t *now, const json_t *before)
{
	const json_t *list = json_object_get(now, "stats"), *old = json_object_get(before, "stats");
	size_t nold = json_array_size(old), at = 0;

	if (!before)
		return;
	add_rates(json_object_get(now, "host"), json_object_get(before, "host"));
	/* Both are in the order of their numbers. */
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *row = json_array_get(list, i);
		int64_t ctid = lg_json_int(row, "ctid", 0);
		const json_t *was;

		while (at < nold && lg_json_int(json_array_get(old, at), "ctid", 0) < ctid)
			at++;
		was = json_array_get(old, at);
		if (was && lg_json_int(was, "ctid", 0) == ctid &&
		    lg_json_int(was, "started_at", 0) == lg_json_int(row, "started_at", 0))
			add_rates(row, was);
	}
}

/* ---- columns ---- */

static double rate_of(const json_t *row, const char *name)
{
	const json_t *v = json_object_get(json_object_get(row, "rates"), name);

	return json_is_number(v) ? json_number_value(v) : -1;
}

static double cell_percent(char *buf, double v)
{
	buf[0] = '\0';
	if (v >= 0)
		snprintf(buf, CELL_MAX, "%.1f", v);
	return v;
}

static double cell_rate(char *buf, const json_t *row, const char *name)
{
	double v = rate_of(row, name);

	buf[0] = '\0';
	if (v >= 0)
		lg_format_size((uint64_t)v, buf);
	return v;
}

static double cell_wait(char *buf, const json_t *row, const char *what, const char *key)
{
	const json_t *p = json_object_get(json_object_get(row, "pressure"), what);
	const json_t *v = json_object_get(p, key);

	return cell_percent(buf, json_is_number(v) ? json_number_value(v) : -1);
}

static double share(char *buf, const json_t *row, const char *part, const char *all)
{
	int64_t a = lg_json_int(row, part, -1), b = lg_json_int(row, all, -1);

	return cell_percent(buf, a < 0 || b <= 0 ? -1 : 100.0 * (double)a / (double)b);
}

static double get_id(const json_t *row, char *buf)
{
	return cell_number(buf, row, "ctid");
}

static double get_name(const json_t *row, char *buf)
{
	return cell_text(buf, lg_json_str(row, "name"));
}

static double get_cpu(const json_t *row, char *buf)
{
	return cell_percent(buf, rate_of(row, "cpu_percent"));
}

static double get_cpu_max(const json_t *row, char *buf)
{
	return cell_number(buf, row, "cpu_limit");
}

static double get_cpu_time(const json_t *row, char *buf)
{
	return cell_percent(buf, (double)lg_json_int(row, "cpu_us", -1) / 1e6);
}

static double get_throttled(const json_t *row, char *buf)
{
	return cell_percent(buf, rate_of(row, "throttled_percent"));
}

static double get_memory(const json_t *row, char *buf)
{
	return cell_size(buf, row, "memory_bytes");
}

static double get_memory_max(const json_t *row, char *buf)
{
	return cell_size(buf, row, "memory_limit");
}

static double get_memory_share(const json_t *row, char *buf)
{
	return share(buf, row, "memory_bytes", "memory_limit");
}

static double get_swap(const json_t *row, char *buf)
{
	return cell_size(buf, row, "swap_bytes");
}

static double get_tasks(const json_t *row, char *buf)
{
	return cell_number(buf, row, "tasks");
}

static double get_tasks_max(const json_t *row, char *buf)
{
	return cell_number(buf, row, "tasks_limit");
}

static double get_disk(const json_t *row, char *buf)
{
	return cell_size(buf, row, "disk_bytes");
}

static double get_disk_max(const json_t *row, char *buf)
{
	return cell_size(buf, row, "disk_limit");
}

static double get_read(const json_t *row, char *buf)
{
	return cell_rate(buf, row, "read_bps");
}

static double get_write(const json_t *row, char *buf)
{
	return cell_rate(buf, row, "write_bps");
}

static double get_rx(const json_t *row, char *buf)
{
	return cell_rate(buf, row, "rx_bps");
}

static double get_tx(const json_t *row, char *buf)
{
	return cell_rate(buf, row, "tx_bps");
}

static double get_drops(const json_t *row, char *buf)
{
	return cell_number(buf, row, "rx_dropped");
}

static double get_cpu_wait(const json_t *row, char *buf)
{
	return cell_wait(buf, row, "cpu", "some");
}

static double get_memory_wait(const json_t *row, char *buf)
{
	return cell_wait(buf, row, "memory", "some");
}

static double get_io_wait(const json_t *row, char *buf)
{
	return cell_wait(buf, row, "io", "some");
}

static double get_oom(const json_t *row, char *buf)
{
	return cell_number(buf, row, "oom_kills");
}

static double get_kind(const json_t *row, char *buf)
{
	return cell_text(buf, lg_json_str(row, "kind"));
}

static double get_guest_memory(const json_t *row, char *buf)
{
	return cell_size(buf, row, "guest_memory_bytes");
}

static double get_overhead(const json_t *row, char *buf)
{
	return cell_size(buf, row, "overhead_bytes");
}

static double get_guest_tasks(const json_t *row, char *buf)
{
	return cell_number(buf, row, "guest_tasks");
}

static double get_uptime(const json_t *row, char *buf)
{
	return cell_uptime(buf, row);
}

/* clang-format off */
const struct column stats_columns[] = {
	/* name		header		help					need	right	shrinks	get		number */
	{ "id",		"ID",		"number",				0, true, false, get_id,		true },
	{ "name",	"NAME",		"name",					0, false, true, get_name,	false },
	{ "cpu",	"CPU%",		"CPU time, in percent of one CPU",	0, true, false, get_cpu,	true },
	{ "cpu-max",	"CPU-MAX",	"the most it may have of that",		0, true, false, get_cpu_max,	true },
	{ "cpu-time",	"CPU-TIME",	"seconds of CPU time since its start",	0, true, false, get_cpu_time,	true },
	{ "throttled",	"THROTTLED%",	"share of time in which the CPU limit was used up", 0, true, false, get_throttled, true },
	{ "memory",	"MEMORY",	"memory in use",			0, true, false, get_memory,	true },
	{ "memory-max",	"MEM-MAX",	"memory it may use",			0, true, false, get_memory_max,	true },
	{ "memory-share", "MEM%",	"memory in use, in percent of its limit", 0, true, false, get_memory_share, true },
	{ "swap",	"SWAP",		"swap in use",				0, true, false, get_swap,	true },
	{ "tasks",	"TASKS",	"processes and threads",		0, true, false, get_tasks,	true },
	{ "tasks-max",	"TASKS-MAX",	"processes and threads it may have",	0, true, false, get_tasks_max,	true },
	{ "disk",	"DISK",		"what its files take, where that is limited", 0, true, false, get_disk,	true },
	{ "disk-max",	"DISK-MAX",	"what they may take",			0, true, false, get_disk_max,	true },
	{ "read",	"READ/s",	"bytes read from disks in a second",	0, true, false, get_read,	true },
	{ "write",	"WRITE/s",	"bytes written to disks in a second",	0, true, false, get_write,	true },
	{ "rx",		"RX/s",		"bytes received in a second",		0, true, false, get_rx,		true },
	{ "tx",		"TX/s",		"bytes sent in a second",		0, true, false, get_tx,		true },
	{ "drops",	"DROPS",	"packets to it that were dropped",	0, true, false, get_drops,	true },
	{ "cpu-wait",	"CPU-W",	"percent of the last 10 s in which some of it waited for a CPU", 0, true, false, get_cpu_wait, true },
	{ "memory-wait", "MEM-W",	"the same for memory",			0, true, false, get_memory_wait, true },
	{ "io-wait",	"IO-W",		"the same for disks",			0, true, false, get_io_wait,	true },
	{ "oom",	"OOM",		"times the kernel killed for want of memory", 0, true, false, get_oom,	true },
	{ "uptime",	"UPTIME",	"time since its start",			0, true, false, get_uptime,	true },
	{ "kind",	"KIND",		"container or vm",			0, false, false, get_kind,	false },
	{ "guest-memory", "GUEST-MEM",	"of a VM: memory in use inside",	0, true, false, get_guest_memory, true },
	{ "overhead",	"OVERHEAD",	"of a VM: memory of the host that is not the guest's", 0, true, false, get_overhead, true },
	{ "guest-tasks", "GUEST-TASKS",	"of a VM: processes inside",		0, true, false, get_guest_tasks, true },
	{ 0 },
};
/* clang-format on */

/* ---- options, question, table ---- */

static int given_interval(struct cli *cli, double *ret)
{
	const char *text = opt_value(&cli->args, "interval");
	char *end;
	double v;

	if (!text)
		return 0;
	v = strtod(text, &end);
	if (end == text || *end || !(v >= 0) || v > 3600)
		return cli_usage(cli, "--interval '%s' is not a number of seconds from 0 to 3600",
				 text);
	*ret = v;
	return 0;
}

int stats_choose(struct cli *cli, struct stats_view *view)
{
	const char *list = opt_value(&cli->args, "output"), *sort = opt_value(&cli->args, "sort");
	size_t width = out_width();
	bool once = strcmp(cli->verb->name, "top") != 0 && !opt_has(&cli->args, "watch");
	int n;

	if (!list)
		list = width && width < WIDE ? MOST_OF_IT : ALL_OF_IT;
	n = columns_parse(stats_columns, list, view->shown, &cli->err);
	if (n < 0)
		return n;
	view->nshown = (size_t)n;
	view->usual = !opt_has(&cli->args, "output");
	view->interval = once ? INTERVAL_ONCE : INTERVAL_AGAIN;
	if (sort)
		n = columns_sort_key(stats_columns, sort, &view->sort, &view->down, &cli->err);
	return n < 0 ? n : given_interval(cli, &view->interval);
}

int stats_ask(struct cli *cli, json_t **last)
{
	json_t *params = json_object(), *answer = NULL;
	int r;

	if (cli->args.nwords) {
		json_t *ids = json_array();

		for (size_t i = 0; i < cli->args.nwords; i++)
			json_array_append_new(ids, lg_varlink_text(cli->args.words[i]));
		json_object_set_new(params, "ids", ids);
	}
	r = cli_call(cli, "io.lodge.Stats", params, &answer);
	if (r < 0)
		return r;
	stats_rates(answer, *last);
	json_decref(*last);
	*last = answer;
	return 0;
}

static bool has_vm(const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(lg_json_str(json_array_get(list, i), "kind") ? lg_json_str(json_array_get(list, i), "kind") : "",
			   "vm") == 0)
			return true;
	return false;
}

/* The columns of VMs, behind those that are shown anyway. */
static size_t add_vm_columns(const struct column **shown, size_t n)
{
	static const char *const names[] = { "guest-memory", "overhead" };

	for (size_t i = 0; i < ARRAY_SIZE(names) && n < COLUMNS_MAX; i++)
		shown[n++] = column_find(stats_columns, names[i], strlen(names[i]));
	return n;
}

int stats_print(struct cli *cli, const struct stats_view *view, const json_t *answer,
		size_t nrows, size_t width, FILE *f)
{
	const json_t *list = json_object_get(answer, "stats");
	size_t n = json_array_size(list);
	const struct columns_how how = { .width = width,
					 .no_header = opt_has(&cli->args, "no-header") };
	lg_autofree json_t **rows = calloc(n + 1, sizeof(*rows));
	const struct column *shown[COLUMNS_MAX];
	size_t nshown = view->nshown;
	int r;

	if (!rows)
		return lg_fail(&cli->err, -ENOMEM, "stats");
	memcpy(shown, view->shown, nshown * sizeof(shown[0]));
	if (view->usual && has_vm(list))
		nshown = add_vm_columns(shown, nshown);
	for (size_t i = 0; i < n; i++)
		rows[i] = json_array_get(list, i);
	if (view->sort)
		columns_sort(rows, n, view->sort, view->down);
	if (nrows && n > nrows)
		n = nrows;
	r = columns_print(shown, nshown, rows, n, &how, f);
	return r < 0 ? lg_fail(&cli->err, r, "stats") : 0;
}

static void host_size(const json_t *host, const char *key, char text[16])
{
	int64_t v = lg_json_int(host, key, -1);

	snprintf(text, 16, "?");
	if (v >= 0)
		lg_format_size((uint64_t)v, text);
}

void stats_host_line(const json_t *answer, char *buf, size_t size)
{
	const json_t *host = json_object_get(answer, "host");
	long long cpus = (long long)lg_json_int(host, "cpus", 1);
	int64_t all = lg_json_int(host, "memory_bytes", 0);
	char cpu[CELL_MAX], wait[3][CELL_MAX], used[16], total[16];
	static const char *const kinds[3] = { "cpu", "memory", "io" };

	cell_percent(cpu, rate_of(host, "cpu_percent"));
	for (size_t i = 0; i < 3; i++)
		cell_wait(wait[i], host, kinds[i], "some");
	host_size(host, "memory_bytes", total);
	lg_format_size((uint64_t)(all - lg_json_int(host, "available_bytes", all)), used);
	snprintf(buf, size, "%zu run; CPU %s of %lld%%, memory %s of %s; waiting: cpu %s%%, "
		 "memory %s%%, io %s%%",
		 json_array_size(json_object_get(answer, "stats")), cpu[0] ? cpu : "?", cpus * 100,
		 used, total, wait[0], wait[1], wait[2]);
}
