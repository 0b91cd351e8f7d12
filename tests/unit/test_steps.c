/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A run writes down what it does as letters: a step's up is 'A' to 'E', its undo 'a' to 'e'. C has no
 * undo, D waits as often as it is told.
 */

#include "lib/steps.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "lib/cleanup.h"

struct trace {
	char text[64];
	char fails;	/* step that fails */
	int waits;	/* times that D waits */
};

static int note(struct trace *t, char c, struct lg_err *err)
{
	size_t len = strlen(t->text);

	t->text[len] = c;
	t->text[len + 1] = '\0';
	if (c == 'D' && t->waits > 0) {
		t->waits--;
		return LG_STEP_WAIT;
	}
	return c == t->fails ? lg_fail(err, -EIO, "step %c", c) : 0;
}

#define UP(c) static int up_##c(void *ctx, struct lg_err *err) { return note(ctx, #c[0], err); }
#define DOWN(c) static void down_##c(void *ctx) { note(ctx, #c[0], NULL); }
UP(A) UP(B) UP(C) UP(D) UP(E)
DOWN(a) DOWN(b) DOWN(d) DOWN(e)

static const struct lg_step steps[] = {
	{ "first", up_A, down_a }, { "second", up_B, down_b }, { "third", up_C, NULL },
	{ "fourth", up_D, down_d }, { "fifth", up_E, down_e },
};
#define N ARRAY_SIZE(steps)

START_TEST(all_steps_run_in_order_and_undo_backwards)
{
	struct trace t = { 0 };
	struct lg_run run;

	lg_run_init(&run, steps, N, &t);
	ck_assert_str_eq(lg_run_step_name(&run), "first");
	ck_assert_int_eq(lg_run_continue(&run, NULL), 0);
	ck_assert_str_eq(lg_run_step_name(&run), "done");
	ck_assert_int_eq(lg_run_continue(&run, NULL), 0);
	ck_assert_str_eq(t.text, "ABCDE");
	lg_run_undo(&run);
	ck_assert_str_eq(t.text, "ABCDEedba");
	lg_run_undo(&run);
	ck_assert_str_eq(t.text, "ABCDEedba");
}
END_TEST

/* The step that fails itself cleans up after itself; what was done before it is undone. */
static const char *const failing[N] = { "A", "ABa", "ABCba", "ABCDba", "ABCDEdba" };

START_TEST(a_failure_at_any_step_undoes_exactly_what_was_done)
{
	struct trace t = { .fails = (char)('A' + _i) };
	struct lg_err err = { 0 };
	struct lg_run run;
	char want[64];

	lg_run_init(&run, steps, N, &t);
	ck_assert_int_eq(lg_run_continue(&run, &err), -EIO);
	ck_assert_str_eq(t.text, failing[_i]);
	snprintf(want, sizeof(want), "%s: step %c: Input/output error", steps[_i].name, 'A' + _i);
	ck_assert_str_eq(err.msg, want);
	ck_assert_str_eq(lg_run_step_name(&run), "first");
}
END_TEST

static const char *const made_to_fail[N] = { "", "Aa", "ABba", "ABCba", "ABCDdba" };

START_TEST(the_hook_fails_before_any_step)
{
	struct trace t = { 0 };
	struct lg_err err = { 0 };
	struct lg_run run;

	lg_run_init(&run, steps, N, &t);
	run.fail_at = _i;
	ck_assert_int_eq(lg_run_continue(&run, &err), -ECANCELED);
	ck_assert_str_eq(t.text, made_to_fail[_i]);
	ck_assert_ptr_nonnull(strstr(err.msg, steps[_i].name));
}
END_TEST

START_TEST(the_other_hook_kills_before_a_step_and_undoes_nothing)
{
	struct trace t = { 0 };
	struct lg_run run;

	lg_run_init(&run, steps, N, &t);
	ck_assert_int_eq(run.crash_at, -1);
	run.crash_at = 2;
	lg_run_continue(&run, NULL);
}
END_TEST

START_TEST(a_waiting_step_is_entered_again_until_it_is_done)
{
	struct trace t = { .waits = 2 };
	struct lg_run run;

	lg_run_init(&run, steps, N, &t);
	ck_assert_int_eq(lg_run_continue(&run, NULL), LG_STEP_WAIT);
	ck_assert_str_eq(lg_run_step_name(&run), "fourth");
	ck_assert_int_eq(lg_run_continue(&run, NULL), LG_STEP_WAIT);
	ck_assert_str_eq(t.text, "ABCDD");
	ck_assert_int_eq(lg_run_continue(&run, NULL), 0);
	ck_assert_str_eq(t.text, "ABCDDDE");
	lg_run_undo(&run);
	ck_assert_str_eq(t.text, "ABCDDDEedba");
}
END_TEST

START_TEST(a_step_that_waits_is_undone_as_begun)
{
	struct trace t = { .waits = 1 };
	struct lg_run run;

	lg_run_init(&run, steps, N, &t);
	ck_assert_int_eq(lg_run_continue(&run, NULL), LG_STEP_WAIT);
	lg_run_undo(&run);
	ck_assert_str_eq(t.text, "ABCDdba");
}
END_TEST

START_TEST(a_step_that_fails_after_waiting_is_undone_as_begun)
{
	struct trace t = { .waits = 1, .fails = 'D' };
	struct lg_err err = { 0 };
	struct lg_run run;

	lg_run_init(&run, steps, N, &t);
	ck_assert_int_eq(lg_run_continue(&run, &err), LG_STEP_WAIT);
	ck_assert_int_eq(err.code, 0);
	ck_assert_int_eq(lg_run_continue(&run, &err), -EIO);
	ck_assert_str_eq(t.text, "ABCDDdba");
}
END_TEST

START_TEST(a_failure_after_a_step_that_waited_undoes_it_once)
{
	struct trace t = { .waits = 1, .fails = 'E' };
	struct lg_run run;

	lg_run_init(&run, steps, N, &t);
	ck_assert_int_eq(lg_run_continue(&run, NULL), LG_STEP_WAIT);
	ck_assert_int_eq(lg_run_continue(&run, NULL), -EIO);
	ck_assert_str_eq(t.text, "ABCDDEdba");
}
END_TEST

START_TEST(a_run_can_start_over_after_its_failure)
{
	struct trace t = { .fails = 'B' };
	struct lg_run run;

	lg_run_init(&run, steps, N, &t);
	ck_assert_int_eq(lg_run_continue(&run, NULL), -EIO);
	t.fails = 0;
	ck_assert_int_eq(lg_run_continue(&run, NULL), 0);
	ck_assert_str_eq(t.text, "ABaABCDE");
}
END_TEST

START_TEST(no_steps_are_done_at_once)
{
	struct lg_run run;

	lg_run_init(&run, steps, 0, NULL);
	ck_assert_int_eq(lg_run_continue(&run, NULL), 0);
	ck_assert_str_eq(lg_run_step_name(&run), "done");
	lg_run_undo(&run);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("steps");
	TCase *t = tcase_create("all");

	tcase_add_test(t, all_steps_run_in_order_and_undo_backwards);
	tcase_add_loop_test(t, a_failure_at_any_step_undoes_exactly_what_was_done, 0, (int)N);
	tcase_add_loop_test(t, the_hook_fails_before_any_step, 0, (int)N);
	tcase_add_test_raise_signal(t, the_other_hook_kills_before_a_step_and_undoes_nothing, SIGKILL);
	tcase_add_test(t, a_waiting_step_is_entered_again_until_it_is_done);
	tcase_add_test(t, a_step_that_waits_is_undone_as_begun);
	tcase_add_test(t, a_step_that_fails_after_waiting_is_undone_as_begun);
	tcase_add_test(t, a_failure_after_a_step_that_waited_undoes_it_once);
	tcase_add_test(t, a_run_can_start_over_after_its_failure);
	tcase_add_test(t, no_steps_are_done_at_once);
	suite_add_tcase(s, t);
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
