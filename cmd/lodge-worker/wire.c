/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge-worker/migrate.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"

#define OBJECT_MAX (4u << 20)
#define CHUNK (256u << 10)

static char chunk[CHUNK];

static int read_all(int fd, void *data, size_t len)
{
	ssize_t n = lg_read_all(fd, data, len);

	return n < 0 ? (int)n : (size_t)n < len ? -EPIPE : 0;
}

static int lost(int r, struct lg_err *err)
{
	return r == -EPIPE || r == -ECONNRESET ?
		       lg_refuse(err, -EPIPE, 0, "the connection to the other host ended") :
		       lg_fail(err, r, "talk to the other host");
}

int wire_send(const struct wire *w, json_t *obj, struct lg_err *err)
{
	lg_autofree char *text = json_dumps(obj, JSON_COMPACT);
	uint32_t len = text ? htonl((uint32_t)strlen(text)) : 0;
	int r;

	json_decref(obj);
	if (!text)
		return lg_fail(err, -ENOMEM, "talk to the other host");
	r = lg_write_all(w->out, &len, sizeof(len));
	if (r == 0)
		r = lg_write_all(w->out, text, strlen(text));
	return r < 0 ? lost(r, err) : 0;
}

int wire_recv(const struct wire *w, json_t **ret, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	uint32_t len;
	json_t *obj;
	int r = read_all(w->in, &len, sizeof(len));

	len = ntohl(len);
	if (r < 0)
		return lost(r, err);
	if (len > OBJECT_MAX)
		return lg_refuse(err, -EBADMSG, 0, "the other host sent no message of lodge's");
	text = malloc(len + 1);
	if (!text)
		return lg_fail(err, -ENOMEM, "hear the other host");
	r = read_all(w->in, text, len);
	if (r < 0)
		return lost(r, err);
	text[len] = '\0';
	obj = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(obj)) {
		json_decref(obj);
		return lg_refuse(err, -EBADMSG, 0, "the other host sent no message of lodge's");
	}
	*ret = obj;
	return 0;
}

int wire_ask(const struct wire *w, json_t *obj, json_t **ret, struct lg_err *err)
{
	json_t *answer;
	const char *error;
	int r = wire_send(w, obj, err);

	if (r == 0)
		r = wire_recv(w, &answer, err);
	if (r < 0)
		return r;
	error = lg_json_str(answer, "error");
	if (error) {
		int64_t code = lg_json_int(answer, "errno", EIO);

		r = lg_refuse(err, code > 0 && code < 4096 ? (int)-code : -EIO,
			      (int)lg_json_int(answer, "exit", 0), "on the other host: %s", error);
	}
	if (r == 0 && ret)
		*ret = answer;
	else
		json_decref(answer);
	return r;
}

int wire_send_data(const struct wire *w, const void *data, size_t len, struct lg_err *err)
{
	int r = lg_write_all(w->out, data, len);

	return r < 0 ? lost(r, err) : 0;
}

int wire_recv_data(const struct wire *w, void *data, size_t len, struct lg_err *err)
{
	int r = read_all(w->in, data, len);

	return r < 0 ? lost(r, err) : 0;
}

int wire_send_file(const struct wire *w, int fd, uint64_t size, uint64_t *total, struct lg_err *err)
{
	for (uint64_t at = 0; at < size;) {
		size_t want = size - at < sizeof(chunk) ? (size_t)(size - at) : sizeof(chunk);
		ssize_t n = pread(fd, chunk, want, (off_t)at);
		int r;

		if (n <= 0)
			return lg_fail(err, n < 0 ? -errno : -EIO, "read an image");
		r = lg_write_all(w->out, chunk, (size_t)n);
		if (r < 0)
			return lost(r, err);
		at += (uint64_t)n;
		*total += (uint64_t)n;
	}
	return 0;
}

int wire_recv_file(const struct wire *w, int fd, uint64_t size, struct lg_err *err)
{
	while (size > 0) {
		size_t want = size < sizeof(chunk) ? (size_t)size : sizeof(chunk);
		int r = read_all(w->in, chunk, want);

		if (r < 0)
			return lost(r, err);
		r = lg_write_all(fd, chunk, want);
		if (r < 0)
			return lg_fail(err, r, "write an image");
		size -= want;
	}
	return 0;
}
