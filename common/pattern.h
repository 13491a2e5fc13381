/* pattern.h - the test picture: frame number in, YUV 4:2:0 planes out.
 *
 * A soft still background, the frame number in large digits (so that a person
 * sees which frame is shown, and how late), and a bright box on a smooth path
 * that never stops and never meets the digits (so that a detector finds it).
 * The same number always gives the same picture.
 *
 * Ownership: borrows the caller's bytes. Threads: any; pure functions.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PATTERN_SIDE_MIN 16
#define PATTERN_SIDE_MAX 4096

/* Y, U, V as an encoder of 4:2:0 wants them: an odd side is rounded up to even. */
struct pattern {
    unsigned width, height; /* of the picture, PATTERN_SIDE_MIN to PATTERN_SIDE_MAX */
    uint8_t *plane[3];
    int stride[3]; /* bytes from row to row */
};

struct pattern_rect {
    unsigned x, y, w, h; /* pixels, inside the picture */
};

/* Bytes that the three planes need. */
size_t pattern_bytes(unsigned width, unsigned height);

/* Lays the planes out over pattern_bytes(width, height) bytes. */
struct pattern pattern_over(uint8_t *bytes, unsigned width, unsigned height);

/* Draws what never changes. Slow (every pixel is computed), so draw it once. */
void pattern_draw_background(const struct pattern *p);

/* Draws frame n onto a copy of background, which has the size of p. */
void pattern_draw_frame(const struct pattern *p, const struct pattern *background, uint64_t n);

/* Where the box is in frame n. */
struct pattern_rect pattern_box(unsigned width, unsigned height, uint64_t n);

/* Where the digits are; w 0 when the picture is too small for them (below 40 x 24). */
struct pattern_rect pattern_counter(unsigned width, unsigned height);
