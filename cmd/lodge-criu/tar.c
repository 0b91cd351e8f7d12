/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * tar, as CRIU calls it for what is in a tmpfs:
 *
 *	tar --create --gzip ... --directory /proc/self/fd/0 .		to its stdout
 *	tar --extract --gzip ... --directory DIR			from its stdin
 *
 * A container has a handful of these, with folders, links and small files; starting GNU tar and gzip for each of them took a
 * quarter of the time that a container stands still. What is simple is done here, in one process: folders, plain files, FIFOs,
 * symbolic links and the device without a number (0:0, which anybody may make: every systemd has one, to hide other devices behind), as
 * a tar within a gzip whose blocks are stored, which every tar reads. For everything else the real tar is called, before
 * anything was written.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK 512u
#define ARCHIVE_MAX (4u << 20)	/* larger ones compress, and their time is not that of starting programs */
#define PATH_MAX_ 256u		/* what a header holds */
#define DEPTH_MAX 32u
#define STORED_MAX 65535u
#define GZIP_HEAD 10u
#define GZIP_TAIL 8u

struct header {			/* ustar */
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6],
		version[2], uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};

_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

static struct {
	unsigned char data[ARCHIVE_MAX];
	size_t len;
} archive;

static dev_t device;		/* of the tmpfs */

static int die(const char *what)
{
	fprintf(stderr, "tar: %s: %s\n", what, strerror(errno));
	return 2;
}

/* CRIU's PATH has us in front of it. */
static int real_tar(char **argv)
{
	execv("/usr/bin/tar", argv);
	execv("/bin/tar", argv);
	return die("start the real tar");
}

/* ---- the gzip around it ---- */

static uint32_t crc32_of(const unsigned char *data, size_t len)
{
	uint32_t table[256], crc = 0xffffffff;

	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int k = 0; k < 8; k++)
			table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320 : table[i] >> 1;
	}
	for (size_t i = 0; i < len; i++)
		crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

static void put_le(unsigned char *p, uint32_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get_le(const unsigned char *p, int bytes)
{
	uint32_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint32_t)p[i] << 8 * i;
	return v;
}

static bool write_all(const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool write_gzip(void)
{
	static const unsigned char head[GZIP_HEAD] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255 };
	unsigned char block[5], tail[GZIP_TAIL];
	size_t at = 0;

	if (!write_all(head, sizeof(head)))
		return false;
	do {
		size_t n = archive.len - at < STORED_MAX ? archive.len - at : STORED_MAX;

		block[0] = at + n == archive.len;	/* the last one */
		put_le(block + 1, (uint32_t)n, 2);
		put_le(block + 3, ~(uint32_t)n, 2);
		if (!write_all(block, sizeof(block)) || !write_all(archive.data + at, n))
			return false;
		at += n;
	} while (at < archive.len);
	put_le(tail, crc32_of(archive.data, archive.len), 4);
	put_le(tail + 4, (uint32_t)archive.len, 4);
	return write_all(tail, sizeof(tail));
}

/* false: it is compressed, or not whole */
static bool read_gzip(void)
{
	size_t size = ARCHIVE_MAX + ARCHIVE_MAX / STORED_MAX * 5 + 64, len = 0, at = GZIP_HEAD;
	unsigned char *in = malloc(size);
	bool last = false;
	ssize_t n = 1;

	/* Its place in the file stays where it is, for the real tar. */
	while (in && len < size && (n = pread(STDIN_FILENO, in + len, size - len, (off_t)len)) > 0)
		len += (size_t)n;
	if (n != 0 || !in || len < GZIP_HEAD + GZIP_TAIL || in[0] != 0x1f || in[1] != 0x8b || in[3] != 0)
		goto no;
	while (!last) {
		size_t stored;

		if (at + 5 > len || in[at] > 1)
			goto no;
		last = in[at] == 1;
		stored = get_le(in + at + 1, 2);
		at += 5;
		if (at + stored > len || archive.len + stored > ARCHIVE_MAX)
			goto no;
		memcpy(archive.data + archive.len, in + at, stored);
		archive.len += stored;
		at += stored;
	}
	if (at + GZIP_TAIL != len || get_le(in + at, 4) != crc32_of(archive.data, archive.len))
		goto no;
	free(in);
	return true;
no:
	free(in);
	return false;
}

/* ---- create ---- */

static bool put_octal(char *field, size_t size, uint64_t v)
{
	return (size_t)snprintf(field, size, "%0*llo", (int)size - 1, (unsigned long long)v) < size;
}

/* The last '/' that lets both halves fit. */
static bool put_name(struct header *h, const char *path)
{
	size_t len = strlen(path);
	const char *slash;

	if (len <= sizeof(h->name)) {
		memcpy(h->name, path, len);
		return true;
	}
	slash = strchr(path + len - sizeof(h->name) - 1, '/');
	if (!slash || !slash[1] || (size_t)(slash - path) > sizeof(h->prefix))
		return false;
	memcpy(h->prefix, path, (size_t)(slash - path));
	memcpy(h->name, slash + 1, strlen(slash + 1));
	return true;
}

static bool put_header(const char *path, const struct stat *st, char type, const char *link, size_t size)
{
	struct header *h = (struct header *)(archive.data + archive.len);
	unsigned int sum = 0;

	if (archive.len + BLOCK > ARCHIVE_MAX || st->st_mtim.tv_sec < 0)
		return false;
	memset(h, 0, sizeof(*h));
	if (!put_name(h, path) || strlen(link) > sizeof(h->link) ||
	    !put_octal(h->mode, sizeof(h->mode), st->st_mode & 07777) ||
	    !put_octal(h->uid, sizeof(h->uid), st->st_uid) || !put_octal(h->gid, sizeof(h->gid), st->st_gid) ||
	    !put_octal(h->size, sizeof(h->size), size) ||
	    !put_octal(h->mtime, sizeof(h->mtime), (uint64_t)st->st_mtim.tv_sec))
		return false;
	h->type = type;
	memcpy(h->link, link, strlen(link));
	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	if (type == '3') {
		put_octal(h->major, sizeof(h->major), 0);
		put_octal(h->minor, sizeof(h->minor), 0);
	}
	memset(h->sum, ' ', sizeof(h->sum));
	for (size_t i = 0; i < BLOCK; i++)
		sum += archive.data[archive.len + i];
	snprintf(h->sum, sizeof(h->sum), "%06o", sum);
	archive.len += BLOCK;
	return true;
}

static bool add_file(int dir, const char *name, const char *path, const struct stat *st)
{
	size_t size = (size_t)st->st_size, padded = (size + BLOCK - 1) / BLOCK * BLOCK, done = 0;
	int fd;

	/* Links to one file, and holes, are the real one's. */
	if (st->st_nlink != 1 || st->st_size > (off_t)ARCHIVE_MAX / 2 ||
	    st->st_blocks * 512 < st->st_size || !put_header(path, st, '0', "", size) ||
	    archive.len + padded > ARCHIVE_MAX)
		return false;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	memset(archive.data + archive.len, 0, padded);
	while (done < size) {
		ssize_t n = read(fd, archive.data + archive.len + done, size - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	close(fd);
	archive.len += padded;
	return done == size;
}

static bool add_link(int dir, const char *name, const char *path, const struct stat *st)
{
	char target[sizeof(((struct header *)0)->link) + 2];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0 || st->st_nlink != 1)
		return false;
	target[n] = '\0';
	return put_header(path, st, '2', target, 0);
}

/* @path: ends with a '/'. @fd: is closed. */
static bool add_folder(int fd, const char *path, unsigned int depth)
{
	DIR *dir = fd < 0 || depth == DEPTH_MAX ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;
	bool ok = dir && fstat(fd, &st) == 0 && st.st_dev == device && put_header(path, &st, '5', "", 0);

	while (ok && (e = readdir(dir))) {
		char sub[PATH_MAX_];
		int len = snprintf(sub, sizeof(sub), "%s%s", path, e->d_name);

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		ok = len < (int)sizeof(sub) - 1 && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (!ok)
			break;
		if (S_ISDIR(st.st_mode)) {
			memcpy(sub + len, "/", 2);
			ok = add_folder(openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
					sub, depth + 1);
		} else if (S_ISREG(st.st_mode)) {
			ok = add_file(fd, e->d_name, sub, &st);
		} else if (S_ISLNK(st.st_mode)) {
			ok = add_link(fd, e->d_name, sub, &st);
		} else if (S_ISFIFO(st.st_mode)) {
			ok = st.st_nlink == 1 && put_header(sub, &st, '6', "", 0);
		} else if (S_ISCHR(st.st_mode) && st.st_rdev == 0) {
			ok = st.st_nlink == 1 && put_header(sub, &st, '3', "", 0);
		} else {
			/* Sockets CRIU makes by itself, and tar leaves them out. */
			ok = S_ISSOCK(st.st_mode);
		}
	}
	if (dir)
		closedir(dir);
	return ok;
}

static bool create(const char *directory)
{
	struct stat st;
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	device = st.st_dev;
	if (!add_folder(fd, "./", 0) || archive.len + 2 * BLOCK > ARCHIVE_MAX)
		return false;
	memset(archive.data + archive.len, 0, 2 * BLOCK);
	archive.len += 2 * BLOCK;
	return true;
}

/* ---- extract ---- */

struct member {
	char path[PATH_MAX_ + 2];
	char link[sizeof(((struct header *)0)->link) + 1];
	char type;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	size_t size;
	struct timespec times[2];
	const unsigned char *data;
};

static uint64_t octal(const char *field, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size && field[i] >= '0' && field[i] <= '7'; i++)
		v = v * 8 + (uint64_t)(field[i] - '0');
	return v;
}

/* The member at *@at, which goes behind it. 0: the end; -1: it is none of ours. */
static int next_member(size_t *at, struct member *m)
{
	const struct header *h = (const struct header *)(archive.data + *at);
	size_t len;

	if (*at + BLOCK > archive.len)
		return -1;
	if (!h->name[0])
		return 0;
	*m = (struct member){ .type = h->type, .mode = (mode_t)octal(h->mode, sizeof(h->mode)),
			      .uid = (uid_t)octal(h->uid, sizeof(h->uid)),
			      .gid = (gid_t)octal(h->gid, sizeof(h->gid)), .size = octal(h->size, sizeof(h->size)),
			      .data = archive.data + *at + BLOCK };
	m->times[0].tv_sec = m->times[1].tv_sec = (time_t)octal(h->mtime, sizeof(h->mtime));
	snprintf(m->path, sizeof(m->path), "%.*s%s%.*s", (int)sizeof(h->prefix), h->prefix, h->prefix[0] ? "/" : "",
		 (int)sizeof(h->name), h->name);
	snprintf(m->link, sizeof(m->link), "%.*s", (int)sizeof(h->link), h->link);
	len = strlen(m->path);
	if (memcmp(h->magic, "ustar", 6) != 0 || !strchr("02356", m->type) || strncmp(m->path, "./", 2) != 0 ||
	    strstr(m->path, "/../") || (m->type == '5') != (m->path[len - 1] == '/') ||
	    (m->type == '3' && (octal(h->major, sizeof(h->major)) || octal(h->minor, sizeof(h->minor)))) ||
	    (m->type != '0' && m->size) || m->size > archive.len - *at - BLOCK)
		return -1;
	*at += BLOCK + (m->size + BLOCK - 1) / BLOCK * BLOCK;
	return 1;
}

/* Are all of them such as we make them? */
static bool is_ours(void)
{
	struct member m;
	size_t at = 0;
	int r;

	do
		r = next_member(&at, &m);
	while (r == 1);
	return r == 0;
}

/* The folder that @path is in, by no symbolic link; @path ends behind it. */
static int open_parent(int root, char *path, const char **name)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	size_t len = strlen(path);
	char *slash;

	if (path[len - 1] == '/')
		path[len - 1] = '\0';
	slash = strrchr(path, '/');
	*name = slash ? slash + 1 : ".";
	if (slash)
		*slash = '\0';
	return (int)syscall(SYS_openat2, root, slash ? path : ".", &how, sizeof(how));
}

static bool make_folder(int dir, const char *name)
{
	return strcmp(name, ".") == 0 || mkdirat(dir, name, 0700) == 0 || errno == EEXIST;
}

static bool make_file(int dir, const char *name, const struct member *m)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool ok = fd >= 0;
	size_t done = 0;

	while (ok && done < m->size) {
		ssize_t n = write(fd, m->data + done, m->size - done);

		ok = n > 0;
		done += ok ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool make_one(int dir, const char *name, const struct member *m)
{
	switch (m->type) {
	case '5':
		return make_folder(dir, name);
	case '2':
		return symlinkat(m->link, dir, name) == 0;
	case '3':
		return mknodat(dir, name, S_IFCHR | 0600, 0) == 0;
	case '6':
		return mkfifoat(dir, name, 0600) == 0;
	default:
		return make_file(dir, name, m);
	}
}

static bool make(int dir, const char *name, const struct member *m)
{
	bool ok;

	if (m->type != '5')
		unlinkat(dir, name, 0);	/* as tar does; that nothing was there is no failure */
	ok = make_one(dir, name, m);
	/* The mode comes behind the owner, who takes the set-id bits away. */
	return ok && fchownat(dir, name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (m->type == '2' || fchmodat(dir, name, m->mode, 0) == 0);
}

static bool extract(int root, bool times)
{
	struct member m;
	size_t at = 0;

	while (next_member(&at, &m) == 1) {
		const char *name;
		int dir = open_parent(root, m.path, &name);
		bool ok = dir >= 0;

		if (ok)
			ok = times ? utimensat(dir, name, m.times, AT_SYMLINK_NOFOLLOW) == 0 : make(dir, name, &m);
		if (dir >= 0)
			close(dir);
		if (!ok)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	const char *directory = NULL;
	bool creates = false, extracts = false;
	int root;

	umask(0);
	for (int i = 1; i < argc; i++) {
		creates = creates || strcmp(argv[i], "--create") == 0;
		extracts = extracts || strcmp(argv[i], "--extract") == 0;
		if (strcmp(argv[i], "--directory") == 0 && i + 1 < argc)
			directory = argv[i + 1];
	}
	if (!directory || creates == extracts)
		return real_tar(argv);
	if (creates) {
		if (!create(directory))
			return real_tar(argv);
		return write_gzip() ? 0 : die("write");
	}
	if (!read_gzip() || !is_ours())
		return real_tar(argv);
	root = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Times in a second pass: making something in a folder changes the folder's. */
	return root >= 0 && extract(root, false) && extract(root, true) ? 0 : die(directory);
}
