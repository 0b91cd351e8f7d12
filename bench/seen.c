/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * seen FILE TEXT LABEL OUT COMMAND... : run COMMAND, and wait until FILE has TEXT
 *
 * Appends "LABEL.first MICROSECONDS" to OUT, from before the command was spawned until the text was there, and, where the command ends
 * by itself before, "LABEL MICROSECONDS" until then. A command that is still there at the text is ended.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_US 120000000LL
#define STEP_US 200
#define TEXT_MAX (1 << 20)

extern char **environ;

static long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int has(const char *path, const char *text)
{
	static char buf[TEXT_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(buf, (size_t)n, text, strlen(text)) != NULL;
}

static pid_t run(char **argv)
{
	posix_spawn_file_actions_t files;
	pid_t pid;
	int r;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (r != 0) {
		fprintf(stderr, "seen: %s: %s\n", argv[0], strerror(r));
		return -1;
	}
	return pid;
}

int main(int argc, char **argv)
{
	long long begin, text_at = 0, ended_at = 0;
	int status = 0;
	FILE *out;
	pid_t pid;

	if (argc < 6) {
		fprintf(stderr, "usage: seen FILE TEXT LABEL OUT COMMAND...\n");
		return 2;
	}
	begin = now_us();
	pid = run(argv + 5);
	if (pid < 0)
		return 127;
	while ((!text_at || (!ended_at && text_at && now_us() - text_at < 2000000)) && now_us() - begin < PATIENCE_US) {
		if (!ended_at && waitpid(pid, &status, WNOHANG) == pid)
			ended_at = now_us();
		if (!text_at && has(argv[1], argv[2]))
			text_at = now_us();
		usleep(STEP_US);
	}
	if (!ended_at) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	} else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "seen: %s ended with %d\n", argv[5], status);
		return 1;
	}
	if (!text_at) {
		fprintf(stderr, "seen: %s: '%s' never came\n", argv[1], argv[2]);
		return 1;
	}
	out = fopen(argv[4], "ae");
	if (!out) {
		perror(argv[4]);
		return 1;
	}
	fprintf(out, "%s.first %lld\n", argv[3], text_at - begin);
	if (ended_at)
		fprintf(out, "%s %lld\n", argv[3], ended_at - begin);
	return fclose(out) == 0 ? 0 : 1;
}
