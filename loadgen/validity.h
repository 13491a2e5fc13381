/* validity.h - was it the server that was measured, or ourselves?
 *
 * Judged before any gate. A run whose generator was late, or did not send
 * what it should have, says nothing about the server: exit EXIT_INVALID, whatever the
 * gates say. Each finding says what to do about it.
 *
 * Pure. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "loadgen/report.h"

#define VALIDITY_MAX 8

struct validity {
    size_t n; /* 0: valid */
    struct validity_finding {
        const char *name; /* "slip", "unsent", "sessions", "cpu", "run_queue", "interrupted" */
        char text[256];   /* "slip p99 was 4.1 ms (limit 2 ms): fewer sessions, more --threads, or
                             another machine" */
    } finding[VALIDITY_MAX];
};

void validity_judge(const struct report *r, struct validity *v);
