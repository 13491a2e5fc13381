/* adapt.h - how many frames go out, and how good: from what is heard to what is due.
 *
 * Puts together governor.h, which says what the server can take, pace.h, which says
 * which frames of the source these are, and ladder.h, which says how they are
 * encoded. Frames dropped or waiting at the server lower the rate. A slow link
 * lowers what the ladder has, quality and size, and only when it has nothing more
 * the rate. The stream and the simulation in tests/ both use it, so what is simulated
 * is what runs.
 *
 * Pure: time is an argument. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/governor.h"
#include "cli/ladder.h"
#include "common/pace.h"
#include "common/rate.h"

struct adapt {
    struct governor governor;
    struct pace pace;
    struct ladder ladder;
    double fps_max;
};

struct adapt_options {
    struct governor_options governor;
    uint64_t every;     /* each every-th frame of the source is a candidate */
    double fps_max;     /* 0: what the source gives */
    bool quality, size; /* may be lowered */
    bool as_they_come;  /* the pictures are encoded elsewhere */
};

void adapt_init(struct adapt *a, const struct adapt_options *o);

/* Ten times a second: the source may be faster or slower than it was. */
void adapt_on_tick(struct adapt *a, const struct rate *source, uint64_t now_us);

/* Is the frame of the source that has just come due? */
bool adapt_is_due(const struct adapt *a, const struct rate *source, uint64_t now_us);

/* A frame was due. stuck: the link had no room for the one before it. Gives true when the
 * pictures are to be encoded differently from now on: ladder_now. */
bool adapt_on_due(struct adapt *a, bool stuck, uint64_t now_us);

/* As the governor's, but the pace follows. */
bool adapt_on_answer(struct adapt *a, const struct governor_answer *answer, uint64_t now_us);
void adapt_on_drop(struct adapt *a, uint64_t sent_us, uint64_t now_us);
bool adapt_on_slow_down(struct adapt *a, uint64_t now_us);
