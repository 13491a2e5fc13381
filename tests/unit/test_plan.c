#include "loadgen/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define S 1000000u

static void frames_do_not_drift(void **state)
{
    static const uint64_t rates_milli[] = {10, 999, 7000, 29970, 30000, 60000, 1000000};
    (void)state;
    for (size_t i = 0; i < sizeof rates_milli / sizeof rates_milli[0]; i++) {
        uint64_t rate = rates_milli[i], hours_later = rate * 3600;
        assert_int_equal(plan_due_us(rate, 123, 0), 123);
        assert_int_equal(plan_due_us(rate, 123, hours_later), 123 + 3600000ull * S);
        for (uint64_t k = 0; k < 100; k++)
            assert_true(plan_due_us(rate, 5, k + 1) > plan_due_us(rate, 5, k));
    }
}

static void the_first_frame_is_the_first(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 200000; at += 77) {
        uint64_t k = plan_first_frame(29970, 1234, at);
        assert_true(plan_due_us(29970, 1234, k) >= at);
        assert_true(k == 0 || plan_due_us(29970, 1234, k - 1) < at);
    }
}

static void even_phases_fill_the_interval(void **state)
{
    struct plan p = {.sessions = 10, .phase = PHASE_EVEN};
    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(plan_phase_us(&p, i, 10000), i * 10000);
}

static void random_phases_are_inside_and_repeat(void **state)
{
    struct plan p = {.sessions = 100, .phase = PHASE_RANDOM, .seed = 7};
    uint64_t differ = 0;
    (void)state;
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t phase_us = plan_phase_us(&p, i, 30000);
        assert_true(phase_us < 33333);
        assert_int_equal(phase_us, plan_phase_us(&p, i, 30000));
        p.seed = 8;
        differ += phase_us != plan_phase_us(&p, i, 30000);
        p.seed = 7;
    }
    assert_true(differ > 90);
}

static void aligned_sessions_send_at_once(void **state)
{
    struct plan p = {.sessions = 10, .phase = PHASE_ALIGNED};
    (void)state;
    assert_int_equal(plan_phase_us(&p, 7, 30000), 0);
}

static void stages_are_read(void **state)
{
    struct plan p = {0};
    struct err e;
    (void)state;
    assert_int_equal(plan_parse_stages(&p, "10s:50,1m:200,500ms:0", &e), 0);
    assert_int_equal(p.n_stages, 3);
    assert_int_equal(p.sessions, 200);
    assert_int_equal(p.duration_us, 70500000);
}

static void wrong_stages_are_refused_by_name(void **state)
{
    static const char *const wrong[] = {
        "10s",   "10s:", ":5",     "10:5",    "10s:x",   "10s:5,x",       "0s:5",
        "10s:0", "",     "10s:-1", "10s:1e9", "10s:5:5", "99999999999s:5"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct plan p = {0};
        struct err e = {0};
        if (plan_parse_stages(&p, wrong[i], &e) != -EXIT_USAGE)
            fail_msg("'%s' was taken", wrong[i]);
        assert_non_null(strstr(e.text, "--stages"));
    }
}

static uint64_t wanted(const struct plan *p, uint64_t at_us)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < p->sessions; i++)
        n += plan_wants(p, i, at_us);
    return n;
}

static void a_ramp_rises_and_falls_evenly(void **state)
{
    struct plan p = {0};
    struct err e;
    (void)state;
    assert_int_equal(plan_parse_stages(&p, "10s:50,10s:50,5s:0", &e), 0);
    assert_int_equal(wanted(&p, 0), 0);
    for (uint64_t n = 1; n <= 50; n++) {
        assert_int_equal(wanted(&p, n * S / 5), n);
        assert_int_equal(wanted(&p, n * S / 5 - 1), n - 1);
    }
    assert_int_equal(wanted(&p, 15 * S), 50);
    assert_int_equal(wanted(&p, 20 * S), 50);
    assert_int_equal(wanted(&p, 22 * S + S / 2), 25);
    assert_int_equal(wanted(&p, 25 * S), 0);
}

static void changes_are_where_the_answer_changes(void **state)
{
    struct plan p = {0};
    struct err e;
    (void)state;
    assert_int_equal(plan_parse_stages(&p, "3s:7,2s:3,1s:9,4s:0", &e), 0);
    for (uint64_t i = 0; i < p.sessions; i++) {
        bool now = plan_wants(&p, i, 0);
        uint64_t at = 0, n = 0;
        while ((at = plan_next_change_us(&p, i, at)) != PLAN_NEVER) {
            assert_int_equal(plan_wants(&p, i, at - 1), now);
            now = !now;
            assert_int_equal(plan_wants(&p, i, at), now);
            n++;
        }
        assert_int_equal(n, i < 3 || i >= 7 ? 2 : 4);
        assert_false(now);
    }
}

static void without_stages_all_are_wanted_always(void **state)
{
    struct plan p = {.sessions = 3};
    (void)state;
    assert_true(plan_wants(&p, 2, 0));
    assert_false(plan_wants(&p, 3, 0));
    assert_true(plan_next_change_us(&p, 2, 0) == PLAN_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_do_not_drift),
        cmocka_unit_test(the_first_frame_is_the_first),
        cmocka_unit_test(even_phases_fill_the_interval),
        cmocka_unit_test(random_phases_are_inside_and_repeat),
        cmocka_unit_test(aligned_sessions_send_at_once),
        cmocka_unit_test(stages_are_read),
        cmocka_unit_test(wrong_stages_are_refused_by_name),
        cmocka_unit_test(a_ramp_rises_and_falls_evenly),
        cmocka_unit_test(changes_are_where_the_answer_changes),
        cmocka_unit_test(without_stages_all_are_wanted_always),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
