/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The driver for file systems with project quotas (ext4 with the features project and quota and
 * mounted with prjquota, xfs with prjquota): the layer's folder is a project of its own, and all
 * that is ever made in it inherits that. Guests cannot leave it: the kernel lets nobody change a
 * project from within a user namespace.
 *
 * Folders of such a file system are projects even without a limit: one can be set at any time.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/parse.h"
#include "storage/disk.h"

/* Ours are the upper half of the numbers; what others use counts from below. */
#define PROJECT_FIRST UINT32_C(0x80000000)
#define QUOTA_BLOCK 1024u	/* bytes, of struct if_dqblk's limits */

static int quota(int fd, unsigned int cmd, uint32_t id, void *data)
{
	return syscall(SYS_quotactl_fd, fd, QCMD(cmd, PRJQUOTA), id, data) < 0 ? -errno : 0;
}

/* Counted and enforced: with the one alone, limits would be kept and have no effect. */
static bool is_enforced(int fd)
{
	const unsigned int wanted = FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD;
	struct fs_quota_statv state = { .qs_version = FS_QSTATV_VERSION1 };

	return quota(fd, Q_XGETQSTATV, 0, &state) == 0 && (state.qs_flags & wanted) == wanted;
}

static bool project_probe(const char *var, const struct lg_disk_limit *limit)
{
	lg_autoclose int fd = limit->image ? -1 : open(var, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && is_enforced(fd);
}

/* 0: none of ours */
static uint32_t project_of(int layer)
{
	struct fsxattr attr;

	if (ioctl(layer, FS_IOC_FSGETXATTR, &attr) < 0 ||
	    !(attr.fsx_xflags & FS_XFLAG_PROJINHERIT) || attr.fsx_projid < PROJECT_FIRST)
		return 0;
	return attr.fsx_projid;
}

static bool project_holds(int layer)
{
	return project_of(layer) != 0 && is_enforced(layer);
}

/* The same folder gets the same one; those of two daemons on one file system differ. */
static uint32_t project_for(const char *var, uint32_t ctid)
{
	uint32_t sum = 2166136261u, id;

	for (const char *p = var; *p; p++)
		sum = (sum ^ (unsigned char)*p) * 16777619u;
	id = PROJECT_FIRST | ((sum + ctid) & (PROJECT_FIRST - 1));
	return id == UINT32_MAX ? PROJECT_FIRST : id;
}

static int write_limit(int layer, uint32_t id, const struct lg_disk_limit *limit,
		       struct lg_err *err)
{
	struct if_dqblk q = { .dqb_valid = QIF_LIMITS };
	int r;

	/* Zero means none. */
	if (limit->bytes != LG_UNLIMITED)
		q.dqb_bhardlimit = q.dqb_bsoftlimit = limit->bytes / QUOTA_BLOCK;
	if (limit->inodes != LG_UNLIMITED)
		q.dqb_ihardlimit = q.dqb_isoftlimit = limit->inodes;
	r = quota(layer, Q_SETQUOTA, id, &q);
	return r < 0 ? lg_fail(err, r, "set the quota of project %" PRIu32, id) : 0;
}

/* One that counts files already is somebody else's, or of a layer that still waits in the trash. */
static int find_free(int layer, uint32_t *id, struct lg_err *err)
{
	for (unsigned int i = 0; i < 64; i++, *id = *id + 1 == UINT32_MAX ? PROJECT_FIRST : *id + 1) {
		struct if_dqblk q = { 0 };
		int r = quota(layer, Q_GETQUOTA, *id, &q);

		if (r == -ENOENT || r == -ESRCH || (r == 0 && q.dqb_curinodes == 0))
			return 0;
		if (r < 0)
			return lg_fail(err, r, "read the quota of project %" PRIu32, *id);
	}
	return lg_fail(err, -EEXIST, "find a free project number");
}

static int project_make(const char *var, int layer, uint32_t ctid,
			const struct lg_disk_limit *limit, struct lg_err *err)
{
	uint32_t id = project_for(var, ctid);
	struct fsxattr attr;
	int r = find_free(layer, &id, err);

	if (r < 0)
		return r;
	if (ioctl(layer, FS_IOC_FSGETXATTR, &attr) < 0)
		return lg_fail(err, -errno, "read the layer's attributes");
	attr.fsx_projid = id;
	attr.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	if (ioctl(layer, FS_IOC_FSSETXATTR, &attr) < 0)
		return lg_fail(err, -errno, "make the layer project %" PRIu32, id);
	return write_limit(layer, id, limit, err);
}

static int read_quota(int layer, struct if_dqblk *q, struct lg_err *err)
{
	int r = quota(layer, Q_GETQUOTA, project_of(layer), q);

	return r < 0 ? lg_fail(err, r, "read the quota of its project") : 0;
}

static int check_fits(const struct if_dqblk *q, const struct lg_disk_limit *limit,
		      struct lg_err *err)
{
	char now[16];

	lg_format_size(q->dqb_curspace, now);
	if (limit->bytes < q->dqb_curspace)
		return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE,
				 "%" PRIu64 " KiB are too few: its files take %s now",
				 limit->bytes >> 10, now);
	if (limit->inodes < q->dqb_curinodes)
		return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE,
				 "%" PRIu64 " inodes are too few: it uses %" PRIu64 " now",
				 limit->inodes, (uint64_t)q->dqb_curinodes);
	return 0;
}

static uint64_t in_quota(uint64_t v, uint64_t unit)
{
	return v == LG_UNLIMITED ? 0 : v / unit;
}

static int project_plan(int layer, const struct lg_disk_limit *limit, enum lg_disk_change *ret,
			struct lg_err *err)
{
	struct if_dqblk q = { 0 };
	int r = read_quota(layer, &q, err);

	if (r < 0)
		return r;
	if (q.dqb_bhardlimit == in_quota(limit->bytes, QUOTA_BLOCK) &&
	    q.dqb_ihardlimit == in_quota(limit->inodes, 1)) {
		*ret = LG_DISK_SAME;
		return 0;
	}
	*ret = LG_DISK_SET;
	return check_fits(&q, limit, err);
}

static int project_set(int layer, const struct lg_disk_limit *limit, struct lg_err *err)
{
	return write_limit(layer, project_of(layer), limit, err);
}

static int project_usage(int layer, int mounted, struct lg_fs_usage *ret, struct lg_err *err)
{
	struct if_dqblk q = { 0 };
	int r = read_quota(layer, &q, err);

	(void)mounted;
	if (r < 0)
		return r;
	ret->bytes = q.dqb_bhardlimit ? q.dqb_bhardlimit * QUOTA_BLOCK : LG_UNLIMITED;
	ret->bytes_used = q.dqb_curspace;
	ret->inodes = q.dqb_ihardlimit ? q.dqb_ihardlimit : LG_UNLIMITED;
	ret->inodes_used = q.dqb_curinodes;
	return 0;
}

/* A limit without files would stay for good, and be the next one's that gets this number. */
static void project_remove(int layer)
{
	const struct lg_disk_limit none = { .bytes = LG_UNLIMITED, .inodes = LG_UNLIMITED };

	write_limit(layer, project_of(layer), &none, NULL);
}

const struct lg_disk_driver lg_disk_project = {
	.name = "project",
	.probe = project_probe,
	.holds = project_holds,
	.make = project_make,
	.plan = project_plan,
	.set = project_set,
	.usage = project_usage,
	.remove = project_remove,
};
