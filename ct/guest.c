/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/guest.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ct/inside.h"
#include "lib/cleanup.h"

#define TEXT_MAX 4096u

struct text {
	char buf[TEXT_MAX];
	size_t len;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Text that does not fit sets len past the buffer; put_text() refuses it. */
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->len >= sizeof(t->buf))
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, sizeof(t->buf) - t->len, fmt, ap);
	va_end(ap);
	t->len += n < 0 ? sizeof(t->buf) : (size_t)n;
}

static int put_text(struct lg_msg *m, const char *key, const struct text *t, struct lg_err *err)
{
	int r = t->len < sizeof(t->buf) ? lg_msg_put(m, key, t->buf) : -EMSGSIZE;

	return r < 0 ? lg_fail(err, r, "the guest's files") : 0;
}

/* ---- every guest ---- */

static int put_hostname(const struct lg_guest *g, struct lg_msg *m, struct lg_err *err)
{
	struct text t = { .len = 0 };

	add(&t, "0644 /etc/hostname\n%s\n", g->hostname);
	return put_text(m, "file", &t, err);
}

static void add_names(struct text *t, const char *address, const char *hostname)
{
	const char *dot = strchr(hostname, '.');

	add(t, "%s\t%s", address, hostname);
	if (dot)
		add(t, " %.*s", (int)(dot - hostname), hostname);
	add(t, "\n");
}

/* A block, so that lines which the guest's administrator added stay. */
static int put_hosts(const struct lg_guest *g, struct lg_msg *m, struct lg_err *err)
{
	struct text t = { .len = 0 };
	char address[LG_ADDR_TEXT];

	add(&t, "0644 /etc/hosts\n127.0.0.1\tlocalhost\n"
		"::1\tlocalhost ip6-localhost ip6-loopback\n");
	for (unsigned int i = 0; i < g->naddrs; i++) {
		lg_format_addr(&g->addrs[i], false, address);
		add_names(&t, address, g->hostname);
	}
	if (g->naddrs == 0)
		add_names(&t, "127.0.1.1", g->hostname);
	return put_text(m, "block", &t, err);
}

/* Without name servers to give, the guest's own file stays. */
static int put_resolv_conf(const struct lg_guest *g, struct lg_msg *m, struct lg_err *err)
{
	struct text t = { .len = 0 };

	if (g->nnameservers == 0)
		return 0;
	add(&t, "0644 /etc/resolv.conf\n");
	if (g->searchdomain && *g->searchdomain)
		add(&t, "search %s\n", g->searchdomain);
	for (unsigned int i = 0; i < g->nnameservers; i++)
		add(&t, "nameserver %s\n", g->nameservers[i]);
	return put_text(m, "file", &t, err);
}

/* Where the container interface has it for those who cannot read init's environment. */
static int put_manager(const struct lg_guest *g, struct lg_msg *m, struct lg_err *err)
{
	struct text t = { .len = 0 };

	if (g->vm)
		return 0;
	add(&t, "0644 /run/host/container-manager\n%s\n", strchr(LG_CONTAINER_ENV, '=') + 1);
	return put_text(m, "file", &t, err);
}

/* ---- containers inside ---- */

/*
 * podman limits each container to 2,048 processes unless told otherwise, and fails where it cannot: on a
 * host that has the pids controller on a v1 hierarchy, which guests do not see.
 */
static int put_containers(const struct lg_guest *g, struct lg_msg *m, struct lg_err *err)
{
	struct text t = { .len = 0 };

	if (!g->nesting || g->vm)
		return 0;
	add(&t, "0644 /etc/containers/containers.conf.d/50-lodge.conf\n"
		"# Written by lodge at each start.\n");
	if (!g->counts_tasks)
		add(&t, "[containers]\n# This host cannot count a nested container's processes.\n"
			"pids_limit = 0\n");
	return put_text(m, "file", &t, err);
}

/* ---- systemd ---- */

enum where { BOTH, CONTAINER, MACHINE };

/*
 * Units that would fail in there or undo what was set from outside. /run stands before
 * /usr/lib and behind /etc: what an administrator links in /etc has the last word.
 */
static const struct {
	const char *unit, *why;
	enum where where;
} masked[] = {
	{ "systemd-networkd.service", "addresses and routes were set before init ran", BOTH },
	{ "systemd-networkd.socket", "starts it", BOTH },
	{ "systemd-networkd-wait-online.service", "waits for it", BOTH },
	{ "systemd-udevd.service", "devices are the host's", CONTAINER },
	{ "systemd-udevd-control.socket", "starts it", CONTAINER },
	{ "systemd-udevd-kernel.socket", "starts it", CONTAINER },
	{ "systemd-udev-trigger.service", "asks for devices", CONTAINER },
	{ "systemd-modules-load.service", "the kernel is the host's", CONTAINER },
	{ "sys-kernel-debug.mount", "the kernel is the host's", CONTAINER },
	{ "sys-kernel-tracing.mount", "the kernel is the host's", CONTAINER },
	{ "sys-kernel-config.mount", "the kernel is the host's", CONTAINER },
	{ "sys-fs-fuse-connections.mount", "not to be mounted in a user namespace", CONTAINER },
	{ "dev-hugepages.mount", "not to be mounted in a user namespace", CONTAINER },
	{ "systemd-journald-audit.socket", "the audit log is the host's", CONTAINER },
	{ "systemd-timesyncd.service", "the clock is the host's", CONTAINER },
	{ "getty@tty1.service", "there is no screen", MACHINE },
	{ "serial-getty@ttyS0.service", "waits for udev, which small systems have not: console-getty is there", MACHINE },
};

static int put_systemd(const struct lg_guest *g, struct lg_msg *m, struct lg_err *err)
{
	struct text t;
	int r = 0;

	if (g->init_kind != LG_INIT_SYSTEMD)
		return 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(masked); i++) {
		if (masked[i].where == (g->vm ? CONTAINER : MACHINE))
			continue;
		t.len = 0;
		add(&t, "/run/systemd/system/%s\n/dev/null", masked[i].unit);
		r = put_text(m, "link", &t, err);
	}
	return r;
}

/* systemd starts it by itself in a container alone. It asks on /dev/console, whatever that is, and needs no device unit. */
static int put_console(const struct lg_guest *g, struct lg_msg *m, struct lg_err *err)
{
	struct text t = { .len = 0 };

	if (g->init_kind != LG_INIT_SYSTEMD || !g->vm)
		return 0;
	add(&t, "/run/systemd/system/getty.target.wants/console-getty.service\n"
		"/usr/lib/systemd/system/console-getty.service");
	return put_text(m, "link", &t, err);
}

/* It fails where the library that loads modules is not installed, and with it everything counts as degraded. */
static int put_modules(const struct lg_guest *g, struct lg_msg *m, struct lg_err *err)
{
	struct text t = { .len = 0 };

	if (g->init_kind != LG_INIT_SYSTEMD || !g->vm)
		return 0;
	add(&t, "0644 /run/systemd/system/systemd-modules-load.service.d/lodge.conf\n"
		"# Written by lodge: the package kmod may be missing.\n"
		"[Unit]\nConditionPathExists=/usr/sbin/modprobe\n");
	return put_text(m, "file", &t, err);
}

/*
 * What systemd is told for all services where namespaces within the container's are refused. At EPERM it goes
 * on without some of them by itself, and without the others the service does not start. Older ones complain of
 * a word that they do not know, for each service: what is young stands only where the OS is known to have it.
 */
static const struct {
	const char *line;
	bool young;
} without_namespaces[] = {
	{ "PrivateIPC=no", false },
	{ "PrivateNetwork=no", false },
	{ "PrivateUsers=no", false },
	{ "ProtectHostname=no", false },
	/*
	 * Credentials stand in a ramfs of each service, whose files CRIU does not keep: what is imported by patterns that
	 * match nothing in most systems is left out. What a unit names itself it gets, and has until the first resume.
	 */
	{ "ImportCredential=", true },
	/* A file of cgroup2 that is bound over itself, which CRIU takes for the whole hierarchy. */
	{ "MemoryPressureWatch=off", true },
	{ "PrivatePIDs=no", true },
	{ "ProtectControlGroups=no", true },	/* may be a namespace since 257 */
};

static bool has_young_systemd(const struct lg_guest *g)
{
	static const struct {
		const char *os, *version;
	} known[] = { { "debian", "13" } };

	for (size_t i = 0; g->os && g->os_version && i < ARRAY_SIZE(known); i++)
		if (strcmp(g->os, known[i].os) == 0 && strcmp(g->os_version, known[i].version) == 0)
			return true;
	return false;
}

static int put_dropin(const struct lg_guest *g, const char *manager, struct lg_msg *m,
		      struct lg_err *err)
{
	struct text t = { .len = 0 };

	add(&t, "0644 /run/systemd/%s/service.d/zz-lodge-checkpointable.conf\n"
		"# Written by lodge: CRIU cannot dump namespaces within the container's.\n"
		"[Service]\n", manager);
	for (size_t i = 0; i < ARRAY_SIZE(without_namespaces); i++)
		if (!without_namespaces[i].young || has_young_systemd(g))
			add(&t, "%s\n", without_namespaces[i].line);
	return put_text(m, "file", &t, err);
}

/*
 * systemd itself waits for memory to become scarce by a trigger of the kernel's, which a restore does not arm again: the
 * descriptor reports an error from then on, and PID 1 would use a whole CPU to hear it.
 */
static int put_manager_conf(struct lg_msg *m, struct lg_err *err)
{
	struct text t = { .len = 0 };

	add(&t, "0644 /run/systemd/system.conf.d/zz-lodge-checkpointable.conf\n"
		"# Written by lodge: pressure is not watched, as CRIU cannot restore that.\n"
		"[Manager]\nManagerEnvironment=MEMORY_PRESSURE_WATCH=/dev/null\n");
	return put_text(m, "file", &t, err);
}

static int put_checkpointable(const struct lg_guest *g, struct lg_msg *m, struct lg_err *err)
{
	int r;

	if (g->init_kind != LG_INIT_SYSTEMD || !g->checkpointable || g->vm)
		return 0;
	r = put_dropin(g, "system", m, err);
	if (r == 0)
		r = put_dropin(g, "user", m, err);
	return r < 0 ? r : put_manager_conf(m, err);
}

int lg_guest_fields(const struct lg_guest *guest, struct lg_msg *m, struct lg_err *err)
{
	static int (*const parts[])(const struct lg_guest *g, struct lg_msg *m,
				    struct lg_err *err) = {
		put_hostname, put_hosts, put_resolv_conf, put_manager, put_containers,
		put_systemd, put_console, put_modules, put_checkpointable,
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int r = parts[i](guest, m, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int lg_guest_stop_signal(const struct lg_template *t, bool vm)
{
	if (vm && t->init_kind == LG_INIT_SYSTEMD && t->stop_signal == SIGRTMIN + 3)
		return SIGRTMIN + 4;
	return t->stop_signal;
}
