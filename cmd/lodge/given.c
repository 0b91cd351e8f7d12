/* SPDX-License-Identifier: GPL-2.0-or-later */

/* From options to what lodged is asked: settings, keys, times. */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge/cli.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

#define KEY_FILE_MAX (64u * 1024u)

/* A file of the host is named from where we are; the daemon is elsewhere, and follows no links. */
static char *real_path(const struct lg_setting *s, const char *value)
{
	return strcmp(s->key, "VM_CDROM") == 0 && *value && strcmp(value, "none") != 0 ? realpath(value, NULL) : NULL;
}

static int put_setting(struct cli *cli, json_t *all, const struct lg_setting *s,
		       const char *value)
{
	const char *before = lg_json_str(all, s->name);
	lg_autofree char *checked = NULL, *path = real_path(s, value);
	int r;

	if (!path && strcmp(s->key, "VM_CDROM") == 0 && *value && *value != '/' && strcmp(value, "none") != 0)
		return lg_fail(&cli->err, -errno, "cdrom: open '%.200s'", value);
	value = path ? path : value;

	/* An empty value removes the setting: nothing to check. */
	if (*value) {
		r = lg_setting_to_conf(s, value, &checked, &cli->err);
		if (r < 0)
			return r;
	}
	if (before && *before && (s->flags & LG_SF_LIST))
		r = json_object_set_new(all, s->name, json_sprintf("%s %s", before, value));
	else
		r = json_object_set_new(all, s->name, json_string(value));
	if (r < 0)
		return lg_refuse(&cli->err, -EINVAL, LG_EXIT_BAD_VALUE, "%s: not UTF-8 text",
				 s->name);
	return 0;
}

int given_settings(struct cli *cli, json_t **ret)
{
	lg_autojson json_t *all = json_object();

	for (size_t i = 0; i < cli->args.ngiven; i++) {
		const struct arg *a = &cli->args.given[i];
		int r = a->setting ? put_setting(cli, all, a->setting, a->value) : 0;

		if (r < 0)
			return r;
	}
	*ret = json_incref(all);
	return 0;
}

int given_seconds(struct cli *cli, const char *name, json_int_t *ret)
{
	const char *text = opt_value(&cli->args, name);
	uint64_t seconds = 0;
	int r;

	if (text) {
		r = lg_parse_seconds(text, &seconds, &cli->err);
		if (r < 0)
			return lg_within(&cli->err, r, "--%s", name);
	}
	*ret = (json_int_t)seconds;
	return 0;
}

/* "ssh-ed25519 AAAA... comment", or the same behind options as in authorized_keys. */
static bool is_public_key(const char *line)
{
	static const char *const kinds[] = { "ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-nistp256 ",
		"ecdsa-sha2-nistp384 ", "ecdsa-sha2-nistp521 ", "sk-ssh-ed25519@openssh.com ",
		"sk-ecdsa-sha2-nistp256@openssh.com ", "ssh-dss " };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *at = strstr(line, kinds[i]);

		if (!at || (at != line && at[-1] != ' ' && at[-1] != '\t'))
			continue;
		at += strlen(kinds[i]);
		at += strspn(at, " \t");
		if (strncmp(at, "AAAA", 4) == 0)
			return true;
	}
	return false;
}

static int add_line(const char *name, unsigned int number, char *line, json_t *keys,
		    struct lg_err *err)
{
	size_t len;

	line += strspn(line, " \t");
	len = strlen(line);
	while (len > 0 && isspace((unsigned char)line[len - 1]))
		line[--len] = '\0';
	if (!*line || *line == '#')
		return 0;
	if (!is_public_key(line))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "ssh-key: line %u of '%s' is not an OpenSSH public key "
				 "(like: ssh-ed25519 AAAA... name)", number, name);
	if (json_array_append_new(keys, json_string(line)) < 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "ssh-key: line %u of '%s' is not UTF-8 text", number, name);
	return 0;
}

int ssh_key_lines(const char *name, char *text, json_t *keys, struct lg_err *err)
{
	size_t before = json_array_size(keys);
	unsigned int number = 0;
	char *line;
	int r;

	if (strstr(text, "PRIVATE KEY"))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "ssh-key: '%s' is a private key, which must never leave your "
				 "hands: give the public one (it ends in .pub)", name);
	while ((line = strsep(&text, "\n"))) {
		r = add_line(name, ++number, line, keys, err);
		if (r < 0)
			return r;
	}
	if (json_array_size(keys) == before)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "ssh-key: no key is in '%s'",
				 name);
	return 0;
}

static int read_key_file(const char *name, char text[KEY_FILE_MAX + 2], struct lg_err *err)
{
	lg_autoclose int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return lg_fail(err, -errno, "ssh-key: open '%s'", name);
	while (len <= KEY_FILE_MAX &&
	       (n = read(fd, text + len, KEY_FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		return lg_fail(err, -errno, "ssh-key: read '%s'", name);
	if (len > KEY_FILE_MAX)
		return lg_refuse(err, -E2BIG, LG_EXIT_BAD_VALUE,
				 "ssh-key: '%s' is larger than %u KiB", name,
				 KEY_FILE_MAX / 1024);
	text[len] = '\0';
	if (strlen(text) != len)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "ssh-key: '%s' is not text",
				 name);
	return 0;
}

int given_ssh_keys(struct cli *cli, json_t **ret)
{
	static char text[KEY_FILE_MAX + 2];
	lg_autojson json_t *keys = json_array();
	const char *name;
	size_t at = 0;
	int r;

	while ((name = opt_next(&cli->args, "ssh-key", &at))) {
		r = read_key_file(name, text, &cli->err);
		if (r == 0)
			r = ssh_key_lines(name, text, keys, &cli->err);
		if (r < 0)
			return r;
	}
	*ret = json_incref(keys);
	return 0;
}

int given_path(const char *file, char ret[GIVEN_PATH])
{
	size_t at = 0;

	if (file[0] != '/') {
		if (!getcwd(ret, GIVEN_PATH))
			return -errno;
		at = strlen(ret);
		if (at + 1 < GIVEN_PATH && ret[at - 1] != '/')
			ret[at++] = '/';
	}
	return (size_t)snprintf(ret + at, GIVEN_PATH - at, "%s", file) < GIVEN_PATH - at ? 0 : -ENAMETOOLONG;
}
