/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_AGENT_H
#define LODGE_AGENT_H

/*
 * lodge-agent: the program inside a microVM.
 *
 * How it works: the kernel starts it as process 1 of the initrd. It makes the root (boot.c), and before it executes the guest's init there it
 * leaves a child behind (serve.c) that serves the port from then on. The child's descriptors are all that it needs of the
 * machine (struct machine), opened before anything of the guest ran; what else it opens it opens by paths in the
 * guest's root, where the guest can fool it, and so only itself.
 *
 * The child's first argument begins with '@': systemd-shutdown lets such a process live until the machine is off, so that it can be told to
 * the end what happens. Signals that an init sends to all do not reach it, but SIGKILL.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cmd/lodge-agent/frame.h"
#include "ct/launch.h"
#include "lib/err.h"
#include "lib/msg.h"

/* Descriptors that outlive the initrd; -1: this machine has it not. */
struct machine {
	int port;
	int sys, proc;		/* as they were mounted first */
	int layer;		/* a folder in the layer's file system */
	int random;		/* /dev/urandom */
	char ifname[16];	/* "": no network */
	int ifindex;
	struct lg_rlimits rlimits;
	pid_t init;		/* 0: none to send signals to */
	bool once;		/* when the port's other end goes, nobody will come again */
	struct frames frames;
};

/** boot() - from the kernel's start to the guest's init; does not return. @title: argv[0] */
void boot(char *title) __attribute__((noreturn));

/**
 * serve() - serve the port @m->port until its other end is gone for good
 * @starting:	a pipe on which the start of init ends: closed by the exec, or an error line before; -1: it runs
 *
 * All signals must be blocked. Return: 0; -EPROTO: what came was no frame.
 */
int serve(struct machine *m, int starting);

/* ---- parts of the boot; each leaves one line on failure ---- */

/** modules_load() - all that /modules/order names. */
int modules_load(struct lg_err *err);

/** disks_root() - mount the root at /root, with the modules in it; @m->layer. */
int disks_root(struct machine *m, struct lg_err *err);

/** root_enter() - what every guest finds mounted, and /root becomes the root. */
int root_enter(struct lg_err *err);

/** network_up() - lo, and the interface that SETUP describes. */
int network_up(struct machine *m, const struct lg_msg *setup, struct lg_err *err);

/* ---- wishes to the running machine ---- */

/** network_change() - addresses and gateways: those of @m and no others that we gave. */
int network_change(const struct machine *m, const struct lg_msg *msg, struct lg_err *err);

/** machine_do() - what LG_A_DO wants; the answer's fields go to @answer. */
int machine_do(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err);

/** machine_clock() - the field clock_ns, where it is there, becomes the time. */
int machine_clock(const struct lg_msg *msg, struct lg_err *err);

/** machine_seed() - the field seed (hex), where it is there, goes into the kernel's pool. */
int machine_seed(const struct machine *m, const struct lg_msg *msg, struct lg_err *err);

/** machine_vcpus() - the field vcpus, where it is there: the others go offline. */
int machine_vcpus(const struct machine *m, const struct lg_msg *msg, struct lg_err *err);

#endif
