/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

/*
 * Each item runs twice in a process of its own: as it is, with the signal at once, which must
 * pass, and spoilt, which must fail for a reason. All in namespaces that end with the test.
 */

#define SKIPPED 77

static int server_ready;

static void tell_ready(void)
{
	(void)!write(server_ready, "r", 1);
}

static int loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = ioctl(fd, SIOCSIFFLAGS, &request);

	close(fd);
	return r;
}

static int isolate(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777") < 0 || loopback_up() < 0) {
		fprintf(stderr, "namespaces of one's own: %s\n", strerror(errno));
		return SKIPPED;
	}
	return 0;
}

/* Run in a child whose output goes to @ret. Return: its status. */
static int run(const struct sv_item *item, unsigned int index, bool spoilt, char *ret,
	       size_t size)
{
	int pipes[2], status = -1;
	size_t have = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(pipes) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], 1);
		close(pipes[0]);
		close(pipes[1]);
		/* Blocked before it comes, so that it waits for the item to wait for it. */
		sv_wait_prepare();
		if (!spoilt)
			kill(getpid(), SIGTERM);
		alarm(60);
		exit(sv_item_run(item, index, spoilt, NULL));
	}
	close(pipes[1]);
	while (have < size - 1 && (n = read(pipes[0], ret + have, size - 1 - have)) > 0)
		have += n;
	ret[have] = 0;
	ret[strcspn(ret, "\n")] = 0;
	close(pipes[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* One line of TAP. Return: 0, or 1 if it is not ok. */
static int test(const struct sv_item *item, unsigned int index, unsigned int nr)
{
	char as_it_is[512], spoilt[512] = "";
	int good = run(item, index, false, as_it_is, sizeof(as_it_is)), bad = 1;

	if (good == 0)
		bad = run(item, index, true, spoilt, sizeof(spoilt));
	if (good != 0)
		printf("not ok %u %s: %s (status %d)\n", nr, item->name, as_it_is, good);
	else if (bad != 1 || strlen(spoilt) < sizeof("FAIL: "))
		printf("not ok %u %s: spoilt, and it says '%s' (status %d)\n", nr, item->name,
		       spoilt, bad);
	else
		printf("ok %u %s # spoilt: %s\n", nr, item->name,
		       spoilt + sizeof("FAIL: ") - 1);
	fflush(stdout);
	return good != 0 || bad != 1;
}

/* ---- the clients, of a server that is as it should be and one that damages what it sends  */

static int client_run(const char *kind, const char *host, bool spoilt)
{
	char *arg[] = {strdup(kind), strdup(host), strdup("7001"), strdup("0.7"), NULL};
	unsigned int index;
	const struct sv_item *item = sv_item_find("server", &index);
	int status = -1, pipes[2];
	pid_t server, client;
	char c;

	if (pipe(pipes) < 0)
		return -1;
	server = fork();
	if (server == 0) {
		if (spoilt)
			setenv(SV_SPOIL, "1", 1);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
		server_ready = pipes[1];
		exit(sv_item_run(item, index, false, tell_ready));
	}
	close(pipes[1]);
	(void)!read(pipes[0], &c, 1);
	close(pipes[0]);
	client = fork();
	if (client == 0) {
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
		dup2(1, 2);
		exit(sv_client(arg));
	}
	waitpid(client, &status, 0);
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	for (int i = 0; i < 4; i++)
		free(arg[i]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int clients(unsigned int *nr)
{
	static const char *const kinds[] = {"tcp", "ping", "udp"};
	static const char *const hosts[] = {"127.0.0.1", "::1"};
	int failed = 0;

	fflush(stdout);
	for (int i = 0; i < 6; i++) {
		int good = client_run(kinds[i / 2], hosts[i % 2], false);
		int bad = client_run(kinds[i / 2], hosts[i % 2], true);
		bool ok = good == 0 && bad == 1;

		printf("%s %u client %s %s # %d, spoilt: %d\n", ok ? "ok" : "not ok", ++*nr,
		       kinds[i / 2], hosts[i % 2], good, bad);
		fflush(stdout);
		failed += !ok;
	}
	return failed;
}

static int all(char **names)
{
	const struct sv_item *item;
	unsigned int index, nr = 0;
	int failed = 0;

	/* /proc as these processes see it. */
	if (mount("proc", "/proc", "proc", 0, NULL) < 0)
		return 1;
	for (unsigned int i = 0; !names[0] && (item = sv_item_at(i)); i++)
		failed += test(item, i, ++nr);
	if (!names[0])
		failed += clients(&nr);
	for (; names[0]; names++) {
		item = sv_item_find(names[0], &index);
		failed += item ? test(item, index, ++nr) : 1;
	}
	printf("1..%u\n", nr);
	return failed ? 1 : 0;
}

int sv_selftest(char **names)
{
	int status = isolate();
	pid_t pid;

	if (status != 0)
		return status;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		exit(all(names));
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
