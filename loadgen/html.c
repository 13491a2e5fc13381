/* The page: one file, no script, no network; drawn under a policy that blocks styles as well, only
 * less pretty then. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "loadgen/gate.h"
#include "loadgen/html_charts.h"
#include "loadgen/metric.h"
#include "loadgen/outputs.h"
#include "loadgen/report_json.h"
#include "loadgen/stages.h"
#include "loadgen/validity.h"
#include "loadgen/verdict.h"

static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--line:#8a8f9840;--soft:#8a8f9818}\n"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1.25rem}\n"
    "h1{font-size:1.9rem;line-height:1.2;margin:.2rem 0 .4rem}\n"
    "h2{font-size:1.15rem;margin:2.4rem 0 0}\n"
    "h2+p{margin:.1rem 0 .6rem;opacity:.7}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4rem 0}\n"
    "th,td{padding:.28rem .9rem .28rem 0;text-align:right;border-bottom:1px solid var(--line);"
    "white-space:nowrap}\n"
    "th{font-weight:600;opacity:.75}\n"
    "th:first-child,td:first-child,td.t,th.t{text-align:left}\n"
    "td.t{white-space:normal}\n"
    "details{margin:.4rem 0}\nsummary{cursor:pointer;opacity:.7}\n"
    "code{font-size:.92em}\n"
    ".verdict{border-left:.5rem solid;padding:.6rem "
    "1rem;background:var(--soft);border-radius:.25rem}\n"
    ".ok{border-color:#009e73}.bad{border-color:#d55e00}.odd{border-color:#e69f00}\n"
    ".big{display:flex;flex-wrap:wrap;gap:.4rem 1.8rem;margin:1.2rem 0 0}\n"
    ".big div{min-width:5rem}.big b{display:block;font-size:1.55rem;font-weight:600;"
    "line-height:1.25}\n"
    ".big span{opacity:.7}\n"
    "</style>\n";

static void add(struct text *out, const char *s)
{
    junit_add_text(out, s);
}

static void add_metric(struct text *out, double value, enum metric_unit unit)
{
    char cell[64];
    struct text t = text_fixed(cell, sizeof cell);
    metric_format(&t, value, unit);
    text_add(out, cell);
}

static void add_time_cell(struct text *out, uint64_t us)
{
    text_add(out, "<td>");
    add_metric(out, us == UINT64_MAX ? (double)INFINITY : (double)us, METRIC_TIME_US);
    text_add(out, "</td>");
}

/* --- the verdict --- */

/* The first gate that failed, or else the first there is. */
static void add_reason(struct text *out, const struct report *r, const struct validity *validity)
{
    struct gate_verdict v, first = {0};
    if (validity->n) {
        add(out, validity->finding[0].text);
        return;
    }
    for (size_t i = 0; i < r->n_gates; i++) {
        gate_judge_at(r, i, &v);
        if (i == 0 || (v.outcome == GATE_FAILED && first.outcome != GATE_FAILED))
            first = v;
    }
    add(out, r->n_gates ? first.why : "no gates");
}

static void add_verdict(struct text *out, const struct report *r)
{
    char iso[32];
    struct validity v;
    enum exit_code code = verdict_of(r);
    validity_judge(r, &v);
    clock_iso(r->started_wall_s, iso);
    text_addf(out, "<div class=\"verdict %s\"><h1>%s</h1>\n<p>",
              code == EXIT_DONE      ? "ok"
              : code == EXIT_INVALID ? "odd"
                                     : "bad",
              code == EXIT_DONE      ? "&#10003; Passed"
              : code == EXIT_INVALID ? "? Invalid"
                                     : "&#10007; Failed");
    add_reason(out, r, &v);
    text_add(out, "</p></div>\n<p><code>");
    add(out, r->url);
    text_addf(out, "</code>, %s, %.0f s", iso, (double)r->duration_us / 1e6);
    if (strcmp(r->ended, "done") != 0)
        text_addf(out, ", <b>%s</b>", r->ended);
    text_add(out, "</p>\n");
}

static void add_big(struct text *out, const struct report *r, const char *metric, const char *name)
{
    struct metric m;
    bool known = metric_read(r, metric, &m, NULL) == 0 && m.has_data;
    text_add(out, "<div><b>");
    if (known)
        add_metric(out, m.value, m.unit);
    else
        text_add(out, "&#8211;");
    text_addf(out, "</b><span>%s</span></div>\n", name);
}

static void add_headline(struct text *out, const struct report *r)
{
    text_add(out, "<div class=\"big\">\n");
    add_big(out, r, "latency.p50", "p50, due to answer");
    add_big(out, r, "latency.p99", "p99");
    add_big(out, r, "budget_miss", "over the budget");
    add_big(out, r, "drop_rate", "dropped");
    add_big(out, r, "answered_fps", "answers");
    add_big(out, r, "sessions", "sessions");
    add_big(out, r, "fairness", "fairness");
    text_add(out, "</div>\n");
}

/* --- tables --- */

static void add_findings(struct text *out, const struct report *r)
{
    struct validity v;
    validity_judge(r, &v);
    if (v.n == 0)
        return;
    html_heading(out, "Why it is invalid", "The generator, not the server, was measured.");
    text_add(out, "<ul>\n");
    for (size_t i = 0; i < v.n; i++) {
        text_add(out, "<li>");
        add(out, v.finding[i].text);
        text_add(out, "</li>\n");
    }
    text_add(out, "</ul>\n");
}

static void add_gates(struct text *out, const struct report *r)
{
    static const char *const marks[] = {"&#10003; passed", "! warning", "&#10007; failed"};
    html_heading(out, "Gates", "What had to hold.");
    text_add(out, "<table>\n<tr><th>gate</th><th></th><th class=\"t\">measured</th></tr>\n");
    for (size_t i = 0; i < r->n_gates; i++) {
        struct gate_verdict v;
        gate_judge_at(r, i, &v);
        text_add(out, "<tr><td><code>");
        add(out, r->gate[i]);
        text_addf(out, "</code></td><td class=\"t\">%s</td><td class=\"t\">", marks[v.outcome]);
        add(out, v.why);
        text_add(out, "</td></tr>\n");
    }
    text_add(out, "</table>\n");
}

static void add_stage_row(struct text *out, const struct record_part *p,
                          const struct stage_row *row)
{
    uint64_t us[STAGE_COLUMNS];
    if (!stage_times_us(p, row, us))
        return;
    text_addf(out, "<tr><td>%s</td>", row->name);
    for (size_t i = 0; i < STAGE_COLUMNS; i++)
        add_time_cell(out, us[i]);
    if (row->target_us)
        text_addf(out, "<td>&lt; %llu ms %s</td></tr>\n", (unsigned long long)row->target_us / 1000,
                  us[STAGE_P99] < row->target_us ? "&#10003;" : "&#10007;");
    else
        text_add(out, "<td></td></tr>\n");
}

static void add_stages(struct text *out, const struct report *r)
{
    struct record_part total;
    record_total(&r->record, &total);
    html_heading(
        out, "Latency by stage",
        "Wait and pipeline are the server's own word. A mark says whether p99 is within the "
        "target.");
    text_add(out, "<table>\n<tr><th></th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th>"
                  "<th>max</th><th>target</th></tr>\n");
    for (size_t i = 0; i < STAGE_ROWS; i++)
        add_stage_row(out, &total, &stage_rows[i]);
    text_add(out, "</table>\n");
}

static void add_count_row(struct text *out, const char *name, uint64_t n, uint64_t all)
{
    text_addf(out, "<tr><td>%s</td><td>%llu</td><td>", name, (unsigned long long)n);
    if (all)
        add_metric(out, (double)n / (double)all, METRIC_SHARE);
    text_add(out, "</td></tr>\n");
}

static void add_frames(struct text *out, const struct report *r)
{
    struct record_part total;
    record_total(&r->record, &total);
    const uint64_t *n = total.count;
    uint64_t all = n[RECORD_DUE];
    text_add(out, "<table>\n<tr><th>frames</th><th></th><th>of those due</th></tr>\n");
    add_count_row(out, "due", n[RECORD_DUE], all);
    add_count_row(out, "answered", n[RECORD_ANSWERED], all);
    add_count_row(out, "answered, but late", n[RECORD_LATE], all);
    add_count_row(out, "dropped", n[RECORD_DROPPED], all);
    for (size_t i = 0; i < DROP_ROWS; i++)
        if (n[drop_rows[i].count])
            add_count_row(out, drop_rows[i].name, n[drop_rows[i].count], all);
    add_count_row(out, "unanswered", n[RECORD_UNANSWERED], all);
    add_count_row(out, "lost", n[RECORD_LOST], all);
    add_count_row(out, "never sent by us", n[RECORD_UNSENT], all);
    add_count_row(out, "held back", n[RECORD_HELD_BACK], all);
    text_add(out, "</table>\n");
}

static void add_profiles(struct text *out, const struct report *r)
{
    if (r->n_profiles < 2)
        return;
    html_heading(out, "Profiles", "What each kind of camera got.");
    text_add(out,
             "<table>\n<tr><th>profile</th><th class=\"t\">tags</th><th>due</th><th>answered</th>"
             "<th>dropped</th><th>missing</th><th>p50</th><th>p99</th></tr>\n");
    for (size_t i = 0; i < r->n_profiles; i++) {
        const struct record_part *p = &r->record.part[i];
        const struct hist *h = &p->time[RECORD_LATENCY];
        text_add(out, "<tr><td>");
        add(out, r->profile[i].name);
        text_add(out, "</td><td class=\"t\">");
        add(out, r->profile[i].tags);
        text_addf(
            out, "</td><td>%llu</td><td>%llu</td><td>%llu</td><td>%llu</td>",
            (unsigned long long)p->count[RECORD_DUE], (unsigned long long)p->count[RECORD_ANSWERED],
            (unsigned long long)p->count[RECORD_DROPPED], (unsigned long long)record_missing(p));
        add_time_cell(out, record_percentile_us(h, record_missing(p), 50));
        add_time_cell(out, record_percentile_us(h, record_missing(p), 99));
        text_add(out, "</tr>\n");
    }
    text_add(out, "</table>\n");
}

static void add_worst(struct text *out, const struct report *r)
{
    html_heading(out, "The worst sessions", "By frames dropped or missing, then by p99 (to 1/8).");
    text_add(out, "<table>\n<tr><th>session</th><th>profile</th><th>due</th><th>dropped</th>"
                  "<th>missing</th><th>p99</th><th>max</th></tr>\n");
    for (size_t i = 0; i < r->record.n_worst; i++) {
        const struct record_session *s = &r->record.worst[i];
        text_addf(out, "<tr><td>%u</td><td>", s->index);
        add(out, r->profile[s->profile].name);
        text_addf(out, "</td><td>%llu</td><td>%llu</td><td>%llu</td>", (unsigned long long)s->due,
                  (unsigned long long)s->dropped, (unsigned long long)s->missing);
        add_time_cell(out, s->p99_us);
        add_time_cell(out, s->max_us);
        text_add(out, "</tr>\n");
    }
    text_add(out, "</table>\n");
}

static void add_pair(struct text *out, const char *name, const char *value)
{
    text_add(out, "<tr><td>");
    add(out, name);
    text_add(out, "</td><td class=\"t\">");
    add(out, value);
    text_add(out, "</td></tr>\n");
}

static void add_generator(struct text *out, const struct report_generator *g)
{
    char text[256];
    snprintf(
        text, sizeof text,
        "%s: segment %u/%u, %u of %u sessions, %u threads on %u processors, busiest %.0f %% of "
        "one, waits by %s (p99 %.2f ms late without load)",
        g->host, g->segment, g->n_segments, g->sessions_achieved, g->sessions_asked, g->n_threads,
        g->n_cpus, g->run_us ? 100.0 * (double)g->busiest_cpu_us / (double)g->run_us : 0.0, g->wait,
        (double)g->calibrated_slip_us / 1e3);
    add_pair(out, "generator", text);
}

static void add_conditions(struct text *out, const struct report *r)
{
    html_heading(out, "Conditions", "What was run, and where.");
    text_add(out, "<table>\n");
    add_pair(out, "version", r->version);
    add_pair(out, "server", r->server);
    for (size_t i = 0; i < r->n_generators; i++)
        add_generator(out, &r->generator[i]);
    for (size_t i = 0; i < r->n_settings; i++)
        add_pair(out, r->setting[i].name, r->setting[i].value);
    for (size_t i = 0; i < r->n_profiles; i++) {
        char text[512];
        const struct report_profile *p = &r->profile[i];
        snprintf(text, sizeof text, "%.200s: weight %llu, %g fps, %llu bytes a frame%s%.200s",
                 p->name, (unsigned long long)p->weight, (double)p->fps_milli / 1e3,
                 (unsigned long long)p->frame_bytes, p->tags[0] ? ", " : "", p->tags);
        add_pair(out, "profile", text);
    }
    text_add(out, "</table>\n");
}

/* Inert under any policy. In JSON a "<" stands in texts only, and written as an escape it can
 * neither end the element nor begin a comment. */
static void add_data(struct text *out, const struct report *r)
{
    struct text json = text_heap(out->max);
    report_json_write(&json, r);
    text_add(out, "<script type=\"application/json\" id=\"report\">\n");
    for (size_t i = 0; i < json.len; i++) {
        if (json.data[i] == '<')
            text_add(out, "\\u003c");
        else
            text_add_char(out, json.data[i]);
    }
    text_add(out, "</script>\n");
    out->cut = out->cut || json.cut;
    text_deinit(&json);
}

void html_write(struct text *out, const struct report *r)
{
    text_add(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width\">\n<title>streamload: ");
    text_addf(out, "%s</title>\n%s</head><body>\n", verdict_name(verdict_of(r)), style);
    add_verdict(out, r);
    add_headline(out, r);
    add_findings(out, r);
    add_gates(out, r);
    html_chart_latency(out, r);
    html_chart_histogram(out, r);
    html_chart_frames(out, r);
    add_stages(out, r);
    html_heading(out, "Every frame", "Each that was due has one fate.");
    add_frames(out, r);
    add_profiles(out, r);
    add_worst(out, r);
    add_conditions(out, r);
    add_data(out, r);
    text_add(out, "</body></html>\n");
}
