/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_START_H
#define LG_VM_START_H

/*
 * What lodged and the shim of a microVM say to each other: the messages of ct/proto.h with the same meaning, and these.
 *
 * How it works: a spare lodge-shim is told BECOME and executes LIBEXEC/lodge-vm, with the same connection as descriptor 3 and in the
 * same cgroups. From then on:
 *
 *	lodged				lodge-vm
 *	START  ---------------------->	makes the namespaces of QEMU and starts it, its processors stopped
 *	   <----------------------  MADE	pid of QEMU; fds: its network namespace (an empty one), its pidfd
 *	GO     ---------------------->	lets the processors run
 *	   <----------------------  STAGE*	how far the guest came
 *	   <----------------------  STARTED	the guest's init was executed; of a machine without an agent: the processors run
 *	   <----------------------  FAILED	at any point before STARTED
 *	   <----------------------  EXITED	status as a container's init has it: SIGINT powered off, SIGHUP wants to boot again,
 *					SIGSEGV the guest's kernel panicked, SIGKILL and others: what ended QEMU
 *
 * A QEMU that crashes (SIGSEGV) is told as SIGABRT, so that it is no panic of the guest. SIGNAL goes to the guest's init by its agent; SIGKILL
 * ends QEMU; to a machine without an agent all others are the power button. A reset, also one that was asked for, ends the machine with SIGHUP.
 * Kernel and initrd must be readable by everybody, as QEMU opens them anew under its own user; their folders need not be.
 *
 * STARTED and STATE have "qemu", its version, and "genid", STATE also "committed", "added" and "drive", what is in it now (see ASK).
 *
 * EXEC, CONSOLE, SIGNAL, HELLO, STATE, LEND (only "end"; LENT comes without a descriptor) are as of ct/proto.h. With tty BEGUN's descriptor is a stream socket
 * and no terminal: the client says RESIZE (rows, cols) on the control socket. Of a machine without an agent of lodge BEGUN has "whole" and no
 * "pid": the command begins when stdin has ended, and that it cannot is a FAILED behind it.
 *
 * ASK carries one wish to the running machine, and is answered TOLD with its tag.
 */

enum lg_vm_proto {
	/* lodged -> shim */
	LG_P_BECOME = 32,	/* program: path. To a spare that is READY; no answer but FAILED, START may follow at once */
	LG_P_ASK,	/* tag, what, and what goes with it, see below; answered TOLD */

	/* shim -> lodged */
	LG_P_STAGE = 96,	/* text: "kernel" (it says something), and the agent's: "modules", "disks", "root", "network", "init" */
	LG_P_TOLD,	/* tag; error object, or the answer's fields */
};

/*
 * Fields of START
 *
 *	ctid, socket, exit_file, console_log	as of ct/proto.h
 *	id_base		the user and group of QEMU, on the host
 *	scratch		an existing empty folder: where QEMU's root is built, in a mount namespace of its own
 *	qemu		path of the program
 *	accel		kvm or tcg
 *	machine		microvm or q35
 *	memory		bytes
 *	processors	of the machine; absent: vcpus
 *	vcpus		how many of them are on
 *	vcpus_max	of a machine without an agent: as many as it can have; absent: vcpus
 *	vcpus_added	those of them that came while it ran, before it was suspended or moved; absent: 0
 *	watchdog_s	how long the guest's init may take to be executed; 0: for ever
 *	append		with guest: the kernel's command line, as lg_vm_cmdline() makes it
 *	guest		1: direct boot of a template, with an agent. Then lodge-vm makes SETUP (vm/agent.h) of the fields of the
 *			same names: hostname, init, arg*, env*, dir*, file*, block*, link*, sysctl*, rlimit*, ifname, mtu, addr*,
 *			gateway*, vcpus
 *	mac		of the network card; absent: none
 *	disk*		"ROLE FORMAT ro|rw": ROLE base, layer, modules (guest), disk, cdrom, and of UEFI code, vars
 *			(others); FORMAT raw, qcow2, vmdk, vhdx
 *	preset		of the guest's system: linux, windows, freebsd, other
 *	drive		the machine has a drive: path of the file "cdrom" that is in it, for STATE, or "none"; absent: it has none
 *	vnc		path of a socket for its screen; absent: no screen
 *	fds, in this order: QEMU's cgroup2 directory; with "guest": the kernel, the initrd; one for each disk; with "mac": the tap;
 *	with "incoming" (1): what the machine's state is read from
 *	qemu_version	with "incoming": of the QEMU that wrote it; another release's is refused
 *	genid		by which the guest knows whether it is a copy: that of one that moves, as it is not; absent: a new one
 *
 * With "incoming" HELD comes when the state is read. It may be written while it is read (a pipe). The machine runs when GO was
 * said, too.
 *
 * What ASK can say
 *
 *	what=balloon	memory: bytes that the guest is to have, at most those of START
 *	what=disk	role, bytes: the file behind it has grown; so does the guest's disk, and its file system where an agent is
 *	what=usage	answer: as the agent's (vm/agent.h), balloon (bytes that it has now) and ram (bytes of
 *			them that are there on the host)
 *	what=addrs, vcpus, hostname, freeze, thaw	as of vm/agent.h
 *	what=vcpus	of a machine without an agent: vcpus: as many are plugged in as are missing, and the guest agent of QEMU, where
 *			there is one, is asked to switch them on. Answer: added (all that came while it ran), note (absent: the guest
 *			has them; what is missing, or what stands in the way of more)
 *	what=medium	path: of what goes into the drive, or "none"; fd: it, for reading, unless "none". Answer: drive, what is in it now;
 *			forced: 1 when the guest had locked it and was not asked in the end; why: absent, or a line that says why
 *			it is not what was wanted. Takes 16 s where a guest does not let go
 *	what=powerdown	the power button
 *	what=reset
 *	what=suspend	fd: where the machine's state goes; error object: what the clients of its sessions, which end, are told.
 *			The processors stop and stay stopped; answered when it is written, with "qemu", the version that wrote it,
 *			"added", and "drive", as in STATE.
 *			From then on it is ended (SIGKILL), or told to continue; the end of the connection that asked is a continue
 *			as well. Answered with an error it runs on
 *	what=written	role; fd: an empty file as long as that disk. From now on what is written to the disk is written there as well,
 *			until the machine stands still for a move
 *	what=move	as suspend, but the processors run while most of it is written, into a pipe; error object; added: the processors
 *			that came while it ran, as the other host was told (refused where there are more by now); still_ms: when
 *			what is left of it takes no longer (100), they stop, and that is the answer: us, since when (monotonic
 *			clock); written: 1 when the file of "written" has all of it. Then it is told to switch or to continue
 *	what=switch	the rest is written; from then on as after a suspend
 *	what=commit	it may run on another host: the end of the connection that asked ends it now. "continue" takes that back
 *	what=continue	after a suspend or a move that did not happen; answered when it runs
 */

#endif
