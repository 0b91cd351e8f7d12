/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What CRIU calls back at. The order of a dump: pre-dump, network-lock, post-dump (everything is written and frozen),
 * network-unlock when it failed. Of a restore: pre-restore, setup-namespaces (init was cloned),
 * post-setup-namespaces (its links are there), orphan-pts-master, post-restore (nothing runs yet), network-unlock,
 * pre-resume, post-resume. A callback that answers with failure makes CRIU undo all of it.
 */

#include <criu/criu.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "ct/checkpoint.h"
#include "lib/cleanup.h"
#include "lib/proc.h"

static struct lg_msg answer;

static int say(uint32_t kind, const char *key, uint64_t value)
{
	int r;

	lg_msg_init(&msg_out, kind);
	if (key)
		lg_msg_put_u64(&msg_out, key, value);
	r = lg_msg_send(LG_CHECKPOINT_FD, &msg_out);
	return r < 0 ? lg_fail(&job.err, r, "answer") : 0;
}

static uint64_t since_begin_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	/* The nanoseconds of now may be the smaller ones. */
	return (uint64_t)((now.tv_sec - job.began.tv_sec) * 1000000 + (now.tv_nsec - job.began.tv_nsec) / 1000);
}

static int say_held(void)
{
	lg_autoclose int pidfd = job.restores ? -1 : lg_pidfd_open(cancel_found());

	lg_msg_init(&msg_out, LG_K_HELD);
	lg_msg_put_u64(&msg_out, "us", since_begin_us());
	if (pidfd >= 0)
		lg_msg_put_fd(&msg_out, pidfd);
	return lg_msg_send(LG_CHECKPOINT_FD, &msg_out);
}

/* Everything hangs on this answer: the end of the connection is a no, unless it was committed. */
static int hold(void)
{
	int r = say_held();
	bool committed = false;

	if (r < 0)
		return lg_fail(&job.err, r, "answer");
	do {
		r = lg_msg_recv(LG_CHECKPOINT_FD, &answer);
		lg_msg_drop_fds(&answer);
		committed = committed || (r == 1 && answer.kind == LG_K_COMMIT);
	} while (r == 1 && answer.kind == LG_K_COMMIT);
	if ((r == 1 && answer.kind == LG_K_GO) || (r != 1 && committed)) {
		job.held = true;
		hook_at("go");
		return 0;
	}
	job.said_no = true;
	/* It runs on from here: what is in the images does not count, and must not after a crash of the host. */
	if (!job.restores && unlinkat(job.images, LG_CHECKPOINT_STATE, 0) == 0)
		fsync(job.images);
	if (r == 1 && lg_msg_get(&answer, "error"))
		lg_msg_get_err(&answer, &job.err);
	else
		lg_refuse(&job.err, -ECANCELED, 0, "it was called off");
	return -ECANCELED;
}

static int each_image(DIR *dir, int (*run)(int file))
{
	struct dirent *e;

	rewinddir(dir);
	while ((e = readdir(dir))) {
		lg_autoclose int file = e->d_type != DT_REG ? -1 :
					openat(dirfd(dir), e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		if (file >= 0 && run(file) < 0)
			return lg_fail(&job.err, -errno, "write '%s' to the disk", e->d_name);
	}
	return 0;
}

static int begin_to_write(int file)
{
	return sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/*
 * What is to outlive a crash of the host has to be on the disk before the processes are gone. The first pass gives all files
 * their blocks, so that one commit of the file system's journal serves them all: the others of the second pass find nothing to do.
 */
static int sync_images(void)
{
	int fd = openat(job.images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int r;

	if (!dir)
		return lg_fail(&job.err, -errno, "look at the images");
	/* A file system that cannot do that does it all in the second pass. */
	if (each_image(dir, begin_to_write) < 0)
		job.err = (struct lg_err){ 0 };
	r = each_image(dir, fdatasync);
	if (r < 0)
		return r;
	return fsync(fd) < 0 ? lg_fail(&job.err, -errno, "write the images to the disk") : 0;
}

static uint64_t stops_us;	/* when its processes began to be stopped, monotonic clock */

static int on_stopping(criu_notify_arg_t na)
{
	struct timespec now;

	(void)na;
	clock_gettime(CLOCK_MONOTONIC, &now);
	stops_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
	return 0;
}

static int on_frozen(criu_notify_arg_t na)
{
	int r = clocks_note(&job.err);

	(void)na;
	if (r == 0)
		r = pidfds_note(&job.err);
	return r < 0 ? r : say(LG_K_FROZEN, "us", stops_us);
}

static int on_dumped(criu_notify_arg_t na)
{
	int r;

	(void)na;
	job.again = job.tries + 1 < DUMP_TRIES && spawning_seen();
	if (job.again)
		return -EAGAIN;
	r = clocks_stop(&job.err);
	if (r == 0)
		r = threads_note(&job.err);
	if (r == 0)
		r = wipe_note(&job.err);
	if (r == 0 && lg_msg_get_u64(job.m, "sync", 0))
		r = sync_images();
	return r < 0 ? r : hold();
}

/* Only here CRIU says which process it is. */
static int on_cloned(criu_notify_arg_t na)
{
	job.pid = (pid_t)criu_notify_pid(na);
	return job.pid > 0 ? 0 : lg_fail(&job.err, -ESRCH, "hear of the restored init");
}

static int on_namespaces(criu_notify_arg_t na)
{
	int r = controllers_give(&job.err);

	(void)na;
	return r < 0 ? r : say(LG_K_MADE, "pid", (uint64_t)job.pid);
}

static int on_restored(criu_notify_arg_t na)
{
	int r = settings_give(&job.err);

	if (r == 0) {
		clocks_give();
		pidfds_give();
	}
	if (r == 0)
		r = threads_give(&job.err);
	if (r == 0)
		r = inside_report(criu_get_orphan_pts_master_fd(), &job.err);

	(void)na;
	return r < 0 ? r : hold();
}

/* It runs in a moment. */
static int on_resuming(criu_notify_arg_t na)
{
	(void)na;
	sockets_keep();
	return 0;
}

/* clang-format off */
static const struct {
	const char *action;
	bool restores;
	int (*run)(criu_notify_arg_t na);
} points[] = {
	{ "pre-dump",			false,	on_stopping },
	{ "network-lock",		false,	on_frozen },
	{ "post-dump",			false,	on_dumped },
	{ "setup-namespaces",		true,	on_cloned },
	{ "post-setup-namespaces",	true,	on_namespaces },
	{ "post-restore",		true,	on_restored },
	{ "post-resume",		true,	on_resuming },
};
/* clang-format on */

static int on_notify(char *action, criu_notify_arg_t na)
{
	cancel_found();
	hook_at(action);
	if (cancel_wanted() && !job.held)
		return lg_refuse(&job.err, -ECANCELED, 0, "it was called off");
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		if (strcmp(points[i].action, action) == 0 && points[i].restores == job.restores)
			return points[i].run(na);
	return 0;
}

void notify_init(void)
{
	criu_set_notify_cb(on_notify);
}
