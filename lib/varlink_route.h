/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_VARLINK_ROUTE_H
#define LG_LIB_VARLINK_ROUTE_H

/*
 * Between a message and the function that answers it: the call's envelope, the interfaces the server
 * speaks (its own and org.varlink.service), and the check of parameters. Knows no sockets.
 */

#include <jansson.h>
#include <stdbool.h>

#include "lib/varlink.h"
#include "lib/varlink_idl.h"

#define LG_VSERVICE "org.varlink.service"

/* A call as it came; everything is borrowed from the message. */
struct lg_venvelope {
	const char *method;
	const json_t *params;	/* an object */
	bool more, oneway, upgrade;
};

/**
 * lg_venvelope_read() - look at a message as a call
 * @message:	gets empty parameters when it has none
 *
 * Return: 0; -EBADMSG for what is no call.
 */
int lg_venvelope_read(json_t *message, struct lg_venvelope *ret);

struct lg_vroutes;

/** lg_vroutes_new() - parse both interfaces and bind the methods of @conf to them. */
int lg_vroutes_new(const struct lg_vserver_conf *conf, struct lg_vroutes **ret,
		   struct lg_err *err);
void lg_vroutes_free(struct lg_vroutes *routes);

/* Where a call goes, or why it does not. */
struct lg_vroute {
	void (*fn)(struct lg_vcall *call, const json_t *params, void *ctx);
	void *ctx;
	const struct lg_vmember *member;	/* for checking answers */
	const char *error;		/* set: the call is refused with this ... */
	const char *about;		/* ... and this field: "method", "parameter", ... */
	char value[LG_VPATH_MAX];	/* ... of this value */
};

/** lg_vroutes_find() - always answers: with a function, or with an error. */
void lg_vroutes_find(const struct lg_vroutes *routes, const struct lg_venvelope *env,
		     struct lg_vroute *ret);

#endif
