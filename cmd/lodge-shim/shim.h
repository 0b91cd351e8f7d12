/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_SHIM_H
#define LG_CMD_SHIM_H

/*
 * How it works: one thread, one epoll. Each thing that is listened to is a struct lg_source
 * (ct/loop.h). The shim's life:
 *
 *	SPARE	 connected to lodged, prepared; ends with the connection
 *	MADE	 init is there and builds its root; the connection's end kills it
 *	RUNNING	 init was executed; connections come and go
 *	ENDED	 init is reaped; what is left is to say so
 *
 * Nothing here waits for the container: its console, its sessions and its clients are all
 * non-blocking, and what cannot be delivered is dropped.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "ct/launch.h"
#include "ct/link.h"
#include "ct/loop.h"
#include "lib/err.h"
#include "lib/msg.h"

enum phase { PHASE_SPARE, PHASE_MADE, PHASE_RUNNING, PHASE_ENDED };

struct session;

struct shim {
	enum phase phase;
	struct lg_launch launch;	/* init; sock is the handshake */
	bool ready, go, execing;	/* of the handshake */
	bool placed;		/* as a spare: READY was said */
	bool restored;		/* by CRIU */
	int devpts;			/* mount of the container's /dev/pts */
	int cgroup_fd, leaf_fd, seccomp_fd;
	uint32_t ctid, id_base;
	uint64_t keep_caps;
	struct lg_rlimits rlimits;
	char *apparmor;			/* profile; NULL: none */
	char *target, *socket, *exit_file;	/* set once START was taken */
	char *disk;		/* where the image is mounted; NULL: the layer is a folder */
	struct session *sessions;
	unsigned int nsessions;
};

extern struct shim shim;

/* ---- main.c ---- */

/** set_title() - what ps shows: "lodge-shim CTID". */
void set_title(unsigned int ctid);

/* ---- trim.c ---- */

/** trim_init() - find out what can be given back. */
void trim_init(void);

/**
 * trim_and_wait() - give back what is not needed until something happens, and wait for it
 * Return: as epoll_wait(2) for one event, without end.
 */
int trim_and_wait(int epoll, struct epoll_event *ev);

/* ---- dispatch.c: what lodged says ---- */

/** dispatch_first() - listen to the connection that lodged started us with. */
int dispatch_first(int fd);

/* ---- start.c: from START to STARTED, and the end ---- */

void start_take(struct lg_msg *m);
void start_go(void);

/** start_made() - init is there: tell lodged. */
int start_made(struct lg_err *err);

/** start_done() - init runs. */
void start_done(void);

/** start_fail() - say FAILED, undo, end. */
void start_fail(const struct lg_err *err) __attribute__((noreturn));

/** init_reaped() - init has ended with this wait status. */
void init_reaped(int status) __attribute__((noreturn));

/** spare_prepare() - what a spare can do before it knows what for. */
int spare_prepare(const struct lg_msg *m, struct lg_err *err);

/* ---- procfs.c: lxcfs's files over the container's /proc ---- */

/** procfs_take() - PROC: there is a new lxcfs, or none. */
void procfs_take(struct lg_msg *m);

/** procfs_files() - what init puts in place; procfs_given() when it has been cloned. */
struct lg_procfs *procfs_files(void);
void procfs_given(void);

/** procfs_restored() - what lies over the files of a restored container is lxcfs's already, if there is one. */
void procfs_restored(void);

/** procfs_dirs() - take the container's two folders, descriptors @first and the next one of @m. */
void procfs_dirs(struct lg_msg *m, unsigned int first);

/** procfs_settle() - init runs: let the container have what was changed meanwhile. */
void procfs_settle(void);

/** procfs_reaped() - was @pid the child that does it? */
bool procfs_reaped(pid_t pid);

/* ---- session.c ---- */

void session_begin(struct lg_msg *m);

/** session_reaped() - is @pid one of a session's? Then take note of it. */
void session_reaped(pid_t pid, int status);

/** sessions_kill() - end all of them, and tell their clients @why. They are gone when shim.nsessions is 0. */
void sessions_kill(const struct lg_err *why);

/** sessions_end() - tell the clients of all that are left that they are over. */
void sessions_end(void);

/* ---- lend.c: for a dump ---- */

/** lend_take() - LEND: answer with the root on @answer when the sessions have ended */
void lend_take(struct lg_msg *m, int to);

/** lend_if_wanted() - a session less: was it the last one that LEND waits for? */
void lend_if_wanted(void);

/* ---- restore.c: out of images ---- */

/** restore_begin() - have init made by CRIU instead of clone() */
int restore_begin(const struct lg_start *start, struct lg_err *err);

/** restore_go() - let it run; what was said before it was ready counts then */
void restore_go(void);

/** restore_undo() - it failed: end CRIU and all that it made */
void restore_undo(void);

/* ---- devices.c ---- */

/** devices_take() - change the nodes in /dev as @m says; a child answers on @answer. */
void devices_take(struct lg_msg *m, int answer);

#endif
