/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vzmigrate's command line, of OpenVZ and of Virtuozzo 7, and its exit statuses. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodge/vz.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"

/* clang-format off */
static const struct opt opts[] = {
	{ "remove-area",	'r',	"yes|no",	"remove it here when it is there (yes)" },
	{ "live",		0,	NULL,		"without stopping it" },
	{ "online",		0,	NULL,		"the same" },
	{ "check-only",		0,	NULL,		"only say what is in the way" },
	{ "dry-run",		0,	NULL,		"the same" },
	{ "ssh",		0,	"OPTIONS",	"options for ssh" },
	{ "times",		't',	NULL,		"print how long each stage took" },
	{ "new-id",		0,	"CTID",		"its number there" },
	{ "verbose",		'v',	NULL,		"print more" },
	{ "help",		'h',	NULL,		"print this help" },
	/* accepted, with a warning */
	{ "ssh-mux",		0,	NULL,		NULL },
	{ "rsync",		0,	"OPTIONS",	NULL },
	{ "keep-dst",		0,	NULL,		NULL },
	{ "keep-images",	0,	NULL,		NULL },
	{ "compact",		'c',	NULL,		NULL },
	{ "snapshot",		's',	NULL,		NULL },
	{ "nodeps",		'f',	NULL,		NULL },
	{ "keeper",		0,	NULL,		NULL },
	{ "noiter",		0,	NULL,		NULL },
	{ "readonly",		0,	NULL,		NULL },
	{ "require-realtime",	0,	NULL,		NULL },
	{ "new-name",		0,	"NAME",		NULL },
	{ "new-private",	0,	"FOLDER",	NULL },
	{ "new-root",		0,	"FOLDER",	NULL },
	{ "nonsharedfs",	0,	NULL,		NULL },
	{ "compress",		0,	NULL,		NULL },
	{ "whole-file",		'W',	NULL,		NULL },
	{ 0 },
};

/* What stands in the text of what is in the way. */
static const struct {
	const char *text;
	int status;
} blocks[] = {
	{ "exists there",	VZ_MIGRATE_EXISTS },
	{ "the name ",		VZ_MIGRATE_NAME },
	{ "address",		VZ_MIGRATE_IP_IN_USE },
	{ "MAC",		VZ_MIGRATE_IP_IN_USE },
	{ "CRIU",		VZ_MIGRATE_CPT },
	{ "kernel",		VZ_MIGRATE_CPT },
	{ "CPU",		VZ_MIGRATE_CPU },
};

/* Of lodge's own statuses, whatever the stage. */
static const struct {
	int exit_code, status;
} codes[] = {
	{ LG_EXIT_NO_DAEMON,	VZ_MIGRATE_NO_DAEMON },
	{ LG_EXIT_NO_CONF,	VZ_MIGRATE_NO_CT },
	{ LG_EXIT_LOCKED,	VZ_MIGRATE_LOCKED },
	{ LG_EXIT_BAD_OPTION,	VZ_MIGRATE_USAGE },
	{ LG_EXIT_BAD_VALUE,	VZ_MIGRATE_USAGE },
	{ LG_EXIT_CANNOT_STOP,	VZ_MIGRATE_STOP },
	{ LG_EXIT_IP_IN_USE,	VZ_MIGRATE_IP_IN_USE },
	{ LG_EXIT_NAME,		VZ_MIGRATE_NAME },
};

/* Of the stage that was the last to say something (stages of cmd/lodge-worker/migrate.c). */
static const struct {
	const char *said;
	int status;
} stages[] = {
	{ "connecting",		VZ_MIGRATE_CONNECT },
	{ "asking",		VZ_MIGRATE_CONFIG },
	{ "sending the template", VZ_MIGRATE_COPY },
	{ "sending",		VZ_MIGRATE_COPY },
	{ "shutting",		VZ_MIGRATE_STOP },
	{ "freezing",		VZ_MIGRATE_STOP },
	{ "restoring",		VZ_MIGRATE_START },
};
/* clang-format on */

int vz_move_blocked(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		if (strstr(text, blocks[i].text))
			return blocks[i].status;
	return VZ_MIGRATE_CONFIG;
}

int vz_move_failed(int exit_code, const char *stage)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].exit_code == exit_code)
			return codes[i].status;
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
		if (strncmp(stage, stages[i].said, strlen(stages[i].said)) == 0)
			return stages[i].status;
	return VZ_MIGRATE_CONNECT;
}

/* "--nodeps=cpu": the only option with a value that may be left out, and no value matters here. */
static char **plain_words(size_t nwords, char **words)
{
	static char nodeps[] = "--nodeps", keeper[] = "--keeper";
	char **copy = calloc(nwords + 1, sizeof(*copy));

	for (size_t i = 0; copy && i < nwords; i++) {
		copy[i] = words[i];
		if (strncmp(words[i], "--nodeps=", 9) == 0)
			copy[i] = nodeps;
		if (strncmp(words[i], "--keeper=", 9) == 0)
			copy[i] = keeper;
	}
	return copy;
}

static int read_options(struct vz_move *m, struct lg_err *err)
{
	const char *remove = opt_value(&m->args, "remove-area");

	if (remove && strcmp(remove, "yes") != 0 && strcmp(remove, "no") != 0)
		return lg_refuse(err, -EINVAL, VZ_MIGRATE_USAGE, "-r takes yes or no, not '%.40s'", remove);
	for (size_t i = 0; i < m->args.ngiven; i++) {
		const struct opt *o = m->args.given[i].opt;

		if (!o->help)
			vz_warn("--%s has no meaning here; ignored", o->name);
	}
	m->keep_source = remove && strcmp(remove, "no") == 0;
	m->live = opt_has(&m->args, "live") || opt_has(&m->args, "online");
	m->dry_run = opt_has(&m->args, "check-only") || opt_has(&m->args, "dry-run");
	m->times = opt_has(&m->args, "times");
	m->verbose = opt_has(&m->args, "verbose");
	m->help = opt_has(&m->args, "help");
	m->ssh = opt_value(&m->args, "ssh");
	m->new_id = opt_value(&m->args, "new-id");
	return 0;
}

int vz_move_parse(struct vz_move *m, size_t nwords, char **words, struct lg_err *err)
{
	const struct opt_space space = { .tables = { opts }, .abbreviate = true };
	int r;

	*m = (struct vz_move){ .words = plain_words(nwords, words) };
	if (!m->words)
		return lg_fail(err, -ENOMEM, "read the command line");
	r = opt_parse(&space, nwords, m->words, &m->args, err);
	if (r == 0)
		r = read_options(m, err);
	if (r < 0 || m->help) {
		err->exit_code = r < 0 ? VZ_MIGRATE_USAGE : 0;
		return r;
	}
	if (m->args.nwords < 2)
		return lg_refuse(err, -EINVAL, VZ_MIGRATE_USAGE,
				 "a host and a container are needed: vzmigrate [OPTION]... [USER@]HOST CTID[:NEW]...");
	m->host = m->args.words[0];
	m->pairs = m->args.words + 1;
	m->npairs = m->args.nwords - 1;
	if (m->new_id && m->npairs > 1)
		return lg_refuse(err, -EINVAL, VZ_MIGRATE_USAGE, "--new-id is for one container: name them as CTID:NEW");
	return 0;
}

void vz_move_free(struct vz_move *m)
{
	opt_free(&m->args);
	free(m->words);
	m->words = NULL;
}

int vz_move_pair(const char *pair, char src[64], uint32_t *dst, struct lg_err *err)
{
	size_t n = strcspn(pair, ":"), len;
	const char *to = pair[n] ? pair + n + 1 : NULL;
	char number[16];

	len = to ? strcspn(to, ":") : 0;
	if (n == 0 || n >= 64 || len >= sizeof(number))
		return lg_refuse(err, -EINVAL, VZ_MIGRATE_USAGE, "'%.80s' names no container", pair);
	snprintf(src, 64, "%.*s", (int)n, pair);
	*dst = 0;
	if (!to)
		return 0;
	if (to[len])
		vz_warn("folders of '%.80s' have no meaning here; ignored", pair);
	snprintf(number, sizeof(number), "%.*s", (int)len, to);
	if (len && lg_parse_ctid(number, dst, err) < 0) {
		err->exit_code = VZ_MIGRATE_USAGE;
		return -EINVAL;
	}
	return 0;
}

json_t *vz_move_ssh(const char *options)
{
	json_t *words = json_pack("[s, s, s, s]", "ssh", "-T", "-oBatchMode=yes", "-oConnectTimeout=10");
	char word[256];
	int at = 0;

	while (sscanf(options, " %255s%n", word, &at) == 1) {
		json_array_append_new(words, json_string(word));
		options += at;
	}
	return words;
}
