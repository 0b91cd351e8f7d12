/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Calls from their arrival to their last answer; see varlink_server.c for the connections. */

#include "lib/varlink_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"

struct lg_vcall {
	unsigned int refs;
	struct lg_vconn *conn;	/* NULL: answered, or the peer is gone */
	struct ucred peer;
	bool more, oneway, answered;
	const char *interface;
	const struct lg_vmember *member;
	void (*on_gone)(struct lg_vcall *call, void *arg);
	void *arg;
	unsigned int nfds;
	int fds[LG_VARLINK_FDS];
};

static struct lg_vcall *call_new(struct lg_vconn *conn, const struct lg_venvelope *env,
				 const int *fds, unsigned int nfds)
{
	struct lg_vcall *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->refs = 1;
	call->conn = conn;
	call->peer = conn->peer;
	call->more = env->more;
	call->oneway = env->oneway;
	call->interface = conn->server->conf.interface;
	call->nfds = nfds;
	memcpy(call->fds, fds, nfds * sizeof(fds[0]));
	conn->call = call;
	conn->server->ncalls++;
	return call;
}

void lg_vcall_dispatch(struct lg_vconn *conn, json_t *message, const int *fds, unsigned int nfds)
{
	struct lg_venvelope env;
	struct lg_vcall *call = NULL;
	struct lg_vroute route;

	if (lg_venvelope_read(message, &env) == 0)
		call = call_new(conn, &env, fds, nfds);
	if (!call) {
		for (unsigned int i = 0; i < nfds; i++)
			lg_close(fds[i]);
		conn->doomed = true;
		return;
	}
	lg_vroutes_find(conn->server->routes, &env, &route);
	call->member = route.member;
	if (route.error)
		lg_vcall_error(call, route.error,
			       json_pack("{s:o}", route.about, lg_varlink_text(route.value)));
	else
		route.fn(call, env.params, route.ctx);
	lg_vcall_unref(call);
}

struct lg_vcall *lg_vcall_ref(struct lg_vcall *call)
{
	call->refs++;
	return call;
}

void lg_vcall_unref(struct lg_vcall *call)
{
	static const struct lg_err forgotten = {
		.code = -ECANCELED, .msg = "the operation ended without an answer",
	};

	if (!call || --call->refs > 0)
		return;
	if (call->conn) {
		call->refs = 1;
		lg_vcall_fail(call, &forgotten);
	}
	for (unsigned int i = 0; i < call->nfds; i++)
		lg_close(call->fds[i]);
	free(call);
}

uid_t lg_vcall_uid(const struct lg_vcall *call)
{
	return call->peer.uid;
}

gid_t lg_vcall_gid(const struct lg_vcall *call)
{
	return call->peer.gid;
}

pid_t lg_vcall_pid(const struct lg_vcall *call)
{
	return call->peer.pid;
}

bool lg_vcall_more(const struct lg_vcall *call)
{
	return call->more;
}

bool lg_vcall_gone(const struct lg_vcall *call)
{
	return !call->answered && (!call->conn || call->conn->doomed);
}

void lg_vcall_orphan(struct lg_vcall *call)
{
	lg_vcall_ref(call);
	call->conn = NULL;
	if (call->on_gone)
		call->on_gone(call, call->arg);
	lg_vcall_unref(call);
}

int lg_vcall_take_fd(struct lg_vcall *call, unsigned int i)
{
	return i < call->nfds ? lg_take_fd(&call->fds[i]) : -1;
}

void lg_vcall_on_gone(struct lg_vcall *call, void (*fn)(struct lg_vcall *call, void *arg),
		      void *arg)
{
	call->on_gone = fn;
	call->arg = arg;
}

/* ---- answers ---- */

#ifdef LG_DEBUG
/* The interface is a promise in both directions. */
static void check_answer(const struct lg_vcall *call, const json_t *params)
{
	char path[LG_VPATH_MAX];

	if (call->member && params && lg_vtype_check(call->member->out, params, path) < 0)
		lg_log(LG_LOG_DEBUG, "varlink: answer of %s does not fit the interface: %s",
		       call->member->name, path);
}
#else
static void check_answer(const struct lg_vcall *call, const json_t *params)
{
	(void)call;
	(void)params;
}
#endif

static int write_message(struct lg_vconn *conn, json_t *message)
{
	int r = message ? lg_vio_write(&conn->io, message, LG_VARLINK_ANSWER_MAX, NULL, 0) : -ENOMEM;

	json_decref(message);
	return r;
}

static json_t *make_message(const char *error, json_t *params, bool continues)
{
	json_t *message = json_object();

	if (error)
		json_object_set_new(message, "error", json_string(error));
	json_object_set_new(message, "parameters", params ? params : json_object());
	if (continues)
		json_object_set_new(message, "continues", json_true());
	return message;
}

/* The call is over: the connection goes on with the next one. */
static void end_call(struct lg_vcall *call)
{
	struct lg_vconn *conn = call->conn;

	conn->call = NULL;
	conn->server->ncalls--;
	call->conn = NULL;
	call->answered = true;
	if (!conn->in_turn)
		lg_vconn_settle(conn);
}

static json_t *too_large(const struct lg_vcall *call)
{
	char name[128];

	snprintf(name, sizeof(name), "%s.Failed", call->interface);
	return make_message(name, json_pack("{s:s, s:i, s:i}", "message",
					    "the answer is too large to be sent", "errno", EMSGSIZE,
					    "exit_code", 0), false);
}

static int answer(struct lg_vcall *call, const char *error, json_t *params)
{
	struct lg_vconn *conn = call->conn;
	int r = 0;

	if (!conn || conn->doomed || call->oneway) {
		r = call->answered ? -EALREADY : call->oneway ? 0 : -EPIPE;
		json_decref(params);
		if (conn)
			end_call(call);
		call->answered = true;
		return r;
	}
	r = write_message(conn, make_message(error, params, false));
	if (r == -EMSGSIZE && write_message(conn, too_large(call)) < 0)
		conn->doomed = true;
	else if (r < 0 && r != -EMSGSIZE)
		conn->doomed = true;
	end_call(call);
	return r;
}

int lg_vcall_reply(struct lg_vcall *call, json_t *params)
{
	check_answer(call, params);
	return answer(call, NULL, params);
}

int lg_vcall_error(struct lg_vcall *call, const char *error, json_t *params)
{
	return answer(call, error, params);
}

int lg_vcall_fail(struct lg_vcall *call, const struct lg_err *err)
{
	char name[128];

	snprintf(name, sizeof(name), "%s.Failed", call->interface);
	return answer(call, name,
		      json_pack("{s:o, s:i, s:i}", "message", lg_varlink_text(err->msg), "errno",
				err->code < 0 ? -err->code : EIO, "exit_code", err->exit_code));
}

/* What cannot be sent any more is not worth keeping the connection for. */
static int doom(struct lg_vconn *conn, int r)
{
	conn->doomed = true;
	if (!conn->in_turn)
		lg_vconn_settle(conn);
	return r;
}

int lg_vcall_notify(struct lg_vcall *call, json_t *params)
{
	struct lg_vconn *conn = call->conn;
	int r = 0;

	check_answer(call, params);
	if (call->answered)
		r = -EALREADY;
	else if (!call->more)
		r = -EPROTO;
	else if (!conn || conn->doomed)
		r = -EPIPE;
	if (r < 0) {
		json_decref(params);
		return r;
	}
	if (lg_vio_waiting(&conn->io) >= LG_VARLINK_MAX) {
		json_decref(params);
		return doom(conn, -ENOBUFS);
	}
	r = write_message(conn, make_message(NULL, params, true));
	if (r < 0 && r != -EMSGSIZE)
		return doom(conn, r);
	if (!conn->in_turn)
		lg_vconn_settle(conn);
	return r;
}
