#include "cli/stream.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "cli/adapt.h"
#include "cli/engine.h"
#include "cli/flight.h"
#include "cli/link.h"
#include "cli/outgoing.h"
#include "cli/output.h"
#include "cli/preview.h"
#include "cli/source.h"
#include "cli/status.h"
#include "cli/summary.h"
#include "cli/tally.h"
#include "common/clock.h"

#define TICK_US           100000u
#define INTERRUPT_WAIT_US 2000000u
#define ERROR_WAIT_US     2000000u /* from an error message to the close that follows it */
#define CLOSE_WAIT_US     500000u
#define STATS_EVERY       50

enum stage {
    STAGE_STREAMING,
    STAGE_DRAINING, /* nothing new is sent but the frame that waits; answers are awaited */
    STAGE_CLOSING,
    STAGE_OVER
};

struct stream {
    const struct settings *set;
    const char *source_spec;
    char source_text[256], url[800]; /* as they are shown */
    struct engine engine;
    struct link link;
    struct source *source;
    struct outgoing outgoing;
    struct adapt adapt;
    struct flight flight;
    struct ladder_rung sent_as; /* the last frame */
    struct tally tally;
    struct output output;
    struct term term;
    struct preview *preview; /* NULL: none is wanted */
    enum stage stage;
    int exit_code;
    const char *reason; /* of the end, one word */
    bool ever_opened, told_unreachable, told_error, told_odd;
    uint64_t dialed_us, heard_us; /* of this connection */
    struct loop_timer tick, deadline, duration;
};

/* --- the end --- */

static void close_source(struct stream *s)
{
    source_close(s->source);
    s->source = NULL;
}

static void be_over(struct stream *s)
{
    if (s->stage == STAGE_OVER)
        return;
    outgoing_drop_all(&s->outgoing);
    s->tally.ledger.unanswered += flight_clear(&s->flight);
    s->stage = STAGE_OVER;
    engine_stop(&s->engine);
}

/* Nothing can come back any more. */
static void fail(struct stream *s, const char *reason, int exit_code)
{
    if (s->stage == STAGE_OVER)
        return;
    s->reason = reason;
    s->exit_code = exit_code;
    close_source(s);
    be_over(s);
}

static void begin_close(struct stream *s)
{
    s->stage = STAGE_CLOSING;
    if (!s->ever_opened && s->exit_code == EXIT_DONE) {
        fail(s, "unreachable", EXIT_UNREACHABLE);
        return;
    }
    if (s->link.state != LINK_OPEN) {
        be_over(s);
        return;
    }
    loop_timer_set(&s->engine.loop, &s->deadline, clock_now_us() + CLOSE_WAIT_US);
    link_hang_up(&s->link, 1000);
}

/* After an error message it is the server that closes: how long to wait is the deadline's to say.
 */
static void close_when_drained(struct stream *s)
{
    if (s->stage == STAGE_DRAINING && !s->told_error && s->flight.n == 0 &&
        outgoing_count(&s->outgoing) == 0)
        begin_close(s);
}

/* Takes no more frames; what is in flight has wait_us to come back. */
static void finish(struct stream *s, const char *reason, int exit_code, uint64_t wait_us)
{
    if (s->stage != STAGE_STREAMING)
        return;
    s->stage = STAGE_DRAINING;
    s->reason = reason;
    s->exit_code = exit_code;
    close_source(s);
    loop_timer_set(&s->engine.loop, &s->deadline, clock_now_us() + wait_us);
    close_when_drained(s);
}

static void on_deadline(void *ctx)
{
    struct stream *s = ctx;
    if (s->stage == STAGE_CLOSING)
        be_over(s);
    else if (s->told_error)
        link_abort(&s->link, "it did not close after its error message");
    else if (s->stage == STAGE_DRAINING)
        begin_close(s);
}

static void on_duration(void *ctx)
{
    struct stream *s = ctx;
    outgoing_drop(&s->outgoing);
    finish(s, "duration", EXIT_DONE, s->set->answer_timeout_us);
}

static void on_signal(void *ctx, int signo)
{
    struct stream *s = ctx;
    (void)signo;
    if (s->exit_code == EXIT_INTERRUPTED) {
        be_over(s);
        return;
    }
    outgoing_drop(&s->outgoing);
    if (s->stage == STAGE_STREAMING) {
        finish(s, "interrupted", EXIT_INTERRUPTED, INTERRUPT_WAIT_US);
        return;
    }
    s->reason = "interrupted"; /* while it ends already: the wait gets shorter */
    s->exit_code = EXIT_INTERRUPTED;
    if (s->stage == STAGE_DRAINING)
        loop_timer_set(&s->engine.loop, &s->deadline, clock_now_us() + INTERRUPT_WAIT_US);
    close_when_drained(s);
}

static void stop_if_unread(struct stream *s)
{
    if (s->output.state == OUTPUT_GAVE_UP) {
        fail(s, "interrupted", EXIT_INTERRUPTED);
    } else if (s->output.state == OUTPUT_UNREAD) {
        fail(s, "output_closed", EXIT_DONE);
    } else if (s->output.state == OUTPUT_FAILED && s->stage != STAGE_OVER) {
        term_fail(&s->term, "standard output cannot be written: is the disk full?");
        fail(s, "output_failed", EXIT_FAILED);
    }
}

/* --- frames on their way out --- */

static bool has_room(void *ctx, unsigned n_ahead)
{
    struct stream *s = ctx;
    uint64_t begun = s->tally.ledger.sent + n_ahead;
    if (s->told_error || s->stage > STAGE_DRAINING || s->flight.n + n_ahead >= s->flight.max ||
        (s->set->count && begun >= s->set->count))
        return false;
    if (link_has_room(&s->link))
        return true;
    link_wait_for_room(&s->link);
    return false;
}

static void send_picture(void *ctx, struct picture *p)
{
    struct stream *s = ctx;
    uint64_t now_us = clock_now_us();
    struct flight_frame frame = {.source_index = p->index,
                                 .captured_us = p->captured_us,
                                 .captured_wall_s = p->captured_wall_s,
                                 .halvings = p->halvings,
                                 .sent_us = now_us};
    s->tally.ledger.sent++;
    s->tally.sent_bytes += p->n_bytes;
    s->sent_as = (struct ladder_rung){p->quality, p->halvings};
    pace_take(&s->adapt.pace, now_us);
    frame.id = link_send(&s->link, p);
    flight_add(&s->flight, &frame);
    if (s->set->count && s->tally.ledger.sent >= s->set->count) {
        outgoing_drop(&s->outgoing); /* what waits is one too many */
        finish(s, "count", EXIT_DONE, s->set->answer_timeout_us);
    }
}

static void on_encoded(void *ctx, const struct picture *p)
{
    struct stream *s = ctx;
    preview_offer(s->preview, p);
}

static void on_replaced(void *ctx)
{
    struct stream *s = ctx;
    s->tally.ledger.replaced++;
}

static void on_not_encoded(void *ctx, const char *why)
{
    struct stream *s = ctx;
    term_fail(&s->term, "a picture cannot be encoded: %s", why);
    fail(s, "encoder_failed", EXIT_FAILED);
}

static void on_room(void *ctx)
{
    struct stream *s = ctx;
    outgoing_push(&s->outgoing);
}

static void follow_ladder(struct stream *s)
{
    s->outgoing.rung = ladder_now(&s->adapt.ladder);
    source_set_encoding(s->source, s->outgoing.rung.quality, s->outgoing.rung.halvings);
}

static void hold(struct stream *s, struct picture *p, uint64_t now_us)
{
    bool stuck =
        outgoing_count(&s->outgoing) && s->link.state == LINK_OPEN && !link_has_room(&s->link);
    if (adapt_on_due(&s->adapt, stuck, now_us))
        follow_ladder(s);
    outgoing_put(&s->outgoing, p);
}

static void on_picture(void *ctx, struct picture *p)
{
    struct stream *s = ctx;
    struct ledger *l = &s->tally.ledger;
    uint64_t now_us = clock_now_us();
    if (!p->raw.fourcc) /* those when they are encoded */
        preview_offer(s->preview, p);
    p->index = l->read++;
    rate_add(&s->tally.read_rate, now_us);
    if (!pace_is_candidate(&s->adapt.pace, p->index)) {
        l->skipped++;
        picture_free(p);
    } else if (!adapt_is_due(&s->adapt, &s->tally.read_rate, now_us)) {
        l->paced_out++;
        picture_free(p);
    } else {
        hold(s, p, now_us);
    }
}

static void on_broken(void *ctx, const char *why)
{
    struct stream *s = ctx;
    if (tally_broken(&s->tally, why) == 0)
        output_warning(&s->output, "broken_frame", why);
    stop_if_unread(s);
}

static void on_missed(void *ctx, uint64_t n_older, uint64_t n_lost)
{
    struct stream *s = ctx;
    s->tally.ledger.read += n_older;
    s->tally.ledger.replaced += n_older;
    s->tally.device_lost += n_lost;
}

/* --adapt can lower what is encoded here; what a camera is like shows only now. */
static void warn_if_encoded(struct stream *s, const struct source_facts *f)
{
    static const char sentence[] =
        "this camera's pictures come encoded: --adapt lowers nothing of them without --reencode";
    bool wanted = s->set->adapt != ADAPT_FPS && !s->set->no_adapt && !s->set->reencode;
    if (!wanted || strcmp(f->format, "MJPG") != 0)
        return;
    term_say(&s->term, "%s", sentence);
    output_warning(&s->output, "adapt", sentence);
}

/* What was asked for is only told beside what is given when that is something else. */
static void on_facts(void *ctx, const struct source_facts *f)
{
    struct stream *s = ctx;
    char asked[64] = "";
    struct text t = text_fixed(asked, sizeof asked);
    if (*f->asked_format && strcmp(f->asked_format, f->format) != 0)
        text_addf(&t, " %s", f->asked_format);
    if (f->asked_width && (f->asked_width != f->width || f->asked_height != f->height))
        text_addf(&t, " %ux%u", f->asked_width, f->asked_height);
    if (f->asked_fps > 0 && f->fps > 0 && fabs(f->asked_fps - f->fps) > 0.01)
        text_addf(&t, " %.4g fps", f->asked_fps);
    term_say(&s->term, "%s (%s): %s %ux%u at %.4g fps%s%s%s", f->card, f->device, f->format,
             f->width, f->height, f->fps, asked[0] ? " (asked for:" : "", asked,
             asked[0] ? ")" : "");
    output_source(&s->output, f);
    warn_if_encoded(s, f);
    stop_if_unread(s);
}

static void on_note(void *ctx, const char *sentence)
{
    struct stream *s = ctx;
    term_say(&s->term, "%s", sentence);
    output_warning(&s->output, "source", sentence);
    stop_if_unread(s);
}

static void on_source_end(void *ctx, int rc, const struct err *why)
{
    struct stream *s = ctx;
    if (rc < 0) {
        term_fail(&s->term, "%s", why->text);
        output_error(&s->output, "source_failed", why->text);
    }
    finish(s, rc < 0 ? "source_failed" : "source_ended", -rc, s->set->answer_timeout_us);
}

static int open_source(struct stream *s, struct err *e)
{
    struct source_options o = settings_source_options(s->set);
    struct source_sink sink = {.ctx = s,
                               .on_picture = on_picture,
                               .on_missed = on_missed,
                               .on_facts = on_facts,
                               .on_broken = on_broken,
                               .on_note = on_note,
                               .on_end = on_source_end};
    int rc = source_open(&s->source, s->source_spec, &o, &s->engine.loop, &sink, e);
    follow_ladder(s);
    return rc;
}

/* --- answers --- */

static void on_result(struct stream *s, const struct output_answer *a, uint64_t now_us)
{
    const struct proto_message *m = a->message;
    struct governor_answer heard = {.sent_us = a->frame->sent_us,
                                    .age_us = a->age_us,
                                    .latency_us = a->latency_us,
                                    .has_timing = m->has_timing,
                                    .wait_us = m->timing.wait_us,
                                    .server_us = m->timing.server_us};
    tally_answer(&s->tally, a->latency_us, a->age_us, now_us);
    s->tally.late += a->age_us > s->set->budget_us;
    adapt_on_answer(&s->adapt, &heard, now_us);
    preview_result(s->preview, m->result, a->frame->halvings);
    output_result(&s->output, a);
    if (s->tally.ledger.answered % STATS_EVERY == 0)
        output_stats(&s->output, &s->tally, governor_wanted_per_s(&s->adapt.governor), &s->sent_as,
                     now_us);
}

static void on_answer(struct stream *s, const struct proto_message *m)
{
    struct flight_frame frame;
    uint64_t now_us = clock_now_us();
    if (!flight_settle(&s->flight, m->has_frame_id ? m->frame_id : m->frame_index, &frame)) {
        s->tally.odd_messages++;
        return;
    }
    link_mark_good(&s->link, now_us);
    struct output_answer a = {.frame = &frame,
                              .message = m,
                              .latency_us = now_us - frame.sent_us,
                              .age_us = now_us - frame.captured_us};
    if (m->kind == PROTO_RESULT) {
        on_result(s, &a, now_us);
        return;
    }
    s->tally.ledger.dropped++;
    adapt_on_drop(&s->adapt, frame.sent_us, now_us);
    output_drop(&s->output, &a);
}

static void on_slow_down(struct stream *s)
{
    uint64_t now_us = clock_now_us();
    s->tally.slow_downs++;
    bool changed = adapt_on_slow_down(&s->adapt, now_us);
    double wanted_per_s = governor_wanted_per_s(&s->adapt.governor);
    if (changed)
        term_say(&s->term, "the server asks to slow down: %.1f frames per second for now",
                 wanted_per_s);
    output_slow_down(&s->output, wanted_per_s);
}

static void on_error_message(struct stream *s, const struct proto_message *m)
{
    s->told_error = true;
    term_fail(&s->term, "%s says: %s (%s)", s->url, m->detail, m->name);
    output_error(&s->output, m->name, m->detail);
    if (s->stage == STAGE_STREAMING)
        loop_timer_set(&s->engine.loop, &s->deadline, clock_now_us() + ERROR_WAIT_US);
}

static void on_odd_message(struct stream *s, const char *what)
{
    s->tally.odd_messages++;
    if (s->told_odd)
        return;
    s->told_odd = true;
    term_say(&s->term, "%s sent %s; ignored", s->url, what);
    output_warning(&s->output, "odd_message", what);
}

static void on_message(void *ctx, const char *bytes, size_t n)
{
    struct stream *s = ctx;
    struct proto_message m;
    s->heard_us = clock_now_us();
    if (proto_read_message(bytes, n, &m) < 0)
        on_odd_message(s, "a message that is not of this protocol");
    else if (m.kind == PROTO_RESULT || m.kind == PROTO_DROP)
        on_answer(s, &m);
    else if (m.kind == PROTO_SLOW_DOWN)
        on_slow_down(s);
    else if (m.kind == PROTO_WARNING)
        output_warning(&s->output, m.name, NULL);
    else if (m.kind == PROTO_ERROR)
        on_error_message(s, &m);
    else
        on_odd_message(s, "a message of an unknown kind");
    proto_message_free(&m);
    stop_if_unread(s);
    outgoing_push(&s->outgoing);
    close_when_drained(s);
}

/* --- the connection --- */

static void on_open(void *ctx)
{
    struct stream *s = ctx;
    struct err e;
    int rc = 0;
    s->heard_us = clock_now_us();
    if (s->told_unreachable)
        term_say(&s->term, "connected to %s", s->url);
    s->tally.reconnects += s->ever_opened;
    s->ever_opened = true;
    s->told_unreachable = s->told_error = s->told_odd = false;
    output_connected(&s->output, (double)(s->heard_us - s->dialed_us) / 1000.0);
    if (!s->source && s->stage == STAGE_STREAMING)
        rc = open_source(s, &e);
    if (rc < 0)
        on_source_end(s, rc, &e);
    stop_if_unread(s);
    outgoing_push(&s->outgoing);
}

static void stop_for_good(struct stream *s, const struct link_end *end, bool unreachable)
{
    output_disconnected(&s->output, end->text, 0);
    if (!s->told_error) /* then it has said why */
        term_fail(&s->term, unreachable ? "cannot reach %s: %s" : "lost %s: %s", s->url, end->text);
    if (s->told_error)
        fail(s, "server_error", EXIT_FAILED);
    else if (unreachable)
        fail(s, "unreachable", EXIT_UNREACHABLE);
    else
        fail(s, "connection_lost", EXIT_FAILED);
}

static void try_again(struct stream *s, const struct link_end *end)
{
    uint64_t wait_us = link_redial(&s->link);
    s->dialed_us = clock_now_us() + wait_us;
    if (!s->told_unreachable && !s->ever_opened)
        term_say(&s->term, "cannot reach %s: %s; trying until it is there", s->url, end->text);
    else if (!s->told_unreachable)
        term_say(&s->term, "lost %s: %s; trying again", s->url, end->text);
    s->told_unreachable = true;
    output_disconnected(&s->output, end->text, wait_us);
    if (s->set->idle == IDLE_CLOSE && s->stage == STAGE_STREAMING) {
        outgoing_drop(&s->outgoing);
        close_source(s);
    }
}

static void on_down(void *ctx, const struct link_end *how)
{
    struct stream *s = ctx;
    struct link_end end = *how;
    s->tally.ledger.unanswered += flight_clear(&s->flight);
    if (s->stage == STAGE_STREAMING)
        loop_timer_cancel(&s->engine.loop, &s->deadline);
    end.told_error = s->told_error;
    if (s->stage >= STAGE_CLOSING || s->exit_code == EXIT_INTERRUPTED) {
        be_over(s);
        return;
    }
    enum reconnect_verdict verdict = reconnect_decide(&end, !s->set->no_reconnect, s->ever_opened);
    if (verdict == RECONNECT_RETRY && (s->stage == STAGE_STREAMING || outgoing_count(&s->outgoing)))
        try_again(s, &end);
    else
        stop_for_good(s, &end, verdict == RECONNECT_STOP_UNREACHABLE);
    stop_if_unread(s);
}

/* --- time --- */

static void show(struct stream *s, uint64_t now_us)
{
    struct hist recent;
    if (!term_is_due(&s->term, now_us))
        return;
    tally_recent(&s->tally, &recent);
    bool slowed = governor_limit_per_s(&s->adapt.governor) > 0.0;
    bool lowered = !ladder_is_at_top(&s->adapt.ladder);
    bool open = s->link.state == LINK_OPEN;
    struct status_view v = {
        .fps_now = rate_per_s(&s->tally.answer_rate, now_us),
        .fps_wanted = governor_wanted_per_s(&s->adapt.governor),
        .p50_us = hist_percentile_us(&recent, 50),
        .p99_us = hist_percentile_us(&recent, 99),
        .drop_rate = ledger_drop_rate(&s->tally.ledger),
        .quality = lowered ? s->sent_as.quality : 0,
        .scale = ladder_scale(s->sent_as.halvings),
        .state = !open                         ? "connecting"
                 : s->stage != STAGE_STREAMING ? "finishing"
                 : slowed || lowered           ? "slowed"
                                               : "streaming",
        .mood = !open               ? STATUS_BAD
                : slowed || lowered ? STATUS_UNEASY
                                    : STATUS_GOOD,
    };
    status_show(&s->term, &v, now_us);
}

/* Frames whose answer did not come, and a server that says nothing at all. Once no
 * more frames are sent, how long to wait is the deadline's to say. */
static void expire(struct stream *s, uint64_t now_us)
{
    uint64_t timeout_us = s->set->answer_timeout_us;
    size_t n = now_us > timeout_us ? flight_expire(&s->flight, now_us - timeout_us) : 0;
    s->tally.ledger.unanswered += n;
    bool silent = n && s->heard_us + timeout_us < now_us;
    if (silent && s->stage == STAGE_STREAMING && s->link.state == LINK_OPEN) {
        output_warning(&s->output, "no_answer", NULL);
        link_abort(&s->link, "it does not answer");
        return;
    }
    outgoing_push(&s->outgoing);
    close_when_drained(s);
}

static void on_tick(void *ctx)
{
    struct stream *s = ctx;
    uint64_t now_us = clock_now_us();
    loop_timer_set(&s->engine.loop, &s->tick, now_us + TICK_US);
    adapt_on_tick(&s->adapt, &s->tally.read_rate, now_us);
    expire(s, now_us);
    show(s, now_us);
}

/* --- start --- */

static void init_parts(struct stream *s)
{
    s->flight.max = (size_t)s->set->in_flight;
    s->tick = (struct loop_timer){.on_due = on_tick, .ctx = s};
    s->deadline = (struct loop_timer){.on_due = on_deadline, .ctx = s};
    s->duration = (struct loop_timer){.on_due = on_duration, .ctx = s};
    output_init(&s->output, STDOUT_FILENO, s->engine.signal_fd);
    term_init(&s->term, "streamctl", s->set->quiet, (enum term_color)s->set->color);
    engine_on_signal(&s->engine, on_signal, s);
}

static int open_outgoing(struct stream *s, struct err *e)
{
    struct outgoing_sink sink = {.ctx = s,
                                 .has_room = has_room,
                                 .send = send_picture,
                                 .on_encoded = on_encoded,
                                 .on_replaced = on_replaced,
                                 .on_failed = on_not_encoded};
    return outgoing_open(&s->outgoing, &s->engine.loop, s->set->reencode, &sink, e);
}

static void begin(struct stream *s, const struct address *at)
{
    struct link_options o = {.at = *at, .pipeline = s->set->pipeline, .insecure = s->set->insecure};
    struct link_sink sink = {.ctx = s,
                             .on_open = on_open,
                             .on_message = on_message,
                             .on_room = on_room,
                             .on_down = on_down};
    uint64_t now_us = clock_now_us();
    s->tally.began_us = s->dialed_us = now_us;
    link_init(&s->link, &s->engine, &o, &sink);
    output_start(&s->output, s->source_text, s->url, s->set->pipeline);
    loop_timer_set(&s->engine.loop, &s->tick, now_us);
    if (s->set->duration_us)
        loop_timer_set(&s->engine.loop, &s->duration, now_us + s->set->duration_us);
}

static void tell_end(struct stream *s)
{
    struct output_end end = {
        .tally = &s->tally,
        .reason = s->reason,
        .exit_code = s->exit_code,
        .duration_s = (double)(clock_now_us() - s->tally.began_us) / 1e6,
        .budget_us = s->set->budget_us,
        .sent_as = s->sent_as,
    };
    bool unread = s->output.state == OUTPUT_UNREAD;
    assert(ledger_is_balanced(&s->tally.ledger));
    output_end(&s->output, &end);
    if (s->output.state == OUTPUT_FAILED && s->exit_code == EXIT_DONE)
        s->exit_code = EXIT_FAILED;
    char bytes[2048];
    struct text text = text_fixed(bytes, sizeof bytes);
    summary_format(&text, &end, s->source_text, s->url);
    term_end(&s->term, unread ? "" : text_str(&text));
}

/* A source that cannot be opened ends the stream as one that fails later does. */
static int run(struct stream *s, const struct address *at)
{
    struct err e;
    begin(s, at);
    int rc = s->set->idle == IDLE_KEEP ? open_source(s, &e) : 0;
    if (rc < 0)
        on_source_end(s, rc, &e);
    else
        link_dial(&s->link);
    stop_if_unread(s);
    engine_run(&s->engine);
    close_source(s);
    tell_end(s);
    link_deinit(&s->link);
    return s->exit_code;
}

int stream_run(const struct settings *set, const char *source, const char *url, struct err *e)
{
    struct stream s = {.set = set, .source_spec = source, .reason = "failed"};
    struct address at;
    struct engine_options o = {.on_websocket = link_on_websocket, .cacert = set->cacert};
    struct adapt_options adapt;
    int rc = address_parse(&at, url, e);
    if (rc == 0)
        rc = settings_adapt_options(set, source, &adapt, e);
    if (rc == 0)
        rc = engine_init(&s.engine, &o, e);
    if (rc < 0)
        return -rc;
    address_display(&at, s.url, sizeof s.url);
    source_display(source, s.source_text, sizeof s.source_text);
    adapt_init(&s.adapt, &adapt);
    init_parts(&s);
    rc = open_outgoing(&s, e);
    if (rc == 0 && set->preview)
        rc = preview_open(&s.preview, &s.term, e);
    int code = rc < 0 ? -rc : run(&s, &at);
    preview_close(s.preview);
    outgoing_close(&s.outgoing);
    output_deinit(&s.output);
    engine_deinit(&s.engine);
    return code;
}
