/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/verbs.h"

#include <string.h>

const struct opt global_opts[] = {
	{ "root", 0, "DIR", "talk to the lodged whose root is DIR (LODGE_ROOT)" },
	{ "json", 0, NULL, "print JSON" },
	{ "quiet", 'q', NULL, "print errors and what was asked for, nothing else" },
	{ "help", 'h', NULL, "print help" },
	{ 0 },
};

const struct verb *const verbs[] = {
	&verb_create, &verb_start, &verb_stop, &verb_restart, &verb_suspend, &verb_resume, &verb_migrate, &verb_receive,
	&verb_destroy, &verb_mount,
	&verb_umount, &verb_list, &verb_show, &verb_status, &verb_stats, &verb_top, &verb_ubc, &verb_why,
	&verb_checkpoint,
	&verb_events, &verb_exec,
	&verb_enter, &verb_console, &verb_set, &verb_rename, &verb_template_list,
	&verb_template_show, &verb_template_build, &verb_template_remove, &verb_doctor,
	&verb_version, &verb_teardown, &verb_complete, &verb_man, NULL,
};

const struct verb *verb_find(const char *name)
{
	for (const struct verb *const *v = verbs; *v; v++)
		if (strcmp((*v)->name, name) == 0 ||
		    ((*v)->alias && strcmp((*v)->alias, name) == 0))
			return *v;
	return NULL;
}

static const struct lg_setting *create_setting(const char *name)
{
	const struct lg_setting *s = lg_setting_by_name(name);

	return s && !(s->flags & LG_SF_NO_CREATE) ? s : NULL;
}

static const struct lg_setting *set_setting(const char *name)
{
	const struct lg_setting *s = lg_setting_by_name(name);

	return s && !(s->flags & LG_SF_CREATE_ONLY) ? s : NULL;
}

const struct lg_setting *(*verb_setting(enum verb_settings kind))(const char *name)
{
	switch (kind) {
	case CREATE_SETTINGS:
		return create_setting;
	case SET_SETTINGS:
		return set_setting;
	case NO_SETTINGS:
		break;
	}
	return NULL;
}

struct opt_space verb_space(const struct verb *verb)
{
	return (struct opt_space){
		.tables = { verb->opts, global_opts },
		.setting = verb_setting(verb->settings),
		.words_after = verb->words_after,
	};
}
