/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What lodge-criu-calls.so does in the place of `ip`: it saves what that saves, and restores what was saved. Needs network namespaces:
 * exit status 77 (skipped) without.
 */

#include <unistd.h>

/* NOLINTBEGIN(bugprone-suspicious-include) */
#define execvp own_execvp
int own_execvp(const char *file, char *const argv[]);
#include "cmd/lodge-criu/calls_programs.c"
#undef execvp
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>
#include <sched.h>
#include <sys/wait.h>

#define LEFT 99		/* it is left to the program, which is not found */

static char dir[] = "/tmp/lgu-ip.XXXXXX";

static int sh(const char *command)
{
	char line[2000];
	int status;

	snprintf(line, sizeof(line), "set -e; cd %s; %s", dir, command);
	status = system(line);	/* NOLINT(cert-env33-c) */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *at(const char *name)
{
	static char path[100];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* @words: parted by blanks */
static int run(const char *words, const char *in, const char *out)
{
	char text[100], *argv[8] = { NULL }, *save = NULL;
	int n = 0, status;
	pid_t pid = fork();

	if (pid == 0) {
		snprintf(text, sizeof(text), "%s", words);
		for (char *w = strtok_r(text, " ", &save); w && n < 7; w = strtok_r(NULL, " ", &save))
			argv[n++] = w;
		dup2(open(in ? at(in) : "/dev/null", O_RDONLY), 0);	/* NOLINT(android-cloexec-open) */
		dup2(open(at(out), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);	/* NOLINT(android-cloexec-open) */
		setenv("PATH", "/nonexistent", 1);
		own_execvp(argv[0], argv);
		_exit(LEFT);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Two ends of one cable, as there is nothing else that every kernel has. */
#define LINKS "ip link set lo up; ip link add d0 type veth peer name d1; ip link set d1 up; ip link set d0 up; "

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ck_assert_int_eq(sh(LINKS
		"sysctl -qw net.ipv6.conf.d0.disable_ipv6=0 2>/dev/null || true;"
		"ip addr add 10.1.2.3/24 dev d0; ip addr add 10.1.3.3/24 dev d0 label d0:x;"
		"ip route add default via 10.1.2.1; ip route add 10.9.0.0/16 via 10.1.2.2 src 10.1.2.3;"
		"ip route add 10.8.0.0/16 nexthop via 10.1.2.5 nexthop via 10.1.2.6;"
		"ip route add 10.7.0.0/16 dev d0 table 100; ip rule add from 10.1.3.3 table 100"), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(sh("rm -f *"), 0);
	rmdir(dir);
	memset(dir + sizeof(dir) - 7, 'X', 6);
}

static size_t load(const char *name, char *ret, size_t size)
{
	FILE *f = fopen(at(name), "re");
	size_t n = f ? fread(ret, 1, size, f) : 0;

	ck_assert_ptr_nonnull(f);
	fclose(f);
	return n;
}

/* But for who asked, the number of his question, and who left out what was not wanted. */
static void same(const char *a, const char *b)
{
	static char x[65536], y[65536];
	size_t n = load(a, x, sizeof(x));

	ck_assert_uint_eq(load(b, y, sizeof(y)), n);
	for (size_t i = 4; i + sizeof(struct nlmsghdr) <= n;) {
		struct nlmsghdr *p = (struct nlmsghdr *)(x + i), *q = (struct nlmsghdr *)(y + i);

		p->nlmsg_seq = q->nlmsg_seq = p->nlmsg_pid = q->nlmsg_pid = 0;
		q->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_FILTERED;
		ck_assert_uint_ge(p->nlmsg_len, sizeof(*p));
		i += NLMSG_ALIGN(p->nlmsg_len);
	}
	ck_assert_mem_eq(x, y, n);
}

static const char *const saves[] = { "ip addr save", "ip route save", "ip -6 route save", "ip rule save" };

START_TEST(it_saves_what_ip_saves)
{
	char line[100];

	ck_assert_int_eq(run(saves[_i], NULL, "own"), 0);
	snprintf(line, sizeof(line), "%s >real", saves[_i]);
	ck_assert_int_eq(sh(line), 0);
	same("own", "real");
}
END_TEST

#define LOOK(name) "(ip -o -4 addr; ip -4 route) | sed 's/^[0-9]*: //' | sort >" name

START_TEST(what_was_saved_is_restored_once_and_again)
{
	ck_assert_int_eq(sh("ip addr save >addr; ip route save >route; " LOOK("before")), 0);
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ck_assert_int_eq(sh(LINKS "true"), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(run("ip addr restore", "addr", "out"), 0);
		ck_assert_int_eq(run("ip route restore", "route", "out"), 0);
	}
	ck_assert_int_eq(sh(LOOK("after") "; cmp before after"), 0);
}
END_TEST

/* clang-format off */
static const struct {
	const char *prepare, *words, *in;
} others[] = {
	{ "ip route save >in",				"ip addr restore",	"in" },	/* another number */
	{ "ip route save | head -c -3 >in",		"ip route restore",	"in" },
	{ "ip route save >in; ip link del d0",		"ip route restore",	"in" },	/* no way there */
	{ ": >in",					"ip addr restore",	"in" },
	{ "true",					"ip addr show",		NULL },
	{ "true",					"ip addr save more",	NULL },
	{ "true",					"ip addr",		NULL },
	{ "true",					"sh -c true",		NULL },
};
/* clang-format on */

START_TEST(the_rest_is_left_to_the_program)
{
	ck_assert_int_eq(sh(others[_i].prepare), 0);
	ck_assert_int_eq(run(others[_i].words, others[_i].in, "out"), LEFT);
	ck_assert_uint_eq(load("out", (char[8]){ 0 }, 8), 0);
}
END_TEST

START_TEST(iptables_says_the_word_that_is_looked_for)
{
	char text[100] = "";

	ck_assert_int_eq(run("ip6tables-save -V", NULL, "out"), 0);
	load("out", text, sizeof(text) - 1);
	ck_assert_ptr_nonnull(strstr(text, "ip6tables-save v"));
	ck_assert_ptr_nonnull(strstr(text, "(legacy)"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("criu_programs");
	TCase *tc = tcase_create("ip");
	SRunner *runner;
	int failed;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 || system("ip link set lo up") != 0) {	/* NOLINT(cert-env33-c) */
		fprintf(stderr, "skipped: network namespaces need root, and ip\n");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, it_saves_what_ip_saves, 0, sizeof(saves) / sizeof(saves[0]));
	tcase_add_test(tc, what_was_saved_is_restored_once_and_again);
	tcase_add_loop_test(tc, the_rest_is_left_to_the_program, 0, sizeof(others) / sizeof(others[0]));
	tcase_add_test(tc, iptables_says_the_word_that_is_looked_for);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
