/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Dump files: what goes in comes out, and nothing else does. */

#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/dump.h"
#include "storage/seal.h"

#define BIG (3u * LG_SEAL_CHUNK + 17u)

static char top[64], in[96], out[96], file[96], key[96], other_key[96];
static char big[BIG];

static void write_at(const char *folder, const char *name, const void *data, size_t len, mode_t mode)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(lg_file_replace_fast(fd, name, data, len, mode, NULL), 0);
	close(fd);
}

static void set_up(void)
{
	snprintf(top, sizeof(top), "/tmp/lg-dump-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(in, sizeof(in), "%s/in", top);
	snprintf(out, sizeof(out), "%s/out", top);
	snprintf(file, sizeof(file), "%s/file", top);
	snprintf(key, sizeof(key), "%s/key", top);
	snprintf(other_key, sizeof(other_key), "%s/other", top);
	ck_assert_int_eq(mkdir(in, 0700), 0);
	ck_assert_int_eq(mkdir(out, 0700), 0);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 2654435761u >> 13);
	write_at(in, "state.json", "{}", 2, 0600);
	write_at(in, "pages-1.img", big, sizeof(big), 0644);
	write_at(in, "empty.img", "", 0, 0644);
	write_at(top, "key", "0123456789abcdef0123456789abcdef", 32, 0400);
	write_at(top, "other", "0123456789abcdef0123456789abcdeF", 32, 0400);
}

static void tear_down(void)
{
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, top, NULL), 0);
}

static void same_file(const char *name, const void *data, size_t len, mode_t mode)
{
	lg_autofree char *text = NULL;
	char path[200];
	struct stat st;
	size_t got;

	snprintf(path, sizeof(path), "%s/%s", out, name);
	ck_assert_int_eq(lg_file_read(AT_FDCWD, path, BIG + 1, &text, &got, NULL), 0);
	ck_assert_uint_eq(got, len);
	ck_assert_mem_eq(text, data, len);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, mode);
}

/* Into an empty folder, whatever was there before. */
static int unpack(const char *with)
{
	struct lg_err err = { 0 };
	int r;

	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, out, NULL), 0);
	ck_assert_int_eq(mkdir(out, 0700), 0);
	r = lg_dump_unpack(file, with, out, &err);
	ck_assert_int_eq(err.code, r);
	if (r < 0)
		ck_assert_ptr_nonnull(strstr(err.msg, file));
	return r;
}

static void pack(const char *with)
{
	struct lg_err err = { 0 };
	struct stat st;

	ck_assert_msg(lg_dump_pack(in, "state.json", file, with, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}

START_TEST(comes_out_as_it_went_in)
{
	const char *with = _i ? key : NULL;

	pack(with);
	ck_assert_int_eq(unpack(with), 0);
	same_file("state.json", "{}", 2, 0600);
	same_file("pages-1.img", big, sizeof(big), 0644);
	same_file("empty.img", "", 0, 0644);
}
END_TEST

static off_t size_of_file(void)
{
	struct stat st;

	ck_assert_int_eq(stat(file, &st), 0);
	return st.st_size;
}

START_TEST(a_changed_byte_anywhere_is_refused)
{
	const char *with = _i ? key : NULL;
	off_t size, step;

	pack(with);
	size = size_of_file();
	step = size / 97;
	for (off_t at = 0; at < size; at += at < 300 ? 1 : step) {
		lg_autoclose int fd = open(file, O_RDWR | O_CLOEXEC);
		uint8_t byte, wrong;

		ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
		wrong = byte ^ 1;
		ck_assert_int_eq(pwrite(fd, &wrong, 1, at), 1);
		ck_assert_msg(unpack(with) < 0, "byte %lld may be changed", (long long)at);
		ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	}
	ck_assert_int_eq(unpack(with), 0);
}
END_TEST

START_TEST(one_that_is_cut_off_is_refused)
{
	const char *with = _i ? key : NULL;
	off_t size;

	pack(with);
	size = size_of_file();
	for (off_t left = size - 1; left >= 0; left -= left > size - 100 || left < 100 ? 1 : size / 31) {
		ck_assert_int_eq(truncate(file, left), 0);
		ck_assert_msg(unpack(with) == -EBADMSG, "%lld of %lld bytes will do", (long long)left,
			      (long long)size);
		pack(with);
		size = size_of_file();
	}
}
END_TEST

START_TEST(the_key_is_asked_for)
{
	pack(key);
	ck_assert_int_eq(unpack(NULL), -ENOKEY);
	ck_assert_int_eq(unpack(other_key), -EKEYREJECTED);
	pack(NULL);
	ck_assert_int_eq(unpack(key), -EKEYREJECTED);
}
END_TEST

START_TEST(encrypted_it_shows_nothing)
{
	lg_autofree char *text = NULL;
	size_t len;

	pack(key);
	ck_assert_int_eq(lg_file_read(AT_FDCWD, file, BIG * 2, &text, &len, NULL), 0);
	ck_assert_ptr_null(memmem(text, len, "pages-1.img", 11));
	ck_assert_ptr_null(memmem(text, len, big, 64));
}
END_TEST

START_TEST(a_key_file_is_for_root_alone)
{
	struct lg_seal_key k;

	ck_assert_int_eq(lg_seal_key_load(key, &k, NULL), 0);
	ck_assert_int_eq(chmod(key, 0440), 0);
	ck_assert_int_eq(lg_seal_key_load(key, &k, NULL), -EPERM);
	write_at(top, "key", "short", 5, 0400);
	ck_assert_int_eq(lg_seal_key_load(key, &k, NULL), -EINVAL);
	ck_assert_int_eq(lg_seal_key_load("/nonexistent", &k, NULL), -ENOENT);
}
END_TEST

START_TEST(others_cannot_have_written_it)
{
	pack(NULL);
	ck_assert_int_eq(chmod(file, 0620), 0);
	ck_assert_int_eq(unpack(NULL), -EPERM);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(symlink("/dev/null", file), 0);
	ck_assert_int_lt(unpack(NULL), 0);
}
END_TEST

START_TEST(a_failed_write_keeps_what_was_there)
{
	struct lg_err err = { 0 };
	char path[200];

	pack(NULL);
	snprintf(path, sizeof(path), "%s/sub", in);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_lt(lg_dump_pack(in, "state.json", file, NULL, &err), 0);
	ck_assert_int_eq(unpack(NULL), 0);
	snprintf(path, sizeof(path), "%s.part", file);
	ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

/* ---- hostile ones: whole as a stream, and a tar that lodge never wrote ---- */

static struct lg_seal *writing;

static la_ssize_t put_block(struct archive *tar, void *arg, const void *data, size_t len)
{
	(void)tar;
	(void)arg;
	ck_assert_int_eq(lg_seal_write(writing, data, len, NULL), 0);
	return (la_ssize_t)len;
}

static const struct {
	const char *name, *link;
	unsigned int type;
	const char *again;	/* a second entry of this name */
} hostile[] = {
	{ "../escaped", NULL, AE_IFREG, NULL },
	{ "/tmp/escaped", NULL, AE_IFREG, NULL },
	{ "a/b", NULL, AE_IFREG, NULL },
	{ ".hidden", NULL, AE_IFREG, NULL },
	{ "..", NULL, AE_IFREG, NULL },
	{ "line\nbreak", NULL, AE_IFREG, NULL },
	{ "link", "/etc/passwd", AE_IFLNK, NULL },
	{ "fifo", NULL, AE_IFIFO, NULL },
	{ "folder", NULL, AE_IFDIR, NULL },
	{ "twice", NULL, AE_IFREG, "twice" },
};

static void add_entry(struct archive *tar, const char *name, unsigned int type, const char *link)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, 0777);
	if (link)
		archive_entry_set_symlink(entry, link);
	archive_entry_set_size(entry, type == AE_IFREG ? 1 : 0);
	ck_assert_int_eq(archive_write_header(tar, entry), ARCHIVE_OK);
	if (type == AE_IFREG)
		ck_assert_int_eq(archive_write_data(tar, "x", 1), 1);
	archive_entry_free(entry);
}

START_TEST(hostile_contents_are_refused)
{
	struct archive *tar = archive_write_new();
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_eq(lg_seal_create(fd, NULL, &writing, NULL), 0);
	archive_write_set_format_pax_restricted(tar);
	archive_write_open(tar, NULL, NULL, put_block, NULL);
	add_entry(tar, hostile[_i].name, hostile[_i].type, hostile[_i].link);
	if (hostile[_i].again)
		add_entry(tar, hostile[_i].again, AE_IFREG, NULL);
	archive_write_close(tar);
	archive_write_free(tar);
	ck_assert_int_eq(lg_seal_finish(writing, NULL), 0);
	lg_seal_free(writing);
	close(fd);
	ck_assert_int_lt(unpack(NULL), 0);
	ck_assert_int_lt(access("/tmp/escaped", F_OK), 0);
}
END_TEST

START_TEST(random_bytes_are_no_dump_file)
{
	static const char *const texts[] = { "", "x", "LGSEAL1\n" };

	write_at(top, "file", texts[_i], strlen(texts[_i]), 0600);
	ck_assert_int_eq(unpack(NULL), -EBADMSG);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dump");
	TCase *t = tcase_create("dump");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, comes_out_as_it_went_in, 0, 2);
	tcase_add_loop_test(t, a_changed_byte_anywhere_is_refused, 0, 2);
	tcase_add_loop_test(t, one_that_is_cut_off_is_refused, 0, 2);
	tcase_add_test(t, the_key_is_asked_for);
	tcase_add_test(t, encrypted_it_shows_nothing);
	tcase_add_test(t, a_key_file_is_for_root_alone);
	tcase_add_test(t, others_cannot_have_written_it);
	tcase_add_test(t, a_failed_write_keeps_what_was_there);
	tcase_add_loop_test(t, hostile_contents_are_refused, 0, ARRAY_SIZE(hostile));
	tcase_add_loop_test(t, random_bytes_are_no_dump_file, 0, 3);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
