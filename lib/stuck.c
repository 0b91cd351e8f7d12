/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/proc.h"

#define FRAMES_MAX 4u

/* Names are the guest's choice: nothing of them may reach a terminal or break a JSON text. */
static void copy_name(char *to, size_t size, const char *from, size_t len)
{
	size_t n = len < size - 1 ? len : size - 1;

	for (size_t i = 0; i < n; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[n] = '\0';
}

/* "TID (NAME) STATE ...", and a name may have parentheses. */
static bool is_stuck(int task, const char *tid, struct lg_stuck *ret)
{
	lg_autofree char *text = NULL;
	const char *open, *close;
	char path[64];

	snprintf(path, sizeof(path), "%.20s/stat", tid);
	if (lg_file_read(task, path, 4096, &text, NULL, NULL) < 0)
		return false;
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open || strncmp(close, ") D", 3) != 0)
		return false;
	copy_name(ret->name, sizeof(ret->name), open + 1, (size_t)(close - open - 1));
	return true;
}

/* Lines like "[<0>] percpu_rwsem_wait+0x116/0x140". */
static void add_frames(const char *stack, struct lg_stuck *ret)
{
	unsigned int frames = 0;
	size_t used = 0;

	for (const char *p = stack; *p && frames < FRAMES_MAX; p += strcspn(p, "\n"), p += *p == '\n') {
		const char *name = strstr(p, "] ");
		size_t len;

		if (!name || name > p + strcspn(p, "\n"))
			continue;
		len = strcspn(name + 2, "+\n");
		if (used + len + 4 >= sizeof(ret->where))
			return;
		used += (size_t)snprintf(ret->where + used, sizeof(ret->where) - used, "%s%.*s",
					 frames++ ? " < " : "", (int)len, name + 2);
	}
}

static void find_where(int task, const char *tid, struct lg_stuck *ret)
{
	lg_autofree char *stack = NULL, *wchan = NULL;
	char path[64];

	snprintf(path, sizeof(path), "%.20s/stack", tid);
	ret->where[0] = '\0';
	if (lg_file_read(task, path, 65536, &stack, NULL, NULL) == 0)
		add_frames(stack, ret);
	if (ret->where[0])
		return;
	snprintf(path, sizeof(path), "%.20s/wchan", tid);
	if (lg_file_read(task, path, 256, &wchan, NULL, NULL) == 0 && strcmp(wchan, "0") != 0)
		copy_name(ret->where, sizeof(ret->where), wchan, strlen(wchan));
	else
		snprintf(ret->where, sizeof(ret->where), "at a place that this kernel does not tell");
}

int lg_proc_stuck(pid_t pid, struct lg_stuck *ret)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return -ESRCH;
	}
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || !is_stuck(fd, e->d_name, ret))
			continue;
		ret->pid = pid;
		ret->tid = (pid_t)strtol(e->d_name, NULL, 10);
		find_where(fd, e->d_name, ret);
		return 1;
	}
	return 0;
}
