/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vzctl's parameters and vzlist's fields, and what they become. */

/* The command is a program and no library: what is tested of it is built in here. */
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "cmd/lodge/vz_opts.c"
#include "cmd/lodge/opt.c"
#include "cmd/lodge/text.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>
#include <stdarg.h>

static char warnings[2000];

void vz_warn(const char *fmt, ...)
{
	size_t at = strlen(warnings);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(warnings + at, sizeof(warnings) - at, fmt, ap);
	va_end(ap);
}

static const struct {
	const char *opt, *text;
	int want;
	const char *name, *value;
} values[] = {
	{ "ram", "512M", 0, "memory", "512M" },
	{ "swap", "0", 0, "swap", "0" },
	{ "physpages", "0:131072", 0, "memory", "536870912" },
	{ "physpages", "0:512M", 0, "memory", "536870912" },
	{ "physpages", "0:9223372036854775807", 0, "memory", "unlimited" },
	{ "physpages", "unlimited", 0, "memory", "unlimited" },
	{ "swappages", "0:256", 0, "swap", "1048576" },
	{ "numproc", "100", 0, "tasks", "100:100" },
	{ "numproc", "100:200", 0, "tasks", "100:200" },
	{ "cpulimit", "50", 0, "cpus", "50%" },
	{ "cpulimit", "50%", 0, "cpus", "200%" },	/* of a host with four CPUs */
	{ "cpulimit", "0", 0, "cpus", "unlimited" },
	{ "cpulimit", "101%", -ERANGE, NULL, NULL },
	{ "cpulimit", "many", -EINVAL, NULL, NULL },
	{ "cpulimit", "%", -EINVAL, NULL, NULL },
	{ "cpuunits", "1000", 0, "cpu-weight", "100" },
	{ "cpuunits", "8", 0, "cpu-weight", "1" },
	{ "cpuunits", "500000", 0, "cpu-weight", "10000" },
	{ "cpuunits", "7", -ERANGE, NULL, NULL },
	{ "cpuweight", "200", 0, "cpu-weight", "200" },
	{ "cpus", "2", 0, "cpus-seen", "2" },
	{ "shmpages", "100:16384", 0, "shm-size", "67108864" },
	{ "numpty", "16", 0, "ptys", "16:16" },
	{ "cpumask", "0-2,7", 0, "cpumask", "0-2,7" },
	{ "cpumask", "auto", 0, "cpumask", "auto" },
	{ "cpumask", "some", -EINVAL, NULL, NULL },
	{ "nodemask", "all", 0, "nodemask", "all" },
	{ "nodemask", "auto", -EINVAL, NULL, NULL },
	{ "ioprio", "7", 0, "io-priority", "7" },
	{ "ioprio", "8", -ERANGE, NULL, NULL },
	{ "vmguarpages", "256:512", 0, "memory-guarantee", "1048576" },
	{ "vmguarpages", "33792:9223372036854775807", 0, "memory-guarantee", "138412032" },
	{ "vmguarpages", "9223372036854775807", 0, "memory-guarantee", "0" },
	{ "oomguarpages", "256", 0, "oom-guarantee", "1048576" },
	{ "memguarantee", "40", 0, "MEMGUARANTEE", "40" },
	{ "memguarantee", "auto", 0, "MEMGUARANTEE", "auto" },
	{ "memguarantee", "101", -ERANGE, NULL, NULL },
	{ "onboot", "yes", 0, "onboot", "yes" },
	{ "onboot", "perhaps", -EINVAL, NULL, NULL },
	{ "hostname", "a.example.com", 0, "hostname", "a.example.com" },
	{ "hostname", "no good", -EINVAL, NULL, NULL },
	{ "name", "", 0, "name", "" },
	{ "kmemsize", "10M:20M", 1, "KMEMSIZE", "10485760:20971520" },
	{ "kmemsize", "14372700", 1, "KMEMSIZE", "14372700:14372700" },
	{ "privvmpages", "65536:69632", 1, "PRIVVMPAGES", "65536:69632" },
	{ "privvmpages", "256M", 1, "PRIVVMPAGES", "65536:65536" },
	{ "privvmpages", "9223372036854775807", 1, "PRIVVMPAGES", "unlimited:unlimited" },
	{ "numfile", "unlimited", 0, "NUMFILE", "unlimited:unlimited" },
	{ "numfile", "5:", -EINVAL, NULL, NULL },
	{ "features", "nfs:on", 0, "feature", "nfs:on" },
	{ "iolimit", "10", 0, "io-limit", "10485760" },
	{ "iolimit", "512K", 0, "io-limit", "524288" },
	{ "iolimit", "unlimited", 0, "io-limit", "0" },
	{ "iopslimit", "500", 0, "iops-limit", "500" },
	{ "diskspace", "1G:2G", 0, "disk", "1048576:2097152" },
	{ "diskspace", "1048576", 0, "disk", "1048576:1048576" },
	{ "diskspace", "unlimited", 0, "disk", "unlimited:unlimited" },
	{ "diskspace", "1024", -ERANGE, NULL, NULL },
	{ "diskinodes", "200000:220000", 0, "inodes", "200000:220000" },
	{ "diskinodes", "10", -ERANGE, NULL, NULL },
	{ "nosuch", "1", -EINVAL, NULL, NULL },
};

START_TEST(parameters_become_settings)
{
	const char *name = NULL;
	char *value = NULL;
	struct lg_err err = { 0 };
	int r = vz_value(values[_i].opt, values[_i].text, 4, &name, &value, &err);

	ck_assert_msg(r == values[_i].want, "%s %s: %d, not %d (%s)", values[_i].opt,
		      values[_i].text, r, values[_i].want, err.msg);
	if (r >= 0) {
		ck_assert_str_eq(name, values[_i].name);
		ck_assert_str_eq(value, values[_i].value);
	} else {
		ck_assert(strstr(err.msg, values[_i].opt));
		ck_assert_int_ge(err.exit_code, LG_EXIT_BAD_OPTION);
	}
	free(value);
}
END_TEST

static const struct {
	const char *old, *add, *del;
	char sep;
	const char *want;
} edits[] = {
	{ NULL, "ifname=eth0", NULL, ';', "ifname=eth0" },
	{ "ifname=eth0", "ifname=eth1,mac=00:11", NULL, ';', "ifname=eth0;ifname=eth1,mac=00:11" },
	{ "ifname=eth0;ifname=eth1,mac=00:11", NULL, "eth1", ';', "ifname=eth0" },
	{ "ifname=eth0;ifname=eth1", NULL, "eth", ';', "ifname=eth0;ifname=eth1" },
	{ "ifname=eth0;ifname=eth1", NULL, "all", ';', "" },
	{ "eth5 eth6", NULL, "eth5", ' ', "eth6" },
	{ "eth5  eth6 ", "eth7", NULL, ' ', "eth5 eth6 eth7" },
	{ "", NULL, "x", ' ', "" },
};

START_TEST(lists_change_member_by_member)
{
	char *list = vz_list_edit(edits[_i].old, edits[_i].sep, edits[_i].add, edits[_i].del);

	ck_assert_str_eq(list, edits[_i].want);
	free(list);
}
END_TEST

static struct vz_wish wish;
static struct lg_err err;

static int parse(const char *line)
{
	static char copy[500], *argv[64];
	char *rest = copy, *word;
	size_t argc = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&rest, " ")))
		argv[argc++] = word;
	warnings[0] = '\0';
	err = (struct lg_err){ 0 };
	return vz_wish_parse(&wish, argc, argv, &err);
}

static void teardown(void)
{
	vz_wish_free(&wish);
}

START_TEST(a_whole_line_is_understood)
{
	ck_assert_int_eq(parse("--ram 512M --save --ipadd 10.0.0.1 --ip 10.0.0.2/24 --ipdel all "
			       "--nameserver 1.1.1.1 --nameserver 8.8.8.8 --userpasswd root:x "
			       "--setmode restart"), 0);
	ck_assert_str_eq(lg_json_str(wish.set, "memory"), "512M");
	ck_assert_str_eq(lg_json_str(wish.set, "nameserver"), "1.1.1.1 8.8.8.8");
	ck_assert_uint_eq(json_array_size(wish.add_ip), 2);
	ck_assert_str_eq(json_string_value(json_array_get(wish.del_ip, 0)), "all");
	ck_assert_str_eq(wish.userpasswd, "root:x");
	ck_assert_str_eq(wish.setmode, "restart");
	ck_assert(wish.save && !wish.force && !wish.needs_save);
	ck_assert_str_eq(warnings, "");
}
END_TEST

START_TEST(what_has_no_meaning_warns_once_and_is_kept)
{
	ck_assert_int_eq(parse("--kmemsize 10M --save"), 0);
	ck_assert_str_eq(warnings, "--kmemsize has no meaning here; kept in the configuration");
	ck_assert_str_eq(lg_json_str(wish.set, "KMEMSIZE"), "10485760:10485760");
	teardown();
	ck_assert_int_eq(parse("--ratebound yes"), 0);
	ck_assert_str_eq(warnings, "--ratebound has no meaning here; ignored");
	ck_assert_uint_eq(json_object_size(wish.set), 0);
}
END_TEST

START_TEST(every_parameter_of_a_setting_is_accepted)
{
	for (size_t i = 0; i < lg_nsettings; i++) {
		char name[64];

		if (!lg_settings[i].vz_opt)
			continue;
		snprintf(name, sizeof(name), "--%s", lg_settings[i].vz_opt);
		/* a value may be wrong, the option may not be unknown */
		parse(name);
		ck_assert_msg(strstr(err.msg, "needs a value"), "%s: %s", name, err.msg);
		teardown();
	}
	parse("--save");
}
END_TEST

START_TEST(letters_and_beginnings_work_as_with_getopt)
{
	ck_assert_int_eq(parse("-p 100 --hostn h --sav"), 0);
	ck_assert_str_eq(lg_json_str(wish.set, "tasks"), "100:100");
	ck_assert_str_eq(lg_json_str(wish.set, "hostname"), "h");
	ck_assert(wish.save);
}
END_TEST

START_TEST(names_and_templates_need_save)
{
	ck_assert_int_eq(parse("--name web"), 0);
	ck_assert_str_eq(wish.needs_save, "name");
}
END_TEST

START_TEST(bad_addresses_have_their_own_status)
{
	ck_assert_int_lt(parse("--ipadd 10.0.0.300"), 0);
	ck_assert_int_eq(err.exit_code, LG_EXIT_BAD_IP);
	teardown();
	ck_assert_int_lt(parse("stray --save"), 0);
	ck_assert_int_eq(err.exit_code, LG_EXIT_BAD_OPTION);
}
END_TEST

START_TEST(interfaces_are_kept_in_the_form_of_the_file)
{
	lg_autojson json_t *conf = json_pack("{s:s}", "NETIF", "ifname=eth0");

	ck_assert_int_eq(parse("--netif_add eth1,00:18:51:aa:bb:cc,veth1 --netif_del eth0"), 0);
	ck_assert_int_eq(vz_lists_apply(&wish, conf), 0);
	ck_assert_str_eq(lg_json_str(wish.set, "NETIF"),
			 "ifname=eth1,mac=00:18:51:aa:bb:cc,host_ifname=veth1");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli_vz");
	TCase *pure = tcase_create("values"), *line = tcase_create("line");
	SRunner *sr;
	int failures;

	tcase_add_loop_test(pure, parameters_become_settings, 0, ARRAY_SIZE(values));
	tcase_add_loop_test(pure, lists_change_member_by_member, 0, ARRAY_SIZE(edits));
	tcase_add_checked_fixture(line, NULL, teardown);
	tcase_add_test(line, a_whole_line_is_understood);
	tcase_add_test(line, what_has_no_meaning_warns_once_and_is_kept);
	tcase_add_test(line, every_parameter_of_a_setting_is_accepted);
	tcase_add_test(line, letters_and_beginnings_work_as_with_getopt);
	tcase_add_test(line, names_and_templates_need_save);
	tcase_add_test(line, bad_addresses_have_their_own_status);
	tcase_add_test(line, interfaces_are_kept_in_the_form_of_the_file);
	suite_add_tcase(s, pure);
	suite_add_tcase(s, line);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
