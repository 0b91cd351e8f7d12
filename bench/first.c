/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The init of the measured containers: the first thing it does is to read the clock, the second to
 * leave what it read in /first. Then it says so on its console, waits, buries orphans, and ends on any of the
 * signals that stop a container; as process 1 of a machine of its own that is the machine's end. Of the clocks only the time of day is the same inside and outside: the others may
 * begin with the container.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void leave(const struct timespec *ts)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%lld\n",
			 (long long)ts->tv_sec * 1000000 + ts->tv_nsec / 1000);
	int fd = open("/first.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, (size_t)n) != n || close(fd) < 0 ||
	    rename("/first.new", "/first") < 0)
		_exit(1);
}

int main(void)
{
	struct timespec ts;
	sigset_t set;
	int sig;

	clock_gettime(CLOCK_REALTIME, &ts);
	leave(&ts);
	if (write(STDOUT_FILENO, "first\n", 6) < 0)
		_exit(1);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGPWR);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	while (sigwait(&set, &sig) == 0 && sig == SIGCHLD)
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	return 0;
}
