/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The tar of lodge-criu: what it packs it unpacks, the real tar does, and what it does not know it leaves to that. */

/* It is a program: what is tested of it is built in here. */
/* NOLINTBEGIN(bugprone-suspicious-include) */
#define main tar_main
int tar_main(int argc, char **argv);
#include "cmd/lodge-criu/tar.c"
#undef main
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>
#include <sys/wait.h>

#define LONG "a-name-that-is-longer-than-half-of-what-a-header-holds-in-its-first-field"

static char dir[] = "/tmp/lgu-tar.XXXXXX";

/* In @dir; nothing of it needs root. */
static int sh(const char *command)
{
	char line[2000];
	int status;

	snprintf(line, sizeof(line), "set -e; cd %s; %s", dir, command);
	status = system(line);	/* NOLINT(cert-env33-c) */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int tar(const char *in, const char *out, const char *verb, const char *directory)
{
	char path[100];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const char *const argv[] = { "tar", verb, "--gzip", "--numeric-owner", "--directory", directory,
					     verb[2] == 'c' ? "." : NULL, NULL };

		snprintf(path, sizeof(path), "%s/%s", dir, in);
		dup2(open(path, O_RDONLY), 0);	/* NOLINT(android-cloexec-open) */
		snprintf(path, sizeof(path), "%s/%s", dir, out);
		dup2(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);	/* NOLINT(android-cloexec-open) */
		_exit(tar_main(verb[2] == 'c' ? 7 : 6, (char **)(uintptr_t)argv));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(sh("mkdir from to real"), 0);
}

static void make_look(void)
{
	ck_assert_int_eq(sh("echo 'cd $1; find . ! -type s -printf \"%p %m %U %G %l %Ts %y %s\\n\" | sed \"s/ d [0-9]*$/ d/\" | "
			    "sort; find . -type f -exec cksum {} + | sort' >look"), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(sh("chmod -R u+rwX from to real; rm -rf from to real look a.gz b.gz empty null"), 0);
	rmdir(dir);
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
}

static void simple_tree(void)
{
	ck_assert_int_eq(sh("cd from; mkdir -p a/b sticky " LONG "/" LONG "; echo text >a/file; : >empty; "
			    "ln -s /nowhere a/link; mkfifo a/fifo; mknod a/hidden c 0 0; chmod 1777 sticky; chmod 4750 a/file; "
			    "echo x >" LONG "/" LONG "/x; touch -d 2020-01-02 a/file a/b; touch -d 2019-01-02 a ."), 0);
}

static void pack(void)
{
	char from[100];

	snprintf(from, sizeof(from), "%s/from", dir);
	ck_assert_int_eq(tar("look", "a.gz", "--create", from), 0);
}

static void unpack(void)
{
	char to[100];

	snprintf(to, sizeof(to), "%s/to", dir);
	ck_assert_int_eq(tar("a.gz", "null", "--extract", to), 0);
}

START_TEST(what_it_packs_it_unpacks)
{
	simple_tree();
	pack();
	unpack();
	ck_assert_int_eq(sh("[ \"$(sh look from)\" = \"$(sh look to)\" ]"), 0);
}
END_TEST

START_TEST(the_real_tar_reads_it)
{
	simple_tree();
	pack();
	ck_assert_int_eq(sh("tar --extract --gzip --directory real <a.gz; [ \"$(sh look from)\" = \"$(sh look real)\" ]"), 0);
}
END_TEST

START_TEST(it_reads_what_the_real_tar_packs)
{
	simple_tree();
	ck_assert_int_eq(sh("tar --create --gzip --numeric-owner --directory from . >a.gz"), 0);
	unpack();
	ck_assert_int_eq(sh("[ \"$(sh look from)\" = \"$(sh look to)\" ]"), 0);
}
END_TEST

/* Stored blocks begin behind the head with a byte of 0 or 1. */
static int is_stored(void)
{
	return sh("[ \"$(od -An -tu1 -j10 -N1 a.gz | tr -d ' ')\" -le 1 ]") == 0;
}

static const char *const odd[] = {
	"echo x >a; ln a b",				/* one file, two names */
	"truncate -s 1M holes; echo x >>holes",
	"head -c 3000000 /dev/zero | tr '\\0' x >large",
};

START_TEST(what_it_does_not_know_is_the_real_ones)
{
	char line[300];

	snprintf(line, sizeof(line), "cd from; %s", odd[_i]);
	ck_assert_int_eq(sh(line), 0);
	pack();
	ck_assert(!is_stored());
	unpack();
	ck_assert_int_eq(sh("[ \"$(sh look from)\" = \"$(sh look to)\" ]"), 0);
}
END_TEST

START_TEST(an_empty_folder_needs_no_other_program)
{
	ck_assert_int_eq(sh("chmod 1770 from"), 0);
	pack();
	ck_assert(is_stored());
	unpack();
	ck_assert_int_eq(sh("[ \"$(stat -c %a to)\" = 1770 ]"), 0);
}
END_TEST

START_TEST(a_damaged_archive_is_refused)
{
	char to[100];

	simple_tree();
	pack();
	ck_assert_int_eq(sh("printf X | dd of=a.gz bs=1 seek=700 conv=notrunc 2>/dev/null"), 0);
	snprintf(to, sizeof(to), "%s/to", dir);
	ck_assert_int_ne(tar("a.gz", "null", "--extract", to), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("criu_tar");
	TCase *all = tcase_create("trees");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_checked_fixture(all, make_look, NULL);
	tcase_add_test(all, what_it_packs_it_unpacks);
	tcase_add_test(all, the_real_tar_reads_it);
	tcase_add_test(all, it_reads_what_the_real_tar_packs);
	tcase_add_loop_test(all, what_it_does_not_know_is_the_real_ones, 0, sizeof(odd) / sizeof(odd[0]));
	tcase_add_test(all, an_empty_folder_needs_no_other_program);
	tcase_add_test(all, a_damaged_archive_is_refused);
	suite_add_tcase(s, all);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
