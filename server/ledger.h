/* ledger.h - how many frames came in and what became of each: one counter per fate.
 *
 * received = answered + dropped + failed, for a session once it has ended and
 * for the process once it has stopped; before that, the difference is what is
 * waiting or in work. Frames that did not pass the checks never were frames:
 * they are `rejected`, beside the sum.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum drop_reason {
    DROP_REPLACED, /* a newer frame of the same session took its place */
    DROP_LATE,     /* its turn came when it could not be answered within the budget any more */
    DROP_BUSY,     /* policy strict: its session was busy */
    DROP_RATE,     /* policy phase17: too many were dropped before it */
    DROP_CLOSED,   /* the session ended before the frame was answered */
    DROP_MEMORY,   /* --max-memory, or that of the machine, had no room for it */
    DROP_REASONS
};

const char *drop_reason_name(enum drop_reason r);

struct ledger {
    uint64_t received;
    uint64_t answered;
    uint64_t dropped[DROP_REASONS];
    uint64_t failed;
    uint64_t rejected; /* messages that were no valid frame; at most one a session */
};

uint64_t ledger_dropped(const struct ledger *l);
/* Frames whose fate is still open. 0 at the end, or something was lost. */
uint64_t ledger_open(const struct ledger *l);

void ledger_add(struct ledger *sum, const struct ledger *l);
