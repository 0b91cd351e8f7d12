/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Failures of a move are tested where they are meant to happen. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge-worker/migrate.h"

void wait_at(const char *point)
{
	const char *folder = getenv("LG_MOVE_STOP");
	char path[300], here[320], *blank;

	if (!folder || (size_t)snprintf(path, sizeof(path), "%s/%s", folder, point) >= sizeof(path))
		return;
	while ((blank = strchr(path + strlen(folder), ' ')))
		*blank = '-';
	snprintf(here, sizeof(here), "%s.here", path);
	if (rename(path, here) < 0)
		return;
	while (access(here, F_OK) == 0)
		usleep(10000);
}
