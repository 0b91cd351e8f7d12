/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Mounts that follow another one and are followed by none, of different folders of it, are more than CRIU restores ("Can't copy
 * sharing"): systemd gives each sandboxed service one, /run/systemd/incoming, by which mounts can be handed in later (`systemctl
 * bind`). They are restored as mounts that follow nothing; everything else about them stays.
 *
 * The images are CRIU's mountpoints-N.img (images/mnt.proto), one for each mount namespace: two magic numbers, then a size and a
 * message for each mount.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodge-criu/criu.h"
#include "cmd/lodge-criu/message.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define IMAGES "mountpoints-"
#define HEAD 8u
#define IMAGE_MAX (16u << 20)
#define MASTERS_MAX 1024u
#define ROOT_MAX 4096u

enum mount_field { FIELD_ROOT = 6, FIELD_SHARED = 10, FIELD_MASTER = 11 };

/* Followers of one mount, without followers of their own. */
struct master {
	uint64_t id;
	char root[ROOT_MAX];	/* of the first one */
	bool differ;		/* others are of another folder */
};

struct masters {
	struct master *of;
	size_t n;
};

struct mount_entry {
	uint64_t shared, master;
	struct reader root;
};

static int read_entry(struct reader r, struct mount_entry *ret)
{
	memset(ret, 0, sizeof(*ret));
	while (r.p < r.end) {
		struct reader bytes;
		uint64_t tag, number;
		int e = get_number(&r, &tag);

		if (e == 0 && (tag & 7) == FIELD_BYTES)
			e = get_bytes(&r, &bytes);
		else if (e == 0 && (tag & 7) == FIELD_NUMBER)
			e = get_number(&r, &number);
		else
			e = -EBADMSG;
		if (e < 0)
			return e;
		if (tag == (FIELD_ROOT << 3 | FIELD_BYTES))
			ret->root = bytes;
		else if (tag == FIELD_SHARED << 3)
			ret->shared = number;
		else if (tag == FIELD_MASTER << 3)
			ret->master = number;
	}
	return ret->root.p ? 0 : -EBADMSG;
}

static struct master *find(const struct masters *all, uint64_t id)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->of[i].id == id)
			return &all->of[i];
	return NULL;
}

static bool only_follows(const struct mount_entry *m)
{
	return m->master && !m->shared;
}

static int note(struct masters *all, const struct mount_entry *m)
{
	size_t len = (size_t)(m->root.end - m->root.p);
	struct master *master;

	if (!only_follows(m) || len >= ROOT_MAX)
		return 0;
	master = find(all, m->master);
	if (master) {
		master->differ = master->differ || strlen(master->root) != len ||
				 memcmp(master->root, m->root.p, len) != 0;
		return 0;
	}
	if (all->n == MASTERS_MAX)
		return -E2BIG;
	master = &all->of[all->n++];
	master->id = m->master;
	memcpy(master->root, m->root.p, len);
	return 0;
}

/* Without the field that says whom it follows. */
static int write_alone(struct reader r, struct writer *w)
{
	int e = 0;

	while (e == 0 && r.p < r.end) {
		const uint8_t *start = r.p;
		struct reader bytes;
		uint64_t tag, number;

		e = get_number(&r, &tag);
		if (e == 0)
			e = (tag & 7) == FIELD_BYTES ? get_bytes(&r, &bytes) : get_number(&r, &number);
		if (e == 0 && tag != FIELD_MASTER << 3)
			e = put_bytes(w, start, (size_t)(r.p - start));
	}
	return e;
}

static int write_entry(const struct masters *all, struct reader r, struct writer *w)
{
	struct writer inner = { .data = NULL };
	const struct master *master;
	struct mount_entry m;
	uint32_t size;
	int e = read_entry(r, &m);

	if (e < 0)
		return e;
	master = only_follows(&m) ? find(all, m.master) : NULL;
	e = master && master->differ ? write_alone(r, &inner) :
				       put_bytes(&inner, r.p, (size_t)(r.end - r.p));
	size = (uint32_t)inner.len;
	if (e == 0)
		e = put_bytes(w, &size, sizeof(size));
	if (e == 0)
		e = put_bytes(w, inner.data, inner.len);
	free(inner.data);
	return e;
}

/* For each mount in the image @name: take note (@w NULL), or write it. */
static int each(const char *name, struct masters *all, struct writer *w, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	struct reader r, part;
	size_t len = 0;
	int e = lg_file_read(job.images, name, IMAGE_MAX, &text, &len, err);

	if (e < 0)
		return e;
	r = (struct reader){ (const uint8_t *)text + HEAD, (const uint8_t *)text + len };
	if (len < HEAD)
		e = -EBADMSG;
	else if (w)
		e = put_bytes(w, text, HEAD);
	while (e == 0 && r.p < r.end) {
		struct mount_entry m;
		uint32_t size;

		if (r.end - r.p < (ptrdiff_t)sizeof(size))
			return lg_refuse(err, -EBADMSG, 0, "'%s' of the images is damaged", name);
		memcpy(&size, r.p, sizeof(size));
		r.p += sizeof(size);
		if (size > (uint64_t)(r.end - r.p))
			return lg_refuse(err, -EBADMSG, 0, "'%s' of the images is damaged", name);
		part = (struct reader){ r.p, r.p + size };
		r.p += size;
		if (w) {
			e = write_entry(all, part, w);
		} else {
			e = read_entry(part, &m);
			if (e == 0)
				e = note(all, &m);
		}
	}
	return e < 0 ? lg_fail(err, e, "'%s' of the images", name) : 0;
}

static int rewrite(const char *name, void *arg, struct lg_err *err)
{
	struct writer w = { .data = NULL };
	int e = each(name, arg, &w, err);

	if (e == 0)
		e = lg_file_replace_fast(job.images, name, (const char *)w.data, w.len, 0644, err);
	free(w.data);
	return e;
}

static int note_image(const char *name, void *arg, struct lg_err *err)
{
	return each(name, arg, NULL, err);
}

int sharing_rewrite(struct lg_err *err)
{
	struct masters all = { .of = calloc(MASTERS_MAX, sizeof(struct master)) };
	bool differ = false;
	int e = all.of ? images_each(IMAGES, note_image, &all, err) : lg_fail(err, -ENOMEM, "look at its mounts");

	for (size_t i = 0; i < all.n; i++)
		differ = differ || all.of[i].differ;
	if (e == 0 && differ)
		e = images_each(IMAGES, rewrite, &all, err);
	free(all.of);
	return e;
}
