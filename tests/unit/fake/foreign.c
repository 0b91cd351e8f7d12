/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A machine with a system of its own: QEMU's drive, and the guest agent of QEMU. The path of a command is what it does:
 *
 *	cat	gives back what it was given
 *	wait	until a signal, which is its end
 *	/bin/sh	sends a signal, as $0 and $1 say, unless "deaf" was executed
 *	none	cannot be executed
 *	lock, hold	the guest locks its drive, and opens it when it is asked to, or never
 *	drive	says what QEMU has: "open=0 locked=0 medium=cdrom nodes=1 sets=1"
 */

#include "tests/unit/fake/fake.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES 8u
#define INPUT (2u << 20)

static struct {
	bool open, locked, yields;
	char medium[24];
	char nodes[NAMES][24];
	char sets[NAMES][24];	/* by number: what they are for */
} drive;

static struct {
	bool ended;
	int sig, code;
	char *out;		/* in base64 */
} commands[100];
static unsigned int ncommands;
static bool deaf;

/* The text behind "KEY":" in @line; "" where there is none. */
static const char *text_of(const char *line, const char *key, char *buf, size_t size)
{
	char name[40];
	const char *at;

	snprintf(name, sizeof(name), "\"%s\":\"", key);
	at = strstr(line, name);
	snprintf(buf, size, "%.*s", at ? (int)strcspn(at + strlen(name), "\"") : 0, at ? at + strlen(name) : "");
	return buf;
}

static long number_of(const char *line, const char *key)
{
	char name[40];
	const char *at;

	snprintf(name, sizeof(name), "\"%s\":", key);
	at = strstr(line, name);
	return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

static void keep(char to[24], const char *name)
{
	snprintf(to, 24, "%s", name);
}

static char *slot(char names[NAMES][24], const char *name)
{
	for (unsigned int i = 0; i < NAMES; i++)
		if (strcmp(names[i], name) == 0)
			return names[i];
	return NULL;
}

static unsigned int count(char names[NAMES][24])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < NAMES; i++)
		n += names[i][0] != '\0';
	return n;
}

/* ---- the drive ---- */

void drive_has(const char *arg)
{
	if (strstr(arg, "opaque=cdrom"))
		keep(drive.sets[0], "cdrom");
	if (strstr(arg, "node-name=cdrom"))
		keep(drive.nodes[0], "cdrom");
	if (strstr(arg, "drive=cdrom"))
		keep(drive.medium, "cdrom");
}

static const char *open_tray(bool force)
{
	if (drive.locked && drive.yields)
		drive.locked = false, drive.open = true;
	if (drive.locked && !force)
		return "{}";
	drive.locked = false;
	drive.open = true;
	return "{}";
}

static const char *list_sets(void)
{
	static char text[1000];
	int n = snprintf(text, sizeof(text), "[");

	for (unsigned int i = 0; i < NAMES; i++)
		if (drive.sets[i][0])
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%s{\"fdset-id\":%u,\"fds\":[{\"fd\":9,\"opaque\":\"%s\"}]}",
				      n > 1 ? "," : "", i, drive.sets[i]);
	snprintf(text + n, sizeof(text) - (size_t)n, "]");
	return text;
}

static const char *add_set(const char *line)
{
	static char text[60];
	char name[24], *free_one = slot(drive.sets, "");

	if (!free_one || !*text_of(line, "opaque", name, sizeof(name)))
		return NULL;
	keep(free_one, name);
	snprintf(text, sizeof(text), "{\"fdset-id\":%d,\"fd\":9}", (int)(free_one - drive.sets[0]) / 24);
	return text;
}

static const char *change_nodes(const char *line, bool add)
{
	char name[24], *node;

	text_of(line, "node-name", name, sizeof(name));
	node = slot(drive.nodes, add ? "" : name);
	if (!node || (!add && strcmp(drive.medium, name) == 0))
		return NULL;
	keep(node, add ? name : "");
	return "{}";
}

static const char *change_medium(const char *line, bool in)
{
	if (!drive.open || (in && drive.medium[0]))
		return NULL;
	if (in)
		text_of(line, "node-name", drive.medium, sizeof(drive.medium));
	else
		drive.medium[0] = '\0';
	return "{}";
}

const char *drive_answer(const char *line)
{
	char name[40];

	text_of(line, "execute", name, sizeof(name));
	if (strcmp(name, "blockdev-open-tray") == 0)
		return open_tray(strstr(line, "\"force\":true") != NULL);
	if (strcmp(name, "blockdev-remove-medium") == 0 || strcmp(name, "blockdev-insert-medium") == 0)
		return change_medium(line, name[9] == 'i') ? "{}" : "!Tray of device 'disk-cdrom' is not open";
	if (strcmp(name, "blockdev-close-tray") == 0)
		return drive.open = false, "{}";
	if (strcmp(name, "blockdev-add") == 0 || strcmp(name, "blockdev-del") == 0)
		return change_nodes(line, name[9] == 'a') ? "{}" : "!Node is in use";
	if (strcmp(name, "query-fdsets") == 0)
		return list_sets();
	if (strcmp(name, "query-block") == 0)
		return drive.locked ? "[{\"removable\":true,\"locked\":true}]" : "[{\"removable\":true,\"locked\":false}]";
	if (strcmp(name, "remove-fd") == 0 && number_of(line, "fdset-id") >= 0)
		return drive.sets[(size_t)number_of(line, "fdset-id") % NAMES][0] = '\0', "{}";
	return strcmp(name, "add-fd") == 0 ? add_set(line) : NULL;
}

/* ---- the agent ---- */

static void encode(const char *text, char *ret)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0, len = strlen(text); i < len; i += 3) {
		unsigned int b[3] = { (unsigned char)text[i], i + 1 < len ? (unsigned char)text[i + 1] : 0,
				      i + 2 < len ? (unsigned char)text[i + 2] : 0 };

		*ret++ = digits[b[0] >> 2];
		*ret++ = digits[(b[0] & 3) << 4 | b[1] >> 4];
		*ret++ = i + 1 < len ? digits[(b[1] & 15) << 2 | b[2] >> 6] : '=';
		*ret++ = i + 2 < len ? digits[b[2] & 63] : '=';
	}
	*ret = '\0';
}

static void say_drive(unsigned int nr)
{
	char text[200];

	snprintf(text, sizeof(text), "open=%d locked=%d medium=%s nodes=%u sets=%u", drive.open, drive.locked, drive.medium,
		 count(drive.nodes), count(drive.sets));
	commands[nr].out = malloc(400);
	encode(text, commands[nr].out);
}

/* {"path":"/bin/sh","arg":["-c","...","TERM","1"]}: the last two */
static void send_signal(const char *line)
{
	static const struct {
		const char *name;
		int sig;
	} names[] = { { "\"TERM\",\"", SIGTERM }, { "\"INT\",\"", SIGINT } };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *at = strstr(line, names[i].name);
		unsigned long pid = at ? strtoul(at + strlen(names[i].name), NULL, 10) : 0;

		if (pid > 0 && pid <= ncommands) {
			commands[pid - 1].ended = true;
			commands[pid - 1].sig = names[i].sig;
		}
	}
}

static unsigned int begin(const char *line, const char *path)
{
	unsigned int nr = ncommands++ % 100;

	commands[nr].ended = strcmp(path, "wait") != 0;
	if (strcmp(path, "cat") == 0) {
		commands[nr].out = malloc(INPUT);
		text_of(line, "input-data", commands[nr].out, INPUT);
	}
	deaf |= strcmp(path, "deaf") == 0;
	if (strcmp(path, "lock") == 0 || strcmp(path, "hold") == 0) {
		drive.locked = true;
		drive.yields = path[0] == 'l';
	}
	if (strcmp(path, "drive") == 0)
		say_drive(nr);
	if (strcmp(path, "/bin/sh") == 0)
		send_signal(line);
	return nr + 1;
}

static void answer(const struct fake *f, const char *line)
{
	long id = number_of(line, "id"), pid = number_of(line, "pid");
	char path[40];

	text_of(line, "path", path, sizeof(path));
	if (strstr(line, "\"guest-exec\"") && (strcmp(path, "none") == 0 || (deaf && strcmp(path, "/bin/sh") == 0)))
		dprintf(f->agent, "{\"error\":{\"desc\":\"Failed to execute child process (No such file or directory)\"},\"id\":%ld}\n", id);
	else if (strstr(line, "\"guest-exec\""))
		dprintf(f->agent, "{\"return\":{\"pid\":%u},\"id\":%ld}\n", begin(line, path), id);
	else if (pid < 1 || pid > (long)ncommands || !commands[pid - 1].ended)
		dprintf(f->agent, "{\"return\":{\"exited\":false},\"id\":%ld}\n", id);
	else if (commands[pid - 1].sig)
		dprintf(f->agent, "{\"return\":{\"exited\":true,\"signal\":%d},\"id\":%ld}\n", commands[pid - 1].sig, id);
	else
		dprintf(f->agent, "{\"return\":{\"exited\":true,\"exitcode\":%d,\"out-data\":\"%s\"},\"id\":%ld}\n", commands[pid - 1].code,
			commands[pid - 1].out ? commands[pid - 1].out : "", id);
}

int foreign_input(struct fake *f)
{
	static char buf[INPUT];
	static size_t len;
	ssize_t n = read(f->agent, buf + len, sizeof(buf) - 1 - len);
	char *end;

	if (n <= 0)
		return -1;
	len += (size_t)n;
	buf[len] = '\0';
	while ((end = strchr(buf, '\n'))) {
		*end = '\0';
		answer(f, buf);
		len -= (size_t)(end + 1 - buf);
		memmove(buf, end + 1, len + 1);
	}
	return 0;
}
