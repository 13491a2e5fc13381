/* sched.h - the workers, and the turns that sessions take at them.
 *
 * Every session has a seat: room for one waiting frame, the newest, and at most
 * one frame in work. Seats with something to do stand in one line; a worker
 * takes the first seat's frame, and when it is done the seat, if a newer frame
 * has come meanwhile, goes to the end of the line. So sessions share the
 * workers by turns, however fast one of them sends, and memory is bounded by
 * sessions, not by rate. Who stays and who is replaced decides admit.h.
 *
 * While a worker is free there is no line: an idle session's frame is that
 * worker's at once, "in work" before the thread has woken up, so that a burst
 * cannot replace a frame which nothing stood in the way of.
 *
 * With 0 workers sched_submit runs the pipeline itself, on the I/O thread:
 * cheaper for pipelines that take less than the hand-over, wrong for others.
 *
 * Ownership: submit takes the frame; leave, and the list of finished frames,
 * give frames back. Seats live in their sessions. Threads: all functions on
 * the I/O thread; on_finished is called by workers (by the I/O thread when there
 * are none) and must only wake the I/O thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "server/admit.h"
#include "server/frame.h"
#include "server/pipeline.h"

struct seat { /* all zero: empty; all of it under the scheduler's lock but the first two */
    const struct pipeline *pipeline;
    void *state; /* the session's pipeline state: used by the worker that has its frame */
    struct frame *waiting;
    struct frame *claimed;    /* a free worker's, which has not woken up yet */
    bool in_work;             /* a worker has a frame, or has claimed one */
    struct seat *prev, *next; /* the line */
    bool in_line;
};

struct sched {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct seat *first, *last;
    unsigned n_sleeping; /* workers, and those called and not awake yet */
    unsigned n_claimed;  /* seats in line with a claimed frame: they are its head */
    struct frame *finished, **finished_end; /* oldest first */
    bool woken;                             /* on_finished was called since the last collect */
    bool stopping;
    uint64_t busy_us; /* sum over all workers */

    pthread_t *threads;
    unsigned n_threads;
    void (*on_finished)(void *ctx);
    void *ctx;
};

struct sched_outcome {
    enum verdict verdict;
    struct frame *replaced; /* given to the caller; NULL unless VERDICT_REPLACE */
};

int sched_start(struct sched *s, unsigned n_workers, void (*on_finished)(void *ctx), void *ctx,
                struct err *e);

/* Ends the workers after what they have in work. Waits for them; nothing else may be
 * called after it. */
void sched_stop(struct sched *s);

/* Takes f, which has its session's seat. */
struct sched_outcome sched_submit(struct sched *s, struct seat *seat, struct frame *f);

/* Gives back the waiting frame, or NULL; a frame in work comes with sched_collect. */
struct frame *sched_leave(struct sched *s, struct seat *seat);

/* Gives all finished frames, oldest first, linked by next. */
struct frame *sched_collect(struct sched *s);

/* For /sessions and /metrics. */
void sched_look(struct sched *s, const struct seat *seat, bool *in_work, bool *waiting);
uint64_t sched_busy_us(struct sched *s);
