/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * timer [-f FILE] OUT LABEL COMMAND... : run it once and append "LABEL MICROSECONDS" to OUT.
 *
 * With -f, FILE is where the container's init leaves its clock (bench/first.c): a second line
 * "LABEL.first MICROSECONDS" says how long after the command began that was. The clock starts
 * right before the command is spawned and stops when it has been waited for: no shell is in between.
 */

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 5000

extern char **environ;

static long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int run(char **argv, const char *quiet)
{
	posix_spawn_file_actions_t files;
	int status = 0, r;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, quiet, O_WRONLY | O_CREAT | O_APPEND, 0600);
	r = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (r != 0) {
		fprintf(stderr, "timer: %s: %s\n", argv[0], strerror(r));
		return 127;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int read_first(const char *path, long long *ret)
{
	char text[32] = "", *end;

	for (int ms = 0; ms < PATIENCE_MS; ms++, usleep(1000)) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

		if (fd >= 0)
			close(fd);
		if (n <= 0)
			continue;
		*ret = strtoll(text, &end, 10);
		return *end == '\n' ? 0 : -1;
	}
	fprintf(stderr, "timer: %s: no clock there\n", path);
	return -1;
}

int main(int argc, char **argv)
{
	const char *first = NULL;
	long long begin, end, seen = 0;
	FILE *out;
	int r;

	if (argc > 2 && strcmp(argv[1], "-f") == 0) {
		first = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc < 4) {
		fprintf(stderr, "usage: timer [-f FILE] OUT LABEL COMMAND...\n");
		return 2;
	}
	begin = now_us();
	r = run(argv + 3, "/dev/null");
	end = now_us();
	if (r != 0) {
		fprintf(stderr, "timer: %s: %s ended with %d\n", argv[2], argv[3], r);
		return r;
	}
	if (first && read_first(first, &seen) < 0)
		return 1;
	out = fopen(argv[1], "ae");
	if (!out) {
		perror(argv[1]);
		return 1;
	}
	fprintf(out, "%s %lld\n", argv[2], end - begin);
	if (first)
		fprintf(out, "%s.first %lld\n", argv[2], seen - begin);
	return fclose(out) == 0 ? 0 : 1;
}
