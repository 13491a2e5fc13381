/* figures.h - what the server's decisions are worth: the tables of the overload tests.
 *
 * Each figure is a run of a world; `sim --figures` prints them, the unit test asserts them.
 * Threads: any.
 */
#pragma once

#include <stdio.h>

#include "tests/sim/scenario.h"

/* ---- goodput against offered load ---- */

struct overload_case {
    enum policy policy;
    enum work_kind work;
    unsigned n_sessions, n_workers;
    uint64_t work_us, budget_us;
    double load; /* offered, in capacities */
};

/* Per second; the mean of several draws of the cameras' phases. */
struct overload {
    double offered, capacity, answered, within_budget;
    double dropped[DROP_REASONS];
    uint64_t p50_us, p99_us; /* age of answers when told */
    const char *broken;
};

struct overload figures_overload(const struct overload_case *c);

/* ---- the shares of sessions ---- */

/* Jain's index: 1 when all n are equal, 1 / n when one has everything. */
double figures_jain(const double *x, unsigned n);

#define SHARES_MAX 64 /* sessions */

struct shares_case {
    unsigned n_sessions, n_workers;
    const double *fps; /* session i has the i-th of n_fps, and again from the first */
    unsigned n_fps;
    const uint64_t *work_us; /* the same; shifted by one each time fps is through */
    unsigned n_work;
    uint64_t budget_us;
};

/* Per second. Saturated is a session that sends at least a quarter more than what each
 * would have if nobody got more than he sends and all others the same. */
struct shares {
    double answered, within_budget;
    double rate[SHARES_MAX], saturated[SHARES_MAX];
    unsigned n_saturated;
    double jain, least, most; /* of the saturated */
    const char *broken;
};

struct shares figures_shares(const struct shares_case *c, unsigned draw);

/* Two cameras of 30 fps in step, the second offset_us later; 20 ms work, one worker. */
struct shares figures_two(uint64_t offset_us);

/* ---- tables ---- */

/* One row a load, for each policy. 0, or 1 when a check broke. */
int figures_print_overload(FILE *to, const char *name, const struct overload_case *c);

/* All tables. 0, or 1 when a check broke. */
int figures_print(FILE *to);
