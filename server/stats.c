#include "server/stats.h"

#include <stdlib.h>

#include "server/io.h"
#include "server/session.h"
#include "server/streamd.h"

static const uint64_t edges_us[STATS_EDGES] = {100,    250,    500,     1000,   2000,  5000,
                                               10000,  20000,  30000,   37000,  50000, 100000,
                                               250000, 500000, 1000000, 5000000};

void stats_add_time(struct stats_histogram *h, uint64_t us)
{
    unsigned k = 0;
    while (k < STATS_EDGES && us > edges_us[k])
        k++;
    h->count[k]++;
    h->sum_us += us;
}

int stats_init(struct stats *s, size_t n_pipelines, struct err *e)
{
    *s = (struct stats){.by_pipeline = calloc(n_pipelines + 1, sizeof *s->by_pipeline)};
    return s->by_pipeline ? 0 : err_set(e, EXIT_FAILED, "out of memory");
}

void stats_deinit(struct stats *s)
{
    free(s->by_pipeline);
    *s = (struct stats){0};
}

void stats_add_ledger(struct ledger *sum, const struct io *io)
{
    ledger_add(sum, &io->stats.ended);
    for (const struct session *s = io->sessions; s; s = s->next)
        ledger_add(sum, &s->ledger);
}

/* ---- all threads together ---- */

struct totals {
    struct stats stats;
    struct ledger ledger;
    uint64_t in_state[PRESSURE_STATES];
};

static void add_histogram(struct stats_histogram *sum, const struct stats_histogram *h)
{
    for (unsigned k = 0; k <= STATS_EDGES; k++)
        sum->count[k] += h->count[k];
    sum->sum_us += h->sum_us;
}

static void add_io(const struct io *io, void *ctx)
{
    struct totals *t = ctx;
    const struct stats *s = &io->stats;
    t->stats.sessions_total += s->sessions_total;
    t->stats.slow_downs += s->slow_downs;
    t->stats.received_bytes += s->received_bytes;
    t->stats.sent_bytes += s->sent_bytes;
    t->stats.replies_unsent += s->replies_unsent;
    t->stats.run_inline += s->run_inline;
    add_histogram(&t->stats.wait, &s->wait);
    add_histogram(&t->stats.pipeline, &s->pipeline);
    add_histogram(&t->stats.total, &s->total);
    for (size_t i = 0; i < io->d->pipelines.n; i++) {
        add_histogram(&t->stats.by_pipeline[i].time, &s->by_pipeline[i].time);
        t->stats.by_pipeline[i].failed += s->by_pipeline[i].failed;
    }
    stats_add_ledger(&t->ledger, io);
    for (const struct session *v = io->sessions; v; v = v->next)
        if (v->wsi)
            t->in_state[v->pressure.state]++;
}

/* ---- the text ---- */

static void head(struct text *out, const char *name, const char *type, const char *help)
{
    text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counter(struct text *out, const char *name, uint64_t value, const char *help)
{
    head(out, name, "counter", help);
    text_addf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void gauge(struct text *out, const char *name, uint64_t value, const char *help)
{
    head(out, name, "gauge", help);
    text_addf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* The lines of one histogram; labels is "" or "name=\"value\"". */
static void histogram_lines(struct text *out, const char *name, const char *labels,
                            const struct stats_histogram *h)
{
    uint64_t below = 0;
    const char *comma = *labels ? "," : "";
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    for (unsigned k = 0; k < STATS_EDGES; k++) {
        below += h->count[k];
        text_addf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma,
                  (double)edges_us[k] / 1e6, (unsigned long long)below);
    }
    below += h->count[STATS_EDGES];
    text_addf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
              (unsigned long long)below);
    text_addf(out, "%s_sum%s%s%s %.6f\n", name, open, labels, close, (double)h->sum_us / 1e6);
    text_addf(out, "%s_count%s%s%s %llu\n", name, open, labels, close, (unsigned long long)below);
}

static void histogram(struct text *out, const char *name, const struct stats_histogram *h,
                      const char *help)
{
    head(out, name, "histogram", help);
    histogram_lines(out, name, "", h);
}

static void frames(struct text *out, const struct ledger *l)
{
    counter(out, "streamd_frames_received_total", l->received, "Valid frames received.");
    counter(out, "streamd_frames_answered_total", l->answered, "Frames answered with a result.");
    head(out, "streamd_frames_dropped_total", "counter", "Frames dropped, by reason.");
    for (int r = 0; r < DROP_REASONS; r++)
        text_addf(out, "streamd_frames_dropped_total{reason=\"%s\"} %llu\n",
                  drop_reason_name((enum drop_reason)r), (unsigned long long)l->dropped[r]);
    counter(out, "streamd_frames_failed_total", l->failed, "Frames whose pipeline failed.");
    counter(out, "streamd_frames_rejected_total", l->rejected,
            "Messages that were no valid frame.");
}

static void sessions(struct text *out, const struct streamd *d, const struct totals *t)
{
    gauge(out, "streamd_sessions_active", atomic_load(&d->n_sessions),
          "Sessions that are connected.");
    gauge(out, "streamd_sessions_recommended", d->settings->recommended_sessions,
          "Sessions that this server is meant for.");
    counter(out, "streamd_sessions_total", t->stats.sessions_total, "Sessions so far.");
    head(out, "streamd_sessions_state", "gauge", "Sessions by backpressure state.");
    for (int k = 0; k < PRESSURE_STATES; k++)
        text_addf(out, "streamd_sessions_state{state=\"%s\"} %llu\n",
                  pressure_state_name((enum pressure_state)k), (unsigned long long)t->in_state[k]);
}

/* A label's value: Prometheus' text format escapes these three. */
static void add_label(struct text *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            text_add_char(out, '\\');
        if (*value == '\n')
            text_add(out, "\\n");
        else
            text_add_char(out, *value);
    }
}

/* pipeline="NAME" */
static void add_name(struct text *out, const struct pipeline *p)
{
    text_add(out, "pipeline=\"");
    add_label(out, p->name);
    text_add_char(out, '"');
}

static void times_of_pipelines(struct text *out, const struct streamd *d, const struct stats *s)
{
    static const char name[] = "streamd_pipeline_by_name_seconds";
    char bytes[4 * PIPELINE_NAME_MAX];
    head(out, name, "histogram", "Time in each pipeline.");
    for (size_t i = 0; i < d->pipelines.n; i++) {
        struct text labels = text_fixed(bytes, sizeof bytes);
        const struct stats_pipeline *p = &s->by_pipeline[i];
        add_name(&labels, &d->pipelines.item[i]);
        histogram_lines(out, name, bytes, &p->time);
    }
}

static void error_line(struct text *out, const struct pipeline *p, const char *kind, uint64_t n)
{
    text_add(out, "streamd_pipeline_errors_total{");
    add_name(out, p);
    text_addf(out, ",kind=\"%s\"} %llu\n", kind, (unsigned long long)n);
}

static void errors_of_pipelines(struct text *out, const struct streamd *d, const struct stats *s)
{
    head(out, "streamd_pipeline_errors_total", "counter",
         "Frames of each pipeline without a result, by kind of error.");
    for (size_t i = 0; i < d->pipelines.n; i++) {
        const struct pipeline *p = &d->pipelines.item[i];
        struct pipeline_health h = pipeline_health_of(p);
        error_line(out, p, "failed", s->by_pipeline[i].failed);
        for (const struct pipeline_error *e = h.errors; e->kind; e++)
            error_line(out, p, e->kind, e->n);
    }
}

static void of_pipelines(struct text *out, const struct pipeline_set *set, const char *name,
                         const char *type, const char *help,
                         uint64_t (*value)(const struct pipeline_health *))
{
    head(out, name, type, help);
    for (size_t i = 0; i < set->n; i++) {
        struct pipeline_health h = pipeline_health_of(&set->item[i]);
        if (!set->item[i].kind->health)
            continue;
        text_addf(out, "%s{", name);
        add_name(out, &set->item[i]);
        text_addf(out, "} %llu\n", (unsigned long long)value(&h));
    }
}

static uint64_t is_degraded(const struct pipeline_health *h)
{
    return h->degraded;
}

static uint64_t n_restarts(const struct pipeline_health *h)
{
    return h->n_restarts;
}

static void workers_of_pipelines(struct text *out, const struct pipeline_set *set)
{
    of_pipelines(out, set, "streamd_pipeline_degraded", "gauge",
                 "1 while a pipeline's worker keeps failing.", is_degraded);
    of_pipelines(out, set, "streamd_pipeline_restarts_total", "counter",
                 "Workers of the pipeline started again.", n_restarts);
}

static void write_all(struct text *out, struct streamd *d, const struct totals *t)
{
    const struct stats *s = &t->stats;
    uint64_t busy_us = d->sched.threads ? sched_busy_us(&d->sched) : 0;
    sessions(out, d, t);
    frames(out, &t->ledger);
    counter(out, "streamd_slow_downs_total", s->slow_downs, "slow_down warnings sent.");
    counter(out, "streamd_replies_unsent_total", s->replies_unsent,
            "Replies that were ready when their client went away.");
    counter(out, "streamd_frames_inline_total", s->run_inline,
            "Frames that were run on an I/O thread, without a worker.");
    counter(out, "streamd_received_bytes_total", s->received_bytes, "Payload bytes received.");
    counter(out, "streamd_sent_bytes_total", s->sent_bytes, "Payload bytes sent.");
    histogram(out, "streamd_wait_seconds", &s->wait, "Arrival to start of work.");
    histogram(out, "streamd_pipeline_seconds", &s->pipeline, "Time in the pipeline.");
    histogram(out, "streamd_total_seconds", &s->total, "Arrival to the reply being written.");
    gauge(out, "streamd_frame_memory_bytes", atomic_load(&d->memory.used_bytes),
          "Memory for frames, idle ones included.");
    gauge(out, "streamd_frame_memory_max_bytes", d->memory.max_bytes, "Its cap; 0: none.");
    gauge(out, "streamd_io_threads", d->n_io, "I/O threads.");
    gauge(out, "streamd_workers", d->sched.n_threads, "Worker threads.");
    head(out, "streamd_worker_busy_seconds_total", "counter",
         "Time that workers spent in pipelines; its rate over streamd_workers is utilisation.");
    text_addf(out, "streamd_worker_busy_seconds_total %.6f\n", (double)busy_us / 1e6);
    times_of_pipelines(out, d, s);
    errors_of_pipelines(out, d, s);
    workers_of_pipelines(out, &d->pipelines);
}

void stats_write_metrics(struct io *self, struct text *out)
{
    struct totals t = {.ledger = {0}};
    if (stats_init(&t.stats, self->d->pipelines.n, NULL) == 0) {
        io_look(self, add_io, &t);
        write_all(out, self->d, &t);
    }
    stats_deinit(&t.stats);
}
