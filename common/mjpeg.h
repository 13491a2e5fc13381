/* mjpeg.h - finds the JPEGs in a stream of bytes, whatever is between them.
 *
 * Real cameras wrap their frames in all kinds of multipart: boundaries with or
 * without dashes, quoted or missing, lengths that are absent, wrong or absurd,
 * LF-only headers, parts that are not pictures. So the wrapping is a hint and
 * the picture itself decides: it begins with SOI and ends with the EOI that
 * its own marker segments lead to (ITU-T T.81, B.1.1), not with the EOI of a
 * thumbnail inside an APPn segment. Bare JPEGs back to back are the same
 * stream without hints.
 *
 * Ownership: struct mjpeg owns its buffer; a picture given to on_picture is
 * borrowed for that call. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mjpeg_sink {
    void *ctx;
    /* A complete picture, SOI to EOI. mended: it had no EOI and got one. */
    void (*on_picture)(void *ctx, const uint8_t *bytes, size_t n, bool mended);
    /* Bytes that should have been a picture: "truncated", "too large". */
    void (*on_broken)(void *ctx, const char *why);
};

struct mjpeg; /* opaque: see mjpeg.c */

/* picture_bytes_max caps the buffer. NULL: out of memory. */
struct mjpeg *mjpeg_new(size_t picture_bytes_max, const struct mjpeg_sink *sink);
void mjpeg_free(struct mjpeg *m);

/* The boundary parameter of the stream's Content-Type, when it has one: any form,
 * a hint only. */
void mjpeg_set_boundary(struct mjpeg *m, const char *boundary);

/* Takes the next n bytes of the stream; calls the sink for each picture they
 * complete, before it returns. */
void mjpeg_feed(struct mjpeg *m, const uint8_t *bytes, size_t n);

/* The stream has ended: what is left is a picture or broken. Ready for a new one. */
void mjpeg_end(struct mjpeg *m);
