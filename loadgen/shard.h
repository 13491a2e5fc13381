/* shard.h - one thread of the generator: its sessions, its event loop, its part of the record.
 *
 * libev waits (epoll), libwebsockets' sockets are in the same loop, and one timerfd wakes for
 * the next appointment of any session. Nothing is shared with other shards but the load,
 * which nobody changes, and the few fields marked below.
 *
 * A shard connects its sessions, then waits to be told the time of the first frame; plays; drains
 * what is in flight; closes; ends.
 *
 * Ownership: the caller's storage; shard_deinit after the thread has ended.
 */
#pragma once

#include <libwebsockets.h>

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/text.h"
#include "loadgen/agenda.h"
#include "loadgen/camera.h"
#include "loadgen/load.h"

struct session;

enum shard_stage { SHARD_CONNECTING, SHARD_PLAYING, SHARD_DRAINING, SHARD_CLOSING, SHARD_OVER };

/* What others may see while it runs. */
struct shard_view {
    struct record_part *part; /* a copy of the record's parts so far */
    struct hist recent;       /* latencies of the second that is being filled and the last one */
    uint32_t sessions_open;
    char trouble[256]; /* the first thing that went wrong with a connection; "" */
};

struct shard {
    const struct load *load;
    unsigned number; /* this of n_shards */
    bool spin;
    enum shard_stage stage;
    size_t n_sessions;
    struct session *session;
    struct agenda agenda;
    struct book book;
    uint64_t start_us; /* of the run, on the monotonic clock; 0: not known yet */
    uint64_t end_us;   /* no frame is due from then on */
    uint64_t drain_us; /* patience ends */
    uint64_t born_us;

    struct ev_loop *ev;
    struct ev_io timer_watch;
    struct ev_async wake;
    int timer_fd;
    uint64_t timer_us; /* what it is set to */
    uint64_t tick_us;  /* the next look at what expires */
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct lws_protocols protocols[2];
    uint8_t *scratch; /* LWS_PRE and the message that is being sent */
    uint32_t key[256];
    unsigned n_keys; /* that are left */

    size_t n_pending;   /* of those to be connected before the start: not open and not failed yet */
    uint64_t n_churned; /* hang-ups due to --churn, in all segments and threads */
    uint32_t peak_open; /* most sessions open at the same time */
    uint64_t cpu_us, run_queue_us; /* of the run */

    /* --- for other threads --- */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    struct shard_view view; /* under the lock */
    _Atomic uint64_t told_start_us;
    _Atomic uint64_t told_end_us; /* an earlier end; 0: as planned */
    atomic_bool ready;            /* n_pending is 0 */
    atomic_bool over;
};

int shard_init(struct shard *s, const struct load *load, unsigned number, unsigned n_shards,
               struct err *e);
void shard_deinit(struct shard *s);

/* Starts the thread, and waits for its end; nothing to wait for if it was not started. */
int shard_start(struct shard *s, struct err *e);
void shard_join(struct shard *s);

/* From any thread: the first frames are due at start_us; the last before end_us. */
void shard_tell_start(struct shard *s, uint64_t start_us);
void shard_tell_end(struct shard *s, uint64_t end_us);

/* Adds what is seen of it now. `into` has room for all parts. */
void shard_add_view(struct shard *s, struct shard_view *into);

/* --- for session.c --- */

/* Microseconds since the start; 0 before it. */
uint64_t shard_since_start_us(const struct shard *s, uint64_t now_us);

/* A masking key that nobody can guess (RFC 6455, 5.3). */
uint32_t shard_key(struct shard *s);

/* What went wrong, in words; only the first is kept. */
void shard_note_trouble(struct shard *s, const char *text, size_t n);

/* One of the sessions to be connected before the start is, or has failed. */
void shard_on_settled(struct shard *s);
