/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The instances in memory, in the order of their numbers, and what their conf files say. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/lodged/account.h"
#include "cmd/lodged/limits.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/log.h"
#include "lib/ns.h"
#include "lib/settings.h"

/* Where @ctid is or would be. */
static size_t position(const struct daemon *d, uint32_t ctid)
{
	size_t low = 0, high = d->ncts;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (d->cts[mid]->ctid < ctid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct instance *instance_by_ctid(struct daemon *d, uint32_t ctid)
{
	size_t i = position(d, ctid);

	return i < d->ncts && d->cts[i]->ctid == ctid ? d->cts[i] : NULL;
}

struct instance *instance_by_id(struct daemon *d, const char *id)
{
	uint32_t ctid;

	if (lg_parse_ctid(id, &ctid, NULL) == 0)
		return instance_by_ctid(d, ctid);
	for (size_t i = 0; i < d->ncts; i++)
		if (d->cts[i]->name[0] && strcmp(d->cts[i]->name, id) == 0)
			return d->cts[i];
	return NULL;
}

const char *instance_label(const struct instance *ct)
{
	static char label[100];

	if (ct->name[0])
		snprintf(label, sizeof(label), "%u (%s)", ct->ctid, ct->name);
	else
		snprintf(label, sizeof(label), "%u", ct->ctid);
	return label;
}

void instance_conf_name(uint32_t ctid, char buf[32])
{
	snprintf(buf, 32, "%u.conf", ctid);
}

void instance_refresh(struct instance *ct)
{
	const char *name = lg_conf_get(ct->conf, "NAME");
	struct lg_id_range ids;

	snprintf(ct->name, sizeof(ct->name), "%s",
		 name && lg_check_name(name, NULL) == 0 ? name : "");
	/* What runs goes on as what it was started, under the ids it was started with. */
	if (ct->state == STATE_RUNNING && ct->id_base)
		return;
	ct->vm = lg_kind_is_vm(ct->conf);
	ids_read(ct->conf, &ids);
	ct->id_base = ids.base;
	ct->id_count = ids.count;
}

static int make_room(struct daemon *d)
{
	size_t room = d->room ? d->room * 2 : 64;
	struct instance **bigger;

	if (d->ncts < d->room)
		return 0;
	bigger = reallocarray(d->cts, room, sizeof(struct instance *));
	if (!bigger)
		return -ENOMEM;
	d->cts = bigger;
	d->room = room;
	return 0;
}

struct instance *instance_add(struct daemon *d, uint32_t ctid, struct lg_conf *conf,
			      struct lg_err *err)
{
	struct instance *ct = calloc(1, sizeof(*ct));
	size_t at = position(d, ctid);

	if (!ct || make_room(d) < 0) {
		free(ct);
		lg_conf_free(conf);
		lg_fail(err, -ENOMEM, "instance %u", ctid);
		return NULL;
	}
	ct->d = d;
	ct->ctid = ctid;
	ct->conf = conf;
	for (size_t i = 0; i < ARRAY_SIZE(ct->console_wait); i++)
		ct->console_wait[i] = -1;
	instance_refresh(ct);
	memmove(&d->cts[at + 1], &d->cts[at], (d->ncts - at) * sizeof(struct instance *));
	d->cts[at] = ct;
	d->ncts++;
	return ct;
}

static void instance_free(struct instance *ct)
{
	if (ct->shim)
		shim_free(ct->shim);
	if (ct->old_shim)
		ct->old_shim->last_ct = NULL;
	sd_event_source_disable_unref(ct->sweep);
	sd_event_source_disable_unref(ct->ask_timer);
	json_decref(ct->unsettled);
	for (size_t i = 0; i < ARRAY_SIZE(ct->console_wait); i++)
		lg_close(ct->console_wait[i]);
	account_drop(ct);
	vm_asks_drop(ct);
	free(ct->vm_usage);
	free(ct->vm_files);
	lg_conf_free(ct->conf);
	free(ct);
}

void instance_remove(struct instance *ct)
{
	struct daemon *d = ct->d;
	size_t at = position(d, ct->ctid);

	memmove(&d->cts[at], &d->cts[at + 1], (d->ncts - at - 1) * sizeof(struct instance *));
	d->ncts--;
	instance_free(ct);
}

void instances_free(struct daemon *d)
{
	for (size_t i = 0; i < d->ncts; i++)
		instance_free(d->cts[i]);
	free(d->cts);
	d->cts = NULL;
	d->ncts = 0;
}

static void note_conf_time(struct instance *ct)
{
	struct stat st;
	char name[32];

	instance_conf_name(ct->ctid, name);
	if (fstatat(ct->d->ct_fd, name, &st, 0) == 0)
		ct->conf_mtime = st.st_mtim;
}

int instance_save(struct instance *ct, struct lg_err *err)
{
	char name[32];
	int r;

	instance_conf_name(ct->ctid, name);
	r = lg_conf_save(ct->conf, ct->d->ct_fd, name, err);
	if (r == 0)
		note_conf_time(ct);
	return r;
}

int instance_reload(struct instance *ct, struct lg_err *err)
{
	struct lg_addr addrs[IPS_MAX];
	struct lg_conf *conf = NULL;
	struct limits limits;
	struct lg_net_if ifc;
	char name[32];
	int r;

	instance_conf_name(ct->ctid, name);
	r = lg_conf_load(ct->d->ct_fd, name, &conf, err);
	if (r == 0)
		r = limits_of(conf, &limits, err);
	if (r < 0) {
		lg_conf_free(conf);
		err->exit_code = LG_EXIT_BAD_CONF;
		return r;
	}
	if (ct->state == STATE_RUNNING) {
		/* Its addresses and pins stay those it runs with; at its stop the file is read again. */
		lg_conf_free(ct->conf);
		ct->conf = conf;
		ct->unsaved = true;
		return 0;
	}
	alloc_give_back_addrs(ct);
	lg_conf_free(ct->conf);
	ct->conf = conf;
	ct->unsaved = false;
	note_conf_time(ct);
	instance_refresh(ct);
	instance_net_if(ct, &ifc, addrs);
	r = alloc_take_addrs(ct, err);
	if (r == 0)
		r = ifc.naddrs ? lg_net_pin(ct->d->net, &ifc, err) :
				 lg_net_unpin(ct->d->net, ifc.host_name, err);
	return r;
}

int instance_reload_if_changed(struct instance *ct, struct lg_err *err)
{
	struct stat st;
	char name[32];

	instance_conf_name(ct->ctid, name);
	if (fstatat(ct->d->ct_fd, name, &st, 0) < 0)
		return lg_fail(err, -errno, "its conf file '%s'", name);
	if (st.st_mtim.tv_sec == ct->conf_mtime.tv_sec &&
	    st.st_mtim.tv_nsec == ct->conf_mtime.tv_nsec)
		return 0;
	return instance_reload(ct, err);
}

void instance_link_name(struct instance *ct, const char *old_name, const char *name)
{
	char link[16 + LG_NAME_MAX], target[48];

	if (old_name && *old_name && (!name || strcmp(old_name, name) != 0)) {
		snprintf(link, sizeof(link), "names/%s", old_name);
		unlinkat(ct->d->etc_fd, link, 0);
	}
	if (!name || !*name)
		return;
	snprintf(link, sizeof(link), "names/%s", name);
	snprintf(target, sizeof(target), "../ct/%u.conf", ct->ctid);
	unlinkat(ct->d->etc_fd, link, 0);
	/* Only for people and their scripts: lodged itself goes by what the conf files say. */
	if (symlinkat(target, ct->d->etc_fd, link) < 0)
		lg_log(LG_LOG_WARN, "%s: no link for its name: %s", instance_label(ct),
		       strerror(errno));
}

/* Its layer's folder is as old as it is; every change makes the conf file anew. */
static int64_t created_at(const struct daemon *d, uint32_t ctid, int64_t otherwise)
{
	struct statx sx;
	char path[32];

	snprintf(path, sizeof(path), "ct/%u", ctid);
	if (statx(d->var_fd, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &sx) < 0 ||
	    !(sx.stx_mask & STATX_BTIME))
		return otherwise;
	return sx.stx_btime.tv_sec;
}

static void load_one(struct daemon *d, const char *file, uint32_t ctid)
{
	struct lg_err err = { 0 };
	struct lg_conf *conf = NULL;
	struct instance *ct;
	struct stat st;

	if (lg_conf_load(d->ct_fd, file, &conf, &err) < 0) {
		lg_log(LG_LOG_ERR, "instance %u is left out: %s", ctid, err.msg);
		return;
	}
	ct = instance_add(d, ctid, conf, &err);
	if (!ct) {
		lg_log(LG_LOG_ERR, "%s", err.msg);
		return;
	}
	if (fstatat(d->ct_fd, file, &st, 0) == 0) {
		ct->created_at = created_at(d, ctid, st.st_mtime);
		ct->conf_mtime = st.st_mtim;
	}
}

int instances_load(struct daemon *d, struct lg_err *err)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	int fd = openat(d->ct_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return lg_fail(err, -errno, "read '%s/ct'", d->root.etc);
	}
	while ((e = readdir(dir))) {
		const char *dot = strchr(e->d_name, '.');
		char number[16];
		uint32_t ctid;

		if (!dot || strcmp(dot, ".conf") != 0 || dot - e->d_name > 10)
			continue;
		snprintf(number, sizeof(number), "%.*s", (int)(dot - e->d_name), e->d_name);
		if (lg_parse_ctid(number, &ctid, NULL) == 0)
			load_one(d, e->d_name, ctid);
	}
	return 0;
}

unsigned int instance_addrs(const struct instance *ct, struct lg_addr addrs[IPS_MAX])
{
	const char *p = lg_conf_get(ct->conf, "IP_ADDRESS");
	unsigned int n = 0;
	char word[64];

	while (p && *(p += strspn(p, " \t")) && n < IPS_MAX) {
		size_t len = strcspn(p, " \t");

		snprintf(word, sizeof(word), "%.*s", (int)len, p);
		if (len < sizeof(word) && lg_parse_addr(word, &addrs[n], NULL) == 0)
			n++;
		p += len;
	}
	return n;
}

/* One that moved here while it ran kept its MAC, which its neighbours know: MAC in its conf file. */
static bool own_mac(const struct instance *ct, uint8_t mac[6])
{
	const char *text = lg_conf_get(ct->conf, "MAC");
	unsigned int b[6];
	int end = 0;

	if (!text || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
			    &end) != 6 || text[end] || (b[0] & 1))
		return false;
	for (size_t i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return true;
}

void instance_mac_text(const struct instance *ct, char buf[18])
{
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;

	instance_net_if(ct, &ifc, addrs);
	snprintf(buf, 18, "%02x:%02x:%02x:%02x:%02x:%02x", ifc.mac[0], ifc.mac[1], ifc.mac[2], ifc.mac[3],
		 ifc.mac[4], ifc.mac[5]);
}

void instance_net_if(const struct instance *ct, struct lg_net_if *ifc,
		     struct lg_addr addrs[IPS_MAX])
{
	const struct lg_root *root = &ct->d->root;

	memset(ifc, 0, sizeof(*ifc));
	lg_root_link(root, ct->ctid, 0, ifc->host_name);
	snprintf(ifc->name, sizeof(ifc->name), "eth0");
	if (!own_mac(ct, ifc->mac))
		lg_net_mac(root->tag, ct->ctid, 0, false, ifc->mac);
	lg_net_mac(root->tag, ct->ctid, 0, true, ifc->host_mac);
	ifc->naddrs = instance_addrs(ct, addrs);
	ifc->addrs = addrs;
}
