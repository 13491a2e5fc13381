#include "server/session.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/streamd.h"

/* Frames of a session at the scheduler: one in work, one waiting, some done. */
#define N_OUT_MAX             8
#define CLOSE_TRY_AGAIN_LATER 1013 /* registered after libwebsockets named its codes */

/* ---- what is said about a session ---- */

static void log_session(struct log_line *l, enum log_level level, const char *event,
                        const struct session *s)
{
    log_begin(l, level, event);
    log_str(l, "session_id", s->id);
    log_str_n(l, "pipeline_id", s->query.pipeline_id, s->query.pipeline_id_bytes);
}

static void log_connect(const struct session *s)
{
    struct log_line l;
    log_session(&l, LOG_INFO, "stream_connect", s);
    log_str(&l, "peer", s->peer);
    log_end(&l);
}

static void log_disconnect(const struct session *s)
{
    struct log_line l;
    log_session(&l, LOG_INFO, "stream_disconnect", s);
    log_str(&l, "reason", s->end_reason ? s->end_reason : "lost");
    log_u64(&l, "close_code", s->close_code);
    log_u64(&l, "received", s->ledger.received);
    log_u64(&l, "answered", s->ledger.answered);
    log_u64(&l, "dropped", ledger_dropped(&s->ledger));
    log_u64(&l, "failed", s->ledger.failed);
    log_u64(&l, "rejected", s->ledger.rejected);
    for (int r = 0; r < DROP_REASONS; r++) {
        char key[32];
        snprintf(key, sizeof key, "dropped_%s", drop_reason_name((enum drop_reason)r));
        log_u64(&l, key, s->ledger.dropped[r]);
    }
    log_u64(&l, "replies_unsent", s->replies_unsent);
    log_u64(&l, "bytes", s->received_bytes);
    log_num(&l, "duration_s", (double)(clock_now_us() - s->connected_us) / 1e6, 3);
    log_end(&l);
}

static void log_state(const struct session *s, enum pressure_state from)
{
    struct log_line l;
    log_session(&l, LOG_INFO, "stream_state", s);
    log_str(&l, "from", pressure_state_name(from));
    log_str(&l, "to", pressure_state_name(s->pressure.state));
    log_num(&l, "drop_rate", pressure_drop_rate(&s->pressure), 3);
    log_end(&l);
}

/* ---- birth and death ---- */

/* RFC 9562, 5.4 */
static void make_uuid4(char out[37])
{
    uint8_t b[16];
    char *at = out;
    if (getrandom(b, sizeof b, 0) != sizeof b)
        abort(); /* cannot happen for 16 bytes once the kernel is up: getrandom(2) */
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++)
        at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
}

static void name_peer(struct lws *wsi, char out[64])
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    char host[48] = "?", port[8] = "?";
    if (getpeername(lws_get_socket_fd(wsi), (struct sockaddr *)&at, &n) == 0)
        getnameinfo((struct sockaddr *)&at, n, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(out, 64, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* How many sessions there are with it: of two that come at once one is the first. */
static unsigned link_in(struct session *s)
{
    s->next = s->io->sessions;
    if (s->next)
        s->next->prev = s;
    s->io->sessions = s;
    s->io->stats.sessions_total++;
    atomic_fetch_add(&s->io->n_sessions, 1);
    atomic_fetch_add(&s->io->d->n_traces, 1);
    return atomic_fetch_add(&s->io->d->n_sessions, 1) + 1;
}

static void unlink_and_free(struct session *s)
{
    struct io *io = s->io;
    *(s->prev ? &s->prev->next : &io->sessions) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    ledger_add(&io->stats.ended, &s->ledger);
    if (s->pipeline)
        pipeline_session_free(s->pipeline, s->state);
    free(s);
    atomic_fetch_sub(&io->d->n_traces, 1);
}

static void bury(struct session *s)
{
    struct streamd *d = s->io->d;
    log_disconnect(s);
    unlink_and_free(s);
    streamd_session_gone(d);
}

/* ---- messages ---- */

static struct text *message_begin(struct session *s)
{
    static const char room[LWS_PRE]; /* libwebsockets writes its header there */
    text_clear(&s->io->message);
    text_add_bytes(&s->io->message, room, sizeof room);
    return &s->io->message;
}

static void end_session(struct session *s, unsigned close_code, const char *reason);

/* The connection is of no use any more: it goes away after this callback. */
static void kill_connection(struct session *s, const char *reason)
{
    end_session(s, 0, reason);
    lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static int write_now(struct session *s)
{
    struct text *m = &s->io->message;
    size_t n = m->len - LWS_PRE;
    if (lws_write(s->wsi, (unsigned char *)m->data + LWS_PRE, n, LWS_WRITE_TEXT) < 0) {
        kill_connection(s, "lost");
        return -1;
    }
    s->io->stats.sent_bytes += n;
    return 0;
}

/* Says what message_begin began: at once when the socket takes it, which is the
 * usual case, else from the outbox in order. */
static void message_send(struct session *s)
{
    struct text *m = &s->io->message;
    if (m->cut) { /* out of memory for the message */
        kill_connection(s, "memory");
    } else if (!s->outbox.n && !lws_partial_buffered(s->wsi)) {
        write_now(s);
    } else if (outbox_put(&s->outbox, m->data + LWS_PRE, m->len - LWS_PRE, clock_now_us()) < 0) {
        kill_connection(s, "slow_reader");
    } else {
        lws_callback_on_writable(s->wsi);
    }
}

static bool is_heard(const struct session *s)
{
    return s->phase == SESSION_OPEN || s->phase == SESSION_DRAINING;
}

/* ---- the end of a session ---- */

static void drop(struct session *s, struct frame *f, enum drop_reason reason);

/* Takes no more frames; what waited is dropped. The close code goes out when
 * everything before it is written. */
static void end_session(struct session *s, unsigned close_code, const char *reason)
{
    if (s->phase == SESSION_ENDING || s->phase == SESSION_CLOSED)
        return;
    s->phase = SESSION_ENDING;
    s->ending_us = clock_now_us();
    s->end_reason = reason;
    s->close_code = close_code;
    assembly_deinit(&s->assembly, &s->io->pool);
    drop(s, sched_leave(s->io->sched, &s->seat), DROP_CLOSED);
    lws_callback_on_writable(s->wsi);
}

static void fail_session(struct session *s, enum proto_error error, const char *detail, size_t n)
{
    struct log_line l;
    log_session(&l, LOG_WARN, "stream_error", s);
    log_str(&l, "error", proto_error_name(error));
    log_str_n(&l, "detail", detail, n);
    log_end(&l);
    proto_write_error(message_begin(s), error, detail, n);
    message_send(s);
    end_session(s, LWS_CLOSE_STATUS_NORMAL, proto_error_name(error));
}

/* ---- the fate of a frame ---- */

static struct proto_reply reply_to(const struct session *s, const struct frame *f,
                                   struct proto_timing *timing)
{
    uint64_t now_us = clock_now_us();
    *timing = (struct proto_timing){.server_us = now_us - f->arrived_us, .has_decode = true};
    if (f->started_us) {
        timing->wait_us = f->started_us - f->arrived_us;
        timing->pipeline_us = f->finished_us - f->started_us;
        timing->decode_us = f->decode_us;
    } else {
        timing->wait_us = timing->server_us;
    }
    return (struct proto_reply){
        .frame_index = f->index,
        .frame_id = s->query.header ? &f->id : NULL,
        .timing = s->query.timing ? timing : NULL,
    };
}

/* After the message about a frame: did that change how the session stands? */
static void feel_pressure(struct session *s, bool dropped)
{
    struct pressure_step step =
        pressure_add(&s->pressure, &s->io->d->limits, dropped, clock_now_us());
    struct log_line l;
    if (step.changed)
        log_state(s, step.from);
    if (!step.slow_down || !is_heard(s))
        return;
    proto_write_slow_down(message_begin(s));
    message_send(s);
    s->io->stats.slow_downs++;
    log_session(&l, LOG_INFO, "stream_slow_down", s);
    log_num(&l, "drop_rate", pressure_drop_rate(&s->pressure), 3);
    log_end(&l);
}

static void tell_drop(struct session *s, const struct frame *f, enum drop_reason reason)
{
    struct proto_timing timing;
    s->ledger.dropped[reason]++;
    if (!is_heard(s))
        return;
    struct proto_reply r = reply_to(s, f, &timing);
    proto_write_drop(message_begin(s), &r, drop_reason_name(reason));
    message_send(s);
    feel_pressure(s, true);
}

/* Takes f, which may be NULL. */
static void drop(struct session *s, struct frame *f, enum drop_reason reason)
{
    if (!f)
        return;
    s->n_out--;
    tell_drop(s, f, reason);
    pool_put(&s->io->pool, f);
}

static struct stats_pipeline *stats_of(const struct session *s)
{
    return &s->io->stats.by_pipeline[s->pipeline - s->io->d->pipelines.item];
}

static void answer(struct session *s, const struct frame *f)
{
    struct proto_timing timing;
    struct proto_reply r = reply_to(s, f, &timing);
    s->ledger.answered++;
    proto_write_result(message_begin(s), &r, text_str(&f->result), f->result.len);
    message_send(s);
    stats_add_time(&s->io->stats.wait, timing.wait_us);
    stats_add_time(&s->io->stats.pipeline, timing.pipeline_us);
    stats_add_time(&s->io->stats.total, timing.server_us);
    stats_add_time(&stats_of(s)->time, timing.pipeline_us);
    feel_pressure(s, false);
}

static void fail(struct session *s, const struct frame *f)
{
    char detail[160];
    int n = snprintf(detail, sizeof detail, "The pipeline failed to process this frame%s%s",
                     f->why ? ": " : "", f->why ? f->why : "");
    struct log_line l;
    s->ledger.failed++;
    stats_of(s)->failed++;
    log_session(&l, LOG_WARN, "stream_pipeline_error", s);
    log_u64(&l, "frame_index", f->index);
    log_end(&l);
    fail_session(s, PROTO_PIPELINE_FAILURE, detail, (size_t)n);
}

void session_on_finished(struct session *s, struct frame *f)
{
    if (!is_heard(s)) {
        drop(s, f, DROP_CLOSED);
    } else if (f->fate == FRAME_DROPPED) {
        drop(s, f, f->reason);
    } else {
        s->n_out--;
        s->heard_us = clock_now_us(); /* who waits for an answer is not idle */
        if (f->fate == FRAME_FAILED)
            fail(s, f);
        else
            answer(s, f);
        pool_put(&s->io->pool, f);
    }
    if (s->phase == SESSION_DRAINING && !s->n_out)
        end_session(s, LWS_CLOSE_STATUS_GOINGAWAY, "shutdown");
    if (s->phase == SESSION_CLOSED && !s->n_out)
        bury(s);
}

/* With runs_here the pipeline is run meanwhile, and may take as long as it likes. */
static struct turns_outcome hand_in(struct session *s, struct frame *f, bool runs_here)
{
    if (runs_here)
        io_unlock(s->io);
    struct turns_outcome out = sched_submit(s->io->sched, &s->seat, f);
    if (runs_here)
        io_lock(s->io);
    return out;
}

/* Takes a complete, valid frame: from here on it is in the ledger. */
static void submit(struct session *s, struct frame *f, bool runs_here)
{
    f->session = s;
    f->outlet = &s->io->outlet;
    f->pipeline = s->pipeline;
    f->state = s->state;
    f->arrived_us = s->heard_us;
    f->started_us = f->finished_us = 0;
    f->index = s->ledger.received++;
    s->last_frame_us = s->heard_us;
    s->n_out++;
    struct turns_outcome out = hand_in(s, f, runs_here);
    if (out.dropped)
        drop(s, out.dropped, out.dropped->reason);
    if (out.here) {
        s->io->stats.run_inline++;
        session_on_finished(s, f);
        return;
    }
    /* A flood of tiny frames in one read must not pile up faster than their answers are
     * collected. */
    if (s->n_out > N_OUT_MAX)
        io_collect(s->io);
}

/* A frame that was not even stored. */
static void refuse(struct session *s, uint32_t id)
{
    struct frame f = {.id = id, .arrived_us = s->heard_us, .index = s->ledger.received++};
    s->last_frame_us = s->heard_us;
    sched_miss(s->io->sched, &s->seat);
    tell_drop(s, &f, DROP_MEMORY);
}

void session_on_piece(struct session *s, const struct assembly_piece *piece)
{
    struct complaint why;
    s->received_bytes += piece->n;
    s->io->stats.received_bytes += piece->n;
    if (s->phase != SESSION_OPEN)
        return;
    s->heard_us = clock_now_us();
    struct assembly_piece it = *piece;
    it.lasts = piece->final && sched_runs_here(s->io->sched, &s->seat);
    switch (assembly_add(&s->assembly, &s->io->pool, &s->limits, &it, &why)) {
    case ASSEMBLY_MORE:
        break;
    case ASSEMBLY_FRAME:
        submit(s, assembly_take(&s->assembly), it.lasts);
        break;
    case ASSEMBLY_DROP:
        refuse(s, assembly_drop(&s->assembly));
        break;
    case ASSEMBLY_ERROR:
        s->ledger.rejected++;
        fail_session(s, why.error, why.detail, strlen(why.detail));
        break;
    case ASSEMBLY_HANGUP:
        s->ledger.rejected++;
        end_session(s, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "message_too_large");
        break;
    }
}

/* ---- the connection ---- */

int session_on_writable(struct session *s)
{
    size_t n;
    const char *next;
    while (!lws_partial_buffered(s->wsi) && (next = outbox_peek(&s->outbox, &n))) {
        text_add_bytes(message_begin(s), next, n);
        outbox_pop(&s->outbox);
        if (write_now(s) < 0)
            return -1;
    }
    if (s->outbox.n || lws_partial_buffered(s->wsi)) {
        lws_callback_on_writable(s->wsi);
        return 0;
    }
    if (s->phase != SESSION_ENDING || !s->close_code || s->close_sent)
        return 0;
    s->close_sent = true; /* the callback goes on coming; closing twice would not drain */
    /* Here and not where the error was found: closing inside a receive callback would
     * lose the rest of what was read, and with it the boundaries of the messages that
     * libwebsockets goes on reading until the peer has closed too. */
    lws_close_reason(s->wsi, (enum lws_close_status)s->close_code, NULL, 0);
    return -1;
}

void session_on_peer_close(struct session *s, unsigned code)
{
    end_session(s, 0, "client");
    if (!s->close_code)
        s->close_code = code;
}

void session_on_closed(struct session *s)
{
    end_session(s, 0, "lost");
    s->phase = SESSION_CLOSED;
    s->wsi = NULL;
    atomic_fetch_sub(&s->io->n_sessions, 1);
    atomic_fetch_sub(&s->io->d->n_sessions, 1);
    s->replies_unsent = s->outbox.n;
    s->io->stats.replies_unsent += s->outbox.n;
    outbox_deinit(&s->outbox);
    if (!s->n_out)
        bury(s);
    else
        streamd_session_gone(s->io->d);
}

static void measure_rates(struct session *s, uint64_t now_us)
{
    double seconds = (double)clock_age_us(now_us, s->rate.since_us) / 1e6;
    if (seconds < 1)
        return;
    s->rate.received_per_s = (double)(s->ledger.received - s->rate.received) / seconds;
    s->rate.answered_per_s = (double)(s->ledger.answered - s->rate.answered) / seconds;
    s->rate.received = s->ledger.received;
    s->rate.answered = s->ledger.answered;
    s->rate.since_us = now_us;
}

void session_tick(struct session *s, uint64_t now_us)
{
    const struct settings *o = s->io->d->settings;
    uint64_t oldest_us = outbox_oldest_us(&s->outbox);
    if (!s->wsi)
        return;
    measure_rates(s, now_us);
    if (oldest_us && clock_age_us(now_us, oldest_us) > o->reply_timeout_us)
        kill_connection(s, "slow_reader");
    else if (s->phase == SESSION_ENDING &&
             clock_age_us(now_us, s->ending_us) > 2 * o->reply_timeout_us)
        kill_connection(s, s->end_reason); /* the peer does not take its close */
    else if (o->idle_timeout_us && !s->n_out &&
             clock_age_us(now_us, s->heard_us) > o->idle_timeout_us)
        end_session(s, LWS_CLOSE_STATUS_GOINGAWAY, "idle");
}

void session_drain(struct session *s)
{
    if (s->phase != SESSION_OPEN)
        return;
    s->phase = SESSION_DRAINING;
    assembly_deinit(&s->assembly, &s->io->pool);
    drop(s, sched_leave(s->io->sched, &s->seat), DROP_CLOSED);
    if (!s->n_out)
        end_session(s, LWS_CLOSE_STATUS_GOINGAWAY, "shutdown");
}

void session_dismiss(struct session *s)
{
    end_session(s, LWS_CLOSE_STATUS_GOINGAWAY, "shutdown");
}

void session_abandon(struct session *s)
{
    s->ledger.dropped[DROP_CLOSED] += s->n_out;
    s->n_out = 0;
    if (!s->end_reason) /* its thread is in a pipeline and could not end it */
        s->end_reason = "shutdown";
    log_disconnect(s);
    ledger_add(&s->io->stats.ended, &s->ledger);
    s->ledger = (struct ledger){0};
}

static void greet(struct session *s, unsigned n_sessions)
{
    static const char full[] = "The server has as many sessions as it may have: try again later";
    uint64_t sessions_max = s->io->d->settings->sessions_max;
    char detail[PROTO_ID_MAX + 80];
    if (sessions_max && n_sessions > sessions_max) {
        fail_session(s, PROTO_INTERNAL_ERROR, full, sizeof full - 1);
        s->close_code = CLOSE_TRY_AGAIN_LATER;
        s->end_reason = "full";
        return;
    }
    if (s->pipeline)
        return;
    struct text t = text_fixed(detail, sizeof detail);
    if (s->query.pipeline_id_bytes) {
        text_add(&t, "Unknown pipeline_id: ");
        text_add_bytes(&t, s->query.pipeline_id, s->query.pipeline_id_bytes);
    } else {
        text_add(&t, "The query parameter pipeline_id is missing or empty");
    }
    fail_session(s, PROTO_INVALID_PIPELINE, t.data, t.len);
}

struct session *session_new(struct io *io, struct lws *wsi, const struct proto_query *query)
{
    const struct settings *o = io->d->settings;
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->io = io;
    s->wsi = wsi;
    s->query = *query;
    s->outbox = outbox_make(o->reply_bytes_max);
    s->limits = assembly_limits(o->frame_mib_max, o->message_mib_max, query->header);
    s->connected_us = s->heard_us = s->rate.since_us = clock_now_us();
    if (strlen(query->pipeline_id) == query->pipeline_id_bytes)
        s->pipeline = pipeline_find(&io->d->pipelines, query->pipeline_id);
    const struct pipeline *p = s->pipeline;
    if (p && pipeline_session_new(p, &s->state) < 0) {
        free(s);
        return NULL;
    }
    s->seat.kin = streamd_kin(io->d, p);
    make_uuid4(s->id);
    name_peer(wsi, s->peer);
    unsigned n_sessions = link_in(s);
    log_connect(s);
    greet(s, n_sessions);
    io_session_opened(io);
    return s;
}

void session_write(struct session *s, struct json *j, uint64_t now_us)
{
    bool in_work, waiting;
    sched_look(s->io->sched, &s->seat, &in_work, &waiting);
    json_object_begin(j, NULL);
    json_str(j, "session_id", s->id);
    json_str_n(j, "pipeline_id", s->query.pipeline_id, s->query.pipeline_id_bytes);
    json_str(j, "peer", s->peer);
    json_u64(j, "io_thread", s->io->number);
    json_str(j, "state", pressure_state_name(s->pressure.state));
    json_num(j, "connected_s", (double)(now_us - s->connected_us) / 1e6, 3);
    json_u64(j, "received", s->ledger.received);
    json_u64(j, "answered", s->ledger.answered);
    json_u64(j, "dropped", ledger_dropped(&s->ledger));
    json_u64(j, "failed", s->ledger.failed);
    json_bool(j, "in_work", in_work);
    json_bool(j, "waiting", waiting);
    json_num(j, "drop_rate", pressure_drop_rate(&s->pressure), 3);
    json_num(j, "received_per_s", s->rate.received_per_s, 1);
    json_num(j, "answered_per_s", s->rate.answered_per_s, 1);
    if (s->last_frame_us)
        json_num(j, "last_frame_age_ms", (double)(now_us - s->last_frame_us) / 1e3, 1);
    else
        json_null(j, "last_frame_age_ms");
    json_object_end(j);
}
