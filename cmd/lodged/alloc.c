/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Addresses. The truth about who has which is in the conf files (IP_ADDRESS); what is here is made of them
 * when the daemon starts.
 */

#include <errno.h>
#include <string.h>

#include "cmd/lodged/lodged.h"
#include "lib/log.h"

struct lg_pool *alloc_pool(struct daemon *d, int family)
{
	return family == AF_INET ? d->pool4 : d->pool6;
}

void alloc_give_back_addrs(struct instance *ct)
{
	struct lg_addr addrs[IPS_MAX];
	unsigned int n = instance_addrs(ct, addrs);

	for (unsigned int i = 0; i < n; i++) {
		struct lg_pool *pool = alloc_pool(ct->d, addrs[i].family);

		if (pool && lg_pool_owner(pool, &addrs[i]) == ct->ctid)
			lg_pool_give_back(pool, &addrs[i]);
	}
}

int alloc_take_addrs(struct instance *ct, struct lg_err *err)
{
	struct lg_addr addrs[IPS_MAX];
	unsigned int n = instance_addrs(ct, addrs);

	for (unsigned int i = 0; i < n; i++) {
		struct lg_pool *pool = alloc_pool(ct->d, addrs[i].family);
		int r;

		if (!pool || lg_pool_owner(pool, &addrs[i]) == ct->ctid)
			continue;
		r = lg_pool_take(pool, &addrs[i], ct->ctid, err);
		if (r < 0) {
			alloc_give_back_addrs(ct);
			return r;
		}
	}
	return 0;
}

/* NETWORK, NETWORK6 of lodge.conf; what was found free at the first start is kept there. */
static int read_network(struct daemon *d, struct lg_addr *net4, struct lg_addr *net6,
			struct lg_err *err)
{
	const char *text = daemon_conf(d, "NETWORK", NULL);
	char buf[LG_ADDR_TEXT];
	int r;

	memset(net4, 0, sizeof(*net4));
	memset(net6, 0, sizeof(*net6));
	if (!text) {
		r = lg_net_default_pool(net4, err);
		if (r < 0)
			return r;
		lg_format_addr(net4, true, buf);
		r = lg_conf_set(d->conf, "NETWORK", buf, err);
		if (r == 0)
			r = lg_conf_save(d->conf, d->etc_fd, "lodge.conf", err);
		if (r < 0)
			return r;
	} else if (strcmp(text, "none") != 0) {
		r = lg_parse_addr(text, net4, err);
		if (r < 0 || net4->family != AF_INET)
			return lg_within(err, -EINVAL, "NETWORK in lodge.conf");
	}
	text = daemon_conf(d, "NETWORK6", "none");
	if (strcmp(text, "none") == 0)
		return 0;
	r = lg_parse_addr(text, net6, err);
	if (r < 0 || net6->family != AF_INET6)
		return lg_within(err, -EINVAL, "NETWORK6 in lodge.conf");
	return 0;
}

int alloc_init(struct daemon *d, struct lg_err *err)
{
	struct lg_addr net4, net6;
	int r = read_network(d, &net4, &net6, err);

	if (r == 0 && net4.family)
		r = lg_pool_new(&net4, &d->pool4, err);
	if (r == 0 && net6.family)
		r = lg_pool_new(&net6, &d->pool6, err);
	if (r < 0)
		return r;
	if (d->pool4)
		lg_pool_gateway(d->pool4, &d->net_conf.gw4);
	if (d->pool6)
		lg_pool_gateway(d->pool6, &d->net_conf.gw6);
	for (size_t i = 0; i < d->ncts; i++) {
		struct lg_err why = { 0 };

		if (alloc_take_addrs(d->cts[i], &why) < 0)
			lg_log(LG_LOG_ERR, "%s: %s", instance_label(d->cts[i]), why.msg);
	}
	return 0;
}
