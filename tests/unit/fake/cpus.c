/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A machine with places for processors, and the guest agent of QEMU in it. fake.h has the modes. */

#include "tests/unit/fake/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACES 16
#define SLOW 3		/* looks until a guest sees what came */

static struct {
	int boot, places;
	bool taken[PLACES];
	bool on[PLACES];	/* in the guest */
	int looks;
	char mode[16];
} cpus;

static bool is(const char *mode)
{
	return strcmp(cpus.mode, mode) == 0;
}

void cpus_argument(const char *arg)
{
	const char *max = strstr(arg, ",maxcpus="), *id = strncmp(arg, "max-x86_64-cpu,id=cpu", 21) == 0 ? arg + 21 : NULL,
		   *mode = strstr(arg, "drive=fake-");

	if (max) {
		cpus.boot = atoi(arg);
		cpus.places = atoi(max + 9);
	}
	for (int i = 0; max && i < cpus.boot; i++)
		cpus.taken[i] = cpus.on[i] = true;
	if (id)
		cpus.taken[atoi(id)] = cpus.on[atoi(id)] = true;
	if (mode)
		snprintf(cpus.mode, sizeof(cpus.mode), "%.*s", (int)strcspn(mode + 11, ","), mode + 11);
}

bool cpus_here(void)
{
	return cpus.places > 0;
}

bool cpus_boot(const struct fake *f)
{
	if (!cpus_here())
		return false;
	if (!is("mute"))
		dprintf(f->qmp, "{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": true, \"id\": \"port\"}}\r\n");
	return true;
}

/* As QEMU has it: the last place first. */
static void say_places(const struct fake *f, long id)
{
	char text[8192];
	size_t n = 0;

	for (int i = cpus.places - 1; i >= 0; i--)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "%s{\"props\": {\"core-id\": %d, \"thread-id\": 0, \"socket-id\": 0}, \"vcpus-count\": 1, %s"
				      "\"type\": \"max-x86_64-cpu\"}",
				      n ? ", " : "", i, cpus.taken[i] ? "\"qom-path\": \"/machine/x\", " : "");
	dprintf(f->qmp, "{\"return\": [%s], \"id\": %ld}\r\n", text, id);
}

static void plug(const struct fake *f, const char *line, long id)
{
	const char *core = strstr(line, "\"core-id\":"), *name = strstr(line, "\"id\":\"cpu");
	int at = core ? atoi(core + 10) : -1;

	if (at < 0 || at >= cpus.places || cpus.taken[at] || !name || atoi(name + 9) != at || !strstr(line, "max-x86_64-cpu") ||
	    (is("full") && at > cpus.boot)) {
		dprintf(f->qmp, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"the bus is full\"}, \"id\": %ld}\r\n", id);
		return;
	}
	cpus.taken[at] = true;
	console_say(f, "cpu %d came\n", at);
	dprintf(f->qmp, "{\"return\": {}, \"id\": %ld}\r\n", id);
}

bool cpus_answer(const struct fake *f, const char *line, long id)
{
	if (!cpus_here())
		return false;
	if (strstr(line, "\"query-hotpluggable-cpus\""))
		say_places(f, id);
	else if (strstr(line, "\"device_add\""))
		plug(f, line, id);
	else
		return false;
	return true;
}

/* ---- the guest ---- */

static bool sees(int i)
{
	if (i < cpus.boot || cpus.on[i])
		return true;
	return cpus.taken[i] && !is("stuck") && (!is("slow") || cpus.looks >= SLOW);
}

static void say_seen(const struct fake *f, long id)
{
	char text[4096];
	size_t n = 0;

	cpus.looks++;
	for (int i = 0; i < cpus.places; i++)
		if (sees(i))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s{\"logical-id\": %d, \"online\": %s}", n ? ", " : "", i,
					      cpus.on[i] ? "true" : "false");
	dprintf(f->agent, "{\"return\": [%s], \"id\": %ld}\n", text, id);
}

static void switch_on(const struct fake *f, const char *line, long id)
{
	int n = 0;

	if (is("broken")) {
		dprintf(f->agent, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\\nway\"}, \"id\": %ld}\n", id);
		return;
	}
	for (const char *p = line; (p = strstr(p, "\"logical-id\":")); p++, n++) {
		int at = atoi(p + 13);

		cpus.on[at] = true;
		console_say(f, "cpu %d is on\n", at);
	}
	dprintf(f->agent, "{\"return\": %d, \"id\": %ld}\n", n, id);
}

int cpus_guest_input(const struct fake *f)
{
	char buf[4096], *save = NULL;
	ssize_t n = read(f->agent, buf, sizeof(buf) - 1);

	if (n <= 0)
		return -1;
	buf[n] = '\0';
	for (char *line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *id = strstr(line, "\"id\":");

		if (strstr(line, "\"guest-get-vcpus\""))
			say_seen(f, id ? atol(id + 5) : 0);
		else if (strstr(line, "\"guest-set-vcpus\""))
			switch_on(f, line, id ? atol(id + 5) : 0);
	}
	return 0;
}
