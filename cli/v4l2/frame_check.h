/* frame_check.h - is what the driver handed over a picture?
 *
 * Cameras hand over halves, nothing at all and padding, mostly without saying so. A JPEG is
 * whole when its own marker segments lead to an EOI (common/jpeg_walk.h); what follows is
 * padding. The walk is only done when the bytes do not simply end with EOI or zeros after it.
 *
 * Threads: any; pure functions over borrowed bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_fault {
    FRAME_WHOLE,
    FRAME_FLAGGED,   /* the driver says that it is damaged */
    FRAME_EMPTY,     /* no bytes */
    FRAME_GARBAGE,   /* does not begin like a JPEG */
    FRAME_TRUNCATED, /* no EOI, or fewer bytes than the picture has pixels for */
    FRAME_TOO_LARGE,
    FRAME_FAULTS
};

/* "error flag", "empty", "garbage", "truncated", "too large". */
const char *frame_fault_name(enum frame_fault f);

/* n bytes that should be a JPEG and padding. *n_jpeg: how many are the JPEG, when it is whole. */
enum frame_fault frame_check_jpeg(const uint8_t *bytes, size_t n, size_t *n_jpeg);
