/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/proc.h"

#define LINE_MAX_BYTES 400u	/* of a line that is passed on; the rest of it is cut */
#define ENV_MAX 16u
#define ENV_TEXT 1024u

/* A download needs the host's proxy; the rest of our environment is not for the recipe. */
static const char *const passed_on[] = {
	"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
};

struct environment {
	char *list[ENV_MAX];
	char text[ENV_MAX][ENV_TEXT];
	unsigned int n;
};

static void env_add(struct environment *env, const char *key, const char *value)
{
	char *text = env->text[env->n];

	if ((size_t)snprintf(text, ENV_TEXT, "%s=%s", key, value) < ENV_TEXT)
		env->list[env->n++] = text;
}

static void env_fill(struct environment *env, const char *tmpdir)
{
	env_add(env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	env_add(env, "HOME", "/root");
	env_add(env, "LANG", "C.UTF-8");
	env_add(env, "TMPDIR", tmpdir);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++) {
		const char *value = getenv(passed_on[i]);

		if (value)
			env_add(env, passed_on[i], value);
	}
}

/* Our parent may have died before we asked to be told: its descriptor knows. */
static int die_with(int parent_pidfd)
{
	struct pollfd p = { .fd = parent_pidfd, .events = POLLIN };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return poll(&p, 1, 0) == 0 ? 0 : -ESRCH;
}

static int private_mounts(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -errno;
	return 0;
}

static int place_output(int out, int errors)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0 ||
	    syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void child_main(const struct lg_recipe_run *run, const struct environment *env,
		       int parent_pidfd, int out, int errors)
{
	const char *argv[] = { run->program, run->target, NULL };
	int r = die_with(parent_pidfd);

	if (r == 0)
		r = private_mounts();
	if (r == 0)
		r = place_output(out, errors);
	if (r == 0) {
		reset_signals();
		umask(022);
		setsid();
		r = chdir("/") < 0 ? -errno : 0;
	}
	if (r == 0) {
		execve(run->program, (char *const *)(uintptr_t)argv, env->list);
		r = -errno;
	}
	dprintf(errors, "start '%s': %s\n", run->program, strerror(-r));
	_exit(127);
}

struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
	void (*fn)(const char *text, void *arg);
	void *arg;
};

static void line_end(struct line *line)
{
	line->text[line->len] = '\0';
	if (line->len > 0 && line->fn)
		line->fn(line->text, line->arg);
	line->len = 0;
}

/* What a recipe prints goes to terminals: no control characters. */
static void line_feed(struct line *line, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c == '\n' || c == '\r')
			line_end(line);
		else if (line->len < sizeof(line->text) - 1)
			line->text[line->len++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
}

static void keep_line(const char *text, void *arg)
{
	snprintf(arg, LINE_MAX_BYTES, "%s", text);
}

/* Both pipes end when the recipe and all it started are gone. */
static int read_output(int out, struct line *out_line, int errors, struct line *error_line)
{
	struct pollfd fds[] = {
		{ .fd = out, .events = POLLIN },
		{ .fd = errors, .events = POLLIN },
	};
	struct line *lines[] = { out_line, error_line };

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (poll(fds, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		for (int i = 0; i < 2; i++) {
			char buf[4096];
			ssize_t n;

			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			n = read(fds[i].fd, buf, sizeof(buf));
			if (n > 0) {
				line_feed(lines[i], buf, (size_t)n);
			} else if (n == 0 || errno != EINTR) {
				line_end(lines[i]);
				fds[i].fd = -1;
			}
		}
	}
	return 0;
}

static int judge(pid_t pid, const char *last, struct lg_err *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return lg_fail(err, -errno, "wait for the recipe");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return lg_refuse(err, -EIO, LG_EXIT_CREATE,
				 "the recipe was killed by signal %d", WTERMSIG(status));
	if (*last)
		return lg_refuse(err, -EIO, LG_EXIT_CREATE, "%s", last);
	return lg_refuse(err, -EIO, LG_EXIT_CREATE, "the recipe failed with status %d",
			 WEXITSTATUS(status));
}

int lg_recipe_run(const struct lg_recipe_run *run, struct lg_err *err)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS,
		.exit_signal = SIGCHLD,
	};
	lg_autoclose int self = lg_pidfd_open(getpid());
	lg_autoclose int out_r = -1, out_w = -1, err_r = -1, err_w = -1;
	char last[LINE_MAX_BYTES] = "";
	struct line out_line = { .fn = run->progress, .arg = run->arg };
	struct line err_line = { .fn = keep_line, .arg = last };
	struct environment env = { .n = 0 };
	int out[2], errors[2];
	pid_t pid;
	int r;

	if (self < 0)
		return lg_fail(err, self, "open a descriptor of this process");
	if (pipe2(out, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "make a pipe");
	out_r = out[0];
	out_w = out[1];
	if (pipe2(errors, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "make a pipe");
	err_r = errors[0];
	err_w = errors[1];
	env_fill(&env, run->tmpdir);

	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return lg_fail(err, -errno, "start '%s'", run->program);
	if (pid == 0)
		child_main(run, &env, self, out_w, err_w);
	out_w = lg_close(out_w);
	err_w = lg_close(err_w);
	r = read_output(out_r, &out_line, err_r, &err_line);
	if (r < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return lg_fail(err, r, "read what the recipe prints");
	}
	return judge(pid, last, err);
}
