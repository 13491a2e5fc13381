#include "cli/probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/engine.h"
#include "cli/link.h"
#include "cli/source.h"
#include "common/clock.h"
#include "common/hist.h"
#include "common/json.h"
#include "common/proto.h"

#define PICTURES      "test:640x480@60"
#define CLOSE_WAIT_US 500000u

struct probe {
    const struct settings *set;
    struct engine engine;
    struct link link;
    struct source *source;
    struct loop_timer timeout;
    struct err *e;
    int exit_code;
    bool in_flight, done, told_error;
    uint64_t count, sent, answered, dropped, in_budget, bytes;
    uint64_t dialed_us, connect_us, first_us, sent_us;
    struct hist total, network, wait, pipeline, decode; /* all but the first only with timing */
};

static void finish(struct probe *p)
{
    p->done = true;
    if (p->link.state != LINK_OPEN) {
        engine_stop(&p->engine);
        return;
    }
    loop_timer_set(&p->engine.loop, &p->timeout, clock_now_us() + CLOSE_WAIT_US);
    link_hang_up(&p->link, 1000);
}

static void fail(struct probe *p, int rc)
{
    if (p->exit_code == EXIT_DONE)
        p->exit_code = -rc;
    finish(p);
}

/* --- frames --- */

static void on_picture(void *ctx, struct picture *picture)
{
    struct probe *p = ctx;
    bool wanted = !p->in_flight && !p->done && !p->told_error && p->sent < p->count;
    if (!wanted || !link_has_room(&p->link)) {
        picture_free(picture);
        return;
    }
    p->in_flight = true;
    p->sent++;
    p->bytes = picture->n_bytes;
    p->sent_us = clock_now_us();
    loop_timer_set(&p->engine.loop, &p->timeout, p->sent_us + p->set->answer_timeout_us);
    link_send(&p->link, picture);
}

static void on_broken(void *ctx, const char *why)
{
    (void)ctx;
    (void)why;
}

static void on_source_end(void *ctx, int rc, const struct err *why)
{
    struct probe *p = ctx;
    fail(p, err_set(p->e, rc < 0 ? (enum exit_code) - rc : EXIT_FAILED, "the test picture: %s",
                    rc < 0 ? why->text : "it ended"));
}

static void add_parts(struct probe *p, const struct proto_timing *t, uint64_t total_us)
{
    hist_add(&p->wait, t->wait_us);
    hist_add(&p->pipeline, t->pipeline_us);
    if (t->has_decode)
        hist_add(&p->decode, t->decode_us);
    hist_add(&p->network, total_us > t->server_us ? total_us - t->server_us : 0);
}

static void on_answer(struct probe *p, const struct proto_message *m)
{
    uint64_t id = m->has_frame_id ? m->frame_id : m->frame_index;
    uint64_t total_us = clock_now_us() - p->sent_us;
    if (!p->in_flight || id != p->sent - 1)
        return;
    p->in_flight = false;
    if (m->kind == PROTO_DROP) {
        p->dropped++;
    } else {
        p->answered++;
        p->in_budget += total_us <= p->set->budget_us;
        hist_add(&p->total, total_us);
        if (m->has_timing)
            add_parts(p, &m->timing, total_us);
        if (p->answered == 1)
            p->first_us = total_us;
    }
    if (p->sent == p->count)
        finish(p);
}

static void on_message(void *ctx, const char *bytes, size_t n)
{
    struct probe *p = ctx;
    struct proto_message m;
    int rc = proto_skim_message(bytes, n, &m);
    if (rc < 0) {
        fail(p, err_set(p->e, EXIT_FAILED, "the server sent what is not of this protocol"));
    } else if (m.kind == PROTO_ERROR) {
        p->told_error = true;
        fail(p, err_set(p->e, EXIT_FAILED, "the server says: %s (%s)", m.detail, m.name));
    } else if (m.kind == PROTO_RESULT || m.kind == PROTO_DROP) {
        on_answer(p, &m);
    }
}

/* --- the connection --- */

static void on_open(void *ctx)
{
    struct probe *p = ctx;
    p->connect_us = clock_now_us() - p->dialed_us;
}

static void on_down(void *ctx, const struct link_end *end)
{
    struct probe *p = ctx;
    char url[800];
    address_display(&p->link.options.at, url, sizeof url);
    if (!p->done && end->opened)
        fail(p, err_set(p->e, EXIT_FAILED, "lost %s: %s", url, end->text));
    else if (!p->done)
        fail(p, err_set(p->e, EXIT_UNREACHABLE, "cannot reach %s: %s", url, end->text));
    engine_stop(&p->engine);
}

static void on_room(void *ctx)
{
    (void)ctx;
}

static void on_timeout(void *ctx)
{
    struct probe *p = ctx;
    if (p->done)
        engine_stop(&p->engine);
    else
        fail(p, err_set(p->e, EXIT_FAILED, "no answer to frame %" PRIu64 " within %g s",
                        p->sent - 1, (double)p->set->answer_timeout_us / 1e6));
}

static void on_signal(void *ctx, int signo)
{
    struct probe *p = ctx;
    (void)signo;
    p->exit_code = EXIT_INTERRUPTED;
    err_set(p->e, EXIT_INTERRUPTED, "interrupted");
    engine_stop(&p->engine);
}

/* --- the report --- */

static void add_ms(struct json *j, const char *key, uint64_t us)
{
    json_num(j, key, (double)us / 1000.0, 3);
}

static void add_hist(struct json *j, const char *key, const struct hist *h)
{
    if (h->count == 0)
        return;
    json_object_begin(j, key);
    add_ms(j, "p50_ms", hist_percentile_us(h, 50));
    add_ms(j, "p99_ms", hist_percentile_us(h, 99));
    add_ms(j, "max_ms", h->max_us);
    json_object_end(j);
}

static void report_json(const struct probe *p, const char *url)
{
    char bytes[4096];
    struct text line = text_fixed(bytes, sizeof bytes);
    struct json j = json_to(&line);
    json_object_begin(&j, NULL);
    json_str(&j, "event", "end");
    json_str(&j, "url", url);
    json_str(&j, "pipeline", p->set->pipeline);
    json_u64(&j, "exit_code", (uint64_t)p->exit_code);
    json_u64(&j, "sent", p->sent);
    json_u64(&j, "answered", p->answered);
    json_u64(&j, "dropped", p->dropped);
    json_u64(&j, "frame_bytes", p->bytes);
    add_ms(&j, "budget_ms", p->set->budget_us);
    json_u64(&j, "within_budget", p->in_budget);
    add_ms(&j, "connect_ms", p->connect_us);
    add_ms(&j, "first_ms", p->first_us);
    add_hist(&j, "network", &p->network);
    add_hist(&j, "wait", &p->wait);
    add_hist(&j, "pipeline_time", &p->pipeline);
    add_hist(&j, "decode", &p->decode);
    add_hist(&j, "total", &p->total);
    json_object_end(&j);
    puts(text_str(&line));
}

static void print_hist(const char *name, const struct hist *h)
{
    if (h->count)
        printf("  %-14s %8.2f %8.2f %8.2f\n", name, (double)hist_percentile_us(h, 50) / 1000.0,
               (double)hist_percentile_us(h, 99) / 1000.0, (double)h->max_us / 1000.0);
}

static void report_table(const struct probe *p, const char *url)
{
    printf("%s, pipeline %s: %" PRIu64 " frames of %" PRIu64 " bytes, one at a time\n\n", url,
           p->set->pipeline, p->sent, p->bytes);
    printf("  %-14s %8.2f ms\n", "connect", (double)p->connect_us / 1000.0);
    printf("  %-14s %8.2f ms\n\n", "first answer", (double)p->first_us / 1000.0);
    printf("  %-14s %8s %8s %8s\n", "ms per frame", "p50", "p99", "max");
    print_hist("network", &p->network);
    print_hist("wait", &p->wait);
    print_hist("pipeline", &p->pipeline);
    print_hist("  decoding", &p->decode);
    print_hist("total", &p->total);
    if (p->network.count == 0)
        printf("  (the server does not tell its own times)\n");
    printf("\n%" PRIu64 " of %" PRIu64 " answers within %g ms", p->in_budget, p->answered,
           (double)p->set->budget_us / 1000.0);
    if (p->dropped)
        printf(", %" PRIu64 " frames dropped", p->dropped);
    printf(": %s\n", p->exit_code == EXIT_DONE ? "good" : "not good enough");
}

/* --- start --- */

static int open_source(struct probe *p, struct err *e)
{
    struct source_options o = {.picture_bytes_max = 16u * 1024 * 1024};
    struct source_sink sink = {
        .ctx = p,
        .on_picture = on_picture,
        .on_broken = on_broken,
        .on_note = on_broken,
        .on_end = on_source_end,
    };
    return source_open(&p->source, PICTURES, &o, &p->engine.loop, &sink, e);
}

static void run(struct probe *p, const struct address *at)
{
    struct link_options o = {.at = *at, .pipeline = p->set->pipeline, .insecure = p->set->insecure};
    struct link_sink sink = {.ctx = p,
                             .on_open = on_open,
                             .on_message = on_message,
                             .on_room = on_room,
                             .on_down = on_down};
    p->timeout = (struct loop_timer){.on_due = on_timeout, .ctx = p};
    engine_on_signal(&p->engine, on_signal, p);
    link_init(&p->link, &p->engine, &o, &sink);
    p->dialed_us = clock_now_us();
    link_dial(&p->link);
    engine_run(&p->engine);
    link_deinit(&p->link);
}

static int conclude(struct probe *p, const struct address *at)
{
    char url[800];
    if (p->exit_code == EXIT_DONE && p->in_budget < p->count)
        p->exit_code = EXIT_GATE;
    if (p->exit_code == EXIT_GATE)
        err_set(p->e, EXIT_GATE, "%" PRIu64 " of %" PRIu64 " frames were not answered within %g ms",
                p->count - p->in_budget, p->count, (double)p->set->budget_us / 1000.0);
    address_display(at, url, sizeof url);
    if (p->set->json)
        report_json(p, url);
    else if (p->answered)
        report_table(p, url);
    return p->exit_code;
}

int probe_run(const struct settings *set, const char *url, struct err *e)
{
    struct probe p = {.set = set, .e = e, .count = set->count ? set->count : PROBE_COUNT};
    struct address at;
    struct engine_options o = {.on_websocket = link_on_websocket, .cacert = set->cacert};
    int rc = address_parse(&at, url, e);
    if (rc < 0)
        return -rc;
    rc = engine_init(&p.engine, &o, e);
    if (rc < 0)
        return -rc;
    rc = open_source(&p, e);
    if (rc == 0) {
        run(&p, &at);
        source_close(p.source);
    }
    engine_deinit(&p.engine);
    return rc < 0 ? -rc : conclude(&p, &at);
}
