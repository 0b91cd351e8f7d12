/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * CRIU changes a process in few ways, all of them by ptrace(): it writes an instruction over the begin of its code, sets its registers to
 * go there or into the parasite, and blocks its signals; and it takes that back. Before the first of these changes the state is
 * taken down; what is not taken back when CRIU is killed is taken back here.
 */

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "cmd/lodge-criu/calls.h"
#include "cmd/lodge-criu/calls_trace.h"

#define TRACEES_MAX 16384
#define WORDS_MAX 8
#define XSTATE_MAX 12288
#define PARASITE "/memfd:CRIUMFD"
#define SYSCALL_TRAP 0xcccccccccccc050f	/* syscall; int3, in memory order */
#define SYSCALL_LEN 2
#define FDS_MAX 8192
#define STEPS_MAX 64

/* The kernel's own errors of an interrupted call; no header for programs has them. */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

struct word {
	long addr, was;
};

struct tracee {
	int pid;	/* 0: the place is free */
	int runs, saved;
	int stopped;	/* by somebody, before */
	unsigned long mask, signals;
	struct user_regs_struct regs;
	struct word words[WORDS_MAX];
	unsigned char fds[FDS_MAX / 8];	/* a bit for each that is open */
	size_t xstate_len;
	unsigned char xstate[XSTATE_MAX];	/* touched only when it is saved */
};

static struct tracee *tracees;
static int ntracees;	/* places in use or free again */

static struct tracee *find(int pid)
{
	static int last;

	if (last < ntracees && tracees[last].pid == pid)
		return &tracees[last];
	for (int i = 0; i < ntracees; i++)
		if (tracees[i].pid == pid) {
			last = i;
			return &tracees[i];
		}
	return NULL;
}

int tracees_init(void)
{
	const size_t size = TRACEES_MAX * sizeof(struct tracee);

	tracees = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ntracees = 0;
	return tracees == MAP_FAILED ? -ENOMEM : 0;
}

int tracees_has(int pid)
{
	return pid > 0 && find(pid) != NULL;
}

/* ---- /proc, without the C library's files ---- */

static char *put_number(char *at, unsigned int n)
{
	char digits[12];
	int len = 0;

	do {
		digits[len++] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	while (len)
		*at++ = digits[--len];
	return at;
}

static long open_proc(int pid, const char *file, int flags)
{
	char path[64] = "/proc/";
	char *at = put_number(path + strlen(path), (unsigned int)pid);

	*at++ = '/';
	memcpy(at, file, strlen(file));	/* one of ours: it fits */
	return call(SYS_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, 0);
}

/* The beginning of a file, as text. */
static void read_proc(int pid, const char *file, char *buf, size_t size)
{
	long fd = open_proc(pid, file, O_RDONLY);
	long n = fd < 0 ? 0 : call(SYS_read, fd, (long)buf, (long)size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		call(SYS_close, fd, 0, 0, 0);
}

static long number_at(const char *p)
{
	long n = 0;

	while (*p >= '0' && *p <= '9')
		n = n * 10 + *p++ - '0';
	return n;
}

/* What stands behind the name, which is in brackets and may hold anything: " S 123 ..." */
static const char *behind_name(int pid, char *buf, size_t size)
{
	const char *p;

	read_proc(pid, "stat", buf, size);
	p = strrchr(buf, ')');
	return p && p[1] && p[2] ? p + 2 : NULL;
}

int tracees_parent_of(int pid)
{
	char buf[512];
	const char *p = behind_name(pid, buf, sizeof(buf));

	return p ? (int)number_at(p + 2) : 0;
}

static int is_stopped(int pid)
{
	char buf[512];
	const char *p = behind_name(pid, buf, sizeof(buf));

	return p && *p == 'T';
}

static unsigned long hex_behind(const char *text, const char *key)
{
	const char *p = strstr(text, key);
	unsigned long n = 0;

	for (p = p ? p + strlen(key) : ""; *p == ' ' || *p == '\t'; p++)
		;
	for (;; p++) {
		if (*p >= '0' && *p <= '9')
			n = n * 16 + (unsigned long)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			n = n * 16 + (unsigned long)(*p - 'a') + 10;
		else
			return n;
	}
}

static int has_pending_trap(int pid)
{
	char buf[4096];

	read_proc(pid, "status", buf, sizeof(buf));
	return (hex_behind(buf, "SigPnd:") >> (SIGTRAP - 1) & 1) != 0;
}

static int is_leader(int pid)
{
	char buf[4096];
	const char *p;

	read_proc(pid, "status", buf, sizeof(buf));
	p = strstr(buf, "Tgid:\t");
	return p && number_at(p + 6) == pid;
}

/* Which descriptors below FDS_MAX are open. */
static void read_fds(int pid, unsigned char set[FDS_MAX / 8])
{
	struct entry {
		unsigned long inode, offset;
		unsigned short len;
		unsigned char type;
		char name[];
	} *e;
	long dir = open_proc(pid, "fd", O_RDONLY | O_DIRECTORY), n, fd;
	char buf[4096] __attribute__((aligned(8)));

	memset(set, 0, FDS_MAX / 8);
	while (dir >= 0 && (n = call(SYS_getdents64, dir, (long)buf, sizeof(buf), 0)) > 0)
		for (long at = 0; at < n; at += e->len) {
			e = (struct entry *)(buf + at);
			fd = number_at(e->name);
			if (e->name[0] != '.' && fd < FDS_MAX)
				set[fd / 8] |= (unsigned char)(1u << fd % 8);
		}
	if (dir >= 0)
		call(SYS_close, dir, 0, 0, 0);
}

/* ---- taking down ---- */

static void add(int pid)
{
	int i;

	for (i = 0; i < ntracees && tracees[i].pid; i++)
		;
	if (i == TRACEES_MAX)
		return;
	tracees[i].pid = pid;
	tracees[i].runs = 1;
	tracees[i].saved = 0;
	tracees[i].signals = 0;
	tracees[i].stopped = is_stopped(pid);
	memset(tracees[i].words, 0, sizeof(tracees[i].words));
	if (i == ntracees)
		ntracees++;
}

/*
 * A call that the stop interrupted is begun anew by the kernel only where it looks at signals. What is given back may be given back
 * elsewhere: so the registers say it themselves.
 */
static void begin_call_anew(struct user_regs_struct *regs)
{
	long r = (long)regs->rax;

	if ((long)regs->orig_rax < 0 || (r != -ERESTARTSYS && r != -ERESTARTNOINTR && r != -ERESTARTNOHAND &&
					 r != -ERESTART_RESTARTBLOCK))
		return;
	regs->rax = r == -ERESTART_RESTARTBLOCK ? SYS_restart_syscall : regs->orig_rax;
	regs->rip -= SYSCALL_LEN;
	regs->orig_rax = ~0ul;
}

static void save(struct tracee *t)
{
	struct iovec io = { .iov_base = t->xstate, .iov_len = sizeof(t->xstate) };

	if (call(SYS_ptrace, PTRACE_GETREGS, t->pid, 0, (long)&t->regs) < 0 ||
	    call(SYS_ptrace, PTRACE_GETSIGMASK, t->pid, sizeof(t->mask), (long)&t->mask) < 0)
		return;
	begin_call_anew(&t->regs);
	read_fds(t->pid, t->fds);
	t->xstate_len = call(SYS_ptrace, PTRACE_GETREGSET, t->pid, NT_X86_XSTATE, (long)&io) < 0 ? 0 : io.iov_len;
	t->saved = 1;
}

static void save_word(struct tracee *t, long addr)
{
	long word = 0;
	int place = -1;

	for (int i = 0; i < WORDS_MAX; i++) {
		if (t->words[i].addr == addr)
			return;
		if (!t->words[i].addr)
			place = i;
	}
	if (place < 0 || call(SYS_ptrace, PTRACE_PEEKDATA, t->pid, addr, (long)&word) < 0)
		return;
	t->words[place] = (struct word){ addr, word };
}

/* It is as before. */
static void forget_word(struct tracee *t, long addr, long value)
{
	for (int i = 0; i < WORDS_MAX; i++)
		if (t->words[i].addr == addr && t->words[i].was == value)
			t->words[i].addr = 0;
}

static int is_poke(long request)
{
	return request == PTRACE_POKETEXT || request == PTRACE_POKEDATA;
}

static int changes(long request)
{
	return is_poke(request) || request == PTRACE_SETREGS || request == PTRACE_SETREGSET ||
	       request == PTRACE_SETSIGMASK;
}

void tracees_before(long request, int pid, long addr, long data)
{
	struct tracee *t;

	(void)data;
	if (request == PTRACE_SEIZE && !find(pid))
		add(pid);
	if (!changes(request) || !(t = find(pid)))
		return;
	if (!t->saved)
		save(t);
	if (is_poke(request))
		save_word(t, addr);
}

void tracees_after(long request, int pid, long addr, long data)
{
	struct tracee *t = find(pid);

	if (!t)
		return;
	if (request == PTRACE_DETACH)
		t->pid = 0;
	else if (request == PTRACE_CONT || request == PTRACE_SYSCALL || request == PTRACE_SINGLESTEP)
		t->runs = 1;
	else if (is_poke(request))
		forget_word(t, addr, data);
}

void tracees_waited(int pid, int status)
{
	struct tracee *t = find(pid);

	if (t && WIFSTOPPED(status))
		t->runs = 0;
	else if (t)
		t->pid = 0;
}

/* ---- undoing ---- */

/* Wait for its next stop. 0: it has one. */
static int wait_stop(struct tracee *t)
{
	int status = 0;
	long r;

	do {
		r = call(SYS_wait4, t->pid, (long)&status, __WALL, 0);
	} while (r == -EINTR);
	if (r < 0 || !WIFSTOPPED(status)) {
		t->pid = 0;
		return -ESRCH;
	}
	t->runs = 0;
	/* One that was on its way to it, which our taking note keeps from it: it is sent again. */
	if (status >> 16 == 0 && WSTOPSIG(status) < NSIG && WSTOPSIG(status) != SIGTRAP)
		t->signals |= 1ul << (WSTOPSIG(status) - 1);
	return status;
}

/* CRIU may have been killed between its stop and its knowing of it: then this returns at once. */
static void stop(struct tracee *t)
{
	if (!t->runs)
		return;
	call(SYS_ptrace, PTRACE_INTERRUPT, t->pid, 0, 0);
	wait_stop(t);
}

/* The trap of an injected instruction may wait behind the stop that we asked for. It would kill the process. */
static void swallow_trap(struct tracee *t)
{
	for (int i = 0; t->pid && i < STEPS_MAX && has_pending_trap(t->pid); i++) {
		call(SYS_ptrace, PTRACE_CONT, t->pid, 0, 0);
		wait_stop(t);
	}
}

static void put_back(struct tracee *t)
{
	struct iovec io = { .iov_base = t->xstate, .iov_len = t->xstate_len };

	for (int i = 0; i < WORDS_MAX; i++)
		if (t->words[i].addr)
			call(SYS_ptrace, PTRACE_POKEDATA, t->pid, t->words[i].addr, t->words[i].was);
	if (t->xstate_len)
		call(SYS_ptrace, PTRACE_SETREGSET, t->pid, NT_X86_XSTATE, (long)&io);
	call(SYS_ptrace, PTRACE_SETREGS, t->pid, 0, (long)&t->regs);
	call(SYS_ptrace, PTRACE_SETSIGMASK, t->pid, sizeof(t->mask), (long)&t->mask);
	/* CRIU's breakpoint at the end of the parasite. */
	call(SYS_ptrace, PTRACE_POKEUSER, t->pid, offsetof(struct user, u_debugreg[7]), 0);
}

/* ---- the parasite ---- */

struct maps {
	unsigned long code;	/* where the first code begins */
	unsigned long from, to;	/* of the parasite; 0: there is none */
};

static void look_at_line(const char *line, struct maps *m)
{
	unsigned long from = hex_behind(line, ""), to;
	const char *dash = strchr(line, '-'), *rights = strchr(line, ' ');

	if (!dash || !rights || strlen(rights) < 5)
		return;
	to = hex_behind(dash + 1, "");
	if (strstr(line, PARASITE)) {
		m->from = from;
		m->to = to;
	} else if (!m->code && rights[3] == 'x') {
		m->code = from;
	}
}

static void read_maps(int pid, struct maps *m)
{
	long fd = open_proc(pid, "maps", O_RDONLY), n;
	char buf[4096], *line, *end;
	size_t have = 0;

	*m = (struct maps){ 0 };
	while (fd >= 0 && (n = call(SYS_read, fd, (long)buf + (long)have, (long)(sizeof(buf) - have) - 1, 0)) > 0) {
		have += (size_t)n;
		buf[have] = '\0';
		for (line = buf; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			look_at_line(line, m);
		}
		have = (size_t)(buf + have - line);
		memmove(buf, line, have);
		if (have == sizeof(buf) - 1)
			have = 0;	/* a line that is too long is of a file, and no code of ours is looked for there */
	}
	if (fd >= 0)
		call(SYS_close, fd, 0, 0, 0);
}

/* Have it make a call. It is stopped and as before; it is so again behind this. */
static void inject(struct tracee *t, unsigned long code, long number, unsigned long a0, unsigned long a1)
{
	struct user_regs_struct regs = t->regs;
	unsigned long all = ~0ul;
	int status = 0;

	memset(t->words, 0, sizeof(t->words));
	save_word(t, (long)code);
	regs.rip = code;
	regs.rax = (unsigned long)number;
	regs.orig_rax = ~0ul;
	regs.rdi = a0;
	regs.rsi = a1;
	call(SYS_ptrace, PTRACE_POKEDATA, t->pid, (long)code, (long)SYSCALL_TRAP);
	call(SYS_ptrace, PTRACE_SETSIGMASK, t->pid, sizeof(all), (long)&all);
	call(SYS_ptrace, PTRACE_SETREGS, t->pid, 0, (long)&regs);
	for (int i = 0; i < STEPS_MAX && status >= 0 && (i == 0 || WSTOPSIG(status) != SIGTRAP || status >> 16); i++) {
		call(SYS_ptrace, PTRACE_CONT, t->pid, 0, 0);
		status = wait_stop(t);
	}
	if (t->pid)
		put_back(t);
}

/*
 * What the parasite opened (its memory, its connection, CRIU's log) stays open when it does not come to its end. All who share these
 * descriptors stand still: what was not open before is the parasite's.
 */
static void close_new(struct tracee *t, unsigned long code)
{
	unsigned char now[FDS_MAX / 8];

	read_fds(t->pid, now);
	for (unsigned int fd = 0; fd < FDS_MAX && t->pid; fd++)
		if ((now[fd / 8] & ~t->fds[fd / 8]) >> fd % 8 & 1)
			inject(t, code, SYS_close, fd, 0);
}

static void remove_parasite(struct tracee *t)
{
	struct maps m;

	read_maps(t->pid, &m);
	if (m.code)
		close_new(t, m.code);
	for (int i = 0; i < STEPS_MAX && t->pid && m.code && m.from; i++) {
		inject(t, m.code, SYS_munmap, m.from, m.to - m.from);
		read_maps(t->pid, &m);
	}
}

/* First all stop, and only then any is looked at: threads share what is written back. */
int tracees_undo(void)
{
	int live = 0;

	for (int i = 0; i < ntracees; i++)
		if (tracees[i].pid)
			stop(&tracees[i]);
	for (int i = 0; i < ntracees; i++) {
		struct tracee *t = &tracees[i];

		if (t->pid && t->saved)
			put_back(t);
		if (t->pid && t->saved)
			swallow_trap(t);
	}
	for (int i = 0; i < ntracees; i++)
		if (tracees[i].pid && tracees[i].saved && is_leader(tracees[i].pid))
			remove_parasite(&tracees[i]);
	for (int i = 0; i < ntracees; i++)
		live += tracees[i].pid != 0;
	return live;
}

void tracees_let_go(void)
{
	for (int i = 0; i < ntracees; i++) {
		const struct tracee *t = &tracees[i];

		for (int sig = 1; t->pid && sig < NSIG; sig++)
			if (t->signals >> (sig - 1) & 1)
				call(SYS_tkill, t->pid, sig, 0, 0);
		if (t->pid && t->stopped)
			call(SYS_kill, t->pid, SIGSTOP, 0, 0);
	}
}
