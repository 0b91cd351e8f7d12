/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * lodge-lxcfs-calls.so, preloaded into lxcfs: what it opens as /proc/stat tells the boot time that the reader has.
 *
 * Start times of processes count from the boot, and whoever shows them adds "btime" of /proc/stat (ps, top, psutil, Java). A
 * container with clocks of its own (ct/clocks.h) has booted when it started, and the kernel's own file says so; lxcfs hands on
 * what it reads itself, which is the host's. So the line is moved here by the offset of the reader's clock, as the
 * kernel does it. Everything else about lxcfs is as it is; where anything is not as expected it gets the kernel's text.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define STAT "/proc/stat"
#define STAT_MAX (4u << 20)
#define BTIME "\nbtime "
#define NS_PER_S 1000000000LL

/* By the names that the C library has for them. */
EXPORTED int any_open(const char *path, int flags, ...) __asm__("open");
EXPORTED int any_open64(const char *path, int flags, ...) __asm__("open64");
EXPORTED int any_open_2(const char *path, int flags) __asm__("__open_2");
EXPORTED int any_open64_2(const char *path, int flags) __asm__("__open64_2");

/* The beginning of libfuse's, the same in its versions 2 and 3. */
struct fuse_context {
	void *fuse;
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

static int kernel_open(const char *path, int flags, mode_t mode)
{
	return openat(AT_FDCWD, path, flags, mode);
}

/* 0: nobody reads, or he is not known. */
static pid_t reader(void)
{
	struct fuse_context *(*get)(void) = NULL;
	void *symbol = dlsym(RTLD_DEFAULT, "fuse_get_context");
	const struct fuse_context *context;

	if (!symbol)
		return 0;
	memcpy(&get, &symbol, sizeof(get));
	context = get();
	return context ? context->pid : 0;
}

/* How far the reader's clock is from ours, in nanoseconds. */
static long long boot_offset(pid_t pid)
{
	long long s = 0, ns = 0;
	char line[80];
	FILE *f;
	int fd;

	snprintf(line, sizeof(line), "/proc/%d/timens_offsets", (int)pid);
	fd = kernel_open(line, O_RDONLY | O_CLOEXEC, 0);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "boottime %lld %lld", &s, &ns) == 2)
			break;
	fclose(f);
	return s * NS_PER_S + ns;
}

/* The line has whole seconds; with both clocks' fractions they come out as the kernel's own. */
static long long boot_time(long long offset)
{
	struct timespec real, boot;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return ((real.tv_sec - boot.tv_sec) * NS_PER_S + real.tv_nsec - boot.tv_nsec - offset) / NS_PER_S;
}

static char *read_all(int fd, size_t *ret_len)
{
	char *text = malloc(STAT_MAX);
	size_t len = 0;
	ssize_t n = -1;

	while (text && len < STAT_MAX && (n = read(fd, text + len, STAT_MAX - 1 - len)) > 0)
		len += (size_t)n;
	if (!text || n < 0) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	*ret_len = len;
	return text;
}

static int write_moved(int to, const char *text, size_t len, long long offset)
{
	const char *line = strstr(text, BTIME), *end;

	end = line ? strchr(line + 1, '\n') : NULL;
	if (!end)
		return -1;
	if (write(to, text, (size_t)(line - text)) != line - text ||
	    dprintf(to, BTIME "%lld", boot_time(offset)) < 0 ||
	    write(to, end, (size_t)(text + len - end)) != text + len - end)
		return -1;
	return lseek(to, 0, SEEK_SET) == 0 ? 0 : -1;
}

/* @fd or a file of ours in its place. */
static int moved(int fd, long long offset)
{
	size_t len;
	char *text = read_all(fd, &len);
	int copy = text ? memfd_create("stat", MFD_CLOEXEC) : -1;

	if (copy >= 0 && write_moved(copy, text, len, offset) < 0) {
		close(copy);
		copy = -1;
	}
	free(text);
	if (copy < 0) {
		lseek(fd, 0, SEEK_SET);
		return fd;
	}
	close(fd);
	return copy;
}

static int open_any(const char *path, int flags, mode_t mode)
{
	int fd = kernel_open(path, flags, mode), saved = errno;
	long long offset;
	pid_t pid;

	if (fd < 0 || strcmp(path, STAT) != 0)
		return fd;
	pid = reader();
	offset = pid > 0 ? boot_offset(pid) : 0;
	fd = offset ? moved(fd, offset) : fd;
	errno = saved;
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int any_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_any(path, flags, mode);
}

int any_open64(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_any(path, flags | O_LARGEFILE, mode);
}

int any_open_2(const char *path, int flags)
{
	return open_any(path, flags, 0);
}

int any_open64_2(const char *path, int flags)
{
	return open_any(path, flags | O_LARGEFILE, 0);
}
