/* SPDX-License-Identifier: GPL-2.0-or-later */

/* start --wait: the guest's init says itself that it is up. */

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cmd/lodged/start.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"

#define WAIT_TIMEOUT_S 300u

json_t *start_answer(struct op *op)
{
	struct op *held = op->ct->op;
	json_t *instance;

	op->ct->op = NULL;	/* it is not busy any more when the answer arrives */
	instance = instance_json(op->ct, false, false);
	op->ct->op = held;
	return json_pack("{s:o}", "instance", instance);
}

static void wait_over(struct op *op, int status)
{
	struct lg_err err = { 0 };

	/* systemctl is-system-running: 0 running, 1 degraded (some unit failed, but it is up). */
	if (WIFEXITED(status) && WEXITSTATUS(status) <= 1) {
		op_end(op, start_answer(op));
		return;
	}
	lg_refuse(&err, -ETIMEDOUT, LG_EXIT_WAIT_FAILED,
		  "%s was started, but its init did not say that it is up (status %d): see `lodge "
		  "console %u`", instance_label(op->ct), status, op->ct->ctid);
	op_fail(op, &err);
}

static int on_wait_message(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct op *op = arg;
	struct lg_msg m;
	int r = lg_msg_recv(fd, &m), status = 255 << 8;

	(void)s;
	(void)revents;
	if (r == -EAGAIN)
		return 0;
	if (r == 1) {
		lg_msg_drop_fds(&m);
		if (m.kind == LG_P_BEGUN)
			return 0;
		if (m.kind == LG_P_ENDED)
			status = (int)lg_msg_get_u64(&m, "status", 255 << 8);
	}
	wait_over(op, status);
	return 0;
}

static int wait_timed_out(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	wait_over(arg, 255 << 8);
	return 0;
}

int start_wait(struct op *op, struct lg_err *err)
{
	/* Early in the boot systemctl cannot yet speak to its manager: it is asked again. */
	static const char *const argv[] = {
		"/bin/sh", "-c",
		"n=0; while [ $n -lt 600 ]; do"
		" s=$(systemctl is-system-running --wait 2>/dev/null);"
		" case $s in running) exit 0;; degraded|maintenance) exit 1;; stopping) exit 3;; esac;"
		" n=$((n+1)); sleep 0.1; done; exit 2",
	};
	lg_autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC), theirs = -1;
	int pair[2], r;
	struct lg_msg m;

	if (null < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return lg_fail(err, -errno, "socketpair");
	op->wait_sock = pair[0];
	theirs = pair[1];
	fcntl(op->wait_sock, F_SETFL, O_NONBLOCK);
	lg_msg_init(&m, LG_P_EXEC);
	for (size_t i = 0; i < ARRAY_SIZE(argv); i++)
		lg_msg_put(&m, "arg", argv[i]);
	lg_msg_put(&m, "tty", "0");
	lg_msg_put_fd(&m, theirs);
	for (int i = 0; i < 3; i++)
		lg_msg_put_fd(&m, null);
	r = lg_msg_send(op->ct->shim->sock, &m);
	if (r < 0)
		return lg_fail(err, r, "speak to the shim");
	r = sd_event_add_io(op->ct->d->event, &op->wait_io, op->wait_sock, EPOLLIN, on_wait_message,
			    op);
	if (r >= 0)
		r = op_timer(op, op->wait_s ? op->wait_s : WAIT_TIMEOUT_S, wait_timed_out);
	return r < 0 ? lg_fail(err, r, "wait for its init") : 0;
}
