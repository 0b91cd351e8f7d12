/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SURVIVE_H
#define SURVIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * How it works: an item is something that must survive suspend, resume and migration. Its
 * process sets it up, waits for SIGTERM in one of several ways (wait.c), and verifies; in
 * between it may have been dumped, killed and restored, and must not be able to tell. An item
 * runs in a process and an empty folder of its own, has its state in variables of its file, and
 * its other processes are children that do what they are asked (child.c). What is set up is
 * also spoilt on purpose, once for each item, by the self-test: then verify must fail.
 */
enum sv_fate {
	SV_KEPT,
	SV_REFUSED, /* CRIU cannot dump it and says so: the container must run on, the item too
		     */
	SV_LOST,    /* CRIU does not notice: somebody else must, before it is lost */
};

struct sv_item {
	const char *name;
	const char *what;    /* what is as it was */
	int (*setup)(void);  /* 0, or -1 with sv_why() */
	int (*verify)(void); /* the same */
	void (*spoil)(void); /* break what verify looks at */
	int (*work)(void);   /* NULL, or done again and again until SIGTERM; as verify */
	enum sv_fate fate;   /* with CRIU as it is: 4.1, 4.2 */
};

/* Each file's items; the last has no name. */
extern const struct sv_item sv_tcp_items[];
extern const struct sv_item sv_udp_items[];
extern const struct sv_item sv_unix_items[];
extern const struct sv_item sv_epoll_items[];
extern const struct sv_item sv_timer_items[];
extern const struct sv_item sv_event_items[];
extern const struct sv_item sv_shm_items[];
extern const struct sv_item sv_ipc_items[];
extern const struct sv_item sv_lock_items[];
extern const struct sv_item sv_file_items[];
extern const struct sv_item sv_pipe_items[];
extern const struct sv_item sv_pty_items[];
extern const struct sv_item sv_process_items[];
extern const struct sv_item sv_attribute_items[];
extern const struct sv_item sv_right_items[];
extern const struct sv_item sv_thread_items[];
extern const struct sv_item sv_signal_items[];
extern const struct sv_item sv_memory_items[];
extern const struct sv_item sv_mount_items[];
extern const struct sv_item sv_clock_items[];
extern const struct sv_item sv_cpu_items[];
extern const struct sv_item sv_server_items[];

/* ---- saying what is wrong (say.c) ---------------------------------------------------------- /  */

/* Keep the reason, the first one if there are several. Return: -1. */
int sv_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, followed by errno's text. */
int sv_errno(const char *what);

/* The reason; empty if nothing was wrong. */
const char *sv_why(void);

/* 0 if both are the same; else -1, saying what it is. */
int sv_same(const char *what, int64_t wanted, int64_t got);

/* ---- bytes and descriptors (bytes.c) ---------------------------------------------- */

/* A pattern in which no byte lost, added or doubled goes unseen: that of byte @at of stream
 * @stream. */
uint8_t sv_byte(uint32_t stream, uint64_t at);

void sv_fill(void *to, size_t size, uint32_t stream, uint64_t at);

/* 0 if @size bytes are the pattern from @at on; else -1, saying of @what. */
int sv_compare(const char *what, const void *from, size_t size, uint32_t stream, uint64_t at);

/* Write, or read and compare, exactly so many bytes of the pattern. 0 or -1. */
int sv_send(int fd, uint32_t stream, uint64_t at, size_t size);
int sv_receive(int fd, uint32_t stream, uint64_t at, size_t size);

/* Write the pattern until the descriptor takes no more. Return: how many bytes, or -1. */
int64_t sv_stuff(int fd, uint32_t stream);

/* 0 if a byte sent into @from comes out of @to; else -1. */
int sv_passes(const char *what, int from, int to);

/* 0 if reading gives nothing now (EAGAIN), or the end of file; else -1. */
int sv_empty(const char *what, int fd);
int sv_ended(const char *what, int fd);

/* Make a file of the pattern, 0600. Return: a descriptor open for reading and writing, or -1.
 */
int sv_file(const char *name, size_t size, uint32_t stream);

/* The first line of a file that begins with @key, behind it, without blanks. 0, or -1 if there
 * is none. */
int sv_line(const char *path, const char *key, char *ret, size_t size);

/* Number behind @key in a file. 0 or -1. */
int sv_number(const char *path, const char *key, int64_t *ret);

/* ---- children (child.c) ----------------------------------------------------------- */

struct sv_child {
	pid_t pid;
	int control; /* the parent's end */
};

/*
 * Start a child that calls @body with every number it is asked with, and does nothing else. It
 * ends with its parent's end of the control socket. 0 or -1.
 */
int sv_child_start(struct sv_child *child, int (*body)(int request));

/* What the child's @body returned for @request, its reason included. */
int sv_child_ask(const struct sv_child *child, int request);

/* Kill it and take its status. */
void sv_child_kill(const struct sv_child *child);

/* Note a child that was made with fork(), so that nothing outlives the item. */
void sv_child_note(pid_t pid);
void sv_children_end(void);

/* ---- time (say.c) ----------------------------------------------------------------- */

/* Seconds on that clock. */
double sv_now(int clock);

void sv_sleep_ms(int ms);

/* Poll @is until it is true, at most so long. */
bool sv_until(int ms, bool (*is)(void));

/* ---- waiting for SIGTERM (wait.c) ------------------------------------------------- */

/* Block SIGTERM and be ready for it, before anything is set up. */
void sv_wait_prepare(void);

/* Wait for it in way @way (any number); with @work in none of them, but calling it. 0, or what
 * @work said. */
int sv_wait(unsigned int way, int (*work)(void));

/* ---- the parts of the program ----------------------------------------------------- */

/* selftest.c: every item (or those named) alone, as it is and spoilt. Return: exit status. */
int sv_selftest(char **names);

/* client.c: `client KIND HOST PORT SECONDS`. Return: exit status. */
int sv_client(char **arg);

/* http.c: `client http HOST PORT PATH SECONDS`. */
int sv_client_http(char **arg);

/* main.c */
const struct sv_item *sv_item_find(const char *name, unsigned int *ret_index);
const struct sv_item *sv_item_at(unsigned int index);

/* Run an item in this process. @spoilt: break it instead of waiting. Return: exit status. */
int sv_item_run(const struct sv_item *item, unsigned int index, bool spoilt,
		void (*ready)(void));

#endif
