/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ct/guest.h"
#include "ct/mounts.h"
#include "ct/user.h"
#include "lib/cleanup.h"

static struct lg_msg m;
static struct lg_addr addrs[2];

static void fill(struct lg_guest *g)
{
	static const char *const servers[] = { "192.0.2.53", "2001:db8::53" };

	memset(g, 0, sizeof(*g));
	ck_assert_int_eq(lg_parse_addr("10.1.2.3/24", &addrs[0], NULL), 0);
	ck_assert_int_eq(lg_parse_addr("fd00::5/64", &addrs[1], NULL), 0);
	g->hostname = "web.example.org";
	g->nameservers = servers;
	g->nnameservers = 2;
	g->searchdomain = "example.org";
	g->addrs = addrs;
	g->naddrs = 2;
	lg_msg_init(&m, 1);
}

/* The field of @key that begins so; NULL. */
static const char *field(const char *key, const char *begin)
{
	for (const char *v = lg_msg_get(&m, key); v; v = lg_msg_next(&m, key, v))
		if (strncmp(v, begin, strlen(begin)) == 0)
			return v;
	return NULL;
}

START_TEST(names_and_servers_are_given)
{
	struct lg_guest g;

	fill(&g);
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_str_eq(field("file", "0644 /etc/hostname\n"),
			 "0644 /etc/hostname\nweb.example.org\n");
	ck_assert_str_eq(field("file", "0644 /etc/resolv.conf\n"),
			 "0644 /etc/resolv.conf\nsearch example.org\n"
			 "nameserver 192.0.2.53\nnameserver 2001:db8::53\n");
	ck_assert_str_eq(field("block", "0644 /etc/hosts\n"),
			 "0644 /etc/hosts\n127.0.0.1\tlocalhost\n"
			 "::1\tlocalhost ip6-localhost ip6-loopback\n"
			 "10.1.2.3\tweb.example.org web\nfd00::5\tweb.example.org web\n");
}
END_TEST

START_TEST(without_addresses_the_name_is_local)
{
	struct lg_guest g;

	fill(&g);
	g.naddrs = 0;
	g.hostname = "web";
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_ptr_nonnull(strstr(field("block", "0644 /etc/hosts\n"), "127.0.1.1\tweb\n"));
}
END_TEST

START_TEST(without_servers_the_guests_file_stays)
{
	struct lg_guest g;

	fill(&g);
	g.nnameservers = 0;
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_ptr_null(field("file", "0644 /etc/resolv.conf"));
}
END_TEST

/* The file is written again where tasks can be counted: the container may come from another host. */
START_TEST(podman_is_told_where_it_cannot_limit_tasks)
{
	static const char name[] = "0644 /etc/containers/containers.conf.d/50-lodge.conf\n";
	struct lg_guest g;

	fill(&g);
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_ptr_null(field("file", name));
	fill(&g);
	g.nesting = true;
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_ptr_nonnull(strstr(field("file", name), "\npids_limit = 0\n"));
	fill(&g);
	g.nesting = true;
	g.counts_tasks = true;
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_ptr_nonnull(field("file", name));
	ck_assert_ptr_null(strstr(field("file", name), "pids_limit"));
}
END_TEST

START_TEST(only_systemd_gets_masks)
{
	struct lg_guest g;

	fill(&g);
	g.init_kind = LG_INIT_SYSTEMD;
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_str_eq(field("link", "/run/systemd/system/systemd-udevd.service\n"),
			 "/run/systemd/system/systemd-udevd.service\n/dev/null");
	fill(&g);
	g.init_kind = LG_INIT_BUSYBOX;
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_ptr_null(lg_msg_get(&m, "link"));
}
END_TEST

START_TEST(services_of_a_checkpointable_container_do_without_namespaces)
{
	static const char *const names[] = {
		"0644 /run/systemd/system/service.d/zz-lodge-checkpointable.conf\n",
		"0644 /run/systemd/user/service.d/zz-lodge-checkpointable.conf\n",
	};
	struct lg_guest g;

	fill(&g);
	g.init_kind = LG_INIT_SYSTEMD;
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_ptr_null(field("file", names[i]));
	fill(&g);
	g.checkpointable = true;	/* without systemd nobody would read it */
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_ptr_null(field("file", names[0]));
	fill(&g);
	g.checkpointable = true;
	g.init_kind = LG_INIT_SYSTEMD;
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ck_assert_ptr_nonnull(strstr(field("file", names[i]),
					     "\n[Service]\nPrivateIPC=no\nPrivateNetwork=no\n"
					     "PrivateUsers=no\nProtectHostname=no\n"));
		ck_assert_ptr_null(strstr(field("file", names[i]), "PrivatePIDs"));
	}
	fill(&g);
	g.checkpointable = true;
	g.init_kind = LG_INIT_SYSTEMD;
	g.os = "debian";
	g.os_version = "13";
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_ptr_nonnull(strstr(field("file", names[0]), "\nPrivatePIDs=no\n"));
}
END_TEST

START_TEST(a_machine_has_what_a_container_has_not)
{
	struct lg_guest g;

	fill(&g);
	g.vm = g.nesting = g.checkpointable = true;
	g.init_kind = LG_INIT_SYSTEMD;
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_ptr_nonnull(field("link", "/run/systemd/system/systemd-networkd.service\n/dev/null"));
	ck_assert_ptr_nonnull(field("link", "/run/systemd/system/serial-getty@ttyS0.service\n/dev/null"));
	ck_assert_str_eq(field("link", "/run/systemd/system/getty.target.wants/console-getty.service\n"),
			 "/run/systemd/system/getty.target.wants/console-getty.service\n"
			 "/usr/lib/systemd/system/console-getty.service");
	ck_assert_ptr_nonnull(strstr(field("file", "0644 /run/systemd/system/systemd-modules-load.service.d/lodge.conf\n"),
				     "\nConditionPathExists=/usr/sbin/modprobe\n"));
	/* Its kernel, its devices and its modules are its own. */
	ck_assert_ptr_null(field("link", "/run/systemd/system/systemd-udevd.service"));
	ck_assert_ptr_null(field("link", "/run/systemd/system/systemd-modules-load.service"));
	ck_assert_ptr_null(field("file", "0644 /run/host/container-manager"));
	ck_assert_ptr_null(field("file", "0644 /etc/containers"));
	ck_assert_ptr_null(field("file", "0644 /run/systemd/system/service.d"));
	fill(&g);
	g.init_kind = LG_INIT_SYSTEMD;
	ck_assert_int_eq(lg_guest_fields(&g, &m, NULL), 0);
	ck_assert_ptr_nonnull(field("link", "/run/systemd/system/systemd-udevd.service"));
	ck_assert_ptr_null(field("link", "/run/systemd/system/serial-getty@ttyS0.service"));
	ck_assert_ptr_null(field("link", "/run/systemd/system/getty.target.wants"));
}
END_TEST

static const struct {
	enum lg_init_kind kind;
	bool vm;
	int given, want;
} stops[] = {
	{ LG_INIT_SYSTEMD, false, 37, 37 },
	{ LG_INIT_SYSTEMD, true, 37, 38 },
	{ LG_INIT_SYSTEMD, true, 15, 15 },
	{ LG_INIT_BUSYBOX, true, 2, 2 },
	{ LG_INIT_OTHER, true, 37, 37 },
};

START_TEST(a_machine_powers_off)
{
	struct lg_template t = { .init_kind = stops[_i].kind, .stop_signal = stops[_i].given };

	ck_assert_int_eq(lg_guest_stop_signal(&t, stops[_i].vm), stops[_i].want);
}
END_TEST

START_TEST(a_full_message_is_refused)
{
	static char big[LG_MSG_BYTES - 600];
	struct lg_err err = { 0 };
	struct lg_guest g;

	fill(&g);
	g.init_kind = LG_INIT_SYSTEMD;
	memset(big, 'x', sizeof(big) - 1);
	ck_assert_int_eq(lg_msg_put(&m, "file", big), 0);
	ck_assert_int_eq(lg_guest_fields(&g, &m, &err), -EMSGSIZE);
	ck_assert_int_eq(err.code, -EMSGSIZE);
}
END_TEST

static const struct {
	const char *old, *want;
} blocks[] = {
	{ "", "# lodge: begin\nNEW\n# lodge: end\n" },
	{ "a\nb\n", "# lodge: begin\nNEW\n# lodge: end\na\nb\n" },
	{ "a\n# lodge: begin\nold\n# lodge: end\nb\n",
	  "a\n# lodge: begin\nNEW\n# lodge: end\nb\n" },
	/* cut off: what looks like ours is not taken away */
	{ "# lodge: begin\nold\n", "# lodge: begin\nNEW\n# lodge: end\n# lodge: begin\nold\n" },
	{ "# lodge: end\na\n", "# lodge: begin\nNEW\n# lodge: end\n# lodge: end\na\n" },
};

START_TEST(a_block_replaces_only_itself)
{
	char out[200];

	ck_assert_int_eq(lg_place_block(blocks[_i].old, "NEW\n", out, sizeof(out)),
			 (int)strlen(blocks[_i].want));
	ck_assert_str_eq(out, blocks[_i].want);
	ck_assert_int_eq(lg_place_block(blocks[_i].old, "NEW\n", out, 20), -E2BIG);
}
END_TEST

static const char passwd[] =
	"root:x:0:0:root:/root:/bin/bash\n"
	"broken line\n"
	"few:x:7\n"
	"far:x:4294967296:1::/:/bin/sh\n"
	"out:x:70000:1::/:/bin/sh\n"
	"web:x:33:34:Web,,:/var/www:/bin/false\n"
	"last:x:12:13::/home/last:";
static const char group[] = "root:x:0:\nweb:x:34:\nlog:x:4:other,web\nadm:x:5:webb,we\nbig:x:99999:web\n";

static const struct {
	const char *spec;
	int want;
	uid_t uid;
	gid_t gid;
	size_t ngroups;
	const char *name, *home, *shell;
} users[] = {
	{ NULL, 0, 0, 0, 1, "root", "/root", "/bin/bash" },
	{ "root", 0, 0, 0, 1, "root", "/root", "/bin/bash" },
	{ "web", 0, 33, 34, 2, "web", "/var/www", "/bin/false" },
	{ "33", 0, 33, 34, 2, "web", "/var/www", "/bin/false" },
	{ "web:log", 0, 33, 4, 1, "web", "/var/www", "/bin/false" },
	{ "33:77", 0, 33, 77, 1, "web", "/var/www", "/bin/false" },
	{ "last", 0, 12, 13, 1, "last", "/home/last", "/bin/sh" },
	{ "1234", 0, 1234, 0, 1, "", "/", "/bin/sh" },
	{ "1234:5", 0, 1234, 5, 1, "", "/", "/bin/sh" },
	{ "nobody", -ENOENT, 0, 0, 0, "", "", "" },
	{ "we", -ENOENT, 0, 0, 0, "", "", "" },
	{ "few", -ENOENT, 0, 0, 0, "", "", "" },
	{ "far", -ENOENT, 0, 0, 0, "", "", "" },
	{ "out", -ENOENT, 0, 0, 0, "", "", "" },
	{ "65536", -ENOENT, 0, 0, 0, "", "", "" },
	{ "-1", -ENOENT, 0, 0, 0, "", "", "" },
	{ "web:none", -ENOENT, 0, 0, 0, "", "", "" },
	{ ":5", -EINVAL, 0, 0, 0, "", "", "" },
	{ "web:", -EINVAL, 0, 0, 0, "", "", "" },
};

START_TEST(users_are_found_in_the_guests_files)
{
	static struct lg_user u;
	struct lg_err err = { 0 };
	int r = lg_user_find(users[_i].spec, passwd, group, &u, &err);

	ck_assert_msg(r == users[_i].want, "%s: %d %s", users[_i].spec, r, err.msg);
	if (r < 0)
		return;
	ck_assert_uint_eq(u.uid, users[_i].uid);
	ck_assert_uint_eq(u.gid, users[_i].gid);
	ck_assert_uint_eq(u.ngroups, users[_i].ngroups);
	ck_assert_uint_eq(u.groups[0], u.gid);
	ck_assert_str_eq(u.name, users[_i].name);
	ck_assert_str_eq(u.home, users[_i].home);
	ck_assert_str_eq(u.shell, users[_i].shell);
}
END_TEST

START_TEST(root_needs_no_file)
{
	static struct lg_user u;

	ck_assert_int_eq(lg_user_find("root", NULL, NULL, &u, NULL), 0);
	ck_assert_uint_eq(u.uid, 0);
	ck_assert_str_eq(u.home, "/root");
	ck_assert_str_eq(u.shell, "/bin/sh");
}
END_TEST

START_TEST(more_groups_than_fit_are_cut)
{
	static char text[40000];
	static struct lg_user u;
	size_t len = 0;

	for (int i = 0; i < 1000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "g%d:x:%d:web\n", i,
					1000 + i);
	ck_assert_int_eq(lg_user_find("web", passwd, text, &u, NULL), 0);
	ck_assert_uint_eq(u.ngroups, LG_USER_GROUPS);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("guest");
	TCase *tc = tcase_create("guest");
	SRunner *sr;
	int failures;

	tcase_add_test(tc, names_and_servers_are_given);
	tcase_add_test(tc, without_addresses_the_name_is_local);
	tcase_add_test(tc, without_servers_the_guests_file_stays);
	tcase_add_test(tc, podman_is_told_where_it_cannot_limit_tasks);
	tcase_add_test(tc, only_systemd_gets_masks);
	tcase_add_test(tc, services_of_a_checkpointable_container_do_without_namespaces);
	tcase_add_test(tc, a_full_message_is_refused);
	tcase_add_test(tc, a_machine_has_what_a_container_has_not);
	tcase_add_loop_test(tc, a_machine_powers_off, 0, ARRAY_SIZE(stops));
	tcase_add_loop_test(tc, a_block_replaces_only_itself, 0, ARRAY_SIZE(blocks));
	tcase_add_loop_test(tc, users_are_found_in_the_guests_files, 0, ARRAY_SIZE(users));
	tcase_add_test(tc, root_needs_no_file);
	tcase_add_test(tc, more_groups_than_fit_are_cut);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
