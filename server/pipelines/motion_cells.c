#include "server/pipelines/motion_cells.h"

#define LEARN_SHIFT_STILL     4 /* 1/16 a frame: follows clouds and automatic exposure */
#define LEARN_SHIFT_CHANGED   8 /* 1/256: who stands still is seen for some seconds */
#define FLICKER_SHIFT_STILL   5
#define FLICKER_SHIFT_CHANGED 10 /* far slower: something that passes is not flicker */

static uint16_t least(uint16_t a, uint16_t b)
{
    return a < b ? a : b;
}

/* How far a is above b; 0 if it is not. In this form gcc makes one instruction of it. */
static uint16_t beyond(uint16_t a, uint16_t b)
{
    uint16_t larger = a > b ? a : b;
    return (uint16_t)(larger - b);
}

static uint16_t fixed(uint8_t grey)
{
    return (uint16_t)(grey * MOTION_LEVEL);
}

static uint16_t distance(uint16_t a, uint16_t b)
{
    return beyond(a, b) | beyond(b, a);
}

/* Flicker at most doubles the threshold, else a busy road would go blind. */
static uint16_t slack(uint16_t flicker, uint16_t threshold)
{
    uint16_t half = (uint16_t)((threshold + 1) / 2);
    return least((uint16_t)(2 * least(flicker, half)), threshold);
}

unsigned motion_cells_compare(const uint8_t *restrict grey, const uint16_t *restrict background,
                              const uint16_t *restrict flicker, uint16_t threshold,
                              uint8_t *restrict differs, int w)
{
    unsigned n = 0;
    for (int x = 0; x < w; x++) { /* vector */
        uint16_t d = distance(fixed(grey[x]), background[x]);
        differs[x] = beyond(d, threshold) > slack(flicker[x], threshold);
        n += differs[x];
    }
    return n;
}

int motion_cells_contrast(uint8_t grey, uint16_t background, uint16_t flicker, uint16_t threshold)
{
    int tolerance = threshold + slack(flicker, threshold);
    int d = distance(fixed(grey), background);
    if (d <= tolerance)
        return 0;
    return d > 2 * tolerance ? 255 : d * 255 / (2 * tolerance);
}

unsigned motion_cells_vote(const uint8_t *restrict above, const uint8_t *restrict at,
                           const uint8_t *restrict below, uint8_t *restrict changed, int w)
{
    unsigned n = 0;
    for (int x = 0; x < w; x++) { /* vector */
        uint8_t votes = (uint8_t)(above[x - 1] + above[x] + above[x + 1] + at[x - 1] + at[x] +
                                  at[x + 1] + below[x - 1] + below[x] + below[x + 1]);
        changed[x] = votes >= MOTION_VOTES_TO_CHANGE;
        n += changed[x];
    }
    return n;
}

/* An average that goes 1/2^shift of the way up or down. No function: there gcc would shift in 32
 * bits, which takes twice as long. */
#define MOVE(average, up, down, shift)                                                             \
    ((uint16_t)((average) + ((up) >> (shift)) - ((down) >> (shift))))

void motion_cells_learn(const uint8_t *restrict grey, const uint8_t *restrict differs,
                        uint16_t *restrict background, uint16_t *restrict flicker, int w)
{
    for (int x = 0; x < w; x++) { /* vector */
        uint16_t b = background[x], f = flicker[x];
        uint16_t up = beyond(fixed(grey[x]), b), down = beyond(b, fixed(grey[x]));
        uint16_t d = up | down, more = beyond(d, f), less = beyond(f, d);
        uint16_t f_changed = MOVE(f, more, less, FLICKER_SHIFT_CHANGED);
        uint16_t f_still = MOVE(f, more, less, FLICKER_SHIFT_STILL);
        uint16_t b_changed = MOVE(b, up, down, LEARN_SHIFT_CHANGED);
        uint16_t b_still = MOVE(b, up, down, LEARN_SHIFT_STILL);
        flicker[x] = differs[x] ? f_changed : f_still;
        background[x] = differs[x] ? b_changed : b_still;
    }
}

static uint16_t mean(uint16_t average, uint16_t value, unsigned n_seen)
{
    return (uint16_t)(average + (value - average) / (int)(n_seen + 1));
}

void motion_cells_learn_young(const uint8_t *restrict grey, uint16_t *restrict background,
                              uint16_t *restrict flicker, unsigned n_seen, int w)
{
    for (int x = 0; x < w; x++) {
        uint16_t seen = fixed(grey[x]);
        flicker[x] = mean(flicker[x], distance(seen, background[x]), n_seen);
        background[x] = mean(background[x], seen, n_seen);
    }
}
