/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: the layer's content is copied by cp -a (owners, times, attributes with overlay's,
 * links, holes, white-outs) into a new image or folder beside it, and one rename or unlink makes
 * that the layer:
 *
 *	to an image	disk.img.new is renamed to disk.img. A layer with disk.img is an image,
 *			whatever else is there: folders beside it are the old layer's.
 *	to a folder	the folders are moved from plain.new into place, then disk.img is removed.
 *
 * Mounts are the caller's own and detached: a killed one leaves only disk.img.new or plain.new.
 */

#include "storage/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/parse.h"
#include "lib/proc.h"
#include "storage/plain.h"
#include "storage/store.h"

#define NEW_IMAGE LG_DISK_IMAGE ".new"
#define NEW_PLAIN "plain.new"
#define PATIENCE_MS 5000u
#define PROGRESS_MS 1000

struct remake {
	const char *var;
	uint32_t ctid;
	const struct lg_disk_limit *limit;
	int layer;	/* VAR/ct/ID */
	int from, to;	/* the folders that hold upper: of the old layer and the new one */
	void (*progress)(const char *line, void *arg);
	void *arg;
};

/* Folders of a layer that are content. Overlay's work folder is empty between two mounts. */
static bool is_content(const char *name)
{
	static const char *const others[] = { "work", "lost+found", NEW_PLAIN };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strcmp(name, others[i]) == 0)
			return false;
	return name[0] != '.';
}

/* @fn for each folder of content in @dir, until one answers other than 0. */
static int each_content(int dir, int (*fn)(void *ctx, const char *name, struct lg_err *err),
			void *ctx, struct lg_err *err)
{
	lg_autodir DIR *d = NULL;
	struct dirent *e;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

	if (fd < 0 || !(d = fdopendir(fd))) {
		lg_close(fd);
		return lg_fail(err, -errno, "read the layer");
	}
	while (r == 0 && (e = readdir(d))) {
		struct stat st;

		if (is_content(e->d_name) &&
		    fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode))
			r = fn(ctx, e->d_name, err);
	}
	return r;
}

static int image_path(const struct remake *m, const char *name, char path[LG_STORE_PATH],
		      struct lg_err *err)
{
	return lg_store_path(path, err, "%s/ct/%u/%s", m->var, m->ctid, name);
}

static int mount_beside(const struct remake *m, const char *name, struct lg_err *err)
{
	char path[LG_STORE_PATH];
	int r = image_path(m, name, path, err);

	return r < 0 ? r : lg_image_mount(path, PATIENCE_MS, err);
}

static int open_source(struct remake *m, struct lg_err *err)
{
	m->from = lg_disk_image.holds(m->layer) ? mount_beside(m, LG_DISK_IMAGE, err) :
						  lg_open_dir(m->layer, ".", err);
	return m->from < 0 ? m->from : 0;
}

/* Known for certain only now that it is mounted. */
static int check_fits(const struct remake *m, struct lg_err *err)
{
	const struct lg_disk_limit *limit = m->limit;
	struct lg_fs_usage used;
	char now[16], asked[16];

	if (!lg_disk_image.holds(m->layer))
		return 0;
	if (lg_fs_usage(m->from, &used, err) < 0)
		return err->code;

	if (limit->inodes != LG_UNLIMITED && limit->inodes < used.inodes_used)
		return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE,
				 "%" PRIu64 " inodes are too few: it uses %" PRIu64 " now",
				 limit->inodes, used.inodes_used);
	if (limit->bytes >= used.bytes_used)
		return 0;
	lg_format_size(used.bytes_used, now);
	lg_format_size(limit->bytes, asked);
	return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE,
			 "%s are too few: its files take %s now", asked, now);
}

static int make_plain(struct remake *m, struct lg_err *err)
{
	if (mkdirat(m->layer, NEW_PLAIN, 0700) < 0)
		return lg_fail(err, -errno, "make '%s'", NEW_PLAIN);
	m->to = lg_open_dir(m->layer, NEW_PLAIN, err);
	if (m->to < 0)
		return m->to;
	if (mkdirat(m->to, "work", 0700) < 0)
		return lg_fail(err, -errno, "make the work folder");
	return 0;
}

static int make_target(struct remake *m, struct lg_err *err)
{
	int r = 0;

	if (m->limit->bytes == LG_UNLIMITED)
		return make_plain(m, err);
	if (!lg_disk_prepared(m->var, m->limit))
		r = lg_disk_prepare(m->var, m->limit, err);
	if (r == 0)
		r = lg_disk_copy_empty(m->var, m->limit, m->layer, NEW_IMAGE, err);
	if (r < 0)
		return r;
	m->to = mount_beside(m, NEW_IMAGE, err);
	return m->to < 0 ? m->to : 0;
}

static void say_progress(const struct remake *m)
{
	struct lg_fs_usage used;
	char size[16], line[64];

	if (!m->progress || m->limit->bytes == LG_UNLIMITED || lg_fs_usage(m->to, &used, NULL) < 0)
		return;
	lg_format_size(used.bytes_used, size);
	snprintf(line, sizeof(line), "copied %s", size);
	m->progress(line, m->arg);
}

static int wait_for_cp(const struct remake *m, pid_t pid, int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int status = 0;

	while (poll(&p, 1, PROGRESS_MS) == 0)
		say_progress(m);
	return waitpid(pid, &status, 0) < 0 ? -errno : status == 0 ? 0 : -EIO;
}

/* ext4 keeps a fiftieth back for itself, and never more than 16 MiB. */
static bool is_full(const struct lg_fs_usage *used)
{
	uint64_t left = used->bytes - used->bytes_used;

	return used->inodes == used->inodes_used ||
	       (left < used->bytes / 32 && left < UINT64_C(32) << 20);
}

static int explain_cp(const struct remake *m, const char *name, struct lg_err *err)
{
	struct lg_fs_usage used = { 0 };
	char size[16];

	if (m->limit->bytes != LG_UNLIMITED && lg_fs_usage(m->to, &used, NULL) == 0 &&
	    is_full(&used)) {
		lg_format_size(m->limit->bytes, size);
		return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE,
				 "its files do not fit into %s%s", size,
				 used.inodes == used.inodes_used ? ": too few inodes" : "");
	}
	return lg_refuse(err, -EIO, LG_EXIT_NO_SPACE,
			 "copying its %s failed (cp's words are in lodged's log)", name);
}

/* The two folders reach cp as descriptors: no path of theirs exists. */
static int copy_one(void *ctx, const char *name, struct lg_err *err)
{
	const struct remake *m = ctx;
	char from[NAME_MAX + 32], to[NAME_MAX + 32];
	const char *const argv[] = { "cp", "-a", "-x", "-T", "--reflink=auto", "--sparse=auto",
				     "--", from, to, NULL };
	const int fds[] = { -1, STDERR_FILENO, STDERR_FILENO, m->from, m->to };
	struct lg_spawn spawn = { .path = "/bin/cp", .fds = fds, .nfds = ARRAY_SIZE(fds),
				  .end_signal = SIGKILL,
				  .argv = (char *const *)(uintptr_t)argv };
	lg_autoclose int pidfd = -1;
	pid_t pid;

	snprintf(from, sizeof(from), "/proc/self/fd/3/%s", name);
	snprintf(to, sizeof(to), "/proc/self/fd/4/%s", name);
	pid = lg_spawn(&spawn, &pidfd, err);
	if (pid < 0)
		return (int)pid;
	return wait_for_cp(m, pid, pidfd) < 0 ? explain_cp(m, name, err) : 0;
}

static int put_in_place(void *ctx, const char *name, struct lg_err *err)
{
	const struct remake *m = ctx;

	if (lg_remove_tree(m->layer, name, err) < 0)
		return err->code;
	if (renameat(m->to, name, m->layer, name) < 0)
		return lg_fail(err, -errno, "move '%s' into place", name);
	return 0;
}

static int trash_old(void *ctx, const char *name, struct lg_err *err)
{
	const struct remake *m = ctx;
	char label[32];

	snprintf(label, sizeof(label), "%u.old", m->ctid);
	if (strcmp(name, "plain") == 0)
		return lg_plain_empty(m->var, m->layer, label, err);
	return lg_trash_put(m->var, m->layer, name, label, err);
}

/* A layer with disk.img: what stands beside it is of before. */
static void drop_old_folders(struct remake *m)
{
	each_content(m->layer, trash_old, m, NULL);
	trash_old(m, "work", NULL);
}

static int become_image(struct remake *m, struct lg_err *err)
{
	/* Everything of it is on the disk when its last mount has gone. */
	m->to = lg_close(m->to);
	m->from = lg_close(m->from);
	if (renameat(m->layer, NEW_IMAGE, m->layer, LG_DISK_IMAGE) < 0)
		return lg_fail(err, -errno, "put the new disk into place");
	fsync(m->layer);
	drop_old_folders(m);
	return 0;
}

static int become_plain(struct remake *m, struct lg_err *err)
{
	int r;

	syncfs(m->to);
	r = each_content(m->to, put_in_place, m, err);
	if (r == 0)
		r = put_in_place(m, "work", err);
	m->from = lg_close(m->from);
	fsync(m->layer);
	if (r == 0 && unlinkat(m->layer, LG_DISK_IMAGE, 0) < 0)
		r = lg_fail(err, -errno, "remove '%s'", LG_DISK_IMAGE);
	if (r == 0)
		unlinkat(m->layer, NEW_PLAIN, AT_REMOVEDIR);
	return r;
}

static void clear(int layer)
{
	lg_remove_tree(layer, NEW_PLAIN, NULL);
	unlinkat(layer, NEW_IMAGE, 0);
}

static int remake(struct remake *m, struct lg_err *err)
{
	int r;

	clear(m->layer);
	r = open_source(m, err);
	if (r == 0)
		r = check_fits(m, err);
	if (r == 0)
		r = make_target(m, err);
	if (r == 0)
		r = each_content(m->from, copy_one, m, err);
	if (r == 0)
		r = m->limit->bytes == LG_UNLIMITED ? become_plain(m, err) :
						      become_image(m, err);
	lg_close(m->from);
	lg_close(m->to);
	if (r < 0)
		clear(m->layer);
	return r;
}

static int open_layer(const char *var, uint32_t ctid, struct lg_err *err)
{
	char path[LG_STORE_PATH];
	int r = lg_store_path(path, err, "%s/ct/%u", var, ctid);

	return r < 0 ? r : lg_open_dir(AT_FDCWD, path, err);
}

int lg_disk_remake(const char *var, uint32_t ctid, const struct lg_disk_limit *limit,
		   void (*progress)(const char *line, void *arg), void *arg, struct lg_err *err)
{
	lg_autoclose int layer = open_layer(var, ctid, err);
	struct remake m = { .var = var, .ctid = ctid, .limit = limit, .layer = layer, .from = -1,
			    .to = -1, .progress = progress, .arg = arg };

	if (layer < 0)
		return layer;
	if (limit->bytes == LG_UNLIMITED && !lg_disk_image.holds(layer))
		return 0;
	return remake(&m, err);
}

void lg_disk_heal(const char *var, uint32_t ctid)
{
	lg_autoclose int layer = open_layer(var, ctid, NULL);
	struct remake m = { .var = var, .ctid = ctid, .layer = layer };

	if (layer < 0)
		return;
	clear(layer);
	if (lg_disk_image.holds(layer))
		drop_old_folders(&m);
}
