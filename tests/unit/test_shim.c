/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The shim with real containers, lodged played by the drive: start, the inside, life without lodged, the
 * console. Needs root; each test ends with the check that nothing of it is left on the host.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/proc.h"
#include "tests/unit/shim_fixture.h"

#define MUCH_OUTPUT "head -c 1300000 /dev/zero | tr '\\000' x | fold -w 70; "

/* START whose answer is FAILED; its text. */
static const char *start_fails(const char *init)
{
	drive_spawn(&d);
	drive_start_msg(&d, init);
	drive_send_start(&d, true);
	if (drive_expect(&d, LG_P_MADE)) {
		drive_simple(&d, LG_P_GO);
		ck_assert(drive_expect(&d, LG_P_FAILED));
	}
	ck_assert_int_eq(drive_reaped(&d), 1 << 8);
	return lg_msg_get(&d.m, "error");
}

/* ---- starting ---- */

START_TEST(init_runs_and_its_exit_status_is_told)
{
	run_idle();
	drive_signal(&d, SIGTERM);
	ck_assert(drive_expect(&d, LG_P_EXITED));
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "status", 0), 7 << 8);
	ck_assert_int_eq(drive_reaped(&d), 0);
}
END_TEST

START_TEST(nothing_runs_before_go)
{
	drive_spawn(&d);
	drive_start_msg(&d, "/bin/true");
	drive_send_start(&d, true);
	ck_assert(drive_expect(&d, LG_P_MADE));
	ck_assert_uint_eq(d.m.nfds, 2);
	ck_assert_int_eq(poll(&(struct pollfd){ .fd = d.sock, .events = POLLIN }, 1, 200), 0);
	drive_simple(&d, LG_P_GO);
	ck_assert(drive_expect(&d, LG_P_STARTED));
	ck_assert_uint_gt(lg_msg_get_u64(&d.m, "first_us", 0), 0);
	ck_assert(drive_expect(&d, LG_P_EXITED));
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "status", 1), 0);
	ck_assert_int_eq(drive_reaped(&d), 0);
}
END_TEST

START_TEST(spare_says_ready_and_ends_with_its_daemon)
{
	drive_spawn(&d);
	drive_simple(&d, LG_P_SPARE);
	ck_assert(drive_expect(&d, LG_P_READY));
	d.sock = lg_close(d.sock);
	ck_assert_int_eq(drive_reaped(&d), 0);
}
END_TEST

START_TEST(daemons_end_before_started_undoes_all)
{
	pid_t init;

	drive_spawn(&d);
	drive_start_msg(&d, "/bin/true");
	drive_send_start(&d, true);
	ck_assert(drive_expect(&d, LG_P_MADE));
	init = (pid_t)lg_msg_get_u64(&d.m, "pid", 0);
	d.sock = lg_close(d.sock);
	ck_assert_int_eq(drive_reaped(&d), 1 << 8);
	ck_assert_int_eq(kill(init, 0), -1);
}
END_TEST

START_TEST(a_missing_init_is_named)
{
	ck_assert_str_eq(start_fails("/sbin/none"),
			 "start init: /sbin/none: there is no such program in the container");
}
END_TEST

START_TEST(a_bad_start_names_the_field)
{
	drive_spawn(&d);
	lg_msg_init(&d.start, LG_P_START);
	ck_assert_int_eq(lg_msg_send(d.sock, &d.start), 0);
	ck_assert(drive_expect(&d, LG_P_FAILED));
	ck_assert_ptr_nonnull(strstr(lg_msg_get(&d.m, "error"), "'lower'"));
	ck_assert_int_eq(drive_reaped(&d), 1 << 8);
}
END_TEST

START_TEST(a_failing_mount_names_the_step)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/dev", d.lower);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(symlink("etc", path), 0);
	ck_assert_str_eq(start_fails("/bin/true"), "mount: /dev in the image is not a folder");
}
END_TEST

START_TEST(an_empty_image_lacks_only_its_init)
{
	char cmd[400];

	snprintf(cmd, sizeof(cmd), "rm -r %s/*", d.lower);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_ptr_nonnull(strstr(start_fails("/bin/true"), "no such program"));
}
END_TEST

/* ---- the inside ---- */

static const struct {
	const char *script, *want;
} views[] = {
	{ "id -u; id -g; hostname", "0\n0\nguest\n" },
	{ "cat /proc/self/uid_map | tr -s ' '", " 0 1000000000 65536\n" },
	{ "cat /proc/1/comm; ls /proc | grep -c '^[0-9]' | grep -qx '[3-6]' && echo few", "sh\nfew\n" },
	{ "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status", "NoNewPrivs:\t0\nSeccomp:\t2\n" },
	{ "grep -E 'NoNewPrivs|Seccomp:' /proc/1/status", "NoNewPrivs:\t0\nSeccomp:\t2\n" },
	{ "grep -E 'CapInh|CapAmb' /proc/1/status", "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n" },
	{ "tail -n 1 /proc/1/cgroup; tail -n 1 /proc/self/cgroup", "0::/\n0::/lodge.exec\n" },
	{ "mkdir /sys/fs/cgroup/sub && echo $$ > /sys/fs/cgroup/sub/cgroup.procs && tail -n 1 /proc/self/cgroup",
	  "0::/sub\n" },
	{ "touch /sys/x 2>&1", "touch: /sys/x: Read-only file system\n" },
	{ "cat /proc/keys /proc/timer_list | wc -c; ls /proc/acpi | wc -l", "0\n0\n" },
	{ "(echo b > /proc/sysrq-trigger) 2>/dev/null; echo still here", "still here\n" },
	{ "echo 1 > /proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward", "1\n" },
	{ "(echo 1 > /proc/sys/kernel/panic) 2>&1 | grep -c 'Permission denied'", "1\n" },
	{ "mknod /tmp/disk b 8 0 2>&1", "mknod: /tmp/disk: Operation not permitted\n" },
	{ "dmesg 2>&1 | head -n 1", "dmesg: klogctl: Operation not permitted\n" },
	{ "stat -c '%a %u:%g' /dev/console /dev/null /dev/shm /run | tr '\\n' ' '",
	  "600 0:5 666 65534:65534 1777 0:0 755 0:0 " },
	{ "for l in ptmx fd stdin; do readlink /dev/$l; done", "pts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n" },
	{ "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c", "3\n4\n" },
	{ "echo new > /root/f && cat /root/f && stat -c %u /root/f", "new\n0\n" },
	{ "grep -c ' / ' /proc/mounts; grep -c ext4 /proc/mounts", "1\n0\n" },
	{ "umask; ulimit -n; ulimit -c", "0022\n1024\n0\n" },
	{ "ls /proc/self/fd | wc -l", "4\n" },	/* three and the folder's own */
	{ "ls /proc/1/fd | wc -l", "3\n" },
	{ "tr '\\0' '\\n' < /proc/1/environ | sort | grep -E '^(container|TERM|PATH)' | cut -d= -f1",
	  "PATH\nTERM\ncontainer\n" },
	{ "awk '{print $7}' /proc/1/stat | grep -qv '^0$' && echo has a terminal", "has a terminal\n" },
	/* a nested user namespace may have a proc and a sysfs of its own */
	{ "unshare -Urmpf --mount-proc cat /proc/1/comm", "cat\n" },
	{ "unshare -Urmn mount -t sysfs -o ro sys /sys && echo ok", "ok\n" },
	{ "unshare -Urm mount -t tmpfs none /tmp && echo ok", "ok\n" },
	/* engines insist on a root whose mounts propagate, and leave this folder out of what they walk */
	{ "awk '$5 == \"/\" { print substr($7, 1, 7) }' /proc/self/mountinfo", "shared:\n" },
	{ "test -e /dev/.lxc/proc/1 && ls -A /dev | grep '^[.]'", ".lxc\n" },
};

START_TEST(the_inside_is_as_promised)
{
	run_idle();
	ck_assert_str_eq(shell(views[_i].script), views[_i].want);
	stop();
}
END_TEST

START_TEST(files_are_placed_whatever_is_in_their_place)
{
	char path[400];

	/* links in the image that want out, and one of the kernel's that could lead there */
	snprintf(path, sizeof(path), "%s/etc/resolv.conf", d.lower);
	ck_assert_int_eq(symlink("/../../../../../../tmp/lodge-outside", path), 0);
	snprintf(path, sizeof(path), "%s/etc/fifo", d.lower);
	ck_assert_int_eq(mkfifo(path, 0644), 0);
	snprintf(path, sizeof(path), "%s/opt", d.lower);
	ck_assert_int_eq(symlink("../../../../root/deep", path), 0);
	snprintf(path, sizeof(path), "%s/root/deep", d.lower);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	drive_put(&d, "etc/hosts", "mine\n", 0644);

	drive_spawn(&d);
	drive_start_msg(&d, "/bin/sh");
	for (const char *const *a = (const char *const[]){ "sh", "-c", IDLE_INIT, NULL }; *a; a++)
		lg_msg_put(&d.start, "arg", *a);
	lg_msg_put(&d.start, "file", "0640 /etc/resolv.conf\nnameserver 192.0.2.1\n");
	lg_msg_put(&d.start, "file", "0600 /etc/fifo\ntext");
	lg_msg_put(&d.start, "file", "0644 /opt/new/file\nopt\n");
	lg_msg_put(&d.start, "dir", "0750 /run/a/b");
	lg_msg_put(&d.start, "link", "/run/a/b/l\n/dev/null");
	lg_msg_put(&d.start, "block", "0644 /etc/hosts\nours\n");
	drive_send_start(&d, true);
	ck_assert(drive_expect(&d, LG_P_MADE));
	drive_simple(&d, LG_P_GO);
	ck_assert(drive_expect(&d, LG_P_STARTED));
	ck_assert_str_eq(shell("cat /etc/resolv.conf /etc/fifo /root/deep/new/file /etc/hosts"),
			 "nameserver 192.0.2.1\ntextopt\n# lodge: begin\nours\n# lodge: end\nmine\n");
	ck_assert_str_eq(shell("stat -c '%a %F' /etc/resolv.conf /etc/fifo /run/a/b; readlink /run/a/b/l"),
			 "640 regular file\n600 regular file\n750 directory\n/dev/null\n");
	ck_assert_int_eq(access("/tmp/lodge-outside", F_OK), -1);
	stop();
}
END_TEST

START_TEST(a_link_to_an_open_file_of_ours_is_not_followed)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/var", d.lower);
	ck_assert_int_eq(symlink("/proc/self/fd/3", path), 0);
	drive_spawn(&d);
	drive_start_msg(&d, "/bin/true");
	lg_msg_put(&d.start, "file", "0644 /var/x\ntext");
	drive_send_start(&d, true);
	ck_assert(drive_expect(&d, LG_P_MADE));
	drive_simple(&d, LG_P_GO);
	ck_assert(drive_expect(&d, LG_P_FAILED));
	ck_assert_ptr_nonnull(strstr(lg_msg_get(&d.m, "error"), "put /var/x into the container"));
	ck_assert_int_eq(drive_reaped(&d), 1 << 8);
}
END_TEST

/* Their places are the guest's: a link is left alone, and what is below a missing folder is not made. */
START_TEST(plain_folders_are_mounted_with_its_ids)
{
	static const struct {
		const char *source, *target;
	} plain[] = {
		{ "a", "/var/a" }, { "b", "/link" }, { "c", "/none/c" }, { "d", "/root" },
	};
	char path[400], field[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s/var", d.lower);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/link", d.lower);
	ck_assert_int_eq(symlink("/root", path), 0);
	drive_spawn(&d);
	drive_start_msg(&d, "/bin/sh");
	for (const char *const *a = (const char *const[]){ "sh", "-c", IDLE_INIT, NULL }; *a; a++)
		lg_msg_put(&d.start, "arg", *a);
	lg_msg_put_u64(&d.start, "id_count", 131072);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		ck_assert_int_eq(mkdir(drive_path(&d, plain[i].source), 0755), 0);
		snprintf(field, sizeof(field), "%s\n%s", drive_path(&d, plain[i].source),
			 plain[i].target);
		lg_msg_put(&d.start, "plain", field);
	}
	drive_send_start(&d, true);
	ck_assert(drive_expect(&d, LG_P_MADE));
	drive_simple(&d, LG_P_GO);
	ck_assert(drive_expect(&d, LG_P_STARTED));
	ck_assert_str_eq(shell("tr -s ' ' </proc/self/uid_map"), " 0 1000000000 131072\n");
	ck_assert_str_eq(shell("awk '$6 ~ /idmapped/ { print $5 }' /proc/self/mountinfo"),
			 "/var/a\n/root\n");
	ck_assert_str_eq(shell("touch /var/a/x /root/y && chown 100000 /root/y && readlink /link"),
			 "/root\n");
	ck_assert_int_eq(stat(drive_path(&d, "a/x"), &st), 0);
	ck_assert_uint_eq(st.st_uid, 0);
	ck_assert_int_eq(stat(drive_path(&d, "d/y"), &st), 0);
	ck_assert_uint_eq(st.st_uid, 100000);
	stop();
}
END_TEST

/* ---- life without lodged ---- */

START_TEST(a_session_and_init_outlive_the_daemon)
{
	static const char *const argv[] = { "cat", NULL };
	static struct lg_msg m;
	uint64_t start;
	char buf[8];
	pid_t init;

	run_idle();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	drive_connect(&d);
	drive_simple(&d, LG_P_HELLO);
	ck_assert(drive_expect(&d, LG_P_STATE));
	init = (pid_t)lg_msg_get_u64(&d.m, "pid", 0);
	ck_assert_int_eq(lg_proc_starttime(init, &start), 0);
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "starttime", 0), start);
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "started", 0), 1);
	ck_assert_uint_eq(d.m.nfds, 2);
	ck_assert_int_eq(write(e.streams[0], "still", 5), 5);
	ck_assert_int_eq(read(e.streams[1], buf, sizeof(buf)), 5);
	close(e.streams[0]);
	ck_assert_int_eq(lg_msg_recv(e.control, &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_ENDED);
	ck_assert_str_eq(shell("echo new daemon"), "new daemon\n");
	stop();
}
END_TEST

START_TEST(without_a_daemon_the_status_is_left_in_a_file)
{
	run_idle();
	drive_signal(&d, SIGTERM);
	d.sock = lg_close(d.sock);
	ck_assert_int_eq(drive_reaped(&d), 0);
	ck_assert_str_eq(drive_read(&d, "exit"), "1792\n");
}
END_TEST

START_TEST(the_last_to_say_hello_is_told_of_the_end)
{
	int first;

	run_idle();
	first = d.sock;
	d.sock = -1;
	drive_connect(&d);
	drive_simple(&d, LG_P_HELLO);
	ck_assert(drive_expect(&d, LG_P_STATE));
	stop();
	ck_assert_int_eq(lg_msg_recv(first, &d.m), 0);
	close(first);
}
END_TEST

START_TEST(sessions_end_with_the_container)
{
	static const char *const argv[] = { "sh", "-c", "sleep 1000; true", NULL };
	static struct lg_msg m;

	run_idle();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	stop();
	ck_assert_int_eq(lg_msg_recv(e.control, &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_ENDED);
	ck_assert_uint_eq(lg_msg_get_u64(&m, "status", 0), SIGKILL);
}
END_TEST

/* ---- console ---- */

static int join_console(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	lg_msg_drop_fds(&d.m);
	lg_msg_init(&d.m, LG_P_CONSOLE);
	lg_msg_put_fd(&d.m, pair[1]);
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
	lg_msg_init(&d.m, 0);
	close(pair[1]);
	return pair[0];
}

static bool console_shows(int fd, const char *text)
{
	static char buf[65536];
	size_t len = 0;

	while (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 5000) == 1) {
		ssize_t n = read(fd, buf + len, sizeof(buf) - 1 - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		buf[len] = '\0';
		if (strstr(buf, text))
			return true;
	}
	return false;
}

START_TEST(a_console_shows_and_takes)
{
	int one, two;

	drive_run(&d, "echo first words; while read l; do echo \"got $l\"; done");
	ck_assert(drive_wait_file(&d, "console.log", "first words"));
	one = join_console();
	two = join_console();
	ck_assert(console_shows(one, "first words"));	/* what was there before */
	ck_assert_int_eq(write(one, "hello\n", 6), 6);
	ck_assert(console_shows(one, "got hello"));
	ck_assert(console_shows(two, "got hello"));
	ck_assert(drive_wait_file(&d, "console.log", "got hello"));
	close(one);
	ck_assert_int_eq(write(two, "again\n", 6), 6);
	ck_assert(console_shows(two, "got again"));
	close(two);
	stop();
}
END_TEST

START_TEST(a_client_that_does_not_read_stops_nobody)
{
	int slow;

	drive_run(&d, "read x; " MUCH_OUTPUT "echo over; read x");
	slow = join_console();
	ck_assert_int_eq(write(slow, "\n", 1), 1);
	ck_assert(drive_wait_file(&d, "console.log", "over"));
	close(slow);
	stop();
}
END_TEST

START_TEST(a_log_is_turned_over)
{
	struct stat st;

	drive_run(&d, MUCH_OUTPUT "echo over; read x");
	ck_assert(drive_wait_file(&d, "console.log", "over"));
	ck_assert_int_eq(stat(drive_path(&d, "console.log.1"), &st), 0);
	ck_assert_int_ge(st.st_size, 1 << 20);
	ck_assert_int_eq(stat(drive_path(&d, "console.log"), &st), 0);
	ck_assert_int_lt(st.st_size, 1 << 20);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	stop();
}
END_TEST

static unsigned long switches(void)
{
	lg_autofree char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)d.shim);
	ck_assert_int_eq(lg_file_read(AT_FDCWD, path, 65536, &text, NULL, NULL), 0);
	return strtoul(strstr(text, "\nvoluntary_ctxt_switches:") + 25, NULL, 10);
}

/* Reading a terminal that no process has open fails at once: that must not become a loop. */
START_TEST(an_idle_shim_never_wakes)
{
	static const char *const inits[] = { IDLE_INIT, "exec </dev/null >/dev/null 2>&1; sleep 1000" };
	unsigned long before;

	drive_run(&d, inits[_i]);
	usleep(1000000);
	before = switches();
	usleep(1000000);
	ck_assert_uint_eq(switches(), before);
	stop();
}
END_TEST

static unsigned long pss_kib(void)
{
	lg_autofree char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)d.shim);
	ck_assert_int_eq(lg_file_read(AT_FDCWD, path, 65536, &text, NULL, NULL), 0);
	return strtoul(strstr(text, "\nPss:") + 5, NULL, 10);
}

START_TEST(an_idle_shim_is_small)
{
	unsigned long pss;

	run_idle();
	ck_assert_str_eq(shell("echo used"), "used\n");
	for (int i = 0; i < 50 && (pss = pss_kib()) > 200; i++)
		usleep(100000);
	ck_assert_uint_le(pss, 200);
	stop();
}
END_TEST

/* ---- */

static TCase *start_case(void)
{
	TCase *tc = tcase_create("start");

	tcase_add_test(tc, init_runs_and_its_exit_status_is_told);
	tcase_add_test(tc, nothing_runs_before_go);
	tcase_add_test(tc, spare_says_ready_and_ends_with_its_daemon);
	tcase_add_test(tc, daemons_end_before_started_undoes_all);
	tcase_add_test(tc, a_missing_init_is_named);
	tcase_add_test(tc, a_bad_start_names_the_field);
	tcase_add_test(tc, a_failing_mount_names_the_step);
	tcase_add_test(tc, an_empty_image_lacks_only_its_init);
	tcase_add_loop_test(tc, the_inside_is_as_promised, 0, ARRAY_SIZE(views));
	tcase_add_test(tc, files_are_placed_whatever_is_in_their_place);
	tcase_add_test(tc, a_link_to_an_open_file_of_ours_is_not_followed);
	tcase_add_test(tc, plain_folders_are_mounted_with_its_ids);
	return tc;
}

static TCase *life_case(void)
{
	TCase *tc = tcase_create("life");

	tcase_add_test(tc, a_session_and_init_outlive_the_daemon);
	tcase_add_test(tc, without_a_daemon_the_status_is_left_in_a_file);
	tcase_add_test(tc, the_last_to_say_hello_is_told_of_the_end);
	tcase_add_test(tc, sessions_end_with_the_container);
	tcase_add_test(tc, a_console_shows_and_takes);
	tcase_add_test(tc, a_client_that_does_not_read_stops_nobody);
	tcase_add_test(tc, a_log_is_turned_over);
	tcase_add_loop_test(tc, an_idle_shim_never_wakes, 0, 2);
	tcase_add_test(tc, an_idle_shim_is_small);
	return tc;
}

int main(void)
{
	TCase *const cases[] = { start_case(), life_case() };

	return run_cases("shim", cases, ARRAY_SIZE(cases));
}
