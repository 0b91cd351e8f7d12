/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodged/spec.h"
#include "cmd/lodged/suspend.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/json.h"
#include "storage/store.h"

#define DISK_PATIENCE_MS 500u	/* the last QEMU may be just going */
#define NO_MEDIUM "none"
#define STATE (VM_SPEC_FDS - 1)	/* what is resumed: its place among the descriptors */

/* UEFI's program, and the empty memory of its settings that a new machine begins with. */
/* clang-format off */
static const struct firmware {
	const char *code, *vars;
} firmwares[] = {
	{ "/usr/share/OVMF/OVMF_CODE_4M.fd",	   "/usr/share/OVMF/OVMF_VARS_4M.fd" },		/* Debian, Ubuntu */
	{ "/usr/share/OVMF/OVMF_CODE.fd",	   "/usr/share/OVMF/OVMF_VARS.fd" },
	{ "/usr/share/edk2/ovmf/OVMF_CODE.fd",	   "/usr/share/edk2/ovmf/OVMF_VARS.fd" },	/* Fedora, RHEL */
	{ "/usr/share/edk2/x64/OVMF_CODE.4m.fd",   "/usr/share/edk2/x64/OVMF_VARS.4m.fd" },	/* Arch */
	{ "/usr/share/qemu/ovmf-x86_64-code.bin",  "/usr/share/qemu/ovmf-x86_64-vars.bin" },	/* SUSE */
};

/* Settings that only such a VM has: who gives one of them wants one. */
static const char *const makes_one[] = { "os", "firmware", "cdrom", "screen" };
/* clang-format on */

/* ---- what it is ---- */

bool foreign_is_hardware(const struct lg_setting *s)
{
	for (size_t i = 0; s->name && i < ARRAY_SIZE(makes_one); i++)
		if (strcmp(s->name, makes_one[i]) == 0)
			return true;
	return false;
}

static bool wants_one(const json_t *settings, bool image)
{
	for (size_t i = 0; i < ARRAY_SIZE(makes_one); i++) {
		const char *value = lg_json_str(settings, makes_one[i]);

		image |= value && *value;
	}
	return image;
}

int foreign_defaults(struct lg_conf *conf, const json_t *settings, bool image, struct lg_err *err)
{
	const char *template = lg_json_str(settings, "template"), *os = lg_conf_get(conf, "VM_OS");
	int r;

	if (!wants_one(settings, image) && !(os && *os && lg_kind_is_vm(conf)))
		return 0;
	if (!lg_kind_is_vm(conf))
		return image ? lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION, "disk-image: a container has no disk to boot from: make a "
					 "VM of it (--vm)") : 0;
	if (template && *template)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION, "template: the VM boots either a template or what is on its disk "
				 "(disk-image, os, firmware, cdrom, screen)");
	r = lg_conf_set(conf, "OSTEMPLATE", NULL, err);
	if (r == 0 && !(os && *os))
		r = lg_conf_set(conf, "VM_OS", "linux", err);
	return r;
}

static bool is_set(const struct lg_conf *conf, const char *key, const char *word)
{
	const char *value = lg_conf_get(conf, key);

	return value && strcmp(value, word) == 0;
}

static int find_firmware(const struct firmware **ret, struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(firmwares); i++)
		if (access(firmwares[i].code, R_OK) == 0 && access(firmwares[i].vars, R_OK) == 0) {
			*ret = &firmwares[i];
			return 0;
		}
	return lg_refuse(err, -ENOENT, LG_EXIT_RESOURCES, "firmware: UEFI comes with the package ovmf, which is not installed");
}

/* What is below VAR/ct and VAR/checkpoint is nobody else's, whatever the rights that it has there. */
static bool is_of_an_instance(const struct daemon *d, int fd)
{
	static const char *const folders[] = { "ct", "checkpoint" };
	lg_autofree char *var = realpath(d->root.var, NULL);
	char name[40], path[PATH_MAX], folder[PATH_MAX];
	bool found = false;
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, path, sizeof(path) - 1);
	if (n < 0 || !var)
		return true;
	path[n] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(folder, sizeof(folder), "%.4000s/%s/", var, folders[i]);
		found |= strncmp(path, folder, strlen(folder)) == 0;
	}
	return found;
}

/*
 * What is in the drive is the guest's to read. We are root, and who may speak to us need not be: only what everybody may read goes
 * into a drive, so that nobody gets at a file by this way. No part of the path may be a link.
 */
int foreign_open_medium(const struct daemon *d, const char *path, int *ret, struct lg_err *err)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
				.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	lg_autoclose int fd = -1;
	struct stat st;

	*ret = -1;
	if (strcmp(path, NO_MEDIUM) == 0)
		return 0;
	if (path[0] != '/')
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "cdrom: '%.200s' is no absolute path", path);
	if (strlen(path) >= LG_VM_MEDIUM)
		return lg_refuse(err, -ENAMETOOLONG, LG_EXIT_BAD_VALUE, "cdrom: '%.60s...' is longer than %u bytes", path, LG_VM_MEDIUM - 1);
	fd = lg_openat2(AT_FDCWD, path, &how);
	if (fd < 0 && errno == ELOOP)
		return lg_refuse(err, -ELOOP, LG_EXIT_BAD_VALUE, "cdrom: a part of '%.200s' is a symbolic link: name the file itself",
				 path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "cdrom: open '%.200s'", path);
	if (!S_ISREG(st.st_mode))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "cdrom: '%.200s' is no file", path);
	if (!(st.st_mode & S_IROTH))
		return lg_refuse(err, -EACCES, LG_EXIT_PERMISSION, "cdrom: '%.200s' is not readable by everybody, and what a guest reads "
				 "has to be (chmod o+r)", path);
	if (is_of_an_instance(d, fd))
		return lg_refuse(err, -EACCES, LG_EXIT_PERMISSION, "cdrom: '%.200s' belongs to a container or a VM", path);
	*ret = lg_take_fd(&fd);
	return 0;
}

const char *foreign_medium(const struct lg_conf *conf)
{
	const char *path = lg_conf_get(conf, "VM_CDROM");

	return path && *path ? path : NO_MEDIUM;
}

static int check_hardware(const struct daemon *d, const struct lg_conf *conf, const char *medium, struct lg_err *err)
{
	const struct firmware *firmware;
	int fd = -1, r = 0;

	if (is_set(conf, "VM_FIRMWARE", "uefi"))
		r = find_firmware(&firmware, err);
	if (r == 0)
		r = foreign_open_medium(d, medium, &fd, err);
	lg_close(fd);
	return r;
}

int foreign_check(const struct daemon *d, const struct lg_conf *conf, struct lg_err *err)
{
	return lg_kind_is_foreign(conf) ? check_hardware(d, conf, foreign_medium(conf), err) : 0;
}

int foreign_check_machine(const struct instance *ct, struct lg_err *err)
{
	return check_hardware(ct->d, ct->conf, ct->vm_run.cdrom[0] ? ct->vm_run.cdrom : NO_MEDIUM, err);
}

bool foreign_vnc(const struct instance *ct, char path[300])
{
	snprintf(path, 300, "%s/ct/%u.vnc", ct->d->root.run, ct->ctid);
	return lg_kind_is_foreign(ct->conf) && is_set(ct->conf, "VM_SCREEN", "vnc");
}

/* ---- START ---- */

struct drive {
	const char *disk;	/* START's field */
	int fd;
};

/* A machine's own settings of its firmware: the boot order, keys. Made of the empty ones at its first start. */
static int open_vars(const struct instance *ct, const struct firmware *firmware, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	char name[64];
	size_t len;
	int fd, r;

	snprintf(name, sizeof(name), "ct/%u/" LG_VM_VARS, ct->ctid);
	fd = openat(ct->d->var_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? lg_fail(err, -errno, "open '%s'", name) : fd;
	r = lg_file_read(AT_FDCWD, firmware->vars, LG_VM_VARS_MAX, &text, &len, err);
	if (r == 0)
		r = lg_file_replace(ct->d->var_fd, name, text, len, 0600, err);
	if (r < 0)
		return r;
	fd = openat(ct->d->var_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? lg_fail(err, -errno, "open '%s'", name) : fd;
}

static int open_firmware(const struct instance *ct, struct drive *code, struct drive *vars, struct lg_err *err)
{
	const struct firmware *firmware;

	if (!is_set(ct->conf, "VM_FIRMWARE", "uefi"))
		return 0;
	if (find_firmware(&firmware, err) < 0)
		return err->code;
	code->fd = open(firmware->code, O_RDONLY | O_CLOEXEC);
	if (code->fd < 0)
		return lg_fail(err, -errno, "open '%s'", firmware->code);
	vars->fd = open_vars(ct, firmware, err);
	return vars->fd < 0 ? vars->fd : 0;
}

/* In @fds from 1 on: what is not there is left out. */
static int open_drives(const struct instance *ct, struct lg_msg *m, int fds[VM_SPEC_FDS], struct lg_err *err)
{
	struct drive drives[] = { { "code raw ro", -1 }, { "vars raw rw", -1 }, { "disk raw rw", -1 }, { "cdrom raw ro", -1 } };
	size_t n = 1;
	int r;

	_Static_assert(ARRAY_SIZE(drives) < STATE, "a place for each");
	drives[2].fd = lg_disk_open_raw(ct->d->root.var, ct->ctid, DISK_PATIENCE_MS, err);
	r = drives[2].fd < 0 ? drives[2].fd : open_firmware(ct, &drives[0], &drives[1], err);
	if (r == 0 && ct->vm_run.cdrom[0])
		r = foreign_open_medium(ct->d, ct->vm_run.cdrom, &drives[3].fd, err);
	for (size_t i = 0; i < ARRAY_SIZE(drives); i++) {
		if (drives[i].fd < 0)
			continue;
		lg_msg_put(m, "disk", drives[i].disk);
		fds[n++] = drives[i].fd;
	}
	return r;
}

static void put_machine(const struct op *op, struct lg_msg *m)
{
	const struct instance *ct = op->ct;
	char text[300];

	lg_msg_put_u64(m, "ctid", ct->ctid);
	lg_msg_put_u64(m, "id_base", ct->id_base);
	snprintf(text, sizeof(text), "%s/scratch", ct->d->root.run);
	lg_msg_put(m, "scratch", text);
	lg_msg_put(m, "accel", ct->vm_run.kvm ? "kvm" : "tcg");
	lg_msg_put(m, "machine", ct->vm_run.machine);
	lg_msg_put_u64(m, "memory", ct->vm_run.memory);
	lg_msg_put_u64(m, "vcpus", ct->vm_run.vcpus);
	if (ct->vm_run.cpus_max) {
		lg_msg_put_u64(m, "vcpus_max", ct->vm_run.cpus_max);
		lg_msg_put_u64(m, "vcpus_added", ct->vm_run.cpus_added);
	}
	lg_msg_put(m, "preset", lg_conf_get(ct->conf, "VM_OS"));
	if (ct->vm_run.cdrom[0])
		lg_msg_put(m, "drive", ct->vm_run.cdrom);
	instance_mac_text(ct, text);
	lg_msg_put(m, "mac", text);
	if (foreign_vnc(ct, text))
		lg_msg_put(m, "vnc", text);
}

static int put_state(struct op *op, struct lg_msg *m, int *state, struct lg_err *err)
{
	int r = vm_resume_put(op, m, state, err);

	return r < 0 ? r : lg_msg_put_fd(m, *state);
}

int foreign_spec(struct op *op, struct lg_msg *m, int fds[VM_SPEC_FDS], struct lg_err *err)
{
	const char *qemu;
	char name[16];
	int r = vm_qemu(op->ct->d, &qemu, err);

	if (r < 0)
		return r;
	lg_msg_init(m, LG_P_START);
	lg_msg_put(m, "qemu", qemu);
	spec_put_shim_paths(op->ct, m);
	put_machine(op, m);
	snprintf(name, sizeof(name), "%u", op->ct->ctid);
	fds[0] = lg_cg_open(op->ct->d->cg, name, false, err);
	r = fds[0] < 0 ? fds[0] : open_drives(op->ct, m, fds, err);
	for (size_t i = 0; r == 0 && i < STATE; i++)
		r = fds[i] < 0 ? 0 : lg_msg_put_fd(m, fds[i]);
	if (r == 0)
		r = lg_msg_put_fd(m, op->vm->tap);
	return r == 0 && op->restore ? put_state(op, m, &fds[STATE], err) : r;
}
