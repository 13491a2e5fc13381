#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/sched_bench.h"

/* ---- one seat ---- */

static void an_idle_seat_runs_its_frame_and_gives_it_back(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    struct frame *f = frame_of(&b, 0, 42);
    let_go(&b, 1);
    struct turns_outcome out = sched_submit(&b.sched, &b.seat[0], f);
    assert_int_equal(out.verdict, VERDICT_RUN);
    assert_null(out.dropped);
    await(&b.finished, 1);
    assert_ptr_equal(sched_collect(&b.sched, &b.outlet), f);
    assert_null(f->next);
    assert_int_equal(f->fate, FRAME_ANSWERED);
    assert_string_equal(text_str(&f->result), "{\"index\":42}");
    assert_true(f->started_us > 0 && f->finished_us >= f->started_us);
    assert_int_equal(sched_busy_us(&b.sched), f->finished_us - f->started_us);
    assert_null(sched_collect(&b.sched, &b.outlet));
    pool_put(&b.pool, f);
    sched_stop(&b.sched);
    bench_end(&b);
}

static void the_newest_replaces_the_one_that_waits(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    occupy_the_worker(&b);
    struct turns_outcome out = submit(&b, 0, 1);
    assert_int_equal(out.verdict, VERDICT_WAIT);
    assert_null(out.dropped);
    for (uint64_t index = 2; index < 10; index++) {
        out = submit(&b, 0, index);
        assert_int_equal(out.verdict, VERDICT_REPLACE);
        assert_int_equal(out.dropped->index, index - 1);
        assert_int_equal(out.dropped->fate, FRAME_DROPPED);
        assert_int_equal(out.dropped->reason, DROP_REPLACED);
        pool_put(&b.pool, out.dropped);
    }
    run_out(&b, 2);
    struct frame *list = take_finished(&b);
    assert_int_equal(list->index, 0);
    assert_int_equal(list->next->index, 9);
    assert_int_equal(put_back(&b, list), 2);
    bench_end(&b);
}

static void a_frame_that_has_no_worker_yet_is_replaced_too(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    occupy_the_worker(&b);
    assert_int_equal(submit(&b, 1, 0).verdict, VERDICT_RUN);
    struct turns_outcome out = submit(&b, 1, 1);
    assert_int_equal(out.verdict, VERDICT_REPLACE);
    assert_int_equal(out.dropped->index, 0);
    pool_put(&b.pool, out.dropped);
    run_out(&b, 2);
    assert_int_equal(put_back(&b, take_finished(&b)), 2);
    bench_end(&b);
}

static void a_burst_cannot_replace_a_frame_that_a_free_worker_takes(void **state)
{
    (void)state;
    struct bench b;
    bool in_work, waiting;
    bench_start(&b, 2);
    for (unsigned round = 0; round < 200; round++) {
        await_asleep(&b, 2);
        for (unsigned seat = 0; seat < 2; seat++) {
            assert_int_equal(submit(&b, seat, round).verdict, VERDICT_RUN);
            sched_look(&b.sched, &b.seat[seat], &in_work, &waiting);
            assert_true(in_work && !waiting);
            assert_int_equal(submit(&b, seat, round).verdict, VERDICT_WAIT);
        }
        assert_int_equal(submit(&b, 2, round).verdict, VERDICT_RUN); /* but no worker is free */
        sched_look(&b.sched, &b.seat[2], &in_work, &waiting);
        assert_true(!in_work && waiting);
        let_go(&b, 5);
        await(&b.begun, 5);
        put_back(&b, sched_collect(&b.sched, &b.outlet));
    }
    sched_stop(&b.sched);
    bench_end(&b);
}

static void leaving_does_not_take_a_frame_from_a_free_worker(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    for (unsigned round = 0; round < 200; round++) {
        await_asleep(&b, 1);
        submit(&b, 0, 1);
        submit(&b, 0, 2);
        struct frame *f = sched_leave(&b.sched, &b.seat[0]);
        assert_int_equal(f->index, 2);
        pool_put(&b.pool, f);
        assert_null(sched_leave(&b.sched, &b.seat[0]));
        let_go(&b, 1);
        await(&b.begun, 1);
        await_asleep(&b, 1);
        assert_int_equal(put_back(&b, sched_collect(&b.sched, &b.outlet)), 1);
    }
    sched_stop(&b.sched);
    bench_end(&b);
}

static void a_look_shows_what_is_in_work_and_waiting(void **state)
{
    (void)state;
    struct bench b;
    bool in_work, waiting;
    bench_start(&b, 1);
    sched_look(&b.sched, &b.seat[0], &in_work, &waiting);
    assert_true(!in_work && !waiting);
    occupy_the_worker(&b);
    sched_look(&b.sched, &b.seat[0], &in_work, &waiting);
    assert_true(in_work && !waiting);
    submit(&b, 0, 1);
    sched_look(&b.sched, &b.seat[0], &in_work, &waiting);
    assert_true(in_work && waiting);
    submit(&b, 1, 0);
    sched_look(&b.sched, &b.seat[1], &in_work, &waiting);
    assert_true(!in_work && waiting);
    run_out(&b, 3);
    bench_end(&b);
}

static void leaving_gives_the_waiting_frame_back(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    assert_null(sched_leave(&b.sched, &b.seat[0]));
    occupy_the_worker(&b);
    submit(&b, 0, 1); /* behind its own frame in work */
    for (unsigned seat = 1; seat < 5; seat++)
        submit(&b, seat, seat);                     /* in the line */
    static const unsigned leaving[] = {2, 1, 4, 0}; /* middle, first, last, not in the line */
    for (unsigned i = 0; i < 4; i++) {
        struct frame *f = sched_leave(&b.sched, &b.seat[leaving[i]]);
        assert_int_equal(f->index, leaving[i] ? leaving[i] : 1);
        pool_put(&b.pool, f);
        assert_null(sched_leave(&b.sched, &b.seat[leaving[i]]));
    }
    run_out(&b, 2); /* what was in work, and seat 3 */
    struct frame *list = take_finished(&b);
    assert_int_equal(list->index, 0);
    assert_int_equal(list->next->index, 3);
    assert_int_equal(put_back(&b, list), 2);
    bench_end(&b);
}

static void a_seat_that_left_may_come_back(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    occupy_the_worker(&b);
    submit(&b, 1, 0);
    pool_put(&b.pool, sched_leave(&b.sched, &b.seat[1]));
    assert_int_equal(submit(&b, 1, 7).verdict, VERDICT_RUN);
    run_out(&b, 2);
    struct frame *list = take_finished(&b);
    assert_int_equal(list->next->index, 7);
    put_back(&b, list);
    bench_end(&b);
}

/* ---- turns ---- */

static void seats_are_served_in_the_order_they_came(void **state)
{
    (void)state;
    static const unsigned coming[] = {5, 2, 7, 1, 6, 3, 4};
    struct bench b;
    bench_start(&b, 1);
    occupy_the_worker(&b);
    for (unsigned i = 0; i < 7; i++)
        submit(&b, coming[i], 1);
    run_out(&b, 8);
    assert_int_equal(b.n_begun, 8);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(b.order[i + 1], coming[i]);
    bench_end(&b);
}

static void replacing_does_not_lose_the_place_in_the_line(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    occupy_the_worker(&b);
    submit(&b, 1, 0);
    submit(&b, 2, 0);
    pool_put(&b.pool, submit(&b, 1, 1).dropped);
    run_out(&b, 3);
    assert_int_equal(b.order[1], 1);
    assert_int_equal(b.order[2], 2);
    bench_end(&b);
}

/* Seat 0 always has a newer frame waiting; the others send one each. */
static void a_greedy_seat_cannot_starve_the_others(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    occupy_the_worker(&b);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned k = 0; k < 30; k++)
            pool_put(&b.pool, submit(&b, 0, k).dropped);
        for (unsigned seat = 1; seat < N_SEATS; seat++)
            pool_put(&b.pool, submit(&b, seat, round).dropped);
        let_go(&b, N_SEATS);
        await(&b.begun, N_SEATS); /* all others and seat 0 again */
        unsigned turns[N_SEATS] = {0};
        for (unsigned i = 0; i < N_SEATS; i++)
            turns[b.order[1 + round * N_SEATS + i]]++;
        for (unsigned seat = 0; seat < N_SEATS; seat++)
            assert_int_equal(turns[seat], 1);
        put_back(&b, sched_collect(&b.sched, &b.outlet));
    }
    let_go(&b, 1);
    sched_stop(&b.sched);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_seat_runs_its_frame_and_gives_it_back),
        cmocka_unit_test(the_newest_replaces_the_one_that_waits),
        cmocka_unit_test(a_frame_that_has_no_worker_yet_is_replaced_too),
        cmocka_unit_test(a_burst_cannot_replace_a_frame_that_a_free_worker_takes),
        cmocka_unit_test(leaving_does_not_take_a_frame_from_a_free_worker),
        cmocka_unit_test(a_look_shows_what_is_in_work_and_waiting),
        cmocka_unit_test(leaving_gives_the_waiting_frame_back),
        cmocka_unit_test(a_seat_that_left_may_come_back),
        cmocka_unit_test(seats_are_served_in_the_order_they_came),
        cmocka_unit_test(replacing_does_not_lose_the_place_in_the_line),
        cmocka_unit_test(a_greedy_seat_cannot_starve_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
