/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A template from store to store: the same stream, and a digest that says whether it is the one. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/parse.h"
#include "storage/manifest.h"
#include "storage/store.h"
#include "storage/template_new.h"
#include "storage/transfer.h"
#include "storage/transfer_tree.h"

int lg_transfer_send_template(const char *var, const char *name, int out_fd,
			      const struct lg_transfer_send *how, struct lg_err *err)
{
	struct lg_transfer_send frozen = how ? *how : (struct lg_transfer_send){ 0 };
	struct lg_send_tree what = { LG_TRANSFER_TEMPLATE, -1, NULL, out_fd };
	lg_autoclose int store = -1, dir = -1;
	struct lg_template t;
	int r = lg_template_load(var, name, &t, err);

	if (r < 0)
		return r;
	store = lg_store_open(var, "templates", err);
	dir = store < 0 ? store : lg_open_dir(store, name, err);
	if (dir < 0)
		return dir;
	/* Templates are never written to. */
	frozen.frozen = true;
	what.fd = dir;
	r = lg_send_tree(&what, &frozen, NULL, NULL, err);
	return r < 0 ? lg_within(err, r, "send template '%s'", name) : 0;
}

/* Is what came what was asked for? The manifest's own claims count for nothing. */
static int verify(const struct lg_template_new *n, const char *digest, struct lg_err *err)
{
	char got[sizeof(((struct lg_template *)NULL)->digest)];
	struct lg_template t;
	uint64_t size;
	int r = lg_manifest_load(n->dir, n->name, 1, &t, err);

	if (r == 0)
		r = lg_template_new_digest(n, &t, got, &size, err);
	if (r < 0)
		return r;
	if (strcmp(got, digest) != 0 || strcmp(t.digest, digest) != 0)
		return lg_refuse(err, -EBADMSG, 0, "it is not the one that was asked for: %s", got);
	return t.kernel_for[0] ? 0 : lg_template_new_check(n, t.init, err);
}

static int receive(const struct lg_template_new *n, const char *digest, int in_fd,
		   const struct lg_transfer_receive *how, struct lg_err *err)
{
	const struct lg_receive_tree what = { LG_TRANSFER_TEMPLATE, n->dir, in_fd };
	struct lg_transfer_mark mark = { 0 };
	int r = lg_receive_tree(&what, how, &mark, err);

	return r < 0 ? r : verify(n, digest, err);
}

int lg_transfer_receive_template(const char *var, const char *name, const char *digest, int in_fd,
				 const struct lg_transfer_receive *how, struct lg_err *err)
{
	struct lg_template_new n;
	int r = lg_check_template_name(name, err);

	if (r < 0)
		return r;
	r = lg_template_new_make(&n, var, name, err);
	if (r == 0 && faccessat(n.store, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = lg_refuse(err, -EEXIST, 0, "there is a template of that name already");
	if (r == 0)
		r = receive(&n, digest, in_fd, how, err);
	if (r == 0)
		r = lg_template_new_keep(&n, 0, err);
	lg_template_new_finish(&n, r < 0);
	return r < 0 ? lg_within(err, r, "receive template '%s'", name) : 0;
}
