/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/qemu.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define EROFS_AT 1024
#define EROFS_SUPER 128u
#define EROFS_MAGIC 0xe0f5e1e2u

/* "7.2" of "7.2.22" and of "7.2.22 (Debian ...)" */
static bool read_release(const char *version, unsigned int *major, unsigned int *minor)
{
	return version && sscanf(version, "%u.%u", major, minor) == 2;
}

int lg_qemu_fits(const char *then, const char *now, struct lg_err *err)
{
	unsigned int a[2], b[2];

	if (read_release(then, &a[0], &a[1]) && read_release(now, &b[0], &b[1]) && a[0] == b[0] && a[1] == b[1])
		return 0;
	return lg_refuse(err, -EINVAL, 0,
			 "its memory was written by QEMU %.23s, and QEMU %.23s is here, which is not known to read it",
			 then && *then ? then : "?", now && *now ? now : "?");
}

int lg_erofs_identity(const char *path, char ret[33], struct lg_err *err)
{
	lg_autoclose int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint8_t super[EROFS_SUPER], digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx sum;
	uint32_t magic;

	if (fd < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	if (pread(fd, super, sizeof(super), EROFS_AT) != sizeof(super))
		return lg_refuse(err, -EINVAL, 0, "'%s' is no disk of lodge's", path);
	memcpy(&magic, super, sizeof(magic));
	if (le32toh(magic) != EROFS_MAGIC)
		return lg_refuse(err, -EINVAL, 0, "'%s' is no disk of lodge's", path);
	sha256_init(&sum);
	sha256_update(&sum, sizeof(super), super);
	sha256_digest(&sum, sizeof(digest), digest);
	for (size_t i = 0; i < 16; i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return 0;
}
