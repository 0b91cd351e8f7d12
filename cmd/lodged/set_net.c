/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The addresses of an instance, changed. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodged/change.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/ns.h"

static bool same_word(const char *word, size_t len, const struct lg_addr *addr)
{
	char text[64];
	struct lg_addr a;

	snprintf(text, sizeof(text), "%.*s", (int)len, word);
	return len < sizeof(text) && lg_parse_addr(text, &a, NULL) == 0 && lg_addr_equal(&a, addr);
}

int change_remove_ip(struct change *c, const char *text, struct lg_err *err)
{
	const char *p = lg_conf_get(c->conf, "IP_ADDRESS");
	char list[2048] = "";
	struct lg_addr addr;
	size_t used = 0;
	bool found = false;
	int r;

	if (strcmp(text, "all") == 0)
		return lg_conf_set(c->conf, "IP_ADDRESS", NULL, err);
	r = lg_parse_addr(text, &addr, err);
	if (r < 0) {
		err->exit_code = LG_EXIT_BAD_IP;
		return r;
	}
	while (p && *(p += strspn(p, " \t"))) {
		size_t len = strcspn(p, " \t");

		if (same_word(p, len, &addr))
			found = true;
		else if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%.*s",
						 used ? " " : "", (int)len, p);
		p += len;
	}
	if (!found)
		return lg_refuse(err, -ENOENT, LG_EXIT_BAD_IP, "it does not have the address %s",
				 text);
	return lg_conf_set(c->conf, "IP_ADDRESS", used ? list : NULL, err);
}

int change_add_ip(struct change *c, const char *text, struct lg_err *err)
{
	const char *old = lg_conf_get(c->conf, "IP_ADDRESS");
	char buf[LG_ADDR_TEXT];
	char list[2048];
	struct lg_addr addr;
	struct lg_pool *pool;
	uint32_t owner;
	int r;

	if (strcmp(text, "auto") == 0) {
		if (!c->ct->d->pool4)
			return lg_refuse(err, -ENOENT, LG_EXIT_NO_ADDRESS_FREE,
					 "there is no address pool: set NETWORK in lodge.conf");
		r = lg_pool_auto(c->ct->d->pool4, c->ct->ctid, &addr, err);
	} else {
		r = lg_parse_addr(text, &addr, err);
		if (r < 0)
			err->exit_code = LG_EXIT_BAD_IP;
	}
	if (r < 0)
		return r;
	pool = alloc_pool(c->ct->d, addr.family);
	owner = pool ? lg_pool_owner(pool, &addr) : 0;
	lg_format_addr(&addr, addr.has_prefix, buf);
	if (owner && owner != c->ct->ctid)
		return lg_refuse(err, -EEXIST, LG_EXIT_IP_IN_USE, "address %s is in use by %u", buf,
				 owner);
	for (const char *p = old; p && *(p += strspn(p, " \t")); p += strcspn(p, " \t"))
		if (same_word(p, strcspn(p, " \t"), &addr))
			return 0;
	if ((size_t)snprintf(list, sizeof(list), "%s%s%s", old ? old : "", old && *old ? " " : "",
			     buf) >= sizeof(list))
		return lg_refuse(err, -E2BIG, LG_EXIT_BAD_IP, "too many addresses");
	return lg_conf_set(c->conf, "IP_ADDRESS", list, err);
}

/* Addresses that @a has and @b has not. */
static unsigned int difference(const struct lg_addr *a, unsigned int na, const struct lg_addr *b,
			       unsigned int nb, struct lg_addr *ret)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < na; i++) {
		bool in_both = false;

		for (unsigned int k = 0; k < nb; k++)
			in_both = in_both || lg_addr_equal(&a[i], &b[k]);
		if (!in_both)
			ret[n++] = a[i];
	}
	return n;
}

/* The instance as it would be with the changed conf. */
static void as_changed(const struct change *c, struct instance *ret)
{
	*ret = *c->ct;
	ret->conf = c->conf;
}

static int change_link(struct change *c, const struct lg_net_if *now, const struct lg_addr *old,
		       unsigned int nold, struct lg_err *err)
{
	struct lg_addr add[IPS_MAX], del[IPS_MAX];
	unsigned int nadd = difference(now->addrs, now->naddrs, old, nold, add);
	unsigned int ndel = difference(old, nold, now->addrs, now->naddrs, del);
	lg_autoclose int netns = lg_ns_open(c->ct->init_pid, "net", err);

	if (netns < 0)
		return netns;
	if (nold == 0)
		return lg_net_attach(c->ct->d->net, now, netns, err);
	return lg_net_change(c->ct->d->net, now, netns, add, nadd, del, ndel, err);
}

static int name_failure(int r, struct lg_err *err)
{
	if (!err->exit_code)
		err->exit_code = LG_EXIT_CANNOT_ADD_IP;
	return r;
}

static int change_network(struct change *c, struct lg_err *err)
{
	struct lg_addr old[IPS_MAX], now[IPS_MAX];
	unsigned int nold = instance_addrs(c->ct, old);
	struct instance changed;
	struct lg_net_if ifc;
	int r;

	if (change_keeps(c, "IP_ADDRESS"))
		return 0;
	as_changed(c, &changed);
	r = alloc_take_addrs(&changed, err);
	if (r < 0)
		return name_failure(r, err);
	instance_net_if(&changed, &ifc, now);
	r = ifc.naddrs ? lg_net_pin(c->ct->d->net, &ifc, err) :
			 lg_net_unpin(c->ct->d->net, ifc.host_name, err);
	/* A VM's link is there without addresses, too, and inside its guest changes them (set_vm.c). */
	if (r == 0 && change_runs(c) && !c->ct->vm)
		r = change_link(c, &ifc, old, nold, err);
	return r < 0 ? name_failure(r, err) : 0;
}

/* What no longer belongs to it is free for others. */
void change_release_ips(struct change *c, const struct lg_addr *old, unsigned int nold)
{
	struct lg_addr now[IPS_MAX], gone[IPS_MAX];
	unsigned int n = instance_addrs(c->ct, now);

	n = difference(old, nold, now, n, gone);
	for (unsigned int i = 0; i < n; i++) {
		struct lg_pool *pool = alloc_pool(c->ct->d, gone[i].family);

		if (pool && lg_pool_owner(pool, &gone[i]) == c->ct->ctid)
			lg_pool_give_back(pool, &gone[i]);
	}
}

static void undo_network(struct change *c)
{
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;
	struct instance changed;
	struct lg_addr now[IPS_MAX];
	unsigned int n;

	if (change_keeps(c, "IP_ADDRESS"))
		return;
	as_changed(c, &changed);
	n = instance_addrs(&changed, now);
	alloc_give_back_addrs(&changed);
	alloc_take_addrs(c->ct, NULL);
	instance_net_if(c->ct, &ifc, addrs);
	if (ifc.naddrs)
		lg_net_pin(c->ct->d->net, &ifc, NULL);
	if (change_runs(c) && !c->ct->vm)
		change_link(c, &ifc, now, n, NULL);
}

static int check_network(struct change *c, struct lg_err *err)
{
	if (!change_suspended(c) || change_keeps(c, "IP_ADDRESS"))
		return 0;
	return lg_refuse(err, -EBUSY, LG_EXIT_CANNOT_ADD_IP,
			 "it is suspended, and its addresses are in its memory: resume it first");
}

const struct applier apply_network = { check_network, change_network, undo_network };
