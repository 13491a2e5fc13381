/* compare.h - did it get worse? Runs before against runs now.
 *
 * What may not get worse, and by how much, are limits: "latency.p99=10%+2ms,drop_rate=+0.2pp". A
 * metric has got worse when it is worse by more than the relative and the absolute part together
 * (pp: percentage points). Then how sure it is decides, and that depends on how many runs there
 * are:
 *
 *   6 or more on each side: the shift (see samples.h) must be above the limit, and the
 *       ranks must say so at an error rate of 1 % over all limits together: two sets of runs of one
 *       server differ in fewer than 1 of 100 cases, however noisy they are. With 10 runs each and a
 *       run-to-run noise of 4 %, a shift of 10 % is found in more than 95 of 100; on a machine that
 *       drifts or that disturbs one run in twenty, in 80 to 90. tests/unit/test_compare.c
 *       simulates all of that. Take the runs of both sides in turns.
 *   3 or more before, fewer now: the new median must also be outside the noise of the old runs:
 *       above their median by more than 3 of their spreads.
 *   else: the numbers themselves. Then the limits must have room for the noise, and the default
 * ones have.
 *
 * Pure, apart from the commands. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/text.h"
#include "loadgen/metric.h"
#include "loadgen/options.h"
#include "loadgen/report.h"
#include "loadgen/samples.h"

#define COMPARE_LIMITS_MAX 32
#define COMPARE_RUNS_TEST  6 /* on each side, for a test: fewer can never be sure enough */
#define COMPARE_RUNS_BAND  3 /* before, for a band */
#define COMPARE_ALPHA      0.01

struct compare_limit {
    char metric[128];
    double relative, absolute; /* of the metric's own unit */
    enum metric_unit unit;
    bool more_is_bad;
};

struct compare_limits {
    size_t n;
    struct compare_limit item[COMPARE_LIMITS_MAX];
};

enum compare_method { COMPARE_PLAIN, COMPARE_BAND, COMPARE_TEST };

enum compare_outcome { COMPARE_SAME, COMPARE_WORSE, COMPARE_NO_DATA };

struct compare_verdict {
    enum compare_method method;
    enum compare_outcome outcome;
    double before, now; /* medians */
    double spread;      /* of the runs before */
    double worse_by;    /* in the bad direction; negative: better */
    double allowed;
    double p; /* adjusted for all limits; COMPARE_TEST only */
};

/* What holds when --max-regress is not given, by how many runs there are. */
const char *compare_default_limits(size_t n_before, size_t n_now);

/* 0, or -EXIT_USAGE with what is wrong. */
int compare_parse_limits(struct compare_limits *l, const char *text, struct err *e);

/* One limit; before[i], now[i]: the metric of each run. p is not adjusted yet. */
void compare_judge(const struct compare_limit *l, const double *before, size_t n_before,
                   const double *now, size_t n_now, struct compare_verdict *v);

/* Adjusts the p of all verdicts and takes back what is not sure enough. Any worse? */
bool compare_conclude(struct compare_verdict *v, size_t n);

/* `streamload compare BASE... vs NEW...` (with two files the "vs" may be left out): prints the
 * table, gives the exit code: EXIT_REGRESSION when something got worse, EXIT_USAGE for runs of
 * unlike configuration, EXIT_INVALID when a run is not valid. */
int compare_command(const struct settings *set, int n_args, char **args, struct err *e);

/* The finished run against the files of --baseline: prints the same table, gives the exit code. */
int compare_with_baselines(const struct report *now, const struct settings *set, struct err *e);
