/* clock.h - the two clocks: monotonic for every decision, wall for people.
 *
 * Decisions never call these; they are given "now" as a number, so that a test
 * can set it by hand. Threads: any.
 */
#pragma once

#include <stdint.h>

/* CLOCK_MONOTONIC in microseconds. */
uint64_t clock_now_us(void);

/* How long ago then was; 0 when it is still ahead, as a clock read once a turn of the
 * loop may be behind one read later in that turn. */
static inline uint64_t clock_age_us(uint64_t now_us, uint64_t then_us)
{
    return now_us > then_us ? now_us - then_us : 0;
}

/* CLOCK_REALTIME in Unix seconds. */
double clock_wall_s(void);

/* Unix seconds as "2026-11-21T00:10:06.123Z". */
void clock_iso(double wall_s, char out[32]);
