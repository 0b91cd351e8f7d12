/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: the loop device is bound with AUTOCLEAR, so the kernel unbinds it when it is closed
 * and not mounted; the mount is a detached one that lives by its descriptor and by what is made
 * of it. A process that dies at any instruction leaves neither.
 *
 * One file mounted through two loop devices would be destroyed. The lock that prevents it belongs
 * to the open file, and the loop device keeps that file open exactly as long as it is bound.
 */

#include "storage/image.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/exit.h"

#define IMAGE_BLOCK 4096u
#define LOOP_TRIES 64u
#define LOCK_STEP_MS 5u
#define LOOP_MAJOR 7u

/* linux/ext4.h came with Linux 6.1. */
#define RESIZE_FS _IOW('f', 16, uint64_t)

static void wait_ms(unsigned int ms)
{
	struct timespec t = { .tv_nsec = (long)ms * 1000000 };

	nanosleep(&t, NULL);
}

static int lock_image(int image, const char *path, unsigned int patience_ms, struct lg_err *err)
{
	for (unsigned int waited = 0; flock(image, LOCK_EX | LOCK_NB) < 0; waited += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK)
			return lg_fail(err, -errno, "lock '%s'", path);
		if (waited >= patience_ms)
			return lg_refuse(err, -EBUSY, LG_EXIT_LOCKED,
					 "its disk '%s' is still in use: something holds files "
					 "of it open", path);
		wait_ms(LOCK_STEP_MS);
	}
	return 0;
}

/* Return: 0; -EBUSY when somebody else was faster; negative errno. */
static int bind_loop(int loop, int image)
{
	struct loop_config conf = {
		.fd = (__u32)image,
		.block_size = IMAGE_BLOCK,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
	};

	if (ioctl(loop, LOOP_CONFIGURE, &conf) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* A file system below without direct I/O, or with larger blocks. */
	conf.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	conf.block_size = 0;
	return ioctl(loop, LOOP_CONFIGURE, &conf) < 0 ? -errno : 0;
}

/* @name: 24 bytes, of the device. Return: its descriptor, bound to @image. */
static int take_loop(int image, char name[24], struct lg_err *err)
{
	lg_autoclose int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		return lg_fail(err, -errno, "open /dev/loop-control (disk limits need the loop "
			       "driver)");
	for (unsigned int i = 0; i < LOOP_TRIES; i++) {
		lg_autoclose int loop = -1;
		int nr = ioctl(control, LOOP_CTL_GET_FREE), r;

		if (nr < 0)
			return lg_fail(err, -errno, "find a free loop device");
		snprintf(name, 24, "/dev/loop%d", nr);
		loop = open(name, O_RDWR | O_CLOEXEC);
		if (loop < 0 && errno != ENXIO && errno != ENOENT)
			return lg_fail(err, -errno, "open '%s'", name);
		r = loop < 0 ? -EBUSY : bind_loop(loop, image);
		if (r == 0)
			return lg_take_fd(&loop);
		if (r != -EBUSY)
			return lg_fail(err, r, "bind '%s'", name);
	}
	return lg_fail(err, -EBUSY, "find a free loop device");
}

/* What mounting an image says beyond the defaults, and why. */
static const struct {
	const char *key, *value;	/* without value: a flag */
} options[] = {
	{ "discard", NULL },		/* what the guest deletes is given back to the host */
	{ "noinit_itable", NULL },	/* a sparse file reads as zeros: nothing to zero */
	{ "errors", "remount-ro" },	/* the host may be full: stop before more is lost */
};

static int mount_device(const char *device)
{
	lg_autoclose int fs = fsopen("ext4", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (fsconfig(fs, options[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			     options[i].key, options[i].value, 0) < 0)
			return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
	return fd < 0 ? -errno : fd;
}

int lg_image_open(const char *path, unsigned int patience_ms, struct lg_err *err)
{
	lg_autoclose int image = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (image < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	r = lock_image(image, path, patience_ms, err);
	return r < 0 ? r : lg_take_fd(&image);
}

int lg_image_mount(const char *path, unsigned int patience_ms, struct lg_err *err)
{
	lg_autoclose int image = lg_image_open(path, patience_ms, err), loop = -1;
	char device[24];
	int r;

	if (image < 0)
		return image;
	loop = take_loop(image, device, err);
	if (loop < 0)
		return loop;
	r = mount_device(device);
	return r < 0 ? lg_fail(err, r, "mount '%s' (%s)", path, device) : r;
}

/* ---- growing ---- */

bool lg_image_can_grow(void)
{
	return prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 1;
}

/* The loop device below @mount_fd; it must be bound to @image. */
static int open_loop_below(int mount_fd, int image, struct lg_err *err)
{
	struct loop_info64 info;
	char link[64], target[PATH_MAX], device[NAME_MAX + 8];
	lg_autoclose int loop = -1;
	struct stat at, file;
	ssize_t n;

	if (fstat(mount_fd, &at) < 0 || fstat(image, &file) < 0)
		return lg_fail(err, -errno, "look at the image");
	if (major(at.st_dev) != LOOP_MAJOR)
		return lg_refuse(err, -EINVAL, 0, "what is mounted is not the image");
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(at.st_dev), minor(at.st_dev));
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return lg_fail(err, -errno, "read '%s'", link);
	target[n] = '\0';
	snprintf(device, sizeof(device), "/dev/%.*s", NAME_MAX, strrchr(target, '/') + 1);
	loop = open(device, O_RDWR | O_CLOEXEC);
	if (loop < 0 || ioctl(loop, LOOP_GET_STATUS64, &info) < 0)
		return lg_fail(err, -errno, "open '%s'", device);
	if (info.lo_inode != file.st_ino || info.lo_device != file.st_dev)
		return lg_refuse(err, -EINVAL, 0, "'%s' is not the image's", device);
	return lg_take_fd(&loop);
}

int lg_image_again(int mount_fd, const char *path, struct lg_err *err)
{
	lg_autoclose int image = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), loop = -1;
	char device[40];
	int r;

	if (image < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	loop = open_loop_below(mount_fd, image, err);
	if (loop < 0)
		return loop;
	snprintf(device, sizeof(device), "/proc/self/fd/%d", loop);
	r = mount_device(device);
	return r < 0 ? lg_fail(err, r, "mount '%s' once more", path) : r;
}

int lg_image_grow(int mount_fd, int image, uint64_t bytes, struct lg_err *err)
{
	lg_autoclose int loop = open_loop_below(mount_fd, image, err), folder = -1;
	uint64_t blocks = bytes / IMAGE_BLOCK;
	struct stat st;
	int r = 0;

	if (loop < 0)
		return loop;
	/* What fsmount() gives can be read through, and not be asked for anything. */
	folder = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fstat(image, &st) < 0)
		return lg_fail(err, -errno, "look at the image");
	if ((uint64_t)st.st_size > bytes)
		return lg_refuse(err, -EINVAL, 0, "the image is larger already");
	if (ftruncate(image, (off_t)bytes) < 0)
		return lg_fail(err, -errno, "make the image larger");
	if (ioctl(loop, LOOP_SET_CAPACITY, 0) < 0 || ioctl(folder, RESIZE_FS, &blocks) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	if (ftruncate(image, st.st_size) == 0)
		ioctl(loop, LOOP_SET_CAPACITY, 0);
	return lg_fail(err, r, "make the file system larger%s",
		       r == -EPERM ? " (it needs CAP_SYS_RESOURCE)" : "");
}

/* ---- what is in use ---- */

#define SUPER_AT 1024
#define SUPER_MAGIC 0xef53u

/* The parts of ext4's superblock that say how much there is; little endian. */
struct super {
	uint32_t inodes, blocks, reserved, free_blocks, free_inodes;
	uint32_t skip1[9];
	uint16_t magic;
	uint8_t skip2[0x150 - 0x3a];
	uint32_t blocks_high, reserved_high, free_blocks_high;
	uint8_t skip3[0x248 - 0x15c];
	uint32_t overhead;
};

_Static_assert(offsetof(struct super, magic) == 0x38, "ext4's layout");
_Static_assert(offsetof(struct super, blocks_high) == 0x150, "ext4's layout");
_Static_assert(offsetof(struct super, overhead) == 0x248, "ext4's layout");

static uint64_t wide(uint32_t low, uint32_t high)
{
	return (uint64_t)le32toh(high) << 32 | le32toh(low);
}

int lg_image_read(int fd, struct lg_fs_usage *ret, struct lg_err *err)
{
	uint64_t blocks, free_blocks, overhead;
	struct super s;
	ssize_t n = pread(fd, &s, sizeof(s), SUPER_AT);

	if (n < 0)
		return lg_fail(err, -errno, "read the image");
	if (n != (ssize_t)sizeof(s) || le16toh(s.magic) != SUPER_MAGIC)
		return lg_refuse(err, -EUCLEAN, 0, "there is no ext4 in the image");
	blocks = wide(s.blocks, s.blocks_high);
	free_blocks = wide(s.free_blocks, s.free_blocks_high);
	overhead = le32toh(s.overhead);
	ret->bytes = (blocks - overhead) * IMAGE_BLOCK;
	ret->bytes_used = (blocks - free_blocks - overhead) * IMAGE_BLOCK;
	ret->inodes = le32toh(s.inodes);
	ret->inodes_used = le32toh(s.inodes) - le32toh(s.free_inodes);
	return 0;
}

int lg_fs_usage(int fd, struct lg_fs_usage *ret, struct lg_err *err)
{
	struct statvfs v;

	if (fstatvfs(fd, &v) < 0)
		return lg_fail(err, -errno, "look at the file system");
	ret->bytes = (uint64_t)v.f_blocks * v.f_frsize;
	ret->bytes_used = (uint64_t)(v.f_blocks - v.f_bfree) * v.f_frsize;
	ret->inodes = v.f_files;
	ret->inodes_used = v.f_files - v.f_ffree;
	return 0;
}
