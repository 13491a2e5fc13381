/* raw.h - pixels as cameras give them, laid out as JPEG wants them.
 *
 * JPEG encodes planes of full-range Y, Cb and Cr (ITU-T T.871, 7). What a camera gives is split
 * into planes, and stretched from 16..235 to 0..255 where it is limited (ITU-R BT.601); what has
 * that form already is used where it lies. Only RGB is converted, by libjpeg-turbo.
 *
 * Ownership: raw_planes borrows the raw picture and the scratch memory: valid until either is
 * used again. Threads: any; a scratch belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/picture.h"

/* What encoding a pixel of that format costs beside others, above 0; 0: it is not known here. */
double raw_cost(uint32_t fourcc);

/* A picture in one to three memories as a driver fills them. */
struct raw_memory {
    uint32_t fourcc;
    unsigned width, height;
    bool full_range;
    unsigned n; /* memories: 1, unless the format has one for each plane */
    const uint8_t *at[RAW_PLANES_MAX];
    size_t n_bytes[RAW_PLANES_MAX];
    unsigned stride[RAW_PLANES_MAX]; /* bytes; 0: no gaps */
};

/* Where the planes are. false: the bytes are too few for the picture, or its format is unknown. */
bool raw_lay_out(struct raw *r, const struct raw_memory *m);

struct raw_planes {
    int width, height, subsampling; /* TJSAMP_... */
    const unsigned char *plane[RAW_PLANES_MAX];
    int stride[RAW_PLANES_MAX];
};

struct raw_scratch { /* all zero is valid */
    void *converter; /* of libjpeg-turbo, for RGB */
    uint8_t *memory[2];
    size_t n_bytes[2];
};
void raw_scratch_deinit(struct raw_scratch *s);

/* Full-range planes of r with sides halved that many times. false: out of memory. */
bool raw_to_planes(const struct raw *r, unsigned halvings, struct raw_scratch *s,
                   struct raw_planes *out);
