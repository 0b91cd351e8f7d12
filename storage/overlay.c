/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: overlay takes its layers by path, and an id map belongs to a mount. So each
 * layer is cloned (open_tree), mapped (mount_setattr), and attached in a tmpfs on the scratch
 * directory:
 *
 *	SCRATCH/lower	the template, read-only
 *	SCRATCH/layer	the folder that holds upper and work, which must be on one mount
 *
 * Overlay makes its own private clones of them, so the scratch mount can be taken away, with
 * both layers and one call, as soon as overlay stands. The overlay options name the layers
 * relative to the scratch directory: nothing needs escaping, whatever the store's path is, and
 * /proc/mounts inside the container tells nothing about the host.
 */

#include "storage/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "lib/cleanup.h"
#include "lib/exit.h"

/*
 * Renaming a folder of the template works as on any file system (redirect_dir); a change of
 * owner copies the file, so that a layer alone holds all that was changed (metacopy off). The
 * rest is said because a distribution's kernel may have other defaults.
 */
#define OVERLAY_OPTIONS "redirect_dir=on,metacopy=off,index=off,nfs_export=off,xino=auto"
/* In a user namespace overlay may keep its marks in attributes of users only, and then cannot redirect. */
#define SHIFTED_OPTIONS "userxattr,metacopy=off,index=off,nfs_export=off,xino=auto"
#define SCRATCH_OPTIONS "mode=0700,size=4k,nr_inodes=4"

struct layers {
	char folder[PATH_MAX];	/* holds upper and work */
	const char *upper;	/* their names in it */
	const char *work;
};

/* Overlay splits its options at these; what lodge names its folders has none of them. */
static bool plain_name(const char *name)
{
	return name[0] && !strpbrk(name, ",:\\");
}

static int split_layers(const struct lg_overlay *ov, struct layers *ret, struct lg_err *err)
{
	const char *upper = strrchr(ov->upper, '/');
	const char *work = strrchr(ov->work, '/');
	size_t len = upper ? (size_t)(upper - ov->upper) : 0;

	if (len == 0 || !work || (size_t)(work - ov->work) != len ||
	    memcmp(ov->upper, ov->work, len) != 0)
		return lg_refuse(err, -EINVAL, 0, "'%s' and '%s' are not in one folder",
				 ov->upper, ov->work);
	if (len >= sizeof(ret->folder))
		return lg_fail(err, -ENAMETOOLONG, "layer '%s'", ov->upper);
	ret->upper = upper + 1;
	ret->work = work + 1;
	if (!plain_name(ret->upper) || !plain_name(ret->work))
		return lg_refuse(err, -EINVAL, 0, "'%s': no name for a layer", ov->upper);
	memcpy(ret->folder, ov->upper, len);
	ret->folder[len] = '\0';
	return 0;
}

/* Map the ids of the detached mount @fd; @path is for the message. */
static int map_mount(int fd, const char *path, uint64_t attrs, int userns_fd, struct lg_err *err)
{
	struct mount_attr attr = { .attr_set = attrs };

	if (userns_fd >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)userns_fd;
	}
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0)
		return 0;
	if (errno == EINVAL && userns_fd >= 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_MOUNT,
				 "the file system of '%s' cannot map ids: put lodge's files on "
				 "ext4, xfs or btrfs", path);
	return lg_fail(err, -errno, "map the ids of layer '%s'", path);
}

int lg_overlay_map(const char *path, uint64_t attrs, int userns_fd, struct lg_err *err)
{
	lg_autoclose int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int r;

	if (fd < 0)
		return lg_fail(err, -errno, "open layer '%s'", path);
	r = map_mount(fd, path, attrs, userns_fd, err);
	return r < 0 ? r : lg_take_fd(&fd);
}

/* The mount of the folder that holds upper and work: the caller's, or one made of its path. */
static int layer_mount(const struct lg_overlay *ov, const char *folder, struct lg_err *err)
{
	lg_autoclose int fd = -1;
	int userns = ov->shifted ? -1 : ov->userns_fd, r;

	if (ov->layer_fd < 0)
		return lg_overlay_map(folder, MOUNT_ATTR_NODEV, userns, err);
	fd = fcntl(ov->layer_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return lg_fail(err, -errno, "take the layer's mount");
	r = map_mount(fd, folder, MOUNT_ATTR_NODEV, userns, err);
	return r < 0 ? r : lg_take_fd(&fd);
}

/* The scratch mount is the current directory. */
static int attach_layer(int fd, const char *name, struct lg_err *err)
{
	if (mkdir(name, 0700) < 0 ||
	    move_mount(fd, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return lg_fail(err, -errno, "attach layer '%s'", name);
	return 0;
}

/*
 * Overlay does all that its guests do on the layers with the rights of whoever mounted it. One that
 * may exceed resources would let them past disk quotas and into the blocks that a file system
 * keeps for root.
 *
 * @keep: the effective set as it was; for capset()
 */
static int drop_resource(struct __user_cap_data_struct keep[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, keep) < 0)
		return -errno;
	memcpy(data, keep, sizeof(data));
	data[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective &= ~CAP_TO_MASK(CAP_SYS_RESOURCE);
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static void restore_caps(const struct __user_cap_data_struct keep[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	syscall(SYS_capset, &header, keep);
}

/*
 * The mount call as the container's root: file ids are set to @id, and the capabilities which
 * setfsuid() would then drop are kept. Nothing of it is left behind.
 */
static int mount_as(uint32_t id, const char *target, unsigned long flags, const char *options)
{
	struct __user_cap_data_struct caps[2];
	int saved = prctl(PR_GET_SECUREBITS);
	uid_t fsuid;
	gid_t fsgid;
	int r;

	if (saved < 0 || prctl(PR_SET_SECUREBITS, saved | SECBIT_NO_SETUID_FIXUP) < 0)
		return -errno;
	r = drop_resource(caps);
	if (r < 0) {
		prctl(PR_SET_SECUREBITS, saved);
		return r;
	}
	fsgid = (gid_t)setfsgid(id);
	fsuid = (uid_t)setfsuid(id);
	r = mount("overlay", target, "overlay", MS_NODEV | flags, options) < 0 ? -errno : 0;
	restore_caps(caps);
	setfsuid(fsuid);
	setfsgid(fsgid);
	prctl(PR_SET_SECUREBITS, saved);
	return r;
}

static int mount_overlay(const struct lg_overlay *ov, const struct layers *layers,
			 struct lg_err *err)
{
	char options[1024];
	int r;

	r = snprintf(options, sizeof(options),
		     "lowerdir=lower,upperdir=layer/%s,workdir=layer/%s,%s",
		     layers->upper, layers->work, ov->shifted ? SHIFTED_OPTIONS : OVERLAY_OPTIONS);
	if (r < 0 || (size_t)r >= sizeof(options))
		return lg_fail(err, -ENAMETOOLONG, "layer '%s'", ov->upper);
	/* Shown on the host, with the ids that are on disk, a set-uid file of the guest's is the host's. */
	r = ov->userns_fd >= 0 ? mount_as(ov->id_base, ov->target, 0, options) :
				 mount_as(ov->shifted ? ov->id_base : 0, ov->target, MS_NOSUID, options);
	return r < 0 ? lg_fail(err, r, "mount overlay on '%s'", ov->target) : 0;
}

/* Overlay that cannot write its work directory is read-only and tells the kernel's log only. */
static int check_writable(const struct lg_overlay *ov, struct lg_err *err)
{
	struct statfs st;

	if (statfs(ov->target, &st) < 0)
		return lg_fail(err, -errno, "look at '%s'", ov->target);
	if (st.f_flags & ST_RDONLY)
		return lg_refuse(err, -EROFS, LG_EXIT_MOUNT,
				 "overlay on '%s' came up read-only: '%s' cannot be written",
				 ov->target, ov->work);
	return 0;
}

static int mount_in_scratch(const struct lg_overlay *ov, const struct layers *layers,
			    int lower_fd, int layer_fd, struct lg_err *err)
{
	int r;

	if (chdir(ov->scratch) < 0)
		return lg_fail(err, -errno, "enter '%s'", ov->scratch);
	r = attach_layer(lower_fd, "lower", err);
	if (r == 0)
		r = attach_layer(layer_fd, "layer", err);
	return r < 0 ? r : mount_overlay(ov, layers, err);
}

int lg_overlay_mount(const struct lg_overlay *ov, struct lg_err *err)
{
	lg_autoclose int lower_fd = -1, layer_fd = -1, cwd = -1;
	int userns = ov->shifted ? -1 : ov->userns_fd;
	struct layers layers;
	int left, r;

	r = split_layers(ov, &layers, err);
	if (r < 0)
		return r;
	lower_fd = lg_overlay_map(ov->lower, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, userns, err);
	if (lower_fd < 0)
		return lower_fd;
	layer_fd = layer_mount(ov, layers.folder, err);
	if (layer_fd < 0)
		return layer_fd;
	cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cwd < 0)
		return lg_fail(err, -errno, "open the current directory");
	if (mount("lodge", ov->scratch, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  SCRATCH_OPTIONS) < 0)
		return lg_fail(err, -errno, "mount a tmpfs on '%s'", ov->scratch);
	r = mount_in_scratch(ov, &layers, lower_fd, layer_fd, err);
	left = fchdir(cwd) < 0 ? -errno : 0;
	if (r < 0 || !ov->keep_scratch)
		umount2(ov->scratch, MNT_DETACH);
	if (r < 0)
		return r;
	r = left < 0 ? lg_fail(err, left, "leave '%s'", ov->scratch) : check_writable(ov, err);
	if (r < 0)
		umount2(ov->target, MNT_DETACH);
	return r;
}
