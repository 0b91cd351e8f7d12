/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What the host tests ask of a guest and a busybox shell cannot do: use memory, fork without end, call
 * what the filter should refuse, and send frames that are not one's own. Static, so that it
 * runs in any container.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/keyctl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define FRAME_MAX 256u
#define FORK_MAX 5000
#define HUGE_PAGE (2u << 20)
#define IO_SPAN (16u << 20)	/* of the file; what is written stays small */

static int complain(const char *what)
{
	printf("%s: %s\n", what, strerrorname_np(errno));
	return 1;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* hog BYTES: touch that much memory and say so. */
static int hog(char **arg)
{
	size_t size = strtoull(arg[0], NULL, 10);
	volatile char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return complain("mmap");
	for (size_t at = 0; at < size; at += PAGE)
		mem[at] = 1;
	printf("held %zu\n", size);
	return 0;
}

/* fork: as many sleeping children as one gets. */
static int fork_all(char **arg)
{
	static pid_t child[FORK_MAX];
	int n = 0, why = 0;

	(void)arg;
	for (; n < FORK_MAX; n++) {
		child[n] = fork();
		if (child[n] == 0) {
			pause();
			_exit(0);
		}
		if (child[n] < 0) {
			why = errno;
			break;
		}
	}
	printf("forked %d then %s\n", n, why ? strerrorname_np(why) : "stopped");
	for (int i = 0; i < n; i++)
		kill(child[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	return 0;
}

/* spin SECONDS: one busy process. */
static int spin(char **arg)
{
	double end = now() + atof(arg[0]);

	while (now() < end)
		;
	return 0;
}

/* System calls with arguments that do nothing should they be let through. */
static const struct {
	const char *name;
	long nr;
	long arg[5];
} calls[] = {
	{ "getpid", SYS_getpid, { 0 } },
	{ "keyctl", SYS_keyctl, { KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0 } },
	{ "add_key", SYS_add_key, { 0 } },
	{ "request_key", SYS_request_key, { 0 } },
	{ "kexec_load", SYS_kexec_load, { 0, 0, 0, 0 } },
	{ "kexec_file_load", SYS_kexec_file_load, { -1, -1, 0, 0, 0 } },
	{ "init_module", SYS_init_module, { 0, 0, 0 } },
	{ "finit_module", SYS_finit_module, { -1, 0, 0 } },
	{ "delete_module", SYS_delete_module, { 0, 0 } },
	{ "open_by_handle_at", SYS_open_by_handle_at, { -1, 0, 0 } },
	{ "swapon", SYS_swapon, { 0, 0 } },
	{ "swapoff", SYS_swapoff, { 0 } },
	{ "iopl", SYS_iopl, { 0 } },
	{ "ioperm", SYS_ioperm, { 0, 0, 0 } },
	{ "acct", SYS_acct, { 0 } },
	{ "bpf", SYS_bpf, { 0, 0, 0 } },
	{ "perf_event_open", SYS_perf_event_open, { 0, 0, -1, -1, 0 } },
	{ "userfaultfd", SYS_userfaultfd, { 0 } },
	{ "io_uring_setup", SYS_io_uring_setup, { 0, 0 } },
};

/* call NAME: what the kernel answers. */
static int call(char **arg)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const long *a = calls[i].arg;

		if (strcmp(calls[i].name, arg[0]) != 0)
			continue;
		errno = 0;
		syscall(calls[i].nr, a[0], a[1], a[2], a[3], a[4]);
		printf("%s\n", errno ? strerrorname_np(errno) : "ok");
		return 0;
	}
	fprintf(stderr, "no call %s\n", arg[0]);
	return 2;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		      &mac[4], &mac[5]) == 6;
}

static size_t put(uint8_t *frame, size_t at, const void *data, size_t size)
{
	memcpy(frame + at, data, size);
	return at + size;
}

/* An ARP request for @dst that claims to come from @mac and @src. */
static size_t put_arp(uint8_t *frame, size_t at, const uint8_t mac[6], const char *src, const char *dst)
{
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	static const uint8_t nobody[6];
	struct in_addr ip[2];

	if (inet_pton(AF_INET, src, &ip[0]) != 1 || inet_pton(AF_INET, dst, &ip[1]) != 1)
		return 0;
	at = put(frame, at, head, sizeof(head));
	at = put(frame, at, mac, 6);
	at = put(frame, at, &ip[0], 4);
	at = put(frame, at, nobody, 6);
	return put(frame, at, &ip[1], 4);
}

static uint16_t header_sum(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static size_t put_ip4(uint8_t *frame, size_t at, const char *src, const char *dst, size_t payload)
{
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 9, .protocol = IPPROTO_UDP };
	struct udphdr udp = { .source = htons(9), .dest = htons(9) };

	if (inet_pton(AF_INET, src, &ip.saddr) != 1 || inet_pton(AF_INET, dst, &ip.daddr) != 1)
		return 0;
	ip.tot_len = htons((uint16_t)(sizeof(ip) + sizeof(udp) + payload));
	ip.check = header_sum(&ip, sizeof(ip));
	udp.len = htons((uint16_t)(sizeof(udp) + payload));
	at = put(frame, at, &ip, sizeof(ip));
	return put(frame, at, &udp, sizeof(udp));
}

static size_t put_ip6(uint8_t *frame, size_t at, const char *src, const char *dst, size_t payload)
{
	struct ip6_hdr ip = { 0 };
	struct udphdr udp = { .source = htons(9), .dest = htons(9) };

	ip.ip6_flow = htonl(6u << 28);
	ip.ip6_nxt = IPPROTO_UDP;
	ip.ip6_hlim = 9;
	if (inet_pton(AF_INET6, src, &ip.ip6_src) != 1 || inet_pton(AF_INET6, dst, &ip.ip6_dst) != 1)
		return 0;
	ip.ip6_plen = htons((uint16_t)(sizeof(udp) + payload));
	udp.len = htons((uint16_t)(sizeof(udp) + payload));
	at = put(frame, at, &ip, sizeof(ip));
	return put(frame, at, &udp, sizeof(udp));
}

/* Ethernet to everybody, then what @kind names, then the mark that sniff looks for. */
static size_t build(uint8_t *frame, const char *kind, char **arg)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
	size_t marklen = strlen(arg[4]), at = 0;
	uint8_t from[6], claim[6];
	uint16_t type;

	if (!parse_mac(arg[0], from) || !parse_mac(arg[1], claim) || marklen > 32)
		return 0;
	type = htons(kind[0] == 'a' ? ETHERTYPE_ARP : kind[2] == '4' ? ETHERTYPE_IP : ETHERTYPE_IPV6);
	at = put(frame, at, all, 6);
	at = put(frame, at, from, 6);
	at = put(frame, at, &type, 2);
	if (kind[0] == 'a')
		at = put_arp(frame, at, claim, arg[2], arg[3]);
	else if (kind[2] == '4')
		at = put_ip4(frame, at, arg[2], arg[3], marklen);
	else
		at = put_ip6(frame, at, arg[2], arg[3], marklen);
	return at ? put(frame, at, arg[4], marklen) : 0;
}

static int raw_socket(const char *interface)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	to.sll_ifindex = (int)if_nametoindex(interface);
	if (fd < 0 || !to.sll_ifindex || bind(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return -1;
	return fd;
}

/* send IF arp|ip4|ip6 ETHER-FROM ARP-FROM IP-FROM IP-TO MARK: three times, 20 ms apart. */
static int send_frames(char **arg)
{
	uint8_t frame[FRAME_MAX];
	size_t size = build(frame, arg[1], arg + 2);
	int fd = raw_socket(arg[0]);

	if (fd < 0)
		return complain("socket");
	if (!size) {
		fprintf(stderr, "bad frame\n");
		return 2;
	}
	for (int i = 0; i < 3; i++) {
		if (send(fd, frame, size, 0) < 0)
			return complain("send");
		usleep(20000);
	}
	printf("sent\n");
	return 0;
}

/* sniff IF SECONDS MARK: "listening", then how many frames with the mark came in. */
static int sniff(char **arg)
{
	double end = now() + atof(arg[1]);
	struct pollfd p = { .fd = raw_socket(arg[0]), .events = POLLIN };
	int seen = 0;

	if (p.fd < 0)
		return complain("socket");
	printf("listening\n");
	fflush(stdout);
	while (now() < end) {
		struct sockaddr_ll from = { 0 };
		socklen_t fromlen = sizeof(from);
		char frame[2048];
		ssize_t n;

		if (poll(&p, 1, 50) <= 0)
			continue;
		n = recvfrom(p.fd, frame, sizeof(frame), 0, (struct sockaddr *)&from, &fromlen);
		if (n > 0 && from.sll_pkttype != PACKET_OUTGOING &&
		    memmem(frame, (size_t)n, arg[2], strlen(arg[2])))
			seen++;
	}
	printf("seen %d\n", seen);
	return 0;
}

static void end_42(int sig)
{
	(void)sig;
	_exit(42);
}

/* late: as process 1, which hears the stop signal only after a while. The argument is the script's. */
static int late(char **arg)
{
	struct sigaction sa = { .sa_handler = end_42 };

	(void)arg;
	sleep(3);
	sigaction(SIGINT, &sa, NULL);
	for (;;)
		pause();
}

/* huge BYTES: reserve and touch as much in huge pages. */
static int huge(char **arg)
{
	size_t size = strtoull(arg[0], NULL, 10);
	volatile char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (mem == MAP_FAILED)
		return complain("mmap");
	for (size_t at = 0; at < size; at += HUGE_PAGE)
		mem[at] = 1;
	printf("held %zu\n", size);
	return 0;
}

/* One request at @at, as big as the buffer. */
static ssize_t request(int fd, const char *how, char *buf, size_t size, off_t at)
{
	return strcmp(how, "read") == 0 ? pread(fd, buf, size, at) : pwrite(fd, buf, size, at);
}

/* io FILE read|write|sync|plain BYTES SECONDS: requests of BYTES for so long; says how much it did. */
static int io(char **arg)
{
	static const struct {
		const char *how;
		int flags;
	} ways[] = {
		{ "read", O_RDONLY | O_DIRECT }, { "write", O_RDWR | O_CREAT | O_DIRECT },
		{ "sync", O_RDWR | O_CREAT | O_DSYNC }, { "plain", O_RDWR | O_CREAT },
	};
	size_t size = strtoull(arg[2], NULL, 10), done = 0;
	double end = now() + atof(arg[3]);
	char *buf = aligned_alloc(PAGE, size);
	int fd = -1;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(ways[i].how, arg[1]) == 0)
			fd = open(arg[0], ways[i].flags | O_CLOEXEC, 0600);
	if (fd < 0 || !buf)
		return complain("open");
	memset(buf, 'x', size);
	for (off_t at = 0; now() < end; at = (at + (off_t)size) % IO_SPAN) {
		ssize_t n = request(fd, arg[1], buf, size, at);

		if (n < 0)
			return complain(arg[1]);
		done += (size_t)n;
	}
	printf("%zu\n", done);
	return 0;
}

static const struct {
	const char *name;
	int nargs;
	int (*fn)(char **arg);
} verbs[] = {
	{ "huge", 1, huge },	  { "io", 4, io },
	{ "hog", 1, hog },	  { "fork", 0, fork_all },	{ "spin", 1, spin },
	{ "late", 1, late },	  { "call", 1, call },	  { "send", 7, send_frames },	{ "sniff", 3, sniff },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[1], verbs[i].name) == 0 && argc == verbs[i].nargs + 2)
			return verbs[i].fn(argv + 2);
	fprintf(stderr, "probe: bad arguments\n");
	return 2;
}
