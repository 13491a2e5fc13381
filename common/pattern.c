#include "common/pattern.h"

#include <math.h>
#include <string.h>

#include "common/glyph.h"

#define DIGITS 6

/* Periods in frames, so chosen that the box never turns round in x and y at once. */
#define PATH_X_FRAMES 150
#define PATH_Y_FRAMES 100
#define PATH_FRAMES   300 /* the whole path: both are back at the start */

struct colour {
    uint8_t y, u, v;
};

static const struct colour bright = {235, 96, 144}, dark = {32, 128, 128}, white = {225, 128, 128};

static unsigned even_up(unsigned v)
{
    return (v + 1) & ~1u;
}

size_t pattern_bytes(unsigned width, unsigned height)
{
    size_t luma = (size_t)even_up(width) * even_up(height);
    return luma + luma / 2;
}

struct pattern pattern_over(uint8_t *bytes, unsigned width, unsigned height)
{
    unsigned w = even_up(width);
    size_t luma = (size_t)w * even_up(height);
    return (struct pattern){
        .width = width,
        .height = height,
        .plane = {bytes, bytes + luma, bytes + luma + luma / 4},
        .stride = {(int)w, (int)w / 2, (int)w / 2},
    };
}

/* Hills of the given height, one after the other. */
static unsigned hills(unsigned at, unsigned length, unsigned height)
{
    at %= length;
    return 4 * height * at * (length - at) / (length * length);
}

/* A little fixed grain, 0 to 5: without it the picture is far smaller than a camera's. */
static unsigned grain(unsigned x, unsigned y)
{
    uint32_t v = x * 0x9e3779b1u ^ y * 0x85ebca77u;
    v = (v ^ v >> 15) * 0x2c1b3c6du;
    return (v >> 16) % 6;
}

static uint8_t background_luma(const struct pattern *p, unsigned x, unsigned y)
{
    unsigned slope = 40 * y / p->height;
    return (uint8_t)(80 + slope + hills(x + y / 2, 97, 12) + hills(2 * y + x / 3, 131, 12) +
                     grain(x, y));
}

void pattern_draw_background(const struct pattern *p)
{
    unsigned w = even_up(p->width), h = even_up(p->height);
    for (unsigned y = 0; y < h; y++)
        for (unsigned x = 0; x < w; x++)
            p->plane[0][y * w + x] = background_luma(p, x, y);
    w /= 2;
    h /= 2;
    for (unsigned y = 0; y < h; y++)
        for (unsigned x = 0; x < w; x++) {
            p->plane[1][y * w + x] = (uint8_t)(116 + 20 * x / w);
            p->plane[2][y * w + x] = (uint8_t)(120 + 14 * y / h);
        }
}

static void fill_plane(const struct pattern *p, int plane, struct pattern_rect r, uint8_t value)
{
    for (unsigned y = r.y; y < r.y + r.h; y++)
        memset(p->plane[plane] + (size_t)y * (size_t)p->stride[plane] + r.x, value, r.w);
}

/* Rounds the colour, not the shape, to whole chroma samples. */
static void fill(const struct pattern *p, struct pattern_rect r, struct colour c)
{
    unsigned x = r.x / 2, y = r.y / 2;
    struct pattern_rect half = {x, y, (r.x + r.w + 1) / 2 - x, (r.y + r.h + 1) / 2 - y};
    fill_plane(p, 0, r, c.y);
    fill_plane(p, 1, half, c.u);
    fill_plane(p, 2, half, c.v);
}

/* Side of one dot of a digit, in pixels. */
static unsigned dot_side(unsigned width, unsigned height)
{
    return width / 40 < height / 24 ? width / 40 : height / 24;
}

struct pattern_rect pattern_counter(unsigned width, unsigned height)
{
    unsigned dot = dot_side(width, height);
    return (struct pattern_rect){dot, dot, (4 * DIGITS + 1) * dot, 7 * dot};
}

struct pattern_rect pattern_box(unsigned width, unsigned height, uint64_t n)
{
    unsigned w = width / 8 > 4 ? width / 8 : 4, h = height / 6 > 4 ? height / 6 : 4;
    unsigned top = 9 * dot_side(width, height); /* below the digits */
    double turn = 2 * acos(-1) * (double)(n % PATH_FRAMES);
    double x = (1 + sin(turn / PATH_X_FRAMES)) / 2 * (width - w);
    double y = (1 + cos(turn / PATH_Y_FRAMES)) / 2 * (height - h - top);
    return (struct pattern_rect){(unsigned)x, top + (unsigned)y, w, h};
}

static void draw_digit(const struct pattern *p, unsigned x, unsigned y, unsigned dot,
                       unsigned digit)
{
    unsigned dots = glyph_dots((char)('0' + digit));
    for (unsigned row = 0; row < GLYPH_ROWS; row++)
        for (unsigned column = 0; column < GLYPH_COLUMNS; column++)
            if (glyph_has_dot(dots, column, row))
                fill(p, (struct pattern_rect){x + column * dot, y + row * dot, dot, dot}, white);
}

static void draw_counter(const struct pattern *p, uint64_t n)
{
    unsigned dot = dot_side(p->width, p->height);
    struct pattern_rect plate = pattern_counter(p->width, p->height);
    if (!plate.w)
        return;
    fill(p, plate, dark);
    for (unsigned i = DIGITS; i--; n /= 10)
        draw_digit(p, plate.x + (1 + 4 * i) * dot, plate.y + dot, dot, (unsigned)(n % 10));
}

void pattern_draw_frame(const struct pattern *p, const struct pattern *background, uint64_t n)
{
    memcpy(p->plane[0], background->plane[0], pattern_bytes(p->width, p->height));
    draw_counter(p, n);
    fill(p, pattern_box(p->width, p->height, n), bright);
}
