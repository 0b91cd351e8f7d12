/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: what every guest's kernel is told, and what the emulator's need. Under TCG the machine "microvm" has one clock that the
 * kernel could calibrate the others against, the PIT, and on a busy host that fails: then it waits for ever for the timer of the
 * APIC. So it is told how fast the time stamp counter is, which under TCG is the host's, and how long a delay loop takes.
 */

#include "vm/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "lib/cleanup.h"

#define MEASURE_NS 10000000u

/*
 * quiet		the console is slow, and what it costs is the guest's time
 * panic, reboot	QEMU hears of both as a reset (-no-reboot), at once
 * net.ifnames		udev, where the guest has it, leaves the name that the agent gave
 * i8042		no keyboard, so none is looked for
 * cryptomgr		the kernel's ciphers were tested by who built it: a quarter of an emulated start
 */
#define EVERY "console=ttyS0 quiet panic=-1 reboot=t net.ifnames=0 i8042.noaux=1 i8042.nokbd=1 cryptomgr.notests"

/* What the kernel knows of the counter: nanoseconds are cycles * mult >> shift. 0: it does not say. */
static uint64_t ask_kernel(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_DUMMY, .exclude_kernel = 1,
	};
	lg_autoclose int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	const struct perf_event_mmap_page *page;
	uint64_t khz = 0;
	void *p;

	p = fd < 0 ? MAP_FAILED : mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 0;
	page = p;
	if (page->cap_user_time && page->time_mult && page->time_shift < 44)
		khz = (UINT64_C(1000000) << page->time_shift) / page->time_mult;
	munmap(p, (size_t)sysconf(_SC_PAGESIZE));
	return khz;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t measure(void)
{
	uint64_t begin = now_ns(), cycles = __rdtsc(), end = begin;

	while (end - begin < MEASURE_NS)
		end = now_ns();
	return (__rdtsc() - cycles) * UINT64_C(1000000) / (end - begin);
}

uint64_t lg_vm_tsc_khz(void)
{
	static uint64_t khz;

	if (!khz)
		khz = ask_kernel();
	if (!khz)
		khz = measure();
	return khz;
}

int lg_vm_cmdline(const char *accel, const char *machine, unsigned int vcpus, char *ret, size_t size)
{
	bool micro = strcmp(machine, "microvm") == 0;
	/* It has no PCI, which would be looked for at every number. */
	int n = snprintf(ret, size, EVERY " maxcpus=%u%s", vcpus, micro ? " pci=off" : "");
	int more = 0;

	if (n > 0 && (size_t)n < size && micro && strcmp(accel, "tcg") == 0)
		more = snprintf(ret + n, size - (size_t)n, " lpj=4000000 tsc=reliable tsc_early_khz=%" PRIu64,
				lg_vm_tsc_khz());
	return n < 0 || more < 0 || (size_t)n + (size_t)more >= size ? -ENAMETOOLONG : 0;
}
