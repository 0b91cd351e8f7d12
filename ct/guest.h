/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_GUEST_H
#define LG_CT_GUEST_H

/*
 * What lodge puts into a guest before its init runs: fields "dir", "file", "mask", "readonly", "env" of
 * LG_P_START; for a microVM "file", "block", "link" of SETUP. Templates are not edited: what systemd needs to know goes to /run as drop-ins.
 */

#include <stdbool.h>

#include "lib/err.h"
#include "lib/msg.h"
#include "lib/parse.h"
#include "storage/template.h"

struct lg_guest {
	const char *hostname;
	enum lg_init_kind init_kind;
	const char *os, *os_version;	/* of its template: "debian", "13"; NULL: not known */
	const char *const *nameservers;	/* texts; borrowed */
	unsigned int nnameservers;
	const char *searchdomain;	/* NULL: none */
	const struct lg_addr *addrs;
	unsigned int naddrs;
	bool nesting;			/* containers are to run inside */
	bool checkpointable;		/* services do without namespaces of their own */
	bool counts_tasks;		/* and can be limited in the number of their processes */
	bool vm;			/* a microVM: fields of SETUP (vm/agent.h) */
};

/** lg_guest_fields() - add the fields to @m. -EMSGSIZE when it does not fit. */
int lg_guest_fields(const struct lg_guest *guest, struct lg_msg *m, struct lg_err *err);

/**
 * lg_guest_stop_signal() - what tells the init of an instance of @t to stop and power off
 *
 * The template says what a container's init is told. systemd, told to halt, ends a container, but leaves a machine
 * standing.
 */
int lg_guest_stop_signal(const struct lg_template *t, bool vm);

#endif
