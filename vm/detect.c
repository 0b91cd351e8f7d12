/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Disk images told by their bytes, and what qemu-img says of them. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "vm/convert.h"

#define NOT_TAKEN (-1)

/* clang-format off */
static const char *const names[] = {
	[LG_IMAGE_RAW] = "raw", [LG_IMAGE_QCOW2] = "qcow2", [LG_IMAGE_VMDK] = "vmdk", [LG_IMAGE_VHDX] = "vhdx",
};
_Static_assert(ARRAY_SIZE(names) == LG_IMAGE_FORMATS_, "a name for each format");

/* In this order: a boot sector says the least. */
static const struct magic {
	off_t at;
	const char *bytes;
	size_t len;
	int format;		/* NOT_TAKEN: @what it is instead */
	const char *what;
} magics[] = {
	{ 0, "QFI\xfb\0\0\0\2", 8, LG_IMAGE_QCOW2, NULL },
	{ 0, "QFI\xfb\0\0\0\3", 8, LG_IMAGE_QCOW2, NULL },
	{ 0, "KDMV", 4, LG_IMAGE_VMDK, NULL },
	{ 0, "vhdxfile", 8, LG_IMAGE_VHDX, NULL },
	{ 0, "QFI\xfb", 4, NOT_TAKEN, "a qcow image of an unknown version" },
	{ 0, "# Disk DescriptorFile", 21, NOT_TAKEN, "a description of a disk that is in other files: make one file of it "
	  "(qemu-img convert -O qcow2)" },
	{ 0, "COWD", 4, NOT_TAKEN, "a part of a disk of ESX" },
	{ 0, "conectix", 8, NOT_TAKEN, "a VHD image, which is not taken: convert it (qemu-img convert -O qcow2)" },
	{ 64, "\x7f\x10\xda\xbe", 4, NOT_TAKEN, "a VDI image, which is not taken: convert it (qemu-img convert -O qcow2)" },
	{ 0, "QED\0", 4, NOT_TAKEN, "a QED image, which is not taken: convert it (qemu-img convert -O qcow2)" },
	{ 0, "WithoutFreeSpace", 16, NOT_TAKEN, "a Parallels image, which is not taken: convert it (qemu-img convert -O qcow2)" },
	{ 0, "WithouFreSpacExt", 16, NOT_TAKEN, "a Parallels image, which is not taken: convert it (qemu-img convert -O qcow2)" },
	{ 0, "LUKS\xba\xbe", 6, NOT_TAKEN, "encrypted" },
	{ 0, "\x1f\x8b", 2, NOT_TAKEN, "compressed (gzip): unpack it first" },
	{ 0, "\xfd" "7zXZ\0", 6, NOT_TAKEN, "compressed (xz): unpack it first" },
	{ 0, "\x28\xb5\x2f\xfd", 4, NOT_TAKEN, "compressed (zstd): unpack it first" },
	{ 0, "BZh", 3, NOT_TAKEN, "compressed (bzip2): unpack it first" },
	{ 0, "PK\3\4", 4, NOT_TAKEN, "a zip archive: unpack it first" },
	{ 257, "ustar", 5, NOT_TAKEN, "a tar archive: unpack it first" },
	{ 510, "\x55\xaa", 2, LG_IMAGE_RAW, NULL },
	{ 32769, "CD001", 5, NOT_TAKEN, "an image of a CD: it goes into the drive (--cdrom), beside a --disk SIZE" },
};
/* clang-format on */

const char *lg_image_format_name(enum lg_image_format format)
{
	return names[format];
}

int lg_image_detect(int fd, struct lg_err *err)
{
	char buf[32];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "look at the image");
	if (!S_ISREG(st.st_mode))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image is no regular file");
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		const struct magic *m = &magics[i];

		if (pread(fd, buf, m->len, m->at) != (ssize_t)m->len || memcmp(buf, m->bytes, m->len) != 0)
			continue;
		return m->format != NOT_TAKEN ? m->format :
		       lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image is %s", m->what);
	}
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image is neither qcow2, vmdk or vhdx nor a raw disk that boots: there "
			 "is no boot sector at its beginning");
}

/* ---- what qemu-img says ---- */

static int refuse_parts(struct lg_err *err, const char *what, const char *name)
{
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image needs %s ('%.200s'), and has to be whole: make one file of both "
			 "(qemu-img convert -O qcow2)", what, name);
}

/* Its own extent is named by the file that qemu-img read, and there is one. */
static int check_vmdk(const json_t *data, struct lg_err *err)
{
	static const char *const whole[] = { "monolithicSparse", "streamOptimized" };
	const char *type = lg_json_str(data, "create-type");
	bool known = false;

	for (size_t i = 0; type && i < ARRAY_SIZE(whole); i++)
		known |= strcmp(type, whole[i]) == 0;
	if (!known || json_array_size(json_object_get(data, "extents")) != 1)
		return refuse_parts(err, "other files", type ? type : "?");
	if (lg_json_int(data, "parent-cid", 0) != UINT32_MAX)
		return refuse_parts(err, "the image below it", type);
	return 0;
}

int lg_image_check_info(const char *text, enum lg_image_format format, uint64_t *ret_bytes, struct lg_err *err)
{
	lg_autojson json_t *info = json_loads(text, 0, NULL);
	const json_t *specific = json_object_get(json_object_get(info, "format-specific"), "data");
	const char *is = lg_json_str(info, "format"), *name = lg_json_str(info, "backing-filename");
	int64_t bytes = lg_json_int(info, "virtual-size", 0);

	if (!is || strcmp(is, names[format]) != 0 || bytes <= 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image is not understood");
	if (!name)
		name = lg_json_str(info, "full-backing-filename");
	if (name)
		return refuse_parts(err, "a backing file", name);
	if (json_object_get(specific, "data-file") || json_object_get(specific, "data-file-raw"))
		name = lg_json_str(specific, "data-file");
	if (name)
		return refuse_parts(err, "a data file", name);
	if (lg_json_bool(info, "encrypted", false))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image is encrypted");
	if (format == LG_IMAGE_VMDK && check_vmdk(specific, err) < 0)
		return err->code;
	*ret_bytes = (uint64_t)bytes;
	return 0;
}

int lg_image_check_check(const char *text, uint64_t file_bytes, struct lg_err *err)
{
	lg_autojson json_t *check = json_loads(text, 0, NULL);
	int64_t bad = lg_json_int(check, "corruptions", 0) + lg_json_int(check, "check-errors", 0);
	int64_t end = lg_json_int(check, "image-end-offset", 0);

	if (!check)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image cannot be checked");
	if (end > 0 && (uint64_t)end > file_bytes)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image was cut off: it goes to byte %" PRId64 " and has %" PRIu64,
				 end, file_bytes);
	return bad == 0 ? 0 : lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "the image is damaged (%" PRId64 " errors)", bad);
}
