/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/dump.h"

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "storage/seal.h"

#define BLOCK (256u * 1024u)
#define NAME_MAX_LEN 200u
#define FILES_MAX 200000u

/* What one call works with; freed by finish(). */
struct dump {
	struct lg_seal_key key;
	bool has_key;
	int fd, folder;
	struct lg_seal *seal;
	struct archive *tar;
	struct lg_err why;	/* what the sealed stream said: libarchive's own words would only repeat it */
	uint64_t room;		/* bytes that may still come out */
	uint8_t block[BLOCK];
};

static struct dump *dump_new(const char *key_path, struct lg_err *err)
{
	struct dump *d = calloc(1, sizeof(*d));

	if (!d) {
		lg_fail(err, -ENOMEM, "dump file");
		return NULL;
	}
	d->fd = d->folder = -1;
	d->has_key = key_path != NULL;
	if (key_path && lg_seal_key_load(key_path, &d->key, err) < 0) {
		free(d);
		return NULL;
	}
	return d;
}

static void dump_free(struct dump *d)
{
	lg_seal_free(d->seal);
	lg_close(d->fd);
	lg_close(d->folder);
	explicit_bzero(&d->key, sizeof(d->key));
	free(d);
}

static int open_folder(struct dump *d, const char *folder, struct lg_err *err)
{
	d->folder = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return d->folder < 0 ? lg_fail(err, -errno, "open '%s'", folder) : 0;
}

/* The stream's reason where it has one. */
static int tar_failed(struct dump *d, const char *doing, struct lg_err *err)
{
	int code = archive_errno(d->tar);

	if (d->why.code) {
		if (err)
			*err = d->why;
		return d->why.code;
	}
	return lg_refuse(err, code > 0 ? -code : -EBADMSG, 0, "%s: %s", doing,
			 archive_error_string(d->tar));
}

/* ---- pack ---- */

static la_ssize_t put_block(struct archive *tar, void *arg, const void *data, size_t len)
{
	struct dump *d = arg;

	if (lg_seal_write(d->seal, data, len, &d->why) == 0)
		return (la_ssize_t)len;
	archive_set_error(tar, -d->why.code, "%s", d->why.msg);
	return -1;
}

static int pack_head(struct dump *d, const char *name, const struct stat *st, struct lg_err *err)
{
	struct archive_entry *entry = archive_entry_new();
	int r;

	if (!entry)
		return lg_fail(err, -ENOMEM, "'%s'", name);
	archive_entry_set_pathname(entry, name);
	archive_entry_set_size(entry, st->st_size);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, st->st_mode & 0644);
	archive_entry_set_mtime(entry, st->st_mtime, 0);
	r = archive_write_header(d->tar, entry);
	archive_entry_free(entry);
	return r == ARCHIVE_OK ? 0 : tar_failed(d, name, err);
}

static int pack_file(struct dump *d, const char *name, struct lg_err *err)
{
	lg_autoclose int fd = openat(d->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "open '%s'", name);
	if (!S_ISREG(st.st_mode))
		return lg_refuse(err, -EINVAL, 0, "'%s' among the images is no plain file", name);
	r = pack_head(d, name, &st, err);
	while (r == 0 && (n = read(fd, d->block, sizeof(d->block))) != 0) {
		if (n < 0)
			return lg_fail(err, -errno, "read '%s'", name);
		if (archive_write_data(d->tar, d->block, (size_t)n) != n)
			r = tar_failed(d, name, err);
	}
	return r;
}

static int pack_folder(struct dump *d, const char *first, struct lg_err *err)
{
	int copy = openat(d->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_autodir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	int r;

	if (!dir) {
		lg_close(copy);
		return lg_fail(err, -errno, "read the folder of the images");
	}
	r = pack_file(d, first, err);
	while (r == 0 && (errno = 0, e = readdir(dir)))
		if (e->d_name[0] != '.' && strcmp(e->d_name, first) != 0)
			r = pack_file(d, e->d_name, err);
	if (r == 0 && errno)
		r = lg_fail(err, -errno, "read the folder of the images");
	return r;
}

static int pack_tar(struct dump *d, const char *first, struct lg_err *err)
{
	int r;

	d->tar = archive_write_new();
	if (!d->tar)
		return lg_fail(err, -ENOMEM, "make a tar");
	archive_write_set_format_pax_restricted(d->tar);
	archive_write_set_bytes_in_last_block(d->tar, 1);
	r = archive_write_open(d->tar, d, NULL, put_block, NULL) == ARCHIVE_OK ?
		    pack_folder(d, first, err) : tar_failed(d, "make a tar", err);
	if (r == 0 && archive_write_close(d->tar) != ARCHIVE_OK)
		r = tar_failed(d, "make a tar", err);
	archive_write_free(d->tar);
	return r;
}

static int write_part(struct dump *d, const char *part, const char *first, struct lg_err *err)
{
	int r;

	d->fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d->fd < 0)
		return lg_fail(err, -errno, "make '%s'", part);
	r = lg_seal_create(d->fd, d->has_key ? &d->key : NULL, &d->seal, err);
	if (r == 0)
		r = pack_tar(d, first, err);
	if (r == 0)
		r = lg_seal_finish(d->seal, err);
	if (r == 0 && fsync(d->fd) < 0)
		r = lg_fail(err, -errno, "write to the disk");
	return r;
}

static int sync_folder_of(const char *path, struct lg_err *err)
{
	const char *slash = strrchr(path, '/');
	lg_autofree char *folder = strndup(path, slash && slash > path ? (size_t)(slash - path) : 1);
	lg_autoclose int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0 || fsync(fd) < 0)
		return lg_fail(err, -errno, "write to the disk");
	return 0;
}

static int put_in_place(const char *part, const char *path, struct lg_err *err)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return lg_refuse(err, -EEXIST, 0, "there is something else than a plain file");
	if (rename(part, path) < 0)
		return lg_fail(err, -errno, "rename '%s'", part);
	return sync_folder_of(path, err);
}

int lg_dump_pack(const char *folder, const char *first, const char *path, const char *key_path,
		 struct lg_err *err)
{
	struct dump *d = dump_new(key_path, err);
	char part[4096];
	int r;

	if (!d)
		return err ? err->code : -ENOMEM;
	if ((size_t)snprintf(part, sizeof(part), "%s.part", path) >= sizeof(part)) {
		dump_free(d);
		return lg_refuse(err, -ENAMETOOLONG, 0, "the dump file's name is too long");
	}
	/* Of a worker that was killed. */
	unlink(part);
	r = open_folder(d, folder, err);
	if (r == 0)
		r = write_part(d, part, first, err);
	if (r == 0)
		r = put_in_place(part, path, err);
	if (r < 0)
		unlink(part);
	dump_free(d);
	return r < 0 ? lg_within(err, r, "write '%s'", path) : 0;
}

/* ---- unpack ---- */

static la_ssize_t get_block(struct archive *tar, void *arg, const void **ret)
{
	struct dump *d = arg;
	ssize_t n = lg_seal_read(d->seal, ret, &d->why);

	if (n < 0)
		archive_set_error(tar, (int)-n, "%s", d->why.msg);
	return n < 0 ? -1 : n;
}

/* A name that could not be another's: no path, no hidden file, nothing of a control character. */
static bool is_plain_name(const char *name)
{
	size_t len = name ? strlen(name) : 0;

	if (len == 0 || len > NAME_MAX_LEN || name[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return false;
	return true;
}

static int unpack_data(struct dump *d, int fd, struct lg_err *err)
{
	la_ssize_t n;

	while ((n = archive_read_data(d->tar, d->block, sizeof(d->block))) > 0) {
		if ((uint64_t)n > d->room)
			return lg_refuse(err, -EBADMSG, 0, "it claims to hold more than it has");
		d->room -= (uint64_t)n;
		for (la_ssize_t at = 0; at < n;) {
			ssize_t w = write(fd, d->block + at, (size_t)(n - at));

			if (w < 0 && errno != EINTR)
				return lg_fail(err, -errno, "write its images");
			at += w < 0 ? 0 : w;
		}
	}
	return n < 0 ? tar_failed(d, "read it", err) : 0;
}

static int unpack_entry(struct dump *d, struct archive_entry *entry, struct lg_err *err)
{
	const char *name = archive_entry_pathname(entry);
	lg_autoclose int fd = -1;
	int r;

	if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
	    archive_entry_symlink(entry) || !is_plain_name(name))
		return lg_refuse(err, -EBADMSG, 0, "there is something in it that is no image");
	fd = openat(d->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return lg_fail(err, -errno, "make the image '%s'", name);
	r = unpack_data(d, fd, err);
	if (r < 0)
		return r;
	if (fchmod(fd, archive_entry_perm(entry) & 0644) < 0 || fsync(fd) < 0)
		return lg_fail(err, -errno, "write the image '%s'", name);
	return 0;
}

static int unpack_entries(struct dump *d, struct lg_err *err)
{
	struct archive_entry *entry;
	int r = 0, head = ARCHIVE_OK;

	for (unsigned int n = 0; r == 0; n++) {
		head = archive_read_next_header(d->tar, &entry);
		if (head == ARCHIVE_EOF)
			break;
		if (head != ARCHIVE_OK)
			return tar_failed(d, "read it", err);
		r = n < FILES_MAX ? unpack_entry(d, entry, err) :
				    lg_refuse(err, -EBADMSG, 0, "there are too many files in it");
	}
	return r;
}

/* Behind the tar's end nothing may be missing, and nothing more may come. */
static int check_end(struct dump *d, struct lg_err *err)
{
	const void *rest;
	uint8_t byte;
	ssize_t n;

	while ((n = lg_seal_read(d->seal, &rest, err)) > 0)
		continue;
	if (n == 0 && read(d->fd, &byte, 1) != 0)
		return lg_refuse(err, -EBADMSG, 0, "there is something behind its end");
	return (int)n;
}

static int unpack_tar(struct dump *d, struct lg_err *err)
{
	int r;

	d->tar = archive_read_new();
	if (!d->tar)
		return lg_fail(err, -ENOMEM, "read it");
	archive_read_support_format_tar(d->tar);
	r = archive_read_open(d->tar, d, NULL, get_block, NULL) == ARCHIVE_OK ?
		    unpack_entries(d, err) : tar_failed(d, "read it", err);
	archive_read_free(d->tar);
	return r < 0 ? r : check_end(d, err);
}

/* Who can write it decides what runs on this host. */
static int open_dump(struct dump *d, const char *path, struct lg_err *err)
{
	struct stat st;

	d->fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (d->fd < 0 || fstat(d->fd, &st) < 0)
		return lg_fail(err, -errno, "open it");
	if (!S_ISREG(st.st_mode))
		return lg_refuse(err, -EBADMSG, 0, "it is no dump file of lodge");
	if (st.st_uid != geteuid() || st.st_mode & 022)
		return lg_refuse(err, -EPERM, 0,
				 "only a file of root's that nobody else can write is trusted "
				 "(chown root, chmod 0600)");
	d->room = (uint64_t)st.st_size;
	return lg_seal_open(d->fd, d->has_key ? &d->key : NULL, &d->seal, err);
}

int lg_dump_unpack(const char *path, const char *key_path, const char *folder, struct lg_err *err)
{
	struct dump *d = dump_new(key_path, err);
	int r;

	if (!d)
		return err ? err->code : -ENOMEM;
	r = open_folder(d, folder, err);
	if (r == 0)
		r = open_dump(d, path, err);
	if (r == 0)
		r = unpack_tar(d, err);
	if (r == 0 && fsync(d->folder) < 0)
		r = lg_fail(err, -errno, "write its images");
	dump_free(d);
	return r < 0 ? lg_within(err, r, "dump file '%s'", path) : 0;
}
