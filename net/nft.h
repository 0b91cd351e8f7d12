/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_NFT_H
#define LG_NET_NFT_H

/*
 * libnftables with its messages turned into errors. One context for the life of a daemon:
 * making one costs milliseconds, a command in it a tenth of one.
 */

#include "lib/err.h"

struct lg_nft;

/** lg_nft_new() - a context that works on the caller's network namespace. */
int lg_nft_new(struct lg_nft **ret, struct lg_err *err);
void lg_nft_free(struct lg_nft *nft);

/**
 * lg_nft_run() - run commands in nft's language, all of them or none
 * @what:	for the error: "WHAT: nft's first line"
 *
 * Return: 0; -EIO (libnftables tells no errno).
 */
int lg_nft_run(struct lg_nft *nft, const char *commands, const char *what, struct lg_err *err);

/** lg_nft_ask() - run a listing; *@ret is its text, malloc()ed. Return: 0, -EIO, -ENOMEM. */
int lg_nft_ask(struct lg_nft *nft, const char *command, char **ret, struct lg_err *err);

#endif
