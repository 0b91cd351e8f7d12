/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fake.h says what this is. QMP's half. */

#include "tests/unit/fake/fake.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fake f = { .qmp = -1, .console = -1, .agent = -1, .mode = "boot" };

void console_say(const struct fake *fake, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vdprintf(fake->console, fmt, ap);
	va_end(ap);
}

static void read_arguments(int argc, char **argv)
{
	static const struct {
		const char *prefix;
		int *fd;
	} sockets[] = {
		{ "socket,id=qmp,fd=", &f.qmp }, { "socket,id=console,fd=", &f.console },
		{ "socket,id=agent,fd=", &f.agent },
	};

	for (int i = 1; i < argc; i++) {
		const char *mode = strstr(argv[i], "fake=");

		for (size_t k = 0; k < sizeof(sockets) / sizeof(sockets[0]); k++)
			if (strncmp(argv[i], sockets[k].prefix, strlen(sockets[k].prefix)) == 0)
				*sockets[k].fd = (int)strtol(argv[i] + strlen(sockets[k].prefix), NULL, 10);
		if (mode)
			f.mode = strdup(mode + 5);
		cpus_argument(argv[i]);
		f.foreign |= strstr(argv[i], "org.qemu.guest_agent") != NULL;
		drive_has(argv[i]);
	}
	f.foreign &= !cpus_here();	/* cpus.c plays both sides of those */
}

static void run(void)
{
	static bool runs;

	if (runs)
		console_say(&f, "it runs on\n");
	if (runs || strcmp(f.mode, "silent") == 0)
		return;
	runs = true;
	if (cpus_boot(&f))
		return;
	console_say(&f, "[    0.000000] Linux version fake\n");
	if (strcmp(f.mode, "escape") == 0)
		escape(&f);
	if (!f.foreign)
		guest_boot(&f);
}

static bool pauses;	/* before the last of its state is written */

/* The id stands behind the command's name: {"execute":"cont","id":3}. */
static void answer(const char *line)
{
	const struct {
		const char *name, *value;
	} values[] = {
		{ "\"query-balloon\"", "{\"actual\":134217728}" },
		{ "\"query-status\"", "{\"status\":\"running\"}" },
		{ "\"add-fd\"", "{\"fdset-id\":0,\"fd\":9}" },
		{ "\"query-block-jobs\"", "[{\"device\":\"written\",\"ready\":true,\"len\":65536,\"offset\":65536}]" },
		{ "\"query-migrate\"", pauses ? "{\"status\":\"pre-switchover\"}" : "{\"status\":\"completed\"}" },
	};
	const char *id = strstr(line, "\"id\":"), *value = "{}", *of_drive = f.foreign ? drive_answer(line) : NULL;

	if (strstr(line, "\"pause-before-switchover\""))
		pauses = strstr(line, "{\"capability\":\"pause-before-switchover\",\"state\":true}") != NULL;
	if (strstr(line, "\"migrate-continue\"") || strstr(line, "\"migrate_cancel\""))
		pauses = false;
	if (cpus_answer(&f, line, id ? strtol(id + 5, NULL, 10) : 0))
		return;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (strstr(line, values[i].name))
			value = values[i].value;
	if (of_drive && of_drive[0] == '!') {
		dprintf(f.qmp, "{\"error\": {\"desc\": \"%s\"}, \"id\": %ld}\r\n", of_drive + 1, id ? strtol(id + 5, NULL, 10) : 0);
		return;
	}
	/* So that whoever hears that it runs can execute something. */
	if (f.foreign && strstr(line, "\"cont\""))
		dprintf(f.qmp, "{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": true}}\r\n");
	value = of_drive ? of_drive : value;
	dprintf(f.qmp, "{\"return\": %s, \"id\": %ld}\r\n", value, id ? strtol(id + 5, NULL, 10) : 0);
	if (strstr(line, "\"cont\""))
		run();
	if (strstr(line, "\"block-job-cancel\""))
		dprintf(f.qmp, "{\"event\": \"BLOCK_JOB_COMPLETED\", \"data\": {\"device\": \"written\"}}\r\n");
	if (strstr(line, "\"system_powerdown\"")) {
		dprintf(f.qmp, "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\r\n");
		exit(0);
	}
	if (strstr(line, "\"system_reset\"")) {
		dprintf(f.qmp, "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"host-qmp-system-reset\"}}\r\n");
		exit(0);
	}
}

static int read_commands(void)
{
	static char buf[65536];
	static size_t len;
	ssize_t n = read(f.qmp, buf + len, sizeof(buf) - 1 - len);
	char *end;

	if (n <= 0)
		return -1;
	len += (size_t)n;
	buf[len] = '\0';
	while ((end = strchr(buf, '\n'))) {
		*end = '\0';
		answer(buf);
		len -= (size_t)(end + 1 - buf);
		memmove(buf, end + 1, len + 1);
	}
	return 0;
}

static int guest_reads(void)
{
	if (cpus_here())
		return cpus_guest_input(&f);
	return f.foreign ? foreign_input(&f) : guest_input(&f);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	read_arguments(argc, argv);
	if (strcmp(f.mode, "early") == 0) {
		fputs("fake-qemu: there is no such machine\n", stderr);
		return 3;
	}
	dprintf(f.qmp, "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 99}}, \"capabilities\": []}}\r\n");
	for (;;) {
		struct pollfd p[2] = { { .fd = f.qmp, .events = POLLIN }, { .fd = f.agent, .events = POLLIN } };

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents && read_commands() < 0)
			return 0;
		if (p[1].revents && guest_reads() < 0)
			f.agent = -1;
	}
}
