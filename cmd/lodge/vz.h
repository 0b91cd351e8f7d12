/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_VZ_H
#define LG_CMD_LODGE_VZ_H

/*
 * OpenVZ's command line over lodge: the same words on stdout, the same exit statuses, the same
 * options. What has no meaning here is kept in the configuration and answered with one warning.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/lodge/cli.h"

/** vzctl_run(), vzlist_run(), vzmigrate_run() - @words[0] is the program's name. Return: as a verb's function. */
int vzctl_run(struct cli *cli, size_t nwords, char **words);
int vzlist_run(struct cli *cli, size_t nwords, char **words);
int vzmigrate_run(struct cli *cli, size_t nwords, char **words);

/** vz_program() - the one of them with that name; NULL */
int (*vz_program(const char *name))(struct cli *cli, size_t nwords, char **words);

/* vzctl's statuses that lodge itself has no use for. */
enum { VZ_EXIT_APPLY_CONFIG = 109 };

/* One vzctl call: which container, and how it was when the call began. */
struct vz {
	struct cli *cli;
	const char *verb;
	char id[16];			/* number, decimal */
	uint32_t ctid;
	bool exists, running, mounted, suspended;
	bool quiet;
	char **words;			/* what stands behind CTID */
	size_t nwords;
};

/** vz_say() - one line on stdout, at once; nothing with --quiet. */
void vz_say(const struct vz *vz, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** vz_warn() - "WARNING: ..." on stderr. */
void vz_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** vz_warnings() - those of an answer */
void vz_warnings(const json_t *answer);

/** vz_refuse() - an error in vzctl's own words. Return: -EINVAL, with cli->err. */
int vz_refuse(const struct vz *vz, int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** vz_call() - io.lodge.METHOD for this container; @extra is stolen and may be NULL. */
int vz_call(const struct vz *vz, const char *method, json_t *extra, json_t **ret);

/** vz_start(), vz_stop() - as the verbs do it, words and all; for restart and --userpasswd. */
int vz_start(const struct vz *vz, bool wait, bool force);
int vz_stop(const struct vz *vz, bool fast);

/** vz_parse_flags() - options of a simple verb into @ret (opt_free() it); any other word behind CTID is refused. */
int vz_parse_flags(const struct vz *vz, const struct opt *table, struct args *ret);

/* ---- vz_checkpoint.c ---- */
int vz_chkpnt(struct vz *vz);
int vz_restore(struct vz *vz);

/* ---- vz_change.c: create and set ---- */
int vz_create(struct vz *vz);
int vz_set(struct vz *vz);

/* ---- vz_exec.c ---- */
int vz_exec(struct vz *vz);
int vz_exec2(struct vz *vz);
int vz_exec3(struct vz *vz);
int vz_enter(struct vz *vz);
int vz_console(struct vz *vz);

/** vz_set_password() - "user:password" in a running container, through its own chpasswd. */
int vz_set_password(const struct vz *vz, const char *userpasswd, bool crypted);

/* ---- vz_opts.c: what the options of create and set mean ---- */

/* What was asked for, in the form that lodged takes. */
struct vz_wish {
	json_t *set;			/* {setting or conf key: value} */
	json_t *add_ip, *del_ip;
	const char *userpasswd, *setmode, *config, *applyconfig;
	bool save, force, reset_ub, crypted;
	bool paths;			/* --root or --private: not while it runs */
	const char *needs_save;		/* an option that makes no sense without --save */
	json_t *lists;			/* changes of lists: see vz_lists_apply() */
};

/** vz_wish_parse() - read the options behind CTID. Give it to vz_wish_free() in any case. */
int vz_wish_parse(struct vz_wish *w, size_t nwords, char **words, struct lg_err *err);
void vz_wish_free(struct vz_wish *w);

/** vz_lists_apply() - --netif_add and the like: work out the new lists from the old @conf. */
int vz_lists_apply(struct vz_wish *w, const json_t *conf);

/**
 * vz_value() - what vzctl's option @opt with @text means to lodged
 * @cpus:	CPUs of this host, for "50%"
 * @name:	setting name or conf key to set
 * @value:	malloc()ed
 *
 * Return: 0; 1 when it is only kept; negative errno with a line that names the option.
 */
int vz_value(const char *opt, const char *text, long cpus, const char **name, char **value,
	     struct lg_err *err);

/** vz_list_edit() - the list @old (members between @sep) with @add at its end, or without @del. */
char *vz_list_edit(const char *old, char sep, const char *add, const char *del);

/* ---- vz_migrate.c ---- */

enum vz_migrate_exit {	/* vzmigrate's statuses */
	VZ_MIGRATE_OK = 0,
	VZ_MIGRATE_USAGE = 1,
	VZ_MIGRATE_STOPPED = 2,		/* --live, and it does not run */
	VZ_MIGRATE_CONNECT = 4,
	VZ_MIGRATE_COPY = 6,
	VZ_MIGRATE_START = 7,		/* start or restore there */
	VZ_MIGRATE_STOP = 8,		/* stop or suspend here */
	VZ_MIGRATE_EXISTS = 9,		/* there, already */
	VZ_MIGRATE_NO_CT = 10,		/* here */
	VZ_MIGRATE_IP_IN_USE = 12,
	VZ_MIGRATE_NO_DAEMON = 14,	/* "OpenVZ is not running" */
	VZ_MIGRATE_NAME = 15,
	VZ_MIGRATE_CPT = 17,		/* versions or features of the checkpointing */
	VZ_MIGRATE_CPU = 18,
	VZ_MIGRATE_CONFIG = 19,		/* what the other host lacks */
	VZ_MIGRATE_LOCKED = 20,
};

struct vz_move {
	const char *host, *ssh;
	char **pairs;			/* SRC[:DST] */
	size_t npairs;
	const char *new_id;
	bool live, keep_source, dry_run, times, verbose, help;
	struct args args;
	char **words;			/* as args points into */
};

/** vz_move_parse() - @words behind the program's name. Give it to vz_move_free() in any case. */
int vz_move_parse(struct vz_move *m, size_t nwords, char **words, struct lg_err *err);
void vz_move_free(struct vz_move *m);

/**
 * vz_move_pair() - "SRC[:DST[:PRIVATE[:ROOT]]]"
 * @src:	of 64 bytes
 * @dst:	0: the same number
 *
 * Return: 0; -EINVAL.
 */
int vz_move_pair(const char *pair, char src[64], uint32_t *dst, struct lg_err *err);

/** vz_move_ssh() - the words of the ssh command with @options of the user's; the caller's */
json_t *vz_move_ssh(const char *options);

/** vz_move_blocked() - the status for what is in the way, by its text */
int vz_move_blocked(const char *text);

/** vz_move_failed() - the status for a failure that lodge has @exit_code for (0: none), in the stage that said @stage */
int vz_move_failed(int exit_code, const char *stage);

/* ---- vz_fields.c: the columns of vzlist ---- */

#define VZ_CELL 512u

enum vz_json { VZ_JSON_STRING, VZ_JSON_NUMBER, VZ_JSON_BOOL, VZ_JSON_LIST, VZ_JSON_UBC,
	       VZ_JSON_SWITCHES };

struct vz_field {
	const char *name, *header;
	int width;			/* negative: left-aligned */
	enum vz_json json;
	bool usage;			/* needs lodged's account of the instance */
	const char *key;		/* of the conf file, where it is as simple as that */
	void (*get)(const struct vz_field *f, const json_t *instance, char sub,
		    char buf[VZ_CELL]);
};

extern const struct vz_field vz_fields[];	/* ends with an empty row */

/** vz_field_find() - "numproc.l": the field, and 'l' in @sub (0: none). NULL if there is none. */
const struct vz_field *vz_field_find(const char *name, size_t len, char *sub);

/** vz_field_text() - the cell; "-" for what is not there. */
void vz_field_text(const struct vz_field *f, const json_t *instance, char sub, char buf[VZ_CELL]);

/** vz_field_json() - the value for -j; the caller's. */
json_t *vz_field_json(const struct vz_field *f, const json_t *instance);

#endif
