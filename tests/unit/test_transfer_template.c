/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A template goes from one store to another and is the same there, or is not there. Needs root. */

#include "storage/transfer.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "storage/manifest.h"
#include "storage/template_new.h"
#include "tests/unit/transfer_tree.h"

static struct lg_template made;

/* TOP/from and TOP/to are two stores. */
static void build(const char *store, const char *init)
{
	struct lg_template t = { .name = "tiny", .version = "1", .os = "none", .arch = "any",
				 .init = "/sbin/init", .stop_signal = 15, .built_at = 1 };
	struct lg_template_new n;
	char var[96], path[128];

	snprintf(var, sizeof(var), "%s/%s", top, store);
	ck_assert_int_eq(lg_template_new_make(&n, var, "tiny", NULL), 0);
	ck_assert_int_eq(mkdirat(n.dir, "rootfs", 0755), 0);
	ck_assert_int_eq(mkdirat(n.dir, "rootfs/sbin", 0755), 0);
	snprintf(path, sizeof(path), "%s/templates/.tiny.new/rootfs/sbin/init", store);
	put(path, init);
	ck_assert_int_eq(chmod(at(path), 0755), 0);
	ck_assert_int_eq(setxattr(at(path), "trusted.overlay.opaque", "y", 1, 0), 0);
	ck_assert_int_eq(setxattr(at(path), "user.kept", "y", 1, 0), 0);
	ck_assert_int_eq(lg_template_new_digest(&n, &t, t.digest, &t.size_bytes, NULL), 0);
	ck_assert_int_eq(lg_manifest_save(n.dir, &t, NULL), 0);
	ck_assert_int_eq(lg_template_new_keep(&n, 0, NULL), 0);
	lg_template_new_finish(&n, 0);
	made = t;
}

static void make_stores(void)
{
	make_top();
	build("from", "#!init");
}

static int send_it(int file, struct lg_err *err)
{
	ck_assert_int_eq(ftruncate(file, 0), 0);
	ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
	if (lg_transfer_send_template(at("from"), "tiny", file, NULL, err) < 0)
		return err->code;
	ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
	return 0;
}

static int open_stream(void)
{
	int fd = open(at("stream"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* There is no template, and nothing half of one. */
static void store_is_empty(void)
{
	lg_autoclose int fd = open_folder("to/templates");
	char **names;

	ck_assert_uint_eq(names_in(fd, &names), 0);
	free(names);
}

START_TEST(it_is_the_same_there)
{
	lg_autoclose int file = open_stream();
	struct lg_err err = { 0 };
	struct lg_template t;
	char path[96], value[4];

	ck_assert_msg(send_it(file, &err) == 0, "%s", err.msg);
	ck_assert_msg(lg_transfer_receive_template(at("to"), "tiny", made.digest, file, NULL,
						   &err) == 0, "%s", err.msg);
	snprintf(path, sizeof(path), "%s/to", top);
	ck_assert_int_eq(lg_template_load(path, "tiny", &t, &err), 0);
	ck_assert_str_eq(t.digest, made.digest);
	ck_assert_int_eq(access(at("to/templates/tiny/rootfs/sbin/init"), X_OK), 0);
	ck_assert_int_eq(getxattr(at("to/templates/tiny/rootfs/sbin/init"), "user.kept", value, 4), 1);
	ck_assert_int_lt(getxattr(at("to/templates/tiny/rootfs/sbin/init"),
				  "trusted.overlay.opaque", value, 4), 0);
}
END_TEST

START_TEST(another_one_than_was_asked_for_is_refused)
{
	lg_autoclose int file = open_stream();
	struct lg_err err = { 0 };
	char digest[80];

	memcpy(digest, made.digest, sizeof(digest));
	digest[10] = digest[10] == 'a' ? 'b' : 'a';
	ck_assert_int_eq(send_it(file, &err), 0);
	ck_assert_int_eq(lg_transfer_receive_template(at("to"), "tiny", digest, file, NULL, &err),
			 -EBADMSG);
	ck_assert_ptr_nonnull(strstr(err.msg, "not the one that was asked for"));
	store_is_empty();
}
END_TEST

/* The manifest goes on claiming the digest that was asked for. */
START_TEST(one_that_was_changed_is_refused)
{
	lg_autoclose int file = open_stream();
	struct lg_err err = { 0 };

	put("from/templates/tiny/rootfs/sbin/init", "#!evil");
	ck_assert_int_eq(send_it(file, &err), 0);
	ck_assert_int_eq(lg_transfer_receive_template(at("to"), "tiny", made.digest, file, NULL,
						      &err), -EBADMSG);
	store_is_empty();
}
END_TEST

START_TEST(one_that_is_cut_short_leaves_nothing)
{
	lg_autoclose int file = open_stream();
	struct lg_err err = { 0 };
	struct stat st;

	ck_assert_int_eq(send_it(file, &err), 0);
	ck_assert_int_eq(fstat(file, &st), 0);
	ck_assert_int_eq(ftruncate(file, st.st_size - 1), 0);
	ck_assert_int_eq(lg_transfer_receive_template(at("to"), "tiny", made.digest, file, NULL,
						      &err), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(err.msg, "receive template 'tiny'"));
	store_is_empty();
}
END_TEST

START_TEST(one_of_that_name_is_kept)
{
	lg_autoclose int file = open_stream();
	struct lg_err err = { 0 };

	ck_assert_int_eq(send_it(file, &err), 0);
	build("to", "#!mine");
	ck_assert_int_eq(lg_transfer_receive_template(at("to"), "tiny", made.digest, file, NULL,
						      &err), -EEXIST);
	ck_assert_int_eq(stat(at("to/templates/tiny/rootfs/sbin/init"), &(struct stat){ 0 }), 0);
	ck_assert_int_lt(access(at("to/templates/.tiny.new"), F_OK), 0);
}
END_TEST

START_TEST(one_that_is_being_filled_is_left_alone)
{
	lg_autoclose int file = open_stream();
	struct lg_template_new n;
	struct lg_err err = { 0 };
	char path[96];

	ck_assert_int_eq(send_it(file, &err), 0);
	snprintf(path, sizeof(path), "%s/to", top);
	ck_assert_int_eq(lg_template_new_make(&n, path, "tiny", NULL), 0);
	ck_assert_int_eq(lg_transfer_receive_template(at("to"), "tiny", made.digest, file, NULL,
						      &err), -EBUSY);
	ck_assert_int_eq(err.exit_code, LG_EXIT_LOCKED);
	ck_assert_int_eq(access(at("to/templates/.tiny.new"), F_OK), 0);
	lg_template_new_finish(&n, 1);
}
END_TEST

START_TEST(a_name_that_is_none_is_refused)
{
	lg_autoclose int file = open_stream();
	struct lg_err err = { 0 };

	ck_assert_int_lt(lg_transfer_receive_template(at("to"), "../x", made.digest, file, NULL,
						      &err), 0);
	ck_assert_int_eq(lg_transfer_send_template(at("from"), "none", file, NULL, &err), -ENOENT);
	ck_assert_int_eq(err.exit_code, LG_EXIT_NO_TEMPLATE);
}
END_TEST

static Suite *template_suite(void)
{
	Suite *s = suite_create("transfer_template");
	TCase *tc = tcase_create("stores");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_stores, remove_top);
	tcase_add_test(tc, it_is_the_same_there);
	tcase_add_test(tc, another_one_than_was_asked_for_is_refused);
	tcase_add_test(tc, one_that_was_changed_is_refused);
	tcase_add_test(tc, one_that_is_cut_short_leaves_nothing);
	tcase_add_test(tc, one_of_that_name_is_kept);
	tcase_add_test(tc, one_that_is_being_filled_is_left_alone);
	tcase_add_test(tc, a_name_that_is_none_is_refused);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr;
	int failures;

	if (geteuid() != 0)
		return 77;
	sr = srunner_create(template_suite());
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
