/* backoff.h - how long to wait before trying again what has just failed.
 *
 * For cameras and for the server alike: half a second at first, twice as long
 * after every failure in a row, ten seconds at most; and up to half of it left
 * out by chance, so that many clients that lost the same peer at the same
 * moment do not come back at the same moment.
 *
 * Threads: any; pure, but for backoff_jitter.
 */
#pragma once

#include <stdint.h>

#define BACKOFF_FIRST_US 500000u
#define BACKOFF_MAX_US   10000000u

/* The wait after n_failed failures in a row (0: none, no wait). jitter is a number
 * from 0 to 1: 1 waits the whole time, 0 half of it. */
uint64_t backoff_wait_us(unsigned n_failed, double jitter);

/* A number from 0 to 1 by chance, for backoff_wait_us. */
double backoff_jitter(void);
