/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * race SECONDS CANARY: as root inside, swap what paths lead to, as fast as possible: folders for links that lead
 * to CANARY (a path of the host's), files for fifos, mounts over mounts. At the end everything is as it was.
 * Prints "racing", at the end how often each swap was done.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

#define COUNT(a) (sizeof(a) / sizeof(a[0]))

static const char *canary;
static time_t end;

static void exchange(const char *a, const char *b)
{
	if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0)
		sched_yield();
}

/* ---- each of these once, again and again, each time twice so that it ends as it began ---- */

static void swap_etc_canary(void)
{
	exchange("/etc", "/evil.canary");
}

static void swap_etc_root(void)
{
	exchange("/etc", "/evil.proc");
}

static void swap_root_home(void)
{
	exchange("/root", "/evil.dots");
}

static void swap_passwd(void)
{
	exchange("/etc/passwd", "/etc/evil.fifo");
}

static void swap_group(void)
{
	exchange("/etc/group", "/etc/evil.link");
}

static void swap_tmp(void)
{
	exchange("/tmp", "/evil.canary2");
}

/* Over and off again in one go: a mount is no exchange. */
static void mount_over(const char *what, const char *where)
{
	if (mount(what, where, NULL, MS_BIND, NULL) == 0)
		umount2(where, MNT_DETACH);
}

static void cover_etc(void)
{
	mount_over("/evil.etc", "/etc");
}

static void cover_pts(void)
{
	mount_over("/evil.etc", "/dev/pts");
}

static void cover_ptmx(void)
{
	mount_over("/dev/null", "/dev/pts/ptmx");
}

static void cover_run(void)
{
	if (mount("none", "/run", "tmpfs", 0, NULL) == 0)
		umount2("/run", MNT_DETACH);
}

static void cover_proc(void)
{
	mount_over("/evil.etc", "/proc");
}

static void cover_dev(void)
{
	mount_over("/evil.etc", "/dev");
}

/* The cgroup where entered processes are born. */
static void remove_leaf(void)
{
	rmdir("/sys/fs/cgroup/lodge.exec");
	mkdir("/sys/fs/cgroup/lodge.exec", 0755);
}

static const struct {
	const char *name;
	void (*once)(void);
} swaps[] = {
	{ "etc-canary", swap_etc_canary }, { "etc-root", swap_etc_root }, { "home", swap_root_home },
	{ "passwd", swap_passwd },	   { "group", swap_group },	  { "tmp", swap_tmp },
	{ "cover-etc", cover_etc },	   { "cover-pts", cover_pts },	  { "cover-ptmx", cover_ptmx },
	{ "cover-run", cover_run },	   { "cover-proc", cover_proc },  { "cover-dev", cover_dev },
	{ "leaf", remove_leaf },
};

static void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		exit(3);
	close(fd);
}

static void prepare(void)
{
	char up[4096] = "../../../../../../../..";

	strncat(up, canary, sizeof(up) - strlen(up) - 1);
	mkdir("/evil.etc", 0755);
	put_file("/evil.etc/passwd", "root:x:0:0:root:/evil:/bin/sh\n");
	put_file("/evil.etc/ptmx", "");
	mkfifo("/etc/evil.fifo", 0666);
	if ((symlink(canary, "/evil.canary") < 0 && errno != EEXIST) ||
	    (symlink(canary, "/evil.canary2") < 0 && errno != EEXIST) ||
	    (symlink("/proc/1/root/etc", "/evil.proc") < 0 && errno != EEXIST) ||
	    (symlink(up, "/evil.dots") < 0 && errno != EEXIST) ||
	    (symlink("/proc/self/exe", "/etc/evil.link") < 0 && errno != EEXIST))
		exit(3);
}

static void run(unsigned int which)
{
	unsigned int n = 0;

	while (time(NULL) < end) {
		swaps[which].once();
		swaps[which].once();
		n += 2;
	}
	printf("%s %u\n", swaps[which].name, n);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "race: bad arguments\n");
		return 2;
	}
	end = time(NULL) + strtol(argv[1], NULL, 10);
	canary = argv[2];
	prepare();
	/* Not of the session that started it: the terminal and the mounts of that are attacked too. */
	setsid();
	printf("racing\n");
	fflush(stdout);
	for (unsigned int i = 0; i < COUNT(swaps); i++)
		if (fork() == 0)
			run(i);
	while (wait(NULL) > 0)
		;
	return 0;
}
