/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge/cli.h"
#include "cmd/lodge/progress.h"
#include "cmd/lodge/text.h"
#include "lib/exit.h"
#include "lib/json.h"

/* The daemon is not there: say what to do about it, not which system call failed. */
static int no_daemon(struct cli *cli, int r, const char *path)
{
	if (r == -EACCES || r == -EPERM)
		return lg_refuse(&cli->err, r, LG_EXIT_PERMISSION,
				 "you may not talk to lodged at %s: be root or a member of the "
				 "group lodge", path);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return lg_refuse(&cli->err, r, LG_EXIT_NO_DAEMON,
				 "lodged does not answer at %s: start it (systemctl start "
				 "lodged, or lodged --background)", path);
	return r;
}

int cli_open(struct cli *cli)
{
	char path[300];
	int r;

	if (cli->client)
		return 0;
	lg_root_socket(&cli->root, path, sizeof(path));
	r = lg_vclient_connect(path, &cli->client, &cli->err);
	return r < 0 ? no_daemon(cli, r, path) : 0;
}

int cli_call_fds(struct cli *cli, const char *method, json_t *params, const int *fds,
		 unsigned int nfds, json_t **ret)
{
	lg_autojson json_t *answer = NULL;
	int r = cli_open(cli);

	if (r < 0) {
		json_decref(params);
		return r;
	}
	r = lg_vclient_send(cli->client, method, params, false, fds, nfds, &cli->err);
	if (r == 0)
		r = lg_vclient_recv(cli->client, &answer, &cli->err);
	if (r < 0)
		return r;
	if (ret)
		*ret = json_incref(answer);
	return 0;
}

int cli_call(struct cli *cli, const char *method, json_t *params, json_t **ret)
{
	return cli_call_fds(cli, method, params, NULL, 0, ret);
}

static int receive_all(struct cli *cli, void (*told)(const char *text, void *arg), void *arg,
		       json_t **ret)
{
	for (;;) {
		lg_autojson json_t *answer = NULL;
		const char *text;
		int r = lg_vclient_recv(cli->client, &answer, &cli->err);

		if (r < 0)
			return r;
		text = lg_json_str(answer, "progress");
		if (text && told)
			told(text, arg);
		if (text)
			progress_say(text);
		if (r == 0) {
			*ret = json_incref(answer);
			return 0;
		}
	}
}

int cli_call_told(struct cli *cli, const char *method, json_t *params, const char *what,
		  const char *goes_on, void (*told)(const char *text, void *arg), void *arg, json_t **ret)
{
	lg_autojson json_t *answer = NULL;
	int r = cli_open(cli);

	if (r < 0) {
		json_decref(params);
		return r;
	}
	r = lg_vclient_send(cli->client, method, params, true, cli->send_fd > 0 ? &cli->send_fd : NULL, cli->send_fd > 0,
			    &cli->err);
	if (r < 0)
		return r;
	progress_begin(cli->who, what, goes_on, cli->quiet);
	r = receive_all(cli, told, arg, &answer);
	progress_end();
	if (r == 0 && ret)
		*ret = json_incref(answer);
	return r;
}

int cli_call_long(struct cli *cli, const char *method, json_t *params, const char *what,
		  const char *goes_on, json_t **ret)
{
	return cli_call_told(cli, method, params, what, goes_on, NULL, NULL, ret);
}

int cli_usage(struct cli *cli, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return lg_refuse(&cli->err, -EINVAL, LG_EXIT_BAD_OPTION, "%s", text);
}

int cli_status(struct cli *cli, int r)
{
	bool colour;

	if (r >= 0)
		return r;
	colour = out_colour(STDERR_FILENO);
	fflush(stdout);
	if (*cli->who)
		fprintf(stderr, "%s%s:%s ", colour ? "\033[1;31m" : "", cli->who,
			colour ? "\033[0m" : "");
	if (!cli->err.msg[0])
		lg_fail(&cli->err, r, "failed");
	fprintf(stderr, "%s\n", text_safe(cli->err.msg));
	return cli->err.exit_code ? cli->err.exit_code : LG_EXIT_SYSTEM;
}
