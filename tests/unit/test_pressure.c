#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "server/pressure.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct pressure_limits published = {0.10, 0.30};

/* Adds the same fate n times; gives how often slow_down was asked for. */
static unsigned add_n(struct pressure *p, unsigned n, bool dropped)
{
    unsigned slow_downs = 0;
    while (n--)
        slow_downs += pressure_add(p, &published, dropped).slow_down;
    return slow_downs;
}

/* One letter a fate: '.' answered, 'x' dropped. */
static unsigned add_text(struct pressure *p, const char *fates)
{
    unsigned slow_downs = 0;
    for (; *fates; fates++)
        slow_downs += add_n(p, 1, *fates == 'x');
    return slow_downs;
}

static void a_new_session_is_normal_and_drops_nothing(void **state)
{
    (void)state;
    struct pressure p = {0};
    assert_int_equal(p.state, PRESSURE_NORMAL);
    assert_true(pressure_drop_rate(&p) == 0);
}

static void states_follow_the_rate(void **state)
{
    (void)state;
    static const struct {
        const char *what, *fates;
        enum pressure_state state;
        unsigned slow_downs;
    } rows[] = {
        {"no drops", "....................", PRESSURE_NORMAL, 0},
        {"exactly the drop threshold is not above it", "x.........", PRESSURE_NORMAL, 0},
        {"above the drop threshold", "xx........", PRESSURE_WARNING, 0},
        {"exactly the slow-down threshold is not above it", "xxx.......", PRESSURE_WARNING, 0},
        {"exactly the slow-down threshold of 20", "..............xxxxxx", PRESSURE_WARNING, 0},
        {"above the slow-down threshold", "xxxx......", PRESSURE_CRITICAL, 1},
        {"nine samples say nothing, however bad", "xxxxxxxxx", PRESSURE_NORMAL, 0},
        {"the tenth speaks", "xxxxxxxxxx", PRESSURE_CRITICAL, 1},
        {"the tenth speaks for all ten", "xxxx.....x", PRESSURE_CRITICAL, 1},
        {"two before ten count later", "xx.......x", PRESSURE_WARNING, 0},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct pressure p = {0};
        unsigned slow_downs = add_text(&p, rows[i].fates);
        if (p.state != rows[i].state || slow_downs != rows[i].slow_downs)
            fail_msg("%s: %s, %u slow_down", rows[i].what, pressure_state_name(p.state),
                     slow_downs);
    }
}

static void the_minimum_of_samples_is_ten(void **state)
{
    (void)state;
    struct pressure p = {0};
    for (unsigned n = 1; n <= 20; n++) {
        struct pressure_step step = pressure_add(&p, &published, true);
        assert_int_equal(step.changed, n == PRESSURE_SAMPLES_MIN);
        assert_int_equal(step.slow_down, n == PRESSURE_SAMPLES_MIN);
    }
}

static void the_window_slides(void **state)
{
    (void)state;
    struct pressure p = {0};
    add_n(&p, PRESSURE_WINDOW, true);
    assert_true(pressure_drop_rate(&p) == 1);
    for (unsigned good = 1; good <= PRESSURE_WINDOW; good++) {
        add_n(&p, 1, false);
        assert_true(pressure_drop_rate(&p) == (double)(PRESSURE_WINDOW - good) / PRESSURE_WINDOW);
    }
    assert_int_equal(p.n_fates, PRESSURE_WINDOW);
}

static void the_rate_is_that_of_the_last_64_fates_for_any_history(void **state)
{
    (void)state;
    struct pressure p = {0};
    bool fates[1000];
    uint32_t random = 1;
    for (unsigned n = 0; n < N(fates); n++) {
        random = random * 1664525u + 1013904223u;
        fates[n] = random >> 30 == 0;
        add_n(&p, 1, fates[n]);
        unsigned drops = 0, from = n < PRESSURE_WINDOW ? 0 : n + 1 - PRESSURE_WINDOW;
        for (unsigned i = from; i <= n; i++)
            drops += fates[i];
        assert_true(pressure_drop_rate(&p) == (double)drops / (n + 1 - from));
    }
}

static void a_step_tells_from_where_the_state_changed(void **state)
{
    (void)state;
    struct pressure p = {0};
    add_text(&p, "xxxx.....");
    struct pressure_step step = pressure_add(&p, &published, false);
    assert_true(step.changed && step.slow_down);
    assert_int_equal(step.from, PRESSURE_NORMAL);
    step = pressure_add(&p, &published, false); /* 4 of 11 */
    assert_false(step.changed || step.slow_down);
    add_text(&p, "..");                         /* 4 of 13 */
    step = pressure_add(&p, &published, false); /* 4 of 14 */
    assert_true(step.changed);
    assert_int_equal(step.from, PRESSURE_CRITICAL);
    assert_int_equal(p.state, PRESSURE_WARNING);
}

static void slow_down_is_told_once_a_session(void **state)
{
    (void)state;
    struct pressure p = {0};
    unsigned told = 0, times_critical = 0;
    for (unsigned round = 0; round < 5; round++) {
        told += add_n(&p, PRESSURE_WINDOW, true);
        times_critical += p.state == PRESSURE_CRITICAL;
        told += add_n(&p, PRESSURE_WINDOW, false);
        assert_int_equal(p.state, PRESSURE_NORMAL);
    }
    assert_int_equal(times_critical, 5);
    assert_int_equal(told, 1);
}

static void a_slow_first_frame_is_forgiven(void **state)
{
    (void)state;
    struct pressure p = {0};
    add_n(&p, 30, true); /* a second of drops while the model loads */
    assert_int_equal(p.state, PRESSURE_CRITICAL);
    add_n(&p, PRESSURE_WINDOW, false);
    assert_int_equal(p.state, PRESSURE_NORMAL);
    assert_true(pressure_drop_rate(&p) == 0);
}

static void no_history_locks_a_session_out(void **state)
{
    (void)state;
    for (unsigned drops = 1; drops < 5000; drops = drops * 3 + 1) {
        struct pressure p = {0};
        unsigned good = 0;
        add_n(&p, drops, true);
        while (p.state != PRESSURE_NORMAL && good <= PRESSURE_WINDOW)
            good++, add_n(&p, 1, false);
        assert_in_range(good, 0, PRESSURE_WINDOW);
    }
}

static void thresholds_are_the_callers(void **state)
{
    (void)state;
    static const struct pressure_limits never = {1, 1};
    static const struct pressure_limits at_once = {0, 0};
    struct pressure calm = {0}, touchy = {0};
    for (unsigned n = 0; n < PRESSURE_WINDOW; n++) {
        pressure_add(&calm, &never, true);
        pressure_add(&touchy, &at_once, n == 0);
    }
    assert_int_equal(calm.state, PRESSURE_NORMAL);
    assert_false(calm.told);
    assert_int_equal(touchy.state, PRESSURE_CRITICAL);
    assert_false(pressure_add(&touchy, &at_once, false).slow_down);
    assert_int_equal(touchy.state, PRESSURE_NORMAL);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(pressure_state_name(PRESSURE_NORMAL), "normal");
    assert_string_equal(pressure_state_name(PRESSURE_WARNING), "warning");
    assert_string_equal(pressure_state_name(PRESSURE_CRITICAL), "critical");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_session_is_normal_and_drops_nothing),
        cmocka_unit_test(states_follow_the_rate),
        cmocka_unit_test(the_minimum_of_samples_is_ten),
        cmocka_unit_test(the_window_slides),
        cmocka_unit_test(the_rate_is_that_of_the_last_64_fates_for_any_history),
        cmocka_unit_test(a_step_tells_from_where_the_state_changed),
        cmocka_unit_test(slow_down_is_told_once_a_session),
        cmocka_unit_test(a_slow_first_frame_is_forgiven),
        cmocka_unit_test(no_history_locks_a_session_out),
        cmocka_unit_test(thresholds_are_the_callers),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
