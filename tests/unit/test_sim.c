#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/figures.h"
#include "tests/sim/scenario.h"

#define SECONDS(n)  ((uint64_t)(n)*1000000)
#define INTERVAL_US 33334 /* of 30 fps */

/* ---- whatever happens ---- */

/* Shrunk, and told so that `sim --script` can run it again. */
static void tell_failure(uint64_t seed, struct script *s, const char *broken)
{
    script_shrink(s, broken);
    struct script_end end = script_run(s);
    print_error("seed %llu: %s: %s\n", (unsigned long long)seed, end.broken, end.detail);
    script_write(stderr, s);
}

static void random_scenarios_hold_every_check(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct scenario sc = scenario_random(seed);
        struct script s = scenario_script(&sc);
        struct script_end end = script_run(&s);
        if (end.broken)
            tell_failure(seed, &s, end.broken);
        assert_null(end.broken);
        script_free(&s);
        scenario_free(&sc);
    }
}

/* The first seed whose scenario breaks with the bug in the world; the caller frees. */
static struct script script_with_bug(enum world_bug bug, struct script_end *end)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct scenario sc = scenario_random(seed);
        sc.set.bug = bug;
        struct script s = scenario_script(&sc);
        scenario_free(&sc);
        *end = script_run(&s);
        if (end->broken)
            return s;
        script_free(&s);
    }
    fail_msg("%s is never found", world_bug_name(bug));
    return (struct script){0};
}

static void a_mistake_is_found_and_shrunk_to_a_handful_of_events(void **state)
{
    (void)state;
    static const struct {
        enum world_bug bug;
        const char *check;
        size_t n_max;
    } rows[] = {
        {BUG_LOSES_REPLACED, "ledger", 4}, /* in work, waiting, a stall, the one that replaces */
        {BUG_CALLS_NOBODY, "progress", 3}, /* leave, join, a frame */
        {BUG_RUNS_LATE, "age", 3},         /* one that takes long, one that waits, another */
        {BUG_COUNTS_FAILED, "ledger", 1},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script_end end;
        struct script s = script_with_bug(rows[i].bug, &end);
        assert_string_equal(end.broken, rows[i].check);
        size_t n_before = s.n;
        script_shrink(&s, end.broken);
        print_message("%s: %zu inputs shrunk to %zu\n", world_bug_name(rows[i].bug), n_before, s.n);
        assert_in_range(s.n, 1, rows[i].n_max);
        assert_string_equal(script_run(&s).broken, rows[i].check);
        s.set.bug = BUG_NONE;
        assert_null(script_run(&s).broken);
        script_free(&s);
    }
}

static void a_script_that_is_written_and_read_runs_the_same(void **state)
{
    (void)state;
    struct err e;
    struct scenario sc = scenario_random(4);
    struct script s = scenario_script(&sc), again;
    FILE *f = tmpfile();
    assert_non_null(f);
    script_write(f, &s);
    rewind(f);
    assert_int_equal(script_read(f, &again, &e), 0);
    fclose(f);
    assert_int_equal(again.n, s.n);
    assert_memory_equal(again.in, s.in, s.n * sizeof *s.in);
    struct script_end one = script_run(&s), two = script_run(&again);
    assert_memory_equal(&one.total, &two.total, sizeof one.total);
    assert_true(one.total.received > 100);
    script_free(&s);
    script_free(&again);
    scenario_free(&sc);
}

static void a_script_that_makes_no_sense_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const texts[] = {"workers 1\nat 0 dance 0\n",  "workers 1\nhats 3\n",
                                        "workers 1\nworkers 0\n",     "workers 1\npolicy free\n",
                                        "workers 1\nbug none_such\n", "workers 1\nat x\n"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct err e;
        struct script s;
        FILE *f = tmpfile();
        assert_non_null(f);
        fputs(texts[i], f);
        rewind(f);
        assert_int_equal(script_read(f, &s, &e), -EXIT_USAGE);
        assert_non_null(strstr(e.text, "line 2"));
        fclose(f);
    }
}

/* ---- named scenarios ---- */

/* What happened to every session, by the fates that were told. */
struct seen {
    unsigned n_silent, n_silent_max; /* frames in a row that were not answered */
    uint64_t last_drop_us, abnormal_us;
    uint64_t oldest_us; /* answer */
    uint64_t age_us[2]; /* sum over the answers of the first second, and of the last */
    unsigned n_age[2];
};

struct watch {
    struct seen seen[64];
    uint64_t until_us;
};

static void on_told(void *ctx, const struct world *w, uint32_t session, const struct frame *f)
{
    struct watch *watch = ctx;
    struct seen *s = &watch->seen[session];
    uint64_t age_us = w->sim.now_us - f->arrived_us;
    if (w->session[session].pressure.state != PRESSURE_NORMAL)
        s->abnormal_us = w->sim.now_us;
    if (f->fate != FRAME_ANSWERED) {
        s->last_drop_us = w->sim.now_us;
        if (++s->n_silent > s->n_silent_max)
            s->n_silent_max = s->n_silent;
        return;
    }
    s->n_silent = 0;
    s->oldest_us = age_us > s->oldest_us ? age_us : s->oldest_us;
    bool last = w->sim.now_us > watch->until_us - SECONDS(1);
    if (last || w->sim.now_us < SECONDS(1)) {
        s->age_us[last] += age_us;
        s->n_age[last]++;
    }
}

/* Takes the scenario. The caller ends the world. */
static void play(struct scenario *sc, struct world *w, struct watch *watch)
{
    *watch = (struct watch){.until_us = sc->until_us};
    sc->set.wake_us = sc->set.collect_us = 20;
    world_init(w, &sc->set);
    w->on_told = on_told;
    w->ctx = watch;
    scenario_play(sc, w);
    if (w->broken)
        print_error("%s: %s\n", w->broken, w->detail);
    assert_null(w->broken);
    scenario_free(sc);
}

static void one_slow_frame_first_costs_at_most_two(void **state)
{
    (void)state;
    struct world w;
    struct watch watch;
    struct camera_settings cam = {.fps = 30, .first_work_us = 40000};
    struct scenario sc = scenario_make(1, 1, &cam);
    sc.until_us = SECONDS(8);
    play(&sc, &w, &watch);
    assert_in_range(ledger_dropped(&w.total), 0, 2);
    assert_in_range(w.total.answered, 238, 240);
    assert_in_range(watch.seen[0].abnormal_us, 0, SECONDS(1));
    world_deinit(&w);
}

static void slow_frames_now_and_then_lock_nobody_out(void **state)
{
    (void)state;
    struct world w;
    struct watch watch;
    struct camera_settings cam = {.fps = 30, .work_us = 2000, .slow_share = 0.05, .slow_us = 40000};
    struct scenario sc = scenario_make(50, 8, &cam);
    for (unsigned i = 0; i < 50; i++)
        sc.camera[i].start_us = i * 700;
    sc.seed = 3;
    sc.until_us = SECONDS(60);
    play(&sc, &w, &watch);
    for (unsigned i = 0; i < 50; i++) {
        assert_in_range(watch.seen[i].n_silent_max, 0, 8);
        assert_true(w.session[i].ledger.answered * 10 > w.session[i].ledger.received * 9);
    }
    world_deinit(&w);
}

static void a_pipeline_slower_than_the_camera_answers_about_now(void **state)
{
    (void)state;
    static const uint64_t budgets_us[] = {37000, 0};
    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        struct watch watch;
        struct camera_settings cam = {.fps = 30, .work_us = 50000};
        struct scenario sc = scenario_make(1, 1, &cam);
        sc.set.rule.budget_us = budgets_us[i];
        sc.until_us = SECONDS(15);
        play(&sc, &w, &watch);
        assert_in_range(w.total.answered, 18 * 15, 20 * 15);
        assert_in_range(watch.seen[0].oldest_us, 50000, INTERVAL_US + 50000 + 40);
        world_deinit(&w);
    }
}

static void two_sessions_stay_as_fresh_as_they_began(void **state)
{
    (void)state;
    static const uint64_t budgets_us[] = {37000, 0};
    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        struct watch watch;
        struct camera_settings cam = {.fps = 30, .work_us = 20000};
        struct scenario sc = scenario_make(2, 1, &cam);
        sc.camera[1].start_us = 5000;
        sc.set.rule.budget_us = budgets_us[i];
        sc.until_us = SECONDS(60);
        play(&sc, &w, &watch);
        for (unsigned k = 0; k < 2; k++) {
            const struct seen *s = &watch.seen[k];
            double first_us = (double)s->age_us[0] / s->n_age[0];
            double last_us = (double)s->age_us[1] / s->n_age[1];
            assert_true(fabs(last_us - first_us) < 5000);
            assert_in_range(s->oldest_us, 20000, INTERVAL_US + 20000 + 40);
        }
        world_deinit(&w);
    }
}

static void two_sessions_get_equal_shares_however_they_are_in_step(void **state)
{
    (void)state;
    for (uint64_t offset_us = 500; offset_us < INTERVAL_US; offset_us += 1000) {
        struct shares s = figures_two(offset_us);
        double both[2] = {s.rate[0], s.rate[1]};
        assert_null(s.broken);
        if (figures_jain(both, 2) < 0.95)
            fail_msg("%llu us: %.1f and %.1f answers a second", (unsigned long long)offset_us,
                     both[0], both[1]);
        assert_true(s.answered > 39);
    }
}

static void a_camera_of_1000_fps_costs_the_others_nothing(void **state)
{
    (void)state;
    static const double fast_fps[] = {30, 1000};
    uint64_t answered[2] = {0}, oldest_us[2] = {0};
    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        struct watch watch;
        struct camera_settings cam = {.fps = 30, .work_us = 10000, .jitter = 0.3};
        struct scenario sc = scenario_make(8, 2, &cam);
        for (unsigned k = 0; k < 8; k++)
            sc.camera[k].start_us = k * 4000;
        sc.camera[0].fps = fast_fps[i];
        sc.until_us = SECONDS(30);
        play(&sc, &w, &watch);
        for (unsigned k = 1; k < 8; k++) {
            answered[i] += w.session[k].ledger.answered;
            if (watch.seen[k].oldest_us > oldest_us[i])
                oldest_us[i] = watch.seen[k].oldest_us;
        }
        world_deinit(&w);
    }
    print_message("others: %llu answers beside 30 fps, %llu beside 1000 fps\n",
                  (unsigned long long)answered[0], (unsigned long long)answered[1]);
    assert_true(answered[1] * 100 >= answered[0] * 99);
    assert_in_range(oldest_us[1], 0, oldest_us[0] + 1000);
}

static void everybody_is_normal_within_a_window_after_trouble(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct camera_settings cam;
        uint64_t stall_every_us, stall_us;
    } rows[] = {
        {"workers stall for 2 s", {.fps = 30, .work_us = 3000}, SECONDS(3), SECONDS(2)},
        {"links flap", {.fps = 30, .work_us = 3000, .up_us = 200000, .down_us = 300000}, 0, 0},
        {"cameras go on and off",
         {.fps = 60, .work_us = 9000, .on_us = 300000, .off_us = 200000},
         0,
         0},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w;
        struct watch watch;
        struct scenario sc = scenario_make(12, 2, &rows[i].cam);
        sc.stall_every_us = rows[i].stall_every_us;
        sc.stall_us = rows[i].stall_us;
        sc.seed = i;
        sc.until_us = SECONDS(20);
        play(&sc, &w, &watch);
        unsigned n_troubled = 0;
        for (unsigned k = 0; k < 12; k++)
            n_troubled += watch.seen[k].abnormal_us > 0;
        assert_true(n_troubled > 0); /* or this shows nothing */
        /* Then all is well: 64 frames of each, one after the other. */
        world_drain(&w);
        uint64_t from_us = w.sim.now_us + SECONDS(1);
        for (uint64_t n = 0; n < PRESSURE_WINDOW; n++)
            for (uint32_t k = 0; k < 12; k++)
                world_input(&w, &(struct input){.at_us = from_us + n * 100000 + k * 4000,
                                                .kind = INPUT_FRAME,
                                                .who = k,
                                                .for_us = 3000});
        world_drain(&w);
        assert_null(w.broken);
        for (unsigned k = 0; k < 12; k++)
            assert_int_equal(w.session[k].pressure.state, PRESSURE_NORMAL);
        world_deinit(&w);
    }
}

static void hours_and_thousands_hold_too(void **state)
{
    (void)state;
    static const struct {
        unsigned n_sessions, n_workers;
        double fps;
        uint64_t until_us;
    } rows[] = {{5000, 16, 2, SECONDS(30)}, {20, 2, 5, SECONDS(7200)}};
    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        struct camera_settings cam = {.fps = rows[i].fps,
                                      .jitter = 0.9,
                                      .work = WORK_PARETO,
                                      .work_us = 15000,
                                      .on_us = SECONDS(20),
                                      .off_us = SECONDS(10)};
        struct scenario sc = scenario_make(rows[i].n_sessions, rows[i].n_workers, &cam);
        sc.stall_every_us = SECONDS(60);
        sc.stall_us = SECONDS(2);
        sc.leave_every_us = SECONDS(7);
        sc.until_us = rows[i].until_us;
        world_init(&w, &sc.set);
        scenario_play(&sc, &w);
        world_drain(&w);
        assert_null(w.broken);
        assert_true(w.total.received > 100000);
        assert_int_equal(ledger_open(&w.total), 0);
        world_deinit(&w);
        scenario_free(&sc);
    }
}

/* ---- figures ---- */

static const struct overload_case sixteen = {
    .n_sessions = 16, .n_workers = 2, .work_us = 10000, .budget_us = 37000};

static void overload_never_bends_the_curve_of_answers_in_time(void **state)
{
    (void)state;
    double before = 0;
    figures_print_overload(stdout, "16 sessions, 2 workers, 10 ms, budget 37 ms", &sixteen);
    for (double load = 0.5; load <= 4; load += 0.125) {
        struct overload_case c = sixteen;
        c.load = load;
        struct overload o = figures_overload(&c);
        assert_null(o.broken);
        if (o.within_budget < 0.95 * fmin(o.offered, o.capacity))
            fail_msg("load %.2f: %.1f of %.1f in time", load, o.within_budget, o.offered);
        if (o.within_budget < 0.99 * before)
            fail_msg("load %.2f: %.1f in time, %.1f with less", load, o.within_budget, before);
        assert_in_range(o.p99_us, 10000, 37000 * 33 / 32); /* the width of a bucket */
        before = fmax(before, o.within_budget);
    }
}

static void the_cumulative_rule_locks_everybody_out(void **state)
{
    (void)state;
    struct overload_case c = sixteen;
    c.policy = POLICY_PHASE17;
    c.load = 4;
    struct overload o = figures_overload(&c);
    assert_null(o.broken);
    assert_true(o.answered < 0.05 * o.capacity);
    assert_true(o.dropped[DROP_RATE] > 0.9 * o.offered);
}

static void saturated_sessions_share_alike(void **state)
{
    (void)state;
    static const double fps[] = {5, 10, 15, 30, 60, 120};
    static const uint64_t work_us[] = {5000, 10000, 20000, 30000};
    static const struct shares_case rows[] = {
        {48, 2, fps, 6, work_us, 4, 37000}, /* unequal work */
        {48, 2, fps, 6, work_us, 4, 0},
        {48, 2, fps, 6, work_us + 1, 1, 37000}, /* equal work */
        {24, 1, fps, 6, work_us, 2, 37000},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (unsigned draw = 1; draw <= 5; draw++) {
            struct shares s = figures_shares(&rows[i], draw);
            assert_null(s.broken);
            assert_true(s.n_saturated >= 20);
            if (s.jain < 0.95)
                fail_msg("row %u, draw %u: Jain's index %.4f, %.1f to %.1f answers a second", i,
                         draw, s.jain, s.least, s.most);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_scenarios_hold_every_check),
        cmocka_unit_test(a_mistake_is_found_and_shrunk_to_a_handful_of_events),
        cmocka_unit_test(a_script_that_is_written_and_read_runs_the_same),
        cmocka_unit_test(a_script_that_makes_no_sense_is_refused_with_its_line),
        cmocka_unit_test(one_slow_frame_first_costs_at_most_two),
        cmocka_unit_test(slow_frames_now_and_then_lock_nobody_out),
        cmocka_unit_test(a_pipeline_slower_than_the_camera_answers_about_now),
        cmocka_unit_test(two_sessions_stay_as_fresh_as_they_began),
        cmocka_unit_test(two_sessions_get_equal_shares_however_they_are_in_step),
        cmocka_unit_test(a_camera_of_1000_fps_costs_the_others_nothing),
        cmocka_unit_test(everybody_is_normal_within_a_window_after_trouble),
        cmocka_unit_test(hours_and_thousands_hold_too),
        cmocka_unit_test(overload_never_bends_the_curve_of_answers_in_time),
        cmocka_unit_test(the_cumulative_rule_locks_everybody_out),
        cmocka_unit_test(saturated_sessions_share_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
