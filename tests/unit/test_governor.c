/* The governor: down to what the server does, up on a curve, and only for news. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>

#include "common/governor.h"

#define S     1000000u
#define MS    1000u
#define START (100 * (uint64_t)S)

static struct governor governor(double ceiling_per_s)
{
    struct governor g;
    struct governor_options o = {.adapt = true, .min_per_s = 1, .budget_us = 37 * MS};
    governor_init(&g, &o);
    governor_set_ceiling(&g, ceiling_per_s);
    return g;
}

static void assert_wanted(const struct governor *g, double per_s)
{
    if (fabs(governor_wanted_per_s(g) - per_s) > 0.01)
        fail_msg("wants %g, not %g", governor_wanted_per_s(g), per_s);
}

/* An answer now to a frame that waited so long at the server and worked for work_us. */
static bool hear(struct governor *g, uint64_t wait_us, uint64_t work_us, uint64_t now_us)
{
    uint64_t latency_us = wait_us + work_us + MS;
    struct governor_answer a = {.sent_us = now_us - latency_us,
                                .age_us = latency_us,
                                .latency_us = latency_us,
                                .has_timing = true,
                                .wait_us = wait_us,
                                .server_us = wait_us + work_us};
    return governor_on_answer(g, &a, now_us);
}

/* The same from a server that tells no times. */
static bool hear_mute(struct governor *g, uint64_t latency_us, uint64_t now_us)
{
    struct governor_answer a = {
        .sent_us = now_us - latency_us, .age_us = latency_us, .latency_us = latency_us};
    return governor_on_answer(g, &a, now_us);
}

/* A server that does 10 per second, with a frame waiting all the time: n answers. */
static uint64_t saturate(struct governor *g, unsigned n, uint64_t from_us)
{
    uint64_t t = from_us;
    for (unsigned i = 0; i < n; i++, t += 100 * MS)
        hear(g, 95 * MS, 100 * MS, t);
    return t;
}

static uint64_t answer_well(struct governor *g, uint64_t from_us, uint64_t to_us)
{
    uint64_t t = from_us;
    for (; t < to_us; t += 100 * MS)
        hear(g, 0, 5 * MS, t);
    return t;
}

static void at_first_nothing_is_held_back(void **state)
{
    struct governor g = governor(30);
    (void)state;
    assert_true(governor_limit_per_s(&g) == 0.0);
    assert_wanted(&g, 30);
}

static void one_drop_is_an_accident_and_two_are_not(void **state)
{
    struct governor g = governor(30);
    (void)state;
    assert_false(governor_on_drop(&g, START, START + MS));
    assert_wanted(&g, 30);
    assert_true(governor_on_drop(&g, START, START + 2 * MS));
    assert_wanted(&g, 30 * 0.75 * 0.95); /* nothing was measured yet */
}

static void one_slow_frame_in_twenty_costs_nothing(void **state)
{
    struct governor g = governor(30);
    uint64_t t = START;
    (void)state;
    for (unsigned i = 0; i < 2000; i++, t += 33 * MS) {
        if (i % 20 == 19)
            governor_on_drop(&g, t - MS, t);
        else
            hear(&g, i % 20 == 0 ? 100 * MS : 0, 5 * MS, t);
    }
    assert_wanted(&g, 30);
}

static void a_queue_sets_the_rate_to_what_the_server_does(void **state)
{
    struct governor g = governor(30);
    (void)state;
    saturate(&g, 7, START);
    assert_wanted(&g, 30);
    saturate(&g, 1, START + 700 * MS);
    assert_wanted(&g, 9.5); /* ten, less what ends the queue */
    assert_int_equal(governor_take_pause_us(&g), 95 * MS);
    assert_int_equal(governor_take_pause_us(&g), 0);
}

static void a_pipeline_that_is_slow_by_itself_is_no_queue(void **state)
{
    struct governor g = governor(8);
    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        hear(&g, 0, 100 * MS, START + i * 125 * MS);
    assert_wanted(&g, 8);
}

static void waits_that_come_and_go_are_no_queue(void **state)
{
    struct governor g = governor(10);
    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        hear(&g, i % 8 ? 90 * MS : 0, 80 * MS, START + i * 100 * MS);
    assert_wanted(&g, 10);
}

static void a_server_that_tells_no_times_is_judged_by_its_best(void **state)
{
    struct governor g = governor(30);
    uint64_t t = START;
    (void)state;
    hear_mute(&g, 100 * MS, t);
    for (unsigned i = 0; i < 8; i++)
        hear_mute(&g, 190 * MS, t += 100 * MS);
    assert_wanted(&g, 9.5);
}

static void within_the_budget_the_way_does_not_count(void **state)
{
    struct governor g = governor(60);
    (void)state;
    hear_mute(&g, 2 * MS, START);
    for (uint64_t i = 1; i < 100; i++)
        hear_mute(&g, 37 * MS, START + i * 16 * MS);
    assert_wanted(&g, 60);
    assert_false(governor_link_is_slow(&g));
}

static void a_slow_link_is_told_and_may_be_somebody_elses_business(void **state)
{
    struct governor g = governor(30);
    (void)state;
    g.link_is_others = true;
    for (uint64_t i = 0; i < 20; i++) {
        struct governor_answer a = {.sent_us = START + i * 50 * MS,
                                    .age_us = 90 * MS,
                                    .latency_us = i ? 90 * MS : 10 * MS,
                                    .has_timing = true,
                                    .server_us = 5 * MS};
        governor_on_answer(&g, &a, a.sent_us + a.latency_us);
    }
    assert_wanted(&g, 30);
    assert_true(governor_link_is_slow(&g));
}

static void drops_lead_to_the_middle_of_answered_and_sent(void **state)
{
    struct governor g = governor(30);
    uint64_t t = START;
    (void)state;
    for (unsigned i = 0; i < 20; i++) /* 15 answers a second of 30: the pipeline is idle between */
        hear(&g, 0, 30 * MS, t += 66667);
    governor_on_drop(&g, t, t + MS);
    governor_on_drop(&g, t, t + 2 * MS);
    governor_on_drop(&g, t, t + 3 * MS);
    assert_wanted(&g, 15 * 0.95);
    answer_well(&g, t + 100 * MS, t + 3 * S);
    assert_true(governor_wanted_per_s(&g) > 20.0 && governor_wanted_per_s(&g) < 24.0);
}

static void slow_down_halves(void **state)
{
    struct governor g = governor(32);
    (void)state;
    assert_true(governor_on_slow_down(&g, START));
    assert_wanted(&g, 16);
    assert_true(governor_on_slow_down(&g, START + 1));
    assert_wanted(&g, 8);
}

static void what_was_sent_before_a_decrease_is_old_news(void **state)
{
    struct governor g = governor(30);
    (void)state;
    governor_on_slow_down(&g, START);
    for (uint64_t i = 1; i < 10; i++)
        assert_false(governor_on_drop(&g, START - i, START + i * MS));
    assert_wanted(&g, 15);
    governor_on_drop(&g, START + 1, START + 20 * MS);
    assert_true(governor_on_drop(&g, START + 2, START + 21 * MS));
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
        for (uint64_t i = 100; i < 120; i++)
            governor_on_slow_down(&g, START + i * S);
        assert_wanted(&g, rows[r].floor);
    }
}

static void near_the_known_rate_it_rises_slowly_and_later_fast(void **state)
{
    struct governor g = governor(1000);
    uint64_t t = saturate(&g, 8, START);
    (void)state;
    t = answer_well(&g, t, t + 2 * S);
    assert_true(governor_wanted_per_s(&g) > 9.5 && governor_wanted_per_s(&g) < 10.5);
    t = answer_well(&g, t, t + 5 * S);
    assert_true(governor_wanted_per_s(&g) > 20.0);
}

static void full_rate_is_back_ten_seconds_after_the_floor(void **state)
{
    struct governor g = governor(60);
    (void)state;
    for (uint64_t i = 0; i < 20; i++)
        governor_on_slow_down(&g, START + i);
    assert_wanted(&g, 1);
    answer_well(&g, START + 100 * MS, START + 10 * S);
    assert_true(governor_limit_per_s(&g) == 0.0);
}

static void a_silence_is_not_a_reason_to_rise_far(void **state)
{
    struct governor g = governor(30);
    (void)state;
    governor_on_slow_down(&g, START);
    hear(&g, 0, 5 * MS, START + 3600u * (uint64_t)S);
    assert_true(governor_wanted_per_s(&g) <= 16.5);
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
    for (unsigned i = 0; i < 10; i++)
        assert_false(governor_on_drop(&g, START, START + S));
    assert_false(governor_on_slow_down(&g, START));
    saturate(&g, 20, START + S);
    assert_wanted(&g, 30);
    assert_int_equal(governor_take_pause_us(&g), 0);
}

static void before_the_rate_is_known_nothing_is_limited(void **state)
{
    struct governor g = governor(0);
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        assert_false(governor_on_drop(&g, START, START + S));
    saturate(&g, 20, START + S);
    assert_true(governor_limit_per_s(&g) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_first_nothing_is_held_back),
        cmocka_unit_test(one_drop_is_an_accident_and_two_are_not),
        cmocka_unit_test(one_slow_frame_in_twenty_costs_nothing),
        cmocka_unit_test(a_queue_sets_the_rate_to_what_the_server_does),
        cmocka_unit_test(a_pipeline_that_is_slow_by_itself_is_no_queue),
        cmocka_unit_test(waits_that_come_and_go_are_no_queue),
        cmocka_unit_test(a_server_that_tells_no_times_is_judged_by_its_best),
        cmocka_unit_test(within_the_budget_the_way_does_not_count),
        cmocka_unit_test(a_slow_link_is_told_and_may_be_somebody_elses_business),
        cmocka_unit_test(drops_lead_to_the_middle_of_answered_and_sent),
        cmocka_unit_test(slow_down_halves),
        cmocka_unit_test(what_was_sent_before_a_decrease_is_old_news),
        cmocka_unit_test(the_floor_is_kept),
        cmocka_unit_test(near_the_known_rate_it_rises_slowly_and_later_fast),
        cmocka_unit_test(full_rate_is_back_ten_seconds_after_the_floor),
        cmocka_unit_test(a_silence_is_not_a_reason_to_rise_far),
        cmocka_unit_test(a_higher_ceiling_lifts_only_what_is_not_limited),
        cmocka_unit_test(without_adapting_nothing_changes),
        cmocka_unit_test(before_the_rate_is_known_nothing_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
