/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_INSIDE_H
#define LG_CT_INSIDE_H

/*
 * The code between clone and the container's first instruction. It runs alone in the new
 * namespaces: no other process is there yet, but the image that it walks over is hostile. Until
 * exec it is not dumpable, so that nothing that comes after it could look into it.
 */

#include <stdint.h>

#include "ct/launch.h"
#include "lib/err.h"

/** lg_inside() - run the steps, wait for GO, exec init; a failure goes to @sock and ends the process. */
void lg_inside(const struct lg_start *start, int sock) __attribute__((noreturn));

/*
 * What init and the processes of an exec session have in common.
 */

/** lg_confine_parse() - the fields "rlimit" of START. -EINVAL. */
int lg_confine_parse(const struct lg_msg *m, struct lg_rlimits *ret, struct lg_err *err);

/**
 * lg_confine_limits() - resource limits and umask, the same whoever started lodged
 * @given:	what START says instead; may be NULL
 */
int lg_confine_limits(const struct lg_rlimits *given, struct lg_err *err);

/**
 * lg_oom_note() - remember whether this process is protected from the OOM killer; lg_oom_reset() takes
 * such a protection away from its child @pid, as it is the daemon's, but not what lodged gave the process
 * since for the instance's sake. Both need the host's /proc.
 */
void lg_oom_note(void);
int lg_oom_reset(pid_t pid);

/**
 * lg_confine_apparmor() - let the next exec, also that of a child, change to an AppArmor profile
 * @profile:	NULL: nothing to do
 *
 * Before the host's /proc is left: what /proc shows later is the container's doing. A profile that is
 * not loaded, or a kernel without AppArmor, is no error: the other walls stand.
 */
int lg_confine_apparmor(const char *profile, struct lg_err *err);

/** lg_confine_caps() - keep only @keep in the bounding set; nothing ambient or inheritable. */
int lg_confine_caps(uint64_t keep, struct lg_err *err);

/** lg_confine_ids() - become the namespace's root, without supplementary groups. */
int lg_confine_ids(struct lg_err *err);

/**
 * lg_confine_seccomp() - load the filter from @fd (-1: none); needs CAP_SYS_ADMIN in the own user
 * namespace, and so no_new_privs stays off and sudo works inside.
 */
int lg_confine_seccomp(int fd, struct lg_err *err);

/** lg_confine_signals() - unblock all (their actions were reset by clone3). */
void lg_confine_signals(void);

/** lg_report() - send an error object of this kind; there is nobody to tell if that fails. */
void lg_report(int sock, uint32_t kind, const struct lg_err *err);

#define LG_PATH_ROOT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define LG_PATH_USER "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"

/*
 * The name that guests know us by. It is lxc's: OpenRC, cloud-init, snapd and distribution scripts
 * compare with the names of the container managers they know, and take a word that they do not
 * know for real hardware; systemd takes any.
 */
#define LG_CONTAINER_ENV "container=lxc"

#endif
