/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What must survive suspend, resume and migration, an item each: see survive.h. Static, so that
 * it runs in any container.
 *
 *   survive ITEM                     set it up, print "ready", wait for SIGTERM, print "pass" or
 *                                    "FAIL: why"
 *   survive --list                   names, what becomes of each, and what it proves
 *   survive --names [FATE]           names of those that are kept, refused or lost: see survive.h
 *   survive --start [ITEM]...        in the background, each in a process of its own; ends when
 *                                    all are ready. Without names: all that are kept
 *   survive --verify ITEM            send it SIGTERM, print what it says
 *   survive --self-test [ITEM]...    each as it is, which must pass, and spoilt, which must fail
 *   survive client KIND HOST PORT... talk to the item "server" from elsewhere: see client.c
 */

#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "/var/tmp/survive"
#define SETUP_MS 30000
#define VERIFY_MS 30000

static const struct sv_item *const groups[] = {
	sv_tcp_items,    sv_udp_items,    sv_unix_items,    sv_epoll_items,     sv_timer_items,
	sv_event_items,  sv_shm_items,    sv_ipc_items,     sv_lock_items,      sv_file_items,
	sv_pipe_items,   sv_pty_items,    sv_process_items, sv_attribute_items, sv_right_items,
	sv_thread_items, sv_signal_items, sv_memory_items,  sv_mount_items,     sv_clock_items,
	sv_cpu_items,    sv_server_items,
};

const struct sv_item *sv_item_at(unsigned int index)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		for (const struct sv_item *item = groups[i]; item->name; item++) {
			if (index-- == 0)
				return item;
		}
	}
	return NULL;
}

const struct sv_item *sv_item_find(const char *name, unsigned int *ret_index)
{
	const struct sv_item *item;

	for (unsigned int i = 0; (item = sv_item_at(i)); i++) {
		if (strcmp(item->name, name) == 0) {
			*ret_index = i;
			return item;
		}
	}
	fprintf(stderr, "survive: there is no item '%s'\n", name);
	return NULL;
}

/* ---- one item --------------------------------------------------------------------- */

static int way_out = -1; /* the root as it was, for an item that changes its own */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path) < 0 && errno != ENOENT && errno != EBUSY ? -1 : 0;
}

/* An empty folder to work in. Its name is kept in @ret. */
static int enter_folder(const char *name, char *ret, size_t size)
{
	way_out = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(ret, size, FOLDER "/%s.XXXXXX", name);
	if ((mkdir(FOLDER, 0755) < 0 && errno != EEXIST) || !mkdtemp(ret) || chdir(ret) < 0)
		return sv_errno(ret);
	return 0;
}

static void leave_folder(const char *folder)
{
	if (fchdir(way_out) == 0 && chroot(".") == 0)
		nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int sv_item_run(const struct sv_item *item, unsigned int index, bool spoilt,
		void (*ready)(void))
{
	char folder[128];
	int r;

	sv_wait_prepare();
	if (enter_folder(item->name, folder, sizeof(folder)) < 0 || item->setup() < 0) {
		printf("FAIL: cannot set it up: %s\n", sv_why());
		sv_children_end();
		return 2;
	}
	if (ready)
		ready();
	if (spoilt) {
		item->spoil();
		r = 0;
	} else {
		r = sv_wait(index, item->work);
	}
	if (r == 0)
		r = item->verify();
	sv_children_end();
	leave_folder(folder);
	printf(r == 0 ? "pass\n" : "FAIL: %s\n", sv_why());
	return r == 0 ? 0 : 1;
}

static void say_ready(void)
{
	puts("ready");
	fflush(stdout);
}

/* ---- in the background ------------------------------------------------------------ */

static int ready_fd;

/* From here on it holds nothing of who started it. */
static void let_go(void)
{
	(void)!write(ready_fd, "r", 1);
	close(ready_fd);
}

static int result_path(const char *name, const char *what, char *ret, size_t size)
{
	return snprintf(ret, size, FOLDER "/%s.%s", name, what);
}

/* In the daemon: standard output becomes the result, under its name only when it is complete.
 */
static int daemon_body(const struct sv_item *item, unsigned int index)
{
	char path[128], unfinished[128];
	int null, result, status;

	setsid();
	result_path(item->name, "result", path, sizeof(path));
	result_path(item->name, "unfinished", unfinished, sizeof(unfinished));
	unlink(path);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	result = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (null < 0 || result < 0)
		return 2;
	dup2(null, 0);
	dup2(result, 1);
	dup2(null, 2);
	close(null);
	close(result);
	status = sv_item_run(item, index, false, let_go);
	fflush(stdout);
	rename(unfinished, path);
	return status;
}

static int write_pid(const char *name, pid_t pid)
{
	char path[128];
	FILE *f;

	result_path(name, "pid", path, sizeof(path));
	f = fopen(path, "we");
	if (!f || fprintf(f, "%d\n", pid) < 0 || fclose(f) != 0)
		return sv_errno(path);
	return 0;
}

static int print_file(const char *path)
{
	char text[512];
	FILE *f = fopen(path, "re");

	if (!f || !fgets(text, sizeof(text), f))
		return -1;
	fclose(f);
	fputs(text, stdout);
	return strcmp(text, "pass\n") == 0 ? 0 : 1;
}

/* Forked twice, so that it is init's child and not ours. */
static int start_one(const struct sv_item *item, unsigned int index)
{
	struct pollfd p = {.events = POLLIN};
	char path[128], c;
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0 || (mkdir(FOLDER, 0755) < 0 && errno != EEXIST))
		return sv_errno(FOLDER);
	pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid != 0)
			_exit(pid < 0 || write_pid(item->name, pid) < 0);
		close(pipes[0]);
		ready_fd = pipes[1];
		exit(daemon_body(item, index));
	}
	close(pipes[1]);
	p.fd = pipes[0];
	waitpid(pid, NULL, 0);
	if (poll(&p, 1, SETUP_MS) == 1 && read(pipes[0], &c, 1) == 1) {
		close(pipes[0]);
		return 0;
	}
	close(pipes[0]);
	printf("%s: ", item->name);
	result_path(item->name, "result", path, sizeof(path));
	if (print_file(path) < 0)
		puts("FAIL: it is not ready in time");
	return -1;
}

static int start(char **names)
{
	const struct sv_item *item;
	unsigned int index = 0;
	int status = 0;

	for (unsigned int i = 0; !names[0] && (item = sv_item_at(i)); i++) {
		if (item->fate == SV_KEPT && start_one(item, i) < 0)
			status = 1;
	}
	for (; names[0]; names++) {
		item = sv_item_find(names[0], &index);
		if (!item || start_one(item, index) < 0)
			status = 1;
	}
	return status;
}

static int verify(const char *name)
{
	double end = sv_now(CLOCK_MONOTONIC) + VERIFY_MS / 1e3;
	char path[128], result[128];
	int64_t pid;

	result_path(name, "pid", path, sizeof(path));
	result_path(name, "result", result, sizeof(result));
	if (sv_number(path, "", &pid) < 0 || pid <= 1 || kill((pid_t)pid, SIGTERM) < 0) {
		if (access(result, F_OK) == 0)
			return print_file(result);
		printf("FAIL: its process %s\n", sv_why()[0] ? "was never started" : "is gone");
		return 1;
	}
	while (access(result, F_OK) < 0) {
		if (sv_now(CLOCK_MONOTONIC) > end) {
			puts("FAIL: it does not answer to SIGTERM");
			return 1;
		}
		sv_sleep_ms(5);
	}
	return print_file(result);
}

/* ---- the command line ------------------------------------------------------------- */

static const char *const fates[] = {"kept", "refused", "lost"};

static int list(void)
{
	const struct sv_item *item;

	for (unsigned int i = 0; (item = sv_item_at(i)); i++)
		printf("%-18s %-8s %s\n", item->name, fates[item->fate], item->what);
	return 0;
}

/* @fate: NULL means kept. */
static int names_of(const char *fate)
{
	const struct sv_item *item;

	for (unsigned int i = 0; (item = sv_item_at(i)); i++) {
		if (strcmp(fates[item->fate], fate ? fate : fates[SV_KEPT]) == 0)
			puts(item->name);
	}
	return 0;
}

static int usage(void)
{
	fputs("usage: survive ITEM | --list | --names [FATE] | --start [ITEM]... | --verify "
	      "ITEM |\n"
	      "       --self-test [ITEM]... | client KIND HOST PORT ...\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const struct sv_item *item;
	unsigned int index;

	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return usage();
	if (strcmp(argv[1], "--list") == 0)
		return list();
	if (strcmp(argv[1], "--names") == 0)
		return names_of(argv[2]);
	if (strcmp(argv[1], "--start") == 0)
		return start(argv + 2);
	if (strcmp(argv[1], "--verify") == 0)
		return argc == 3 ? verify(argv[2]) : usage();
	if (strcmp(argv[1], "--self-test") == 0)
		return sv_selftest(argv + 2);
	if (strcmp(argv[1], "client") == 0)
		return sv_client(argv + 2);
	if (argc != 2 || argv[1][0] == '-')
		return usage();
	item = sv_item_find(argv[1], &index);
	return item ? sv_item_run(item, index, false, say_ready) : 2;
}
