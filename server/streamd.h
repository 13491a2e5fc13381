/* streamd.h - the server: what the parts share, and its life.
 *
 * One I/O thread owns all of this: libwebsockets' loop with our descriptors in
 * it (loop.h), the door, the sessions, the pool. Workers see frames and
 * pipeline states, never this struct; what they finish comes back through
 * sched_collect after an eventfd.
 */
#pragma once

#include <ev.h>
#include <libwebsockets.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/loop.h"
#include "common/text.h"
#include "server/door.h"
#include "server/frame.h"
#include "server/options.h"
#include "server/pipeline.h"
#include "server/pressure.h"
#include "server/sched.h"
#include "server/stats.h"

struct session;

struct streamd {
    const struct settings *settings; /* borrowed */
    struct pipeline_set pipelines;
    struct pressure_limits limits;
    struct stats stats;

    struct ev_loop *ev; /* libwebsockets', and so ours: see loop.h */
    struct loop loop;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    struct door door;
    struct pool pool;
    struct sched sched;

    struct session *sessions; /* connected, and those whose frames are still in work */
    unsigned n_sessions;      /* connected */
    bool warned_sessions;     /* above the recommended number, told once */
    struct text message;      /* the reply being built, behind LWS_PRE bytes */

    struct ev_async finished;   /* a worker finished something */
    struct loop_watch signals;  /* signalfd */
    struct loop_timer tick;     /* timeouts and rates, while there are sessions */
    struct loop_timer deadline; /* of draining */
    bool draining, stopped, overran;
};

/* 0, or -exit_code. After a failure streamd_stop cleans up what was started. */
int streamd_start(struct streamd *d, const struct settings *settings, struct err *e);

/* Serves until SIGTERM or SIGINT, then drains: answers what is in work, closes
 * the sessions with 1001, at most for settings->drain_timeout_us. */
void streamd_run(struct streamd *d);
void streamd_stop(struct streamd *d);

/* Answers everything the workers have finished. */
void streamd_collect(struct streamd *d);

/* A session came; the tick runs while there are any. */
void streamd_session_opened(struct streamd *d);
/* A connection, or the last trace of a session, is gone; the last one ends draining. */
void streamd_session_gone(struct streamd *d);

/* The callbacks of libwebsockets (stream.c): sessions, pages, and our loop. */
extern const struct lws_protocols streamd_protocols[];
