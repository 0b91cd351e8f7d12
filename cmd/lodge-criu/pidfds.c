/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The numbers by which programs know processes again. Since Linux 6.9 a pidfd has an inode of its own, whose number no other process
 * of that boot ever has, and systemd (from 257 on) keeps it beside the pid and the descriptor: what has another number is another
 * process. After a restore all of them have. So it took the notifications of its services for those of strangers, and killed each
 * that has a watchdog (journald, logind, ...) when that ran out, three minutes later.
 *
 * No call gives a process its number, so the number is put right where it is kept: in the memory of who holds a pidfd, where
 * the three stand together as systemd has them, { int pid; int fd; uint64_t number }. All three have to be those of a pidfd that the
 * program had when it was dumped, and 16 bytes do not look like that by accident. A program that keeps them otherwise is left
 * as it is.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/proc.h"

#ifndef PID_FS_MAGIC
#define PID_FS_MAGIC 0x50494446
#endif

#define FILE_NAME "lodge.pidfds"
#define FILE_MAX (1u << 20)
#define PIDFDS_MAX 4096u		/* of one process */
#define MEMORY_MAX (128u << 20)		/* that is looked through, of one process */
#define PIECE (1u << 20)

static bool have_numbers(void)
{
	lg_autoclose int fd = lg_pidfd_open(getpid());
	struct statfs fs;

	return fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == PID_FS_MAGIC;
}

/* The number of the pidfd that is descriptor @name in @fds; 0: it is none. */
static uint64_t number_of(int fds, const char *name)
{
	char target[32];
	ssize_t len = readlinkat(fds, name, target, sizeof(target) - 1);
	struct stat st;

	if (len < 0)
		return 0;
	target[len] = '\0';
	if (strcmp(target, "anon_inode:[pidfd]") != 0 || fstatat(fds, name, &st, 0) < 0)
		return 0;
	return st.st_ino;
}

/* ---- a dump ---- */

/* Whose it is, as the container calls it. */
static pid_t whose(pid_t pid, const char *fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.10s", (int)pid, fd);
	return tree_number_in(path);
}

struct notes {
	FILE *f;
	pid_t inside;	/* how the process calls itself */
};

static int note_pidfd(pid_t pid, int fds, const char *name, void *arg)
{
	const struct notes *n = arg;
	uint64_t number = number_of(fds, name);
	pid_t target = number ? whose(pid, name) : 0;

	if (target > 0)
		fprintf(n->f, "%d %s %d %" PRIu64 "\n", (int)n->inside, name, (int)target, number);
	return ftell(n->f) < (long)FILE_MAX ? 0 : 1;
}

static int note_process(pid_t pid, void *arg)
{
	struct notes n = { arg, tree_inside(pid) };

	return tree_each_descriptor(pid, note_pidfd, &n);
}

int pidfds_note(struct lg_err *err)
{
	lg_autofree char *text = NULL;
	size_t len = 0;
	FILE *f;
	int r;

	if (!have_numbers())
		return 0;
	f = open_memstream(&text, &len);
	if (!f)
		return lg_fail(err, -ENOMEM, "note its pidfds");
	r = tree_each(job.pid, note_process, f);
	if (fclose(f) != 0 && r >= 0)
		r = -ENOMEM;
	if (r < 0)
		return lg_fail(err, r, "note its pidfds");
	return len ? lg_file_replace_fast(job.images, FILE_NAME, text, len, 0600, err) : 0;
}

/* ---- a restore ---- */

/* As it stands in memory, in two words. */
struct reference {
	uint64_t who;		/* pid and descriptor */
	uint64_t was, is;	/* its number */
};

struct search {
	struct reference of[PIDFDS_MAX];
	size_t n;
	uint64_t low, high;	/* of all @was */
	uint64_t words[PIECE / 8 + 1];
};

struct note {
	const char *text;
	struct search *s;
};

static uint64_t two_ints(int32_t first, int32_t second)
{
	const int32_t both[2] = { first, second };
	uint64_t word;

	memcpy(&word, both, sizeof(word));
	return word;
}

/* What the note says of the process that is @inside, whose descriptors are @fds now. */
static void find_references(const char *text, pid_t inside, int fds, struct search *s)
{
	s->n = 0;
	s->low = UINT64_MAX;
	s->high = 0;
	for (const char *line = text; line && *line && s->n < PIDFDS_MAX; line = strchr(line, '\n'), line += line ? 1 : 0) {
		struct reference *ref = &s->of[s->n];
		int who, fd, target;
		char name[16];

		if (sscanf(line, "%d %d %d %" SCNu64, &who, &fd, &target, &ref->was) != 4 || who != inside)
			continue;
		snprintf(name, sizeof(name), "%d", fd);
		ref->who = two_ints(target, fd);
		ref->is = number_of(fds, name);
		if (!ref->is || ref->is == ref->was)
			continue;
		s->low = ref->was < s->low ? ref->was : s->low;
		s->high = ref->was > s->high ? ref->was : s->high;
		s->n++;
	}
}

static const struct reference *match(const struct search *s, uint64_t who, uint64_t was)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->of[i].was == was && s->of[i].who == who)
			return &s->of[i];
	return NULL;
}

static void put(pid_t pid, uint64_t at, uint64_t word)
{
	struct iovec from = { &word, sizeof(word) }, to = { (void *)(uintptr_t)at, sizeof(word) };

	process_vm_writev(pid, &from, 1, &to, 1, 0);
}

/* @at is a page's; the word before what is read is that at the end of the piece before. */
static void look_through(pid_t pid, struct search *s, uint64_t at, uint64_t end)
{
	s->words[0] = 0;
	while (at < end) {
		size_t len = end - at < PIECE ? (size_t)(end - at) : PIECE, n;
		struct iovec to = { &s->words[1], len }, from = { (void *)(uintptr_t)at, len };
		ssize_t got = process_vm_readv(pid, &to, 1, &from, 1, 0);

		if (got <= 0)
			return;
		n = (size_t)got / 8;
		for (size_t i = 1; i <= n; i++) {
			const struct reference *ref;

			if (s->words[i] < s->low || s->words[i] > s->high)
				continue;
			ref = match(s, s->words[i - 1], s->words[i]);
			if (ref)
				put(pid, at + (i - 1) * 8, ref->is);
		}
		s->words[0] = s->words[n];
		at += (uint64_t)got;
	}
}

/* "55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0   [heap]": memory of its own, and no stack, which nobody keeps anything on. */
static bool is_heap(const char *line, uint64_t *at, uint64_t *end)
{
	char rights[5];
	uint64_t inode;
	int name = 0;

	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*x:%*x %" SCNu64 " %n", at, end, rights, &inode, &name) == 4 &&
	       strcmp(rights, "rw-p") == 0 && inode == 0 && (line[name] == '\n' || strncmp(line + name, "[heap]", 6) == 0);
}

static int give_process(pid_t pid, void *arg)
{
	struct note *note = arg;
	lg_autoclose int fds = tree_open(pid, "fd");
	lg_autofile FILE *maps = NULL;
	char path[40], line[512];
	uint64_t at, end, all = 0;

	if (fds < 0)
		return 0;
	find_references(note->text, tree_inside(pid), fds, note->s);
	if (!note->s->n)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	while (maps && all < MEMORY_MAX && fgets(line, sizeof(line), maps))
		if (is_heap(line, &at, &end)) {
			look_through(pid, note->s, at, end);
			all += end - at;
		}
	return 0;
}

void pidfds_give(void)
{
	lg_autofree char *text = NULL;
	struct note note = { .text = NULL };

	if (lg_file_read(job.images, FILE_NAME, FILE_MAX, &text, NULL, NULL) < 0 || !have_numbers())
		return;
	note = (struct note){ text, calloc(1, sizeof(*note.s)) };
	if (note.s)
		tree_each(job.pid, give_process, &note);
	free(note.s);
}
