/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_SANDBOX_H
#define LG_VM_SANDBOX_H

/*
 * Where QEMU runs. A guest that breaks out of its machine is in QEMU, and QEMU has nothing there.
 *
 * How it works: it is process 1 of its own process, mount, network, ipc, uts and cgroup namespaces, under an id of its own and
 * without capabilities, and can make neither processes nor sockets. Its root is a tmpfs with what the dynamic linker and QEMU read
 * while it prepares the machine. When it has done that, and before the guest's first instruction, that is taken away, too
 * (lg_sandbox_strip()): then the root is empty, and what it has are its descriptors.
 *
 * It ends with its parent, however that ends.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

#define LG_SANDBOX_FDS 24u

struct lg_sandbox {
	uint32_t id;		/* user and group on the host */
	const char *scratch;	/* an existing empty folder: its root is mounted there, in its own mount namespace */
	char *const *argv;	/* argv[0] is the program's path */
	const int *fds;		/* become 0, 1, 2, ... */
	unsigned int nfds;
	int cgroup_fd;		/* of cgroup2: it is born there; -1: in the caller's */
	uint64_t address_space;	/* bytes that it may map; 0: any number */
	const char *what;	/* in messages; NULL: QEMU */
	bool kvm;		/* /dev/kvm is in its root */
};

/**
 * lg_sandbox_start() - start the program, and wait for its exec
 * @ret_pidfd, @ret_netns_fd: the caller's; of the process, and of its network namespace
 *
 * Return: its pid; negative errno, and nothing is left.
 */
pid_t lg_sandbox_start(const struct lg_sandbox *box, int *ret_pidfd, int *ret_netns_fd, struct lg_err *err);

/** lg_sandbox_strip() - empty the root of the program that lg_sandbox_start() gave @pid and @pidfd of. Return: 0, negative errno. */
int lg_sandbox_strip(pid_t pid, int pidfd, struct lg_err *err);

/** lg_sandbox_filter() - what it may never do; for the calling process and what it executes. */
int lg_sandbox_filter(struct lg_err *err);

#endif
