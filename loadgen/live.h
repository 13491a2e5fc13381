/* live.h - the line that is shown while a run goes on.
 *
 * Pure; where and when it is shown is common/term.h's business. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/text.h"

struct live_view {
    uint64_t elapsed_us, duration_us;
    bool connecting; /* the run has not begun */
    uint32_t sessions, sessions_wanted;
    double answered_per_s;               /* over the last second */
    uint64_t answered, dropped, missing; /* so far */
    uint64_t slow_downs;
    uint64_t p50_us, p99_us, budget_us; /* latency of the last second or two */
};

/* The line, cut to columns (0: no limit). */
void live_format(struct text *out, const struct live_view *v, unsigned columns, bool color);
