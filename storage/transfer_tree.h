/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_TRANSFER_TREE_H
#define LG_STORAGE_TRANSFER_TREE_H

#include "storage/transfer.h"
#include "storage/transfer_stream.h"

struct lg_send_tree {
	enum lg_transfer_kind kind;
	int fd;			/* the folder whose content of that kind is sent; borrowed */
	const struct lg_transfer_index *before;
	int out_fd;
};

/** lg_send_tree() - lg_transfer_send() for either kind of tree. */
int lg_send_tree(const struct lg_send_tree *what, const struct lg_transfer_send *how,
		 struct lg_transfer_sent *ret, struct lg_transfer_index **ret_index,
		 struct lg_err *err);

struct lg_receive_tree {
	enum lg_transfer_kind kind;
	int fd;			/* the folder that it goes into; borrowed */
	int in_fd;
};

/** lg_receive_tree() - lg_transfer_receive() for either kind of tree. */
int lg_receive_tree(const struct lg_receive_tree *what, const struct lg_transfer_receive *how,
		    struct lg_transfer_mark *mark, struct lg_err *err);

#endif
