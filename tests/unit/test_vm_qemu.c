/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Which QEMU reads what another one wrote, and which making of a disk a file is. */

#include <check.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vm/qemu.h"

static const struct {
	const char *then, *now;
	int want;
} versions[] = {
	{ "7.2.22", "7.2.22", 0 },
	{ "7.2.9", "7.2.22", 0 },
	{ "10.0.2", "10.0.2 (Debian 1:10.0.2+ds-2)", 0 },
	{ "7.2.22", "8.2.2", -EINVAL },
	{ "7.2.22", "7.1.22", -EINVAL },
	{ "7.2", "17.2", -EINVAL },
	{ "", "7.2.22", -EINVAL },
	{ NULL, "7.2.22", -EINVAL },
	{ "7.2.22", NULL, -EINVAL },
	{ "seven", "seven", -EINVAL },
};

START_TEST(one_release_reads_its_own)
{
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_qemu_fits(versions[_i].then, versions[_i].now, &err), versions[_i].want);
	if (versions[_i].want)
		ck_assert_ptr_nonnull(strstr(err.msg, "not known to read it"));
}
END_TEST

static void write_image(const char *path, uint32_t magic, const char *uuid, size_t len)
{
	uint8_t image[2048] = { 0 };
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	magic = htole32(magic);
	memcpy(image + 1024, &magic, sizeof(magic));
	memcpy(image + 1024 + 48, uuid, strlen(uuid));
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, image, len), (ssize_t)len);
	close(fd);
}

START_TEST(another_making_is_another_one)
{
	char dir[] = "/tmp/lodge-test-XXXXXX", path[64], one[33], two[33];
	struct lg_err err = { 0 };

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/image", dir);
	ck_assert_int_eq(lg_erofs_identity(path, one, &err), -ENOENT);
	write_image(path, 0xe0f5e1e2u, "first", 2048);
	ck_assert_int_eq(lg_erofs_identity(path, one, &err), 0);
	ck_assert_uint_eq(strlen(one), 32);
	ck_assert_int_eq(lg_erofs_identity(path, two, &err), 0);
	ck_assert_str_eq(one, two);
	write_image(path, 0xe0f5e1e2u, "second", 2048);
	ck_assert_int_eq(lg_erofs_identity(path, two, &err), 0);
	ck_assert_str_ne(one, two);
	write_image(path, 0x12345678u, "first", 2048);
	ck_assert_int_eq(lg_erofs_identity(path, two, &err), -EINVAL);
	write_image(path, 0xe0f5e1e2u, "first", 1100);
	ck_assert_int_eq(lg_erofs_identity(path, two, &err), -EINVAL);
	unlink(path);
	rmdir(dir);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vm_qemu");
	TCase *tc = tcase_create("qemu");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, one_release_reads_its_own, 0, (int)ARRAY_SIZE(versions));
	tcase_add_test(tc, another_making_is_another_one);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
