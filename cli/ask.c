#include "cli/ask.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/encode.h"
#include "cli/engine.h"
#include "cli/link.h"
#include "common/clock.h"
#include "common/proto.h"

#define CLOSE_WAIT_US 500000u

struct ask {
    const struct settings *set;
    const char *source_spec;
    struct answer *answer;
    struct err *e;
    struct engine engine;
    struct link link;
    struct source *source;
    struct encode encode;
    struct loop_timer timeout;
    struct picture *held;  /* the newest that was not sent */
    struct picture *asked; /* what is sent and not answered; sending destroys, so a copy */
    uint64_t n_skip;
    bool source_over, done;
    char unanswered[192]; /* why the last one was not, else "" */
    int rc;
};

/* --- the end --- */

static void finish(struct ask *a, int rc)
{
    if (a->done)
        return;
    a->done = true;
    a->rc = rc;
    picture_free(a->held);
    a->held = NULL;
    source_close(a->source);
    a->source = NULL;
    if (a->link.state != LINK_OPEN) {
        engine_stop(&a->engine);
        return;
    }
    loop_timer_set(&a->engine.loop, &a->timeout, clock_now_us() + CLOSE_WAIT_US);
    link_hang_up(&a->link, 1000);
}

static void conclude(struct ask *a)
{
    if (a->answer->picture)
        finish(a, 0);
    else if (a->unanswered[0])
        finish(a, err_set(a->e, EXIT_FAILED, "no answer to any of %" PRIu64 " pictures: %s",
                          a->answer->n_asked, a->unanswered));
    else
        finish(a, err_set(a->e, EXIT_FAILED, "the source ended before the picture came"));
}

/* --- pictures --- */

/* Takes p. NULL: it cannot be made. */
static struct picture *to_jpeg(struct ask *a, struct picture *p, const char **why)
{
    if (!p->raw.fourcc)
        return p;
    struct picture *made = encode_picture(&a->encode, p, 0, 0, why);
    picture_free(p);
    return made;
}

static void send_held(struct ask *a)
{
    const char *why = "out of memory";
    struct picture *p = to_jpeg(a, a->held, &why);
    a->held = NULL;
    a->asked = p ? picture_made_of(p, p->bytes, p->n_bytes) : NULL;
    if (!a->asked) {
        picture_free(p);
        finish(a, err_set(a->e, EXIT_FAILED, "the picture cannot be encoded: %s", why));
        return;
    }
    a->answer->n_asked++;
    loop_timer_set(&a->engine.loop, &a->timeout, clock_now_us() + a->set->answer_timeout_us);
    link_send(&a->link, p);
}

static void go_on(struct ask *a)
{
    uint64_t count = a->set->count ? a->set->count : ASK_COUNT;
    if (a->done || a->asked)
        return;
    if (a->answer->n_asked == count || (a->source_over && !a->held))
        conclude(a);
    else if (a->held && link_has_room(&a->link))
        send_held(a);
    else if (a->held)
        link_wait_for_room(&a->link);
}

static void on_room(void *ctx)
{
    go_on(ctx);
}

static void on_picture(void *ctx, struct picture *p)
{
    struct ask *a = ctx;
    if (a->done || a->n_skip > 0) {
        a->n_skip -= a->n_skip > 0;
        picture_free(p);
        return;
    }
    picture_free(a->held);
    a->held = p;
    go_on(a);
}

static void on_missed(void *ctx, uint64_t n_older, uint64_t n_lost)
{
    struct ask *a = ctx;
    (void)n_lost;
    a->n_skip -= n_older < a->n_skip ? n_older : a->n_skip;
}

static void on_source_end(void *ctx, int rc, const struct err *why)
{
    struct ask *a = ctx;
    a->source_over = true;
    if (rc < 0)
        finish(a, err_set(a->e, (enum exit_code) - rc, "%s", why->text));
    else
        go_on(a);
}

/* --- answers --- */

/* Of a frame that was looked at. false: it was not, and why is in a->unanswered. */
static bool read_answer(struct ask *a, const struct proto_message *m, struct detections *found)
{
    if (m->kind == PROTO_DROP)
        snprintf(a->unanswered, sizeof a->unanswered, "the server dropped it (%s)", m->name);
    else if (detections_read(found, m->result) < 0 || found->status[0])
        snprintf(a->unanswered, sizeof a->unanswered, "the pipeline says: %s", found->status);
    else
        return true;
    return false;
}

static void on_answer(struct ask *a, const struct proto_message *m)
{
    struct detections found;
    uint64_t id = m->has_frame_id ? m->frame_id : m->frame_index;
    if (!a->asked || id != a->answer->n_asked - 1)
        return;
    loop_timer_cancel(&a->engine.loop, &a->timeout);
    struct picture *asked = a->asked;
    a->asked = NULL;
    if (read_answer(a, m, &found)) {
        picture_free(a->answer->picture);
        a->answer->picture = asked;
        a->answer->found = found;
    } else {
        picture_free(asked);
    }
    if (a->answer->found.n)
        finish(a, 0);
    else
        go_on(a);
}

static void on_message(void *ctx, const char *bytes, size_t n)
{
    struct ask *a = ctx;
    struct proto_message m;
    int rc = proto_read_message(bytes, n, &m);
    if (rc < 0)
        finish(a, err_set(a->e, EXIT_FAILED, "the server sent what is not of this protocol"));
    else if (m.kind == PROTO_ERROR)
        finish(a, err_set(a->e, EXIT_FAILED, "the server says: %s (%s)", m.detail, m.name));
    else if (m.kind == PROTO_RESULT || m.kind == PROTO_DROP)
        on_answer(a, &m);
    proto_message_free(&m);
}

static void on_timeout(void *ctx)
{
    struct ask *a = ctx;
    if (a->done)
        engine_stop(&a->engine);
    else
        finish(a, err_set(a->e, EXIT_FAILED, "no answer within %g s",
                          (double)a->set->answer_timeout_us / 1e6));
}

/* --- the connection --- */

/* Only now, so that not a picture is lost while there is no server. */
static void on_open(void *ctx)
{
    struct ask *a = ctx;
    struct source_options o = settings_source_options(a->set);
    struct source_sink sink = {.ctx = a,
                               .on_picture = on_picture,
                               .on_missed = on_missed,
                               .on_broken = source_say_broken,
                               .on_note = source_say_note,
                               .on_end = on_source_end};
    o.reconnect = false;
    int rc = source_open(&a->source, a->source_spec, &o, &a->engine.loop, &sink, a->e);
    if (rc < 0)
        finish(a, rc);
}

static void on_down(void *ctx, const struct link_end *end)
{
    struct ask *a = ctx;
    char url[800];
    address_display(&a->link.options.at, url, sizeof url);
    if (!a->done && end->opened)
        finish(a, err_set(a->e, EXIT_FAILED, "lost %s: %s", url, end->text));
    else if (!a->done)
        finish(a, err_set(a->e, EXIT_UNREACHABLE, "cannot reach %s: %s", url, end->text));
    engine_stop(&a->engine);
}

static void on_signal(void *ctx, int signo)
{
    struct ask *a = ctx;
    (void)signo;
    a->done = true;
    a->rc = err_set(a->e, EXIT_INTERRUPTED, "interrupted");
    engine_stop(&a->engine);
}

/* --- start --- */

static void run(struct ask *a, const struct address *at)
{
    struct link_options o = {.at = *at, .pipeline = a->set->pipeline, .insecure = a->set->insecure};
    struct link_sink sink = {.ctx = a,
                             .on_open = on_open,
                             .on_message = on_message,
                             .on_room = on_room,
                             .on_down = on_down};
    a->timeout = (struct loop_timer){.on_due = on_timeout, .ctx = a};
    engine_on_signal(&a->engine, on_signal, a);
    link_init(&a->link, &a->engine, &o, &sink);
    link_dial(&a->link);
    engine_run(&a->engine);
    picture_free(a->held);
    picture_free(a->asked);
    source_close(a->source);
    encode_deinit(&a->encode);
    link_deinit(&a->link);
}

int ask_server(const struct settings *set, const char *source, const char *url,
               struct answer *answer, struct err *e)
{
    struct ask a = {.set = set, .source_spec = source, .answer = answer, .e = e};
    struct address at;
    struct engine_options o = {.on_websocket = link_on_websocket, .cacert = set->cacert};
    *answer = (struct answer){0};
    a.n_skip = set->skip;
    int rc = address_parse(&at, url, e);
    if (rc == 0 && !source_find(source))
        rc = source_unknown(source, e);
    if (rc == 0)
        rc = engine_init(&a.engine, &o, e);
    if (rc < 0)
        return rc;
    run(&a, &at);
    engine_deinit(&a.engine);
    return a.rc;
}
