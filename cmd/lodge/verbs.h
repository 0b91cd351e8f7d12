/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_VERBS_H
#define LG_CMD_LODGE_VERBS_H

/* Each verb's row; the file that defines it is called after the verb or its group. */

#include "cmd/lodge/cli.h"

extern const struct verb verb_create, verb_start, verb_stop, verb_restart, verb_suspend, verb_resume, verb_migrate, verb_receive,
	verb_destroy,
	verb_mount, verb_umount, verb_list, verb_show, verb_status, verb_events, verb_exec,
	verb_enter, verb_console, verb_set, verb_rename, verb_template_list, verb_template_show,
	verb_template_build, verb_template_remove, verb_doctor, verb_version, verb_teardown,
	verb_complete, verb_man, verb_stats, verb_top, verb_ubc, verb_why,
	verb_checkpoint;

#endif
