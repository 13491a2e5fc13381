/* corpus.h - the frames that are sent: real JPEGs, made once, shared by all sessions.
 *
 * Made ones show the test picture with a camera's noise, at the quality that comes
 * nearest to the wanted size from below, and are filled up to it exactly by comments (COM
 * segments), which decoders skip. Or they are those of a folder of JPEGs or of an MJPEG
 * file, in order.
 *
 * Ownership: corpus_free. Threads: read only once made.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct corpus_frame {
    uint8_t *bytes;
    size_t n_bytes;
};

struct corpus {
    size_t n; /* at least 1 */
    struct corpus_frame *frame;
    size_t bytes_max; /* the largest one's */
    uint64_t bytes_mean;
};

/* 0, -EXIT_USAGE when no quality makes frames that small, or -EXIT_FAILED. */
int corpus_make(struct corpus *c, unsigned width, unsigned height, size_t frame_bytes,
                struct err *e);

/* 0, -EXIT_UNREACHABLE when path cannot be read, or -EXIT_USAGE when there is no JPEG. */
int corpus_load(struct corpus *c, const char *path, struct err *e);

void corpus_free(struct corpus *c);
