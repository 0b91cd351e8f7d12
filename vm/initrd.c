/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: what stands between a kernel and its root is a table of modules. modules.dep says what else each takes; those
 * that are built in are left out. They are written unpacked, since the machine would take longer for it, in the
 * order in which the agent loads them.
 *
 * Their signatures are left out where the kernel can do without: whoever gives a machine its kernel need not prove to it where the
 * modules are from, and to look at one takes an emulated machine 15 ms and more. Modules that the guest loads, from its disk of all of them, have theirs.
 */

#include "vm/cache.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define DEP_MAX (8u << 20)
#define MODULE_MAX (32u << 20)
#define ORDER_MAX 16384u
#define DEPTH_MAX 16u
#define SIGNATURE_INFO 12u	/* struct module_signature; the signature's length is the last four bytes, big-endian */

/* clang-format off */
static const struct {
	const char *name;
	bool needed;		/* the root is not found without it */
} modules_wanted[] = {
	{ "virtio_mmio",    false },	/* the one or the other, as the machine is */
	{ "virtio_pci",	    false },
	{ "virtio_console", true },
	{ "virtio_blk",	    true },
	{ "erofs",	    true },
	{ "crc32c_generic", false },	/* what ext4 asks for by a name that modules.dep does not know */
	{ "ext4",	    true },
	{ "overlay",	    true },
	{ "virtio_net",	    false },
	{ "virtio_rng",	    false },
	{ "virtio_balloon", false },
};
/* clang-format on */

struct order {
	const char *dep, *builtin;	/* texts of modules.dep and modules.builtin; NULL: none */
	char text[ORDER_MAX];
	size_t len;
};

/* ---- which ---- */

/* Is it the module's file: "kernel/fs/ext4/ext4.ko.xz"? '-' and '_' are the same. */
static bool is_file_of(const char *path, size_t len, const char *name)
{
	const char *end = path + len, *base = end;
	size_t n = strlen(name);

	while (base > path && base[-1] != '/')
		base--;
	if ((size_t)(end - base) < n + 3 || strncmp(base + n, ".ko", 3) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (base[i] != name[i] && !(base[i] == '-' && name[i] == '_'))
			return false;
	return base + n + 3 == end || base[n + 3] == '.';
}

/* The line of @text whose first word is the module's file. */
static const char *find_line(const char *text, const char *name)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (is_file_of(line, strcspn(line, ":\n"), name))
			return line;
	return NULL;
}

static const char *find_path(const char *text, const char *path, size_t len)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strcspn(line, ":\n") == len && strncmp(line, path, len) == 0)
			return line;
	return NULL;
}

static bool is_in(const struct order *o, const char *path, size_t len)
{
	for (const char *p = o->text; *p; p = strchr(p, '\n') + 1)
		if (strcspn(p, "\n") == len && strncmp(p, path, len) == 0)
			return true;
	return false;
}

static int append(struct order *o, const char *path, size_t len)
{
	if (is_in(o, path, len))
		return 0;
	if (o->len + len + 2 > sizeof(o->text))
		return -E2BIG;
	memcpy(o->text + o->len, path, len);
	o->len += len;
	o->text[o->len++] = '\n';
	o->text[o->len] = '\0';
	return 0;
}

/* depmod writes what a module needs nearest first: from the end on, each finds what it needs already. */
static int add_line(struct order *o, const char *line, unsigned int depth)
{
	size_t name = strcspn(line, ":\n"), end = strcspn(line, "\n");
	int r = 0;

	if (depth == DEPTH_MAX || name == end)
		return -EINVAL;
	for (size_t at = end; r == 0 && at > name + 1;) {
		size_t begin = at;
		const char *other;

		while (begin > name + 1 && line[begin - 1] != ' ')
			begin--;
		other = at > begin ? find_path(o->dep, line + begin, at - begin) : NULL;
		if (at > begin)
			r = other ? add_line(o, other, depth + 1) : -EINVAL;
		at = begin > name + 1 ? begin - 1 : name + 1;
	}
	return r < 0 ? r : append(o, line, name);
}

static int work_out(struct order *o, struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(modules_wanted); i++) {
		const char *name = modules_wanted[i].name;
		const char *line = find_line(o->dep, name);
		int r = line ? add_line(o, line, 0) : 0;

		if (r < 0)
			return lg_refuse(err, r, 0, "modules.dep makes no sense at '%s'", name);
		if (!line && modules_wanted[i].needed && !find_line(o->builtin, name))
			return lg_refuse(err, -ENOENT, 0, "the kernel has no module '%s', which a microVM needs", name);
	}
	return 0;
}

int lg_vm_modules_order(const char *modules, char **ret, struct lg_err *err)
{
	lg_autoclose int dir = lg_open_dir(AT_FDCWD, modules, err);
	lg_autofree char *dep = NULL, *builtin = NULL;
	static struct order o;
	int r = dir;

	if (r >= 0)
		r = lg_file_read(dir, "modules.dep", DEP_MAX, &dep, NULL, err);
	if (r == 0)
		r = lg_file_read(dir, "modules.builtin", DEP_MAX, &builtin, NULL, err);
	if (r < 0)
		return r;
	o = (struct order){ .dep = dep, .builtin = builtin };
	r = work_out(&o, err);
	if (r < 0)
		return r;
	*ret = strdup(o.text);
	return *ret ? 0 : lg_fail(err, -ENOMEM, "work out the modules");
}

/* ---- writing ---- */

struct source {
	int dir;		/* as /lib/modules/VERSION; borrowed */
	bool sealed;		/* signatures stay */
};

static int put_entry(struct archive *out, const char *name, mode_t mode, const void *data, size_t len)
{
	struct archive_entry *e = archive_entry_new();
	int r = 0;

	if (!e)
		return -ENOMEM;
	archive_entry_set_pathname(e, name);
	archive_entry_set_mode(e, mode);
	archive_entry_set_size(e, (la_int64_t)len);
	archive_entry_set_nlink(e, 1);
	if (archive_write_header(out, e) != ARCHIVE_OK ||
	    (len && archive_write_data(out, data, len) != (la_ssize_t)len))
		r = archive_errno(out) ? -archive_errno(out) : -EIO;
	archive_entry_free(e);
	return r;
}

static int read_all(struct archive *a, char **ret, size_t *ret_len)
{
	lg_autofree char *data = malloc(MODULE_MAX);
	struct archive_entry *entry;
	size_t len = 0;
	la_ssize_t n;

	if (!data)
		return -ENOMEM;
	if (archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return -EBADMSG;
	while ((n = archive_read_data(a, data + len, MODULE_MAX - len)) > 0)
		len += (size_t)n;
	if (n < 0 || len == 0 || len == MODULE_MAX)
		return -EBADMSG;
	*ret = lg_take_ptr(&data);
	*ret_len = len;
	return 0;
}

static int read_unpacked(int fd, char **ret, size_t *ret_len)
{
	struct archive *a = archive_read_new();
	int r;

	if (!a)
		return -ENOMEM;
	archive_read_support_filter_all(a);
	archive_read_support_format_raw(a);
	r = archive_read_open_fd(a, fd, 65536) == ARCHIVE_OK ? read_all(a, ret, ret_len) : -EBADMSG;
	archive_read_free(a);
	return r;
}

/* "kernel/fs/ext4/ext4.ko.xz" becomes "ext4.ko". */
static void short_name(const char *path, size_t len, char ret[128])
{
	const char *base = path + len;
	size_t n;

	while (base > path && base[-1] != '/')
		base--;
	n = (size_t)(path + len - base);
	for (size_t i = 0; i + 3 <= n; i++)
		if (strncmp(base + i, ".ko", 3) == 0) {
			n = i + 3;
			break;
		}
	snprintf(ret, 128, "%.*s", (int)n, base);
}

/* Behind the module: the signature, what is known of it (struct module_signature), the mark. 0: there is none. */
static size_t signature_len(const char *data, size_t len)
{
	static const char mark[] = "~Module signature appended~\n";
	const size_t tail = SIGNATURE_INFO + sizeof(mark) - 1;
	const unsigned char *size;
	size_t n;

	if (len < tail || memcmp(data + len - (sizeof(mark) - 1), mark, sizeof(mark) - 1) != 0)
		return 0;
	size = (const unsigned char *)data + len - sizeof(mark) + 1 - 4;
	n = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
	return n < len - tail ? n + tail : 0;
}

static int put_module(struct archive *out, const struct source *from, const char *path, size_t len, const char *name,
		      struct lg_err *err)
{
	lg_autofree char *data = NULL;
	lg_autoclose int fd = -1;
	char text[300], place[160];
	size_t size = 0;
	int r;

	snprintf(text, sizeof(text), "%.*s", (int)len, path);
	snprintf(place, sizeof(place), "modules/%s", name);
	fd = lg_open_beneath(from->dir, text, O_RDONLY, 0);
	r = fd < 0 ? fd : read_unpacked(fd, &data, &size);
	if (r == 0 && !from->sealed)
		size -= signature_len(data, size);
	if (r == 0)
		r = put_entry(out, place, S_IFREG | 0600, data, size);
	return r < 0 ? lg_fail(err, r, "put the module '%s' into the initrd", text) : 0;
}

static int put_modules(struct archive *out, const char *modules, bool sealed, struct lg_err *err)
{
	lg_autoclose int dir = lg_open_dir(AT_FDCWD, modules, err);
	const struct source from = { .dir = dir, .sealed = sealed };
	lg_autofree char *paths = NULL;
	char order[ORDER_MAX] = "";
	size_t len = 0;
	int r = dir < 0 ? dir : lg_vm_modules_order(modules, &paths, err);

	if (r == 0)
		r = put_entry(out, "modules", S_IFDIR | 0700, NULL, 0);
	for (const char *p = paths; r == 0 && *p; p = strchr(p, '\n') + 1) {
		char name[128];

		short_name(p, strcspn(p, "\n"), name);
		r = put_module(out, &from, p, strcspn(p, "\n"), name, err);
		len += (size_t)snprintf(order + len, sizeof(order) - len, "%s\n", name);
	}
	return r < 0 ? r : put_entry(out, "modules/order", S_IFREG | 0600, order, len);
}

static int put_init(struct archive *out, const char *agent, struct lg_err *err)
{
	lg_autofree char *data = NULL;
	size_t len = 0;
	int r = lg_file_read(AT_FDCWD, agent, MODULE_MAX, &data, &len, err);

	return r < 0 ? r : put_entry(out, "init", S_IFREG | 0755, data, len);
}

int lg_vm_initrd(int out, const char *modules, bool sealed, const char *agent, struct lg_err *err)
{
	struct archive *a = archive_write_new();
	int r;

	if (!a)
		return lg_fail(err, -ENOMEM, "make the initrd");
	archive_write_set_format_cpio_newc(a);
	archive_write_add_filter_none(a);
	archive_write_set_bytes_in_last_block(a, 1);
	r = archive_write_open_fd(a, out) == ARCHIVE_OK ? put_init(a, agent, err) : -EIO;
	if (r == 0)
		r = put_modules(a, modules, sealed, err);
	if (r == 0 && archive_write_close(a) != ARCHIVE_OK)
		r = -EIO;
	archive_write_free(a);
	return r < 0 && !(err && err->code) ? lg_fail(err, r, "write the initrd") : r;
}
