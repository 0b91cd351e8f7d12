/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/settings.h"

#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"
#include "lib/setting_type.h"

/* clang-format off */
const struct lg_setting lg_settings[] = {
	/* name		key		vzctl		value		type			flags				min	max	help */
	{ "template",	"OSTEMPLATE",	"ostemplate",	"NAME",		LG_SET_TEMPLATE,	LG_SF_CREATE_ONLY | LG_SF_NEEDS_SAVE, 0, 0, "OS template to make it from" },
	{ "kind",	"VE_KIND",	NULL,		"container|vm",	LG_SET_CHOICE,		LG_SF_CREATE_ONLY,		0, 0, "container, or vm with a kernel of its own (container)" },
	{ "name",	"NAME",		"name",		"NAME",		LG_SET_NAME,		LG_SF_LIVE | LG_SF_NEEDS_SAVE,	0, 0, "name that works wherever the number does" },
	{ "hostname",	"HOSTNAME",	"hostname",	"HOST",		LG_SET_HOSTNAME,	0,				0, 0, "host name inside" },
	{ "description", "DESCRIPTION",	"description",	"TEXT",		LG_SET_TEXT,		LG_SF_LIVE,			0, 0, "what it is for, one line" },
	{ "memory",	"PHYSPAGES",	"ram",		"SIZE",		LG_SET_PAGES,		LG_SF_LIVE,			1 << 20, 0, "memory it may use (512M, 2G, unlimited)" },
	{ "swap",	"SWAPPAGES",	"swap",		"SIZE",		LG_SET_PAGES,		LG_SF_LIVE,			0, 0, "swap it may use" },
	{ "cpus",	"CPULIMIT",	"cpulimit",	"N",		LG_SET_CPUS,		LG_SF_LIVE,			0, 0, "CPU time in cores (1.5) or percent of one (150%)" },
	{ "cpu-weight",	"CPUUNITS",	"cpuunits",	"N",		LG_SET_CPU_WEIGHT,	LG_SF_LIVE,			1, 10000, "share when CPUs are busy, 1 to 10000 (100)" },
	{ "memory-high", "MEMORY_HIGH",	NULL,		"SIZE",		LG_SET_SIZE,		LG_SF_LIVE,			1 << 20, 0, "memory above which it is slowed down and reclaimed" },
	{ "memory-guarantee", "VMGUARPAGES", "vmguarpages", "SIZE",	LG_SET_GUARANTEE,	LG_SF_LIVE,			0, 0, "memory that is never taken from it" },
	{ "oom-guarantee", "OOMGUARPAGES", "oomguarpages", "SIZE",	LG_SET_GUARANTEE,	LG_SF_LIVE,			0, 0, "memory that the OOM killer does not hold against it" },
	{ "oom-priority", "OOM_PRIORITY", NULL,		"N",		LG_SET_OOM,		LG_SF_LIVE,			0, 0, "killed first when memory is out: -999 to 1000 (0)" },
	{ "cpus-seen",	"CPUS",		"cpus",		"N",		LG_SET_NUMBER,		LG_SF_LIVE,			1, 8192, "number of CPUs it runs on; lodge chooses which" },
	{ "cpumask",	"CPUMASK",	"cpumask",	"LIST|auto|all", LG_SET_BITS,		LG_SF_LIVE,			0, 0, "CPUs it may run on; auto: those of its NUMA nodes" },
	{ "nodemask",	"NODEMASK",	"nodemask",	"LIST|all",	LG_SET_BITS,		LG_SF_LIVE,			0, 0, "NUMA nodes its memory comes from" },
	{ "tasks",	"NUMPROC",	"numproc",	"N",		LG_SET_COUNT_PAIR,	LG_SF_LIVE,			2, 4194304, "processes and threads it may have" },
	{ "io-priority", "IOPRIO",	"ioprio",	"0-7",		LG_SET_NUMBER,		LG_SF_LIVE,			0, 7, "share of the disk, each step doubles it (4)" },
	{ "io-read",	"IO_READ",	NULL,		"SIZE",		LG_SET_RATE,		LG_SF_LIVE,			4096, INT64_MAX, "bytes a second it may read from disk" },
	{ "io-write",	"IO_WRITE",	NULL,		"SIZE",		LG_SET_RATE,		LG_SF_LIVE,			4096, INT64_MAX, "bytes a second it may write to disk" },
	{ "iops-read",	"IOPS_READ",	NULL,		"N",		LG_SET_OPS,		LG_SF_LIVE,			1, INT32_MAX, "reads a second" },
	{ "iops-write",	"IOPS_WRITE",	NULL,		"N",		LG_SET_OPS,		LG_SF_LIVE,			1, INT32_MAX, "writes a second" },
	{ "io-limit",	"IOLIMIT",	"iolimit",	"SIZE",		LG_SET_RATE,		LG_SF_LIVE,			4096, INT64_MAX, "bytes a second, for reads and for writes" },
	{ "iops-limit",	"IOPSLIMIT",	"iopslimit",	"N",		LG_SET_OPS,		LG_SF_LIVE,			1, INT32_MAX, "operations a second, for reads and for writes" },
	{ "hugepages",	"HUGEPAGES",	NULL,		"[2MB:]SIZE,...", LG_SET_HUGEPAGES,	LG_SF_LIVE,			0, 0, "huge pages it may use, of all sizes or by size" },
	{ "disk",	"DISKSPACE",	"diskspace",	"SIZE",		LG_SET_KIB_PAIR,	LG_SF_LIVE | LG_SF_NEEDS_SAVE,	32 << 20, 0, "space its own files may take (10G, unlimited)" },
	{ "inodes",	"DISKINODES",	"diskinodes",	"N",		LG_SET_COUNT_PAIR,	LG_SF_LIVE | LG_SF_NEEDS_SAVE,	1024, UINT32_MAX, "files and folders of its own it may have" },
	{ "shm-size",	"SHMPAGES",	"shmpages",	"SIZE",		LG_SET_PAGES,		0,				65536, 0, "size of its /dev/shm (half of its memory)" },
	{ "ptys",	"NUMPTY",	"numpty",	"N",		LG_SET_COUNT_PAIR,	0,				1, 1048576, "pseudo-terminals it may open (1024)" },
	{ "ip",		"IP_ADDRESS",	"ipadd",	"auto|ADDR[/MASK]", LG_SET_ADDRS,	LG_SF_LIVE | LG_SF_LIST,	0, 0, "address; auto takes one from the pool" },
	{ "nameserver",	"NAMESERVER",	"nameserver",	"ADDR|inherit",	LG_SET_NAMESERVERS,	LG_SF_LIST,			0, 0, "DNS server; inherit takes the host's" },
	{ "searchdomain", "SEARCHDOMAIN", "searchdomain", "DOMAIN",	LG_SET_WORDS,		LG_SF_LIST,			0, 0, "DNS search domain" },
	{ "onboot",	"ONBOOT",	"onboot",	"yes|no",	LG_SET_BOOL,		LG_SF_LIVE,			0, 0, "start it when the host boots" },
	{ "boot-order",	"BOOTORDER",	"bootorder",	"N",		LG_SET_NUMBER,		LG_SF_LIVE,			0, 1000000, "start order at boot, higher first" },
	{ "disabled",	"DISABLED",	"disabled",	"yes|no",	LG_SET_BOOL,		LG_SF_LIVE,			0, 0, "refuse to start it" },
	{ "stop-timeout", "STOP_TIMEOUT", "stop-timeout", "SECONDS",	LG_SET_SECONDS,		LG_SF_LIVE | LG_SF_NEEDS_SAVE,	0, 0, "time to stop cleanly before it is killed (120)" },
	{ "stop-mode",	"VE_STOP_MODE",	"stop-mode",	"stop|suspend",	LG_SET_STOP_MODE,	LG_SF_LIVE,			0, 0, "what its stop and the host's shutdown do with it (stop)" },
	{ "capability",	"CAPABILITY",	"capability",	"NAME:on|off,...", LG_SET_CAPS,	0,				0, 0, "change the set of capabilities it keeps" },
	{ "feature",	"FEATURES",	"features",	"NAME[:on|off],...", LG_SET_FEATURES,	LG_SF_LIST,			0, 0, "what it may use beyond the usual (list below)" },
	{ "device",	"DEVNODES",	"devnodes",	"/dev/NAME[:rwm]", LG_SET_DEVICES,	LG_SF_LIVE | LG_SF_LIST,			0, 0, "device of the host that it may use" },
	{ "rlimit",	"RLIMITS",	NULL,		"NAME=SOFT[:HARD]", LG_SET_RLIMITS,	LG_SF_LIST,			0, 0, "resource limit of its processes (nofile, core, ...)" },
	{ "sysctl",	"SYSCTL",	NULL,		"KEY=VALUE",	LG_SET_SYSCTLS,		LG_SF_LIVE | LG_SF_LIST,	0, 0, "kernel setting of its namespaces (net.*, ...)" },
	{ "id-base",	"LOCAL_UID",	"local_uid",	"ID",		LG_SET_NUMBER,		LG_SF_CREATE_ONLY,		65536, UINT32_MAX - 65536, "first host id of its own 65536" },
	{ "id-count",	"LOCAL_UID_COUNT", NULL,	"N",		LG_SET_NUMBER,		LG_SF_CREATE_ONLY,		65536, 1 << 30, "number of its ids (65536; with nesting 1048576)" },
	{ "kernel-template", "VM_KERNEL", NULL,		"NAME",		LG_SET_TEMPLATE,	0,				0, 0, "of a VM: the template that its kernel comes from" },
	{ "os",		"VM_OS",	NULL,		"linux|windows|freebsd|other", LG_SET_CHOICE, 0,			0, 0, "of a VM without a template: the system on its disk (linux)" },
	{ "firmware",	"VM_FIRMWARE",	NULL,		"bios|uefi",	LG_SET_CHOICE,		0,				0, 0, "of such a VM: what boots its disk (bios)" },
	{ "cdrom",	"VM_CDROM",	NULL,		"FILE|none",	LG_SET_TEXT,		LG_SF_LIVE,			0, 0, "of such a VM: ISO image in its drive, readable by everybody" },
	{ "screen",	"VM_SCREEN",	NULL,		"none|vnc",	LG_SET_CHOICE,		0,				0, 0, "of such a VM: a screen, and the socket of it (none)" },
	{ "boot-timeout", "BOOT_TIMEOUT", NULL,		"SECONDS",	LG_SET_SECONDS,		0,				0, 0, "of a VM: how long its boot may take (60; emulated 180)" },

	/* vzctl's own ways to say the same, or settings whose work a later release does */
	{ NULL,		"CPUUNITS",	"cpuweight",	"N",		LG_SET_CPU_WEIGHT,	LG_SF_LIVE,			1, 10000, "CPU weight" },
	{ NULL,		"MEMGUARANTEE",	"memguarantee",	"auto|PERCENT",	LG_SET_PERCENT,		LG_SF_LIVE,			0, 100, "guarantee in percent of its memory" },
	{ NULL,		"LOCAL_GID",	"local_gid",	"ID",		LG_SET_KEPT, 0, 0, 0, "first host group id" },
	{ NULL,		"VE_ROOT",	"root",		"PATH",		LG_SET_KEPT, 0, 0, 0, "mount point of the root" },
	{ NULL,		"VE_PRIVATE",	"private",	"PATH",		LG_SET_KEPT, 0, 0, 0, "private area" },
	{ NULL,		"VE_LAYOUT",	"layout",	"LAYOUT",	LG_SET_KEPT, 0, 0, 0, "private area layout" },
	{ NULL,		"MOUNT_OPTS",	"mount_opts",	"OPTS",		LG_SET_KEPT, 0, 0, 0, "mount options" },
	{ NULL,		"NETIF",	"netif_add",	"IFNAME",	LG_SET_KEPT, 0, 0, 0, "virtual interface" },
	{ NULL,		"NETDEV",	"netdev_add",	"NAME",		LG_SET_KEPT, 0, 0, 0, "host interface" },
	{ NULL,		"VM_OVERCOMMIT", "vm_overcommit", "F",		LG_SET_KEPT, 0, 0, 0, "memory overcommit" },
	{ NULL,		"KMEMSIZE",	"kmemsize",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "kernel memory" },
	{ NULL,		"LOCKEDPAGES",	"lockedpages",	"B[:L]",	LG_SET_PAGES, 0, 0, 0, "memory that each of its processes may lock" },
	{ NULL,		"PRIVVMPAGES",	"privvmpages",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "private virtual memory" },
	{ NULL,		"PHYSPAGES",	"physpages",	"B[:L]",	LG_SET_PAGES, LG_SF_LIVE, 1 << 20, 0, "resident pages" },
	{ NULL,		"SWAPPAGES",	"swappages",	"B[:L]",	LG_SET_PAGES, LG_SF_LIVE, 0, 0, "swap pages" },
	{ NULL,		"NUMTCPSOCK",	"numtcpsock",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "TCP sockets" },
	{ NULL,		"NUMFLOCK",	"numflock",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "file locks" },
	{ NULL,		"NUMSIGINFO",	"numsiginfo",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "queued signals" },
	{ NULL,		"TCPSNDBUF",	"tcpsndbuf",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "TCP send buffers" },
	{ NULL,		"TCPRCVBUF",	"tcprcvbuf",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "TCP receive buffers" },
	{ NULL,		"OTHERSOCKBUF",	"othersockbuf",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "other socket buffers" },
	{ NULL,		"DGRAMRCVBUF",	"dgramrcvbuf",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "datagram receive buffers" },
	{ NULL,		"NUMOTHERSOCK",	"numothersock",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "other sockets" },
	{ NULL,		"NUMFILE",	"numfile",	"B[:L]",	LG_SET_COUNT_PAIR, 0, 16, 0, "files that each of its processes may open" },
	{ NULL,		"DCACHESIZE",	"dcachesize",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "dentry cache" },
	{ NULL,		"NUMIPTENT",	"numiptent",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "packet filter rules" },
	{ NULL,		"AVNUMPROC",	"avnumproc",	"B[:L]",	LG_SET_KEPT, 0, 0, 0, "average processes" },
	{ NULL,		"DISK_QUOTA",	"diskquota",	"yes|no",	LG_SET_KEPT, 0, 0, 0, "disk quota" },
	{ NULL,		"QUOTATIME",	"quotatime",	"SECONDS",	LG_SET_KEPT, 0, 0, 0, "quota grace time" },
	{ NULL,		"QUOTAUGIDLIMIT", "quotaugidlimit", "N",	LG_SET_KEPT, 0, 0, 0, "user and group quotas" },
	{ NULL,		"DEVICES",	"devices",	"b|c:MAJ:MIN:rw", LG_SET_DEVICE_NUMBERS, LG_SF_LIVE | LG_SF_LIST, 0, 0, "devices by number" },
	{ NULL,		"PCI",		"pci_add",	"BUS:SLOT.FN",	LG_SET_KEPT, 0, 0, 0, "PCI device" },
	{ NULL,		"NETFILTER",	"netfilter",	"MODE",		LG_SET_KEPT, 0, 0, 0, "packet filter inside" },
	{ NULL,		"IPTABLES",	"iptables",	"LIST",		LG_SET_KEPT, 0, 0, 0, "packet filter modules" },
	{ NULL,		"MEMINFO",	"meminfo",	"MODE",		LG_SET_KEPT, 0, 0, 0, "memory shown inside" },
};
/* clang-format on */

const size_t lg_nsettings = ARRAY_SIZE(lg_settings);

const struct lg_setting *lg_setting_by_name(const char *name)
{
	for (size_t i = 0; i < lg_nsettings; i++)
		if (lg_settings[i].name && strcmp(lg_settings[i].name, name) == 0)
			return &lg_settings[i];
	return NULL;
}

const struct lg_setting *lg_setting_by_key(const char *key)
{
	for (size_t i = 0; i < lg_nsettings; i++)
		if (strcmp(lg_settings[i].key, key) == 0)
			return &lg_settings[i];
	return NULL;
}

const struct lg_setting *lg_setting_by_vz_opt(const char *opt)
{
	for (size_t i = 0; i < lg_nsettings; i++)
		if (lg_settings[i].vz_opt && strcmp(lg_settings[i].vz_opt, opt) == 0)
			return &lg_settings[i];
	return NULL;
}

bool lg_setting_is_size(const struct lg_setting *s)
{
	return s->type == LG_SET_PAGES || s->type == LG_SET_SIZE || s->type == LG_SET_GUARANTEE ||
	       s->type == LG_SET_RATE;
}

static const char *label(const struct lg_setting *s)
{
	return s->name ? s->name : s->vz_opt;
}

int lg_setting_to_conf(const struct lg_setting *s, const char *value, char **ret,
		       struct lg_err *err)
{
	char *text = NULL;
	int r = lg_setting_types[s->type].to_conf(s, value, &text, err);

	if (r < 0) {
		int exit_code = err ? err->exit_code : 0;

		lg_within(err, r, "%s", label(s));
		if (err)
			err->exit_code = exit_code ? exit_code : LG_EXIT_BAD_VALUE;
		return r;
	}
	if (!text)
		return lg_fail(err, -ENOMEM, "%s", label(s));
	*ret = text;
	return 0;
}

int lg_setting_from_conf(const struct lg_setting *s, const char *conf, char **ret,
			 struct lg_err *err)
{
	const struct lg_setting_type_ops *type = &lg_setting_types[s->type];
	char *text;
	uint64_t v;
	int r;

	if (type->number) {
		r = type->number(s, conf, &v, err);
		if (r < 0)
			return lg_within(err, r, "%s", s->key);
		text = v == LG_UNLIMITED ? strdup("unlimited") : type->format(v);
	} else {
		text = strdup(conf);
	}
	if (!text)
		return lg_fail(err, -ENOMEM, "%s", s->key);
	*ret = text;
	return 0;
}

int lg_setting_value(const struct lg_conf *conf, const char *name, uint64_t otherwise,
		     uint64_t *ret, struct lg_err *err)
{
	const struct lg_setting *s = lg_setting_by_name(name);
	const char *text;
	int r;

	if (!s || !lg_setting_types[s->type].number)
		return lg_refuse(err, -EINVAL, 0, "no numeric setting is called '%s'", name);
	text = lg_conf_get(conf, s->key);
	if (!text || !*text) {
		*ret = otherwise;
		return 0;
	}
	r = lg_setting_types[s->type].number(s, text, ret, err);
	return r < 0 ? lg_within(err, r, "%s=\"%s\"", s->key, text) : 0;
}
