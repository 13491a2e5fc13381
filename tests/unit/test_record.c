#include "loadgen/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Values 1 to 100 ms, and as many more that never came as given. */
static uint64_t percentile_ms(uint64_t missing, double percent)
{
    struct hist h = {0};
    for (uint64_t ms = 1; ms <= 100; ms++)
        hist_add(&h, ms * 1000);
    uint64_t us = record_percentile_us(&h, missing, percent);
    return us == UINT64_MAX ? us : us / 1000;
}

static void what_never_came_is_above_all(void **state)
{
    (void)state;
    assert_in_range(percentile_ms(0, 50), 50, 51);
    assert_in_range(percentile_ms(0, 100), 100, 100);
    assert_in_range(percentile_ms(100, 25), 50, 51);
    assert_in_range(percentile_ms(100, 50), 100, 100);
    assert_true(percentile_ms(100, 50.1) == UINT64_MAX);
    assert_true(percentile_ms(1, 100) == UINT64_MAX);
    assert_in_range(percentile_ms(1, 99), 99, 102);
    struct hist none = {0};
    assert_true(record_percentile_us(&none, 1, 0) == UINT64_MAX);
}

static void missing_is_what_got_no_word(void **state)
{
    struct record_part p = {.count = {[RECORD_UNANSWERED] = 1,
                                      [RECORD_LOST] = 20,
                                      [RECORD_UNSENT] = 300,
                                      [RECORD_HELD_BACK] = 4000,
                                      [RECORD_DROPPED] = 50000}};
    (void)state;
    assert_int_equal(record_missing(&p), 321);
}

static void fairness_is_jains_index(void **state)
{
    struct record r;
    (void)state;
    assert_int_equal(record_init(&r, 1), 0);
    assert_float_equal(record_fairness(&r), 0.0, 0);
    for (uint32_t i = 0; i < 4; i++)
        record_add_session(&r, &(struct record_session){.index = i, .due = 10, .answered = 10});
    assert_float_equal(record_fairness(&r), 1.0, 1e-12);
    for (uint32_t i = 0; i < 4; i++) /* half of all get nothing: 1/2 */
        record_add_session(&r, &(struct record_session){.index = i, .due = 10, .missing = 10});
    assert_float_equal(record_fairness(&r), 0.5, 1e-12);
    record_deinit(&r);
}

static void the_worst_are_kept_in_order(void **state)
{
    struct record r;
    (void)state;
    assert_int_equal(record_init(&r, 1), 0);
    for (uint32_t i = 0; i < 30; i++) {
        uint32_t k = i * 7 % 30; /* in another order */
        record_add_session(&r, &(struct record_session){
                                   .index = k, .due = 100, .answered = 100 - k, .dropped = k});
    }
    record_add_session(&r, &(struct record_session){.index = 99});
    assert_int_equal(r.n_worst, RECORD_WORST);
    for (uint32_t i = 0; i < RECORD_WORST; i++)
        assert_int_equal(r.worst[i].index, 29 - i);
    assert_int_equal(r.n_sessions, 30); /* one without frames is none */
    record_deinit(&r);
}

static void a_second_is_packed_and_unpacked(void **state)
{
    struct record r;
    struct record_now now = {0};
    struct hist h = {0};
    (void)state;
    assert_int_equal(record_init(&r, 1), 0);
    record_now_at(&r, &now, 500000, 3)->due += 7;
    hist_add(&now.latency, 20);
    hist_add(&now.latency, 20);
    hist_add(&now.latency, 100000);
    record_now_at(&r, &now, 3100000, 4)->due += 1; /* two seconds without anything */
    assert_int_equal(record_now_end(&r, &now, 5), 0);
    assert_int_equal(r.n_seconds, 4);
    assert_int_equal(r.second[0].due, 7);
    assert_int_equal(r.second[1].due, 0);
    assert_int_equal(r.second[3].due, 1);
    assert_int_equal(r.second[0].n_buckets, 2);
    record_unpack(&r.second[0], &h);
    assert_int_equal(h.count, 3);
    assert_int_equal(h.max_us, 100000);
    assert_int_equal(hist_percentile_us(&h, 50), 20);
    record_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_never_came_is_above_all),
        cmocka_unit_test(missing_is_what_got_no_word),
        cmocka_unit_test(fairness_is_jains_index),
        cmocka_unit_test(the_worst_are_kept_in_order),
        cmocka_unit_test(a_second_is_packed_and_unpacked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
