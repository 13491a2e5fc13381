#include <stdlib.h>
#include <string.h>

#include "loadgen/gate.h"
#include "loadgen/metric.h"
#include "loadgen/outputs.h"
#include "loadgen/stages.h"
#include "loadgen/validity.h"
#include "loadgen/verdict.h"

#define ANNOTATIONS_MAX 10 /* GitHub shows no more of a kind */

/* In a table's cell. */
static void add_cell(struct text *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '|' || *s == '\\' || *s == '`')
            text_add_char(out, '\\');
        if (*s == '<')
            text_add(out, "&lt;");
        else
            text_add_char(out, (unsigned char)*s < 0x20 ? ' ' : *s);
    }
}

static void add_time(struct text *out, uint64_t us)
{
    text_add(out, " | ");
    metric_format(out, us == UINT64_MAX ? 1.0 / 0.0 : (double)us, METRIC_TIME_US);
}

static void add_stage(struct text *out, const struct record_part *p, const struct stage_row *row)
{
    uint64_t us[STAGE_COLUMNS];
    if (!stage_times_us(p, row, us))
        return;
    text_addf(out, "| %s", row->name);
    for (size_t i = 0; i < STAGE_COLUMNS; i++)
        add_time(out, us[i]);
    text_add(out, " | ");
    if (row->target_us)
        text_addf(out, "< %llu ms", (unsigned long long)(row->target_us / 1000));
    text_add(out, " |\n");
}

static void add_latencies(struct text *out, const struct record_part *p)
{
    text_add(out, "\n| | p50 | p90 | p99 | p99.9 | max | target |\n"
                  "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < STAGE_ROWS; i++)
        add_stage(out, p, &stage_rows[i]);
}

static void add_gates(struct text *out, const struct report *r)
{
    static const char *const marks[] = {
        [GATE_PASSED] = "✅", [GATE_WARNED] = "⚠️", [GATE_FAILED] = "❌"};
    text_add(out, "\n| | gate | |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < r->n_gates; i++) {
        struct gate_verdict v;
        gate_judge_at(r, i, &v);
        text_addf(out, "| %s | ", marks[v.outcome]);
        add_cell(out, r->gate[i]);
        text_add(out, " | ");
        add_cell(out, v.why);
        text_add(out, " |\n");
    }
}

static void add_frames(struct text *out, const struct record_part *p)
{
    const uint64_t *n = p->count;
    text_addf(out, "\n%llu frames due: %llu sent, %llu held back, %llu lost, %llu unsent. ",
              (unsigned long long)n[RECORD_DUE], (unsigned long long)n[RECORD_SENT],
              (unsigned long long)n[RECORD_HELD_BACK], (unsigned long long)n[RECORD_LOST],
              (unsigned long long)n[RECORD_UNSENT]);
    text_addf(out, "Of those sent %llu were answered, %llu dropped, %llu unanswered.\n",
              (unsigned long long)n[RECORD_ANSWERED], (unsigned long long)n[RECORD_DROPPED],
              (unsigned long long)n[RECORD_UNANSWERED]);
    for (size_t i = 0; i < DROP_ROWS; i++)
        if (n[drop_rows[i].count])
            text_addf(out, "- dropped, %s: %llu\n", drop_rows[i].name,
                      (unsigned long long)n[drop_rows[i].count]);
}

/* What each kind of camera got; without a mix that is said already. */
static void add_profiles(struct text *out, const struct report *r)
{
    if (r->n_profiles < 2 && !r->profile[0].tags[0])
        return;
    text_add(out, "\n| profile | tags | due | answered | dropped | missing | p50 | p99 |\n"
                  "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < r->n_profiles; i++) {
        const struct record_part *p = &r->record.part[i];
        const struct hist *h = &p->time[RECORD_LATENCY];
        text_add(out, "| ");
        add_cell(out, r->profile[i].name);
        text_add(out, " | ");
        add_cell(out, r->profile[i].tags);
        text_addf(out, " | %llu | %llu | %llu | %llu", (unsigned long long)p->count[RECORD_DUE],
                  (unsigned long long)p->count[RECORD_ANSWERED],
                  (unsigned long long)p->count[RECORD_DROPPED],
                  (unsigned long long)record_missing(p));
        add_time(out, record_percentile_us(h, record_missing(p), 50));
        add_time(out, record_percentile_us(h, record_missing(p), 99));
        text_add(out, " |\n");
    }
}

void markdown_write(struct text *out, const struct report *r)
{
    struct validity v;
    struct record_part total;
    validity_judge(r, &v);
    record_total(&r->record, &total);
    text_addf(out, "### streamload: %s\n\n", verdict_name(verdict_of(r)));
    add_cell(out, r->url);
    text_addf(out, ", %.0f s\n", (double)r->duration_us / 1e6);
    for (size_t i = 0; i < v.n; i++) {
        text_add(out, "\n**Invalid**: ");
        add_cell(out, v.finding[i].text);
        text_add(out, "\n");
    }
    add_gates(out, r);
    add_latencies(out, &total);
    add_frames(out, &total);
    add_profiles(out, r);
}

/* --- GitHub's workflow commands --- */

static void add_command_text(struct text *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '%')
            text_add(out, "%25");
        else if (*s == '\r')
            text_add(out, "%0D");
        else if (*s == '\n')
            text_add(out, "%0A");
        else
            text_add_char(out, *s);
    }
}

static void add_command(struct text *out, const char *kind, const char *title, const char *s)
{
    text_addf(out, "::%s title=%s::", kind, title);
    add_command_text(out, s);
    text_add_char(out, '\n');
}

static void add_gate_commands(struct text *out, const struct report *r, enum gate_outcome outcome,
                              const char *kind)
{
    unsigned n = 0;
    for (size_t i = 0; i < r->n_gates && n < ANNOTATIONS_MAX; i++) {
        struct gate_verdict v;
        gate_judge_at(r, i, &v);
        if (v.outcome != outcome)
            continue;
        add_command(out, kind, "streamload gate", v.why);
        n++;
    }
}

void annotations_write(struct text *out, const struct report *r)
{
    struct validity v;
    validity_judge(r, &v);
    if (v.n)
        add_command(out, "error", "streamload invalid", v.finding[0].text);
    else
        add_gate_commands(out, r, GATE_FAILED, "error");
    add_gate_commands(out, r, GATE_WARNED, "warning");
}
