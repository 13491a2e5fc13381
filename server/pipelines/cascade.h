/* cascade.h - is there one of the learnt things in this window? A cascade of LBP tests.
 *
 * Reads a cascade of boosted local binary patterns from the XML that OpenCV's
 * trainer writes (stageType BOOST, featureType LBP, trees of one node), such as
 * lbpcascade_frontalface_improved.xml of Debian's package opencv-data.
 *
 * A pattern is nine equal cells, three by three: each of the eight around the
 * middle one gives a 1 when it is at least as bright, clockwise from the top
 * left, the first the highest bit. A weak test has one pattern, a set of the
 * 256 codes and two numbers: one for codes in the set, one for the others. A
 * stage adds up its tests and lets the window pass if the sum reaches its
 * threshold. Most windows fail the first stage or the second, so looking is
 * cheap.
 *
 * Sources: S. Liao et al., "Learning Multi-scale Block Local Binary Patterns for
 * Face Recognition", 2007 (the pattern); P. Viola and M. Jones, "Rapid Object
 * Detection using a Boosted Cascade of Simple Features", 2001 (stages, integral
 * image); the file format as OpenCV documents it (opencv_traincascade) and as the
 * five files of opencv-data show it.
 *
 * Ownership: load gives the cascade, free takes it. It keeps nothing of the XML.
 * Threads: never changed after load, so any number may share it. Bytes from
 * outside: every count, index and rectangle is checked when loaded, so whatever
 * loads is safe to run. Numbers are read as the C locale writes them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define CASCADE_SIDE_MAX   255 /* of the window, pixels; the least is 3 */
#define CASCADE_STAGES_MAX 128
#define CASCADE_WEAKS_MAX  4096 /* of all stages together */
#define CASCADE_RECTS_MAX  4096 /* patterns; several tests may use one */

struct cascade_cell {
    uint8_t x, y, w, h; /* the top left of the nine; all nine lie inside the window */
};

struct cascade_weak {
    struct cascade_cell cell;
    uint32_t set[8]; /* bit code%32 of set[code/32]: the code is in the set */
    float value[2];  /* added to the stage's sum: for a code outside the set, inside it */
};

struct cascade_stage {
    size_t n_weaks; /* at least 1; they follow those of the stage before */
    double threshold;
};

struct cascade {
    unsigned w, h; /* of the window, pixels */
    size_t n_stages, n_weaks;
    struct cascade_stage *stage;
    struct cascade_weak *weak;
};

/* Reads the XML. *out changes only on success. -EXIT_USAGE: not such a cascade or
 * damaged, and e tells the line and what is wrong; -EXIT_FAILED: out of memory. */
int cascade_load(struct cascade **out, const void *xml, size_t n_bytes, struct err *e);
void cascade_free(struct cascade *c); /* NULL is fine */

/* How many stages the window passes before one fails: c->n_stages is a hit. sum is the
 * window's top left in an integral image of the given stride, in which sum[y * stride + x]
 * is the sum, modulo 2^32, of the y rows above and the x columns left of it; rows and
 * columns 0 to c->h and c->w are read. */
size_t cascade_run(const struct cascade *c, const uint32_t *sum, size_t stride);
