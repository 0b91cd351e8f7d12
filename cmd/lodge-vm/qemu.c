/* SPDX-License-Identifier: GPL-2.0-or-later */

/* QEMU: its sockets, its start, and what it says. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/console.h"
#include "ct/inside.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "vm/sandbox.h"

#define WORDS 300u

static void on_qmp(struct lg_source *s, uint32_t events);
static void on_words(struct lg_source *s, uint32_t events);

static struct lg_source qmp_source = { .fd = -1, .on_event = on_qmp };
static struct lg_source words_source = { .fd = -1, .on_event = on_words };
static struct lg_qmp qmp = { .fd = -1 };
static char words[WORDS];	/* the last line; a part of one is replaced by its whole */

/* ---- QMP ---- */

static void check_times(void)
{
	timer_set(TIMER_QMP, lg_qmp_expire(&qmp), check_times);
}

int qemu_command(const char *name, json_t *args, int fd, int timeout_ms, lg_qmp_done done, void *arg)
{
	int r = lg_qmp_command(&qmp, name, args, fd, timeout_ms, done, arg);

	check_times();
	return r;
}

static void on_qmp(struct lg_source *s, uint32_t events)
{
	(void)events;
	if (lg_qmp_input(&qmp) < 0)
		lg_source_close(s);	/* its end is seen by its process */
	check_times();
}

/* Why QEMU ends, and the signal that a container's init would have ended with. */
/* clang-format off */
static const struct {
	const char *reason;
	int sig;
} reasons[] = {
	{ "guest-shutdown",	   SIGINT },
	{ "guest-reset",	   SIGHUP },
	{ "host-qmp-system-reset", SIGHUP },
	{ "guest-panic",	   SIGSEGV },
	{ "host-signal",	   SIGTERM },
	{ "host-qmp-quit",	   SIGTERM },
	{ "host-ui",		   SIGTERM },
	{ "host-error",		   SIGABRT },
};
/* clang-format on */

static void on_event(void *arg, const char *name, const json_t *data)
{
	const char *reason = lg_json_str(data, "reason");

	(void)arg;
	if (strcmp(name, "GUEST_PANICKED") == 0)
		vm.panicked = true;
	if (strcmp(name, "VSERPORT_CHANGE") == 0)
		qga_listens(lg_json_bool(data, "open", false));
	suspend_event(name);
	written_event(name, data);
	if (strcmp(name, "MIGRATION") == 0)
		start_event();
	if (strcmp(name, "SHUTDOWN") != 0)
		return;
	vm.ended_by = SIGABRT;
	for (size_t i = 0; reason && i < ARRAY_SIZE(reasons); i++)
		if (strcmp(reason, reasons[i].reason) == 0)
			vm.ended_by = reasons[i].sig;
}

const char *qemu_version(void)
{
	return qmp.version;
}

static void on_ready(void *arg)
{
	(void)arg;
	start_ready();
}

/* ---- its standard error ---- */

static void keep_words(char *text, size_t len)
{
	char *from = text;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' && text[i] != '\n')
			text[i] = ' ';
	while (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	if (strrchr(text, '\n'))
		from = strrchr(text, '\n') + 1;
	if (*from)
		snprintf(words, sizeof(words), "%.299s", from);
}

static void on_words(struct lg_source *s, uint32_t events)
{
	char buf[1024];
	ssize_t n;

	(void)events;
	while ((n = read(s->fd, buf, sizeof(buf) - 1)) > 0)
		keep_words(buf, (size_t)n);
	if (n == 0)
		lg_source_close(s);
}

const char *qemu_words(void)
{
	return words;
}

void qemu_drain(void)
{
	if (words_source.fd >= 0)
		on_words(&words_source, 0);
	if (qmp_source.fd >= 0)
		on_qmp(&qmp_source, 0);
}

/* ---- its start ---- */

enum { QMP, CONSOLE, AGENT, PAIRS };

static int make_pairs(int ours[PAIRS], int theirs[PAIRS], struct lg_err *err)
{
	for (int i = 0; i < PAIRS; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return lg_fail(err, -errno, "make QEMU's sockets");
		ours[i] = pair[0];
		theirs[i] = pair[1];
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static void close_pairs(int fds[PAIRS])
{
	for (int i = 0; i < PAIRS; i++)
		fds[i] = lg_close(fds[i]);
}

static int listen_to(int ours[PAIRS], struct lg_err *err)
{
	int r;

	lg_qmp_init(&qmp, ours[QMP]);
	qmp.on_event = on_event;
	qmp.on_ready = on_ready;
	qmp_source.fd = lg_take_fd(&ours[QMP]);
	r = lg_source_add(&qmp_source, EPOLLIN);
	lg_console_open(lg_take_fd(&ours[CONSOLE]));
	if (r == 0 && vm.spec.guest)
		r = agent_open(lg_take_fd(&ours[AGENT]), vm.spec.incoming);
	else if (r == 0)
		r = qga_open(lg_take_fd(&ours[AGENT]));
	return r < 0 ? lg_fail(err, r, "watch QEMU") : 0;
}

/* A number that no machine had before: a guest that sees another one knows that it was copied or went back in time. */
static void make_genid(char text[40])
{
	unsigned char b[16] = { 0 };

	if (getrandom(b, sizeof(b), 0) < 0)
		lg_trace("no random numbers");
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(text, 40, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		 b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void choose_genid(void)
{
	const char *given = vm.spec.genid;

	if (given && strlen(given) == 36 && strspn(given, "0123456789abcdef-") == 36)
		memcpy(vm.genid, given, 37);
	else
		make_genid(vm.genid);
}

static int place(int *fds, unsigned int *n, int fd)
{
	if (fd < 0)
		return -1;
	fds[*n] = fd;
	return (int)(*n)++;
}

/* Numbers of its descriptors, and which they are. */
static unsigned int place_all(const int theirs[PAIRS], int null, int words_fd, int *fds, struct lg_vm_places *at)
{
	unsigned int n = 0;

	place(fds, &n, null);
	place(fds, &n, words_fd);
	place(fds, &n, words_fd);
	at->qmp = place(fds, &n, theirs[QMP]);
	at->console = place(fds, &n, theirs[CONSOLE]);
	at->agent = place(fds, &n, theirs[AGENT]);
	at->tap = place(fds, &n, vm.spec.tap_fd);
	at->kernel = place(fds, &n, vm.spec.kernel_fd);
	at->initrd = place(fds, &n, vm.spec.initrd_fd);
	for (unsigned int i = 0; i < vm.spec.ndisks; i++)
		at->disks[i] = place(fds, &n, vm.spec.disks[i].fd);
	return n;
}

static int launch(const struct lg_vm_args *args, const int *fds, unsigned int nfds, struct lg_err *err)
{
	struct lg_sandbox box = {
		.id = vm.spec.id_base,
		.scratch = vm.spec.scratch,
		.argv = args->argv,
		.fds = fds,
		.nfds = nfds,
		.cgroup_fd = vm.spec.cgroup_fd,
		.kvm = vm.spec.kvm,
	};
	pid_t pid = lg_sandbox_start(&box, &vm.pidfd, &vm.netns_fd, err);

	if (pid < 0)
		return (int)pid;
	vm.pid = pid;
	lg_oom_reset(pid);
	lg_trace("QEMU executed");
	return 0;
}

static int launch_with(const int theirs[PAIRS], int words_fd, struct lg_err *err)
{
	lg_autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct lg_vm_places at;
	struct lg_vm_args args;
	int fds[LG_SANDBOX_FDS], r;
	unsigned int n;

	if (null < 0)
		return lg_fail(err, -errno, "open '/dev/null'");
	n = place_all(theirs, null, words_fd, fds, &at);
	choose_genid();
	r = lg_vm_args_make(&vm.spec, &at, vm.genid, &args);
	if (r < 0)
		lg_fail(err, r, "QEMU's command line");
	else
		r = launch(&args, fds, n, err);
	lg_vm_args_free(&args);
	return r;
}

int qemu_start(struct lg_err *err)
{
	int ours[PAIRS] = { -1, -1, -1 }, theirs[PAIRS] = { -1, -1, -1 }, pipes[2], r;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "make QEMU's sockets");
	words_source.fd = pipes[0];
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	r = make_pairs(ours, theirs, err);
	if (r == 0)
		r = launch_with(theirs, pipes[1], err);
	close_pairs(theirs);
	close(pipes[1]);
	vm.incoming_fd = lg_take_fd(&vm.spec.incoming_fd);
	lg_vm_spec_close(&vm.spec);
	if (r == 0 && lg_source_add(&words_source, EPOLLIN) < 0)
		r = lg_fail(err, -ENOMEM, "watch QEMU");
	if (r == 0)
		r = listen_to(ours, err);
	close_pairs(ours);
	return r;
}
