#include "cli/raw.h"

#include <linux/videodev2.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#define SIDE_MIN 16 /* not halved below */

enum layout { PACKED_422, PLANAR_420, SEMIPLANAR_420, PACKED_RGB, GREY };

static const struct format {
    uint32_t fourcc;
    enum layout layout;
    unsigned y, cb, cr; /* packed: byte in a group of two pixels; semi-planar: in a pair; planar:
                           plane */
    float cost;         /* about what encoding takes, chroma and split included */
    int rgb;            /* TJPF_... */
} formats[] = {
    {V4L2_PIX_FMT_YUV420, PLANAR_420, 0, 1, 2, 1.0F, 0},
    {V4L2_PIX_FMT_YVU420, PLANAR_420, 0, 2, 1, 1.0F, 0},
    {V4L2_PIX_FMT_YUV420M, PLANAR_420, 0, 1, 2, 1.0F, 0},
    {V4L2_PIX_FMT_YVU420M, PLANAR_420, 0, 2, 1, 1.0F, 0},
    {V4L2_PIX_FMT_NV12, SEMIPLANAR_420, 0, 0, 1, 1.1F, 0},
    {V4L2_PIX_FMT_NV21, SEMIPLANAR_420, 0, 1, 0, 1.1F, 0},
    {V4L2_PIX_FMT_NV12M, SEMIPLANAR_420, 0, 0, 1, 1.1F, 0},
    {V4L2_PIX_FMT_NV21M, SEMIPLANAR_420, 0, 1, 0, 1.1F, 0},
    {V4L2_PIX_FMT_YUYV, PACKED_422, 0, 1, 3, 1.5F, 0},
    {V4L2_PIX_FMT_YVYU, PACKED_422, 0, 3, 1, 1.5F, 0},
    {V4L2_PIX_FMT_UYVY, PACKED_422, 1, 0, 2, 1.5F, 0},
    {V4L2_PIX_FMT_VYUY, PACKED_422, 1, 2, 0, 1.5F, 0},
    {V4L2_PIX_FMT_RGB24, PACKED_RGB, 0, 0, 0, 2.0F, TJPF_RGB},
    {V4L2_PIX_FMT_BGR24, PACKED_RGB, 0, 0, 0, 2.0F, TJPF_BGR},
    {V4L2_PIX_FMT_GREY, GREY, 0, 0, 0, 4.0F, 0}, /* cheap, but the colours are lost */
};

static const struct format *find(uint32_t fourcc)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].fourcc == fourcc)
            return &formats[i];
    return NULL;
}

double raw_cost(uint32_t fourcc)
{
    const struct format *f = find(fourcc);
    return f ? (double)f->cost : 0.0;
}

/* --- where the planes are --- */

struct plane_shape {
    unsigned row_bytes, rows;
};

static unsigned half(unsigned n)
{
    return (n + 1) / 2;
}

/* Gives how many planes there are. */
static unsigned shapes_of(const struct format *f, unsigned w, unsigned h,
                          struct plane_shape shape[RAW_PLANES_MAX])
{
    shape[0] = (struct plane_shape){w, h};
    switch (f->layout) {
    case PACKED_422:
        shape[0].row_bytes = half(w) * 4;
        return 1;
    case PACKED_RGB:
        shape[0].row_bytes = w * 3;
        return 1;
    case GREY:
        return 1;
    case SEMIPLANAR_420:
        shape[1] = (struct plane_shape){half(w) * 2, half(h)};
        return 2;
    case PLANAR_420:
        shape[1] = shape[2] = (struct plane_shape){half(w), half(h)};
        return 3;
    }
    return 0;
}

/* Planes in one memory follow each other; their lines shrink with the first's. */
static unsigned stride_of(const struct format *f, const struct raw_memory *m, unsigned plane,
                          const struct plane_shape *shape)
{
    unsigned told = m->n > 1                                ? m->stride[plane]
                    : plane == 0 || f->layout != PLANAR_420 ? m->stride[0]
                                                            : m->stride[0] / 2;
    return told > shape->row_bytes ? told : shape->row_bytes;
}

bool raw_lay_out(struct raw *r, const struct raw_memory *m)
{
    struct plane_shape shape[RAW_PLANES_MAX];
    const struct format *f = find(m->fourcc);
    size_t used = 0;
    if (!f || !m->width || !m->height)
        return false;
    unsigned n = shapes_of(f, m->width, m->height, shape);
    *r = (struct raw){
        .fourcc = m->fourcc, .width = m->width, .height = m->height, .full_range = m->full_range};
    for (unsigned i = 0; i < n; i++) {
        unsigned memory = m->n > 1 ? i : 0;
        if (memory >= m->n)
            return false;
        used = m->n > 1 ? 0 : used;
        r->stride[i] = stride_of(f, m, i, &shape[i]);
        r->plane[i] = m->at[memory] + used;
        size_t needed = used + (size_t)r->stride[i] * (shape[i].rows - 1) + shape[i].row_bytes;
        if (needed > m->n_bytes[memory])
            return false;
        used += (size_t)r->stride[i] * shape[i].rows;
    }
    return true;
}

/* --- scratch --- */

void raw_scratch_deinit(struct raw_scratch *s)
{
    if (s->converter)
        tjDestroy(s->converter);
    free(s->memory[0]);
    free(s->memory[1]);
    *s = (struct raw_scratch){0};
}

static bool has_room(struct raw_scratch *s, int which, size_t n_bytes)
{
    if (s->n_bytes[which] >= n_bytes)
        return true;
    free(s->memory[which]);
    s->memory[which] = calloc(1, n_bytes);
    s->n_bytes[which] = s->memory[which] ? n_bytes : 0;
    return s->memory[which] != NULL;
}

static int n_planes_of(int subsampling)
{
    return subsampling == TJSAMP_GRAY ? 1 : 3;
}

/* Planes of that shape, one after the other, in scratch memory. */
static bool make_planes(struct raw_scratch *s, int which, struct raw_planes *p)
{
    size_t used = 0, size[RAW_PLANES_MAX] = {0};
    for (int i = 0; i < n_planes_of(p->subsampling); i++) {
        p->stride[i] = tjPlaneWidth(i, p->width, p->subsampling);
        size[i] = (size_t)p->stride[i] * (size_t)tjPlaneHeight(i, p->height, p->subsampling);
        used += size[i];
    }
    if (!has_room(s, which, used))
        return false;
    p->plane[0] = s->memory[which];
    p->plane[1] = p->plane[0] + size[0];
    p->plane[2] = p->plane[1] + size[1];
    return true;
}

/* --- lines: plain loops that the compiler turns into vector code --- */

/* 16..235 to 0..255, in 16 bits: (y - 16) * 149 / 128, rounded. */
static void stretch_luma(uint8_t *line, int n)
{
    for (int i = 0; i < n; i++) {
        uint8_t y = line[i] < 16 ? 16 : line[i] > 235 ? 235 : line[i];
        line[i] = (uint8_t)((uint16_t)(y * 149 - (16 * 149 - 64)) >> 7);
    }
}

/* 16..240 to 1..255 around 128, in 16 bits: (c - 128) * 145 / 128 + 128, rounded. */
static void stretch_chroma(uint8_t *line, int n)
{
    for (int i = 0; i < n; i++) {
        uint8_t c = line[i] < 16 ? 16 : line[i] > 240 ? 240 : line[i];
        line[i] = (uint8_t)((uint16_t)(c * 145 - (17 * 128 - 64)) >> 7);
    }
}

/* The first or the second byte of each pair. */
static void pick(uint8_t *restrict to, const uint8_t *restrict from, bool second, int n)
{
    if (second)
        for (int i = 0; i < n; i++)
            to[i] = from[2 * i + 1];
    else
        for (int i = 0; i < n; i++)
            to[i] = from[2 * i];
}

/* --- formats to planes --- */

static uint8_t *line_of(const struct raw_planes *p, int plane, int y)
{
    return (uint8_t *)p->plane[plane] + (size_t)p->stride[plane] * (size_t)y;
}

static const uint8_t *line_from(const struct raw *r, unsigned plane, int y)
{
    return r->plane[plane] + (size_t)r->stride[plane] * (size_t)y;
}

/* A line that was just filled, while it is in the cache. */
static void finish_line(const struct raw *r, const struct raw_planes *p, int plane, int y)
{
    if (r->full_range)
        return;
    if (plane == 0)
        stretch_luma(line_of(p, plane, y), p->stride[plane]);
    else
        stretch_chroma(line_of(p, plane, y), p->stride[plane]);
}

/* First luma from chroma, then both chromas: pairs are what vector code splits well. */
static void fill_from_422(const struct raw *r, const struct format *f, struct raw_scratch *s,
                          const struct raw_planes *p)
{
    int n = (p->width + 1) / 2;
    uint8_t *chroma = s->memory[1];
    for (int y = 0; y < p->height; y++) {
        const uint8_t *from = line_from(r, 0, y);
        pick(line_of(p, 0, y), from, f->y, p->stride[0]);
        pick(chroma, from, !f->y, 2 * n);
        pick(line_of(p, 1, y), chroma, f->cb / 2, n);
        pick(line_of(p, 2, y), chroma, f->cr / 2, n);
        for (int plane = 0; plane < 3; plane++)
            finish_line(r, p, plane, y);
    }
}

/* Sides are made even for JPEG: the last column and row are then the one before, again. */
static void copy_plane(const struct raw *r, unsigned from, const struct raw_planes *p, int to)
{
    int w = p->stride[to], h = tjPlaneHeight(to, p->height, p->subsampling);
    int given = to == 0 ? (int)r->width : ((int)r->width + 1) / 2;
    int rows = to == 0 ? (int)r->height : ((int)r->height + 1) / 2;
    for (int y = 0; y < h; y++) {
        const uint8_t *line = line_from(r, from, y < rows ? y : rows - 1);
        memcpy(line_of(p, to, y), line, (size_t)given);
        memset(line_of(p, to, y) + given, line[given - 1], (size_t)(w - given));
        finish_line(r, p, to, y);
    }
}

static void fill_from_planar(const struct raw *r, const struct format *f,
                             const struct raw_planes *p)
{
    copy_plane(r, 0, p, 0);
    if (n_planes_of(p->subsampling) == 1)
        return;
    copy_plane(r, f->cb, p, 1);
    copy_plane(r, f->cr, p, 2);
}

static void fill_from_semiplanar(const struct raw *r, const struct format *f,
                                 const struct raw_planes *p)
{
    copy_plane(r, 0, p, 0);
    for (int y = 0; y < tjPlaneHeight(1, p->height, p->subsampling); y++) {
        pick(line_of(p, 1, y), line_from(r, 1, y), f->cb, p->stride[1]);
        pick(line_of(p, 2, y), line_from(r, 1, y), f->cr, p->stride[1]);
        finish_line(r, p, 1, y);
        finish_line(r, p, 2, y);
    }
}

static bool convert_rgb(const struct raw *r, const struct format *f, struct raw_scratch *s,
                        struct raw_planes *p)
{
    unsigned char *planes[3] = {line_of(p, 0, 0), line_of(p, 1, 0), line_of(p, 2, 0)};
    if (!s->converter)
        s->converter = tjInitCompress();
    return s->converter &&
           tjEncodeYUVPlanes(s->converter, r->plane[0], p->width, (int)r->stride[0], p->height,
                             f->rgb, planes, p->stride, p->subsampling, 0) == 0;
}

static bool fill(const struct raw *r, const struct format *f, struct raw_scratch *s,
                 struct raw_planes *p)
{
    size_t line_bytes = 2 * (size_t)(p->width + 1);
    if (!make_planes(s, 0, p) || !has_room(s, 1, line_bytes))
        return false;
    if (f->layout == PACKED_RGB)
        return convert_rgb(r, f, s, p);
    if (f->layout == PACKED_422)
        fill_from_422(r, f, s, p);
    else if (f->layout == SEMIPLANAR_420)
        fill_from_semiplanar(r, f, p);
    else
        fill_from_planar(r, f, p);
    return true;
}

/* Planes that are as JPEG wants them are used where they lie. */
static bool is_ready(const struct raw *r, const struct format *f)
{
    bool planar = f->layout == PLANAR_420 || f->layout == GREY;
    return planar && r->full_range && r->width % 2 == 0 && r->height % 2 == 0;
}

static void point_at(const struct raw *r, const struct format *f, struct raw_planes *p)
{
    const unsigned from[RAW_PLANES_MAX] = {0, f->cb, f->cr};
    for (int i = 0; i < n_planes_of(p->subsampling); i++) {
        p->plane[i] = r->plane[from[i]];
        p->stride[i] = (int)r->stride[from[i]];
    }
}

/* --- smaller --- */

static void halve_line(uint8_t *restrict to, const uint8_t *restrict a, const uint8_t *restrict b,
                       int n)
{
    for (int i = 0; i < n; i++)
        to[i] = (uint8_t)((a[2 * i] + a[2 * i + 1] + b[2 * i] + b[2 * i + 1] + 2) >> 2);
}

static bool halve(struct raw_scratch *s, int which, struct raw_planes *p)
{
    struct raw_planes small = {
        .width = p->width / 4 * 2, .height = p->height / 4 * 2, .subsampling = p->subsampling};
    if (!make_planes(s, which, &small))
        return false;
    for (int i = 0; i < n_planes_of(p->subsampling); i++)
        for (int y = 0; y < tjPlaneHeight(i, small.height, small.subsampling); y++)
            halve_line(line_of(&small, i, y), line_of(p, i, 2 * y), line_of(p, i, 2 * y + 1),
                       small.stride[i]);
    *p = small;
    return true;
}

bool raw_to_planes(const struct raw *r, unsigned halvings, struct raw_scratch *s,
                   struct raw_planes *out)
{
    const struct format *f = find(r->fourcc);
    if (!f)
        return false;
    *out = (struct raw_planes){.width = (int)r->width,
                               .height = (int)r->height,
                               .subsampling = f->layout == GREY         ? TJSAMP_GRAY
                                              : f->layout == PACKED_422 ? TJSAMP_422
                                                                        : TJSAMP_420};
    if (is_ready(r, f))
        point_at(r, f, out);
    else if (!fill(r, f, s, out))
        return false;
    for (unsigned i = 0; i < halvings && out->width / 2 >= SIDE_MIN && out->height / 2 >= SIDE_MIN;
         i++)
        if (!halve(s, i % 2 ? 0 : 1, out))
            return false;
    return true;
}
