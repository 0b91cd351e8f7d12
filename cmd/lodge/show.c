/* SPDX-License-Identifier: GPL-2.0-or-later */

/* show, status */

#include <string.h>

#include "cmd/lodge/columns.h"
#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

static void line(const char *label, const char *value)
{
	char safe[1100];

	if (!value || !*value)
		return;
	snprintf(safe, sizeof(safe), "%s", value);
	printf("  %-16s %s\n", label, text_safe(safe));
}

/* Facts that are columns of the list, too, under the list's names. */
static void column_lines(const json_t *instance, const char *const *names)
{
	for (; *names; names++) {
		const struct column *c = column_find(columns, *names, strlen(*names));
		char cell[CELL_MAX] = "";

		if (c)
			c->get(instance, cell);
		line(*names, cell);
	}
}

static void settings(const json_t *instance)
{
	const json_t *set = json_object_get(instance, "settings");
	const json_t *effects = json_object_get(instance, "effects");
	char text[1100];

	for (size_t i = 0; i < lg_nsettings; i++) {
		const char *name = lg_settings[i].name;
		const char *value = name ? lg_json_str(set, name) : NULL;
		const char *effect = name ? lg_json_str(effects, name) : NULL;

		if (!value)
			continue;
		snprintf(text, sizeof(text), effect ? "%s  (%s)" : "%s", value, effect);
		line(name, text);
	}
}

/* Keys of the conf file that no setting of lodge stands for: kept for vzctl's sake. */
static void kept(const json_t *instance)
{
	json_t *conf = json_object_get(instance, "conf");
	bool first = true;
	const char *key;
	json_t *value;

	json_object_foreach(conf, key, value) {
		const struct lg_setting *s = lg_setting_by_key(key);
		char text[400];

		if ((s && s->name) || !json_is_string(value))
			continue;
		snprintf(text, sizeof(text), "%s=\"%s\"", key, json_string_value(value));
		line(first ? "also kept" : "", text);
		first = false;
	}
}

static void sheet(const json_t *instance)
{
	static const char *const facts[] = { "machine", "kernel", "uptime", "suspended", "checkpoint", "pid", "created", NULL };
	static const char *const used[] = { "memory", "memory-peak", "guest-memory", "overhead", "swap", "cpu", "tasks",
					    "guest-tasks", "oom", "disk", "inodes", "rx", "tx", NULL };
	char label[LABEL_MAX], addresses[1024], state[CELL_MAX];
	const struct column *c = column_find(columns, "state", 5);
	const char *kind = lg_json_str(instance, "kind");

	c->get(instance, state);
	printf("%s: %s%s\n", text_safe((char *)(uintptr_t)out_label(instance, label)), state,
	       strcmp(kind ? kind : "", "vm") == 0 ? " VM" : "");
	column_lines(instance, facts);
	out_addresses(instance, addresses, sizeof(addresses));
	line("addresses", addresses);
	line("last exit", lg_json_str(instance, "last_exit"));
	line("hangs", lg_json_str(instance, "hangs"));
	line("unsettled", lg_json_str(instance, "unsettled"));
	line("conf file", lg_json_str(instance, "conf_path"));
	line("files", lg_json_str(instance, "private_path"));
	line("dump file", lg_json_str(instance, "checkpoint_file"));
	line("root", lg_json_str(instance, "root"));
	line("screen (VNC)", lg_json_str(instance, "vnc"));
	puts("settings");
	settings(instance);
	kept(instance);
	if (json_object_size(json_object_get(instance, "usage"))) {
		puts("in use");
		column_lines(instance, used);
	}
}

static int run_show(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	json_t *params = json_pack("{s:s}", "id", cli->args.words[0]), *instance;
	int r;

	if (!params)
		return cli_usage(cli, "show: not UTF-8 text");
	r = cli_call(cli, "io.lodge.Show", params, &answer);
	if (r < 0)
		return r;
	instance = json_object_get(answer, "instance");
	if (cli->json)
		out_json(instance);
	else
		sheet(instance);
	return LG_EXIT_OK;
}

const struct verb verb_show = {
	.name = "show",
	.args = "ID",
	.help = "print all that is known of a container",
	.group = VERBS_LOOK,
	.min_words = 1,
	.max_words = 1,
	.missing = "say which by number or name",
	.word = WORD_INSTANCE,
	.run = run_show,
};

static const char *status_word(const json_t *s)
{
	static const char *const states[] = { "running", "suspended", "mounted" };

	if (!lg_json_bool(s, "exists", false))
		return "absent";
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (lg_json_bool(s, states[i], false))
			return states[i];
	return "stopped";
}

static int run_status(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	json_t *params = json_pack("{s:s}", "id", cli->args.words[0]);
	int r;

	if (!params)
		return cli_usage(cli, "status: not UTF-8 text");
	r = cli_call(cli, "io.lodge.Status", params, &answer);
	if (r < 0)
		return r;
	if (cli->json)
		out_json(answer);
	else
		puts(status_word(answer));
	return lg_json_bool(answer, "exists", false) ? LG_EXIT_OK : LG_EXIT_NO_CONF;
}

const struct verb verb_status = {
	.name = "status",
	.args = "ID",
	.help = "print running, stopped, mounted, suspended or absent",
	.more = "Exits with 0 when there is such a container and with 14 when there is none.",
	.group = VERBS_LOOK,
	.min_words = 1,
	.max_words = 1,
	.missing = "say which by number or name",
	.word = WORD_INSTANCE,
	.run = run_status,
};
