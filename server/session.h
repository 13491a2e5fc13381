/* session.h - one client's stream: its frames, its answers, its ledger.
 *
 * A session begins with the handshake and lives until its connection is closed
 * and its last frame has come back from a worker. Callbacks of the connection
 * (stream.c) translate into the session_on_* functions; every decision about a
 * frame is in assembly.h, admit.h and pressure.h.
 *
 * Ownership: made and freed here; linked into struct io. Threads: that of its io; others may read
 * what /sessions tells while that stands still (io_look).
 */
#pragma once

#include <libwebsockets.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"
#include "common/proto.h"
#include "server/assembly.h"
#include "server/ledger.h"
#include "server/outbox.h"
#include "server/pressure.h"
#include "server/sched.h"

struct io;

enum session_phase {
    SESSION_OPEN,     /* frames are taken */
    SESSION_DRAINING, /* the server stops: what is in work is answered, nothing is taken */
    SESSION_ENDING,   /* last messages, then the close code; input is read and ignored */
    SESSION_CLOSED    /* the connection is gone; frames in work may still come back */
};

struct session {
    struct io *io;
    struct lws *wsi; /* NULL when closed */
    struct session *prev, *next;
    char id[37];   /* UUID version 4 */
    char peer[64]; /* "127.0.0.1:51234" */
    struct proto_query query;
    enum session_phase phase;
    const char *end_reason; /* why it ended, for the log; NULL while it has not */
    unsigned close_code;    /* what we close with, or the peer did; 0: nobody said */
    bool close_sent;

    struct assembly_limits limits;
    struct assembly assembly;
    struct seat seat;                /* under the scheduler's lock */
    const struct pipeline *pipeline; /* NULL: an unknown one was asked for */
    void *state;                     /* the pipeline's, of this session */
    unsigned n_out;                  /* frames at the scheduler: waiting, in work, finished */
    struct outbox outbox;

    struct ledger ledger;
    struct pressure pressure;
    uint64_t received_bytes, replies_unsent;
    uint64_t connected_us, heard_us, last_frame_us, ending_us;

    struct {                                   /* of the last full second, for /sessions */
        uint64_t since_us, received, answered; /* at its beginning */
        double received_per_s, answered_per_s;
    } rate;
};

/* Makes the session of a handshake. NULL: out of memory, refuse the connection.
 * Tells invalid_pipeline or that the server is full by itself. */
struct session *session_new(struct io *io, struct lws *wsi, const struct proto_query *query);

void session_on_piece(struct session *s, const struct assembly_piece *piece);
/* The socket takes bytes. -1: everything is said, close. */
int session_on_writable(struct session *s);
void session_on_finished(struct session *s, struct frame *f);
void session_on_peer_close(struct session *s, unsigned code);
void session_on_closed(struct session *s);

/* Timeouts and rates; now and then. */
void session_tick(struct session *s, uint64_t now_us);

/* The server stops: answers what is in work, then closes with 1001. */
void session_drain(struct session *s);

/* The server stops, and what is in work takes too long: closes now. */
void session_dismiss(struct session *s);

/* Out of time: counts what is still at the workers as dropped and tells the end. A
 * worker may still hold the session's frame, so it is not freed: only right
 * before the process ends. */
void session_abandon(struct session *s);

/* One object of GET /sessions. */
void session_write(struct session *s, struct json *j, uint64_t now_us);
