/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Wishes to the running machine. Each is a row: what begins it. It ends with TOLD, at once or when QEMU or the agent has answered;
 * all of them have a time after which they have failed.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "vm/start.h"

#define WISHES 8u
#define QEMU_MS 10000
#define AGENT_MS 30000
#define BALLOON_MS 20000
#define POLL_MS 50

struct wish {
	int to;			/* the connection that is told; 0: free */
	char tag[24];
	int64_t until_ms;
	uint64_t target;	/* balloon: bytes */
	uint64_t balloon, ram;	/* usage: bytes it has, and bytes of them that are there */
	bool to_agent;		/* the agent is to answer */
	void (*poll)(struct wish *w);	/* asks QEMU again and again; NULL: nothing to ask */
	char fields[512];	/* for the agent, once QEMU has done its part */
	char what[16];
};

static struct wish wishes[WISHES];
static struct lg_msg answer;

/* ---- answers ---- */

static void tell(struct wish *w, const struct lg_msg *fields, const struct lg_err *err)
{
	if (w->to <= 0)
		return;
	lg_msg_init(&answer, LG_P_TOLD);
	lg_msg_put(&answer, "tag", w->tag);
	if (err && err->code)
		lg_msg_put_err(&answer, err);
	/* First, as the first word counts: what follows is the guest's. */
	if (w->balloon)
		lg_msg_put_u64(&answer, "balloon", w->balloon);
	if (w->ram)
		lg_msg_put_u64(&answer, "ram", w->ram);
	for (const char *p = fields ? fields->text : NULL; p && p < fields->text + fields->len; p += strlen(p) + 1) {
		const char *eq = strchr(p, '=');
		char key[32];

		if (!eq || (size_t)(eq - p) >= sizeof(key) || strncmp(p, "tag=", 4) == 0)
			continue;
		memcpy(key, p, (size_t)(eq - p));
		key[eq - p] = '\0';
		lg_msg_put(&answer, key, eq + 1);
	}
	lg_msg_send(w->to, &answer);
	lg_close(w->to);
	*w = (struct wish){ 0 };
}

static void __attribute__((format(printf, 3, 4))) refuse(struct wish *w, int code, const char *fmt, ...)
{
	struct lg_err err = { .code = code };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	va_end(ap);
	tell(w, NULL, &err);
}

static void tick(void);

static void set_tick(void)
{
	int64_t next = -1, now = now_ms();

	for (unsigned int i = 0; i < WISHES; i++) {
		int64_t in = wishes[i].poll ? POLL_MS : wishes[i].until_ms - now;

		if (wishes[i].to > 0 && (next < 0 || in < next))
			next = in < 0 ? 0 : in;
	}
	timer_set(TIMER_ASK, next, tick);
}

static void tick(void)
{
	int64_t now = now_ms();

	for (unsigned int i = 0; i < WISHES; i++) {
		struct wish *w = &wishes[i];

		if (w->to <= 0)
			continue;
		if (now >= w->until_ms && w->target)
			refuse(w, -ETIMEDOUT, "the guest has %" PRIu64 " MiB and gives back no more in time",
			       w->balloon >> 20);
		else if (now >= w->until_ms)
			refuse(w, -ETIMEDOUT, "the guest did not answer in time");
		else if (w->poll)
			w->poll(w);
	}
	set_tick();
}

/* ---- the agent's part ---- */

static void ask_agent(struct wish *w)
{
	static struct lg_msg m;
	int r;

	lg_msg_init(&m, 0);
	lg_msg_put(&m, "tag", w->tag);
	lg_msg_put(&m, "what", w->what);
	for (char *p = w->fields, *eq; *p && (eq = strchr(p, '=')); p += strlen(p) + 1) {
		*eq = '\0';
		lg_msg_put(&m, p, eq + 1);
		*eq = '=';
	}
	r = agent_here() ? agent_send_msg(0, LG_A_DO, &m) : -ENOTCONN;
	if (r < 0) {
		refuse(w, r, "there is no agent of lodge in this machine");
		return;
	}
	w->to_agent = true;
	w->until_ms = now_ms() + AGENT_MS;
	set_tick();
}

void ask_done(const struct lg_msg *m)
{
	const char *tag = lg_msg_get(m, "tag");

	if (suspend_quiet(tag))
		return;
	for (unsigned int i = 0; tag && i < WISHES; i++) {
		struct wish *w = &wishes[i];
		struct lg_err err = { 0 };

		if (w->to <= 0 || !w->to_agent || strcmp(w->tag, tag) != 0)
			continue;
		tell(w, m, &err);
		break;
	}
	set_tick();
}

void ask_lost(void)
{
	suspend_alone();
	for (unsigned int i = 0; i < WISHES; i++)
		if (wishes[i].to > 0 && (wishes[i].to_agent || vm.pid == 0))
			refuse(&wishes[i], -EPIPE, "the machine's agent ended");
	set_tick();
}

/* The wish goes on to the agent with the fields of these names. */
static int keep_fields(struct wish *w, const struct lg_msg *m, const char *const *keys, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		for (const char *v = lg_msg_get(m, keys[i]); v; v = lg_msg_next(m, keys[i], v)) {
			int len = snprintf(w->fields + at, sizeof(w->fields) - at, "%s=%s", keys[i], v);

			if (len < 0 || at + (size_t)len + 2 > sizeof(w->fields))
				return -EMSGSIZE;
			at += (size_t)len + 1;
		}
	return 0;
}

/* ---- QEMU's part ---- */

/* Of a wish that was given up meanwhile, or of the next one in its place, answers mean nothing. */
static bool is_over(const struct wish *w, const json_t *ret, const struct lg_err *err)
{
	if (w->to <= 0)
		return true;
	if (ret)
		return false;
	refuse((struct wish *)(uintptr_t)w, err->code, "%s", err->msg);
	set_tick();
	return true;
}

static void just_done(void *arg, const json_t *ret, const struct lg_err *err)
{
	struct wish *w = arg;

	if (!is_over(w, ret, err))
		tell(w, NULL, NULL);
	set_tick();
}

static void command(struct wish *w, const char *name, json_t *args, int fd, lg_qmp_done done)
{
	int r = qemu_command(name, args, fd, QEMU_MS, done, w);

	if (r < 0)
		refuse(w, r, "QEMU takes no command now");
}

static void on_balloon(void *arg, const json_t *ret, const struct lg_err *err)
{
	struct wish *w = arg;

	if (is_over(w, ret, err))
		return;
	w->balloon = (uint64_t)lg_json_int(ret, "actual", 0);
	w->ram = ram_resident(vm.pid, lg_vm_ram(&vm.spec));
	if (w->balloon == w->target)
		tell(w, NULL, NULL);
	set_tick();
}

static void poll_balloon(struct wish *w)
{
	command(w, "query-balloon", NULL, -1, on_balloon);
}

static void on_balloon_set(void *arg, const json_t *ret, const struct lg_err *err)
{
	struct wish *w = arg;

	if (is_over(w, ret, err))
		return;
	w->poll = poll_balloon;
	poll_balloon(w);
}

static void want_balloon(struct wish *w, struct lg_msg *m)
{
	w->target = lg_msg_get_u64(m, "memory", 0) & ~UINT64_C(4095);
	w->until_ms = now_ms() + BALLOON_MS;
	if (w->target == 0 || w->target > vm.spec.memory)
		refuse(w, -EINVAL, "ASK has a bad 'memory'");
	else
		command(w, "balloon", json_pack("{s:I}", "value", (json_int_t)w->target), -1, on_balloon_set);
}

static void on_grown(void *arg, const json_t *ret, const struct lg_err *err)
{
	struct wish *w = arg;

	if (is_over(w, ret, err))
		return;
	if (agent_here())
		ask_agent(w);
	else
		tell(w, NULL, NULL);
	set_tick();
}

static void want_disk(struct wish *w, struct lg_msg *m)
{
	static const char *const keys[] = { "role", "bytes" };
	const char *role = lg_msg_get(m, "role");
	uint64_t bytes = lg_msg_get_u64(m, "bytes", 0);
	bool known = false;

	for (unsigned int i = 0; role && i < vm.spec.ndisks; i++)
		known |= strcmp(role, vm.spec.disks[i].role) == 0 && vm.spec.disks[i].writable;
	if (!known || bytes == 0 || bytes > INT64_MAX || keep_fields(w, m, keys, ARRAY_SIZE(keys)) < 0) {
		refuse(w, -EINVAL, "ASK has a bad 'role' or 'bytes'");
		return;
	}
	snprintf(w->what, sizeof(w->what), "grow");
	command(w, "block_resize", json_pack("{s:s, s:I}", "node-name", role, "size", (json_int_t)bytes), -1,
		on_grown);
}

static void on_usage(void *arg, const json_t *ret, const struct lg_err *err)
{
	struct wish *w = arg;

	if (is_over(w, ret, err))
		return;
	w->balloon = (uint64_t)lg_json_int(ret, "actual", 0);
	w->ram = ram_resident(vm.pid, lg_vm_ram(&vm.spec));
	if (agent_here())
		ask_agent(w);
	else
		tell(w, NULL, NULL);
	set_tick();
}

static void want_usage(struct wish *w, struct lg_msg *m)
{
	(void)m;
	command(w, "query-balloon", NULL, -1, on_usage);
}

static void want_agent(struct wish *w, struct lg_msg *m)
{
	static const char *const keys[] = { "addr", "gateway", "vcpus", "hostname" };

	if (keep_fields(w, m, keys, ARRAY_SIZE(keys)) < 0)
		refuse(w, -EMSGSIZE, "ASK is too long");
	else
		ask_agent(w);
}

static void want_powerdown(struct wish *w, struct lg_msg *m)
{
	(void)m;
	command(w, "system_powerdown", NULL, -1, just_done);
}

static void want_reset(struct wish *w, struct lg_msg *m)
{
	(void)m;
	command(w, "system_reset", NULL, -1, just_done);
}

/* The time that it is, and random numbers that nobody else had. */
void ask_resumed(void)
{
	static struct lg_msg m;
	char seed[2 * SEED + 1] = "";
	struct timespec now;

	if (!agent_here())
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	lg_msg_init(&m, 0);
	lg_msg_put(&m, "tag", "resumed");
	lg_msg_put(&m, "what", "resumed");
	lg_msg_put_u64(&m, "clock_ns", (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	if (agent_seed(seed) == 0)
		lg_msg_put(&m, "seed", seed);
	agent_send_msg(0, LG_A_DO, &m);
}

/* ---- ASK ---- */

/* clang-format off */
static const struct {
	const char *what;
	void (*begin)(struct wish *w, struct lg_msg *m);
} rows[] = {
	{ "balloon",   want_balloon },
	{ "disk",      want_disk },
	{ "usage",     want_usage },
	{ "addrs",     want_agent },
	{ "vcpus",     want_agent },
	{ "hostname",  want_agent },
	{ "freeze",    want_agent },
	{ "thaw",      want_agent },
	{ "powerdown", want_powerdown },
	{ "reset",     want_reset },
};

/* What its whole state is wanted for, or takes more than one answer of QEMU's: they answer by themselves. */
static const struct {
	const char *what;
	void (*take)(struct lg_msg *m, int from);
} states[] = {
	{ "suspend",  suspend_take },
	{ "written",  written_take },
	{ "move",     suspend_move },
	{ "switch",   suspend_switch },
	{ "commit",   suspend_commit },
	{ "continue", suspend_continue },
	{ "medium",   media_take },
};
/* clang-format on */

static void begin(struct wish *w, struct lg_msg *m)
{
	if (vm.phase != PHASE_RUNNING) {
		refuse(w, -ESRCH, "the container is not running");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(w->what, rows[i].what) != 0)
			continue;
		rows[i].begin(w, m);
		return;
	}
	refuse(w, -ENOSYS, "ASK has a bad 'what'");
}

void ask_take(struct lg_msg *m, int from)
{
	const char *tag = lg_msg_get(m, "tag"), *what = lg_msg_get(m, "what");
	struct wish refused = { 0 }, *w = &refused;

	if (what && strcmp(what, "vcpus") == 0 && vm.phase == PHASE_RUNNING && !vm.spec.guest) {
		cpus_take(m, from);
		return;
	}
	for (size_t i = 0; what && i < ARRAY_SIZE(states); i++)
		if (strcmp(what, states[i].what) == 0) {
			states[i].take(m, from);
			return;
		}
	for (unsigned int i = 0; i < WISHES && w == &refused; i++)
		if (wishes[i].to <= 0)
			w = &wishes[i];
	*w = (struct wish){ .to = fcntl(from, F_DUPFD_CLOEXEC, 0), .until_ms = now_ms() + QEMU_MS };
	snprintf(w->tag, sizeof(w->tag), "%s", tag ? tag : "");
	snprintf(w->what, sizeof(w->what), "%s", what ? what : "");
	if (w == &refused)
		refuse(w, -EBUSY, "%u wishes wait already", WISHES);
	else
		begin(w, m);
	set_tick();
}
