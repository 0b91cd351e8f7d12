/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodged/account.h"
#include "cmd/lodged/hostlimits.h"
#include "cmd/lodged/kernel_log.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/lxcfs.h"
#include "ct/fds.h"
#include "ct/seccomp.h"
#include "ct/trace.h"
#include "io.lodge.varlink.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/log.h"
#include "storage/shift.h"

#define FLOWS_DEFAULT 16384u
#define LOG_MAX (4u << 20)	/* of the file that a daemon in the background writes */

static const struct lg_vmethod methods[] = {
	{ "io.lodge.Create", api_create },
	{ "io.lodge.Start", api_start },
	{ "io.lodge.Stop", api_stop },
	{ "io.lodge.Restart", api_restart },
	{ "io.lodge.ImportOffer", api_import_offer },
	{ "io.lodge.ImportBegin", api_import_begin },
	{ "io.lodge.ImportIncoming", api_import_incoming },
	{ "io.lodge.ImportRestore", api_import_restore },
	{ "io.lodge.ImportGo", api_import_go },
	{ "io.lodge.ImportQuery", api_import_query },
	{ "io.lodge.ImportForget", api_import_forget },
	{ "io.lodge.Migrate", api_migrate },
	{ "io.lodge.Suspend", api_suspend },
	{ "io.lodge.Resume", api_resume },
	{ "io.lodge.Destroy", api_destroy },
	{ "io.lodge.List", api_list },
	{ "io.lodge.Show", api_show },
	{ "io.lodge.Status", api_status },
	{ "io.lodge.Stats", api_stats },
	{ "io.lodge.Ubc", api_ubc },
	{ "io.lodge.Why", api_why },
	{ "io.lodge.CheckpointCheck", api_checkpoint_check },
	{ "io.lodge.Set", api_set },
	{ "io.lodge.Mount", api_mount },
	{ "io.lodge.Umount", api_umount },
	{ "io.lodge.Rename", api_rename },
	{ "io.lodge.Exec", api_exec },
	{ "io.lodge.Console", api_console },
	{ "io.lodge.TemplateList", api_template_list },
	{ "io.lodge.TemplateShow", api_template_show },
	{ "io.lodge.TemplateBuild", api_template_build },
	{ "io.lodge.TemplateRemove", api_template_remove },
	{ "io.lodge.Events", api_events },
	{ "io.lodge.Version", api_version },
	{ "io.lodge.Doctor", api_doctor },
	{ "io.lodge.Facts", api_facts },
	{ "io.lodge.Teardown", api_teardown },
};

uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

const char *daemon_conf(const struct daemon *d, const char *key, const char *otherwise)
{
	const char *value = lg_conf_get(d->conf, key);

	return value && *value ? value : otherwise;
}

static int make_folders(struct daemon *d, struct lg_err *err)
{
	const struct {
		const char *base, *sub;
		mode_t mode;
	} folders[] = {
		{ d->root.etc, "ct", 0755 },	      { d->root.etc, "names", 0755 },
		{ d->root.var, "ct", 0700 },
		{ d->root.var, "templates", 0700 },   { d->root.var, "cache", 0700 },
		{ d->root.var, "trash", 0700 },	      { d->root.var, "root", 0700 },
		{ d->root.var, "account", 0700 },
		{ d->root.var, "log/console", 0700 }, { d->root.run, "ct", 0700 },
		{ d->root.run, "shim", 0700 },	      { d->root.run, "root", 0700 },
		{ d->root.run, "scratch", 0700 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		char path[300];
		int r;

		snprintf(path, sizeof(path), "%s/%s", folders[i].base, folders[i].sub);
		r = lg_mkdir_all(path, folders[i].mode, err);
		if (r < 0)
			return r;
	}
	/* Layers and templates hold set-uid files with low ids: nobody but root may come near. */
	if (chmod(d->root.var, 0700) < 0)
		return lg_fail(err, -errno, "chmod '%s'", d->root.var);
	return 0;
}

static int open_folders(struct daemon *d, struct lg_err *err)
{
	d->etc_fd = lg_open_dir(AT_FDCWD, d->root.etc, err);
	d->var_fd = lg_open_dir(AT_FDCWD, d->root.var, err);
	d->run_fd = lg_open_dir(AT_FDCWD, d->root.run, err);
	if (d->etc_fd < 0 || d->var_fd < 0 || d->run_fd < 0)
		return err->code;
	d->ct_fd = lg_open_dir(d->etc_fd, "ct", err);
	d->run_ct_fd = lg_open_dir(d->run_fd, "ct", err);
	return d->ct_fd < 0 || d->run_ct_fd < 0 ? err->code : 0;
}

/* One daemon for one root; the lock goes with the process. */
static int take_lock(struct daemon *d, struct lg_err *err)
{
	int fd = openat(d->run_fd, "lodged.pid", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	char text[16];

	if (fd < 0)
		return lg_fail(err, -errno, "open '%s/lodged.pid'", d->root.run);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		lg_close(fd);
		return lg_refuse(err, -EBUSY, LG_EXIT_LOCKED, "lodged is running already (%s/lodged.pid)",
				 d->root.run);
	}
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) < 0)
		return lg_fail(err, -errno, "write '%s/lodged.pid'", d->root.run);
	return 0;	/* stays open: it is the lock */
}

static int load_conf(struct daemon *d, struct lg_err *err)
{
	int r = lg_conf_load(d->etc_fd, "lodge.conf", &d->conf, err);

	if (r != -ENOENT)
		return r;
	memset(err, 0, sizeof(*err));
	d->conf = lg_conf_new();
	return d->conf ? 0 : lg_fail(err, -ENOMEM, "read lodge.conf");
}

/* CONNECTIONS: what one address may have of the host's table of connections. */
static int flows_max(const struct daemon *d, unsigned int *ret, struct lg_err *err)
{
	const char *text = daemon_conf(d, "CONNECTIONS", NULL);
	uint64_t n = FLOWS_DEFAULT;
	int r = 0;

	if (text && strcmp(text, "unlimited") == 0)
		n = 0;
	else if (text)
		r = lg_parse_u64(text, 1, UINT32_MAX, &n, err);
	if (r < 0)
		return lg_within(err, r, "CONNECTIONS in lodge.conf");
	*ret = (unsigned int)n;
	return 0;
}

static int open_network(struct daemon *d, struct lg_err *err)
{
	int r;

	lg_root_bridge(&d->root, d->net_conf.bridge);
	lg_root_table(&d->root, d->net_conf.table);
	snprintf(d->net_conf.state_path, sizeof(d->net_conf.state_path), "%s/net-state",
		 d->root.run);
	d->net_conf.nat4 = strcmp(daemon_conf(d, "NAT", "yes"), "no") != 0;
	d->net_conf.nat6 = d->net_conf.nat4;
	d->net_conf.host_access = strcmp(daemon_conf(d, "HOST_ACCESS", "no"), "yes") == 0;
	r = flows_max(d, &d->net_conf.flows_max, err);
	return r < 0 ? r : lg_net_new(&d->net_conf, &d->net, err);
}

static int open_cgroups(struct daemon *d, struct lg_err *err)
{
	char top[32];

	lg_root_cgroup(&d->root, top);
	return lg_cg_host_new(top, &d->cg, err);
}

/* "Y" where AppArmor decides; whether our profile is loaded init sees when it wants it. */
static bool has_apparmor(void)
{
	lg_autoclose int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
	char c = 'N';

	return fd >= 0 && read(fd, &c, 1) == 1 && c == 'Y';
}

static int open_filters(struct daemon *d, struct lg_err *err)
{
	char cache[300];

	d->apparmor = has_apparmor();
	for (size_t i = 0; i < LG_CALLS_SETS; i++)
		d->filters[i] = -1;
	snprintf(cache, sizeof(cache), "%s/cache", d->root.var);
	d->filters[0] = lg_seccomp_open(cache, 0, err);
	return d->filters[0] < 0 ? d->filters[0] : 0;
}

static int listen_socket(const struct daemon *d, struct lg_err *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	lg_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const struct group *group = getgrnam("lodge");
	mode_t old;
	int r;

	lg_root_socket(&d->root, sa.sun_path, sizeof(sa.sun_path));
	unlink(sa.sun_path);
	old = umask(0177);
	r = fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 128) < 0 ?
		    -errno : 0;
	umask(old);
	if (r < 0)
		return lg_fail(err, r, "listen on '%s'", sa.sun_path);
	/* Members of the group lodge may do everything; the file's mode is what lets them in. */
	if (group && (chown(sa.sun_path, 0, group->gr_gid) < 0 || chmod(sa.sun_path, 0660) < 0))
		return lg_fail(err, -errno, "give '%s' to group lodge", sa.sun_path);
	return lg_take_fd(&fd);
}

static int serve(struct daemon *d, struct lg_err *err)
{
	struct lg_vserver_conf conf = {
		.vendor = "lodge",
		.product = "lodged",
		.version = LODGE_VERSION,
		.url = "",
		.interface = "io.lodge",
		.description = io_lodge_varlink,
		.methods = methods,
		.nmethods = ARRAY_SIZE(methods),
		.ctx = d,
	};
	int fd = listen_socket(d, err);

	return fd < 0 ? fd : lg_vserver_new(d->event, fd, &conf, &d->server, err);
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *arg)
{
	(void)arg;
	lg_log(LG_LOG_INFO, "ended by signal %u of process %u; what runs goes on", si->ssi_signo,
	       si->ssi_pid);
	return sd_event_exit(sd_event_source_get_event(s), 0);
}

static int make_loop(struct daemon *d, struct lg_err *err)
{
	static const int ending[] = { SIGTERM, SIGINT };
	sigset_t set;
	int r = sd_event_default(&d->event);

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		sigaddset(&set, ending[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(ending); i++)
		r = sd_event_add_signal(d->event, NULL, ending[i], on_signal, d);
	if (r >= 0)
		r = sd_event_set_watchdog(d->event, true);
	return r < 0 ? lg_fail(err, r, "make the event loop") : 0;
}

/* Each container takes three descriptors of the daemon. */
static void raise_file_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static int test_hook(const char *name)
{
	const char *text = getenv(name);
	uint64_t v;

	return text && lg_parse_u64(text, 0, 1000, &v, NULL) == 0 ? (int)v : -1;
}

static void find_helpers(struct daemon *d)
{
	const char *libexec = getenv("LODGE_LIBEXECDIR"), *data = getenv("LODGE_DATADIR");

	snprintf(d->libexec, sizeof(d->libexec), "%s", libexec && *libexec ? libexec : LODGE_LIBEXECDIR);
	snprintf(d->datadir, sizeof(d->datadir), "%s", data && *data ? data : LODGE_DATADIR);
}

static int look_at_layers(struct daemon *d, struct lg_err *err)
{
	(void)err;
	d->shifts = lg_shift_needed(d->root.var);
	if (d->shifts)
		lg_log(LG_LOG_INFO, "ids of files in %s cannot be mapped in this container: each "
		       "instance gets a copy of its template", d->root.var);
	return 0;
}

static const struct {
	const char *what;
	int (*fn)(struct daemon *d, struct lg_err *err);
} parts[] = {
	{ "make folders", make_folders },     { "open folders", open_folders },
	{ "lock", take_lock },		      { "look at the layers", look_at_layers },
	{ "read lodge.conf", load_conf },     { "make the event loop", make_loop },
	{ "read the instances", instances_load },
	{ "find cgroups", open_cgroups },     { "compile the system call filter", open_filters },
	{ "set up addresses", alloc_init },   { "set up the network", open_network },
	{ "size the host's limits", hostlimits_begin }, { "start lxcfs", lxcfs_begin },
	{ "take up what runs", recover },     { "serve", serve },
};

static int begin(struct daemon *d, struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int r = parts[i].fn(d, err);

		if (r < 0)
			return lg_within(err, r, "%s", parts[i].what);
	}
	kernel_log_watch(d);
	spare_wanted(d);
	return 0;
}

static void end(struct daemon *d)
{
	kernel_log_end(d);
	accounts_save(d);
	/* The spare ends by itself when its connection closes; its cgroups are swept by the next daemon, or
	 * here if it is quick. */
	if (d->spare) {
		char name[32];

		memcpy(name, d->spare->cg_spare, sizeof(name));
		shim_kill(d->spare);
		if (d->spare->pid > 0)
			waitpid(d->spare->pid, NULL, 0);
		shim_free(d->spare);
		if (name[0])
			lg_cg_spare_remove(d->cg, name, NULL);
	}
	sd_event_source_disable_unref(d->spare_timer);
	sd_event_source_disable_unref(d->sweep_timer);
	lxcfs_free(d);
	lg_vserver_free(d->server);
	for (size_t i = 0; i < d->nsubscribers; i++)
		lg_vcall_unref(d->subscribers[i]);
	free(d->subscribers);
	instances_free(d);
	free(d->held);
	lg_pool_free(d->pool4);
	lg_pool_free(d->pool6);
	lg_net_free(d->net);
	lg_cg_host_free(d->cg);
	lg_conf_free(d->conf);
	sd_event_unref(d->event);
}

/* @ready_fd: -1, or where who started us waits for an empty text when we answer, else for the reason. */
static void tell(int ready_fd, const char *text)
{
	if (ready_fd >= 0 && write(ready_fd, text, strlen(text) + 1) < 0)
		lg_log(LG_LOG_WARN, "nobody waits for this daemon");
	lg_close(ready_fd);
}

static int run_daemon(struct daemon *d, int ready_fd)
{
	struct lg_err err = { 0 };
	int r = begin(d, &err);

	if (r < 0) {
		lg_log(LG_LOG_ERR, "%s", err.msg);
		tell(ready_fd, err.msg);
		end(d);
		return err.exit_code ? err.exit_code : LG_EXIT_SYSTEM;
	}
	sd_notify(0, "READY=1");
	tell(ready_fd, "");
	lg_log(LG_LOG_INFO, "lodged " LODGE_VERSION ": %zu instance%s", d->ncts,
	       d->ncts == 1 ? "" : "s");
	r = sd_event_loop(d->event);
	sd_notify(0, "STOPPING=1");
	if (r < 0)
		lg_log(LG_LOG_ERR, "the event loop failed: %s", strerror(-r));
	end(d);
	return r < 0 ? LG_EXIT_SYSTEM : 0;
}

/*
 * Nothing of the caller's stays open: who reads the other end of his pipe waits for its end. What the
 * daemon and its helpers say goes to a file.
 */
static int let_go_of_caller(const struct daemon *d, int *ready_fd, struct lg_err *err)
{
	int *const keep[] = { ready_fd };
	int r = lg_fds_keep(keep, ARRAY_SIZE(keep));
	lg_autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	static char path[300];

	if (r < 0)
		return lg_fail(err, r, "close what is the caller's");
	setsid();
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return lg_fail(err, -errno, "open /dev/null");
	snprintf(path, sizeof(path), "%s/log", d->root.var);
	r = lg_mkdir_all(path, 0700, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/log/lodged.log", d->root.var);
	return lg_log_to_file(path, LOG_MAX, err);
}

static int run_in_background(struct daemon *d, int ready_fd)
{
	struct lg_err err = { 0 };

	if (let_go_of_caller(d, &ready_fd, &err) < 0) {
		tell(ready_fd, err.msg);
		return LG_EXIT_SYSTEM;
	}
	return run_daemon(d, ready_fd);
}

/* The parent returns when the child answers on its socket, or with its failure. */
static int go_to_background(struct daemon *d)
{
	char text[sizeof(((struct lg_err *)NULL)->msg)] = "it ended before it answered";
	int pipefd[2], status = LG_EXIT_SYSTEM;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		lg_log(LG_LOG_ERR, "go to the background: %s", strerror(errno));
		return LG_EXIT_SYSTEM;
	}
	if (pid == 0) {
		close(pipefd[0]);
		_exit(run_in_background(d, pipefd[1]));
	}
	close(pipefd[1]);
	if (read(pipefd[0], text, sizeof(text)) > 0 && !text[0])
		return 0;
	lg_log(LG_LOG_ERR, "%.*s", (int)sizeof(text) - 1, text);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : LG_EXIT_SYSTEM;
}

static void print_help(void)
{
	puts("lodged - the daemon of lodge\n"
	     "\n"
	     "  lodged [--root DIR] [--background] [--debug]\n"
	     "\n"
	     "  --root DIR     keep everything below DIR (default: LODGE_ROOT, else /)\n"
	     "  --background   return when it answers, and go on in the background\n"
	     "  --debug        say more on stderr\n"
	     "  --version      print the version\n"
	     "  --help         print this\n"
	     "\n"
	     "Ending it ends no container. lodged(8) tells more.");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, 'r' }, { "background", no_argument, NULL, 'b' },
		{ "debug", no_argument, NULL, 'd' },	  { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },	  { NULL, 0, NULL, 0 },
	};
	struct daemon d = { .etc_fd = -1, .ct_fd = -1, .run_fd = -1, .run_ct_fd = -1, .var_fd = -1 };
	enum lg_log_level level = LG_LOG_INFO;
	const char *root = getenv("LODGE_ROOT");
	struct lg_err err = { 0 };
	bool background = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			root = optarg;
			break;
		case 'b':
			background = true;
			break;
		case 'd':
			level = LG_LOG_DEBUG;
			break;
		case 'V':
			puts("lodged " LODGE_VERSION);
			return 0;
		case 'h':
			print_help();
			return 0;
		default:
			return LG_EXIT_BAD_OPTION;
		}
	}
	lg_log_open("lodged", level);
	umask(0022);
	d.started_us = now_us();
	d.fail_step = test_hook("LG_FAIL_STEP");
	d.crash_step = test_hook("LG_CRASH_STEP");
	d.suspend_s = test_hook("LG_SUSPEND_S");
	find_helpers(&d);
	if (getenv("LG_SHIM_TRACE"))
		lg_trace_open();
	raise_file_limit();
	if (optind < argc || lg_root_init(&d.root, root, &err) < 0) {
		lg_log(LG_LOG_ERR, "%s", err.code ? err.msg : "it takes no arguments: see --help");
		return LG_EXIT_BAD_OPTION;
	}
	return background ? go_to_background(&d) : run_daemon(&d, -1);
}
