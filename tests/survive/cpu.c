/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <fenv.h>
#include <string.h>

/*
 * Registers: a process that does nothing but hold a pattern in them is nearly always dumped
 * while it does. The loops are in assembler, so that the compiler does not put the registers to
 * another use in between.
 */

#define SPINS 3000000L

static uint8_t before[32 * 16] __attribute__((aligned(64)));
static uint8_t after[32 * 16] __attribute__((aligned(64)));
static int result;
static bool spoilt;

static int compare(const char *what, size_t size)
{
	if (spoilt)
		after[size / 2] ^= 1;
	return memcmp(before, after, size) == 0 ? 0 : sv_fail("%s have changed", what);
}

static int setup(void)
{
	sv_fill(before, sizeof(before), 110, 0);
	return 0;
}

static int verify_by(int (*work)(void))
{
	return result < 0 ? -1 : work();
}

static void spoil(void)
{
	spoilt = true;
}

/* ---- SSE -------------------------------------------------------------------------- */

static int sse_work(void)
{
	long spins = SPINS;

	__asm__ volatile("movdqa 0(%1), %%xmm0\n\t"
			 "movdqa 16(%1), %%xmm1\n\t"
			 "movdqa 112(%1), %%xmm7\n\t"
			 "movdqa 240(%1), %%xmm15\n\t"
			 "1: dec %0\n\t"
			 "jnz 1b\n\t"
			 "movdqa %%xmm0, 0(%2)\n\t"
			 "movdqa %%xmm1, 16(%2)\n\t"
			 "movdqa %%xmm7, 32(%2)\n\t"
			 "movdqa %%xmm15, 48(%2)\n\t"
			 : "+r"(spins)
			 : "r"(before), "r"(after)
			 : "xmm0", "xmm1", "xmm7", "xmm15", "memory", "cc");
	memcpy(after + 240, after + 48, 16);
	if (memcmp(before + 112, after + 32, 16) != 0 ||
	    memcmp(before + 240, after + 240, 16) != 0)
		return result = sv_fail("SSE registers have changed");
	return result = compare("SSE registers", 32);
}

static int sse_verify(void)
{
	return verify_by(sse_work);
}

/* ---- AVX, where there is one ------------------------------------------------------ */

__attribute__((target("avx"))) static void avx_spin(void)
{
	long spins = SPINS;

	__asm__ volatile("vmovdqa 0(%1), %%ymm2\n\t"
			 "vmovdqa 32(%1), %%ymm3\n\t"
			 "vmovdqa 64(%1), %%ymm14\n\t"
			 "1: dec %0\n\t"
			 "jnz 1b\n\t"
			 "vmovdqa %%ymm2, 0(%2)\n\t"
			 "vmovdqa %%ymm3, 32(%2)\n\t"
			 "vmovdqa %%ymm14, 64(%2)\n\t"
			 "vzeroupper\n\t"
			 : "+r"(spins)
			 : "r"(before), "r"(after)
			 : "xmm2", "xmm3", "xmm14", "memory", "cc");
}

static int avx_work(void)
{
	if (__builtin_cpu_supports("avx"))
		avx_spin();
	else
		memcpy(after, before, 96);
	return result = compare("AVX registers", 96);
}

static int avx_verify(void)
{
	return verify_by(avx_work);
}

/* ---- x87, and how both units round ------------------------------------------------ */

static int x87_setup(void)
{
	return fesetround(FE_UPWARD) == 0 ? 0 : sv_fail("fesetround");
}

/* Two numbers on the stack of the unit, one of which no double can hold. */
static int x87_work(void)
{
	long spins = SPINS;
	long double deep, top;

	__asm__ volatile("fldpi\n\t"
			 "fldl2e\n\t"
			 "1: dec %0\n\t"
			 "jnz 1b\n\t"
			 "fstpt %1\n\t"
			 "fstpt %2\n\t"
			 : "+r"(spins), "=m"(top), "=m"(deep)
			 :
			 : "cc", "st", "st(1)");
	if (top < 1.4426L || top > 1.4427L || deep < 3.1415926535L || deep > 3.1415926536L)
		return result = sv_fail("x87 registers have changed");
	if (sv_same("rounding", spoilt ? FE_TOWARDZERO : FE_UPWARD, fegetround()) < 0)
		return result = -1;
	return result = 0;
}

/* That SSE rounds upwards is seen in a sum. */
static int x87_verify(void)
{
	volatile double one = 1, little = 1e-30;

	if (verify_by(x87_work) < 0)
		return -1;
	return one + little > 1 ? 0 : sv_fail("SSE does not round as it did");
}

/* ---- a computation whose result is known ------------------------------------------ */

#define SEED UINT64_C(88172645463325252)
#define STEPS 100000
#define ROUNDS 2000

static uint64_t state = SEED, rounds, wanted;

static uint64_t steps(uint64_t x, int n)
{
	while (n-- > 0) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}

static int compute_setup(void)
{
	wanted = SEED;
	for (int i = 0; i < ROUNDS; i++)
		wanted = steps(wanted, STEPS);
	return 0;
}

/* Begins again after so many rounds, so that it can be checked however long it went on. */
static int compute_work(void)
{
	state = steps(state, STEPS);
	if (++rounds % ROUNDS != 0)
		return 0;
	if (state != wanted)
		return sv_fail("it has computed something else");
	state = SEED;
	return 0;
}

static int compute_verify(void)
{
	do {
		if (compute_work() < 0)
			return -1;
	} while (rounds % ROUNDS != 0);
	return 0;
}

static void compute_spoil(void)
{
	compute_work();
	state ^= 1;
}

/* clang-format off */
const struct sv_item sv_cpu_items[] = {
	{ "cpu-sse", "SSE registers", setup, sse_verify, spoil, sse_work, SV_KEPT },
	{ "cpu-avx", "AVX registers", setup, avx_verify, spoil, avx_work, SV_KEPT },
	{ "cpu-x87", "x87 registers and rounding", x87_setup, x87_verify, spoil, x87_work, SV_KEPT },
	{ "cpu-compute", "a computation goes on", compute_setup, compute_verify, compute_spoil, compute_work, SV_KEPT },
	{ .name = NULL },
};
