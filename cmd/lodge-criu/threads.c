/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What of a thread CRIU has no word for and lodge can keep from outside: the CPUs that it bound itself to, and its timer slack.
 *
 * How it works: when everything is frozen each thread is looked at, and those that are not as a new one would be get a line beside the
 * images, by the number that they have inside: it is the same after the restore. Without such threads there is no file,
 * and the restore looks at none.
 *
 * A thread that bound itself to nothing may use what its cgroup has. Only what is less than that was its own choice: a line for
 * the others would bind them to the CPUs that the container has today.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/bits.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define FILE_NAME "lodge.threads"
#define FILE_MAX (8u << 20)
#define NUMBER_MAX 32u
#define SLACK_DEFAULT_NS 50000u		/* the kernel's own, for who asked for nothing */
#define UNBOUND "-"

/* ---- a dump: which threads are not as new ones ---- */

struct notes {
	FILE *f;
	char group[PATH_MAX];	/* that was looked at last: nearly all are in one */
	struct lg_bits cpus;	/* of it */
};

static int read_proc(pid_t tid, const char *name, size_t max, char **ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	return lg_file_read(AT_FDCWD, path, max, ret, NULL, NULL);
}

static int affinity_of(pid_t tid, struct lg_bits *ret)
{
	memset(ret, 0, sizeof(*ret));
	return sched_getaffinity(tid, sizeof(*ret), (cpu_set_t *)ret->word) < 0 ? -errno : 0;
}

/* Of a cgroup, as /proc/PID/cpuset calls it. The hierarchy is cgroup v1's, or cgroup2 as a whole. */
static int read_group(const char *group, struct lg_bits *ret)
{
	static const struct {
		const char *mount, *file;
	} places[] = {
		{ "/sys/fs/cgroup/cpuset", "cpuset.effective_cpus" },
		{ "/sys/fs/cgroup", "cpuset.cpus.effective" },
	};
	char path[PATH_MAX + 64];

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		lg_autofree char *text = NULL;

		snprintf(path, sizeof(path), "%s%s/%s", places[i].mount, group, places[i].file);
		if (lg_file_read(AT_FDCWD, path, LG_BITS_TEXT, &text, NULL, NULL) == 0)
			return lg_bits_parse(text, ret);
	}
	return -ENOENT;
}

/* Where the kernel does not say: as ours, which is what the restored one will have. */
static const struct lg_bits *group_cpus(struct notes *n, pid_t tid)
{
	lg_autofree char *group = NULL;

	if (read_proc(tid, "cpuset", PATH_MAX, &group) < 0)
		group = strdup("");
	if (!group)
		return &n->cpus;
	group[strcspn(group, "\n")] = '\0';
	if (*n->group && strcmp(group, n->group) == 0)
		return &n->cpus;
	if ((!*group || read_group(group, &n->cpus) < 0) && affinity_of(0, &n->cpus) < 0)
		return &n->cpus;
	snprintf(n->group, sizeof(n->group), "%s", group);
	return &n->cpus;
}

/* @usual: what threads of its process may use. One of them may be in a cgroup of its own. */
static bool is_bound(struct notes *n, pid_t tid, const struct lg_bits *usual, struct lg_bits *ret)
{
	return affinity_of(tid, ret) == 0 && !lg_bits_equal(ret, usual) &&
	       !lg_bits_equal(ret, group_cpus(n, tid));
}

/* 0: as usual. Those that are scheduled in real time have none. */
static uint64_t slack_of(pid_t tid)
{
	lg_autofree char *text = NULL;
	uint64_t slack = 0;

	if (read_proc(tid, "timerslack_ns", NUMBER_MAX, &text) == 0)
		slack = strtoull(text, NULL, 10);
	return slack == SLACK_DEFAULT_NS ? 0 : slack;
}

static int note_thread(struct notes *n, pid_t tid, const struct lg_bits *usual)
{
	char cpus[LG_BITS_TEXT] = UNBOUND;
	uint64_t slack = slack_of(tid);
	struct lg_bits bound;
	bool is = is_bound(n, tid, usual, &bound);
	pid_t inside = slack || is ? tree_inside(tid) : 0;

	if (inside <= 0)
		return 0;
	if (is && lg_bits_format(&bound, cpus, sizeof(cpus)) < 0)
		return -E2BIG;
	fprintf(n->f, "%d %" PRIu64 " %s\n", (int)inside, slack, cpus);
	return ftell(n->f) > (long)FILE_MAX ? -E2BIG : 0;
}

/* Call @fn with each thread of a process. */
static int each_thread(pid_t pid, tree_fn fn, void *arg)
{
	int tasks = tree_open(pid, "task"), r = 0;
	lg_autodir DIR *dir = tasks < 0 ? NULL : fdopendir(tasks);
	struct dirent *e;

	if (!dir)
		lg_close(tasks);
	while (dir && r == 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			r = fn((pid_t)strtol(e->d_name, NULL, 10), arg);
	return r;
}

struct process {
	struct notes *n;
	struct lg_bits usual;
};

static int note_one(pid_t tid, void *arg)
{
	struct process *p = arg;

	return note_thread(p->n, tid, &p->usual);
}

static int note_process(pid_t pid, void *arg)
{
	struct process p = { .n = arg };

	p.usual = *group_cpus(p.n, pid);
	return each_thread(pid, note_one, &p);
}

int threads_note(struct lg_err *err)
{
	lg_autofree struct notes *n = calloc(1, sizeof(*n));
	lg_autofree char *text = NULL;
	size_t len = 0;
	int r;

	unlinkat(job.images, FILE_NAME, 0);
	if (!n || !(n->f = open_memstream(&text, &len)))
		return lg_fail(err, -ENOMEM, "note what its threads are set to");
	r = tree_each(job.pid, note_process, n);
	if (fclose(n->f) != 0 && r == 0)
		r = -ENOMEM;
	if (r < 0)
		return lg_fail(err, r, "note what its threads are set to");
	return len ? lg_file_replace_fast(job.images, FILE_NAME, text, len, 0600, err) : 0;
}

/* ---- a restore ---- */

struct noted {
	pid_t tid;		/* inside */
	uint64_t slack;		/* ns; 0: none was noted */
	bool bound;
	const char *cpus;	/* in the file's text */
};

struct list {
	struct noted *of;
	size_t n;
};

static int by_tid(const void *a, const void *b)
{
	pid_t x = ((const struct noted *)a)->tid, y = ((const struct noted *)b)->tid;

	return (x > y) - (x < y);
}

/* It may come from another host: what is no such line makes all of it worthless. */
static int take_line(char *line, struct noted *ret)
{
	struct lg_bits cpus;
	int tid, at = 0;

	if (sscanf(line, "%d %" SCNu64 " %n", &tid, &ret->slack, &at) != 2 || at == 0 || tid <= 0)
		return -EBADMSG;
	ret->tid = tid;
	ret->cpus = line + at;
	ret->bound = strcmp(ret->cpus, UNBOUND) != 0;
	return ret->bound && (lg_bits_parse(ret->cpus, &cpus) < 0 || !lg_bits_count(&cpus)) ? -EBADMSG : 0;
}

static int take_lines(char *text, struct list *ret)
{
	size_t room = 0;
	char *save = NULL;

	for (const char *p = text; *p; p++)
		room += *p == '\n';
	ret->of = calloc(room + 1, sizeof(*ret->of));
	if (!ret->of)
		return -ENOMEM;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (take_line(line, &ret->of[ret->n++]) < 0)
			return -EBADMSG;
	qsort(ret->of, ret->n, sizeof(*ret->of), by_tid);
	return 0;
}

/* The kernel takes what of them this container may have here; where that is none it may use all. */
static int bind_to(pid_t tid, const char *text)
{
	struct lg_bits cpus;

	lg_bits_parse(text, &cpus);
	return sched_setaffinity(tid, sizeof(cpus), (const cpu_set_t *)cpus.word) < 0 && errno != EINVAL ? -errno : 0;
}

static int set_slack(pid_t tid, uint64_t slack)
{
	char path[64], text[NUMBER_MAX];

	snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", (int)tid);
	snprintf(text, sizeof(text), "%" PRIu64, slack);
	return lg_file_write(AT_FDCWD, path, text, NULL);
}

/* A host that lets us not do it is no reason to do without the container. */
static int give_thread(pid_t tid, void *arg)
{
	const struct list *list = arg;
	struct noted key = { .tid = tree_inside(tid) };
	const struct noted *is = bsearch(&key, list->of, list->n, sizeof(key), by_tid);
	int r = is && is->bound ? bind_to(tid, is->cpus) : 0;

	if (is && is->slack && r == 0)
		r = set_slack(tid, is->slack);
	if (r < 0)
		fprintf(stderr, "lodge-criu: thread %d: its CPUs and timer slack are lost: %s\n", (int)tid,
			strerror(-r));
	return 0;
}

static int give_process(pid_t pid, void *arg)
{
	return each_thread(pid, give_thread, arg);
}

int threads_give(struct lg_err *err)
{
	lg_autofree char *text = NULL;
	struct list list = { 0 };
	int r;

	if (lg_file_read(job.images, FILE_NAME, FILE_MAX + LG_BITS_TEXT, &text, NULL, NULL) < 0)
		return 0;
	r = take_lines(text, &list);
	if (r == -EBADMSG)
		lg_refuse(err, r, 0, "'" FILE_NAME "' of the images is damaged");
	else if (r < 0)
		lg_fail(err, r, "set its threads");
	else
		r = tree_each(job.pid, give_process, &list);
	free(list.of);
	return r;
}

void threads_be_usual(void)
{
	prctl(PR_SET_TIMERSLACK, (unsigned long)SLACK_DEFAULT_NS);
}
