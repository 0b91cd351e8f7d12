#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# One container with all of what must survive, suspended and resumed with everything running: a test for each item.
# shellcheck disable=SC2154 # bats sets them

load lib
load survive

SECONDS_MAX=600

setup_file() {
	need criu
	host_up 'NETWORK6="fd77:1d9e::/64"' "CRIU=\"$LG_CRIU\""
	need template busybox
	ct 101 --ip auto --memory 512M
	put_survive 101
	survive_start 101
	local address four six
	for address in $(field 101 '.addresses[]' | cut -d/ -f1); do
		case $address in
		*:*) six=$address ;;
		*) four=$address ;;
		esac
	done
	client_start tcp4 "$SURVIVE" client tcp "$four" 7001 $SECONDS_MAX
	client_start tcp6 "$SURVIVE" client tcp "$six" 7001 $SECONDS_MAX
	client_start ping "$SURVIVE" client ping "$four" 7001 $SECONDS_MAX
	client_start udp4 "$SURVIVE" client udp "$four" 7001 $SECONDS_MAX
	client_start udp6 "$SURVIVE" client udp "$six" 7001 $SECONDS_MAX
	# All of them in the middle of it.
	sleep 0.5
}
teardown_file() {
	clients_kill
	host_down
}
teardown() { tell_more; }

# An item that was never suspended has not survived it.
survives() {
	[ -e "$LG_STATE/resumed" ] || fail "the container was not suspended and resumed"
	survived 101 "$1"
}

outside_survives() {
	[ -e "$LG_STATE/resumed" ] || fail "the container was not suspended and resumed"
	client_was_fine "$1"
}

@test "every item has a test here" {
	survive_program
	diff <("$SURVIVE" --names | sort) <(sed -n 's/.*{ survives \(.*\); }$/\1/p' "$BATS_TEST_FILENAME" | sort)
}

@test "the container is suspended" {
	lodge suspend 101
	is "$(field 101 .state)" suspended "state"
	is "$(init_pid 101)" "" "its init"
}

# The time in between is part of it: clocks and timers must not count it, clients must bear it.
@test "it is resumed after three seconds" {
	sleep 3
	lodge resume 101
	is "$(field 101 .state)" running "state"
	in_ct 101 true
	: >"$LG_STATE/resumed"
}

@test "clients outside: TCP over IPv4, both directions, every byte" { outside_survives tcp4; }
@test "clients outside: TCP over IPv6, both directions, every byte" { outside_survives tcp6; }
@test "clients outside: UDP over IPv4" { outside_survives udp4; }
@test "clients outside: UDP over IPv6" { outside_survives udp6; }
@test "clients outside: a byte there and back every millisecond, and how long it waited" {
	outside_survives ping
	echo "# longest wait $(client_figure ping gap_ms) ms, 3000 of them asleep" >&3
}

@test "tcp4: IPv4, both ends inside, every queue full" { survives tcp4; }
@test "tcp6: IPv6, both ends inside, every queue full" { survives tcp6; }
@test "tcp-stream: two processes that never stop sending" { survives tcp-stream; }
@test "tcp-half: half closed, data and its end unread" { survives tcp-half; }
@test "tcp-listen: a listening socket, its backlog and options" { survives tcp-listen; }
@test "tcp-options: options of a connection" { survives tcp-options; }
@test "udp4: IPv4 sockets, bound and connected" { survives udp4; }
@test "udp6: IPv6 sockets, bound and connected" { survives udp6; }
@test "unix-stream: a pair, both queues full" { survives unix-stream; }
@test "unix-seqpacket: queued messages and their boundaries" { survives unix-seqpacket; }
@test "unix-dgram: a socket with a path and queued messages" { survives unix-dgram; }
@test "unix-path: listening at a path" { survives unix-path; }
@test "unix-abstract: listening at an abstract name" { survives unix-abstract; }
@test "unix-backlog: a connection that waits for accept" { survives unix-backlog; }
@test "unix-rights: descriptors in flight in a message" { survives unix-rights; }
@test "epoll-level: level triggered events, and their data" { survives epoll-level; }
@test "epoll-edge: edge triggered events: no new one is lost" { survives epoll-edge; }
@test "epoll-oneshot: what has fired stays silent" { survives epoll-oneshot; }
@test "epoll-nested: an epoll in an epoll" { survives epoll-nested; }
@test "timer-fd: timerfds: what is left, what has expired" { survives timer-fd; }
@test "timer-interval: setitimer: real, virtual and profiling" { survives timer-interval; }
@test "timer-posix: POSIX timers: numbers, values, what is left" { survives timer-posix; }
@test "timer-sleep: a nanosleep in progress" { survives timer-sleep; }
@test "inotify-root: watches of a file and a folder of the root" { survives inotify-root; }
@test "inotify-tmpfs: watches of a file and a folder of a tmpfs" { survives inotify-tmpfs; }
@test "signalfd: a signalfd and what waits in it" { survives signalfd; }
@test "eventfd: an eventfd's counter" { survives eventfd; }
@test "pidfd: a pidfd of a living child" { survives pidfd; }
@test "memfd: content, name, seals, position, mapping" { survives memfd; }
@test "shm-anonymous: MAP_SHARED memory of two processes" { survives shm-anonymous; }
@test "shm-posix: shm_open, mapped by two processes" { survives shm-posix; }
@test "shm-unlinked: shm_open, its name removed" { survives shm-unlinked; }
@test "shm-file: a file mapped by two processes" { survives shm-file; }
@test "sysv-shm: shared memory of two processes" { survives sysv-shm; }
@test "sysv-sem: semaphores and their values" { survives sysv-sem; }
@test "sysv-msg: a queue with messages" { survives sysv-msg; }
@test "lock-flock: flock held by another process" { survives lock-flock; }
@test "lock-fcntl: fcntl lock held by another process" { survives lock-fcntl; }
@test "lock-ofd: OFD lock held by another process" { survives lock-ofd; }
@test "file-deleted: a small deleted file that is open" { survives file-deleted; }
@test "file-deleted-8m: a deleted file of 8 MiB that is open" { survives file-deleted-8m; }
@test "file-linked: open by a name that is gone, with another left" { survives file-linked; }
@test "folder-deleted: deleted folders: the working one, an open one" { survives folder-deleted; }
@test "file-position: a position that two processes share" { survives file-position; }
@test "file-flags: O_APPEND, O_NOATIME, O_NONBLOCK, close-on-exec" { survives file-flags; }
@test "file-sparse: a sparse file that is written further" { survives file-sparse; }
@test "file-direct: O_DIRECT" { survives file-direct; }
@test "file-special: open folders, devices, /proc, O_PATH" { survives file-special; }
@test "pipe-full: a full pipe of 256 KiB" { survives pipe-full; }
@test "pipe-spliced: a pipe with pages of a file" { survives pipe-spliced; }
@test "pipe-shared: a pipe between two processes" { survives pipe-shared; }
@test "pipe-orphan: what is left in a pipe without a writer" { survives pipe-orphan; }
@test "fifo: a FIFO with data" { survives fifo; }
@test "pty-session: a shell on a terminal with a job in front" { survives pty-session; }
@test "pty-raw: a terminal's settings and name" { survives pty-raw; }
@test "process-groups: sessions and process groups" { survives process-groups; }
@test "process-zombies: zombies and their status" { survives process-zombies; }
@test "process-stopped: a stopped process stays stopped" { survives process-stopped; }
@test "process-orphan: a subreaper and its orphan" { survives process-orphan; }
@test "limits: setrlimit" { survives limits; }
@test "scheduler: policy and nice" { survives scheduler; }
@test "affinity: the CPUs that it and a thread may use" { survives affinity; }
@test "chroot: root, working folder, umask" { survives chroot; }
@test "prctl: name, dumpable, death signal and others" { survives prctl; }
@test "timerslack: PR_SET_TIMERSLACK, of a thread, too" { survives timerslack; }
@test "proc: OOM score, environment, command line, program" { survives proc; }
@test "capabilities: all five sets" { survives capabilities; }
@test "users: real, effective and saved ids, groups" { survives users; }
@test "seccomp: filters of a process and of one thread" { survives seccomp; }
@test "threads: 48 of them: variables, names, masks, numbers" { survives threads; }
@test "thread-robust: a robust mutex whose owner dies later" { survives thread-robust; }
@test "thread-futex: a wait in memory that processes share" { survives thread-futex; }
@test "signal-pending: pending for the process and for a thread" { survives signal-pending; }
@test "signal-queued: queued ones, their values and order" { survives signal-queued; }
@test "signal-handlers: handlers, masks, the alternate stack" { survives signal-handlers; }
@test "memory-large: a private mapping of 32 MiB (\$SURVIVE_MIB)" { survives memory-large; }
@test "memory-cow: pages that parent and child share" { survives memory-cow; }
@test "memory-sparse: 64 GiB with 16 pages touched" { survives memory-sparse; }
@test "memory-protected: mprotect" { survives memory-protected; }
@test "memory-locked: mlock" { survives memory-locked; }
@test "memory-growing: MAP_GROWSDOWN" { survives memory-growing; }
@test "memory-file: a private mapping of a file, one page changed" { survives memory-file; }
@test "memory-dontfork: MADV_DONTFORK" { survives memory-dontfork; }
@test "memory-wipeonfork: MADV_WIPEONFORK" { survives memory-wipeonfork; }
@test "mount-tmpfs: a mount namespace with a tmpfs and its files" { survives mount-tmpfs; }
@test "mount-bind: a mount namespace with bind mounts" { survives mount-bind; }
@test "cgroup: a cgroup made inside, and who is in it" { survives cgroup; }
@test "clock-realtime: CLOCK_REALTIME" { survives clock-realtime; }
@test "clock-monotonic: CLOCK_MONOTONIC goes on" { survives clock-monotonic; }
@test "clock-boottime: CLOCK_BOOTTIME goes on" { survives clock-boottime; }
@test "clock-vdso: the vdso and the kernel agree" { survives clock-vdso; }
@test "clock-uptime: /proc/uptime goes on" { survives clock-uptime; }
@test "cpu-sse: SSE registers" { survives cpu-sse; }
@test "cpu-avx: AVX registers" { survives cpu-avx; }
@test "cpu-x87: x87 registers and rounding" { survives cpu-x87; }
@test "cpu-compute: a computation goes on" { survives cpu-compute; }
@test "server: a server whose clients are outside" { survives server; }
