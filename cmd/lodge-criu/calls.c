/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * lodge-criu-calls.so, preloaded into CRIU: a few of its calls to the kernel are made differently.
 *
 * clone3() of a user namespace, and prlimit(), by the id of the container's root. A user namespace belongs to the effective id that
 * made it, and the kernel counts what is made in it (inotify instances, namespaces, ...) against that id, too. lodge makes
 * each container's by its own root's id, so that they do not share one budget with the host's root (ct/launch.c); a restored one has to be made in
 * the same way. And only the owner of a user namespace, or who has CAP_SYS_RESOURCE, which hosts may keep from lodge, may
 * read the limits of its processes, which a dump does.
 *
 * getsockopt() of SO_PASSCRED and SO_PASSSEC: since Linux 6.16 sockets that cannot have these say so, and CRIU 4.1 takes that
 * for a failure. They are off there.
 *
 * mkdirat() of a cgroup below one of the container's own: by the container's root, so that all files in it are his, as if he had
 * made it. CRIU gives him some of them, by a list that is older than the kernel.
 *
 * setns() of a mount namespace, which the kernel refuses to a process that shares its working folder with another one. A restored
 * init does for a while, with the stand-in for the leader of a session that has ended (what was started in the background and
 * whose shell is gone); and to bind the unix sockets of a systemd CRIU has it go there. It stops sharing first.
 *
 * write() of cgroup.subtree_control, by the container's root as well: the files that a controller brings to the folders below belong
 * to who switches it on. And CRIU takes away what is switched on there and adds what is to be, in one line, and leaves the end of the
 * line that it has read in the middle of it, which the kernel does not understand. It is a blank here.
 *
 * Nothing else about CRIU changes: it is root before and after. A library cannot call another's functions by name
 * and be sure that they are not these, so the calls are made by hand.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cmd/lodge-criu/calls.h"

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the names in the C library's headers are reserved */

#define LINE_MAX_ 1024

static long owner(void)
{
	const char *text = getenv("LODGE_OWNER");

	return text ? strtol(text, NULL, 10) : 0;
}

/* The id for files alone. */
static void act_as(long uid)
{
	const long get[6] = { PR_GET_SECUREBITS };
	long saved = kernel(SYS_prctl, get);
	const long keep[6] = { PR_SET_SECUREBITS, saved | SECBIT_NO_SETUID_FIXUP };
	const long back[6] = { PR_SET_SECUREBITS, saved };
	const long files[6] = { uid };

	kernel(SYS_prctl, keep);
	kernel(SYS_setfsuid, files);
	kernel(SYS_setfsgid, files);
	kernel(SYS_prctl, back);
}

/* The effective id alone: files are opened as before, and no right is lost by it, as the fixup is off meanwhile. */
static void be_effectively(long uid)
{
	const long get[6] = { PR_GET_SECUREBITS };
	long saved = kernel(SYS_prctl, get);
	const long keep[6] = { PR_SET_SECUREBITS, saved | SECBIT_NO_SETUID_FIXUP };
	const long back[6] = { PR_SET_SECUREBITS, saved };
	const long ids[6] = { -1, uid, -1 };
	const long files[6] = { 0 };

	kernel(SYS_prctl, keep);
	kernel(SYS_setresuid, ids);
	kernel(SYS_setfsuid, files);
	kernel(SYS_prctl, back);
}

/*
 * A process that is born in the new namespace stays what it is until CRIU makes it the container's root: there is no name
 * for the host's root in there. It opens the images meanwhile, by its id for files.
 */
static long as_owner(long number, const long a[6])
{
	long r;

	be_effectively(owner());
	r = kernel(number, a);
	if (r != 0 || number != SYS_clone3)
		be_effectively(0);
	return r;
}

static int makes_user_namespace(long number, const long a[6])
{
	const struct clone_args *args = (const struct clone_args *)a[0];

	return number == SYS_clone3 && (args->flags & CLONE_NEWUSER);
}

EXPORTED long syscall(long number, ...)
{
	long a[6], r;
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (calls_open_cgroups(number, a, &r))
		return result(r);
	if (owner() && (makes_user_namespace(number, a) || number == SYS_prlimit64))
		return result(as_owner(number, a));
	return result(kernel(number, a));
}

EXPORTED int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *new_limit,
	      struct rlimit64 *old_limit)
{
	const long a[6] = { pid, (long)resource, (long)new_limit, (long)old_limit };

	return (int)result(owner() ? as_owner(SYS_prlimit64, a) : kernel(SYS_prlimit64, a));
}

static int is_of_cgroup2(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static long write_controllers(int fd, const char *data, size_t len)
{
	char line[LINE_MAX_], *end;
	const long a[6] = { fd, (long)line, (long)len };

	memcpy(line, data, len);
	end = memchr(line, '\n', len - 1);
	if (end)
		*end = ' ';
	return kernel(SYS_write, a);
}

EXPORTED ssize_t write(int fd, const void *data, size_t len)
{
	const long a[6] = { fd, (long)data, (long)len };
	char first = len > 1 && len <= LINE_MAX_ ? *(const char *)data : 0;
	int own = (first == '-' || first == '+') && owner() && is_of_cgroup2(fd);
	long r;

	if (!own)
		return result(kernel(SYS_write, a));
	act_as(owner());
	r = write_controllers(fd, data, len);
	act_as(0);
	return result(r);
}

EXPORTED int setns(int fd, int type)
{
	const long a[6] = { fd, type };
	const long own_folder[6] = { CLONE_FS };
	long r = kernel(SYS_setns, a);

	if (r == -EINVAL && type == CLONE_NEWNS && kernel(SYS_unshare, own_folder) == 0)
		r = kernel(SYS_setns, a);
	return (int)result(r);
}

EXPORTED int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	const long a[6] = { fd, level, name, (long)value, (long)len };
	long r = kernel(SYS_getsockopt, a);

	if (r == -EOPNOTSUPP && level == SOL_SOCKET && (name == SO_PASSCRED || name == SO_PASSSEC) &&
	    *len >= sizeof(int)) {
		*(int *)value = 0;
		r = 0;
	}
	return (int)result(r);
}

/* Is the folder that @path names something in a cgroup2 folder of the container's? */
static int is_own_cgroup(int dir, const char *path)
{
	char parent[PATH_MAX];
	struct stat st;
	const char *slash = strrchr(path, '/');
	int fd, own;

	if (!slash || slash == path || (size_t)(slash - path) >= sizeof(parent))
		return 0;
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = '\0';
	fd = openat(dir, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	own = is_of_cgroup2(fd) && fstat(fd, &st) == 0 && st.st_uid == (uid_t)owner();
	close(fd);
	return own;
}

EXPORTED int mkdirat(int dir, const char *path, mode_t mode)
{
	const long a[6] = { dir, (long)path, mode };
	int own = owner() && is_own_cgroup(dir, path);
	long r;

	if (own)
		act_as(owner());
	r = kernel(SYS_mkdirat, a);
	if (own)
		act_as(0);
	return (int)result(r);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
