/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

#define SIZE 100000u
#define MESSAGES 5

static int id = -1;
static struct sv_child child;

static key_t key(void)
{
	return 0x5e000000 + getpid();
}

/* ---- shared memory ------------------------------------------------------------------------- /  */

static uint8_t *shared;

static int poke(int request)
{
	shared[7] = (uint8_t)request;
	return request;
}

static int shm_setup(void)
{
	id = shmget(key(), SIZE, IPC_CREAT | IPC_EXCL | 0640);
	shared = id < 0 ? NULL : shmat(id, NULL, 0);
	if (!shared || shared == (void *)-1)
		return sv_errno("shmget");
	sv_fill(shared, SIZE, 40, 0);
	return sv_child_start(&child, poke);
}

static int shm_check(void)
{
	struct shmid_ds ds;

	if (sv_compare("SysV shared memory", shared, SIZE, 40, 0) < 0)
		return -1;
	if (sv_same("its number by its key", id, shmget(key(), 0, 0)) < 0)
		return -1;
	if (shmctl(id, IPC_STAT, &ds) < 0)
		return sv_errno("IPC_STAT");
	if (sv_same("how many have it attached", 2, (int64_t)ds.shm_nattch) < 0 ||
	    sv_same("its mode", 0640, ds.shm_perm.mode & 0777) < 0 ||
	    sv_child_ask(&child, 98) < 0)
		return -1;
	return sv_same("what the other process wrote", 98, shared[7]);
}

static int shm_verify(void)
{
	int r = shm_check();

	shmctl(id, IPC_RMID, NULL);
	return r;
}

static void shm_spoil(void)
{
	sv_child_kill(&child);
}

/* ---- semaphores: values, and what is undone when a process ends ------------------- */

static int take(int request)
{
	struct sembuf op = {
		.sem_num = 1, .sem_op = (short)-request, .sem_flg = SEM_UNDO | IPC_NOWAIT};

	return semop(id, &op, 1) < 0 ? sv_errno("semop") : 0;
}

static int sem_make(void)
{
	struct sembuf ops[] = {{0, 3, 0}, {1, 7, 0}};

	id = semget(key(), 2, IPC_CREAT | IPC_EXCL | 0600);
	return id < 0 || semop(id, ops, 2) < 0 ? sv_errno("semget") : 0;
}

static int sem_undo_setup(void)
{
	if (sem_make() < 0 || sv_child_start(&child, take) < 0)
		return -1;
	return sv_child_ask(&child, 4);
}

static int sem_end(int r)
{
	semctl(id, 0, IPC_RMID);
	return r;
}

static int sem_check(int second)
{
	if (sv_same("its number by its key", id, semget(key(), 0, 0)) < 0 ||
	    sv_same("the first semaphore", 3, semctl(id, 0, GETVAL)) < 0)
		return -1;
	return sv_same("the second semaphore", second, semctl(id, 1, GETVAL));
}

static int sem_verify(void)
{
	return sem_end(sem_check(7));
}

static int sem_undo_verify(void)
{
	if (sem_check(3) < 0)
		return sem_end(-1);
	sv_child_kill(&child);
	return sem_end(sv_same("the second semaphore after its taker's end", 7,
			       semctl(id, 1, GETVAL)));
}

static void sem_spoil(void)
{
	semctl(id, 0, SETVAL, 4);
}

static void sem_undo_spoil(void)
{
	/* Setting a value forgets what was to be undone. */
	semctl(id, 1, SETVAL, 3);
}

/* ---- message queues --------------------------------------------------------------- */

struct text {
	long type;
	uint8_t bytes[600];
};

static size_t message_size(int i)
{
	return (size_t)(i * 130 + 1);
}

static int msg_setup(void)
{
	id = msgget(key(), IPC_CREAT | IPC_EXCL | 0600);
	for (int i = 0; i < MESSAGES; i++) {
		struct text text = {.type = 1000 + i};

		sv_fill(text.bytes, sizeof(text.bytes), 41, 0);
		if (msgsnd(id, &text, message_size(i), IPC_NOWAIT) < 0)
			return sv_errno("msgsnd");
	}
	return 0;
}

static int msg_take(int i)
{
	struct text text;
	ssize_t n = msgrcv(id, &text, sizeof(text.bytes), i == 3 ? 1003 : 0, IPC_NOWAIT);

	if (n < 0)
		return sv_errno("msgrcv");
	if (sv_same("type of a message", 1000 + i, text.type) < 0 ||
	    sv_same("size of a message", (int64_t)message_size(i), n) < 0)
		return -1;
	return sv_compare("a SysV message", text.bytes, n, 41, 0);
}

/* One out of its turn, by its type. */
static int msg_verify(void)
{
	static const int order[MESSAGES] = {3, 0, 1, 2, 4};
	int r = sv_same("its number by its key", id, msgget(key(), 0));

	for (int i = 0; r == 0 && i < MESSAGES; i++)
		r = msg_take(order[i]);
	msgctl(id, IPC_RMID, NULL);
	return r;
}

static void msg_spoil(void)
{
	struct text text;

	msgrcv(id, &text, sizeof(text.bytes), 1001, IPC_NOWAIT);
}

/* ---- POSIX message queues --------------------------------------------------------- */

static mqd_t queue = -1;
static char queue_name[64];

static int mq_setup(void)
{
	struct mq_attr attr = {.mq_maxmsg = 6, .mq_msgsize = 256};

	snprintf(queue_name, sizeof(queue_name), "/survive-%d", getpid());
	queue = mq_open(queue_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NONBLOCK, 0600,
			&attr);
	if (queue < 0)
		return sv_errno("mq_open");
	if (mq_send(queue, "low", 4, 1) < 0 || mq_send(queue, "high", 5, 9) < 0)
		return sv_errno("mq_send");
	return 0;
}

static int mq_take(const char *wanted, unsigned int wanted_priority)
{
	unsigned int priority = 0;
	char buf[256] = "";

	if (mq_receive(queue, buf, sizeof(buf), &priority) < 0)
		return sv_errno("mq_receive");
	if (strcmp(buf, wanted) != 0)
		return sv_fail("a POSIX message is not '%s'", wanted);
	return sv_same("its priority", wanted_priority, priority);
}

static int mq_check(void)
{
	struct mq_attr attr = {0};

	if (mq_getattr(queue, &attr) < 0)
		return sv_errno("mq_getattr");
	if (sv_same("room of the queue", 6, attr.mq_maxmsg) < 0 ||
	    sv_same("size of its messages", 256, attr.mq_msgsize) < 0 ||
	    mq_take("high", 9) < 0 || mq_take("low", 1) < 0)
		return -1;
	if (mq_send(queue, "new", 4, 2) < 0)
		return sv_errno("mq_send");
	return mq_take("new", 2);
}

static int mq_verify(void)
{
	int r = mq_check();

	mq_unlink(queue_name);
	return r;
}

static void mq_spoil(void)
{
	char buf[256];

	mq_receive(queue, buf, sizeof(buf), NULL);
}

/* clang-format off */
const struct sv_item sv_ipc_items[] = {
	{ "sysv-shm", "shared memory of two processes", shm_setup, shm_verify, shm_spoil, NULL, SV_KEPT },
	{ "sysv-sem", "semaphores and their values", sem_make, sem_verify, sem_spoil, NULL, SV_KEPT },
	{ "sysv-sem-undo", "what is undone when a process ends", sem_undo_setup, sem_undo_verify, sem_undo_spoil, NULL, SV_LOST },
	{ "sysv-msg", "a queue with messages", msg_setup, msg_verify, msg_spoil, NULL, SV_KEPT },
	{ "posix-mq", "a POSIX queue with messages", mq_setup, mq_verify, mq_spoil, NULL, SV_REFUSED },
	{ .name = NULL },
};
