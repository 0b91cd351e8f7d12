/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What is in the machine's drive, changed while it runs.
 *
 * How it works: QEMU gets the file as a descriptor and opens it before the guest notices anything. Then the drive is opened, emptied,
 * filled and closed. A guest that has locked it is asked to open it, as somebody who presses the drive's button does; one that
 * has not done so in time has it opened by force, which is told. Each file is a node and a set of descriptors of the same
 * name: of all that are there, those that are not in the drive in the end go, so that nothing is left of a change that failed, either.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "vm/start.h"

#define DRIVE "disk-cdrom"	/* vm/args.c: of the device, and of what it is started with */
#define ROLE "cdrom"
#define NONE "none"
#define COMMAND_MS 10000
#define POLL_MS 250
#define EJECT_MS 8000		/* a guest looks at the button every two seconds or so */
#define GIVE_UP_MS 16000

static struct change {
	int to;			/* who is told; -1: nothing is being changed */
	char tag[24];
	char node[24];		/* what goes in; "": nothing */
	char path[LG_VM_MEDIUM];	/* its name, for whoever asks */
	int64_t since_ms;
	bool forced, emptied;
	struct lg_err err;
	unsigned int open;	/* what is left of earlier ones goes */
} change = { .to = -1 };
static char medium[LG_VM_MEDIUM], node[24];	/* what is in the drive; node "": nothing */
static bool known;
static unsigned int nr;

const char *media_in_drive(void)
{
	if (!vm.spec.drive)
		return NULL;
	if (!known) {
		snprintf(medium, sizeof(medium), "%s", vm.spec.drive);
		snprintf(node, sizeof(node), "%s", strcmp(medium, NONE) == 0 ? "" : ROLE);
		known = true;
	}
	return medium;
}

bool media_busy(void)
{
	return change.to >= 0;
}

/* ---- the end ---- */

static void tell(void)
{
	static struct lg_msg answer;

	lg_trace("the drive is closed");
	lg_msg_init(&answer, LG_P_TOLD);
	lg_msg_put(&answer, "tag", change.tag);
	if (media_in_drive())
		lg_msg_put(&answer, "drive", media_in_drive());
	if (change.err.code)
		lg_msg_put(&answer, "why", change.err.msg);
	lg_msg_put_u64(&answer, "forced", change.forced && change.emptied);
	lg_msg_send(change.to, &answer);
	change.to = lg_close(change.to);
}

static void one_less(void)
{
	if (--change.open == 0)
		tell();
}

static void on_set_gone(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	(void)ret;
	(void)err;
	one_less();
}

static void on_node_gone(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)err;
	/* One that was never made has gone, too; one that is in use keeps its descriptor, and its turn comes with the next change. */
	if ((!ret && !strstr(err->msg, "ailed to find")) ||
	    qemu_command("remove-fd", json_pack("{s:I}", "fdset-id", (json_int_t)(intptr_t)arg), -1, COMMAND_MS, on_set_gone, NULL) < 0)
		one_less();
}

static void remove_node(const char *name, int64_t set)
{
	if (qemu_command("blockdev-del", json_pack("{s:s}", "node-name", name), -1, COMMAND_MS, on_node_gone, (void *)(intptr_t)set) == 0)
		change.open++;
}

static void on_sets(void *arg, const json_t *ret, const struct lg_err *err)
{
	const json_t *set;
	size_t i;

	(void)arg;
	(void)err;
	json_array_foreach((json_t *)(uintptr_t)ret, i, set) {
		const char *of = lg_json_str(json_array_get(json_object_get(set, "fds"), 0), "opaque");

		if (of && strncmp(of, ROLE, strlen(ROLE)) == 0 && strcmp(of, node) != 0)
			remove_node(of, lg_json_int(set, "fdset-id", -1));
	}
	one_less();
}

static void sweep(void)
{
	change.open = 1;
	if (qemu_command("query-fdsets", NULL, -1, COMMAND_MS, on_sets, NULL) < 0)
		one_less();
}

static void fail(const struct lg_err *err)
{
	change.err = *err;
	sweep();
}

static void command(const char *name, json_t *args, int fd, lg_qmp_done done)
{
	struct lg_err err = { 0 };
	int r = qemu_command(name, args, fd, COMMAND_MS, done, NULL);

	if (r == 0)
		return;
	lg_refuse(&err, r, 0, "QEMU takes no command now");
	fail(&err);
}

/* ---- the drive ---- */

static void look(void);
static void remove_medium(void);
static void open_drive(bool force);

static void open_by_force(void)
{
	change.forced |= !change.emptied;	/* an empty one is nobody's */
	open_drive(true);
}

/* The guest may close it at any time: then it is opened again, for a while. */
static void again(const struct lg_err *err)
{
	int64_t passed = now_ms() - change.since_ms;
	struct lg_err why = { 0 };

	if (passed >= GIVE_UP_MS) {
		lg_refuse(&why, err->code, 0, "the drive does not stay open: %.300s", err->msg);
		fail(&why);
	} else if (!change.emptied && !change.forced && passed >= EJECT_MS) {
		open_by_force();
	} else {
		timer_set(TIMER_MEDIA, POLL_MS, change.emptied ? open_by_force : look);
	}
}

static void on_closed(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	(void)ret;
	(void)err;	/* the guest can close it as well */
	sweep();
}

static void close_drive(void)
{
	command("blockdev-close-tray", json_pack("{s:s}", "id", DRIVE), -1, on_closed);
}

static void on_inserted(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (!ret) {
		again(err);
		return;
	}
	memcpy(node, change.node, sizeof(node));
	memcpy(medium, change.path, sizeof(medium));
	close_drive();
}

/* A guest that has just let go of it leaves the opening to us. */
static void on_devices(void *arg, const json_t *ret, const struct lg_err *err)
{
	const json_t *device;
	bool locked = false;
	size_t i;

	(void)arg;
	(void)err;
	json_array_foreach((json_t *)(uintptr_t)ret, i, device)
		locked |= lg_json_bool(device, "removable", false) && lg_json_bool(device, "locked", false);
	if (ret && !locked)
		open_drive(false);
	else
		remove_medium();
}

static void look(void)
{
	command("query-block", NULL, -1, on_devices);
}

static void on_removed(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (!ret) {
		again(err);
		return;
	}
	change.emptied = true;
	node[0] = '\0';
	snprintf(medium, sizeof(medium), NONE);
	if (change.node[0])
		command("blockdev-insert-medium", json_pack("{s:s, s:s}", "id", DRIVE, "node-name", change.node), -1, on_inserted);
	else
		close_drive();
}

static void remove_medium(void)
{
	command("blockdev-remove-medium", json_pack("{s:s}", "id", DRIVE), -1, on_removed);
}

/* That it is open is not said here: of one that is locked the guest has only been told. */
static void on_opened(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (ret)
		remove_medium();
	else
		fail(err);
}

static void open_drive(bool force)
{
	command("blockdev-open-tray", json_pack("{s:s, s:b}", "id", DRIVE, "force", force), -1, on_opened);
}

/* ---- the file ---- */

static void on_node(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (ret)
		open_drive(false);
	else
		fail(err);
}

static void on_fd(void *arg, const json_t *ret, const struct lg_err *err)
{
	char path[40];

	(void)arg;
	if (!ret) {
		fail(err);
		return;
	}
	snprintf(path, sizeof(path), "/dev/fdset/%lld", (long long)lg_json_int(ret, "fdset-id", -1));
	command("blockdev-add", json_pack("{s:s, s:s, s:s, s:b, s:s}", "driver", "file", "filename", path, "node-name", change.node,
					  "read-only", 1, "aio", "threads"), -1, on_node);
}

/* ---- ASK medium ---- */

static void check(const struct lg_msg *m, int fd, struct lg_err *err)
{
	const char *path = lg_msg_get(m, "path");

	if (vm.phase != PHASE_RUNNING)
		lg_refuse(err, -ESRCH, 0, "the VM is not running");
	else if (!media_in_drive())
		lg_refuse(err, -ENODEV, 0, "its machine has no drive");
	else if (vm.quiet)
		lg_refuse(err, -EBUSY, 0, "its memory is being written, as it is suspended or moves");
	else if (!path || !*path || strlen(path) >= sizeof(change.path) || (fd < 0) != (strcmp(path, NONE) == 0))
		lg_refuse(err, -EINVAL, 0, "ASK has a bad 'path'");
}

void media_take(struct lg_msg *m, int from)
{
	lg_autoclose int fd = lg_msg_take_fd(m, 0);
	const char *tag = lg_msg_get(m, "tag");
	struct lg_err err = { 0 };
	static struct lg_msg busy;

	if (media_busy()) {
		lg_msg_init(&busy, LG_P_TOLD);
		lg_msg_put(&busy, "tag", tag ? tag : "");
		lg_msg_put(&busy, "why", "what is in its drive is being changed already");
		lg_msg_send(from, &busy);
		return;
	}
	change = (struct change){ .to = fcntl(from, F_DUPFD_CLOEXEC, 0), .since_ms = now_ms() };
	if (change.to < 0)
		return;
	snprintf(change.tag, sizeof(change.tag), "%s", tag ? tag : "");
	check(m, fd, &err);
	if (err.code) {
		change.err = err;
		tell();
		return;
	}
	snprintf(change.path, sizeof(change.path), "%s", lg_msg_get(m, "path"));
	lg_trace("another medium");
	if (fd < 0) {
		open_drive(false);
		return;
	}
	snprintf(change.node, sizeof(change.node), ROLE "%u", ++nr);
	command("add-fd", json_pack("{s:s}", "opaque", change.node), fd, on_fd);
}
