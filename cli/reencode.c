#include "cli/reencode.h"

#include <stdlib.h>
#include <turbojpeg.h>

#define SIDE_MIN 16

struct shape {
    int width, height, subsampling;
};

void reencode_deinit(struct reencode *r)
{
    if (r->decoder)
        tjDestroy(r->decoder);
    if (r->encoder)
        tjDestroy(r->encoder);
    tjFree(r->jpeg);
    free(r->planes);
    *r = (struct reencode){0};
}

static bool have_handles(struct reencode *r)
{
    if (!r->decoder)
        r->decoder = tjInitDecompress();
    if (!r->encoder)
        r->encoder = tjInitCompress();
    return r->decoder && r->encoder;
}

/* Room for the planes of that shape and for the largest JPEG they can give. */
static bool have_room(struct reencode *r, const struct shape *s)
{
    size_t planes_bytes = tjBufSizeYUV2(s->width, 1, s->height, s->subsampling);
    size_t jpeg_bytes = tjBufSize(s->width, s->height, s->subsampling);
    if (planes_bytes > r->planes_bytes) {
        free(r->planes);
        r->planes = malloc(planes_bytes);
        r->planes_bytes = r->planes ? planes_bytes : 0;
    }
    if (jpeg_bytes > r->jpeg_bytes) {
        tjFree(r->jpeg);
        r->jpeg = tjAlloc((int)jpeg_bytes);
        r->jpeg_bytes = r->jpeg ? jpeg_bytes : 0;
    }
    return r->planes && r->jpeg;
}

/* tjBufSize and its like take int, and give all ones for shapes that are not. */
static bool read_shape(struct reencode *r, const struct picture *p, struct shape *s)
{
    int colours;
    *s = (struct shape){0}; /* tables alone leave it as it is */
    if (tjDecompressHeader3(r->decoder, p->bytes, p->n_bytes, &s->width, &s->height,
                            &s->subsampling, &colours) < 0)
        return false;
    return s->subsampling >= 0 && s->width > 0 && s->height > 0 &&
           (colours == TJCS_YCbCr || colours == TJCS_GRAY) &&
           (uint64_t)s->width * (uint64_t)s->height <= 100000000u;
}

static void scale(struct shape *s, unsigned halvings)
{
    tjscalingfactor by = {1, 1 << halvings};
    s->width = TJSCALED(s->width, by);
    s->height = TJSCALED(s->height, by);
}

static bool is_too_small(const struct shape *s, unsigned halvings)
{
    int side = s->width < s->height ? s->width : s->height;
    return halvings && side >> halvings < SIDE_MIN;
}

/* Gives the size of the JPEG in r->jpeg; 0: it cannot be made. */
static size_t encode(struct reencode *r, const struct picture *p, const struct shape *s,
                     unsigned quality)
{
    unsigned long n_bytes = r->jpeg_bytes;
    if (tjDecompressToYUV2(r->decoder, p->bytes, p->n_bytes, r->planes, s->width, 1, s->height, 0) <
        0)
        return 0;
    if (tjCompressFromYUV(r->encoder, r->planes, s->width, 1, s->height, s->subsampling, &r->jpeg,
                          &n_bytes, (int)quality, TJFLAG_NOREALLOC) < 0)
        return 0;
    return n_bytes;
}

struct picture *reencode_picture(struct reencode *r, const struct picture *p, unsigned quality,
                                 unsigned halvings)
{
    struct shape s;
    if (quality == 0 || !have_handles(r) || !read_shape(r, p, &s))
        return NULL;
    while (is_too_small(&s, halvings))
        halvings--;
    scale(&s, halvings);
    size_t n_bytes = have_room(r, &s) ? encode(r, p, &s, quality) : 0;
    if (n_bytes == 0 || n_bytes >= p->n_bytes)
        return NULL;
    struct picture *smaller = picture_made_of(p, r->jpeg, n_bytes);
    if (!smaller)
        return NULL;
    smaller->quality = quality;
    smaller->halvings = halvings;
    return smaller;
}
