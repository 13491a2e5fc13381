/* io.h - one I/O thread: a loop with libwebsockets and our descriptors in it, a door, the sessions
 * that came through it, and what they share.
 *
 * A session stays on the thread that it came to, so nothing of it is ever locked for another. The
 * thread holds its lock unless it sleeps or is in a pipeline: who holds the lock of another thread
 * sees that one stand still (io_look). Uncontended, that costs four atomic operations a turn, and
 * four for each frame that it runs itself.
 *
 * Ownership: struct streamd has them all. Threads: its own, unless a function says otherwise.
 */
#pragma once

#include <ev.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/loop.h"
#include "common/text.h"
#include "server/door.h"
#include "server/frame.h"
#include "server/sched.h"
#include "server/stats.h"

struct session;
struct streamd;

struct io {
    struct streamd *d;
    unsigned number; /* from 0 */
    pthread_t thread;
    bool has_thread;      /* of its own: all but the first */
    pthread_mutex_t lock; /* see io_lock */
    pthread_mutex_t gate; /* held on the way to the lock: who came first is next */
    struct ev_loop *ev;   /* libwebsockets', and so ours: see loop.h */
    struct ev_async wake;
    struct loop loop;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    struct door door;
    struct pool pool;
    size_t freed_bytes;  /* by the pool, and not given back to the system yet */
    struct sched *sched; /* that of all, or the one below */
    struct sched own;    /* with --workers 0 */
    struct outlet outlet;
    struct stats stats;
    struct text message; /* the reply being built, behind LWS_PRE bytes */

    struct session *sessions;    /* connected, and those whose frames are still in work */
    _Atomic unsigned n_sessions; /* connected; any thread may read it */
    struct loop_timer tick;      /* timeouts and rates, while there are sessions or idle frames */
    unsigned n_ticks;
    struct loop_timer deadline; /* of draining */
    bool draining, overran;

    pthread_mutex_t inbox_lock; /* of what follows: connections on their way to the door */
    int *inbox;
    size_t n_inbox, inbox_cap;
};

/* On the main thread: all but the thread. 0, or -EXIT_FAILED; io_deinit in either case. */
int io_init(struct io *io, struct streamd *d, struct err *e);
/* After its thread has ended; closes what is open. */
void io_deinit(struct io *io);

/* Serves until the server has stopped: here, or in a thread of its own. */
void io_run(struct io *io);
int io_start(struct io *io, struct err *e);
/* Waits for the thread, unless draining took too long: it may be in a pipeline for ever. */
void io_join(struct io *io);

/* Looks after its inbox, its outlet and the state of the server, soon. Any thread. */
void io_wake(struct io *io);
/* Takes the descriptor of a new connection. Any thread. */
void io_hand_over(struct io *io, int fd);

/* Answers everything that its frames' workers have finished. */
void io_collect(struct io *io);

/* Its thread lets others look while it runs a pipeline, which may take as long as it likes. Who has
 * the lock of another thread sees that one stand still. */
void io_unlock(struct io *io);
void io_lock(struct io *io);

/* Calls look for each I/O thread in turn while that one stands still. Only from a callback of
 * self's loop, which does not go on meanwhile. */
void io_look(struct io *self, void (*look)(const struct io *io, void *ctx), void *ctx);

/* A session came; the tick runs while there are any. */
void io_session_opened(struct io *io);

/* The callbacks of libwebsockets (stream.c): sessions, pages, and our loop. */
extern const struct lws_protocols io_protocols[];
