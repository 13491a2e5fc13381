/* sched.h - the workers, and the turns that sessions take at them.
 *
 * A lock and threads around turns.h, which says who is next, and admit.h, which
 * says what happens to a frame. A worker takes the next turn, runs the pipeline
 * outside the lock, and puts the frame on the list of finished ones, from which
 * the I/O thread of its session collects it; so do frames that were too late at their turn.
 *
 * What turns.h finds cheap sched_submit runs itself, on the I/O thread; with 0 workers it runs
 * everything. Each I/O thread then has a scheduler of its own; workers are shared by all.
 * Whoever runs pipelines has one decoder for all of its frames.
 *
 * Ownership: submit takes the frame; leave, and the list of finished frames,
 * give frames back. Seats live in their sessions. Threads: all functions on
 * any I/O thread, but those about a seat on that of its session, and sched_collect on that of
 * the outlet; on_finished is called by workers and must only wake the I/O thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "server/decode.h"
#include "server/turns.h"

/* Where the frames of one I/O thread come out. */
struct outlet {
    struct frame *finished, **finished_end; /* oldest first; under the scheduler's lock */
    bool woken;                             /* on_finished was called since the last collect */
    struct decode decode;                   /* for what that thread runs itself */
    void (*on_finished)(void *ctx);
    void *ctx;
};

void outlet_init(struct outlet *o, void (*on_finished)(void *ctx), void *ctx);
void outlet_deinit(struct outlet *o);

struct sched {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct turns turns;
    bool stopping;
    uint64_t busy_us; /* sum over all workers */

    uint64_t pixels_max; /* see decode.h; 0 or set before the first frame */
    pthread_t *threads;
    unsigned n_threads;
};

struct sched_options {
    struct admit_rule rule;
    unsigned n_workers;
    uint64_t here_below_us; /* pipelines that keep taking no more run on the I/O thread; 0: none */
    uint64_t pixels_max;    /* of a picture that is decoded */
};

int sched_start(struct sched *s, const struct sched_options *o, struct err *e);

/* Ends the workers after what they have in work. Waits for them; nothing else may be
 * called after it. */
void sched_stop(struct sched *s);

/* Whether the next frame of that seat, if it is run at all, is run by sched_submit. Only on the
 * seat's thread: with 0 workers nobody else looks at it. */
bool sched_runs_here(struct sched *s, struct seat *seat);

/* Takes f, which has an outlet; gives back the frame that was dropped for it, or f itself: see
 * turns_submit. With out.here it has run f, which is the caller's again. */
struct turns_outcome sched_submit(struct sched *s, struct seat *seat, struct frame *f);

/* A frame of that seat was dropped on the way here. */
void sched_miss(struct sched *s, struct seat *seat);

/* Gives back the waiting frame, or NULL; a frame in work comes with sched_collect. */
struct frame *sched_leave(struct sched *s, struct seat *seat);

/* Gives all frames of that outlet that are run or were too late, oldest first, linked by next. */
struct frame *sched_collect(struct sched *s, struct outlet *o);

/* For /sessions and /metrics. */
void sched_look(struct sched *s, const struct seat *seat, bool *in_work, bool *waiting);
uint64_t sched_busy_us(struct sched *s);
