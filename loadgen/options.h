/* options.h - everything streamload can be told, and the table it is told through. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/opt.h"

enum command { COMMAND_RUN, COMMAND_CAPACITY, COMMAND_COMPARE, COMMAND_MERGE, COMMAND_REPORT };
enum phase { PHASE_EVEN, PHASE_RANDOM, PHASE_ALIGNED };
enum reconnect { RECONNECT_NONE, RECONNECT_IMMEDIATE, RECONNECT_BACKOFF };
enum wait_mode { WAIT_AUTO, WAIT_SLEEP, WAIT_SPIN };
enum vary { VARY_SESSIONS, VARY_FPS };
enum color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct settings {
    /* what is sent */
    uint64_t sessions;
    double fps;
    uint64_t duration_us, warmup_us;
    const char *stages;   /* NULL: sessions for duration_us; see plan.h */
    const char *pipeline; /* of sessions whose profile names none */
    const char *frames;   /* NULL: made to size_bytes and geometry */
    uint64_t size_bytes;
    const char *geometry; /* "640x480" */
    const char *profiles; /* a file; NULL: one profile made of the options; see profile.h */

    /* how it is sent */
    int phase, reconnect, wait;
    uint64_t seed, in_flight, fragment_bytes, slow_reader_us, threads;
    double churn_per_s, connect_per_s;
    bool adapt;
    uint64_t budget_us, answer_timeout_us;
    const char *segment;  /* "2/4"; NULL: 1/1 */
    const char *start_at; /* Unix seconds or 2026-11-21T00:10:06Z; NULL: once connected */
    const char *cacert;
    bool insecure;

    /* how it is judged */
    struct opt_list gates;
    uint64_t abort_us; /* a gate that fails for so long ends the run; 0: never */
    struct opt_list baselines;
    const char *max_regress; /* see compare.h; NULL: its default */

    /* capacity */
    int vary;
    uint64_t from, to, step_us;

    /* what is told */
    const char *json, *junit, *markdown, *csv, *prom, *hdr, *html; /* files; "-": standard output */
    bool quiet;
    int color;
};

extern const struct opt_program streamload_program;
