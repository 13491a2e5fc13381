/* modes.h - what a camera offers: formats, sizes and rates as one flat table; and which
 * of them is taken.
 *
 * A row is a format with a range of sizes and a range of rates; discrete ones have ranges of
 * one value. Drivers that do not enumerate give rows that take anything, and then do what they
 * can. Choosing is pure, so tests call it with tables typed by hand.
 *
 * Ownership: modes_read allocates, modes_deinit frees. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/v4l2/device.h"
#include "common/text.h"

struct mode {
    uint32_t fourcc;
    unsigned width_min, width_max, width_step; /* pixels; step 0 or 1: any between */
    unsigned height_min, height_max, height_step;
    double fps_min, fps_max; /* both 0: not told */
    char rates;              /* 'd'iscrete, 's'tepwise, 'c'ontinuous, '?' not told */
};

struct modes {
    struct mode *row;
    size_t n;
};

/* 0, or -EXIT_...: the camera does not answer. */
int modes_read(struct modes *m, const struct device *d, struct err *e);
void modes_deinit(struct modes *m);

struct mode_wish {
    uint32_t fourcc;        /* 0: auto */
    unsigned width, height; /* 0: whatever fits */
    double fps;             /* 0: whatever fits */
};

/* One of the rows, made definite. */
struct mode_choice {
    uint32_t fourcc;
    unsigned width, height;
    double fps; /* 0: not told */
};

/* The row nearest to the wish: first the size that was asked for, then MJPEG, then the size,
 * then the rate, then what costs least to encode. false: nothing that can be used (or not in
 * the format that was asked for). */
bool modes_choose(const struct mode *row, size_t n, const struct mode_wish *wish,
                  struct mode_choice *out);

/* Can pictures of that format be sent: as they come, or encoded by us? */
bool modes_is_mjpeg(uint32_t fourcc);
bool modes_is_usable(uint32_t fourcc);

/* "MJPG 640x480 30, 15, 5; 1280x720 30; YUYV ...": for sentences. */
void modes_list(const struct modes *m, struct text *out);
