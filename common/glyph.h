/* glyph.h - the smallest letters that can be read: 3 x 5 dots, for pictures.
 *
 * Threads: any; a pure function.
 */
#pragma once

#include <stdbool.h>

#define GLYPH_COLUMNS 3
#define GLYPH_ROWS    5

/* An octal digit a row, the top row first: 075557 is a zero. Small letters look like capital ones;
 * what is not ASCII is '?', and so are the few characters without a glyph. */
unsigned glyph_dots(char c);

/* Is there a dot in that column and row? */
static inline bool glyph_has_dot(unsigned dots, unsigned column, unsigned row)
{
    return dots >> (GLYPH_COLUMNS * GLYPH_ROWS - 1 - GLYPH_COLUMNS * row - column) & 1;
}
