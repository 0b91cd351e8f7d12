/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A stream from another host, received into a layer. Whatever it says, nothing happens outside of the
 * layer's own parts. Where the fuzzer has not the rights to set owners most objects end there; as
 * root they are made.
 */

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/transfer.h"
#include "tests/fuzz/fuzz.h"

static char top[64];
static int layer = -1;
static struct stat outside;

static void remove_top(void)
{
	lg_remove_tree(AT_FDCWD, top, NULL);
}

static void make_top(void)
{
	lg_autoclose int dir = -1, file = -1;

	snprintf(top, sizeof(top), "/tmp/lodge-fuzz-transfer-XXXXXX");
	promise(mkdtemp(top) != NULL, "a temporary folder");
	atexit(remove_top);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	promise(mkdirat(dir, "layer", 0700) == 0, "a layer");
	file = openat(dir, "outside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	promise(file >= 0 && fstat(file, &outside) == 0, "a file beside it");
	layer = openat(dir, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	promise(layer >= 0, "the layer opened");
}

/* Every name in @path is one of the two. */
static void only(const char *path, const char *one, const char *other, const char *what)
{
	lg_autodir DIR *dir = opendir(path);
	struct dirent *e;

	promise(dir != NULL, "the folder is there");
	while ((e = readdir(dir)))
		promise(strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
			strcmp(e->d_name, one) == 0 || strcmp(e->d_name, other) == 0, what);
}

static void look_around(void)
{
	char path[96];
	struct stat st;

	only(top, "layer", "outside", "nothing is made beside the layer");
	snprintf(path, sizeof(path), "%s/layer", top);
	only(path, "upper", "plain", "nothing else is in the layer");
	snprintf(path, sizeof(path), "%s/outside", top);
	promise(lstat(path, &st) == 0 && st.st_ino == outside.st_ino && st.st_size == 0 &&
		st.st_nlink == 1 && st.st_mode == outside.st_mode &&
		st.st_ctim.tv_sec == outside.st_ctim.tv_sec &&
		st.st_ctim.tv_nsec == outside.st_ctim.tv_nsec, "what is outside is untouched");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct lg_transfer_mark none;
	const struct lg_transfer_receive how = { .max_bytes = 1 << 20, .max_files = 1000 };
	struct lg_transfer_mark mark = none;
	struct lg_err err = { 0 };
	lg_autoclose int fd = memfd_create("stream", MFD_CLOEXEC);
	int r;

	if (layer < 0)
		make_top();
	promise(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0,
		"the stream as a file");
	r = lg_transfer_receive(fd, layer, &how, &mark, &err);
	promise(r <= 0 && err.code == r, "it is received or it fails");
	promise((r == 0) == (memcmp(&mark, &none, sizeof(mark)) != 0), "the mark is of a whole one");
	promise(!strchr(err.msg, '\n'), "one line says why");
	look_around();
	return 0;
}
