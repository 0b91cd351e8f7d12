/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vzctl exec, exec2, exec3, enter, console, and --userpasswd */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge/console.h"
#include "cmd/lodge/session.h"
#include "cmd/lodge/text.h"
#include "cmd/lodge/vz.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

#define VZ_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The command as vzctl would hand it to bash: its words with blanks between. */
static char *join(char **words, size_t n)
{
	size_t len = 1;
	char *text, *end;

	for (size_t i = 0; i < n; i++)
		len += strlen(words[i]) + 1;
	text = calloc(1, len);
	end = text;
	for (size_t i = 0; text && i < n; i++)
		end = stpcpy(stpcpy(end, i ? " " : ""), words[i]);
	return text;
}

static int need_running(const struct vz *vz)
{
	return vz->running ? 0 : vz_refuse(vz, LG_EXIT_NOT_RUNNING, "Container is not running");
}

static int run(const struct vz *vz, json_t *argv, const char *input, bool tty)
{
	lg_autojson json_t *env = json_pack("[s, s, s]", "HOME=/", "TERM=linux", VZ_PATH);
	struct session s = { .id = vz->id, .argv = argv, .env = env, .cwd = "/", .input = input,
			     .tty = tty };

	return session_run(vz->cli, &s);
}

/* bash where the container has it, else sh; "-": the script comes on stdin. */
static json_t *shell_argv(const struct vz *vz)
{
	static const char script[] = "[ -x /bin/bash ] && exec /bin/bash -s; exec /bin/sh -s";
	static const char command[] = "[ -x /bin/bash ] && exec /bin/bash -c \"$0\"; "
				      "exec /bin/sh -c \"$0\"";
	lg_autofree char *text = NULL;

	if (strcmp(vz->words[0], "-") == 0)
		return json_pack("[s, s, s]", "/bin/sh", "-c", script);
	text = join(vz->words, vz->nwords);
	return text ? json_pack("[s, s, s, s]", "/bin/sh", "-c", command, text) : NULL;
}

static int check(const struct vz *vz)
{
	int r = need_running(vz);

	if (r == 0 && vz->nwords == 0)
		r = vz_refuse(vz, LG_EXIT_BAD_OPTION, "No command line given for exec");
	return r;
}

int vz_exec2(struct vz *vz)
{
	lg_autojson json_t *argv = NULL;
	int r = check(vz);

	if (r < 0)
		return r;
	argv = shell_argv(vz);
	if (!argv)
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "The command is not UTF-8 text");
	return run(vz, argv, NULL, false);
}

int vz_exec(struct vz *vz)
{
	int r = vz_exec2(vz);

	return r > 0 ? LG_EXIT_EXEC : r;
}

int vz_exec3(struct vz *vz)
{
	lg_autojson json_t *argv = json_array();
	int r = check(vz);

	if (r < 0)
		return r;
	for (size_t i = 0; i < vz->nwords; i++)
		if (json_array_append_new(argv, json_string(vz->words[i])) < 0)
			return vz_refuse(vz, LG_EXIT_BAD_VALUE, "The command is not UTF-8 text");
	return run(vz, argv, NULL, false);
}

int vz_enter(struct vz *vz)
{
	static const char shell[] = "HISTFILE=/dev/null; export HISTFILE; "
				    "[ -x /bin/bash ] && exec /bin/bash -l; exec /bin/sh -l";
	lg_autofree char *command = NULL, *script = NULL;
	lg_autojson json_t *argv = NULL;
	int r = need_running(vz);

	if (r < 0)
		return r;
	if (vz->nwords && strcmp(vz->words[0], "--exec") != 0)
		return vz_refuse(vz, LG_EXIT_BAD_OPTION, "Invalid argument: %s", vz->words[0]);
	command = vz->nwords > 1 ? join(vz->words + 1, vz->nwords - 1) : strdup("");
	if (!command ||
	    asprintf(&script, "%s%s%s", command, *command ? "\n" : "", shell) < 0)
		return lg_fail(&vz->cli->err, -ENOMEM, "enter");
	argv = json_pack("[s, s, s]", "/bin/sh", "-c", script);
	if (!argv)
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "The command is not UTF-8 text");
	vz_say(vz, "entered into CT %u", vz->ctid);
	r = run(vz, argv, NULL, isatty(STDIN_FILENO));
	if (r >= 0)
		vz_say(vz, "exited from CT %u", vz->ctid);
	return r;
}

int vz_console(struct vz *vz)
{
	bool start = false;

	for (size_t i = 0; i < vz->nwords; i++) {
		const char *word = vz->words[i];

		if (strcmp(word, "-s") == 0 || strcmp(word, "--start") == 0)
			start = true;
		else if (strcmp(word, "1") != 0 && strcmp(word, "2") != 0)
			return vz_refuse(vz, LG_EXIT_BAD_VALUE,
					 "There is one console, number 1, and no '%s'", word);
	}
	if (start && !vz->running) {
		int r = vz_start(vz, false, false);

		if (r != 0)
			return r;
	}
	return console_run(vz->cli, vz->id);
}

int vz_set_password(const struct vz *vz, const char *userpasswd, bool crypted)
{
	/* A user that is not there is made first; each distribution has its own tool for it. */
	static const char script[] =
		"id \"$1\" >/dev/null 2>&1 || useradd -m \"$1\" 2>/dev/null ||"
		" adduser -D \"$1\" || exit 1; exec chpasswd $2";
	const char *colon = strchr(userpasswd, ':');
	lg_autofree char *user = NULL, *line = NULL;
	lg_autojson json_t *argv = NULL;
	int r;

	if (!colon || colon == userpasswd || *userpasswd == '-' || strchr(userpasswd, '\n'))
		return vz_refuse(vz, LG_EXIT_BAD_VALUE,
				 "Invalid --userpasswd: USER:PASSWORD is wanted");
	user = strndup(userpasswd, (size_t)(colon - userpasswd));
	if (!user || asprintf(&line, "%s\n", userpasswd) < 0)
		return lg_fail(&vz->cli->err, -ENOMEM, "--userpasswd");
	argv = json_pack("[s, s, s, s, s, s*]", "/bin/sh", "-c", script, "sh", user,
			 crypted ? "-e" : NULL);
	if (!argv)
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "The user's name is not UTF-8 text");
	r = run(vz, argv, line, false);
	if (r > 0)
		return vz_refuse(vz, LG_EXIT_PASSWORD,
				 "Unable to set the password of %s: see above", user);
	return r;
}
