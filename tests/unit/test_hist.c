/* The histogram: exact where it says so, near enough elsewhere, mergeable. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/hist.h"

static void every_value_lies_within_its_bucket(void **state)
{
    (void)state;
    for (uint64_t v = 0; v <= HIST_MAX_US; v = v < 5000 ? v + 1 : v + v / 97) {
        size_t b = hist_bucket_of(v);
        assert_true(b < HIST_BUCKETS);
        assert_true(hist_bucket_low_us(b) <= v && v <= hist_bucket_high_us(b));
    }
}

static void buckets_follow_each_other_without_a_gap(void **state)
{
    (void)state;
    for (size_t b = 0; b + 1 < HIST_BUCKETS; b++) {
        assert_int_equal(hist_bucket_high_us(b) + 1, hist_bucket_low_us(b + 1));
        assert_int_equal(hist_bucket_of(hist_bucket_low_us(b)), b);
        assert_int_equal(hist_bucket_of(hist_bucket_high_us(b)), b);
    }
    assert_int_equal(hist_bucket_high_us(HIST_BUCKETS - 1), HIST_MAX_US);
}

static void a_bucket_is_never_wider_than_a_32nd_of_its_value(void **state)
{
    (void)state;
    for (size_t b = 64; b < HIST_BUCKETS; b++) {
        uint64_t low = hist_bucket_low_us(b);
        assert_true((hist_bucket_high_us(b) - low) * 32 < low);
    }
}

static void what_is_too_long_counts_in_the_last_bucket(void **state)
{
    struct hist h = {0};
    (void)state;
    hist_add(&h, UINT64_MAX / 2);
    assert_int_equal(h.bucket[HIST_BUCKETS - 1], 1);
    assert_true(hist_percentile_us(&h, 50) == UINT64_MAX / 2);
}

static void an_empty_histogram_says_zero(void **state)
{
    struct hist h = {0};
    (void)state;
    assert_int_equal(hist_percentile_us(&h, 99), 0);
    assert_true(hist_mean_us(&h) == 0.0);
}

static void percentiles_are_never_low_and_hardly_high(void **state)
{
    static const double percents[] = {0, 1, 50, 90, 99, 99.9, 100};
    struct hist h = {0};
    (void)state;
    for (uint64_t v = 1; v <= 100000; v++)
        hist_add(&h, v);
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        double exact = percents[i] > 0 ? percents[i] * 1000.0 : 1.0;
        double told = (double)hist_percentile_us(&h, percents[i]);
        assert_true(told >= exact && told <= exact * 1.032);
    }
    assert_int_equal(hist_percentile_us(&h, 100), 100000);
    assert_true(hist_mean_us(&h) == 50000.5);
}

static void one_value_is_every_percentile(void **state)
{
    struct hist h = {0};
    (void)state;
    hist_add(&h, 37000);
    assert_int_equal(hist_percentile_us(&h, 0), 37000);
    assert_int_equal(hist_percentile_us(&h, 50), 37000);
    assert_int_equal(hist_percentile_us(&h, 100), 37000);
}

static void merged_parts_equal_the_whole(void **state)
{
    struct hist whole = {0}, part[3] = {{0}}, merged = {0};
    uint64_t x = 12345;
    (void)state;
    for (int i = 0; i < 10000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        uint64_t v = x >> 40;
        hist_add(&whole, v);
        hist_add(&part[i % 3], v);
    }
    for (int i = 0; i < 3; i++)
        hist_merge(&merged, &part[i]);
    assert_memory_equal(&merged, &whole, sizeof whole);
    hist_merge(&merged, &(struct hist){0});
    assert_memory_equal(&merged, &whole, sizeof whole);
    hist_clear(&merged);
    assert_int_equal(merged.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_lies_within_its_bucket),
        cmocka_unit_test(buckets_follow_each_other_without_a_gap),
        cmocka_unit_test(a_bucket_is_never_wider_than_a_32nd_of_its_value),
        cmocka_unit_test(what_is_too_long_counts_in_the_last_bucket),
        cmocka_unit_test(an_empty_histogram_says_zero),
        cmocka_unit_test(percentiles_are_never_low_and_hardly_high),
        cmocka_unit_test(one_value_is_every_percentile),
        cmocka_unit_test(merged_parts_equal_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
