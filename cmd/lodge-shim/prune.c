/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-shim/prune.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodge-shim/shim.h"
#include "ct/console.h"
#include "ct/mounts.h"
#include "lib/cleanup.h"

#define TABLE_MAX (512u * 1024u)

/* Is @path at or below @top? */
static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Inside a container nodes are mounts, and the next one needs them and the proc and sysfs kept for it. */
static bool is_for_nested(const char *point)
{
	struct stat st;

	return is_below(point, LG_OWN_FOLDER) || (lstat(point, &st) == 0 && S_ISCHR(st.st_mode));
}

static bool is_kernels(const char *point)
{
	static const char *const tops[] = { "/proc/", "/sys/", "/dev/" };

	for (size_t i = 0; i < ARRAY_SIZE(tops); i++)
		if (strncmp(point, tops[i], strlen(tops[i])) == 0)
			return !is_for_nested(point);
	return false;
}

static bool is_needless(const char *point)
{
	const char *const used[] = { shim.target, shim.disk, shim.socket, shim.exit_file,
				     lg_console_path() };

	if (strcmp(point, "/") == 0 || strcmp(point, "/proc") == 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(used); i++)
		if (used[i] && is_below(used[i], point))
			return false;
	return true;
}

/* Blanks and the like are written in octal in the kernel's table. */
static void unescape(char *p)
{
	char *to = p;

	while (*p) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] && p[3]) {
			*to++ = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 4;
		} else {
			*to++ = *p++;
		}
	}
	*to = '\0';
}

/* The fifth word of a line of mountinfo; the line is cut up. */
static char *mount_point(char *line)
{
	char *save = NULL, *word = strtok_r(line, " ", &save);

	for (int i = 0; word && i < 4; i++)
		word = strtok_r(NULL, " ", &save);
	if (word)
		unescape(word);
	return word;
}

static size_t read_table(char *buf, size_t size)
{
	lg_autoclose int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	return len;
}

/* Last mounted first, so that what is on top goes before what it covers. */
static void prune(bool (*unwanted)(const char *point))
{
	char *buf = mmap(NULL, TABLE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	size_t len;

	if (buf == MAP_FAILED)
		return;
	len = read_table(buf, TABLE_MAX);
	while (len > 0) {
		char *line, *point;

		buf[--len] = '\0';	/* its end of line */
		line = memrchr(buf, '\n', len);
		line = line ? line + 1 : buf;
		len = (size_t)(line - buf);
		point = mount_point(line);
		if (point && unwanted(point))
			umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW);
	}
	munmap(buf, TABLE_MAX);
}

void prune_kernel(void)
{
	prune(is_kernels);
}

void prune_all(void)
{
	static bool done;

	if (!done)
		prune(is_needless);
	done = true;
}
