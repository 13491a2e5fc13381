#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>

#include "common/backoff.h"

static const struct row {
    const char *what;
    unsigned n_failed;
    double jitter;
    uint64_t wait_us;
} rows[] = {
    {"does not wait before anything failed", 0, 1, 0},
    {"waits half a second after the first failure", 1, 1, 500000},
    {"waits twice as long after the second", 2, 1, 1000000},
    {"and the third", 3, 1, 2000000},
    {"and the fourth", 4, 1, 4000000},
    {"and the fifth", 5, 1, 8000000},
    {"never waits longer than ten seconds", 6, 1, 10000000},
    {"even after very many failures", 4000000000u, 1, 10000000},
    {"leaves out half of it at most", 1, 0, 250000},
    {"leaves out a part by chance", 2, 0.5, 750000},
    {"leaves out a part of the longest wait too", 100, 0, 5000000},
    {"takes a jitter above 1 as 1", 1, 7, 500000},
    {"takes a jitter below 0 as 0", 1, -7, 250000},
    {"takes a jitter that is no number as 0", 1, NAN, 250000},
};

static void waits_longer_after_each_failure_in_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t wait_us = backoff_wait_us(rows[i].n_failed, rows[i].jitter);
        if (wait_us != rows[i].wait_us)
            fail_msg("%s: waits %llu us, not %llu", rows[i].what, (unsigned long long)wait_us,
                     (unsigned long long)rows[i].wait_us);
    }
}

static void jitter_is_between_0_and_1_and_varies(void **state)
{
    (void)state;
    double first = backoff_jitter();
    unsigned n_same = 0;
    for (int i = 0; i < 100; i++) {
        double jitter = backoff_jitter();
        assert_true(jitter >= 0 && jitter <= 1);
        n_same += jitter >= first && jitter <= first;
    }
    assert_true(n_same < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_longer_after_each_failure_in_a_row),
        cmocka_unit_test(jitter_is_between_0_and_1_and_varies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
