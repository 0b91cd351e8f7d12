/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * More processors for a machine that has a system of its own: QEMU is asked for its empty places, one after the other is filled, and
 * the guest agent of QEMU, where there is one, switches on what Linux leaves off. How many there are QEMU says, and nobody remembers.
 *
 * Wishes wait for each other. All that a guest is slow at ends at a time, and what it has by then is the answer.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "vm/start.h"

#define WISHES 4u
#define QEMU_MS 8000
#define RECOUNT_MS 30000
#define GUEST_MS 7000	/* for all that the guest does about it; lodged waits for ten seconds */
#define POLL_MS 200

struct wish {
	int to;		/* the connection that is told; 0: free */
	char tag[24];
	uint64_t want;
};

static struct wish wishes[WISHES];	/* the first one is being fulfilled, the others wait */
static bool plugging;			/* QEMU has not answered yet */
static uint64_t added;			/* that came while it ran; as of QEMU's last word */
static bool known;			/* QEMU said so: until then it is what START says */
static int64_t until_ms;		/* the guest's time; 0: it was not asked */
static char refusal[200];
static struct lg_msg answer;

static void begin(void);
static void plug(void);
static void ask_guest(void);

uint64_t cpus_added(void)
{
	return known ? added : vm.spec.vcpus_added;
}

bool cpus_settled(void)
{
	return !plugging;
}

/* ---- answers ---- */

static void tell(struct wish *w, const struct lg_err *err, const char *note)
{
	lg_msg_init(&answer, LG_P_TOLD);
	lg_msg_put(&answer, "tag", w->tag);
	if (err)
		lg_msg_put_err(&answer, err);
	lg_msg_put_u64(&answer, "added", cpus_added());
	if (note)
		lg_msg_put(&answer, "note", note);
	lg_msg_send(w->to, &answer);
	lg_close(w->to);
	*w = (struct wish){ 0 };
}

/* The first one is over; the next one's turn. @fmt: what is missing; NULL: nothing. */
static void __attribute__((format(printf, 1, 2))) over(const char *fmt, ...)
{
	char note[300];
	va_list ap;

	if (fmt) {
		va_start(ap, fmt);
		vsnprintf(note, sizeof(note), fmt, ap);
		va_end(ap);
		for (char *p = note; *p; p++)
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				*p = ' ';
	}
	timer_set(TIMER_CPUS, -1, ask_guest);
	until_ms = 0;
	tell(&wishes[0], NULL, fmt ? note : NULL);
	memmove(&wishes[0], &wishes[1], sizeof(wishes) - sizeof(wishes[0]));
	wishes[WISHES - 1] = (struct wish){ 0 };
	begin();
}

/* ---- QEMU's places ---- */

static int64_t place_of(const json_t *slot)
{
	return lg_json_int(json_object_get(slot, "props"), "core-id", -1);
}

/* Those that are taken have a path. Return: the first place that is empty; NULL: none. */
static const json_t *count_places(const json_t *slots, uint64_t *taken)
{
	const json_t *slot, *ret = NULL;
	size_t i;

	*taken = 0;
	json_array_foreach(slots, i, slot) {
		if (lg_json_str(slot, "qom-path"))
			*taken += 1;
		else if (place_of(slot) >= 0 && (!ret || place_of(slot) < place_of(ret)))
			ret = slot;
	}
	return ret;
}

static void note_places(const json_t *slots, const json_t **empty, uint64_t *taken)
{
	*empty = count_places(slots, taken);
	known = true;
	added = *taken > vm.spec.vcpus ? *taken - vm.spec.vcpus : 0;
}

static void on_recounted(void *arg, const json_t *ret, const struct lg_err *err)
{
	const json_t *empty;
	uint64_t taken;

	(void)arg;
	(void)err;
	plugging = false;
	if (ret)
		note_places(ret, &empty, &taken);
	over("%s", refusal);
}

/* Whoever writes the machine's state down has to know what came; what QEMU was late to answer it may have done. */
static void on_plugged(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (ret) {
		plugging = false;
		added++;
		lg_trace("a processor came");
		plug();
		return;
	}
	snprintf(refusal, sizeof(refusal), "%.199s", err->msg);
	if (qemu_command("query-hotpluggable-cpus", NULL, -1, RECOUNT_MS, on_recounted, NULL) < 0)
		on_recounted(NULL, NULL, err);
}

static void fill_place(const json_t *slot)
{
	json_t *args = json_deep_copy(json_object_get(slot, "props"));
	char id[24];
	int r;

	snprintf(id, sizeof(id), LG_VM_CPU_ID, (uint64_t)place_of(slot));
	json_object_set_new(args, "driver", json_copy(json_object_get(slot, "type")));
	json_object_set_new(args, "id", json_string(id));
	r = qemu_command("device_add", args, -1, QEMU_MS, on_plugged, NULL);
	plugging = r == 0;
	if (r < 0)
		over("QEMU takes no command now");
}

static void on_places(void *arg, const json_t *ret, const struct lg_err *err)
{
	const json_t *empty;
	uint64_t taken;

	(void)arg;
	if (!ret) {
		over("QEMU says no places for processors: %.200s", err->msg);
		return;
	}
	note_places(ret, &empty, &taken);
	if (taken >= wishes[0].want)
		ask_guest();
	else if (!empty || added >= LG_VM_CPUS_ADDED)
		over("the machine has no place for more than %" PRIu64, taken);
	else if (!suspend_is_idle())
		over("its memory is being written");
	else
		fill_place(empty);
}

static void plug(void)
{
	if (qemu_command("query-hotpluggable-cpus", NULL, -1, QEMU_MS, on_places, NULL) < 0)
		over("QEMU takes no command now");
}

/* ---- the guest switches them on ---- */

#define MAY_HAVE_TO "the guest may have to switch them on itself: "

/* Errors of either begin with QEMU's name. */
static const char *guests(const struct lg_err *err)
{
	static const char qemu[] = "QEMU: ";

	return err->msg + (strncmp(err->msg, qemu, sizeof(qemu) - 1) == 0 ? sizeof(qemu) - 1 : 0);
}

static int left_ms(void)
{
	return (int)(until_ms - now_ms());
}

static uint64_t count_on(const json_t *cpus)
{
	const json_t *cpu;
	uint64_t on = 0;
	size_t i;

	json_array_foreach(cpus, i, cpu)
		on += lg_json_bool(cpu, "online", false);
	return on;
}

/* Those of @cpus that are to be switched on: the last ones, as the guest may have its reasons for others. */
static json_t *to_switch_on(const json_t *cpus, uint64_t want)
{
	json_t *ret = json_array();
	const json_t *cpu;
	uint64_t on = count_on(cpus);

	for (size_t i = json_array_size(cpus); i > 0 && on < want; i--) {
		cpu = json_array_get(cpus, i - 1);
		if (lg_json_bool(cpu, "online", false))
			continue;
		json_array_append_new(ret, json_pack("{s:I, s:b}", "logical-id", (json_int_t)lg_json_int(cpu, "logical-id", 0),
						     "online", 1));
		on++;
	}
	return ret;
}

static void on_switched(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (ret)
		timer_set(TIMER_CPUS, POLL_MS, ask_guest);
	else
		over("the guest does not switch them on: %.200s", guests(err));
}

/* A kernel takes its time to see a new one. */
static void on_cpus(void *arg, const json_t *ret, const struct lg_err *err)
{
	json_t *off;

	(void)arg;
	if (!ret) {
		over(MAY_HAVE_TO "%.200s", err->code == -ETIMEDOUT ? "its agent does not answer" : guests(err));
		return;
	}
	if (count_on(ret) >= wishes[0].want) {
		over(NULL);
		return;
	}
	off = to_switch_on(ret, wishes[0].want);
	if (json_array_size(off) == 0) {
		json_decref(off);
		timer_set(TIMER_CPUS, POLL_MS, ask_guest);
	} else if (qga_command("guest-set-vcpus", json_pack("{s:o}", "vcpus", off), left_ms(), on_switched, NULL) < 0) {
		over(MAY_HAVE_TO "its agent does not read");
	}
}

static void ask_guest(void)
{
	int r;

	if (!until_ms)
		until_ms = now_ms() + GUEST_MS;
	if (left_ms() <= 0) {
		over("the guest has not switched them on in time");
		return;
	}
	if (!suspend_is_idle()) {
		over(MAY_HAVE_TO "its memory is being written");
		return;
	}
	r = qga_command("guest-get-vcpus", NULL, left_ms(), on_cpus, NULL);
	if (r < 0)
		over(MAY_HAVE_TO "%s", r == -ENOTCONN ? "it has no guest agent of QEMU that would" : "its agent does not read");
}

/* ---- what is asked ---- */

static void begin(void)
{
	if (wishes[0].to > 0)
		plug();
}

static void refuse(struct wish *w, int code, const char *text)
{
	struct lg_err err = { 0 };

	lg_refuse(&err, code, 0, "%s", text);
	tell(w, &err, NULL);
}

void cpus_take(struct lg_msg *m, int from)
{
	const char *tag = lg_msg_get(m, "tag");
	struct wish none = { 0 }, *w = &none;

	for (unsigned int i = 0; i < WISHES && w == &none; i++)
		if (wishes[i].to <= 0)
			w = &wishes[i];
	*w = (struct wish){ .to = fcntl(from, F_DUPFD_CLOEXEC, 0), .want = lg_msg_get_u64(m, "vcpus", 0) };
	snprintf(w->tag, sizeof(w->tag), "%s", tag ? tag : "");
	if (w->to < 0)
		*w = (struct wish){ 0 };
	else if (w == &none)
		refuse(w, -EBUSY, "too many wishes wait already");
	else if (vm.phase != PHASE_RUNNING)
		refuse(w, -ESRCH, "the machine does not run");
	else if (w->want == 0)
		refuse(w, -EINVAL, "ASK has a bad 'vcpus'");
	else if (w == &wishes[0])
		begin();
}
