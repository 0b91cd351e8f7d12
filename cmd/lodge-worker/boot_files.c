/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-worker/boot_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodge-worker/job.h"
#include "cmd/lodge-worker/move.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "vm/transfer.h"

static const struct {
	const char *role, *key;		/* how its identity is called in the VM's description */
} roles[] = {
	{ "base", "base_id" },
	{ "kernel", "modules_id" },
};

/* ---- sending ---- */

static bool is_needed(const struct move *m, const char *role)
{
	json_t *word;
	size_t i;

	json_array_foreach(json_object_get(m->request, "need_boot"), i, word)
		if (json_is_string(word) && strcmp(json_string_value(word), role) == 0)
			return true;
	return false;
}

static int send_part(struct move *m, const struct lg_vm_part *part, struct lg_err *err)
{
	const char *const *files = lg_vm_part_files(part->kernel);
	json_t *obj = lg_vm_part_json(part);
	int r;

	json_object_set_new(obj, "op", json_string("boot"));
	r = wire_send(&m->ssh.wire, obj, err);
	for (unsigned int i = 0; r == 0 && files[i]; i++) {
		lg_autoclose int fd = lg_vm_part_open(m->job->var, part, i, err);

		r = fd < 0 ? fd : wire_send_file(&m->ssh.wire, fd, part->sizes[i], &m->stage_bytes, err);
	}
	return r < 0 ? r : wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "done"), NULL, err);
}

int move_boot_files(struct move *m, struct lg_err *err)
{
	const json_t *vm = json_object_get(m->request, "vm");
	struct lg_vm_part parts[ARRAY_SIZE(roles)];
	uint64_t bytes = 0;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(roles); i++)
		if (is_needed(m, roles[i].role)) {
			r = lg_vm_part_describe(m->job->var, roles[i].role, lg_json_str(vm, roles[i].key), &parts[n], err);
			bytes += r == 0 ? lg_vm_part_bytes(&parts[n++]) : 0;
		}
	if (r == 0 && n > 0)
		printf("P sending what it boots from: %" PRIu64 " MiB\n", (bytes + (1u << 20) - 1) >> 20);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = send_part(m, &parts[i], err);
	return r;
}

/* ---- receiving ---- */

#define PARTS_MAX 2u

/* Open as long as this process is. */
static struct {
	int fds[ARRAY_SIZE(roles) + PARTS_MAX];
	size_t n;
} held;

int boot_receive(const struct job *job, const struct wire *wire, const json_t *m, struct lg_err *err)
{
	struct lg_vm_part part;
	int r = lg_vm_part_read(m, &part, err);

	if (r == 0 && held.n == PARTS_MAX)
		r = lg_refuse(err, -EBADMSG, 0, "more than a VM boots from");
	if (r == 0)
		r = lg_vm_part_receive(job->var, &part, wire->in, &held.fds[held.n], err);
	held.n += r == 0;
	return r;
}

void boot_hold(const struct job *job, const json_t *vm)
{
	for (size_t i = 0; i < ARRAY_SIZE(roles) && held.n < ARRAY_SIZE(held.fds); i++) {
		int fd = lg_vm_part_hold(job->var, roles[i].role, lg_json_str(vm, roles[i].key), NULL);

		if (fd >= 0)
			held.fds[held.n++] = fd;
	}
}
