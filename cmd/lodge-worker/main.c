/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * lodge-worker VERB --var VAR ...: one long job of the daemon, in a process of its own.
 *
 * How it works: it tells on its stdout what it does, a line each:
 *	P TEXT				progress
 *	E ERRNO EXITCODE MESSAGE	it failed, ERRNO positive; the exit status is then 1
 *
 * It dies with the daemon, at once. Every job is made so that a killed one leaves nothing that
 * the next does not clear away.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cmd/lodge-worker/checkpoint.h"
#include "cmd/lodge-worker/criu_probe.h"
#include "cmd/lodge-worker/job.h"
#include "cmd/lodge-worker/migrate.h"
#include "cmd/lodge-worker/vm_disk.h"
#include "ct/facts.h"
#include "ct/procfs.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/msg.h"
#include "lib/parse.h"
#include "storage/disk.h"
#include "storage/dump.h"
#include "storage/layer.h"
#include "storage/shift.h"
#include "storage/template.h"
#include "vm/boot.h"

struct verb {
	const char *name;
	const char *usage;	/* what comes behind the name */
	bool needs_data, needs_name;
	int (*run)(const struct job *job, struct lg_err *err);
};

static void print_progress(const char *line, void *arg)
{
	(void)arg;
	printf("P %s\n", line);
}

static int template_build(const struct job *job, struct lg_err *err)
{
	return lg_template_build(job->var, job->data, job->name, job->force, print_progress,
				 NULL, err);
}

static int empty_trash(const struct job *job, struct lg_err *err)
{
	return lg_layer_empty_trash(job->var, err);
}

static int shift_layer(const struct job *job, struct lg_err *err)
{
	if (job->ctid == 0 || job->base == 0)
		return lg_refuse(err, -EINVAL, 0, "shift-layer wants --ctid and --base");
	return lg_shift_layer(job->var, job->ctid, job->base, job->name, err);
}

/* Where open-lxcfs answers: PROC with the files, or FAILED. */
#define ANSWER 3

#define LXCFS_TRY_US 2000u
#define LXCFS_TRIES 3000u

/* An lxcfs that was started a moment ago mounts itself in its own time, and one that hangs lets us wait. */
static int open_lxcfs(const struct job *job, struct lg_err *err)
{
	struct lg_procfs files;
	struct lg_msg m;
	int r = -ENOENT;

	for (unsigned int i = 0; r == -ENOENT && i < LXCFS_TRIES; i++) {
		r = lg_procfs_open(job->name, &files, err);
		if (r == -ENOENT)
			usleep(LXCFS_TRY_US);
	}
	lg_msg_init(&m, r < 0 ? LG_P_FAILED : LG_P_PROC);
	if (r < 0)
		lg_msg_put_err(&m, err);
	else
		lg_procfs_put(&m, &files);
	return lg_msg_send(ANSWER, &m);
}

static int disk_prepare(const struct job *job, struct lg_err *err)
{
	return lg_disk_prepare(job->var, &job->disk, err);
}

static int disk_grow(const struct job *job, struct lg_err *err)
{
	uint32_t ctid;
	int r = lg_parse_ctid(job->name, &ctid, err);

	return r < 0 ? r : lg_disk_grow(job->var, ctid, job->disk.bytes,
					job->mounted ? STDIN_FILENO : -1, err);
}

static int disk_remake(const struct job *job, struct lg_err *err)
{
	uint32_t ctid;
	int r = lg_parse_ctid(job->name, &ctid, err);

	return r < 0 ? r : lg_disk_remake(job->var, ctid, &job->disk, print_progress, NULL, err);
}

static int check_checkpoint(const struct job *job, struct lg_err *err)
{
	return checkpoint_check(job->name, err);
}

static int ask_criu(const struct job *job, struct lg_err *err)
{
	return criu_probe(job->name, err);
}

static int ask_qemu(const struct job *job, struct lg_err *err)
{
	return qemu_probe(job->name, err);
}

static int dump_pack(const struct job *job, struct lg_err *err)
{
	if (!job->file)
		return lg_refuse(err, -EINVAL, 0, "dump-pack wants --file");
	return lg_dump_pack(job->name, "state.json", job->file, job->key, err);
}

static int dump_unpack(const struct job *job, struct lg_err *err)
{
	if (!job->file)
		return lg_refuse(err, -EINVAL, 0, "dump-unpack wants --file");
	return lg_dump_unpack(job->file, job->key, job->name, err);
}

static int facts(const struct job *job, struct lg_err *err)
{
	struct lg_facts_where where = job->where;
	lg_autojson json_t *all = NULL, *layer = NULL;
	lg_autofree char *text = NULL;
	int r;

	where.var = job->var;
	r = lg_facts_gather(&where, &all, err);
	if (r == 0 && job->ctid)
		r = lg_facts_layer(job->var, job->ctid, &layer, err);
	if (r < 0)
		return r;
	if (layer)
		json_object_set(all, "layer", layer);
	text = json_dumps(all, JSON_COMPACT);
	if (!text)
		return lg_fail(err, -ENOMEM, "describe this host");
	print_progress(text, NULL);
	return 0;
}

static int vm_base(const struct job *job, struct lg_err *err)
{
	struct lg_template t;
	int r = lg_template_load(job->var, job->name, &t, err);

	return r < 0 ? r : lg_vm_base_make(job->var, &t, print_progress, NULL, err);
}

static int vm_kernel(const struct job *job, struct lg_err *err)
{
	struct lg_template t;
	int r;

	if (!job->file)
		return lg_refuse(err, -EINVAL, 0, "vm-kernel wants --file");
	r = lg_template_load(job->var, job->name, &t, err);
	return r < 0 ? r : lg_vm_kernel_make(job->var, &t, job->file, print_progress, NULL, err);
}

/* 33 bytes for each disk that is in use. */
#define USED_MAX (1u << 20)

static int vm_clean(const struct job *job, struct lg_err *err)
{
	lg_autofree char *used = calloc(1, USED_MAX);

	if (!used)
		return lg_fail(err, -ENOMEM, "clean what VMs boot from");
	if (fread(used, 1, USED_MAX - 1, stdin) == USED_MAX - 1)
		return lg_refuse(err, -E2BIG, 0, "more disks are in use than can be told");
	return lg_vm_cache_clean(job->var, used, err);
}

/* Everything in the folder that is descriptor 3, and itself, is on the disk behind this. */
static int sync_folder(const struct job *job, struct lg_err *err)
{
	lg_autodir DIR *dir = fdopendir(ANSWER);
	struct dirent *e;
	int r = dir ? 0 : -errno;

	(void)job;
	while (r == 0 && (e = readdir(dir))) {
		lg_autoclose int fd = e->d_type == DT_REG ? openat(ANSWER, e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;

		if (e->d_type == DT_REG && (fd < 0 || fsync(fd) < 0))
			r = -errno;
	}
	if (r == 0 && fsync(ANSWER) < 0)
		r = -errno;
	return r < 0 ? lg_fail(err, r, "write its memory to the disk") : 0;
}

static const struct verb verbs[] = {
	{ "migrate", "--var VAR - <REQUEST", false, true, migrate_send },
	{ "ask-move", "--var VAR - <REQUEST", false, true, migrate_ask },
	{ "receive", "--var VAR --socket PATH -", false, true, migrate_receive },
	{ "checkpoint-check", "--var VAR INIT-PID <CGROUP", false, true, check_checkpoint },
	{ "disk-prepare", "--var VAR --bytes N [--inodes N]", false, false, disk_prepare },
	{ "disk-grow", "--var VAR --bytes N [--mounted] CTID", false, true, disk_grow },
	{ "disk-remake", "--var VAR [--bytes N] [--inodes N] CTID", false, true, disk_remake },
	{ "criu-probe", "--var VAR PROGRAM", false, true, ask_criu },
	{ "qemu-probe", "--var VAR PROGRAM", false, true, ask_qemu },
	{ "dump-pack", "--var VAR --file FILE [--key FILE] FOLDER", false, true, dump_pack },
	{ "dump-unpack", "--var VAR --file FILE [--key FILE] FOLDER", false, true, dump_unpack },
	{ "template-build", "--var VAR --data DIR NAME [--force]", true, true, template_build },
	{ "empty-trash", "--var VAR", false, false, empty_trash },
	{ "shift-layer", "--var VAR --ctid ID --base ID ROOTFS", false, true, shift_layer },
	{ "open-lxcfs", "--var VAR DIR", false, true, open_lxcfs },
	{ "vm-base", "--var VAR TEMPLATE", false, true, vm_base },
	{ "vm-kernel", "--var VAR --file AGENT TEMPLATE", false, true, vm_kernel },
	{ "vm-clean", "--var VAR <IDENTITIES", false, false, vm_clean },
	{ "sync-folder", "--var VAR 3<FOLDER", false, false, sync_folder },
	{ "vm-disk", "--var VAR --ctid ID --base ID --file SCRATCH <IMAGE", false, false, vm_disk },
	{ "facts", "--var VAR --criu PATH|--no-criu WHY [--lxcfs] [--ctid ID]", false, false, facts },
};

static int usage(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(stderr, "%s lodge-worker %s %s\n", i == 0 ? "usage:" : "      ",
			verbs[i].name, verbs[i].usage);
	return 2;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int parse_job(int argc, char **argv, struct job *job)
{
	static const struct option options[] = {
		{ "var", required_argument, NULL, 'v' },
		{ "data", required_argument, NULL, 'd' },
		{ "force", no_argument, NULL, 'f' },
		{ "socket", required_argument, NULL, 's' },
		{ "mounted", no_argument, NULL, 'm' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "inodes", required_argument, NULL, 'i' },
		{ "ctid", required_argument, NULL, 'c' },
		{ "base", required_argument, NULL, 'B' },
		{ "file", required_argument, NULL, 'F' },
		{ "key", required_argument, NULL, 'k' },
		{ "criu", required_argument, NULL, 'C' },
		{ "no-criu", required_argument, NULL, 'n' },
		{ "lxcfs", no_argument, NULL, 'l' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'v')
			job->var = optarg;
		else if (c == 'd')
			job->data = optarg;
		else if (c == 's')
			job->socket = optarg;
		else if (c == 'f')
			job->force = true;
		else if (c == 'm')
			job->mounted = true;
		else if (c == 'b' && lg_parse_u64(optarg, 1, INT64_MAX, &job->disk.bytes, NULL) == 0)
			continue;
		else if (c == 'i' && lg_parse_u64(optarg, 1, UINT32_MAX, &job->disk.inodes, NULL) == 0)
			continue;
		else if (c == 'c')
			job->ctid = (uint32_t)strtoul(optarg, NULL, 10);
		else if (c == 'B')
			job->base = (uint32_t)strtoul(optarg, NULL, 10);
		else if (c == 'F')
			job->file = optarg;
		else if (c == 'k')
			job->key = optarg;
		else if (c == 'C')
			job->where.criu = optarg;
		else if (c == 'n')
			job->where.criu_why = optarg;
		else if (c == 'l')
			job->where.lxcfs = true;
		else
			return -EINVAL;
	}
	if (optind < argc)
		job->name = argv[optind++];
	return optind == argc && job->var && job->var[0] == '/' ? 0 : -EINVAL;
}

/* The daemon may have died before we asked to be told: then nobody reads our stdout. */
static bool parent_is_gone(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	       (poll(&p, 1, 0) > 0 && p.revents & POLLERR);
}

int main(int argc, char **argv)
{
	const struct verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
	struct job job = { .disk = { .bytes = LG_UNLIMITED, .inodes = LG_UNLIMITED } };
	struct lg_err err = { 0 };
	int r;

	if (!verb || parse_job(argc - 1, argv + 1, &job) < 0 ||
	    verb->needs_data != !!job.data || verb->needs_name != !!job.name)
		return usage();
	if (parent_is_gone())
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = verb->run(&job, &err);
	if (r < 0)
		printf("E %d %d %s\n", -r, err.exit_code, err.msg);
	return r < 0 ? 1 : 0;
}
