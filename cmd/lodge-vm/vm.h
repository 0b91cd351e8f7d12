/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_VM_H
#define LG_CMD_VM_H

/*
 * lodge-vm: parent of one microVM's QEMU, as lodge-shim is of one container's init. vm/start.h says what lodged and it say to each
 * other, vm/agent.h what it and the program inside the guest do.
 *
 * How it works: one thread, one epoll (ct/loop.h). Its life:
 *
 *	SPARE	 took over from a lodge-shim; ends with the connection
 *	MADE	 QEMU is there, and then the guest boots; the connection's end kills it
 *	RUNNING	 the guest's init was executed; connections come and go
 *	ENDED	 QEMU is reaped; what is left is to say so
 *
 * Nothing here waits for QEMU or the guest: what both say has a maximum, and what they do not take is dropped or not read.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ct/link.h"
#include "ct/loop.h"
#include "lib/err.h"
#include "lib/msg.h"
#include "vm/agent.h"
#include "vm/qmp.h"
#include "vm/spec.h"

enum phase { PHASE_SPARE, PHASE_MADE, PHASE_RUNNING, PHASE_ENDED };

struct session;

struct vm {
	enum phase phase;
	struct lg_vm_spec spec;		/* its texts are in start_msg; its descriptors are closed when QEMU has them */
	pid_t pid;			/* QEMU; 0: none */
	int pidfd, netns_fd;
	int incoming_fd;		/* what the machine's state is read from, until QEMU has it; -1: none */
	bool ready;			/* QEMU made the machine, and its root is empty */
	bool go;			/* lodged said so */
	bool loaded;			/* its state is read */
	bool cont;			/* the processors run */
	bool panicked;
	bool quiet;			/* a suspend: the agent is told nothing */
	int ended_by;			/* signal that stands for the reason of QEMU's SHUTDOWN; 0: it said none */
	char genid[40];			/* by which the guest knows that it is a copy */
	char stage[64];			/* how far the guest came; "": it said nothing */
	struct session *sessions;
	unsigned int nsessions;
};

extern struct vm vm;
extern struct lg_msg start_msg;

/* ---- main.c ---- */

/** set_title() - what ps shows: "lodge-vm CTID". */
void set_title(unsigned int ctid);

/* ---- timers.c ---- */

enum timer { TIMER_QMP, TIMER_WATCHDOG, TIMER_ASK, TIMER_INCOMING, TIMER_SUSPEND, TIMER_QGA, TIMER_WRITTEN, TIMER_CPUS, TIMER_MEDIA,
	     TIMERS };

int timers_init(void);

/** now_ms() - monotonic clock, milliseconds */
int64_t now_ms(void);

/** timer_set() - @fn is called once in @ms milliseconds; negative: not any more. */
void timer_set(enum timer t, int64_t ms, void (*fn)(void));

/* ---- dispatch.c: what lodged says ---- */

int dispatch_first(int fd);

/* ---- start.c: from START to STARTED, and the end ---- */

void start_take(struct lg_msg *m);
void start_go(void);

/** start_ready() - QEMU has made the machine. */
void start_ready(void);

/** start_event() - QEMU says how far the reading of its state is. */
void start_event(void);

/** start_done() - the guest's init runs, or without an agent the processors. */
void start_done(void);

/** start_stage() - the guest came as far as @text. */
void start_stage(const char *text);

/** start_fail() - say FAILED, undo, end. */
void start_fail(const struct lg_err *err) __attribute__((noreturn));

/** qemu_reaped() - QEMU has ended with this wait status. */
void qemu_reaped(int status) __attribute__((noreturn));

/* ---- progress.c: how far a guest came, for who looks at a start that failed ---- */

/** progress_init() - look at the console. */
void progress_init(void);

/** progress_describe() - "its kernel said nothing", "it came as far as 'disks'; its console's last line: ..." */
void progress_describe(char *text, size_t size);

/* ---- qemu.c ---- */

/** qemu_start() - make its sockets, and start it. Its descriptors of the spec are closed. */
int qemu_start(struct lg_err *err);

/** qemu_command() - as lg_qmp_command() */
int qemu_command(const char *name, json_t *args, int fd, int timeout_ms, lg_qmp_done done, void *arg);

/** qemu_version() - "7.2.22"; known when it is ready. */
const char *qemu_version(void);

/** qemu_drain() - take what it said before its end. */
void qemu_drain(void);

/** qemu_words() - the last line that it wrote on its standard error; "": none. */
const char *qemu_words(void);

/* ---- agent.c: frames ---- */

/** agent_open() - over the socket @fd; @resumed: the guest was there before us, and is set up. */
int agent_open(int fd, bool resumed);

/** agent_here() - is there one that was set up? */
bool agent_here(void);

/** agent_room() - bytes that may be sent without waiting for the guest to read. */
size_t agent_room(void);

/** agent_send() - a frame. -ENOTCONN: there is no agent; -ENOBUFS: it does not read. */
int agent_send(uint32_t channel, enum lg_agent_kind kind, const void *data, size_t len);

/** agent_send_msg() - the fields of @m as a frame. */
int agent_send_msg(uint32_t channel, enum lg_agent_kind kind, const struct lg_msg *m);

/** agent_setup() - the fields of SETUP out of START's. */
int agent_setup(void);

#define SEED 32u	/* bytes */

/** agent_seed() - random numbers that nobody else had, in hex. -EIO: there are none. */
int agent_seed(char text[2 * SEED + 1]);

/* ---- session.c ---- */

void session_begin(struct lg_msg *m);

/** session_frame() - what the agent says about one. */
void session_frame(uint32_t channel, uint16_t kind, const char *data, size_t len);

/** sessions_pump() - the agent takes more again. */
void sessions_pump(void);

/** sessions_kill() - end all of them, and tell their clients @why. They are gone when vm.nsessions is 0. */
void sessions_kill(const struct lg_err *why);

/** sessions_end() - tell the clients of all that are left that they are over. */
void sessions_end(void);

/** sessions_lost() - there is no agent any more. */
void sessions_lost(void);

/* ---- lend.c ---- */

/** lend_take() - LEND: answer when the sessions have ended. */
void lend_take(struct lg_msg *m, int to);

/** lend_if_wanted() - a session less: was it the last one that LEND waits for? */
void lend_if_wanted(void);

/* ---- ask.c ---- */

/** ask_take() - ASK from the connection @from. */
void ask_take(struct lg_msg *m, int from);

/** ask_done() - the agent answered DO. */
void ask_done(const struct lg_msg *m);

/** ask_resumed() - tell the guest's agent what time it is. */
void ask_resumed(void);

/** ask_lost() - there is no agent any more: what waits for it is answered. */
void ask_lost(void);

/* ---- cpus.c: processors that come while a machine without our agent runs ---- */

/** cpus_take() - ASK vcpus from the connection @from. */
void cpus_take(struct lg_msg *m, int from);

/** cpus_added() - so many have come by now. */
uint64_t cpus_added(void);

/** cpus_settled() - does none come at the moment? */
bool cpus_settled(void);

/* ---- ram.c ---- */

/** ram_resident() - so many bytes of the guest's @memory are there, in QEMU's process @pid; 0: it is not known */
uint64_t ram_resident(pid_t pid, uint64_t memory);

/* ---- suspend.c: to disk and on again ---- */

/** suspend_take() - ASK suspend from the connection @from. */
void suspend_take(struct lg_msg *m, int from);

/** suspend_move() - ASK move: as suspend, but it runs while most of it is written. */
void suspend_move(struct lg_msg *m, int from);

/** suspend_switch() - ASK switch: it stands still; the last of it is written. */
void suspend_switch(struct lg_msg *m, int from);

/** suspend_commit() - ASK commit: the end of the connection ends it from now on. */
void suspend_commit(struct lg_msg *m, int from);

/** suspend_is_committed() - it may run on another host. */
bool suspend_is_committed(void);

/** suspend_is_idle() - is nothing of it written down, nor going to be? */
bool suspend_is_idle(void);

/** suspend_event() - QEMU says that it stopped, or that it is further. */
void suspend_event(const char *name);

/** suspend_continue() - ASK continue: it runs on. */
void suspend_continue(struct lg_msg *m, int from);

/** suspend_quiet() - the agent answered DO @tag; was that for a suspend? */
bool suspend_quiet(const char *tag);

/** suspend_alone() - there is no agent any more. */
void suspend_alone(void);

/* ---- written.c: what is written to a disk while the machine moves ---- */

/** written_take() - ASK written: from now on it is known. */
void written_take(struct lg_msg *m, int from);

/** written_settle() - the machine stands still: @done is called once, @ok: the file tells all of it. Nothing more is written to it. */
void written_settle(void (*done)(bool ok));

/** written_drop() - nobody wants to know any more. */
void written_drop(void);

/** written_event() - of QEMU's. */
void written_event(const char *name, const json_t *data);

/* ---- media.c: what is in the drive ---- */

/** media_take() - ASK medium from the connection @from. */
void media_take(struct lg_msg *m, int from);

/** media_in_drive() - its name as lodged said it, "none"; NULL: there is no drive. */
const char *media_in_drive(void);

/** media_busy() - is it being changed? */
bool media_busy(void);

/* ---- incoming.c: out of its state ---- */

/** incoming_begin() - have QEMU read it, if it is one that can; @when_ready: it has begun to. */
void incoming_begin(void (*when_ready)(void));

/* ---- qga.c: the guest agent of QEMU, in a machine without ours ---- */

int qga_open(int fd);

/** qga_listens() - the guest has opened its port, or closed it. */
void qga_listens(bool does);

/** qga_kill() - nobody is told any more how commands end; what they do inside goes on. */
void qga_kill(const struct lg_err *why);

/** qga_exec() - EXEC by it. */
void qga_exec(struct lg_msg *m);

/** qga_command() - as lg_qmp_command(), to it. -ENOTCONN: nobody listens in the guest. */
int qga_command(const char *name, json_t *args, int timeout_ms, lg_qmp_done done, void *arg);

/* ---- screen.c ---- */

/** screen_open() - listen for clients of the screen at @path and hand them to QEMU. */
int screen_open(const char *path, struct lg_err *err);

#endif
