/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

static uint8_t *map;
static size_t map_size;

static int map_anonymous(size_t size, int flags)
{
	map_size = size;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, PRIVATE | flags, -1, 0);
	return map == MAP_FAILED ? sv_errno("mmap") : 0;
}

/* ---- a large private mapping; SURVIVE_MIB says how large -------------------------- */

static int large_setup(void)
{
	const char *mib = getenv("SURVIVE_MIB");

	if (map_anonymous((mib ? strtoull(mib, NULL, 10) : 32) << 20, 0) < 0)
		return -1;
	sv_fill(map, map_size, 90, 0);
	return 0;
}

static int large_verify(void)
{
	return sv_compare("private memory", map, map_size, 90, 0);
}

static void one_byte(void)
{
	map[map_size / 2 + 5] ^= 1;
}

/* ---- copy on write ---------------------------------------------------------------- */

static struct sv_child child;

#define COW_PAGES 256u
#define CHANGED 3u /* one in so many pages is the child's own */

static int check_cow(bool is_child)
{
	for (size_t i = 0; i < COW_PAGES; i++) {
		bool changed = is_child && i % CHANGED == 0;

		if (sv_compare("copy on write", map + i * PAGE, PAGE, changed ? 92 : 91,
			       i * PAGE) < 0)
			return -1;
	}
	return 0;
}

static int cow_body(int request)
{
	if (request == 0)
		return check_cow(true);
	for (size_t i = 0; i < COW_PAGES; i += CHANGED)
		sv_fill(map + i * PAGE, PAGE, 92, i * PAGE);
	return 0;
}

static int cow_setup(void)
{
	if (map_anonymous(COW_PAGES * PAGE, 0) < 0)
		return -1;
	sv_fill(map, map_size, 91, 0);
	return sv_child_start(&child, cow_body) < 0 ? -1 : sv_child_ask(&child, 1);
}

/* Pages that both have are still one page: together they count for less than two of each. */
static int shared_kib(pid_t pid, int64_t *ret)
{
	char path[64], line[256], range[32];
	bool mine = false;
	FILE *f;

	*ret = -1;
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	snprintf(range, sizeof(range), "%" PRIxPTR "-", (uintptr_t)map);
	f = fopen(path, "re");
	if (!f)
		return sv_errno(path);
	while (*ret < 0 && fgets(line, sizeof(line), f)) {
		mine = mine || strncmp(line, range, strlen(range)) == 0;
		if (mine && strncmp(line, "Shared_Dirty:", 13) == 0)
			*ret = strtoll(line + 13, NULL, 10);
	}
	fclose(f);
	return *ret < 0 ? sv_fail("the mapping is not at its place") : 0;
}

static int cow_verify(void)
{
	int64_t kib;

	if (check_cow(false) < 0 || sv_child_ask(&child, 0) < 0 ||
	    shared_kib(child.pid, &kib) < 0)
		return -1;
	if (kib < (int64_t)(COW_PAGES * PAGE / 1024 / 2))
		return sv_fail("of the pages that both share only %" PRId64 " KiB are shared",
			       kib);
	map[PAGE] ^= 1;
	if (sv_child_ask(&child, 0) < 0)
		return -1;
	return 0;
}

/* ---- sparse, protected, locked, growing ------------------------------------------- */

#define SPARSE (UINT64_C(64) << 30)

static int sparse_setup(void)
{
	if (map_anonymous(SPARSE, MAP_NORESERVE) < 0)
		return -1;
	for (uint64_t at = 0; at < SPARSE; at += SPARSE / 16)
		sv_fill(map + at, 100, 93, at);
	return 0;
}

static int sparse_verify(void)
{
	int64_t kib;

	for (uint64_t at = 0; at < SPARSE; at += SPARSE / 16) {
		if (sv_compare("a sparse mapping", map + at, 100, 93, at) < 0)
			return -1;
		if (map[at + (1 << 30)] != 0)
			return sv_fail("what was never touched is not zero");
	}
	if (sv_number("/proc/self/status", "VmRSS:", &kib) < 0)
		return -1;
	/* With huge pages each touch may be 2 MiB. */
	return kib < 200 << 10 ? 0 : sv_fail("it takes %" PRId64 " KiB now", kib);
}

static void sparse_spoil(void)
{
	madvise(map, SPARSE, MADV_DONTNEED);
}

static sigjmp_buf faulted;

static void on_fault(int sig)
{
	siglongjmp(faulted, sig);
}

/* Does touching it fault? */
static bool faults(volatile uint8_t *at, bool by_writing)
{
	struct sigaction action = {.sa_handler = on_fault};
	uint8_t c;

	sigaction(SIGSEGV, &action, NULL);
	if (sigsetjmp(faulted, 1))
		return true;
	c = *at;
	if (by_writing)
		*at = c;
	return false;
}

/* Four pages: writable, read-only, none, code. All have content. */
static int protect_setup(void)
{
	if (map_anonymous(4 * PAGE, 0) < 0)
		return -1;
	sv_fill(map, map_size, 94, 0);
	if (mprotect(map + PAGE, PAGE, PROT_READ) < 0 ||
	    mprotect(map + 2 * PAGE, PAGE, PROT_NONE) < 0 ||
	    mprotect(map + 3 * PAGE, PAGE, PROT_READ | PROT_EXEC) < 0)
		return sv_errno("mprotect");
	return 0;
}

static int protect_verify(void)
{
	if (faults(map, true) || !faults(map + PAGE, true) || faults(map + PAGE, false) ||
	    !faults(map + 2 * PAGE, false) || !faults(map + 3 * PAGE, true))
		return sv_fail("a page has another protection");
	if (mprotect(map, map_size, PROT_READ) < 0)
		return sv_errno("mprotect");
	return sv_compare("protected memory", map, map_size, 94, 0);
}

static void protect_spoil(void)
{
	mprotect(map + PAGE, PAGE, PROT_READ | PROT_WRITE);
}

static int locked_setup(void)
{
	if (map_anonymous(8 * PAGE, 0) < 0)
		return -1;
	sv_fill(map, map_size, 95, 0);
	return mlock(map, 8 * PAGE) < 0 ? sv_errno("mlock") : 0;
}

static int locked_verify(void)
{
	int64_t kib;

	if (sv_number("/proc/self/status", "VmLck:", &kib) < 0 ||
	    sv_same("locked KiB", 32, kib) < 0)
		return -1;
	return sv_compare("locked memory", map, map_size, 95, 0);
}

static void locked_spoil(void)
{
	munlock(map, PAGE);
}

/* What is above the hole can grow into it, and what was written there stays. */
static int grow_setup(void)
{
	uint8_t *room = mmap(NULL, 512 * PAGE, PROT_NONE, PRIVATE, -1, 0);

	if (room == MAP_FAILED || munmap(room, 512 * PAGE) < 0)
		return sv_errno("mmap");
	map_size = 2 * PAGE;
	map = mmap(room + 510 * PAGE, map_size, PROT_READ | PROT_WRITE,
		   PRIVATE | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	if (map == MAP_FAILED)
		return sv_errno("MAP_GROWSDOWN");
	sv_fill(map, map_size, 96, 0);
	/* Once now, so that it has grown already. */
	*(volatile uint8_t *)(map - 1) = 5;
	return 0;
}

static int grow_verify(void)
{
	if (sv_compare("a growing mapping", map, map_size, 96, 0) < 0 ||
	    sv_same("what it has grown", 5, map[-1]) < 0)
		return -1;
	for (size_t i = 1; i < 20; i++) {
		if (faults(map - i * PAGE - 1, true))
			return sv_fail("it does not grow any more");
	}
	return 0;
}

/* Its content in a mapping that does not grow. */
static void grow_spoil(void)
{
	mmap(map - PAGE, map_size + PAGE, PROT_READ | PROT_WRITE, PRIVATE | MAP_FIXED, -1, 0);
	sv_fill(map, map_size, 96, 0);
	map[-1] = 5;
}

/* ---- a private mapping of a file: own pages and the file's ------------------------ */

static int private_file_setup(void)
{
	int fd = sv_file("mapped", 16 * PAGE, 97);

	map_size = 16 * PAGE;
	map = mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (fd < 0 || map == MAP_FAILED)
		return sv_errno("mmap");
	close(fd);
	sv_fill(map + 5 * PAGE, PAGE, 98, 0);
	return 0;
}

static int private_file_verify(void)
{
	int fd = open("mapped", O_RDWR | O_CLOEXEC);

	if (sv_compare("a mapped file", map, 5 * PAGE, 97, 0) < 0 ||
	    sv_compare("the changed page", map + 5 * PAGE, PAGE, 98, 0) < 0 ||
	    sv_compare("a mapped file", map + 6 * PAGE, 10 * PAGE, 97, 6 * PAGE) < 0 || fd < 0)
		return -1;
	/* What was not changed is the file's still. */
	if (pwrite(fd, "Z", 1, 9 * PAGE) != 1)
		return sv_errno("pwrite");
	return sv_same("a page that was not changed", 'Z', map[9 * PAGE]);
}

static void private_file_spoil(void)
{
	map[9 * PAGE] = 'Y';
}

/* ---- advice, as a child of fork sees it ------------------------------------------------------------------------------------------- /  */

static int advice_setup(int advice)
{
	if (map_anonymous(PAGE, 0) < 0)
		return -1;
	sv_fill(map, map_size, 99, 0);
	return madvise(map, PAGE, advice) < 0 ? sv_errno("madvise") : 0;
}

static int dontfork_setup(void)
{
	return advice_setup(MADV_DONTFORK);
}

static int wipeonfork_setup(void)
{
	return advice_setup(MADV_WIPEONFORK);
}

/* Is it not there in a child? */
static bool is_gone(void)
{
	return faults(map, false);
}

static bool is_wiped(void)
{
	return map[0] == 0 && map[1] == 0 && map[PAGE - 1] == 0;
}

static int advice_verify(bool (*is_right)(void))
{
	int status = 0;
	pid_t pid;

	if (sv_compare("advised memory", map, map_size, 99, 0) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		_exit(is_right() ? 0 : 1);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return sv_errno("fork");
	return status == 0 ? 0 : sv_fail("the advice was forgotten");
}

static int dontfork_verify(void)
{
	return advice_verify(is_gone);
}

static int wipeonfork_verify(void)
{
	return advice_verify(is_wiped);
}

static void dontfork_spoil(void)
{
	madvise(map, PAGE, MADV_DOFORK);
}

static void wipeonfork_spoil(void)
{
	madvise(map, PAGE, MADV_KEEPONFORK);
}

/* clang-format off */
const struct sv_item sv_memory_items[] = {
	{ "memory-large", "a private mapping of 32 MiB ($SURVIVE_MIB)", large_setup, large_verify, one_byte, NULL, SV_KEPT },
	{ "memory-cow", "pages that parent and child share", cow_setup, cow_verify, one_byte, NULL, SV_KEPT },
	{ "memory-sparse", "64 GiB with 16 pages touched", sparse_setup, sparse_verify, sparse_spoil, NULL, SV_KEPT },
	{ "memory-protected", "mprotect", protect_setup, protect_verify, protect_spoil, NULL, SV_KEPT },
	{ "memory-locked", "mlock", locked_setup, locked_verify, locked_spoil, NULL, SV_KEPT },
	{ "memory-growing", "MAP_GROWSDOWN", grow_setup, grow_verify, grow_spoil, NULL, SV_KEPT },
	{ "memory-file", "a private mapping of a file, one page changed", private_file_setup, private_file_verify, private_file_spoil, NULL, SV_KEPT },
	{ "memory-dontfork", "MADV_DONTFORK", dontfork_setup, dontfork_verify, dontfork_spoil, NULL, SV_KEPT },
	{ "memory-wipeonfork", "MADV_WIPEONFORK", wipeonfork_setup, wipeonfork_verify, wipeonfork_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
