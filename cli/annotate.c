#include "cli/annotate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "common/glyph.h"

#define QUALITY    90 /* it was encoded before */
#define PIXELS_MAX 100000000u
#define LABEL_MAX  40u /* letters */

static const uint8_t green[3] = {0, 255, 0}, black[3] = {0, 0, 0};

/* --- pixels --- */

struct area { /* may reach beyond the canvas */
    int x, y, width, height;
};

static void fill(const struct canvas *c, struct area a, const uint8_t *rgb)
{
    int left = a.x > 0 ? a.x : 0, top = a.y > 0 ? a.y : 0;
    int right = a.x + a.width < (int)c->width ? a.x + a.width : (int)c->width;
    int bottom = a.y + a.height < (int)c->height ? a.y + a.height : (int)c->height;
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++)
            memcpy(c->rgb + ((size_t)y * c->width + (size_t)x) * 3, rgb, 3);
}

unsigned annotate_line_width(unsigned width, unsigned height)
{
    return 1 + (width < height ? width : height) / 400;
}

static int line_width(const struct canvas *c)
{
    return (int)annotate_line_width(c->width, c->height);
}

/* From the one upper left corner of the pen to the other. */
static void draw_line(const struct canvas *c, const int from[2], const int to[2])
{
    int dx = to[0] - from[0], dy = to[1] - from[1], pen = line_width(c);
    int n = abs(dx) > abs(dy) ? abs(dx) : abs(dy);
    for (int i = 0; i <= n; i++) {
        int x = n ? (int)lround((double)dx * i / n) : 0,
            y = n ? (int)lround((double)dy * i / n) : 0;
        fill(c, (struct area){from[0] + x, from[1] + y, pen, pen}, green);
    }
}

static void draw_loop(const struct canvas *c, int at[4][2])
{
    for (int i = 0; i < 4; i++)
        draw_line(c, at[i], at[(i + 1) % 4]);
}

/* --- what was found --- */

/* What of start..start+size is inside 0..side. false: nothing. */
static bool clip(double start, double size, unsigned side, int *first, int *n)
{
    double end = start + size;
    bool inside = end > start && start < side && end > 0.0; /* not where one is NaN */
    if (!inside)
        return false;
    *first = (int)floor(fmax(start, 0.0));
    *n = (int)ceil(fmin(end, side)) - *first;
    return true;
}

static bool place(const struct canvas *c, const struct blocks_box *box, struct area *a)
{
    return clip(box->x, box->width, c->width, &a->x, &a->width) &&
           clip(box->y, box->height, c->height, &a->y, &a->height);
}

/* The lines are inside. */
static void draw_box(const struct canvas *c, const struct area *a)
{
    int pen = line_width(c);
    int right = a->width > pen ? a->x + a->width - pen : a->x;
    int bottom = a->height > pen ? a->y + a->height - pen : a->y;
    int at[4][2] = {{a->x, a->y}, {right, a->y}, {right, bottom}, {a->x, bottom}};
    draw_loop(c, at);
}

/* false: a corner is so far outside that lines to it are not worth following. */
static bool draw_corners(const struct canvas *c, const double corner[4][2])
{
    const unsigned side[2] = {c->width, c->height};
    int at[4][2];
    for (int i = 0; i < 8; i++) {
        double v = corner[i / 2][i % 2], max = side[i % 2];
        if (v < -max || v > 2 * max)
            return false;
        at[i / 2][i % 2] = (int)lround(v - line_width(c) / 2.0);
    }
    draw_loop(c, at);
    return true;
}

static void draw_letter(const struct canvas *c, char letter, int x, int y)
{
    int dot = line_width(c);
    unsigned dots = glyph_dots(letter);
    for (int row = 0; row < GLYPH_ROWS; row++)
        for (int column = 0; column < GLYPH_COLUMNS; column++)
            if (glyph_has_dot(dots, (unsigned)column, (unsigned)row))
                fill(c, (struct area){x + column * dot, y + row * dot, dot, dot}, black);
}

/* Black on a green plate, a dot wider than the letters on each side; to the left where it would
 * leave the picture. */
static void draw_label(const struct canvas *c, const struct blocks_box *box, const struct area *a)
{
    char bytes[LABEL_MAX];
    struct text label = text_fixed(bytes, sizeof bytes);
    blocks_add_label(&label, box);
    if (label.len == 0)
        return;
    int dot = line_width(c), pace = (GLYPH_COLUMNS + 1) * dot;
    struct area plate = {a->x, a->y, (int)label.len * pace + dot, (GLYPH_ROWS + 2) * dot};
    if (plate.x + plate.width > (int)c->width)
        plate.x = plate.width < (int)c->width ? (int)c->width - plate.width : 0;
    if (plate.y >= plate.height)
        plate.y -= plate.height;
    fill(c, plate, green);
    for (size_t i = 0; i < label.len; i++)
        draw_letter(c, bytes[i], plate.x + dot + (int)i * pace, plate.y + dot);
}

/* Labels last: no outline runs through one. */
void annotate_draw(const struct canvas *c, const struct detections *found)
{
    struct area a;
    for (size_t i = 0; i < found->n; i++) {
        const struct detection *d = &found->item[i];
        if (place(c, &d->box, &a) && !(d->has_corners && draw_corners(c, d->corner)))
            draw_box(c, &a);
    }
    for (size_t i = 0; i < found->n; i++)
        if (place(c, &found->item[i].box, &a))
            draw_label(c, &found->item[i].box, &a);
}

/* --- JPEG --- */

/* Gives the pixels, for free(). NULL: why says why not. */
static uint8_t *decode(const struct picture *p, struct canvas *c, const char **why)
{
    tjhandle decoder = tjInitDecompress();
    int width = 0, height = 0, subsampling, colours;
    uint8_t *rgb = NULL;
    *why = "out of memory";
    if (!decoder)
        return NULL;
    if (tjDecompressHeader3(decoder, p->bytes, p->n_bytes, &width, &height, &subsampling,
                            &colours) < 0 ||
        (uint64_t)width * (uint64_t)height > PIXELS_MAX)
        *why = "it cannot be decoded, or is too large";
    else
        rgb = malloc((size_t)width * (size_t)height * 3);
    if (rgb &&
        tjDecompress2(decoder, p->bytes, p->n_bytes, rgb, width, 0, height, TJPF_RGB, 0) < 0 &&
        tjGetErrorCode(decoder) != TJERR_WARNING) { /* those are worth seeing all the same */
        *why = "it cannot be decoded";
        free(rgb);
        rgb = NULL;
    }
    tjDestroy(decoder);
    *c = (struct canvas){rgb, (unsigned)width, (unsigned)height};
    return rgb;
}

/* With all of its colour: thin lines would fade. */
static struct picture *encode(const struct picture *of, const struct canvas *c)
{
    tjhandle encoder = tjInitCompress();
    unsigned char *jpeg = NULL;
    unsigned long n_bytes = 0;
    struct picture *made = NULL;
    if (encoder && tjCompress2(encoder, c->rgb, (int)c->width, 0, (int)c->height, TJPF_RGB, &jpeg,
                               &n_bytes, TJSAMP_444, QUALITY, 0) == 0)
        made = picture_made_of(of, jpeg, n_bytes);
    tjFree(jpeg);
    if (encoder)
        tjDestroy(encoder);
    return made;
}

struct picture *annotate_picture(const struct picture *p, const struct detections *found,
                                 const char **why)
{
    struct canvas c;
    uint8_t *rgb = decode(p, &c, why);
    if (!rgb)
        return NULL;
    annotate_draw(&c, found);
    *why = "it cannot be encoded again";
    struct picture *made = encode(p, &c);
    free(rgb);
    return made;
}
