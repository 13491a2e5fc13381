#include <ctype.h>
#include <string.h>

#include "loadgen/gate.h"
#include "loadgen/metric.h"
#include "loadgen/outputs.h"
#include "loadgen/verdict.h"

/* Prometheus text format 0.0.4: seconds and _total, one sample a line. */

static const uint64_t edges_us[] = {1000,  2000,   5000,   10000,  20000,   30000,  37000,
                                    50000, 100000, 200000, 500000, 1000000, 5000000};
#define N_EDGES (sizeof edges_us / sizeof edges_us[0])

static void add_label_char(struct text *out, char c)
{
    if (c == '\\' || c == '"')
        text_add_char(out, '\\');
    if (c == '\n')
        text_add(out, "\\n");
    else
        text_add_char(out, c);
}

static void add_label(struct text *out, const char *value)
{
    for (; *value; value++)
        add_label_char(out, *value);
}

static void head(struct text *out, const char *name, const char *type, const char *help)
{
    text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Values up to the edge. Its bucket may hold both sides of it: those count as beyond, so a
 * share within an edge is never flattered; but at the budget itself the record knows exactly. */
static uint64_t up_to(const struct report *r, size_t part, uint64_t edge_us)
{
    const struct record_part *p = &r->record.part[part];
    const struct hist *h = &p->time[RECORD_LATENCY];
    uint64_t n = 0;
    if (edge_us == r->budget_us)
        return h->count - p->count[RECORD_LATE];
    if (h->max_us <= edge_us)
        return h->count;
    for (size_t i = 0; i < HIST_BUCKETS && hist_bucket_high_us(i) <= edge_us; i++)
        n += h->bucket[i];
    return n;
}

static void add_latency(struct text *out, const struct report *r, size_t part)
{
    static const char name[] = "streamload_latency_seconds";
    const struct hist *h = &r->record.part[part].time[RECORD_LATENCY];
    for (size_t i = 0; i <= N_EDGES; i++) {
        text_addf(out, "%s_bucket{profile=\"", name);
        add_label(out, r->profile[part].name);
        if (i < N_EDGES)
            text_addf(out, "\",le=\"%g\"} %llu\n", (double)edges_us[i] / 1e6,
                      (unsigned long long)up_to(r, part, edges_us[i]));
        else
            text_addf(out, "\",le=\"+Inf\"} %llu\n", (unsigned long long)h->count);
    }
    text_addf(out, "%s_sum{profile=\"", name);
    add_label(out, r->profile[part].name);
    text_addf(out, "\"} %.6f\n%s_count{profile=\"", (double)h->sum_us / 1e6, name);
    add_label(out, r->profile[part].name);
    text_addf(out, "\"} %llu\n", (unsigned long long)h->count);
}

static void add_count(struct text *out, const struct report *r, enum record_count what)
{
    text_addf(out,
              "# HELP streamload_%s_total See streamload(1).\n"
              "# TYPE streamload_%s_total counter\n",
              record_count_names[what], record_count_names[what]);
    for (size_t i = 0; i < r->n_profiles; i++) {
        text_addf(out, "streamload_%s_total{profile=\"", record_count_names[what]);
        add_label(out, r->profile[i].name);
        text_addf(out, "\"} %llu\n", (unsigned long long)r->record.part[i].count[what]);
    }
}

static void add_gauge(struct text *out, const struct report *r, const char *metric,
                      const char *help)
{
    struct metric m;
    char name[64];
    struct text t = text_fixed(name, sizeof name);
    text_addf(&t, "streamload_%s", metric);
    if (metric_read(r, metric, &m, NULL) < 0 || !m.has_data)
        return;
    head(out, name, "gauge", help);
    text_addf(out, "%s %.6g\n", name, m.value);
}

static void add_gates(struct text *out, const struct report *r)
{
    head(out, "streamload_gate_passed", "gauge", "1 when the gate held.");
    for (size_t i = 0; i < r->n_gates; i++) {
        struct gate_verdict v;
        gate_judge_at(r, i, &v);
        text_add(out, "streamload_gate_passed{gate=\"");
        add_label(out, r->gate[i]);
        text_addf(out, "\"} %d\n", v.outcome == GATE_PASSED);
    }
}

/* Tags as labels: "site=north rack=4" becomes tag_site="north",tag_rack="4". A label's name has
 * letters, digits and underscores only. */
static void add_tags(struct text *out, const char *tags)
{
    while (*tags) {
        size_t n = strcspn(tags, " "), name = strcspn(tags, "=");
        text_add(out, ",tag_");
        for (size_t i = 0; i < name && i < n; i++)
            text_add_char(out, isalnum((unsigned char)tags[i]) ? tags[i] : '_');
        text_add(out, "=\"");
        for (size_t i = name + 1; i < n; i++)
            add_label_char(out, tags[i]);
        text_add_char(out, '"');
        tags += n + (tags[n] == ' ');
    }
}

static void add_profiles(struct text *out, const struct report *r)
{
    head(out, "streamload_profile_info", "gauge", "1; what each profile is tagged with.");
    for (size_t i = 0; i < r->n_profiles; i++) {
        text_add(out, "streamload_profile_info{profile=\"");
        add_label(out, r->profile[i].name);
        text_add_char(out, '"');
        add_tags(out, r->profile[i].tags);
        text_add(out, "} 1\n");
    }
}

void prom_write(struct text *out, const struct report *r)
{
    head(out, "streamload_latency_seconds", "histogram",
         "Due to answer. Values in the bucket that an edge cuts count as beyond the edge.");
    for (size_t i = 0; i < r->n_profiles; i++)
        add_latency(out, r, i);
    for (size_t i = 0; i < RECORD_COUNTS; i++)
        add_count(out, r, (enum record_count)i);
    add_gauge(out, r, "drop_rate", "Dropped or without a word, of all offered.");
    add_gauge(out, r, "budget_miss", "Late or without a word, of all not dropped.");
    add_gauge(out, r, "fairness", "Jain's index over the sessions' answered shares.");
    add_gauge(out, r, "sessions", "Open at the same time, at the most.");
    add_gates(out, r);
    add_profiles(out, r);
    head(out, "streamload_exit_code", "gauge", "0 passed, 4 a gate failed, 5 invalid.");
    text_addf(out, "streamload_exit_code %d\n", (int)verdict_of(r));
}
