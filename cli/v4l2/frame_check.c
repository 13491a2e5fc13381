#include "cli/v4l2/frame_check.h"

#include "common/jpeg.h"
#include "common/jpeg_walk.h"

const char *frame_fault_name(enum frame_fault f)
{
    static const char *const names[FRAME_FAULTS] = {
        [FRAME_WHOLE] = "whole",         [FRAME_FLAGGED] = "error flag",
        [FRAME_EMPTY] = "empty",         [FRAME_GARBAGE] = "garbage",
        [FRAME_TRUNCATED] = "truncated", [FRAME_TOO_LARGE] = "too large",
    };
    return names[f];
}

/* Where the marker segments say that it ends, 0: nowhere. */
static size_t walk_to_eoi(const uint8_t *bytes, size_t n)
{
    struct jpeg_walk w = jpeg_walk_from_soi();
    size_t at = 3; /* behind FF D8 FF */
    while (at < n) {
        size_t span = jpeg_walk_span(&w, bytes + at, n - at);
        if (span > 0) { /* what comes next has a span of its own: a segment ended */
            jpeg_walk_pass(&w, span);
            at += span;
            continue;
        }
        enum walked said = jpeg_walk_byte(&w, bytes[at++]);
        if (said == WALK_EOI)
            return at;
        if (said != WALK_ON)
            break;
    }
    return 0;
}

enum frame_fault frame_check_jpeg(const uint8_t *bytes, size_t n, size_t *n_jpeg)
{
    if (n == 0)
        return FRAME_EMPTY;
    if (n < 4 || bytes[0] != 0xff || bytes[1] != 0xd8 || bytes[2] != 0xff)
        return FRAME_GARBAGE;
    size_t end = n;
    while (end > 4 && bytes[end - 1] == 0)
        end--;
    if (jpeg_check(bytes, end) != JPEG_ENDS_OK)
        end = walk_to_eoi(bytes, n);
    *n_jpeg = end;
    return end ? FRAME_WHOLE : FRAME_TRUNCATED;
}
