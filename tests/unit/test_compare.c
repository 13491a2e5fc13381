/* Did it get worse: the statistics against numbers computed by hand, and the two promises of
 * compare.h by simulation. */
#include "loadgen/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

/* --- the statistics --- */

static void medians_and_spreads(void **state)
{
    static const double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2};
    (void)state;
    assert_float_equal(samples_median(odd, 3), 3, 0);
    assert_float_equal(samples_median(even, 4), 2.5, 0);
    assert_float_equal(samples_spread(odd, 3), 1.4826 * 2, 1e-9);
}

static void a_shift_is_not_moved_by_one_wild_run(void **state)
{
    static const double a[] = {10, 11, 12, 13, 14}, b[] = {12, 13, 14, 15, 900};
    (void)state;
    assert_float_equal(samples_shift(a, 5, b, 5), 2, 1);
    assert_float_equal(samples_shift(a, 5, a, 5), 0, 0);
}

/* All orders of n_a + n_b different numbers, one after the other. */
static double p_by_counting(size_t n_a, size_t n_b, size_t u)
{
    size_t n = n_a + n_b, orders = 0, high = 0;
    for (unsigned set = 0; set < 1u << n; set++) {
        if ((size_t)__builtin_popcount(set) != n_b)
            continue;
        size_t won = 0;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < i; k++)
                won += (set >> i & 1) && !(set >> k & 1);
        orders++;
        high += won >= u;
    }
    return (double)high / (double)orders;
}

static void p_is_what_counting_gives(void **state)
{
    (void)state;
    for (size_t n_a = 1; n_a <= 6; n_a++) {
        for (size_t n_b = 1; n_b <= 6; n_b++) {
            double a[6], b[6];
            for (size_t i = 0; i < n_a; i++)
                a[i] = (double)(2 * i);
            for (size_t shift = 0; shift < 12; shift++) {
                size_t u = 0;
                for (size_t k = 0; k < n_b; k++)
                    b[k] = (double)(2 * k + shift) - 2.5;
                for (size_t i = 0; i < n_a; i++)
                    for (size_t k = 0; k < n_b; k++)
                        u += b[k] > a[i];
                assert_float_equal(samples_p_worse(a, n_a, b, n_b), p_by_counting(n_a, n_b, u),
                                   1e-12);
            }
        }
    }
}

static void equal_numbers_prove_nothing(void **state)
{
    static const double a[] = {0, 0, 0, 0, 0, 0};
    (void)state;
    assert_true(samples_p_worse(a, 6, a, 6) > 0.5);
}

static void several_questions_are_paid_for(void **state)
{
    double p[] = {0.01, 0.04, 0.03};
    (void)state;
    samples_holm(p, 3);
    assert_float_equal(p[0], 0.03, 1e-12);
    assert_float_equal(p[2], 0.06, 1e-12);
    assert_float_equal(p[1], 0.06, 1e-12);
}

/* --- limits --- */

static void limits_are_read(void **state)
{
    struct compare_limits l;
    struct err e;
    (void)state;
    assert_int_equal(compare_parse_limits(&l, "latency.p99=10%+2ms,drop_rate=+0.2pp,sent=5", &e),
                     0);
    assert_int_equal(l.n, 3);
    assert_float_equal(l.item[0].relative, 0.1, 1e-12);
    assert_float_equal(l.item[0].absolute, 2000, 1e-9);
    assert_float_equal(l.item[1].absolute, 0.002, 1e-12);
    assert_float_equal(l.item[2].absolute, 5, 1e-12);
    assert_false(l.item[2].more_is_bad);
    assert_int_equal(compare_parse_limits(&l, compare_default_limits(1, 1), &e), 0);
    assert_int_equal(compare_parse_limits(&l, compare_default_limits(9, 9), &e), 0);
}

static void wrong_limits_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",        "latency.p99", "latency.p99=", "latency.p99=2",    "latency.p99=x%",
        "nope=5%", "drop_rate=+", "=5%",          "latency.p99=+1pp", "latency.p99=-5%",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct compare_limits l;
        struct err e = {0};
        if (compare_parse_limits(&l, wrong[i], &e) != -EXIT_USAGE)
            fail_msg("'%s' was taken", wrong[i]);
        assert_non_null(strstr(e.text, "--max-regress"));
    }
}

/* --- the judgement --- */

static const struct compare_limit p99 = {
    .metric = "latency.p99", .relative = 0.1, .absolute = 2000, .more_is_bad = true};

static void one_run_is_compared_with_the_limit(void **state)
{
    static const struct {
        double before, now;
        enum compare_outcome outcome;
    } rows[] = {
        {20000, 24000, COMPARE_SAME},       {20000, 24001, COMPARE_WORSE},
        {20000, 10000, COMPARE_SAME},       {1000, 3100, COMPARE_SAME},
        {1000, 3101, COMPARE_WORSE},        {1000, INFINITY, COMPARE_WORSE},
        {INFINITY, INFINITY, COMPARE_SAME}, {INFINITY, 5, COMPARE_SAME},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct compare_verdict v;
        compare_judge(&p99, &rows[i].before, 1, &rows[i].now, 1, &v);
        if (v.outcome != rows[i].outcome)
            fail_msg("%g to %g: %d", rows[i].before, rows[i].now, v.outcome);
    }
}

static void less_can_be_worse(void **state)
{
    struct compare_limit fps = {.metric = "answered_fps", .relative = 0.1};
    double before = 100, now = 89, up = 200;
    struct compare_verdict v;
    (void)state;
    compare_judge(&fps, &before, 1, &now, 1, &v);
    assert_int_equal(v.outcome, COMPARE_WORSE);
    assert_float_equal(v.worse_by, 11, 1e-9);
    compare_judge(&fps, &before, 1, &up, 1, &v);
    assert_int_equal(v.outcome, COMPARE_SAME);
}

static void a_noisy_baseline_gives_room(void **state)
{
    struct compare_limit tight = {.metric = "latency.p99", .relative = 0.05, .more_is_bad = true};
    static const double quiet[] = {100, 101, 102}, noisy[] = {80, 100, 120}, now[] = {112};
    struct compare_verdict v;
    (void)state;
    compare_judge(&tight, quiet, 3, now, 1, &v);
    assert_int_equal(v.outcome, COMPARE_WORSE);
    compare_judge(&tight, noisy, 3, now, 1, &v);
    assert_int_equal(v.outcome, COMPARE_SAME);
}

static void too_few_runs_are_never_sure(void **state)
{
    struct compare_verdict v[3];
    double a[COMPARE_RUNS_TEST], b[COMPARE_RUNS_TEST];
    (void)state;
    for (size_t i = 0; i < COMPARE_RUNS_TEST; i++) {
        a[i] = 10000 + (double)i;
        b[i] = 20000 + (double)i;
    }
    for (size_t i = 0; i < 3; i++)
        compare_judge(&p99, a, COMPARE_RUNS_TEST, b, COMPARE_RUNS_TEST, &v[i]);
    assert_true(compare_conclude(v, 3)); /* as many as the test begins with are enough */
    assert_true(v[0].p < COMPARE_ALPHA);
}

/* --- the two promises --- */

static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static double uniform(uint64_t *state)
{
    return ((double)(next_random(state) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *state)
{
    return sqrt(-2.0 * log(uniform(state))) * cos(6.283185307179586 * uniform(state));
}

enum noise { NOISE_LOGNORMAL, NOISE_TAIL, NOISE_DRIFT };

/* Runs of both sides, taken in turns as one should, so that a machine that drifts drifts for both.
 */
static void draw(enum noise noise, double shift, double *a, double *b, uint64_t *state)
{
    double drift = 0.0;
    for (size_t i = 0; i < 20; i++) {
        double z = 0.04 * normal(state);
        if (noise == NOISE_TAIL && uniform(state) < 0.05)
            z += 0.3 * uniform(state); /* one run in twenty is disturbed by up to 30 % */
        drift = noise == NOISE_DRIFT ? 0.7 * drift + 0.03 * normal(state) : 0.0;
        double value = 20000.0 * exp(z + drift);
        if (i % 2)
            b[i / 2] = value * (1.0 + shift);
        else
            a[i / 2] = value;
    }
}

/* Share of comparisons by the default limits that find a regression when p99 is shifted. */
static double found(enum noise noise, double shift, size_t n_comparisons)
{
    struct compare_limits l;
    struct err e;
    uint64_t state = 42 + (uint64_t)noise;
    size_t n_found = 0;
    assert_int_equal(compare_parse_limits(&l, compare_default_limits(10, 10), &e), 0);
    for (size_t i = 0; i < n_comparisons; i++) {
        struct compare_verdict v[COMPARE_LIMITS_MAX];
        for (size_t k = 0; k < l.n; k++) {
            double a[10], b[10];
            bool is_p99 = strcmp(l.item[k].metric, "latency.p99") == 0;
            draw(noise, is_p99 ? shift : 0.0, a, b, &state);
            if (l.item[k].unit == METRIC_SHARE) /* drops: few, and by chance */
                for (size_t m = 0; m < 10; m++) {
                    a[m] /= 4e6;
                    b[m] /= 4e6;
                }
            compare_judge(&l.item[k], a, 10, b, 10, &v[k]);
        }
        n_found += compare_conclude(v, l.n);
    }
    return (double)n_found / (double)n_comparisons;
}

static void the_same_server_is_the_same(void **state)
{
    (void)state;
    for (enum noise n = NOISE_LOGNORMAL; n <= NOISE_DRIFT; n++) {
        double share = found(n, 0.0, 20000);
        print_message("noise %d: %.2f %% false alarms\n", (int)n, 100.0 * share);
        assert_true(share < 0.01);
    }
}

/* At a noise of 4 %; what disturbed and drifting machines cost is only told. */
static void ten_percent_are_found(void **state)
{
    (void)state;
    for (enum noise n = NOISE_LOGNORMAL; n <= NOISE_DRIFT; n++) {
        double share = found(n, 0.10, 5000);
        print_message("noise %d: %.1f %% found\n", (int)n, 100.0 * share);
        assert_true(n != NOISE_LOGNORMAL || share >= 0.95);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians_and_spreads),
        cmocka_unit_test(a_shift_is_not_moved_by_one_wild_run),
        cmocka_unit_test(p_is_what_counting_gives),
        cmocka_unit_test(equal_numbers_prove_nothing),
        cmocka_unit_test(several_questions_are_paid_for),
        cmocka_unit_test(limits_are_read),
        cmocka_unit_test(wrong_limits_are_refused),
        cmocka_unit_test(one_run_is_compared_with_the_limit),
        cmocka_unit_test(less_can_be_worse),
        cmocka_unit_test(a_noisy_baseline_gives_room),
        cmocka_unit_test(too_few_runs_are_never_sure),
        cmocka_unit_test(the_same_server_is_the_same),
        cmocka_unit_test(ten_percent_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
