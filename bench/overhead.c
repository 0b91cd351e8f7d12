/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * overhead CPU DIR [filter]: work that is timed by who does it, so that the way into a container is not in the figure.
 *
 * How it works: it stays on processor CPU, works with files in DIR, and answers every line "WORK COUNT" on
 * its standard input with the nanoseconds that doing WORK so often took. bench/overhead runs one on the host and one
 * in each container, and asks them in turn. Static, so that all of them run the same instructions.
 * With "filter" it puts itself under the shortest system call filter there is: allow everything.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define COPY_BYTES (8u << 20)
#define HUGE_PAGE (2u << 20)
#define FAULT_BYTES (4u << 20)
#define NOTHING "nothing"	/* the argument of the program that fork+exec starts: this one */

static const char *self;

static void die(const char *what)
{
	fprintf(stderr, "overhead: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void cpu(uint64_t count)
{
	volatile uint64_t out;
	uint64_t x = count | 1;

	for (uint64_t i = 0; i < count; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	out = x;
	(void)out;
}

/* In huge pages where the host has any: how lucky a process is with small ones differs by more than a percent. */
static char *make_buffer(void)
{
	char *mem = aligned_alloc(HUGE_PAGE, COPY_BYTES);

	if (!mem)
		die("malloc");
	madvise(mem, COPY_BYTES, MADV_HUGEPAGE);
	return memset(mem, 1, COPY_BYTES);
}

static void memory(uint64_t count)
{
	static char *from, *to;

	if (!from) {
		from = make_buffer();
		to = make_buffer();
	}
	for (uint64_t i = 0; i < count; i++) {
		memcpy(to, from, COPY_BYTES);
		from[i % COPY_BYTES]++;
	}
}

static void fault(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		volatile char *mem = mmap(NULL, FAULT_BYTES, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (mem == MAP_FAILED)
			die("mmap");
		if (madvise((void *)mem, FAULT_BYTES, MADV_NOHUGEPAGE) < 0 && errno != EINVAL)
			die("madvise");
		for (size_t at = 0; at < FAULT_BYTES; at += PAGE)
			mem[at] = 1;
		munmap((void *)mem, FAULT_BYTES);
	}
}

static void call(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		syscall(SYS_getpid);
}

/* A call that does something, as most do. */
static void message(uint64_t count)
{
	static char block[PAGE];
	int end[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, end) < 0)
		die("socketpair");
	for (uint64_t i = 0; i < count; i++)
		if (send(end[0], block, sizeof(block), 0) != (ssize_t)sizeof(block) ||
		    recv(end[1], block, sizeof(block), 0) != (ssize_t)sizeof(block))
			die("socketpair");
	close(end[0]);
	close(end[1]);
}

static void wait_for(pid_t pid, const char *what)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die(what);
	if (status != 0) {
		fprintf(stderr, "overhead: %s: ended with status %d\n", what, status);
		exit(1);
	}
}

static void run(const char *path, const char *arg)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl(path, path, arg, NULL);
		_exit(127);
	}
	wait_for(pid, path);
}

static void spawn(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		run(self, NOTHING);
}

/* Two processes on one processor hand a byte to and fro: two switches each time. */
static void pingpong(uint64_t count)
{
	int there[2], back[2];
	char byte = 0;
	pid_t pid;

	if (pipe(there) < 0 || pipe(back) < 0)
		die("pipe");
	pid = fork();
	if (pid == 0) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1)
			if (write(back[1], &byte, 1) != 1)
				_exit(1);
		_exit(0);
	}
	for (uint64_t i = 0; i < count; i++)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			die("pipe");
	close(there[1]);
	wait_for(pid, "pipe");
	close(there[0]);
	close(back[0]);
	close(back[1]);
}

static void make_file(bool sync)
{
	static const char block[PAGE];
	int fd = open("file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, block, sizeof(block)) != sizeof(block) || (sync && fsync(fd) < 0) ||
	    close(fd) < 0 || unlink("file") < 0)
		die("make a file");
}

static void file_synced(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		make_file(true);
}

static void file_cached(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		make_file(false);
}

/* A file of the template: this program. */
static void file_read(uint64_t count)
{
	static char block[16 * PAGE];

	for (uint64_t i = 0; i < count; i++) {
		int fd = open(self, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || read(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			die(self);
		close(fd);
	}
}

/* A file that is open already: what a database does all day. */
static void file_write(uint64_t count)
{
	static const char block[PAGE];
	int fd = open("open", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	for (uint64_t i = 0; fd >= 0 && i < count; i++)
		if (pwrite(fd, block, sizeof(block), (off_t)(i % 256 * PAGE)) != (ssize_t)PAGE)
			die("write a file");
	if (fd < 0 || close(fd) < 0 || unlink("open") < 0)
		die("write a file");
}

static void compile(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		run("/src/compile", NULL);
}

/* openssl measures for a time and says how many bytes it did: what COUNT megabytes took, then. */
static uint64_t cipher(uint64_t count)
{
	char line[256];
	double rate = 0;
	FILE *f = popen("exec openssl speed -mr -seconds 1 -bytes 16384 -evp aes-256-ctr 2>/dev/null", "r");

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "+F:", 3) == 0)
			rate = strtod(strrchr(line, ':') + 1, NULL);
	if (!f || pclose(f) != 0 || rate <= 0)
		die("openssl speed");
	return (uint64_t)((double)count * 1e15 / rate);
}

static const struct work {
	const char *name;
	void (*timed)(uint64_t count);
	uint64_t (*measure)(uint64_t count);	/* times itself */
	bool warm;				/* a part of it is done before, untimed */
} works[] = {
	{ "cpu", cpu, NULL, true },
	{ "openssl", NULL, cipher, false },
	{ "memory", memory, NULL, true },
	{ "fault", fault, NULL, true },
	{ "getpid", call, NULL, true },
	{ "message", message, NULL, true },
	{ "switch", pingpong, NULL, true },
	{ "spawn", spawn, NULL, true },
	{ "synced", file_synced, NULL, true },
	{ "write", file_write, NULL, true },
	{ "cached", file_cached, NULL, true },
	{ "read", file_read, NULL, true },
	{ "compile", compile, NULL, false },
};

static uint64_t measure(const struct work *work, uint64_t count)
{
	uint64_t begin;

	if (work->measure)
		return work->measure(count);
	if (work->warm)
		work->timed(count / 8 + 1);
	begin = now_ns();
	work->timed(count);
	return now_ns() - begin;
}

static int answer(const char *line)
{
	char name[32];
	unsigned long long count;

	if (sscanf(line, "%31s %llu", name, &count) != 2)
		return -1;
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		if (strcmp(works[i].name, name) != 0)
			continue;
		printf("%llu\n", (unsigned long long)measure(&works[i], count));
		return fflush(stdout);
	}
	return -1;
}

static void stay_on(const char *cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)atoi(cpu), &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		die("stay on one processor");
}

static void load_filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		die("load a filter");
}

int main(int argc, char **argv)
{
	char line[128];

	if (argc == 2 && strcmp(argv[1], NOTHING) == 0)
		return 0;
	if (argc < 3 || argc > 4 || (argc == 4 && strcmp(argv[3], "filter") != 0)) {
		fprintf(stderr, "usage: overhead CPU DIR [filter]\n");
		return 2;
	}
	self = argv[0];
	stay_on(argv[1]);
	if (argc == 4)
		load_filter();
	if ((mkdir(argv[2], 0700) < 0 && errno != EEXIST) || chdir(argv[2]) < 0)
		die(argv[2]);
	while (fgets(line, sizeof(line), stdin))
		if (answer(line) != 0) {
			fprintf(stderr, "overhead: cannot do: %s", line);
			return 2;
		}
	return 0;
}
