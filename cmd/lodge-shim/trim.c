/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: a shim sleeps for nearly all of its life, and there is one per container. Before a long
 * sleep it lets go of its program's pages, which stay in the page cache, and of its message buffers.
 * Whatever runs after that is mapped again, and the kernel maps what is around it, too: 64 KiB or
 * all of a large folio, but never past the edge of a mapping. So the last thing to run is one small
 * function that calls nothing, alone in a page, and that page is a mapping of its own.
 */

#include <elf.h>
#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/lodge-shim/shim.h"

#define RANGES_MAX 6u
#define ALONE 4096	/* bytes; where pages are larger it only costs more memory */

static struct {
	uintptr_t from, size;
} ranges[RANGES_MAX];
static unsigned int nranges;

static void add_interior(uintptr_t from, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t to = (from + size) / page * page;

	from = (from + page - 1) / page * page;
	if (from < to && nranges < RANGES_MAX) {
		ranges[nranges].from = from;
		ranges[nranges++].size = to - from;
	}
}

/* Only what is never written: a page that was, like the ones with addresses, has no other copy. */
void trim_init(void)
{
	extern const char __ehdr_start[];
	const Elf64_Phdr *ph = (const Elf64_Phdr *)getauxval(AT_PHDR);
	size_t n = getauxval(AT_PHNUM);
	uintptr_t base = 0;

	/* The advice itself is of no use; that it differs from the neighbours' is. */
	madvise((void *)(uintptr_t)&trim_and_wait, ALONE, MADV_RANDOM);
	add_interior((uintptr_t)&msg_in, sizeof(msg_in));
	add_interior((uintptr_t)&msg_out, sizeof(msg_out));
	for (size_t i = 0; i < n; i++) {
		if (ph[i].p_type != PT_LOAD)
			continue;
		if (ph[i].p_offset == 0)
			base = (uintptr_t)__ehdr_start - ph[i].p_vaddr;
		if (!(ph[i].p_flags & PF_W))
			add_interior(base + ph[i].p_vaddr, ph[i].p_memsz);
	}
}

/* Not the C library's syscall(): its page would come back with its neighbours. */
static inline __attribute__((always_inline)) long
raw_syscall(long nr, long a, long b, long c, long d)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
#else
	long ret = syscall(nr, a, b, c, d, 0, 0);

	return ret < 0 ? -errno : ret;
#endif
}

__attribute__((aligned(ALONE), noinline)) int trim_and_wait(int epoll, struct epoll_event *ev)
{
	long n;

	for (unsigned int i = 0; i < nranges; i++)
		raw_syscall(SYS_madvise, (long)ranges[i].from, (long)ranges[i].size,
			    MADV_DONTNEED, 0);
#ifdef SYS_epoll_wait
	n = raw_syscall(SYS_epoll_wait, epoll, (long)(uintptr_t)ev, 1, -1);
#else
	n = epoll_wait(epoll, ev, 1, -1);
#endif
	if (n < 0)
		errno = (int)-n;
	return n < 0 ? -1 : (int)n;
}
