/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_AGENT_H
#define LG_VM_AGENT_H

/*
 * What the shim of a microVM and lodge's program inside it (cmd/lodge-agent) say to each other, over one virtio-serial port.
 *
 * How it works: the port is a stream of bytes. A frame is a header of 12 bytes, little-endian, and up to
 * LG_AGENT_PAYLOAD bytes. Channel 0 is the machine, every other one an exec session; the shim gives out their numbers, never one
 * twice in the life of a machine. A payload is either bytes of a stream or the fields of a message (lib/msg.h: "key=value", each
 * ended by NUL).
 *
 * The agent is process 1 of the initrd: it loads the modules, says HELLO, waits for SETUP, mounts the root, writes what SETUP wants
 * there, sets up the network, leaves a copy of itself behind that serves the port, and executes the guest's init, of which the copy
 * says INIT. Disks are told apart by their serial numbers: "base", "layer", "modules".
 *
 *	shim				agent
 *	     <---------------------- HELLO
 *	SETUP --------------------->	mounts, files, network
 *	     <---------------------- STAGE*	before each part: what a boot that hangs hung at
 *	     <---------------------- INIT	init was executed
 *	     <---------------------- FAILED	channel 0: it cannot go on; the machine powers off
 *
 *	EXEC c -------------------->
 *	     <---------------------- BEGUN c, or FAILED c
 *	IN c, OUT c, ERR c, as far as there is credit; empty: the stream's end. An empty OUT or ERR from the shim: its client reads that
 *	stream no more, and whoever writes to it inside is to hear of it (SIGPIPE)
 *	SIGNAL c, RESIZE c, HANGUP c
 *	     <---------------------- ENDED c	behind the last OUT and ERR
 *
 * Credit: a sender of IN, OUT or ERR has LG_AGENT_WINDOW bytes for each of them at first, and again what CREDIT gives it back when
 * the other end got rid of them. So one session that nobody reads holds up no other.
 *
 * Each believes nothing of the other: a guest owns its agent, and everything has a maximum. A frame that is none ends the
 * connection; the shim then has a machine without an agent.
 */

#include <stdint.h>

#define LG_AGENT_PORT "io.lodge.agent"	/* name of the virtio-serial port */
#define LG_AGENT_PORT_QEMU "org.qemu.guest_agent.0"	/* of QEMU's own agent, in guests without ours */
#define LG_AGENT_VERSION 1u
#define LG_AGENT_PAYLOAD 16384u		/* of one frame; LG_MSG_BYTES */
#define LG_AGENT_WINDOW 65536u		/* of one stream of one session */
#define LG_AGENT_SESSIONS 128u		/* at a time */

struct lg_agent_head {
	uint32_t size;		/* of the payload */
	uint32_t channel;
	uint16_t kind;
	uint16_t zero;
} __attribute__((packed));

enum lg_agent_kind {
	/* shim -> agent, channel 0 */
	LG_A_SETUP = 1,	/* the fields below */
	LG_A_INIT_SIGNAL,	/* sig: to init, as a stop does: as soon as init hears it, and now and then before */
	LG_A_DO,	/* tag, what: one of the things below; answered DONE with the same tag */
	/* shim -> agent, a session */
	LG_A_EXEC,	/* arg*, env*, user (NAME[:GROUP] or numbers), cwd, tty (0/1), rows, cols */
	LG_A_IN,	/* bytes */
	LG_A_SIGNAL,	/* sig: to the session's process group */
	LG_A_RESIZE,	/* rows, cols */
	LG_A_HANGUP,	/* the client went away: SIGHUP, and nobody reads any more */
	/* either way, a session */
	LG_A_CREDIT,	/* stream (0 in, 1 out, 2 err), bytes */

	/* agent -> shim, channel 0 */
	LG_A_HELLO = 64,	/* version */
	LG_A_STAGE,	/* text: "disks", "root", "network", "init"; at_us: microseconds since the kernel's start */
	LG_A_INIT,	/* init was executed */
	LG_A_DONE,	/* tag; error object (lg_msg_put_err) or the answer's fields */
	/* agent -> shim, a session (FAILED also on channel 0) */
	LG_A_BEGUN,	/* pid */
	LG_A_OUT,	/* bytes */
	LG_A_ERR,	/* bytes */
	LG_A_ENDED,	/* status: as of waitpid */
	LG_A_FAILED,	/* error object */
};

/*
 * Fields of SETUP
 *
 *	hostname, init, arg*, env*, dir*, file*, block*, link*, sysctl*, rlimit*: as of LG_P_START (ct/proto.h)
 *	mac		of the interface, "02:..."; absent: no network
 *	ifname		its name inside: "eth0"
 *	mtu		0: as it is
 *	addr*		"192.0.2.1/32"
 *	gateway*	"192.0.2.254": on the link, even where no address's prefix covers it; the default route
 *	vcpus		how many of the machine's are to be used; the others go offline
 *	clock_ns	nanoseconds since the epoch
 *	seed		hex, at most 256 bytes: for the pool of random numbers; may be absent
 *
 * What DO can say
 *
 *	what=grow		the layer's disk became larger: so does its file system. bytes: the disk's new size, which is waited for
 *	what=usage		answer: memory_total, memory_free, memory_available (bytes), disk_total, disk_used (bytes), inodes,
 *				inodes_used, load1, load5, load15 (thousandths), processes, uptime_ms
 *	what=addrs		addr*, gateway*: these and no others from now on
 *	what=vcpus		vcpus
 *	what=hostname		hostname
 *	what=freeze|thaw	the layer's file system, around a copy of the disk
 *	what=quiet		before a suspend or a move: all sessions are killed, and after DONE nothing is said until "resumed",
 *				so that the stream is between two frames, whoever goes on with it
 *	what=resumed		after it, and where it did not happen: clock_ns (absent: it is right) is the time, seed (hex) goes to
 *				the pool of random numbers
 */

#endif
