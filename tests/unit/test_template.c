/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The store, with recipes of a few lines. They run in own namespaces: needs root, else 77. */

#include "storage/template.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "storage/digest.h"
#include "storage/layer.h"

#define GOOD "mkdir $1/sbin; echo program >$1/sbin/init; chmod 755 $1/sbin/init; echo made it\n"

static char top[64], var[96], data[96];

static void make_store(void)
{
	snprintf(top, sizeof(top), "/tmp/lodge-template-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(var, sizeof(var), "%s/var", top);
	snprintf(data, sizeof(data), "%s/data", top);
	ck_assert_int_eq(lg_mkdir_all(var, 0700, NULL), 0);
}

static void remove_store(void)
{
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, top, NULL), 0);
}

__attribute__((format(printf, 3, 4)))
static void put(const char *text, mode_t mode, const char *fmt, ...)
{
	char path[512];
	va_list ap;
	int fd;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	*strrchr(path, '/') = '\0';
	ck_assert_int_eq(lg_mkdir_all(path, 0755, NULL), 0);
	path[strlen(path)] = '/';
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void recipe(const char *name, const char *script)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "# a comment\nNAME=\"%s\"\nVERSION=\"1\"\nOS=\"test\"\nINIT=\"/sbin/init\"\n"
		 "INIT_KIND=\"busybox\"\nSTOP_SIGNAL=\"2\"\nDESCRIPTION=\"of the tests\"\n",
		 name);
	put(text, 0644, "%s/templates/%s/manifest", data, name);
	snprintf(text, sizeof(text), "#!/bin/sh\nset -e\n%s", script);
	put(text, 0755, "%s/templates/%s/build", data, name);
}

static int build(const char *name, int force, struct lg_err *err)
{
	return lg_template_build(var, data, name, force, NULL, NULL, err);
}

static void must_build(const char *name, int force)
{
	struct lg_err err = { 0 };

	ck_assert_msg(build(name, force, &err) == 0, "%s", err.msg);
}

static bool is_there(const char *rest)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", var, rest);
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static unsigned int entries(const char *rest)
{
	lg_autodir DIR *dir = NULL;
	unsigned int n = 0;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", var, rest);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	return n - 2;
}

static void keep_progress(const char *line, void *arg)
{
	if (strcmp(line, "made it") == 0)
		(*(int *)arg)++;
}

START_TEST(built_template_has_what_recipe_and_build_know)
{
	struct lg_err err = { 0 };
	struct lg_template t;
	char rootfs[300];
	struct stat st;
	int seen = 0;

	recipe("good", GOOD);
	ck_assert_msg(lg_template_build(var, data, "good", 0, keep_progress, &seen, &err) == 0,
		      "%s", err.msg);
	ck_assert_int_eq(seen, 1);
	ck_assert_int_eq(lg_template_load(var, "good", &t, &err), 0);
	ck_assert_str_eq(t.name, "good");
	ck_assert_str_eq(t.version, "1");
	ck_assert_str_eq(t.os, "test");
	ck_assert_str_eq(t.description, "of the tests");
	ck_assert_str_eq(t.init, "/sbin/init");
	ck_assert_int_eq(t.init_kind, LG_INIT_BUSYBOX);
	ck_assert_int_eq(t.stop_signal, 2);
	ck_assert_uint_gt(t.size_bytes, 0);
	ck_assert_int_le(llabs((long long)time(NULL) - t.built_at), 60);
	ck_assert_uint_eq(strlen(t.digest), strlen("sha256:") + 64);
	ck_assert_str_ne(t.arch, "");
	snprintf(rootfs, sizeof(rootfs), "%s/templates/good/rootfs", var);
	ck_assert_str_eq(t.rootfs, rootfs);
	ck_assert_int_eq(stat(rootfs, &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFDIR | 0755);
	ck_assert(!is_there("templates/good/tmp"));
	ck_assert_uint_eq(entries("templates"), 1);
	snprintf(rootfs, sizeof(rootfs), "%s/templates", var);
	ck_assert_int_eq(stat(rootfs, &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFDIR | 0700);
}
END_TEST

static const struct {
	const char *script;
	int want, want_exit;
	const char *says;
} failures[] = {
	{ "echo first >&2; echo the reason >&2; exit 3\n", -EIO, LG_EXIT_CREATE, "the reason" },
	{ "exit 3\n", -EIO, LG_EXIT_CREATE, "status 3" },
	{ "true\n", -ENOEXEC, LG_EXIT_BAD_TEMPLATE, "/sbin/init" },
	{ "mkdir $1/sbin; echo x >$1/sbin/init\n", -ENOEXEC, LG_EXIT_BAD_TEMPLATE,
	  "/sbin/init" },
	{ "mkdir $1/sbin; ln -s /bin/sh $1/sbin/init\n", -ENOEXEC, LG_EXIT_BAD_TEMPLATE,
	  "/sbin/init" },
	{ "mkdir $1/sbin; ln -s ../../../../../../../bin/sh $1/sbin/init\n", -ENOEXEC,
	  LG_EXIT_BAD_TEMPLATE, "/sbin/init" },
};

START_TEST(a_kernel_is_a_template_without_an_init)
{
	struct lg_err err = { 0 };
	struct lg_template t;

	put("NAME=\"kernel\"\nVERSION=\"1\"\nOS=\"test\"\nKERNEL_FOR=\"test 1\"\n", 0644, "%s/templates/kernel/manifest",
	    data);
	put("#!/bin/sh\nmkdir $1/boot\n", 0755, "%s/templates/kernel/build", data);
	must_build("kernel", 0);
	ck_assert_msg(lg_template_load(var, "kernel", &t, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(t.kernel_for, "test 1");
	ck_assert_str_eq(t.init, "");
	/* Any other has one. */
	put("NAME=\"guest\"\nVERSION=\"1\"\nOS=\"test\"\n", 0644, "%s/templates/guest/manifest", data);
	put("#!/bin/sh\nmkdir $1/boot\n", 0755, "%s/templates/guest/build", data);
	ck_assert_int_lt(build("guest", 0, &err), 0);
	ck_assert_msg(strstr(err.msg, "the manifest has no INIT") != NULL, "%s", err.msg);
}
END_TEST

START_TEST(failed_build_says_why_and_leaves_nothing)
{
	struct lg_err err = { 0 };

	recipe("bad", failures[_i].script);
	ck_assert_int_eq(build("bad", 0, &err), failures[_i].want);
	ck_assert_int_eq(err.exit_code, failures[_i].want_exit);
	ck_assert_msg(strstr(err.msg, failures[_i].says) != NULL, "%s", err.msg);
	ck_assert_msg(strstr(err.msg, "'bad'") != NULL, "%s", err.msg);
	ck_assert_uint_eq(entries("templates"), 0);
}
END_TEST

START_TEST(unknown_recipe_is_refused)
{
	struct lg_err err = { 0 };

	recipe("good", GOOD);
	ck_assert_int_eq(build("none", 0, &err), -ENOENT);
	ck_assert_int_eq(err.exit_code, LG_EXIT_NO_TEMPLATE);
	ck_assert_int_lt(build("../good", 0, &err), 0);
	ck_assert(lg_recipe_exists(data, "good"));
	ck_assert(!lg_recipe_exists(data, "none"));
	ck_assert(!lg_recipe_exists(data, "../templates/good"));
}
END_TEST

START_TEST(only_force_replaces_a_template)
{
	struct lg_err err = { 0 };

	recipe("good", GOOD);
	must_build("good", 0);
	recipe("good", GOOD "echo more >$1/more\n");
	ck_assert_int_eq(build("good", 0, &err), -EEXIST);
	ck_assert(!is_there("templates/good/rootfs/more"));
	must_build("good", 1);
	ck_assert(is_there("templates/good/rootfs/more"));
	ck_assert_uint_eq(entries("templates"), 1);
	ck_assert_uint_eq(entries("trash"), 0);
}
END_TEST

START_TEST(failed_replacement_keeps_the_old_one)
{
	recipe("good", GOOD);
	must_build("good", 0);
	recipe("good", "exit 1\n");
	ck_assert_int_lt(build("good", 1, NULL), 0);
	ck_assert(is_there("templates/good/rootfs/sbin/init"));
	ck_assert_uint_eq(entries("templates"), 1);
}
END_TEST

static void digest_of(const char *name, char digest[80])
{
	struct lg_template t;

	must_build(name, 1);
	ck_assert_int_eq(lg_template_load(var, name, &t, NULL), 0);
	snprintf(digest, 80, "%s", t.digest);
}

static const char *const changes[] = {
	"echo x >$1/f\n",
	"echo y >$1/f\n",
	"echo x >$1/g\n",
	"echo x >$1/f; chmod 600 $1/f\n",
	"echo x >$1/f; chown 1:0 $1/f\n",
	"ln -s x $1/f\n",
	"ln -s y $1/f\n",
	"mkdir $1/f\n",
	"mkfifo $1/f\n",
	"mknod $1/f c 1 3\n",
	"mknod $1/f c 1 5\n",
	"mknod $1/f b 1 3\n",
};

START_TEST(digest_differs_when_anything_differs_and_only_then)
{
	enum { N = ARRAY_SIZE(changes) };
	char digests[N][80], again[80];
	char script[256];

	for (int i = 0; i < N; i++) {
		snprintf(script, sizeof(script), "%s%s", GOOD, changes[i]);
		recipe("good", script);
		digest_of("good", digests[i]);
		for (int j = 0; j < i; j++)
			ck_assert_msg(strcmp(digests[i], digests[j]) != 0, "%s and %s",
				      changes[i], changes[j]);
	}
	snprintf(script, sizeof(script), "%s%stouch -d 2001-01-01 $1/f\n", GOOD, changes[0]);
	recipe("good", script);
	digest_of("good", again);
	ck_assert_str_eq(again, digests[0]);
}
END_TEST

START_TEST(digest_is_what_the_description_says)
{
	char digest[LG_DIGEST_TEXT], tree[128];
	uint64_t size;

	snprintf(tree, sizeof(tree), "%s/tree", top);
	put("hello\n", 0640, "%s/a", tree);
	ck_assert_int_eq(chmod(tree, 0755), 0);
	ck_assert_int_eq(lg_tree_digest(tree, "p", digest, &size, NULL), 0);
	/* printf 'p\0d 755 0 0 \0f 640 0 0 /a\0' + sha256("hello\n"), through sha256sum */
	ck_assert_str_eq(digest, "sha256:"
			 "2f5425568300a91cf3d47556a41cd7fb9a13c704b6924da1a6999db82caa5dfe");
}
END_TEST

START_TEST(recipe_gets_a_clean_world)
{
	setenv("SECRET", "1", 1);
	setenv("http_proxy", "http://192.0.2.1:3128", 1);
	recipe("good", GOOD
	       "test -z \"$SECRET\"; test \"$http_proxy\" = http://192.0.2.1:3128\n"
	       "test $$ = 1; test \"$(umask)\" = 0022; test -d $TMPDIR; test $(pwd) = /\n"
	       "test $(ls /proc/self/fd | wc -l) -le 4\n"
	       "mount -t tmpfs none $1\n");
	umask(077);
	must_build("good", 0);
	ck_assert(is_there("templates/good/rootfs/sbin/init"));
}
END_TEST

START_TEST(killed_build_takes_its_recipe_along_and_is_cleared_away)
{
	struct lg_err err = { 0 };
	char pidfile[128];
	pid_t pid;

	snprintf(pidfile, sizeof(pidfile), "%s/started", top);
	recipe("slow", "touch $TMPDIR/../../../../started; sleep 1000 & wait\n");
	pid = fork();
	if (pid == 0)
		_exit(build("slow", 0, NULL) == 0 ? 0 : 1);
	for (int i = 0; i < 500 && access(pidfile, F_OK) < 0; i++)
		usleep(10000);
	ck_assert_int_eq(access(pidfile, F_OK), 0);

	/* While it runs neither a second build nor a clean-up touches it. */
	ck_assert_int_eq(build("slow", 0, &err), -EBUSY);
	ck_assert_int_eq(err.exit_code, LG_EXIT_LOCKED);
	ck_assert_int_eq(lg_template_cleanup(var, NULL), 0);
	ck_assert(is_there("templates/.slow.new/tmp"));

	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(is_there("templates/.slow.new"));
	ck_assert_int_eq(lg_template_cleanup(var, NULL), 0);
	ck_assert_uint_eq(entries("templates"), 0);
	ck_assert_int_eq(lg_layer_empty_trash(var, NULL), 0);
	ck_assert_uint_eq(entries("trash"), 0);
}
END_TEST

START_TEST(build_goes_over_what_a_killed_one_left)
{
	char path[256];

	recipe("good", GOOD);
	snprintf(path, sizeof(path), "%s/templates/.good.new/rootfs/old", var);
	ck_assert_int_eq(lg_mkdir_all(path, 0700, NULL), 0);
	must_build("good", 0);
	ck_assert(!is_there("templates/good/rootfs/old"));
	ck_assert_uint_eq(entries("templates"), 1);
}
END_TEST

static int append_name(const struct lg_template *t, void *arg)
{
	char *names = arg;
	size_t len = strlen(names);

	snprintf(names + len, 64 - len, "%s ", t->name);
	return 0;
}

START_TEST(each_is_by_name_and_leaves_out_what_is_no_template)
{
	char names[64] = "";

	recipe("b", GOOD);
	recipe("a", GOOD);
	recipe("c", GOOD);
	put("nonsense", 0644, "%s/templates/notes", data);
	put("NAME=\"x\"\n", 0644, "%s/templates/x/manifest", data);
	ck_assert_int_eq(lg_recipe_each(data, append_name, names, NULL), 0);
	ck_assert_str_eq(names, "a b c ");

	must_build("b", 0);
	must_build("a", 0);
	put("broken", 0644, "%s/templates/broken/manifest", var);
	put("x", 0644, "%s/templates/.a.new/manifest", var);
	names[0] = '\0';
	ck_assert_int_eq(lg_template_each(var, append_name, names, NULL), 0);
	ck_assert_str_eq(names, "a b ");
}
END_TEST

START_TEST(store_without_templates_is_empty)
{
	char names[64] = "";

	ck_assert_int_eq(lg_template_each(var, append_name, names, NULL), 0);
	ck_assert_str_eq(names, "");
	ck_assert_int_eq(lg_template_cleanup(var, NULL), 0);
}
END_TEST

START_TEST(removed_template_is_gone_at_once)
{
	struct lg_err err = { 0 };
	struct lg_template t;

	recipe("good", GOOD);
	must_build("good", 0);
	ck_assert_int_eq(lg_template_remove(var, "good", &err), 0);
	ck_assert_int_eq(lg_template_load(var, "good", &t, &err), -ENOENT);
	ck_assert_int_eq(err.exit_code, LG_EXIT_NO_TEMPLATE);
	ck_assert_ptr_nonnull(strstr(err.msg, "lodge template list"));
	ck_assert_int_eq(lg_template_remove(var, "good", &err), -ENOENT);
	ck_assert_int_lt(lg_template_remove(var, "../var", &err), 0);
	ck_assert_uint_eq(entries("templates"), 0);
}
END_TEST

#define BUILT \
	"NAME=\"m\"\nVERSION=\"1\"\nOS=\"o\"\nARCH=\"a\"\nINIT=\"/i\"\nINIT_KIND=\"other\"\n" \
	"STOP_SIGNAL=\"15\"\nDIGEST=\"sha256:0\"\nSIZE=\"1\"\nBUILT=\"1\"\n"

static const struct {
	const char *text;
	const char *names;	/* the key that the error names; NULL: it is good */
} manifests[] = {
	{ BUILT, NULL },
	{ BUILT "FEATURES=\"checkpointable fuse:on\"\n", NULL },
	{ BUILT "FEATURES=\"a\tb\"\n", "FEATURES" },
	{ BUILT "UNKNOWN=\"kept\"\n", NULL },
	{ BUILT "NAME=\"other\"\n", "NAME" },
	{ BUILT "VERSION=\"a\tb\"\n", "VERSION" },
	{ BUILT "INIT=\"relative\"\n", "INIT" },
	{ BUILT "INIT_KIND=\"upstart\"\n", "INIT_KIND" },
	{ BUILT "STOP_SIGNAL=\"0\"\n", "STOP_SIGNAL" },
	{ BUILT "STOP_SIGNAL=\"65\"\n", "STOP_SIGNAL" },
	{ BUILT "STOP_SIGNAL=\"TERM\"\n", "STOP_SIGNAL" },
	{ BUILT "SIZE=\"-1\"\n", "SIZE" },
	{ BUILT "BUILT=\"99999999999999999999\"\n", "BUILT" },
	{ BUILT "ARCH=\"seventeen-letters\"\n", "ARCH" },
	{ "NAME=\"m\"\n", "VERSION" },
	{ "", "NAME" },
};

START_TEST(manifest_is_checked_key_by_key)
{
	struct lg_template t = { .name = "before" };
	struct lg_err err = { 0 };
	int r;

	put(manifests[_i].text, 0644, "%s/templates/m/manifest", var);
	r = lg_template_load(var, "m", &t, &err);
	if (!manifests[_i].names) {
		ck_assert_msg(r == 0, "%s", err.msg);
		ck_assert_str_eq(t.name, "m");
		return;
	}
	ck_assert_int_eq(r, -EINVAL);
	ck_assert_msg(strstr(err.msg, manifests[_i].names) != NULL, "%s", err.msg);
	ck_assert_str_eq(t.name, "before");
}
END_TEST

static Suite *template_suite(void)
{
	Suite *s = suite_create("template");
	TCase *tc = tcase_create("store");

	tcase_add_checked_fixture(tc, make_store, remove_store);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, built_template_has_what_recipe_and_build_know);
	tcase_add_test(tc, a_kernel_is_a_template_without_an_init);
	tcase_add_loop_test(tc, failed_build_says_why_and_leaves_nothing, 0,
			    ARRAY_SIZE(failures));
	tcase_add_test(tc, unknown_recipe_is_refused);
	tcase_add_test(tc, only_force_replaces_a_template);
	tcase_add_test(tc, failed_replacement_keeps_the_old_one);
	tcase_add_test(tc, digest_differs_when_anything_differs_and_only_then);
	tcase_add_test(tc, digest_is_what_the_description_says);
	tcase_add_test(tc, recipe_gets_a_clean_world);
	tcase_add_test(tc, killed_build_takes_its_recipe_along_and_is_cleared_away);
	tcase_add_test(tc, build_goes_over_what_a_killed_one_left);
	tcase_add_test(tc, each_is_by_name_and_leaves_out_what_is_no_template);
	tcase_add_test(tc, store_without_templates_is_empty);
	tcase_add_test(tc, removed_template_is_gone_at_once);
	tcase_add_loop_test(tc, manifest_is_checked_key_by_key, 0, ARRAY_SIZE(manifests));
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(template_suite());
	int failed;

	if (geteuid() != 0) {
		printf("template: needs root\n");
		srunner_free(sr);
		return 77;
	}
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
