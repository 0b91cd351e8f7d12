/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/lxcfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodged/lxcfs_server.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/parse.h"

#define LIVED_US (10u * 1000000u)	/* who lived that long is started anew at once */
#define RETRY_MIN_US 200000u
#define RETRY_MAX_US (60u * 1000000u)
#define MOVE_US (3u * 1000000u)		/* for every shim to take the new one's files */
#define PROBE_S 60u
#define REPLACED_US (3u * 1000000u)	/* for a package manager to finish */

struct lxcfs {
	struct daemon *d;
	char program[LXCFS_PATH];		/* "": none */
	char why[300];			/* there is none, for people; "" = all is well */
	struct server *now;		/* whose files are lent out */
	struct server *next;		/* which is being opened */
	struct server *old;		/* which `now` has replaced */
	unsigned int nr;
	uint64_t delay_us;
	sd_event_source *retry, *watch, *probe;
	uint64_t probe_us;
	bool ending;
};

static void start_one(struct lxcfs *lx);

__attribute__((format(printf, 2, 3))) static void say_why(struct lxcfs *lx, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(lx->why, sizeof(lx->why), fmt, ap);
	va_end(ap);
}

/* ---- the life of one ---- */

static int retry(sd_event_source *source, uint64_t usec, void *arg)
{
	struct lxcfs *lx = arg;

	(void)source;
	(void)usec;
	lx->retry = sd_event_source_disable_unref(lx->retry);
	start_one(lx);
	return 0;
}

/* At once, the first time; one that cannot live is tried ever more seldom. */
static void start_again(struct lxcfs *lx, bool lived)
{
	if (lx->ending || lx->next || lx->retry)
		return;
	if (lived)
		lx->delay_us = 0;
	sd_event_add_time_relative(lx->d->event, &lx->retry, CLOCK_MONOTONIC, lx->delay_us, 0,
				   retry, lx);
	lx->delay_us = lx->delay_us ? lx->delay_us * 2 : RETRY_MIN_US;
	if (lx->delay_us > RETRY_MAX_US)
		lx->delay_us = RETRY_MAX_US;
}

static void forget(struct lxcfs *lx, const struct server *s)
{
	struct server **places[] = { &lx->now, &lx->next, &lx->old };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (*places[i] == s)
			*places[i] = NULL;
}

void lxcfs_ended(struct server *s)
{
	struct lxcfs *lx = s->d->lxcfs;
	bool lived = s->opened && now_us() - s->since_us > LIVED_US;
	bool retired = s->retired;

	server_clear_up(lx->d, s->nr);
	forget(lx, s);
	if (!retired) {
		if (s->err.code)
			say_why(lx, "%.280s", s->err.msg);
		else
			say_why(lx, "lxcfs (process %d) has ended%s", (int)s->pid,
				s->opened ? "" : " without having mounted anything");
		if (lx->delay_us < RETRY_MAX_US)	/* not for ever */
			lg_log(LG_LOG_WARN, "%s; it is started again", lx->why);
	}
	server_free(s);
	if (!retired)
		start_again(lx, lived);
}

static bool runs_program(const struct lxcfs *lx, pid_t pid)
{
	struct stat file, running;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return stat(lx->program, &file) == 0 && stat(path, &running) == 0 &&
	       file.st_dev == running.st_dev && file.st_ino == running.st_ino;
}

/* ---- lending its files ---- */

void lxcfs_give(struct shim *shim)
{
	struct lxcfs *lx = shim->d->lxcfs;
	struct server *s = lx ? lx->now : NULL;
	struct lg_procfs copies;
	struct lg_err err = { 0 };
	struct lg_msg m;
	int r;

	if (!s || shim->lxcfs_nr == s->nr || (shim->ct && shim->ct->vm))
		return;
	r = lg_procfs_clone(&s->files, &copies, &err);
	if (r == 0) {
		lg_msg_init(&m, LG_P_PROC);
		lg_procfs_put(&m, &copies);
		lg_msg_put_fd(&m, server_pidfd(s));
		r = lg_msg_send(shim->sock, &m);
		if (r < 0)
			lg_fail(&err, r, "tell shim %d", (int)shim->pid);
		lg_procfs_close(&copies);
	}
	if (r < 0)
		lg_log(LG_LOG_WARN, "lend lxcfs's files: %s", err.msg);
	else
		shim->lxcfs_nr = s->nr;
}

static void give_all(const struct lxcfs *lx)
{
	struct daemon *d = lx->d;

	for (size_t i = 0; i < d->ncts; i++)
		if (d->cts[i]->shim)
			lxcfs_give(d->cts[i]->shim);
	if (d->spare)
		lxcfs_give(d->spare);
}

static int end_old(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	server_kill(arg);
	return 0;
}

static void retire(struct lxcfs *lx, struct server *s)
{
	if (lx->old)
		server_kill(lx->old);
	lx->old = s;
	s->retired = true;
	s->timer = sd_event_source_disable_unref(s->timer);
	sd_event_add_time_relative(lx->d->event, &s->timer, CLOCK_MONOTONIC, MOVE_US, 0, end_old,
				   s);
}

void lxcfs_opened(struct server *s)
{
	struct lxcfs *lx = s->d->lxcfs;

	s->opened = true;
	lx->next = NULL;
	if (lx->now)
		retire(lx, lx->now);
	lx->now = s;
	lx->why[0] = '\0';
	give_all(lx);
	lg_log(LG_LOG_INFO, "lxcfs (process %d) tells containers their limits", (int)s->pid);
	/* Replaced while lodged was away, or lodge.conf names another one now, or an older lodged started it. */
	if (s->taken_up && (!runs_program(lx, s->pid) || !server_has_calls(s)))
		start_one(lx);
}

/* ---- starting one ---- */

static void start_one(struct lxcfs *lx)
{
	struct server *s = server_new(lx->d, ++lx->nr);
	struct lg_err err = { 0 };

	if (!s)
		return;
	lx->next = s;
	if (server_start(s, lx->program, &err) == 0)
		return;
	say_why(lx, "lxcfs cannot be started: %.200s", err.msg);
	lg_log(LG_LOG_WARN, "%s", lx->why);
	if (s->end) {
		server_kill(s);	/* lxcfs_ended() does the rest */
		return;
	}
	lx->next = NULL;
	server_clear_up(lx->d, s->nr);
	server_free(s);
	start_again(lx, false);
}

/* ---- a newer program ---- */

static void watch_program(struct lxcfs *lx);

static int program_replaced(sd_event_source *source, uint64_t usec, void *arg)
{
	struct lxcfs *lx = arg;

	(void)source;
	(void)usec;
	lx->watch = sd_event_source_disable_unref(lx->watch);
	watch_program(lx);
	if (access(lx->program, X_OK) < 0 || !lx->now || lx->next || lx->ending ||
	    runs_program(lx, lx->now->pid))
		return 0;
	lg_log(LG_LOG_INFO, "%s was replaced: the new one is started", lx->program);
	start_one(lx);
	return 0;
}

static int on_program(sd_event_source *source, const struct inotify_event *e, void *arg)
{
	struct lxcfs *lx = arg;

	(void)source;
	(void)e;
	lx->watch = sd_event_source_disable_unref(lx->watch);
	sd_event_add_time_relative(lx->d->event, &lx->watch, CLOCK_MONOTONIC, REPLACED_US, 0,
				   program_replaced, lx);
	return 0;
}

static void watch_program(struct lxcfs *lx)
{
	sd_event_add_inotify(lx->d->event, &lx->watch, lx->program,
			     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF, on_program, lx);
}

/* ---- one that an earlier daemon started ---- */

static void take_up(struct lxcfs *lx, unsigned int nr, pid_t pid)
{
	struct server *s = server_new(lx->d, nr);
	struct lg_err err = { 0 };

	if (!s)
		return;
	if (server_take_up(s, pid, &err) == 0) {
		lx->next = s;
		return;
	}
	lg_log(LG_LOG_WARN, "%s", err.msg);
	server_free(s);
}

/* The number that @text begins with, up to any of @ends; 0: none. */
static unsigned int number(char *text, const char *ends)
{
	uint64_t nr = 0;

	text[strcspn(text, ends)] = '\0';
	return lg_parse_u64(text, 1, INT32_MAX, &nr, NULL) == 0 ? (unsigned int)nr : 0;
}

static void found(struct lxcfs *lx, int dir, unsigned int nr)
{
	lg_autofree char *text = NULL;
	char name[32];
	pid_t pid = 0;

	snprintf(name, sizeof(name), "%u.pid", nr);
	if (lg_file_read(dir, name, 32, &text, NULL, NULL) == 0)
		pid = (pid_t)number(text, "\n");
	if (nr > lx->nr)
		lx->nr = nr;
	if (pid > 0 && server_is(lx->d, pid, nr)) {
		if (lx->program[0] && !lx->next)
			take_up(lx, nr, pid);
		if (lx->next && lx->next->nr == nr)
			return;
		kill(pid, SIGKILL);
	}
	server_clear_up(lx->d, nr);
}

/* Each has left N.pid, as its first act, and the folder N. */
static void look_around(struct lxcfs *lx)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	int fd = openat(lx->d->run_fd, "lxcfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		unsigned int nr = number(e->d_name, ".");

		if (nr > 0 && !(lx->next && lx->next->nr == nr))
			found(lx, dirfd(dir), nr);
	}
}

/* ---- the daemon's life ---- */

static void find_program(struct lxcfs *lx)
{
	static const char *const usual[] = { "/usr/bin/lxcfs", "/usr/local/bin/lxcfs" };
	const char *conf = daemon_conf(lx->d, "LXCFS", "auto");

	if (strcmp(conf, "no") == 0) {
		say_why(lx, "LXCFS is \"no\" in lodge.conf");
		return;
	}
	if (conf[0] == '/' && access(conf, X_OK) == 0)
		snprintf(lx->program, sizeof(lx->program), "%s", conf);
	for (size_t i = 0; conf[0] != '/' && !lx->program[0] && i < ARRAY_SIZE(usual); i++)
		if (access(usual[i], X_OK) == 0)
			snprintf(lx->program, sizeof(lx->program), "%s", usual[i]);
	if (lx->program[0] && access("/dev/fuse", F_OK) < 0) {
		say_why(lx, "there is no /dev/fuse: load the module fuse");
		lx->program[0] = '\0';
	} else if (!lx->program[0] && conf[0] == '/') {
		say_why(lx, "LXCFS=\"%.200s\" in lodge.conf: there is no such program", conf);
	} else if (!lx->program[0]) {
		say_why(lx, "the package lxcfs is not installed");
	}
}

static int probe(sd_event_source *source, uint64_t usec, void *arg)
{
	struct lxcfs *lx = arg;

	(void)usec;
	for (size_t i = 0; lx->now && i < lx->d->ncts; i++)
		if (lx->d->cts[i]->state == STATE_RUNNING) {
			server_probe(lx->now);
			break;
		}
	sd_event_source_set_time_relative(source, lx->probe_us);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

/* One that hangs would let every reader hang: only asking it tells. */
static void probe_now_and_then(struct lxcfs *lx)
{
	const char *text = getenv("LG_LXCFS_PROBE_S");	/* for the tests */
	uint64_t seconds = PROBE_S;

	if (text)
		lg_parse_u64(text, 1, PROBE_S, &seconds, NULL);
	lx->probe_us = seconds * 1000000;
	sd_event_add_time_relative(lx->d->event, &lx->probe, CLOCK_MONOTONIC, lx->probe_us, 0,
				   probe, lx);
}

int lxcfs_begin(struct daemon *d, struct lg_err *err)
{
	struct lxcfs *lx = calloc(1, sizeof(*lx));

	if (!lx)
		return lg_fail(err, -ENOMEM, "start lxcfs");
	lx->d = d;
	d->lxcfs = lx;
	if (mkdirat(d->run_fd, "lxcfs", 0755) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make '%s/lxcfs'", d->root.run);
	find_program(lx);
	look_around(lx);
	if (!lx->program[0])
		return 0;
	watch_program(lx);
	probe_now_and_then(lx);
	if (!lx->next)
		start_one(lx);
	return 0;
}

bool lxcfs_end(struct daemon *d)
{
	struct lxcfs *lx = d->lxcfs;
	struct server *all[] = { lx->now, lx->next, lx->old };
	bool gone = true;

	lx->ending = true;
	lx->retry = sd_event_source_disable_unref(lx->retry);
	lx->probe = sd_event_source_disable_unref(lx->probe);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (!all[i])
			continue;
		gone = false;
		all[i]->retired = true;
		server_kill(all[i]);
	}
	return gone;
}

void lxcfs_free(struct daemon *d)
{
	struct lxcfs *lx = d->lxcfs;

	if (!lx)
		return;
	sd_event_source_disable_unref(lx->retry);
	sd_event_source_disable_unref(lx->watch);
	sd_event_source_disable_unref(lx->probe);
	if (lx->old)
		server_kill(lx->old);
	for (size_t i = 0; i < 3; i++) {
		struct server *s = i == 0 ? lx->now : i == 1 ? lx->next : lx->old;

		if (s)
			server_free(s);
	}
	free(lx);
	d->lxcfs = NULL;
}

void doctor_lxcfs(struct report *r)
{
	const struct lxcfs *lx = r->d->lxcfs;

	if (lx->now)
		say(r, "lxcfs", "ok", "process %d: /proc inside tells a container's own limits",
		    (int)lx->now->pid);
	else
		say(r, "lxcfs", "off", "%s: /proc inside shows the host's memory and CPUs",
		    lx->why[0] ? lx->why : "it is being started");
}

bool lxcfs_where(const struct daemon *d, char buf[300])
{
	const struct lxcfs *lx = d->lxcfs;

	if (!lx || !lx->now || !lx->now->opened)
		return false;
	snprintf(buf, 300, "%s/lxcfs/%u", d->root.run, lx->now->nr);
	return true;
}
