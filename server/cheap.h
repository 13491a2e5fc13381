/* cheap.h - is a session's pipeline so quick that handing its frames to a worker costs more?
 *
 * The hand-over and the way back cost about 10 us of CPU, and two threads' wake-ups. A pipeline
 * that keeps taking less than a limit of that order is run on the I/O thread instead: after 16
 * quick frames in a row. A slow one there blocks the other sessions of that thread for as long as
 * it takes, and has to be earned first: by as many quick frames more as their hand-over would have
 * cost that time. So a pipeline that is slow now and then comes back seldom, and one whose thread
 * the machine has held up for a moment comes back soon. A session of which nothing is known yet
 * starts as its kin, the sessions of the same pipeline: a thousand cameras that come at the same
 * time need not show it one by one.
 *
 * All zero is valid: nothing known, not cheap. Pure. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cheap {
    int n_quick; /* in a row, up to 16; below 0: so many are owed for a slow one */
    bool known;  /* it has had a frame, or started as its kin */
};

/* A frame took so long; here: on the I/O thread. */
void cheap_add(struct cheap *c, uint64_t took_us, uint64_t limit_us, bool here);

bool cheap_is(const struct cheap *c);

/* Cheap if its kin are, unless something is known of it. */
void cheap_start(struct cheap *c, const struct cheap *kin);
