/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"

#define CHUNK (1u << 20)
#define GRAIN 4096u	/* so much that is zero becomes a hole */
#define STEP 10u	/* percent between two lines of progress */

#define IMAGE "/proc/self/fd/3"
#define DISK "/proc/self/fd/4"

/* Exit statuses of qemu-img check */
#define CHECK_CLEAN 0
#define CHECK_DAMAGED 2
#define CHECK_LEAKS 3		/* room that nobody uses: no harm */
#define CHECK_UNKNOWN 63	/* the format has none */

int lg_convert_wanted(const struct lg_convert *c, struct lg_err *err)
{
	struct pollfd p = { .fd = c->lifeline };

	if (c->lifeline >= 0 && poll(&p, 1, 0) > 0)
		return lg_refuse(err, -ECANCELED, LG_EXIT_CANCELLED, "nobody wants it any more");
	return 0;
}

static void tell(const struct lg_convert *c, const char *line)
{
	if (c->progress)
		c->progress(line, c->arg);
}

/* ---- byte for byte ---- */

static bool is_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int write_data(int to, const char *buf, size_t len, off_t at)
{
	for (size_t i = 0; i < len; i += GRAIN) {
		size_t n = len - i < GRAIN ? len - i : GRAIN;

		for (size_t done = 0; done < n && !is_zero(buf + i, n);) {
			ssize_t w = pwrite(to, buf + i + done, n - done, at + (off_t)(i + done));

			if (w < 0 && errno != EINTR)
				return -errno;
			done += w > 0 ? (size_t)w : 0;
		}
	}
	return 0;
}

/* Where the next data are; holes are passed over. */
static off_t next_data(int fd, off_t at, off_t end)
{
	off_t next = lseek(fd, at, SEEK_DATA);

	if (next < 0)
		return errno == ENXIO ? end : at;
	return next < end ? next : end;
}

static void tell_part(const struct lg_convert *c, const char *what, off_t at, off_t end, unsigned int *told)
{
	unsigned int percent = end ? (unsigned int)(at * 100 / end) : 100;
	char line[64];

	if (percent < *told + STEP)
		return;
	*told = percent / STEP * STEP;
	snprintf(line, sizeof(line), "%s: %u%%", what, *told);
	tell(c, line);
}

int lg_copy_sparse(const struct lg_convert *c, int from, int to, const char *what, struct lg_err *err)
{
	lg_autofree char *buf = malloc(CHUNK);
	unsigned int told = 0;
	struct stat st;
	off_t at = 0;

	if (!buf || fstat(from, &st) < 0)
		return lg_fail(err, buf ? -errno : -ENOMEM, "copy the image");
	while ((at = next_data(from, at, st.st_size)) < st.st_size) {
		ssize_t n = pread(from, buf, CHUNK, at);
		int r = n < 0 && errno != EINTR ? -errno : 0;

		if (r == 0 && n > 0)
			r = write_data(to, buf, (size_t)n, at);
		if (r < 0)
			return lg_fail(err, r, "copy the image");
		if (n == 0)
			return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image became shorter while it was read");
		if (lg_convert_wanted(c, err) < 0)
			return err->code;
		at += n > 0 ? n : 0;
		tell_part(c, what, at, st.st_size, &told);
	}
	return 0;
}

/* ---- the image's disk, and ours ---- */

static int check_room(const struct lg_convert *c, uint64_t needed, struct lg_err *err)
{
	char need[16], have[16];
	struct statvfs fs;

	if (fstatvfs(c->folder, &fs) < 0)
		return lg_fail(err, -errno, "look at the room on the host");
	if ((uint64_t)fs.f_bavail * fs.f_frsize >= needed)
		return 0;
	lg_format_size(needed, need);
	lg_format_size((uint64_t)fs.f_bavail * fs.f_frsize, have);
	return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE, "the image takes %s, and the host has %s", need, have);
}

static int check_size(const struct lg_convert *c, uint64_t bytes, struct lg_err *err)
{
	uint64_t up = (bytes + (1u << 20) - 1) >> 20;
	char has[16];
	struct stat st;

	if (fstat(c->disk, &st) < 0)
		return lg_fail(err, -errno, "look at its disk");
	if (bytes <= (uint64_t)st.st_size)
		return 0;
	lg_format_size((uint64_t)st.st_size, has);
	return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE, "the disk in the image is larger than %s: give --disk %" PRIu64 "M or more",
			 has, up);
}

static int convert_raw(const struct lg_convert *c, struct lg_err *err)
{
	struct stat st;
	int r = fstat(c->image, &st) < 0 ? lg_fail(err, -errno, "look at the image") : check_size(c, (uint64_t)st.st_size, err);

	if (r == 0)
		r = check_room(c, (uint64_t)st.st_blocks * 512, err);
	return r < 0 ? r : lg_copy_sparse(c, c->image, c->disk, "copying", err);
}

/* One that goes with us, and that qemu-img's user can open. */
static int own_copy(const struct lg_convert *c, int *ret, struct lg_err *err)
{
	lg_autoclose int copy = openat(c->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct stat st;
	int r;

	if (copy < 0 || fstat(c->image, &st) < 0)
		return lg_fail(err, -errno, "make a copy of the image");
	if (ioctl(copy, FICLONE, c->image) < 0) {
		r = check_room(c, 2 * (uint64_t)st.st_blocks * 512, err);
		if (r == 0 && ftruncate(copy, st.st_size) < 0)
			r = lg_fail(err, -errno, "make a copy of the image");
		if (r == 0)
			r = lg_copy_sparse(c, c->image, copy, "reading", err);
		if (r < 0)
			return r;
	}
	if (fchown(copy, c->id, c->id) < 0)
		return lg_fail(err, -errno, "give the copy of the image away");
	*ret = lg_take_fd(&copy);
	return 0;
}

static int check_image(const struct lg_convert *c, enum lg_image_format format, int copy, struct lg_err *err)
{
	const char *const info[] = { "info", "--output=json", "-f", lg_image_format_name(format), IMAGE, NULL };
	const char *const check[] = { "check", "--output=json", "-f", lg_image_format_name(format), IMAGE, NULL };
	lg_autofree char *said = NULL, *checked = NULL;
	uint64_t bytes = 0;
	struct stat st;
	int r = lg_qemu_img(c, info, copy, &said, err);

	if (r > 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image is damaged: qemu-img does not read it");
	if (r == 0)
		r = lg_image_check_info(said, format, &bytes, err);
	if (r == 0)
		r = check_size(c, bytes, err);
	if (r < 0)
		return r;
	r = lg_qemu_img(c, check, copy, &checked, err);
	if (r < 0 || r == CHECK_UNKNOWN)
		return r < 0 ? r : 0;
	if (r != CHECK_CLEAN && r != CHECK_LEAKS && r != CHECK_DAMAGED)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image is damaged: qemu-img cannot check it");
	return fstat(copy, &st) < 0 ? lg_fail(err, -errno, "look at the image") :
				      lg_image_check_check(checked, (uint64_t)st.st_size, err);
}

/* The disk is qemu-img's as long as that writes it. */
static int run_convert(const struct lg_convert *c, enum lg_image_format format, int copy, struct lg_err *err)
{
	const char *const args[] = { "convert", "-p", "-n", "--target-is-zero", "-f", lg_image_format_name(format), "-O", "raw",
				     IMAGE, DISK, NULL };
	int r;

	if (fchown(c->disk, c->id, c->id) < 0)
		return lg_fail(err, -errno, "give its disk to qemu-img");
	r = lg_qemu_img(c, args, copy, NULL, err);
	if (fchown(c->disk, 0, 0) < 0 && r == 0)
		r = lg_fail(err, -errno, "take its disk back");
	return r;
}

static int convert_format(const struct lg_convert *c, enum lg_image_format format, struct lg_err *err)
{
	lg_autoclose int copy = -1;
	char line[64];
	int r;

	snprintf(line, sizeof(line), "the image is %s", lg_image_format_name(format));
	tell(c, line);
	r = own_copy(c, &copy, err);
	if (r == 0)
		r = check_image(c, format, copy, err);
	return r == 0 ? run_convert(c, format, copy, err) : r;
}

int lg_convert(const struct lg_convert *c, struct lg_err *err)
{
	int format = lg_image_detect(c->image, err), r;
	struct stat before, after;

	if (format < 0)
		return format;
	if (fstat(c->disk, &before) < 0)
		return lg_fail(err, -errno, "look at its disk");
	r = format == LG_IMAGE_RAW ? convert_raw(c, err) : convert_format(c, (enum lg_image_format)format, err);
	if (r == 0 && fsync(c->disk) < 0)
		r = lg_fail(err, -errno, "write its disk");
	if (r == 0 && (fstat(c->disk, &after) < 0 || after.st_size != before.st_size))
		r = lg_refuse(err, -EIO, 0, "its disk is not as long as it was made");
	return r;
}
