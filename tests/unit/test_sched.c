#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sched.h>
#include <semaphore.h>
#include <string.h>

#include "server/sched.h"

#define N_SEATS 8
#define JPEG    "\xff\xd8\xff\xd9"

/* A scheduler, its seats, and a pipeline that stops in the middle of each frame until the
 * test lets it go. So the test decides what happens while a worker is busy, without waiting. */
struct bench {
    struct sched sched;
    struct pool pool;
    struct pipeline pipeline;
    struct seat seat[N_SEATS];
    sem_t begun, go, finished;
    pthread_mutex_t lock; /* the rest: workers write it */
    unsigned n_begun;
    unsigned order[1000];                   /* the seat of each frame, as the pipeline saw them */
    unsigned in_work[N_SEATS], in_work_max; /* at once, of one seat */
    bool fails, floods;
};

struct seat_state { /* what the session's pipeline state is elsewhere */
    struct bench *b;
    unsigned seat;
};

static struct seat_state seat_states[N_SEATS];

static void note_begin(struct bench *b, unsigned seat)
{
    pthread_mutex_lock(&b->lock);
    b->order[b->n_begun++] = seat;
    if (++b->in_work[seat] > b->in_work_max)
        b->in_work_max = b->in_work[seat];
    pthread_mutex_unlock(&b->lock);
}

static void note_end(struct bench *b, unsigned seat)
{
    pthread_mutex_lock(&b->lock);
    b->in_work[seat]--;
    pthread_mutex_unlock(&b->lock);
}

static int process_gated(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                         struct json *result)
{
    (void)p;
    struct seat_state *s = state;
    note_begin(s->b, s->seat);
    sem_post(&s->b->begun);
    sem_wait(&s->b->go);
    json_u64(result, "index", frame->index);
    for (unsigned i = 0; s->b->floods && i < RESULT_BYTES_MAX; i++)
        json_u64(result, "n", i);
    note_end(s->b, s->seat);
    return s->b->fails ? -1 : 0;
}

static const struct pipeline_kind gated = {.name = "gated", .process = process_gated};

static void on_finished(void *ctx)
{
    struct bench *b = ctx;
    sem_post(&b->finished);
}

static void bench_start(struct bench *b, unsigned n_workers)
{
    memset(b, 0, sizeof *b);
    b->pool = pool_make((size_t)64 << 20);
    b->pipeline.kind = &gated;
    sem_init(&b->begun, 0, 0);
    sem_init(&b->go, 0, 0);
    sem_init(&b->finished, 0, 0);
    pthread_mutex_init(&b->lock, NULL);
    for (unsigned i = 0; i < N_SEATS; i++) {
        seat_states[i] = (struct seat_state){b, i};
        b->seat[i] = (struct seat){.pipeline = &b->pipeline, .state = &seat_states[i]};
    }
    assert_int_equal(sched_start(&b->sched, n_workers, on_finished, b, NULL), 0);
}

static unsigned put_back(struct bench *b, struct frame *list)
{
    unsigned n = 0;
    while (list) {
        struct frame *f = list;
        list = f->next;
        pool_put(&b->pool, f);
        n++;
    }
    return n;
}

/* What sched_collect and sched_leave would give, once the scheduler has stopped and its
 * lock is gone. */
static struct frame *take_finished(struct bench *b)
{
    struct frame *list = b->sched.finished;
    b->sched.finished = NULL;
    return list;
}

static struct frame *take_waiting(struct bench *b, unsigned seat)
{
    struct frame *f = b->seat[seat].waiting;
    b->seat[seat].waiting = NULL;
    return f;
}

static void bench_end(struct bench *b)
{
    put_back(b, take_finished(b));
    for (unsigned i = 0; i < N_SEATS; i++)
        pool_put(&b->pool, take_waiting(b, i));
    pool_deinit(&b->pool);
    pthread_mutex_destroy(&b->lock);
    sem_destroy(&b->begun);
    sem_destroy(&b->go);
    sem_destroy(&b->finished);
}

static void let_go(struct bench *b, unsigned n)
{
    while (n--)
        sem_post(&b->go);
}

static void await(sem_t *s, unsigned n)
{
    while (n--)
        while (sem_wait(s) < 0)
            ;
}

static struct frame *frame_of(struct bench *b, uint64_t index)
{
    struct frame *f = pool_get(&b->pool, 4);
    memcpy(f->data, JPEG, 4);
    f->jpeg = f->data;
    f->jpeg_bytes = 4;
    f->index = index;
    return f;
}

static struct sched_outcome submit(struct bench *b, unsigned seat, uint64_t index)
{
    return sched_submit(&b->sched, &b->seat[seat], frame_of(b, index));
}

/* All workers have nothing to do and know it. */
static void await_asleep(struct bench *b, unsigned n_workers)
{
    unsigned n_sleeping = 0;
    while (n_sleeping < n_workers) {
        sched_yield();
        pthread_mutex_lock(&b->sched.lock);
        n_sleeping = b->sched.n_sleeping;
        pthread_mutex_unlock(&b->sched.lock);
    }
}

/* One frame of seat 0 is in work and stays there. */
static void occupy_the_worker(struct bench *b)
{
    assert_int_equal(submit(b, 0, 0).verdict, VERDICT_RUN);
    await(&b->begun, 1);
}

/* All frames are through the pipeline and on the list of finished ones. */
static void run_out(struct bench *b, unsigned n_left)
{
    let_go(b, n_left);
    await(&b->begun, n_left - 1); /* the first of them has begun already */
    sched_stop(&b->sched);
}

/* ---- one seat ---- */

static void an_idle_seat_runs_its_frame_and_gives_it_back(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, 1);
    struct frame *f = frame_of(&b, 42);
    let_go(&b, 1);
    struct sched_outcome out = sched_submit(&b.sched, &b.seat[0], f);
    assert_int_equal(out.verdict, VERDICT_RUN);
    assert_null(out.replaced);
    await(&b.finished, 1);
    assert_ptr_equal(sched_collect(&b.sched), f);
    assert_null(f->next);
    assert_false(f->failed);
    assert_string_equal(text_str(&f->result), "{\"index\":42}");
    assert_true(f->started_us > 0 && f->finished_us >= f->started_us);
    assert_int_equal(sched_busy_us(&b.sched), f->finished_us - f->started_us);
    assert_null(sched_collect(&b.sched));
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
    struct sched_outcome out = submit(&b, 0, 1);
    assert_int_equal(out.verdict, VERDICT_WAIT);
    assert_null(out.replaced);
    for (uint64_t index = 2; index < 10; index++) {
        out = submit(&b, 0, index);
        assert_int_equal(out.verdict, VERDICT_REPLACE);
        assert_int_equal(out.replaced->index, index - 1);
        pool_put(&b.pool, out.replaced);
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
    struct sched_outcome out = submit(&b, 1, 1);
    assert_int_equal(out.verdict, VERDICT_REPLACE);
    assert_int_equal(out.replaced->index, 0);
    pool_put(&b.pool, out.replaced);
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
        put_back(&b, sched_collect(&b.sched));
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
        assert_int_equal(put_back(&b, sched_collect(&b.sched)), 1);
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
    pool_put(&b.pool, submit(&b, 1, 1).replaced);
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
            pool_put(&b.pool, submit(&b, 0, k).replaced);
        for (unsigned seat = 1; seat < N_SEATS; seat++)
            pool_put(&b.pool, submit(&b, seat, round).replaced);
        let_go(&b, N_SEATS);
        await(&b.begun, N_SEATS); /* all others and seat 0 again */
        unsigned turns[N_SEATS] = {0};
        for (unsigned i = 0; i < N_SEATS; i++)
            turns[b.order[1 + round * N_SEATS + i]]++;
        for (unsigned seat = 0; seat < N_SEATS; seat++)
            assert_int_equal(turns[seat], 1);
        put_back(&b, sched_collect(&b.sched));
    }
    let_go(&b, 1);
    sched_stop(&b.sched);
    bench_end(&b);
}

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
    assert_true(f->failed);
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
    assert_true(f->failed);
    put_back(&b, f);
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
        struct sched_outcome out = submit(&b, i % 2, i);
        assert_int_equal(out.verdict, VERDICT_RUN);
        assert_int_equal(b.n_begun, i + 1); /* done when submit returns */
        struct frame *f = sched_collect(&b.sched);
        assert_int_equal(f->index, i);
        assert_int_equal(put_back(&b, f), 1);
    }
    sched_stop(&b.sched);
    bench_end(&b);
}

static void the_io_thread_is_woken_once_for_many_frames(void **state)
{
    (void)state;
    struct bench b;
    int wakes;
    bench_start(&b, 0);
    let_go(&b, 10);
    for (unsigned i = 0; i < 9; i++)
        submit(&b, 0, i);
    sem_getvalue(&b.finished, &wakes);
    assert_int_equal(wakes, 1);
    assert_int_equal(put_back(&b, sched_collect(&b.sched)), 9);
    submit(&b, 0, 9);
    sem_getvalue(&b.finished, &wakes);
    assert_int_equal(wakes, 2);
    sched_stop(&b.sched);
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
    for (const struct seat *seat = b->sched.first; seat; seat = seat->next) {
        ok &= seat->claimed ? only_claimed : seat->waiting != NULL;
        only_claimed &= seat->claimed != NULL;
        n_claimed += seat->claimed != NULL;
    }
    ok &= n_claimed == b->sched.n_claimed;
    pthread_mutex_unlock(&b->sched.lock);
    return ok;
}

static void frames_that_free_workers_were_given_are_the_head_of_the_line(void **state)
{
    (void)state;
    struct bench b;
    unsigned n_wrong = 0;
    bench_start(&b, 3);
    let_go(&b, N_FRAMES);
    for (unsigned i = 0; i < N_FRAMES; i++) {
        pool_put(&b.pool, submit(&b, i % N_SEATS, i).replaced);
        n_wrong += !is_line_in_order(&b);
        if (i % 4 == 3)
            await(&b.begun, 1);
    }
    sched_stop(&b.sched);
    bench_end(&b);
    assert_int_equal(n_wrong, 0);
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
        count_one(&t, &b, submit(&b, seat, i).replaced);
        if ((random >> 28 & 3) == 0)
            await(&b.begun, 1); /* so that the workers are in the middle of it */
        if (random >> 20 & 1)
            count(&t, &b, sched_collect(&b.sched));
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
        cmocka_unit_test(a_failing_pipeline_marks_its_frame),
        cmocka_unit_test(a_result_too_long_to_tell_is_a_failure),
        cmocka_unit_test(stopping_waits_for_what_is_in_work_and_no_more),
        cmocka_unit_test(what_a_free_worker_was_given_is_run_before_the_end),
        cmocka_unit_test(an_idle_scheduler_stops_at_once),
        cmocka_unit_test(no_workers_run_the_frame_in_the_callers_thread),
        cmocka_unit_test(the_io_thread_is_woken_once_for_many_frames),
        cmocka_unit_test(frames_that_free_workers_were_given_are_the_head_of_the_line),
        cmocka_unit_test(every_frame_comes_back_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
