/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/features.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"

#define BETWEEN ", \t"

/* bpf, modules and kexec are no feature's: they are the host's kernel itself. */
/* clang-format off */
const struct lg_feature lg_features[LG_FEATURE_COUNT_] = {
	[LG_FEATURE_FUSE] = { "fuse", LG_FEATURE_GRANTS, 0, 0, { "fuse" }, { NULL }, 0,
		"file systems of its own programs (/dev/fuse)" },
	[LG_FEATURE_TUN] = { "tun", LG_FEATURE_GRANTS, 0, 0, { "net/tun" }, { NULL }, 0,
		"VPNs (/dev/net/tun)" },
	[LG_FEATURE_NESTING] = { "nesting", LG_FEATURE_GRANTS, LG_CALLS_KEYS, 0,
		{ "?fuse", "?net/tun" }, { NULL }, 0,
		"containers inside: podman, docker, lodge (keyrings, /dev/fuse, /dev/net/tun)" },
	[LG_FEATURE_KVM] = { "kvm", LG_FEATURE_GRANTS, 0, 0, { "kvm", "?vhost-net", "?vhost-vsock" },
		{ NULL }, 0, "virtual machines inside (/dev/kvm, /dev/vhost-*)" },
	[LG_FEATURE_KEYCTL] = { "keyctl", LG_FEATURE_GRANTS, LG_CALLS_KEYS, 0, { NULL }, { NULL }, 0,
		"the kernel's keyrings; they are counted per user id, so its own" },
	[LG_FEATURE_IO_URING] = { "io_uring", LG_FEATURE_GRANTS, LG_CALLS_IO_URING, 0, { NULL }, { NULL }, 0,
		"faster input and output; what it does the system call filter does not see" },
	[LG_FEATURE_USERFAULTFD] = { "userfaultfd", LG_FEATURE_GRANTS, LG_CALLS_USERFAULTFD, 0,
		{ NULL }, { NULL }, 0, "userfaultfd, for emulators and some garbage collectors" },
	[LG_FEATURE_PPP] = { "ppp", LG_FEATURE_GRANTS, 0, 0, { "ppp" }, { NULL }, 0,
		"PPP (/dev/ppp)" },
	[LG_FEATURE_CHECKPOINTABLE] = { "checkpointable", LG_FEATURE_GRANTS, LG_CALLS_DUMPABLE, 0,
		{ NULL }, { NULL },
		LG_FEATURE_BIT(LG_FEATURE_NESTING) | LG_FEATURE_BIT(LG_FEATURE_IO_URING) |
			LG_FEATURE_BIT(LG_FEATURE_USERFAULTFD) | LG_FEATURE_BIT(LG_FEATURE_KVM),
		"nothing that cannot be suspended or moved: no namespaces within its own" },
	[LG_FEATURE_SYSFS] = { "sysfs", LG_FEATURE_ALWAYS, 0, 0, { NULL }, { NULL }, 0,
		"every container has /sys, read-only" },
	[LG_FEATURE_BRIDGE] = { "bridge", LG_FEATURE_ALWAYS, 0, 0, { NULL }, { NULL }, 0,
		"every container may make bridges in its own network" },
	[LG_FEATURE_SIT] = { "sit", LG_FEATURE_ALWAYS, 0, 0, { NULL }, { NULL }, 0,
		"every container may make tunnels in its own network" },
	[LG_FEATURE_IPIP] = { "ipip", LG_FEATURE_ALWAYS, 0, 0, { NULL }, { NULL }, 0,
		"every container may make tunnels in its own network" },
	[LG_FEATURE_IPGRE] = { "ipgre", LG_FEATURE_ALWAYS, 0, 0, { NULL }, { NULL }, 0,
		"every container may make tunnels in its own network" },
	[LG_FEATURE_NFS] = { "nfs", LG_FEATURE_NEVER, 0, 0, { NULL }, { NULL }, 0,
		"the kernel mounts NFS for the host only: use a FUSE client (feature fuse)" },
	[LG_FEATURE_NFSD] = { "nfsd", LG_FEATURE_NEVER, 0, 0, { NULL }, { NULL }, 0,
		"the kernel's NFS server is the host's: nfs-ganesha works in a container" },
	[LG_FEATURE_TIME] = { "time", LG_FEATURE_NEVER, 0, 0, { NULL }, { NULL }, 0,
		"the clock is the host's" },
};
/* clang-format on */

static int refuse_unknown(const char *word, size_t len, struct lg_err *err)
{
	char all[300];
	size_t at = 0;

	for (size_t i = 0; i < LG_FEATURE_COUNT_; i++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", i ? ", " : "",
				       lg_features[i].name);
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
			 "'%.*s' is no feature; there are %s", (int)len, word, all);
}

static int parse_word(const char *word, size_t len, uint32_t *on, uint32_t *off,
		      struct lg_err *err)
{
	const char *colon = memchr(word, ':', len);
	size_t name = colon ? (size_t)(colon - word) : len;
	bool is_off = colon && len - name == 4 && memcmp(colon, ":off", 4) == 0;

	if (colon && !is_off && !(len - name == 3 && memcmp(colon, ":on", 3) == 0))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "'%.*s' is not NAME, NAME:on or NAME:off", (int)len, word);
	for (size_t i = 0; i < LG_FEATURE_COUNT_; i++) {
		if (strlen(lg_features[i].name) != name ||
		    memcmp(lg_features[i].name, word, name) != 0)
			continue;
		*on &= ~LG_FEATURE_BIT(i);
		*off &= ~LG_FEATURE_BIT(i);
		*(is_off ? off : on) |= LG_FEATURE_BIT(i);
		return 0;
	}
	return refuse_unknown(word, name, err);
}

static bool exclude(size_t a, size_t b)
{
	return (lg_features[a].not_with & LG_FEATURE_BIT(b)) ||
	       (lg_features[b].not_with & LG_FEATURE_BIT(a));
}

uint32_t lg_features_add(uint32_t on, uint32_t off, uint32_t defaults)
{
	uint32_t all = on;

	for (size_t i = 0; i < LG_FEATURE_COUNT_; i++) {
		bool fits = (defaults & ~off & LG_FEATURE_BIT(i)) != 0;

		for (size_t k = 0; fits && k < LG_FEATURE_COUNT_; k++)
			fits = !(on & LG_FEATURE_BIT(k)) || !exclude(i, k);
		if (fits)
			all |= LG_FEATURE_BIT(i);
	}
	return all;
}

static int check_conflicts(uint32_t on, struct lg_err *err)
{
	for (size_t i = 0; i < LG_FEATURE_COUNT_; i++)
		for (size_t k = 0; k < LG_FEATURE_COUNT_; k++)
			if ((on & LG_FEATURE_BIT(i)) &&
			    (on & lg_features[i].not_with & LG_FEATURE_BIT(k)))
				return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
						 "the features %s and %s exclude each other: what "
						 "%s gives cannot be suspended or moved",
						 lg_features[i].name, lg_features[k].name,
						 lg_features[k].name);
	return 0;
}

int lg_features_parse(const char *text, uint32_t *on, uint32_t *off, struct lg_err *err)
{
	uint32_t is_on = 0, is_off = 0;

	for (text += strspn(text, BETWEEN); *text; text += strspn(text, BETWEEN)) {
		size_t len = strcspn(text, BETWEEN);
		int r = parse_word(text, len, &is_on, &is_off, err);

		if (r < 0)
			return r;
		text += len;
	}
	if (check_conflicts(is_on, err) < 0)
		return -EINVAL;
	*on = is_on;
	if (off)
		*off = is_off;
	return 0;
}

char *lg_features_format(uint32_t on, uint32_t off)
{
	char text[400] = "";
	size_t at = 0;

	for (size_t i = 0; i < LG_FEATURE_COUNT_; i++)
		if ((on | off) & LG_FEATURE_BIT(i))
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s:%s",
					       at ? " " : "", lg_features[i].name,
					       on & LG_FEATURE_BIT(i) ? "on" : "off");
	return strdup(text);
}

int lg_features_each(uint32_t set, int (*fn)(const struct lg_feature *f, void *arg), void *arg)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < LG_FEATURE_COUNT_; i++)
		if ((set & LG_FEATURE_BIT(i)) && lg_features[i].kind == LG_FEATURE_GRANTS)
			r = fn(&lg_features[i], arg);
	return r;
}

static int add_calls(const struct lg_feature *f, void *arg)
{
	*(unsigned int *)arg |= f->calls;
	return 0;
}

unsigned int lg_features_calls(uint32_t set)
{
	unsigned int calls = 0;

	lg_features_each(set, add_calls, &calls);
	return calls;
}

static int add_caps(const struct lg_feature *f, void *arg)
{
	*(uint64_t *)arg |= f->caps;
	return 0;
}

uint64_t lg_features_caps(uint32_t set)
{
	uint64_t caps = 0;

	lg_features_each(set, add_caps, &caps);
	return caps;
}
