/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * VAR/checkpoint/ID: the images of a suspended instance, and state.json, which is written last and says that they are complete. When
 * the images are in a dump file (dumpfile.c) only state.json is there, and names it.
 *
 * VAR/ct/ID/checkpoint, in the layer, has the same random word as state.json and goes when the container runs: files that have
 * changed since fit no images any more, wherever either was copied to.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/vm.h"
#include "ct/ahead.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/parse.h"

#define STATE LG_CHECKPOINT_STATE
#define FORMAT 1
/*
 * At a restore CRIU opens images in processes that have the container's ids already, by a descriptor of the folder. Nobody else
 * gets there: the folders above are for root alone.
 */
#define IMAGES_MODE 0711

#define MARK_LEN 32u		/* of the layer's word, in hexadecimal digits */

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

static void mark_path(const struct instance *ct, char buf[40])
{
	snprintf(buf, 40, "ct/%u/checkpoint", ct->ctid);
}

/* A new word into the layer. */
static int mark_layer(const struct instance *ct, char word[MARK_LEN + 1], struct lg_err *err)
{
	uint8_t bytes[MARK_LEN / 2];
	char path[40];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return lg_fail(err, -EIO, "get random bytes");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(word + 2 * i, 3, "%02x", bytes[i]);
	mark_path(ct, path);
	return lg_file_replace(ct->d->var_fd, path, word, MARK_LEN, 0600, err);
}

int checkpoint_fits_layer(const struct instance *ct, const json_t *state, struct lg_err *err)
{
	lg_autofree char *word = NULL;
	const char *wanted = lg_json_str(state, "layer");
	char path[40];

	mark_path(ct, path);
	if (wanted && lg_file_read(ct->d->var_fd, path, MARK_LEN, &word, NULL, NULL) == 0 &&
	    strcmp(word, wanted) == 0)
		return 0;
	return lg_refuse(err, -ESTALE, 0,
			 "it was made with other files than %s has now: it has run since, or they are another "
			 "container's", instance_label(ct));
}

static int open_folder(const struct instance *ct, struct lg_err *err)
{
	char name[40];
	int fd;

	name_of(ct, name);
	fd = openat(ct->d->var_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? lg_fail(err, -errno, "open '%s/%s'", ct->d->root.var, name) : fd;
}

void checkpoint_keep_log_of(const struct instance *ct, int folder)
{
	char to[64];

	snprintf(to, sizeof(to), "log/criu-%u.log", ct->ctid);
	renameat(folder, LG_CHECKPOINT_LOG, ct->d->var_fd, to);
}

void checkpoint_keep_log(const struct instance *ct)
{
	lg_autoclose int folder = open_folder(ct, NULL);

	if (folder >= 0)
		checkpoint_keep_log_of(ct, folder);
}

/* What has run on has other files than its images know: that must be so after a power cut, too. */
static void sync_layer(const struct instance *ct)
{
	lg_autoclose int fd = -1;
	char name[40];

	snprintf(name, sizeof(name), "ct/%u", ct->ctid);
	fd = openat(ct->d->var_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		lg_log(LG_LOG_WARN, "%s: sync '%s/%s': %s", instance_label(ct), ct->d->root.var, name, strerror(errno));
}

void checkpoint_remove(const struct instance *ct)
{
	struct lg_err err = { 0 };
	char name[40], state[64];

	mark_path(ct, name);
	if (unlinkat(ct->d->var_fd, name, 0) == 0)
		sync_layer(ct);
	name_of(ct, name);
	/* First what makes it count: half a set of images is no checkpoint. */
	snprintf(state, sizeof(state), "%s/" STATE, name);
	unlinkat(ct->d->var_fd, state, 0);
	if (lg_remove_tree(ct->d->var_fd, name, &err) < 0 && err.code != -ENOENT)
		lg_log(LG_LOG_WARN, "%s: its checkpoint stays: %s", instance_label(ct), err.msg);
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

/* As the images, for those who read them with the container's ids: by its name, from the folder of the next round. */
int checkpoint_ahead(int images, unsigned int round, int *ret, struct lg_err *err)
{
	char name[LG_AHEAD_NAME];
	int fd = -1;

	snprintf(name, sizeof(name), LG_AHEAD_FOLDER, round);
	if (mkdirat(images, name, 0755) == 0 && fchmodat(images, name, 0755, 0) == 0)
		fd = openat(images, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return lg_fail(err, -errno, "make the folder '%s' of its images", name);
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

json_t *checkpoint_addresses(const struct instance *ct)
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

int checkpoint_complete(const struct instance *ct, int images, bool host_down, struct lg_err *err)
{
	lg_autojson json_t *state = NULL;
	char word[MARK_LEN + 1];
	struct utsname uts;
	int r = mark_layer(ct, word, err);

	if (r < 0)
		return r;
	uname(&uts);
	state = json_pack("{s:i, s:b, s:s, s:i, s:s*, s:o, s:I, s:I, s:I, s:s, s:s, s:o*}", "version",
			  FORMAT, "host_down", host_down, "layer", word, "ctid",
			  (int)ct->ctid, "template", lg_conf_get(ct->conf, "OSTEMPLATE"), "addresses",
			  checkpoint_addresses(ct), "id_base", (json_int_t)ct->id_base, "started_at",
			  (json_int_t)ct->started_at, "suspended_at", (json_int_t)time(NULL), "kernel",
			  uts.release, "arch", uts.machine, "vm", vm_saved_json(ct));
	if (!state)
		return lg_fail(err, -ENOMEM, "describe the checkpoint");
	return lg_json_save(images, STATE, state, true, err);
}

/* ---- as it is, and where its images are ---- */

json_t *checkpoint_state(const struct instance *ct)
{
	lg_autoclose int fd = -1;
	json_t *state;

	return checkpoint_open(ct, &fd, &state, NULL) == 0 ? state : NULL;
}

bool checkpoint_of_host_down(const struct instance *ct)
{
	lg_autojson json_t *state = checkpoint_state(ct);

	return lg_json_bool(state, "host_down", false);
}

void checkpoint_sweep(struct daemon *d)
{
	int fd = openat(d->var_fd, "checkpoint", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint32_t ctid;

	if (!dir)
		lg_close(fd);
	while (dir && (e = readdir(dir))) {
		char number[16];

		/* ID, and ID.new of a resume from a dump file that did not happen. */
		snprintf(number, sizeof(number), "%.*s", (int)strcspn(e->d_name, "."), e->d_name);
		if (lg_parse_ctid(number, &ctid, NULL) == 0 &&
		    (strchr(e->d_name, '.') || !instance_by_ctid(d, ctid)))
			lg_remove_tree(fd, e->d_name, NULL);
	}
}

uint64_t checkpoint_bytes(const struct instance *ct, const json_t *state)
{
	const char *file = lg_json_str(state, "dumpfile");
	lg_autodir DIR *dir = NULL;
	uint64_t sum = 0;
	struct dirent *e;
	struct stat st;
	int fd;

	if (file)
		return lstat(file, &st) == 0 ? (uint64_t)st.st_size : 0;
	fd = open_folder(ct, NULL);
	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return 0;
	}
	while ((e = readdir(dir)))
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_blocks * 512;
	return sum;
}

static void remove_images(int folder)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_autodir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!dir)
		lg_close(copy);
	while (dir && (e = readdir(dir)))
		if (strcmp(e->d_name, STATE) != 0 && strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0)
			lg_remove_tree(folder, e->d_name, NULL);
}

int checkpoint_moved(const struct instance *ct, const char *file, struct lg_err *err)
{
	lg_autojson json_t *state = NULL;
	lg_autoclose int fd = -1;
	int r = checkpoint_open(ct, &fd, &state, err);

	if (r < 0)
		return r;
	json_object_set_new(state, "dumpfile", json_string(file));
	r = lg_json_save(fd, STATE, state, true, err);
	if (r == 0)
		remove_images(fd);
	return r;
}

static void unpack_name(const struct instance *ct, char buf[40])
{
	snprintf(buf, 40, "checkpoint/%u.new", ct->ctid);
}

int checkpoint_unpack_path(const struct instance *ct, char path[300], struct lg_err *err)
{
	char name[40];

	unpack_name(ct, name);
	checkpoint_drop_unpacked(ct);
	snprintf(path, 300, "%s/%s", ct->d->root.var, name);
	if ((mkdirat(ct->d->var_fd, "checkpoint", 0700) < 0 && errno != EEXIST) ||
	    mkdirat(ct->d->var_fd, name, IMAGES_MODE) < 0 ||
	    fchmodat(ct->d->var_fd, name, IMAGES_MODE, 0) < 0)
		return lg_fail(err, -errno, "make '%s'", path);
	return 0;
}

void checkpoint_drop_unpacked(const struct instance *ct)
{
	struct lg_err err = { 0 };
	char name[40];

	unpack_name(ct, name);
	if (lg_remove_tree(ct->d->var_fd, name, &err) < 0)
		lg_log(LG_LOG_WARN, "%s: %s", instance_label(ct), err.msg);
}

static int check_unpacked(const struct instance *ct, const char *name, struct lg_err *err)
{
	lg_autoclose int fd = openat(ct->d->var_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lg_autojson json_t *state = NULL;
	int r = fd < 0 ? lg_fail(err, -errno, "open '%s'", name) : lg_json_load(fd, STATE, &state, err);

	if (r < 0)
		return r;
	if (lg_json_int(state, "version", 0) != FORMAT)
		return lg_refuse(err, -EPROTO, 0, "it was written by another version of lodge");
	return checkpoint_fits_layer(ct, state, err);
}

int checkpoint_unpacked(const struct instance *ct, struct lg_err *err)
{
	char from[40], to[40];
	int r;

	unpack_name(ct, from);
	name_of(ct, to);
	r = check_unpacked(ct, from, err);
	/* In one step, so that there is always one of them; the old one is then under the new one's name. */
	if (r == 0 && renameat2(ct->d->var_fd, from, ct->d->var_fd, to, RENAME_EXCHANGE) < 0 &&
	    (errno != ENOENT || renameat(ct->d->var_fd, from, ct->d->var_fd, to) < 0))
		r = lg_fail(err, -errno, "rename '%s'", from);
	checkpoint_drop_unpacked(ct);
	return r;
}
