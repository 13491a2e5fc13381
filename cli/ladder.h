/* ladder.h - how good the pictures are that go out: quality first, then size.
 *
 * Smaller pictures help when the link is what is short, and are no use when the
 * pipeline is. So the ladder looks at the link only: a frame that was due found
 * unsent bytes of the one before it (link.h), or the last answer lost more time on
 * the way than it should. When that holds for more than one frame in seven, over a
 * second, it steps down; when there was none of it for five seconds, it steps up. A
 * step up that has to be taken back within ten seconds was a mistake, and the next
 * one is tried after twice the time, 80 s at most: that is the hysteresis.
 * The rate is lowered for the link only from the lowest rung.
 *
 * Pure: time is an argument. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LADDER_RUNGS_MAX 6

struct ladder_rung {
    unsigned quality;  /* 0: as the pictures came */
    unsigned halvings; /* of both sides: 0, 1, 2 are 1, 1/2, 1/4 */
};

struct ladder {
    struct ladder_rung rung[LADDER_RUNGS_MAX]; /* the best one first */
    size_t n, at;
    unsigned n_frames, n_blocked; /* since second_us */
    uint64_t second_us;
    uint64_t calm_us;  /* since when the link is free; 0: not known */
    uint64_t wait_us;  /* how long it must be before a step up */
    uint64_t tried_us; /* the last step up; 0: none */
};

/* Which rungs there are: 80, 70, 60 with quality, 1, 1/2, 1/4 with size. as_they_come:
 * the pictures are encoded elsewhere, so the top rung leaves them alone. */
void ladder_init(struct ladder *l, bool quality, bool size, bool as_they_come);

/* A frame was due. blocked: the link was not ready for it. Gives true when the rung
 * changed. */
bool ladder_on_frame(struct ladder *l, bool blocked, uint64_t now_us);

struct ladder_rung ladder_now(const struct ladder *l);
bool ladder_is_at_top(const struct ladder *l);
bool ladder_is_at_bottom(const struct ladder *l);

/* What pixels are to be multiplied with to get those of the picture that was sent. */
double ladder_scale(unsigned halvings);
