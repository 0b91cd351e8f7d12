/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What works on this host, what does not, and why: a table of checks. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd/lodged/doctor.h"
#include "cmd/lodged/hostlimits.h"
#include "cmd/lodged/lxcfs.h"
#include "lib/cleanup.h"
#include "lib/file.h"

void say(struct report *r, const char *area, const char *level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(r->checks, json_pack("{s:s, s:s, s:s}", "area", area, "level", level,
						   "text", text));
}

long doctor_number(const char *path)
{
	lg_autofree char *text = NULL;
	long v;

	if (lg_file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0 ||
	    sscanf(text, "%ld", &v) != 1)
		return -1;
	return v;
}

static void check_kernel(struct report *r)
{
	struct utsname u;
	unsigned int major = 0, minor = 0;

	uname(&u);
	sscanf(u.release, "%u.%u", &major, &minor);
	if (major > 5 || (major == 5 && minor >= 19))
		say(r, "kernel", "ok", "%s has everything a container needs", u.release);
	else
		say(r, "kernel", "bad", "%s is older than 5.19: overlay cannot have idmapped layers",
		    u.release);
}

static void check_userns(struct report *r)
{
	long max = doctor_number("/proc/sys/user/max_user_namespaces");

	if (max == 0)
		say(r, "user namespaces", "bad",
		    "user.max_user_namespaces is 0: containers cannot be made");
	else
		say(r, "user namespaces", "ok", "%ld allowed", max);
}

static void check_cgroups(struct report *r)
{
	static const struct {
		const char *name, *without;
	} controllers[] = {
		{ "memory", "memory and swap limits have no effect and are refused" },
		{ "cpu", "CPU limits have no effect and are refused" },
		{ "pids", "limits of tasks have no effect and are refused" },
		{ "cpuset", "--cpus-seen, --cpumask and --nodemask are refused" },
		{ "io", "limits of disks are refused" },
	};
	bool hybrid = lg_cg_is_hybrid(r->d->cg);

	say(r, "cgroups", "ok", "%s", hybrid ? "hybrid: v1 controllers beside cgroup2" :
					       "unified: cgroup2 with all its controllers");
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
		if (!lg_cg_has(r->d->cg, controllers[i].name))
			say(r, "cgroups", "off", "no %s controller: %s", controllers[i].name,
			    controllers[i].without);
}

static void check_forwarding(struct report *r)
{
	char buf[LG_ADDR_TEXT];

	if (!r->d->net_conf.gw4.family) {
		say(r, "network", "off", "NETWORK is none: containers have no IPv4");
		return;
	}
	lg_format_addr(&r->d->net_conf.gw4, true, buf);
	if (doctor_number("/proc/sys/net/ipv4/ip_forward") == 1)
		say(r, "network", "ok", "bridge %s, gateway %s, forwarding is on",
		    r->d->net_conf.bridge, buf);
	else
		say(r, "network", "bad", "net.ipv4.ip_forward is 0: containers reach the host only");
}

static void check_bridge_filter(struct report *r)
{
	if (doctor_number("/proc/sys/net/bridge/bridge-nf-call-iptables") == 1)
		say(r, "network", "off",
		    "bridge-nf-call-iptables is 1: the host's rules see bridged frames too, which "
		    "costs throughput");
}

static void check_seccomp(struct report *r)
{
	if (r->d->filters[0] >= 0)
		say(r, "seccomp", "ok", "the system call filter is compiled and loaded");
	else
		say(r, "seccomp", "bad", "no system call filter: containers do not start");
}

static void check_space(struct report *r)
{
	struct statvfs v;
	char size[16];
	uint64_t bytes;

	if (statvfs(r->d->root.var, &v) < 0)
		return;
	bytes = (uint64_t)v.f_bavail * v.f_frsize;
	lg_format_size(bytes, size);
	if (bytes < UINT64_C(1) << 30 || v.f_bavail * 20 < v.f_blocks)
		say(r, "disk", "off", "only %s free below %s", size, r->d->root.var);
	else
		say(r, "disk", "ok", "%s free below %s", size, r->d->root.var);
}

static int count_template(const struct lg_template *t, void *arg)
{
	(void)t;
	(*(unsigned int *)arg)++;
	return 0;
}

static void check_templates(struct report *r)
{
	unsigned int n = 0;

	lg_template_each(r->d->root.var, count_template, &n, NULL);
	if (n == 0)
		say(r, "templates", "off", "none is built: `lodge template build debian-13`");
	else
		say(r, "templates", "ok", "%u built", n);
}

static void check_kernel_log(struct report *r)
{
	if (r->d->kmsg_errno)
		say(r, "kernel log", "off",
		    "cannot be read (%s): killed processes are counted, but not named",
		    strerror(r->d->kmsg_errno));
	else
		say(r, "kernel log", "ok", "names the processes killed for want of memory");
}

static void (*const checks[])(struct report *r) = {
	check_kernel,	     check_userns,   check_cgroups,   check_kernel_log, check_seccomp,
	doctor_devices,	     doctor_apparmor, check_forwarding, check_bridge_filter, check_space, doctor_disk, check_templates,
	doctor_ids,	     doctor_hostlimits, doctor_lxcfs,  doctor_criu,     doctor_vm,
};

static void report(struct daemon *d, struct lg_vcall *call)
{
	struct report r = { .d = d, .checks = json_array() };

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		checks[i](&r);
	lg_vcall_reply(call, json_pack("{s:o}", "checks", r.checks));
}

static void with_criu(struct daemon *d, struct lg_vcall *call)
{
	if (!doctor_vm_first(d, call, report))
		report(d, call);
}

void api_doctor(struct lg_vcall *call, const json_t *params, void *ctx)
{
	(void)params;
	if (!doctor_criu_first(ctx, call, with_criu))
		with_criu(ctx, call);
}
