/* blocks.h - a picture in a terminal: each cell is two pixels, one above the other.
 *
 * A cell shows U+2580, the upper half block: its foreground is the upper pixel, its background
 * the lower one, so pixels are square where a cell is twice as high as wide. Only cells that
 * changed since the last drawing are written, and a change too small to see, as a camera's noise
 * makes, is none: it is measured against what is on the screen, so slow changes still arrive.
 *
 * Pure: pixels in, bytes out. Whoever writes them to the terminal clears the screen before the
 * first drawing, hides the cursor, and has at least columns x (top - 1 + rows) cells. Nothing
 * scrolls, as the cursor never moves past a row's end.
 *
 * The sequences: CUP (ECMA-48, 8.3.21), SGR 0 (8.3.117), and SGR 38;2;r;g;b and 48;2;r;g;b, the
 * direct colours of ISO 8613-6, with the semicolons of xterm, that more terminals know than the
 * standard's colons.
 *
 * Ownership: the caller's storage; pictures and boxes are borrowed for the call. Threads: one at
 * a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"

#define BLOCKS_SIDE_MAX   65535u /* columns and rows: what a struct winsize can tell */
#define BLOCKS_CELL_BYTES 72u    /* a drawing has no more of them a cell, all included */
#define BLOCKS_NOISE      8      /* a channel that differs by less has not changed */

struct blocks_cell {
    uint8_t rgb[2][3]; /* foreground and background: the upper and the lower pixel */
    char letter;       /* of a label; 0: the half block */
};

struct blocks {
    unsigned columns, rows;    /* cells */
    unsigned top;              /* the row of the terminal to begin at, from 1 */
    bool any;                  /* shown is on the screen; clear it to have all painted again */
    struct blocks_cell *shown; /* columns x rows, and as many behind them: */
    struct blocks_cell *next;  /* what is to be shown */
};

struct blocks_picture {
    const uint8_t *rgb; /* 3 bytes a pixel */
    unsigned width, height;
    size_t stride_bytes; /* from one row to the next */
};

struct blocks_box {
    double x, y, width, height; /* in pixels of the picture; any value, drawn if it is inside */
    double score;               /* shown from 0 to below 1000; else, or NaN, there is none */
    char label[24];             /* any bytes, up to a NUL or all; what is not ASCII shows as '?' */
};

/* Adds the label and the score, as they are shown: nothing in it is obeyed by a terminal. */
void blocks_add_label(struct text *out, const struct blocks_box *box);

/* No cells yet, top 1. */
void blocks_init(struct blocks *b);
void blocks_deinit(struct blocks *b);

/* Takes that many cells and forgets what is shown. -EXIT_FAILED, and b is as before: out of
 * memory, or a side above BLOCKS_SIDE_MAX. */
int blocks_resize(struct blocks *b, unsigned columns, unsigned rows);

/* The fewest cells that hold the largest such picture that fits; 0 x 0 if nothing does. */
void blocks_fit(unsigned width, unsigned height, unsigned max_columns, unsigned max_rows,
                unsigned *columns, unsigned *rows);

/* Adds what makes the terminal show p with its boxes: as large as fits, in the middle, black
 * beside. Boxes are cut to the picture. A label stands above its box, or on its upper edge where
 * there is no row above. Adds nothing when nothing changed; when out has no room (out->cut), too,
 * and then the next drawing paints all. Never allocates, but out may grow. */
void blocks_draw(struct blocks *b, const struct blocks_picture *p, const struct blocks_box *box,
                 size_t n_boxes, struct text *out);
