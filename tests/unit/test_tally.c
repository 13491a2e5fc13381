/* Counting: the ledger, rates, and the latencies of the last seconds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>

#include "common/rate.h"
#include "cli/tally.h"

static void a_ledger_balances_when_nothing_is_lost(void **state)
{
    struct ledger l = {.read = 100,
                       .skipped = 50,
                       .paced_out = 20,
                       .replaced = 5,
                       .sent = 25,
                       .answered = 20,
                       .dropped = 4,
                       .unanswered = 1,
                       .broken = 7};
    (void)state;
    assert_true(ledger_is_balanced(&l));
    l.read++;
    assert_false(ledger_is_balanced(&l));
    l.replaced++;
    assert_true(ledger_is_balanced(&l));
    l.answered--;
    assert_false(ledger_is_balanced(&l));
}

static void the_drop_rate_is_of_what_is_settled(void **state)
{
    struct ledger l = {.sent = 100};
    (void)state;
    assert_true(ledger_drop_rate(&l) == 0.0);
    l.answered = 6;
    l.dropped = 3;
    l.unanswered = 1;
    assert_true(fabs(ledger_drop_rate(&l) - 0.3) < 1e-9);
}

static void a_rate_is_that_of_the_last_times(void **state)
{
    struct rate r = {0};
    uint64_t t = 1000000;
    (void)state;
    assert_true(rate_per_s(&r, t) == 0.0);
    rate_add(&r, t);
    assert_true(rate_per_s(&r, t) == 0.0);
    rate_add(&r, t += 40000);
    assert_true(fabs(rate_per_s(&r, t) - 25.0) < 0.01);
    for (int i = 0; i < 100; i++)
        rate_add(&r, t += 10000);
    assert_true(fabs(rate_per_s(&r, t) - 100.0) < 0.01);
}

static void a_rate_falls_when_nothing_more_happens(void **state)
{
    struct rate r = {0};
    uint64_t t = 1000000;
    (void)state;
    for (int i = 0; i < 31; i++)
        rate_add(&r, t += 10000);
    assert_true(fabs(rate_per_s(&r, t + 15000) - 100.0) < 0.01);
    assert_true(rate_per_s(&r, t + 1000000) < 30.0);
    assert_true(rate_per_s(&r, t + 60000000) < 1.0);
}

static void recent_latencies_are_of_the_last_ten_seconds(void **state)
{
    static struct tally t;
    struct hist recent;
    (void)state;
    tally_answer(&t, 900000, 900000, 1000000);
    for (uint64_t now_us = 2000000; now_us < 30000000; now_us += 100000)
        tally_answer(&t, 5000, 6000, now_us);
    tally_recent(&t, &recent);
    assert_in_range(recent.count, 50, 101);
    assert_int_equal(recent.max_us, 5000);
    assert_int_equal(t.latency.max_us, 900000);
    assert_int_equal(t.ledger.answered, t.age.count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ledger_balances_when_nothing_is_lost),
        cmocka_unit_test(the_drop_rate_is_of_what_is_settled),
        cmocka_unit_test(a_rate_is_that_of_the_last_times),
        cmocka_unit_test(a_rate_falls_when_nothing_more_happens),
        cmocka_unit_test(recent_latencies_are_of_the_last_ten_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
