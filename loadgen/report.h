/* report.h - one run: what was asked, by whom it was run, and what was measured.
 *
 * The JSON file of a run is this struct and nothing else: report_json.h writes and
 * reads it, report_merge adds several up, and every output is made from it, so any of
 * them can be made later from the file. What can be computed (percentiles, gates,
 * validity) is not part of it.
 *
 * Ownership: report_deinit frees all that hangs on it; texts are heap copies.
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "loadgen/record.h"

/* One process that made load. A merged report has several. */
struct report_generator {
    char host[64];
    uint32_t segment, n_segments; /* 1 of 1: not split */
    uint32_t n_cpus, n_threads;
    uint32_t sessions_asked, sessions_achieved; /* at the peak; achieved: open at the same time */
    uint64_t cpu_us, busiest_cpu_us;            /* all threads; the busiest one. Of the run */
    uint64_t run_queue_us;                      /* the busiest thread's wait for a processor */
    uint64_t calibrated_slip_us;                /* p99 of a wait without load, before the run */
    uint64_t run_us;                            /* how long the run took */
    char wait[8];                               /* "sleep" or "spin" */
};

struct report_setting {
    char *name, *value;
};

struct report_profile {
    char *name;
    uint64_t weight, fps_milli, frame_bytes; /* frames per 1000 s; the mean of its frames */
    char *tags;                              /* "key=value key=value", "" without */
};

struct report {
    char *version, *url, *server; /* server: what /version says, "" when it does not */
    double started_wall_s;        /* of the first frame's due time, Unix seconds */
    uint64_t duration_us;         /* from the start to the last due time, warm-up included */
    uint64_t warmup_us, budget_us;
    char *ended; /* "done", "interrupted", "aborted" (a gate failed early) */

    size_t n_settings; /* what decides what is measured: compared by `compare` */
    struct report_setting *setting;
    size_t n_profiles;
    struct report_profile *profile;
    size_t n_gates;
    char **gate; /* as they were given; see gate.h */
    size_t n_generators;
    struct report_generator *generator;
    struct record record; /* as many parts as there are profiles */
};

/* All zero is a valid, empty report. */
void report_deinit(struct report *r);

/* Copies. 0, or -EXIT_FAILED: out of memory. */
int report_add_setting(struct report *r, const char *name, const char *value);
int report_add_profile(struct report *r, const struct report_profile *p);
int report_add_gate(struct report *r, const char *text);
int report_add_generator(struct report *r, const struct report_generator *g);

/* The name of the first setting or profile in which the two differ (apart from segments), with both
 * values as a sentence in e; 0 when they are the same, else -EXIT_USAGE. */
int report_is_same_run(const struct report *a, const struct report *b, struct err *e);

/* Adds `from` to `into`: counters and buckets added, generators side by side, the earlier start.
 * Refuses unlike settings, or the same segment twice (-EXIT_USAGE). */
int report_merge(struct report *into, const struct report *from, struct err *e);

/* Seconds in which frames were due and counted: without the warm-up. */
double report_counted_s(const struct report *r);

/* The part of a profile by name, or -1. */
int report_find_profile(const struct report *r, const char *name);
