/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: a table of stages. Before each part that may hang the shim is told what it is; what goes wrong before the
 * port is there is written to the console.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-agent/agent.h"
#include "ct/fds.h"
#include "ct/inside.h"
#include "ct/mounts.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define PORTS "class/virtio-ports"
#define PORT_TRIES 1000u	/* of 5 ms */
#define ARGS_MAX 64u
#define FILES_TOP 1048576u	/* the kernel's fs.nr_open */
#define GOODBYE_MS 2000u	/* the child has that long to tell what went wrong */

struct booting {
	struct machine m;
	struct lg_msg setup, out;
	int started;		/* the pipe that the exec closes */
	char *title;		/* what the kernel called us */
	char *argv[ARGS_MAX + 1], *envp[ARGS_MAX + 3];
};

/* Large: what it begins with would make it a part of the program's file, and so of every initrd. */
static struct booting b;

/* ---- what is said ---- */

static void flush(void)
{
	struct pollfd p = { .fd = b.m.port, .events = POLLOUT };

	while (b.m.port >= 0 && frames_write(&b.m.frames) == 0 && b.m.frames.out_len)
		poll(&p, 1, 1000);
}

/* With the time since the kernel's start: where a boot's time went. */
static void tell(uint16_t kind, const char *key, const char *value)
{
	struct timespec now;

	if (b.m.port < 0)
		return;
	clock_gettime(CLOCK_BOOTTIME, &now);
	lg_msg_init(&b.out, kind);
	lg_msg_put(&b.out, key, value);
	lg_msg_put_u64(&b.out, "at_us", (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u);
	frames_say(&b.m.frames, 0, &b.out);
	flush();
}

static void __attribute__((noreturn)) power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void __attribute__((noreturn)) give_up(const struct lg_err *err)
{
	lg_autoclose int console = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);

	dprintf(console, "lodge: %s\n", err->msg);
	if (b.m.port >= 0) {
		lg_msg_init(&b.out, LG_A_FAILED);
		lg_msg_put_err(&b.out, err);
		frames_say(&b.m.frames, 0, &b.out);
		flush();
	}
	power_off();
}

/* ---- the stages ---- */

static int mount_kernel(struct lg_err *err)
{
	static const struct {
		const char *type, *target;
		unsigned long flags;
	} kernels[] = {
		{ "devtmpfs", "/dev", MS_NOSUID },
		{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++) {
		mkdir(kernels[i].target, 0755);
		if (mount(kernels[i].type, kernels[i].target, kernels[i].type, kernels[i].flags, NULL) < 0)
			return lg_fail(err, -errno, "mount %s", kernels[i].target);
	}
	b.m.sys = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	b.m.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	b.m.random = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	return b.m.sys < 0 || b.m.proc < 0 || b.m.random < 0 ? lg_fail(err, -errno, "open the kernel's files") : 0;
}

static int load_modules(struct lg_err *err)
{
	return modules_load(err);
}

static int find_port(char *path, size_t size)
{
	int fd = openat(b.m.sys, PORTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		lg_autofree char *name = NULL;
		char file[300];

		snprintf(file, sizeof(file), "%s/name", e->d_name);
		if (e->d_name[0] == '.' || lg_file_read(fd, file, 128, &name, NULL, NULL) < 0)
			continue;
		name[strcspn(name, "\n")] = '\0';
		if (strcmp(name, LG_AGENT_PORT) == 0) {
			snprintf(path, size, "/dev/%s", e->d_name);
			return 0;
		}
	}
	return -ENODEV;
}

/* The host's end is there a moment after the port. */
static int open_port(struct lg_err *err)
{
	struct pollfd p = { .events = POLLOUT };
	char path[280];
	int r = -ENODEV;

	for (unsigned int i = 0; r < 0 && i < PORT_TRIES; i++) {
		r = find_port(path, sizeof(path));
		if (r < 0)
			usleep(5000);
	}
	if (r < 0)
		return lg_refuse(err, r, 0, "there is no port " LG_AGENT_PORT);
	p.fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (p.fd < 0)
		return lg_fail(err, -errno, "open %s", path);
	for (unsigned int i = 0; i < PORT_TRIES && poll(&p, 1, 0) >= 0 && p.revents & POLLHUP; i++)
		usleep(5000);
	b.m.port = p.fd;
	frames_init(&b.m.frames, p.fd);
	lg_msg_init(&b.out, LG_A_HELLO);
	lg_msg_put_u64(&b.out, "version", LG_AGENT_VERSION);
	frames_say(&b.m.frames, 0, &b.out);
	flush();
	return 0;
}

static int wait_setup(struct lg_err *err)
{
	struct pollfd p = { .fd = b.m.port, .events = POLLIN };
	struct frame frame;
	int r;

	while ((r = frames_next(&b.m.frames, &frame)) == 0) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return lg_fail(err, -errno, "wait for SETUP");
		r = frames_read(&b.m.frames);
		if (r == -EPIPE)
			usleep(5000);
		else if (r < 0)
			return lg_fail(err, r, "read SETUP");
	}
	if (r < 0 || frame.kind != LG_A_SETUP || frame.channel || frame_message(&frame, &b.setup) < 0)
		return lg_refuse(err, -EPROTO, 0, "what came first was not SETUP");
	return 0;
}

static int set_machine(struct lg_err *err)
{
	const char *name = lg_msg_get(&b.setup, "hostname");
	int r = machine_clock(&b.setup, err);

	if (r == 0)
		r = machine_seed(&b.m, &b.setup, err);
	if (r == 0)
		r = machine_vcpus(&b.m, &b.setup, err);
	if (r < 0)
		return r;
	if (name && sethostname(name, strlen(name)) < 0)
		return lg_fail(err, -errno, "set host name '%s'", name);
	return 0;
}

static int mount_disks(struct lg_err *err)
{
	return disks_root(&b.m, err);
}

static int fill_root(struct lg_err *err)
{
	int r = root_enter(err);

	if (r == 0)
		r = lg_place_fields(&b.setup, err);
	if (r == 0)
		r = lg_confine_parse(&b.setup, &b.m.rlimits, err);
	return r;
}

/* ping is for every user, as in containers. What this kernel lacks is no reason not to start. */
static int set_network(struct lg_err *err)
{
	int r = network_up(&b.m, &b.setup, err);

	(void)lg_file_write(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", "0 2147483647", NULL);
	return r < 0 ? r : lg_place_sysctls(&b.setup, err);
}

/* ---- init ---- */

static int gather(const char *key, char **list, size_t *n, struct lg_err *err)
{
	for (const char *v = lg_msg_get(&b.setup, key); v; v = lg_msg_next(&b.setup, key, v)) {
		if (*n == ARGS_MAX)
			return lg_refuse(err, -E2BIG, 0, "SETUP has too many '%s'", key);
		list[(*n)++] = (char *)(uintptr_t)v;	/* execve() only reads */
	}
	return 0;
}

static bool has_env(size_t n, const char *entry)
{
	size_t name = strcspn(entry, "=") + 1;

	for (size_t i = 0; i < n; i++)
		if (strncmp(b.envp[i], entry, name) == 0)
			return true;
	return false;
}

static int prepare_init(struct lg_err *err)
{
	static char path[] = "PATH=" LG_PATH_ROOT, term[] = "TERM=linux";
	char *const defaults[] = { path, term };
	size_t argc = 0, envc = 0;
	int r = gather("arg", b.argv, &argc, err);

	if (r == 0 && argc == 0)
		b.argv[0] = (char *)(uintptr_t)lg_msg_get(&b.setup, "init");
	if (r == 0)
		r = gather("env", b.envp, &envc, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(defaults); i++)
		if (!has_env(envc, defaults[i]))
			b.envp[envc++] = defaults[i];
	if (r == 0 && !lg_msg_get(&b.setup, "init"))
		r = lg_refuse(err, -EINVAL, 0, "SETUP lacks 'init'");
	return r;
}

/*
 * The name that shutdown programs spare takes the place of what the kernel gave us: arguments, and behind them the
 * environment, which /proc/PID/cmdline goes on into when the last argument's end is not there any more.
 */
static void rename_process(char *title)
{
	static const char name[] = "@lodge-agent";
	size_t room = 0;

	for (char **e = environ; *e; e++)
		if (*e > title && (size_t)(*e - title) < 4096)
			room = (size_t)(*e - title) + strlen(*e);
	if (room >= sizeof(name))
		memcpy(title, name, sizeof(name));
	else
		title[0] = name[0];
	prctl(PR_SET_NAME, name + 1, 0, 0, 0);
}

/* Out of memory is no reason to lose it, as then nobody could look at the machine. */
static void __attribute__((noreturn)) serve_machine(int starting)
{
	int *keep[] = { &b.m.port, &b.m.sys, &b.m.proc, &b.m.layer, &b.m.random, &starting };

	rename_process(b.title);
	(void)lg_file_write(AT_FDCWD, "/proc/self/oom_score_adj", "-1000", NULL);
	setsid();
	lg_fds_keep(keep, ARRAY_SIZE(keep));
	b.m.frames.fd = b.m.port;
	b.m.init = 1;
	_exit(serve(&b.m, starting) < 0 ? 1 : 0);
}

static int leave_server(struct lg_err *err)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "make a pipe");
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		serve_machine(ends[0]);
	}
	close(ends[0]);
	b.started = ends[1];
	return pid < 0 ? lg_fail(err, -errno, "leave a process behind") : 0;
}

static int start_init(struct lg_err *err)
{
	const char *init = lg_msg_get(&b.setup, "init");
	int console = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int *keep[] = { &b.started };
	int r;

	for (int fd = 0; console >= 0 && fd < 3; fd++)
		dup2(console, fd);
	r = lg_fds_keep(keep, ARRAY_SIZE(keep));
	if (r < 0)
		return lg_fail(err, r, "close what is the agent's");
	r = lg_confine_limits(&b.m.rlimits, err);
	if (r < 0)
		return r;
	lg_confine_signals();
	execve(init, b.argv, b.envp);
	return lg_refuse(err, -errno, 0, "%s: %s", init,
			 errno == ENOENT ? "there is no such program in the machine" : strerror(errno));
}

/* The port is the child's: it tells why, and goes. */
static void __attribute__((noreturn)) start_failed(const struct lg_err *err)
{
	if (write(b.started, err, sizeof(*err)) != (ssize_t)sizeof(*err))
		power_off();
	close(b.started);
	for (unsigned int ms = 0; ms < GOODBYE_MS && waitpid(-1, NULL, WNOHANG) == 0; ms += 10)
		usleep(10000);
	power_off();
}

/* What init and sessions are given comes out of these: the kernel's own are those of small machines of long ago. */
static void raise_limits(void)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit lim;

		if (getrlimit((__rlimit_resource_t)i, &lim) < 0)
			continue;
		lim.rlim_max = i == RLIMIT_NOFILE ? FILES_TOP : RLIM_INFINITY;
		setrlimit((__rlimit_resource_t)i, &lim);
	}
}

/* clang-format off */
static const struct {
	const char *name;	/* NULL: not worth telling */
	int (*run)(struct lg_err *err);
} stages[] = {
	{ NULL,		mount_kernel },
	{ NULL,		load_modules },
	{ NULL,		open_port },
	{ NULL,		wait_setup },
	{ NULL,		set_machine },
	{ "disks",	mount_disks },
	{ "root",	fill_root },
	{ "network",	set_network },
	{ "init",	prepare_init },
	{ NULL,		leave_server },
};
/* clang-format on */

static void begin(char *title)
{
	b.m.port = b.m.sys = b.m.proc = b.m.layer = b.m.random = -1;
	b.started = -1;
	b.title = title;
}

void boot(char *title)
{
	struct lg_err err = { 0 };
	sigset_t all;

	begin(title);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	umask(022);
	raise_limits();
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		if (stages[i].name)
			tell(LG_A_STAGE, "text", stages[i].name);
		if (stages[i].run(&err) < 0)
			give_up(&err);
	}
	start_init(&err);
	start_failed(&err);
}
