#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "server/pressure.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct pressure_limits published = {.drop_threshold = 0.10,
                                                 .slow_down_threshold = 0.30};

/* Fates are a frame of 30 fps apart; only what is armed again asks for the time. */
#define FRAME_US 33333u

/* Adds the same fate n times; gives how often slow_down was asked for. */
static unsigned add_n(struct pressure *p, unsigned n, bool dropped)
{
    unsigned slow_downs = 0;
    while (n--)
        slow_downs += pressure_add(p, &published, dropped, 0).slow_down;
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
        struct pressure_step step = pressure_add(&p, &published, true, 0);
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
    struct pressure_step step = pressure_add(&p, &published, false, 0);
    assert_true(step.changed && step.slow_down);
    assert_int_equal(step.from, PRESSURE_NORMAL);
    step = pressure_add(&p, &published, false, 0); /* 4 of 11 */
    assert_false(step.changed || step.slow_down);
    add_text(&p, ".....");                         /* 4 of 16: 0.25 */
    step = pressure_add(&p, &published, false, 0); /* 4 of 17: 0.235 */
    assert_true(step.changed);
    assert_int_equal(step.from, PRESSURE_CRITICAL);
    assert_int_equal(p.state, PRESSURE_WARNING);
}

/* The rate is brought to n drops in a full window, from above or from below, and stays. */
static void a_state_is_left_a_fifth_below_where_it_was_entered(void **state)
{
    (void)state;
    static const struct {
        const char *what, *before;
        unsigned n_drops; /* of the 64 */
        enum pressure_state state;
    } rows[] = {
        {"calm below 0.10", "", 6, PRESSURE_NORMAL},                        /* 0.094 */
        {"above 0.10", "", 7, PRESSURE_WARNING},                            /* 0.109 */
        {"warned, and below 0.10", "xx........", 6, PRESSURE_WARNING},      /* 0.094 */
        {"warned, and below 0.08", "xx........", 5, PRESSURE_NORMAL},       /* 0.078 */
        {"warned, and below 0.30", "xx........", 19, PRESSURE_WARNING},     /* 0.297 */
        {"warned, and above 0.30", "xx........", 20, PRESSURE_CRITICAL},    /* 0.313 */
        {"critical, and below 0.30", "xxxxxxxxxx", 19, PRESSURE_CRITICAL},  /* 0.297 */
        {"critical, just above 0.24", "xxxxxxxxxx", 16, PRESSURE_CRITICAL}, /* 0.25 */
        {"critical, and below 0.24", "xxxxxxxxxx", 15, PRESSURE_WARNING},   /* 0.234 */
        {"critical, and below 0.10", "xxxxxxxxxx", 6, PRESSURE_WARNING},    /* 0.094 */
        {"critical, and below 0.08", "xxxxxxxxxx", 5, PRESSURE_NORMAL},     /* 0.078 */
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct pressure p = {0};
        add_text(&p, rows[i].before);
        enum pressure_state before = p.state;
        /* A full window at once: what lies between the two rates must not be seen. */
        p.n_fates = PRESSURE_WINDOW;
        p.fates = ((uint64_t)1 << (rows[i].n_drops - 1)) - 1;
        pressure_add(&p, &published, true, 0);
        if (p.state != rows[i].state)
            fail_msg("%s: from %s to %s", rows[i].what, pressure_state_name(before),
                     pressure_state_name(p.state));
    }
}

/* One drop in ten frames, then one in eleven, over and over: around the threshold. */
static void a_rate_near_the_threshold_does_not_flap(void **state)
{
    (void)state;
    struct pressure p = {0};
    unsigned n_changes = 0, n_fates = 0;
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned n = 0, of = 9 + round % 3; n < of; n++, n_fates++)
            n_changes += pressure_add(&p, &published, n == 0, 0).changed;
        if (n_fates < PRESSURE_WINDOW)
            n_changes = 0; /* a small window moves more with each fate */
    }
    assert_in_range(n_changes, 0, 1);
}

struct story {
    struct pressure p;
    struct pressure_limits limits;
    uint64_t now_us;
};

/* n frames of 30 fps with the same fate; gives how often slow_down was asked for. */
static unsigned live(struct story *s, unsigned n, bool dropped)
{
    unsigned slow_downs = 0;
    for (; n; n--, s->now_us += FRAME_US)
        slow_downs += pressure_add(&s->p, &s->limits, dropped, s->now_us).slow_down;
    return slow_downs;
}

static struct story critical_once(uint64_t rearm_us)
{
    struct story s = {.limits = published, .now_us = 1000000};
    s.limits.rearm_us = rearm_us;
    assert_int_equal(live(&s, PRESSURE_WINDOW, true), 1);
    return s;
}

/* Good frames until the state is normal: at that frame it is not yet so for any time. */
static void recover(struct story *s)
{
    while (s->p.state != PRESSURE_NORMAL)
        live(s, 1, false);
}

static void slow_down_is_armed_again_after_normal_for_so_long(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint64_t rearm_us;
        unsigned good_frames; /* after the first in state normal */
        bool again;
    } rows[] = {
        {"a frame too early", 10 * FRAME_US, 8, false},
        {"at that time", 10 * FRAME_US, 9, true},
        {"long after it", 10 * FRAME_US, 1000, true},
        {"never, however long", 0, 100000, false},
        {"a second is not a minute", 60000000, 30, false},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct story s = critical_once(rows[i].rearm_us);
        recover(&s);
        assert_int_equal(live(&s, rows[i].good_frames, false), 0);
        if (s.p.told == rows[i].again)
            fail_msg("not so: %s", rows[i].what);
        if (s.p.told && rows[i].rearm_us)
            continue; /* the first drops are still in state normal */
        assert_int_equal(live(&s, PRESSURE_WINDOW, true), rows[i].again);
    }
}

static void what_is_not_normal_in_between_begins_the_time_anew(void **state)
{
    (void)state;
    struct story s = critical_once(20 * FRAME_US);
    for (unsigned round = 0; round < 5; round++) {
        recover(&s);
        live(&s, 5, false);
        while (s.p.state == PRESSURE_NORMAL) /* at most seven drops */
            assert_int_equal(live(&s, 1, true), 0);
        assert_true(s.p.told);
    }
    recover(&s);
    live(&s, 18, false);
    assert_true(s.p.told);
    live(&s, 1, false);
    assert_false(s.p.told);
}

static void armed_again_it_is_told_once_and_no_more(void **state)
{
    (void)state;
    struct story s = critical_once(1);
    for (unsigned round = 0; round < 5; round++) {
        recover(&s);
        live(&s, 2, false);
        assert_int_equal(live(&s, 1000, true), 1);
    }
}

static void warning_alone_does_not_arm_it(void **state)
{
    (void)state;
    struct story s = critical_once(FRAME_US);
    for (unsigned round = 0; round < 100; round++) { /* one in six: above 0.10, below 0.30 */
        live(&s, 5, false);
        live(&s, 1, true);
        assert_int_not_equal(s.p.state, PRESSURE_NORMAL);
    }
    assert_int_equal(s.p.state, PRESSURE_WARNING);
    assert_int_equal(live(&s, PRESSURE_WINDOW, true), 0);
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
    static const struct pressure_limits never = {.drop_threshold = 1, .slow_down_threshold = 1};
    static const struct pressure_limits at_once = {.drop_threshold = 0};
    struct pressure calm = {0}, touchy = {0};
    for (unsigned n = 0; n < PRESSURE_WINDOW; n++) {
        pressure_add(&calm, &never, true, 0);
        pressure_add(&touchy, &at_once, n == 0, 0);
    }
    assert_int_equal(calm.state, PRESSURE_NORMAL);
    assert_false(calm.told);
    assert_int_equal(touchy.state, PRESSURE_CRITICAL);
    assert_false(pressure_add(&touchy, &at_once, false, 0).slow_down);
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
        cmocka_unit_test(a_state_is_left_a_fifth_below_where_it_was_entered),
        cmocka_unit_test(a_rate_near_the_threshold_does_not_flap),
        cmocka_unit_test(slow_down_is_armed_again_after_normal_for_so_long),
        cmocka_unit_test(what_is_not_normal_in_between_begins_the_time_anew),
        cmocka_unit_test(armed_again_it_is_told_once_and_no_more),
        cmocka_unit_test(warning_alone_does_not_arm_it),
        cmocka_unit_test(slow_down_is_told_once_a_session),
        cmocka_unit_test(a_slow_first_frame_is_forgiven),
        cmocka_unit_test(no_history_locks_a_session_out),
        cmocka_unit_test(thresholds_are_the_callers),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
