/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_CHECKPOINT_H
#define LG_CT_CHECKPOINT_H

/*
 * What is said between lodge-criu (cmd/lodge-criu), which drives CRIU, and whoever started it: lodged for a
 * dump, the shim for a restore. lib/msg.h has the form; the connection is its descriptor 3. One request, then the
 * process ends.
 *
 *	DUMP   ----------------------->
 *	   <---------------------------  FROZEN	nothing of it runs; comes again when it ran on and is dumped anew
 *	   <---------------------------  HELD	nothing runs any more, and everything is in the images
 *	GO / ABORT  ------------------>		GO kills it; ABORT, and the end of the connection, lets it run on
 *	   <---------------------------  DONE, or FAILED: then it runs
 *
 *	AHEAD ------------------------>		memory alone, and it runs on: CRIU stops it only to see what was written
 *	   <---------------------------  DONE, FAILED
 *
 *	HEAL  ------------------------>		a dump has been killed, lodge-criu with it; whoever asks has seen to it that nothing of
 *	   <---------------------------  DONE, FAILED	it runs any more
 *
 *	RESTORE ---------------------->
 *	   <---------------------------  MADE	init and its namespaces are there
 *	   <---------------------------  TTY	as in the handshake of a start (ct/launch.h)
 *	   <---------------------------  HELD	everything is there, nothing runs
 *	GO  -------------------------->		it runs from here on; anything else, and it is killed
 *	   <---------------------------  DONE, or FAILED: then nothing of it is left
 *
 * Common fields: criu (the program), calls_lib (cmd/lodge-criu/calls.c), owner (the container's root
 * outside), cache (file for what CRIU finds out about the kernel), log ("all": its log says all that it does; otherwise errors and
 * warnings), root (where the root file system is mounted for CRIU; the same name at dump and restore is not needed), hook
 * (cmd/lodge-criu/hook.c; tests alone).
 */

enum lg_checkpoint {
	/* fds: folder of the images, a mount of the root */
	LG_K_DUMP = 1,	/* pid, ctid, root, criu, owner, calls_lib, sync (0/1: HELD is said when the images
			 * are on the disk), parent (folder of the last round that was copied ahead, relative to
			 * this one's; may be missing) */
	/* fds: folder of the images, a mount of the root, the host's mount namespace, and, where there are any "node",
	 * the mount with the container's device nodes */
	LG_K_RESTORE,	/* root, criu, owner, calls_lib, count (of ids), cgroup* ("CONTROLLERS\nPATH"), netdev
			 * (its name inside) and pair (lg_net_prepare(); both may be missing), lxcfs (folder; may be missing),
			 * node* (names below /dev, in the order of their numbers in the mount) */
	LG_K_GO,
	LG_K_ABORT,
	LG_K_COMMIT,	/* of a dump that is held: from here on the end of the connection is a GO */
	/* fds: folder of the images */
	LG_K_HEAL,	/* pid */
	/* fds as of a DUMP */
	LG_K_AHEAD,	/* pid, ctid, root, criu, owner, calls_lib, parent */

	LG_K_MADE = 64,	/* pid: init's */
	LG_K_TTY,	/* fds: devpts mount, console's master, its /proc, its CPU folder (the last two may be
			 * missing) */
	LG_K_HELD,	/* us: what the call took until here, in microseconds; fd of a DUMP: a pidfd of CRIU, which holds the
			 * processes: if it ends before GO they have run on, and the images are of the past */
	LG_K_DONE,	/* pid (RESTORE) */
	LG_K_FAILED,	/* error object: CRIU's log in one line */
	LG_K_FROZEN,	/* us: when its processes began to be stopped, monotonic clock */
};

/*
 * How long things may take, the inner ones less than the outer ones: CRIU itself gives up when it cannot stop all processes in
 * FREEZE_S. A dump that nobody wants any more is asked to give up, and killed when it has not done so CANCEL_S later.
 */
#define LG_CHECKPOINT_FREEZE_S 10u
#define LG_CHECKPOINT_CANCEL_S 15u

#define LG_CHECKPOINT_FD 3		/* the connection */
#define LG_CHECKPOINT_STATE "state.json"	/* in the folder of the images: they count (cmd/lodged/checkpoint.c) */
#define LG_CHECKPOINT_LOG "criu.log"	/* in the folder of the images */
#define LG_CHECKPOINT_KEYS "lodge.mounts"	/* there, too: mounts that come from outside */

#endif
