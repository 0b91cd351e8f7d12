/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_FEATURES_H
#define LODGED_FEATURES_H

/* What the features of an instance (lib/features.h) mean for its start. */

#include "cmd/lodged/lodged.h"
#include "lib/features.h"

/** features_of() - the set that @conf switches on. -EINVAL when the file's value is none. */
int features_of(const struct lg_conf *conf, uint32_t *on, struct lg_err *err);

/** features_has() - does @conf switch this one on? A bad value switches on nothing. */
bool features_has(const struct lg_conf *conf, enum lg_feature_id id);

/** features_default() - give @conf the features of its template that fit to what it says itself. */
int features_default(struct lg_conf *conf, const struct lg_template *t, struct lg_err *err);

/**
 * features_filter() - the system call filter for @ct, compiled once per combination of features
 * Return: a descriptor that stays the daemon's; negative errno.
 */
int features_filter(const struct instance *ct, struct lg_err *err);

/** features_warn() - append to @warnings what is said in @conf without effect. */
void features_warn(const struct lg_conf *conf, json_t *warnings);

#endif
