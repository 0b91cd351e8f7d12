/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * vzctl chkpnt and restore. OpenVZ could do them in stages (--suspend, --dump, --kill; --undump, --resume), with a container
 * that was frozen in between. Here a suspend is one step, which --suspend begins and ends; the later words then find
 * their work done and say so, so that a script of stages comes to the same end.
 */

#include <string.h>

#include "cmd/lodge/vz.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

static const struct opt chkpnt_opts[] = {
	{ "dumpfile", 0, "FILE", "" }, { "suspend", 0, NULL, "" }, { "dump", 0, NULL, "" },
	{ "kill", 0, NULL, "" }, { "resume", 0, NULL, "" }, { "flags", 0, "N", "" },
	{ "context", 0, "N", "" }, { "keep_ctx", 0, NULL, "" }, { "skip_arpdetect", 0, NULL, "" }, { 0 },
};

static const struct opt restore_opts[] = {
	{ "dumpfile", 0, "FILE", "" }, { "undump", 0, NULL, "" }, { "resume", 0, NULL, "" },
	{ "kill", 0, NULL, "" }, { "flags", 0, "N", "" }, { "context", 0, "N", "" },
	{ "keep_ctx", 0, NULL, "" }, { "skip_arpdetect", 0, NULL, "" }, { "skip-fsck", 0, NULL, "" },
	{ "skip-remount", 0, NULL, "" }, { 0 },
};

static void warn_meaningless(const struct args *args, const char *const *names)
{
	char list[120] = "";
	size_t at = 0;

	for (; *names; names++)
		if (opt_has(args, *names) && at < sizeof(list))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s--%s", at ? ", " : "", *names);
	if (at)
		vz_warn("%s: no meaning here, ignored", list);
}

/* {"file": ...}, or nothing; NULL when the name cannot be one. */
static json_t *file_params(const struct args *args)
{
	const char *file = opt_value(args, "dumpfile");
	char path[GIVEN_PATH];

	if (!file)
		return json_object();
	return *file && given_path(file, path) == 0 ? json_pack("{s:s}", "file", path) : NULL;
}

/* Indented as vzctl does it; what vz_say() prints has no tabs. */
static void stages(const struct vz *vz, const char *const *names)
{
	for (; *names && !vz->quiet; names++)
		printf("\t%s...\n", *names);
	fflush(stdout);
}

static int do_chkpnt(const struct vz *vz, const struct args *args)
{
	static const char *const names[] = { "suspend", "dump", "kill", NULL };
	lg_autojson json_t *answer = NULL;
	json_t *params = file_params(args);
	int r;

	if (!params)
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "Invalid dump file name");
	vz_say(vz, "Setting up checkpoint...");
	r = vz_call(vz, "Suspend", params, &answer);
	if (r < 0) {
		if (vz->cli->err.exit_code == 0)
			vz->cli->err.exit_code = LG_EXIT_CHKPNT;
		fputs("Checkpointing failed\n", stderr);
		return r;
	}
	vz_warnings(answer);
	if (vz->running)
		stages(vz, names);
	vz_say(vz, "Checkpointing completed successfully");
	if (vz->running)
		vz_say(vz, "Container is unmounted");
	return LG_EXIT_OK;
}

static int do_restore(const struct vz *vz, const struct args *args)
{
	static const char *const names[] = { "undump", "resume", NULL };
	json_t *params = file_params(args);
	int r;

	if (!params)
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "Invalid dump file name");
	vz_say(vz, "Restoring container ...");
	r = vz_call(vz, "Resume", params, NULL);
	if (r < 0) {
		if (vz->cli->err.exit_code == 0)
			vz->cli->err.exit_code = LG_EXIT_RESTORE;
		fputs("Restoring failed\n", stderr);
		return r;
	}
	vz_say(vz, "Container is mounted");
	stages(vz, names);
	vz_say(vz, "Container start in progress...");
	vz_say(vz, "Restoring completed successfully");
	return LG_EXIT_OK;
}

/* The stages behind --suspend. */
static int after_suspend(const struct vz *vz, const struct args *args)
{
	if (opt_has(args, "resume"))
		return do_restore(vz, args);
	if (opt_has(args, "dump") && opt_has(args, "dumpfile"))
		return do_chkpnt(vz, args);
	vz_warn("Container is suspended already: there is nothing more to do");
	return LG_EXIT_OK;
}

int vz_chkpnt(struct vz *vz)
{
	static const char *const nothing[] = { "flags", "context", "keep_ctx", "skip_arpdetect", NULL };
	struct args args;
	int r = vz_parse_flags(vz, chkpnt_opts, &args);
	bool later;

	if (r < 0) {
		opt_free(&args);
		return r;
	}
	warn_meaningless(&args, nothing);
	later = opt_has(&args, "dump") || opt_has(&args, "kill") || opt_has(&args, "resume");
	if (vz->suspended && later) {
		r = after_suspend(vz, &args);
	} else if (vz->running && opt_has(&args, "resume")) {
		vz_warn("Container is not suspended: there is nothing to resume");
	} else if (!vz->running && !(vz->suspended && opt_has(&args, "dumpfile"))) {
		r = vz_refuse(vz, LG_EXIT_NOT_RUNNING, "Container is not running");
	} else {
		r = do_chkpnt(vz, &args);
	}
	opt_free(&args);
	return r;
}

int vz_restore(struct vz *vz)
{
	static const char *const nothing[] = { "kill", "flags", "context", "keep_ctx", "skip_arpdetect",
					       "skip-fsck", "skip-remount", NULL };
	struct args args;
	int r = vz_parse_flags(vz, restore_opts, &args);

	if (r < 0) {
		opt_free(&args);
		return r;
	}
	warn_meaningless(&args, nothing);
	/* The second stage behind --undump, which has resumed it. */
	if (vz->running && opt_has(&args, "resume"))
		vz_warn("Container is running already: there is nothing more to do");
	else if (vz->running)
		r = vz_refuse(vz, LG_EXIT_RUNNING, "Container is already running");
	else
		r = do_restore(vz, &args);
	opt_free(&args);
	return r;
}
