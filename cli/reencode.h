/* reencode.h - a camera's JPEG again, at a lower quality or a smaller size.
 *
 * Decoded to YUV planes, scaled while decoding, and encoded from those: colours are
 * never converted, the subsampling stays, and the handles and buffers are kept from
 * picture to picture. Metadata (EXIF, comments, colour profiles) is lost, as is
 * progressive order.
 *
 * A picture that cannot be decoded without a complaint is passed on as it is: what a
 * broken picture is worth is for the pipeline to say, and its answer names it; to
 * count it as broken here would hide from the server what the camera really sends.
 * So is one that would not get smaller.
 *
 * Ownership: the caller's storage. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli/source.h"

struct reencode {            /* all zero is valid; nothing is allocated before the first picture */
    void *decoder, *encoder; /* of libjpeg-turbo */
    unsigned char *planes, *jpeg;
    size_t planes_bytes, jpeg_bytes;
};

void reencode_deinit(struct reencode *r);

/* A new picture in the place of p (its quality and halvings say which), or NULL: p is to be
 * sent as it is. quality 0: always NULL. */
struct picture *reencode_picture(struct reencode *r, const struct picture *p, unsigned quality,
                                 unsigned halvings);
