/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/shim_drive.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ct/caps.h"
#include "ct/proto.h"
#include "ct/seccomp.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define LEAF "lodge.exec"

pid_t drive_runner;

static pid_t runner(void)
{
	return drive_runner ? drive_runner : getpid();
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "drive: %s: %s\n", what, strerror(errno));
	exit(1);
}

long long drive_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

const char *drive_path(const struct drive *d, const char *name)
{
	static char path[100];	/* short enough for the address of a socket */

	snprintf(path, sizeof(path), "%s/%.30s", d->dir, name);
	return path;
}

void drive_put(const struct drive *d, const char *name, const char *text, mode_t mode)
{
	char path[700];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", d->lower, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	fchmod(fd, mode);
	close(fd);
}

const char *drive_read(const struct drive *d, const char *name)
{
	static char text[65536];
	int fd = open(drive_path(d, name), O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd >= 0 && lseek(fd, 1 - (off_t)sizeof(text), SEEK_END) < 0)
		lseek(fd, 0, SEEK_SET);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	lg_close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

bool drive_wait_file(const struct drive *d, const char *name, const char *text)
{
	for (int i = 0; i < 500; i++) {
		if (strstr(drive_read(d, name), text))
			return true;
		usleep(10000);
	}
	return false;
}

static void copy_busybox(const struct drive *d)
{
	char cmd[700];

	snprintf(cmd, sizeof(cmd), "cp /bin/busybox %s/bin/busybox", d->lower);
	must(system(cmd) == 0, cmd);
	for (const char *const *a = (const char *const[]){ "sh", "true", "cat", NULL }; *a; a++) {
		snprintf(cmd, sizeof(cmd), "%s/bin/%s", d->lower, *a);
		must(symlink("busybox", cmd) == 0, cmd);
	}
}

static void make_lower(struct drive *d)
{
	static const char *const folders[] = { "", "/bin", "/etc", "/proc", "/sys", "/dev",
					       "/run", "/tmp", "/root" };
	char path[400];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s%s", d->lower, folders[i]);
		must(mkdir(path, 0755) == 0, path);
	}
	copy_busybox(d);
	drive_put(d, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
		  "web:x:33:34:Web:/tmp:/bin/sh\n", 0644);
	drive_put(d, "etc/group", "root:x:0:\nweb:x:34:\nlog:x:4:web,other\n", 0644);
}

static void find_cgroup(struct drive *d)
{
	FILE *f = setmntent("/proc/mounts", "r");
	struct mntent *m;

	must(f != NULL, "/proc/mounts");
	while ((m = getmntent(f)) && strcmp(m->mnt_type, "cgroup2") != 0)
		;
	must(m != NULL, "cgroup2");
	snprintf(d->cgroup, sizeof(d->cgroup), "%s/%s", m->mnt_dir, strrchr(d->dir, '/') + 1);
	endmntent(f);
}

static void make_cgroup(struct drive *d)
{
	static const char *const given[] = { "", "/cgroup.procs", "/cgroup.threads",
					     "/cgroup.subtree_control" };
	char path[300];

	find_cgroup(d);
	must(mkdir(d->cgroup, 0755) == 0, d->cgroup);
	snprintf(path, sizeof(path), "%s/" LEAF, d->cgroup);
	must(mkdir(path, 0755) == 0, path);
	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		snprintf(path, sizeof(path), "%s%s", d->cgroup, given[i]);
		must(chown(path, DRIVE_BASE, DRIVE_BASE) == 0, path);
	}
}

void drive_new(struct drive *d, const char *lower)
{
	static const char *const folders[] = { "upper", "work", "target", "scratch", "cache" };

	memset(d, 0, sizeof(*d));
	d->sock = -1;
	snprintf(d->dir, sizeof(d->dir), "/tmp/lodge-drive-%d.XXXXXX", (int)runner());
	must(mkdtemp(d->dir) != NULL, "mkdtemp");
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		must(mkdir(drive_path(d, folders[i]), 0755) == 0, folders[i]);
	snprintf(d->lower, sizeof(d->lower), "%s", lower ? lower : drive_path(d, "lower"));
	if (!lower)
		make_lower(d);
	make_cgroup(d);
}

/* Beside the programs of the build, or where LODGE_LIBEXECDIR says. */
static void find_shim(char *path, size_t size)
{
	const char *dir = getenv("LODGE_LIBEXECDIR");
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	must(n > 0, "/proc/self/exe");
	path[n] = '\0';
	for (int up = 0; up < 2; up++)
		if (strrchr(path, '/'))
			*strrchr(path, '/') = '\0';
	if (dir)
		snprintf(path, size, "%s", dir);
	strncat(path, "/lodge-shim", size - strlen(path) - 1);
}

void drive_spawn(struct drive *d)
{
	char path[500];
	int pair[2];

	find_shim(path, sizeof(path));
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	d->shim = fork();
	if (d->shim == 0) {
		dup2(pair[1], 3);
		execl(path, "lodge-shim", (char *)NULL);
		perror(path);
		_exit(127);
	}
	must(d->shim > 0, "fork");
	close(pair[1]);
	d->sock = pair[0];
}

void drive_start_msg(struct drive *d, const char *init)
{
	static const char *const own[][2] = {
		{ "upper", "upper" }, { "work", "work" }, { "target", "target" },
		{ "scratch", "scratch" }, { "socket", "sock" }, { "exit_file", "exit" },
		{ "console_log", "console.log" },
	};
	struct lg_msg *m = &d->start;

	lg_msg_init(m, LG_P_START);
	lg_msg_put_u64(m, "ctid", 101);
	lg_msg_put_u64(m, "id_base", DRIVE_BASE);
	lg_msg_put(m, "lower", d->lower);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		lg_msg_put(m, own[i][0], drive_path(d, own[i][1]));
	lg_msg_put(m, "hostname", "guest");
	lg_msg_put(m, "init", init);
	lg_msg_put_u64(m, "keep_caps", lg_caps_default());
}

void drive_send_start(struct drive *d, bool seccomp)
{
	struct lg_err err = { 0 };
	int fds[3], n = 0, filter = -1;

	lg_msg_put(&d->start, "seccomp", seccomp ? "1" : "0");
	fds[n++] = open(d->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds[n++] = openat(fds[0], LEAF, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (seccomp) {
		filter = lg_seccomp_open(drive_path(d, "cache"), 0, &err);
		must(filter >= 0, err.msg);
		fds[n++] = filter;
	}
	for (int i = 0; i < n; i++)
		lg_msg_put_fd(&d->start, fds[i]);
	must(lg_msg_send(d->sock, &d->start) == 0, "send START");
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

static int receive(int sock, struct lg_msg *m)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };

	if (poll(&p, 1, 10000) != 1)
		return -ETIMEDOUT;
	return lg_msg_recv(sock, m);
}

bool drive_expect(struct drive *d, uint32_t kind)
{
	int r = receive(d->sock, &d->m);

	if (r == 1 && d->m.kind == kind)
		return true;
	if (r == 1)
		fprintf(stderr, "drive: message %u, not %u: %s\n", d->m.kind, kind,
			d->m.kind == LG_P_FAILED ? lg_msg_get(&d->m, "error") : "");
	else
		fprintf(stderr, "drive: no message %u: %s\n", kind, r ? strerror(-r) : "end");
	return false;
}

void drive_simple(struct drive *d, uint32_t kind)
{
	struct lg_msg *m = &d->m;

	lg_msg_drop_fds(m);
	lg_msg_init(m, kind);
	must(lg_msg_send(d->sock, m) == 0, "send");
}

void drive_signal(struct drive *d, int sig)
{
	lg_msg_drop_fds(&d->m);
	lg_msg_init(&d->m, LG_P_SIGNAL);
	lg_msg_put_u64(&d->m, "sig", (uint64_t)sig);
	must(lg_msg_send(d->sock, &d->m) == 0, "send SIGNAL");
}

void drive_run(struct drive *d, const char *script)
{
	const char *const argv[] = { "sh", "-c", script };

	drive_spawn(d);
	drive_start_msg(d, "/bin/sh");
	for (size_t i = 0; i < ARRAY_SIZE(argv); i++)
		lg_msg_put(&d->start, "arg", argv[i]);
	drive_send_start(d, true);
	must(drive_expect(d, LG_P_MADE), "MADE");
	drive_simple(d, LG_P_GO);
	must(drive_expect(d, LG_P_STARTED), "STARTED");
}

void drive_connect(struct drive *d)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	d->sock = lg_close(d->sock);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", drive_path(d, "sock"));
	d->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	must(connect(d->sock, (struct sockaddr *)&addr, sizeof(addr)) == 0, addr.sun_path);
}

int drive_reaped(struct drive *d)
{
	int status;

	for (int i = 0; i < 10000; i++) {
		if (waitpid(d->shim, &status, WNOHANG) == d->shim) {
			d->shim = 0;
			return status;
		}
		usleep(1000);
	}
	return -1;
}

static bool is_mounted(const char *dir)
{
	lg_autofree char *text = NULL;

	return lg_file_read(AT_FDCWD, "/proc/self/mountinfo", 4u << 20, &text, NULL, NULL) == 0 &&
	       strstr(text, dir);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_DP)
		rmdir(path);
	return 0;
}

/* With what the guest made in it. A process that was just killed leaves its cgroup a moment later. */
static bool remove_cgroup(const struct drive *d)
{
	for (int i = 0; i < 500; i++) {
		nftw(d->cgroup, remove_one, 16, FTW_DEPTH | FTW_PHYS);
		if (access(d->cgroup, F_OK) < 0)
			return true;
		usleep(10000);
	}
	fprintf(stderr, "drive: %s is left\n", d->cgroup);
	return false;
}

bool drive_free(struct drive *d)
{
	char cmd[300];
	bool clean;

	lg_msg_drop_fds(&d->m);
	d->sock = lg_close(d->sock);
	if (d->shim > 0) {
		snprintf(cmd, sizeof(cmd), "%s/cgroup.kill", d->cgroup);
		lg_file_write(AT_FDCWD, cmd, "1", NULL);
		drive_reaped(d);
	}
	clean = !is_mounted(d->dir);
	if (access(drive_path(d, "sock"), F_OK) == 0) {
		fprintf(stderr, "drive: the socket is left\n");
		clean = false;
	}
	clean &= remove_cgroup(d);
	snprintf(cmd, sizeof(cmd), "rm -rf --one-file-system %s", d->dir);
	return system(cmd) == 0 && clean;
}

void drive_sweep(void)
{
	char pattern[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/tmp/lodge-drive-%d.*", (int)runner());
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		static struct drive d;
		char path[300];

		d = (struct drive){ .sock = -1 };
		snprintf(d.dir, sizeof(d.dir), "%.60s", found.gl_pathv[i]);
		find_cgroup(&d);
		snprintf(path, sizeof(path), "%s/cgroup.kill", d.cgroup);
		lg_file_write(AT_FDCWD, path, "1", NULL);
		drive_free(&d);
	}
	globfree(&found);
}

/* ---- sessions ---- */

static void make_exec(struct lg_msg *m, const struct drive_exec *e)
{
	lg_msg_init(m, LG_P_EXEC);
	for (const char *const *a = e->argv; a && *a; a++)
		lg_msg_put(m, "arg", *a);
	if (e->user)
		lg_msg_put(m, "user", e->user);
	if (e->cwd)
		lg_msg_put(m, "cwd", e->cwd);
	if (e->env)
		lg_msg_put(m, "env", e->env);
	lg_msg_put(m, "tty", e->tty ? "1" : "0");
	lg_msg_put_u64(m, "rows", 33);
	lg_msg_put_u64(m, "cols", 99);
}

static int make_ends(struct drive_exec *e, int theirs[4])
{
	int pair[2], n = 0;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	e->control = pair[0];
	theirs[n++] = pair[1];
	for (int i = 0; i < 3; i++) {
		e->streams[i] = -1;
		if (e->tty)
			continue;
		must(pipe2(pair, O_CLOEXEC) == 0, "pipe");
		e->streams[i] = pair[i == 0 ? 1 : 0];
		theirs[n++] = pair[i == 0 ? 0 : 1];
	}
	return n;
}

bool drive_exec_begin(struct drive *d, struct drive_exec *e)
{
	static struct lg_msg m;
	int theirs[4], n = make_ends(e, theirs);

	e->status = -1;
	e->master = -1;
	e->err = (struct lg_err){ 0 };
	make_exec(&m, e);
	for (int i = 0; i < n; i++)
		lg_msg_put_fd(&m, theirs[i]);
	must(lg_msg_send(d->sock, &m) == 0, "send EXEC");
	for (int i = 0; i < n; i++)
		close(theirs[i]);
	must(receive(e->control, &m) == 1, "answer to EXEC");
	if (m.kind == LG_P_FAILED) {
		lg_msg_get_err(&m, &e->err);
		return false;
	}
	e->master = lg_msg_take_fd(&m, 0);
	return m.kind == LG_P_BEGUN;
}

static void gather_output(struct drive_exec *e)
{
	struct pollfd p[2] = { { .fd = e->tty ? e->master : e->streams[1], .events = POLLIN },
			       { .fd = e->streams[2], .events = POLLIN } };
	size_t len = 0;

	while ((p[0].fd >= 0 || p[1].fd >= 0) && poll(p, 2, 10000) > 0)
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (!p[i].revents)
				continue;
			n = read(p[i].fd, e->out + len, sizeof(e->out) - 1 - len);
			if (n <= 0)
				p[i].fd = -1;
			else
				len += (size_t)n;
		}
	e->out[len] = '\0';
}

void drive_exec(struct drive *d, struct drive_exec *e)
{
	static struct lg_msg m;

	e->out[0] = '\0';
	if (drive_exec_begin(d, e)) {
		int in = e->tty ? e->master : e->streams[0];

		if (e->input)
			must(write(in, e->input, strlen(e->input)) > 0, "stdin");
		e->streams[0] = lg_close(e->streams[0]);
		gather_output(e);
		must(receive(e->control, &m) == 1 && m.kind == LG_P_ENDED, "ENDED");
		e->status = (int)lg_msg_get_u64(&m, "status", 0);
	}
	lg_close(e->control);
	lg_close(e->master);
	for (int i = 0; i < 3; i++)
		lg_close(e->streams[i]);
}

const char *drive_sh(struct drive *d, const char *script)
{
	static struct drive_exec e;
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };

	memset(&e, 0, sizeof(e));
	e.argv = argv;
	drive_exec(d, &e);
	if (e.status == -1)
		snprintf(e.out, sizeof(e.out), "FAILED: %s", e.err.msg);
	return e.out;
}
