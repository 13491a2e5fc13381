/* turns_bench.h - a line of seats without threads: the test is the workers, and the clock. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "server/turns.h"

#define N_SEATS   8
#define N_FRAMES  4096
#define N(array)  (sizeof(array) / sizeof((array)[0]))
#define BUDGET_US 37000u
#define FRAME_US  33333u /* 30 fps */
#define NO_BUDGET ((struct admit_rule){.policy = POLICY_LATEST})
#define LATEST    ((struct admit_rule){.policy = POLICY_LATEST, .budget_us = BUDGET_US})
#define STRICT    ((struct admit_rule){.policy = POLICY_STRICT})
#define PHASE17   ((struct admit_rule){POLICY_PHASE17, BUDGET_US, 0.10})

struct bench {
    struct turns turns;
    struct seat seat[N_SEATS];
    struct frame frame[N_FRAMES]; /* used in a ring: a test has few at a time */
    unsigned n_frames;
    uint64_t now_us;
};

/* The bench is too large for every stack: each test program has one. */
static struct bench the_bench;

static inline struct bench *bench_begin(struct admit_rule rule, unsigned n_free)
{
    memset(&the_bench, 0, sizeof the_bench);
    the_bench.turns.rule = rule;
    the_bench.turns.n_free = n_free;
    the_bench.now_us = 1000000;
    return &the_bench;
}

static inline struct frame *frame_now(struct bench *b, uint64_t index)
{
    struct frame *f = &b->frame[b->n_frames++ % N_FRAMES];
    *f = (struct frame){.index = index, .arrived_us = b->now_us};
    return f;
}

static inline struct turns_outcome submit(struct bench *b, unsigned seat, uint64_t index)
{
    return turns_submit(&b->turns, &b->seat[seat], frame_now(b, index));
}

/* What comes up now: its seat's number, or N_SEATS when the line is empty. */
static inline unsigned take(struct bench *b, struct frame **f)
{
    struct seat *seat = NULL;
    *f = turns_take(&b->turns, b->now_us, &seat);
    if (!*f)
        return N_SEATS;
    if ((*f)->fate != FRAME_DROPPED)
        (*f)->started_us = b->now_us;
    return (unsigned)(seat - b->seat);
}

static inline struct frame *take_of(struct bench *b, unsigned seat)
{
    struct frame *f;
    assert_int_equal(take(b, &f), seat);
    return f;
}

static inline void finish(struct bench *b, unsigned seat, struct frame *f, uint64_t took_us)
{
    b->now_us += took_us;
    f->fate = FRAME_ANSWERED;
    f->finished_us = b->now_us;
    turns_finish(&b->turns, &b->seat[seat], f);
}

/* The seat's frame comes up, runs and is done. */
static inline void run(struct bench *b, unsigned seat, uint64_t took_us)
{
    struct frame *f = take_of(b, seat);
    assert_int_equal(f->fate, FRAME_ANSWERED);
    finish(b, seat, f, took_us);
}

/* So that the seat's pipeline is known to take so long. */
static inline void teach(struct bench *b, unsigned seat, uint64_t took_us)
{
    for (unsigned i = 0; i < ESTIMATE_SAMPLES; i++)
        estimate_add(&b->seat[seat].estimate, took_us);
}

/* NULL, or what is wrong with the line and its counters. */
static inline const char *line_fault(const struct turns *t)
{
    unsigned n_in_line = 0, n_claimed = 0;
    const struct seat *prev = NULL;
    for (const struct seat *s = t->first; s; prev = s, s = s->next) {
        if (s->prev != prev)
            return "the line is not linked both ways";
        if (!s->in_line)
            return "a seat in the line does not know it";
        if (s->claimed ? !s->in_work : s->in_work || !s->waiting)
            return "a seat stands in the line for nothing, or while a worker has its frame";
        if (++n_in_line > 1000)
            return "the line is a ring";
        n_claimed += s->claimed != NULL;
    }
    if (t->last != prev)
        return "the last is not the last";
    if (t->n_in_line != n_in_line)
        return "n_in_line is wrong";
    if (t->n_claimed != n_claimed)
        return "n_claimed is wrong";
    return NULL;
}

static inline void assert_line(const struct bench *b, unsigned n_in_line, unsigned n_claimed)
{
    const char *fault = line_fault(&b->turns);
    if (fault)
        fail_msg("%s", fault);
    assert_int_equal(b->turns.n_in_line, n_in_line);
    assert_int_equal(b->turns.n_claimed, n_claimed);
}
