/* The governor: down at once, up slowly, and only for news. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>

#include "cli/governor.h"

#define S     1000000u
#define MS    1000u
#define START (100 * (uint64_t)S)

static struct governor governor(double ceiling_per_s)
{
    struct governor g;
    struct governor_options o = {
        .adapt = true, .min_per_s = 1, .budget_us = 37 * MS, .hold_us = 2 * S};
    governor_init(&g, &o);
    governor_set_ceiling(&g, ceiling_per_s);
    return g;
}

static void assert_wanted(const struct governor *g, double per_s)
{
    if (fabs(governor_wanted_per_s(g) - per_s) > 0.01)
        fail_msg("wants %g, not %g", governor_wanted_per_s(g), per_s);
}

static void at_first_nothing_is_held_back(void **state)
{
    struct governor g = governor(30);
    (void)state;
    assert_true(governor_limit_per_s(&g) == 0.0);
    assert_wanted(&g, 30);
}

static void a_drop_lowers_the_rate_at_once(void **state)
{
    struct governor g = governor(30);
    (void)state;
    assert_true(governor_on_drop(&g, START - 10 * MS, START));
    assert_wanted(&g, 22.5);
    assert_true(governor_limit_per_s(&g) > 0.0);
}

static void late_answers_lower_the_rate(void **state)
{
    struct governor g = governor(30);
    (void)state;
    governor_on_answer(&g, 5 * MS, START - 5 * MS, START);
    assert_false(governor_on_answer(&g, 38 * MS, START, START + S));
    assert_true(governor_on_answer(&g, 38 * MS, START, START + S + 1));
    assert_wanted(&g, 25.5);
}

static void one_late_answer_is_an_accident(void **state)
{
    struct governor g = governor(30);
    (void)state;
    for (uint64_t t = START; t < START + 60 * (uint64_t)S; t += 100 * MS) {
        governor_on_answer(&g, 100 * MS, t - 100 * MS, t);
        governor_on_answer(&g, 5 * MS, t, t + 5 * MS);
    }
    assert_wanted(&g, 30);
}

static void an_answer_in_the_budget_changes_nothing(void **state)
{
    struct governor g = governor(30);
    (void)state;
    governor_on_answer(&g, 5 * MS, START, START);
    assert_false(governor_on_answer(&g, 37 * MS, START, START + S));
    assert_wanted(&g, 30);
}

static void slow_down_halves_even_right_after_a_decrease(void **state)
{
    struct governor g = governor(32);
    (void)state;
    governor_on_slow_down(&g, START);
    assert_wanted(&g, 16);
    governor_on_slow_down(&g, START + 1);
    assert_wanted(&g, 8);
}

static void what_was_sent_before_a_decrease_is_old_news(void **state)
{
    struct governor g = governor(30);
    (void)state;
    governor_on_drop(&g, START - 50 * MS, START);
    assert_false(governor_on_drop(&g, START - 20 * MS, START + 5 * MS));
    assert_false(governor_on_answer(&g, 500 * MS, START - 10 * MS, START + 490 * MS));
    assert_wanted(&g, 22.5);
    assert_true(governor_on_drop(&g, START + 10 * MS, START + 30 * MS));
    assert_wanted(&g, 16.875);
}

static void the_floor_is_kept(void **state)
{
    static const struct {
        double ceiling, floor;
    } rows[] = {{30, 1}, {1000, 1}, {0.5, 0.5}};
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct governor g = governor(rows[r].ceiling);
        for (uint64_t i = 0; i < 100; i++)
            governor_on_drop(&g, START + i * S, START + i * S + MS);
        assert_wanted(&g, rows[r].floor);
    }
}

/* Good answers ten times a second, from one time to another. */
static void answer_well(struct governor *g, uint64_t from_us, uint64_t to_us)
{
    for (uint64_t t = from_us; t < to_us; t += 100 * MS)
        governor_on_answer(g, 5 * MS, t - 5 * MS, t);
}

static void nothing_is_raised_in_the_hold_time(void **state)
{
    struct governor g = governor(30);
    (void)state;
    governor_on_slow_down(&g, START);
    answer_well(&g, START + 100 * MS, START + 2 * S);
    assert_wanted(&g, 15);
}

static void after_the_hold_time_it_rises_steadily_to_the_ceiling(void **state)
{
    struct governor g = governor(30);
    (void)state;
    governor_on_slow_down(&g, START);
    answer_well(&g, START + 2 * S, START + 3 * S);
    double after_1_s = governor_wanted_per_s(&g);
    assert_true(after_1_s > 15.0 && after_1_s < 18.1); /* 1.5 per second */
    answer_well(&g, START + 3 * S, START + 7 * S);
    assert_true(fabs(governor_wanted_per_s(&g) - after_1_s - 6.0) < 0.2);
    answer_well(&g, START + 7 * S, START + 20 * S);
    assert_true(governor_limit_per_s(&g) == 0.0);
}

static void a_silence_is_not_a_reason_to_rise_far(void **state)
{
    struct governor g = governor(30);
    (void)state;
    governor_on_slow_down(&g, START);
    governor_on_answer(&g, 5 * MS, START + 3600u * (uint64_t)S, START + 3600u * (uint64_t)S);
    assert_true(governor_wanted_per_s(&g) <= 16.51);
}

static void a_pipeline_slower_than_the_budget_is_not_starved(void **state)
{
    struct governor g = governor(30);
    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        governor_on_answer(&g, 60 * MS, START + i * 100 * MS - 60 * MS, START + i * 100 * MS);
    assert_wanted(&g, 30);
    assert_int_equal(governor_late_us(&g), 90 * MS);
    governor_on_answer(&g, 95 * MS, START + 11 * S, START + 12 * S);
    assert_true(governor_on_answer(&g, 95 * MS, START + 11 * S, START + 12 * S));
}

static void the_best_answer_is_forgotten_in_time(void **state)
{
    struct governor g = governor(30);
    uint64_t t = START;
    (void)state;
    governor_on_answer(&g, 10 * MS, t, t);
    for (; t < START + 25 * S; t += 100 * MS)
        governor_on_answer(&g, 100 * MS, t - 100 * MS, t);
    assert_int_equal(governor_late_us(&g), 150 * MS);
}

static void a_higher_ceiling_lifts_only_what_is_not_limited(void **state)
{
    struct governor g = governor(10);
    (void)state;
    governor_set_ceiling(&g, 30);
    assert_wanted(&g, 30);
    governor_on_slow_down(&g, START);
    governor_set_ceiling(&g, 60);
    assert_wanted(&g, 15);
    governor_set_ceiling(&g, 12);
    assert_wanted(&g, 12);
}

static void without_adapting_nothing_changes(void **state)
{
    struct governor g = governor(30);
    (void)state;
    g.options.adapt = false;
    assert_false(governor_on_drop(&g, START, START + S));
    assert_false(governor_on_slow_down(&g, START));
    assert_false(governor_on_answer(&g, S, START, START + S));
    assert_wanted(&g, 30);
}

static void before_the_rate_is_known_nothing_is_limited(void **state)
{
    struct governor g = governor(0);
    (void)state;
    assert_false(governor_on_drop(&g, START, START + S));
    assert_true(governor_limit_per_s(&g) == 0.0);
}

/* A server that drops whatever comes faster than it can work, for two minutes. */
static void it_settles_near_what_the_server_can_do(void **state)
{
    struct governor g = governor(30);
    double can_per_s = 12.0, next_free_us = 0, sent = 0, answered = 0;
    (void)state;
    for (double t = (double)START; t < (double)START + 120e6;) {
        uint64_t now_us = (uint64_t)t;
        sent++;
        if (t >= next_free_us) {
            next_free_us = t + 1e6 / can_per_s;
            governor_on_answer(&g, 20 * MS, now_us - 20 * MS, now_us);
            answered++;
        } else {
            governor_on_drop(&g, now_us - MS, now_us);
        }
        t += 1e6 / governor_wanted_per_s(&g);
    }
    assert_true(answered / 120.0 > 0.6 * can_per_s);
    assert_true((sent - answered) / sent < 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_first_nothing_is_held_back),
        cmocka_unit_test(a_drop_lowers_the_rate_at_once),
        cmocka_unit_test(late_answers_lower_the_rate),
        cmocka_unit_test(one_late_answer_is_an_accident),
        cmocka_unit_test(an_answer_in_the_budget_changes_nothing),
        cmocka_unit_test(slow_down_halves_even_right_after_a_decrease),
        cmocka_unit_test(what_was_sent_before_a_decrease_is_old_news),
        cmocka_unit_test(the_floor_is_kept),
        cmocka_unit_test(nothing_is_raised_in_the_hold_time),
        cmocka_unit_test(after_the_hold_time_it_rises_steadily_to_the_ceiling),
        cmocka_unit_test(a_silence_is_not_a_reason_to_rise_far),
        cmocka_unit_test(a_pipeline_slower_than_the_budget_is_not_starved),
        cmocka_unit_test(the_best_answer_is_forgotten_in_time),
        cmocka_unit_test(a_higher_ceiling_lifts_only_what_is_not_limited),
        cmocka_unit_test(without_adapting_nothing_changes),
        cmocka_unit_test(before_the_rate_is_known_nothing_is_limited),
        cmocka_unit_test(it_settles_near_what_the_server_can_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
