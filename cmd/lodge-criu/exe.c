/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A process that was started through a descriptor which only names its program (O_PATH) has its program in the images
 * as one that is to be opened so, and such a descriptor cannot be given back to the kernel as a process's program: systemd
 * starts all of its own this way, and the one of a user's session that waits for its end stays what it was started as.
 * The flag is taken from these files. What the processes themselves hold open has entries of its own.
 *
 * The images are CRIU's files.img (images/fdinfo.proto, regfile.proto): two magic numbers, then a size and a message for each
 * file, { 2: id, 3: { 2: flags } } of a regular one; and mm-PID.img (images/mm.proto), one such message, { 12: id of
 * the program }.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodge-criu/criu.h"
#include "cmd/lodge-criu/message.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define HEAD 8u
#define IMAGE_MAX (64u << 20)
#define PROGRAMS_MAX 256u

enum field { FILE_ID = 2, FILE_REG = 3, REG_FLAGS = 2, MM_EXE = 12 };

/* Files that are named only. */
struct named {
	struct {
		uint64_t id;
		size_t at;	/* of the byte that holds the flag, in the image */
		bool program;
	} of[PROGRAMS_MAX];
	size_t n;
};

/* The field @want of @r, a number or bytes; -ENOENT where there is none. @at: where its number begins. */
static int field(struct reader r, unsigned int want, uint64_t *number, struct reader *bytes, const uint8_t **at)
{
	while (r.p < r.end) {
		uint64_t tag, value = 0;
		struct reader part = { NULL, NULL };
		const uint8_t *start;
		int e = get_number(&r, &tag);

		start = r.p;
		if (e == 0)
			e = (tag & 7) == FIELD_BYTES ? get_bytes(&r, &part) : get_number(&r, &value);
		if (e < 0)
			return e;
		if (tag >> 3 != want)
			continue;
		*number = value;
		*bytes = part;
		*at = start;
		return 0;
	}
	return -ENOENT;
}

/* Bit 21 is the lowest one of a number's fourth byte. */
_Static_assert(O_PATH == 1 << 21, "O_PATH is where it is on x86-64 and arm64");
#define FLAG_BYTE 3u

static int note(struct named *all, struct reader file, const uint8_t *image)
{
	struct reader reg, none;
	const uint8_t *at;
	uint64_t id, flags;

	if (field(file, FILE_REG, &flags, &reg, &at) < 0)
		return 0;
	if (field(file, FILE_ID, &id, &none, &at) < 0 || field(reg, REG_FLAGS, &flags, &none, &at) < 0)
		return -EBADMSG;
	if (!(flags & O_PATH))
		return 0;
	if (all->n == PROGRAMS_MAX)
		return -E2BIG;
	all->of[all->n].id = id;
	all->of[all->n].at = (size_t)(at - image) + FLAG_BYTE;
	all->of[all->n++].program = false;
	return 0;
}

/* The next message of @r, a size and so many bytes. */
static int next(struct reader *r, struct reader *ret)
{
	uint32_t size;

	if (r->end - r->p < (ptrdiff_t)sizeof(size))
		return -EBADMSG;
	memcpy(&size, r->p, sizeof(size));
	r->p += sizeof(size);
	if (size > (uint64_t)(r->end - r->p))
		return -EBADMSG;
	*ret = (struct reader){ r->p, r->p + size };
	r->p += size;
	return 0;
}

static int read_image(const char *name, char **text, struct reader *ret, struct lg_err *err)
{
	size_t len = 0;
	int r = lg_file_read(job.images, name, IMAGE_MAX, text, &len, err);

	if (r < 0)
		return r;
	if (len < HEAD)
		return lg_refuse(err, -EBADMSG, 0, "'%s' of the images is damaged", name);
	*ret = (struct reader){ (const uint8_t *)*text + HEAD, (const uint8_t *)*text + len };
	return 0;
}

static int note_program(const char *name, void *arg, struct lg_err *err)
{
	struct named *all = arg;
	lg_autofree char *text = NULL;
	struct reader r = { NULL, NULL }, mm, none;
	const uint8_t *at;
	uint64_t id;
	int e = read_image(name, &text, &r, err);

	if (e < 0)
		return e;
	e = next(&r, &mm);
	if (e == 0)
		e = field(mm, MM_EXE, &id, &none, &at);
	if (e < 0)
		return lg_fail(err, e, "'%s' of the images", name);
	for (size_t i = 0; i < all->n; i++)
		all->of[i].program = all->of[i].program || all->of[i].id == id;
	return 0;
}

int exe_rewrite(struct lg_err *err)
{
	static const char name[] = "files.img";
	lg_autofree char *text = NULL;
	struct named all = { .n = 0 };
	struct reader r = { NULL, NULL }, file;
	size_t changed = 0;
	int e = read_image(name, &text, &r, err);

	if (e < 0)
		return e;
	while (e == 0 && r.p < r.end) {
		e = next(&r, &file);
		if (e == 0)
			e = note(&all, file, (const uint8_t *)text);
	}
	if (e < 0)
		return lg_fail(err, e, "'%s' of the images", name);
	e = all.n ? images_each("mm-", note_program, &all, err) : 0;
	for (size_t i = 0; e == 0 && i < all.n; i++)
		if (all.of[i].program) {
			text[all.of[i].at] = (char)(text[all.of[i].at] & ~1);
			changed++;
		}
	return e < 0 || !changed ? e : lg_file_replace_fast(job.images, name, text,
							     (size_t)((const char *)r.end - text), 0600, err);
}
