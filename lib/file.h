/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_FILE_H
#define LG_LIB_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"

struct open_how;

/** lg_read_all() - read(2) until @len bytes have come, or the end. Return: how many, negative errno. */
ssize_t lg_read_all(int fd, void *data, size_t len);

/** lg_write_all() - write(2) until all of @len bytes have gone; @fd blocks. Return: 0, negative errno. */
int lg_write_all(int fd, const void *data, size_t len);

/**
 * lg_file_read() - the whole file @name beneath @dirfd (AT_FDCWD and an absolute path will do)
 * @max:	refuse a larger one with -E2BIG
 * @ret:	malloc()ed, with a NUL behind the last byte
 * @ret_len:	may be NULL
 *
 * Never follows a link in the last part and never blocks on a FIFO. Return: 0, negative errno.
 */
int lg_file_read(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len,
		 struct lg_err *err);

/**
 * lg_file_replace() - write @name beneath @dirfd so that there is always the old or the new one
 *
 * A temporary file, fsync, rename, fsync of the folder. Return: 0, negative errno; the old file is
 * then as it was.
 */
int lg_file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		    struct lg_err *err);

/**
 * lg_file_replace_fast() - as lg_file_replace() without the two fsyncs
 *
 * For /run, whose content means nothing after the kernel went down.
 */
int lg_file_replace_fast(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
			 struct lg_err *err);

/** lg_file_write() - write @text into an existing file (of /proc, /sys, a cgroup) at once. */
int lg_file_write(int dirfd, const char *name, const char *text, struct lg_err *err);

/**
 * lg_openat2() - openat2(2), again for as long as the kernel asks for that
 *
 * A path with ".." in it (its own or a symbolic link's) that must not leave a folder ends with EAGAIN when anything on the machine was
 * renamed or mounted meanwhile (openat2(2), RESOLVE_BENEATH), as another container that starts does.
 * Return: a descriptor, negative errno (and errno as it); -EAGAIN only when a thousand tries in turn met a rename or a mount.
 */
int lg_openat2(int dirfd, const char *path, const struct open_how *how);

/**
 * lg_open_beneath() - open @path so that no part of it leaves @dirfd, whatever links are in it
 * @flags:	as for open(2); O_CLOEXEC is added
 *
 * openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS. Return: a descriptor, negative errno.
 */
int lg_open_beneath(int dirfd, const char *path, int flags, mode_t mode);

/** lg_mkdir_all() - mkdir -p of an absolute path; new folders get @mode. */
int lg_mkdir_all(const char *path, mode_t mode, struct lg_err *err);

/**
 * lg_remove_tree() - remove @name beneath @dirfd and everything in it
 *
 * Follows no link, crosses no mount, needs no memory that grows with the tree's size. A missing
 * @name is success. Return: 0 or the first negative errno (it goes on removing what it can).
 */
int lg_remove_tree(int dirfd, const char *name, struct lg_err *err);

/** lg_open_dir() - a folder as O_PATH-free O_RDONLY|O_DIRECTORY|O_NOFOLLOW descriptor. */
int lg_open_dir(int dirfd, const char *name, struct lg_err *err);

#endif
