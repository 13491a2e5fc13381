#include "loadgen/html_charts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "loadgen/metric.h"
#include "loadgen/outputs.h"
#include "loadgen/svg.h"

/* Colours that stay apart for colour-blind readers (Okabe and Ito), on light and on dark. */
#define BLUE       "#3b8ed6"
#define ORANGE     "#e69f00"
#define VERMILLION "#d55e00"
#define GREEN      "#009e73"
#define GREY       "#8a8f98"

#define COLUMNS_MAX 240 /* a longer run has several seconds in one */

/* The series, at most COLUMNS_MAX points of it. */
struct points {
    size_t n;
    double seconds; /* in one point */
    double x[COLUMNS_MAX], p50[COLUMNS_MAX], p90[COLUMNS_MAX], p99[COLUMNS_MAX], max[COLUMNS_MAX];
    double answered[COLUMNS_MAX], dropped[COLUMNS_MAX], missing[COLUMNS_MAX], sessions[COLUMNS_MAX];
};

static void add_point(struct points *p, const struct report *r, size_t first, size_t n)
{
    struct hist h = {0};
    size_t at = p->n++;
    p->x[at] = (double)first + (double)n / 2.0;
    for (size_t i = first; i < first + n; i++) {
        const struct record_second *s = &r->record.second[i];
        record_unpack(s, &h);
        p->answered[at] += (double)s->answered / (double)n;
        p->dropped[at] += (double)s->dropped / (double)n;
        p->missing[at] += (double)s->unanswered / (double)n;
        p->sessions[at] = fmax(p->sessions[at], (double)s->sessions);
    }
    p->p50[at] = h.count ? (double)hist_percentile_us(&h, 50) / 1e3 : NAN;
    p->p90[at] = h.count ? (double)hist_percentile_us(&h, 90) / 1e3 : NAN;
    p->p99[at] = h.count ? (double)hist_percentile_us(&h, 99) / 1e3 : NAN;
    p->max[at] = h.count ? (double)h.max_us / 1e3 : NAN;
}

/* NULL: out of memory. */
static struct points *points_new(const struct report *r)
{
    size_t n = r->record.n_seconds, each = n / COLUMNS_MAX + (n % COLUMNS_MAX != 0);
    struct points *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->seconds = (double)each;
    for (size_t i = 0; i < n; i += each)
        add_point(p, r, i, n - i < each ? n - i : each);
    return p;
}

static double largest(const double *v, size_t n, double least)
{
    for (size_t i = 0; i < n; i++)
        least = !isnan(v[i]) && v[i] > least ? v[i] : least;
    return least;
}

static double smallest(const double *v, size_t n, double most)
{
    for (size_t i = 0; i < n; i++)
        most = !isnan(v[i]) && v[i] < most ? v[i] : most;
    return most;
}

void html_heading(struct text *out, const char *title, const char *note)
{
    text_addf(out, "<h2>%s</h2>\n<p>%s</p>\n", title, note);
}

/* --- around a picture --- */

struct legend {
    const char *color, *name;
};

static void add_legend(struct text *out, const struct legend *l, size_t n)
{
    text_add(out, "<p>");
    for (size_t i = 0; i < n; i++)
        text_addf(out,
                  "<svg width=\"12\" height=\"12\" aria-hidden=\"true\"><rect width=\"12\" "
                  "height=\"12\" rx=\"2\" fill=\"%s\"/></svg> %s &#160; ",
                  l[i].color, l[i].name);
    text_add(out, "</p>\n");
}

static void begin_table(struct text *out, const char *const *heads, size_t n)
{
    text_add(out, "<details><summary>the numbers</summary>\n<table>\n<tr>");
    for (size_t i = 0; i < n; i++)
        text_addf(out, "<th>%s</th>", heads[i]);
    text_add(out, "</tr>\n");
}

static void end_table(struct text *out)
{
    text_add(out, "</table></details>\n");
}

static void add_cell(struct text *out, double v, const char *fmt)
{
    char cell[64] = "&#8211;";
    if (!isnan(v))
        snprintf(cell, sizeof cell, fmt, v); /* NOLINT(clang-diagnostic-format-nonliteral) */
    text_addf(out, "<td>%s</td>", cell);
}

static struct svg_axis time_axis(const struct report *r)
{
    return (struct svg_axis){
        .low = 0, .high = r->record.n_seconds ? (double)r->record.n_seconds : 1, .unit = " s"};
}

static void shade_warm_up(struct svg *s, const struct report *r)
{
    if (r->warmup_us)
        svg_bar(s, 0, (double)r->warmup_us / 1e6, s->y.low, s->y.high, "#8a8f9833", "warm-up");
}

/* --- latency over time --- */

static void latency_table(struct text *out, const struct points *p)
{
    static const char *const heads[] = {"second", "p50 ms", "p90 ms", "p99 ms", "max ms"};
    begin_table(out, heads, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < p->n; i++) {
        text_add(out, "<tr>");
        add_cell(out, p->x[i] - p->seconds / 2.0, "%.0f");
        add_cell(out, p->p50[i], "%.2f");
        add_cell(out, p->p90[i], "%.2f");
        add_cell(out, p->p99[i], "%.2f");
        add_cell(out, p->max[i], "%.2f");
        text_add(out, "</tr>\n");
    }
    end_table(out);
}

/* From a little below the fastest to a little above the slowest, the budget among them. */
static struct svg_axis latency_axis(const struct report *r, const struct points *p)
{
    double budget_ms = (double)r->budget_us / 1e3;
    double low = smallest(p->p50, p->n, budget_ms), high = largest(p->max, p->n, budget_ms);
    return (struct svg_axis){
        .low = fmax(low * 0.6, 0.001), .high = high * 1.5, .log = true, .unit = " ms"};
}

void html_chart_latency(struct text *out, const struct report *r)
{
    static const struct legend legend[] = {
        {BLUE, "p50"}, {"#3b8ed68c", "to p90"}, {"#3b8ed647", "to p99"}, {GREY, "max"}};
    char label[64];
    struct points *p = points_new(r);
    if (!p) {
        out->cut = true;
        return;
    }
    struct svg s = {.out = out, .x = time_axis(r), .y = latency_axis(r, p), .height = 320};
    html_heading(out, "Latency over time",
                 "From when a frame was due to its answer, second by second.");
    svg_begin(&s, "Latency over time: median and percentiles of each second");
    shade_warm_up(&s, r);
    svg_band(&s, p->x, p->p90, p->p99, p->n, BLUE, 0.28);
    svg_band(&s, p->x, p->p50, p->p90, p->n, BLUE, 0.45);
    svg_line(&s, p->x, p->max, p->n, GREY, 1.0);
    svg_line(&s, p->x, p->p50, p->n, BLUE, 2.0);
    snprintf(label, sizeof label, "budget %g ms", (double)r->budget_us / 1e3);
    svg_mark_y(&s, (double)r->budget_us / 1e3, VERMILLION, label);
    svg_end(&s);
    add_legend(out, legend, sizeof legend / sizeof legend[0]);
    latency_table(out, p);
    free(p);
}

/* --- how often each latency --- */

#define BINS_PER_DECADE 30

struct bins {
    int first, n; /* exponents in 1 / BINS_PER_DECADE of a decade of milliseconds */
    double share[BINS_PER_DECADE * 10];
};

static double bin_edge_ms(int exponent)
{
    return pow(10.0, (double)exponent / BINS_PER_DECADE);
}

static int bin_of(double ms)
{
    return (int)floor(log10(ms) * BINS_PER_DECADE);
}

static void fill_bins(struct bins *b, const struct hist *h)
{
    int last = bin_of(fmax((double)h->max_us, 1.0) / 1e3);
    *b = (struct bins){.first = bin_of(fmax((double)h->min_us, 1.0) / 1e3)};
    b->n = last - b->first + 1;
    if (b->n > (int)(sizeof b->share / sizeof b->share[0]))
        b->n = (int)(sizeof b->share / sizeof b->share[0]);
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        double middle_us = ((double)hist_bucket_low_us(i) + (double)hist_bucket_high_us(i)) / 2.0;
        int at = bin_of(fmax(middle_us, 1.0) / 1e3) - b->first;
        at = at < 0 ? 0 : at >= b->n ? b->n - 1 : at;
        if (h->bucket[i])
            b->share[at] += (double)h->bucket[i] / (double)h->count;
    }
}

static void histogram_bars(struct svg *s, const struct bins *b, double budget_ms)
{
    for (int i = 0; i < b->n; i++) {
        char title[96];
        double low = bin_edge_ms(b->first + i), high = bin_edge_ms(b->first + i + 1);
        snprintf(title, sizeof title, "%.3g to %.3g ms: %.2f %%", low, high, 100.0 * b->share[i]);
        if (b->share[i] > 0.0)
            svg_bar(s, low, high, 0, 100.0 * b->share[i], low >= budget_ms ? VERMILLION : BLUE,
                    title);
    }
}

static void histogram_table(struct text *out, const struct bins *b)
{
    static const char *const heads[] = {"from ms", "to ms", "share %"};
    begin_table(out, heads, sizeof heads / sizeof heads[0]);
    for (int i = 0; i < b->n; i++) {
        text_add(out, "<tr>");
        add_cell(out, bin_edge_ms(b->first + i), "%.3g");
        add_cell(out, bin_edge_ms(b->first + i + 1), "%.3g");
        add_cell(out, 100.0 * b->share[i], "%.3f");
        text_add(out, "</tr>\n");
    }
    end_table(out);
}

void html_chart_histogram(struct text *out, const struct report *r)
{
    char label[64];
    struct record_part total;
    struct bins b;
    double budget_ms = (double)r->budget_us / 1e3;
    record_total(&r->record, &total);
    html_heading(
        out, "How often each latency came",
        "Share of all answers; the axis is logarithmic. Frames without an answer are not in "
        "it.");
    if (total.time[RECORD_LATENCY].count == 0) {
        text_add(out, "<p>No answers.</p>\n");
        return;
    }
    fill_bins(&b, &total.time[RECORD_LATENCY]);
    double low = fmin(bin_edge_ms(b.first), budget_ms / 2.0);
    double high = fmax(bin_edge_ms(b.first + b.n), budget_ms * 2.0);
    struct svg s = {
        .out = out,
        .x = {.low = low, .high = high, .log = true, .unit = " ms"},
        .y = {.low = 0, .high = 100.0 * largest(b.share, (size_t)b.n, 0.01) * 1.1, .unit = " %"},
        .height = 260};
    svg_begin(&s, "Histogram of latency");
    histogram_bars(&s, &b, budget_ms);
    snprintf(label, sizeof label, "budget %g ms", budget_ms);
    svg_mark_x(&s, budget_ms, VERMILLION, label);
    svg_end(&s);
    histogram_table(out, &b);
}

/* --- frames and sessions over time --- */

static void frames_bars(struct svg *s, const struct points *p)
{
    for (size_t i = 0; i < p->n; i++) {
        char title[128];
        double x0 = p->x[i] - p->seconds / 2.0, x1 = x0 + p->seconds;
        double answered = p->answered[i], dropped = answered + p->dropped[i],
               missing = dropped + p->missing[i];
        snprintf(title, sizeof title, "second %.0f: %.0f answered, %.0f dropped, %.0f unanswered",
                 x0, p->answered[i], p->dropped[i], p->missing[i]);
        svg_bar(s, x0, x1, 0, answered, BLUE, title);
        if (p->dropped[i] > 0.0)
            svg_bar(s, x0, x1, answered, dropped, ORANGE, title);
        if (p->missing[i] > 0.0)
            svg_bar(s, x0, x1, dropped, missing, VERMILLION, title);
    }
}

static double most_frames(const struct points *p)
{
    double most = 1.0;
    for (size_t i = 0; i < p->n; i++)
        most = fmax(most, p->answered[i] + p->dropped[i] + p->missing[i]);
    return most;
}

static void frames_table(struct text *out, const struct points *p)
{
    static const char *const heads[] = {"second", "answered/s", "dropped/s", "unanswered/s",
                                        "sessions"};
    begin_table(out, heads, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < p->n; i++) {
        text_add(out, "<tr>");
        add_cell(out, p->x[i] - p->seconds / 2.0, "%.0f");
        add_cell(out, p->answered[i], "%.1f");
        add_cell(out, p->dropped[i], "%.1f");
        add_cell(out, p->missing[i], "%.1f");
        add_cell(out, p->sessions[i], "%.0f");
        text_add(out, "</tr>\n");
    }
    end_table(out);
}

static void sessions_chart(struct text *out, const struct report *r, const struct points *p)
{
    struct svg s = {.out = out,
                    .x = time_axis(r),
                    .y = {.low = 0, .high = largest(p->sessions, p->n, 1.0) * 1.15, .unit = ""},
                    .height = 150};
    html_heading(out, "Sessions", "Open at the end of each second.");
    svg_begin(&s, "Open sessions over time");
    shade_warm_up(&s, r);
    svg_line(&s, p->x, p->sessions, p->n, GREEN, 2.0);
    svg_end(&s);
}

void html_chart_frames(struct text *out, const struct report *r)
{
    static const struct legend legend[] = {
        {BLUE, "answered"}, {ORANGE, "dropped"}, {VERMILLION, "unanswered"}};
    struct points *p = points_new(r);
    if (!p) {
        out->cut = true;
        return;
    }
    struct svg s = {.out = out,
                    .x = time_axis(r),
                    .y = {.low = 0, .high = most_frames(p) * 1.1, .unit = "/s"},
                    .height = 220};
    html_heading(out, "Frames", "What became of them, by when it was known.");
    svg_begin(&s, "Frames answered, dropped and unanswered over time");
    shade_warm_up(&s, r);
    frames_bars(&s, p);
    svg_end(&s);
    add_legend(out, legend, sizeof legend / sizeof legend[0]);
    frames_table(out, p);
    sessions_chart(out, r, p);
    free(p);
}
