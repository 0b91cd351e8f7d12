/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "net/saved.h"

#define ROUTES 0x45311224u
#define RULES 0x71706986u

static _Alignas(8) char saved[4096];
static size_t len;

static void begin(uint32_t magic)
{
	memset(saved, 0, sizeof(saved));
	memcpy(saved, &magic, sizeof(magic));
	len = sizeof(magic);
}

static struct nlmsghdr *message(uint16_t type)
{
	struct nlmsghdr *msg = mnl_nlmsg_put_header(saved + len);

	msg->nlmsg_type = type;
	return msg;
}

static void end(const struct nlmsghdr *msg)
{
	len += msg->nlmsg_len;
}

static void put_rule(uint32_t priority, uint32_t table)
{
	struct nlmsghdr *msg = message(RTM_NEWRULE);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(msg, sizeof(*rule));

	*rule = (struct fib_rule_hdr){ .family = AF_INET, .table = (uint8_t)table, .action = FR_ACT_TO_TBL };
	mnl_attr_put_u32(msg, FRA_TABLE, table);
	mnl_attr_put_u32(msg, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
	mnl_attr_put_u8(msg, FRA_PROTOCOL, RTPROT_KERNEL);
	if (priority)
		mnl_attr_put_u32(msg, FRA_PRIORITY, priority);
	end(msg);
}

static void put_usual(void)
{
	begin(RULES);
	put_rule(0, RT_TABLE_LOCAL);
	put_rule(32766, RT_TABLE_MAIN);
	put_rule(32767, RT_TABLE_DEFAULT);
}

START_TEST(rules_of_a_new_namespace_are_usual)
{
	put_usual();
	ck_assert_int_eq(lg_saved_rules_are_usual(saved, len), 1);
}
END_TEST

START_TEST(any_other_rule_is_not)
{
	put_usual();
	put_rule(500, 77);
	ck_assert_int_eq(lg_saved_rules_are_usual(saved, len), 0);
	begin(RULES);
	put_rule(0, RT_TABLE_LOCAL);
	put_rule(32766, RT_TABLE_MAIN);
	ck_assert_int_eq(lg_saved_rules_are_usual(saved, len), 0);
	begin(RULES);
	ck_assert_int_eq(lg_saved_rules_are_usual(saved, len), 0);
}
END_TEST

START_TEST(a_usual_rule_with_more_to_it_is_not)
{
	struct nlmsghdr *msg;

	put_usual();
	((struct fib_rule_hdr *)mnl_nlmsg_get_payload((struct nlmsghdr *)(void *)(saved + 4)))->src_len = 8;
	ck_assert_int_eq(lg_saved_rules_are_usual(saved, len), 0);
	begin(RULES);
	put_rule(0, RT_TABLE_LOCAL);
	put_rule(32766, RT_TABLE_MAIN);
	msg = message(RTM_NEWRULE);
	*(struct fib_rule_hdr *)mnl_nlmsg_put_extra_header(msg, sizeof(struct fib_rule_hdr)) =
		(struct fib_rule_hdr){ .family = AF_INET, .table = RT_TABLE_DEFAULT, .action = FR_ACT_TO_TBL };
	mnl_attr_put_u32(msg, FRA_PRIORITY, 32767);
	mnl_attr_put_u32(msg, FRA_FWMARK, 1);
	end(msg);
	ck_assert_int_eq(lg_saved_rules_are_usual(saved, len), 0);
}
END_TEST

START_TEST(what_ip_did_not_write_is_refused)
{
	put_usual();
	saved[0]++;
	ck_assert_int_eq(lg_saved_rules_are_usual(saved, len), -EBADMSG);
	ck_assert_int_eq(lg_saved_rules_are_usual(saved, 3), -EBADMSG);
	begin(RULES);
	ck_assert_int_eq(lg_saved_routes_forget_state(saved, len), -EBADMSG);
}
END_TEST

/* A part of a message that is cut off is none. */
START_TEST(no_length_is_trusted)
{
	put_usual();
	for (size_t cut = 4; cut < len; cut++) {
		char *copy = malloc(cut);

		memcpy(copy, saved, cut);
		ck_assert_int_eq(lg_saved_rules_are_usual(copy, cut), 0);
		free(copy);
	}
}
END_TEST

START_TEST(routes_forget_that_the_link_is_down)
{
	struct nlmsghdr *msg;
	struct rtmsg *route;
	struct rtnexthop *hop;
	struct nlattr *paths;

	begin(ROUTES);
	msg = message(RTM_NEWROUTE);
	route = mnl_nlmsg_put_extra_header(msg, sizeof(*route));
	route->rtm_flags = RTNH_F_LINKDOWN | RTNH_F_ONLINK;
	paths = mnl_attr_nest_start(msg, RTA_MULTIPATH);
	hop = mnl_attr_get_payload(paths);
	*hop = (struct rtnexthop){ .rtnh_len = sizeof(*hop), .rtnh_flags = RTNH_F_DEAD, .rtnh_ifindex = 2 };
	msg->nlmsg_len += sizeof(*hop);
	mnl_attr_nest_end(msg, paths);
	end(msg);
	ck_assert_int_eq(lg_saved_routes_forget_state(saved, len), 1);
	ck_assert_uint_eq(route->rtm_flags, RTNH_F_ONLINK);
	ck_assert_uint_eq(hop->rtnh_flags, 0);
	ck_assert_int_eq(lg_saved_routes_forget_state(saved, len), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("saved");
	TCase *tc = tcase_create("saved");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, rules_of_a_new_namespace_are_usual);
	tcase_add_test(tc, any_other_rule_is_not);
	tcase_add_test(tc, a_usual_rule_with_more_to_it_is_not);
	tcase_add_test(tc, what_ip_did_not_write_is_refused);
	tcase_add_test(tc, no_length_is_trusted);
	tcase_add_test(tc, routes_forget_that_the_link_is_down);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
