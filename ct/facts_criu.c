/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What CRIU says about itself and about this host. Asking takes some hundred milliseconds, so the answer is kept in
 * VAR/cache/criu.json, with what it hangs on: the program's file, and the kernel.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ct/facts.h"
#include "lib/cleanup.h"
#include "lib/proc.h"

#define CACHE "criu.json"
#define PATIENCE_MS 20000
#define OUTPUT_MAX 65536u

/* As `criu check --feature` calls them. */
static const char *const features[] = {
	"mem_dirty_track", "uffd-noncoop", "pidfd_store", "network_lock_nftables",
};

/* ---- asking ---- */

static int await(pid_t pid, int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int status, n;

	do
		n = poll(&p, 1, PATIENCE_MS);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		lg_pidfd_signal(pidfd, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return n <= 0 ? -ETIMEDOUT : WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* Return: its exit status, negative errno; what it says, on either stream, goes into @said. */
static int ask(const char *criu, const char *verb, const char *option, const char *value,
	       char said[OUTPUT_MAX])
{
	const char *argv[] = { "criu", verb, option, value, NULL };
	lg_autoclose int out = memfd_create("criu", MFD_CLOEXEC), pidfd = -1;
	int fds[3] = { -1, out, out }, r;
	struct lg_spawn how = { .path = criu, .argv = (char *const *)(uintptr_t)argv, .fds = fds,
				.nfds = 3, .end_signal = SIGKILL };
	ssize_t n = 0;
	pid_t pid;

	said[0] = '\0';
	if (out < 0)
		return -errno;
	pid = lg_spawn(&how, &pidfd, NULL);
	if (pid < 0)
		return (int)pid;
	r = await(pid, pidfd);
	n = pread(out, said, OUTPUT_MAX - 1, 0);
	said[n > 0 ? n : 0] = '\0';
	return r;
}

/* Its last line that begins with "Error", else its last one. */
static void cause(char *said, char *ret, size_t size)
{
	char *save = NULL;
	bool error = false;

	snprintf(ret, size, "it says nothing");
	for (char *line = strtok_r(said, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		bool is = strncmp(line, "Error", 5) == 0;

		if (is || !error)
			snprintf(ret, size, "%s", line);
		error |= is;
	}
}

static json_t *unusable(const char *why)
{
	return json_pack("{s:b, s:s}", "usable", 0, "why", why);
}

static json_t *failed(const char *criu, int r, char *said)
{
	char why[400], reason[200];

	if (r < 0)
		snprintf(why, sizeof(why), "%s: %s", criu, r == -ETIMEDOUT ? "does not come to an end" : strerror(-r));
	else
		cause(said, reason, sizeof(reason));
	if (r >= 0)
		snprintf(why, sizeof(why), "%s check: %s", criu, reason);
	return unusable(why);
}

static json_t *find_features(const char *criu, char said[OUTPUT_MAX])
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < ARRAY_SIZE(features); i++)
		if (ask(criu, "check", "--feature", features[i], said) == 0)
			json_array_append_new(list, json_string(features[i]));
	return list;
}

static json_t *ask_all(const char *criu)
{
	static char said[OUTPUT_MAX];
	char version[32] = "";
	const char *at;
	int r = ask(criu, "--version", NULL, NULL, said);

	at = strstr(said, "Version: ");
	if (at)
		sscanf(at + strlen("Version: "), "%31[0-9.]", version);
	if (r == 0 && version[0])
		r = ask(criu, "check", NULL, NULL, said);
	if (r != 0 || !version[0])
		return failed(criu, r, said);
	return json_pack("{s:b, s:s, s:o}", "usable", 1, "version", version, "features",
			 find_features(criu, said));
}

/* ---- keeping the answer ---- */

static json_t *key_of(const char *criu, const struct stat *st)
{
	struct utsname uts;

	uname(&uts);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:s}", "program", criu, "inode",
			 (json_int_t)st->st_ino, "bytes", (json_int_t)st->st_size, "mtime_s",
			 (json_int_t)st->st_mtim.tv_sec, "mtime_ns", (json_int_t)st->st_mtim.tv_nsec,
			 "kernel", uts.release, "lodge", LODGE_VERSION);
}

static int open_cache(const char *var)
{
	char path[300];

	snprintf(path, sizeof(path), "%.280s/cache", var);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static json_t *kept(int cache, const json_t *key)
{
	lg_autojson json_t *file = NULL;

	if (cache < 0 || lg_json_load(cache, CACHE, &file, NULL) < 0 ||
	    !json_equal(json_object_get(file, "key"), key))
		return NULL;
	return json_incref(json_object_get(file, "criu"));
}

json_t *lg_facts_criu(const struct lg_facts_where *where)
{
	lg_autojson json_t *key = NULL, *file = NULL;
	lg_autoclose int cache = -1;
	struct stat st;
	json_t *criu;

	if (!where->criu)
		return unusable(where->criu_why ? where->criu_why : "this host has no CRIU");
	if (stat(where->criu, &st) < 0)
		return failed(where->criu, -errno, NULL);
	cache = open_cache(where->var);
	key = key_of(where->criu, &st);
	criu = kept(cache, key);
	if (criu)
		return criu;
	criu = ask_all(where->criu);
	file = json_pack("{s:O, s:O}", "key", key, "criu", criu);
	/* A failure may be over in a moment; it is asked for again. */
	if (cache >= 0 && file && lg_json_bool(criu, "usable", false))
		lg_json_save(cache, CACHE, file, false, NULL);
	return criu;
}
