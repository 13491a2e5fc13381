/* session.h - one simulated camera's connection: dials, sends what is due, hears the answers.
 *
 * libwebsockets connects, does TLS and the handshake, reads, answers pings and closes. Frames
 * are written as bytes that are masked already (see common/wsframe.h), through the library, so that
 * nothing of its own gets between the parts of a frame. camera.h keeps the account.
 *
 * Every time is on the monotonic clock. Threads: the shard's.
 */
#pragma once

#include <libwebsockets.h>

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "loadgen/agenda.h"
#include "loadgen/camera.h"
#include "loadgen/follow.h"
#include "loadgen/shard.h"

enum session_state {
    SESSION_OFF,     /* not part of the load now, or given up */
    SESSION_WAITING, /* for the time to dial */
    SESSION_DIALING,
    SESSION_OPEN,
    SESSION_CLOSING /* our close is sent */
};

struct session {
    struct agenda_item item; /* first: what the agenda gives back */
    struct shard *shard;
    struct camera camera;
    struct follow *follow; /* --adapt, else NULL */
    struct lws *wsi;
    enum session_state state;
    bool pending;    /* to be connected before the start */
    bool counting;   /* its frames are due */
    bool leaving;    /* sends no more, and closes once all is settled */
    bool come_again; /* and then dials again */
    bool blocked;    /* a frame is partly written */
    size_t blocked_bytes;
    uint64_t dial_us, dialed_us, tcp_us, tls_us; /* the last three: of this connection */
    uint64_t patience_us;                        /* when dialing, leaving or closing is given up */
    uint64_t change_us;                          /* when the plan wants something else */
    uint64_t slow_us;                            /* when a slow reader reads again */
    unsigned n_failed;                           /* dials in a row */
    struct text message;                         /* of several fragments */
    struct ev_io tcp_watch, stamp_watch;
};

void session_init(struct session *s, struct shard *shard, uint32_t index);
void session_deinit(struct session *s);

/* The run begins: from now on its frames are due. */
void session_on_start(struct session *s);

/* Its appointment is due: does all that is due by now, and makes the next appointment. */
void session_on_due(struct session *s, uint64_t now_us);

/* The end: sends no more; closes when all is settled, or at once. */
void session_hang_up(struct session *s, uint64_t now_us);

/* Frames due before end_us that it never came to. */
void session_count_unsent(struct session *s, uint64_t end_us, uint64_t now_us);

/* The callback for libwebsockets. */
int session_on_websocket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t n_bytes);

/* Hangs up now and dials again at once (--churn). */
void session_churn(struct session *s, uint64_t now_us);
