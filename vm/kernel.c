/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/kind.h"
#include "storage/store.h"
#include "vm/cache.h"

/* Goes into the digest: what is made now is not what another lodge made of the same. */
#define MADE_AS "lodge kernel 2"

#define KERNEL_PREFIX "vmlinuz-"
#define CONFIG_MAX (4u << 20)

/* ---- which template ---- */

struct search {
	char fits[100];		/* "OS VERSION" */
	struct lg_template *ret;
	bool found;
};

/* The one that fits, else the last by name, which is the newest of a distribution. */
static int consider(const struct lg_template *t, void *arg)
{
	struct search *s = arg;

	if (!t->kernel_for[0])
		return 0;
	*s->ret = *t;
	s->found = true;
	return strcmp(t->kernel_for, s->fits) == 0;
}

static int no_kernel(const struct lg_template *t, struct lg_err *err)
{
	bool old = strcmp(t->os, "debian") == 0 && strcmp(t->version, "12") == 0;

	return lg_refuse(err, -ENOENT, LG_EXIT_NO_TEMPLATE,
			 "there is no kernel for microVMs: `lodge template build debian-%d-kernel`", old ? 12 : 13);
}

int lg_vm_kernel_template(const char *var, const struct lg_template *t, const char *wanted, struct lg_template *ret,
			  struct lg_err *err)
{
	struct lg_template found;
	struct search s = { .ret = &found };
	int r;

	if (wanted && *wanted) {
		r = lg_template_load(var, wanted, &found, err);
		if (r < 0)
			return r;
		if (!found.kernel_for[0])
			return lg_refuse(err, -ENOENT, LG_EXIT_NO_TEMPLATE, "'%s' is no template of a kernel", wanted);
		*ret = found;
		return 0;
	}
	snprintf(s.fits, sizeof(s.fits), "%s %s", t->os, t->version);
	r = lg_template_each(var, consider, &s, err);
	if (r < 0)
		return r;
	if (!s.found)
		return no_kernel(t, err);
	*ret = found;
	return 0;
}

/* ---- names ---- */

static int name_it(const struct lg_template *kernel, const char *agent, char ret[LG_VM_DIGEST], struct lg_err *err)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	char of_agent[LG_VM_DIGEST], text[256];
	struct sha256_ctx sum;
	int r = lg_vm_file_digest(agent, of_agent, err);

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), MADE_AS "\n%s\n%s\n", kernel->digest, of_agent);
	sha256_init(&sum);
	sha256_update(&sum, strlen(text), (const uint8_t *)text);
	sha256_digest(&sum, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

int lg_vm_kernel_describe(const char *folder, struct lg_vm_kernel *ret, struct lg_err *err)
{
	const struct {
		const char *name;
		char *path;
	} files[] = {
		{ "vmlinux", ret->vmlinux }, { "initrd", ret->initrd }, { "modules.img", ret->modules },
	};
	lg_autofree char *version = NULL;
	char path[LG_STORE_PATH];
	int r = lg_store_path(path, err, "%s/version", folder);

	if (r == 0)
		r = lg_file_read(AT_FDCWD, path, 2 * LG_VM_VERSION_MAX, &version, NULL, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		if (snprintf(files[i].path, LG_VM_PATH, "%s/%s", folder, files[i].name) >= (int)LG_VM_PATH)
			r = lg_fail(err, -ENAMETOOLONG, "path '%.80s...'", folder);
	if (r == 0)
		snprintf(ret->version, sizeof(ret->version), "%.*s", (int)strcspn(version, "\n"), version);
	return r;
}

int lg_vm_kernel_find(const char *var, const struct lg_template *kernel, const char *agent, struct lg_vm_kernel *ret,
		      struct lg_err *err)
{
	char name[LG_VM_DIGEST], folder[LG_STORE_PATH];
	struct lg_err why = { 0 };
	int r = name_it(kernel, agent, name, err);

	if (r == 0)
		r = lg_store_path(folder, err, "%s/vm/kernel/%s", var, name);
	if (r < 0)
		return r;
	r = lg_vm_kernel_describe(folder, ret, &why);
	if (r == -ENOENT)
		return lg_refuse(err, r, 0, "nothing was made of the kernel '%s' yet", kernel->name);
	if (r < 0 && err)
		*err = why;
	snprintf(ret->template, sizeof(ret->template), "%s", kernel->name);
	return r;
}

/* ---- making ---- */

/* The newest, where there are several: the last by name that has its modules. */
static int find_version(int root, char ret[65], struct lg_err *err)
{
	int fd = lg_open_beneath(root, "/boot", O_RDONLY | O_DIRECTORY, 0);
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t prefix = strlen(KERNEL_PREFIX);
	struct dirent *e;

	ret[0] = '\0';
	while (dir && (e = readdir(dir)))
		if (strncmp(e->d_name, KERNEL_PREFIX, prefix) == 0 && strlen(e->d_name + prefix) < 65 &&
		    strverscmp(e->d_name + prefix, ret) > 0)
			snprintf(ret, 65, "%.64s", e->d_name + prefix);
	return *ret ? 0 : lg_refuse(err, -ENOENT, LG_EXIT_BAD_TEMPLATE, "there is no /boot/" KERNEL_PREFIX "* in it");
}

/* QEMU opens what it boots anew, as its own user (/proc/self/fd/N): the folders are closed to others, but the file is not. */
static int may_read(int fd)
{
	return fchmod(fd, 0644);
}

static int make_vmlinux(int root, const char *version, int to, struct lg_err *err)
{
	lg_autoclose int in = -1, out = openat(to, "vmlinux", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char path[100];

	snprintf(path, sizeof(path), "/boot/" KERNEL_PREFIX "%s", version);
	in = lg_open_beneath(root, path, O_RDONLY, 0);
	if (in < 0 || out < 0)
		return lg_fail(err, in < 0 ? in : -EIO, "open %s", path);
	return may_read(out) < 0 ? lg_fail(err, -errno, "make vmlinux") : lg_vm_vmlinux(in, out, err);
}

struct making {
	const struct lg_template *kernel;
	const char *agent;
	int root, to;
	char version[65];
	char modules[LG_STORE_PATH];	/* path of its folder of modules */
	char folder[LG_STORE_PATH];	/* path of @to */
	void (*progress)(const char *line, void *arg);
	void *arg;
};

static void say(const struct making *m, const char *line)
{
	if (m->progress)
		m->progress(line, m->arg);
}

static int find_modules(struct making *m, struct lg_err *err)
{
	static const char *const places[] = { "usr/lib/modules", "lib/modules" };
	struct stat st;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		r = lg_store_path(m->modules, err, "%s/%s/%s", m->kernel->rootfs, places[i], m->version);
		if (r < 0)
			return r;
		if (lstat(m->modules, &st) == 0 && S_ISDIR(st.st_mode))
			return 0;
	}
	return lg_refuse(err, -ENOENT, LG_EXIT_BAD_TEMPLATE, "there is no /lib/modules/%s in it", m->version);
}

/*
 * Without them the kernel counts itself as tainted, which only an emulated machine's quicker start is worth. One that does not say how it
 * was built may take no others.
 */
static bool wants_signatures(const struct making *m)
{
	static const char *const settings[] = {
		"\nCONFIG_MODULE_SIG_FORCE=y", "\nCONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y",
		"\nCONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY=y", "module.sig_enforce",
	};
	lg_autoclose int boot = lg_open_beneath(m->root, "/boot", O_PATH | O_DIRECTORY, 0);
	lg_autofree char *text = NULL;
	char name[80];

	if (lg_kvm_usable(NULL))
		return true;
	snprintf(name, sizeof(name), "config-%s", m->version);
	if (boot < 0 || lg_file_read(boot, name, CONFIG_MAX, &text, NULL, NULL) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (strstr(text, settings[i]))
			return true;
	return false;
}

static int make_initrd(const struct making *m, struct lg_err *err)
{
	lg_autoclose int out = openat(m->to, "initrd", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (out < 0 || may_read(out) < 0)
		return lg_fail(err, -errno, "make the initrd");
	return lg_vm_initrd(out, m->modules, wants_signatures(m), m->agent, err);
}

static int make_modules(const struct making *m, struct lg_err *err)
{
	char image[LG_STORE_PATH];
	int r = lg_store_path(image, err, "%s/modules.img", m->folder);

	if (r == 0)
		r = lg_vm_erofs(m->modules, image, err);
	return r < 0 || chmod(image, 0600) == 0 ? r : lg_fail(err, -errno, "make '%s'", image);
}

static int make_all(struct making *m, struct lg_err *err)
{
	const char *digits = strchr(m->kernel->digest, ':');
	int r = find_version(m->root, m->version, err);

	if (r == 0)
		r = find_modules(m, err);
	if (r < 0)
		return r;
	say(m, "unpacking the kernel");
	r = make_vmlinux(m->root, m->version, m->to, err);
	if (r >= 0) {
		say(m, "making the initrd");
		r = make_initrd(m, err);
	}
	if (r == 0) {
		say(m, "making a disk of its modules");
		r = make_modules(m, err);
	}
	if (r == 0)
		r = lg_file_replace(m->to, "of", digits ? digits + 1 : m->kernel->digest,
				    strlen(digits ? digits + 1 : m->kernel->digest), 0600, err);
	if (r == 0)
		r = lg_file_replace(m->to, "version", m->version, strlen(m->version), 0600, err);
	return r;
}

static int make_in(struct making *m, int dir, const char *name, struct lg_err *err)
{
	int r = lg_remove_tree(dir, name, err);

	if (r == 0 && mkdirat(dir, name, 0700) < 0)
		r = lg_fail(err, -errno, "make '%s'", name);
	if (r < 0)
		return r;
	m->to = lg_open_dir(dir, name, err);
	if (m->to < 0)
		return m->to;
	r = lg_vm_cache_lock(m->to);
	if (r == 0)
		r = make_all(m, err);
	if (r == 0 && syncfs(m->to) < 0)
		r = lg_fail(err, -errno, "sync '%s'", name);
	return r;
}

/* Another one may have been faster: then theirs stays. */
static int keep(int dir, const char *name, const char *final, struct lg_err *err)
{
	if (renameat(dir, name, dir, final) == 0)
		return fsync(dir) < 0 ? lg_fail(err, -errno, "sync the kernels") : 0;
	if (errno == ENOTEMPTY || errno == EEXIST)
		return lg_remove_tree(dir, name, err);
	return lg_fail(err, -errno, "rename '%s'", name);
}

static int make(struct making *m, const char *var, const char *final, struct lg_err *err)
{
	char name[LG_VM_DIGEST + 24], folder[LG_STORE_PATH];
	lg_autoclose int dir = -1;
	int r = lg_store_path(folder, err, "%s/vm/kernel", var);

	lg_vm_cache_new(final, name);
	if (r == 0)
		r = lg_store_path(m->folder, err, "%s/%s", folder, name);
	if (r == 0)
		r = lg_mkdir_all(folder, 0700, err);
	if (r < 0)
		return r;
	dir = lg_open_dir(AT_FDCWD, folder, err);
	if (dir < 0)
		return dir;
	r = make_in(m, dir, name, err);
	if (r == 0)
		r = keep(dir, name, final, err);
	else
		lg_remove_tree(dir, name, NULL);
	m->to = lg_close(m->to);
	return r;
}

int lg_vm_kernel_make(const char *var, const struct lg_template *kernel, const char *agent,
		      void (*progress)(const char *line, void *arg), void *arg, struct lg_err *err)
{
	struct making m = { .kernel = kernel, .agent = agent, .root = -1, .to = -1, .progress = progress, .arg = arg };
	struct lg_vm_kernel there;
	char final[LG_VM_DIGEST];
	int r;

	if (lg_vm_kernel_find(var, kernel, agent, &there, NULL) == 0)
		return 0;
	r = name_it(kernel, agent, final, err);
	if (r == 0) {
		m.root = lg_open_dir(AT_FDCWD, kernel->rootfs, err);
		r = m.root < 0 ? m.root : make(&m, var, final, err);
	}
	lg_close(m.root);
	return r < 0 ? lg_within(err, r, "kernel of '%s'", kernel->name) : 0;
}
