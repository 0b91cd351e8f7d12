/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What microVMs boot from, of kernels and modules made up here. */

#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/kind.h"
#include "lib/exit.h"
#include "storage/manifest.h"
#include "tests/unit/test_var.h"
#include "vm/cache.h"

#define ELF_BYTES 40000u

static void set_up(void)
{
	make_var_in("/tmp");
}

static void put(const char *rest, const void *bytes, size_t len)
{
	char folder[512];
	int fd;

	snprintf(folder, sizeof(folder), "%s", in_var(rest));
	*strrchr(folder, '/') = '\0';
	ck_assert_int_eq(lg_mkdir_all(folder, 0755, NULL), 0);
	fd = open(in_var(rest), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), len);
	close(fd);
}

static void put_text(const char *rest, const char *text)
{
	put(rest, text, strlen(text));
}

static bool is_there(const char *rest)
{
	return faccessat(AT_FDCWD, in_var(rest), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- kernels ---- */

/* An ELF file as a kernel's, with a note of PVH or without; a part of it is zeros. */
static void make_elf(uint8_t out[ELF_BYTES], bool pvh)
{
	Elf64_Ehdr h = { .e_machine = EM_X86_64, .e_phoff = sizeof(h), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 };
	Elf64_Phdr p = { .p_type = PT_NOTE, .p_offset = 1024, .p_filesz = 64 };
	Elf64_Nhdr notes[2] = { { .n_namesz = 4, .n_descsz = 6, .n_type = 1 },
				{ .n_namesz = 4, .n_descsz = 8, .n_type = pvh ? 18 : 17 } };

	memset(out, 0, ELF_BYTES);
	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	memcpy(out, &h, sizeof(h));
	memcpy(out + sizeof(h), &p, sizeof(p));
	memcpy(out + 1024, &notes[0], sizeof(notes[0]));
	memcpy(out + 1024 + 12, "GNU", 4);
	memcpy(out + 1024 + 24, &notes[1], sizeof(notes[1]));
	memcpy(out + 1024 + 36, "Xen", 4);
	for (size_t i = 2000; i < ELF_BYTES; i++)
		out[i] = i > 10000 && i < 30000 ? 0 : (uint8_t)(i * 7 >> 3);
}

/* @filter: of libarchive. Return: how many bytes. */
static size_t pack(int filter, const uint8_t *data, size_t len, uint8_t *out, size_t size)
{
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	size_t used = 0;

	ck_assert_int_eq(archive_write_set_format_raw(a), ARCHIVE_OK);
	ck_assert_int_eq(archive_write_add_filter(a, filter), ARCHIVE_OK);
	archive_write_set_bytes_in_last_block(a, 1);
	ck_assert_int_eq(archive_write_open_memory(a, out, size, &used), ARCHIVE_OK);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_pathname(e, "kernel");
	ck_assert_int_eq(archive_write_header(a, e), ARCHIVE_OK);
	ck_assert_int_eq(archive_write_data(a, data, len), len);
	ck_assert_int_eq(archive_write_close(a), ARCHIVE_OK);
	archive_entry_free(e);
	archive_write_free(a);
	return used;
}

static size_t make_bzimage(uint8_t *out, size_t size, int filter, const uint8_t *data, size_t len)
{
	size_t setup = 3 * 512, at = setup + 100, n;
	uint32_t word;

	memset(out, 0, size);
	out[0x1f1] = 2;
	memcpy(out + 0x202, "HdrS", 4);
	out[0x206] = 0x0f;
	out[0x207] = 0x02;
	n = pack(filter, data, len, out + at, size - at - 4);
	word = htole32((uint32_t)len);
	if (filter != ARCHIVE_FILTER_GZIP) {
		memcpy(out + at + n, &word, 4);
		n += 4;
	}
	word = htole32((uint32_t)n);
	memcpy(out + 0x24c, &word, 4);
	word = htole32(100);
	memcpy(out + 0x248, &word, 4);
	return at + n + 50;	/* there is more behind it */
}

static uint8_t elf[ELF_BYTES], bzimage[2 * ELF_BYTES], result[2 * ELF_BYTES];

/* Return: what lg_vm_vmlinux() did; @ret_len bytes are in result. */
static int unpack(size_t len, size_t *ret_len)
{
	lg_autoclose int in = -1, out = -1;
	struct lg_err err = { 0 };
	int r;

	put("bz", bzimage, len);
	in = open(in_var("bz"), O_RDONLY | O_CLOEXEC);
	out = open(in_var("out"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = lg_vm_vmlinux(in, out, &err);
	ck_assert(r >= 0 || err.msg[0]);
	*ret_len = (size_t)pread(out, result, sizeof(result), 0);
	return r;
}

static const int filters[] = { ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_ZSTD, ARCHIVE_FILTER_LZMA };

START_TEST(a_kernel_is_unpacked)
{
	size_t n;

	make_elf(elf, true);
	ck_assert_int_eq(unpack(make_bzimage(bzimage, sizeof(bzimage), filters[_i], elf, sizeof(elf)), &n), 1);
	ck_assert_uint_eq(n, sizeof(elf));
	ck_assert_mem_eq(result, elf, sizeof(elf));
}
END_TEST

START_TEST(what_cannot_be_started_unpacked_stays_as_it_is)
{
	size_t len, n;

	make_elf(elf, false);
	len = make_bzimage(bzimage, sizeof(bzimage), ARCHIVE_FILTER_XZ, elf, sizeof(elf));
	if (_i)		/* nor what it is packed with is known */
		memset(bzimage + 3 * 512 + 100, 0x55, 300);
	ck_assert_int_eq(unpack(len, &n), 0);
	ck_assert_uint_eq(n, len);
	ck_assert_mem_eq(result, bzimage, len);
}
END_TEST

static const struct {
	size_t at, len;
	uint8_t byte;
} damages[] = {
	{ 0x202, 1, 'h' },	/* no header */
	{ 0x207, 1, 1 },	/* too old */
	{ 0x248, 4, 0xff },	/* begins behind the end */
	{ 0x24c, 4, 0xff },	/* ends there */
	{ 0x24c, 4, 0 },	/* nothing in it */
};

START_TEST(what_is_no_kernel_is_refused)
{
	size_t len, n;

	make_elf(elf, true);
	len = make_bzimage(bzimage, sizeof(bzimage), ARCHIVE_FILTER_XZ, elf, sizeof(elf));
	memset(bzimage + damages[_i].at, damages[_i].byte, damages[_i].len);
	ck_assert_int_eq(unpack(len, &n), -ENOEXEC);
	ck_assert_int_eq(unpack(0, &n), -ENOEXEC);
	ck_assert_int_eq(unpack(600, &n), -ENOEXEC);
}
END_TEST

/* ---- modules ---- */

#define K "kernel/"
static const char usual_dep[] =
	K "virtio_blk.ko.xz:\n" K "fs/overlay.ko:\n" K "fs/erofs.ko.xz: " K "lib/libcrc32c.ko.xz\n"
	K "lib/libcrc32c.ko.xz:\n" K "net/virtio_net.ko.xz: " K "net/net_failover.ko.xz " K "net/failover.ko.xz\n"
	K "net/net_failover.ko.xz: " K "net/failover.ko.xz\n" K "net/failover.ko.xz:\n"
	K "fs/ext4.ko: " K "fs/mbcache.ko " K "lib/libcrc32c.ko.xz\n" K "fs/mbcache.ko:\n"
	K "virtio-rng.ko:\n" K "not_ext4.ko:\n";
static const char usual_builtin[] = K "virtio_console.ko\n" K "virtio_pci.ko\n";

START_TEST(modules_come_with_what_they_need_before_them)
{
	lg_autofree char *order = NULL;

	put_text("m/modules.dep", usual_dep);
	put_text("m/modules.builtin", usual_builtin);
	ck_assert_int_eq(lg_vm_modules_order(in_var("m"), &order, NULL), 0);
	ck_assert_str_eq(order, K "virtio_blk.ko.xz\n" K "lib/libcrc32c.ko.xz\n" K "fs/erofs.ko.xz\n" K "fs/mbcache.ko\n"
			 K "fs/ext4.ko\n" K "fs/overlay.ko\n" K "net/failover.ko.xz\n" K "net/net_failover.ko.xz\n"
			 K "net/virtio_net.ko.xz\n" K "virtio-rng.ko\n");
}
END_TEST

static const struct {
	const char *dep, *builtin;
	int want;
	const char *says;
} bad_modules[] = {
	{ K "virtio_blk.ko:\n", "", -ENOENT, "the kernel has no module 'virtio_console', which a microVM needs" },
	{ "", K "virtio_console.ko\n" K "virtio_blk.ko\n" K "ext4.ko\n" K "overlay.ko\n", -ENOENT, "'erofs'" },
	{ K "virtio_console.ko: " K "none.ko\n", "", -EINVAL, "makes no sense at 'virtio_console'" },
	{ K "virtio_console.ko: " K "virtio_console.ko\n", "", -EINVAL, "makes no sense" },
	{ K "virtio_console.ko\n", "", -EINVAL, "makes no sense" },
};

START_TEST(modules_that_do_not_do_are_refused)
{
	struct lg_err err = { 0 };
	char *order = NULL;

	put_text("m/modules.dep", bad_modules[_i].dep);
	put_text("m/modules.builtin", bad_modules[_i].builtin);
	ck_assert_int_eq(lg_vm_modules_order(in_var("m"), &order, &err), bad_modules[_i].want);
	ck_assert_msg(strstr(err.msg, bad_modules[_i].says) != NULL, "%s", err.msg);
	ck_assert_ptr_null(order);
}
END_TEST

/* Each module is its own path, packed where its name says so. */
static void put_modules(const char *folder)
{
	char path[300], rest[400];
	uint8_t packed[1000];

	for (const char *p = usual_dep; *p; p = strchr(p, '\n') + 1) {
		int len = (int)strcspn(p, ":");

		snprintf(path, sizeof(path), "%.*s", len, p);
		snprintf(rest, sizeof(rest), "%s/%s", folder, path);
		if (strstr(path, ".xz"))
			put(rest, packed, pack(ARCHIVE_FILTER_XZ, (uint8_t *)path, strlen(path), packed, sizeof(packed)));
		else
			put_text(rest, path);
	}
	snprintf(rest, sizeof(rest), "%s/modules.dep", folder);
	put_text(rest, usual_dep);
	snprintf(rest, sizeof(rest), "%s/modules.builtin", folder);
	put_text(rest, usual_builtin);
}

/* The content of @name in the cpio archive @path; "" where it is not. */
static const char *in_initrd(const char *path, const char *name)
{
	static char text[4096];
	struct archive *a = archive_read_new();
	struct archive_entry *e;

	text[0] = '\0';
	archive_read_support_format_cpio(a);
	ck_assert_int_eq(archive_read_open_filename(a, path, 65536), ARCHIVE_OK);
	while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
		la_ssize_t n;

		if (strcmp(archive_entry_pathname(e), name) != 0)
			continue;
		n = archive_read_data(a, text, sizeof(text) - 1);
		ck_assert_int_ge(n, 0);
		text[n] = '\0';
	}
	archive_read_free(a);
	return text;
}

START_TEST(an_initrd_has_the_agent_and_unpacked_modules)
{
	lg_autoclose int out = -1;
	struct lg_err err = { 0 };
	char path[512];

	put_modules("m");
	put_text("agent", "the agent");
	snprintf(path, sizeof(path), "%s", in_var("agent"));
	out = open(in_var("initrd"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_msg(lg_vm_initrd(out, in_var("m"), false, path, &err) == 0, "%s", err.msg);
	snprintf(path, sizeof(path), "%s", in_var("initrd"));
	ck_assert_str_eq(in_initrd(path, "init"), "the agent");
	ck_assert_str_eq(in_initrd(path, "modules/erofs.ko"), K "fs/erofs.ko.xz");
	ck_assert_str_eq(in_initrd(path, "modules/ext4.ko"), K "fs/ext4.ko");
	ck_assert_str_eq(in_initrd(path, "modules/order"),
			 "virtio_blk.ko\nlibcrc32c.ko\nerofs.ko\nmbcache.ko\next4.ko\noverlay.ko\nfailover.ko\n"
			 "net_failover.ko\nvirtio_net.ko\nvirtio-rng.ko\n");
	ck_assert_str_eq(in_initrd(path, "modules/not_ext4.ko"), "");
}
END_TEST

/* A module, and behind it a signature of @n bytes. */
static void put_signed(const char *name, const char *module, unsigned int n)
{
	static const char mark[] = "~Module signature appended~\n";
	char bytes[400];
	size_t len = (size_t)snprintf(bytes, sizeof(bytes), "%s", module);

	memset(bytes + len, 's', n);
	len += n;
	memset(bytes + len, 0, 12);
	bytes[len + 11] = (char)n;
	bytes[len + 10] = (char)(n >> 8);
	len += 12;
	memcpy(bytes + len, mark, sizeof(mark) - 1);
	put(name, bytes, len + sizeof(mark) - 1);
}

static size_t initrd_module(bool sealed, const char *name)
{
	lg_autoclose int out = open(in_var("initrd"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct lg_err err = { 0 };
	char agent[512], path[512];

	snprintf(agent, sizeof(agent), "%s", in_var("agent"));
	ck_assert_msg(lg_vm_initrd(out, in_var("m"), sealed, agent, &err) == 0, "%s", err.msg);
	snprintf(path, sizeof(path), "%s", in_var("initrd"));
	return strlen(in_initrd(path, name));
}

START_TEST(signatures_stay_where_the_kernel_wants_them)
{
	put_modules("m");
	put_text("agent", "the agent");
	put_signed("m/" K "fs/ext4.ko", "the module", 300);
	ck_assert_uint_eq(initrd_module(false, "modules/ext4.ko"), 10);
	ck_assert_uint_gt(initrd_module(true, "modules/ext4.ko"), 300);
	put_text("m/" K "fs/ext4.ko", "the module\1\1\1\1~Module signature appended~\n");
	ck_assert_uint_eq(initrd_module(false, "modules/ext4.ko"), 10 + 4 + 28);
	put_text("m/" K "fs/ext4.ko", "~Module signature appended~\n");
	ck_assert_uint_eq(initrd_module(false, "modules/ext4.ko"), 28);
}
END_TEST

/* ---- the cache ---- */

static void put_template(const char *name, const char *more, const char *digest)
{
	char path[200], text[600];

	snprintf(text, sizeof(text), "NAME=\"%s\"\nVERSION=\"13\"\nOS=\"debian\"\nARCH=\"x86_64\"\nDIGEST=\"sha256:%s\"\n"
		 "SIZE=\"1\"\nBUILT=\"1\"\n%s", name, digest, more);
	snprintf(path, sizeof(path), "templates/%s/manifest", name);
	put_text(path, text);
	snprintf(path, sizeof(path), "templates/%s/rootfs/etc/%s", name, name);
	put_text(path, name);
}

#define GUEST "INIT=\"/sbin/init\"\nINIT_KIND=\"systemd\"\nSTOP_SIGNAL=\"37\"\n"

static void put_kernel(const char *name, const char *for_what, const char *digest, const char *version)
{
	char more[100], path[300];
	size_t len;

	snprintf(more, sizeof(more), "KERNEL_FOR=\"%s\"\n", for_what);
	put_template(name, more, digest);
	make_elf(elf, true);
	len = make_bzimage(bzimage, sizeof(bzimage), ARCHIVE_FILTER_XZ, elf, sizeof(elf));
	snprintf(path, sizeof(path), "templates/%s/rootfs/boot/vmlinuz-%s", name, version);
	put(path, bzimage, len);
	snprintf(path, sizeof(path), "templates/%s/rootfs/lib/modules/%s", name, version);
	put_modules(path);
}

static void load(const char *name, struct lg_template *ret)
{
	struct lg_err err = { 0 };

	ck_assert_msg(lg_template_load(var, name, ret, &err) == 0, "%s", err.msg);
}

START_TEST(the_kernel_that_fits_is_taken)
{
	struct lg_template t, k;
	struct lg_err err = { 0 };

	put_template("guest", GUEST, "aa");
	load("guest", &t);
	ck_assert_int_eq(lg_vm_kernel_template(var, &t, NULL, &k, &err), -ENOENT);
	ck_assert_int_eq(err.exit_code, LG_EXIT_NO_TEMPLATE);
	ck_assert_ptr_nonnull(strstr(err.msg, "`lodge template build debian-13-kernel`"));
	put_kernel("z-kernel", "other 1", "bb", "1.0");
	ck_assert_int_eq(lg_vm_kernel_template(var, &t, NULL, &k, &err), 0);
	ck_assert_str_eq(k.name, "z-kernel");
	put_kernel("a-kernel", "debian 13", "cc", "1.0");
	ck_assert_int_eq(lg_vm_kernel_template(var, &t, NULL, &k, &err), 0);
	ck_assert_str_eq(k.name, "a-kernel");
	ck_assert_str_eq(k.kernel_for, "debian 13");
	ck_assert_int_eq(lg_vm_kernel_template(var, &t, "z-kernel", &k, &err), 0);
	ck_assert_str_eq(k.name, "z-kernel");
	ck_assert_int_eq(lg_vm_kernel_template(var, &t, "guest", &k, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "'guest' is no template of a kernel");
}
END_TEST

static bool have_mkfs(void)
{
	return access("/usr/bin/mkfs.erofs", X_OK) == 0 || access("/sbin/mkfs.erofs", X_OK) == 0 ||
	       access("/usr/sbin/mkfs.erofs", X_OK) == 0;
}

START_TEST(a_kernel_is_made_once_for_an_agent)
{
	struct lg_vm_kernel k, other;
	struct lg_err err = { 0 };
	struct lg_template t;
	char agent[512];

	if (!have_mkfs())
		return;
	put_kernel("k", "debian 13", "cc", "6.9-x");
	put_kernel("k", "debian 13", "cc", "6.12-x");
	load("k", &t);
	put_text("agent", "the agent");
	snprintf(agent, sizeof(agent), "%s", in_var("agent"));
	ck_assert_int_eq(lg_vm_kernel_find(var, &t, agent, &k, &err), -ENOENT);
	ck_assert_msg(lg_vm_kernel_make(var, &t, agent, NULL, NULL, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(lg_vm_kernel_find(var, &t, agent, &k, &err), 0);
	ck_assert_str_eq(k.version, "6.12-x");
	ck_assert_str_eq(k.template, "k");
	ck_assert_int_eq(access(k.vmlinux, R_OK) | access(k.initrd, R_OK) | access(k.modules, R_OK), 0);
	ck_assert_str_eq(in_initrd(k.initrd, "init"), "the agent");
	ck_assert_int_eq(lg_vm_kernel_make(var, &t, agent, NULL, NULL, &err), 0);
	put_text("agent", "another agent");
	ck_assert_int_eq(lg_vm_kernel_find(var, &t, agent, &other, &err), -ENOENT);
	/* As long as its template is there what was made of it stays. */
	ck_assert_int_eq(lg_vm_cache_clean(var, "", &err), 0);
	ck_assert_int_eq(access(k.vmlinux, R_OK), 0);
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, in_var("templates/k"), NULL), 0);
	ck_assert_int_eq(lg_vm_cache_clean(var, "", &err), 0);
	ck_assert_int_eq(access(k.vmlinux, R_OK), -1);
}
END_TEST

/* clang-format off */
static const struct {
	const char *config;	/* NULL: the template has none */
	bool sealed;
} configs[] = {
	{ NULL, true },
	{ "CONFIG_MODULE_SIG=y\n# CONFIG_MODULE_SIG_FORCE is not set\n", false },
	{ "CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n", true },
	{ "CONFIG_X=y\nCONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y\n", true },
	{ "CONFIG_CMDLINE=\"quiet module.sig_enforce=1\"\n", true },
};
/* clang-format on */

START_TEST(a_kernel_says_whether_it_wants_signatures)
{
	char agent[512];
	struct lg_err err = { 0 };
	struct lg_vm_kernel k;
	struct lg_template t;

	if (!have_mkfs())
		return;
	put_kernel("k", "debian 13", "cc", "6.12-x");
	put_signed("templates/k/rootfs/lib/modules/6.12-x/" K "fs/ext4.ko", "the module", 300);
	if (configs[_i].config)
		put_text("templates/k/rootfs/boot/config-6.12-x", configs[_i].config);
	put_text("agent", "the agent");
	snprintf(agent, sizeof(agent), "%s", in_var("agent"));
	load("k", &t);
	ck_assert_msg(lg_vm_kernel_make(var, &t, agent, NULL, NULL, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(lg_vm_kernel_find(var, &t, agent, &k, &err), 0);
	ck_assert_int_eq(strlen(in_initrd(k.initrd, "modules/ext4.ko")) > 10, configs[_i].sealed || lg_kvm_usable(NULL));
}
END_TEST

START_TEST(a_template_without_a_kernel_makes_none)
{
	struct lg_err err = { 0 };
	struct lg_template t;
	char agent[512];

	put_template("k", "KERNEL_FOR=\"debian 13\"\n", "cc");
	load("k", &t);
	put_text("agent", "the agent");
	snprintf(agent, sizeof(agent), "%s", in_var("agent"));
	ck_assert_int_eq(lg_vm_kernel_make(var, &t, agent, NULL, NULL, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "kernel of 'k': there is no /boot/vmlinuz-* in it");
	put_text("templates/k/rootfs/boot/vmlinuz-1", "no kernel");
	ck_assert_int_eq(lg_vm_kernel_make(var, &t, agent, NULL, NULL, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.msg, "there is no /lib/modules/1 in it"));
	ck_assert_int_eq(lg_mkdir_all(in_var("templates/k/rootfs/lib/modules/1"), 0755, NULL), 0);
	ck_assert_int_eq(lg_vm_kernel_make(var, &t, agent, NULL, NULL, &err), -ENOEXEC);
	ck_assert_int_eq(rmdir(in_var("vm/kernel")), 0);	/* nothing is left */
}
END_TEST

START_TEST(a_base_disk_is_made_once_and_goes_with_its_template)
{
	struct lg_err err = { 0 };
	struct lg_template t;
	char path[LG_VM_PATH];
	int held;

	if (!have_mkfs())
		return;
	put_template("guest", GUEST, "aabb");
	load("guest", &t);
	ck_assert_int_eq(lg_vm_base_ready(var, &t), 0);
	ck_assert_msg(lg_vm_base_make(var, &t, NULL, NULL, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(lg_vm_base_ready(var, &t), 1);
	ck_assert_int_eq(lg_vm_base_make(var, &t, NULL, NULL, &err), 0);
	lg_vm_base_path(var, &t, path);
	ck_assert_str_eq(path, in_var("vm/base/aabb.img"));
	/* A killed maker's goes, and a living one's stays. */
	put_text("vm/base/.ccdd.1.new", "killed");
	put_text("vm/base/.eeff.2.new", "alive");
	held = open(in_var("vm/base/.eeff.2.new"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(flock(held, LOCK_EX), 0);
	ck_assert_int_eq(lg_vm_cache_clean(var, "", &err), 0);
	ck_assert(is_there("vm/base/aabb.img"));
	ck_assert(!is_there("vm/base/.ccdd.1.new"));
	ck_assert(is_there("vm/base/.eeff.2.new"));
	close(held);
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, in_var("templates/guest"), NULL), 0);
	ck_assert_int_eq(lg_vm_cache_clean(var, "", &err), 0);
	ck_assert(!is_there("vm/base/aabb.img"));
}
END_TEST

START_TEST(what_mkfs_says_is_said)
{
	struct lg_err err = { 0 };

	if (!have_mkfs())
		return;
	ck_assert_int_eq(lg_vm_erofs(in_var("none"), in_var("image"), &err), -EIO);
	ck_assert_msg(strncmp(err.msg, "mkfs.erofs: ", 12) == 0, "%s", err.msg);
}
END_TEST

/* ---- the command line ---- */

START_TEST(the_emulator_gets_what_it_needs)
{
	char text[400];

	ck_assert_int_eq(lg_vm_cmdline("tcg", "microvm", 2, text, sizeof(text)), 0);
	ck_assert_ptr_nonnull(strstr(text, "console=ttyS0"));
	ck_assert_ptr_nonnull(strstr(text, " maxcpus=2"));
	ck_assert_ptr_nonnull(strstr(text, " tsc_early_khz="));
	ck_assert_int_eq(lg_vm_cmdline("kvm", "microvm", 1, text, sizeof(text)), 0);
	ck_assert_ptr_null(strstr(text, "tsc"));
	ck_assert_int_eq(lg_vm_cmdline("tcg", "microvm", 1, text, 30), -ENAMETOOLONG);
	ck_assert_int_eq(lg_vm_cmdline("tcg", "microvm", 1, text, 120), -ENAMETOOLONG);
	ck_assert_uint_ge(lg_vm_tsc_khz(), 500000);
	ck_assert_uint_le(lg_vm_tsc_khz(), 10000000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vm_boot");
	TCase *tc = tcase_create("boot");
	SRunner *sr;
	int failures;

	tcase_add_checked_fixture(tc, set_up, remove_var);
	tcase_add_loop_test(tc, a_kernel_is_unpacked, 0, ARRAY_SIZE(filters));
	tcase_add_loop_test(tc, what_cannot_be_started_unpacked_stays_as_it_is, 0, 2);
	tcase_add_loop_test(tc, what_is_no_kernel_is_refused, 0, ARRAY_SIZE(damages));
	tcase_add_test(tc, modules_come_with_what_they_need_before_them);
	tcase_add_loop_test(tc, modules_that_do_not_do_are_refused, 0, ARRAY_SIZE(bad_modules));
	tcase_add_test(tc, an_initrd_has_the_agent_and_unpacked_modules);
	tcase_add_test(tc, signatures_stay_where_the_kernel_wants_them);
	tcase_add_test(tc, the_kernel_that_fits_is_taken);
	tcase_add_test(tc, a_kernel_is_made_once_for_an_agent);
	tcase_add_loop_test(tc, a_kernel_says_whether_it_wants_signatures, 0, ARRAY_SIZE(configs));
	tcase_add_test(tc, a_template_without_a_kernel_makes_none);
	tcase_add_test(tc, a_base_disk_is_made_once_and_goes_with_its_template);
	tcase_add_test(tc, what_mkfs_says_is_said);
	tcase_add_test(tc, the_emulator_gets_what_it_needs);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
