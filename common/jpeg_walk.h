/* jpeg_walk.h - where a JPEG ends, told by its marker segments (ITU-T T.81, B.1).
 *
 * The walk begins behind FF D8 FF. It takes bytes as they come, in any pieces, and
 * never asks for one again: ask jpeg_walk_span how many bytes mean nothing to it and
 * pass over those at once; give it the others one by one.
 *
 * Ownership: the caller's storage. Threads: one at a time; pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum walked {
    WALK_ON,        /* nothing yet */
    WALK_EOI,       /* this byte was its last */
    WALK_SOI,       /* FF D8 FF: the next picture began, this one has no EOI */
    WALK_BOUNDARY,  /* never from here: for callers that look for one themselves */
    WALK_NO_PICTURE /* what began like one cannot be one */
};

struct jpeg_walk {
    enum { WALK_AT_DATA, WALK_AT_MARKER, WALK_AT_SOI, WALK_AT_LENGTH, WALK_AT_SEGMENT } at;
    uint8_t marker;  /* of the segment */
    bool has_high;   /* half of the segment's length is known */
    size_t left;     /* bytes of the segment still to pass */
    bool has_scan;   /* there is something to decode */
    bool has_marker; /* more than SOI was seen */
    bool has_stray;  /* bytes before the first scan where a marker had to be */
};

struct jpeg_walk jpeg_walk_from_soi(void);

/* How many of the next n bytes, from the first on, need not be looked at. */
size_t jpeg_walk_span(const struct jpeg_walk *w, const uint8_t *p, size_t n);

/* Passes over n of them. */
void jpeg_walk_pass(struct jpeg_walk *w, size_t n);

/* Takes a byte that is not in the span. */
enum walked jpeg_walk_byte(struct jpeg_walk *w, uint8_t c);
