/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Memory that a child finds empty (MADV_WIPEONFORK). CRIU 4.1 does not know that word, and nobody can give it to another process's
 * memory; but the restored process itself says every word that is noted in its image, known or not. So, when everything is written and
 * frozen, it is noted there.
 *
 * It is not rare: since Linux 6.11 the C library (glibc 2.41) has the state of its random numbers in such memory, in every process. Without
 * the word a child born after the restore would draw the same numbers as its parent.
 *
 * The images are CRIU's mm-PID.img (images/mm.proto, vma.proto): two magic numbers, a size, and one message, in which
 * { 14: { 1: start, 2: end, 9: words } } is a mapping, with a bit for the number of each word.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cmd/lodge-criu/criu.h"
#include "cmd/lodge-criu/message.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define HEAD 8u
#define IMAGE_MAX (64u << 20)
#define IMAGE_MODE 0644		/* the restored process reads it, by its own id; the folders above are for root alone */
#define RANGES_MAX 65536u
#define WORD (UINT64_C(1) << MADV_WIPEONFORK)

enum { MM_VMAS = 14, VMA_START = 1, VMA_END = 2, VMA_WORDS = 9 };

struct range {
	unsigned long start, end;
};

struct ranges {
	struct range *of;
	size_t n, room;
};

/* ---- which they are ---- */

static int add(struct ranges *all, const char *line)
{
	struct range r;

	if (sscanf(line, "%lx-%lx", &r.start, &r.end) != 2)
		return -EBADMSG;
	if (all->n == all->room) {
		size_t room = all->room ? 2 * all->room : 16;
		struct range *more = room > RANGES_MAX ? NULL : reallocarray(all->of, room, sizeof(r));

		if (!more)
			return room > RANGES_MAX ? -E2BIG : -ENOMEM;
		all->of = more;
		all->room = room;
	}
	all->of[all->n++] = r;
	return 0;
}

/* "7f0-7f1 rw-p ..." begins a mapping, "VmFlags: rd wr ... wf" is its last line. All others begin with a capital letter, too. */
static int find_ranges(FILE *smaps, struct ranges *ret)
{
	lg_autofree char *line = NULL;
	char begin[40] = "";
	size_t size = 0;
	int r = 0;

	while (r == 0 && getline(&line, &size, smaps) > 0) {
		if (*line < 'A' || *line > 'Z')
			snprintf(begin, sizeof(begin), "%.39s", line);
		else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " wf"))
			r = add(ret, begin);
	}
	return r;
}

static int read_ranges(pid_t pid, struct ranges *ret)
{
	lg_autofile FILE *f = NULL;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;	/* a zombie has none */
	return find_ranges(f, ret);
}

/* ---- the image ---- */

struct mapping {
	uint64_t start, end, words;
};

static int read_mapping(struct reader r, struct mapping *ret)
{
	*ret = (struct mapping){ 0 };
	while (r.p < r.end) {
		uint64_t tag, value = 0;
		struct reader part;
		int e = get_number(&r, &tag);

		if (e == 0)
			e = (tag & 7) == FIELD_BYTES ? get_bytes(&r, &part) : get_number(&r, &value);
		if (e < 0)
			return e;
		if (tag >> 3 == VMA_START)
			ret->start = value;
		else if (tag >> 3 == VMA_END)
			ret->end = value;
		else if (tag >> 3 == VMA_WORDS)
			ret->words = value;
	}
	return 0;
}

static bool is_one(const struct ranges *all, const struct mapping *m)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->of[i].start == m->start && all->of[i].end == m->end)
			return true;
	return false;
}

/* Of a field that comes twice the last one counts. */
static int put_mapping(struct writer *w, const struct reader *bytes, uint64_t words)
{
	struct writer end = { .data = NULL };
	int r = put_number(&end, VMA_WORDS << 3 | FIELD_NUMBER);

	if (r == 0)
		r = put_number(&end, words);
	if (r == 0)
		r = put_number(w, MM_VMAS << 3 | FIELD_BYTES);
	if (r == 0)
		r = put_number(w, (uint64_t)(bytes->end - bytes->p) + end.len);
	if (r == 0)
		r = put_bytes(w, bytes->p, (size_t)(bytes->end - bytes->p));
	if (r == 0)
		r = put_bytes(w, end.data, end.len);
	free(end.data);
	return r;
}

/* One field of the message as it is, or with the word. Return: 1 for one with. */
static int copy_field(struct writer *w, struct reader *r, const struct ranges *all)
{
	const uint8_t *begin = r->p;
	struct reader bytes = { NULL, NULL };
	struct mapping m;
	uint64_t tag, value;
	int e = get_number(r, &tag);

	if (e == 0)
		e = (tag & 7) == FIELD_BYTES ? get_bytes(r, &bytes) : get_number(r, &value);
	if (e == 0 && tag == (MM_VMAS << 3 | FIELD_BYTES)) {
		e = read_mapping(bytes, &m);
		if (e == 0 && is_one(all, &m)) {
			e = put_mapping(w, &bytes, m.words | WORD);
			return e < 0 ? e : 1;
		}
	}
	return e < 0 ? e : put_bytes(w, begin, (size_t)(r->p - begin));
}

/* Return: how many got the word. */
static int copy_message(struct writer *w, struct reader r, const struct ranges *all)
{
	int e = 0, n = 0;

	while (e >= 0 && r.p < r.end) {
		e = copy_field(w, &r, all);
		n += e == 1;
	}
	return e < 0 ? e : n;
}

static int rewrite(const char *name, const struct ranges *all, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	struct writer w = { .data = NULL };
	size_t len = 0;
	uint32_t size;
	int r = lg_file_read(job.images, name, IMAGE_MAX, &text, &len, err);

	if (r < 0)
		return r;
	r = len < HEAD + sizeof(size) ? -EBADMSG : put_bytes(&w, text, HEAD + sizeof(size));
	if (r == 0)
		r = copy_message(&w, (struct reader){ (const uint8_t *)text + HEAD + sizeof(size),
						      (const uint8_t *)text + len }, all);
	if (r >= 0 && (size_t)r != all->n)
		fprintf(stderr, "lodge-criu: '%s': %zu mappings to be wiped in a child, %d of them found\n", name, all->n, r);
	if (r >= 0) {
		size = (uint32_t)(w.len - HEAD - sizeof(size));
		memcpy(w.data + HEAD, &size, sizeof(size));
		r = lg_file_replace_fast(job.images, name, w.data, w.len, IMAGE_MODE, err);
	} else {
		lg_fail(err, r, "'%s' of the images", name);
	}
	free(w.data);
	return r;
}

static int note(pid_t pid, void *arg)
{
	struct lg_err *err = arg;
	struct ranges all = { .of = NULL };
	char name[40];
	int r = read_ranges(pid, &all);

	if (r < 0)
		lg_fail(err, r, "look at the memory of process %d", (int)pid);
	if (r == 0 && all.n) {
		snprintf(name, sizeof(name), "mm-%d.img", (int)tree_inside(pid));
		r = rewrite(name, &all, err);
	}
	free(all.of);
	return r;
}

int wipe_note(struct lg_err *err)
{
	int r = tree_each(job.pid, note, err);

	return r == -E2BIG && !err->code ? lg_fail(err, r, "look at its memory") : r;
}
