/* decode.h - a frame's pixels, decoded to what the pipelines ask for.
 *
 * Grey or RGB, at 1/1, 1/2, 1/4 or 1/8, which the decoder does in one step with the decoding. Who
 * asks for what was made last of the same frame gets that: pipelines that run on one frame share
 * it. A header of a few bytes can claim 65535 x 65535: such sizes are refused before anything is
 * allocated, and so are more pixels than the bytes can hold.
 *
 * A worker has one for all frames that it runs, so decoders and pixels are as many as workers,
 * however many sessions there are. Memory is kept from frame to frame.
 *
 * Ownership: the caller's storage; pixels are valid until the next call. Threads: one at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DECODE_PIXELS_MAX (64u * 1000 * 1000) /* unless --max-pixels says otherwise */

enum decode_format { DECODE_GREY, DECODE_RGB };

struct decoded {
    const uint8_t *pixels; /* row after row, no gaps: 1 or 3 bytes a pixel */
    unsigned width, height;
    unsigned full_width, full_height; /* of the JPEG */
};

struct decode {    /* all zero is valid */
    void *decoder; /* of libjpeg-turbo; NULL before the first frame and after a bad one */
    uint8_t *pixels;
    size_t n_bytes;

    const uint8_t *jpeg; /* the frame at hand; borrowed */
    size_t jpeg_bytes;
    uint64_t pixels_max;
    struct decoded now; /* what is known of it: full_width 0: no size; pixels NULL: no pixels */
    enum decode_format format;
    unsigned scale;
    unsigned n_decoded; /* how often its pixels were made, */
    uint64_t spent_us;  /* and the time for that and its header */
    const char *why;    /* it was refused, a clause for the client; NULL: it was not */
};

void decode_deinit(struct decode *d);

/* From now on it is about this JPEG, which is borrowed until the next call. pixels_max 0:
 * DECODE_PIXELS_MAX. */
void decode_begin(struct decode *d, const uint8_t *jpeg, size_t n, uint64_t pixels_max);

/* What the header says. 0, or -1: no JPEG, or too large a picture. */
int decode_size(struct decode *d, unsigned *width, unsigned *height);

/* At 1/scale: 1, 2, 4 or 8. 0, or -1: it cannot be decoded without a complaint (padding before EOI
 * is none), or there is no memory. */
int decode_picture(struct decode *d, enum decode_format format, unsigned scale,
                   struct decoded *out);
