/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vzlist's fields and the ssh keys of `create`: from what lodged or a file says to what is printed or sent. */

/* The command is a program and no library: what is tested of it is built in here. */
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "cmd/lodge/vz_fields.c"
#include "cmd/lodge/given.c"
#include "cmd/lodge/opt.c"
#include "cmd/lodge/out.c"
#include "cmd/lodge/text.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>

static json_t *counter(int held, int maxheld, int failcnt)
{
	return json_pack("{s:i, s:i, s:i}", "held", held, "maxheld", maxheld, "failcnt", failcnt);
}

static json_t *web(void)
{
	json_t *i = json_pack("{s:i, s:s, s:s, s:[s, s], s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}}", "ctid",
			      101, "state", "running", "name", "web", "addresses", "10.0.0.1", "fd00::1",
			      "conf", "HOSTNAME", "h.example", "PHYSPAGES", "0:131072", "NUMPROC",
			      "50:60", "ONBOOT", "yes", "DISKSPACE", "100:200", "FEATURES",
			      "nfs:on,sit:off", "CPULIMIT", "50");

	/* What is held nobody knows of kmemsize here; nobody counts failures of shmpages. */
	json_object_set_new(i, "ubc",
			    json_pack("{s:o, s:o, s:o, s:{s:s, s:i}, s:{s:i, s:i}}", "numproc",
				      counter(7, 9, 3), "physpages", counter(2, 10, 2), "swappages",
				      counter(1, 1, 0), "kmemsize", "resource", "kmemsize", "maxheld", 5,
				      "shmpages", "held", 4, "maxheld", 6));
	json_object_set_new(json_object_get(i, "ubc"), "diskspace", counter(77, 80, 0));
	return i;
}

static const struct {
	const char *field, *up, *none;
} cells[] = {
	{ "ctid", "101", "7" },		    { "status", "running", "stopped" },
	{ "hostname", "h.example", "-" },   { "ip", "10.0.0.1 fd00::1", "-" },
	{ "numproc", "7", "-" },	    { "numproc.m", "9", "-" },
	{ "numproc.b", "50", "-" },	    { "numproc.l", "60", "-" },
	{ "numproc.f", "3", "-" },	    { "physpages", "2", "-" },
	{ "physpages.m", "10", "-" },	    { "physpages.l", "131072", "-" },
	{ "physpages.f", "2", "-" },	    { "swappages", "1", "-" },
	{ "shmpages", "4", "-" },	    { "shmpages.f", "0", "-" },
	{ "kmemsize", "-", "-" },	    { "diskspace", "77", "-" },
	{ "diskspace.s", "100", "-" },	    { "diskspace.h", "200", "-" },
	{ "laverage", "-", "-" },	    { "cpulimit", "50", "-" },
	{ "onboot", "yes", "-" },	    { "uptime", "-", "-" },
	{ "vswap", "yes", "no" },	    { "name", "-", "-" },
};

START_TEST(cells_are_what_vzlist_prints)
{
	lg_autojson json_t *up = web(), *none = json_pack("{s:i, s:s}", "ctid", 7, "state",
							  "stopped");
	const struct vz_field *f;
	char sub, text[VZ_CELL];

	f = vz_field_find(cells[_i].field, strlen(cells[_i].field), &sub);
	ck_assert_ptr_nonnull(f);
	vz_field_text(f, up, sub, text);
	ck_assert_str_eq(text, cells[_i].up);
	vz_field_text(f, none, sub, text);
	ck_assert_str_eq(text, cells[_i].none);
}
END_TEST

static const struct {
	const char *field, *json;
} jsons[] = {
	{ "ctid", "101" },
	{ "status", "\"running\"" },
	{ "ip", "[\"10.0.0.1\",\"fd00::1\"]" },
	{ "nameserver", "[]" },
	{ "numproc", "{\"held\":7,\"maxheld\":9,\"barrier\":50,\"limit\":60,\"failcnt\":3}" },
	{ "kmemsize", "{\"held\":0,\"maxheld\":0,\"barrier\":9223372036854775807,"
		      "\"limit\":9223372036854775807,\"failcnt\":0}" },
	{ "laverage", "null" },
	{ "onboot", "true" },
	{ "disabled", "null" },
	{ "features", "{\"nfs\":true,\"sit\":false}" },
	{ "cpulimit", "50" },
	{ "cpus", "null" },
	{ "hostname", "\"h.example\"" },
	{ "description", "null" },
	{ "diskspace", "77" },
	{ "uptime", "null" },
};

START_TEST(json_has_vzlists_types)
{
	lg_autojson json_t *up = web(), *value = NULL;
	lg_autofree char *text = NULL;
	char sub;

	value = vz_field_json(vz_field_find(jsons[_i].field, strlen(jsons[_i].field), &sub), up);
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	ck_assert_str_eq(text, jsons[_i].json);
}
END_TEST

START_TEST(unknown_fields_and_suffixes_are_none)
{
	static const char *const names[] = { "", "nosuch", "ctid.m", "numproc.x", "numproc.",
					     "diskspace.m", ".m" };
	char sub;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_ptr_null(vz_field_find(names[i], strlen(names[i]), &sub));
}
END_TEST

START_TEST(every_field_survives_an_empty_instance)
{
	lg_autojson json_t *nothing = json_object();
	char text[VZ_CELL];

	for (const struct vz_field *f = vz_fields; f->name; f++) {
		lg_autojson json_t *value = vz_field_json(f, nothing);

		ck_assert_ptr_nonnull(value);
		vz_field_text(f, nothing, 0, text);
		ck_assert_msg(text[0], "%s prints nothing", f->name);
	}
}
END_TEST

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE"

static const struct {
	const char *text;
	int want, keys;
	const char *says;
} key_files[] = {
	{ KEY " me@home\n", 0, 1, "" },
	{ "# mine\n\n" KEY "\r\nssh-rsa AAAAB3Nza root\n", 0, 2, "" },
	{ "restrict,command=\"ls -l\" " KEY "\n", 0, 1, "" },
	{ "sk-ssh-ed25519@openssh.com AAAAGnNr x", 0, 1, "" },
	{ "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", -EINVAL, 0, "private key" },
	{ "", -EINVAL, 0, "no key is in" },
	{ "# nothing\n", -EINVAL, 0, "no key is in" },
	{ "hello world\n", -EINVAL, 0, "line 1" },
	{ KEY "\nssh-rsa BBBB\n", -EINVAL, 1, "line 2" },
	{ "xssh-ed25519 AAAA\n", -EINVAL, 0, "line 1" },
};

START_TEST(only_public_keys_are_sent)
{
	lg_autojson json_t *keys = json_array();
	lg_autofree char *text = strdup(key_files[_i].text);
	struct lg_err err = { 0 };

	ck_assert_int_eq(ssh_key_lines("FILE", text, keys, &err), key_files[_i].want);
	ck_assert_uint_eq(json_array_size(keys), key_files[_i].keys);
	ck_assert(strstr(err.msg, key_files[_i].says));
	for (size_t i = 0; i < json_array_size(keys); i++)
		ck_assert_ptr_null(strpbrk(json_string_value(json_array_get(keys, i)), "\r\n"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli_fields");
	TCase *tc = tcase_create("fields");
	SRunner *sr;
	int failures;

	tcase_add_loop_test(tc, cells_are_what_vzlist_prints, 0, ARRAY_SIZE(cells));
	tcase_add_loop_test(tc, json_has_vzlists_types, 0, ARRAY_SIZE(jsons));
	tcase_add_test(tc, unknown_fields_and_suffixes_are_none);
	tcase_add_test(tc, every_field_survives_an_empty_instance);
	tcase_add_loop_test(tc, only_public_keys_are_sent, 0, ARRAY_SIZE(key_files));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
