/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_DOCTOR_H
#define LODGED_DOCTOR_H

/* The checks of `lodge doctor`: rows of the table in doctor.c, their functions there or in files of their own. */

#include "cmd/lodged/lodged.h"

struct report {
	struct daemon *d;
	json_t *checks;
};

/**
 * say() - one line of the report
 * @level:	"ok", "off" (does not work, and what that means) or "bad" (lodge cannot do its work)
 */
void say(struct report *r, const char *area, const char *level, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/** doctor_number() - the number a small file begins with; -1 when there is none. */
long doctor_number(const char *path);

/** doctor_ids() - what is granted, and whether an instance has an id of somebody else. */
void doctor_ids(struct report *r);

/* ---- doctor_isolation.c ---- */

/** doctor_devices() - does the kernel take device programs? */
void doctor_devices(struct report *r);

/** doctor_apparmor() - is the profile loaded, and does AppArmor keep guests from user namespaces? */
void doctor_apparmor(struct report *r);

/* ---- doctor_criu.c ---- */

/** doctor_criu_first() - CRIU has to be asked: true, and @then is called when it has been; false: it is known. */
bool doctor_criu_first(struct daemon *d, struct lg_vcall *call,
		       void (*then)(struct daemon *d, struct lg_vcall *call));

/** doctor_criu() - which CRIU, what it can do here, and what to do about the rest */
void doctor_criu(struct report *r);

/* ---- doctor_vm.c ---- */

/** doctor_vm_first() - as doctor_criu_first(), of QEMU's version. */
bool doctor_vm_first(struct daemon *d, struct lg_vcall *call, void (*then)(struct daemon *d, struct lg_vcall *call));

/** doctor_vm() - is there all that VMs need, and are they fast here? */
void doctor_vm(struct report *r);

/** doctor_disk() - how disks are limited, and what was promised (disk_room.c) */
void doctor_disk(struct report *r);

#endif
