/* The ladder: down while the link is short, up when it is not, and no flapping. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/ladder.h"

#define S     1000000u
#define START (100 * (uint64_t)S)

/* 30 frames a second; of each ten so many are blocked. */
static uint64_t run(struct ladder *l, unsigned blocked_of_10, uint64_t from_us, double seconds)
{
    unsigned n = (unsigned)(seconds * 30);
    for (unsigned i = 0; i < n; i++)
        ladder_on_frame(l, i % 10 < blocked_of_10, from_us + i * (uint64_t)S / 30);
    return from_us + n * (uint64_t)S / 30;
}

static void there_are_the_rungs_that_may_be_used(void **state)
{
    static const struct {
        bool quality, size, as_they_come;
        size_t n;
        struct ladder_rung rung[LADDER_RUNGS_MAX];
    } rows[] = {
        {false, false, false, 1, {{80, 0}}},
        {false, false, true, 1, {{0, 0}}},
        {true, false, false, 3, {{80, 0}, {70, 0}, {60, 0}}},
        {false, true, false, 3, {{80, 0}, {80, 1}, {80, 2}}},
        {false, true, true, 3, {{0, 0}, {80, 1}, {80, 2}}},
        {true, true, false, 5, {{80, 0}, {70, 0}, {60, 0}, {60, 1}, {60, 2}}},
        {true, true, true, 6, {{0, 0}, {80, 0}, {70, 0}, {60, 0}, {60, 1}, {60, 2}}},
    };
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct ladder l;
        ladder_init(&l, rows[r].quality, rows[r].size, rows[r].as_they_come);
        assert_int_equal(l.n, rows[r].n);
        for (size_t i = 0; i < l.n; i++) {
            assert_int_equal(l.rung[i].quality, rows[r].rung[i].quality);
            assert_int_equal(l.rung[i].halvings, rows[r].rung[i].halvings);
        }
    }
}

static void a_blocked_link_leads_down_a_rung_a_second(void **state)
{
    struct ladder l;
    uint64_t t = START;
    (void)state;
    ladder_init(&l, true, true, false);
    for (size_t i = 1; i < 5; i++) {
        t = run(&l, 3, t, 1.1);
        assert_int_equal(l.at, i);
    }
    assert_true(ladder_is_at_bottom(&l));
    run(&l, 10, t, 10);
    assert_int_equal(l.at, 4);
}

static void one_blocked_frame_in_ten_is_no_reason(void **state)
{
    struct ladder l;
    (void)state;
    ladder_init(&l, true, true, false);
    run(&l, 1, START, 60);
    assert_true(ladder_is_at_top(&l));
}

static void five_calm_seconds_lead_up_a_rung(void **state)
{
    struct ladder l;
    (void)state;
    ladder_init(&l, true, true, false);
    uint64_t t = run(&l, 5, START, 2.08);
    assert_int_equal(l.at, 2);
    t = run(&l, 0, t, 4);
    assert_int_equal(l.at, 2);
    t = run(&l, 0, t, 3);
    assert_int_equal(l.at, 1);
    run(&l, 0, t, 7);
    assert_true(ladder_is_at_top(&l));
}

static void a_few_blocked_frames_keep_it_where_it_is(void **state)
{
    struct ladder l;
    (void)state;
    ladder_init(&l, true, false, false);
    uint64_t t = run(&l, 5, START, 1.04);
    assert_int_equal(l.at, 1);
    run(&l, 1, t, 60);
    assert_int_equal(l.at, 1);
}

/* The link takes the second rung and not the first. */
static void a_link_between_two_rungs_does_not_make_it_flap(void **state)
{
    struct ladder l;
    unsigned n_changes = 0;
    (void)state;
    ladder_init(&l, true, true, false);
    for (uint64_t i = 0; i < 30 * 600; i++)
        n_changes += ladder_on_frame(&l, ladder_is_at_top(&l), START + i * S / 30);
    assert_true(n_changes <= 24); /* 240 with no more than five seconds between */
    assert_true(l.wait_us == 80 * (uint64_t)S);
}

static void too_few_frames_say_nothing(void **state)
{
    struct ladder l;
    (void)state;
    ladder_init(&l, true, true, false);
    assert_false(ladder_on_frame(&l, true, START));
    assert_false(ladder_on_frame(&l, true, START + 2 * S));
    assert_true(ladder_on_frame(&l, true, START + 3 * S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_the_rungs_that_may_be_used),
        cmocka_unit_test(a_blocked_link_leads_down_a_rung_a_second),
        cmocka_unit_test(one_blocked_frame_in_ten_is_no_reason),
        cmocka_unit_test(five_calm_seconds_lead_up_a_rung),
        cmocka_unit_test(a_few_blocked_frames_keep_it_where_it_is),
        cmocka_unit_test(a_link_between_two_rungs_does_not_make_it_flap),
        cmocka_unit_test(too_few_frames_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
