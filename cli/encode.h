/* encode.h - one raw picture to JPEG: what a thread of encoder.h does with it.
 *
 * The subsampling is the camera's (4:2:2 stays 4:2:2), the handle and all buffers are kept from
 * picture to picture.
 *
 * Ownership: the caller's storage; the picture is borrowed. Threads: one at a time.
 */
#pragma once

#include "cli/picture.h"
#include "cli/raw.h"

#define ENCODE_QUALITY 80 /* where nothing else is asked for */

struct encode {    /* all zero is valid; nothing is allocated before the first picture */
    void *encoder; /* of libjpeg-turbo */
    unsigned char *jpeg;
    size_t jpeg_bytes;
    struct raw_scratch scratch;
};

void encode_deinit(struct encode *c);

/* A JPEG of p, which is raw. quality 0: ENCODE_QUALITY. NULL: it cannot be made; why, if not NULL,
 * gets a few words that stay. */
struct picture *encode_picture(struct encode *c, const struct picture *p, unsigned quality,
                               unsigned halvings, const char **why);
