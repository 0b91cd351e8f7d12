/* SPDX-License-Identifier: GPL-2.0-or-later */

/* CRIU's log in one line: the lines here are made up in its form, with what people meet. */

/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "cmd/lodge-criu/log.c"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>


static char proc_path[] = "/tmp/lgtest-criu-log.XXXXXX";
static int proc = -1;

static const struct {
	const char *log, *want;
} cases[] = {
	{ "", "" },
	{ "(00.001) Seized task 12, state 1\n", "" },
	{ "(00.001) Error (criu/util.c:1): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted\n", "" },
	{ "(00.002) Error (criu/some.c:3): Something else is wrong\n(00.003) Error (criu/dump.c:4): Dumping FAILED.\n",
	  "Something else is wrong" },
	{ "(00.002) Error (criu/some.c:3): a \033[31mname\n", "a ?[31mname" },
	{ "(00.020) Error (criu/namespaces.c:5): Can't dump nested uts namespace for 4711\n"
	  "(00.021) Error (criu/namespaces.c:6): Can't make utsns id\n",
	  "process 4711 (systemd-hostnam) of systemd-hostnamed.service has a uts namespace of its own; services that want that "
	  "carry on without it when the container has the feature checkpointable: set --feature checkpointable and restart it" },
	{ "(00.020) Error (criu/namespaces.c:5): Can't dump nested pid namespace for 4712\n",
	  "process 4712 has a pid namespace of its own; end it first" },
	{ "(00.020) Error (criu/image.c:7): Unable to write to pages-1.img\n"
	  "(00.021) Error (criu/page-xfer.c:8): splice: No space left on device\n",
	  "there is no room left for the images: make room on the file system of lodge's checkpoints" },
	{ "(00.020) Error (criu/page-xfer.c:8): page-xfer: No parent image found, though parent directory is set: No such file or directory\n"
	  "(00.021) Error (criu/some.c:3): Something else is wrong\n", "Something else is wrong" },
	{ "(10.020) Error (compel/src/lib/infect.c:9): Unseizable non-zombie 4711 found, state D, err -1/10\n",
	  "process 4711 (systemd-hostnam) of systemd-hostnamed.service cannot be stopped: it is being traced (strace, a debugger), "
	  "or hangs in the kernel" },
	{ "(00.020) Error (criu/files-ext.c:9): Can't dump file 7 of that type [600] (unknown anon_inode:[io_uring])\n",
	  "a process uses io_uring, which cannot be written down; services that want that carry on without it when the container "
	  "has the feature checkpointable: set --feature checkpointable and restart it" },
};

static void put(const char *name, const char *text)
{
	FILE *f;
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", proc_path, name);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void setup(void)
{
	char dir[100];

	ck_assert_ptr_nonnull(mkdtemp(proc_path));
	snprintf(dir, sizeof(dir), "%s/4711", proc_path);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	put("4711/comm", "systemd-hostnam\n");
	put("4711/cgroup", "1:name=systemd:/\n0::/lodge/101/system.slice/systemd-hostnamed.service\n");
	proc = open(proc_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void teardown(void)
{
	close(proc);
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, proc_path, NULL), 0);
}

START_TEST(the_log_is_told_in_one_line)
{
	char got[LOG_CAUSE_MAX], *text = strdup(cases[_i].log);
	FILE *f = *text ? fmemopen(text, strlen(text), "r") : fopen("/dev/null", "re");

	ck_assert_ptr_nonnull(f);
	log_read(f, proc, got, sizeof(got));
	ck_assert_str_eq(got, cases[_i].want);
	fclose(f);
	free(text);
}
END_TEST

START_TEST(every_cause_fits_with_the_longest_names)
{
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
		size_t room = strlen("process 4194304 (123456789012345) of ") + UNIT_MAX;

		ck_assert_uint_lt(strlen(causes[i].text) + (causes[i].pid_behind ? room : 0), LOG_CAUSE_MAX);
		for (size_t j = 0; j < i; j++)
			ck_assert_msg(!strstr(causes[i].mark, causes[j].mark), "'%s' is never reached", causes[i].mark);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("criu_log");
	TCase *tc = tcase_create("log");
	SRunner *sr;
	int failures;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, the_log_is_told_in_one_line, 0, (int)ARRAY_SIZE(cases));
	tcase_add_test(tc, every_cause_fits_with_the_longest_names);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures != 0;
}
