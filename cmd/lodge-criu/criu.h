/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_CRIU_H
#define LG_CMD_CRIU_H

/*
 * lodge-criu: one dump or restore of one container, by CRIU.
 *
 * How it works: CRIU is fragile: it may hang, crash, or be killed at any instruction. So it has a process of ours above
 * it, which ends with the job, and which nobody has to trust: lodged and the shim only read messages. libcriu
 * starts the program and calls back at certain points (notify.c); there we ask whoever started us, and wait. A
 * callback that fails makes CRIU undo what it did, and so does the end of this process.
 *
 * All of it happens in a mount namespace of its own, which is the host's with the container's root added. No path inside the
 * container is used.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "lib/err.h"
#include "lib/msg.h"

#define DUMP_TRIES 8u

struct job {
	const struct lg_msg *m;	/* the request; texts are borrowed from it */
	const char *root, *criu;
	uint32_t owner, count;
	int images;		/* folder */
	int root_mount, host_ns, nodes;	/* -1: none */
	pid_t pid;		/* of init */
	bool restores, ahead;
	bool held;		/* HELD was said and GO was heard */
	bool said_no;		/* by who started us */
	unsigned int tries;	/* how often it was dumped and met a process between vfork and exec() */
	bool again;		/* it did now */
	struct timespec began;
	struct lg_err err;	/* of a callback: says more than CRIU's log */
};

extern struct job job;
extern struct lg_msg msg_out;

/* ---- stage.c: where CRIU works ---- */

/** stage_enter() - a mount namespace as the host's, with the container's root at job.root */
int stage_enter(struct lg_err *err);

/* ---- cache.c: what CRIU knows about the kernel ---- */

/** cache_give() - let it find what it found out before; in a mount namespace of our own */
void cache_give(void);

/** cache_keep() - for the next one */
void cache_keep(void);

/* ---- external.c: mounts that come from outside the container ---- */

/** external_find() - name them to CRIU, and write their names beside the images */
int external_find(struct lg_err *err);

/** external_give() - for a restore: say where each of them is here */
int external_give(struct lg_err *err);

/* ---- notify.c ---- */

/** notify_init() - be asked by CRIU */
void notify_init(void);

/* ---- inside.c ---- */

/**
 * inside_report() - say TTY: what the shim wants to have of the restored container
 * @master:	the console's; -1: it had none
 */
int inside_report(int master, struct lg_err *err);

/* ---- watches.c ---- */

/** watches_find() - tell CRIU the paths of what is watched with inotify in the root file system */
int watches_find(struct lg_err *err);

/* ---- tree.c: the container's processes ---- */

typedef int (*tree_fn)(pid_t pid, void *arg);

/** @name: of a descriptor in @fds, the folder of those of a process */
typedef int (*descriptor_fn)(pid_t pid, int fds, const char *name, void *arg);

/** tree_each_descriptor() - call @fn with each descriptor of a process; other than 0 ends it. 0: all, or it has ended. */
int tree_each_descriptor(pid_t pid, descriptor_fn fn, void *arg);

/** tree_each() - call @fn with each, init first; other than 0 ends it. -E2BIG: there are too many. */
int tree_each(pid_t pid, tree_fn fn, void *arg);

/**
 * tree_number_in() - the process that the file @path of /proc is about, as the innermost namespace calls it
 *
 * 0: it has ended, or is not to be seen in there.
 */
pid_t tree_number_in(const char *path);

/** tree_inside() - its number, or a thread's, as it calls itself; 0: it has ended */
pid_t tree_inside(pid_t pid);

/** tree_open() - the folder "fd", "task", ... of a process; -1: it has ended */
int tree_open(pid_t pid, const char *what);

/* ---- settings.c: what CRIU cannot carry over ---- */

/** settings_take() - put it away, before a dump */
int settings_take(struct lg_err *err);

/** settings_return() - the container runs on here. Nothing was put away: nothing happens. */
int settings_return(struct lg_err *err);

/** settings_give() - to the restored one */
int settings_give(struct lg_err *err);

/* ---- clocks.c: what the time is in there ---- */

/** clocks_note() - it was frozen just now: keep what its clocks say */
int clocks_note(struct lg_err *err);

/** clocks_stop() - of the images of a dump: let its clocks have stopped then */
int clocks_stop(struct lg_err *err);

/** clocks_give() - let the timers of the restored one expire at the time that they were set to */
void clocks_give(void);

/* ---- pidfds.c: by what programs know processes again ---- */

/** pidfds_note() - put it beside the images; nothing of the container runs */
int pidfds_note(struct lg_err *err);

/** pidfds_give() - let the restored ones know what it is now */
void pidfds_give(void);

/* ---- threads.c: what the threads of the container are set to, and CRIU does not keep ---- */

/** threads_note() - put it beside the images; nothing of it runs */
int threads_note(struct lg_err *err);

/** threads_give() - to the restored ones, before they run. Images without it are fine. */
int threads_give(struct lg_err *err);

/** threads_be_usual() - what CRIU makes inherits from us what threads have of which nothing was noted */
void threads_be_usual(void);

/* ---- wipe.c ---- */

/** wipe_note() - let the images say which memory a child finds empty; everything is frozen */
int wipe_note(struct lg_err *err);

/* ---- heal.c ---- */

/**
 * heal() - the container runs on after a dump that came to no good end
 *
 * CRIU is gone by now, wherever in its work it was. May be repeated. All of it is done, whatever fails; the first failure is told.
 */
int heal(struct lg_err *err);

/* ---- cancel.c: the end of CRIU ---- */

/** cancel_init() - a dump: SIGTERM to us has CRIU give up in order, and it and what it started is ours to wait for */
void cancel_init(void);

/** cancel_share() - CRIU works in a child of its own, which gets that SIGTERM, too */
void cancel_share(void);

/** cancel_watch() - a restore: end at once when CRIU is killed. Who started us ends what it had made. */
void cancel_watch(void);

/** cancel_found() - from CRIU's first call on it is known which process it is */
int cancel_found(void);

/** cancel_wanted() - has anybody asked for it? */
bool cancel_wanted(void);

/**
 * cancel_finish() - return when CRIU and all it started has ended; what does not end by itself is killed
 *
 * Was CRIU killed, the container may be held by the tracer (calls_trace.c), which stays until cancel_release().
 */
void cancel_finish(void);

/** cancel_release() - let the container go on */
void cancel_release(void);

/* ---- sockets.c ---- */

/** sockets_keep() - the netfilter sockets that CRIU has open stay open until we end: closing one makes the kernel wait */
void sockets_keep(void);

/* ---- hook.c: for tests ---- */

/** hook_at() - CRIU calls back at @point: does the request want something to die there? */
void hook_at(const char *point);

/* ---- images.c ---- */

typedef int (*image_fn)(const char *name, void *arg, struct lg_err *err);

/** images_each() - call @fn with each image whose name begins with @prefix, in no order; other than 0 ends it */
int images_each(const char *prefix, image_fn fn, void *arg, struct lg_err *err);

/* ---- ids.c ---- */

/** ids_rewrite() - let the images name the ids that the container has on this host */
int ids_rewrite(struct lg_err *err);

/** ids_move_cgroups() - owners of its cgroups: from the range that began at @was to the one that it has now */
int ids_move_cgroups(uint32_t was, struct lg_err *err);

/* ---- exe.c ---- */

/** exe_rewrite() - let no process's program be a file that is only named; of the images */
int exe_rewrite(struct lg_err *err);

/* ---- sharing.c ---- */

/** sharing_rewrite() - let the images say nothing about mounts that CRIU cannot restore */
int sharing_rewrite(struct lg_err *err);

/* ---- routes.c ---- */

/** routes_rewrite() - let the images say nothing about the state of routes, nor about rules that are the usual ones */
int routes_rewrite(struct lg_err *err);

/* ---- spawning.c ---- */

/** spawning_seen() - do the images have a process that was just being made by another one? */
bool spawning_seen(void);

/* ---- controllers.c ---- */

/** controllers_note() - keep what is set in the container's cgroup2 folder, @cgroup, and below, beside the images */
int controllers_note(const char *cgroup, struct lg_err *err);

/** controllers_give() - set it in the new ones, once init is below the topmost */
int controllers_give(struct lg_err *err);

#endif
