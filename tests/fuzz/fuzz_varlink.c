/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A peer of lodged: the bytes go through a socket into a server that speaks lodge's own interface. The
 * first byte says in how large pieces they arrive.
 */

#include <errno.h>
#include <jansson.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>

#include "io.lodge.varlink.h"
#include "lib/cleanup.h"
#include "lib/varlink.h"
#include "lib/varlink_conn.h"
#include "tests/fuzz/fuzz.h"

static struct lg_vcall *kept;

static void answer(struct lg_vcall *call, const json_t *params, void *ctx)
{
	promise(json_is_string(json_object_get(params, "id")), "a parameter that must be is there");
	(void)ctx;
	lg_vcall_reply(call, NULL);
}

static void forget(struct lg_vcall *call, const json_t *params, void *ctx)
{
	(void)call;
	(void)params;
	(void)ctx;
}

static void stream(struct lg_vcall *call, const json_t *params, void *ctx)
{
	(void)params;
	(void)ctx;
	for (int i = 0; i < 3; i++)
		lg_vcall_notify(call, json_pack("{s:s}", "progress", "text"));
	lg_vcall_reply(call, NULL);
}

static void fail(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct lg_err err = { .code = -EIO };

	(void)ctx;
	snprintf(err.msg, sizeof(err.msg), "%s", json_string_value(json_object_get(params, "name")));
	lg_vcall_fail(call, &err);
}

static void on_gone(struct lg_vcall *call, void *arg)
{
	promise(call == kept && arg == &kept && lg_vcall_gone(call), "the kept call is told");
	lg_vcall_unref(kept);
	kept = NULL;
}

static void keep(struct lg_vcall *call, const json_t *params, void *ctx)
{
	(void)params;
	(void)ctx;
	if (kept)
		return;
	kept = lg_vcall_ref(call);
	lg_vcall_on_gone(call, on_gone, &kept);
}

static const struct lg_vmethod methods[] = {
	{ "io.lodge.Start", answer },	     { "io.lodge.Exec", answer },
	{ "io.lodge.Set", answer },	     { "io.lodge.List", forget },
	{ "io.lodge.Create", stream },	     { "io.lodge.Events", keep },
	{ "io.lodge.TemplateShow", fail },
	{ "io.lodge.Facts", fail },
};

static sd_event *event;
static struct lg_vserver *server;
static struct sockaddr_un addr = { .sun_family = AF_UNIX };
static socklen_t addr_len = sizeof(addr);

static void start(void)
{
	static const struct lg_vserver_conf conf = {
		.vendor = "v", .interface = "io.lodge", .description = io_lodge_varlink,
		.methods = methods, .nmethods = ARRAY_SIZE(methods),
	};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	promise(bind(fd, (struct sockaddr *)&addr, sizeof(sa_family_t)) == 0 &&
		getsockname(fd, (struct sockaddr *)&addr, &addr_len) == 0 && listen(fd, 5) == 0,
		"a socket to listen on");
	promise(sd_event_new(&event) >= 0, "an event loop");
	promise(lg_vserver_new(event, fd, &conf, &server, NULL) == 0, "a server");
}

static void pump(void)
{
	for (int i = 0; sd_event_run(event, 0) > 0; i++)
		promise(i < 1000000, "the loop comes to rest");
}

/* What the server says is itself Varlink: whole objects, with parameters. */
static void hear(int fd, char *buf, size_t room, size_t *len)
{
	ssize_t n;
	char *nul;

	while ((n = recv(fd, buf + *len, room - *len, 0)) > 0) {
		*len += (size_t)n;
		while ((nul = memchr(buf, '\0', *len))) {
			json_t *o = json_loadb(buf, (size_t)(nul - buf), JSON_REJECT_DUPLICATES, NULL);

			promise(json_is_object(json_object_get(o, "parameters")), "an answer");
			json_decref(o);
			*len -= (size_t)(nul + 1 - buf);
			memmove(buf, nul + 1, *len);
		}
		promise(*len < room, "an answer ends");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char buf[2u << 20];
	size_t piece = size > 0 ? (size_t)data[0] * data[0] + 1 : 1, len = 0;
	int fd;

	if (!server)
		start();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	promise(connect(fd, (struct sockaddr *)&addr, addr_len) == 0, "a connection");
	for (size_t at = 1; at < size;) {
		size_t want = size - at < piece ? size - at : piece;
		ssize_t n = send(fd, data + at, want, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			break;
		at += n > 0 ? (size_t)n : 0;
		pump();
		hear(fd, buf, sizeof(buf), &len);
		if (kept && at < size)
			lg_vcall_notify(kept, json_pack("{s:{s:i, s:s}}", "event", "time_us", 1,
							"event", "start"));
	}
	shutdown(fd, SHUT_WR);
	pump();
	hear(fd, buf, sizeof(buf), &len);
	promise(len == 0, "an answer is whole");
	close(fd);
	pump();
	promise(!kept && !server->conns && lg_vserver_calls(server) == 0, "nothing is left");
	return 0;
}
