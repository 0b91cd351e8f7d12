/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/varlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/varlink_io.h"

struct lg_vclient {
	struct lg_vio io;
};

static int connect_fail(struct lg_err *err, int r, const char *path)
{
	switch (r) {
	case -ENOENT:
	case -ECONNREFUSED:
		return lg_refuse(err, r, LG_EXIT_NO_DAEMON,
				 "lodged does not answer at %s: start it first", path);
	case -EACCES:
	case -EPERM:
		return lg_refuse(err, r, LG_EXIT_PERMISSION,
				 "lodged may not be used by this user: be root or in group lodge");
	default:
		return lg_fail(err, r, "connect to lodged at %s", path);
	}
}

int lg_vclient_connect(const char *path, struct lg_vclient **ret, struct lg_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	lg_autoclose int fd = -1;
	struct lg_vclient *client;
	int r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return connect_fail(err, -ENAMETOOLONG, path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return lg_fail(err, -errno, "make a socket");
	do
		r = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	while (r == -EINTR);
	if (r < 0)
		return connect_fail(err, r, path);
	client = calloc(1, sizeof(*client));
	if (!client)
		return lg_fail(err, -ENOMEM, "connect to lodged");
	lg_vio_init(&client->io, lg_take_fd(&fd), LG_VARLINK_ANSWER_MAX);
	*ret = client;
	return 0;
}

void lg_vclient_free(struct lg_vclient *client)
{
	if (!client)
		return;
	lg_vio_finish(&client->io);
	free(client);
}

int lg_vclient_fd(const struct lg_vclient *client)
{
	return client->io.fd;
}

bool lg_vclient_pending(const struct lg_vclient *client)
{
	return lg_vio_has_message(&client->io);
}

static int hung_up(struct lg_err *err, int r)
{
	return lg_refuse(err, r, LG_EXIT_SYSTEM,
			 "lodged hung up: it was stopped, or this user may not use it");
}

int lg_vclient_send(struct lg_vclient *client, const char *method, json_t *params, bool more,
		    const int *fds, unsigned int nfds, struct lg_err *err)
{
	lg_autojson json_t *call = json_object();
	int r = -ENOMEM;

	json_object_set_new(call, "method", json_string(method));
	json_object_set_new(call, "parameters", params ? params : json_object());
	if (more)
		json_object_set_new(call, "more", json_true());
	if (call)
		r = lg_vio_write(&client->io, call, LG_VARLINK_MAX, fds, nfds);
	if (r == -EPIPE || r == -ECONNRESET)
		return hung_up(err, r);
	return r < 0 ? lg_fail(err, r, "call %s", method) : 0;
}

/* One message, waiting for it. */
static int receive(struct lg_vclient *client, json_t **ret, struct lg_err *err)
{
	int r;

	for (;;) {
		r = lg_vio_next(&client->io, ret, NULL, NULL);
		if (r == 0)
			r = lg_vio_read(&client->io);
		else if (r > 0)
			return 0;
		if (r == 0 || r == -ECONNRESET)
			return hung_up(err, -ECONNRESET);
		if (r == -EBADMSG || r == -EMSGSIZE)
			return lg_refuse(err, r, LG_EXIT_SYSTEM,
					 "lodged's answer is not understood: is it of another "
					 "version?");
		if (r < 0)
			return lg_fail(err, r, "wait for lodged's answer");
	}
}

/* Errors of the protocol and of the interface, said for people. */
static int known_error(const char *error, const json_t *params, struct lg_err *err)
{
	static const struct {
		const char *error, *field;
		int code, exit_code;
		const char *before, *after;	/* the field's value stands between them */
	} known[] = {
		{ "io.lodge.NoSuchInstance", "id", -ENOENT, LG_EXIT_NO_CONF,
		  "there is no instance '", "'" },
		{ "org.varlink.service.MethodNotFound", "method", -ENOSYS, LG_EXIT_SYSTEM,
		  "lodged does not know ", ": it is older than this command" },
		{ "org.varlink.service.MethodNotImplemented", "method", -ENOSYS, LG_EXIT_SYSTEM,
		  "lodged cannot do ", "" },
		{ "org.varlink.service.InterfaceNotFound", "interface", -ENOSYS, LG_EXIT_SYSTEM,
		  "what answers does not speak ", ": it is not lodged" },
		{ "org.varlink.service.InvalidParameter", "parameter", -EINVAL, LG_EXIT_BAD_VALUE,
		  "lodged does not accept parameter '", "': is it of another version?" },
		{ "org.varlink.service.PermissionDenied", "", -EPERM, LG_EXIT_PERMISSION,
		  "this user may not do that", "" },
		{ "org.varlink.service.ExpectedMore", "", -EPROTO, LG_EXIT_SYSTEM,
		  "lodged answers this more than once only", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const char *value = lg_json_str(params, known[i].field);

		if (strcmp(error, known[i].error) == 0)
			return lg_refuse(err, known[i].code, known[i].exit_code, "%s%.120s%s",
					 known[i].before, value ? value : "", known[i].after);
	}
	return 0;
}

static int error_answer(const char *error, const json_t *params, struct lg_err *err)
{
	const char *text = lg_json_str(params, "message");
	int64_t code = lg_json_int(params, "errno", EIO);
	int64_t exit_code = lg_json_int(params, "exit_code", 0);
	int r = known_error(error, params, err);

	if (r < 0)
		return r;
	if (code < 1 || code > 4095)
		code = EIO;
	if (exit_code < 0 || exit_code > 255)
		exit_code = 0;
	return lg_refuse(err, -(int)code, (int)exit_code, "%s", text ? text : error);
}

int lg_vclient_recv(struct lg_vclient *client, json_t **ret, struct lg_err *err)
{
	lg_autojson json_t *message = NULL;
	const char *error;
	json_t *params;
	int r = receive(client, &message, err);

	if (r < 0)
		return r;
	error = lg_json_str(message, "error");
	params = json_object_get(message, "parameters");
	if (error)
		return error_answer(error, params, err);
	params = json_is_object(params) ? json_incref(params) : json_object();
	if (!params)
		return lg_fail(err, -ENOMEM, "read lodged's answer");
	*ret = params;
	return lg_json_bool(message, "continues", false);
}

int lg_vclient_call(struct lg_vclient *client, const char *method, json_t *params, json_t **ret,
		    struct lg_err *err)
{
	lg_autojson json_t *answer = NULL;
	int r = lg_vclient_send(client, method, params, false, NULL, 0, err);

	if (r == 0)
		r = lg_vclient_recv(client, &answer, err);
	if (r < 0)
		return r;
	if (ret)
		*ret = lg_take_ptr(&answer);
	return 0;
}
