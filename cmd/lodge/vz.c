/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vzctl: its flags, its verbs, and the verbs that start, stop and mount. */

#include "cmd/lodge/vz.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodge/text.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

void vz_say(const struct vz *vz, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (vz->quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	puts(text_safe(text));
	fflush(stdout);
}

void vz_warn(const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "WARNING: %s\n", text_safe(text));
}

void vz_warnings(const json_t *answer)
{
	const json_t *texts = json_object_get(answer, "warnings");

	for (size_t i = 0; i < json_array_size(texts); i++)
		vz_warn("%s", json_string_value(json_array_get(texts, i)));
}

int vz_refuse(const struct vz *vz, int exit_code, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return lg_refuse(&vz->cli->err, -EINVAL, exit_code, "%s", text);
}

int vz_call(const struct vz *vz, const char *method, json_t *extra, json_t **ret)
{
	json_t *params = extra ? extra : json_object();
	char full[64];

	json_object_set_new(params, "id", json_string(vz->id));
	snprintf(full, sizeof(full), "io.lodge.%s", method);
	return cli_call(vz->cli, full, params, ret);
}

/* Options of the simple verbs; every other word behind CTID is refused. */
int vz_parse_flags(const struct vz *vz, const struct opt *table, struct args *ret)
{
	const struct opt_space space = { .tables = { table }, .abbreviate = true };
	int r = opt_parse(&space, vz->nwords, vz->words, ret, &vz->cli->err);

	if (r == 0 && ret->nwords)
		r = vz_refuse(vz, LG_EXIT_BAD_OPTION, "Invalid argument: %s", ret->words[0]);
	return r;
}

/* ---- start and stop ---- */

int vz_start(const struct vz *vz, bool wait, bool force)
{
	int r;

	vz_say(vz, "Starting container...");
	/* As vzctl has it: a start makes a dump worthless. */
	if (vz->suspended)
		vz_warn("Container was suspended: what was in its memory is lost (vzctl resume goes on with it)");
	if (wait)
		vz_say(vz, "Container start in progress, waiting ...");
	r = vz_call(vz, "Start", json_pack("{s:b, s:b, s:b}", "wait", wait, "force", force, "anew",
				     vz->suspended), NULL);
	if (r < 0)
		return r;
	vz_say(vz, wait ? "Container started successfully" : "Container start in progress...");
	return LG_EXIT_OK;
}

static const struct opt start_opts[] = {
	{ "wait", 0, NULL, "" }, { "force", 0, NULL, "" }, { "skip-fsck", 0, NULL, "" },
	{ "skip-remount", 0, NULL, "" }, { "skip_ve_setup", 0, NULL, "" }, { 0 },
};

static int start(struct vz *vz)
{
	struct args args;
	int r = vz_parse_flags(vz, start_opts, &args);

	if (r == 0 && vz->running)
		r = vz_refuse(vz, LG_EXIT_RUNNING, "Container is already running");
	if (r == 0)
		r = vz_start(vz, opt_has(&args, "wait"), opt_has(&args, "force"));
	opt_free(&args);
	return r;
}

int vz_stop(const struct vz *vz, bool fast)
{
	int r;

	vz_say(vz, "Stopping container ...");
	/* Whatever VE_STOP_MODE says: that is for the host's shutdown, not for this word. */
	r = vz_call(vz, "Stop", json_pack("{s:b, s:s}", "fast", fast, "mode", "stop"), NULL);
	if (r < 0) {
		if (vz->cli->err.exit_code == 0)
			vz->cli->err.exit_code = LG_EXIT_CANNOT_STOP;
		return r;
	}
	vz_say(vz, "Container was stopped");
	vz_say(vz, "Container is unmounted");
	return LG_EXIT_OK;
}

static const struct opt stop_opts[] = {
	{ "fast", 0, NULL, "" }, { "skip-umount", 0, NULL, "" }, { 0 },
};

static int stop(struct vz *vz)
{
	struct args args;
	int r = vz_parse_flags(vz, stop_opts, &args);

	if (r == 0 && !vz->running) {
		fputs("Unable to stop: container is not running\n", stderr);
		r = LG_EXIT_OK;
	} else if (r == 0) {
		r = vz_stop(vz, opt_has(&args, "fast"));
	}
	opt_free(&args);
	return r;
}

static int restart(struct vz *vz)
{
	static const struct opt opts[] = {
		{ "wait", 0, NULL, "" }, { "force", 0, NULL, "" }, { "fast", 0, NULL, "" },
		{ "skip-fsck", 0, NULL, "" }, { "skip-remount", 0, NULL, "" },
		{ "skip-umount", 0, NULL, "" }, { "skip_ve_setup", 0, NULL, "" }, { 0 },
	};
	struct args args;
	int r = vz_parse_flags(vz, opts, &args);

	if (r == 0) {
		vz_say(vz, "Restarting container");
		if (vz->running)
			r = vz_stop(vz, opt_has(&args, "fast"));
	}
	if (r == 0)
		r = vz_start(vz, opt_has(&args, "wait"), opt_has(&args, "force"));
	opt_free(&args);
	return r;
}

/* ---- the others ---- */

static int destroy(struct vz *vz)
{
	lg_autojson json_t *answer = NULL;
	const char *path;
	int r;

	if (vz->running)
		return vz_refuse(vz, LG_EXIT_RUNNING,
				 "Container is currently running. Stop it first.");
	if (vz->mounted)
		return vz_refuse(vz, LG_EXIT_MOUNTED,
				 "Container is currently mounted. Unmount it first.");
	r = vz_call(vz, "Show", NULL, &answer);
	if (r < 0)
		return r;
	path = lg_json_str(json_object_get(answer, "instance"), "private_path");
	vz_say(vz, "Destroying container private area: %s", path ? path : "?");
	/* A suspended one goes with its dump. */
	r = vz_call(vz, "Destroy", json_pack("{s:b}", "force", vz->suspended), NULL);
	if (r == 0)
		vz_say(vz, "Container private area was destroyed");
	return r;
}

static int status(struct vz *vz)
{
	printf("CTID %u %s %s %s%s\n", vz->ctid, vz->exists ? "exist" : "deleted",
	       vz->mounted ? "mounted" : "unmounted", vz->running ? "running" : "down",
	       vz->suspended ? " suspended" : "");
	return LG_EXIT_OK;
}

static int mount(struct vz *vz)
{
	int r;

	if (vz->mounted || vz->running) {
		fputs("Container is already mounted\n", stderr);
		return LG_EXIT_OK;
	}
	r = vz_call(vz, "Mount", NULL, NULL);
	if (r == 0)
		vz_say(vz, "Container is mounted");
	return r;
}

static int umount(struct vz *vz)
{
	int r;

	if (vz->running)
		return vz_refuse(vz, LG_EXIT_RUNNING, "Container is running -- stop it first");
	if (!vz->mounted)
		return vz_refuse(vz, LG_EXIT_NOT_MOUNTED, "CT is not mounted");
	r = vz_call(vz, "Umount", NULL, NULL);
	if (r == 0)
		vz_say(vz, "Container is unmounted");
	return r;
}

/* ---- dispatch ---- */

static const struct vz_verb {
	const char *name;
	int (*run)(struct vz *vz);
	bool unmade;		/* may be called for a container that is not there */
	const char *usage;
} vz_verbs[] = {
	{ "create", vz_create, true,
	  "CTID [--ostemplate NAME] [--config NAME] [--hostname H] [--ipadd A] [parameters]" },
	{ "destroy", destroy, false, "CTID" },
	{ "delete", destroy, false, "CTID" },
	{ "start", start, false, "CTID [--force] [--wait]" },
	{ "stop", stop, false, "CTID [--fast]" },
	{ "restart", restart, false, "CTID [--force] [--wait] [--fast]" },
	{ "status", status, true, "CTID" },
	{ "chkpnt", vz_chkpnt, false, "CTID [--dumpfile FILE]" },
	{ "suspend", vz_chkpnt, false, "CTID [--dumpfile FILE]" },
	{ "restore", vz_restore, false, "CTID [--dumpfile FILE]" },
	{ "resume", vz_restore, false, "CTID [--dumpfile FILE]" },
	{ "mount", mount, false, "CTID" },
	{ "umount", umount, false, "CTID" },
	{ "set", vz_set, false, "CTID [--save] [--force] [--setmode restart|ignore] [parameters]" },
	{ "exec", vz_exec, false, "CTID COMMAND [ARG ...]" },
	{ "exec2", vz_exec2, false, "CTID COMMAND [ARG ...]" },
	{ "exec3", vz_exec3, false, "CTID COMMAND [ARG ...]" },
	{ "enter", vz_enter, false, "CTID [--exec COMMAND [ARG ...]]" },
	{ "console", vz_console, false, "CTID [TTY]" },
};

static void usage(FILE *f)
{
	fputs("vzctl, spoken by lodge " LODGE_VERSION "\n"
	      "Usage: vzctl [--quiet|--verbose|--skiplock] VERB CTID|NAME [OPTION]...\n"
	      "       vzctl --version|--help\n\n", f);
	for (size_t i = 0; i < ARRAY_SIZE(vz_verbs); i++) {
		size_t at = 8 + strlen(vz_verbs[i].name);

		fprintf(f, "  vzctl %s ", vz_verbs[i].name);
		text_wrap(f, at, 10, vz_verbs[i].usage);
	}
	fputs("\nParameters of create and set are those of vzctl's manual; lodge.8 says which "
	      "of\nthem have a meaning here.\n", f);
}

/* From what was typed to a number, and how that container is now. */
static int look_up(struct vz *vz, const char *id)
{
	lg_autojson json_t *answer = NULL;
	uint64_t number = 0;
	bool is_number = lg_parse_u64(id, 0, LG_CTID_MAX, &number, NULL) == 0;
	json_t *params = json_pack("{s:s}", "id", id);
	int r;

	if (!params || *id == '\0')
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "Invalid CT ID");
	r = cli_call(vz->cli, "io.lodge.Status", params, &answer);
	if (r < 0)
		return r;
	vz->exists = lg_json_bool(answer, "exists", false);
	vz->running = lg_json_bool(answer, "running", false);
	vz->mounted = lg_json_bool(answer, "mounted", false);
	vz->suspended = lg_json_bool(answer, "suspended", false);
	vz->ctid = is_number ? (uint32_t)number : (uint32_t)lg_json_int(answer, "ctid", 0);
	snprintf(vz->id, sizeof(vz->id), "%u", vz->ctid);
	if (!is_number && vz->ctid == 0)
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "Unable to find container by name: %s", id);
	return 0;
}

static int host_itself(struct vz *vz)
{
	if (strcmp(vz->verb, "set") != 0)
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "Only set operation is allowed with CT0");
	vz_warn("CT0 is this host: its limits are not lodge's to set, nothing was changed");
	return LG_EXIT_OK;
}

static int run_verb(struct vz *vz, const struct vz_verb *verb, const char *id)
{
	uint64_t number = 1;
	int r;

	if (!id)
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "CT ID missing");
	if (lg_parse_u64(id, 0, UINT64_MAX - 1, &number, NULL) == 0 && number == 0)
		return host_itself(vz);
	r = look_up(vz, id);
	if (r < 0)
		return r;
	if (!vz->exists && !verb->unmade)
		return vz_refuse(vz, LG_EXIT_NO_CONF, "Container config file does not exist");
	return verb->run(vz);
}

/* Flags stand before the verb; answers how many there are, or -1 when the call is over. */
static int read_flags(struct vz *vz, size_t nwords, char **words, int *status_)
{
	size_t i = 1;

	for (; i < nwords && strncmp(words[i], "--", 2) == 0; i++) {
		const char *flag = words[i] + 2;

		if (strcmp(flag, "quiet") == 0) {
			vz->quiet = true;
		} else if (strcmp(flag, "version") == 0) {
			puts("vzctl version " LODGE_VERSION " (lodge)");
			*status_ = LG_EXIT_OK;
			return -1;
		} else if (strcmp(flag, "help") == 0) {
			usage(stdout);
			*status_ = LG_EXIT_OK;
			return -1;
		} else if (strcmp(flag, "verbose") != 0 && strcmp(flag, "skiplock") != 0) {
			*status_ = vz_refuse(vz, LG_EXIT_BAD_OPTION, "Invalid option: %s", words[i]);
			return -1;
		}
	}
	if (i < nwords)
		return (int)i;
	usage(stderr);
	*status_ = LG_EXIT_BAD_OPTION;
	return -1;
}

int vzctl_run(struct cli *cli, size_t nwords, char **words)
{
	struct vz vz = { .cli = cli };
	int r = LG_EXIT_OK, at;

	cli->who = "";	/* vzctl's messages stand alone */
	at = read_flags(&vz, nwords, words, &r);
	if (at < 0)
		return r;
	vz.verb = words[at];
	vz.words = words + at + 2;
	vz.nwords = nwords > (size_t)at + 2 ? nwords - (size_t)at - 2 : 0;
	for (size_t i = 0; i < ARRAY_SIZE(vz_verbs); i++)
		if (strcmp(vz_verbs[i].name, vz.verb) == 0)
			return run_verb(&vz, &vz_verbs[i],
					nwords > (size_t)at + 1 ? words[at + 1] : NULL);
	return vz_refuse(&vz, LG_EXIT_BAD_OPTION, "Bad command: %s", vz.verb);
}

/* ---- all of the programs ---- */

int (*vz_program(const char *name))(struct cli *cli, size_t nwords, char **words)
{
	static const struct {
		const char *name;
		int (*run)(struct cli *cli, size_t nwords, char **words);
	} programs[] = {
		{ "vzctl", vzctl_run }, { "vzlist", vzlist_run }, { "vzmigrate", vzmigrate_run },
	};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (strcmp(programs[i].name, name) == 0)
			return programs[i].run;
	return NULL;
}
