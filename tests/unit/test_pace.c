/* Pacing: the wanted rate exactly, whatever the source's. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/pace.h"

#define START_US 1000000u

/* Frames taken of a source of source_fps in so many seconds; jitter_us: every other
 * frame comes that much later. */
static unsigned taken(struct pace *p, double source_fps, unsigned seconds, uint64_t jitter_us)
{
    unsigned n = 0, n_frames = (unsigned)(source_fps * seconds);
    uint64_t interval_us = (uint64_t)(1e6 / source_fps);
    for (unsigned i = 0; i < n_frames; i++) {
        uint64_t now_us = START_US + (uint64_t)(i * 1e6 / source_fps) + (i % 2) * jitter_us;
        if (!pace_is_due(p, interval_us, now_us))
            continue;
        pace_take(p, now_us);
        n++;
    }
    return n;
}

static void the_rate_is_exact(void **state)
{
    static const struct {
        double source_fps, fps;
        unsigned seconds, taken;
    } rows[] = {
        {30, 10, 10, 100}, {30, 25, 10, 250},      {30, 7, 10, 70},    {30, 29, 10, 290},
        {30, 1, 10, 10},   {30, 30, 10, 300},      {30, 60, 10, 300},  {30, 0, 10, 300},
        {60, 37, 10, 370}, {29.97, 10, 100, 1000}, {25, 0.5, 100, 50},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (uint64_t jitter_us = 0; jitter_us <= 8000; jitter_us += 4000) {
            struct pace p;
            pace_init(&p, 0);
            pace_set_rate(&p, rows[i].fps, START_US);
            unsigned n = taken(&p, rows[i].source_fps, rows[i].seconds, jitter_us);
            if (abs((int)n - (int)rows[i].taken) > 1)
                fail_msg("%g of %g: %u in %u s", rows[i].fps, rows[i].source_fps, n,
                         rows[i].seconds);
        }
    }
}

static void the_first_frame_is_due(void **state)
{
    struct pace p;
    (void)state;
    pace_init(&p, 1);
    pace_set_rate(&p, 1, START_US);
    assert_true(pace_is_due(&p, 0, START_US));
}

static void after_a_pause_there_is_no_burst(void **state)
{
    struct pace p;
    uint64_t now_us = START_US;
    unsigned n = 0;
    (void)state;
    pace_init(&p, 1);
    pace_set_rate(&p, 10, now_us);
    pace_take(&p, now_us);
    now_us += 60 * 1000000u;
    for (unsigned i = 0; i < 30; i++, now_us += 10000) {
        if (!pace_is_due(&p, 10000, now_us))
            continue;
        pace_take(&p, now_us);
        n++;
    }
    assert_in_range(n, 3, 5); /* 0.3 s at 10 per second, and at most one interval behind */
}

static void a_higher_rate_counts_from_now_on(void **state)
{
    struct pace p;
    (void)state;
    pace_init(&p, 1);
    pace_set_rate(&p, 0.1, START_US);
    pace_take(&p, START_US);
    assert_false(pace_is_due(&p, 0, START_US + 1000000));
    pace_set_rate(&p, 10, START_US + 1000000);
    assert_false(pace_is_due(&p, 0, START_US + 1050000));
    assert_true(pace_is_due(&p, 0, START_US + 1100000));
}

static void without_a_limit_everything_is_due(void **state)
{
    struct pace p;
    (void)state;
    pace_init(&p, 1);
    for (uint64_t i = 0; i < 10; i++) {
        assert_true(pace_is_due(&p, 33333, START_US));
        pace_take(&p, START_US);
    }
}

static void every_nth_frame_is_a_candidate(void **state)
{
    static const struct {
        uint64_t every;
        unsigned of_twelve;
    } rows[] = {{0, 12}, {1, 12}, {2, 6}, {3, 4}, {5, 3}, {100, 1}};
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct pace p;
        unsigned n = 0;
        pace_init(&p, rows[r].every);
        for (uint64_t i = 0; i < 12; i++)
            n += pace_is_candidate(&p, i);
        assert_int_equal(n, rows[r].of_twelve);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_is_exact),
        cmocka_unit_test(the_first_frame_is_due),
        cmocka_unit_test(after_a_pause_there_is_no_burst),
        cmocka_unit_test(a_higher_rate_counts_from_now_on),
        cmocka_unit_test(without_a_limit_everything_is_due),
        cmocka_unit_test(every_nth_frame_is_a_candidate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
