/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Resource limits and kernel settings as people write them. */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/cleanup.h"
#include "lib/parse.h"
#include "lib/rlimits.h"
#include "lib/sysctls.h"

struct text {
	const char *in, *out;	/* NULL: refused */
	const char *says;
};

static const struct text rlimits[] = {
	{ "nofile=1024:4096", "nofile=1024:4096", NULL },
	{ "nofile=4096", "nofile=4096:4096", NULL },
	{ "core=unlimited memlock=8M:1G", "core=unlimited:unlimited memlock=8388608:1073741824", NULL },
	{ "nofile=1,nofile=2", "nofile=2:2", NULL },
	{ "stack=8M nofile=5", "nofile=5:5 stack=8388608:8388608", NULL },
	{ "", "", NULL },
	{ "nofile", NULL, "NAME=SOFT" },
	{ "nofile=", NULL, "NAME=SOFT" },
	{ "nofile=5:", NULL, "nofile" },
	{ "nofile=5:4", NULL, "above the hard one" },
	{ "nofile=unlimited:4", NULL, "above the hard one" },
	{ "nofile=8M", NULL, "nofile" },
	{ "files=5", NULL, "there are as, core," },
};

static void check(const struct text *t, int (*format)(const char *, char **, struct lg_err *))
{
	lg_autofree char *text = NULL;
	struct lg_err err = { 0 };
	int r = format(t->in, &text, &err);

	ck_assert_msg((r == 0) == (t->out != NULL), "'%s': %d %s", t->in, r, err.msg);
	if (t->out)
		ck_assert_str_eq(text, t->out);
	else
		ck_assert_msg(strstr(err.msg, t->says), "'%s': %s", t->in, err.msg);
}

START_TEST(rlimits_read_back_as_the_conf_file_has_them)
{
	check(&rlimits[_i], lg_rlimits_format);
}
END_TEST

static int keep(const struct lg_rlimit *l, void *arg)
{
	*(struct lg_rlimit *)arg = *l;
	return 0;
}

START_TEST(an_rlimit_has_its_number_and_unit)
{
	struct lg_rlimit l;

	ck_assert_int_eq(lg_rlimits_each("memlock=64K:unlimited", keep, &l, NULL), 0);
	ck_assert_int_eq(l.resource, RLIMIT_MEMLOCK);
	ck_assert_uint_eq(l.soft, 65536);
	ck_assert_uint_eq(l.hard, LG_UNLIMITED);
}
END_TEST

static const struct text sysctls[] = {
	{ "net.ipv4.ip_forward=1", "net.ipv4.ip_forward=1", NULL },
	{ "net.ipv4.ip_local_port_range=1024 65000 kernel.sem=250 32000  32 128",
	  "net.ipv4.ip_local_port_range=1024 65000 kernel.sem=250 32000 32 128", NULL },
	{ "net/ipv4/conf/eth0.100/forwarding=1", "net/ipv4/conf/eth0.100/forwarding=1", NULL },
	{ "net/ipv4/ip_forward=1", "net.ipv4.ip_forward=1", NULL },
	{ "fs.mqueue.msg_max=20 user.max_user_namespaces=10",
	  "fs.mqueue.msg_max=20 user.max_user_namespaces=10", NULL },
	{ "", "", NULL },
	{ "kernel.panic=1", NULL, "is the host's" },
	{ "vm.swappiness=1", NULL, "is the host's" },
	{ "kernel.core_pattern=x", NULL, "is the host's" },
	{ "kernel.shmmaxx=1", NULL, "is the host's" },
	{ "fs.file-max=1", NULL, "is the host's" },
	{ "kernel.hostname=x", NULL, "--hostname" },
	{ "net.=1", NULL, "no kernel setting's name" },
	{ "net.../../kernel/panic=1", NULL, "no kernel setting's name" },
	{ "net/../kernel/panic=1", NULL, "no kernel setting's name" },
	{ "net.ipv4.ip_forward", NULL, "not KEY=VALUE" },
	{ "net.ipv4.ip_forward=", NULL, "no value" },
	{ "=1", NULL, "no kernel setting's name" },
};

START_TEST(sysctls_read_back_as_the_conf_file_has_them)
{
	check(&sysctls[_i], lg_sysctls_format);
}
END_TEST

static int path_of(const char *key, const char *value, void *arg)
{
	(void)value;
	lg_sysctl_path(key, arg, 200);
	return 0;
}

static const struct {
	const char *in, *path;
} paths[] = {
	{ "net.ipv4.ip_forward=1", "/proc/sys/net/ipv4/ip_forward" },
	{ "net/ipv4/conf/eth0.100/forwarding=1", "/proc/sys/net/ipv4/conf/eth0.100/forwarding" },
	{ "kernel.sem=1 2 3 4", "/proc/sys/kernel/sem" },
};

START_TEST(a_key_leads_to_its_file)
{
	char path[200];

	ck_assert_int_eq(lg_sysctls_each(paths[_i].in, path_of, path, NULL), 0);
	ck_assert_str_eq(path, paths[_i].path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kernel settings");
	TCase *tc = tcase_create("kernel settings");
	SRunner *sr;
	int failures;

	tcase_add_loop_test(tc, rlimits_read_back_as_the_conf_file_has_them, 0,
			    ARRAY_SIZE(rlimits));
	tcase_add_test(tc, an_rlimit_has_its_number_and_unit);
	tcase_add_loop_test(tc, sysctls_read_back_as_the_conf_file_has_them, 0,
			    ARRAY_SIZE(sysctls));
	tcase_add_loop_test(tc, a_key_leads_to_its_file, 0, ARRAY_SIZE(paths));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
