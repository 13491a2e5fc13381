/* plan.h - what is to happen when, fixed before the run begins.
 *
 * The generator is an open loop: frame k of a session is due at its phase + k / fps after
 * the start, whatever the server does, in whole microseconds that do not drift.
 * Everything is a function of the session's index and the time, so parts of
 * a run on other threads and machines need not know of each other, and together are the
 * whole.
 *
 * Times are microseconds since the start. Pure. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "loadgen/options.h"

#define PLAN_STAGES_MAX 64
#define PLAN_NEVER      UINT64_MAX

struct plan_stage {
    uint64_t us;       /* how long it takes, */
    uint64_t sessions; /* to go evenly from what the one before ended with to this */
};

struct plan {
    size_t n_stages; /* 0: all sessions, all the time */
    struct plan_stage stage[PLAN_STAGES_MAX];
    uint64_t sessions;    /* at most, over all segments */
    uint64_t duration_us; /* frames are due before this */
    enum phase phase;
    uint64_t seed;
};

/* "10s:50,60s:50,10s:0". Sets sessions and duration_us too. 0, or -EXIT_USAGE. */
int plan_parse_stages(struct plan *p, const char *text, struct err *e);

/* Is the session with that index part of the load at that time? */
bool plan_wants(const struct plan *p, uint64_t index, uint64_t at_us);

/* The first time after at_us when plan_wants changes for it; PLAN_NEVER: it does not. */
uint64_t plan_next_change_us(const struct plan *p, uint64_t index, uint64_t at_us);

/* Where in the interval between two frames the session sends. */
uint64_t plan_phase_us(const struct plan *p, uint64_t index, uint64_t fps_milli);

/* When frame k is due: phase + k * 1e9 / fps_milli. */
uint64_t plan_due_us(uint64_t fps_milli, uint64_t phase_us, uint64_t k);

/* The first frame that is due at or after at_us. */
uint64_t plan_first_frame(uint64_t fps_milli, uint64_t phase_us, uint64_t at_us);
