/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <check.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>

#include "ct/caps.h"
#include "lib/exit.h"

#define BIT(cap) (UINT64_C(1) << (cap))

static const struct {
	const char *text;
	int want;
	uint64_t on, off;	/* bits that must change from the default */
} cases[] = {
	{ "", 0, 0, 0 },
	{ "sys_time:on", 0, BIT(CAP_SYS_TIME), 0 },
	{ "SYS_TIME:on,NET_ADMIN:off", 0, BIT(CAP_SYS_TIME), BIT(CAP_NET_ADMIN) },
	{ "cap_net_raw:off", 0, 0, BIT(CAP_NET_RAW) },
	{ " syslog:on  net_raw:off ", 0, BIT(CAP_SYSLOG), BIT(CAP_NET_RAW) },
	{ "net_raw:off,net_raw:on", 0, 0, 0 },
	{ "net_raw", -EINVAL, 0, 0 },
	{ "net_raw:", -EINVAL, 0, 0 },
	{ "net_raw:yes", -EINVAL, 0, 0 },
	{ "net_raw:onn", -EINVAL, 0, 0 },
	{ "net_ra:on", -EINVAL, 0, 0 },
	{ "cap_:on", -EINVAL, 0, 0 },
	{ ":on", -EINVAL, 0, 0 },
	{ "sys_time:on,bogus:on", -EINVAL, 0, 0 },
};

START_TEST(change_gives_documented_mask)
{
	uint64_t mask = lg_caps_default();
	struct lg_err err = { 0 };
	int r = lg_caps_change(cases[_i].text, &mask, &err);

	ck_assert_int_eq(r, cases[_i].want);
	ck_assert_uint_eq(mask, (lg_caps_default() | cases[_i].on) & ~cases[_i].off);
	ck_assert_int_eq(err.exit_code, r < 0 ? LG_EXIT_BAD_VALUE : 0);
}
END_TEST

START_TEST(default_keeps_what_a_system_needs)
{
	static const unsigned int needed[] = { CAP_SYS_ADMIN, CAP_SETUID, CAP_NET_ADMIN,
					       CAP_SYS_BOOT, CAP_CHOWN, CAP_SYS_CHROOT };

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		ck_assert(lg_caps_default() & BIT(needed[i]));
}
END_TEST

START_TEST(default_drops_what_is_the_hosts)
{
	static const unsigned int dropped[] = { CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_TIME,
						CAP_SYSLOG, CAP_MAC_ADMIN, CAP_MAC_OVERRIDE,
						CAP_BPF, CAP_PERFMON, CAP_AUDIT_READ };

	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
		ck_assert(!(lg_caps_default() & BIT(dropped[i])));
	ck_assert(!(lg_caps_default() >> (CAP_LAST_CAP + 1)));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("caps");
	TCase *tc = tcase_create("caps");
	SRunner *sr;
	int failures;

	tcase_add_loop_test(tc, change_gives_documented_mask, 0,
			    sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tc, default_keeps_what_a_system_needs);
	tcase_add_test(tc, default_drops_what_is_the_hosts);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
