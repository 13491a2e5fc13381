/* capture.h - the buffers of one streaming camera, and pictures that lie in them.
 *
 * The driver fills a few buffers in turn. At each wake all that are full are taken, the newest
 * is the picture, and the others go straight back: a camera is never a queue. A picture goes
 * back to the driver when it is freed, wherever it has been meanwhile; so a JPEG is sent from
 * the memory the driver wrote it to. In front of each mapped buffer lies a page of ours, for the
 * headers that the link writes there.
 *
 * Drivers that cannot stream are read() from, a picture at a time.
 *
 * Ownership: the caller's storage. capture_stop may come while pictures are out: they stay what
 * they are, in memory of their own, and the driver gets all of its back.
 * Threads: one at a time (pictures may be read by others).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/picture.h"
#include "cli/v4l2/device.h"
#include "cli/v4l2/frame_check.h"

#define CAPTURE_BUFFERS 4

struct capture_buffers; /* opaque: see capture.c */

struct capture_options {
    size_t picture_bytes_max;
    bool allow_truncated; /* send JPEGs without an EOI, with one added */
};

struct capture {
    const struct device *device;
    struct capture_options options;
    struct device_format format;
    struct capture_buffers *buffers; /* NULL: it is read from, or not started */
    bool has_sequence;
    uint32_t sequence; /* of the last frame */
};

/* What one wake found, besides the picture. Counts are of this wake. */
struct capture_news {
    struct picture *picture;         /* the newest whole one, or NULL. The caller's */
    uint64_t n_older;                /* whole ones that were older */
    uint64_t n_lost;                 /* gaps in the driver's numbers */
    uint64_t n_faulty[FRAME_FAULTS]; /* by kind; [FRAME_WHOLE] stays 0 */
    enum capture_stamp {
        CAPTURE_STAMP_OURS,    /* when we took it: the driver's clock is another one */
        CAPTURE_STAMP_END,     /* the driver's, of the end of the frame */
        CAPTURE_STAMP_EXPOSURE /* the driver's, of the start of exposure */
    } stamp;                   /* of the picture */
};

/* Asks for buffers and starts. The device's format is set already. 0 or -EXIT_UNREACHABLE. */
int capture_start(struct capture *c, const struct device *d, const struct device_format *format,
                  const struct capture_options *o, struct err *e);

/* Takes what is there; never waits. 0, or -1 and errno when the stream is over: ENODEV (gone), EIO
 * and the like (to be started again). news is valid in both cases. */
int capture_take(struct capture *c, struct capture_news *news);

/* Stops the stream. Before device_close. */
void capture_stop(struct capture *c);
