/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "ct/facts.h"
#include "lib/cleanup.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#define IS_X86 1
#else
#define IS_X86 0
#endif

/*
 * Which of /proc/cpuinfo's flags are instructions that a program may have chosen when it started. Most others are the kernel's
 * affair, or say how fast something is, and differ between hosts without harm. "NAME*" is a beginning.
 */
static const char *const instructions[] = {
	"3dnow", "3dnowext", "3dnowprefetch", "abm", "adx", "aes", "amx_*", "avx*", "bmi1", "bmi2",
	"cldemote", "clflush", "clflushopt", "clwb", "clzero", "cmov", "cmpccxadd", "cx16", "cx8",
	"f16c", "fma", "fma4", "fpu", "fsgsbase", "fxsr", "gfni", "hle", "lahf_lm", "lm", "lwp",
	"misalignsse", "mmx", "mmxext", "monitorx", "mwaitx", "movbe", "movdir64b", "movdiri", "ospke",
	"pclmulqdq", "pni", "popcnt", "prefetchi", "ptwrite", "raoint", "rdpid", "rdrand", "rdseed",
	"rdtscp", "rtm", "serialize", "sha512", "sha_ni", "sm3", "sm4", "sse", "sse2", "sse4_1", "sse4_2",
	"sse4a", "ssse3", "syscall", "tbm", "tsc", "user_shstk", "vaes", "vpclmulqdq", "waitpkg",
	"xgetbv1", "xop", "xsave", "xsavec", "xsaveopt",
};

static bool is_instruction(const char *flag)
{
	for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
		size_t n = strcspn(instructions[i], "*");

		if (strncmp(flag, instructions[i], n) == 0 &&
		    (instructions[i][n] == '*' || flag[n] == '\0'))
			return true;
	}
	return false;
}

/* clang-format off */
static const struct {
	const char *line;	/* of cpuinfo, of the first processor */
	const char *key;
} lines[] = {
	{ "vendor_id",		"vendor" },
	{ "cpu family",		"family" },
	{ "model",		"model" },
	{ "model name",		"name" },
	{ "CPU implementer",	"vendor" },
	{ "CPU architecture",	"family" },
	{ "CPU part",		"model" },
};
/* clang-format on */

/* What stands behind "KEY  : "; NULL: not this key. */
static const char *value_of(const char *line, const char *key)
{
	size_t n = strlen(key);

	if (strncmp(line, key, n) != 0)
		return NULL;
	line += n;
	line += strspn(line, " \t");
	return *line == ':' ? line + 1 + strspn(line + 1, " ") : NULL;
}

/* x86 calls them flags, and not all of them count; elsewhere they are what the kernel tells programs. */
static json_t *features(const char *line)
{
	bool x86 = value_of(line, "flags") != NULL;
	const char *text = x86 ? value_of(line, "flags") : value_of(line, "Features");
	json_t *list = text ? json_array() : NULL;

	while (list && *text) {
		char flag[48];
		size_t n = strcspn(text, " \n");

		snprintf(flag, sizeof(flag), "%.*s", (int)n, text);
		if (n > 0 && (!x86 || is_instruction(flag)))
			json_array_append_new(list, json_string(flag));
		text += n;
		text += *text == ' ';
		if (*text == '\n')
			break;
	}
	return list;
}

static void take_line(json_t *cpu, const char *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *value = value_of(line, lines[i].line);

		if (value && !json_object_get(cpu, lines[i].key))
			json_object_set_new(cpu, lines[i].key,
					    json_stringn(value, strcspn(value, "\n")));
	}
	if (!json_object_get(cpu, "features"))
		json_object_set_new(cpu, "features", features(line));
}

#if IS_X86
/* The parts of the state that the kernel saves for programs, and the bytes that it takes as they lie. */
static void take_state(json_t *cpu)
{
	unsigned int a, b, c, d, low, high;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	if (!__get_cpuid_count(0xd, 0, &a, &b, &c, &d))
		return;
	json_object_set_new(cpu, "xcr0", json_integer((json_int_t)((uint64_t)high << 32 | low)));
	json_object_set_new(cpu, "xsave_bytes", json_integer(b));
}
#else
static void take_state(json_t *cpu)
{
	(void)cpu;
}
#endif

json_t *lg_facts_cpu(const char *cpuinfo)
{
	json_t *cpu = json_object();

	for (const char *line = cpuinfo; cpu && *line && *line != '\n';) {
		take_line(cpu, line);
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	take_state(cpu);
	return cpu;
}
