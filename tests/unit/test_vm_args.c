/* SPDX-License-Identifier: GPL-2.0-or-later */

/* QEMU's command line out of START. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vm/spec.h"

static const struct {
	const char *fields;	/* of START, beside the usual ones; blanks in a value are '_' */
	const char *has[8], *lacks[4];
} lines[] = {
	{ "accel=tcg machine=microvm guest=1 disk=base_raw_ro disk=layer_raw_rw mac=02:00:00:00:00:01 append=more=1",
	  { "-machine microvm,acpi=on,isa-serial=on,rtc=on,pit=on,pic=on", "-cpu max -smp 2 -m 262152K",
	    "-append more=1 -chardev", 
	    "-add-fd fd=9,set=9 -blockdev driver=file,filename=/dev/fdset/9,node-name=base,read-only=on",
	    "-device virtio-blk-device,drive=layer,id=disk-layer,serial=layer", "-netdev tap,id=net,fd=6",
	    "-device virtio-net-device,netdev=net,mac=02:00:00:00:00:01",
	    "-device virtserialport,chardev=agent,name=io.lodge.agent" },
	  { "-pci", "vmgenid", "-incoming", "-vnc" } },
	{ "accel=kvm machine=microvm guest=1 disk=base_raw_ro",
	  { "pit=off,pic=off", "-accel kvm", "-cpu host" },
	  { "tsc_early_khz", "lpj", "virtio-net" } },
	{ "accel=tcg machine=q35 guest=1 disk=base_raw_ro mac=02:00:00:00:00:01 incoming=1",
	  { "-machine q35", "-device virtio-blk-pci,drive=base", "mac=02:00:00:00:00:01,romfile=", "-device pvpanic",
	    "-device vmgenid,guid=00000000-", "-incoming defer", "-display none" },
	  { "tsc_early_khz", "pit=", "microvm" } },
	{ "accel=tcg machine=q35 disk=disk_qcow2_rw disk=cdrom_raw_ro",
	  { "node-name=disk-file,read-only=off",
	    "driver=qcow2,file=disk-file,node-name=disk,read-only=off", "ide-cd,bus=ide.1,drive=cdrom,id=disk-cdrom,bootindex=1",
	    "virtio-blk-pci,drive=disk,id=disk-disk,serial=disk,werror=report,rerror=report,bootindex=0" },
	  { "-kernel", "io.lodge.agent", "-append" } },
	{ "accel=tcg machine=q35 disk=disk_raw_rw disk=cdrom_raw_ro drive=/srv/a,b.iso",
	  { "opaque=cdrom", "ide-cd,bus=ide.1,drive=cdrom,id=disk-cdrom,bootindex=1" }, { "ide-cd,bus=ide.1,id", "a,b" } },
	{ "accel=tcg machine=q35 disk=disk_raw_rw drive=none",
	  { "-device ide-cd,bus=ide.1,id=disk-cdrom,bootindex=1" }, { "drive=cdrom", "opaque" } },
	{ "accel=tcg machine=q35 disk=code_raw_ro disk=vars_raw_rw disk=disk_raw_rw preset=other",
	  { "-machine q35,", "pflash0=code,pflash1=vars", "graphics=off", "node-name=code,read-only=on", "node-name=vars,read-only=off",
	    "ide-hd,bus=ide.0,drive=disk,id=disk-disk" },
	  { "-bios", "drive=code", "drive=vars", "VGA" } },
	{ "accel=tcg machine=q35 disk=disk_raw_rw vcpus_max=4",
	  { "-smp 2,maxcpus=4,sockets=1,cores=4,threads=1 -m" },
	  { "-x86_64-cpu" } },
	{ "accel=tcg machine=q35 disk=disk_raw_rw vcpus_max=4 vcpus_added=2 incoming=1",
	  { "-smp 2,maxcpus=4,sockets=1,cores=4,threads=1 -m",
	    "-device max-x86_64-cpu,id=cpu2,socket-id=0,core-id=2,thread-id=0 "
	    "-device max-x86_64-cpu,id=cpu3,socket-id=0,core-id=3,thread-id=0 -incoming defer" },
	  { "core-id=1,", "core-id=4," } },
	{ "accel=kvm machine=q35 disk=disk_raw_rw vcpus_max=3 vcpus_added=1 preset=windows",
	  { "-device host-x86_64-cpu,id=cpu2,", "-smp 2,maxcpus=3," },
	  { "core-id=3," } },
	{ "accel=tcg machine=q35 disk=disk_raw_rw vcpus_max=2",
	  { "-smp 2 -m" },
	  { "maxcpus" } },
	{ "accel=kvm machine=q35 disk=disk_raw_rw mac=02:00:00:00:00:01 preset=windows vnc=/run/x",
	  { "-cpu host,hv-relaxed=on", "ide-hd,bus=ide.0,drive=disk", "e1000e,netdev=net", "base=localtime", "-vnc none", "-device VGA" },
	  { "virtio-blk", "virtio-net", "-display" } },
};

static void put_fields(struct lg_msg *m, const char *fields)
{
	char text[600], *save = NULL;

	snprintf(text, sizeof(text), "%s", fields);
	for (char *t = strtok_r(text, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
		char *value = strchr(t, '=') + 1;

		value[-1] = '\0';
		for (char *c = value; strcmp(t, "disk") == 0 && *c; c++)
			if (*c == '_')
				*c = ' ';
		lg_msg_put(m, t, value);
	}
}

static void start_msg(struct lg_msg *m, const char *fields)
{
	static const char *const usual[][2] = {
		{ "ctid", "101" }, { "id_base", "1000000" }, { "socket", "/s" }, { "exit_file", "/e" }, { "console_log", "/c" },
		{ "scratch", "/x" }, { "qemu", "/usr/bin/qemu" }, { "memory", "268435456" }, { "vcpus", "2" },
	};

	lg_msg_init(m, 2);
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		lg_msg_put(m, usual[i][0], usual[i][1]);
	put_fields(m, fields);
}

static void put_fds(struct lg_msg *m)
{
	unsigned int n = 1 + (lg_msg_get(m, "guest") ? 2 : 0) + (lg_msg_get(m, "mac") ? 1 : 0) +
			 (lg_msg_get(m, "incoming") ? 1 : 0);

	for (const char *v = lg_msg_get(m, "disk"); v; v = lg_msg_next(m, "disk", v))
		n++;
	while (n-- > 0)
		lg_msg_put_fd(m, open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static void join(const struct lg_vm_args *args, char *text, size_t size)
{
	size_t at = 0;

	for (unsigned int i = 0; i < args->n; i++)
		at += (size_t)snprintf(text + at, size - at, "%s ", args->argv[i]);
	ck_assert_uint_lt(at, size);
}

START_TEST(a_machine_is_what_start_says)
{
	static struct lg_msg m;
	static char text[16384];
	struct lg_vm_places at = { .qmp = 3, .console = 4, .agent = -1, .tap = -1, .kernel = 7, .initrd = 8,
				   .disks = { 9, 10, 11 } };
	struct lg_vm_args args;
	struct lg_vm_spec spec;
	struct lg_err err = { 0 };

	start_msg(&m, lines[_i].fields);
	put_fds(&m);
	ck_assert_msg(lg_vm_spec_parse(&m, &spec, &err) == 0, "%s", err.msg);
	at.agent = spec.guest ? 5 : -1;
	at.tap = spec.mac ? 6 : -1;
	ck_assert_int_eq(lg_vm_args_make(&spec, &at, "00000000-0000", &args), 0);
	ck_assert_ptr_null(args.argv[args.n]);
	join(&args, text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(lines[_i].has) && lines[_i].has[i]; i++)
		ck_assert_msg(strstr(text, lines[_i].has[i]) != NULL, "'%s' is not in: %s", lines[_i].has[i], text);
	for (size_t i = 0; i < ARRAY_SIZE(lines[_i].lacks) && lines[_i].lacks[i]; i++)
		ck_assert_msg(strstr(text, lines[_i].lacks[i]) == NULL, "'%s' is in: %s", lines[_i].lacks[i], text);
	lg_vm_args_free(&args);
	lg_vm_spec_close(&spec);
	lg_msg_drop_fds(&m);
}
END_TEST

static const struct {
	const char *fields, *words;
} refused[] = {
	{ "machine=q35", "'accel'" },
	{ "accel=tcg machine=microvm", "boots a template's kernel" },
	{ "accel=tcg machine=q35 mac=02:00:00:00:00", "'mac'" },
	{ "accel=tcg machine=q35 mac=02:00:00:00:00:01,x=y", "'mac'" },
	{ "accel=tcg machine=q35 vcpus_max=1", "'vcpus_max'" },
	{ "accel=tcg machine=q35 vcpus_max=289", "'vcpus_max'" },
	{ "accel=tcg machine=q35 vcpus_added=1", "'vcpus_added'" },
	{ "accel=tcg machine=q35 vcpus_max=4 vcpus_added=3", "'vcpus_added'" },
	{ "accel=tcg machine=q35 vcpus_max=30 vcpus_added=17", "'vcpus_added'" },
	{ "accel=tcg machine=q35 disk=a,b_raw_rw", "'disk'" },
	{ "accel=tcg machine=q35 disk=a_vdi_rw", "'disk'" },
	{ "accel=tcg machine=q35 disk=a_raw_wr", "'disk'" },
	{ "accel=tcg machine=q35 disk=a_raw_ro disk=b_raw_ro disk=c_raw_ro disk=d_raw_ro disk=e_raw_ro disk=f_raw_ro "
	  "disk=g_raw_ro disk=h_raw_ro disk=i_raw_ro", "too many 'disk'" },
};

START_TEST(a_bad_start_names_the_field)
{
	static struct lg_msg m;
	struct lg_vm_spec spec;
	struct lg_err err = { 0 };

	start_msg(&m, refused[_i].fields);
	ck_assert_int_lt(lg_vm_spec_parse(&m, &spec, &err), 0);
	ck_assert_msg(strstr(err.msg, refused[_i].words) != NULL, "%s", err.msg);
	lg_vm_spec_close(&spec);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vm_args");
	TCase *t = tcase_create("args");
	SRunner *sr = srunner_create(s);
	int failures;

	tcase_add_loop_test(t, a_machine_is_what_start_says, 0, ARRAY_SIZE(lines));
	tcase_add_loop_test(t, a_bad_start_names_the_field, 0, ARRAY_SIZE(refused));
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
