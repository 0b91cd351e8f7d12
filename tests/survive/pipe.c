/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIG_PIPE (256 << 10)

static int ends[2] = {-1, -1};
static int64_t queued;

/* ---- full, of a size of its own ------------------------------------------------------------ /  */

static int pipe_setup(void)
{
	if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[1], F_SETPIPE_SZ, BIG_PIPE) < 0)
		return sv_errno("F_SETPIPE_SZ");
	queued = sv_stuff(ends[1], 70);
	return queued > 0 ? 0 : sv_fail("the pipe takes nothing");
}

static int pipe_verify(void)
{
	if (sv_same("size of the pipe", BIG_PIPE, fcntl(ends[1], F_GETPIPE_SZ)) < 0 ||
	    sv_receive(ends[0], 70, 0, queued) < 0 || sv_empty("the pipe", ends[0]) < 0)
		return -1;
	return sv_passes("the pipe", ends[1], ends[0]);
}

static void shrink(void)
{
	char c;

	(void)!read(ends[0], &c, 1);
}

/* ---- filled by splice: its pages are those of a file ------------------------------ */

static int splice_setup(void)
{
	int file = sv_file("spliced", 20000, 71);
	loff_t at = 0;

	if (file < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return sv_errno("pipe");
	queued = splice(file, &at, ends[1], NULL, 20000, 0);
	close(file);
	return queued > 0 ? 0 : sv_errno("splice");
}

static int splice_verify(void)
{
	if (sv_same("flags", O_NONBLOCK, fcntl(ends[0], F_GETFL) & O_NONBLOCK) < 0 ||
	    sv_receive(ends[0], 71, 0, queued) < 0)
		return -1;
	return sv_empty("the pipe", ends[0]);
}

/* ---- between two processes; the writer's end is the end of the data --------------- */

static struct sv_child writer;

static int write_more(int request)
{
	return sv_send(ends[1], 72, 1000, request);
}

static int shared_setup(void)
{
	if (pipe2(ends, O_CLOEXEC) < 0 || sv_child_start(&writer, write_more) < 0)
		return sv_errno("pipe");
	if (sv_send(ends[1], 72, 0, 1000) < 0)
		return -1;
	close(ends[1]);
	return 0;
}

static int shared_verify(void)
{
	if (sv_receive(ends[0], 72, 0, 1000) < 0 || sv_child_ask(&writer, 500) < 0 ||
	    sv_receive(ends[0], 72, 1000, 500) < 0 || sv_empty("the pipe", ends[0]) < 0)
		return -1;
	sv_child_kill(&writer);
	return sv_ended("the pipe of a writer that has ended", ends[0]);
}

/* Whose writer has gone, with data left in it. */
static int orphan_setup(void)
{
	if (pipe2(ends, O_CLOEXEC) < 0 || sv_send(ends[1], 73, 0, 3000) < 0)
		return sv_errno("pipe");
	close(ends[1]);
	return 0;
}

static int orphan_verify(void)
{
	return sv_receive(ends[0], 73, 0, 3000) < 0 ? -1 : sv_ended("the pipe", ends[0]);
}

/* ---- FIFOs ------------------------------------------------------------------------ */

static int fifo_setup(void)
{
	if (mkfifo("fifo", 0600) < 0)
		return sv_errno("mkfifo");
	ends[0] = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ends[1] = open("fifo", O_WRONLY | O_CLOEXEC);
	if (ends[0] < 0 || ends[1] < 0)
		return sv_errno("fifo");
	return sv_send(ends[1], 74, 0, 5000);
}

static int fifo_verify(void)
{
	int fresh = open("fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fresh < 0)
		return sv_errno("opening the FIFO again");
	if (sv_receive(ends[0], 74, 0, 5000) < 0 || sv_empty("the FIFO", ends[0]) < 0)
		return -1;
	return sv_passes("the FIFO, opened again", fresh, ends[0]);
}

/* clang-format off */
const struct sv_item sv_pipe_items[] = {
	{ "pipe-full", "a full pipe of 256 KiB", pipe_setup, pipe_verify, shrink, NULL, SV_KEPT },
	{ "pipe-spliced", "a pipe with pages of a file", splice_setup, splice_verify, shrink, NULL, SV_KEPT },
	{ "pipe-shared", "a pipe between two processes", shared_setup, shared_verify, shrink, NULL, SV_KEPT },
	{ "pipe-orphan", "what is left in a pipe without a writer", orphan_setup, orphan_verify, shrink, NULL, SV_KEPT },
	{ "fifo", "a FIFO with data", fifo_setup, fifo_verify, shrink, NULL, SV_KEPT },
	{ .name = NULL },
};
