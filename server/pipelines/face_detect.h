/* face_detect.h - where the faces are: a grey picture in, boxes out.
 *
 * The cascade's window is moved over the picture and over ever smaller copies
 * of it, so faces from the window's size up to the picture's are found; a face
 * smaller than the window (45 pixels for OpenCV's improved frontal cascade) is
 * not. A real face is hit by many windows that nearly coincide, a mistake by
 * few: hits are grouped, and groups with few members are dropped.
 *
 * Sources: P. Viola and M. Jones 2001 (integral image, cascade), see cascade.h.
 * Steps and grouping were chosen so that the boxes are those of OpenCV's
 * CascadeClassifier with the same file, step and min_neighbours, give or take a
 * few pixels: a group is what hangs together by boxes whose sides differ by at
 * most 20 % of their size.
 *
 * Ownership: the finder borrows the cascade for as long as it lives and owns
 * memory for the largest picture so far: a picture that is not larger allocates
 * nothing. Threads: one at a time for a finder; the cascade is shared. No clock,
 * no randomness: the same picture gives the same boxes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "server/pipelines/cascade.h"

#define FACE_BOXES_MAX 32
#define FACE_HITS_MAX  2048
#define FACE_SIDE_MAX  16384 /* pixels: width and height of a picture */

#define FACE_STEP_MIN         1.05
#define FACE_STEP_MAX         4.0
#define FACE_STEP_USUAL       1.2
#define FACE_NEIGHBOURS_USUAL 3

struct face_tuning {
    double step;             /* from one size to the next: smaller finds more and takes longer */
    unsigned min_neighbours; /* a face needs more hits than this */
    unsigned min_side;       /* pixels: looks for no face narrower than this; 0: any */
};

struct face_picture {
    const uint8_t *grey; /* borrowed */
    unsigned w, h;
    size_t stride; /* bytes from row to row; at least w */
};

struct face_box {
    unsigned x, y, w, h; /* pixels of the given picture; inside it */
    /* The score: how many windows hit here. Above min_neighbours, for a clear face 10 to
     * 100; it grows as the step shrinks, so compare only within one tuning. */
    unsigned n_hits;
};

struct face_seen {
    struct face_box box[FACE_BOXES_MAX]; /* most hits first */
    size_t n_boxes;
    /* Before grouping. At FACE_HITS_MAX the search was cut short: no picture of faces gets
     * there, a cascade that accepts anything does. Large faces are looked for first. */
    size_t n_hits;
};

struct face_finder; /* opaque: see face_detect.c */

/* Borrows c. Pictures of more than pixels_max pixels will be refused. NULL: out of memory. */
struct face_finder *face_finder_new(const struct cascade *c, size_t pixels_max);
void face_finder_free(struct face_finder *f); /* NULL is fine */

/* Finds the faces of one picture. A picture smaller than the window has none.
 * -EXIT_USAGE: the picture is too large or its stride too short, or the tuning is out of
 * range; -EXIT_FAILED: out of memory. seen then has nothing. */
int face_finder_see(struct face_finder *f, const struct face_picture *pic,
                    const struct face_tuning *t, struct face_seen *seen, struct err *e);

/* A window that passed. Its group is used inside face_group. */
struct face_hit {
    unsigned x, y, w, h;
    unsigned n_hits, group;
};

/* Groups n hits, at most FACE_HITS_MAX and used up by it, into seen. Averages each group;
 * drops those of min_neighbours hits or fewer, and those inside a stronger one. */
void face_group(struct face_hit *hit, size_t n, unsigned min_neighbours, struct face_seen *seen);
