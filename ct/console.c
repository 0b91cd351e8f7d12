/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ct/loop.h"
#include "lib/cleanup.h"

#define LOG_MAX (1 << 20)
#define SCROLLBACK 4096u
#define CLIENTS_MAX 16u

static void on_master(struct lg_source *s, uint32_t events);
static void on_client(struct lg_source *s, uint32_t events);

static struct lg_source master = { .fd = -1, .on_event = on_master };
static struct lg_source clients[CLIENTS_MAX];
static unsigned int nclients;	/* slots in use, also of those that left */
static bool full;		/* the guest does not read what was typed */
static char *log_path;
static int log_fd = -1;
static off_t log_size, run_size;	/* of the file; of this run's part */
static char buf[SCROLLBACK];
static void (*watcher)(const char *text, size_t len);

/* ---- the log ---- */

static void log_open(void)
{
	struct stat st = { 0 };

	log_fd = open(log_path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		      0600);
	if (log_fd >= 0 && (fstat(log_fd, &st) < 0 || !S_ISREG(st.st_mode)))
		log_fd = lg_close(log_fd);
	log_size = st.st_size;
}

static void log_turn_over(void)
{
	char old[512];

	if ((size_t)snprintf(old, sizeof(old), "%s.1", log_path) < sizeof(old))
		rename(log_path, old);
	log_fd = lg_close(log_fd);
	log_open();
}

static void log_write(const char *text, size_t len)
{
	ssize_t n;

	if (log_fd >= 0 && log_size >= LOG_MAX)
		log_turn_over();
	n = log_fd >= 0 ? write(log_fd, text, len) : 0;	/* a full disk must not stop a console */
	if (n > 0) {
		log_size += n;
		run_size += n;
	}
}

void lg_console_log(const char *path)
{
	log_path = strdup(path);
	if (log_path)
		log_open();
}

const char *lg_console_path(void)
{
	return log_path;
}

/* ---- output ---- */

static void show(const char *text, size_t len)
{
	log_write(text, len);
	if (watcher)
		watcher(text, len);
	for (unsigned int i = 0; i < nclients; i++)
		if (clients[i].fd >= 0)
			(void)send(clients[i].fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * When no process of the guest has the terminal open, reading fails with EIO until one opens it
 * again. The master is watched by edges, so that this does not wake us for ever.
 */
static void read_master(void)
{
	ssize_t n;

	if (master.fd < 0)
		return;
	while ((n = read(master.fd, buf, sizeof(buf))) > 0)
		show(buf, (size_t)n);
}

static void listen_again(void)
{
	full = false;
	lg_source_change(&master, EPOLLIN | EPOLLET);
	for (unsigned int i = 0; i < nclients; i++)
		if (clients[i].fd >= 0)
			lg_source_change(&clients[i], EPOLLIN);
}

static void on_master(struct lg_source *s, uint32_t events)
{
	(void)s;
	if (full && (events & (EPOLLOUT | EPOLLHUP)))
		listen_again();
	read_master();
}

void lg_console_open(int fd)
{
	if (fd < 0 || master.fd >= 0) {
		lg_close(fd);
		return;
	}
	master.fd = fd;
	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	lg_source_add(&master, EPOLLIN | EPOLLET);
}

void lg_console_watch(void (*fn)(const char *text, size_t len))
{
	watcher = fn;
}

void lg_console_end(void)
{
	read_master();
	for (unsigned int i = 0; i < nclients; i++)
		lg_source_close(&clients[i]);
}

void lg_console_resize(unsigned int rows, unsigned int cols)
{
	struct winsize ws = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols };

	if (master.fd >= 0 && rows > 0 && rows < 10000 && cols > 0 && cols < 10000)
		ioctl(master.fd, TIOCSWINSZ, &ws);
}

/* ---- clients ---- */

static void wait_for_guest(void)
{
	full = true;
	for (unsigned int i = 0; i < nclients; i++)
		if (clients[i].fd >= 0)
			lg_source_change(&clients[i], 0);
	lg_source_change(&master, EPOLLIN | EPOLLOUT | EPOLLET);
}

static void on_client(struct lg_source *s, uint32_t events)
{
	ssize_t typed, n;

	(void)events;
	typed = recv(s->fd, buf, 512, MSG_DONTWAIT | MSG_PEEK);
	if (typed == 0 || (typed < 0 && errno != EAGAIN && errno != EINTR)) {
		lg_source_close(s);
		return;
	}
	if (typed < 0)
		return;
	n = master.fd >= 0 ? write(master.fd, buf, (size_t)typed) : typed;
	if (n < 0 && errno != EAGAIN)
		n = typed;	/* nobody has it open: it goes nowhere */
	if (n > 0)
		(void)recv(s->fd, buf, (size_t)n, MSG_DONTWAIT);
	else
		wait_for_guest();
}

static void send_scrollback(int fd)
{
	off_t want = run_size < (off_t)sizeof(buf) ? run_size : (off_t)sizeof(buf);
	ssize_t n;

	if (want > log_size)
		want = log_size;
	if (log_fd < 0 || want == 0)
		return;
	n = pread(log_fd, buf, (size_t)want, log_size - want);
	if (n > 0)
		(void)send(fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void lg_console_join(int fd)
{
	unsigned int i = 0;

	while (i < nclients && clients[i].fd >= 0)
		i++;
	if (fd < 0 || i == CLIENTS_MAX) {
		lg_close(fd);
		return;
	}
	clients[i] = (struct lg_source){ .fd = fd, .on_event = on_client };
	if (lg_source_add(&clients[i], full ? 0 : EPOLLIN) < 0) {
		clients[i].fd = lg_close(fd);
		return;
	}
	if (i == nclients)
		nclients++;
	send_scrollback(fd);
}
