/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/kind.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"

#define MIB (UINT64_C(1) << 20)

START_TEST(every_rule_is_about_a_setting_and_says_why)
{
	for (unsigned int i = 0; i < lg_nkind_rules; i++) {
		const struct lg_kind_rule *rule = &lg_kind_rules[i];

		ck_assert_ptr_nonnull(lg_setting_by_key(rule->key));
		if (rule->vm == LG_USE_NEVER || rule->container == LG_USE_NEVER)
			ck_assert_ptr_nonnull(rule->why);
		for (unsigned int k = 0; k < i; k++)
			ck_assert_str_ne(lg_kind_rules[k].key, rule->key);
	}
}
END_TEST

static const struct {
	const char *setting;
	bool vm;
	int want;
} checks[] = {
	{ "memory", true, 0 },		{ "memory", false, 0 },
	{ "feature", true, -EINVAL },	{ "feature", false, 0 },
	{ "device", true, -EINVAL },	{ "capability", true, -EINVAL },
	{ "tasks", true, -EINVAL },	{ "tasks", false, 0 },
	{ "sysctl", true, 0 },		{ "rlimit", true, 0 },
	{ "kernel-template", true, 0 }, { "kernel-template", false, -EINVAL },
	{ "boot-timeout", true, 0 },	{ "boot-timeout", false, -EINVAL },
};

START_TEST(what_means_nothing_to_a_kind_is_refused_with_a_reason)
{
	const struct lg_setting *s = lg_setting_by_name(checks[_i].setting);
	struct lg_err err = { 0 };

	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(lg_kind_check(s, checks[_i].vm, &err), checks[_i].want);
	if (checks[_i].want < 0) {
		ck_assert_int_eq(err.exit_code, LG_EXIT_BAD_OPTION);
		ck_assert_ptr_nonnull(strstr(err.msg, checks[_i].setting));
	}
}
END_TEST

static const struct {
	const char *memory, *cpus;
	int r_memory, r_cpus;
	uint64_t bytes;
	unsigned int vcpus;
} machines[] = {
	{ NULL, NULL, 0, 0, 512 * MIB, 1 },
	{ "0:65536", "200", 0, 0, 256 * MIB, 2 },
	{ "0:65537", "150", 0, 0, 256 * MIB, 2 },
	{ "0:unlimited", "0", -EINVAL, -EINVAL, 0, 0 },
	{ "0:1024", "10", -ERANGE, 0, 0, 1 },
	{ "0:65536", "1000000", 0, -ERANGE, 256 * MIB, 0 },
	{ "what", "ever", -EINVAL, -EINVAL, 0, 0 },
};

START_TEST(a_machine_is_what_its_conf_says)
{
	struct lg_conf *conf = lg_conf_new();
	uint64_t bytes = 0;
	unsigned int vcpus = 0;

	if (machines[_i].memory)
		lg_conf_set(conf, "PHYSPAGES", machines[_i].memory, NULL);
	if (machines[_i].cpus)
		lg_conf_set(conf, "CPULIMIT", machines[_i].cpus, NULL);
	ck_assert_int_eq(lg_vm_memory(conf, &bytes, NULL), machines[_i].r_memory);
	ck_assert_int_eq(lg_vm_cpus(conf, &vcpus, NULL), machines[_i].r_cpus);
	ck_assert_uint_eq(bytes, machines[_i].bytes);
	ck_assert_uint_eq(vcpus, machines[_i].vcpus);
	lg_conf_free(conf);
}
END_TEST

START_TEST(a_new_vm_has_defaults_in_its_file)
{
	struct lg_conf *conf = lg_conf_new();
	uint64_t bytes = 0;

	ck_assert(!lg_kind_is_vm(conf));
	ck_assert_int_eq(lg_conf_set(conf, "VE_KIND", "vm", NULL), 0);
	ck_assert(lg_kind_is_vm(conf));
	ck_assert_int_eq(lg_conf_set(conf, "CPULIMIT", "250", NULL), 0);
	ck_assert_int_eq(lg_vm_defaults(conf, NULL), 0);
	ck_assert_str_eq(lg_conf_get(conf, "CPULIMIT"), "250");
	ck_assert_int_eq(lg_setting_value(conf, "memory", 0, &bytes, NULL), 0);
	ck_assert_uint_eq(bytes, LG_VM_MEMORY_DEFAULT);
	ck_assert_int_eq(lg_setting_value(conf, "disk", 0, &bytes, NULL), 0);
	ck_assert_uint_eq(bytes, LG_VM_DISK_DEFAULT);
	lg_conf_free(conf);
}
END_TEST

START_TEST(the_wall_leaves_room_for_qemu)
{
	ck_assert_uint_ge(lg_vm_cgroup_memory(512 * MIB), 512 * MIB + LG_VM_OVERHEAD);
	ck_assert_uint_gt(lg_vm_cgroup_memory(1024 * MIB) - 1024 * MIB, lg_vm_cgroup_memory(512 * MIB) - 512 * MIB);
}
END_TEST

START_TEST(where_kvm_cannot_be_used_it_is_said_why)
{
	const char *why = NULL;

	if (!lg_kvm_usable(&why))
		ck_assert_ptr_nonnull(why);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kind");
	TCase *tc = tcase_create("kind");
	SRunner *sr = srunner_create(s);
	int failures;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, every_rule_is_about_a_setting_and_says_why);
	tcase_add_loop_test(tc, what_means_nothing_to_a_kind_is_refused_with_a_reason, 0, ARRAY_SIZE(checks));
	tcase_add_loop_test(tc, a_machine_is_what_its_conf_says, 0, ARRAY_SIZE(machines));
	tcase_add_test(tc, a_new_vm_has_defaults_in_its_file);
	tcase_add_test(tc, the_wall_leaves_room_for_qemu);
	tcase_add_test(tc, where_kvm_cannot_be_used_it_is_said_why);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
