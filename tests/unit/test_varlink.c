/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The server is driven here byte by byte, in this process: pump() lets it work until nothing moves any
 * more. The blocking client is tested against a server in a process of its own.
 */

#include "lib/varlink.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/varlink_conn.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const char description[] =
	"# For tests.\n"
	"interface test.unit\n"
	"method Echo(text: string, number: ?int) -> (text: string, number: ?int)\n"
	"method Hold() -> (i: ?int)\n"
	"method Forget() -> ()\n"
	"method Stream(n: int) -> (i: ?int)\n"
	"method Large(bytes: int) -> (text: string)\n"
	"method Fds(take: int) -> (text: string)\n"
	"method Fail() -> ()\n"
	"method Typed(b: ?bool, f: ?float, e: ?(one, two), a: ?[]string, m: ?[string]string,\n"
	"             o: ?object, p: ?Point, ps: ?[]Point) -> ()\n"
	"method Missing() -> ()\n"
	"type Point (x: int, y: ?int)\n"
	"error Failed (message: string, errno: int, exit_code: int)\n";

#define HELD_MAX 4
static struct lg_vcall *held[HELD_MAX];
static unsigned int nheld, echoes, gone;
static bool in_notify;

static void on_echo(struct lg_vcall *call, const json_t *params, void *ctx)
{
	(void)ctx;
	echoes++;
	lg_vcall_reply(call, json_deep_copy(params));
}

static void count_gone(struct lg_vcall *call, void *arg)
{
	ck_assert(!in_notify);
	ck_assert(lg_vcall_gone(call));
	ck_assert_ptr_eq(arg, held);
	gone++;
}

static void on_hold(struct lg_vcall *call, const json_t *params, void *ctx)
{
	(void)params;
	(void)ctx;
	ck_assert_uint_lt(nheld, HELD_MAX);
	held[nheld++] = lg_vcall_ref(call);
	lg_vcall_on_gone(call, count_gone, held);
}

static void on_forget(struct lg_vcall *call, const json_t *params, void *ctx)
{
	(void)call;
	(void)params;
	(void)ctx;
}

static void on_stream(struct lg_vcall *call, const json_t *params, void *ctx)
{
	int64_t n = lg_json_int(params, "n", 0);
	int r = 0;

	(void)ctx;
	for (int64_t i = 0; i < n && r == 0; i++)
		r = lg_vcall_notify(call, json_pack("{s:I}", "i", (json_int_t)i));
	if (r == -EPROTO)
		lg_vcall_error(call, LG_VSERVICE ".ExpectedMore", NULL);
	else
		lg_vcall_reply(call, NULL);
}

static void on_large(struct lg_vcall *call, const json_t *params, void *ctx)
{
	size_t n = (size_t)lg_json_int(params, "bytes", 0);
	char *text = malloc(n + 1);

	(void)ctx;
	memset(text, 'x', n);
	text[n] = '\0';
	lg_vcall_reply(call, json_pack("{s:s}", "text", text));
	free(text);
}

/* Answers with the first byte that each descriptor gives. */
static void on_fds(struct lg_vcall *call, const json_t *params, void *ctx)
{
	char text[LG_VARLINK_FDS + 1] = "";

	(void)ctx;
	for (unsigned int i = 0; i < (unsigned int)lg_json_int(params, "take", 0); i++) {
		lg_autoclose int fd = lg_vcall_take_fd(call, i);

		if (fd < 0 || read(fd, text + i, 1) != 1)
			break;
		ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		ck_assert_int_eq(lg_vcall_take_fd(call, i), -1);
	}
	lg_vcall_reply(call, json_pack("{s:s}", "text", text));
}

static void on_fail(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct lg_err err = { .code = -ENOSPC, .exit_code = LG_EXIT_NO_SPACE,
			      .msg = "create caf\xe9: no room" };

	(void)params;
	(void)ctx;
	lg_vcall_fail(call, &err);
}

static void on_typed(struct lg_vcall *call, const json_t *params, void *ctx)
{
	(void)params;
	(void)ctx;
	lg_vcall_reply(call, NULL);
}

static const struct lg_vmethod methods[] = {
	{ "test.unit.Echo", on_echo },	   { "test.unit.Hold", on_hold },
	{ "test.unit.Forget", on_forget }, { "test.unit.Stream", on_stream },
	{ "test.unit.Large", on_large },   { "test.unit.Fds", on_fds },
	{ "test.unit.Fail", on_fail },	   { "test.unit.Typed", on_typed },
};

static bool everyone = true;

static bool may_connect(uid_t uid, gid_t gid, pid_t pid, void *ctx)
{
	(void)ctx;
	ck_assert_uint_eq(uid, geteuid());
	ck_assert_uint_eq(gid, getegid());
	ck_assert_int_eq(pid, getpid());
	return everyone;
}

static const struct lg_vserver_conf conf = {
	.vendor = "Vendor", .product = "Product", .version = "1", .url = "https://example.org",
	.interface = "test.unit", .description = description,
	.methods = methods, .nmethods = ARRAY_SIZE(methods), .may_connect = may_connect,
};

static sd_event *event;
static struct lg_vserver *server;
static struct sockaddr_un addr;
static socklen_t addr_len;

/* An abstract address that the kernel picks: nothing to remove. */
static int listen_somewhere(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	addr_len = sizeof(addr);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &addr_len), 0);
	ck_assert_int_eq(listen(fd, 1024), 0);
	return fd;
}

static void setup(void)
{
	struct lg_err err = { 0 };

	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_msg(lg_vserver_new(event, listen_somewhere(), &conf, &server, &err) == 0, "%s",
		      err.msg);
}

static void teardown(void)
{
	while (nheld > 0)
		lg_vcall_unref(held[--nheld]);
	lg_vserver_free(server);
	sd_event_unref(event);
}

/* Let the server work until nothing is left to do. Returns how many events that were. */
static int pump(void)
{
	int n = 0;

	while (sd_event_run(event, 0) > 0)
		ck_assert_int_lt(++n, 20000);
	return n;
}

static int client_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int client(void)
{
	int fd = client_socket();

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, addr_len), 0);
	return fd;
}

static void put(int fd, const char *bytes, size_t len)
{
	ck_assert_int_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* A call as text with the NUL that ends it. */
static void say(int fd, const char *text)
{
	put(fd, text, strlen(text) + 1);
}

static void put_fds(int fd, const char *text, const int *fds, unsigned int nfds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 64)];
		struct cmsghdr align;
	} space = { 0 };
	struct iovec iov = { .iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text) + 1 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space.buf,
			    .msg_controllen = CMSG_SPACE(sizeof(int) * nfds) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	ck_assert_int_eq(sendmsg(fd, &h, MSG_NOSIGNAL), (ssize_t)iov.iov_len);
}

/* All that is there to read, NULs shown as new lines; "EOF" at the end of a closed connection. */
static const char *hear(int fd)
{
	static char text[65536];
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, text + len, sizeof(text) - 8 - len, 0)) > 0)
		len += (size_t)n;
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0')
			text[i] = '\n';
	text[len] = '\0';
	if (n == 0 || errno == ECONNRESET)
		strcpy(text + len, "EOF");
	else
		ck_assert_int_eq(errno, EAGAIN);
	return text;
}

static const char *ask(int fd, const char *text)
{
	say(fd, text);
	pump();
	return hear(fd);
}

#define ECHO(text) "{\"method\":\"test.unit.Echo\",\"parameters\":{\"text\":\"" text "\"}}"
#define ECHOED(text) "{\"parameters\":{\"text\":\"" text "\"}}\n"
#define HOLD "{\"method\":\"test.unit.Hold\"}"
#define TYPED(params) "{\"method\":\"test.unit.Typed\",\"parameters\":{" params "}}"
#define EMPTY "{\"parameters\":{}}\n"
#define INVALID(p) "{\"error\":\"org.varlink.service.InvalidParameter\"," \
	"\"parameters\":{\"parameter\":\"" p "\"}}\n"

static const struct { const char *call, *answer; } exchanges[] = {
	{ ECHO("a"), ECHOED("a") },
	{ "{\"parameters\":{\"number\":3,\"text\":\"\xc3\xa9\"},\"method\":\"test.unit.Echo\"}",
	  "{\"parameters\":{\"number\":3,\"text\":\"\xc3\xa9\"}}\n" },
	{ "{\"method\":\"test.unit.Echo\",\"more\":true,\"parameters\":{\"text\":\"m\"}}", ECHOED("m") },
	{ "{\"method\":\"test.unit.Echo\",\"else\":1,\"parameters\":{\"text\":\"m\"}}", ECHOED("m") },
	{ "{\"method\":\"test.unit.Echo\",\"oneway\":true,\"parameters\":{\"text\":\"m\"}}", "" },
	{ "{\"method\":\"test.unit.No\",\"oneway\":true}", "" },
	{ "{\"method\":\"test.unit.Stream\",\"more\":true,\"parameters\":{\"n\":2}}",
	  "{\"parameters\":{\"i\":0},\"continues\":true}\n"
	  "{\"parameters\":{\"i\":1},\"continues\":true}\n" EMPTY },
	{ "{\"method\":\"test.unit.Stream\",\"parameters\":{\"n\":2}}",
	  "{\"error\":\"org.varlink.service.ExpectedMore\",\"parameters\":{}}\n" },
	{ "{\"method\":\"test.unit.Forget\"}",
	  "{\"error\":\"test.unit.Failed\",\"parameters\":{\"message\":\"the operation ended without an "
	  "answer\",\"errno\":125,\"exit_code\":0}}\n" },
	{ "{\"method\":\"test.unit.Fail\",\"parameters\":null}",
	  "{\"error\":\"test.unit.Failed\",\"parameters\":{\"message\":\"create caf?: no room\","
	  "\"errno\":28,\"exit_code\":46}}\n" },
	/* errors of the protocol */
	{ "{\"method\":\"test.unit.No\"}",
	  "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"test.unit.No\"}}\n" },
	{ "{\"method\":\"test.unit.Failed\"}",
	  "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"test.unit.Failed\"}}\n" },
	{ "{\"method\":\"test.unit.Missing\"}",
	  "{\"error\":\"org.varlink.service.MethodNotImplemented\",\"parameters\":{\"method\":\"test.unit.Missing\"}}\n" },
	{ "{\"method\":\"test.unit.Hold\",\"upgrade\":true}",
	  "{\"error\":\"org.varlink.service.MethodNotImplemented\",\"parameters\":{\"method\":\"test.unit.Hold\"}}\n" },
	{ "{\"method\":\"test.uni.Echo\"}",
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"test.uni\"}}\n" },
	{ "{\"method\":\"Echo\"}",
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"Echo\"}}\n" },
	{ "{\"method\":\"\"}",
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"\"}}\n" },
	/* introspection */
	{ "{\"method\":\"org.varlink.service.GetInfo\"}",
	  "{\"parameters\":{\"vendor\":\"Vendor\",\"product\":\"Product\",\"version\":\"1\","
	  "\"url\":\"https://example.org\",\"interfaces\":[\"org.varlink.service\",\"test.unit\"]}}\n" },
	{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"no\"}}",
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"no\"}}\n" },
	{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}", INVALID("interface") },
	/* what the description says about parameters holds */
	{ "{\"method\":\"test.unit.Echo\"}", INVALID("text") },
	{ "{\"method\":\"test.unit.Echo\",\"parameters\":{\"text\":null}}", INVALID("text") },
	{ "{\"method\":\"test.unit.Echo\",\"parameters\":{\"text\":1}}", INVALID("text") },
	{ "{\"method\":\"test.unit.Echo\",\"parameters\":{\"text\":\"a\",\"number\":1.5}}", INVALID("number") },
	{ "{\"method\":\"test.unit.Echo\",\"parameters\":{\"text\":\"a\",\"x\":1}}", INVALID("x") },
	{ TYPED("\"b\":true,\"f\":1,\"e\":\"two\",\"a\":[\"x\"],\"m\":{\"k\":\"v\"},\"o\":{},\"p\":{\"x\":1}"), EMPTY },
	{ TYPED("\"b\":null,\"f\":1.5,\"e\":null,\"a\":[],\"m\":{},\"ps\":[{\"x\":1,\"y\":null}]"), EMPTY },
	{ TYPED("\"b\":1"), INVALID("b") },
	{ TYPED("\"f\":\"1\""), INVALID("f") },
	{ TYPED("\"e\":\"three\""), INVALID("e") },
	{ TYPED("\"e\":1"), INVALID("e") },
	{ TYPED("\"a\":{}"), INVALID("a") },
	{ TYPED("\"a\":[\"x\",2]"), INVALID("a[1]") },
	{ TYPED("\"a\":[null]"), INVALID("a[0]") },
	{ TYPED("\"m\":[]"), INVALID("m") },
	{ TYPED("\"m\":{\"key\":false}"), INVALID("m.key") },
	{ TYPED("\"o\":[]"), INVALID("o") },
	{ TYPED("\"p\":{}"), INVALID("p.x") },
	{ TYPED("\"p\":{\"x\":1,\"z\":1}"), INVALID("p.z") },
	{ TYPED("\"ps\":[{\"x\":1},{\"x\":1,\"y\":\"\"}]"), INVALID("ps[1].y") },
	/* no Varlink: the connection ends */
	{ "", "EOF" },
	{ "hello", "EOF" },
	{ "[]", "EOF" },
	{ "{", "EOF" },
	{ "{} {}", "EOF" },
	{ "{}", "EOF" },
	{ "{\"method\":1}", "EOF" },
	{ "{\"method\":\"test.unit.Hold\",\"method\":\"test.unit.Hold\"}", "EOF" },
	{ "{\"method\":\"test.unit.Hold\",\"parameters\":[]}", "EOF" },
	{ "{\"method\":\"test.unit.Hold\",\"more\":1}", "EOF" },
	{ "{\"method\":\"test.unit.Hold\",\"more\":true,\"oneway\":true}", "EOF" },
	{ "{\"method\":\"\xff\"}", "EOF" },
	{ "GET / HTTP/1.1\r\n\r\n", "EOF" },
};

START_TEST(a_call_gets_the_answer_the_protocol_says)
{
	int fd = client();

	ck_assert_str_eq(ask(fd, exchanges[_i].call), exchanges[_i].answer);
	ck_assert_uint_eq(lg_vserver_calls(server), 0);
	close(fd);
}
END_TEST

START_TEST(after_an_error_the_connection_goes_on)
{
	int fd = client();

	ck_assert_str_eq(ask(fd, "{\"method\":\"test.unit.Echo\"}"), INVALID("text"));
	ck_assert_str_eq(ask(fd, ECHO("still")), ECHOED("still"));
	close(fd);
}
END_TEST

START_TEST(descriptions_of_both_interfaces_are_given_and_parse)
{
	static const char *const names[] = { "test.unit", LG_VSERVICE };
	lg_autojson json_t *answer = NULL;
	struct lg_vidl *idl = NULL;
	struct lg_err err = { 0 };
	const char *text;
	char call[256];
	int fd = client();

	snprintf(call, sizeof(call), "{\"method\":\"" LG_VSERVICE ".GetInterfaceDescription\","
		 "\"parameters\":{\"interface\":\"%s\"}}", names[_i]);
	answer = json_loads(ask(fd, call), JSON_DISABLE_EOF_CHECK, NULL);
	text = lg_json_str(json_object_get(answer, "parameters"), "description");
	ck_assert_ptr_nonnull(text);
	if (_i == 0)
		ck_assert_str_eq(text, description);
	ck_assert_msg(lg_vidl_parse(text, strlen(text), &idl, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(idl->name, names[_i]);
	lg_vidl_free(idl);
	close(fd);
}
END_TEST

START_TEST(a_name_that_is_too_long_to_repeat_is_cut_between_characters)
{
	char call[4096], name[1024] = "";
	const char *answer;
	int fd = client();

	/* three bytes each, so that the cut would fall inside one */
	for (int i = 0; i < 200; i++)
		strcat(name, "\xe2\x82\xac");
	snprintf(call, sizeof(call), TYPED("\"%s\":1"), name);
	answer = ask(fd, call);
	ck_assert_ptr_nonnull(strstr(answer, "InvalidParameter"));
	ck_assert_ptr_nonnull(strstr(answer, "\xe2\x82\xac\"}}\n"));
	snprintf(call, sizeof(call), "{\"method\":\"test.unit.X%s\"}", name);
	answer = ask(fd, call);
	ck_assert_ptr_nonnull(strstr(answer, "MethodNotFound"));
	ck_assert_ptr_nonnull(strstr(answer, "\xe2\x82\xac\"}}\n"));
	close(fd);
}
END_TEST

/* ---- order and framing ---- */

START_TEST(pipelined_calls_are_answered_in_their_order)
{
	static const char calls[] = ECHO("1") "\0" HOLD "\0" ECHO("2") "\0" ECHO("3");
	int fd = client();

	put(fd, calls, sizeof(calls));
	pump();
	ck_assert_str_eq(hear(fd), ECHOED("1"));
	ck_assert_uint_eq(lg_vserver_calls(server), 1);
	ck_assert_int_eq(lg_vcall_reply(held[0], NULL), 0);
	pump();
	ck_assert_str_eq(hear(fd), EMPTY ECHOED("2") ECHOED("3"));
	ck_assert_uint_eq(lg_vserver_calls(server), 0);
	close(fd);
}
END_TEST

/* Six hundred calls at once: more than the socket takes answers for before somebody reads them. */
static void put_pipeline(int fd)
{
	char *calls = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&calls, &len);

	for (int i = 0; i < 600; i++)
		fprintf(f, "{\"method\":\"test.unit.Echo\",\"parameters\":{\"text\":\"%d\"}}%c", i, 0);
	fclose(f);
	put(fd, calls, len);
	free(calls);
}

START_TEST(hundreds_of_pipelined_calls_are_all_answered)
{
	char want[65536] = "", got[65536] = "";
	const char *more;
	int fd = client();

	for (int i = 0; i < 600; i++)
		sprintf(want + strlen(want), "{\"parameters\":{\"text\":\"%d\"}}\n", i);
	put_pipeline(fd);
	do {
		pump();
		more = hear(fd);
		strcat(got, more);
	} while (*more);
	ck_assert_uint_eq(echoes, 600);
	ck_assert(strcmp(got, want) == 0);
	close(fd);
}
END_TEST

START_TEST(a_busy_pipeline_does_not_keep_others_waiting)
{
	int busy = client(), other = client();

	put_pipeline(busy);
	say(other, ECHO("me"));
	for (int i = 0; i < 6; i++)
		sd_event_run(event, 0);
	ck_assert_str_eq(hear(other), ECHOED("me"));
	ck_assert_uint_lt(echoes, 200);
	close(busy);
	close(other);
}
END_TEST

START_TEST(a_pipeline_whose_answers_nobody_reads_stands_still)
{
	int fd = client();

	put_pipeline(fd);
	pump();
	ck_assert_uint_lt(echoes, 600);
	ck_assert_int_eq(pump(), 0);
	ck_assert_uint_lt(lg_vio_waiting(&server->conns->io), 200);
	close(fd);
	pump();
	ck_assert_ptr_null(server->conns);
}
END_TEST

START_TEST(a_call_may_come_byte_by_byte)
{
	static const char calls[] = ECHO("slow") "\0" ECHO("very");
	int fd = client();

	for (size_t i = 0; i < sizeof(calls); i++) {
		put(fd, calls + i, 1);
		pump();
	}
	ck_assert_str_eq(hear(fd), ECHOED("slow") ECHOED("very"));
	close(fd);
}
END_TEST

START_TEST(a_call_of_the_largest_size_is_taken_and_a_larger_one_ends_the_connection)
{
	static const char before[] = "{\"method\":\"test.unit.Hold\",\"x\":\"", after[] = "\"}";
	size_t len = LG_VARLINK_MAX + (_i ? 1 : 0), sent = 0;
	char *call = malloc(len);
	int fd = client();

	memset(call, 'x', len);
	memcpy(call, before, sizeof(before) - 1);
	memcpy(call + len - sizeof(after), after, sizeof(after));
	while (sent < len) {
		ssize_t n = send(fd, call + sent, len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EPIPE)
			break;
		ck_assert(n >= 0 || errno == EAGAIN);
		sent += n > 0 ? (size_t)n : 0;
		pump();
	}
	pump();
	ck_assert_uint_eq(nheld, _i ? 0 : 1);
	ck_assert_str_eq(hear(fd), _i ? "EOF" : "");
	free(call);
	close(fd);
}
END_TEST

START_TEST(json_nested_without_end_ends_the_connection)
{
	static char deep[200001];
	int fd = client();

	memset(deep, '[', sizeof(deep) - 1);
	memcpy(deep, "{\"a\":", 5);
	ck_assert_str_eq(ask(fd, deep), "EOF");
	close(fd);
}
END_TEST

/* ---- descriptors ---- */

static int count_fds(void)
{
	lg_autodir DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	return n;
}

/* A descriptor that gives @c when read. */
static int giving(char c)
{
	int p[2];

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	ck_assert_int_eq(write(p[1], &c, 1), 1);
	close(p[1]);
	return p[0];
}

#define FDS(n) "{\"method\":\"test.unit.Fds\",\"parameters\":{\"take\":" #n "}}"

START_TEST(descriptors_reach_the_call_they_came_with)
{
	int a = giving('a'), b = giving('b'), c = giving('c'), d = giving('d');
	int fd = client(), before;

	pump();
	before = count_fds();
	put_fds(fd, FDS(2), (int[]){ a, b }, 2);
	say(fd, FDS(2));
	put_fds(fd, FDS(2), (int[]){ c, d }, 2);
	pump();
	ck_assert_str_eq(hear(fd), ECHOED("ab") ECHOED("") ECHOED("cd"));
	ck_assert_int_eq(count_fds(), before);
	close(fd);
	close(a);
	close(b);
	close(c);
	close(d);
}
END_TEST

START_TEST(descriptors_of_a_call_in_two_parts_stay_with_it)
{
	static const char call[] = FDS(1);
	int a = giving('a'), fd = client();
	char first[8] = "";

	memcpy(first, call, 5);
	put(fd, first, 5);
	pump();
	put_fds(fd, call + 5, &a, 1);
	pump();
	ck_assert_str_eq(hear(fd), ECHOED("a"));
	close(a);
	close(fd);
}
END_TEST

START_TEST(descriptors_that_nobody_takes_are_closed)
{
	int a = giving('a'), fd = client(), before;

	pump();
	before = count_fds();
	put_fds(fd, ECHO("x"), (int[]){ a, a, a, a, a, a, a, a }, 8);
	put_fds(fd, "{\"method\":\"test.unit.No\"}", (int[]){ a, a, a }, 3);
	pump();
	hear(fd);
	ck_assert_int_eq(count_fds(), before);
	put_fds(fd, "{", (int[]){ a, a, a, a }, 4);
	pump();
	ck_assert_str_eq(hear(fd), "EOF");
	ck_assert_int_eq(count_fds(), before - 1);	/* the server's end too */
	close(a);
	close(fd);
}
END_TEST

START_TEST(a_flood_of_descriptors_ends_the_connection_and_none_is_kept)
{
	int many[32], fd = client(), before;

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = STDIN_FILENO;
	pump();
	before = count_fds();
	if (_i == 0) {
		put_fds(fd, ECHO("x"), many, ARRAY_SIZE(many));
	} else {
		/* a few at a time, with a call that never ends */
		for (int i = 0; i < 5; i++) {
			char part[2] = "{";

			put_fds(fd, part, many, 2);
			recv(fd, part, 0, 0);
		}
	}
	pump();
	ck_assert_str_eq(hear(fd), "EOF");
	ck_assert_int_eq(count_fds(), before - 1);
	close(fd);
}
END_TEST

/* ---- peers that go away, or do not read ---- */

START_TEST(a_peer_that_only_stopped_sending_gets_its_answers)
{
	int fd = client();

	say(fd, ECHO("1"));
	say(fd, HOLD);
	shutdown(fd, SHUT_WR);
	pump();
	ck_assert_str_eq(hear(fd), ECHOED("1"));
	ck_assert_uint_eq(gone, 0);
	ck_assert_int_eq(lg_vcall_reply(held[0], NULL), 0);
	pump();
	ck_assert_str_eq(hear(fd), EMPTY "EOF");
	ck_assert_uint_eq(gone, 0);
	close(fd);
}
END_TEST

START_TEST(a_kept_call_learns_once_that_its_peer_is_gone)
{
	int fd = client();

	say(fd, HOLD);
	pump();
	ck_assert(!lg_vcall_gone(held[0]));
	ck_assert_uint_eq(lg_vserver_calls(server), 1);
	close(fd);
	pump();
	ck_assert_uint_eq(gone, 1);
	ck_assert(lg_vcall_gone(held[0]));
	ck_assert_uint_eq(lg_vserver_calls(server), 0);
	ck_assert_int_eq(lg_vcall_notify(held[0], json_object()), -EPROTO);
	ck_assert_int_eq(lg_vcall_reply(held[0], json_object()), -EPIPE);
	ck_assert_int_eq(lg_vcall_reply(held[0], json_object()), -EALREADY);
	ck_assert_uint_eq(gone, 1);
}
END_TEST

START_TEST(a_call_outlives_its_server)
{
	int fd = client();

	say(fd, HOLD);
	pump();
	lg_vserver_free(server);
	server = NULL;
	ck_assert_uint_eq(gone, 1);
	ck_assert_int_eq(lg_vcall_reply(held[0], NULL), -EPIPE);
	close(fd);
}
END_TEST

START_TEST(a_call_is_answered_once)
{
	int fd = client();

	say(fd, HOLD);
	pump();
	ck_assert_int_eq(lg_vcall_reply(held[0], NULL), 0);
	ck_assert_int_eq(lg_vcall_reply(held[0], NULL), -EALREADY);
	ck_assert_int_eq(lg_vcall_error(held[0], "a.b.C", json_object()), -EALREADY);
	ck_assert_int_eq(lg_vcall_notify(held[0], json_object()), -EALREADY);
	ck_assert(!lg_vcall_gone(held[0]));
	pump();
	ck_assert_str_eq(hear(fd), EMPTY);
	close(fd);
}
END_TEST

START_TEST(giving_up_a_kept_call_answers_it)
{
	int fd = client();

	say(fd, HOLD);
	pump();
	lg_vcall_unref(held[--nheld]);
	pump();
	ck_assert_ptr_nonnull(strstr(hear(fd), "ended without an answer"));
	ck_assert_str_eq(ask(fd, ECHO("on")), ECHOED("on"));
	close(fd);
}
END_TEST

START_TEST(calls_sent_before_closing_are_carried_out)
{
	int fd = client();

	for (int i = 0; i < 40; i++)
		say(fd, "{\"method\":\"test.unit.Echo\",\"oneway\":true,"
			"\"parameters\":{\"text\":\"\"}}");
	close(fd);
	pump();
	ck_assert_uint_eq(echoes, 40);
	ck_assert_ptr_null(server->conns);
}
END_TEST

START_TEST(a_peer_that_does_not_read_is_dropped_when_enough_waits_for_it)
{
	char *text = malloc(10001);
	int fd = client(), r = 0, n = 0;

	memset(text, 'x', 10000);
	text[10000] = '\0';
	say(fd, "{\"method\":\"test.unit.Hold\",\"more\":true}");
	pump();
	while (r == 0) {
		in_notify = true;
		r = lg_vcall_notify(held[0], json_pack("{s:s}", "i", text));
		in_notify = false;
		ck_assert_int_lt(++n, 1000);
	}
	ck_assert_int_eq(r, -ENOBUFS);
	ck_assert_int_gt(n, 100);
	ck_assert(lg_vcall_gone(held[0]));
	ck_assert_int_eq(lg_vcall_notify(held[0], json_object()), -EPIPE);
	ck_assert_uint_eq(gone, 0);
	pump();
	ck_assert_uint_eq(gone, 1);
	ck_assert_ptr_null(server->conns);
	free(text);
	close(fd);
}
END_TEST

START_TEST(a_large_answer_reaches_a_slow_reader_and_the_next_call_waits_for_it)
{
	char buf[30000];
	size_t got = 0;
	int fd = client();

	say(fd, "{\"method\":\"test.unit.Large\",\"parameters\":{\"bytes\":3000000}}");
	say(fd, ECHO("next"));
	pump();
	ck_assert_uint_eq(echoes, 0);
	while (got < 3000000) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		ck_assert_int_gt(n, 0);
		got += (size_t)n;
		pump();
	}
	ck_assert_ptr_nonnull(strstr(hear(fd), ECHOED("next")));
	ck_assert_uint_eq(echoes, 1);
	close(fd);
}
END_TEST

START_TEST(a_peer_gone_in_the_middle_of_an_answer_is_dropped)
{
	int fd = client();

	say(fd, "{\"method\":\"test.unit.Large\",\"parameters\":{\"bytes\":3000000}}");
	say(fd, ECHO("next"));
	pump();
	close(fd);
	pump();
	ck_assert_ptr_null(server->conns);
	ck_assert_uint_eq(echoes, 0);
}
END_TEST

START_TEST(an_answer_too_large_becomes_an_error)
{
	int fd = client();

	say(fd, "{\"method\":\"test.unit.Large\",\"parameters\":{\"bytes\":16777216}}");
	pump();
	ck_assert_ptr_nonnull(strstr(hear(fd), "the answer is too large"));
	ck_assert_str_eq(ask(fd, ECHO("on")), ECHOED("on"));
	close(fd);
}
END_TEST

/* ---- many peers ---- */

START_TEST(who_may_not_connect_is_hung_up_on)
{
	int fd;

	everyone = false;
	fd = client();
	say(fd, ECHO("x"));
	pump();
	ck_assert_str_eq(hear(fd), "EOF");
	ck_assert_uint_eq(echoes, 0);
	close(fd);
}
END_TEST

static unsigned int connect_many(int *fds, unsigned int n)
{
	unsigned int alive = 0;

	for (unsigned int i = 0; i < n; i++) {
		fds[i] = client();
		pump();
		alive += recv(fds[i], &(char){ 0 }, 1, 0) < 0 && errno == EAGAIN;
	}
	return alive;
}

START_TEST(a_user_cannot_take_all_connections)
{
	struct rlimit files;
	unsigned int root_room = 512 - 64, n;
	int fds[520], again;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
	setrlimit(RLIMIT_NOFILE, &files);
	ck_assert_uint_gt(files.rlim_cur, 2 * 520 + 20);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(12345), 0);
	ck_assert_uint_eq(connect_many(fds, 80), 64);
	for (unsigned int i = 64; i < 80; i++)
		close(fds[i]);
	close(fds[0]);
	pump();
	ck_assert_str_eq(ask(fds[1], ECHO("here")), ECHOED("here"));
	again = client();
	ck_assert_str_eq(ask(again, ECHO("here")), ECHOED("here"));
	fds[0] = again;
	n = 64;
	if (getuid() == 0) {
		ck_assert_int_eq(seteuid(0), 0);
		ck_assert_uint_eq(connect_many(fds + 64, root_room + 5), root_room);
		ck_assert_str_eq(ask(fds[64], ECHO("root")), ECHOED("root"));
		n += root_room + 5;
	}
	for (unsigned int i = 0; i < n; i++)
		close(fds[i]);
	pump();
	ck_assert_uint_eq(server->nconns, 0);
	ck_assert_uint_eq(server->nusers, 0);
}
END_TEST

START_TEST(an_idle_connection_holds_no_buffer)
{
	int fd = client();

	ck_assert_str_eq(ask(fd, ECHO("x")), ECHOED("x"));
	ck_assert_ptr_nonnull(server->conns);
	ck_assert_ptr_null(server->conns->io.in);
	ck_assert_ptr_null(server->conns->io.out);
	ck_assert_uint_le(sizeof(struct lg_vconn), 512);
	ck_assert_int_eq(pump(), 0);
	close(fd);
}
END_TEST

START_TEST(without_free_descriptors_a_peer_is_turned_away_and_the_loop_rests)
{
	struct rlimit files, few;
	int fd = client_socket(), top = dup(fd);

	close(top);
	getrlimit(RLIMIT_NOFILE, &files);
	few = files;
	few.rlim_cur = (rlim_t)top;
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, addr_len), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_int_lt(pump(), 10);
	ck_assert_str_eq(hear(fd), "EOF");
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	close(fd);
	fd = client();
	ck_assert_str_eq(ask(fd, ECHO("back")), ECHOED("back"));
	close(fd);
}
END_TEST

START_TEST(a_server_whose_methods_are_not_described_does_not_start)
{
	static const struct lg_vmethod wrong[] = { { "test.unit.Nowhere", on_echo } };
	static const struct lg_vmethod foreign[] = { { "test.other.Echo", on_echo } };
	struct lg_vserver_conf bad = conf;
	struct lg_vserver *s = NULL;
	struct lg_err err = { 0 };

	bad.methods = _i == 0 ? wrong : foreign;
	bad.nmethods = 1;
	if (_i == 2)
		bad.description = "interface test.unit\nmethod\n";
	if (_i == 3)
		bad.interface = "test.other";
	ck_assert_int_eq(lg_vserver_new(event, listen_somewhere(), &bad, &s, &err), -EINVAL);
	ck_assert_ptr_null(s);
	ck_assert_ptr_nonnull(strstr(err.msg, "serve test."));
}
END_TEST

/* ---- the client ---- */

static pid_t serving;
static char path[64];

static void serve_apart(void)
{
	struct lg_vserver_conf c = conf;
	int fd;

	snprintf(path, sizeof(path), "/tmp/test-varlink-%d.sock", (int)getpid());
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 10), 0);
	serving = fork();
	if (serving > 0) {
		close(fd);
		return;
	}
	c.may_connect = NULL;
	alarm(60);
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_int_eq(lg_vserver_new(event, fd, &c, &server, NULL), 0);
	sd_event_loop(event);
	_exit(0);
}

static void stop_serving(void)
{
	if (serving > 0) {
		kill(serving, SIGKILL);
		waitpid(serving, NULL, 0);
	}
	unlink(path);
}

static struct lg_vclient *connected(void)
{
	struct lg_vclient *c = NULL;
	struct lg_err err = { 0 };

	ck_assert_msg(lg_vclient_connect(path, &c, &err) == 0, "%s", err.msg);
	return c;
}

START_TEST(client_calls_and_gets_the_parameters)
{
	struct lg_vclient *c = connected();
	lg_autojson json_t *answer = NULL;
	struct lg_err err = { 0 };

	ck_assert_msg(lg_vclient_call(c, "test.unit.Echo", json_pack("{s:s}", "text", "hi"), &answer,
				      &err) == 0, "%s", err.msg);
	ck_assert_str_eq(lg_json_str(answer, "text"), "hi");
	ck_assert_int_eq(lg_vclient_call(c, "test.unit.Typed", NULL, NULL, &err), 0);
	lg_vclient_free(c);
}
END_TEST

START_TEST(client_gets_a_large_answer)
{
	struct lg_vclient *c = connected();
	lg_autojson json_t *answer = NULL;

	ck_assert_int_eq(lg_vclient_call(c, "test.unit.Large",
					 json_pack("{s:i}", "bytes", 15000000), &answer, NULL), 0);
	ck_assert_uint_eq(strlen(lg_json_str(answer, "text")), 15000000);
	lg_vclient_free(c);
}
END_TEST

START_TEST(client_gets_every_answer_of_a_stream_though_poll_tells_of_the_first_only)
{
	struct lg_vclient *c = connected();
	struct lg_err err = { 0 };
	int r = 1, n = 0;

	ck_assert_int_eq(lg_vclient_send(c, "test.unit.Stream", json_pack("{s:i}", "n", 500), true,
					 NULL, 0, &err), 0);
	while (r == 1) {
		struct pollfd p = { .fd = lg_vclient_fd(c), .events = POLLIN };
		json_t *answer = NULL;

		if (!lg_vclient_pending(c))
			ck_assert_int_eq(poll(&p, 1, 5000), 1);
		r = lg_vclient_recv(c, &answer, &err);
		ck_assert_msg(r >= 0, "%s", err.msg);
		if (r == 1)
			ck_assert_int_eq(lg_json_int(answer, "i", -1), n++);
		json_decref(answer);
	}
	ck_assert_int_eq(n, 500);
	lg_vclient_free(c);
}
END_TEST

START_TEST(client_sends_descriptors)
{
	struct lg_vclient *c = connected();
	int fds[] = { giving('x'), giving('y') };
	lg_autojson json_t *answer = NULL;

	ck_assert_int_eq(lg_vclient_send(c, "test.unit.Fds", json_pack("{s:i}", "take", 2), false, fds,
					 2, NULL), 0);
	ck_assert_int_eq(lg_vclient_recv(c, &answer, NULL), 0);
	ck_assert_str_eq(lg_json_str(answer, "text"), "xy");
	ck_assert_int_ge(fcntl(fds[0], F_GETFD), 0);	/* lent, still ours */
	close(fds[0]);
	close(fds[1]);
	lg_vclient_free(c);
}
END_TEST

START_TEST(client_turns_error_answers_into_lines)
{
	static const struct { const char *method, *params; int code, exit_code; const char *text; } rows[] = {
		{ "test.unit.Fail", "{}", -ENOSPC, LG_EXIT_NO_SPACE, "create caf?: no room" },
		{ "test.unit.Nope", "{}", -ENOSYS, LG_EXIT_SYSTEM,
		  "lodged does not know test.unit.Nope: it is older than this command" },
		{ "no.such.Method", "{}", -ENOSYS, LG_EXIT_SYSTEM,
		  "what answers does not speak no.such: it is not lodged" },
		{ "test.unit.Echo", "{}", -EINVAL, LG_EXIT_BAD_VALUE,
		  "lodged does not accept parameter 'text': is it of another version?" },
		{ "test.unit.Missing", "{}", -ENOSYS, LG_EXIT_SYSTEM, "lodged cannot do test.unit.Missing" },
		{ "test.unit.Stream", "{\"n\":1}", -EPROTO, LG_EXIT_SYSTEM,
		  "lodged answers this more than once only" },
	};
	struct lg_vclient *c = connected();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lg_err err = { 0 };
		json_t *answer = NULL;
		int r = lg_vclient_call(c, rows[i].method, json_loads(rows[i].params, 0, NULL),
					&answer, &err);

		ck_assert_int_eq(r, rows[i].code);
		ck_assert_int_eq(err.code, rows[i].code);
		ck_assert_int_eq(err.exit_code, rows[i].exit_code);
		ck_assert_str_eq(err.msg, rows[i].text);
		ck_assert_ptr_null(answer);
	}
	lg_vclient_free(c);
}
END_TEST

START_TEST(client_says_that_nobody_serves_there)
{
	struct lg_vclient *c = NULL;
	struct lg_err err = { 0 };
	char long_path[200];

	stop_serving();
	serving = 0;
	ck_assert_int_eq(lg_vclient_connect(path, &c, &err), -ENOENT);
	ck_assert_int_eq(err.exit_code, LG_EXIT_NO_DAEMON);
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	ck_assert_int_eq(lg_vclient_connect(long_path, &c, &err), -ENAMETOOLONG);
	ck_assert_ptr_null(c);
}
END_TEST

START_TEST(client_says_that_the_daemon_went_away)
{
	struct lg_vclient *c = connected();
	struct lg_err err = { 0 };
	json_t *answer = NULL;

	ck_assert_int_eq(lg_vclient_send(c, "test.unit.Hold", NULL, false, NULL, 0, &err), 0);
	kill(serving, SIGKILL);
	ck_assert_int_eq(lg_vclient_recv(c, &answer, &err), -ECONNRESET);
	ck_assert_ptr_nonnull(strstr(err.msg, "lodged hung up"));
	ck_assert_int_lt(lg_vclient_call(c, "test.unit.Hold", NULL, NULL, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "lodged hung up"));
	lg_vclient_free(c);
}
END_TEST

static const struct { const char *bytes; size_t len; int want; } hostile_answers[] = {
#define BYTES(s) s, sizeof(s)
	{ BYTES("hello"), -EBADMSG },
	{ BYTES("[1]"), -EBADMSG },
	{ BYTES("{\"parameters\":{}"), -EBADMSG },
	{ "{\"par", 5, -ECONNRESET },
	{ "", 0, -ECONNRESET },
	{ BYTES("{\"parameters\":[]}"), 0 },
	{ BYTES("{}"), 0 },
	{ BYTES("{\"continues\":true}"), 1 },
	{ BYTES("{\"error\":\"a.b.C\"}"), -EIO },
	{ BYTES("{\"error\":\"io.lodge.Failed\",\"parameters\":{\"errno\":-5,\"exit_code\":9999999999}}"), -EIO },
	{ BYTES("{\"error\":\"io.lodge.NoSuchInstance\",\"parameters\":7}"), -ENOENT },
};

START_TEST(client_survives_any_answer)
{
	struct lg_vclient *c = NULL;
	struct lg_err err = { 0 };
	json_t *answer = NULL;
	int fd, peer, r;

	snprintf(path, sizeof(path), "/tmp/test-varlink-%d.sock", (int)getpid());
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(addr.sun_path, path);
	unlink(path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	c = connected();
	peer = accept(fd, NULL, NULL);
	unlink(path);
	put(peer, hostile_answers[_i].bytes, hostile_answers[_i].len);
	close(peer);
	close(fd);
	r = lg_vclient_recv(c, &answer, &err);
	ck_assert_int_eq(r, hostile_answers[_i].want);
	ck_assert_int_eq(err.code, r < 0 ? r : 0);
	ck_assert(r < 0 ? err.msg[0] && !answer : json_is_object(answer));
	json_decref(answer);
	lg_vclient_free(c);
}
END_TEST

START_TEST(a_call_costs_well_under_200_microseconds)
{
	enum { CALLS = 2000 };
	struct timespec a, b;
	double us;
	int fd = client();

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (int i = 0; i < CALLS; i++)
		ck_assert_str_eq(ask(fd, ECHO("quick")), ECHOED("quick"));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	us = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e3 / CALLS;
	printf("a call costs %.1f us of CPU, client and server together\n", us);
	if (!SANITIZED)
		ck_assert_double_lt(us, 200);
	close(fd);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("varlink");
	TCase *t = tcase_create("server"), *c = tcase_create("client"), *h = tcase_create("hostile");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, a_call_gets_the_answer_the_protocol_says, 0, ARRAY_SIZE(exchanges));
	tcase_add_test(t, after_an_error_the_connection_goes_on);
	tcase_add_loop_test(t, descriptions_of_both_interfaces_are_given_and_parse, 0, 2);
	tcase_add_test(t, a_name_that_is_too_long_to_repeat_is_cut_between_characters);
	tcase_add_test(t, pipelined_calls_are_answered_in_their_order);
	tcase_add_test(t, hundreds_of_pipelined_calls_are_all_answered);
	tcase_add_test(t, a_busy_pipeline_does_not_keep_others_waiting);
	tcase_add_test(t, a_pipeline_whose_answers_nobody_reads_stands_still);
	tcase_add_test(t, a_call_may_come_byte_by_byte);
	tcase_add_loop_test(t, a_call_of_the_largest_size_is_taken_and_a_larger_one_ends_the_connection, 0, 2);
	tcase_add_test(t, json_nested_without_end_ends_the_connection);
	tcase_add_test(t, descriptors_reach_the_call_they_came_with);
	tcase_add_test(t, descriptors_of_a_call_in_two_parts_stay_with_it);
	tcase_add_test(t, descriptors_that_nobody_takes_are_closed);
	tcase_add_loop_test(t, a_flood_of_descriptors_ends_the_connection_and_none_is_kept, 0, 2);
	tcase_add_test(t, a_peer_that_only_stopped_sending_gets_its_answers);
	tcase_add_test(t, a_kept_call_learns_once_that_its_peer_is_gone);
	tcase_add_test(t, a_call_outlives_its_server);
	tcase_add_test(t, a_call_is_answered_once);
	tcase_add_test(t, giving_up_a_kept_call_answers_it);
	tcase_add_test(t, calls_sent_before_closing_are_carried_out);
	tcase_add_test(t, a_peer_that_does_not_read_is_dropped_when_enough_waits_for_it);
	tcase_add_test(t, a_large_answer_reaches_a_slow_reader_and_the_next_call_waits_for_it);
	tcase_add_test(t, a_peer_gone_in_the_middle_of_an_answer_is_dropped);
	tcase_add_test(t, an_answer_too_large_becomes_an_error);
	tcase_add_test(t, who_may_not_connect_is_hung_up_on);
	tcase_add_test(t, a_user_cannot_take_all_connections);
	tcase_add_test(t, an_idle_connection_holds_no_buffer);
	tcase_add_test(t, without_free_descriptors_a_peer_is_turned_away_and_the_loop_rests);
	tcase_add_loop_test(t, a_server_whose_methods_are_not_described_does_not_start, 0, 4);
	tcase_add_test(t, a_call_costs_well_under_200_microseconds);
	suite_add_tcase(s, t);

	tcase_add_checked_fixture(c, serve_apart, stop_serving);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, client_calls_and_gets_the_parameters);
	tcase_add_test(c, client_gets_a_large_answer);
	tcase_add_test(c, client_gets_every_answer_of_a_stream_though_poll_tells_of_the_first_only);
	tcase_add_test(c, client_sends_descriptors);
	tcase_add_test(c, client_turns_error_answers_into_lines);
	tcase_add_test(c, client_says_that_nobody_serves_there);
	tcase_add_test(c, client_says_that_the_daemon_went_away);
	suite_add_tcase(s, c);

	tcase_add_loop_test(h, client_survives_any_answer, 0, ARRAY_SIZE(hostile_answers));
	suite_add_tcase(s, h);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(suite());
	int failures;

	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
