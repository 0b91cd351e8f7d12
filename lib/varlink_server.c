/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: a connection is in one of few states, and what it waits for in the event loop follows
 * from them (lg_vconn_settle()):
 *
 *   call being answered	nothing but the peer's going away
 *   answer not yet taken	room in the socket
 *   whole call buffered	its turn: `later` is armed, other connections come in between
 *   else			bytes
 *
 * A connection is freed only by its own event handlers and by lg_vserver_free(), never from within
 * an answering function: those mark it doomed and arm `later`. So a method's function, and a loop
 * that answers many calls, need not care what happens to the peer meanwhile.
 */

#include "lib/varlink_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#define CLIENTS_MAX 512u	/* connections in all */
#define CLIENTS_MAX_USERS 384u	/* of users other than root: the rest is kept for root */
#define CLIENTS_MAX_USER 64u	/* of one user other than root */
#define CALLS_PER_TURN 16	/* pipelined calls before others get their turn */
#define ACCEPTS_PER_TURN 32

/* ---- a connection's turn ---- */

static void conn_free(struct lg_vconn *conn)
{
	struct lg_vserver *server = conn->server;

	if (conn->prev)
		conn->prev->next = conn->next;
	else
		server->conns = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	server->nconns--;
	if (conn->peer.uid != 0)
		server->nusers--;
	sd_event_source_disable_unref(conn->io_source);
	sd_event_source_disable_unref(conn->later);
	lg_vio_finish(&conn->io);
	free(conn);
}

static void conn_drop(struct lg_vconn *conn)
{
	struct lg_vcall *call = conn->call;

	if (call)
		conn->server->ncalls--;
	conn_free(conn);
	if (call)
		lg_vcall_orphan(call);
}

static int on_later(sd_event_source *s, void *userdata);

static void arm_later(struct lg_vconn *conn)
{
	int r;

	if (conn->later)
		r = sd_event_source_set_enabled(conn->later, SD_EVENT_ONESHOT);
	else
		r = sd_event_add_defer(conn->server->event, &conn->later, on_later, conn);
	if (r < 0)
		lg_log(LG_LOG_ERR, "varlink: connection of pid %d hangs: %s", (int)conn->peer.pid,
		       strerror(-r));
}

/* Nothing to do for the peer any more. */
static bool finished(const struct lg_vconn *conn)
{
	return conn->doomed || (conn->eof && !conn->call && !lg_vio_has_message(&conn->io) &&
				lg_vio_waiting(&conn->io) == 0);
}

void lg_vconn_settle(struct lg_vconn *conn)
{
	bool taken = lg_vio_waiting(&conn->io) == 0;
	uint32_t events = 0;

	if (!taken)
		events = EPOLLOUT;
	else if (!conn->call && !lg_vio_has_message(&conn->io) && !conn->eof && !conn->doomed)
		events = EPOLLIN;
	if (events != conn->events &&
	    sd_event_source_set_io_events(conn->io_source, events) >= 0)
		conn->events = events;
	if (finished(conn) || (taken && !conn->call && lg_vio_has_message(&conn->io)))
		arm_later(conn);
}

static void take_turn(struct lg_vconn *conn)
{
	for (int i = 0; i < CALLS_PER_TURN; i++) {
		int fds[LG_VARLINK_FDS];
		unsigned int nfds = 0;
		json_t *message = NULL;
		int r;

		if (conn->doomed || conn->call || lg_vio_waiting(&conn->io) > 0)
			break;
		r = lg_vio_next(&conn->io, &message, fds, &nfds);
		if (r < 0)
			conn->doomed = true;
		if (r <= 0)
			break;
		lg_vcall_dispatch(conn, message, fds, nfds);
		json_decref(message);
	}
}

static void read_some(struct lg_vconn *conn)
{
	int r;

	if (conn->eof || conn->call || lg_vio_has_message(&conn->io))
		return;
	r = lg_vio_read(&conn->io);
	if (r == 0)
		conn->eof = true;
	else if (r < 0 && r != -EAGAIN)
		conn->doomed = true;
}

/*
 * A peer that closed has its last calls carried out as far as that takes no waiting; then it is gone. Half
 * closed (it only stopped sending) is no hang-up.
 */
static void serve(struct lg_vconn *conn, uint32_t revents)
{
	conn->in_turn = true;
	if (revents & EPOLLOUT && lg_vio_flush(&conn->io) < 0)
		conn->doomed = true;
	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_some(conn);
	take_turn(conn);
	conn->in_turn = false;
	if (revents & (EPOLLHUP | EPOLLERR) && (conn->call || lg_vio_waiting(&conn->io) > 0))
		conn->doomed = true;
	if (finished(conn))
		conn_drop(conn);
	else
		lg_vconn_settle(conn);
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	(void)s;
	(void)fd;
	serve(userdata, revents);
	return 0;
}

static int on_later(sd_event_source *s, void *userdata)
{
	(void)s;
	serve(userdata, 0);
	return 0;
}

/* ---- new connections ---- */

static unsigned int count_user(const struct lg_vserver *server, uid_t uid)
{
	unsigned int n = 0;

	for (const struct lg_vconn *c = server->conns; c; c = c->next)
		n += c->peer.uid == uid;
	return n;
}

static bool may_connect(const struct lg_vserver *server, const struct ucred *peer)
{
	const struct lg_vserver_conf *c = &server->conf;

	if (server->nconns >= CLIENTS_MAX)
		return false;
	if (peer->uid != 0 && (server->nusers >= CLIENTS_MAX_USERS ||
			       count_user(server, peer->uid) >= CLIENTS_MAX_USER))
		return false;
	return !c->may_connect || c->may_connect(peer->uid, peer->gid, peer->pid, c->ctx);
}

static void add_conn(struct lg_vserver *server, int fd, const struct ucred *peer)
{
	struct lg_vconn *conn = calloc(1, sizeof(*conn));

	if (!conn || sd_event_add_io(server->event, &conn->io_source, fd, EPOLLIN, on_io, conn) < 0) {
		free(conn);
		lg_close(fd);
		return;
	}
	lg_vio_init(&conn->io, fd, LG_VARLINK_MAX);
	conn->server = server;
	conn->peer = *peer;
	conn->events = EPOLLIN;
	conn->next = server->conns;
	if (conn->next)
		conn->next->prev = conn;
	server->conns = conn;
	server->nconns++;
	if (peer->uid != 0)
		server->nusers++;
	/* A client sends its call without waiting to be accepted: it is mostly here already. */
	serve(conn, EPOLLIN);
}

/* No descriptor is free: the peer is turned away with one kept for this, or epoll would spin. */
static void turn_away(struct lg_vserver *server, int listen_fd)
{
	server->spare_fd = lg_close(server->spare_fd);
	lg_close(accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC));
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int on_listen(sd_event_source *s, int listen_fd, uint32_t revents, void *userdata)
{
	struct lg_vserver *server = userdata;

	(void)s;
	(void)revents;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct ucred peer = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
		socklen_t len = sizeof(peer);
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			turn_away(server, listen_fd);
		if (fd < 0)
			break;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
		    !may_connect(server, &peer))
			lg_close(fd);
		else
			add_conn(server, fd, &peer);
	}
	return 0;
}

static int start_listening(struct lg_vserver *server, int *listen_fd)
{
	int flags = fcntl(*listen_fd, F_GETFL), r;

	if (flags < 0 || fcntl(*listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (server->spare_fd < 0)
		return -errno;
	r = sd_event_add_io(server->event, &server->source, *listen_fd, EPOLLIN, on_listen,
			    server);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(server->source, true);
	if (r < 0)
		return r;
	lg_take_fd(listen_fd);
	return 0;
}

int lg_vserver_new(sd_event *event, int listen_fd, const struct lg_vserver_conf *conf,
		   struct lg_vserver **ret, struct lg_err *err)
{
	lg_autoclose int fd = listen_fd;
	struct lg_vserver *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return lg_fail(err, -ENOMEM, "serve %s", conf->interface);
	server->event = sd_event_ref(event);
	server->conf = *conf;
	server->spare_fd = -1;
	r = lg_vroutes_new(conf, &server->routes, err);
	if (r == 0) {
		r = start_listening(server, &fd);
		if (r < 0)
			lg_fail(err, r, "serve %s", conf->interface);
	}
	if (r < 0) {
		lg_vserver_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

void lg_vserver_free(struct lg_vserver *server)
{
	if (!server)
		return;
	sd_event_source_disable_unref(server->source);
	while (server->conns)
		conn_drop(server->conns);
	lg_vroutes_free(server->routes);
	lg_close(server->spare_fd);
	sd_event_unref(server->event);
	free(server);
}

unsigned int lg_vserver_calls(const struct lg_vserver *server)
{
	return server->ncalls;
}
