/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Images are sent, those of a dump and those that were copied ahead of it. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodge-worker/job.h"
#include "cmd/lodge-worker/move.h"
#include "ct/migrate.h"
#include "lib/cleanup.h"
#include "lib/json.h"

#define PAGES "pages-%u.img"	/* what memory there is is in these, one for each process, in the order in which they are written */
#define PAGES_NAME 32
#define EARLY_MS 3		/* between two looks for a new one */

static bool is_image(const char *name)
{
	size_t n = strlen(name);

	return strncmp(name, "lodge.", 6) == 0 || (n > 4 && strcmp(name + n - 4, ".img") == 0);
}

static int send_image(struct move *m, int dir, const char *name, unsigned int round, struct lg_err *err)
{
	lg_autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "open the image '%s'", name);
	if (!S_ISREG(st.st_mode))
		return 0;
	r = wire_send(&m->ssh.wire, json_pack("{s:s, s:s, s:i, s:I}", "op", "image", "name", name, "round",
					      (int)round, "size", (json_int_t)st.st_size), err);
	return r < 0 ? r : wire_send_file(&m->ssh.wire, fd, (uint64_t)st.st_size, &m->stage_bytes, err);
}

static bool is_early(const struct move *m, const char *name, unsigned int round)
{
	unsigned int n;

	return round == 0 && sscanf(name, PAGES, &n) == 1 && n <= m->early;
}

int move_folder(struct move *m, int folder, unsigned int round, struct lg_err *err)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		return lg_fail(err, -errno, "look at the images");
	while (r == 0 && (e = readdir(dir)))
		if (is_image(e->d_name) && !is_early(m, e->d_name, round)) {
			r = move_check_time(m, err);
			if (r == 0)
				r = send_image(m, fd, e->d_name, round, err);
		}
	return r;
}

/* ---- while CRIU writes ---- */

static bool has_pages(const struct move *m, unsigned int n)
{
	char name[PAGES_NAME];

	snprintf(name, sizeof(name), PAGES, n);
	return faccessat(m->images, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* An image is complete when the next one has begun. One that has gone meanwhile was of a try that is over. */
static int send_complete(struct move *m, struct lg_err *err)
{
	int r = 0;

	while (r == 0 && has_pages(m, m->early + 1) && has_pages(m, m->early + 2)) {
		struct lg_err gone = { 0 };
		char name[PAGES_NAME];

		snprintf(name, sizeof(name), PAGES, m->early + 1);
		r = move_check_time(m, err);
		if (r == 0 && send_image(m, m->images, name, 0, &gone) < 0) {
			if (gone.code == -ENOENT)
				return 0;
			*err = gone;
			r = gone.code;
		}
		m->early += r == 0;
	}
	return r;
}

int move_early(struct move *m, struct lg_err *err)
{
	struct pollfd p = { .fd = LG_MIGRATE_FD, .events = POLLIN };
	int r = m->early ? wire_send(&m->ssh.wire, json_pack("{s:s}", "op", "anew"), err) : 0;

	m->early = 0;
	while (r == 0 && poll(&p, 1, EARLY_MS) == 0)
		r = send_complete(m, err);
	return r;
}

/* ---- all of them ---- */

/* The number of the round that the images in @folder go on from; 0: none. The link is CRIU's, by the name that lodged gave it. */
static unsigned int parent_of(int folder)
{
	char target[LG_AHEAD_NAME] = "";
	unsigned int round = 0;

	if (readlinkat(folder, LG_AHEAD_PARENT, target, sizeof(target) - 1) < 0 ||
	    sscanf(target, LG_AHEAD_FOLDER, &round) != 1 || round > LG_AHEAD_ROUNDS_MAX)
		return 0;
	return round;
}

/* A container that has been suspended by a move whose end nobody knew: what was copied ahead is part of its images. */
static int send_rounds(struct move *m, struct lg_err *err)
{
	unsigned int n = parent_of(m->images);
	int r = 0;

	for (unsigned int i = 1; r == 0 && i <= n; i++) {
		lg_autoclose int folder = -1;
		char name[LG_AHEAD_NAME];

		snprintf(name, sizeof(name), LG_AHEAD_FOLDER, i);
		folder = openat(m->images, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = folder < 0 ? lg_fail(err, -errno, "open '%s' of the images", name) :
				 wire_ask(&m->ssh.wire, json_pack("{s:s, s:i}", "op", "round", "round", (int)i), NULL, err);
		if (r == 0)
			r = move_folder(m, folder, i, err);
	}
	return r;
}

static int open_suspended(struct move *m, struct lg_err *err)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/checkpoint/%" PRId64, m->job->var, lg_json_int(m->request, "ctid", 0));
	m->images = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->images < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	return send_rounds(m, err);
}

int move_images(struct move *m, struct lg_err *err)
{
	unsigned int parent;
	int r;

	if (m->vm && m->live)
		return move_stream_rest(m, err);
	r = m->suspended ? open_suspended(m, err) : 0;
	if (r < 0 || m->images < 0)
		return r;
	parent = parent_of(m->images);
	if (m->ahead.rounds && !parent)
		move_goes_without(m, "what was copied was of no use at the end (see the log of lodged)");
	r = move_folder(m, m->images, 0, err);
	return r < 0 ? r : wire_ask(&m->ssh.wire, json_pack("{s:s, s:i}", "op", "images", "parent", (int)parent), NULL,
				    err);
}
