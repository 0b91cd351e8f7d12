/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A process between vfork() and exec() shares memory and working directory with its parent, which CRIU dumps and cannot restore. It is
 * over in a millisecond: a dump that met one is thrown away, the container runs on, and it is dumped again (main.c).
 *
 * The images ids-PID.img say what each process shares (images/core.proto, task_kobj_ids_entry): two magic numbers, a size, and
 * { 1: memory, 2: descriptors, 3: working directory, ... }, each a number that those have in common who share it.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodge-criu/criu.h"
#include "cmd/lodge-criu/message.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define HEAD 12u
#define IMAGE_MAX 4096u
#define PROCESSES_MAX 65536u

#define SHARED 3u	/* memory, descriptors, working directory: fields 1 to 3 */

struct ids {
	uint32_t *of[SHARED];
	size_t n;
};

static int read_ids(struct reader r, uint32_t ret[SHARED])
{
	memset(ret, 0, SHARED * sizeof(*ret));
	while (r.p < r.end) {
		uint64_t tag, number;

		if (get_number(&r, &tag) < 0 || (tag & 7) != FIELD_NUMBER || get_number(&r, &number) < 0)
			return -EBADMSG;
		if (tag >> 3 >= 1 && tag >> 3 <= SHARED)
			ret[(tag >> 3) - 1] = (uint32_t)number;
	}
	return 0;
}

static int take_image(struct ids *ids, const char *name)
{
	lg_autofree char *text = NULL;
	uint32_t shared[SHARED];
	size_t len = 0;
	int r = lg_file_read(job.images, name, IMAGE_MAX, &text, &len, NULL);

	if (r < 0 || len < HEAD || ids->n == PROCESSES_MAX)
		return r < 0 ? r : -EBADMSG;
	r = read_ids((struct reader){ (const uint8_t *)text + HEAD, (const uint8_t *)text + len },
		     shared);
	for (size_t i = 0; r == 0 && i < SHARED; i++)
		ids->of[i][ids->n] = shared[i];
	ids->n += r == 0;
	return r;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool has_twins(uint32_t *numbers, size_t n)
{
	qsort(numbers, n, sizeof(*numbers), compare);
	for (size_t i = 1; i < n; i++)
		if (numbers[i] && numbers[i] == numbers[i - 1])
			return true;
	return false;
}

/* An image that cannot be read is CRIU's business. */
bool spawning_seen(void)
{
	uint32_t *room = calloc((size_t)SHARED * PROCESSES_MAX, sizeof(uint32_t));
	int fd = openat(job.images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct ids ids = { .n = 0 };
	struct dirent *e;
	bool seen = false;

	for (size_t i = 0; room && i < SHARED; i++)
		ids.of[i] = room + i * PROCESSES_MAX;
	while (room && dir && (e = readdir(dir)))
		if (strncmp(e->d_name, "ids-", 4) == 0)
			take_image(&ids, e->d_name);
	for (size_t i = 0; room && !seen && i < SHARED; i++)
		seen = has_twins(ids.of[i], ids.n);
	free(room);
	return seen;
}
