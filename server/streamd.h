/* streamd.h - the server: what all I/O threads share, and its life.
 *
 * I/O threads (io.h) own connections and sessions; the first is the main thread, and takes
 * connections and signals for all. Workers (sched.h) see frames and pipeline states. What is here
 * does not change after the start, but for what is atomic.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "common/err.h"
#include "server/io.h"
#include "server/listen.h"
#include "server/options.h"
#include "server/pipeline.h"
#include "server/pressure.h"
#include "server/sched.h"

struct streamd {
    const struct settings *settings; /* borrowed */
    struct pipeline_set pipelines;
    struct pressure_limits limits;
    struct sched_options sched_options;
    struct sched sched;   /* the workers; not used with --workers 0 */
    struct cheap *kin;    /* an item for each of the pipelines; under that scheduler's lock */
    struct memory memory; /* of frames */
    struct io *io;
    unsigned n_io;

    struct listeners listeners; /* on the first I/O thread, as is what follows */
    struct loop_watch signals;  /* signalfd */

    _Atomic unsigned n_sessions;  /* connected */
    _Atomic unsigned n_traces;    /* those, and closed ones whose frames are still in work */
    _Atomic bool warned_sessions; /* above the recommended number, told once */
    _Atomic unsigned n_draining;  /* I/O threads that do */
    _Atomic bool draining, overran, stopped;
};

/* 0, or -exit_code. After a failure streamd_stop cleans up what was started. */
int streamd_start(struct streamd *d, const struct settings *settings, struct err *e);

/* Serves until SIGTERM or SIGINT, then drains: answers what is in work, closes
 * the sessions with 1001, at most for settings->drain_timeout_us. 0 or -EXIT_FAILED. */
int streamd_run(struct streamd *d, struct err *e);
void streamd_stop(struct streamd *d);

/* For seat->kin of that pipeline's sessions; p: one of d's, or NULL. Any thread. */
struct cheap *streamd_kin(const struct streamd *d, const struct pipeline *p);

/* What I/O threads tell, each on its own: */

/* A session came. */
void streamd_session_opened(struct streamd *d);
/* A connection, or the last trace of a session, is gone; the last one ends draining. */
void streamd_session_gone(struct streamd *d);
/* It takes no new sessions. */
void streamd_drains(struct streamd *d);
/* The time for draining is over: nobody waits for frames in work any more. */
void streamd_overran(struct streamd *d);
/* The end, for all. */
void streamd_stop_all(struct streamd *d);
