/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_TEST_FAKE_H
#define LG_TEST_FAKE_H

/*
 * A program that lodge-vm starts in QEMU's place: it speaks QMP over the sockets that it was given, plays the agent of a guest, and
 * does what its kernel's command line says after "fake=":
 *
 *	boot	 the guest boots (the default)
 *	silent	 nothing happens
 *	stuck	 the guest boots until "disks"
 *	failed	 its agent cannot go on
 *	early	 QEMU ends before it made the machine, with a word on its standard error
 *	escape	 QEMU tries to get out (escape.c), and says on the console what it found
 *
 * A machine with places for processors has no agent of ours, and does what the name of its disk says after "fake-" (cpus.c):
 *
 *	mute	 nobody in the guest answers
 *	agent	 the guest agent of QEMU switches on what is there
 *	slow	 the guest sees a new processor only after some time
 *	stuck	 the guest never sees one
 *	broken	 the guest agent cannot switch them on, and says why in a line that is not one
 *	full	 QEMU takes one, and refuses the next
 */

#include <stdbool.h>
#include <stddef.h>

struct fake {
	int qmp, console, agent;
	const char *mode;
	bool foreign;		/* its system is its own: foreign.c is the guest */
};

/** console_say() - print on the machine's console. */
void console_say(const struct fake *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** escape() - try everything. A line "OPEN: what" for each thing that is reachable; at the end "tried N". */
void escape(const struct fake *f);

/** guest_boot() - what the agent says at first. */
void guest_boot(struct fake *f);

/** cpus_argument() - one of QEMU's: does it say something about processors? */
void cpus_argument(const char *arg);

/** cpus_here() - is it a machine with places for them? */
bool cpus_here(void);

/** cpus_boot() - its processors run. false: it is another machine. */
bool cpus_boot(const struct fake *f);

/** cpus_answer() - a command of QMP. false: it is about something else. */
bool cpus_answer(const struct fake *f, const char *line, long id);

/** cpus_guest_input() - lines for the guest agent of QEMU. Return: 0, -1 at the end. */
int cpus_guest_input(const struct fake *f);

/** guest_input() - read frames and answer. Return: 0, -1 at the end. */
int guest_input(struct fake *f);

/** drive_has() - a word of QEMU's command line, which may say what is in the drive. */
void drive_has(const char *arg);

/** drive_answer() - what "return" holds; with '!' in front why it failed; NULL: it is not about the drive. */
const char *drive_answer(const char *line);

/** foreign_input() - as guest_input(). */
int foreign_input(struct fake *f);

#endif
