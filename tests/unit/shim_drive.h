/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_TEST_SHIM_DRIVE_H
#define LG_TEST_SHIM_DRIVE_H

/*
 * Plays lodged for one shim: a folder for its files, a cgroup2 directory, a root with busybox in it. Shared
 * by the programs that test the shim and that measure it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"
#include "lib/msg.h"

#define DRIVE_BASE 1000000000u	/* first outside id */

struct drive {
	char dir[64];		/* everything of this drive: lower, upper, work, target, ... */
	char lower[300];	/* dir/lower, or a root that was given */
	char cgroup[200];
	pid_t shim;
	int sock;
	struct lg_msg m;	/* the last one received */
	struct lg_msg start;	/* being built */
};

/** drive_new() - make folders and cgroup; @lower: NULL makes a root with busybox. */
void drive_new(struct drive *d, const char *lower);

/** drive_spawn() - start the shim. */
void drive_spawn(struct drive *d);

/** drive_start_msg() - fill d->start with everything but dir, file, arg and env fields. */
void drive_start_msg(struct drive *d, const char *init);

/** drive_send_start() - add the descriptors and send it. */
void drive_send_start(struct drive *d, bool seccomp);

/** drive_run() - spawn, START with `sh -c SCRIPT` as init, MADE, GO, STARTED. */
void drive_run(struct drive *d, const char *script);

/** drive_expect() - receive into d->m. Return: is it of this kind? Waits 10 s at most. */
bool drive_expect(struct drive *d, uint32_t kind);

/** drive_simple() - send a message without fields. */
void drive_simple(struct drive *d, uint32_t kind);

/** drive_signal() - send @sig to init. */
void drive_signal(struct drive *d, int sig);

/** drive_connect() - a new connection to the shim's socket; the old one is closed first. */
void drive_connect(struct drive *d);

/** drive_path() - dir/NAME, good until the next call. */
const char *drive_path(const struct drive *d, const char *name);

/** drive_put() - write a file below the lower folder. */
void drive_put(const struct drive *d, const char *name, const char *text, mode_t mode);

/** drive_read() - (the last 64 KiB of) a file below dir, good until the next call; "" when it is not there. */
const char *drive_read(const struct drive *d, const char *name);

/** drive_wait_file() - until dir/NAME holds @text; 5 s at most. */
bool drive_wait_file(const struct drive *d, const char *name, const char *text);

/** drive_reaped() - the shim's exit status; -1 when it does not end within 10 s. */
int drive_reaped(struct drive *d);

/** drive_free() - kill what is left and remove everything. Return: was nothing left behind? */
bool drive_free(struct drive *d);

/** drive_runner - whose drives these are, where tests run in children; 0: this process's. */
extern pid_t drive_runner;

/** drive_sweep() - remove what failed tests of this runner left. */
void drive_sweep(void);

struct drive_exec {
	const char *const *argv;	/* NULL-ended */
	const char *user, *cwd, *env;	/* or NULL */
	const char *input;		/* for stdin; NULL: none */
	bool tty;
	/* results */
	int status;			/* of wait; -1: FAILED */
	struct lg_err err;
	char out[65536];
	int control, master;		/* open after drive_exec_begin() */
	int streams[3];
};

/** drive_exec() - a whole session; e->out has stdout and stderr. */
void drive_exec(struct drive *d, struct drive_exec *e);

/** drive_exec_begin() - only until BEGUN or FAILED. Return: did it begin? */
bool drive_exec_begin(struct drive *d, struct drive_exec *e);

/** drive_sh() - run `sh -c SCRIPT` as root; its output, good until the next call. */
const char *drive_sh(struct drive *d, const char *script);

/** drive_now_us() - CLOCK_MONOTONIC. */
long long drive_now_us(void);

#endif
