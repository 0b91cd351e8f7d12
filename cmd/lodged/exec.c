/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Exec and Console: lodged checks and passes the descriptors on; after that it is not in the way. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodged/lodged.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

static void put_list(struct lg_msg *m, const char *key, const json_t *list)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		lg_msg_put(m, key, json_string_value(item));
}

static int check_exec(const json_t *params, struct lg_err *err)
{
	const json_t *argv = json_object_get(params, "argv"), *item;
	size_t i;

	if (json_array_size(argv) == 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION, "no command was given");
	json_array_foreach(json_object_get(params, "env"), i, item)
		if (!strchr(json_string_value(item), '=') || *json_string_value(item) == '=')
			return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
					 "'%s' is not NAME=VALUE", json_string_value(item));
	return 0;
}

static void make_exec(struct lg_msg *m, const json_t *params)
{
	static const char *const texts[] = { "user", "cwd" };
	static const char *const numbers[] = { "rows", "cols" };

	lg_msg_init(m, LG_P_EXEC);
	put_list(m, "arg", json_object_get(params, "argv"));
	put_list(m, "env", json_object_get(params, "env"));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (lg_json_str(params, texts[i]))
			lg_msg_put(m, texts[i], lg_json_str(params, texts[i]));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (lg_json_int(params, numbers[i], 0) > 0)
			lg_msg_put_u64(m, numbers[i],
				       (uint64_t)lg_json_int(params, numbers[i], 0));
	lg_msg_put(m, "tty", lg_json_bool(params, "tty", false) ? "1" : "0");
}

/* Send @m with the first @n descriptors of the call. */
static int pass_on(struct lg_vcall *call, struct instance *ct, struct lg_msg *m, unsigned int n,
		   struct lg_err *err)
{
	int fds[4] = { -1, -1, -1, -1 }, r = 0;

	for (unsigned int i = 0; i < n; i++) {
		fds[i] = lg_vcall_take_fd(call, i);
		if (fds[i] < 0)
			r = lg_refuse(err, -EINVAL, 0, "%u descriptors must come with the call", n);
		else
			lg_msg_put_fd(m, fds[i]);
	}
	if (r == 0)
		r = lg_msg_send(ct->shim->sock, m);
	for (unsigned int i = 0; i < n; i++)
		lg_close(fds[i]);
	if (r == -EMSGSIZE)
		return lg_refuse(err, r, LG_EXIT_BAD_VALUE,
				 "command and environment are longer than %u bytes together",
				 LG_MSG_BYTES);
	return r < 0 && !err->code ? lg_fail(err, r, "speak to the shim") : r;
}

void api_exec(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct instance *ct = api_instance(call, params, ctx);
	struct lg_err err = { 0 };
	struct lg_msg m;

	if (!ct)
		return;
	if (state_allows(ct, VERB_EXEC, &err) < 0 || check_exec(params, &err) < 0) {
		lg_vcall_fail(call, &err);
		return;
	}
	make_exec(&m, params);
	if (pass_on(call, ct, &m, lg_json_bool(params, "tty", false) ? 1 : 4, &err) < 0)
		lg_vcall_fail(call, &err);
	else
		lg_vcall_reply(call, NULL);
}

static int keep_console(struct instance *ct, int fd)
{
	for (size_t i = 0; i < ARRAY_SIZE(ct->console_wait); i++)
		if (ct->console_wait[i] < 0) {
			ct->console_wait[i] = fd;
			return 0;
		}
	return -EBUSY;
}

void console_hand_over(struct instance *ct)
{
	for (size_t i = 0; i < ARRAY_SIZE(ct->console_wait); i++) {
		struct lg_msg m;

		if (ct->console_wait[i] < 0)
			continue;
		lg_msg_init(&m, LG_P_CONSOLE);
		lg_msg_put_fd(&m, ct->console_wait[i]);
		lg_msg_send(ct->shim->sock, &m);
		ct->console_wait[i] = lg_close(ct->console_wait[i]);
	}
}

void api_console(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct instance *ct = api_instance(call, params, ctx);
	struct lg_err err = { 0 };
	char log[320];
	bool running;
	int fd;

	if (!ct)
		return;
	fd = lg_vcall_take_fd(call, 0);
	if (fd < 0) {
		lg_refuse(&err, -EINVAL, 0, "a stream socket must come with the call");
		lg_vcall_fail(call, &err);
		return;
	}
	running = ct->state == STATE_RUNNING;
	if (keep_console(ct, fd) < 0) {
		lg_close(fd);
		lg_refuse(&err, -EBUSY, LG_EXIT_LOCKED, "%zu consoles wait for %s already",
			  ARRAY_SIZE(ct->console_wait), instance_label(ct));
		lg_vcall_fail(call, &err);
		return;
	}
	if (running)
		console_hand_over(ct);
	snprintf(log, sizeof(log), "%s/log/console/%u.log", ct->d->root.var, ct->ctid);
	lg_vcall_reply(call, json_pack("{s:b, s:s}", "running", running, "log", log));
}
