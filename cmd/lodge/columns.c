/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/lodge/cli.h"
#include "cmd/lodge/text.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/parse.h"

static const json_t *usage(const json_t *instance)
{
	return json_object_get(instance, "usage");
}

static double put_setting(char *buf, const json_t *instance, const char *name)
{
	return cell_text(buf, lg_json_str(json_object_get(instance, "settings"), name));
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
	return cell_number(buf, i, "ctid");
}

static double get_name(const json_t *i, char *buf)
{
	return cell_text(buf, lg_json_str(i, "name"));
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
	return cell_text(buf, lg_json_str(i, "template"));
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
	return cell_size(buf, usage(i), "memory_bytes");
}

static double get_memory_peak(const json_t *i, char *buf)
{
	return cell_size(buf, usage(i), "memory_peak_bytes");
}

static double get_swap(const json_t *i, char *buf)
{
	return cell_size(buf, usage(i), "swap_bytes");
}

static double get_rx(const json_t *i, char *buf)
{
	return cell_size(buf, usage(i), "rx_bytes");
}

static double get_tx(const json_t *i, char *buf)
{
	return cell_size(buf, usage(i), "tx_bytes");
}

static double get_disk(const json_t *i, char *buf)
{
	return cell_size(buf, usage(i), "disk_bytes");
}

static double get_disk_max(const json_t *i, char *buf)
{
	return put_limit(buf, i, "disk");
}

static double get_inodes(const json_t *i, char *buf)
{
	return cell_number(buf, usage(i), "disk_inodes");
}

static double get_inodes_max(const json_t *i, char *buf)
{
	return cell_number(buf, usage(i), "disk_inodes_max");
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
	return cell_number(buf, json_object_get(i, "usage"), "tasks");
}

static double get_oom(const json_t *i, char *buf)
{
	return cell_number(buf, json_object_get(i, "usage"), "oom_kills");
}

static double get_uptime(const json_t *i, char *buf)
{
	return cell_uptime(buf, i);
}

static double get_created(const json_t *i, char *buf)
{
	int64_t t = lg_json_int(i, "created_at", 0);

	buf[0] = '\0';
	if (t > 0)
		text_time(t, buf);
	return (double)t;
}

/* Since when; nothing for one that is not. */
static double get_suspended(const json_t *i, char *buf)
{
	int64_t t = lg_json_int(i, "suspended_at", 0);

	buf[0] = '\0';
	if (t > 0)
		text_time(t, buf);
	return (double)t;
}

static double get_checkpoint(const json_t *i, char *buf)
{
	return cell_size(buf, i, "checkpoint_bytes");
}

static double get_hostname(const json_t *i, char *buf)
{
	return cell_text(buf, lg_json_str(i, "hostname"));
}

static double get_description(const json_t *i, char *buf)
{
	return cell_text(buf, lg_json_str(i, "description"));
}

static double get_onboot(const json_t *i, char *buf)
{
	return put_setting(buf, i, "onboot");
}

static double get_kind(const json_t *i, char *buf)
{
	return cell_text(buf, lg_json_str(i, "kind"));
}

static double get_machine(const json_t *i, char *buf)
{
	const char *machine = lg_json_str(i, "machine"), *accel = lg_json_str(i, "accel");

	buf[0] = '\0';
	if (machine && accel)
		snprintf(buf, CELL_MAX, "%s, %s", machine, strcmp(accel, "kvm") == 0 ? "KVM" : "emulated (TCG)");
	return 0;
}

static double get_kernel(const json_t *i, char *buf)
{
	return cell_text(buf, lg_json_str(i, "kernel"));
}

static double get_guest_memory(const json_t *i, char *buf)
{
	return cell_size(buf, usage(i), "guest_memory_bytes");
}

static double get_overhead(const json_t *i, char *buf)
{
	return cell_size(buf, usage(i), "overhead_bytes");
}

static double get_guest_tasks(const json_t *i, char *buf)
{
	return cell_number(buf, usage(i), "guest_tasks");
}

static double get_pid(const json_t *i, char *buf)
{
	return cell_number(buf, i, "init_pid");
}

/* clang-format off */
const struct column columns[] = {
	/* name		header		help					need	right	shrinks	get		number */
	{ "id",		"ID",		"number",				NEED_BRIEF, true, false, get_id,	true },
	{ "name",	"NAME",		"name",					NEED_BRIEF, false, true, get_name,	false },
	{ "state",	"STATE",	"stopped, running, mounted, suspended, and what it is busy with", NEED_BRIEF, false, false, get_state, false },
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
	{ "disk",	"DISK",		"space its own files take; known where it is limited", NEED_USAGE, true, false, get_disk, true },
	{ "disk-max",	"DISK-MAX",	"space they may take",			NEED_ALL, true, false, get_disk_max,	true },
	{ "inodes",	"INODES",	"files and folders of its own",		NEED_USAGE, true, false, get_inodes,	true },
	{ "inodes-max",	"INODES-MAX",	"files and folders there is room for",	NEED_USAGE, true, false, get_inodes_max, true },
	{ "rx",		"RX",		"bytes received",			NEED_USAGE, true, false, get_rx,	true },
	{ "tx",		"TX",		"bytes sent",				NEED_USAGE, true, false, get_tx,	true },
	{ "uptime",	"UPTIME",	"time since its start",			NEED_BRIEF, true, false, get_uptime,	true },
	{ "created",	"CREATED",	"when it was made",			NEED_ALL, false, false, get_created,	true },
	{ "suspended",	"SUSPENDED",	"since when it is suspended",		NEED_ALL, false, false, get_suspended,	true },
	{ "checkpoint",	"CHECKPOINT",	"what its memory takes on the disk, suspended", NEED_ALL, true, false, get_checkpoint, true },
	{ "onboot",	"ONBOOT",	"does it start with the host?",		NEED_ALL, false, false, get_onboot,	false },
	{ "kind",	"KIND",		"container or vm",			NEED_BRIEF, false, false, get_kind,	false },
	{ "pid",	"PID",		"process id of its init, on the host; of a VM, QEMU's", NEED_ALL, true, false, get_pid, true },
	{ "machine",	"MACHINE",	"of a VM: kind of machine, and what runs it", NEED_ALL, false, false, get_machine, false },
	{ "kernel",	"KERNEL",	"of a VM: version of its kernel",	NEED_ALL, false, false, get_kernel,	false },
	{ "guest-memory", "GUEST-MEM",	"of a VM: memory in use inside",	NEED_USAGE, true, false, get_guest_memory, true },
	{ "overhead",	"OVERHEAD",	"of a VM: memory of the host that is not the guest's", NEED_USAGE, true, false, get_overhead, true },
	{ "guest-tasks", "GUEST-TASKS",	"of a VM: processes inside",		NEED_USAGE, true, false, get_guest_tasks, true },
	{ 0 },
};
/* clang-format on */
