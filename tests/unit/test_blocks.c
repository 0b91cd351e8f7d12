/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A disk over a pipe of files: pass by pass the copy is the original, holes stay holes, and what is no stream changes nothing beyond. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "storage/blocks.h"

#define DISK (40u * LG_BLOCK + 1234u)

static int here, there, stream;
static struct lg_blocks *book;
static struct lg_err err;

static int file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void setup(void)
{
	here = file("here");
	there = file("there");
	stream = file("stream");
	ck_assert_int_eq(ftruncate(here, DISK), 0);
	book = NULL;
}

static void teardown(void)
{
	lg_blocks_free(book);
	close(here);
	close(there);
	close(stream);
}

static void put(uint64_t at, size_t len, int byte)
{
	lg_autofree char *data = malloc(len);

	memset(data, byte, len);
	ck_assert_int_eq(pwrite(here, data, len, (off_t)at), (ssize_t)len);
}

/* Return: bytes of content that were sent. */
static uint64_t pass(void)
{
	uint64_t sent;

	ck_assert_int_eq(ftruncate(stream, 0), 0);
	lseek(stream, 0, SEEK_SET);
	ck_assert_int_eq(lg_blocks_send(here, &book, stream, &sent, &err), 0);
	return sent;
}

static int arrive(uint64_t max)
{
	lseek(stream, 0, SEEK_SET);
	return lg_blocks_receive(stream, there, max, &err);
}

static void same(void)
{
	struct stat a, b;
	char x[4096], y[4096];

	ck_assert_int_eq(fstat(here, &a), 0);
	ck_assert_int_eq(fstat(there, &b), 0);
	ck_assert_int_eq(a.st_size, b.st_size);
	for (off_t at = 0; at < a.st_size; at += (off_t)sizeof(x)) {
		ssize_t n = pread(here, x, sizeof(x), at);

		ck_assert_int_eq(pread(there, y, sizeof(y), at), n);
		ck_assert_mem_eq(x, y, (size_t)n);
	}
}

START_TEST(passes_bring_what_has_changed)
{
	struct stat st;

	put(0, 10, 'a');
	put(5 * LG_BLOCK + 7, 3 * LG_BLOCK, 'b');
	put(DISK - 3, 3, 'c');
	/* What was there before goes with the first pass. */
	ck_assert_int_eq(pwrite(there, "rest", 4, 9 * LG_BLOCK), 4);
	ck_assert_uint_eq(pass(), 5 * LG_BLOCK + 1234);
	ck_assert_int_eq(arrive(DISK), 0);
	same();
	ck_assert_int_eq(fstat(there, &st), 0);
	ck_assert_int_lt(st.st_blocks * 512, 8 * (int)LG_BLOCK);
	ck_assert_uint_eq(pass(), 0);
	ck_assert_int_eq(arrive(DISK), 0);
	same();
	put(6 * LG_BLOCK, 1, 'x');
	put(30 * LG_BLOCK, 1, 'y');
	ck_assert_uint_eq(pass(), 2 * LG_BLOCK);
	ck_assert_int_eq(arrive(DISK), 0);
	same();
}
END_TEST

static void written_at(time_t sec)
{
	const struct timespec times[2] = { { .tv_sec = sec }, { .tv_sec = sec } };

	ck_assert_int_eq(futimens(here, times), 0);
}

START_TEST(what_nobody_has_written_to_is_not_read_again)
{
	time_t now = time(NULL);

	put(0, LG_BLOCK, 'a');
	written_at(now - 100);
	ck_assert_uint_eq(pass(), LG_BLOCK);
	ck_assert_int_eq(arrive(DISK), 0);
	/* The only sign of it is the file's time. */
	put(0, 1, 'x');
	written_at(now - 100);
	ck_assert_uint_eq(pass(), 0);
	ck_assert_int_eq(arrive(DISK), 0);
	written_at(now - 50);
	ck_assert_uint_eq(pass(), LG_BLOCK);
	ck_assert_int_eq(arrive(DISK), 0);
	same();
	/* So shortly before a pass that more may have been written in the same tick. */
	put(0, 1, 'y');
	ck_assert_uint_eq(pass(), LG_BLOCK);
	put(0, 1, 'z');
	ck_assert_uint_eq(pass(), LG_BLOCK);
}
END_TEST

/* On a file system that tells extents: a tmpfs does not. */
static int written_file(void)
{
	char path[] = "/var/tmp/lodge-blocks.XXXXXX";
	struct fiemap map = { .fm_length = FIEMAP_MAX_OFFSET };
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	ck_assert_int_eq(ftruncate(fd, DISK), 0);
	if (ioctl(fd, FS_IOC_FIEMAP, &map) == 0)
		return fd;
	close(fd);
	return -1;
}

static uint64_t pass_written(int written)
{
	uint64_t sent;

	ck_assert_int_eq(ftruncate(stream, 0), 0);
	lseek(stream, 0, SEEK_SET);
	ck_assert_int_eq(lg_blocks_send_written(here, written, &book, stream, &sent, &err), 0);
	return sent;
}

START_TEST(where_it_was_written_to_is_looked_at)
{
	lg_autoclose int written = written_file();

	if (written < 0) {
		puts("cannot run: /var/tmp tells no extents");
		return;
	}
	put(0, 10 * LG_BLOCK, 'a');
	ck_assert_uint_eq(pass_written(written), 10 * LG_BLOCK);
	ck_assert_int_eq(arrive(DISK), 0);
	put(3 * LG_BLOCK, 1, 'x');
	put(7 * LG_BLOCK, 1, 'y');
	put(9 * LG_BLOCK, 1, 'z');
	ck_assert_int_eq(pwrite(written, "", 1, 3 * LG_BLOCK + 5), 1);
	ck_assert_uint_eq(pass_written(written), LG_BLOCK);
	ck_assert_int_eq(arrive(DISK), 0);
	/* Zeros that only have a place count as well. */
	ck_assert_int_eq(fallocate(written, 0, 7 * LG_BLOCK, LG_BLOCK), 0);
	ck_assert_uint_eq(pass_written(written), LG_BLOCK);
	ck_assert_int_eq(arrive(DISK), 0);
	/* A file that does not tell: all of it is looked at. */
	ck_assert_uint_eq(pass_written(there), LG_BLOCK);
	ck_assert_int_eq(arrive(DISK), 0);
	same();
}
END_TEST

START_TEST(what_was_discarded_is_empty_there)
{
	struct stat st;

	put(3 * LG_BLOCK, 4 * LG_BLOCK, 'a');
	pass();
	ck_assert_int_eq(arrive(DISK), 0);
	ck_assert_int_eq(fallocate(here, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * LG_BLOCK, 2 * LG_BLOCK), 0);
	put(5 * LG_BLOCK, LG_BLOCK, 0);
	ck_assert_uint_eq(pass(), 0);
	ck_assert_int_eq(arrive(DISK), 0);
	same();
	ck_assert_int_eq(fstat(there, &st), 0);
	ck_assert_int_le(st.st_blocks * 512, (int)LG_BLOCK + 4096);
}
END_TEST

START_TEST(a_disk_that_grew_arrives_whole)
{
	put(0, LG_BLOCK, 'a');
	pass();
	ck_assert_int_eq(arrive(2u * DISK), 0);
	ck_assert_int_eq(ftruncate(here, 2 * DISK), 0);
	put(2 * DISK - 10, 10, 'z');
	put(DISK - 1, 2, 'm');
	pass();
	ck_assert_int_eq(arrive(2u * DISK), 0);
	same();
}
END_TEST

START_TEST(no_stream_is_refused)
{
	struct stat st;

	put(0, 3 * LG_BLOCK, 'a');
	pass();
	ck_assert_int_eq(arrive(DISK - 1), -EFBIG);
	ck_assert_int_eq(fstat(stream, &st), 0);
	for (off_t len = 0; len < st.st_size; len += 9973) {
		int cut = file("cut");
		char data[9973];

		for (off_t at = 0; at < len; at += (off_t)sizeof(data)) {
			ssize_t n = pread(stream, data, sizeof(data), at);

			ck_assert_int_eq(write(cut, data, (size_t)n), n);
		}
		lseek(cut, 0, SEEK_SET);
		ck_assert_int_eq(lg_blocks_receive(cut, there, DISK, &err), -EBADMSG);
		close(cut);
	}
	/* One byte of the content. */
	ck_assert_int_eq(pwrite(stream, "b", 1, 1000), 1);
	ck_assert_int_eq(arrive(DISK), -EBADMSG);
	/* A block behind the end. */
	put(0, 1, 'x');
	pass();
	ck_assert_int_eq(pwrite(stream, "\xff\xff", 2, 24), 2);
	ck_assert_int_eq(arrive(DISK), -EBADMSG);
	ck_assert_int_eq(fstat(there, &st), 0);
	ck_assert_int_le(st.st_size, DISK);
	/* Longer than a block is. */
	put(0, 1, 'y');
	pass();
	ck_assert_int_eq(pwrite(stream, "\xff\xff\xff", 3, 32), 3);
	ck_assert_int_eq(arrive(DISK), -EBADMSG);
	pass();
	ck_assert_int_eq(pwrite(stream, "?", 1, 0), 1);
	ck_assert_int_eq(arrive(DISK), -EBADMSG);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("blocks");
	TCase *tc = tcase_create("passes");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, passes_bring_what_has_changed);
	tcase_add_test(tc, what_nobody_has_written_to_is_not_read_again);
	tcase_add_test(tc, where_it_was_written_to_is_looked_at);
	tcase_add_test(tc, what_was_discarded_is_empty_there);
	tcase_add_test(tc, a_disk_that_grew_arrives_whole);
	tcase_add_test(tc, no_stream_is_refused);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
