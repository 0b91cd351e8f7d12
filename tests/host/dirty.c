/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * dirty MIB KIB-A-SECOND FILE [moves]: have so much memory, and write to so much of it anew, page by page, for ever. Says "ready" in
 * FILE when all of it has been written. SIGUSR1: looks whether every page has what was written to it last, and says
 * "right N" or "WRONG N of M" there. "moves": two pieces of 4 MiB change places all the time as well, by mremap().
 */

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define WORDS (PAGE / sizeof(uint64_t))
#define ROUNDS_A_SECOND 50u
#define MOVED (4u << 20)
#define HUGE_ (2u << 20)

static volatile sig_atomic_t asked;
static const char *file;

static void on_usr1(int sig)
{
	(void)sig;
	asked = 1;
}

static void say(const char *text, size_t a, size_t b)
{
	FILE *f = fopen(file, "we");

	if (!f)
		exit(1);
	fprintf(f, text, a, b);
	fclose(f);
}

static uint64_t word_of(size_t page, size_t i, uint32_t version)
{
	return (page * WORDS + i) * UINT64_C(0x9e3779b97f4a7c15) + version;
}

static void write_page(uint64_t *memory, size_t page, uint32_t version)
{
	for (size_t i = 0; i < WORDS; i++)
		memory[page * WORDS + i] = word_of(page, i, version);
}

static int is_right(const uint64_t *memory, size_t page, uint32_t version)
{
	for (size_t i = 0; i < WORDS; i++)
		if (memory[page * WORDS + i] != word_of(page, i, version))
			return 0;
	return 1;
}

/*
 * Two pieces that change places, by way of a third one. Page tables move as they are, so that nothing is marked as written (not so with
 * huge pages, which are marked when they move).
 */
static char *places;
static uint64_t *pieces[2];

static void reserve(void)
{
	char *at = mmap(NULL, 3 * MOVED + HUGE_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	places = (char *)(((uintptr_t)at + HUGE_ - 1) & ~(uintptr_t)(HUGE_ - 1));
	for (size_t i = 0; i < 2; i++) {
		pieces[i] = mmap(places + i * MOVED, MOVED, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		madvise(pieces[i], MOVED, MADV_NOHUGEPAGE);
		for (size_t page = 0; page < MOVED / PAGE; page++)
			write_page(pieces[i], page, (uint32_t)(1000 + i));
	}
}

static void *move(void *from, size_t place)
{
	void *to = mremap(from, MOVED, MOVED, MREMAP_MAYMOVE | MREMAP_FIXED, places + place * MOVED);

	if (to == MAP_FAILED)
		exit(1);
	return to;
}

static void change_places(void)
{
	size_t first = (char *)pieces[0] == places ? 0 : 1;

	pieces[0] = move(pieces[0], 2);
	pieces[1] = move(pieces[1], first);
	pieces[0] = move(pieces[0], 1 - first);
}

static void check(const uint64_t *memory, size_t pages, const uint32_t *versions)
{
	size_t wrong = 0;

	for (size_t page = 0; page < pages; page++)
		wrong += !is_right(memory, page, versions[page]);
	for (size_t page = 0; pieces[0] && page < MOVED / PAGE; page++)
		wrong += !is_right(pieces[0], page, 1000) || !is_right(pieces[1], page, 1001);
	if (wrong)
		say("WRONG %zu of %zu\n", wrong, pages);
	else
		say("right %zu\n", pages, 0);
}

int main(int argc, char **argv)
{
	size_t pages = argc > 3 ? strtoul(argv[1], NULL, 10) * (1048576u / PAGE) : 0, at = 0;
	size_t burst = pages ? strtoul(argv[2], NULL, 10) / (PAGE / 1024u) / ROUNDS_A_SECOND : 0;
	uint64_t *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t *versions = calloc(pages, sizeof(*versions));
	const struct timespec nap = { .tv_nsec = 1000000000 / ROUNDS_A_SECOND };

	if (!pages || memory == MAP_FAILED || !versions)
		return 1;
	file = argv[3];
	signal(SIGUSR1, on_usr1);
	if (argc > 4)
		reserve();
	for (size_t page = 0; page < pages; page++)
		write_page(memory, page, 0);
	say("ready\n", 0, 0);
	for (;;) {
		for (size_t i = 0; i < burst; i++, at = (at + 1) % pages)
			write_page(memory, at, ++versions[at]);
		if (places)
			change_places();
		nanosleep(&nap, NULL);
		if (asked) {
			asked = 0;
			check(memory, pages, versions);
		}
	}
}
