/* jpeg.h - what can be told about a JPEG without decoding it.
 *
 * jpeg_check is the O(1) check every frame gets: the markers at both ends.
 * jpeg_parse walks the marker segments up to the first scan (ITU-T T.81, B.1
 * and B.2), for pipelines and for tools; it never reads outside its bytes,
 * whatever they are.
 *
 * Threads: any; pure functions over borrowed bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum jpeg_ends {
    JPEG_ENDS_OK,
    JPEG_ENDS_NO_SOI, /* no FF D8 at the start */
    JPEG_ENDS_NO_EOI  /* no FF D9 at the end */
};

/* FF D8 FF D9, four bytes, is the shortest frame that passes. */
enum jpeg_ends jpeg_check(const uint8_t *bytes, size_t n);

#define JPEG_COMPONENTS_MAX 4

struct jpeg_info {
    unsigned width, height;          /* pixels; height 0 when a DNL marker is to tell it */
    unsigned precision;              /* bits per sample */
    unsigned n_components;           /* 1 grey, 3 YCbCr, 4 CMYK or YCCK */
    unsigned h[JPEG_COMPONENTS_MAX]; /* sampling factors, 1 to 4 */
    unsigned v[JPEG_COMPONENTS_MAX];
    unsigned restart_interval; /* MCUs between restart markers; 0: none */
    bool progressive;          /* SOF2 */
    bool has_huffman_tables;   /* cameras may leave DHT out (then: T.81 Annex K.3) */
    size_t scan_offset;        /* where the entropy-coded data begins */
};

/* 0, or -1 when there is no complete and plausible header before the first scan. */
int jpeg_parse(const uint8_t *bytes, size_t n, struct jpeg_info *info);

/* "4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1", "grey", else "other". */
const char *jpeg_subsampling(const struct jpeg_info *f);
