/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: the kernel has files for each size of huge page, with the size in their names:
 * hugetlb.2MB.max and, for what mmap() reserves, hugetlb.2MB.rsvd.max. Which sizes there are, their
 * names tell.
 */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/host.h"
#include "cgroup/limits.h"
#include "lib/cleanup.h"
#include "lib/parse.h"
#include "lib/settings.h"

#define SIZES_MAX 8u	/* arm64 has four */

struct sizes {
	char name[SIZES_MAX][16];
	unsigned int n;
};

/* "hugetlb.2MB.max" without what is around the size. */
static bool size_in(const char *file, const char *suffix, char ret[16])
{
	static const char prefix[] = "hugetlb.";
	size_t len = strlen(file), head = sizeof(prefix) - 1, tail = strlen(suffix);

	if (len <= head + tail || len - head - tail >= 16 || strncmp(file, prefix, head) != 0 ||
	    strcmp(file + len - tail, suffix) != 0 || !isdigit((unsigned char)file[head]))
		return false;
	snprintf(ret, 16, "%.*s", (int)(len - head - tail), file + head);
	return !strchr(ret, '.');
}

static int find_sizes(int top, const char *name, bool v1, struct sizes *ret)
{
	lg_autoclose int fd = openat(top, name,
				     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		return -errno;
	lg_take_fd(&fd);
	ret->n = 0;
	while (ret->n < SIZES_MAX && (e = readdir(dir)))
		ret->n += size_in(e->d_name, v1 ? ".limit_in_bytes" : ".max",
				  ret->name[ret->n]);
	return 0;
}

static bool has_size(const struct sizes *sizes, const char *name)
{
	for (unsigned int i = 0; i < sizes->n; i++)
		if (strcmp(sizes->name[i], name) == 0)
			return true;
	return false;
}

static int check_list(const char *list, const struct sizes *sizes, struct lg_err *err)
{
	char size[16], have[SIZES_MAX * 18] = "none";
	const char *p = list;
	uint64_t bytes = 0;
	size_t at = 0;
	int r;

	for (unsigned int i = 0; i < sizes->n; i++)
		at += (size_t)snprintf(have + at, sizeof(have) - at, "%s%s", i ? ", " : "",
				       sizes->name[i]);
	while ((r = lg_hugepages_next(&p, size, &bytes, err)) == 1)
		if (*size ? !has_size(sizes, size) : sizes->n == 0 && bytes != LG_UNLIMITED)
			return lg_refuse(err, -EOPNOTSUPP, 0,
					 "this host has no huge pages of %s (it has %s)",
					 *size ? size : "any size", have);
	return r;
}

/* What @list says of @size; a member with a size goes before one without. */
static uint64_t wanted(const char *list, const char *want)
{
	uint64_t bytes = LG_UNLIMITED, all = LG_UNLIMITED, named = LG_UNLIMITED;
	bool is_named = false;
	const char *p = list;
	char size[16];

	while (lg_hugepages_next(&p, size, &bytes, NULL) == 1) {
		if (!*size)
			all = bytes;
		else if (strcmp(size, want) == 0) {
			named = bytes;
			is_named = true;
		}
	}
	return is_named ? named : all;
}

static int write_size(int top, const char *name, const char *size, bool v1, uint64_t bytes,
		      struct lg_err *err)
{
	static const char *const middle[] = { "", "rsvd." };
	char file[64], text[24];
	int r = 0;

	snprintf(text, sizeof(text), "%s", v1 ? "-1" : "max");
	if (bytes != LG_UNLIMITED)
		snprintf(text, sizeof(text), "%" PRIu64, bytes);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(middle); i++) {
		snprintf(file, sizeof(file), "hugetlb.%s.%s%s", size, middle[i],
			 v1 ? "limit_in_bytes" : "max");
		r = lg_cg_write(top, name, file, text);
		if (r == -ENOENT && i > 0)
			r = 0;	/* reservations are counted since Linux 5.7 */
	}
	return r == 0 ? 0 : lg_fail(err, r, "limit the huge pages of %s: write %s", name, file);
}

int lg_hugetlb_check(struct lg_cg_host *host, const char *name, const char *list,
		     struct lg_err *err)
{
	struct sizes sizes = { .n = 0 };
	int r;

	if (!list || !*list)
		return 0;
	if (!lg_cg_enable_late(host, LG_CG_HUGETLB))
		return lg_limit_no_controller(name, "huge pages", LG_CG_HUGETLB, err);
	r = find_sizes(host->ctl[LG_CG_HUGETLB].top, ".", host->ctl[LG_CG_HUGETLB].v1, &sizes);
	return r < 0 ? lg_fail(err, r, "read the sizes of huge pages") :
		       check_list(list, &sizes, err);
}

int lg_hugetlb_apply(struct lg_cg_host *host, const char *name, const char *list,
		     struct lg_err *err)
{
	bool v1 = host->ctl[LG_CG_HUGETLB].v1;
	struct sizes sizes = { .n = 0 };
	int r = lg_cg_check_name(name, false, err);
	int top;

	list = list ? list : "";
	if (r < 0 || (host->ctl[LG_CG_HUGETLB].top < 0 && !*list))
		return r;
	if (!lg_cg_enable_late(host, LG_CG_HUGETLB))
		return lg_limit_no_controller(name, "huge pages", LG_CG_HUGETLB, err);
	top = host->ctl[LG_CG_HUGETLB].top;
	r = find_sizes(top, name, v1, &sizes);
	if (r < 0)
		return lg_limit_explain(host, name, "huge pages", LG_CG_HUGETLB, "hugetlb", r, err);
	r = check_list(list, &sizes, err);
	for (unsigned int i = 0; r == 0 && i < sizes.n; i++)
		r = write_size(top, name, sizes.name[i], v1, wanted(list, sizes.name[i]), err);
	return r;
}
