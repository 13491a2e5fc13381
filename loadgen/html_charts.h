/* html_charts.h - the pictures of a report: each adds a figure with an SVG, a legend and, folded
 * away, the numbers as a table.
 *
 * Pure. Threads: any.
 */
#pragma once

#include "common/text.h"
#include "loadgen/report.h"

/* Latency over time: median, bands up to p90 and p99, maximum, and the budget. */
void html_chart_latency(struct text *out, const struct report *r);

/* How often each latency came, on a log axis. */
void html_chart_histogram(struct text *out, const struct report *r);

/* Answered, dropped and unanswered frames, and sessions, over time. */
void html_chart_frames(struct text *out, const struct report *r);

/* Everything above begins with this much of a <h2>. */
void html_heading(struct text *out, const char *title, const char *note);
