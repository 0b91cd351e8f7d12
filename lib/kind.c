/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/parse.h"

#define CPUS_MAX 255u

#define OWN_KERNEL "a VM has a kernel of its own"

/* clang-format off */
const struct lg_kind_rule lg_kind_rules[] = {
	/* key			VM		container	why not */
	{ "FEATURES",		LG_USE_NEVER,	LG_USE_LIVE,	OWN_KERNEL ", which allows it everything" },
	{ "CAPABILITY",		LG_USE_NEVER,	LG_USE_LIVE,	OWN_KERNEL ", whose root has all of them" },
	{ "DEVNODES",		LG_USE_NEVER,	LG_USE_LIVE,	"a VM sees no device of the host" },
	{ "DEVICES",		LG_USE_NEVER,	LG_USE_LIVE,	"a VM sees no device of the host" },
	{ "NUMPTY",		LG_USE_NEVER,	LG_USE_LIVE,	OWN_KERNEL ": see kernel.pty.max inside" },
	{ "SHMPAGES",		LG_USE_NEVER,	LG_USE_LIVE,	"a VM mounts its /dev/shm itself" },
	{ "NUMPROC",		LG_USE_NEVER,	LG_USE_LIVE,	OWN_KERNEL ", which counts its processes" },
	{ "HUGEPAGES",		LG_USE_NEVER,	LG_USE_LIVE,	OWN_KERNEL ", which has huge pages of its own memory" },
	{ "LOCAL_UID_COUNT",	LG_USE_NEVER,	LG_USE_LIVE,	"a VM's ids inside are not the host's" },
	{ "SYSCTL",		LG_USE_START,	LG_USE_LIVE,	NULL },
	{ "VM_KERNEL",		LG_USE_START,	LG_USE_NEVER,	"a container runs under the host's kernel" },
	{ "BOOT_TIMEOUT",	LG_USE_START,	LG_USE_NEVER,	"a container does not boot: --wait has a --timeout" },
	{ "VM_OS",		LG_USE_START,	LG_USE_NEVER,	"a container runs under the host's kernel" },
	{ "VM_FIRMWARE",	LG_USE_START,	LG_USE_NEVER,	"a container does not boot" },
	{ "VM_CDROM",		LG_USE_LIVE,	LG_USE_NEVER,	"a container has no drive" },
	{ "VM_SCREEN",		LG_USE_START,	LG_USE_NEVER,	"a container has no screen" },
};

#define OF_DISK "the VM boots its template's kernel, with an agent of lodge: "
#define NOBODY "nobody of lodge is in this guest to do it: "

/* What VMs with a template do not have, and what those do not have that boot a disk of their own. */
static const struct {
	const char *key;
	bool foreign;		/* it is of the latter alone */
	const char *why;
} foreign_rules[] = {
	{ "VM_OS",		true,	OF_DISK "it is created with --disk-image or --cdrom where it is to boot something else" },
	{ "VM_FIRMWARE",	true,	OF_DISK "no firmware" },
	{ "VM_CDROM",		true,	OF_DISK "it has no drive" },
	{ "VM_SCREEN",		true,	OF_DISK "it has a console" },
	{ "OSTEMPLATE",		false,	"the VM boots what is on its disk, and no template" },
	{ "VM_KERNEL",		false,	"the VM boots what is on its disk" },
	{ "BOOT_TIMEOUT",	false,	"nobody sees from outside how far its boot came" },
	{ "HOSTNAME",		false,	NOBODY "set it inside" },
	{ "NAMESERVER",		false,	NOBODY "set it inside" },
	{ "SEARCHDOMAIN",	false,	NOBODY "set it inside" },
	{ "SYSCTL",		false,	NOBODY "set it inside" },
	{ "RLIMITS",		false,	NOBODY "set it inside" },
	{ "DISKINODES",		false,	"what is on its disk is the guest's" },
};
/* clang-format on */

const unsigned int lg_nkind_rules = ARRAY_SIZE(lg_kind_rules);

bool lg_kind_is_vm(const struct lg_conf *conf)
{
	const char *kind = lg_conf_get(conf, "VE_KIND");

	return kind && strcmp(kind, "vm") == 0;
}

bool lg_kind_is_foreign(const struct lg_conf *conf)
{
	const char *os = lg_conf_get(conf, "VM_OS");

	return lg_kind_is_vm(conf) && os && *os;
}

int lg_foreign_check(const struct lg_setting *s, const struct lg_conf *conf, struct lg_err *err)
{
	bool foreign = lg_kind_is_foreign(conf);

	for (size_t i = 0; lg_kind_is_vm(conf) && i < ARRAY_SIZE(foreign_rules); i++)
		if (strcmp(foreign_rules[i].key, s->key) == 0 && foreign_rules[i].foreign != foreign)
			return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION, "%s: %s", s->name ? s->name : s->key,
					 foreign_rules[i].why);
	return 0;
}

enum lg_kind_use lg_kind_use(const struct lg_setting *s, bool vm, const char **why)
{
	for (size_t i = 0; i < ARRAY_SIZE(lg_kind_rules); i++) {
		const struct lg_kind_rule *rule = &lg_kind_rules[i];

		if (strcmp(rule->key, s->key) != 0)
			continue;
		if (why)
			*why = rule->why;
		return vm ? rule->vm : rule->container;
	}
	return LG_USE_LIVE;
}

int lg_kind_check(const struct lg_setting *s, bool vm, struct lg_err *err)
{
	const char *why = NULL;

	if (lg_kind_use(s, vm, &why) != LG_USE_NEVER)
		return 0;
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION, "%s: %s", s->name ? s->name : s->key, why);
}

/* ---- what a VM is made of ---- */

int lg_vm_memory(const struct lg_conf *conf, uint64_t *ret, struct lg_err *err)
{
	uint64_t bytes;
	int r = lg_setting_value(conf, "memory", LG_VM_MEMORY_DEFAULT, &bytes, err);

	if (r < 0)
		return r;
	if (bytes == LG_UNLIMITED)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "memory: a VM's is a size: there is no unlimited one");
	if (bytes < LG_VM_MEMORY_MIN)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE, "memory: a VM does not boot with less than %" PRIu64 " MiB",
				 (uint64_t)LG_VM_MEMORY_MIN >> 20);
	*ret = bytes & ~(uint64_t)0xfffff;	/* QEMU's and the balloon's unit */
	return 0;
}

int lg_vm_cpus(const struct lg_conf *conf, unsigned int *ret, struct lg_err *err)
{
	uint64_t percent;
	int r = lg_setting_value(conf, "cpus", 100, &percent, err);

	if (r < 0)
		return r;
	if (percent == LG_UNLIMITED)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "cpus: a VM's is a number: there is no unlimited one");
	if (percent > CPUS_MAX * 100)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE, "cpus: a VM has at most %u", CPUS_MAX);
	*ret = (unsigned int)((percent + 99) / 100);
	return 0;
}

uint64_t lg_vm_cgroup_memory(uint64_t memory)
{
	return memory + memory / LG_VM_OVERHEAD_SHARE + LG_VM_OVERHEAD;
}

static int set_default(struct lg_conf *conf, const char *name, const char *value, struct lg_err *err)
{
	const struct lg_setting *s = lg_setting_by_name(name);
	const char *has = lg_conf_get(conf, s->key);
	lg_autofree char *text = NULL;
	int r;

	if (has && *has)
		return 0;
	r = lg_setting_to_conf(s, value, &text, err);
	return r < 0 ? r : lg_conf_set(conf, s->key, text, err);
}

int lg_vm_defaults(struct lg_conf *conf, struct lg_err *err)
{
	char memory[24], disk[24];
	int r;

	snprintf(memory, sizeof(memory), "%" PRIu64, (uint64_t)LG_VM_MEMORY_DEFAULT);
	snprintf(disk, sizeof(disk), "%" PRIu64, (uint64_t)LG_VM_DISK_DEFAULT);
	r = set_default(conf, "memory", memory, err);
	if (r == 0)
		r = set_default(conf, "disk", disk, err);
	return r == 0 ? set_default(conf, "cpus", "1", err) : r;
}

/* ---- the host ---- */

/* A kernel can have a KVM that runs only guests which were built for it: then no CPU shows the flags. */
bool lg_kvm_usable(const char **why)
{
	static const char *const flags[] = { " vmx", " svm" };
	lg_autoclose int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	lg_autofree char *text = NULL;

	if (why)
		*why = kvm < 0 ? "/dev/kvm cannot be opened" : "the CPU shows neither vmx nor svm";
	if (kvm < 0 || lg_file_read(AT_FDCWD, "/proc/cpuinfo", 4u << 20, &text, NULL, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		for (const char *p = text; (p = strstr(p, flags[i])); p++)
			if (strchr(" \n", p[strlen(flags[i])]))
				return true;
	return false;
}
