/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

/* One process holds a lock; another cannot have it before it is given back. */

static struct sv_child holder;
static int held = -1; /* the child's descriptor */
static int mine = -1;

enum request {
	HOLD_FLOCK,
	HOLD_FCNTL,
	HOLD_OFD,
	GIVE_BACK,
};

static struct flock range(short type)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = 100, .l_len = 50};
}

static int hold(int request)
{
	struct flock lock = range(request == GIVE_BACK ? F_UNLCK : F_WRLCK);
	int r;

	if (held < 0)
		held = open("locked", O_RDWR | O_CLOEXEC);
	switch (request) {
	case HOLD_FLOCK:
		r = flock(held, LOCK_EX | LOCK_NB);
		break;
	case HOLD_FCNTL:
		r = fcntl(held, F_SETLK, &lock);
		break;
	case HOLD_OFD:
		r = fcntl(held, F_OFD_SETLK, &lock);
		break;
	default:
		r = flock(held, LOCK_UN) < 0 || fcntl(held, F_SETLK, &lock) < 0 ||
				    fcntl(held, F_OFD_SETLK, &lock) < 0
			    ? -1
			    : 0;
		break;
	}
	return r < 0 ? sv_errno("lock") : 0;
}

static int setup(int request)
{
	mine = sv_file("locked", 1000, 50);
	if (mine < 0 || sv_child_start(&holder, hold) < 0)
		return -1;
	return sv_child_ask(&holder, request);
}

static int flock_setup(void)
{
	return setup(HOLD_FLOCK);
}

static int fcntl_setup(void)
{
	return setup(HOLD_FCNTL);
}

static int ofd_setup(void)
{
	return setup(HOLD_OFD);
}

static int try_flock(void)
{
	return flock(mine, LOCK_EX | LOCK_NB);
}

/* A traditional lock in the way of another traditional or OFD lock. */
static int try_range(void)
{
	struct flock lock = range(F_WRLCK);

	return fcntl(mine, F_OFD_SETLK, &lock);
}

static int refused_then_given(int (*try)(void))
{
	if (try() == 0 || (errno != EAGAIN && errno != EACCES))
		return sv_fail("the lock was lost");
	if (sv_child_ask(&holder, GIVE_BACK) < 0)
		return -1;
	return try() < 0 ? sv_errno("the lock that was given back") : 0;
}

static int flock_verify(void)
{
	return refused_then_given(try_flock);
}

/* Who holds it is told, and bytes beside the range are free. */
static int fcntl_verify(void)
{
	struct flock lock = range(F_WRLCK);

	if (fcntl(mine, F_GETLK, &lock) < 0)
		return sv_errno("F_GETLK");
	if (sv_same("who holds the lock", holder.pid, lock.l_type == F_UNLCK ? 0 : lock.l_pid) <
		    0 ||
	    sv_same("where it begins", 100, lock.l_start) < 0 ||
	    sv_same("its length", 50, lock.l_len) < 0)
		return -1;
	return refused_then_given(try_range);
}

static int ofd_verify(void)
{
	return refused_then_given(try_range);
}

static void spoil(void)
{
	sv_child_ask(&holder, GIVE_BACK);
}

const struct sv_item sv_lock_items[] = {
	{"lock-flock", "flock held by another process", flock_setup, flock_verify, spoil, NULL,
	 SV_KEPT},
	{"lock-fcntl", "fcntl lock held by another process", fcntl_setup, fcntl_verify, spoil,
	 NULL, SV_KEPT},
	{"lock-ofd", "OFD lock held by another process", ofd_setup, ofd_verify, spoil, NULL,
	 SV_KEPT},
	{.name = NULL},
};
