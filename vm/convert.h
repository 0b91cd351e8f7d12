/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_CONVERT_H
#define LG_VM_CONVERT_H

/*
 * A disk image that somebody brings becomes the raw disk of a machine.
 *
 * An image is hostile input, of formats that take a large program to read. So what it is is told by its first bytes and never by a
 * name; a raw one is copied by us, byte for byte; and all others are read by qemu-img in QEMU's sandbox (vm/sandbox.h): under the
 * machine's own id, without a network, in a root of programs and libraries, and with two files: a copy of the image that nobody else can change
 * meanwhile, and the disk. Images that say that part of them is in another file are refused before.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

enum lg_image_format {
	LG_IMAGE_RAW,		/* has a boot sector */
	LG_IMAGE_QCOW2,
	LG_IMAGE_VMDK,
	LG_IMAGE_VHDX,
	LG_IMAGE_FORMATS_
};

/** lg_image_format_name() - as qemu-img calls it. */
const char *lg_image_format_name(enum lg_image_format format);

/**
 * lg_image_detect() - what is in the file @fd
 * Return: an enum lg_image_format; -EINVAL with what it seems to be instead; negative errno.
 */
int lg_image_detect(int fd, struct lg_err *err);

struct lg_convert {
	int image;		/* for reading; a regular file */
	int disk;		/* for reading and writing: empty, and as long as the disk is to be */
	int folder;		/* where there is room for a copy, and nobody else is */
	uint32_t id;		/* user and group that qemu-img runs as */
	const char *scratch;	/* as of lg_sandbox */
	int lifeline;		/* nobody wants it any more when its other end is closed; -1: none */
	void (*progress)(const char *line, void *arg);
	void *arg;
};

/**
 * lg_convert() - fill the disk; takes as long as copying takes
 *
 * What a killed one leaves is in @disk alone. Return: 0; -EINVAL with why the image is not taken; -ERANGE: the disk is too small;
 * -ENOSPC; -ECANCELED; -ENOENT: there is no qemu-img.
 */
int lg_convert(const struct lg_convert *c, struct lg_err *err);

/* ---- parts of it ---- */

/** lg_copy_sparse() - all of @from to @to, what is zero as holes. Errors as of lg_convert(). */
int lg_copy_sparse(const struct lg_convert *c, int from, int to, const char *what, struct lg_err *err);

/** lg_convert_wanted() - 0; -ECANCELED: the lifeline has ended. */
int lg_convert_wanted(const struct lg_convert *c, struct lg_err *err);

/**
 * lg_image_check_info() - may an image be taken of which qemu-img info says @text (JSON)?
 * @ret_bytes:	how large the disk in it is
 * Return: 0; -EINVAL: it needs other files, or @text is not understood.
 */
int lg_image_check_info(const char *text, enum lg_image_format format, uint64_t *ret_bytes, struct lg_err *err);

/**
 * lg_image_check_check() - is an image whole of which qemu-img check says @text (JSON)?
 * @file_bytes:	how long the image is
 */
int lg_image_check_check(const char *text, uint64_t file_bytes, struct lg_err *err);

/**
 * lg_qemu_img() - run it in the sandbox
 * @args:	behind the program's name; "/proc/self/fd/3" is the image @image, ".../4" the disk
 * @image:	belongs to c->id
 * @ret:	what it printed, malloc()ed; NULL: its progress is told
 *
 * Return: its exit status; -EIO with its last words where it ended otherwise; -ECANCELED; negative errno.
 */
int lg_qemu_img(const struct lg_convert *c, const char *const *args, int image, char **ret, struct lg_err *err);

#endif
