/* metric.h - numbers of a report, by name.
 *
 *   [profile:NAME.]TIME.STAT    TIME a histogram (latency, response, slip, ...), STAT p50, p99.9,
 *                               min, mean, max, count
 *   [profile:NAME.]COUNT        a counter (due, sent, dropped, connect_errors, ...)
 *   [profile:NAME.]RATE         drop_rate, budget_miss, error_rate, answered_fps, ...
 *   fairness, sessions, failed_sessions, ...
 *
 * One table in metric.c says which there are, with their units; gates, comparisons and the
 * Prometheus file use it, and streamload(1) says what each means.
 *
 * A frame that got no word is an infinitely late answer, so percentiles of latency
 * and response may be infinite. Pure. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/text.h"
#include "loadgen/report.h"

enum metric_unit {
    METRIC_TIME_US,
    METRIC_SHARE, /* 0 to 1; shown as a percentage */
    METRIC_COUNT,
    METRIC_PER_S,
    METRIC_INDEX /* 0 to 1; shown as it is */
};

struct metric {
    double value; /* INFINITY: it never came */
    enum metric_unit unit;
    bool has_data;    /* false: nothing was measured; value means nothing */
    bool more_is_bad; /* which direction is a regression */
};

/* 0, or -EXIT_USAGE: there is no metric of that name (with the nearest), or no profile. */
int metric_read(const struct report *r, const char *text, struct metric *m, struct err *e);

/* The same without a report, for the command line: the profile's name is not checked. */
int metric_check(const char *text, struct metric *m, struct err *e);

/* "36.2 ms", "0.12 %", "never", "1200/s". */
void metric_format(struct text *out, double value, enum metric_unit unit);

/* "37ms", "1%", "0.01", "500": in the metric's own unit. 0 or -EXIT_USAGE. */
int metric_parse_value(const char *text, enum metric_unit unit, double *out, struct err *e);

/* The names, one per index (of a histogram with its p99); NULL behind the last. */
const char *metric_name(size_t index);
