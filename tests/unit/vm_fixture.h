/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_TEST_VM_FIXTURE_H
#define LG_TEST_VM_FIXTURE_H

/* What the programs that test lodge-vm with tests/unit/fake in QEMU's place have in common. */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/shim_fixture.h"
#include "vm/start.h"

#define MIB (1024u * 1024u)

static pid_t qemu;

static inline void program_path(char *path, size_t size, const char *name, int up)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	for (; up > 0; up--)
		*strrchr(path, '/') = '\0';
	strncat(path, name, size - strlen(path) - 1);
}

static inline void become(void)
{
	char path[500];

	drive_spawn(&d);
	drive_simple(&d, LG_P_SPARE);
	ck_assert(drive_expect(&d, LG_P_READY));
	program_path(path, sizeof(path), "/lodge-vm", 2);
	lg_msg_init(&d.m, LG_P_BECOME);
	lg_msg_put(&d.m, "program", path);
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
	lg_msg_init(&d.m, 0);
}

static inline void put_file(const char *name, int flags)
{
	int fd = open(drive_path(&d, name), flags | O_CREAT | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(lg_msg_put_fd(&d.start, fd), 0);
}

/* START of a machine of that kind, as far as it is the same for all. */
static inline void start_head(const char *machine)
{
	static const char *const own[][2] = {
		{ "scratch", "scratch" }, { "socket", "sock" }, { "exit_file", "exit" }, { "console_log", "console.log" },
	};
	struct lg_msg *m = &d.start;
	char path[500];

	lg_msg_init(m, LG_P_START);
	lg_msg_put_u64(m, "ctid", 101);
	lg_msg_put_u64(m, "id_base", DRIVE_BASE);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		lg_msg_put(m, own[i][0], drive_path(&d, own[i][1]));
	program_path(path, sizeof(path), "/fake-qemu", 1);
	lg_msg_put(m, "qemu", path);
	lg_msg_put(m, "accel", "tcg");
	lg_msg_put(m, "machine", machine);
	lg_msg_put_u64(m, "memory", 256 * MIB);
	lg_msg_put_fd(m, open(d.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static inline void send_start(void)
{
	ck_assert_int_eq(lg_msg_send(d.sock, &d.start), 0);
	for (unsigned int i = 0; i < d.start.nfds; i++)
		close(d.start.fds[i]);
}

/* START is complete: the machine is made. */
static inline void make_sent(void)
{
	send_start();
	ck_assert(drive_expect(&d, LG_P_MADE));
	ck_assert_uint_eq(d.m.nfds, 2);
	qemu = (pid_t)lg_msg_get_u64(&d.m, "pid", 0);
	ck_assert_int_gt(qemu, 0);
}

/* The next message that is no STAGE. */
static inline bool expect(uint32_t kind)
{
	do {
		lg_msg_drop_fds(&d.m);
		if (receive(d.sock, &d.m) != 1)
			return false;
	} while (d.m.kind == LG_P_STAGE);
	if (d.m.kind != kind)
		fprintf(stderr, "message %u, not %u: %s\n", d.m.kind, kind, d.m.kind == LG_P_FAILED ? lg_msg_get(&d.m, "error") : "");
	return d.m.kind == kind;
}

static inline void ends_with(int status)
{
	char text[32];

	snprintf(text, sizeof(text), "%d\n", status);
	ck_assert(expect(LG_P_EXITED));
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "status", 12345), (uint64_t)status);
	ck_assert_int_eq(drive_reaped(&d), 0);
	ck_assert_str_eq(drive_read(&d, "exit"), text);
	ck_assert_int_eq(kill(qemu, 0), -1);
}

static inline void kill_machine(void)
{
	drive_signal(&d, SIGKILL);
	ends_with(SIGKILL);
}

static inline const char *told(const char *what, const char *key, const char *value, const char *field)
{
	lg_msg_drop_fds(&d.m);
	lg_msg_init(&d.m, LG_P_ASK);
	lg_msg_put(&d.m, "tag", "t1");
	lg_msg_put(&d.m, "what", what);
	if (key)
		lg_msg_put(&d.m, key, value);
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
	ck_assert(expect(LG_P_TOLD));
	ck_assert_str_eq(lg_msg_get(&d.m, "tag"), "t1");
	return lg_msg_get(&d.m, field) ? lg_msg_get(&d.m, field) : "";
}

#endif
