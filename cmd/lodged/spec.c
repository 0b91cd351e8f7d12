/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a start says to the shim: LG_P_START made of conf file, template and allocations. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodged/devices.h"
#include "cmd/lodged/features.h"
#include "cmd/lodged/lodged.h"
#include "ct/caps.h"
#include "ct/guest.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/ns.h"
#include "lib/settings.h"

#define NAMESERVERS_MAX 4u
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

static int put_guest(struct op *op, struct lg_msg *m, struct lg_err *err)
{
	struct instance *ct = op->ct;
	struct lg_addr addrs[IPS_MAX];
	struct nameservers ns;
	const char *hostname = lg_conf_get(ct->conf, "HOSTNAME");
	char made_up[32];
	struct lg_guest guest = {
		.init_kind = op->template.init_kind,
		.addrs = addrs,
		.naddrs = instance_addrs(ct, addrs),
	};

	find_nameservers(ct, &ns);
	snprintf(made_up, sizeof(made_up), "ct%u", ct->ctid);
	guest.hostname = hostname && *hostname ? hostname : made_up;
	guest.nameservers = ns.list;
	guest.nnameservers = ns.n;
	guest.searchdomain = ns.search[0] ? ns.search : NULL;
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

static void put_paths(const struct instance *ct, struct lg_msg *m)
{
	const struct lg_root *root = &ct->d->root;
	char folder[300];

	put_path(m, "upper", root->var, "ct", ct->ctid, "/upper");
	put_path(m, "work", root->var, "ct", ct->ctid, "/work");
	put_path(m, "console_log", root->var, "log/console", ct->ctid, ".log");
	put_path(m, "socket", root->run, "shim", ct->ctid, ".sock");
	put_path(m, "exit_file", root->run, "ct", ct->ctid, ".exit");
	/* The same for all: each shim has a mount namespace of its own. */
	snprintf(folder, sizeof(folder), "%s/root", root->run);
	lg_msg_put(m, "target", folder);
	snprintf(folder, sizeof(folder), "%s/scratch", root->run);
	lg_msg_put(m, "scratch", folder);
}

/* A tmpfs may hold half the instance's memory; without a limit, a fixed size. */
static void put_sizes(const struct instance *ct, struct lg_msg *m)
{
	uint64_t memory = LG_UNLIMITED;

	lg_setting_value(ct->conf, "memory", LG_UNLIMITED, &memory, NULL);
	lg_msg_put_u64(m, "run_size", memory == LG_UNLIMITED ? RUN_SIZE_DEFAULT : memory / 4);
	lg_msg_put_u64(m, "tmp_size", memory == LG_UNLIMITED ? RUN_SIZE_DEFAULT : memory / 2);
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

int spec_make(struct op *op, struct lg_msg *m, struct lg_err *err)
{
	struct instance *ct = op->ct;
	int r;

	lg_msg_init(m, LG_P_START);
	lg_msg_put_u64(m, "ctid", ct->ctid);
	lg_msg_put_u64(m, "id_base", ct->id_base);
	lg_msg_put(m, "lower", op->template.rootfs);
	put_paths(ct, m);
	put_sizes(ct, m);
	lg_msg_put(m, "init", op->template.init);
	lg_msg_put(m, "arg", op->template.init);
	lg_msg_put(m, "seccomp", "1");
	r = put_caps(ct, m, err);
	if (r == 0)
		r = put_devices(op, m, err);
	if (r == 0)
		r = put_guest(op, m, err);
	return r;
}
