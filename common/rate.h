/* rate.h - how often something happens, from the times of the last few.
 *
 * All zero is a valid, empty rate. Pure: time is an argument.
 * Threads: one at a time.
 */
#pragma once

#include <stdint.h>

#define RATE_TIMES 32

struct rate {
    uint64_t time_us[RATE_TIMES]; /* a ring */
    uint64_t n;                   /* how many times it happened at all */
};

void rate_add(struct rate *r, uint64_t now_us);

/* Per second; 0 until it happened twice. Falls when nothing more happens. */
double rate_per_s(const struct rate *r, uint64_t now_us);
