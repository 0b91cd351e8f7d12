/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Memory that two processes share: what was in it, and that either sees what the other writes.
 */

#define SIZE 400000u
#define MARK 123

static uint8_t *shared;
static struct sv_child child;
static char shm_name[64];
static int file = -1;

/* The child writes what it is asked to and reads it back. */
static int write_mark(int request)
{
	shared[MARK] = (uint8_t)request;
	return sv_compare("shared memory in the child", shared + MARK + 1, SIZE - MARK - 1, 30,
			  MARK + 1) < 0
		       ? -1
		       : shared[MARK];
}

static int share(int fd, int flags)
{
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);
	if (shared == MAP_FAILED)
		return sv_errno("mmap");
	sv_fill(shared, SIZE, 30, 0);
	return sv_child_start(&child, write_mark);
}

static int seen_by_both(void)
{
	if (sv_compare("shared memory", shared, SIZE, 30, 0) < 0)
		return -1;
	if (sv_child_ask(&child, 99) < 0)
		return -1;
	return sv_same("what the other process wrote", 99, shared[MARK]);
}

static void make_private(void)
{
	mmap(shared, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	     0);
	sv_fill(shared, SIZE, 30, 0);
}

static int anonymous_setup(void)
{
	return share(-1, MAP_ANONYMOUS);
}

static int posix_setup(void)
{
	snprintf(shm_name, sizeof(shm_name), "/survive-%d", getpid());
	file = shm_open(shm_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (file < 0 || ftruncate(file, SIZE) < 0)
		return sv_errno("shm_open");
	return share(file, 0);
}

/* By its name as well. */
static int posix_verify(void)
{
	int r = seen_by_both(), again = shm_open(shm_name, O_RDONLY | O_CLOEXEC, 0);
	uint8_t c = 0;

	if (again < 0 || pread(again, &c, 1, MARK) != 1)
		r = sv_errno("its name");
	else if (r == 0)
		r = sv_same("what is seen by its name", 99, c);
	shm_unlink(shm_name);
	return r;
}

static int unlinked_setup(void)
{
	if (posix_setup() < 0)
		return -1;
	close(file);
	return shm_unlink(shm_name) < 0 ? sv_errno("shm_unlink") : 0;
}

static int file_setup(void)
{
	file = sv_file("shared", SIZE, 31);
	return file < 0 ? -1 : share(file, 0);
}

static int file_verify(void)
{
	uint8_t c = 0;

	if (seen_by_both() < 0)
		return -1;
	if (pread(file, &c, 1, MARK) != 1)
		return sv_errno("pread");
	return sv_same("what the file has", 99, c);
}

/* clang-format off */
const struct sv_item sv_shm_items[] = {
	{ "shm-anonymous", "MAP_SHARED memory of two processes", anonymous_setup, seen_by_both, make_private, NULL, SV_KEPT },
	{ "shm-posix", "shm_open, mapped by two processes", posix_setup, posix_verify, make_private, NULL, SV_KEPT },
	{ "shm-unlinked", "shm_open, its name removed", unlinked_setup, seen_by_both, make_private, NULL, SV_KEPT },
	{ "shm-file", "a file mapped by two processes", file_setup, file_verify, make_private, NULL, SV_KEPT },
	{ .name = NULL },
};
