/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The side that a container comes to: started by ssh, it does what the other side asks for and ends with the connection. migrate.h
 * has the story. The other host is trusted with what it may do by its key anyhow, and with nothing by accident: names are checked,
 * sizes have maxima, and files are received as a stranger's (storage/transfer.h).
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodge-worker/boot_files.h"
#include "cmd/lodge-worker/job.h"
#include "cmd/lodge-worker/migrate.h"
#include "ct/ahead.h"
#include "ct/migrate.h"
#include "lib/cleanup.h"
#include "lib/conf.h"
#include "lib/json.h"
#include "lib/kind.h"
#include "lib/varlink.h"
#include "storage/blocks.h"
#include "storage/layer.h"
#include "storage/plain.h"
#include "storage/transfer.h"

#define IMAGES_MAX 100000u
#define STATE_CHUNK (1 << 20)	/* of a VM's state, at most */

struct receiver {
	const struct job *job;
	struct wire wire;
	struct lg_vclient *hold;	/* ImportBegin; open as long as it is wanted */
	struct lg_vclient *calls;
	uint32_t ctid;			/* 0: not begun */
	char token[80];
	bool vm;
	int layer;			/* of a container */
	uint64_t disk_max;		/* of a VM: what its disk was made for */
	struct lg_transfer_mark mark;
	unsigned int images, rounds;
	int state, kept;		/* of a VM: to the QEMU that reads it, and to the file that keeps it; -1 */
};

/* A method of our lodged; the fields of @from that are named go along. */
static int call(struct receiver *rv, const char *method, json_t *params, json_t **ret, struct lg_err *err)
{
	int r = rv->calls ? 0 : lg_vclient_connect(rv->job->socket, &rv->calls, err);

	if (r < 0) {
		json_decref(params);
		return r;
	}
	r = lg_vclient_call(rv->calls, method, params, ret, err);
	if (r < 0) {
		/* The next one is not to suffer from a lodged that went away. */
		lg_vclient_free(rv->calls);
		rv->calls = NULL;
	}
	return r;
}

static json_t *pick(const json_t *from, const char *const *names)
{
	json_t *obj = json_object();

	for (; *names; names++)
		if (json_object_get(from, *names))
			json_object_set(obj, *names, json_object_get(from, *names));
	return obj;
}

/* ---- one function for each "op" ---- */

static int take_offer(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	static const char *const names[] = { "conf", "vm", "live", NULL };

	return call(rv, "io.lodge.ImportOffer", pick(m, names), ret, err);
}

static int take_facts(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	static const char *const names[] = { "needs", NULL };

	return call(rv, "io.lodge.Facts", pick(m, names), ret, err);
}

static int take_template(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	const char *name = lg_json_str(m, "name"), *digest = lg_json_str(m, "digest");

	(void)ret;
	if (!name || !digest)
		return lg_refuse(err, -EBADMSG, 0, "a template without a name");
	return lg_transfer_receive_template(rv->job->var, name, digest, rv->wire.in, NULL, err);
}

static int take_boot(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	(void)ret;
	return boot_receive(rv->job, &rv->wire, m, err);
}

static int take_vars(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	(void)ret;
	if (!rv->ctid || !rv->vm)
		return lg_refuse(err, -EBADMSG, 0, "settings of a firmware without a beginning");
	return vars_receive(rv->job, &rv->wire, rv->ctid, m, err);
}

static bool describes_vm(const char *text)
{
	struct lg_conf *conf = NULL;
	bool vm = text && lg_conf_parse(text, strlen(text), &conf, NULL) == 0 && lg_kind_is_vm(conf);

	lg_conf_free(conf);
	return vm;
}

static int take_begin(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	static const char *const names[] = { "ctid", "conf", "token", "live", "start", "vm", NULL };
	const char *token = lg_json_str(m, "token");
	int r;

	if (rv->hold || !token)
		return lg_refuse(err, -EBADMSG, 0, "a second beginning, or one without a token");
	boot_hold(rv->job, json_object_get(m, "vm"));
	r = lg_vclient_connect(rv->job->socket, &rv->hold, err);
	if (r == 0)
		r = lg_vclient_send(rv->hold, "io.lodge.ImportBegin", pick(m, names), true, NULL, 0, err);
	if (r == 0)
		r = lg_vclient_recv(rv->hold, ret, err);
	if (r < 0)
		return r;
	rv->ctid = (uint32_t)lg_json_int(*ret, "ctid", 0);
	snprintf(rv->token, sizeof(rv->token), "%s", token);
	rv->vm = describes_vm(lg_json_str(m, "conf"));
	if (!rv->vm)
		rv->layer = lg_layer_open(rv->job->var, rv->ctid, err);
	return !rv->vm && rv->layer < 0 ? rv->layer : 0;
}

/* Its disk was made empty, with the size that its conf file says. */
static int take_disk(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	char path[LG_LAYER_PATH];
	lg_autoclose int fd = -1;
	struct stat st;

	(void)m;
	(void)ret;
	if (!rv->ctid || !rv->vm || !lg_layer_disk(rv->job->var, rv->ctid, path))
		return lg_refuse(err, -EBADMSG, 0, "a disk without a beginning");
	fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	if (rv->disk_max == 0)
		rv->disk_max = (uint64_t)st.st_size;
	return lg_blocks_receive(rv->wire.in, fd, rv->disk_max, err);
}

static int take_layer(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	(void)m;
	(void)ret;
	if (rv->layer < 0)
		return lg_refuse(err, -EBADMSG, 0, "files without a beginning");
	return lg_transfer_receive(rv->wire.in, rv->layer, NULL, &rv->mark, err);
}

static bool name_is_sound(const char *name)
{
	return name && *name && *name != '.' && !strchr(name, '/') && strlen(name) < 200;
}

/* Where images of a round are; 0: the dump's. */
static int images_path(const struct receiver *rv, unsigned int round, char path[300])
{
	int n = snprintf(path, 300, "%.250s/checkpoint/%u", rv->job->var, rv->ctid);

	if (round)
		n += snprintf(path + n, 300 - (size_t)n, "/" LG_AHEAD_FOLDER, round);
	return n;
}

/* The links are ours: CRIU follows them from the dump's images to what was copied ahead. */
static int link_parent(const struct receiver *rv, unsigned int from, unsigned int to, struct lg_err *err)
{
	char path[400], target[LG_AHEAD_NAME + 3];
	int n = images_path(rv, from, path);

	snprintf(path + n, sizeof(path) - (size_t)n, "/" LG_AHEAD_PARENT);
	snprintf(target, sizeof(target), "%s" LG_AHEAD_FOLDER, from ? "../" : "", to);
	return symlink(target, path) < 0 ? lg_fail(err, -errno, "make '%s'", path) : 0;
}

static int take_round(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	unsigned int n = rv->rounds + 1;
	char path[300];

	(void)ret;
	if (!rv->ctid || n > LG_AHEAD_ROUNDS_MAX || lg_json_int(m, "round", 0) != n)
		return lg_refuse(err, -EBADMSG, 0, "a bad round of images");
	images_path(rv, n, path);
	/* As the folder of the images, and to be opened by name by those who have the container's ids. */
	if (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0)
		return lg_fail(err, -errno, "make '%s'", path);
	rv->rounds = n;
	return n > 1 ? link_parent(rv, n, n - 1, err) : 0;
}

static int take_images(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	int64_t parent = lg_json_int(m, "parent", 0);

	(void)ret;
	if (parent == 0)
		return 0;
	if (parent != rv->rounds)
		return lg_refuse(err, -EBADMSG, 0, "images without those before them");
	return link_parent(rv, 0, rv->rounds, err);
}

static int take_image(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	const char *name = lg_json_str(m, "name");
	int64_t size = lg_json_int(m, "size", -1), round = lg_json_int(m, "round", 0);
	lg_autoclose int fd = -1;
	char folder[300], path[600];

	(void)ret;
	if (!rv->ctid || !name_is_sound(name) || size < 0 || round < 0 || round > rv->rounds ||
	    rv->images++ == IMAGES_MAX)
		return lg_refuse(err, -EBADMSG, 0, "a bad image");
	images_path(rv, (unsigned int)round, folder);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return lg_fail(err, -errno, "make '%s'", path);
	return wire_recv_file(&rv->wire, fd, (uint64_t)size, err);
}

/* ---- of a VM that runs ---- */

static int open_kept(struct receiver *rv, struct lg_err *err)
{
	char path[400];
	int n = images_path(rv, 0, path);

	snprintf(path + n, sizeof(path) - (size_t)n, "/machine.img");
	rv->kept = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return rv->kept < 0 ? lg_fail(err, -errno, "make '%s'", path) : 0;
}

static int take_incoming(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	lg_autoclose int theirs = -1;
	int pipes[2], r;

	(void)m;
	if (!rv->ctid || !rv->vm || rv->state >= 0)
		return lg_refuse(err, -EBADMSG, 0, "a machine without a beginning");
	r = open_kept(rv, err);
	if (r == 0 && pipe2(pipes, O_CLOEXEC) < 0)
		r = lg_fail(err, -errno, "make a pipe");
	if (r < 0)
		return r;
	theirs = pipes[0];
	rv->state = pipes[1];
	fcntl(theirs, F_SETPIPE_SZ, STATE_CHUNK);
	r = rv->calls ? 0 : lg_vclient_connect(rv->job->socket, &rv->calls, err);
	if (r == 0)
		r = lg_vclient_send(rv->calls, "io.lodge.ImportIncoming", json_pack("{s:s}", "token", rv->token), false, &theirs, 1,
				    err);
	return r < 0 ? r : lg_vclient_recv(rv->calls, ret, err);
}

/* The machine does not take it: why is what ImportBegin, which waits all the time, is answered with. */
static int not_taken(struct receiver *rv, struct lg_err *err)
{
	json_t *answer = NULL;
	int r = lg_vclient_recv(rv->hold, &answer, err);

	json_decref(answer);
	return r < 0 ? r : lg_refuse(err, -EPIPE, 0, "the machine does not read its state");
}

static int take_state(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	static char chunk[STATE_CHUNK];
	int64_t size = lg_json_int(m, "size", -1);
	const struct wire to_file = { -1, rv->kept }, to_machine = { -1, rv->state };
	int r;

	(void)ret;
	if (rv->state < 0 || size <= 0 || size > (int64_t)sizeof(chunk))
		return lg_refuse(err, -EBADMSG, 0, "a bad piece of a machine's state");
	r = wire_recv_data(&rv->wire, chunk, (size_t)size, err);
	if (r == 0 && wire_send_data(&to_file, chunk, (size_t)size, err) < 0)
		r = lg_within(err, err->code, "keep the machine's state");
	if (r == 0 && wire_send_data(&to_machine, chunk, (size_t)size, err) < 0)
		r = not_taken(rv, err);
	return r;
}

static int take_stated(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	(void)m;
	(void)ret;
	if (rv->state < 0)
		return lg_refuse(err, -EBADMSG, 0, "the end of a machine's state without a beginning");
	rv->state = lg_close(rv->state);
	rv->kept = lg_close(rv->kept);
	return 0;
}

/* The dump that they were of has failed, and is done once more. */
static int take_anew(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	char path[300];

	(void)m;
	(void)ret;
	if (!rv->ctid)
		return lg_refuse(err, -EBADMSG, 0, "images without a beginning");
	images_path(rv, 0, path);
	dir = opendir(path);
	if (!dir)
		return lg_fail(err, -errno, "look at the images");
	while ((e = readdir(dir)))
		if (e->d_type == DT_REG && unlinkat(dirfd(dir), e->d_name, 0) < 0)
			return lg_fail(err, -errno, "remove the image '%s'", e->d_name);
	return 0;
}

/* What was received is not to be in use by us when it is mounted. */
static int let_layer_go(struct receiver *rv, struct lg_err *err)
{
	int r = 0;

	if (rv->layer >= 0)
		r = lg_plain_mark(rv->job->var, rv->ctid, rv->layer, err);
	rv->layer = lg_close(rv->layer);
	return r;
}

static int take_restore(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	int r = let_layer_go(rv, err);

	(void)m;
	if (r == 0)
		r = call(rv, "io.lodge.ImportRestore", json_pack("{s:s}", "token", rv->token), ret, err);
	warm_end();
	return r;
}

static int take_go(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	static const char *const told[] = { "ago_us", NULL };
	lg_autojson json_t *answer = NULL;
	int r = let_layer_go(rv, err);

	(void)m;
	if (r == 0)
		r = call(rv, "io.lodge.ImportGo", json_pack("{s:s}", "token", rv->token), &answer, err);
	if (r == 0)
		*ret = pick(answer, told);
	return r;
}

static int take_query(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	static const char *const names[] = { "token", NULL };

	return call(rv, "io.lodge.ImportQuery", pick(m, names), ret, err);
}

static int take_forget(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	static const char *const names[] = { "token", NULL };

	return call(rv, "io.lodge.ImportForget", pick(m, names), ret, err);
}

static int take_soon(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	(void)rv;
	(void)m;
	(void)ret;
	(void)err;
	warm_begin();
	return 0;
}

static int nothing(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err)
{
	(void)rv;
	(void)m;
	(void)ret;
	(void)err;
	return 0;
}

/* clang-format off */
static const struct op {
	const char *name;
	int (*run)(struct receiver *rv, const json_t *m, json_t **ret, struct lg_err *err);
	bool silent;	/* more follows: it is answered at "done" or "images" */
} ops[] = {
	{ "facts",	take_facts,	false },
	{ "offer",	take_offer,	false },
	{ "template",	take_template,	true },
	{ "boot",	take_boot,	true },
	{ "begin",	take_begin,	false },
	{ "layer",	take_layer,	true },
	{ "disk",	take_disk,	true },
	{ "vars",	take_vars,	true },
	{ "done",	nothing,	false },
	{ "round",	take_round,	false },
	{ "image",	take_image,	true },
	{ "soon",	take_soon,	true },
	{ "anew",	take_anew,	true },
	{ "incoming",	take_incoming,	false },
	{ "state",	take_state,	true },
	{ "stated",	take_stated,	false },
	{ "images",	take_images,	false },
	{ "restore",	take_restore,	false },
	{ "go",		take_go,	false },
	{ "query",	take_query,	false },
	{ "forget",	take_forget,	false },
};
/* clang-format on */

static const struct op *find_op(const json_t *m)
{
	const char *name = lg_json_str(m, "op");

	for (size_t i = 0; name && i < ARRAY_SIZE(ops); i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

static int refuse(struct receiver *rv, const struct lg_err *err)
{
	return wire_send(&rv->wire, json_pack("{s:o, s:i, s:i}", "error", lg_varlink_text(err->msg),
					      "errno", -err->code, "exit", err->exit_code), NULL);
}

/* A failure in the middle of raw data leaves the connection of no use: it is told, and we end. */
static int serve_one(struct receiver *rv, struct lg_err *err)
{
	lg_autojson json_t *m = NULL;
	json_t *answer = NULL;
	const struct op *op;
	int r = wire_recv(&rv->wire, &m, err);

	if (r < 0)
		return r;
	op = find_op(m);
	if (op && !op->silent)
		wait_at(op->name);
	r = op ? op->run(rv, m, &answer, err) :
		 lg_refuse(err, -EBADMSG, 0, "this lodge does not know what the other one asks for");
	if (r < 0) {
		refuse(rv, err);
		json_decref(answer);
		return op && op->silent ? r : 0;
	}
	if (op->silent) {
		json_decref(answer);
		return 0;
	}
	return wire_send(&rv->wire, answer ? answer : json_object(), err);
}

int migrate_receive(const struct job *job, struct lg_err *err)
{
	struct receiver rv = { .job = job, .wire = { .in = STDIN_FILENO }, .layer = -1, .state = -1, .kept = -1 };
	int r = 0;

	/* What is printed goes to the log of the connection, and only our messages to its stdout. */
	rv.wire.out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
	if (rv.wire.out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
	    write(rv.wire.out, LG_MIGRATE_MAGIC, strlen(LG_MIGRATE_MAGIC)) < 0)
		return lg_fail(err, -errno, "answer");
	signal(SIGPIPE, SIG_IGN);
	while (r == 0)
		r = serve_one(&rv, err);
	lg_close(rv.layer);
	lg_close(rv.state);
	lg_close(rv.kept);
	lg_vclient_free(rv.hold);
	lg_vclient_free(rv.calls);
	return r == -EPIPE ? 0 : r;
}
