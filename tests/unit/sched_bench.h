/* sched_bench.h - a scheduler whose pipeline stops in the middle of each frame.
 *
 * The test lets it go on, frame by frame: so the test decides what happens while a worker is
 * busy, without waiting for a time.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sched.h>
#include <semaphore.h>
#include <string.h>

#include "common/clock.h"
#include "server/pipeline.h"
#include "server/sched.h"

static struct memory no_cap;

#define N_SEATS 8
#define JPEG    "\xff\xd8\xff\xd9"

struct bench {
    struct sched sched;
    struct outlet outlet;
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

static inline void note_begin(struct bench *b, unsigned seat)
{
    pthread_mutex_lock(&b->lock);
    b->order[b->n_begun++] = seat;
    if (++b->in_work[seat] > b->in_work_max)
        b->in_work_max = b->in_work[seat];
    pthread_mutex_unlock(&b->lock);
}

static inline void note_end(struct bench *b, unsigned seat)
{
    pthread_mutex_lock(&b->lock);
    b->in_work[seat]--;
    pthread_mutex_unlock(&b->lock);
}

static inline int process_gated(const struct pipeline *p, void *state,
                                const struct pipeline_frame *frame, struct json *result)
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

static inline void on_finished(void *ctx)
{
    struct bench *b = ctx;
    sem_post(&b->finished);
}

static inline void bench_start_rule(struct bench *b, const struct admit_rule *rule,
                                    unsigned n_workers)
{
    memset(b, 0, sizeof *b);
    b->pool = pool_make(&no_cap, (size_t)64 << 20);
    b->pipeline.kind = &gated;
    sem_init(&b->begun, 0, 0);
    sem_init(&b->go, 0, 0);
    sem_init(&b->finished, 0, 0);
    pthread_mutex_init(&b->lock, NULL);
    for (unsigned i = 0; i < N_SEATS; i++) {
        seat_states[i] = (struct seat_state){b, i};
    }
    struct sched_options o = {.rule = *rule, .n_workers = n_workers};
    outlet_init(&b->outlet, on_finished, b);
    assert_int_equal(sched_start(&b->sched, &o, NULL), 0);
}

/* The newest wins and nothing is ever too late: what a frame's fate is does not depend on
 * how fast the machine is. */
static inline void bench_start(struct bench *b, unsigned n_workers)
{
    bench_start_rule(b, &(struct admit_rule){.policy = POLICY_LATEST}, n_workers);
}

static inline unsigned put_back(struct bench *b, struct frame *list)
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
static inline struct frame *take_finished(struct bench *b)
{
    struct frame *list = b->outlet.finished;
    b->outlet.finished = NULL;
    return list;
}

static inline struct frame *take_waiting(struct bench *b, unsigned seat)
{
    struct frame *f = b->seat[seat].waiting;
    b->seat[seat].waiting = NULL;
    return f;
}

static inline void bench_end(struct bench *b)
{
    put_back(b, take_finished(b));
    for (unsigned i = 0; i < N_SEATS; i++)
        pool_put(&b->pool, take_waiting(b, i));
    pool_deinit(&b->pool);
    outlet_deinit(&b->outlet);
    pthread_mutex_destroy(&b->lock);
    sem_destroy(&b->begun);
    sem_destroy(&b->go);
    sem_destroy(&b->finished);
}

static inline void let_go(struct bench *b, unsigned n)
{
    while (n--)
        sem_post(&b->go);
}

static inline void await(sem_t *s, unsigned n)
{
    while (n--)
        while (sem_wait(s) < 0)
            ;
}

static inline struct frame *frame_of(struct bench *b, unsigned seat, uint64_t index)
{
    struct frame *f = pool_get(&b->pool, 4);
    memcpy(f->data, JPEG, 4);
    f->jpeg = f->data;
    f->jpeg_bytes = 4;
    f->outlet = &b->outlet;
    f->pipeline = &b->pipeline;
    f->state = &seat_states[seat];
    f->arrived_us = clock_now_us();
    f->index = index;
    return f;
}

static inline struct turns_outcome submit(struct bench *b, unsigned seat, uint64_t index)
{
    return sched_submit(&b->sched, &b->seat[seat], frame_of(b, seat, index));
}

/* All workers have nothing to do and know it. */
static inline void await_asleep(struct bench *b, unsigned n_workers)
{
    unsigned n_free = 0;
    while (n_free < n_workers) {
        sched_yield();
        pthread_mutex_lock(&b->sched.lock);
        n_free = b->sched.turns.n_free;
        pthread_mutex_unlock(&b->sched.lock);
    }
}

/* One frame of seat 0 is in work and stays there. */
static inline void occupy_the_worker(struct bench *b)
{
    assert_int_equal(submit(b, 0, 0).verdict, VERDICT_RUN);
    await(&b->begun, 1);
}

/* All frames are through the pipeline and on the list of finished ones. */
static inline void run_out(struct bench *b, unsigned n_left)
{
    let_go(b, n_left);
    await(&b->begun, n_left - 1); /* the first of them has begun already */
    sched_stop(&b->sched);
}
