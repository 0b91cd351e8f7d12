/* SPDX-License-Identifier: GPL-2.0-or-later */

/* start, stop, restart, destroy, mount, umount: each for as many instances as are named. */

#include <string.h>

#include "cmd/lodge/verbs.h"
#include "lib/exit.h"
#include "lib/json.h"

struct job {
	const char *method;
	const char *doing;	/* "starting" */
	void (*done)(const struct cli *cli, const char *id, const json_t *answer);
};

static int one(struct cli *cli, const struct job *job, const char *id, json_t *extra)
{
	lg_autojson json_t *answer = NULL;
	json_t *params = json_pack("{s:s}", "id", id);
	char what[200], goes_on[300];
	int r;

	if (!params)
		return cli_usage(cli, "'%s' is not UTF-8 text", id);
	if (extra)
		json_object_update(params, extra);
	snprintf(what, sizeof(what), "%s %s", job->doing, id);
	snprintf(goes_on, sizeof(goes_on),
		 "interrupted; lodged goes on %s %s (lodge list -a shows how far it is)",
		 job->doing, id);
	r = cli_call_long(cli, job->method, params, what, goes_on, &answer);
	if (r < 0)
		return r;
	out_warnings(cli, json_object_get(answer, "warnings"));
	if (cli->json)
		out_json(json_object_get(answer, "instance") ?
				 json_object_get(answer, "instance") : answer);
	else
		job->done(cli, id, answer);
	return 0;
}

/* One that fails does not keep the others from being tried; the first failure is the status. */
static int each(struct cli *cli, const struct job *job, json_t *extra)
{
	int status = LG_EXIT_OK;

	for (size_t i = 0; i < cli->args.nwords && status != LG_EXIT_NO_DAEMON; i++) {
		int r = cli_status(cli, one(cli, job, cli->args.words[i], extra));

		status = status ? status : r;
		cli->err = (struct lg_err){ 0 };
	}
	return status;
}

static json_t *flags(const struct cli *cli, const char *const *names)
{
	json_t *set = json_object();

	for (; *names; names++)
		if (opt_has(&cli->args, *names))
			json_object_set_new(set, *names, json_true());
	return set;
}

static int run(struct cli *cli, const struct job *job)
{
	static const char *const names[] = { "wait", "force", "fast", NULL };
	lg_autojson json_t *extra = flags(cli, names);
	json_int_t seconds;
	int r = given_seconds(cli, "timeout", &seconds);

	if (r < 0)
		return r;
	if (seconds)
		json_object_set_new(extra, "timeout", json_integer(seconds));
	if (opt_has(&cli->args, "stop-mode"))
		json_object_set_new(extra, "mode", json_string(opt_value(&cli->args, "stop-mode")));
	if (opt_has(&cli->args, "host-down"))
		json_object_set_new(extra, "host_down", json_true());
	return each(cli, job, extra);
}

static void say_state(const struct cli *cli, const char *word, const json_t *answer)
{
	const json_t *instance = json_object_get(answer, "instance");
	char label[LABEL_MAX], addresses[400];

	out_addresses(instance, addresses, sizeof(addresses));
	out_line(cli, "%s %s%s%s", word, out_label(instance, label), addresses[0] ? ", " : "",
		 addresses);
}

static void started(const struct cli *cli, const char *id, const json_t *answer)
{
	(void)id;
	say_state(cli, "started", answer);
}

static void restarted(const struct cli *cli, const char *id, const json_t *answer)
{
	(void)id;
	say_state(cli, "restarted", answer);
}

static void stopped(const struct cli *cli, const char *id, const json_t *answer)
{
	bool asleep = lg_json_bool(answer, "suspended", false);

	if (asleep)
		out_line(cli, "%s %s", lg_json_bool(answer, "was_running", true) ? "suspended" :
			 "already suspended:", id);
	else if (!lg_json_bool(answer, "was_running", true))
		out_line(cli, "%s was not running", id);
	else if (lg_json_bool(answer, "killed", false) && !opt_has(&cli->args, "fast"))
		out_line(cli, "stopped %s; it had to be killed", id);
	else
		out_line(cli, "stopped %s", id);
}

static void destroyed(const struct cli *cli, const char *id, const json_t *answer)
{
	const char *kept = lg_json_str(answer, "conf_kept");

	out_line(cli, "destroyed %s%s%s", id, kept ? "; its settings are kept in " : "",
		 kept ? kept : "");
}

static void mounted(const struct cli *cli, const char *id, const json_t *answer)
{
	const char *path = lg_json_str(answer, "path");

	(void)id;
	out_line(cli, "%s", path ? path : "mounted");
}

static void umounted(const struct cli *cli, const char *id, const json_t *answer)
{
	(void)answer;
	out_line(cli, "unmounted %s", id);
}

/* Where the images are goes with the state: the file is what will be looked for. */
static void suspended(const struct cli *cli, const char *id, const json_t *answer)
{
	const char *file = lg_json_str(json_object_get(answer, "instance"), "checkpoint_file");
	char label[LABEL_MAX];

	(void)id;
	if (file)
		out_line(cli, "suspended %s to %s", out_label(json_object_get(answer, "instance"), label), file);
	else
		say_state(cli, "suspended", answer);
}

static void resumed(const struct cli *cli, const char *id, const json_t *answer)
{
	(void)id;
	say_state(cli, "resumed", answer);
}

static int each_with_file(struct cli *cli, const struct job *job)
{
	const char *file = opt_value(&cli->args, "dumpfile");
	static const char *const names[] = { "force", NULL };
	lg_autojson json_t *extra = flags(cli, names);
	char path[GIVEN_PATH];

	if (file && cli->args.nwords > 1)
		return cli_usage(cli, "--dumpfile is for one container");
	if (file && (given_path(file, path) < 0 || json_object_set_new(extra, "file", json_string(path)) < 0))
		return cli_usage(cli, "--dumpfile: the name is too long, or no UTF-8 text");
	return each(cli, job, extra);
}

static int run_suspend(struct cli *cli)
{
	static const struct job job = { "io.lodge.Suspend", "suspending", suspended };

	return each_with_file(cli, &job);
}

static int run_resume(struct cli *cli)
{
	static const struct job job = { "io.lodge.Resume", "resuming", resumed };

	return each_with_file(cli, &job);
}

static int run_start(struct cli *cli)
{
	static const struct job job = { "io.lodge.Start", "starting", started };

	return run(cli, &job);
}

static int run_stop(struct cli *cli)
{
	static const struct job job = { "io.lodge.Stop", "stopping", stopped };
	const char *mode = opt_value(&cli->args, "stop-mode");

	if (mode && strcmp(mode, "stop") != 0 && strcmp(mode, "suspend") != 0)
		return cli_usage(cli, "--stop-mode '%s' is neither stop nor suspend", mode);
	return run(cli, &job);
}

static int run_restart(struct cli *cli)
{
	static const struct job job = { "io.lodge.Restart", "restarting", restarted };

	return run(cli, &job);
}

static int run_destroy(struct cli *cli)
{
	static const struct job job = { "io.lodge.Destroy", "destroying", destroyed };

	return run(cli, &job);
}

static int run_mount(struct cli *cli)
{
	static const struct job job = { "io.lodge.Mount", "mounting", mounted };

	return run(cli, &job);
}

static int run_umount(struct cli *cli)
{
	static const struct job job = { "io.lodge.Umount", "unmounting", umounted };

	return run(cli, &job);
}

#define MANY 100000u
#define COMMON .missing = "say which by number or name", .min_words = 1, .max_words = MANY, \
	       .word = WORD_INSTANCE, .group = VERBS_LIFE, .args = "ID..."

static const struct opt start_opts[] = {
	{ "wait", 'w', NULL, "return when the guest's init says that it is up" },
	{ "timeout", 't', "SECONDS", "with --wait: give up after this long (120)" },
	{ "force", 'f', NULL, "start it even though it is disabled" },
	{ 0 },
};

const struct verb verb_start = {
	COMMON,
	.name = "start",
	.help = "start containers",
	.more = "Returns as soon as init runs inside; with --wait when init has brought the "
		"system up. A start that fails leaves nothing behind.",
	.opts = start_opts,
	.run = run_start,
};

static const struct opt stop_opts[] = {
	{ "fast", 'f', NULL, "kill it at once instead of asking its init to shut down" },
	{ "timeout", 't', "SECONDS", "kill it when it takes longer (120, or its stop-timeout)" },
	{ "stop-mode", 0, "stop|suspend", "shut it down or suspend it, whatever its setting says" },
	{ "host-down", 0, NULL, "the host goes down: what is suspended is resumed when it is up again" },
	{ 0 },
};

const struct verb verb_stop = {
	COMMON,
	.name = "stop",
	.help = "shut containers down",
	.more = "Stopping what does not run is no error. With the setting stop-mode suspend it is suspended "
		"instead, unless --fast is given; with --host-down, when that fails, it is shut down.",
	.opts = stop_opts,
	.run = run_stop,
};

static const struct opt restart_opts[] = {
	{ "fast", 'f', NULL, "kill it at once instead of asking its init to shut down" },
	{ "timeout", 't', "SECONDS", "kill it when stopping takes longer" },
	{ "wait", 'w', NULL, "return when the guest's init says that it is up again" },
	{ 0 },
};

const struct verb verb_restart = {
	COMMON,
	.name = "restart",
	.help = "stop containers and start them again",
	.opts = restart_opts,
	.run = run_restart,
};

static const struct opt destroy_opts[] = {
	{ "force", 'f', NULL, "stop it first if it runs" },
	{ 0 },
};

const struct verb verb_destroy = {
	COMMON,
	.name = "destroy",
	.alias = "delete",
	.help = "remove containers and their files for good",
	.more = "The settings stay behind as ID.conf.destroyed.",
	.opts = destroy_opts,
	.run = run_destroy,
};

static const struct opt suspend_opts[] = {
	{ "dumpfile", 0, "FILE", "into one file, which may be copied" },
	{ 0 },
};

static const struct opt resume_opts[] = {
	{ "dumpfile", 0, "FILE", "out of that file" },
	{ "force", 'f', NULL, "also when it may have moved to another host, which does not say so" },
	{ 0 },
};

const struct verb verb_suspend = {
	COMMON,
	.name = "suspend",
	.alias = "chkpnt",
	.help = "write running containers to disk, with memory, connections and all",
	.more = "`resume` continues them where they were, also after a reboot of the host. When it fails they run "
		"on; what cannot be suspended (`lodge checkpoint --check`) is found before anything is touched, and what will "
		"not come back as it was is told. A dump file is for root alone, with a checksum, and encrypted where CHECKPOINT_KEY in lodge.conf "
		"names a key; with it and a copy of the container's files it can be resumed elsewhere. Of one that is "
		"suspended already --dumpfile moves the images there.",
	.opts = suspend_opts,
	.run = run_suspend,
};

const struct verb verb_resume = {
	COMMON,
	.name = "resume",
	.alias = "restore",
	.help = "continue suspended containers where they were",
	.more = "When it fails they stay suspended. A dump file is refused when the container has run since, as "
		"its files are not those that its memory knows any more.",
	.opts = resume_opts,
	.run = run_resume,
};

const struct verb verb_mount = {
	COMMON,
	.name = "mount",
	.help = "mount the file system of stopped containers; prints where",
	.run = run_mount,
};

const struct verb verb_umount = {
	COMMON,
	.name = "umount",
	.help = "undo mount",
	.run = run_umount,
};
