/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Streams that no sender of ours makes, and streams that were cut or changed on the way. */

#include "storage/transfer.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/transfer_stream.h"
#include "tests/unit/transfer_tree.h"

/* ---- streams by hand ---- */

static struct lg_out out;
static int stream = -1;

static void begin_with(const char *magic, uint8_t kind, const uint8_t *before)
{
	static const uint8_t none[32];

	stream = open(at("stream"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(stream, 0);
	lg_out_start(&out, stream);
	lg_out_bytes(&out, magic, 8);
	lg_out_u8(&out, kind);
	lg_out_bytes(&out, before ? before : none, 32);
	lg_out_u64(&out, 0);
	lg_out_u64(&out, 0);
}

static void begin(void)
{
	begin_with(LG_TRANSFER_MAGIC, LG_TRANSFER_LAYER, NULL);
}

static void enter(const char *name)
{
	lg_out_op(&out, LG_OP_ENTER, name);
}

static void owner(uint32_t mode, uint32_t uid)
{
	lg_out_u8(&out, LG_OP_OWNER);
	lg_out_u32(&out, mode);
	lg_out_u32(&out, uid);
	lg_out_u32(&out, 0);
}

static void close_it(uint32_t nsec)
{
	lg_out_u8(&out, LG_OP_CLOSE);
	lg_out_time(&out, 1, nsec);
	lg_out_time(&out, 1, 0);
}

static void leave(void)
{
	owner(0755, 0);
	close_it(0);
}

static void file(const char *name, uint64_t size)
{
	lg_out_op(&out, LG_OP_FILE, name);
	lg_out_u32(&out, 0);
	lg_out_u64(&out, size);
}

static void data(uint64_t offset, uint32_t len)
{
	lg_out_u8(&out, LG_OP_DATA);
	lg_out_u64(&out, offset);
	lg_out_u32(&out, len);
	for (uint32_t i = 0; i < len && i < 16; i++)
		lg_out_u8(&out, 'x');
}

static void link_to(const char *name, const char *target)
{
	lg_out_op(&out, LG_OP_SYMLINK, name);
	lg_out_u32(&out, 0);
	lg_out_u32(&out, (uint32_t)strlen(target));
	lg_out_bytes(&out, target, strlen(target));
	leave();
}

static void xattr(const char *name, uint32_t len)
{
	lg_out_op(&out, LG_OP_XATTR, name);
	lg_out_u32(&out, len);
	for (uint32_t i = 0; i < len && i < 16; i++)
		lg_out_u8(&out, 'x');
}

static void make_node(const char *name, uint32_t type)
{
	lg_out_op(&out, LG_OP_NODE, name);
	for (int i = 0; i < 4; i++)
		lg_out_u32(&out, i == 1 ? type : 0);
}

static void raw(const void *bytes, size_t len)
{
	lg_out_bytes(&out, bytes, len);
}

static int end(struct lg_err *err, const struct lg_transfer_receive *how)
{
	uint8_t digest[32];
	int r;

	lg_out_u8(&out, LG_OP_END);
	ck_assert_int_eq(lg_out_finish(&out, digest), 0);
	ck_assert_int_eq(lseek(stream, 0, SEEK_SET), 0);
	r = lg_transfer_receive(stream, to, how, mark, err);
	stream = lg_close(stream);
	return r;
}

/* Nothing but the layer's own parts is in its folder, and beside it is what was there. */
static void nothing_escaped(void)
{
	static const char *const beside[] = { "from", "outside", "stream", "to" };
	lg_autoclose int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char **names, text[16] = { 0 };
	lg_autoclose int outside = open(at("outside"), O_RDONLY | O_CLOEXEC);
	size_t n = names_in(fd, &names);

	ck_assert_int_eq(read(outside, text, sizeof(text) - 1), 8);
	ck_assert_str_eq(text, "nobody's");
	ck_assert_uint_eq(n, ARRAY_SIZE(beside));
	for (size_t i = 0; i < n; i++) {
		ck_assert_str_eq(names[i], beside[i]);
		free(names[i]);
	}
	free(names);
	n = names_in(to, &names);
	for (size_t i = 0; i < n; i++) {
		ck_assert_msg(strcmp(names[i], "upper") == 0 || strcmp(names[i], "work") == 0 ||
				      strcmp(names[i], "plain") == 0, "%s", names[i]);
		free(names[i]);
	}
	free(names);
}

static void name_of(uint8_t op, const char *name, size_t len)
{
	lg_out_u8(&out, op);
	lg_out_u8(&out, (uint8_t)len);
	raw(name, len);
}

/* ---- what is refused: how to write it, and what is said of it ---- */

static void up_and_out(void)
{
	enter("upper");
	enter("..");
}

static void file_up(void)
{
	enter("upper");
	file("..", 0);
}

static void itself(void)
{
	enter("upper");
	lg_out_op(&out, LG_OP_REMOVE, ".");
}

static void absolute(void)
{
	enter("upper");
	file("/tmp/x", 0);
}

static void relative(void)
{
	enter("upper");
	enter("a/../../..");
}

static void zero_byte(void)
{
	enter("upper");
	name_of(LG_OP_ENTER, "a\0b", 3);
}

static void no_name(void)
{
	enter("upper");
	name_of(LG_OP_ENTER, "", 0);
}

static void top_work(void)
{
	enter("work");
}

static void top_file(void)
{
	file("upper", 0);
}

static void top_remove(void)
{
	lg_out_op(&out, LG_OP_REMOVE, "work");
}

static void top_staging(void)
{
	lg_out_op(&out, LG_OP_DOWN, ".transfer");
}

static void top_template(void)
{
	enter("rootfs");
}

static void top_owner(void)
{
	enter("upper");
	leave();
	owner(0777, 0);
}

static void up_at_top(void)
{
	lg_out_u8(&out, LG_OP_UP);
}

static void ends_inside(void)
{
	enter("upper");
}

static void ends_in_file(void)
{
	enter("upper");
	file("x", 3);
}

static void make_in_removals(void)
{
	enter("upper");
	enter("d");
	leave();
	leave();
	lg_out_op(&out, LG_OP_DOWN, "upper");
}

static void data_in_folder(void)
{
	enter("upper");
	data(0, 1);
}

static void child_of_closed(void)
{
	enter("upper");
	owner(0755, 0);
	enter("d");
}

static void data_past_end(void)
{
	enter("upper");
	file("x", 10);
	data(5, 6);
}

static void data_far_out(void)
{
	enter("upper");
	file("x", 10);
	data(UINT64_MAX - 1, 4);
}

static void data_backwards(void)
{
	enter("upper");
	file("x", 100);
	data(50, 10);
	data(55, 1);
}

static void data_empty(void)
{
	enter("upper");
	file("x", 100);
	data(0, 0);
}

static void data_large(void)
{
	enter("upper");
	file("x", UINT64_C(1) << 40);
	data(0, LG_DATA_MAX + 1);
}

static void too_large(void)
{
	enter("upper");
	file("x", UINT64_MAX);
}

static void no_kind(void)
{
	enter("upper");
	make_node("x", S_IFREG);
}

static void node_is_folder(void)
{
	enter("upper");
	make_node("x", S_IFDIR);
}

static void long_target(void)
{
	enter("upper");
	lg_out_op(&out, LG_OP_SYMLINK, "x");
	lg_out_u32(&out, 0);
	lg_out_u32(&out, 4096);
}

static void zero_target(void)
{
	enter("upper");
	lg_out_op(&out, LG_OP_SYMLINK, "x");
	lg_out_u32(&out, 0);
	lg_out_u32(&out, 3);
	raw("a\0b", 3);
}

static void odd_mode(void)
{
	enter("upper");
	file("x", 0);
	owner(0100644, 0);
}

static void no_owner(void)
{
	enter("upper");
	file("x", 0);
	owner(0644, UINT32_MAX);
}

static void odd_time(void)
{
	enter("upper");
	file("x", 0);
	owner(0644, 0);
	close_it(1000000000);
}

static void foreign_handle(void)
{
	enter("upper");
	file("x", 0);
	owner(0644, 0);
	xattr("trusted.overlay.origin", 8);
}

static void odd_xattr(void)
{
	enter("upper");
	file("x", 0);
	owner(0644, 0);
	xattr("system.nfs4_acl", 8);
}

static void large_xattr(void)
{
	enter("upper");
	file("x", 0);
	owner(0644, 0);
	xattr("user.x", LG_XATTR_MAX + 1);
}

static void early_xattr(void)
{
	enter("upper");
	file("x", 0);
	xattr("user.x", 1);
}

static void unknown(void)
{
	lg_out_u8(&out, 200);
}

static void nothing(void)
{
	lg_out_u8(&out, 0);
}

static void early_end(void)
{
	enter("upper");
	leave();
	lg_out_u8(&out, LG_OP_END);
	file("x", 0);
}

static void deep(void)
{
	enter("upper");
	for (unsigned int i = 0; i <= LG_TRANSFER_DEPTH; i++)
		enter("d");
}

static const struct {
	void (*write)(void);
	int code;
	const char *says;
} refused[] = {
	{ up_and_out, -EBADMSG, "leads elsewhere" },
	{ file_up, -EBADMSG, "leads elsewhere" },
	{ itself, -EBADMSG, "in no order" },
	{ absolute, -EBADMSG, "leads elsewhere" },
	{ relative, -EBADMSG, "leads elsewhere" },
	{ zero_byte, -EBADMSG, "zero byte" },
	{ no_name, -EBADMSG, "empty" },
	{ top_work, -EBADMSG, "at the top" },
	{ top_file, -EBADMSG, "at the top" },
	{ top_remove, -EBADMSG, "at the top" },
	{ top_staging, -EBADMSG, "at the top" },
	{ top_template, -EBADMSG, "at the top" },
	{ top_owner, -EBADMSG, "the top gets an owner" },
	{ up_at_top, -EBADMSG, "leaves the top" },
	{ ends_inside, -EBADMSG, "inside of a folder" },
	{ ends_in_file, -EBADMSG, "in no order" },
	{ make_in_removals, -EBADMSG, "in no order" },
	{ data_in_folder, -EBADMSG, "in no order" },
	{ child_of_closed, -EBADMSG, "in no order" },
	{ data_past_end, -EBADMSG, "outside of its file" },
	{ data_far_out, -EBADMSG, "outside of its file" },
	{ data_backwards, -EBADMSG, "outside of its file" },
	{ data_empty, -EBADMSG, "outside of its file" },
	{ data_large, -EBADMSG, "outside of its file" },
	{ too_large, -EBADMSG, "larger than any" },
	{ no_kind, -EBADMSG, "of no kind" },
	{ node_is_folder, -EBADMSG, "of no kind" },
	{ long_target, -EBADMSG, "too long" },
	{ zero_target, -EBADMSG, "zero byte" },
	{ odd_mode, -EBADMSG, "an owner or a mode" },
	{ no_owner, -EBADMSG, "an owner or a mode" },
	{ odd_time, -EBADMSG, "a time is none" },
	{ foreign_handle, -EBADMSG, "none that travels" },
	{ odd_xattr, -EBADMSG, "none that travels" },
	{ large_xattr, -EBADMSG, "none that travels" },
	{ early_xattr, -EBADMSG, "in no order" },
	{ unknown, -EBADMSG, "what there is not" },
	{ nothing, -EBADMSG, "what there is not" },
	{ early_end, -EBADMSG, "follows its end" },
	{ deep, -ENAMETOOLONG, "make '" },
};

START_TEST(what_no_sender_writes_is_refused)
{
	struct lg_err err = { 0 };

	begin();
	refused[_i].write();
	ck_assert_int_eq(end(&err, NULL), refused[_i].code);
	ck_assert_msg(strstr(err.msg, refused[_i].says) && !strchr(err.msg, '\n'), "%s", err.msg);
	nothing_escaped();
}
END_TEST

static const struct {
	const char *magic;
	uint8_t kind, before;
	const char *says;
} heads[] = {
	{ "LGTRANS9", LG_TRANSFER_LAYER, 0, "another version" },
	{ "\x7f" "ELF    ", LG_TRANSFER_LAYER, 0, "none of lodge's" },
	{ LG_TRANSFER_MAGIC, LG_TRANSFER_TEMPLATE, 0, "not the same" },
	{ LG_TRANSFER_MAGIC, 0, 0, "not the same" },
	{ LG_TRANSFER_MAGIC, LG_TRANSFER_LAYER, 1, "follows on another" },
};

START_TEST(a_wrong_head_is_refused)
{
	const uint8_t before[32] = { heads[_i].before };
	struct lg_err err = { 0 };

	put("to/upper/kept", "x");
	begin_with(heads[_i].magic, heads[_i].kind, before);
	ck_assert_int_eq(end(&err, NULL), -EBADMSG);
	ck_assert_msg(strstr(err.msg, heads[_i].says), "%s", err.msg);
	ck_assert_int_eq(access(at("to/upper/kept"), F_OK), 0);
}
END_TEST

/* The kernel may be led out by no link that the stream makes. */
START_TEST(links_in_the_layer_are_not_followed)
{
	struct lg_err err = { 0 };
	struct stat st;

	begin();
	enter("upper");
	link_to("out", top);
	link_to("file", at("outside"));
	enter("out");		/* takes the link's place */
	file("outside", 0);
	leave();
	leave();
	file("file", 0);	/* as this does */
	leave();
	leave();
	ck_assert_msg(end(&err, NULL) == 0, "%s", err.msg);
	nothing_escaped();
	ck_assert_int_eq(lstat(at("to/upper/out"), &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	ck_assert_int_eq(lstat(at("to/upper/file"), &st), 0);
	ck_assert(S_ISREG(st.st_mode));
}
END_TEST

START_TEST(a_removal_goes_through_no_link)
{
	struct lg_err err = { 0 };
	uint8_t before[32];

	begin();
	enter("upper");
	link_to("out", top);
	leave();
	ck_assert_int_eq(end(&err, NULL), 0);
	memcpy(before, mark->digest, sizeof(before));
	begin_with(LG_TRANSFER_MAGIC, LG_TRANSFER_LAYER, before);
	lg_out_op(&out, LG_OP_DOWN, "upper");
	lg_out_op(&out, LG_OP_DOWN, "out");
	lg_out_op(&out, LG_OP_REMOVE, "outside");
	lg_out_u8(&out, LG_OP_UP);
	lg_out_u8(&out, LG_OP_UP);
	ck_assert_int_lt(end(&err, NULL), 0);
	nothing_escaped();
	/* and the link itself can be removed */
	begin_with(LG_TRANSFER_MAGIC, LG_TRANSFER_LAYER, before);
	lg_out_op(&out, LG_OP_DOWN, "upper");
	lg_out_op(&out, LG_OP_REMOVE, "out");
	lg_out_u8(&out, LG_OP_UP);
	ck_assert_msg(end(&err, NULL) == 0, "%s", err.msg);
	nothing_escaped();
	ck_assert_int_lt(access(at("to/upper/out"), F_OK), 0);
}
END_TEST

/* Removing a folder takes away its neighbours of whatever name never. */
START_TEST(a_removal_takes_nothing_else)
{
	struct lg_transfer_index *first;

	make_folder("from/upper/x");
	make_folder("from/upper/x/full");
	put("from/upper/x/full/file", "x");
	make_folder("from/upper/.x.rm0");
	put("from/upper/.x.rm0/mine", "x");
	make_folder("from/upper/.gone.rm0");
	settle();
	first = pass(NULL, false, NULL);
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, at("from/upper/x/full"), NULL), 0);
	ck_assert_int_eq(rmdir(at("from/upper/x")), 0);
	lg_transfer_index_free(pass(first, true, NULL));
	ck_assert_uint_eq(equal(), 4);
	lg_transfer_index_free(first);
}
END_TEST

START_TEST(a_link_to_a_group_that_was_not_sent_is_an_error)
{
	struct lg_err err = { 0 };

	begin();
	enter("upper");
	lg_out_op(&out, LG_OP_LINK, "x");
	lg_out_u32(&out, 77);
	leave();
	ck_assert_int_eq(end(&err, NULL), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.msg, "'upper/x'"));
}
END_TEST

START_TEST(a_name_cannot_write_on_the_terminal)
{
	struct lg_err err = { 0 };

	begin();
	enter("upper");
	lg_out_op(&out, LG_OP_LINK, "\x1b[2J\n");
	lg_out_u32(&out, 77);
	ck_assert_int_lt(end(&err, NULL), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "'upper/?[2J?'"));
}
END_TEST

START_TEST(more_than_is_allowed_is_refused)
{
	const struct lg_transfer_receive bytes = { .max_bytes = 10 }, files = { .max_files = 2 };

	for (int i = 0; i < 2; i++) {
		struct lg_err err = { 0 };

		begin();
		enter("upper");
		file("x", 16);
		data(0, 8);
		data(8, 4);
		leave();
		file("y", 0);
		leave();
		leave();
		ck_assert_int_eq(end(&err, i ? &files : &bytes), -EFBIG);
		ck_assert_ptr_nonnull(strstr(err.msg, "more than is allowed"));
	}
}
END_TEST

/* ---- cut and changed ---- */

/* A whole stream of some kinds and 150 KiB. Return: it and its length. */
static uint8_t *whole_stream(size_t *len)
{
	struct stat st;
	uint8_t *bytes;

	make_folder("from/upper/d");
	put_bytes("from/upper/d/a", 70000, 1);
	put_bytes("from/upper/d/b", 80000, 2);
	ck_assert_int_eq(link(at("from/upper/d/a"), at("from/upper/c")), 0);
	ck_assert_int_eq(setxattr(at("from/upper/c"), "user.x", "value", 5, 0), 0);
	ck_assert_int_eq(symlink("c", at("from/upper/s")), 0);
	stream = open(at("stream"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(lg_transfer_send(from, NULL, stream, NULL, NULL, NULL, NULL), 0);
	ck_assert_int_eq(fstat(stream, &st), 0);
	*len = (size_t)st.st_size;
	bytes = malloc(*len);
	ck_assert_int_eq(pread(stream, bytes, *len, 0), (ssize_t)*len);
	return bytes;
}

static int receive_bytes(const uint8_t *bytes, size_t len, struct lg_err *err)
{
	memset(mark, 0, sizeof(*mark));
	ck_assert_int_eq(ftruncate(stream, 0), 0);
	ck_assert_int_eq(pwrite(stream, bytes, len, 0), (ssize_t)len);
	ck_assert_int_eq(lseek(stream, 0, SEEK_SET), 0);
	return lg_transfer_receive(stream, to, NULL, mark, err);
}

START_TEST(a_stream_that_is_cut_anywhere_is_an_error)
{
	size_t len;
	lg_autofree uint8_t *bytes = whole_stream(&len);
	static const struct lg_transfer_mark none;

	for (size_t cut = 0; cut < len; cut += cut + 128 > len || cut < 512 ? 1 : 1024) {
		struct lg_err err = { 0 };

		ck_assert_msg(receive_bytes(bytes, cut, &err) == -EBADMSG, "cut at %zu: %s", cut,
			      err.msg);
		ck_assert_ptr_nonnull(strstr(err.msg, "it ends too early"));
		ck_assert_mem_eq(mark, &none, sizeof(none));
		nothing_escaped();
	}
	ck_assert_int_eq(receive_bytes(bytes, len, NULL), 0);
	equal();
}
END_TEST

START_TEST(a_stream_that_was_changed_anywhere_is_an_error)
{
	size_t len;
	lg_autofree uint8_t *bytes = whole_stream(&len);

	for (size_t i = 0; i < len; i += i < 600 || i + 64 > len ? 1 : 997) {
		struct lg_err err = { 0 };

		bytes[i] ^= 0x41;
		ck_assert_msg(receive_bytes(bytes, len, &err) < 0, "changed at %zu", i);
		ck_assert(err.msg[0] && !strchr(err.msg, '\n'));
		nothing_escaped();
		bytes[i] ^= 0x41;
	}
}
END_TEST

static Suite *hostile_suite(void)
{
	Suite *s = suite_create("transfer_hostile");
	TCase *tc = tcase_create("streams");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_top, remove_top);
	tcase_add_loop_test(tc, what_no_sender_writes_is_refused, 0, ARRAY_SIZE(refused));
	tcase_add_loop_test(tc, a_wrong_head_is_refused, 0, ARRAY_SIZE(heads));
	tcase_add_test(tc, links_in_the_layer_are_not_followed);
	tcase_add_test(tc, a_removal_goes_through_no_link);
	tcase_add_test(tc, a_removal_takes_nothing_else);
	tcase_add_test(tc, a_link_to_a_group_that_was_not_sent_is_an_error);
	tcase_add_test(tc, a_name_cannot_write_on_the_terminal);
	tcase_add_test(tc, more_than_is_allowed_is_refused);
	tcase_add_test(tc, a_stream_that_is_cut_anywhere_is_an_error);
	tcase_add_test(tc, a_stream_that_was_changed_anywhere_is_an_error);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr;
	int failures;

	if (geteuid() != 0)
		return 77;
	sr = srunner_create(hostile_suite());
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
