/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * VAR/checkpoint/ID: the images of a suspended instance, and state.json, which is written last and says that they are complete. While
 * lodge-criu works on them it holds a lock on the folder, which ends with it.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodged/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

#define STATE "state.json"
#define FORMAT 1
/*
 * At a restore CRIU opens images in processes that have the container's ids already, by a descriptor of the folder. Nobody else
 * gets there: the folders above are for root alone.
 */
#define IMAGES_MODE 0711
#define SETTLE_US 20000u
#define SETTLE_TRIES 1500u

static void name_of(const struct instance *ct, char buf[40])
{
	snprintf(buf, 40, "checkpoint/%u", ct->ctid);
}

bool checkpoint_is_there(const struct instance *ct)
{
	char path[64];

	snprintf(path, sizeof(path), "checkpoint/%u/" STATE, ct->ctid);
	return faccessat(ct->d->var_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void checkpoint_keep_log(const struct instance *ct)
{
	char from[64], to[64];

	snprintf(from, sizeof(from), "checkpoint/%u/" LG_CHECKPOINT_LOG, ct->ctid);
	snprintf(to, sizeof(to), "log/criu-%u.log", ct->ctid);
	renameat(ct->d->var_fd, from, ct->d->var_fd, to);
}

void checkpoint_remove(const struct instance *ct)
{
	struct lg_err err = { 0 };
	char name[40], state[64];

	name_of(ct, name);
	/* First what makes it count: half a set of images is no checkpoint. */
	snprintf(state, sizeof(state), "%s/" STATE, name);
	unlinkat(ct->d->var_fd, state, 0);
	if (lg_remove_tree(ct->d->var_fd, name, &err) < 0 && err.code != -ENOENT)
		lg_log(LG_LOG_WARN, "%s: its checkpoint stays: %s", instance_label(ct), err.msg);
}

static int open_folder(const struct instance *ct, struct lg_err *err)
{
	char name[40];
	int fd;

	name_of(ct, name);
	fd = openat(ct->d->var_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? lg_fail(err, -errno, "open '%s/%s'", ct->d->root.var, name) : fd;
}

int checkpoint_begin(const struct instance *ct, int *ret, struct lg_err *err)
{
	char name[40];
	int fd;

	checkpoint_remove(ct);
	name_of(ct, name);
	if ((mkdirat(ct->d->var_fd, "checkpoint", 0700) < 0 && errno != EEXIST) ||
	    mkdirat(ct->d->var_fd, name, IMAGES_MODE) < 0 ||
	    fchmodat(ct->d->var_fd, name, IMAGES_MODE, 0) < 0)
		return lg_fail(err, -errno, "make '%s/%s'", ct->d->root.var, name);
	fd = open_folder(ct, err);
	if (fd < 0)
		return fd;
	*ret = fd;
	return 0;
}

int checkpoint_open(const struct instance *ct, int *ret, json_t **ret_state, struct lg_err *err)
{
	lg_autoclose int fd = open_folder(ct, err);
	int r;

	if (fd < 0)
		return fd;
	if (ret_state) {
		r = lg_json_load(fd, STATE, ret_state, err);
		if (r < 0)
			return r;
		if (lg_json_int(*ret_state, "version", 0) != FORMAT) {
			json_decref(*ret_state);
			return lg_refuse(err, -EPROTO, 0, "its checkpoint was written by another version "
					 "of lodge");
		}
	}
	*ret = lg_take_fd(&fd);
	return 0;
}

static json_t *addresses_json(const struct instance *ct)
{
	struct lg_addr addrs[IPS_MAX];
	unsigned int n = instance_addrs(ct, addrs);
	json_t *list = json_array();

	for (unsigned int i = 0; i < n; i++) {
		char text[LG_ADDR_TEXT];

		lg_format_addr(&addrs[i], true, text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

int checkpoint_complete(const struct instance *ct, int images, struct lg_err *err)
{
	return checkpoint_complete_moved(ct, images, NULL, NULL, err);
}

int checkpoint_complete_moved(const struct instance *ct, int images, const char *host, const char *token,
			      struct lg_err *err)
{
	lg_autojson json_t *state = NULL;
	struct utsname uts;

	uname(&uts);
	state = json_pack("{s:i, s:i, s:s*, s:o, s:I, s:I, s:I, s:s, s:s, s:s*, s:s*}", "version", FORMAT, "ctid",
			  (int)ct->ctid, "template", lg_conf_get(ct->conf, "OSTEMPLATE"), "addresses",
			  addresses_json(ct), "id_base", (json_int_t)ct->id_base, "started_at",
			  (json_int_t)ct->started_at, "suspended_at", (json_int_t)time(NULL), "kernel",
			  uts.release, "arch", uts.machine, "moved_to", host, "token", token);
	if (!state)
		return lg_fail(err, -ENOMEM, "describe the checkpoint");
	return lg_json_save(images, STATE, state, true, err);
}

void checkpoint_settle(const struct instance *ct)
{
	lg_autoclose int fd = open_folder(ct, NULL);

	for (unsigned int i = 0; fd >= 0 && i < SETTLE_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return;
		usleep(SETTLE_US);
	}
}
