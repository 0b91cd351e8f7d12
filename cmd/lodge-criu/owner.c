/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * lodge-criu-owner.so, preloaded into CRIU: two calls of it are made by the id of the container's root.
 *
 * A user namespace belongs to the effective id that made it, and the kernel counts what is made in it (inotify instances,
 * namespaces, ...) against that id, too. lodge makes each container's by its own root's id, so that they do not share one budget with
 * the host's root (ct/launch.c); a restored one has to be made in the same way. And only the owner of a user
 * namespace, or who has CAP_SYS_RESOURCE, which hosts may keep from lodge, may read the limits of its processes, which a
 * dump does.
 *
 * Nothing else about CRIU changes: it is root before and after. A library cannot call another's functions by name
 * and be sure that they are not these, so the calls are made by hand.
 */

#include <errno.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>

#define EXPORTED __attribute__((visibility("default")))
#define ERRNO_MAX 4095

EXPORTED long syscall(long number, ...);
EXPORTED int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *new_limit,
		       struct rlimit64 *old_limit);

static long kernel(long number, const long a[6])
{
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static long result(long r)
{
	if (r < 0 && r >= -ERRNO_MAX) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

static long owner(void)
{
	const char *text = getenv("LODGE_OWNER");

	return text ? strtol(text, NULL, 10) : 0;
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

long syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (owner() && (makes_user_namespace(number, a) || number == SYS_prlimit64))
		return result(as_owner(number, a));
	return result(kernel(number, a));
}

int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *new_limit,
	      struct rlimit64 *old_limit)
{
	const long a[6] = { pid, (long)resource, (long)new_limit, (long)old_limit };

	return (int)result(owner() ? as_owner(SYS_prlimit64, a) : kernel(SYS_prlimit64, a));
}
