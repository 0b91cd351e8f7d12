/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_VARLINK_H
#define LG_LIB_VARLINK_H

/*
 * Varlink (varlink.org) over unix stream sockets: JSON objects, each ended by NUL. Server on
 * sd-event, blocking client, introspection, and descriptors by SCM_RIGHTS beside a call.
 *
 * How it works, server: a connection has one call at a time (further ones wait in its buffer). A
 * method's function either answers at once or keeps the call (lg_vcall_ref) and answers when its
 * operation is over; with `more` it may answer many times before the last. When the peer goes away the call
 * stays valid but answers go nowhere, and its on_gone function is called once, from the event loop and
 * never from within an answering function. A call that nobody keeps and nobody answered is answered
 * with an error.
 *
 * What the interface file says is enforced: the server parses it at the start, and a call whose
 * parameters do not fit it gets org.varlink.service.InvalidParameter before the method's function is
 * reached. So a function may rely on every parameter that is not "?" being there and of its type; a
 * parameter that is "?" may be missing or null.
 *
 * A peer is held short: what is not Varlink or too large ends the connection, more than
 * LG_VARLINK_FDS descriptors do, nothing is read from a peer whose call is being worked on or who does
 * not read his answers, and the number of connections has a limit, for each user and in all.
 */

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "lib/err.h"

#define LG_VARLINK_MAX (1u << 20)	   /* bytes of one call */
#define LG_VARLINK_ANSWER_MAX (16u << 20)  /* bytes of one answer: a list of thousands fits */
#define LG_VARLINK_FDS 8u		   /* descriptors beside one call */

typedef struct sd_event sd_event;	/* libsystemd's; the client does without that library */

struct lg_vserver;
struct lg_vcall;

struct lg_vmethod {
	const char *name;	/* "io.lodge.Start" */
	/*
	 * @params is borrowed until the function returns, never NULL and checked against the interface.
	 * Answer with lg_vcall_reply(), lg_vcall_fail() or lg_vcall_error(), now or later. Must not free
	 * the server.
	 */
	void (*fn)(struct lg_vcall *call, const json_t *params, void *ctx);
};

struct lg_vserver_conf {
	const char *vendor, *product, *version, *url;	/* GetInfo */
	const char *interface;		/* "io.lodge" */
	const char *description;	/* text of the interface file: GetInterfaceDescription */
	const struct lg_vmethod *methods;
	size_t nmethods;
	void *ctx;
	/* may a peer of this uid (and its groups: pid for looking further) connect at all? */
	bool (*may_connect)(uid_t uid, gid_t gid, pid_t pid, void *ctx);
};

/**
 * lg_vserver_new() - serve on the listening socket @listen_fd (taken over, also on failure)
 * @conf:	copied; what it points to is borrowed for the server's life
 *
 * Return: 0; -EINVAL when the description does not parse, or lacks one of the methods; negative errno.
 */
int lg_vserver_new(sd_event *event, int listen_fd, const struct lg_vserver_conf *conf,
		   struct lg_vserver **ret, struct lg_err *err);

/** lg_vserver_free() - close all connections; calls still kept stay valid, their peer is gone. */
void lg_vserver_free(struct lg_vserver *server);

/** lg_vserver_calls() - calls not yet answered whose peer waits (of subscriptions too). */
unsigned int lg_vserver_calls(const struct lg_vserver *server);

/** lg_vcall_ref() - keep the call beyond the method's function. Return: @call. */
struct lg_vcall *lg_vcall_ref(struct lg_vcall *call);

/** lg_vcall_unref() - give it up; NULL will do. */
void lg_vcall_unref(struct lg_vcall *call);

/* Who called: SO_PEERCRED, that is who connected. */
uid_t lg_vcall_uid(const struct lg_vcall *call);
gid_t lg_vcall_gid(const struct lg_vcall *call);
pid_t lg_vcall_pid(const struct lg_vcall *call);
bool lg_vcall_more(const struct lg_vcall *call);	/* the peer takes several answers */
bool lg_vcall_gone(const struct lg_vcall *call);	/* nobody reads the answer */

/** lg_vcall_take_fd() - descriptor number @i that came with the call, the caller's now; -1. */
int lg_vcall_take_fd(struct lg_vcall *call, unsigned int i);

/** lg_vcall_on_gone() - have @fn called once if the peer hangs up before the last answer. */
void lg_vcall_on_gone(struct lg_vcall *call, void (*fn)(struct lg_vcall *call, void *arg),
		      void *arg);

/**
 * lg_vcall_reply() - the last answer; @params (stolen) may be NULL for an empty one
 *
 * Return, of this and the other answering functions: 0; -EPIPE when nobody is there to read it;
 * -EALREADY after the last answer; -EMSGSIZE past LG_VARLINK_ANSWER_MAX (an error is sent instead).
 */
int lg_vcall_reply(struct lg_vcall *call, json_t *params);

/**
 * lg_vcall_notify() - one of several answers ("continues": true); @params is stolen
 *
 * Return: also -EPROTO without `more`; -ENOBUFS when LG_VARLINK_MAX bytes wait for a peer that does
 * not read: it is dropped.
 */
int lg_vcall_notify(struct lg_vcall *call, json_t *params);

/** lg_vcall_fail() - answer error io.lodge.Failed {message, errno, exit_code} made of @err. */
int lg_vcall_fail(struct lg_vcall *call, const struct lg_err *err);

/** lg_vcall_error() - answer another error by its full name; @params is stolen and may be NULL. */
int lg_vcall_error(struct lg_vcall *call, const char *error, json_t *params);

/**
 * lg_varlink_text() - a JSON string of bytes that may not be UTF-8: what is not is shown as "?"
 *
 * For text from conf files, paths and messages: json_string() and json_pack() give NULL for it.
 */
json_t *lg_varlink_text(const char *text);

/* ---- client ---- */

struct lg_vclient;

/**
 * lg_vclient_connect() - to the socket at @path
 *
 * Return: 0; -ECONNREFUSED, -ENOENT with LG_EXIT_NO_DAEMON: nobody serves there; -EACCES with
 * LG_EXIT_PERMISSION; other negative errnos.
 */
int lg_vclient_connect(const char *path, struct lg_vclient **ret, struct lg_err *err);
void lg_vclient_free(struct lg_vclient *client);

/**
 * lg_vclient_fd() - to poll on; borrowed
 *
 * Ask lg_vclient_pending() before polling: an answer may be here already, read together with the one
 * before it.
 */
int lg_vclient_fd(const struct lg_vclient *client);

/** lg_vclient_pending() - would lg_vclient_recv() give an answer without waiting? */
bool lg_vclient_pending(const struct lg_vclient *client);

/**
 * lg_vclient_send() - send a call
 * @params:	stolen; may be NULL
 * @fds:	lent for the call
 */
int lg_vclient_send(struct lg_vclient *client, const char *method, json_t *params, bool more,
		    const int *fds, unsigned int nfds, struct lg_err *err);

/**
 * lg_vclient_recv() - wait for the next answer
 * @ret:	the caller's object (parameters), never NULL on success
 *
 * Return: 1 when more answers follow, 0 for the last, negative errno; an error answer is made into @err
 * (message, code and exit code of io.lodge.Failed; a readable line for every other error).
 */
int lg_vclient_recv(struct lg_vclient *client, json_t **ret, struct lg_err *err);

/** lg_vclient_call() - send and wait for the one answer. @ret may be NULL. */
int lg_vclient_call(struct lg_vclient *client, const char *method, json_t *params, json_t **ret,
		    struct lg_err *err);

#endif
