/* motion_detect.h - what moved: a grid of grey cells in, boxes out.
 *
 * Each cell remembers its usual brightness (a running average) and how much it
 * usually flickers. A cell that differs from the usual by more than the
 * threshold, widened by its own flicker, has changed. Single changed cells are
 * noise and are voted away by their neighbours; what is left and hangs
 * together is a box. Whatever stays becomes usual: a parked car in some
 * seconds, the first frame's people within the first second.
 *
 * When most of the picture changes at once it was the light or the camera and
 * not an object: the frame is told as changed, without boxes, and becomes the
 * new background.
 *
 * Ownership: struct motion_model owns memory for its grid size, made once;
 * seeing a frame allocates nothing. Threads: one at a time. No clock, no
 * randomness: the same frames give the same boxes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MOTION_BOXES_MAX 32

struct motion_tuning {
    double threshold; /* levels of luma (0 to 255) that count as a change */
    double min_area;  /* smaller ones are dropped: share of the grid, 0 to 1 */
};

struct motion_box {
    unsigned x, y, w, h; /* cells; inside the grid */
    /* How solid the change is, 0 to 1: the mean over the box's cells of 0 for an
     * unchanged cell, up to 1 for one that changed by twice its tolerance. A box full
     * of clear change is near 1, faint or scattered change below 0.3. */
    double score;
};

struct motion_seen {
    struct motion_box box[MOTION_BOXES_MAX]; /* largest first; none touches another */
    size_t n_boxes;
    double changed; /* share of the grid's cells, 0 to 1 */
};

struct motion_model; /* opaque: see motion_detect.c */

/* For grids of w x h cells, both at least 1. NULL: out of memory. */
struct motion_model *motion_model_new(unsigned w, unsigned h);
void motion_model_free(struct motion_model *m); /* NULL is fine */

/* Compares w x h cells, row by row, with the model, then learns from them. The first
 * frame is only learnt. */
void motion_model_see(struct motion_model *m, const uint8_t *grey, const struct motion_tuning *t,
                      struct motion_seen *seen);
