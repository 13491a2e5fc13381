/* motion_cells.h - what motion does with every cell of every frame, a row at a time.
 *
 * Here goes the time that is not decoding, so the loops are written for the compiler's vector code:
 * arrays that do not overlap, 8 and 16 bits, no branch. The Makefile asks for that code, and `make
 * lint` looks whether each loop that is marked "vector" got it.
 *
 * Brightness and flicker are fixed point with 8 binary places: with whole levels an average that
 * learns 1/256 a frame would never move.
 *
 * Ownership: borrows all arrays, of w items each. Threads: any; pure functions.
 */
#pragma once

#include <stdint.h>

#define MOTION_LEVEL           256                  /* a level of luma */
#define MOTION_THRESHOLD_MAX   (255 * MOTION_LEVEL) /* nothing differs by more */
#define MOTION_VOTES_TO_CHANGE 4 /* of the 9 in a 3x3 patch: keeps a strip two cells wide */

/* Puts 1 where a cell differs from its background by more than the threshold, which its flicker
 * widens, else 0. Gives how many differ. */
unsigned motion_cells_compare(const uint8_t *restrict grey, const uint16_t *restrict background,
                              const uint16_t *restrict flicker, uint16_t threshold,
                              uint8_t *restrict differs, int w);

/* How clearly one does: 0 not at all, else 128 (just) to 255 (twice what is tolerated). */
int motion_cells_contrast(uint8_t grey, uint16_t background, uint16_t flicker, uint16_t threshold);

/* Puts 1 where enough of the patch around a cell differs, else 0. Gives how many. The rows of
 * `differs` above, at and below it have a cell more on either side. */
unsigned motion_cells_vote(const uint8_t *restrict above, const uint8_t *restrict at,
                           const uint8_t *restrict below, uint8_t *restrict changed, int w);

/* Moves background and flicker towards what is seen. */
void motion_cells_learn(const uint8_t *restrict grey, const uint8_t *restrict differs,
                        uint16_t *restrict background, uint16_t *restrict flicker, int w);

/* The same while they are young, after n_seen frames: by a plain mean. */
void motion_cells_learn_young(const uint8_t *restrict grey, uint16_t *restrict background,
                              uint16_t *restrict flicker, unsigned n_seen, int w);
