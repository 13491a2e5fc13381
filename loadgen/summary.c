#include <string.h>

#include "loadgen/gate.h"
#include "loadgen/metric.h"
#include "loadgen/outputs.h"
#include "loadgen/stages.h"
#include "loadgen/validity.h"
#include "loadgen/verdict.h"

#define WORST_SHOWN 3

enum paint { PAINT_GOOD, PAINT_BAD, PAINT_UNEASY };

static void add_painted(struct text *out, const char *s, enum paint paint, bool color)
{
    static const char *const codes[] = {"\033[32m", "\033[31m", "\033[33m"};
    text_addf(out, "%s%s%s", color ? codes[paint] : "", s, color ? "\033[0m" : "");
}

/* Right-aligned in a cell. */
static void add_time(struct text *out, uint64_t us, int width)
{
    char cell[32];
    struct text t = text_fixed(cell, sizeof cell);
    metric_format(&t, us == UINT64_MAX ? 1.0 / 0.0 : (double)us, METRIC_TIME_US);
    text_addf(out, "%*s", width, cell);
}

/* --- the verdict --- */

static void add_verdict(struct text *out, const struct report *r, bool color)
{
    enum exit_code code = verdict_of(r);
    const char *word = code == EXIT_DONE ? "PASSED" : code == EXIT_INVALID ? "INVALID" : "FAILED";
    add_painted(out, word,
                code == EXIT_DONE      ? PAINT_GOOD
                : code == EXIT_INVALID ? PAINT_UNEASY
                                       : PAINT_BAD,
                color);
    text_addf(out, "  %s, %.1f s", r->url, (double)r->duration_us / 1e6);
    if (r->warmup_us)
        text_addf(out, " (warm-up %.1f s)", (double)r->warmup_us / 1e6);
    if (r->server[0])
        text_addf(out, ", %s", r->server);
    if (strcmp(r->ended, "done") != 0)
        text_addf(out, ", %s", r->ended);
    text_add(out, "\n\n");
}

/* --- latencies --- */

static void add_stage(struct text *out, const struct record_part *p, const struct stage_row *row,
                      bool color)
{
    uint64_t us[STAGE_COLUMNS];
    if (!stage_times_us(p, row, us))
        return;
    text_addf(out, "  %-18s", row->name);
    for (size_t i = 0; i < STAGE_COLUMNS; i++)
        add_time(out, us[i], 10);
    if (row->target_us) {
        bool kept = us[STAGE_P99] < row->target_us;
        text_addf(out, "  < %2llu ms ", (unsigned long long)(row->target_us / 1000));
        add_painted(out, kept ? "ok" : "over", kept ? PAINT_GOOD : PAINT_UNEASY, color);
    }
    text_add_char(out, '\n');
}

static void add_latencies(struct text *out, const struct record_part *p, bool color)
{
    text_addf(out, "  %-18s%10s%10s%10s%10s%10s  target\n", "", "p50", "p90", "p99", "p99.9",
              "max");
    for (size_t i = 0; i < STAGE_ROWS; i++)
        add_stage(out, p, &stage_rows[i], color);
    text_add_char(out, '\n');
}

/* --- frames and sessions --- */

static unsigned long long count(const struct record_part *p, enum record_count what)
{
    return (unsigned long long)p->count[what];
}

static void add_frames(struct text *out, const struct report *r, const struct record_part *p)
{
    double s = report_counted_s(r);
    text_addf(out, "  frames    %llu due: %llu sent, %llu held back, %llu lost, %llu unsent\n",
              count(p, RECORD_DUE), count(p, RECORD_SENT), count(p, RECORD_HELD_BACK),
              count(p, RECORD_LOST), count(p, RECORD_UNSENT));
    text_addf(out, "            %llu answered (%.1f/s, %llu late), %llu dropped, %llu unanswered\n",
              count(p, RECORD_ANSWERED), s > 0.0 ? (double)p->count[RECORD_ANSWERED] / s : 0.0,
              count(p, RECORD_LATE), count(p, RECORD_DROPPED), count(p, RECORD_UNANSWERED));
}

static void add_drops(struct text *out, const struct report *r, const struct record_part *p)
{
    struct metric m;
    text_add(out, "  drops     ");
    if (metric_read(r, "drop_rate", &m, NULL) == 0 && m.has_data)
        metric_format(out, m.value, m.unit);
    for (size_t i = 0; i < DROP_ROWS; i++)
        if (p->count[drop_rows[i].count])
            text_addf(out, ", %s %llu", drop_rows[i].name, count(p, drop_rows[i].count));
    text_addf(out, "; slow-downs %llu\n", count(p, RECORD_SLOW_DOWNS));
    if (p->count[RECORD_ERRORS] + p->count[RECORD_ODD])
        text_addf(out, "  messages  %llu errors, %llu not understood\n", count(p, RECORD_ERRORS),
                  count(p, RECORD_ODD));
}

static void add_sessions(struct text *out, const struct report *r, const struct record_part *p)
{
    uint64_t asked = 0, achieved = 0;
    for (size_t i = 0; i < r->n_generators; i++) {
        asked += r->generator[i].sessions_asked;
        achieved += r->generator[i].sessions_achieved;
    }
    text_addf(out, "  sessions  %llu of %llu open", (unsigned long long)achieved,
              (unsigned long long)asked);
    text_addf(out, ", %llu connections, %llu refused, %llu lost, fairness %.4f\n",
              count(p, RECORD_CONNECTS), count(p, RECORD_CONNECT_ERRORS),
              count(p, RECORD_DISCONNECTS), record_fairness(&r->record));
    text_add(out, "  connect   ");
    static const enum record_time times[] = {RECORD_CONNECT, RECORD_TLS, RECORD_UPGRADE,
                                             RECORD_FIRST_ANSWER};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        const struct hist *h = &p->time[times[i]];
        if (h->count == 0)
            continue;
        text_addf(out, "%s ", record_time_names[times[i]]);
        add_time(out, hist_percentile_us(h, 50), 0);
        text_add(out, "  ");
    }
    text_add(out, "(p50)\n");
}

#define PROFILES_SHOWN 8

/* A line for each kind of camera, where there are several. */
static void add_profiles(struct text *out, const struct report *r)
{
    for (size_t i = 0; r->n_profiles > 1 && i < r->n_profiles && i < PROFILES_SHOWN; i++) {
        const struct record_part *p = &r->record.part[i];
        text_addf(out, "  %s %-16.16s %llu due, %llu answered, %llu dropped, p99 ",
                  i ? "         " : "profiles ", r->profile[i].name, count(p, RECORD_DUE),
                  count(p, RECORD_ANSWERED), count(p, RECORD_DROPPED));
        add_time(out, record_percentile_us(&p->time[RECORD_LATENCY], record_missing(p), 99), 0);
        text_addf(out, "%s%.30s\n", r->profile[i].tags[0] ? "  " : "", r->profile[i].tags);
    }
}

static void add_worst(struct text *out, const struct report *r)
{
    for (size_t i = 0; i < r->record.n_worst && i < WORST_SHOWN; i++) {
        const struct record_session *s = &r->record.worst[i];
        text_addf(out, "  %s #%u (%.20s): %.1f %% dropped or missing, p99 ",
                  i ? "         " : "worst    ", s->index, r->profile[s->profile].name,
                  100.0 * (double)(s->dropped + s->missing) / (double)s->due);
        add_time(out, s->p99_us, 0);
        text_add(out, ", max ");
        add_time(out, s->max_us, 0);
        text_add_char(out, '\n');
    }
}

/* --- what is made of it --- */

static void add_validity(struct text *out, const struct report *r, const struct record_part *p,
                         bool color)
{
    struct validity v;
    validity_judge(r, &v);
    for (size_t i = 0; i < v.n; i++) {
        text_add(out, i ? "            " : "  ");
        add_painted(out, i ? "" : "invalid", PAINT_UNEASY, color && !i);
        text_addf(out, "%s%s\n", i ? "" : "   ", v.finding[i].text);
    }
    if (v.n == 0) {
        text_add(out, "  valid     slip p99 ");
        add_time(out, hist_percentile_us(&p->time[RECORD_SLIP], 99), 0);
        for (size_t i = 0; i < r->n_generators && i < 4; i++) {
            const struct report_generator *g = &r->generator[i];
            text_addf(out, ", %s: busiest thread %.0f %% of a processor", g->host,
                      g->run_us ? 100.0 * (double)g->busiest_cpu_us / (double)g->run_us : 0.0);
        }
        text_add_char(out, '\n');
    }
}

static void add_gates(struct text *out, const struct report *r, bool color)
{
    static const char *const words[] = {"ok  ", "warn", "FAIL"};
    static const enum paint paints[] = {PAINT_GOOD, PAINT_UNEASY, PAINT_BAD};
    for (size_t i = 0; i < r->n_gates; i++) {
        struct gate_verdict v;
        gate_judge_at(r, i, &v);
        text_add(out, i ? "            " : "  gates     ");
        add_painted(out, words[v.outcome], paints[v.outcome], color);
        text_addf(out, "  %s\n", v.why);
    }
}

void summary_write(struct text *out, const struct report *r, bool color)
{
    struct record_part total;
    record_total(&r->record, &total);
    add_verdict(out, r, color);
    add_latencies(out, &total, color);
    add_frames(out, r, &total);
    add_drops(out, r, &total);
    add_sessions(out, r, &total);
    add_profiles(out, r);
    add_worst(out, r);
    add_validity(out, r, &total, color);
    add_gates(out, r, color);
}
