/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vm/convert.h"

#define BASE "\"format\": \"qcow2\", \"virtual-size\": 1048576"

/* clang-format off */
static const struct {
	off_t at;
	const char *bytes;
	size_t len;
	int want;
	const char *says;
} contents[] = {
	{ 0, "QFI\xfb\0\0\0\3", 8, LG_IMAGE_QCOW2, NULL },
	{ 0, "QFI\xfb\0\0\0\2", 8, LG_IMAGE_QCOW2, NULL },
	{ 0, "QFI\xfb\0\0\0\1", 8, -EINVAL, "unknown version" },
	{ 0, "KDMV\1\0\0\0", 8, LG_IMAGE_VMDK, NULL },
	{ 0, "vhdxfile", 8, LG_IMAGE_VHDX, NULL },
	{ 510, "\x55\xaa", 2, LG_IMAGE_RAW, NULL },
	{ 0, "# Disk DescriptorFile\n", 22, -EINVAL, "in other files" },
	{ 0, "\x1f\x8b\x08", 3, -EINVAL, "gzip" },
	{ 32769, "CD001", 5, -EINVAL, "--cdrom" },
	{ 0, "hello", 5, -EINVAL, "no boot sector" },
	{ 0, "", 0, -EINVAL, "no boot sector" },
};

static const struct {
	enum lg_image_format format;
	const char *text;
	int want;
	const char *says;
} infos[] = {
	{ LG_IMAGE_QCOW2, "{" BASE "}", 0, NULL },
	{ LG_IMAGE_QCOW2, "{" BASE ", \"format-specific\": {\"type\": \"qcow2\", \"data\": {\"compat\": \"1.1\"}}}", 0, NULL },
	{ LG_IMAGE_QCOW2, "{" BASE ", \"backing-filename\": \"/etc/shadow\"}", -EINVAL, "backing file ('/etc/shadow')" },
	{ LG_IMAGE_QCOW2, "{" BASE ", \"full-backing-filename\": \"json:{}\"}", -EINVAL, "backing file" },
	{ LG_IMAGE_QCOW2, "{" BASE ", \"format-specific\": {\"data\": {\"data-file\": \"/dev/sda\"}}}", -EINVAL, "data file ('/dev/sda')" },
	{ LG_IMAGE_QCOW2, "{" BASE ", \"encrypted\": true}", -EINVAL, "encrypted" },
	{ LG_IMAGE_QCOW2, "{\"format\": \"raw\", \"virtual-size\": 1048576}", -EINVAL, "not understood" },
	{ LG_IMAGE_QCOW2, "{\"format\": \"qcow2\", \"virtual-size\": -1}", -EINVAL, "not understood" },
	{ LG_IMAGE_QCOW2, "", -EINVAL, "not understood" },
	{ LG_IMAGE_QCOW2, "[]", -EINVAL, "not understood" },
	{ LG_IMAGE_VMDK, "{\"format\": \"vmdk\", \"virtual-size\": 1048576, \"format-specific\": {\"data\": {\"create-type\": "
	  "\"monolithicSparse\", \"parent-cid\": 4294967295, \"extents\": [{}]}}}", 0, NULL },
	{ LG_IMAGE_VMDK, "{\"format\": \"vmdk\", \"virtual-size\": 1048576, \"format-specific\": {\"data\": {\"create-type\": "
	  "\"monolithicSparse\", \"parent-cid\": 7, \"extents\": [{}]}}}", -EINVAL, "below it" },
	{ LG_IMAGE_VMDK, "{\"format\": \"vmdk\", \"virtual-size\": 1048576, \"format-specific\": {\"data\": {\"create-type\": "
	  "\"monolithicFlat\", \"parent-cid\": 4294967295, \"extents\": [{}]}}}", -EINVAL, "other files" },
	{ LG_IMAGE_VMDK, "{\"format\": \"vmdk\", \"virtual-size\": 1048576, \"format-specific\": {\"data\": {\"create-type\": "
	  "\"streamOptimized\", \"parent-cid\": 4294967295, \"extents\": [{}, {}]}}}", -EINVAL, "other files" },
	{ LG_IMAGE_VMDK, "{\"format\": \"vmdk\", \"virtual-size\": 1048576}", -EINVAL, "other files" },
};

static const struct {
	const char *text;
	int want;
	const char *says;
} checks[] = {
	{ "{\"image-end-offset\": 1000, \"check-errors\": 0}", 0, NULL },
	{ "{\"image-end-offset\": 1001, \"check-errors\": 0}", -EINVAL, "cut off" },
	{ "{\"check-errors\": 0, \"leaks\": 3}", 0, NULL },
	{ "{\"check-errors\": 0, \"corruptions\": 3}", -EINVAL, "damaged (3" },
	{ "{\"check-errors\": 1}", -EINVAL, "damaged" },
	{ "no JSON", -EINVAL, "cannot be checked" },
};
/* clang-format on */

static void judge(int r, int want, const struct lg_err *err, const char *says)
{
	ck_assert_int_eq(r, want);
	if (says)
		ck_assert_msg(strstr(err->msg, says), "it says: %s", err->msg);
}

START_TEST(an_image_is_what_its_bytes_say)
{
	lg_autoclose int fd = memfd_create("image", MFD_CLOEXEC);
	struct lg_err err = { 0 };

	ck_assert_int_eq(pwrite(fd, contents[_i].bytes, contents[_i].len, contents[_i].at), (ssize_t)contents[_i].len);
	judge(lg_image_detect(fd, &err), contents[_i].want, &err, contents[_i].says);
}
END_TEST

START_TEST(only_whole_images_are_taken)
{
	struct lg_err err = { 0 };
	uint64_t bytes = 7;

	judge(lg_image_check_info(infos[_i].text, infos[_i].format, &bytes, &err), infos[_i].want, &err, infos[_i].says);
	ck_assert_uint_eq(bytes, infos[_i].want == 0 ? 1048576 : 7);
}
END_TEST

START_TEST(damaged_images_are_not_taken)
{
	struct lg_err err = { 0 };

	judge(lg_image_check_check(checks[_i].text, 1000, &err), checks[_i].want, &err, checks[_i].says);
}
END_TEST

START_TEST(a_raw_image_is_copied_as_it_is_and_its_zeros_take_no_room)
{
	static char block[65536];
	char dir[] = "/tmp/lg-convert.XXXXXX", path[64];
	lg_autoclose int image = memfd_create("image", MFD_CLOEXEC), disk = -1, folder = -1;
	struct lg_convert c = { .image = image, .lifeline = -1 };
	struct lg_err err = { 0 };
	struct stat st;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/disk", dir);
	c.folder = folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c.disk = disk = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(disk, 8 << 20), 0);
	memset(block, 'x', sizeof(block));
	memcpy(block + 510, "\x55\xaa", 2);
	ck_assert_int_eq(pwrite(image, block, 1000, 0), 1000);
	ck_assert_int_eq(pwrite(image, block, sizeof(block), 3 << 20), sizeof(block));
	ck_assert_int_eq(ftruncate(image, (4 << 20) + 1), 0);
	ck_assert_msg(lg_convert(&c, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(fstat(disk, &st), 0);
	ck_assert_int_eq(st.st_size, 8 << 20);
	ck_assert_int_lt(st.st_blocks * 512, 1 << 20);
	memset(block, 0, sizeof(block));
	ck_assert_int_eq(pread(disk, block, 1000, 3 << 20), 1000);
	ck_assert_int_eq(block[0], 'x');
	ck_assert_int_eq(ftruncate(disk, 1 << 20), 0);
	judge(lg_convert(&c, &err), -ERANGE, &err, "--disk 5M");
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(a_copy_that_nobody_wants_ends)
{
	lg_autoclose int image = memfd_create("image", MFD_CLOEXEC), disk = memfd_create("disk", MFD_CLOEXEC);
	struct lg_convert c = { .image = image, .disk = disk };
	struct lg_err err = { 0 };
	int ends[2];

	ck_assert_int_eq(pwrite(image, "x", 1, 100), 1);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	c.lifeline = ends[0];
	ck_assert_int_eq(lg_copy_sparse(&c, image, disk, "copying", &err), 0);
	close(ends[1]);
	judge(lg_copy_sparse(&c, image, disk, "copying", &err), -ECANCELED, &err, "nobody wants it");
	close(ends[0]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm_convert");
	TCase *tc = tcase_create("convert");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, an_image_is_what_its_bytes_say, 0, ARRAY_SIZE(contents));
	tcase_add_loop_test(tc, only_whole_images_are_taken, 0, ARRAY_SIZE(infos));
	tcase_add_loop_test(tc, damaged_images_are_not_taken, 0, ARRAY_SIZE(checks));
	tcase_add_test(tc, a_raw_image_is_copied_as_it_is_and_its_zeros_take_no_room);
	tcase_add_test(tc, a_copy_that_nobody_wants_ends);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
