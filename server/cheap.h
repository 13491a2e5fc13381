/* cheap.h - is a session's pipeline so quick that handing its frames to a worker costs more?
 *
 * The hand-over and the way back cost about 10 us of CPU, and two threads' wake-ups. A pipeline
 * that keeps taking less than a limit of that order is run on the I/O thread instead. One that
 * is quick most of the time would block all other sessions of that thread now and then, so it has
 * to be quick many times in a row: at first 16 times; each slow frame on the I/O thread doubles
 * that, to 4096, and a long quick run halves it again. A session of which nothing is known yet
 * starts with what is known of its kin, the sessions of the same pipeline: a thousand cameras that
 * come at the same time need not show it one by one.
 *
 * All zero is valid: nothing known, not cheap. Pure. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cheap {
    uint32_t n_quick;  /* in a row */
    uint32_t n_needed; /* in a row, until it counts as cheap; 0: nothing known yet, 16 */
};

/* A frame took so long; here: on the I/O thread. */
void cheap_add(struct cheap *c, uint64_t took_us, uint64_t limit_us, bool here);

bool cheap_is(const struct cheap *c);

/* As the kin, if nothing is known of c. */
void cheap_start(struct cheap *c, const struct cheap *kin);
