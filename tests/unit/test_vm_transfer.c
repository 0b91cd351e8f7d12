/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a machine was booted from: found by which making it is, received from a stranger, and cleaned when nobody needs it. */

#include <check.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "tests/unit/test_var.h"
#include "vm/qemu.h"
#include "vm/transfer.h"

#define IMAGE 4096u
#define AA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BB "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define NONE "00000000000000000000000000000000"

/* Two hosts; a is where the machine is. */
static char a[128], b[128];

static void set_up(void)
{
	make_var_in("/tmp");
	snprintf(a, sizeof(a), "%s/a", var);
	snprintf(b, sizeof(b), "%s/b", var);
	ck_assert_int_eq(mkdir(a, 0700) | mkdir(b, 0700), 0);
}

static void put(const char *rest, const void *bytes, size_t len)
{
	char folder[512];
	int fd;

	snprintf(folder, sizeof(folder), "%s", in_var(rest));
	*strrchr(folder, '/') = '\0';
	ck_assert_int_eq(lg_mkdir_all(folder, 0755, NULL), 0);
	fd = open(in_var(rest), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), len);
	close(fd);
}

static void put_text(const char *rest, const char *text)
{
	put(rest, text, strlen(text));
}

static bool is_there(const char *rest)
{
	return faccessat(AT_FDCWD, in_var(rest), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A disk of the making @which, and its identity. */
static void put_disk(const char *rest, const char *which, char ret[LG_VM_IDENTITY])
{
	static uint8_t image[IMAGE];
	uint32_t magic = htole32(0xe0f5e1e2u);

	memset(image, 'x', sizeof(image));
	memcpy(image + 1024, &magic, sizeof(magic));
	snprintf((char *)image + 1024 + 48, 16, "%s", which);
	put(rest, image, sizeof(image));
	ck_assert_int_eq(lg_erofs_identity(in_var(rest), ret, NULL), 0);
}

static void put_kernel(const char *folder, const char *which, char ret[LG_VM_IDENTITY])
{
	char path[300];
	const char *const files[][2] = { { "vmlinux", "the kernel" }, { "initrd", "the agent" }, { "of", BB }, { "version", "6.12-x" } };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i][0]);
		put_text(path, files[i][1]);
	}
	snprintf(path, sizeof(path), "%s/modules.img", folder);
	put_disk(path, which, ret);
}

/* ---- found ---- */

START_TEST(found_by_what_it_is_whatever_its_name)
{
	char one[LG_VM_IDENTITY], two[LG_VM_IDENTITY], path[LG_VM_PATH];
	struct lg_vm_kernel k;
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_vm_base_find(a, NONE, path, &err), -ENOENT);
	put_disk("a/vm/base/" AA ".img", "one", one);
	put_disk("a/vm/base/" AA "+" NONE ".img", "two", two);
	put_text("a/vm/base/short.img", "no disk");
	ck_assert_int_eq(lg_vm_base_find(a, one, path, &err), 0);
	ck_assert_str_eq(path, in_var("a/vm/base/" AA ".img"));
	ck_assert_int_eq(lg_vm_base_find(a, two, path, &err), 0);
	ck_assert_str_eq(path, in_var("a/vm/base/" AA "+" NONE ".img"));
	ck_assert_int_eq(lg_vm_base_find(a, NONE, path, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.msg, "is not on this host"));
	put_disk("a/vm/base/." AA ".1.new", "three", one);
	ck_assert_int_eq(lg_vm_base_find(a, one, path, &err), -ENOENT);
	put_kernel("a/vm/kernel/" AA, "four", one);
	ck_assert_int_eq(lg_vm_kernel_by_id(a, one, &k, &err), 0);
	ck_assert_str_eq(k.vmlinux, in_var("a/vm/kernel/" AA "/vmlinux"));
	ck_assert_str_eq(k.version, "6.12-x");
	ck_assert_int_eq(lg_vm_kernel_by_id(a, two, &k, &err), -ENOENT);
}
END_TEST

static const char *const bad_ids[] = {
	NULL, "", "00", "../../../../../etc/shadow0000000", "ABCDEFABCDEFABCDEFABCDEFABCDEFAB", "000000000000000000000000000000000",
};

START_TEST(what_is_no_identity_finds_nothing)
{
	struct lg_err err = { 0 };
	struct lg_vm_part part;

	ck_assert_int_eq(lg_vm_base_find(a, bad_ids[_i], NULL, &err), -EINVAL);
	ck_assert_int_eq(lg_vm_kernel_by_id(a, bad_ids[_i], NULL, &err), -EINVAL);
	ck_assert_int_eq(lg_vm_part_hold(a, "base", bad_ids[_i], &err), -EINVAL);
	ck_assert_int_eq(lg_vm_part_describe(a, "kernel", bad_ids[_i], &part, &err), -EINVAL);
}
END_TEST

/* ---- sent and received ---- */

/* The content of its files as one stream. */
static int stream_of(const struct lg_vm_part *part)
{
	int out = open(in_var("stream"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char buf[IMAGE];

	for (unsigned int i = 0; lg_vm_part_files(part->kernel)[i]; i++) {
		lg_autoclose int fd = lg_vm_part_open(a, part, i, NULL);
		ssize_t n = read(fd, buf, sizeof(buf));

		ck_assert_int_eq(n, part->sizes[i]);
		ck_assert_int_eq(write(out, buf, (size_t)n), n);
	}
	ck_assert_int_eq(lseek(out, 0, SEEK_SET), 0);
	return out;
}

static void describe(const char *role, const char *id, struct lg_vm_part *ret)
{
	struct lg_err err = { 0 };
	struct lg_vm_part part;
	json_t *text;

	ck_assert_msg(lg_vm_part_describe(a, role, id, &part, &err) == 0, "%s", err.msg);
	text = lg_vm_part_json(&part);
	ck_assert_msg(lg_vm_part_read(text, ret, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(lg_vm_part_bytes(ret), lg_vm_part_bytes(&part));
	ck_assert_str_eq(ret->digest, part.digest);
	json_decref(text);
}

static int receive(const struct lg_vm_part *part, struct lg_err *err)
{
	lg_autoclose int in = stream_of(part), hold = -1;
	int r = lg_vm_part_receive(b, part, in, &hold, err);

	ck_assert_int_eq(hold >= 0, r == 0);
	return r;
}

static void arrives(const char *role, const char *id)
{
	struct lg_err err = { 0 };
	struct lg_vm_part part;

	describe(role, id, &part);
	ck_assert_msg(receive(&part, &err) == 0, "%s", err.msg);
}

START_TEST(a_base_takes_the_plain_name_if_that_is_free)
{
	char one[LG_VM_IDENTITY], two[LG_VM_IDENTITY], path[LG_VM_PATH], name[200];

	put_disk("a/vm/base/" AA ".img", "one", one);
	arrives("base", one);
	ck_assert(is_there("b/vm/base/" AA ".img"));
	arrives("base", one);
	put_disk("a/vm/base/" AA ".img", "two", two);
	arrives("base", two);
	snprintf(name, sizeof(name), "b/vm/base/" AA "+%s.img", two);
	ck_assert(is_there(name));
	ck_assert_int_eq(lg_vm_base_find(b, one, path, NULL), 0);
	ck_assert_str_eq(path, in_var("b/vm/base/" AA ".img"));
	arrives("base", two);
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, in_var(name), NULL), 0);
	ck_assert_int_eq(unlink(in_var("b/vm/base/" AA ".img")) | rmdir(in_var("b/vm/base")), 0);	/* nothing is left */
}
END_TEST

START_TEST(a_kernel_arrives_as_it_was)
{
	char one[LG_VM_IDENTITY], two[LG_VM_IDENTITY], name[200];
	struct lg_vm_kernel k;
	struct stat st;

	put_kernel("a/vm/kernel/" AA "+" NONE, "one", one);	/* that came there from elsewhere */
	arrives("kernel", one);
	ck_assert_int_eq(lg_vm_kernel_by_id(b, one, &k, NULL), 0);
	ck_assert_str_eq(k.initrd, in_var("b/vm/kernel/" AA "/initrd"));
	ck_assert_str_eq(k.version, "6.12-x");
	/* QEMU opens it as its own user. */
	ck_assert_int_eq(stat(k.vmlinux, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0644);
	arrives("kernel", one);
	put_kernel("a/vm/kernel/" AA, "two", two);
	arrives("kernel", two);
	snprintf(name, sizeof(name), "b/vm/kernel/" AA "+%s/of", two);
	ck_assert(is_there(name));
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, in_var("b/vm/kernel/" AA), NULL), 0);
	*strrchr(name, '/') = '\0';
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, in_var(name), NULL), 0);
	ck_assert_int_eq(rmdir(in_var("b/vm/kernel")), 0);
}
END_TEST

/* ---- hostile ---- */

#define FILE_OK "{\"name\": \"image\", \"size\": 4096, \"sha256\": \"" AA "\"}"
#define HEAD_OK "\"role\": \"base\", \"digest\": \"" AA "\", \"id\": \"" NONE "\""
static const char *const bad_words[] = {
	"{}", "[]", "null",
	"{\"digest\": \"" AA "\", \"id\": \"" NONE "\", \"files\": [" FILE_OK "]}",
	"{\"role\": \"other\", \"digest\": \"" AA "\", \"id\": \"" NONE "\", \"files\": [" FILE_OK "]}",
	"{\"role\": \"base\", \"digest\": \"../../../../etc/passwd\", \"id\": \"" NONE "\", \"files\": [" FILE_OK "]}",
	"{\"role\": \"base\", \"digest\": \"" AA "0\", \"id\": \"" NONE "\", \"files\": [" FILE_OK "]}",
	"{\"role\": \"base\", \"digest\": \"" AA "\", \"id\": \"..\", \"files\": [" FILE_OK "]}",
	"{\"role\": \"base\", \"digest\": \"" AA "\", \"id\": 5, \"files\": [" FILE_OK "]}",
	"{" HEAD_OK "}", "{" HEAD_OK ", \"files\": []}", "{" HEAD_OK ", \"files\": [" FILE_OK "," FILE_OK "]}",
	"{" HEAD_OK ", \"files\": [5]}", "{" HEAD_OK ", \"files\": \"image\"}",
	"{" HEAD_OK ", \"files\": [{\"name\": \"../x\", \"size\": 4096, \"sha256\": \"" AA "\"}]}",
	"{" HEAD_OK ", \"files\": [{\"name\": \"image\", \"size\": 0, \"sha256\": \"" AA "\"}]}",
	"{" HEAD_OK ", \"files\": [{\"name\": \"image\", \"size\": -1, \"sha256\": \"" AA "\"}]}",
	"{" HEAD_OK ", \"files\": [{\"name\": \"image\", \"size\": \"1\", \"sha256\": \"" AA "\"}]}",
	"{" HEAD_OK ", \"files\": [{\"name\": \"image\", \"size\": 4096, \"sha256\": \"" NONE "\"}]}",
	"{\"role\": \"kernel\", \"digest\": \"" AA "\", \"id\": \"" NONE "\", \"files\": [" FILE_OK "]}",
};

START_TEST(a_description_that_is_none_is_refused)
{
	lg_autojson json_t *obj = json_loads(bad_words[_i], 0, NULL);
	struct lg_vm_part part = { .digest = "untouched" };
	struct lg_err err = { 0 };

	ck_assert(obj || strcmp(bad_words[_i], "null") == 0);
	ck_assert_int_eq(lg_vm_part_read(obj, &part, &err), -EBADMSG);
	ck_assert_str_eq(part.digest, "untouched");
	ck_assert(err.msg[0]);
}
END_TEST

/* Sizes of a kernel's text, and sums that would run over. */
static const struct {
	unsigned int file;
	json_int_t size;
} bad_sizes[] = { { 2, 65 }, { 3, 65 }, { 4, INT64_MAX } };

START_TEST(a_kernel_of_a_bad_size_is_refused)
{
	lg_autojson json_t *obj = NULL;
	char one[LG_VM_IDENTITY];
	struct lg_err err = { 0 };
	struct lg_vm_part part;

	put_kernel("a/vm/kernel/" AA, "one", one);
	describe("kernel", one, &part);
	obj = lg_vm_part_json(&part);
	json_object_set_new(json_array_get(json_object_get(obj, "files"), bad_sizes[_i].file), "size", json_integer(bad_sizes[_i].size));
	ck_assert_int_eq(lg_vm_part_read(obj, &part, &err), -EBADMSG);
}
END_TEST

START_TEST(more_than_there_is_room_for_is_refused_before_it_comes)
{
	struct lg_vm_part part = { .digest = AA, .id = NONE, .sizes = { INT64_MAX } };
	struct lg_err err = { 0 };
	int hold = -1;

	ck_assert_int_eq(lg_vm_part_receive(b, &part, -1, &hold, &err), -ENOSPC);
	ck_assert_int_eq(err.exit_code, LG_EXIT_NO_SPACE);
	ck_assert(!is_there("b/vm/base"));
}
END_TEST

static void cut(struct lg_vm_part *part)
{
	part->sizes[part->kernel ? LG_VM_PART_FILES - 1 : 0]++;
}

static void other_sum(struct lg_vm_part *part)
{
	part->sums[0][5] = part->sums[0][5] == '0' ? '1' : '0';
}

static void other_making(struct lg_vm_part *part)
{
	snprintf(part->id, sizeof(part->id), NONE);
}

static const struct {
	void (*spoil)(struct lg_vm_part *part);
	int want;
	const char *says;
} spoilt[] = {
	{ cut, -EPIPE, "the connection to the other host ended" },
	{ other_sum, -EBADMSG, "did not arrive as it was sent" },
	{ other_making, -EBADMSG, "not of the making that was announced" },
};

static void comes_to_nothing(const char *role, const char *id, int i)
{
	struct lg_vm_part part, bad;
	struct lg_err err = { 0 };
	lg_autoclose int in = -1;
	char folder[32];
	int hold = -1;

	describe(role, id, &part);
	in = stream_of(&part);
	bad = part;
	spoilt[i % 3].spoil(&bad);
	ck_assert_int_eq(lg_vm_part_receive(b, &bad, in, &hold, &err), spoilt[i % 3].want);
	ck_assert_msg(strstr(err.msg, spoilt[i % 3].says) != NULL, "%s", err.msg);
	ck_assert_int_eq(hold, -1);
	snprintf(folder, sizeof(folder), "b/vm/%s", role);
	ck_assert_int_eq(rmdir(in_var(folder)), 0);	/* nothing is left */
}

START_TEST(what_is_not_what_was_announced_leaves_nothing)
{
	char one[LG_VM_IDENTITY], two[LG_VM_IDENTITY];

	put_disk("a/vm/base/" AA ".img", "one", one);
	put_kernel("a/vm/kernel/" AA, "two", two);
	if (_i < 3)
		comes_to_nothing("base", one, _i);
	else
		comes_to_nothing("kernel", two, _i);
}
END_TEST

static const struct {
	const char *name, *text;
} bad_texts[] = { { "of", "../x" }, { "of", BB "\n" }, { "version", "6.12 x" }, { "version", "../../x" }, { "version", "a\n" } };

START_TEST(a_kernel_that_does_not_say_which_it_is_leaves_nothing)
{
	char one[LG_VM_IDENTITY], path[200];
	struct lg_err err = { 0 };
	struct lg_vm_part part;

	put_kernel("a/vm/kernel/" AA, "one", one);
	snprintf(path, sizeof(path), "a/vm/kernel/" AA "/%s", bad_texts[_i].name);
	put_text(path, bad_texts[_i].text);
	ck_assert_int_eq(lg_vm_part_describe(a, "kernel", one, &part, &err), 0);
	ck_assert_int_eq(receive(&part, &err), -EBADMSG);
	ck_assert_int_eq(rmdir(in_var("b/vm/kernel")), 0);
}
END_TEST

/* Its maker is killed in the middle: what there is of it has a name that nobody looks for, and goes. */
START_TEST(one_that_is_killed_leaves_what_is_swept)
{
	char one[LG_VM_IDENTITY], name[200];
	struct lg_vm_part part;
	struct lg_err err = { 0 };
	int pipes[2], hold;
	pid_t pid;

	put_kernel("a/vm/kernel/" AA, "one", one);
	describe("kernel", one, &part);
	ck_assert_int_eq(mkdir(in_var("b/templates"), 0700) | pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		_exit(lg_vm_part_receive(b, &part, pipes[0], &hold, NULL));
	ck_assert_int_eq(write(pipes[1], "the kernelthe", 13), 13);
	snprintf(name, sizeof(name), "b/vm/kernel/." AA ".%d.new/initrd", (int)pid);
	for (int i = 0; i < 1000 && !is_there(name); i++)
		usleep(10000);
	ck_assert(is_there(name));
	ck_assert_int_eq(lg_vm_cache_clean(b, "", &err), 0);
	ck_assert(is_there(name));	/* as long as it works on it */
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(lg_vm_kernel_by_id(b, one, NULL, &err), -ENOENT);
	ck_assert_int_eq(lg_vm_cache_clean(b, "", &err), 0);
	ck_assert_int_eq(rmdir(in_var("b/vm/kernel")), 0);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

/* ---- cleaned ---- */

static void put_template(const char *name, const char *digest)
{
	char path[200], text[600];

	snprintf(text, sizeof(text), "NAME=\"%s\"\nVERSION=\"13\"\nOS=\"debian\"\nARCH=\"x86_64\"\nDIGEST=\"sha256:%s\"\n"
		 "SIZE=\"1\"\nBUILT=\"1\"\nINIT=\"/sbin/init\"\nINIT_KIND=\"systemd\"\nSTOP_SIGNAL=\"37\"\n", name, digest);
	snprintf(path, sizeof(path), "a/templates/%s/manifest", name);
	put_text(path, text);
	snprintf(path, sizeof(path), "a/templates/%s/rootfs/x", name);
	put_text(path, name);
}

static void clean(const char *used)
{
	struct lg_err err = { 0 };

	ck_assert_msg(lg_vm_cache_clean(a, used, &err) == 0, "%s", err.msg);
}

START_TEST(what_a_machine_needs_stays_whoever_made_it)
{
	char plain[LG_VM_IDENTITY], moved[LG_VM_IDENTITY], kernel[LG_VM_IDENTITY], orphan[LG_VM_IDENTITY], used[200];

	put_template("guest", AA);
	put_disk("a/vm/base/" AA ".img", "plain", plain);
	put_disk("a/vm/base/" AA "+" NONE ".img", "moved", moved);
	put_disk("a/vm/base/" BB ".img", "orphan", orphan);
	put_kernel("a/vm/kernel/" AA, "kernel", kernel);
	snprintf(used, sizeof(used), "%s\n%s\n%s\n", orphan, moved, kernel);
	clean(used);
	ck_assert(is_there("a/vm/base/" AA ".img"));
	ck_assert(is_there("a/vm/base/" AA "+" NONE ".img"));
	ck_assert(is_there("a/vm/base/" BB ".img"));
	ck_assert(is_there("a/vm/kernel/" AA "/modules.img"));
	clean("");
	/* Of its template the plain one alone. */
	ck_assert(is_there("a/vm/base/" AA ".img"));
	ck_assert(!is_there("a/vm/base/" AA "+" NONE ".img"));
	ck_assert(!is_there("a/vm/base/" BB ".img"));
	ck_assert(!is_there("a/vm/kernel/" AA));
}
END_TEST

START_TEST(what_is_held_stays_until_it_is_not)
{
	char base[LG_VM_IDENTITY], kernel[LG_VM_IDENTITY];
	struct lg_err err = { 0 };
	int one, two, more;

	ck_assert_int_eq(mkdir(in_var("a/templates"), 0700), 0);
	put_disk("a/vm/base/" BB ".img", "base", base);
	put_kernel("a/vm/kernel/" BB, "kernel", kernel);
	one = lg_vm_part_hold(a, "base", base, &err);
	more = lg_vm_part_hold(a, "base", base, &err);
	two = lg_vm_part_hold(a, "kernel", kernel, &err);
	ck_assert(one >= 0 && two >= 0 && more >= 0);
	clean("");
	close(more);
	clean("");
	ck_assert(is_there("a/vm/base/" BB ".img"));
	ck_assert(is_there("a/vm/kernel/" BB "/modules.img"));
	close(one);
	close(two);
	clean("");
	ck_assert(!is_there("a/vm/base/" BB ".img"));
	ck_assert(!is_there("a/vm/kernel/" BB));
	ck_assert_int_eq(lg_vm_part_hold(a, "base", base, &err), -ENOENT);
}
END_TEST

START_TEST(what_has_arrived_stays_as_long_as_it_is_held)
{
	lg_autoclose int in = -1;
	char one[LG_VM_IDENTITY];
	struct lg_err err = { 0 };
	struct lg_vm_part part;
	int hold = -1;

	put_kernel("a/vm/kernel/" AA, "one", one);
	ck_assert_int_eq(mkdir(in_var("b/templates"), 0700), 0);
	describe("kernel", one, &part);
	in = stream_of(&part);
	ck_assert_int_eq(lg_vm_part_receive(b, &part, in, &hold, &err), 0);
	ck_assert_int_eq(lg_vm_cache_clean(b, "", &err), 0);
	ck_assert(is_there("b/vm/kernel/" AA "/of"));
	close(hold);
	ck_assert_int_eq(lg_vm_cache_clean(b, "", &err), 0);
	ck_assert(!is_there("b/vm/kernel/" AA));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vm_transfer");
	TCase *tc = tcase_create("transfer");
	SRunner *sr;
	int failures;

	tcase_add_checked_fixture(tc, set_up, remove_var);
	tcase_add_test(tc, found_by_what_it_is_whatever_its_name);
	tcase_add_loop_test(tc, what_is_no_identity_finds_nothing, 0, ARRAY_SIZE(bad_ids));
	tcase_add_test(tc, a_base_takes_the_plain_name_if_that_is_free);
	tcase_add_test(tc, a_kernel_arrives_as_it_was);
	tcase_add_loop_test(tc, a_description_that_is_none_is_refused, 0, ARRAY_SIZE(bad_words));
	tcase_add_loop_test(tc, a_kernel_of_a_bad_size_is_refused, 0, ARRAY_SIZE(bad_sizes));
	tcase_add_test(tc, more_than_there_is_room_for_is_refused_before_it_comes);
	tcase_add_loop_test(tc, what_is_not_what_was_announced_leaves_nothing, 0, 2 * (int)ARRAY_SIZE(spoilt));
	tcase_add_loop_test(tc, a_kernel_that_does_not_say_which_it_is_leaves_nothing, 0, ARRAY_SIZE(bad_texts));
	tcase_add_test(tc, one_that_is_killed_leaves_what_is_swept);
	tcase_add_test(tc, what_a_machine_needs_stays_whoever_made_it);
	tcase_add_test(tc, what_is_held_stays_until_it_is_not);
	tcase_add_test(tc, what_has_arrived_stays_as_long_as_it_is_held);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
