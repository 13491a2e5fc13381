#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/sched_bench.h"

/* ---- endings ---- */

static void a_failing_pipeline_marks_its_frame(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    b.fails = true;
    occupy_the_worker(&b);
    run_out(&b, 1);
    struct frame *f = take_finished(&b);
    assert_int_equal(f->fate, FRAME_FAILED);
    put_back(&b, f);
    bench_end(&b);
}

static void a_result_too_long_to_tell_is_a_failure(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    b.floods = true;
    occupy_the_worker(&b);
    run_out(&b, 1);
    struct frame *f = take_finished(&b);
    assert_int_equal(f->fate, FRAME_FAILED);
    put_back(&b, f);
    bench_end(&b);
}

/* A frame that waited for a millisecond, where a microsecond is all there is; and as no
 * pipeline has run yet, a fresh one could make it. */
static struct frame *submit_late(struct bench *b, unsigned seat)
{
    struct frame *f = frame_of(b, seat, 0);
    f->arrived_us -= 1000;
    assert_int_equal(sched_submit(&b->sched, &b->seat[seat], f).verdict, VERDICT_RUN);
    return f;
}

static void a_frame_too_late_at_its_turn_is_told_and_not_run(void **state)
{
    (void)state;
    static const struct admit_rule hasty = {.policy = POLICY_LATEST, .budget_us = 1};
    for (unsigned n_workers = 1; n_workers <= 2; n_workers++) {
        struct bench b;
        bench_start_rule(&b, &hasty, n_workers);
        struct frame *f = submit_late(&b, 3);
        await(&b.finished, 1);
        assert_ptr_equal(sched_collect(&b.sched, &b.outlet), f);
        assert_null(f->next);
        assert_int_equal(f->fate, FRAME_DROPPED);
        assert_int_equal(f->reason, DROP_LATE);
        assert_int_equal(sched_busy_us(&b.sched), 0);
        sched_stop(&b.sched);
        assert_int_equal(b.n_begun, 0);
        pool_put(&b.pool, f);
        bench_end(&b);
    }
}

static void strict_gives_the_frame_back_that_finds_its_session_busy(void **state)
{
    (void)state;
    static const struct admit_rule strict = {.policy = POLICY_STRICT};
    struct bench b;
    bench_start_rule(&b, &strict, 1);
    occupy_the_worker(&b);
    struct frame *f = frame_of(&b, 0, 1);
    struct turns_outcome out = sched_submit(&b.sched, &b.seat[0], f);
    assert_int_equal(out.verdict, VERDICT_BUSY);
    assert_ptr_equal(out.dropped, f);
    assert_int_equal(f->fate, FRAME_DROPPED);
    assert_int_equal(f->reason, DROP_BUSY);
    pool_put(&b.pool, f);
    run_out(&b, 1);
    assert_int_equal(put_back(&b, take_finished(&b)), 1);
    bench_end(&b);
}

static void stopping_waits_for_what_is_in_work_and_no_more(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 2);
    submit(&b, 0, 0);
    submit(&b, 1, 0);
    await(&b.begun, 2);
    submit(&b, 2, 0);
    submit(&b, 0, 1);
    pthread_mutex_lock(&b.sched.lock);
    b.sched.stopping = true; /* as sched_stop does first, but the workers cannot see it yet */
    pthread_mutex_unlock(&b.sched.lock);
    let_go(&b, 4);
    sched_stop(&b.sched);
    assert_int_equal(b.n_begun, 2);
    assert_int_equal(put_back(&b, take_finished(&b)), 2);
    struct frame *f = take_waiting(&b, 2);
    assert_non_null(f);
    pool_put(&b.pool, f);
    f = take_waiting(&b, 0);
    assert_int_equal(f->index, 1);
    pool_put(&b.pool, f);
    bench_end(&b);
}

static void what_a_free_worker_was_given_is_run_before_the_end(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        struct bench b;
        bench_start(&b, 2);
        await_asleep(&b, 2);
        let_go(&b, 2);
        submit(&b, 0, 0);
        submit(&b, 1, 0);
        sched_stop(&b.sched);
        assert_int_equal(put_back(&b, take_finished(&b)), 2);
        bench_end(&b);
    }
}

static void an_idle_scheduler_stops_at_once(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 4);
    sched_stop(&b.sched);
    assert_null(take_finished(&b));
    bench_end(&b);
}

static void no_workers_run_the_frame_in_the_callers_thread(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 0);
    let_go(&b, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct frame *f = frame_of(&b, i % 2, i);
        assert_true(sched_runs_here(&b.sched, &b.seat[i % 2]));
        struct turns_outcome out = sched_submit(&b.sched, &b.seat[i % 2], f);
        assert_int_equal(f->fate, FRAME_ANSWERED);
        pool_put(&b.pool, f);
        assert_int_equal(out.verdict, VERDICT_RUN);
        assert_true(out.here);
        assert_int_equal(b.n_begun, i + 1); /* done when submit returns */
        assert_null(sched_collect(&b.sched, &b.outlet));
    }
    sched_stop(&b.sched);
    bench_end(&b);
}

static void what_the_caller_runs_keeps_no_worker_busy(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    b.floods = true; /* takes its time */
    b.sched.turns.here_below_us = 1;
    struct cheap kin = {.n_quick = 1000, .known = true};
    b.seat[0].kin = &kin;
    let_go(&b, 2);
    struct frame *f = frame_of(&b, 0, 0);
    assert_true(sched_submit(&b.sched, &b.seat[0], f).here);
    assert_true(f->finished_us > f->started_us);
    assert_int_equal(sched_busy_us(&b.sched), 0);
    pool_put(&b.pool, f);
    submit(&b, 0, 1);
    await(&b.finished, 1);
    assert_true(sched_busy_us(&b.sched) > 0);
    sched_stop(&b.sched);
    bench_end(&b);
}

static void the_io_thread_is_woken_once_for_many_frames(void **state)
{
    (void)state;
    struct bench b;
    int wakes;
    bench_start(&b, 1);
    let_go(&b, 9);
    for (unsigned i = 0; i < 8; i++)
        submit(&b, i, i);
    await(&b.begun, 8);
    await_asleep(&b, 1);
    sem_getvalue(&b.finished, &wakes);
    assert_int_equal(wakes, 1);
    assert_int_equal(put_back(&b, sched_collect(&b.sched, &b.outlet)), 8);
    submit(&b, 0, 9);
    await(&b.begun, 1);
    await_asleep(&b, 1);
    sem_getvalue(&b.finished, &wakes);
    assert_int_equal(wakes, 2);
    sched_stop(&b.sched);
    bench_end(&b);
}

/* Two I/O threads: what one gives comes out at its own outlet. */
static void each_frame_comes_out_where_it_belongs(void **state)
{
    (void)state;
    struct bench b;
    struct outlet other;
    bench_start(&b, 1);
    outlet_init(&other, on_finished, &b);
    let_go(&b, 2);
    struct frame *mine = frame_of(&b, 0, 1), *theirs = frame_of(&b, 1, 2);
    theirs->outlet = &other;
    sched_submit(&b.sched, &b.seat[0], mine);
    sched_submit(&b.sched, &b.seat[1], theirs);
    await(&b.finished, 2);
    assert_ptr_equal(sched_collect(&b.sched, &b.outlet), mine);
    assert_ptr_equal(sched_collect(&b.sched, &other), theirs);
    assert_null(mine->next);
    assert_null(theirs->next);
    pool_put(&b.pool, mine);
    pool_put(&b.pool, theirs);
    sched_stop(&b.sched);
    outlet_deinit(&other);
    bench_end(&b);
}

/* ---- all together ---- */

#define N_FRAMES 900

struct tally {
    unsigned seen[N_FRAMES], total;
};

static void count(struct tally *t, struct bench *b, struct frame *list)
{
    while (list) {
        struct frame *f = list;
        list = f->next;
        assert_in_range(f->index, 0, N_FRAMES - 1);
        t->seen[f->index]++;
        t->total++;
        pool_put(&b->pool, f);
    }
}

static void count_one(struct tally *t, struct bench *b, struct frame *f)
{
    if (f)
        f->next = NULL;
    count(t, b, f);
}

/* Nothing stands in the line before a frame that a free worker was given. */
static bool is_line_in_order(struct bench *b)
{
    bool ok = true, only_claimed = true;
    unsigned n_claimed = 0;
    pthread_mutex_lock(&b->sched.lock);
    for (const struct seat *seat = b->sched.turns.first; seat; seat = seat->next) {
        ok &= seat->claimed ? only_claimed : seat->waiting != NULL;
        only_claimed &= seat->claimed != NULL;
        n_claimed += seat->claimed != NULL;
    }
    ok &= n_claimed == b->sched.turns.n_claimed;
    pthread_mutex_unlock(&b->sched.lock);
    return ok;
}

static void pretend_free(struct bench *b, unsigned n_workers)
{
    pthread_mutex_lock(&b->sched.lock);
    b->sched.turns.n_free = n_workers;
    pthread_mutex_unlock(&b->sched.lock);
}

/* A second worker was called and has not woken up, while the first goes on and takes the
 * frame that was meant for it. Then the next frame must not pass as given to a free worker:
 * it stands behind another and can still be replaced. */
static void frames_that_free_workers_were_given_are_the_head_of_the_line(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    occupy_the_worker(&b);
    pretend_free(&b, 1);
    submit(&b, 1, 0);
    submit(&b, 2, 0);
    let_go(&b, 1);
    await(&b.begun, 1); /* seat 1 */
    submit(&b, 3, 0);
    bool ok = is_line_in_order(&b);
    pretend_free(&b, 0);
    run_out(&b, 3);
    bench_end(&b);
    assert_true(ok);
}

static void every_frame_comes_back_exactly_once(void **state)
{
    (void)state;
    struct bench b;
    struct tally t = {0};
    uint32_t random = 1;
    bench_start(&b, 3);
    let_go(&b, N_FRAMES);
    for (unsigned i = 0; i < N_FRAMES; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned seat = random >> 16 & (N_SEATS - 1);
        count_one(&t, &b, submit(&b, seat, i).dropped);
        if ((random >> 28 & 3) == 0)
            await(&b.begun, 1); /* so that the workers are in the middle of it */
        if (random >> 20 & 1)
            count(&t, &b, sched_collect(&b.sched, &b.outlet));
        if ((random >> 24 & 15) == 0)
            count_one(&t, &b, sched_leave(&b.sched, &b.seat[seat]));
    }
    sched_stop(&b.sched);
    count(&t, &b, take_finished(&b));
    for (unsigned i = 0; i < N_SEATS; i++)
        count_one(&t, &b, take_waiting(&b, i));
    for (unsigned i = 0; i < N_FRAMES; i++)
        assert_int_equal(t.seen[i], 1);
    assert_int_equal(t.total, N_FRAMES);
    assert_int_equal(b.in_work_max, 1);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_pipeline_marks_its_frame),
        cmocka_unit_test(a_result_too_long_to_tell_is_a_failure),
        cmocka_unit_test(a_frame_too_late_at_its_turn_is_told_and_not_run),
        cmocka_unit_test(strict_gives_the_frame_back_that_finds_its_session_busy),
        cmocka_unit_test(stopping_waits_for_what_is_in_work_and_no_more),
        cmocka_unit_test(what_a_free_worker_was_given_is_run_before_the_end),
        cmocka_unit_test(an_idle_scheduler_stops_at_once),
        cmocka_unit_test(no_workers_run_the_frame_in_the_callers_thread),
        cmocka_unit_test(what_the_caller_runs_keeps_no_worker_busy),
        cmocka_unit_test(the_io_thread_is_woken_once_for_many_frames),
        cmocka_unit_test(each_frame_comes_out_where_it_belongs),
        cmocka_unit_test(frames_that_free_workers_were_given_are_the_head_of_the_line),
        cmocka_unit_test(every_frame_comes_back_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
