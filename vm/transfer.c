/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/parse.h"
#include "storage/store.h"

#define HEX "0123456789abcdef"
#define DIGITS (LG_VM_DIGEST - 1)

/* The last one is the disk that tells which making it is. */
static const char *const base_files[] = { "image", NULL };
static const char *const kernel_files[] = { "vmlinux", "initrd", "of", "version", "modules.img", NULL };

/* Not even a hostile one fills a disk with what is a line of text. QEMU opens the first two as its own user (vm/kernel.c). */
struct rule {
	uint64_t max;
	mode_t mode;
};

static const struct rule base_rules[] = {
	{ INT64_MAX, 0600 },
};

static const struct rule kernel_rules[] = {
	{ INT64_MAX, 0644 }, { INT64_MAX, 0644 }, { DIGITS, 0600 }, { LG_VM_VERSION_MAX, 0600 }, { INT64_MAX, 0600 },
};

_Static_assert(ARRAY_SIZE(kernel_files) == LG_VM_PART_FILES + 1, "a kernel has the most files");
_Static_assert(ARRAY_SIZE(kernel_rules) == LG_VM_PART_FILES, "each has a rule");

const char *const *lg_vm_part_files(bool kernel)
{
	return kernel ? kernel_files : base_files;
}

static unsigned int count_of(const struct lg_vm_part *part)
{
	return part->kernel ? LG_VM_PART_FILES : 1;
}

static const struct rule *rule_of(const struct lg_vm_part *part, unsigned int i)
{
	return part->kernel ? &kernel_rules[i] : &base_rules[i];
}

uint64_t lg_vm_part_bytes(const struct lg_vm_part *part)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < count_of(part); i++)
		sum += part->sizes[i];
	return sum;
}

static bool is_hex(const char *text, size_t digits)
{
	return text && strlen(text) == digits && strspn(text, HEX) == digits;
}

/* ---- what is sent ---- */

static int file_path(const char *where, const struct lg_vm_part *part, unsigned int i, char ret[LG_STORE_PATH], struct lg_err *err)
{
	return part->kernel ? lg_store_path(ret, err, "%s/%s", where, kernel_files[i]) : lg_store_path(ret, err, "%s", where);
}

/* What is in front of a '+' or ".img". */
static int read_name(const char *where, char ret[LG_VM_DIGEST], struct lg_err *err)
{
	const char *name = strrchr(where, '/') + 1;
	size_t len = strcspn(name, "+.");

	if (len != DIGITS || strspn(name, HEX) < len)
		return lg_refuse(err, -EINVAL, 0, "'%s' is no name of lodge's", where);
	snprintf(ret, LG_VM_DIGEST, "%.64s", name);
	return 0;
}

int lg_vm_part_describe(const char *var, const char *role, const char *id, struct lg_vm_part *ret, struct lg_err *err)
{
	struct lg_vm_part part = { .kernel = strcmp(role, "kernel") == 0 };
	char where[LG_VM_PATH], path[LG_STORE_PATH];
	struct stat st;
	int r = lg_vm_part_where(var, part.kernel, id, where, err);

	if (r == 0)
		r = read_name(where, part.digest, err);
	for (unsigned int i = 0; r == 0 && i < count_of(&part); i++) {
		r = file_path(where, &part, i, path, err);
		if (r == 0)
			r = lg_vm_file_digest(path, part.sums[i], err);
		if (r == 0 && lstat(path, &st) < 0)
			r = lg_fail(err, -errno, "look at '%s'", path);
		part.sizes[i] = r == 0 ? (uint64_t)st.st_size : 0;
	}
	if (r < 0)
		return r;
	snprintf(part.id, sizeof(part.id), "%s", id);
	*ret = part;
	return 0;
}

int lg_vm_part_open(const char *var, const struct lg_vm_part *part, unsigned int i, struct lg_err *err)
{
	char where[LG_VM_PATH], path[LG_STORE_PATH];
	lg_autoclose int fd = -1;
	struct stat st;
	int r = lg_vm_part_where(var, part->kernel, part->id, where, err);

	if (r == 0)
		r = file_path(where, part, i, path, err);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	if ((uint64_t)st.st_size != part->sizes[i])
		return lg_refuse(err, -ESTALE, 0, "'%s' is another one now", path);
	return lg_take_fd(&fd);
}

json_t *lg_vm_part_json(const struct lg_vm_part *part)
{
	json_t *obj = json_pack("{s:s, s:s, s:s}", "role", part->kernel ? "kernel" : "base", "digest", part->digest, "id", part->id);
	json_t *files = json_array();

	for (unsigned int i = 0; i < count_of(part); i++)
		json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "name", lg_vm_part_files(part->kernel)[i], "size",
						       (json_int_t)part->sizes[i], "sha256", part->sums[i]));
	json_object_set_new(obj, "files", files);
	return obj;
}

/* ---- what is received ---- */

static int read_file(const json_t *obj, struct lg_vm_part *part, unsigned int i)
{
	const char *name = lg_json_str(obj, "name"), *sum = lg_json_str(obj, "sha256");
	int64_t size = lg_json_int(obj, "size", 0);

	if (!name || strcmp(name, lg_vm_part_files(part->kernel)[i]) != 0 || !is_hex(sum, DIGITS) || size <= 0 ||
	    (uint64_t)size > rule_of(part, i)->max || (uint64_t)size > INT64_MAX - lg_vm_part_bytes(part))
		return -EBADMSG;
	part->sizes[i] = (uint64_t)size;
	memcpy(part->sums[i], sum, LG_VM_DIGEST);
	return 0;
}

int lg_vm_part_read(const json_t *obj, struct lg_vm_part *ret, struct lg_err *err)
{
	const char *role = lg_json_str(obj, "role"), *digest = lg_json_str(obj, "digest"), *id = lg_json_str(obj, "id");
	const json_t *files = json_object_get(obj, "files");
	struct lg_vm_part part = { .kernel = role && strcmp(role, "kernel") == 0 };
	bool sound = role && (part.kernel || strcmp(role, "base") == 0) && is_hex(digest, DIGITS) && lg_vm_identity_is_sound(id) &&
		     json_array_size(files) == count_of(&part);

	for (unsigned int i = 0; sound && i < count_of(&part); i++)
		sound = read_file(json_array_get(files, i), &part, i) == 0;
	if (!sound)
		return lg_refuse(err, -EBADMSG, 0, "what it boots from is not described as it should be");
	memcpy(part.digest, digest, LG_VM_DIGEST);
	memcpy(part.id, id, LG_VM_IDENTITY);
	*ret = part;
	return 0;
}

static int check_room(const char *var, uint64_t wanted, struct lg_err *err)
{
	char want[16], have[16];
	struct statvfs v;

	if (statvfs(var, &v) < 0)
		return lg_fail(err, -errno, "look at '%s'", var);
	if ((uint64_t)v.f_bavail * v.f_frsize >= wanted)
		return 0;
	lg_format_size(wanted, want);
	lg_format_size((uint64_t)v.f_bavail * v.f_frsize, have);
	return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE, "what it boots from takes %s, and only %s are free below %s", want, have,
			 var);
}

static int read_some(int in, void *buf, size_t size, size_t *ret, struct lg_err *err)
{
	ssize_t n;

	do {
		n = read(in, buf, size);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return lg_refuse(err, n < 0 ? -errno : -EPIPE, 0, "the connection to the other host ended");
	*ret = (size_t)n;
	return 0;
}

static int copy(int in, int out, uint64_t size, char ret_sum[LG_VM_DIGEST], struct lg_err *err)
{
	static uint8_t buf[256u << 10];
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx sum;

	sha256_init(&sum);
	while (size > 0) {
		size_t n = 0;
		int r = read_some(in, buf, size < sizeof(buf) ? (size_t)size : sizeof(buf), &n, err);

		if (r < 0)
			return r;
		sha256_update(&sum, n, buf);
		r = lg_write_all(out, buf, n);
		if (r < 0)
			return lg_fail(err, r, "write what it boots from");
		size -= n;
	}
	sha256_digest(&sum, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret_sum + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

/* Its content into @fd, to the disk, and not to be what was not announced. */
static int take_file(const struct lg_vm_part *part, unsigned int i, int in, int fd, struct lg_err *err)
{
	char sum[LG_VM_DIGEST];
	int r;

	if (fchmod(fd, rule_of(part, i)->mode) < 0)
		return lg_fail(err, -errno, "make what it boots from");
	r = copy(in, fd, part->sizes[i], sum, err);
	if (r == 0 && strcmp(sum, part->sums[i]) != 0)
		r = lg_refuse(err, -EBADMSG, 0, "what it boots from did not arrive as it was sent");
	if (r == 0 && fsync(fd) < 0)
		r = lg_fail(err, -errno, "write what it boots from");
	return r;
}

/* Being received: under a name beside its own. */
struct arrival {
	const struct lg_vm_part *part;
	int dir, in;
	char folder[LG_STORE_PATH];	/* path of @dir */
	char name[LG_VM_DIGEST + 24];
};

/* Text of a file that came, whose characters have to be of @set. */
static bool says(int dir, const char *name, const char *set)
{
	lg_autofree char *text = NULL;
	size_t len;

	return lg_file_read(dir, name, LG_VM_VERSION_MAX, &text, &len, NULL) == 0 && strlen(text) == len &&
	       strspn(text, set) == len;
}

static int check_texts(int to, struct lg_err *err)
{
	static const char of_version[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+-_~";

	return says(to, "of", HEX) && says(to, "version", of_version) ? 0 :
	       lg_refuse(err, -EBADMSG, 0, "the kernel that came does not say which it is");
}

static int take_kernel(const struct arrival *a, int to, struct lg_err *err)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < LG_VM_PART_FILES; i++) {
		lg_autoclose int fd = openat(to, kernel_files[i], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		r = fd < 0 ? lg_fail(err, -errno, "make '%s'", kernel_files[i]) : take_file(a->part, i, a->in, fd, err);
	}
	if (r == 0)
		r = check_texts(to, err);
	if (r == 0 && fsync(to) < 0)
		r = lg_fail(err, -errno, "sync the kernel");
	return r;
}

/* Return: a descriptor of what is being made, which nobody cleans as long as it is open. */
static int make_new(const struct arrival *a, struct lg_err *err)
{
	lg_autoclose int fd = -1;
	int r = lg_remove_tree(a->dir, a->name, err);

	if (r < 0)
		return r;
	if (a->part->kernel && mkdirat(a->dir, a->name, 0700) < 0)
		return lg_fail(err, -errno, "make '%s'", a->name);
	fd = openat(a->dir, a->name, a->part->kernel ? O_RDONLY | O_DIRECTORY | O_CLOEXEC : O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0)
		return lg_fail(err, -errno, "make '%s'", a->name);
	return lg_take_fd(&fd);
}

static bool is_making(const struct arrival *a, const char *name)
{
	char id[LG_VM_IDENTITY];

	return lg_vm_cache_identity(a->folder, name, a->part->kernel, id) == 0 && strcmp(id, a->part->id) == 0;
}

/* Never in the place of another one. A folder takes that of an empty one alone. */
static int rename_new(const struct arrival *a, const char *final)
{
	if (!a->part->kernel)
		return lg_vm_cache_place(a->dir, a->name, final);
	if (renameat(a->dir, a->name, a->dir, final) == 0)
		return 0;
	return errno == ENOTEMPTY ? -EEXIST : -errno;
}

/* Return: 0; 1: another one brought the same, and theirs stays. */
static int place(const struct arrival *a, struct lg_err *err)
{
	const char *end = a->part->kernel ? "" : ".img";
	char final[2][LG_VM_DIGEST + LG_VM_IDENTITY + 8];
	int r = -EEXIST;

	snprintf(final[0], sizeof(final[0]), "%s%s", a->part->digest, end);
	snprintf(final[1], sizeof(final[1]), "%s+%s%s", a->part->digest, a->part->id, end);
	for (size_t i = 0; r == -EEXIST && i < ARRAY_SIZE(final); i++) {
		r = rename_new(a, final[i]);
		if (r == -EEXIST && is_making(a, final[i]))
			r = 1;
	}
	if (r < 0)
		return lg_fail(err, r, "rename '%s'", a->name);
	return fsync(a->dir) < 0 ? lg_fail(err, -errno, "sync '%s'", a->folder) : r;
}

static int receive(const struct arrival *a, int *ret_hold, struct lg_err *err)
{
	lg_autoclose int fd = make_new(a, err);
	int r = fd;

	if (r >= 0)
		r = a->part->kernel ? take_kernel(a, fd, err) : take_file(a->part, 0, a->in, fd, err);
	if (r == 0 && !is_making(a, a->name))
		r = lg_refuse(err, -EBADMSG, 0, "what it boots from is not of the making that was announced");
	if (r == 0)
		r = place(a, err);
	if (r == 0)
		*ret_hold = lg_take_fd(&fd);
	else
		lg_remove_tree(a->dir, a->name, NULL);
	return r;
}

int lg_vm_part_receive(const char *var, const struct lg_vm_part *part, int in, int *ret_hold, struct lg_err *err)
{
	const char *role = part->kernel ? "kernel" : "base";
	struct arrival a = { .part = part, .in = in };
	int r = lg_store_path(a.folder, err, "%s/vm/%s", var, role);

	if (r == 0)
		r = check_room(var, lg_vm_part_bytes(part), err);
	if (r == 0)
		r = lg_mkdir_all(a.folder, 0700, err);
	if (r < 0)
		return r;
	a.dir = lg_open_dir(AT_FDCWD, a.folder, err);
	if (a.dir < 0)
		return a.dir;
	lg_vm_cache_new(part->digest, a.name);
	r = receive(&a, ret_hold, err);
	lg_close(a.dir);
	if (r == 1) {
		r = lg_vm_part_hold(var, role, part->id, err);
		*ret_hold = r < 0 ? *ret_hold : r;
	}
	return r < 0 ? r : 0;
}
