/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The records of /dev/kmsg that speak of containers. */

#include <stdio.h>
#include <string.h>

#include "cmd/lodged/kernel_log.h"

/*
 * "PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT": the text of a record of the kernel itself; NULL. Others may
 * write into the log, but not with facility 0.
 */
static const char *text_of(const char *record, uint64_t *at_us)
{
	unsigned long long sequence, us;
	unsigned int priority;
	const char *text = strchr(record, ';');

	if (!text || sscanf(record, "%u,%llu,%llu,", &priority, &sequence, &us) != 3 ||
	    priority >= 8)
		return NULL;
	*at_us = us;
	return text + 1;
}

/* The last place where @what stands in the first @len bytes of @text. */
static const char *find_last(const char *text, size_t len, const char *what)
{
	size_t n = strlen(what);

	for (size_t i = len >= n ? len - n + 1 : 0; i-- > 0;)
		if (strncmp(text + i, what, n) == 0)
			return text + i;
	return NULL;
}

bool kernel_log_kill(const char *record, struct kernel_kill *ret)
{
	static const char limit[] = "Memory cgroup out of memory", host[] = "Out of memory";
	const char *text = text_of(record, &ret->at_us), *killed, *uid, *end;
	unsigned long id;
	size_t len;

	if (!text)
		return false;
	ret->by_limit = strncmp(text, limit, strlen(limit)) == 0;
	if (!ret->by_limit && strncmp(text, host, strlen(host)) != 0)
		return false;
	len = strcspn(text, "\n");
	killed = strstr(text, ": Killed process ");
	uid = find_last(text, len, " UID:");
	end = find_last(text, len, ") total-vm:");
	if (!killed || killed > text + 64 || !uid || !end ||
	    sscanf(killed, ": Killed process %d (", &ret->pid) != 1 ||
	    sscanf(uid, " UID:%lu", &id) != 1)
		return false;
	killed = strchr(killed, '(');
	if (!killed || killed >= end)
		return false;
	ret->uid = (uid_t)id;
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(end - killed - 1), killed + 1);
	return true;
}

bool kernel_log_fork(const char *record, char path[256])
{
	static const char words[] = "cgroup: fork rejected by pids controller in ";
	const char *text;
	uint64_t at_us;
	size_t len;

	text = text_of(record, &at_us);
	if (!text || strncmp(text, words, strlen(words)) != 0)
		return false;
	text += strlen(words);
	len = strcspn(text, "\n");
	if (len == 0 || len > 255)
		return false;
	snprintf(path, 256, "%.*s", (int)len, text);
	return true;
}
