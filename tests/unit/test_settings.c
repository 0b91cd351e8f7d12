/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/settings.h"

#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"

/* ---- the table ---- */

START_TEST(a_row_is_found_by_each_of_its_names)
{
	for (size_t i = 0; i < lg_nsettings; i++) {
		const struct lg_setting *s = &lg_settings[i];

		if (s->name)
			ck_assert_ptr_eq(lg_setting_by_name(s->name), s);
		if (s->vz_opt)
			ck_assert_ptr_eq(lg_setting_by_vz_opt(s->vz_opt), s);
		ck_assert_ptr_nonnull(lg_setting_by_key(s->key));
		ck_assert_str_eq(lg_setting_by_key(s->key)->key, s->key);
	}
	ck_assert_ptr_null(lg_setting_by_name("PHYSPAGES"));
	ck_assert_ptr_null(lg_setting_by_name(""));
	ck_assert_ptr_null(lg_setting_by_key("memory"));
	ck_assert_ptr_null(lg_setting_by_key("PHYSPAGESX"));
	ck_assert_ptr_null(lg_setting_by_vz_opt("no-such"));
}
END_TEST

START_TEST(a_key_with_an_own_name_is_that_row_whatever_vzctl_calls_it)
{
	ck_assert_str_eq(lg_setting_by_key("PHYSPAGES")->name, "memory");
	ck_assert_str_eq(lg_setting_by_key("SWAPPAGES")->name, "swap");
	for (size_t i = 0; i < lg_nsettings; i++)
		if (lg_settings[i].name)
			ck_assert_ptr_eq(lg_setting_by_key(lg_settings[i].key), &lg_settings[i]);
}
END_TEST

START_TEST(every_row_reads_like_the_others)
{
	for (size_t i = 0; i < lg_nsettings; i++) {
		const struct lg_setting *s = &lg_settings[i];
		size_t len = strlen(s->help);

		ck_assert_msg(s->name || s->vz_opt, "%s cannot be named", s->key);
		ck_assert_msg(strspn(s->key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(s->key), "%s", s->key);
		ck_assert_msg(len > 0 && len <= 60, "%s: help of %zu characters", s->key, len);
		ck_assert_msg(s->help[len - 1] != '.', "%s", s->key);
		ck_assert_msg(islower((unsigned char)s->help[0]) || isupper((unsigned char)s->help[1]),
			      "%s: '%s'", s->key, s->help);
		ck_assert_msg(s->arg && *s->arg, "%s", s->key);
	}
}
END_TEST

/* ---- from people to the file and back ---- */

#define OK(name, in, conf, out) { name, in, 0, conf, out, 0 }
#define BAD(name, in, want) { name, in, want, NULL, NULL, LG_EXIT_BAD_VALUE }

static const struct { const char *name, *in; int want; const char *conf, *out; int exit_code; } values[] = {
	OK("memory", "512M", "0:131072", "512.0M"),
	OK("memory", "536870912", "0:131072", "512.0M"),
	OK("memory", "0:131072", "0:131072", "512.0M"),
	OK("memory", "unlimited", "0:unlimited", "unlimited"),
	OK("memory", "1.5G", "0:393216", "1.5G"),
	OK("swap", "0", "0:0", "0B"),
	OK("disk", "10G", "10485760:10485760", "10.0G"),
	OK("disk", "1048576:1048576", "1048576:1048576", "1.0G"),
	OK("disk", "unlimited", "unlimited:unlimited", "unlimited"),
	OK("disk", "1G:unlimited", "unlimited:unlimited", "unlimited"),
	BAD("disk", "31M", -ERANGE),
	BAD("disk", "0", -ERANGE),
	BAD("disk", "-1G", -EINVAL),
	BAD("disk", "ten", -EINVAL),
	OK("inodes", "100000", "100000:100000", "100000"),
	BAD("inodes", "5", -ERANGE),
	OK("cpus", "1.5", "150", "1.5"),
	OK("cpus", "150%", "150", "1.5"),
	OK("cpus", "2", "200", "2"),
	OK("cpus", "0.05", "5", "0.05"),
	OK("cpus", "unlimited", "0", "unlimited"),
	OK("cpu-weight", "100", "1000", "100"),
	OK("cpu-weight", "1", "10", "1"),
	OK("cpu-weight", "10000", "100000", "10000"),
	OK("tasks", "100", "100:100", "100"),
	OK("tasks", "50:100", "50:100", "100"),
	OK("tasks", "200:100", "100:100", "100"),
	OK("tasks", "unlimited:100", "100:100", "100"),
	OK("tasks", "unlimited", "unlimited:unlimited", "unlimited"),
	OK("ip", "10.1.2.3 fd00::5/64", "10.1.2.3 fd00::5/64", "10.1.2.3 fd00::5/64"),
	OK("ip", "auto", "auto", "auto"),
	OK("ip", "", "", ""),
	OK("nameserver", "inherit", "inherit", "inherit"),
	OK("nameserver", "10.0.0.1 fd00::1", "10.0.0.1 fd00::1", "10.0.0.1 fd00::1"),
	OK("searchdomain", "example.org example.net", "example.org example.net", "example.org example.net"),
	OK("onboot", "on", "yes", "yes"),
	OK("onboot", "0", "no", "no"),
	OK("boot-order", "7", "7", "7"),
	OK("stop-mode", "suspend", "suspend", "suspend"),
	OK("kind", "vm", "vm", "vm"),
	OK("kind", "container", "container", "container"),
	OK("kernel-template", "debian-13-kernel", "debian-13-kernel", "debian-13-kernel"),
	OK("boot-timeout", "90", "90", "90"),
	OK("stop-timeout", "2m", "120", "120"),
	OK("stop-timeout", "0", "0", "0"),
	OK("description", "a \"quoted\" $text", "a \"quoted\" $text", "a \"quoted\" $text"),
	OK("hostname", "web1.example.org", "web1.example.org", "web1.example.org"),
	OK("capability", "sys_time:on,net_admin:off", "sys_time:on,net_admin:off", "sys_time:on,net_admin:off"),
	OK("id-base", "65536", "65536", "65536"),
	BAD("memory", "512", -ERANGE),
	BAD("memory", "1023K", -ERANGE),
	BAD("memory", "lots", -EINVAL),
	BAD("memory", "", -EINVAL),
	BAD("memory", "-1", -EINVAL),
	BAD("memory", "99999999T", -ERANGE),
	BAD("cpus", "many", -EINVAL),
	BAD("cpu-weight", "0", -ERANGE),
	BAD("cpu-weight", "10001", -ERANGE),
	BAD("tasks", "1", -ERANGE),
	BAD("tasks", "4194305", -ERANGE),
	BAD("onboot", "maybe", -EINVAL),
	BAD("boot-order", "1000001", -ERANGE),
	BAD("id-base", "65535", -ERANGE),
	OK("id-count", "1048576", "1048576", "1048576"),
	BAD("id-count", "65535", -ERANGE),
	BAD("id-base", "4294967295", -ERANGE),
	BAD("stop-mode", "sleep", -EINVAL),
	BAD("kind", "v", -EINVAL),
	BAD("kind", "vmx", -EINVAL),
	BAD("kind", "container|vm", -EINVAL),
	BAD("stop-timeout", "1d", -EINVAL),
	BAD("stop-timeout", "1000000000h", -ERANGE),
	BAD("nameserver", "10.0.0.1/24", -EINVAL),
	BAD("nameserver", "example.org", -EINVAL),
	BAD("description", "two\nlines", -EINVAL),
	BAD("description", "\x7f", -EINVAL),
	BAD("capability", "sys_time", -EINVAL),
	BAD("capability", "sys_time:maybe", -EINVAL),
	BAD("capability", ":on", -EINVAL),
	BAD("capability", "SYS TIME:on", -EINVAL),
	{ "ip", "10.1.2", -EINVAL, NULL, NULL, LG_EXIT_BAD_IP },
	{ "ip", "10.1.2.3\nX=\"1\"", -EINVAL, NULL, NULL, LG_EXIT_BAD_IP },
	{ "hostname", "-web", -EINVAL, NULL, NULL, LG_EXIT_HOSTNAME },
	{ "name", "101", -EINVAL, NULL, NULL, LG_EXIT_NAME },
	{ "searchdomain", "a b_c", -EINVAL, NULL, NULL, LG_EXIT_HOSTNAME },
	{ "template", "../x", -EINVAL, NULL, NULL, LG_EXIT_BAD_VALUE },
};

/* vzctl's soft limit is kept, the hard one counts; a size that is no whole KiB becomes one more. */
START_TEST(a_quota_has_two_halves)
{
	static const struct { const char *in, *conf; uint64_t bytes; } quotas[] = {
		{ "1048576:2097152", "1048576:2097152", UINT64_C(2) << 30 },
		{ "2097152:1048576", "1048576:1048576", UINT64_C(1) << 30 },
		{ "33554433", "32769:32769", UINT64_C(32769) << 10 },
		{ "1G:unlimited", "unlimited:unlimited", LG_UNLIMITED },
	};
	const struct lg_setting *s = lg_setting_by_name("disk");

	for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
		struct lg_conf *conf = lg_conf_new();
		lg_autofree char *text = NULL;
		uint64_t v = 0;

		ck_assert_int_eq(lg_setting_to_conf(s, quotas[i].in, &text, NULL), 0);
		ck_assert_str_eq(text, quotas[i].conf);
		ck_assert_int_eq(lg_conf_set(conf, s->key, text, NULL), 0);
		ck_assert_int_eq(lg_setting_value(conf, "disk", 0, &v, NULL), 0);
		ck_assert_uint_eq(v, quotas[i].bytes);
		lg_conf_free(conf);
	}
}
END_TEST

START_TEST(a_value_becomes_the_files_form_and_comes_back_for_people)
{
	const struct lg_setting *s = lg_setting_by_name(values[_i].name);
	lg_autofree char *conf = NULL, *out = NULL, *again = NULL;
	struct lg_err err = { 0 };
	int r = lg_setting_to_conf(s, values[_i].in, &conf, &err);

	ck_assert_msg(r == values[_i].want, "%s=%s gives %d %s", s->name, values[_i].in, r, err.msg);
	ck_assert_int_eq(err.code, r);
	ck_assert_int_eq(err.exit_code, values[_i].exit_code);
	if (r < 0) {
		ck_assert_ptr_null(conf);
		ck_assert_int_eq(strncmp(err.msg, s->name, strlen(s->name)), 0);
		return;
	}
	ck_assert_str_eq(conf, values[_i].conf);
	ck_assert_int_eq(lg_setting_from_conf(s, conf, &out, &err), 0);
	ck_assert_str_eq(out, values[_i].out);
	/* what is shown can be typed again, and means the same */
	ck_assert_int_eq(lg_setting_to_conf(s, out, &again, &err), 0);
	if (strcmp(values[_i].name, "tasks") != 0)
		ck_assert_str_eq(again, conf);
}
END_TEST

START_TEST(no_value_of_any_row_gets_a_line_break_into_the_file)
{
	static const char *const hostile[] = { "1\n2", "a\nb", "10.0.0.1\nX", "yes\n", "\n", "a:on\n", "1\r2", "unlimited\n" };

	for (size_t i = 0; i < lg_nsettings; i++)
		for (size_t j = 0; j < ARRAY_SIZE(hostile); j++) {
			char *conf = NULL;

			ck_assert_msg(lg_setting_to_conf(&lg_settings[i], hostile[j], &conf, NULL) < 0,
				      "%s takes hostile %zu", lg_settings[i].key, j);
			ck_assert_ptr_null(conf);
		}
}
END_TEST

START_TEST(vzctls_option_for_pages_counts_pages)
{
	const struct lg_setting *s = lg_setting_by_vz_opt("physpages");
	lg_autofree char *conf = NULL, *ram = NULL;

	ck_assert_int_eq(lg_setting_to_conf(s, "131072:131072", &conf, NULL), 0);
	ck_assert_str_eq(conf, "0:131072");
	ck_assert_int_eq(lg_setting_to_conf(lg_setting_by_vz_opt("ram"), "512M", &ram, NULL), 0);
	ck_assert_str_eq(ram, "0:131072");
}
END_TEST

/* ---- files written by hand ---- */

static const struct { const char *key, *conf, *shown; } by_hand[] = {
	{ "PHYSPAGES", "131072", "512.0M" },
	{ "PHYSPAGES", "65536:131072", "512.0M" },
	{ "PHYSPAGES", "0:512M", "512.0M" },
	{ "PHYSPAGES", "0:9223372036854775807", "unlimited" },
	{ "PHYSPAGES", "0:9223372036854775808", NULL },
	{ "NUMPROC", "240:240", "240" },
	{ "CPULIMIT", "0", "unlimited" },
	{ "CPULIMIT", "25", "0.25" },
	{ "CPULIMIT", "150%", NULL },
	{ "CPUUNITS", "1000", "100" },
	{ "CPUUNITS", "1", "1" },
	{ "CPUUNITS", "500000", "10000" },
	{ "CPUUNITS", "0", NULL },
	{ "ONBOOT", "yes", "yes" },
	{ "ONBOOT", "perhaps", NULL },
	{ "STOP_TIMEOUT", "x", NULL },
	{ "HOSTNAME", "any thing", "any thing" },
};

START_TEST(a_hand_written_value_is_shown_or_refused_with_its_key)
{
	const struct lg_setting *s = lg_setting_by_key(by_hand[_i].key);
	lg_autofree char *shown = NULL;
	struct lg_err err = { 0 };
	int r = lg_setting_from_conf(s, by_hand[_i].conf, &shown, &err);

	if (by_hand[_i].shown) {
		ck_assert_int_eq(r, 0);
		ck_assert_str_eq(shown, by_hand[_i].shown);
		return;
	}
	ck_assert(r == -EINVAL || r == -ERANGE);
	ck_assert_ptr_null(shown);
	ck_assert_ptr_nonnull(strstr(err.msg, by_hand[_i].key));
}
END_TEST

static const char file[] =
	"PHYSPAGES=\"0:131072\"\nSWAPPAGES=\"0:unlimited\"\nCPULIMIT=\"150\"\nCPUUNITS=\"2000\"\nNUMPROC=\"50:100\"\n"
	"ONBOOT=\"yes\"\nSTOP_TIMEOUT=\"30\"\nBOOTORDER=\"\"\nDISABLED=\"perhaps\"\n";

static const struct { const char *name; int want; uint64_t value; } numbers[] = {
	{ "memory", 0, UINT64_C(512) << 20 }, { "swap", 0, LG_UNLIMITED }, { "cpus", 0, 150 },
	{ "cpu-weight", 0, 200 }, { "tasks", 0, 100 }, { "onboot", 0, 1 }, { "stop-timeout", 0, 30 },
	{ "boot-order", 0, 7 }, { "id-base", 0, 7 },
	{ "disabled", -EINVAL, 0 }, { "hostname", -EINVAL, 0 }, { "no-such", -EINVAL, 0 },
};

START_TEST(a_numeric_setting_gives_its_number_or_the_default)
{
	struct lg_conf *conf = NULL;
	struct lg_err err = { 0 };
	uint64_t got = 99;
	int r;

	ck_assert_int_eq(lg_conf_parse(file, sizeof(file) - 1, &conf, NULL), 0);
	r = lg_setting_value(conf, numbers[_i].name, 7, &got, &err);
	ck_assert_int_eq(r, numbers[_i].want);
	ck_assert_uint_eq(got, r == 0 ? numbers[_i].value : 99);
	ck_assert_int_eq(err.code, r);
	lg_conf_free(conf);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("settings");
	TCase *t = tcase_create("all");

	tcase_add_test(t, a_row_is_found_by_each_of_its_names);
	tcase_add_test(t, a_key_with_an_own_name_is_that_row_whatever_vzctl_calls_it);
	tcase_add_test(t, every_row_reads_like_the_others);
	tcase_add_loop_test(t, a_value_becomes_the_files_form_and_comes_back_for_people, 0, ARRAY_SIZE(values));
	tcase_add_test(t, no_value_of_any_row_gets_a_line_break_into_the_file);
	tcase_add_test(t, vzctls_option_for_pages_counts_pages);
	tcase_add_test(t, a_quota_has_two_halves);
	tcase_add_loop_test(t, a_hand_written_value_is_shown_or_refused_with_its_key, 0, ARRAY_SIZE(by_hand));
	tcase_add_loop_test(t, a_numeric_setting_gives_its_number_or_the_default, 0, ARRAY_SIZE(numbers));
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(suite());
	int failures;

	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
