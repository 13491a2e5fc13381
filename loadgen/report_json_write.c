#include <math.h>
#include <stdio.h>

#include "common/json.h"
#include "loadgen/gate.h"
#include "loadgen/metric.h"
#include "loadgen/report_fields.h"
#include "loadgen/report_json.h"
#include "loadgen/validity.h"
#include "loadgen/verdict.h"

/* --- what is computed: for people and jq, ignored when it is read --- */

static const double percents[] = {50, 90, 99, 99.9};

static void write_time(struct json *j, const struct record_part *p, size_t i)
{
    const struct hist *h = &p->time[i];
    uint64_t never = record_infinite(p, (enum record_time)i);
    if (h->count == 0)
        return;
    json_object_begin(j, record_time_names[i]);
    json_u64(j, "count", h->count);
    json_num(j, "min_ms", (double)h->min_us / 1e3, 3);
    json_num(j, "mean_ms", hist_mean_us(h) / 1e3, 3);
    for (size_t k = 0; k < sizeof percents / sizeof percents[0]; k++) {
        char name[24];
        uint64_t us = record_percentile_us(h, never, percents[k]);
        snprintf(name, sizeof name, "p%g_ms", percents[k]);
        if (us == UINT64_MAX)
            json_null(j, name); /* never */
        else
            json_num(j, name, (double)us / 1e3, 3);
    }
    json_num(j, "max_ms", (double)h->max_us / 1e3, 3);
    json_object_end(j);
}

static void write_part_summary(struct json *j, const char *key, const struct record_part *p)
{
    json_object_begin(j, key);
    for (size_t i = 0; i < RECORD_COUNTS; i++)
        json_u64(j, record_count_names[i], p->count[i]);
    for (size_t i = 0; i < RECORD_TIMES; i++)
        write_time(j, p, i);
    json_object_end(j);
}

static void write_rate(struct json *j, const struct report *r, const char *name)
{
    struct metric m;
    if (metric_read(r, name, &m, NULL) == 0 && m.has_data)
        json_num(j, name, m.value, 6);
}

static void write_summary(struct json *j, const struct report *r)
{
    struct record_part total;
    record_total(&r->record, &total);
    json_object_begin(j, "summary");
    json_str(j, "verdict", verdict_name(verdict_of(r)));
    write_rate(j, r, "drop_rate");
    write_rate(j, r, "budget_miss");
    write_rate(j, r, "answered_fps");
    write_rate(j, r, "fairness");
    write_rate(j, r, "sessions");
    write_part_summary(j, "total", &total);
    json_object_begin(j, "profiles");
    for (size_t i = 0; i < r->n_profiles; i++)
        write_part_summary(j, r->profile[i].name, &r->record.part[i]);
    json_object_end(j);
    json_object_end(j);
}

static void write_gates(struct json *j, const struct report *r)
{
    static const char *const outcomes[] = {"passed", "warned", "failed"};
    json_array_begin(j, "gates");
    for (size_t i = 0; i < r->n_gates; i++) {
        struct gate_verdict v;
        gate_judge_at(r, i, &v);
        json_object_begin(j, NULL);
        json_str(j, "gate", r->gate[i]);
        json_str(j, "outcome", outcomes[v.outcome]);
        if (v.measured.has_data && isfinite(v.measured.value))
            json_num(j, "value", v.measured.value, 6);
        else
            json_null(j, "value");
        json_str(j, "why", v.why);
        json_object_end(j);
    }
    json_array_end(j);
}

static void write_validity(struct json *j, const struct report *r)
{
    struct validity v;
    validity_judge(r, &v);
    json_array_begin(j, "invalid_because");
    for (size_t i = 0; i < v.n; i++) {
        json_object_begin(j, NULL);
        json_str(j, "name", v.finding[i].name);
        json_str(j, "text", v.finding[i].text);
        json_object_end(j);
    }
    json_array_end(j);
}

/* --- what is read back --- */

static void write_run(struct json *j, const struct report *r)
{
    json_object_begin(j, "run");
    json_str(j, "version", r->version);
    json_str(j, "url", r->url);
    json_str(j, "server", r->server);
    json_num(j, "started_s", r->started_wall_s, 6);
    json_u64(j, "duration_us", r->duration_us);
    json_u64(j, "warmup_us", r->warmup_us);
    json_u64(j, "budget_us", r->budget_us);
    json_str(j, "ended", r->ended);
    json_object_end(j);
}

static void write_configuration(struct json *j, const struct report *r)
{
    json_object_begin(j, "configuration");
    json_array_begin(j, "settings");
    for (size_t i = 0; i < r->n_settings; i++) {
        json_array_begin(j, NULL);
        json_str(j, NULL, r->setting[i].name);
        json_str(j, NULL, r->setting[i].value);
        json_array_end(j);
    }
    json_array_end(j);
    json_array_begin(j, "profiles");
    for (size_t i = 0; i < r->n_profiles; i++) {
        const struct report_profile *p = &r->profile[i];
        json_object_begin(j, NULL);
        json_str(j, "name", p->name);
        json_u64(j, "weight", p->weight);
        json_u64(j, "fps_milli", p->fps_milli);
        json_u64(j, "frame_bytes", p->frame_bytes);
        json_str(j, "tags", p->tags);
        json_object_end(j);
    }
    json_array_end(j);
    json_array_begin(j, "gates");
    for (size_t i = 0; i < r->n_gates; i++)
        json_str(j, NULL, r->gate[i]);
    json_array_end(j);
    json_object_end(j);
}

static void write_generators(struct json *j, const struct report *r)
{
    json_array_begin(j, "generators");
    for (size_t i = 0; i < r->n_generators; i++) {
        const struct report_generator *g = &r->generator[i];
        json_object_begin(j, NULL);
        json_str(j, "host", g->host);
        json_str(j, "wait", g->wait);
        for (size_t k = 0; k < REPORT_GENERATOR_NUMBERS; k++)
            json_u64(j, report_generator_numbers[k].name,
                     report_field_get(g, &report_generator_numbers[k]));
        json_object_end(j);
    }
    json_array_end(j);
}

static void write_hist(struct json *j, const char *key, const struct hist *h)
{
    if (h->count == 0)
        return;
    json_object_begin(j, key);
    json_u64(j, "count", h->count);
    json_u64(j, "sum_us", h->sum_us);
    json_u64(j, "min_us", h->min_us);
    json_u64(j, "max_us", h->max_us);
    json_array_begin(j, "buckets");
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        if (h->bucket[i] == 0)
            continue;
        json_array_begin(j, NULL);
        json_u64(j, NULL, i);
        json_u64(j, NULL, h->bucket[i]);
        json_array_end(j);
    }
    json_array_end(j);
    json_object_end(j);
}

static void write_part(struct json *j, const struct record_part *p)
{
    json_object_begin(j, NULL);
    json_object_begin(j, "counts");
    for (size_t i = 0; i < RECORD_COUNTS; i++)
        json_u64(j, record_count_names[i], p->count[i]);
    json_object_end(j);
    json_object_begin(j, "times");
    for (size_t i = 0; i < RECORD_TIMES; i++)
        write_hist(j, record_time_names[i], &p->time[i]);
    json_object_end(j);
    json_object_end(j);
}

static void write_second(struct json *j, const struct record_second *s)
{
    json_object_begin(j, NULL);
    for (size_t i = 0; i < REPORT_SECOND_NUMBERS; i++)
        json_u64(j, report_second_numbers[i].name, report_field_get(s, &report_second_numbers[i]));
    json_u64(j, "max_us", s->max_us);
    json_array_begin(j, "buckets");
    for (size_t i = 0; i < s->n_buckets; i++) {
        json_array_begin(j, NULL);
        json_u64(j, NULL, s->buckets[i].bucket);
        json_u64(j, NULL, s->buckets[i].n);
        json_array_end(j);
    }
    json_array_end(j);
    json_object_end(j);
}

static void write_worst(struct json *j, const struct record *r)
{
    json_array_begin(j, "worst");
    for (size_t i = 0; i < r->n_worst; i++) {
        json_object_begin(j, NULL);
        for (size_t k = 0; k < REPORT_SESSION_NUMBERS; k++)
            json_u64(j, report_session_numbers[k].name,
                     report_field_get(&r->worst[i], &report_session_numbers[k]));
        json_object_end(j);
    }
    json_array_end(j);
}

/* As text: the squares may be more than a double holds exactly, and readers use doubles. */
static void write_exact(struct json *j, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    json_str(j, key, text);
}

static void write_record(struct json *j, const struct record *r)
{
    json_object_begin(j, "record");
    json_array_begin(j, "parts");
    for (size_t i = 0; i < r->n_parts; i++)
        write_part(j, &r->part[i]);
    json_array_end(j);
    json_array_begin(j, "seconds");
    for (size_t i = 0; i < r->n_seconds; i++)
        write_second(j, &r->second[i]);
    json_array_end(j);
    write_worst(j, r);
    write_exact(j, "sessions", r->n_sessions);
    write_exact(j, "share_sum", r->share_sum);
    write_exact(j, "share_squares", r->share_squares);
    json_object_end(j);
}

void report_json_write(struct text *out, const struct report *r)
{
    struct json j = json_to(out);
    json_object_begin(&j, NULL);
    json_str(&j, "schema", REPORT_SCHEMA);
    write_summary(&j, r);
    write_gates(&j, r);
    write_validity(&j, r);
    write_run(&j, r);
    write_configuration(&j, r);
    write_generators(&j, r);
    write_record(&j, &r->record);
    json_object_end(&j);
    text_add_char(out, '\n');
}
