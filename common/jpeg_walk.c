#include "common/jpeg_walk.h"

#include <string.h>

enum { SOF0 = 0xc0, DHT = 0xc4, DAC = 0xcc, RST0 = 0xd0, SOI = 0xd8, EOI = 0xd9, SOS = 0xda };
enum { APP15 = 0xef, COM = 0xfe };

struct jpeg_walk jpeg_walk_from_soi(void)
{
    return (struct jpeg_walk){.at = WALK_AT_MARKER};
}

size_t jpeg_walk_span(const struct jpeg_walk *w, const uint8_t *p, size_t n)
{
    if (w->at == WALK_AT_SEGMENT)
        return w->left < n ? w->left : n;
    if (w->at != WALK_AT_DATA)
        return 0;
    const uint8_t *ff = memchr(p, 0xff, n), *end = p + n;
    while (ff && ff + 1 < end && ff[1] == 0) /* stuffed, as most are: data as well */
        ff = memchr(ff + 2, 0xff, (size_t)(end - ff) - 2);
    return ff ? (size_t)(ff - p) : n;
}

/* Data where a scan runs; before the first one, bytes that do not belong there, which
 * decoders pass over as well. */
static void enter_data(struct jpeg_walk *w)
{
    w->at = WALK_AT_DATA;
    w->has_stray |= !w->has_scan;
}

static void end_segment(struct jpeg_walk *w)
{
    w->at = WALK_AT_DATA;
    w->has_scan |= w->marker == SOS;
}

void jpeg_walk_pass(struct jpeg_walk *w, size_t n)
{
    if (w->at == WALK_AT_SEGMENT) {
        w->left -= n;
        if (!w->left)
            end_segment(w);
    } else if (n) {
        enter_data(w);
    }
}

static bool begins_segment(const struct jpeg_walk *w, uint8_t marker)
{
    if (marker < SOF0 || (marker >= RST0 && marker <= EOI))
        return false;
    if (!w->has_scan)
        return true;
    /* Only these can follow a scan. The rest is damage, and so would be its length. */
    return marker == DHT || marker == DAC || (marker >= SOS && marker <= APP15) || marker == COM;
}

static enum walked take_marker(struct jpeg_walk *w, uint8_t c)
{
    bool is_first = !w->has_marker;
    if (c == 0xff)
        return WALK_ON; /* B.1.1.2: any number of fill bytes */
    w->has_marker = true;
    if (c == EOI)
        return WALK_EOI;
    if (begins_segment(w, c)) {
        w->at = WALK_AT_LENGTH;
        w->has_high = false;
        w->marker = c;
        return WALK_ON;
    }
    if (is_first)
        return WALK_NO_PICTURE;
    if (c == SOI)
        w->at = WALK_AT_SOI;
    else if (c == 0)
        enter_data(w); /* stuffed: a byte FF of the data */
    else
        w->at = WALK_AT_DATA; /* restart */
    return WALK_ON;
}

static void take_length(struct jpeg_walk *w, uint8_t c)
{
    if (!w->has_high) {
        w->has_high = true;
        w->left = (size_t)c << 8;
        return;
    }
    w->left |= c;
    if (w->left < 2) {
        enter_data(w);
        return;
    }
    w->at = WALK_AT_SEGMENT;
    w->left -= 2; /* it counts itself */
    if (!w->left)
        end_segment(w);
}

enum walked jpeg_walk_byte(struct jpeg_walk *w, uint8_t c)
{
    switch (w->at) {
    case WALK_AT_MARKER:
        return take_marker(w, c);
    case WALK_AT_LENGTH:
        take_length(w, c);
        return WALK_ON;
    case WALK_AT_SOI:
        enter_data(w);
        return c == 0xff ? WALK_SOI : WALK_ON;
    default:
        w->at = WALK_AT_MARKER; /* the span ended at FF */
        return WALK_ON;
    }
}
