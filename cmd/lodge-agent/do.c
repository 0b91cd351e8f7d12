/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What LG_A_DO can say, a row each. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-agent/agent.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/image.h"

#define RESIZE_FS _IOW('f', 16, uint64_t)
#define BLOCK 4096u
#define SECTOR 512u
#define GROW_TRIES 200u		/* of 5 ms: the disk's interrupt may come after the wish */
#define SEED_BYTES 256u
#define VCPUS_MAX 1024u

/* ---- time and chance ---- */

int machine_clock(const struct lg_msg *msg, struct lg_err *err)
{
	uint64_t ns = lg_msg_get_u64(msg, "clock_ns", 0);
	struct timespec now = { .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };

	if (ns && clock_settime(CLOCK_REALTIME, &now) < 0)
		return lg_fail(err, -errno, "set the clock");
	return 0;
}

static int nibble(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int machine_seed(const struct machine *m, const struct lg_msg *msg, struct lg_err *err)
{
	const char *hex = lg_msg_get(msg, "seed");
	/* struct rand_pool_info, whose array has no size */
	struct {
		int entropy_count, buf_size;
		uint8_t bytes[SEED_BYTES];
	} seed;
	size_t n = 0;

	if (!hex)
		return 0;
	while (n < SEED_BYTES && hex[0] && nibble(hex[0]) >= 0 && nibble(hex[1]) >= 0) {
		seed.bytes[n++] = (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1]));
		hex += 2;
	}
	if (*hex || n == 0)
		return lg_refuse(err, -EINVAL, 0, "the seed is no hex of at most %u bytes", SEED_BYTES);
	seed.entropy_count = (int)n * 8;
	seed.buf_size = (int)n;
	if (ioctl(m->random, RNDADDENTROPY, &seed) < 0 || ioctl(m->random, RNDRESEEDCRNG) < 0)
		return lg_fail(err, -errno, "seed the random numbers");
	return 0;
}

static int do_resumed(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err)
{
	int r = machine_clock(wish, err);

	(void)answer;
	return r < 0 ? r : machine_seed(m, wish, err);
}

/* ---- processors ---- */

/* Processor 0 stays. One that is as it should be already is left alone. */
static int switch_cpu(int cpus, unsigned int cpu, bool on)
{
	lg_autofree char *now = NULL;
	char path[40];

	snprintf(path, sizeof(path), "cpu%u/online", cpu);
	if (lg_file_read(cpus, path, 16, &now, NULL, NULL) < 0)
		return -ENOENT;
	if ((now[0] == '1') == on)
		return 0;
	return lg_file_write(cpus, path, on ? "1" : "0", NULL);
}

int machine_vcpus(const struct machine *m, const struct lg_msg *msg, struct lg_err *err)
{
	uint64_t want = lg_msg_get_u64(msg, "vcpus", 0);
	lg_autoclose int cpus = -1;

	if (want == 0)
		return 0;
	cpus = openat(m->sys, "devices/system/cpu", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cpus < 0)
		return lg_fail(err, -errno, "look at the processors");
	for (unsigned int i = 1; i < VCPUS_MAX; i++) {
		int r = switch_cpu(cpus, i, i < want);

		if (r == -ENOENT && i >= want)
			break;
		if (r < 0)
			return lg_fail(err, r, "switch processor %u %s", i, i < want ? "on" : "off");
	}
	return 0;
}

static int do_vcpus(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err)
{
	(void)answer;
	return machine_vcpus(m, wish, err);
}

/* ---- the disk ---- */

static int disk_bytes(const struct machine *m, uint64_t *ret)
{
	lg_autofree char *text = NULL;
	struct stat st;
	char path[64];
	int r;

	if (fstat(m->layer, &st) < 0)
		return -errno;
	snprintf(path, sizeof(path), "dev/block/%u:%u/size", major(st.st_dev), minor(st.st_dev));
	r = lg_file_read(m->sys, path, 64, &text, NULL, NULL);
	if (r == 0)
		*ret = strtoull(text, NULL, 10) * SECTOR;
	return r;
}

static int do_grow(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err)
{
	uint64_t want = lg_msg_get_u64(wish, "bytes", 0), bytes = 0, blocks;
	int r = disk_bytes(m, &bytes);

	(void)answer;
	for (unsigned int i = 0; r == 0 && bytes < want && i < GROW_TRIES; i++) {
		usleep(5000);
		r = disk_bytes(m, &bytes);
	}
	if (r < 0)
		return lg_fail(err, r, "look at the disk");
	if (bytes < want)
		return lg_refuse(err, -ETIMEDOUT, 0, "the disk has %" PRIu64 " bytes in the machine still", bytes);
	blocks = bytes / BLOCK;
	return ioctl(m->layer, RESIZE_FS, &blocks) < 0 ? lg_fail(err, -errno, "make the file system larger") : 0;
}

static int freeze_or_thaw(const struct machine *m, bool freeze, struct lg_err *err)
{
	int r = ioctl(m->layer, freeze ? FIFREEZE : FITHAW, 0) < 0 ? -errno : 0;

	if (r == 0 || r == (freeze ? -EBUSY : -EINVAL))
		return 0;	/* it is already */
	return lg_fail(err, r, "%s the file system", freeze ? "freeze" : "thaw");
}

static int do_freeze(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err)
{
	(void)wish;
	(void)answer;
	return freeze_or_thaw(m, true, err);
}

static int do_thaw(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err)
{
	(void)wish;
	(void)answer;
	return freeze_or_thaw(m, false, err);
}

/* ---- what is in use ---- */

static uint64_t meminfo(const char *text, const char *key)
{
	const char *line = strstr(text, key);

	return line ? strtoull(line + strlen(key), NULL, 10) * 1024u : 0;
}

static uint64_t thousandths(unsigned long load)
{
	return (uint64_t)load * 1000u >> SI_LOAD_SHIFT;
}

static int do_usage(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	struct lg_fs_usage disk;
	struct timespec up;
	struct sysinfo si;
	int r = lg_file_read(m->proc, "meminfo", 65536, &text, NULL, err);

	(void)wish;
	if (r == 0)
		r = lg_fs_usage(m->layer, &disk, err);
	if (r < 0)
		return r;
	if (sysinfo(&si) < 0 || clock_gettime(CLOCK_BOOTTIME, &up) < 0)
		return lg_fail(err, -errno, "look at the system");
	lg_msg_put_u64(answer, "memory_total", meminfo(text, "MemTotal:"));
	lg_msg_put_u64(answer, "memory_free", meminfo(text, "MemFree:"));
	lg_msg_put_u64(answer, "memory_available", meminfo(text, "MemAvailable:"));
	lg_msg_put_u64(answer, "disk_total", disk.bytes);
	lg_msg_put_u64(answer, "disk_used", disk.bytes_used);
	lg_msg_put_u64(answer, "inodes", disk.inodes);
	lg_msg_put_u64(answer, "inodes_used", disk.inodes_used);
	lg_msg_put_u64(answer, "load1", thousandths(si.loads[0]));
	lg_msg_put_u64(answer, "load5", thousandths(si.loads[1]));
	lg_msg_put_u64(answer, "load15", thousandths(si.loads[2]));
	lg_msg_put_u64(answer, "processes", si.procs);
	return lg_msg_put_u64(answer, "uptime_ms", (uint64_t)up.tv_sec * 1000u + (uint64_t)up.tv_nsec / 1000000u);
}

static int do_addrs(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err)
{
	(void)answer;
	return network_change(m, wish, err);
}

static int do_hostname(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err)
{
	const char *name = lg_msg_get(wish, "hostname");

	(void)m;
	(void)answer;
	if (!name || !*name || sethostname(name, strlen(name)) < 0)
		return lg_fail(err, name && *name ? -errno : -EINVAL, "set the host name");
	return 0;
}

/* clang-format off */
static const struct {
	const char *what;
	int (*run)(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err);
} wishes[] = {
	{ "grow",	do_grow },
	{ "usage",	do_usage },
	{ "addrs",	do_addrs },
	{ "vcpus",	do_vcpus },
	{ "hostname",	do_hostname },
	{ "freeze",	do_freeze },
	{ "thaw",	do_thaw },
	{ "resumed",	do_resumed },
};
/* clang-format on */

int machine_do(const struct machine *m, const struct lg_msg *wish, struct lg_msg *answer, struct lg_err *err)
{
	const char *what = lg_msg_get(wish, "what");

	for (size_t i = 0; what && i < ARRAY_SIZE(wishes); i++)
		if (strcmp(what, wishes[i].what) == 0)
			return wishes[i].run(m, wish, answer, err);
	return lg_refuse(err, -ENOSYS, 0, "the agent cannot '%s'", what ? what : "");
}
