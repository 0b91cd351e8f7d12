/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: a pass first walks the tree with nothing but names and statx(2) and compares it with
 * the book of the pass before; then it is known what goes and what comes, how much it is, and
 * which folders have to be entered for it.
 *
 * A file is the same when the inode and its ctime are: whatever is written or set changes ctime, and
 * no guest can set it. Two things hide a change from that comparison:
 *
 *	A shared mapping is written to without the kernel's seeing it, from the first write to a page,
 *	which sets ctime, until the page is next written back. So a pass of a running container begins
 *	with syncfs(2): whatever page is written to after it sets ctime first.
 *
 *	Times are as coarse as the kernel's tick or the file system's inode. A write just after a look
 *	may leave ctime as it was.
 *
 * Both are met by the moment taken before that syncfs(2): what has a ctime from then on, less the
 * coarsest granularity, is sent again in the next pass, even if it looks the same. The pages of
 * tmpfs are never written back, so there every file is sent again.
 *
 * A pass of a frozen container whose names come and go (`still`) has no need for that syncfs(2), as nothing writes. What it read of
 * a file is certain, whatever its ctime; for the folders, and for everything should the container run on, the moment of the pass
 * before goes on to count.
 *
 * A folder that was renamed keeps its children's ctimes, but their paths are new; they are compared by
 * path and found missing in the book before.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "storage/transfer_index.h"

/* What travels of the folder that is sent: everything else in it is the host's own. */
static const struct {
	enum lg_transfer_kind kind;
	const char *name;
	bool is_dir;
} content[] = {
	{ LG_TRANSFER_LAYER, "upper", true },
	{ LG_TRANSFER_LAYER, "plain", true },
	{ LG_TRANSFER_TEMPLATE, "rootfs", true },
	{ LG_TRANSFER_TEMPLATE, "manifest", false },
};

bool lg_pass_content(enum lg_transfer_kind kind, const char *name, bool is_dir)
{
	for (size_t i = 0; i < ARRAY_SIZE(content); i++)
		if (content[i].kind == kind && content[i].is_dir == is_dir &&
		    strcmp(content[i].name, name) == 0)
			return true;
	return false;
}

int lg_pass_stale(const struct lg_pass *pass, const char *name)
{
	char where[LG_WHERE_MAX];

	return lg_refuse(pass->err, -ESTALE, 0, "'%s' changed while it was read",
			 lg_cursor_where(&pass->at, name, where));
}

static int compare(struct lg_moment a, struct lg_moment b)
{
	if (a.sec != b.sec)
		return a.sec < b.sec ? -1 : 1;
	return a.nsec < b.nsec ? -1 : a.nsec > b.nsec;
}

static bool has_changed(const struct lg_pass *pass, const struct lg_node *node)
{
	const struct lg_node *old;

	if (node->old == LG_NODE_NONE)
		return true;
	old = &pass->before->nodes[node->old];
	return !(old->flags & LG_NODE_SURE) || !lg_node_same_file(node, old) ||
	       compare(node->ctime, old->ctime) != 0 || compare(node->mtime, old->mtime) != 0 ||
	       node->mode != old->mode || node->size != old->size || node->nlink != old->nlink ||
	       ((lg_node_is_dir(node) || !pass->before->still) && compare(node->ctime, pass->since) >= 0);
}

/* The same name, for what the other end has there to be kept or simply replaced? */
static bool fits_old(const struct lg_node *node, const struct lg_node *old)
{
	if (!lg_node_is_dir(node) || !lg_node_is_dir(old))
		return lg_node_is_dir(node) == lg_node_is_dir(old);
	return old->flags & LG_NODE_SURE;
}

static int add_gone(struct lg_pass *pass, uint32_t folder, uint32_t old)
{
	int r = lg_index_add_gone(pass->now, folder, old);

	lg_index_mark(pass->now, folder, LG_NODE_GONE);
	lg_index_mark(pass->now, folder, LG_NODE_SEND);
	return r;
}

/* Find @folder's names in the book before; what is only there is gone. */
static int match_names(struct lg_pass *pass, uint32_t folder)
{
	struct lg_transfer_index *now = pass->now;
	const struct lg_transfer_index *before = pass->before;
	struct lg_node *f = &now->nodes[folder];
	const struct lg_node *o = f->old == LG_NODE_NONE ? NULL : &before->nodes[f->old];
	uint32_t i = f->first, old = o ? o->first : 0, end = o ? o->first + o->count : 0;
	int r = 0;

	while (r == 0 && old < end) {
		struct lg_node *node = &now->nodes[i];
		int order = i == f->first + f->count ?
				    -1 : strcmp(lg_node_name(before, old), lg_node_name(now, i));

		if (order == 0 && (node->mode == 0 || fits_old(node, &before->nodes[old])))
			node->old = old;
		else if (order <= 0)
			r = add_gone(pass, folder, old);
		old += order <= 0;
		i += order >= 0;
	}
	return r;
}

static int look_at_names(struct lg_pass *pass, uint32_t folder)
{
	const struct lg_node *f = &pass->now->nodes[folder];
	char where[LG_WHERE_MAX];

	for (uint32_t i = f->first; i < f->first + f->count; i++) {
		struct lg_node *node = &pass->now->nodes[i];
		const char *name = lg_node_name(pass->now, i);
		int r = lg_node_look(node, pass->at.fd, name);

		if (r == -ENOENT && !pass->frozen)
			node->mode = 0;
		else if (r == -ENOENT)
			return lg_pass_stale(pass, name);
		else if (r < 0)
			return lg_fail(pass->err, r, "look at '%s'",
				       lg_cursor_where(&pass->at, name, where));
	}
	return 0;
}

/* At the top only what is content is kept; the names are in order before and after. */
static int keep_content(struct lg_pass *pass)
{
	struct lg_node *top = &pass->now->nodes[0];
	uint32_t kept = top->first;

	for (uint32_t i = top->first; i < top->first + top->count; i++) {
		const char *name = lg_node_name(pass->now, i);

		if (strncmp(name, "lower.", 6) == 0)
			return lg_refuse(pass->err, -EOPNOTSUPP, 0,
					 "its files are owned by ids from %s: they cannot be "
					 "sent to another host", name + 6);
		if (lg_pass_content(pass->kind, name, lg_node_is_dir(&pass->now->nodes[i])))
			pass->now->nodes[kept++] = pass->now->nodes[i];
	}
	top->count = kept - top->first;
	return 0;
}

/* Names come and go only with a new ctime of their folder. */
static int read_names(struct lg_pass *pass, uint32_t folder)
{
	const struct lg_node *node = &pass->now->nodes[folder];

	if (folder == 0 || has_changed(pass, node))
		return lg_index_add_names(pass->now, folder, pass->at.fd);
	return lg_index_copy_names(pass->now, folder, pass->before, node->old);
}

static int scan_folder(struct lg_pass *pass, uint32_t folder)
{
	struct lg_transfer_index *now = pass->now;
	char where[LG_WHERE_MAX];
	int r = read_names(pass, folder);

	if (r < 0)
		return lg_fail(pass->err, r, "read the folder '%s'",
			       lg_cursor_where(&pass->at, NULL, where));
	r = look_at_names(pass, folder);
	if (r == 0 && folder == 0)
		r = keep_content(pass);
	if (r == 0 && match_names(pass, folder) < 0)
		r = lg_fail(pass->err, -ENOMEM, "compare with the pass before");
	for (uint32_t i = now->nodes[folder].first;
	     r == 0 && i < now->nodes[folder].first + now->nodes[folder].count; i++)
		if (now->nodes[i].mode && has_changed(pass, &now->nodes[i]))
			lg_index_mark(now, i, LG_NODE_SEND);
	return r;
}

/* Into @node. Return: 1; 0 when it is another one by now and left alone; negative errno. */
static int enter(struct lg_pass *pass, uint32_t node)
{
	const char *name = lg_node_name(pass->now, node);
	char where[LG_WHERE_MAX];
	int r = lg_cursor_down(&pass->at, name);

	if (r == 0)
		return 1;
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP) {
		pass->now->nodes[node].mode = 0;
		return pass->frozen ? lg_pass_stale(pass, name) : 0;
	}
	if (r == -EXDEV)
		return lg_refuse(pass->err, r, 0, "something is mounted on '%s'",
				 lg_cursor_where(&pass->at, name, where));
	return lg_fail(pass->err, r, "open the folder '%s'",
		       lg_cursor_where(&pass->at, name, where));
}

static int enter_and_scan(struct lg_pass *pass, uint32_t node)
{
	struct lg_node *n = &pass->now->nodes[node];
	struct lg_node seen = *n;
	int r = enter(pass, node);

	if (r <= 0)
		return r;
	/* It may be another folder than the one that was looked at a moment ago. */
	r = lg_node_look(&seen, pass->at.fd, "");
	if (r == 0 && !lg_node_same_file(&seen, n)) {
		if (pass->frozen)
			return lg_pass_stale(pass, NULL);
		*n = seen;
		lg_index_mark(pass->now, node, LG_NODE_SEND);
	}
	r = r < 0 ? lg_fail(pass->err, r, "look at a folder") : scan_folder(pass, node);
	return r < 0 ? r : 1;
}

static int leave(struct lg_pass *pass, uint32_t folder)
{
	const struct lg_node *parent = &pass->now->nodes[pass->now->nodes[folder].parent];
	struct lg_node seen;

	if (lg_cursor_up(&pass->at) < 0)
		return lg_pass_stale(pass, NULL);
	/* Deep down the way up is "..", and a guest may have moved the folder meanwhile. */
	if (pass->at.depth >= LG_CURSOR_HELD &&
	    (lg_node_look(&seen, pass->at.fd, "") < 0 || !lg_node_same_file(&seen, parent)))
		return lg_pass_stale(pass, NULL);
	return 0;
}

static int scan_tree(struct lg_pass *pass)
{
	uint32_t folder = 0, at;
	int r = scan_folder(pass, 0);

	at = pass->now->nodes[0].first;
	while (r >= 0) {
		const struct lg_node *f = &pass->now->nodes[folder];

		if (at == f->first + f->count) {
			if (folder == 0)
				return 0;
			r = leave(pass, folder);
			at = folder + 1;
			folder = f->parent;
			continue;
		}
		r = lg_node_is_dir(&pass->now->nodes[at]) ? enter_and_scan(pass, at) : 0;
		if (r > 0)
			folder = at;
		at = r > 0 ? pass->now->nodes[at].first : at + 1;
	}
	return r;
}

/* ---- names of one file ---- */

static int by_file(const void *a, const void *b, void *nodes)
{
	const struct lg_node *x = (const struct lg_node *)nodes + *(const uint32_t *)a;
	const struct lg_node *y = (const struct lg_node *)nodes + *(const uint32_t *)b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static bool has_names(const struct lg_node *node)
{
	return node->mode && !lg_node_is_dir(node) && node->nlink > 1;
}

/* One of them changed: what the other end has under the others has to become the same file again. */
static void mark_group(struct lg_transfer_index *x, const uint32_t *names, uint32_t n,
		       uint32_t group)
{
	bool send = false;

	for (uint32_t i = 0; i < n; i++)
		send |= (x->nodes[names[i]].flags & LG_NODE_SEND) != 0;
	for (uint32_t i = 0; i < n; i++) {
		x->nodes[names[i]].group = group;
		if (send)
			lg_index_mark(x, names[i], LG_NODE_SEND);
	}
}

static int find_groups(struct lg_transfer_index *x)
{
	lg_autofree uint32_t *names = NULL;
	uint32_t n = 0, groups = 0;

	for (uint32_t i = 0; i < x->n; i++)
		n += has_names(&x->nodes[i]);
	if (n == 0)
		return 0;
	names = calloc(n, sizeof(*names));
	if (!names)
		return -ENOMEM;
	n = 0;
	for (uint32_t i = 0; i < x->n; i++)
		if (has_names(&x->nodes[i]))
			names[n++] = i;
	qsort_r(names, n, sizeof(*names), by_file, x->nodes);
	for (uint32_t i = 0, end; i < n; i = end) {
		end = i + 1;
		while (end < n && by_file(&names[i], &names[end], x->nodes) == 0)
			end++;
		if (end - i > 1)
			mark_group(x, names + i, end - i, ++groups);
	}
	return 0;
}

/* ---- the pass ---- */

int lg_pass_scan(struct lg_pass *pass)
{
	struct lg_transfer_index *now = pass->now;
	int r;

	if (pass->before)
		now->nodes[0].old = 0;
	r = lg_node_look(&now->nodes[0], pass->at.fd, "");
	if (r < 0)
		return lg_fail(pass->err, r, "look at the layer");
	r = scan_tree(pass);
	if (r < 0)
		return r;
	return find_groups(now) < 0 ? lg_fail(pass->err, -ENOMEM, "find the names of files") : 0;
}
