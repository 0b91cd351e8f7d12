/* SPDX-License-Identifier: GPL-2.0-or-later */

/* From facts to sentences: one function for each thing that may be short. */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodged/why.h"
#include "lib/cleanup.h"
#include "lib/parse.h"

#define FULL 95u		/* percent from which on something is called full */
#define THROTTLED_LEAST 5u	/* percent of the slices of time */
#define WAIT_LEAST 5u		/* percent of the time */
#define CPU_WAIT_LEAST 10u	/* a busy host always makes somebody wait a little */
#define OOM_FRESH_S 60		/* that is now; after it what holds it back still goes first */
#define OOM_RECENT_S 600

/* ---- arithmetic with what may not be known ---- */

static bool known(uint64_t v)
{
	return v != UINT64_MAX;
}

static uint64_t grown(uint64_t now, uint64_t before)
{
	return known(now) && known(before) && now > before ? now - before : 0;
}

static uint64_t percent(uint64_t part, uint64_t all)
{
	return all ? (uint64_t)(100.0 * (double)part / (double)all + 0.5) : 0;
}

static uint64_t per_second(const struct why_facts *f, uint64_t now, uint64_t before)
{
	return f->us ? (uint64_t)((double)grown(now, before) * 1e6 / (double)f->us) : 0;
}

static bool is_full(uint64_t used, uint64_t limit)
{
	return known(used) && limit != LG_UNLIMITED && limit && percent(used, limit) >= FULL;
}

/* The share of the time watched in which it waited, or of the last ten seconds, if that is more. */
static unsigned int waited(const struct why_facts *f, const struct lg_cg_pressure *now,
			   const struct lg_cg_pressure *before)
{
	uint64_t just_now, lately;

	if (!known(now->some_us))
		return 0;
	just_now = percent(grown(now->some_us, before->some_us), f->us);
	lately = (now->some_avg10 + 50) / 100;
	just_now = just_now > lately ? just_now : lately;
	return just_now > 100 ? 100 : (unsigned int)just_now;
}

static void size_text(uint64_t bytes, char buf[16])
{
	lg_format_size(bytes, buf);
}

/* ---- users ---- */

void why_users_add(struct why_users *users, const struct why_user *user)
{
	size_t at = users->n;

	while (at > 0 && users->list[at - 1].amount < user->amount)
		at--;
	if (at == WHY_OTHERS)
		return;
	if (users->n < WHY_OTHERS)
		users->n++;
	memmove(&users->list[at + 1], &users->list[at],
		(users->n - at - 1) * sizeof(users->list[0]));
	users->list[at] = *user;
}

void why_users_text(const struct why_users *users, enum why_what what, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < users->n && at < size; i++) {
		const struct why_user *u = &users->list[i];
		char amount[24];

		if (what == WHY_CPU)
			snprintf(amount, sizeof(amount), "%" PRIu64 "%%", u->amount);
		else
			size_text(u->amount, amount);
		at += (size_t)snprintf(buf + at, size - at, "%s%s %s%s", at ? ", " : "", u->label,
				       amount, what == WHY_IO ? "/s" : "");
	}
}

/* ---- findings ---- */

static struct why_finding *add(struct why_report *r, const char *area, uint64_t weight)
{
	struct why_finding *new = &r->list[r->n < WHY_MAX - 1 ? r->n++ : WHY_MAX - 1];

	new->area = area;
	new->weight = weight < 1 ? 1 : weight > 1000 ? 1000 : (unsigned int)weight;
	new->remedy[0] = '\0';
	return new;
}

static void __attribute__((format(printf, 2, 3))) tell(struct why_finding *new, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(new->text, sizeof(new->text), fmt, ap);
	va_end(ap);
}

static void __attribute__((format(printf, 2, 3))) advise(struct why_finding *new, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(new->remedy, sizeof(new->remedy), fmt, ap);
	va_end(ap);
}

static unsigned int throttled(const struct why_facts *f)
{
	return (unsigned int)percent(grown(f->now.throttled, f->before.throttled),
				     grown(f->now.periods, f->before.periods));
}

static void find_cpu_limit(const struct why_facts *f, struct why_report *r)
{
	unsigned int share = throttled(f);
	uint64_t limit = f->limits.value[LG_LIMIT_CPU];
	struct why_finding *new;

	if (share < THROTTLED_LEAST || limit == LG_UNLIMITED)
		return;
	new = add(r, "cpu", share * 10u);
	tell(new, "Its CPU limit holds it back: in %u of 100 slices of time it had used up its %" PRIu64
	     "%% of a CPU and waited for the next.", share, limit);
	advise(new, "lodge set %s --cpus %.2g gives it twice as much", f->id, (double)limit / 50);
}

static void find_cpu_wait(const struct why_facts *f, struct why_report *r)
{
	unsigned int share = waited(f, &f->now.cpu, &f->before.cpu);
	uint64_t own = per_second(f, f->now.cpu_us, f->before.cpu_us) / 10000;
	uint64_t busy = per_second(f, f->host.cpu_us, f->host_before.cpu_us) / 10000;
	struct why_finding *new;
	char others[300];

	/* Who waits for his own limit waits, too: that is told already. */
	if (share < CPU_WAIT_LEAST || throttled(f) >= THROTTLED_LEAST)
		return;
	new = add(r, "cpu", share * 9u);
	why_users_text(&f->others[WHY_CPU], WHY_CPU, others, sizeof(others));
	if (own >= f->host.cpus * 100u * 8 / 10 || !others[0])
		tell(new, "It has more to do than there are CPUs: it uses %" PRIu64 "%% of %u%%, and in %u "
		     "of 100 moments some of it waits.", own, f->host.cpus * 100, share);
	else
		tell(new, "Others use the CPUs: in %u of 100 moments some of it waits for one. It has "
		     "%" PRIu64 "%%; the host's %u are %" PRIu64 "%% busy: %s.", share, own, f->host.cpus,
		     percent(busy, f->host.cpus * 100), others);
	if (others[0])
		advise(new, "lodge set %s --cpu-weight N gives it a larger share, or limit the others",
		       f->id);
}

static void find_kills(const struct why_facts *f, struct why_report *r)
{
	int64_t ago = f->at - f->oom_at;
	struct why_finding *new;
	char who[160] = "a process";

	if (f->oom_at == 0 || ago > OOM_RECENT_S)
		return;
	new = add(r, "memory", ago < OOM_FRESH_S ? 990 : 300);
	if (f->oom_pid)
		snprintf(who, sizeof(who), "%s (process %d)", f->oom_name, f->oom_pid);
	else if (f->no_names)
		snprintf(who, sizeof(who), "a process (which one is not known: the kernel's log cannot be "
			 "read: %s)", f->no_names);
	tell(new, "The kernel killed %s for want of memory, %" PRId64 " s ago; %" PRIu64 " in all.", who,
	     ago < 0 ? 0 : ago, known(f->oom_kills) ? f->oom_kills : 1);
	advise(new, "lodge set %s --memory SIZE gives it more", f->id);
}

static void find_memory(const struct why_facts *f, struct why_report *r)
{
	unsigned int share = waited(f, &f->now.memory, &f->before.memory);
	uint64_t limit = f->limits.value[LG_LIMIT_MEMORY], high = f->limits.value[LG_LIMIT_MEMORY_HIGH];
	bool slowed = is_full(f->now.memory_bytes, high) &&
		      grown(f->now.memory_high_hits, f->before.memory_high_hits);
	bool full = is_full(f->now.memory_bytes, limit);
	struct why_finding *new;
	char used[16], has[16];

	/* Memory that is full of files is as it should be, as long as nobody waits for it. */
	if (!(full || slowed) || (share < 1 && !slowed &&
				  !grown(f->now.memory_max_hits, f->before.memory_max_hits)))
		return;
	new = add(r, "memory", 400 + share * 6u);
	size_text(f->now.memory_bytes, used);
	size_text(full ? limit : high, has);
	tell(new, full ? "Its memory is full: %s of %s, and in %u of 100 moments some of it waits for memory."
		       : "It is slowed down: its memory, %s, is above the %s from which on it is reclaimed; "
			 "in %u of 100 moments some of it waits for that.", used, has, share);
	advise(new, "lodge set %s --%s SIZE gives it more", f->id, full ? "memory" : "memory-high");
}

/* What only the guest's own kernel knows. */
static void find_guest(const struct why_facts *f, struct why_report *r)
{
	struct why_finding *new;
	char left[16], has[16];

	if (f->guest_memory && f->guest_available < f->guest_memory / 100 * (100 - FULL)) {
		new = add(r, "memory", 600);
		size_text(f->guest_available, left);
		size_text(f->guest_memory, has);
		tell(new, "Inside, its memory is full: %s of %s are left.", left, has);
		advise(new, "lodge set %s --memory SIZE gives it more, above what it was started with at its next start", f->id);
	}
	if (f->emulated && per_second(f, f->now.cpu_us, f->before.cpu_us) / 10000 >= 50) {
		new = add(r, "cpu", 100);
		tell(new, "It is a VM on a host without KVM: each of its instructions is emulated.");
	}
}

static void find_swap(const struct why_facts *f, struct why_report *r)
{
	uint64_t limit = f->limits.value[LG_LIMIT_SWAP];
	struct why_finding *new;
	char used[16], has[16];

	if (!known(f->now.swap_bytes) || !f->now.swap_bytes || !is_full(f->now.swap_bytes, limit))
		return;
	new = add(r, "swap", 450);
	size_text(f->now.swap_bytes, used);
	size_text(limit, has);
	tell(new, "Its swap is full: %s of %s. What needs memory now must come out of files.", used, has);
	advise(new, "lodge set %s --swap SIZE gives it more", f->id);
}

static void find_tasks(const struct why_facts *f, struct why_report *r)
{
	uint64_t limit = f->limits.value[LG_LIMIT_TASKS];
	uint64_t refused = grown(f->now.tasks_hits, f->before.tasks_hits);
	struct why_finding *new;

	if (!refused && !is_full(f->now.tasks, limit))
		return;
	new = add(r, "tasks", refused ? 950 : 600);
	tell(new, "It has %s tasks it may have: %" PRIu64 " of %" PRIu64 "; the kernel refused it another %"
	     PRIu64 " times just now and %" PRIu64 " times since its start.",
	     f->now.tasks >= limit ? "all the" : "nearly all the", f->now.tasks, limit, refused,
	     known(f->now.tasks_hits) ? f->now.tasks_hits : 0);
	advise(new, "lodge set %s --tasks N gives it more", f->id);
}

struct flow {
	const char *verb;
	uint64_t rate, limit;
	const char *unit, *option;
};

/* The limit that it goes at; NULL. */
static const struct flow *at_limit(const struct flow *flows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (flows[i].limit != LG_UNLIMITED && percent(flows[i].rate, flows[i].limit) >= 80)
			return &flows[i];
	return NULL;
}

static void find_io(const struct why_facts *f, struct why_report *r)
{
	unsigned int share = waited(f, &f->now.io, &f->before.io);
	const uint64_t *lim = f->limits.value;
	const struct flow flows[] = {
		{ "reading", per_second(f, f->now.read_bytes, f->before.read_bytes),
		  lim[LG_LIMIT_IO_READ], "bytes", "io-read" },
		{ "writing", per_second(f, f->now.write_bytes, f->before.write_bytes),
		  lim[LG_LIMIT_IO_WRITE], "bytes", "io-write" },
		{ "reading", per_second(f, f->now.reads, f->before.reads), lim[LG_LIMIT_IOPS_READ],
		  "operations", "iops-read" },
		{ "writing", per_second(f, f->now.writes, f->before.writes), lim[LG_LIMIT_IOPS_WRITE],
		  "operations", "iops-write" },
	};
	const struct flow *own = at_limit(flows, ARRAY_SIZE(flows));
	char others[300], in[16], out[16];
	struct why_finding *new;

	if (share < WAIT_LEAST)
		return;
	new = add(r, "io", share * 10u);
	why_users_text(&f->others[WHY_IO], WHY_IO, others, sizeof(others));
	size_text(flows[0].rate, in);
	size_text(flows[1].rate, out);
	if (own) {
		tell(new, "Its limit of %s holds it back: %" PRIu64 " of %" PRIu64 " %s a second; in %u of "
		     "100 moments some of it waits for a disk.", own->verb, own->rate, own->limit,
		     own->unit, share);
		advise(new, "lodge set %s --%s N gives it more", f->id, own->option);
	} else {
		tell(new, "The disks are slow for it: in %u of 100 moments some of it waits for one. It reads "
		     "%s/s and writes %s/s%s%s.", share, in, out, others[0] ? "; others: " : "", others);
	}
}

/* Its own limit of space or files. */
static void find_own_disk(const struct why_facts *f, struct why_report *r)
{
	const struct lg_fs_usage *d = &f->own_disk;
	struct why_finding *new;
	char used[16], has[16];

	if (is_full(d->bytes_used, d->bytes)) {
		new = add(r, "disk", percent(d->bytes_used, d->bytes) >= 99 ? 920 : 500);
		size_text(d->bytes_used, used);
		size_text(d->bytes, has);
		tell(new, "Its disk is full: its files take %s of %s.", used, has);
		advise(new, "lodge set %s --disk SIZE gives it more", f->id);
	}
	if (is_full(d->inodes_used, d->inodes)) {
		new = add(r, "disk", percent(d->inodes_used, d->inodes) >= 99 ? 920 : 500);
		tell(new, "It has %" PRIu64 " of the %" PRIu64 " files it may have.", d->inodes_used,
		     d->inodes);
	}
}

static void find_disk_space(const struct why_facts *f, struct why_report *r)
{
	struct why_finding *new;
	char left[16], all[16];

	if (known(f->disk_bytes) && f->disk_bytes && percent(f->disk_free_bytes, f->disk_bytes) < 1) {
		new = add(r, "disk", 900);
		size_text(f->disk_free_bytes, left);
		size_text(f->disk_bytes, all);
		tell(new, "The disk that has its files is full: %s of %s are left.", left, all);
	}
	if (known(f->disk_inodes) && f->disk_inodes &&
	    percent(f->disk_free_inodes, f->disk_inodes) < 1) {
		new = add(r, "disk", 900);
		tell(new, "The disk that has its files has room for %" PRIu64 " more files only.",
		     f->disk_free_inodes);
	}
}

static void find_network(const struct why_facts *f, struct why_report *r)
{
	uint64_t lost = f->has_net ? grown(f->net.rx_dropped, f->net_before.rx_dropped) : 0;
	bool host = known(f->host_connections) && is_full(f->host_connections, f->connections_max);
	bool own = known(f->connections) && is_full(f->connections, f->connections_max);
	struct why_finding *new;

	if (lost) {
		new = add(r, "network", 350);
		tell(new, "%" PRIu64 " packets to it were dropped just now, %" PRIu64 " since its start: it does "
		     "not take them as fast as they come.", lost, f->net.rx_dropped);
	}
	if (!host && !own)
		return;
	new = add(r, "network", 850);
	tell(new, "%s table of connections is full, %" PRIu64 " of %" PRIu64 ": new ones fail.",
	     own ? "Its" : "The host's", own ? f->connections : f->host_connections,
	     f->connections_max);
	advise(new, "raise net.netfilter.nf_conntrack_max on the host");
}

static void find_host_memory(const struct why_facts *f, struct why_report *r)
{
	unsigned int share = waited(f, &f->host.memory, &f->host_before.memory);
	struct why_finding *new;
	char left[16], others[300];

	if (!known(f->host.available_bytes) || !known(f->host.memory_bytes) ||
	    (share < CPU_WAIT_LEAST && percent(f->host.available_bytes, f->host.memory_bytes) >= 3))
		return;
	new = add(r, "host", 300 + share * 5u);
	size_text(f->host.available_bytes, left);
	why_users_text(&f->others[WHY_MEMORY], WHY_MEMORY, others, sizeof(others));
	tell(new, "The host is short of memory: %s are left, and in %u of 100 moments something on it waits "
	     "for memory%s%s.", left, share, others[0] ? "; the most is had by " : "", others);
}

static int by_weight(const void *a, const void *b)
{
	const struct why_finding *x = a, *y = b;

	return x->weight > y->weight ? -1 : x->weight < y->weight;
}

static void put_limit(char *buf, size_t size, uint64_t limit)
{
	char text[16];

	buf[0] = '\0';
	if (limit == LG_UNLIMITED)
		return;
	size_text(limit, text);
	snprintf(buf, size, " of %s", text);
}

static void describe(const struct why_facts *f, char *buf, size_t size)
{
	char used[16], of[24], cpu[40] = "", tasks[40] = "";
	uint64_t limit = f->limits.value[LG_LIMIT_CPU];

	size_text(known(f->now.memory_bytes) ? f->now.memory_bytes : 0, used);
	put_limit(of, sizeof(of), f->limits.value[LG_LIMIT_MEMORY]);
	if (limit != LG_UNLIMITED)
		snprintf(cpu, sizeof(cpu), " of %" PRIu64 "%%", limit);
	if (f->limits.value[LG_LIMIT_TASKS] != LG_UNLIMITED)
		snprintf(tasks, sizeof(tasks), " of %" PRIu64, f->limits.value[LG_LIMIT_TASKS]);
	snprintf(buf, size, "CPU %" PRIu64 "%%%s, memory %s%s, tasks %" PRIu64 "%s; waiting for CPU %u%%, "
		 "memory %u%%, disks %u%%",
		 per_second(f, f->now.cpu_us, f->before.cpu_us) / 10000, cpu, used, of,
		 known(f->now.tasks) ? f->now.tasks : 0, tasks,
		 waited(f, &f->now.cpu, &f->before.cpu),
		 waited(f, &f->now.memory, &f->before.memory), waited(f, &f->now.io, &f->before.io));
}

void why_find(const struct why_facts *facts, struct why_report *ret)
{
	static void (*const finders[])(const struct why_facts *f, struct why_report *r) = {
		find_kills,   find_tasks,   find_cpu_limit,  find_cpu_wait, find_memory, find_guest,
		find_swap,    find_io,	    find_own_disk, find_disk_space, find_network, find_host_memory,
	};

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < ARRAY_SIZE(finders); i++)
		finders[i](facts, ret);
	qsort(ret->list, ret->n, sizeof(ret->list[0]), by_weight);
	describe(facts, ret->now, sizeof(ret->now));
}
