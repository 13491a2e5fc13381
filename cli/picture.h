/* picture.h - one frame on its way from a source to the link.
 *
 * Most are JPEG and live on the heap. A camera's picture may instead lie in a buffer of
 * the driver, which gets it back when the picture is freed: so nothing is copied before it
 * is sent or encoded, and who holds a picture for long keeps the camera waiting. A picture
 * that is not JPEG yet has raw.fourcc set and no bytes; encoder.h makes one of it.
 *
 * Ownership: who has the pointer has the picture, and ends it with picture_free.
 * Threads: any one at a time; picture_free on the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAW_PLANES_MAX 3

/* Pixels as a camera gives them. */
struct raw {
    uint32_t fourcc;        /* of linux/videodev2.h; 0: the picture is JPEG */
    unsigned width, height; /* pixels */
    bool full_range;        /* luma 0 to 255 as JPEG has it, not 16 to 235 (BT.601) */
    const uint8_t *plane[RAW_PLANES_MAX];
    unsigned stride[RAW_PLANES_MAX]; /* bytes from line to line */
};

struct picture {
    uint64_t captured_us;   /* monotonic: the camera's stamp, else when the last byte was there */
    double captured_wall_s; /* Unix seconds, for people */
    uint64_t index;         /* counts what the source gave, from 0 */
    unsigned quality;       /* of the JPEG, when it was encoded here; 0: as it came */
    unsigned halvings;      /* 1, 2: its sides are 1/2, 1/4 of what the source gives */
    struct raw raw;
    size_t n_bytes;
    uint8_t *bytes;                     /* n_bytes of JPEG */
    void (*release)(struct picture *p); /* NULL: free() */
};

/* Copies n_bytes; bytes NULL: only makes room for them. NULL: out of memory. */
struct picture *picture_new(const void *bytes, size_t n_bytes, uint64_t captured_us);

/* A JPEG made of `of`: when it was captured and which one it is stay. NULL: out of memory. */
struct picture *picture_made_of(const struct picture *of, const void *bytes, size_t n_bytes);

void picture_free(struct picture *p); /* NULL is fine */
