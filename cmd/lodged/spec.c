/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a start says to the shim: LG_P_START made of conf file, template and allocations. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "cmd/lodged/devices.h"
#include "cmd/lodged/features.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/spec.h"
#include "ct/caps.h"
#include "ct/guest.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/ns.h"
#include "lib/rlimits.h"
#include "lib/settings.h"
#include "lib/sysctls.h"
#include "storage/layer.h"

#define NAMESERVERS_MAX 4u
#define NOFILE_SOFT 1024u	/* as ct/confine.c has them */
#define NOFILE_HARD 524288u
#define RUN_SIZE_DEFAULT (64u << 20)

struct nameservers {
	char text[NAMESERVERS_MAX][64];
	const char *list[NAMESERVERS_MAX];
	unsigned int n;
	char search[256];
};

static void add_nameserver(struct nameservers *ns, const char *text, size_t len)
{
	char buf[64];
	struct lg_addr addr;

	snprintf(buf, sizeof(buf), "%.*s", (int)len, text);
	if (ns->n == NAMESERVERS_MAX || len >= sizeof(buf) ||
	    lg_parse_addr(buf, &addr, NULL) < 0)
		return;
	/* The host's own stub resolver on loopback cannot be reached from inside. */
	if (addr.family == AF_INET && (ntohl(addr.v4.s_addr) >> 24) == 127)
		return;
	if (addr.family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&addr.v6))
		return;
	memcpy(ns->text[ns->n], buf, sizeof(buf));
	ns->list[ns->n] = ns->text[ns->n];
	ns->n++;
}

static void read_resolv_conf(struct nameservers *ns, const char *path)
{
	lg_autofree char *text = NULL;
	lg_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *save = NULL;

	if (fd < 0)
		return;
	text = calloc(1, 65536);
	if (!text || read(fd, text, 65535) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char word[64];

		if (sscanf(line, "nameserver %63s", word) == 1)
			add_nameserver(ns, word, strlen(word));
		else if (!ns->search[0])
			sscanf(line, "search %255[^\n]", ns->search);
	}
}

static void inherit(struct nameservers *ns)
{
	read_resolv_conf(ns, "/etc/resolv.conf");
	if (ns->n == 0)
		read_resolv_conf(ns, "/run/systemd/resolve/resolv.conf");
}

static void find_nameservers(const struct instance *ct, struct nameservers *ns)
{
	const char *p = lg_conf_get(ct->conf, "NAMESERVER");
	const char *search = lg_conf_get(ct->conf, "SEARCHDOMAIN");

	memset(ns, 0, sizeof(*ns));
	if (!p || !*p)
		p = daemon_conf(ct->d, "NAMESERVER", "inherit");
	while (*(p += strspn(p, " \t,"))) {
		size_t len = strcspn(p, " \t,");

		if (len == 7 && strncmp(p, "inherit", 7) == 0)
			inherit(ns);
		else
			add_nameserver(ns, p, len);
		p += len;
	}
	if (!search || !*search)
		search = daemon_conf(ct->d, "SEARCHDOMAIN", NULL);
	if (search)
		snprintf(ns->search, sizeof(ns->search), "%s", search);
}

int spec_put_guest(struct op *op, struct lg_msg *m, struct lg_err *err)
{
	struct instance *ct = op->ct;
	struct lg_addr addrs[IPS_MAX];
	struct nameservers ns;
	const char *hostname = lg_conf_get(ct->conf, "HOSTNAME");
	char made_up[32];
	struct lg_guest guest = {
		.init_kind = op->template.init_kind,
		.os = op->template.os,
		.os_version = op->template.version,
		.addrs = addrs,
		.naddrs = instance_addrs(ct, addrs),
	};

	find_nameservers(ct, &ns);
	snprintf(made_up, sizeof(made_up), "%s%u", ct->vm ? "vm" : "ct", ct->ctid);
	guest.hostname = hostname && *hostname ? hostname : made_up;
	guest.nameservers = ns.list;
	guest.nnameservers = ns.n;
	guest.searchdomain = ns.search[0] ? ns.search : NULL;
	guest.nesting = !ct->vm && nesting_is_on(ct->conf);
	guest.checkpointable = !ct->vm && features_has(ct->conf, LG_FEATURE_CHECKPOINTABLE);
	guest.vm = ct->vm;
	guest.counts_tasks = !lg_cg_is_hybrid(ct->d->cg);
	lg_msg_put(m, "hostname", guest.hostname);
	return lg_guest_fields(&guest, m, err);
}

/* "BASE/FOLDER/CTIDREST" */
static void put_path(struct lg_msg *m, const char *key, const char *base, const char *folder,
		     uint32_t ctid, const char *rest)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/%s/%u%s", base, folder, ctid, rest);
	lg_msg_put(m, key, path);
}

void spec_put_shim_paths(const struct instance *ct, struct lg_msg *m)
{
	const struct lg_root *root = &ct->d->root;

	put_path(m, "console_log", root->var, "log/console", ct->ctid, ".log");
	put_path(m, "socket", root->run, "shim", ct->ctid, ".sock");
	put_path(m, "exit_file", root->run, "ct", ct->ctid, ".exit");
}

static void put_paths(const struct instance *ct, struct lg_msg *m)
{
	const struct lg_root *root = &ct->d->root;
	char folder[300], image[LG_LAYER_PATH];

	if (lg_layer_image(root->var, ct->ctid, image))
		lg_msg_put(m, "image", image);
	put_path(m, "upper", root->var, "ct", ct->ctid, "/upper");
	put_path(m, "work", root->var, "ct", ct->ctid, "/work");
	/* The same for all: each shim has a mount namespace of its own. */
	snprintf(folder, sizeof(folder), "%s/root", root->run);
	lg_msg_put(m, "target", folder);
	snprintf(folder, sizeof(folder), "%s/scratch", root->run);
	lg_msg_put(m, "scratch", folder);
}

/* A tmpfs may hold half the instance's memory, or what was said; without a limit, a fixed size. */
static void put_sizes(const struct instance *ct, struct lg_msg *m)
{
	uint64_t memory = LG_UNLIMITED, shm = LG_UNLIMITED, ptys = LG_UNLIMITED;

	lg_setting_value(ct->conf, "memory", LG_UNLIMITED, &memory, NULL);
	lg_setting_value(ct->conf, "shm-size", LG_UNLIMITED, &shm, NULL);
	lg_setting_value(ct->conf, "ptys", LG_UNLIMITED, &ptys, NULL);
	lg_msg_put_u64(m, "run_size", memory == LG_UNLIMITED ? RUN_SIZE_DEFAULT : memory / 4);
	if (shm == LG_UNLIMITED)
		shm = memory == LG_UNLIMITED ? RUN_SIZE_DEFAULT : memory / 2;
	lg_msg_put_u64(m, "tmp_size", shm);
	if (ptys != LG_UNLIMITED)
		lg_msg_put_u64(m, "ptys", ptys);
}

static int put_caps(const struct instance *ct, struct lg_msg *m, struct lg_err *err)
{
	uint64_t mask = lg_caps_default();
	const char *change = lg_conf_get(ct->conf, "CAPABILITY");
	uint32_t features;
	int r = features_of(ct->conf, &features, err);

	if (r < 0)
		return r;
	mask |= lg_features_caps(features);
	r = change && *change ? lg_caps_change(change, &mask, err) : 0;
	if (r < 0)
		return lg_within(err, r, "CAPABILITY");
	lg_msg_put_u64(m, "keep_caps", mask);
	return 0;
}

static int put_devices(struct op *op, struct lg_msg *m, struct lg_err *err)
{
	struct device_set set;
	int r = devices_of(op->ct->conf, &set, NULL, err);

	if (r == 0)
		r = devices_attach(op->ct, &set, err);
	if (r < 0)
		return r;
	r = spec_devices(&set, m);
	return r < 0 ? lg_fail(err, r, "name its devices") : 0;
}

static int put_rlimit(const struct lg_rlimit *l, void *arg)
{
	char field[80];

	snprintf(field, sizeof(field), "%d %" PRIu64 " %" PRIu64, l->resource, l->soft, l->hard);
	return lg_msg_put(arg, "rlimit", field);
}

/*
 * UBC counted open files and locked pages for the whole container, which no kernel does any more: each
 * process is held to the number instead. The usual limits stay where they are lower.
 */
static int put_ubc(const struct lg_conf *conf, struct lg_msg *m, struct lg_err *err)
{
	struct lg_rlimit files = { "nofile", RLIMIT_NOFILE, NOFILE_SOFT, LG_UNLIMITED };
	struct lg_rlimit locked = { "memlock", RLIMIT_MEMLOCK, 0, LG_UNLIMITED };
	const char *numfile = lg_conf_get(conf, "NUMFILE");
	const char *pages = lg_conf_get(conf, "LOCKEDPAGES");
	uint64_t barrier;
	int r = 0;

	if (numfile)
		r = lg_parse_pair(numfile, 1, &barrier, &files.hard, err);
	if (r == 0 && pages)
		r = lg_parse_pair(pages, LG_PAGE, &barrier, &locked.hard, err);
	if (r < 0)
		return lg_within(err, r, numfile ? "NUMFILE, LOCKEDPAGES" : "LOCKEDPAGES");
	files.soft = files.hard < NOFILE_SOFT ? files.hard : NOFILE_SOFT;
	locked.soft = locked.hard;
	if (files.hard < NOFILE_HARD)
		r = put_rlimit(&files, m);
	if (r == 0 && pages)
		r = put_rlimit(&locked, m);
	return r;
}

static int put_sysctl(const char *key, const char *value, void *arg)
{
	char field[LG_SYSCTL_KEY + LG_SYSCTL_VALUE + 32];
	size_t at;

	lg_sysctl_path(key, field, sizeof(field));
	at = strlen(field);
	snprintf(field + at, sizeof(field) - at, "\n%s", value);
	return lg_msg_put(arg, "sysctl", field);
}

static int put_feature_sysctls(const struct lg_feature *f, void *arg)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(f->sysctls) && f->sysctls[i]; i++)
		r = lg_sysctls_each(f->sysctls[i], put_sysctl, arg, NULL);
	return r;
}

/* A later word on a key goes over an earlier one: what is set by name over what a feature brings. */
int spec_put_kernel(const struct instance *ct, struct lg_msg *m, struct lg_err *err)
{
	const char *rlimits = lg_conf_get(ct->conf, "RLIMITS");
	const char *sysctls = lg_conf_get(ct->conf, "SYSCTL");
	uint32_t on = 0;
	int r = ct->vm ? 0 : features_of(ct->conf, &on, err);

	if (r < 0)
		return r;
	r = put_ubc(ct->conf, m, err);
	if (r == 0 && rlimits)
		r = lg_rlimits_each(rlimits, put_rlimit, m, err);
	if (r < 0)
		return lg_within(err, r, "RLIMITS");
	r = lg_features_each(on, put_feature_sysctls, m);
	if (r == 0 && sysctls)
		r = lg_sysctls_each(sysctls, put_sysctl, m, err);
	return r < 0 ? lg_within(err, r, "SYSCTL") : 0;
}

int spec_make(struct op *op, struct lg_msg *m, struct lg_err *err)
{
	struct instance *ct = op->ct;
	char lower[LG_STORE_PATH];
	int r;

	lg_msg_init(m, LG_P_START);
	lg_msg_put_u64(m, "ctid", ct->ctid);
	lg_msg_put_u64(m, "id_base", ct->id_base);
	lg_msg_put_u64(m, "id_count", ct->id_count);
	r = nesting_lower(ct, &op->template, lower, err);
	if (r < 0)
		return r;
	lg_msg_put(m, "lower", lower);
	lg_msg_put(m, "shifted", ct->d->shifts ? "1" : "0");
	spec_put_shim_paths(ct, m);
	put_paths(ct, m);
	put_sizes(ct, m);
	lg_msg_put(m, "init", op->template.init);
	lg_msg_put(m, "arg", op->template.init);
	lg_msg_put(m, "seccomp", "1");
	if (ct->d->apparmor)
		lg_msg_put(m, "apparmor", LG_APPARMOR_PROFILE);
	lg_msg_put(m, "nesting", nesting_is_on(ct->conf) ? "1" : "0");
	r = nesting_put_folders(ct, m);
	if (r < 0)
		return lg_fail(err, r, "name its plain folders");
	r = put_caps(ct, m, err);
	if (r == 0)
		r = put_devices(op, m, err);
	if (r == 0)
		r = spec_put_kernel(ct, m, err);
	if (r == 0)
		r = spec_put_guest(op, m, err);
	return r;
}
