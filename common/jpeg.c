#include "common/jpeg.h"

#include <string.h>

enum { SOF0 = 0xc0, DHT = 0xc4, JPG = 0xc8, DAC = 0xcc, SOF15 = 0xcf, RST0 = 0xd0, SOI = 0xd8 };
enum { EOI = 0xd9, SOS = 0xda, DRI = 0xdd, TEM = 0x01 };

struct segment {
    uint8_t marker;
    const uint8_t *body; /* behind the length */
    size_t n;
};

struct header {
    struct jpeg_info info;
    uint8_t id[JPEG_COMPONENTS_MAX]; /* what a scan calls the components */
};

enum jpeg_ends jpeg_check(const uint8_t *bytes, size_t n)
{
    if (n < 2 || bytes[0] != 0xff || bytes[1] != SOI)
        return JPEG_ENDS_NO_SOI;
    if (n < 4 || bytes[n - 2] != 0xff || bytes[n - 1] != EOI)
        return JPEG_ENDS_NO_EOI;
    return JPEG_ENDS_OK;
}

static unsigned u16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static bool is_frame_header(uint8_t marker)
{
    return marker >= SOF0 && marker <= SOF15 && marker != DHT && marker != JPG && marker != DAC;
}

/* T.81 B.1.1.3: these stand alone, without a length. */
static bool is_alone(uint8_t marker)
{
    return marker == TEM || (marker >= RST0 && marker <= EOI);
}

/* The marker at or behind *at, 0 when there is none. Bytes that do not belong there
 * are passed over, as decoders do. */
static uint8_t next_marker(const uint8_t *bytes, size_t n, size_t *at)
{
    while (*at < n) {
        const uint8_t *ff = memchr(bytes + *at, 0xff, n - *at);
        if (!ff)
            return 0;
        *at = (size_t)(ff - bytes);
        while (*at < n && bytes[*at] == 0xff)
            (*at)++; /* B.1.1.2: any number of fill bytes */
        if (*at < n && bytes[*at] != 0)
            return bytes[(*at)++];
    }
    return 0;
}

static int next_segment(const uint8_t *bytes, size_t n, size_t *at, struct segment *seg)
{
    do {
        seg->marker = next_marker(bytes, n, at);
        if (!seg->marker || seg->marker == SOI || seg->marker == EOI)
            return -1;
    } while (is_alone(seg->marker));
    if (n - *at < 2)
        return -1;
    size_t length = u16(bytes + *at);
    if (length < 2 || length > n - *at)
        return -1;
    seg->body = bytes + *at + 2;
    seg->n = length - 2;
    *at += length;
    return 0;
}

/* B.2.2 */
static int read_frame_header(const struct segment *s, struct header *h)
{
    struct jpeg_info *info = &h->info;
    if (info->n_components || s->n < 6)
        return -1; /* a second one, or too short */
    info->precision = s->body[0];
    info->height = u16(s->body + 1);
    info->width = u16(s->body + 3);
    unsigned n_components = s->body[5];
    if (info->precision < 2 || info->precision > 16 || !info->width)
        return -1;
    if (!n_components || n_components > JPEG_COMPONENTS_MAX || s->n != 6 + 3 * n_components)
        return -1;
    for (unsigned i = 0; i < n_components; i++) {
        const uint8_t *c = s->body + 6 + (size_t)i * 3;
        h->id[i] = c[0];
        info->h[i] = c[1] >> 4;
        info->v[i] = c[1] & 15;
        if (info->h[i] < 1 || info->h[i] > 4 || info->v[i] < 1 || info->v[i] > 4)
            return -1;
    }
    info->n_components = n_components;
    info->progressive = (s->marker & 3) == 2; /* SOF2 and its kin 6, 10, 14 */
    return 0;
}

/* B.2.4.2: tables of 16 counts and as many symbols as these add up to. */
static int read_huffman_tables(const struct segment *s, struct header *h)
{
    size_t at = 0;
    while (at < s->n) {
        size_t n_symbols = 0;
        if (s->n - at < 17 || s->body[at] >> 4 > 1 || (s->body[at] & 15) > 3)
            return -1;
        for (size_t i = 1; i <= 16; i++)
            n_symbols += s->body[at + i];
        if (n_symbols > 256 || n_symbols > s->n - at - 17)
            return -1;
        at += 17 + n_symbols;
        h->info.has_huffman_tables = true;
    }
    return 0;
}

static int read_restart_interval(const struct segment *s, struct header *h)
{
    if (s->n != 2)
        return -1;
    h->info.restart_interval = u16(s->body);
    return 0;
}

/* B.2.3: the scan must be about components that the frame header named. */
static int read_scan_header(const struct segment *s, const struct header *h)
{
    unsigned n = s->n ? s->body[0] : 0;
    if (!n || n > h->info.n_components || s->n != 4 + 2 * (size_t)n)
        return -1;
    for (unsigned i = 0; i < n; i++)
        if (!memchr(h->id, s->body[1 + 2 * (size_t)i], h->info.n_components))
            return -1;
    return 0;
}

static int read_segment(const struct segment *s, struct header *h)
{
    if (is_frame_header(s->marker))
        return read_frame_header(s, h);
    if (s->marker == DHT)
        return read_huffman_tables(s, h);
    if (s->marker == DRI)
        return read_restart_interval(s, h);
    if (s->marker == SOS)
        return read_scan_header(s, h);
    return 0;
}

int jpeg_parse(const uint8_t *bytes, size_t n, struct jpeg_info *info)
{
    struct header h = {.info = {.width = 0}};
    struct segment s = {.marker = 0};
    size_t at = 2;
    if (n < 2 || bytes[0] != 0xff || bytes[1] != SOI)
        return -1;
    while (s.marker != SOS)
        if (next_segment(bytes, n, &at, &s) < 0 || read_segment(&s, &h) < 0)
            return -1;
    h.info.scan_offset = at;
    *info = h.info;
    return 0;
}

/* Whether the chroma planes are h times narrower and v times lower than luma. */
static bool chroma_is(const struct jpeg_info *f, unsigned h, unsigned v)
{
    return f->h[0] == f->h[1] * h && f->v[0] == f->v[1] * v;
}

const char *jpeg_subsampling(const struct jpeg_info *f)
{
    static const struct {
        unsigned h, v;
        const char *name;
    } rows[] = {
        {1, 1, "4:4:4"}, {2, 1, "4:2:2"}, {2, 2, "4:2:0"}, {1, 2, "4:4:0"}, {4, 1, "4:1:1"},
    };
    if (f->n_components == 1)
        return "grey";
    if (f->n_components < 3 || f->h[1] != f->h[2] || f->v[1] != f->v[2])
        return "other";
    if (f->n_components == 4 && (f->h[3] != f->h[0] || f->v[3] != f->v[0]))
        return "other"; /* black goes with luma */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (chroma_is(f, rows[i].h, rows[i].v))
            return rows[i].name;
    return "other";
}
