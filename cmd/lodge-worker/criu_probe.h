/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_WORKER_CRIU_PROBE_H
#define LODGE_WORKER_CRIU_PROBE_H

#include "lib/err.h"

/**
 * criu_probe() - ask a CRIU who it is and what it can do on this host
 *
 * Told on stdout, a line each: "P version 4.1.1", "P check " and what its own check complains of (nothing: all
 * is well), "P feature NAME 0|1". Return: 0; -ETIMEDOUT when it does not answer, negative errno.
 */
int criu_probe(const char *program, struct lg_err *err);

/** qemu_probe() - of QEMU: "version 10.0.2" */
int qemu_probe(const char *program, struct lg_err *err);

#endif
