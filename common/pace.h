/* pace.h - which of the source's frames are due.
 *
 * A frame is asked about the moment it is there, and one that is due is the
 * newest there is: pacing never keeps a frame to send it later, so it adds no
 * latency. Deadlines advance by the interval, at most one interval behind,
 * never from "now": 30 frames per second paced to 10 give 10.0, and 25 of 30
 * give 25.0. A frame that comes a little before its deadline is taken when the
 * next one would be further from it, or jitter would halve the rate.
 *
 * Pure: time is an argument. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pace {
    uint64_t interval_ns; /* 0: every frame is due */
    uint64_t due_ns;      /* the next deadline; 0 before the first frame */
    uint64_t every;       /* each every-th frame of the source is a candidate */
    uint64_t held_ns;     /* nothing is due before; see pace_hold */
};

/* every: 0 and 1 both mean each frame. */
void pace_init(struct pace *p, uint64_t every);

/* per_s 0 (or less): no limit. A shorter interval counts from now on. */
void pace_set_rate(struct pace *p, double per_s, uint64_t now_us);

/* Nothing is due before until_us, whatever the rate, and there is nothing to catch up then. */
void pace_hold(struct pace *p, uint64_t until_us);

/* Is the index-th frame of the source one that may be sent at all? */
bool pace_is_candidate(const struct pace *p, uint64_t index);

/* Is a frame due at now_us? source_interval_us: how far the source's frames are
 * apart, 0 while that is not known. */
bool pace_is_due(const struct pace *p, uint64_t source_interval_us, uint64_t now_us);

/* A frame takes the deadline. */
void pace_take(struct pace *p, uint64_t now_us);
