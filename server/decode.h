/* decode.h - a frame's pixels, decoded once, to what the pipeline asked for.
 *
 * Grey or RGB, at 1/1, 1/2, 1/4 or 1/8, which the decoder does in one step with the decoding. A
 * header of a few bytes can claim 65535 x 65535: such sizes are refused before anything is
 * allocated. Memory is kept from frame to frame.
 *
 * Ownership: the caller's storage; pixels are valid until the next call. Threads: one at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DECODE_PIXELS_MAX (64u * 1000 * 1000)

enum decode_format { DECODE_GREY, DECODE_RGB };

struct decode {    /* all zero is valid */
    void *decoder; /* of libjpeg-turbo; NULL before the first frame and after a bad one */
    uint8_t *pixels;
    size_t n_bytes;
};

struct decoded {
    const uint8_t *pixels; /* row after row, no gaps: 1 or 3 bytes a pixel */
    unsigned width, height;
    unsigned full_width, full_height; /* of the JPEG */
};

void decode_deinit(struct decode *d);

/* What the header says. 0, or -1: no JPEG, or too large a picture. */
int decode_size(struct decode *d, const uint8_t *jpeg, size_t n, unsigned *width, unsigned *height);

/* At 1/scale: 1, 2, 4 or 8. 0, or -1: it cannot be decoded without a complaint (padding before EOI
 * is none), or there is no memory. */
int decode_picture(struct decode *d, const uint8_t *jpeg, size_t n, enum decode_format format,
                   unsigned scale, struct decoded *out);
