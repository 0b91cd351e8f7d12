/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What CRIU found out about the kernel. It tries some fifty things at each start, which takes longer than the dump of a small
 * container, and keeps the answers in /run/criu.kdat; but only where /run is a tmpfs, as they are wrong after the next
 * boot. Where it is none CRIU gets a tmpfs there, in our mount namespace, with everything of /run bound into it, and the answers
 * are kept in lodge's RUN, with the name of the boot in front.
 *
 * All of it is for speed: where something of it fails CRIU works without.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define DIR_ "/run"
#define FILE_NAME "criu.kdat"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_LEN 37u		/* with its line's end */
#define ENTRIES_MAX 200u	/* of /run */
#define KDAT_MAX 65536u

struct entry {
	char name[256];
	char target[256];	/* of a symbolic link */
	bool folder;
	int tree;		/* -1: a symbolic link */
};

struct shadow {
	struct entry entries[ENTRIES_MAX];
	size_t n;
};

static bool fresh;	/* there is a tmpfs of ours, and nothing was kept for it */

static int take_entry(struct shadow *s, int dir, const struct dirent *d)
{
	struct entry *e = &s->entries[s->n];
	struct stat st;

	if (s->n == ENTRIES_MAX || fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -E2BIG;
	*e = (struct entry){ .tree = -1, .folder = S_ISDIR(st.st_mode) };
	snprintf(e->name, sizeof(e->name), "%s", d->d_name);
	if (S_ISLNK(st.st_mode)) {
		if (readlinkat(dir, e->name, e->target, sizeof(e->target) - 1) < 0)
			return -errno;
	} else {
		e->tree = open_tree(dir, e->name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
		if (e->tree < 0)
			return -errno;
	}
	s->n++;
	return 0;
}

static int take_all(struct shadow *s)
{
	lg_autodir DIR *dir = opendir(DIR_);
	struct dirent *d;
	int r = 0;

	if (!dir)
		return -errno;
	/* A CRIU that was killed may have left its half-written one, too, and none ever writes another then. */
	while (r == 0 && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
		    strncmp(d->d_name, FILE_NAME, strlen(FILE_NAME)) != 0)
			r = take_entry(s, dirfd(dir), d);
	return r;
}

static int give_entry(const struct entry *e, int dir)
{
	lg_autoclose int file = -1;

	if (e->tree < 0)
		return symlinkat(e->target, dir, e->name) < 0 ? -errno : 0;
	if (e->folder && mkdirat(dir, e->name, 0755) < 0)
		return -errno;
	if (!e->folder) {
		file = openat(dir, e->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (file < 0)
			return -errno;
	}
	return move_mount(e->tree, "", dir, e->name, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int give_all(const struct shadow *s)
{
	lg_autoclose int dir = -1;
	int r = 0;

	if (mount("lodge", DIR_, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") < 0)
		return -errno;
	dir = open(DIR_, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		r = -errno;
	for (size_t i = 0; r == 0 && i < s->n; i++)
		r = give_entry(&s->entries[i], dir);
	if (r < 0)
		umount2(DIR_, MNT_DETACH);
	return r;
}

static int boot_id(char ret[BOOT_LEN + 1])
{
	lg_autofree char *text = NULL;
	size_t len;
	int r = lg_file_read(AT_FDCWD, BOOT_ID, BOOT_LEN + 1, &text, &len, NULL);

	if (r < 0 || len != BOOT_LEN)
		return -ENOENT;
	memcpy(ret, text, BOOT_LEN + 1);
	return 0;
}

static bool give_kept(void)
{
	lg_autofree char *text = NULL;
	char boot[BOOT_LEN + 1];
	size_t len;

	return boot_id(boot) == 0 &&
	       lg_file_read(AT_FDCWD, lg_msg_get(job.m, "cache"), KDAT_MAX, &text, &len, NULL) == 0 &&
	       len > BOOT_LEN && memcmp(text, boot, BOOT_LEN) == 0 &&
	       lg_file_replace_fast(AT_FDCWD, DIR_ "/" FILE_NAME, text + BOOT_LEN, len - BOOT_LEN, 0600,
				    NULL) == 0;
}

void cache_give(void)
{
	lg_autofree struct shadow *s = calloc(1, sizeof(*s));
	struct statfs fs;
	int r;

	if (!s || !lg_msg_get(job.m, "cache") || statfs(DIR_, &fs) < 0 || fs.f_type == TMPFS_MAGIC)
		return;
	r = take_all(s);
	if (r == 0)
		r = give_all(s);
	for (size_t i = 0; i < s->n; i++)
		lg_close(s->entries[i].tree);
	if (r == 0)
		fresh = !give_kept();
}

void cache_keep(void)
{
	lg_autofree char *text = NULL, *all = NULL;
	char boot[BOOT_LEN + 1];
	size_t len;

	if (!fresh || boot_id(boot) < 0 ||
	    lg_file_read(AT_FDCWD, DIR_ "/" FILE_NAME, KDAT_MAX - BOOT_LEN, &text, &len, NULL) < 0)
		return;
	all = malloc(BOOT_LEN + len);
	if (!all)
		return;
	memcpy(all, boot, BOOT_LEN);
	memcpy(all + BOOT_LEN, text, len);
	lg_file_replace_fast(AT_FDCWD, lg_msg_get(job.m, "cache"), all, BOOT_LEN + len, 0600, NULL);
}
