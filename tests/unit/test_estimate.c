#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "server/estimate.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define FAST_US  10000u
#define SLOW_US  40000u

static uint32_t next_random(uint32_t *random)
{
    *random = *random * 1664525u + 1013904223u;
    return *random >> 8;
}

static void add_n(struct estimate *e, unsigned n, uint64_t took_us)
{
    while (n--)
        estimate_add(e, took_us);
}

/* One that has seen nothing but fast frames, and its ring at any place. */
static struct estimate settled(unsigned turn)
{
    struct estimate e = {0};
    add_n(&e, ESTIMATE_SAMPLES + turn, FAST_US);
    return e;
}

static void knows_nothing_before_the_first_frame(void **state)
{
    (void)state;
    assert_int_equal(estimate_expected_us(&(struct estimate){0}), 0);
}

static void first_values_are_taken_as_they_come(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        unsigned n;
        uint32_t took_us[8];
        uint32_t expected_us;
    } rows[] = {
        {"one is all there is", 1, {70}, 70},
        {"the slower of two", 2, {70, 20}, 70},
        {"whichever came first", 2, {20, 70}, 70},
        {"of three", 3, {20, 70, 30}, 70},
        {"of four", 4, {20, 70, 30, 40}, 70},
        {"of five, one may be slow", 5, {20, 70, 30, 40, 10}, 40},
        {"so a slow first frame is forgotten at the fifth", 5, {900, 1, 1, 1, 1}, 1},
        {"of eight, the two slowest are more than a quarter", 8, {8, 7, 6, 5, 4, 3, 2, 1}, 7},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct estimate e = {0};
        for (unsigned n = 0; n < rows[i].n; n++)
            estimate_add(&e, rows[i].took_us[n]);
        if (estimate_expected_us(&e) != rows[i].expected_us)
            fail_msg("%s: %u", rows[i].what, (unsigned)estimate_expected_us(&e));
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The definition, the slow way: sort the last 16. */
static void is_the_upper_quartile_of_the_last_16(void **state)
{
    (void)state;
    static uint64_t took_us[2000];
    uint32_t random = 1;
    struct estimate e = {0};
    for (unsigned n = 0; n < N(took_us); n++) {
        took_us[n] = next_random(&random) % (n % 100 < 50 ? 8 : 50000); /* many alike, or few */
        estimate_add(&e, took_us[n]);
        uint64_t last[ESTIMATE_SAMPLES];
        unsigned n_last = n + 1 < ESTIMATE_SAMPLES ? n + 1 : ESTIMATE_SAMPLES;
        for (unsigned i = 0; i < n_last; i++)
            last[i] = took_us[n - i];
        qsort(last, n_last, sizeof last[0], by_size);
        if (estimate_expected_us(&e) != last[n_last * 3 / 4])
            fail_msg("frame %u: %u, not %u", n, (unsigned)estimate_expected_us(&e),
                     (unsigned)last[n_last * 3 / 4]);
    }
}

static void fewer_than_one_slow_frame_in_four_do_not_move_it(void **state)
{
    (void)state;
    for (unsigned every = 6; every <= 30; every++) { /* every sixth: at most three of 16 */
        struct estimate e = settled(every);
        for (unsigned n = 0; n < 1000; n++) {
            estimate_add(&e, n % every == 0 ? SLOW_US : FAST_US);
            assert_int_equal(estimate_expected_us(&e), FAST_US);
        }
    }
    for (unsigned burst = 1; burst <= 3; burst++) { /* also all in a row */
        struct estimate e = settled(burst);
        add_n(&e, burst, 60000000);
        assert_int_equal(estimate_expected_us(&e), FAST_US);
        add_n(&e, ESTIMATE_SAMPLES - burst, FAST_US);
        assert_int_equal(estimate_expected_us(&e), FAST_US);
    }
}

static void one_slow_frame_in_four_for_long_is_what_to_expect(void **state)
{
    (void)state;
    struct estimate e = settled(0);
    for (unsigned n = 0; n < 1000; n++) {
        estimate_add(&e, n % 4 == 0 ? SLOW_US : FAST_US);
        assert_int_equal(estimate_expected_us(&e), n < 12 ? FAST_US : SLOW_US);
    }
}

static unsigned frames_until(struct estimate *e, uint64_t took_us)
{
    unsigned n = 0;
    while (estimate_expected_us(e) != took_us && n < 100)
        n++, estimate_add(e, took_us);
    return n;
}

static void a_real_change_is_followed_at_any_place_of_the_ring(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < 2 * ESTIMATE_SAMPLES; turn++) {
        struct estimate e = settled(turn);
        assert_in_range(frames_until(&e, SLOW_US), 4, 5);
        add_n(&e, ESTIMATE_SAMPLES, SLOW_US);
        assert_in_range(frames_until(&e, FAST_US), 12, 13);
        add_n(&e, ESTIMATE_SAMPLES, FAST_US);
        assert_in_range(frames_until(&e, SLOW_US), 4, 5); /* and again */
    }
}

static void zero_and_huge_times_are_times(void **state)
{
    (void)state;
    static const struct {
        uint64_t took_us, expected_us;
    } rows[] = {
        {0, 0},
        {1, 1},
        {UINT32_MAX - 1, UINT32_MAX - 1},
        {UINT32_MAX, UINT32_MAX},
        {(uint64_t)UINT32_MAX + 1, UINT32_MAX},
        {(uint64_t)UINT32_MAX + 2, UINT32_MAX}, /* not 1 */
        {UINT64_MAX, UINT32_MAX},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct estimate e = {0};
        add_n(&e, 40, rows[i].took_us);
        assert_int_equal(estimate_expected_us(&e), rows[i].expected_us);
        add_n(&e, 3, i % 2 ? 0 : UINT64_MAX); /* three strays */
        if (i % 2)
            assert_int_equal(estimate_expected_us(&e), rows[i].expected_us);
        add_n(&e, 13, 7);
        assert_int_equal(estimate_expected_us(&e), 7);
    }
}

/* At 30 fps 2^32 frames are four and a half years; the ring must not lose its place. */
static void the_count_of_frames_does_not_wrap(void **state)
{
    (void)state;
    struct estimate e = {0};
    for (unsigned n = 1; n <= 10000; n++) {
        estimate_add(&e, n);
        uint32_t samples = n < ESTIMATE_SAMPLES ? n : ESTIMATE_SAMPLES;
        assert_in_range(e.n, samples, 2 * ESTIMATE_SAMPLES - 1);
        assert_int_equal(e.n % ESTIMATE_SAMPLES, n % ESTIMATE_SAMPLES);
        /* The last 16 are n-15 to n, in order: the 13th of them. */
        if (n >= ESTIMATE_SAMPLES)
            assert_int_equal(estimate_expected_us(&e), n - 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_nothing_before_the_first_frame),
        cmocka_unit_test(first_values_are_taken_as_they_come),
        cmocka_unit_test(is_the_upper_quartile_of_the_last_16),
        cmocka_unit_test(fewer_than_one_slow_frame_in_four_do_not_move_it),
        cmocka_unit_test(one_slow_frame_in_four_for_long_is_what_to_expect),
        cmocka_unit_test(a_real_change_is_followed_at_any_place_of_the_ring),
        cmocka_unit_test(zero_and_huge_times_are_times),
        cmocka_unit_test(the_count_of_frames_does_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
