/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/varlink.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

json_t *lg_varlink_text(const char *text)
{
	json_t *value = json_string(text);
	lg_autofree char *copy = NULL;

	if (value)
		return value;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(copy);
}
