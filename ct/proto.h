/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_PROTO_H
#define LG_CT_PROTO_H

/*
 * What lodged and a shim say to each other (lib/msg.h has the form).
 *
 * How it works: lodged keeps one spare shim, started as `lodge-shim` with the connection as
 * descriptor 3. The first message may be SPARE (hybrid hosts: move yourself into these v1 cgroups,
 * answer READY); then, when an instance is to start:
 *
 *	lodged				shim
 *	START  ---------------------->	clones init, writes its id maps, mounts its root
 *	   <----------------------  MADE	pid of init; fds: its network namespace, a pidfd of init
 *	(attaches the network)
 *	GO     ---------------------->	lets init go on to exec
 *	   <----------------------  STARTED	exec happened
 *	   <----------------------  FAILED	whatever went wrong, at any point before STARTED; the
 *					shim has cleaned up and exits
 *	...
 *	   <----------------------  EXITED	init is gone and reaped
 *
 * A restore goes the same way; what clones init is CRIU then, driven by a child of the shim
 * (ct/checkpoint.h). Between MADE and STARTED the shim says HELD.
 *
 * From START on the shim listens on RUN/shim/CTID.sock. When lodged goes away before STARTED, the
 * shim kills init and exits: the start never happened. After STARTED it goes on; a new lodged connects
 * to the socket, sends HELLO and is answered STATE. The last connection that said HELLO (or the first
 * one) is the daemon's: EXITED goes there. Before that the shim writes the exit status to the file
 * "exit_file", for a daemon that is not there or dies before it has read EXITED; who has read it removes
 * the file. After EXITED the shim unmounts the root, which may take as long as writing back what
 * the guest wrote, and exits: the layers are free when the shim is gone.
 *
 * exec: EXEC carries the descriptors of the session's streams. From then on the client talks to the
 * shim on the session's control socket (SOCK_SEQPACKET) without lodged: the shim sends BEGUN (fd:
 * the pty's master when a terminal was asked for) or FAILED, and at the end ENDED with the wait
 * status, or FAILED when it was ended from outside; the client may send SIGNAL. A closed control socket hangs the session up (SIGHUP to
 * its process group). Streams may be pipes, sockets and files: the host's folders, disks and
 * terminals are refused, as they would be ways out. Without arg the user's login shell is run.
 */

enum lg_proto {
	/* lodged -> shim */
	LG_P_SPARE = 1,	/* procs* (paths of cgroup.procs files) */
	LG_P_START,	/* the fields of the table below; fds: cgroup2 directory of init, cgroup2 leaf for
			 * exec, seccomp filter (a file of struct sock_filter; absent if "seccomp" is 0) */
	LG_P_GO,
	LG_P_HELLO,
	LG_P_EXEC,	/* arg*, env*, user (NAME[:GROUP] or numbers), cwd, tty (0/1), rows, cols; fds:
			 * control, and without tty: stdin, stdout, stderr */
	LG_P_CONSOLE,	/* fd: a stream socket to join to the console (SOCK_STREAM) */
	LG_P_SIGNAL,	/* sig: to init (from lodged) or to the session's process group (from a client) */
	LG_P_RESIZE,	/* rows, cols: of the console; from a client of a microVM, of its session's terminal */
	LG_P_PROC,	/* file* (names of ct/procfs.c); fds: a copy of each one's mount, a pidfd of the
			 * lxcfs that makes them. None: there is no lxcfs any more. Before START and later */

	LG_P_LEND,	/* end (0/1): first end all sessions, with this "error" as their reason. Answered with LENT */
	LG_P_DEVICES,	/* device* (as of START), gone* (names below /dev): changes of a running container's
			 * /dev. Answered with DEVICES: an error object, or nothing if all was done */

	/* shim -> lodged, shim -> client */
	LG_P_READY = 64,
	LG_P_MADE,	/* pid; fds: network namespace, pidfd of init */
	LG_P_STARTED,	/* first_us: CLOCK_MONOTONIC microseconds when exec was seen */
	LG_P_FAILED,	/* error object (lg_msg_get_err) */
	LG_P_EXITED,	/* status: as of waitpid */
	LG_P_STATE,	/* pid, starttime, started (0/1); fds: network namespace, pidfd of init */
	LG_P_BEGUN,	/* pid; fd: master of the terminal; whole (1): stdin is read to its end before the command begins (vm/start.h) */
	LG_P_ENDED,	/* status */
	LG_P_LENT,	/* fd: a mount of the container's root, attached nowhere */
	LG_P_HELD,	/* a restore: everything is there and waits for GO */
};

/*
 * Fields of START
 *
 *	ctid		decimal
 *	id_base		first outside id; id_count how many (65536)
 *	lower upper work	the layers (storage/overlay.h)
 *	image		the file system that holds upper and work, where they are in one; mounted on scratch/layer
 *			for as long as the instance runs, so that it can be measured and made larger
 *	target scratch	existing empty folders: where the root is mounted, where layers are idmapped
 *	socket		path to listen on
 *	exit_file	where the exit status goes, decimal, as of waitpid: "STATUS\n"
 *	console_log	path of the console's log (appended, turned over at 1 MiB to FILE.1)
 *	hostname
 *	init		path inside; arg* its arguments (argv[0] first), env* its environment
 *	seccomp		0/1
 *	keep_caps	decimal bit mask of the capabilities in the bounding set
 *	run_size tmp_size	decimal bytes: sizes of the tmpfs on /run and on /dev/shm
 *	ptys		how many pseudo-terminals it may open; left out: a default
 *	apparmor	profile to change to, where this kernel has it; absent: none
 *	rlimit*		"RESOURCE SOFT HARD": numbers (18446744073709551615: unlimited), instead of the usual limit
 *	sysctl*		"PATH\nVALUE": below /proc/sys, written inside when the network is there
 *	device*		"MODE c|b MAJOR MINOR NAME": nodes to make in /dev, owned by the container's root, e.g.
 *			"0666 c 10 229 fuse"; NAME may have folders
 *	dir*		"MODE PATH": folders to make inside before init runs, e.g. "0755 /run/systemd/system"
 *	file*		"MODE PATH\nTEXT": files to write inside (replacing what is there, links not followed
 *			in the last part); all as the container's root, from inside its namespaces
 *	block*		"MODE PATH\nLINES": as file*, but what the file holds stays, and the lines stand
 *			between two marker lines in it
 *	link*		"PATH\nTARGET": symbolic links to make inside, replacing what is there
 *	shifted		0/1: the layers are owned by its ids instead of being mapped (storage/shift.h)
 *	nesting		0/1: what engines of containers inside look for is mounted, too
 *	plain*		"SOURCE\nTARGET": folders of the layer (storage/plain.h) that are mounted beside the
 *			overlay, their ids mapped as its are
 *	bind*		"FLAGS SOURCE\nTARGET": host folders mounted inside (none yet; reserved)
 *	restore		0/1: out of images instead of executing init. Three more fds: the folder of the images, the
 *			host's mount namespace, a cgroup2 directory for lodge-criu. And the fields for RESTORE that lodged knows: helper (lodge-criu),
 *			criu, calls_lib, log, netdev, pair, lxcfs, hook (ct/checkpoint.h)
 *	mask*		paths to hide below /proc and /sys; readonly* paths to make read-only
 */

#endif
