/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Runs a fuzz target over every file of the folders named: its corpus as an ordinary test. */

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

/* The input lies in memory of exactly its size, so that a sanitizer sees a byte read too far. */
static int replay_file(int dirfd, const char *name)
{
	lg_autoclose int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	lg_autofree uint8_t *data = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(name);
		return 1;
	}
	data = malloc((size_t)st.st_size);
	if ((!data && st.st_size > 0) || read(fd, data, (size_t)st.st_size) != st.st_size) {
		perror(name);
		return 1;
	}
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	return 0;
}

static int replay_folder(const char *path)
{
	lg_autodir DIR *dir = opendir(path);
	struct dirent *e;
	int failures = 0, n = 0;

	if (!dir) {
		perror(path);
		return 1;
	}
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.') {
			failures += replay_file(dirfd(dir), e->d_name);
			n++;
		}
	printf("%s: %d inputs\n", path, n);
	return failures || n == 0;
}

int main(int argc, char **argv)
{
	int failures = argc < 2;

	for (int i = 1; i < argc; i++)
		failures += replay_folder(argv[i]);
	return failures ? 1 : 0;
}
