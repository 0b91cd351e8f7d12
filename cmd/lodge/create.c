/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

/* The word of `create` is a number, or a name for it. */
static int place_word(struct cli *cli, const char *word, json_t *settings, uint32_t *ctid)
{
	int r = lg_parse_ctid(word, ctid, &cli->err);

	if (r != -EINVAL)
		return r;
	r = lg_check_name(word, &cli->err);
	if (r < 0)
		return r;
	if (lg_json_str(settings, "name"))
		return cli_usage(cli, "create: both '%s' and --name %s name it", word,
				 lg_json_str(settings, "name"));
	json_object_set_new(settings, "name", json_string(word));
	return 0;
}

static void report(const struct cli *cli, const json_t *instance)
{
	const char *template = lg_json_str(instance, "template");
	char label[LABEL_MAX], addresses[400];

	if (cli->quiet) {
		printf("%lld\n", (long long)lg_json_int(instance, "ctid", 0));
		return;
	}
	out_addresses(instance, addresses, sizeof(addresses));
	out_line(cli, "created %s from %s%s%s", out_label(instance, label),
		 template ? template : "its own disk", addresses[0] ? ", " : "", addresses);
}

/* As the caller: what he may not read he cannot make a disk of. */
static int open_image(struct cli *cli, int *ret)
{
	const char *path = opt_value(&cli->args, "disk-image");
	int fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;

	if (path && fd < 0)
		return lg_fail(&cli->err, -errno, "disk-image: open '%s'", path);
	*ret = fd;
	return 0;
}

static int run(struct cli *cli)
{
	lg_autoclose int image = -1;
	lg_autojson json_t *settings = NULL, *keys = NULL, *answer = NULL;
	bool start = opt_has(&cli->args, "start"), vm = opt_has(&cli->args, "vm");
	json_t *params, *instance;
	uint32_t ctid = 0;
	int r = given_settings(cli, &settings);

	if (r == 0 && opt_has(&cli->args, "vm"))
		json_object_set_new(settings, "kind", json_string("vm"));
	if (r == 0 && opt_has(&cli->args, "vnc"))
		json_object_set_new(settings, "screen", json_string("vnc"));
	if (r == 0)
		r = open_image(cli, &image);
	if (r == 0)
		r = given_ssh_keys(cli, &keys);
	if (r == 0 && cli->args.nwords)
		r = place_word(cli, cli->args.words[0], settings, &ctid);
	if (r < 0)
		return r;
	params = json_pack("{s:O, s:O}", "settings", settings, "ssh_keys", keys);
	if (ctid)
		json_object_set_new(params, "ctid", json_integer(ctid));
	if (start)
		json_object_set_new(params, "start", json_true());
	if (image >= 0) {
		json_object_set_new(params, "disk_image", json_true());
		cli->send_fd = image;
	}
	r = cli_call_long(cli, "io.lodge.Create", params, vm ? "creating the VM" : "creating the container",
			  image >= 0 ? "interrupted; nothing of it is kept" :
				       "interrupted; lodged goes on creating it (lodge list -a shows it)",
			  &answer);
	if (r < 0)
		return r;
	out_warnings(cli, json_object_get(answer, "warnings"));
	instance = json_object_get(answer, "instance");
	if (cli->json)
		out_json(instance);
	else
		report(cli, instance);
	return LG_EXIT_OK;
}

static const struct opt opts[] = {
	{ "ssh-key", 0, "FILE", "let the public keys in FILE log in as root; repeatable" },
	{ "start", 0, NULL, "start it, too" },
	{ "disk-image", 0, "FILE", "make it a VM's disk: qcow2, raw, vmdk or vhdx, told by its content" },
	{ "vnc", 0, NULL, "of such a VM: give it a screen (--screen vnc)" },
	{ "vm", 0, NULL, "make a microVM: the same, with a kernel of its own (--kind vm)" },
	{ 0 },
};

const struct verb verb_create = {
	.name = "create",
	.args = "[ID|NAME] [--template NAME] [OPTION]...",
	.help = "make a container or a microVM from a template",
	.more = "Without a number the next free one from 101 on is taken. Every setting can be "
		"changed later with lodge set, most of them while the container runs. Prints "
		"what was made; with --quiet only its number. A microVM has 512M of memory, one CPU and a "
		"disk of 10G unless told otherwise, and a kernel from a kernel template. With --disk-image, "
		"--cdrom or --os it boots what is on its own disk, and no template.",
	.group = VERBS_LIFE,
	.opts = opts,
	.settings = CREATE_SETTINGS,
	.max_words = 1,
	.run = run,
};
