/* SPDX-License-Identifier: GPL-2.0-or-later */

/* lodge-criu: criu.h says how it works, ct/checkpoint.h what it is told. */

#include <criu/criu.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "cmd/lodge-criu/pair.h"
#include "cmd/lodge-criu/log.h"
#include "ct/blockers.h"
#include "ct/checkpoint.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define LOG_WARNINGS 2	/* and errors */
#define LOG_ALL 4
#define DUMP_PAUSE_US 2000u	/* before the next try, doubled each time */
#define OWN_PATH "/lodge-criu-path:"	/* beside the library */
#define GHOST_MAX LG_GHOST_LIMIT	/* bytes of an open file without a name; they go into the images */

struct job job = { .images = -1, .root_mount = -1, .host_ns = -1, .nodes = -1 };
struct lg_msg msg_out;

static struct lg_msg request;

static bool is_complete(void)
{
	if (job.images < 0 || (job.restores ? !job.count || job.host_ns < 0 : job.pid <= 0))
		return false;
	if (request.kind == LG_K_HEAL)
		return true;
	return job.root && job.criu && job.owner && job.root_mount >= 0 &&
	       (job.restores || lg_msg_get(&request, "ctid"));
}

static int take_request(struct lg_err *err)
{
	int r = lg_msg_recv(LG_CHECKPOINT_FD, &request);

	if (r != 1)
		return lg_fail(err, r < 0 ? r : -EPIPE, "hear what to do");
	job.m = &request;
	job.restores = request.kind == LG_K_RESTORE;
	job.ahead = request.kind == LG_K_AHEAD;
	job.root = lg_msg_get(&request, "root");
	job.criu = lg_msg_get(&request, "criu");
	job.owner = (uint32_t)lg_msg_get_u64(&request, "owner", 0);
	job.count = (uint32_t)lg_msg_get_u64(&request, "count", 0);
	job.pid = (pid_t)lg_msg_get_u64(&request, "pid", 0);
	job.images = lg_msg_take_fd(&request, 0);
	job.root_mount = lg_msg_take_fd(&request, 1);
	job.host_ns = lg_msg_take_fd(&request, 2);
	job.nodes = lg_msg_take_fd(&request, 3);
	if (!is_complete())
		return lg_refuse(err, -EINVAL, 0, "the request lacks something");
	return 0;
}

/*
 * The library that makes CRIU act by the id of the container's root where that counts. Nothing of this host's configuration of
 * CRIU is to change what lodge asks for.
 */
static int set_environment(struct lg_err *err)
{
	const char *lib = lg_msg_get(&request, "calls_lib"), *pair = lg_msg_get(&request, "pair"), *slash = lib ? strrchr(lib, '/') : NULL;
	char owner[16], parent[16], path[PATH_MAX];

	snprintf(owner, sizeof(owner), "%u", job.owner);
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	/* Our own programs (tar.c) are in front of the host's. */
	snprintf(path, sizeof(path), "%.*s" OWN_PATH "%s", slash ? (int)(slash - lib) : 0, slash ? lib : "",
		 "/usr/sbin:/usr/bin:/sbin:/bin");
	if (setenv("PATH", slash ? path : path + strlen(OWN_PATH), 1) < 0)
		return lg_fail(err, -ENOMEM, "set the environment");
	if ((lib && setenv("LD_PRELOAD", lib, 1) < 0) || setenv("LODGE_OWNER", owner, 1) < 0 ||
	    setenv("LODGE_PARENT", parent, 1) < 0 ||
	    (!job.restores && setenv("LODGE_DUMPS", "1", 1) < 0) ||
	    (pair && setenv("LODGE_PAIR", pair, 1) < 0) ||
	    setenv("HOME", "/nonexistent", 1) < 0)
		return lg_fail(err, -ENOMEM, "set the environment");
	return 0;
}

static int set_options(struct lg_err *err)
{
	criu_free_opts();
	if (criu_init_opts() < 0)
		return lg_fail(err, -ENOMEM, "prepare CRIU");
	criu_set_service_binary(job.criu);
	criu_set_images_dir_fd(job.images);
	criu_set_log_file(LG_CHECKPOINT_LOG);
	criu_set_log_level(lg_msg_get(&request, "log") ? LOG_ALL : LOG_WARNINGS);
	criu_set_root(job.root);
	criu_set_manage_cgroups(true);
	criu_set_manage_cgroups_mode(CRIU_CG_MODE_SOFT);
	criu_set_network_lock(CRIU_NETWORK_LOCK_NFTABLES);
	criu_set_tcp_established(true);
	criu_set_tcp_skip_in_flight(true);	/* half-made ones are made again by their clients */
	criu_set_file_locks(true);
	criu_set_link_remap(true);
	criu_set_force_irmap(true);
	criu_set_ext_unix_sk(true);
	criu_set_orphan_pts_master(true);
	criu_set_ghost_limit(GHOST_MAX);
	criu_set_timeout(LG_CHECKPOINT_FREEZE_S);
	criu_add_enable_fs("hugetlb");
	criu_add_enable_fs("mqueue");
	criu_add_enable_fs("ramfs");	/* comes back empty: ct/guest.c says what of */
	notify_init();
	return 0;
}

static int give_names(struct lg_err *err)
{
	const char *netdev = lg_msg_get(&request, "netdev");
	char key[64], path[300];

	if (netdev) {
		if ((size_t)snprintf(key, sizeof(key), "netdev[%s]:" PAIR_LINK, netdev) >= sizeof(key))
			return lg_refuse(err, -EINVAL, 0, "bad 'netdev'");
		criu_add_external(key);
	}
	for (const char *v = lg_msg_get(&request, "cgroup"); v;
	     v = lg_msg_next(&request, "cgroup", v)) {
		const char *at = strchr(v, '\n');

		if (!at || (size_t)(at - v) >= sizeof(path))
			return lg_refuse(err, -EINVAL, 0, "bad 'cgroup'");
		snprintf(path, sizeof(path), "%.*s", (int)(at - v), v);
		criu_add_cg_root(path, at + 1);
	}
	return 0;
}

/*
 * By itself CRIU keeps cgroups that have processes, and those below. A systemd has empty ones, too, and watches them: everything
 * from the container's own cgroup2 folder on is kept.
 */
static int keep_cgroups(struct lg_err *err)
{
	lg_autofree char *text = NULL;
	char path[40], own[16], *line, *at;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)job.pid);
	r = lg_file_read(AT_FDCWD, path, 65536, &text, NULL, err);
	if (r < 0)
		return r;
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!line)
		return 0;
	line = strchr(line, '/');
	line[strcspn(line, "\n")] = '\0';
	r = snprintf(own, sizeof(own), "/%s", lg_msg_get(&request, "ctid"));
	for (at = strstr(line, own); at; at = strstr(at + 1, own))
		if (at[r] == '\0' || at[r] == '/') {
			at[r] = '\0';
			criu_add_cg_root("", line);
			return controllers_note(line, err);
		}
	return lg_refuse(err, -ENOENT, 0, "its init is in the cgroup '%s', which is not its own", line);
}

/*
 * What was copied ahead counts for the first try alone: that takes the kernel's marks off, so that the next one would not see what was
 * written before it.
 */
static void set_parent(void)
{
	const char *parent = job.tries ? NULL : lg_msg_get(&request, "parent");

	if (!parent)
		return;
	criu_set_parent_images(parent);
	criu_set_track_mem(true);
}

/* What the try before has left. */
static int images_clear(struct lg_err *err)
{
	int fd = openat(job.images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		return lg_fail(err, -errno, "look at the images");
	while ((e = readdir(dir)))
		if ((e->d_type == DT_REG || e->d_type == DT_LNK) && unlinkat(fd, e->d_name, 0) < 0)
			return lg_fail(err, -errno, "remove the image '%s'", e->d_name);
	return 0;
}

/*
 * It runs on. A CRIU that said itself that it failed has put everything right, so that this finds nothing; one that was killed
 * has not. Killed after GO it has left processes to lodged, which ends them: their network stays locked and their connections in
 * repair mode, or that end would reset connections that go on from the images.
 */
static void after_dump(void)
{
	struct lg_err err = { 0 };

	cancel_finish();
	if (!job.held && heal(&err) < 0)
		fprintf(stderr, "lodge-criu: process %d: %s\n", (int)job.pid, err.msg);
	cancel_release();
}

static int dump_once(struct lg_err *err)
{
	int r = set_options(err);

	if (r == 0)
		r = external_find(err);
	if (r == 0)
		r = keep_cgroups(err);
	if (r < 0)
		return r;
	criu_set_pid(job.pid);
	set_parent();
	r = watches_find(err);
	if (r == 0)
		r = settings_take(err);
	if (r < 0)
		return r;
	r = criu_dump();
	if (r < 0)
		after_dump();
	return r;
}

/*
 * Memory alone. It is read while the container runs: held in pipes, as CRIU does otherwise, what is written meanwhile would count twice
 * against the container's limit.
 */
static int copy_ahead(struct lg_err *err)
{
	int r = set_options(err);

	if (r < 0)
		return r;
	criu_set_force_irmap(false);	/* what is watched is the dump's business */
	criu_set_pid(job.pid);
	criu_set_pre_dump_mode(CRIU_PRE_DUMP_READ);
	set_parent();
	cancel_share();
	r = criu_pre_dump();
	if (r < 0)
		after_dump();
	return r;
}

/*
 * What is gone in a moment: a watch of a cgroup that systemd has removed and has yet to hear of, and one that was set when the
 * paths had been looked up already; and memory that was not there to be copied ahead, and has no mark of being written.
 */
static bool was_passing(void)
{
	static const char *const passing[] = { "error parsing [inotify", "Can't dump that handle", "not found in parent",
					       "in parent pagemap" };
	char cause[LOG_CAUSE_MAX];

	log_cause(job.images, cause, sizeof(cause));
	for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
		if (strstr(cause, passing[i]))
			return !job.said_no && !job.err.code;
	return false;
}

static int dump(struct lg_err *err)
{
	int r = dump_once(err);

	while (r < 0 && !job.held && !cancel_wanted() && (job.again || was_passing()) && ++job.tries < DUMP_TRIES) {
		if (job.tries == 1 && lg_msg_get(&request, "parent"))
			fprintf(stderr, "lodge-criu: process %d: what was copied ahead is of no use any more\n", (int)job.pid);
		usleep(DUMP_PAUSE_US << job.tries);
		r = images_clear(err);
		job.again = false;
		if (r == 0)
			r = dump_once(err);
	}
	return r;
}

static int restore(struct lg_err *err)
{
	int r = set_options(err);

	if (r == 0)
		r = ids_rewrite(err);
	if (r == 0)
		r = sharing_rewrite(err);
	if (r == 0)
		r = exe_rewrite(err);
	if (r == 0)
		r = routes_rewrite(err);
	if (r == 0)
		r = external_give(err);
	if (r == 0)
		r = give_names(err);
	return r < 0 ? r : criu_restore();
}

/* Why it failed: what a callback said, or we, or the log. */
static void explain(int r, struct lg_err *err)
{
	char cause[LOG_CAUSE_MAX];

	if (job.err.code) {
		*err = job.err;
		return;
	}
	if (err->code)
		return;
	log_cause(job.images, cause, sizeof(cause));
	if (cause[0])
		lg_refuse(err, -EIO, 0, "CRIU: %s", cause);
	else
		lg_refuse(err, -EIO, 0, "%s was killed, or ended without a reason in its log (%d)", job.criu, r);
}

/* Killed for want of memory it would be killed in the middle. A restored container would inherit that, so not there. */
static void spare_from_oom(void)
{
	lg_file_write(AT_FDCWD, "/proc/self/oom_score_adj", "-1000", NULL);
}

/*
 * The container stands still meanwhile: every wait for a processor is one of its clients'. What is restored gets back its own
 * from the images (and is not let run without).
 */
static void be_first(void)
{
	setpriority(PRIO_PROCESS, 0, -20);
}

static int run(struct lg_err *err)
{
	int r = take_request(err);

	if (r == 0 && request.kind == LG_K_HEAL)
		return heal(err);
	if (r == 0)
		r = set_environment(err);
	if (r == 0)
		r = stage_enter(err);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_MONOTONIC, &job.began);
	if (job.restores) {
		cancel_watch();
		threads_be_usual();
	} else {
		cancel_init();
		spare_from_oom();
	}
	if (!job.ahead)
		be_first();
	r = job.restores ? restore(err) : job.ahead ? copy_ahead(err) : dump(err);
	cache_keep();
	if (r < 0)
		explain(r, err);
	return r;
}

int main(void)
{
	struct lg_err err = { 0 };
	int r;

	signal(SIGPIPE, SIG_IGN);
	umask(022);	/* CRIU makes cgroups, which the container's processes look into before they are given their owners */
	fcntl(LG_CHECKPOINT_FD, F_SETFD, FD_CLOEXEC);
	r = run(&err);
	lg_msg_init(&msg_out, r < 0 ? LG_K_FAILED : LG_K_DONE);
	if (r < 0)
		lg_msg_put_err(&msg_out, &err);
	else
		lg_msg_put_u64(&msg_out, "pid", (uint64_t)(unsigned int)r);
	lg_msg_send(LG_CHECKPOINT_FD, &msg_out);
	return r < 0;
}
