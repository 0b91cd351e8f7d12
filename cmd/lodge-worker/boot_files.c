/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-worker/boot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void vars_path(const struct job *job, uint32_t ctid, char path[300])
{
	snprintf(path, 300, "%.250s/ct/%" PRIu32 "/" LG_VM_VARS, job->var, ctid);
}

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

int move_vars(struct move *m, struct lg_err *err)
{
	lg_autoclose int fd = -1;
	char path[300];
	struct stat st;
	int r;

	vars_path(m->job, (uint32_t)lg_json_int(m->request, "ctid", 0), path);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	r = wire_send(&m->ssh.wire, json_pack("{s:s, s:I}", "op", "vars", "size", (json_int_t)st.st_size), err);
	if (r == 0)
		r = wire_send_file(&m->ssh.wire, fd, (uint64_t)st.st_size, &m->stage_bytes, err);
	return r < 0 ? r : wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "done"), NULL, err);
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

int vars_receive(const struct job *job, const struct wire *wire, uint32_t ctid, const json_t *m, struct lg_err *err)
{
	int64_t size = lg_json_int(m, "size", 0);
	lg_autoclose int fd = -1;
	char path[300];
	int r;

	if (size <= 0 || size > (int64_t)LG_VM_VARS_MAX)
		return lg_refuse(err, -EBADMSG, 0, "settings of a firmware of a bad size");
	vars_path(job, ctid, path);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, size) < 0)
		return lg_fail(err, -errno, "make '%s'", path);
	r = wire_recv_file(wire, fd, (uint64_t)size, err);
	return r == 0 && fsync(fd) < 0 ? lg_fail(err, -errno, "write '%s'", path) : r;
}

void boot_hold(const struct job *job, const json_t *vm)
{
	for (size_t i = 0; i < ARRAY_SIZE(roles) && held.n < ARRAY_SIZE(held.fds); i++) {
		int fd = lg_vm_part_hold(job->var, roles[i].role, lg_json_str(vm, roles[i].key), NULL);

		if (fd >= 0)
			held.fds[held.n++] = fd;
	}
}
