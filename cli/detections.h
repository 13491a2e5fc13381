/* detections.h - what a result of the server says was found, for who draws it.
 *
 * Reads what streamd-protocol(7) promises of `detections`, and beside it what some pipelines add:
 * the `corners` of a tag, the `id` of one of many. What has no box is left out, never an error: a
 * result is the pipeline's own affair.
 *
 * Ownership: the caller's storage. Threads: any; pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli/blocks.h"

#define DETECTIONS_MAX 256 /* further ones are left out */

struct detection {
    struct blocks_box box; /* in pixels of the picture that was sent; an id ends its label: " #7" */
    bool has_corners;
    double corner[4][2]; /* x, y; finite, around the thing */
};

struct detections {
    size_t n;
    struct detection item[DETECTIONS_MAX];
    char status[128]; /* why the pipeline has no result ("timeout"), printable; "": it has one */
};

/* result: the JSON text of one. 0; -1 and none: it is no JSON. */
int detections_read(struct detections *d, const char *result);
