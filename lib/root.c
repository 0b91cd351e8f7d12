/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/root.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest root: RUN/shim/2147483644.sock must fit sun_path (108 bytes). */
#define ROOT_MAX 70

/* FNV-1a: the tag only has to differ between the few roots of one host. */
static uint32_t hash_text(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

static void make_tag(const char *dir, char tag[8])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	uint32_t h = hash_text(dir);

	tag[0] = 'l';
	for (int i = 1; i < 4; i++, h /= 36)
		tag[i] = digits[h % 36];
	tag[4] = '\0';
}

int lg_root_init(struct lg_root *root, const char *dir, struct lg_err *err)
{
	char base[ROOT_MAX + 1];
	size_t len = dir ? strlen(dir) : 0;

	while (len > 0 && dir[len - 1] == '/')
		len--;
	if (dir && dir[0] && dir[0] != '/')
		return lg_refuse(err, -EINVAL, 0, "root '%s' is not an absolute path", dir);
	if (len > ROOT_MAX)
		return lg_refuse(err, -ENAMETOOLONG, 0,
				 "root '%s' is longer than %d characters (socket paths are short)",
				 dir, ROOT_MAX);
	snprintf(base, sizeof(base), "%.*s", (int)len, dir ? dir : "");
	memset(root, 0, sizeof(*root));
	snprintf(root->etc, sizeof(root->etc), "%s/etc/lodge", base);
	snprintf(root->var, sizeof(root->var), "%s/var/lib/lodge", base);
	snprintf(root->run, sizeof(root->run), "%s/run/lodge", base);
	if (base[0])
		make_tag(base, root->tag);
	return 0;
}

void lg_root_socket(const struct lg_root *root, char *buf, size_t size)
{
	snprintf(buf, size, "%s/lodged.sock", root->run);
}

void lg_root_bridge(const struct lg_root *root, char name[16])
{
	if (root->tag[0])
		snprintf(name, 16, "%sbr0", root->tag);
	else
		snprintf(name, 16, "lodge0");
}

void lg_root_link(const struct lg_root *root, unsigned int ctid, unsigned int index,
		  char name[16])
{
	snprintf(name, 16, "%s%u.%u", root->tag[0] ? root->tag : "lg", ctid, index % 10);
}

unsigned int lg_root_link_ctid(const struct lg_root *root, const char *name)
{
	const char *head = root->tag[0] ? root->tag : "lg";
	size_t len = strlen(head), digits;
	unsigned long ctid;

	if (strncmp(name, head, len) != 0)
		return 0;
	digits = strspn(name + len, "0123456789");
	if (digits == 0 || digits > 10 || name[len + digits] != '.')
		return 0;
	ctid = strtoul(name + len, NULL, 10);
	return ctid <= INT32_MAX ? (unsigned int)ctid : 0;
}

void lg_root_cgroup(const struct lg_root *root, char name[32])
{
	snprintf(name, 32, "lodge%s%s", root->tag[0] ? "-" : "", root->tag);
}

void lg_root_table(const struct lg_root *root, char name[32])
{
	snprintf(name, 32, "lodge%s%s", root->tag[0] ? "_" : "", root->tag);
}
