/* annotate.h - what was found in a picture, drawn on it.
 *
 * Green outlines, of the corners where there are any, else of the box; label and score above, or
 * inside where there is no room above. Lines and letters grow with the picture.
 *
 * Ownership: all is borrowed for the call. Threads: any.
 */
#pragma once

#include <stdint.h>

#include "cli/detections.h"
#include "cli/picture.h"

struct canvas {
    uint8_t *rgb; /* row after row, no gaps: 3 bytes a pixel */
    unsigned width, height;
};

/* How many pixels a line is wide, and a dot of a letter. */
unsigned annotate_line_width(unsigned width, unsigned height);

/* Any numbers are fine: what is outside the canvas is cut off. */
void annotate_draw(const struct canvas *c, const struct detections *found);

/* A JPEG of p, which is one, with what was found in it. Metadata is lost. NULL: it cannot be made,
 * and why gets a few words that stay. */
struct picture *annotate_picture(const struct picture *p, const struct detections *found,
                                 const char **why);
