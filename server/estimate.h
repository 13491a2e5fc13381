/* estimate.h - how long the pipeline will take for a session's next frame.
 *
 * The upper quartile of the last 16 times. A mean, and any exponential average
 * of one, is moved by a single hiccup for seconds, and would then drop frames as
 * late that are not; a maximum is nothing but the last hiccup. The quartile
 * stays put while at most 3 of 16 frames are slow, is not optimistic about
 * the rest as the median is, and follows a real change within 13 frames, or 4 if
 * things get slower. One per session, because sessions send different pictures;
 * its pipeline is fixed.
 *
 * All zero is a valid estimate that knows nothing. Pure. Threads: one at a time.
 */
#pragma once

#include <stdint.h>

#define ESTIMATE_SAMPLES 16

struct estimate {
    uint32_t took_us[ESTIMATE_SAMPLES]; /* a ring */
    uint32_t n;                         /* so far; at most all that fit are used */
    uint32_t expected_us;
};

void estimate_add(struct estimate *e, uint64_t took_us);

/* Frame after frame was dropped because of what is expected, so nothing was learned:
 * expects a sixteenth less. Without it one slow frame could be believed for ever. */
void estimate_doubt(struct estimate *e);

/* 0 while nothing is known, so that the first frame always runs. */
uint64_t estimate_expected_us(const struct estimate *e);
