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

/* Takes p; gives it back, or a new picture in its place (quality and halvings of the
 * one that is given say which). quality 0: nothing is done. */
struct picture *reencode_picture(struct reencode *r, struct picture *p, unsigned quality,
                                 unsigned halvings);
