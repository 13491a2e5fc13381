#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/turns_bench.h"

/* ---- whose turn it is ---- */

static void nobody_in_line_gives_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 0);
    struct frame *f;
    assert_int_equal(take(b, &f), N_SEATS);
    assert_null(f);
    assert_line(b, 0, 0);
}

static void seats_are_served_in_the_order_they_came(void **state)
{
    (void)state;
    static const unsigned coming[] = {5, 2, 7, 0, 6, 3, 4, 1};
    struct bench *b = bench_begin(NO_BUDGET, 0);
    for (unsigned i = 0; i < N_SEATS; i++) {
        assert_int_equal(submit(b, coming[i], i).verdict, VERDICT_RUN);
        assert_line(b, i + 1, 0);
    }
    for (unsigned i = 0; i < N_SEATS; i++)
        assert_int_equal(take_of(b, coming[i])->index, i);
    assert_line(b, 0, 0);
}

static void the_newest_replaces_the_one_that_waits_and_keeps_its_place(void **state)
{
    (void)state;
    struct bench *b = bench_begin(NO_BUDGET, 0);
    submit(b, 0, 0);
    submit(b, 1, 10);
    submit(b, 2, 20);
    for (uint64_t index = 11; index < 15; index++) {
        struct turns_outcome out = submit(b, 1, index);
        assert_int_equal(out.verdict, VERDICT_REPLACE);
        assert_int_equal(out.dropped->index, index - 1);
        assert_int_equal(out.dropped->fate, FRAME_DROPPED);
        assert_int_equal(out.dropped->reason, DROP_REPLACED);
        assert_line(b, 3, 0);
    }
    assert_int_equal(take_of(b, 0)->index, 0);
    assert_int_equal(take_of(b, 1)->index, 14);
    assert_int_equal(take_of(b, 2)->index, 20);
}

static void behind_its_own_frame_in_work_a_frame_waits_outside_the_line(void **state)
{
    (void)state;
    struct bench *b = bench_begin(NO_BUDGET, 0);
    submit(b, 0, 0);
    struct frame *f = take_of(b, 0);
    assert_int_equal(submit(b, 0, 1).verdict, VERDICT_WAIT);
    assert_int_equal(submit(b, 0, 2).dropped->index, 1);
    assert_line(b, 0, 0);
    submit(b, 1, 0);
    finish(b, 0, f, 10);
    assert_line(b, 2, 0);
    assert_int_equal(take_of(b, 1)->index, 0);
    assert_int_equal(take_of(b, 0)->index, 2);
}

/* Seat 0 always has a newer frame waiting; the others send one each. */
static void a_greedy_seat_cannot_starve_the_others(void **state)
{
    (void)state;
    struct bench *b = bench_begin(NO_BUDGET, 0);
    unsigned turns[N_SEATS] = {0};
    submit(b, 0, 0);
    for (unsigned round = 0; round < 100 * N_SEATS; round++) {
        struct frame *f;
        unsigned seat = take(b, &f);
        turns[seat]++;
        for (unsigned k = 0; k < 30; k++)
            submit(b, 0, k);
        for (unsigned other = 1; other < N_SEATS; other++)
            submit(b, other, round);
        finish(b, seat, f, 1000);
    }
    for (unsigned seat = 0; seat < N_SEATS; seat++)
        assert_in_range(turns[seat], 99, 101);
}

/* ---- claimed ---- */

static void a_frame_a_free_worker_takes_is_claimed_and_cannot_be_replaced(void **state)
{
    (void)state;
    struct bench *b = bench_begin(NO_BUDGET, 2);
    for (unsigned seat = 0; seat < 2; seat++) {
        assert_int_equal(submit(b, seat, 0).verdict, VERDICT_RUN);
        assert_true(b->seat[seat].in_work && b->seat[seat].claimed && !b->seat[seat].waiting);
        assert_int_equal(submit(b, seat, 1).verdict, VERDICT_WAIT);
        assert_int_equal(submit(b, seat, 2).dropped->index, 1);
        assert_line(b, seat + 1, seat + 1);
    }
    assert_int_equal(submit(b, 2, 0).verdict, VERDICT_RUN); /* but no worker is free */
    assert_true(!b->seat[2].in_work && !b->seat[2].claimed && b->seat[2].waiting);
    assert_int_equal(submit(b, 2, 1).dropped->index, 0);
    assert_line(b, 3, 2);
    for (unsigned seat = 0; seat < 2; seat++)
        assert_int_equal(take_of(b, seat)->index, 0);
    assert_line(b, 1, 0);
}

static void nothing_is_claimed_behind_a_frame_that_can_be_replaced(void **state)
{
    (void)state;
    struct bench *b = bench_begin(NO_BUDGET, 0);
    submit(b, 0, 0);
    b->turns.n_free = 2;
    submit(b, 1, 0);
    assert_line(b, 2, 0);
    take_of(b, 0);
    take_of(b, 1);
    submit(b, 2, 0);
    assert_line(b, 1, 1);
}

/* One that goes on takes the frame a called one was meant for; the called one, still to
 * come, is free for the next. */
static void a_worker_that_was_called_is_free_until_it_has_come(void **state)
{
    (void)state;
    struct bench *b = bench_begin(NO_BUDGET, 1);
    submit(b, 0, 0);
    take_of(b, 0);
    submit(b, 1, 0);
    assert_line(b, 1, 1);
    submit(b, 2, 0);
    assert_line(b, 2, 1);
}

/* The worker goes on with it, and until then a newer frame may still take its place. */
static void what_its_seat_sent_meanwhile_is_not_claimed(void **state)
{
    (void)state;
    struct bench *b = bench_begin(NO_BUDGET, 0);
    submit(b, 0, 0);
    struct frame *f = take_of(b, 0);
    submit(b, 0, 1);
    finish(b, 0, f, 10);
    assert_line(b, 1, 0);
    assert_int_equal(submit(b, 0, 2).verdict, VERDICT_REPLACE);
    assert_int_equal(take_of(b, 0)->index, 2);
}

/* ---- late ---- */

static void a_frame_too_late_at_its_turn_is_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint64_t expected_us, age_us;
        bool runs;
    } rows[] = {
        {"in time", 10000, 27000, true},
        {"too late by a microsecond", 10000, 27001, false},
        {"nothing known, in time", 0, 37000, true},
        {"nothing known, too late", 0, 37001, false},
        {"none could make it", 40000, 500000, true},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct bench *b = bench_begin(LATEST, 0);
        struct frame *f;
        teach(b, 0, rows[i].expected_us);
        submit(b, 0, 0);
        b->now_us += rows[i].age_us;
        take(b, &f);
        if ((f->fate != FRAME_DROPPED) != rows[i].runs)
            fail_msg("not so: %s", rows[i].what);
        assert_true(f->fate == FRAME_ANSWERED || f->reason == DROP_LATE);
        assert_int_equal(b->seat[0].in_work, rows[i].runs);
        assert_int_equal(b->seat[0].owed > 0, !rows[i].runs);
        assert_int_equal(b->seat[0].dropped, !rows[i].runs);
        assert_line(b, 0, 0);
    }
}

static void a_clock_read_before_the_frame_came_makes_it_fresh(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 0);
    submit(b, 0, 0);
    b->now_us -= 5;
    assert_int_equal(take_of(b, 0)->fate, FRAME_ANSWERED);
}

/* Drops the seat's frame as late. */
static void make_owed(struct bench *b, unsigned seat)
{
    submit(b, seat, 0);
    b->now_us += BUDGET_US + 1;
    assert_int_equal(take_of(b, seat)->reason, DROP_LATE);
    assert_true(b->seat[seat].owed);
}

/* So that seats 0 to n - 1 had their last turns in this order. */
static void have_turns(struct bench *b, unsigned n)
{
    for (unsigned seat = 0; seat < n; seat++) {
        submit(b, seat, 0);
        run(b, seat, 10);
    }
}

static void who_had_no_turn_for_longest_is_next(void **state)
{
    (void)state;
    struct bench *b = bench_begin(NO_BUDGET, 0);
    have_turns(b, 4);
    submit(b, 3, 1);
    submit(b, 1, 1);
    submit(b, 2, 1);
    submit(b, 0, 1);
    for (unsigned seat = 0; seat < 4; seat++)
        run(b, seat, 10);
}

static void who_is_new_is_not_ahead_of_those_who_wait(void **state)
{
    (void)state;
    struct bench *b = bench_begin(NO_BUDGET, 0);
    have_turns(b, 3);
    submit(b, 2, 1);
    submit(b, 5, 0);
    run(b, 2, 10);
    run(b, 5, 10);
}

static void a_late_frame_costs_the_seat_its_frame_and_not_its_place(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 0);
    have_turns(b, 3);
    make_owed(b, 0);
    submit(b, 1, 1);
    submit(b, 2, 1);
    submit(b, 0, 1);
    assert_line(b, 3, 0);
    submit(b, 0, 8); /* the place is the seat's, not the frame's */
    struct frame *f = take_of(b, 0);
    assert_int_equal(f->index, 8);
    submit(b, 0, 9);
    finish(b, 0, f, 10);
    run(b, 1, 10);
    run(b, 2, 10);
    run(b, 0, 10); /* and once only: this one was in its turn */
}

static void two_frames_after_a_late_one_are_run_however_late_if_nobody_waits(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 0);
    make_owed(b, 0);
    for (unsigned i = 0; i < 2; i++) {
        submit(b, 0, i);
        b->now_us += BUDGET_US + 1;
        run(b, 0, 10);
    }
    make_owed(b, 0);
    assert_int_equal(b->seat[0].dropped, 2);
}

static void while_somebody_waits_a_late_frame_is_never_run(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 0);
    have_turns(b, 2);
    make_owed(b, 0);
    submit(b, 0, 1);
    submit(b, 1, 1);
    b->now_us += BUDGET_US + 1;
    assert_int_equal(take_of(b, 0)->reason, DROP_LATE);
    assert_int_equal(take_of(b, 1)->reason, DROP_LATE);
}

static void a_late_claimed_frame_gives_way_to_the_newer_one_at_once(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 1);
    have_turns(b, 2);
    submit(b, 0, 0);
    submit(b, 1, 0);
    b->now_us += BUDGET_US;
    submit(b, 0, 1);
    b->now_us++;
    b->turns.n_free--;
    assert_int_equal(take_of(b, 0)->reason, DROP_LATE);
    assert_line(b, 2, 0);
    assert_int_equal(take_of(b, 0)->index, 1);
}

/* A called worker is on its way to the claimed frame: were another one first, the claimed
 * frame would stay behind, and could not even be replaced by a fresher one. */
static void an_older_turn_does_not_go_before_a_claimed_frame(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 0);
    have_turns(b, 3);
    b->turns.n_free = 1;
    submit(b, 1, 0);
    assert_line(b, 1, 1);
    submit(b, 2, 0);
    submit(b, 0, 0);
    b->turns.n_free--;
    struct frame *f;
    assert_int_equal(take(b, &f), 1);
    assert_int_equal(take(b, &f), 0); /* but before all others */
    assert_int_equal(take(b, &f), 2);
}

/* ---- leaving ---- */

static void leaving_gives_the_waiting_frame_back_in_every_state(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        bool claims, takes, owed;
        unsigned n_frames; /* indices 1, 2: the last is the newest */
        int64_t gives;     /* index; -1: nothing */
        unsigned in_line;  /* of its frames, afterwards */
    } rows[] = {
        {"an empty seat", false, false, false, 0, -1, 0},
        {"in line", false, false, false, 1, 1, 0},
        {"in line, with one replaced", false, false, false, 2, 2, 0},
        {"claimed", true, false, false, 1, -1, 1},
        {"claimed, and one waits", true, false, false, 2, 2, 1},
        {"in work", false, true, false, 1, -1, 0},
        {"in work, and one waits", false, true, false, 2, 2, 0},
        {"owed, nothing there", false, false, true, 0, -1, 0},
        {"owed, in line", false, false, true, 1, 1, 0},
        {"owed, in work, and one waits", false, true, true, 2, 2, 0},
    };
    for (unsigned place = 0; place < 3; place++) { /* others before, behind, or none */
        for (size_t i = 0; i < N(rows); i++) {
            struct bench *b = bench_begin(LATEST, 0);
            struct frame *f = NULL;
            unsigned before = place == 1 && !rows[i].claims && !rows[i].takes, behind = place == 2;
            if (rows[i].owed)
                make_owed(b, 0);
            if (before)
                submit(b, 1, 0);
            b->turns.n_free = rows[i].claims;
            if (rows[i].n_frames)
                submit(b, 0, 1);
            if (rows[i].takes)
                f = take_of(b, 0);
            if (rows[i].n_frames > 1)
                submit(b, 0, 2);
            if (behind)
                submit(b, 2, 0);
            struct frame *left = turns_leave(&b->turns, &b->seat[0]);
            if (left ? (int64_t)left->index != rows[i].gives : rows[i].gives >= 0)
                fail_msg("not so: %s", rows[i].what);
            assert_line(b, before + behind + rows[i].in_line, rows[i].claims);
            assert_null(turns_leave(&b->turns, &b->seat[0]));
            assert_null(b->seat[0].waiting);
            if (rows[i].takes)
                finish(b, 0, f, 10);
            if (rows[i].claims)
                run(b, 0, 10);
            if (before)
                run(b, 1, 10);
            if (behind)
                run(b, 2, 10);
            assert_line(b, 0, 0);
            assert_false(b->seat[0].in_work);
        }
    }
}

static void a_seat_that_left_may_come_back_at_the_end(void **state)
{
    (void)state;
    struct bench *b = bench_begin(NO_BUDGET, 0);
    for (unsigned seat = 0; seat < 3; seat++)
        submit(b, seat, 0);
    assert_non_null(turns_leave(&b->turns, &b->seat[0]));
    assert_int_equal(submit(b, 0, 7).verdict, VERDICT_RUN);
    run(b, 1, 10);
    run(b, 2, 10);
    assert_int_equal(take_of(b, 0)->index, 7);
}

/* ---- the other policies ---- */

static void strict_keeps_the_first_and_gives_the_newer_back(void **state)
{
    (void)state;
    for (unsigned n_free = 0; n_free < 2; n_free++) { /* waiting, or claimed; then in work */
        struct bench *b = bench_begin(STRICT, n_free);
        assert_int_equal(submit(b, 0, 0).verdict, VERDICT_RUN);
        for (uint64_t index = 1; index < 3; index++) {
            struct turns_outcome out = submit(b, 0, index);
            assert_int_equal(out.verdict, VERDICT_BUSY);
            assert_int_equal(out.dropped->index, index);
            assert_int_equal(out.dropped->fate, FRAME_DROPPED);
            assert_int_equal(out.dropped->reason, DROP_BUSY);
            assert_line(b, 1, n_free);
        }
        struct frame *f = take_of(b, 0);
        assert_int_equal(f->index, 0);
        assert_int_equal(submit(b, 0, 3).verdict, VERDICT_BUSY);
        finish(b, 0, f, 10);
        assert_line(b, 0, 0);
        assert_int_equal(submit(b, 0, 4).verdict, VERDICT_RUN);
        assert_int_equal(b->seat[0].received, 5);
        assert_int_equal(b->seat[0].dropped, 3);
    }
}

static void only_phase17_turns_a_late_answer_into_a_drop(void **state)
{
    (void)state;
    static const struct {
        struct admit_rule rule;
        uint64_t took_us;
        enum frame_fate fate;
    } rows[] = {
        {{POLICY_PHASE17, BUDGET_US, 0.10}, BUDGET_US, FRAME_ANSWERED},
        {{POLICY_PHASE17, BUDGET_US, 0.10}, BUDGET_US + 1, FRAME_DROPPED},
        {{POLICY_PHASE17, 0, 0.10}, BUDGET_US + 1, FRAME_ANSWERED},
        {{POLICY_LATEST, BUDGET_US, 0.10}, BUDGET_US + 1, FRAME_ANSWERED},
        {{POLICY_STRICT, BUDGET_US, 0.10}, BUDGET_US + 1, FRAME_ANSWERED},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct bench *b = bench_begin(rows[i].rule, 0);
        submit(b, 0, 0);
        struct frame *f = take_of(b, 0);
        finish(b, 0, f, rows[i].took_us);
        assert_int_equal(f->fate, rows[i].fate);
        assert_true(f->fate == FRAME_ANSWERED || f->reason == DROP_LATE);
        assert_int_equal(b->seat[0].dropped, rows[i].fate == FRAME_DROPPED);
    }
}

static void a_failed_frame_stays_failed_however_late(void **state)
{
    (void)state;
    struct bench *b = bench_begin(PHASE17, 0);
    submit(b, 0, 0);
    struct frame *f = take_of(b, 0);
    f->fate = FRAME_FAILED;
    f->finished_us = b->now_us + 2 * BUDGET_US;
    turns_finish(&b->turns, &b->seat[0], f);
    assert_int_equal(f->fate, FRAME_FAILED);
    assert_int_equal(b->seat[0].dropped, 0);
}

/* ---- the estimate ---- */

static void every_frame_that_ran_teaches_its_own_seat_how_long_one_takes(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 0);
    submit(b, 0, 0);
    submit(b, 1, 0);
    b->now_us += 5000; /* waiting is not running */
    run(b, 0, 3000);
    run(b, 1, 9000);
    assert_int_equal(estimate_expected_us(&b->seat[0].estimate), 3000);
    assert_int_equal(estimate_expected_us(&b->seat[1].estimate), 9000);
    make_owed(b, 0); /* waiting in vain is not running either */
    assert_in_range(estimate_expected_us(&b->seat[0].estimate), 0, 3000);
}

/* Seat 0's first frame took 36 ms and all others take none; seat 1's take 20. Both send at
 * 30 fps, seat 0 always a moment after seat 1: so each of its frames waits for 19 ms, which is
 * too long only as long as it is believed to need 36. */
/* --- on the caller's thread --- */

#define CHEAP_US 20u

/* Nothing is known of it. */
static struct cheap *kin(void)
{
    static struct cheap kin;
    kin = (struct cheap){0};
    return &kin;
}

static void make_cheap(struct bench *b, unsigned seat)
{
    b->turns.here_below_us = CHEAP_US;
    b->seat[seat].kin = kin();
    for (unsigned i = 0; i < 16; i++)
        cheap_add(&b->seat[seat].cheap, 1, CHEAP_US, false);
}

static void a_cheap_frame_of_an_idle_seat_is_the_callers(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 1);
    make_cheap(b, 0);
    assert_false(turns_runs_here(&b->turns, &b->seat[1]));
    assert_true(turns_runs_here(&b->turns, &b->seat[0]));
    b->seat[0].kin = NULL;
    assert_false(turns_runs_here(&b->turns, &b->seat[0]));
    b->seat[0].kin = kin();
    struct frame *f = frame_now(b, 0);
    struct turns_outcome out = turns_submit(&b->turns, &b->seat[0], f);
    assert_int_equal(out.verdict, VERDICT_RUN);
    assert_true(out.here);
    assert_null(out.dropped);
    assert_int_equal(b->turns.n_in_line, 0);
    finish(b, 0, f, 1);
    assert_false(b->seat[0].in_work);
    assert_int_equal(b->seat[0].turn, 1); /* counted as a turn like any other */
}

static void past_the_line_it_goes_only_while_it_is_idle_and_cheap(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 0);
    submit(b, 1, 0); /* somebody waits for the only worker */
    submit(b, 0, 0);
    make_cheap(b, 0);
    assert_false(submit(b, 0, 1).here); /* not before its own older frame */
    run(b, 1, 1);
    struct frame *f = take_of(b, 0);
    assert_false(submit(b, 0, 2).here); /* nor beside it */
    finish(b, 0, f, 1);
    run(b, 0, CHEAP_US + 1);
    assert_false(submit(b, 0, 3).here); /* it was slow just now */
}

/* One frame of that seat, at a worker unless it is run here. */
static bool ran_here(struct bench *b, unsigned seat, uint64_t took_us)
{
    struct frame *f = frame_now(b, seat);
    bool here = turns_submit(&b->turns, &b->seat[seat], f).here;
    f->started_us = b->now_us;
    finish(b, seat, here ? f : take_of(b, seat), took_us);
    return here;
}

static void a_new_seat_starts_as_its_kin_are(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 1);
    b->turns.here_below_us = CHEAP_US;
    for (unsigned seat = 0; seat < 3; seat++)
        b->seat[seat].kin = seat ? b->seat[0].kin : kin();
    for (unsigned i = 0; i < 16; i++)
        assert_false(ran_here(b, 0, 1));
    assert_true(ran_here(b, 1, CHEAP_US + 1)); /* it is not like the others */
    for (unsigned i = 0; i < 1 + 16; i++)
        assert_false(ran_here(b, 1, 1));
    assert_true(ran_here(b, 1, 1));
    assert_true(ran_here(b, 2, 1));

    assert_true(ran_here(b, 0, CHEAP_US + 1)); /* now it is none of the quick ones any more */
    b->seat[3].kin = b->seat[0].kin;
    assert_false(ran_here(b, 3, 1));
}

static void a_frame_that_its_policy_drops_is_not_run_here(void **state)
{
    (void)state;
    struct bench *b = bench_begin(PHASE17, 1);
    make_cheap(b, 0);
    b->seat[0].received = 10;
    b->seat[0].dropped = 9;
    struct turns_outcome out = submit(b, 0, 0);
    assert_int_equal(out.verdict, VERDICT_RATE);
    assert_false(out.here);
    assert_int_equal(out.dropped->reason, DROP_RATE);
}

static void without_workers_everything_is_the_callers(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 0);
    b->turns.always_here = true;
    for (unsigned i = 0; i < 3; i++) {
        struct frame *f = frame_now(b, i);
        assert_true(turns_submit(&b->turns, &b->seat[0], f).here);
        finish(b, 0, f, 100000);
    }
}

static void a_slow_first_frame_within_the_budget_locks_nobody_out(void **state)
{
    (void)state;
    struct bench *b = bench_begin(LATEST, 0);
    unsigned n_answered = 0;
    submit(b, 0, 0);
    run(b, 0, 36000);
    for (unsigned k = 1; k <= 64; k++) {
        b->now_us = 1000000 + k * (uint64_t)FRAME_US;
        submit(b, 1, k);
        struct frame *other = take_of(b, 1);
        b->now_us += 1000;
        submit(b, 0, k);
        finish(b, 1, other, 19000);
        struct frame *f = take_of(b, 0);
        if (f->fate == FRAME_DROPPED)
            continue;
        finish(b, 0, f, 0);
        n_answered++;
    }
    if (n_answered < 16) /* how soon is not said here, but within one window */
        fail_msg("answered %u of 64", n_answered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_in_line_gives_nothing),
        cmocka_unit_test(seats_are_served_in_the_order_they_came),
        cmocka_unit_test(the_newest_replaces_the_one_that_waits_and_keeps_its_place),
        cmocka_unit_test(behind_its_own_frame_in_work_a_frame_waits_outside_the_line),
        cmocka_unit_test(a_greedy_seat_cannot_starve_the_others),
        cmocka_unit_test(a_frame_a_free_worker_takes_is_claimed_and_cannot_be_replaced),
        cmocka_unit_test(nothing_is_claimed_behind_a_frame_that_can_be_replaced),
        cmocka_unit_test(a_worker_that_was_called_is_free_until_it_has_come),
        cmocka_unit_test(what_its_seat_sent_meanwhile_is_not_claimed),
        cmocka_unit_test(a_frame_too_late_at_its_turn_is_dropped),
        cmocka_unit_test(a_clock_read_before_the_frame_came_makes_it_fresh),
        cmocka_unit_test(who_had_no_turn_for_longest_is_next),
        cmocka_unit_test(who_is_new_is_not_ahead_of_those_who_wait),
        cmocka_unit_test(a_late_frame_costs_the_seat_its_frame_and_not_its_place),
        cmocka_unit_test(two_frames_after_a_late_one_are_run_however_late_if_nobody_waits),
        cmocka_unit_test(while_somebody_waits_a_late_frame_is_never_run),
        cmocka_unit_test(a_late_claimed_frame_gives_way_to_the_newer_one_at_once),
        cmocka_unit_test(an_older_turn_does_not_go_before_a_claimed_frame),
        cmocka_unit_test(leaving_gives_the_waiting_frame_back_in_every_state),
        cmocka_unit_test(a_seat_that_left_may_come_back_at_the_end),
        cmocka_unit_test(strict_keeps_the_first_and_gives_the_newer_back),
        cmocka_unit_test(only_phase17_turns_a_late_answer_into_a_drop),
        cmocka_unit_test(a_failed_frame_stays_failed_however_late),
        cmocka_unit_test(every_frame_that_ran_teaches_its_own_seat_how_long_one_takes),
        cmocka_unit_test(a_cheap_frame_of_an_idle_seat_is_the_callers),
        cmocka_unit_test(past_the_line_it_goes_only_while_it_is_idle_and_cheap),
        cmocka_unit_test(a_new_seat_starts_as_its_kin_are),
        cmocka_unit_test(a_frame_that_its_policy_drops_is_not_run_here),
        cmocka_unit_test(without_workers_everything_is_the_callers),
        cmocka_unit_test(a_slow_first_frame_within_the_budget_locks_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
