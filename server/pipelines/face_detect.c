#include "server/pipelines/face_detect.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS_MAX    256 /* FACE_SIDE_MAX / 3 needs 177 at FACE_STEP_MIN */
#define FINE_SCALE    2.0 /* from here on the window moves by single pixels */
#define SIMILAR       0.2 /* of a box's size */
#define NESTED_STRONG 3   /* hits that a group needs to swallow those inside it */

/* A column of a level: which two of the picture's columns it mixes, the right one by 1/256. */
struct column {
    uint16_t left, weight;
};

struct face_finder {
    const struct cascade *cascade;
    size_t pixels_max;
    size_t n_sums, n_columns; /* room there is */
    uint32_t *sums;           /* the integral image of the level at hand */
    uint16_t *row;            /* a row of the picture between two rows, in 1/256 */
    struct column *column;
    size_t n_hits;
    struct face_hit hit[FACE_HITS_MAX];
};

/* The picture made smaller by a factor. */
struct level {
    double factor;
    unsigned w, h;
    size_t stride; /* of the integral image */
};

struct face_finder *face_finder_new(const struct cascade *c, size_t pixels_max)
{
    struct face_finder *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->cascade = c;
    f->pixels_max = pixels_max;
    return f;
}

void face_finder_free(struct face_finder *f)
{
    if (!f)
        return;
    free(f->sums);
    free(f->row);
    free(f->column);
    free(f);
}

/* Gives room for n items whose content need not survive; keeps the old if there is enough. */
static bool make_room(void **array, size_t *room, size_t n, size_t item_bytes)
{
    if (*room >= n)
        return true;
    free(*array);
    *array = malloc(n * item_bytes);
    *room = *array ? n : 0;
    return *array;
}

static int reserve(struct face_finder *f, unsigned w, unsigned h, struct err *e)
{
    size_t n_row = f->n_columns;
    void *sums = f->sums, *row = f->row, *column = f->column;
    bool enough = make_room(&sums, &f->n_sums, (size_t)(w + 1) * (h + 1), sizeof *f->sums);
    enough &= make_room(&row, &n_row, (size_t)w + 1, sizeof *f->row);
    enough &= make_room(&column, &f->n_columns, (size_t)w + 1, sizeof *f->column);
    f->sums = sums;
    f->row = row;
    f->column = column;
    if (n_row < f->n_columns)
        f->n_columns = n_row;
    return enough ? 0 : err_set(e, EXIT_FAILED, "faces: out of memory");
}

/* Where pixel i of n_to lies among n_from: the one before it, and how far behind that in 1/256. */
static struct column place_between(unsigned i, unsigned n_to, unsigned n_from)
{
    double at = (i + 0.5) * n_from / n_to - 0.5;
    if (at < 0)
        at = 0;
    unsigned left = (unsigned)at;
    if (left >= n_from - 1)
        return (struct column){(uint16_t)(n_from - 1), 0};
    return (struct column){(uint16_t)left, (uint16_t)((at - left) * 256 + 0.5)};
}

/* Mixes two rows of the picture into f->row, with one pixel more for the mix of columns. */
static void mix_rows(struct face_finder *f, const struct face_picture *pic, struct column place)
{
    const uint8_t *a = pic->grey + place.left * pic->stride;
    const uint8_t *b = place.weight ? a + pic->stride : a;
    unsigned wb = place.weight, wa = 256 - wb;
    uint16_t *restrict row = f->row;
    for (unsigned x = 0; x < pic->w; x++)
        row[x] = (uint16_t)(a[x] * wa + b[x] * wb);
    row[pic->w] = row[pic->w - 1];
}

/* Makes the picture smaller, mixing the four nearest pixels, straight into its integral. */
static void build_level(struct face_finder *f, const struct face_picture *pic,
                        const struct level *l)
{
    for (unsigned x = 0; x < l->w; x++)
        f->column[x] = place_between(x, l->w, pic->w);
    memset(f->sums, 0, l->stride * sizeof *f->sums);
    for (unsigned y = 0; y < l->h; y++) {
        mix_rows(f, pic, place_between(y, l->h, pic->h));
        const uint32_t *above = f->sums + y * l->stride;
        uint32_t *restrict here = f->sums + (y + 1) * l->stride;
        uint32_t sum = 0;
        here[0] = 0;
        for (unsigned x = 0; x < l->w; x++) {
            struct column c = f->column[x];
            const uint16_t *v = f->row + c.left;
            sum += (v[0] * (256U - c.weight) + v[1] * (uint32_t)c.weight + 32768) >> 16;
            here[x + 1] = above[x + 1] + sum;
        }
    }
}

static unsigned round_pixel(double v)
{
    return (unsigned)(v + 0.5);
}

static void add_hit(struct face_finder *f, const struct level *l, unsigned x, unsigned y)
{
    if (f->n_hits == FACE_HITS_MAX)
        return;
    f->hit[f->n_hits++] = (struct face_hit){
        .x = round_pixel(x * l->factor),
        .y = round_pixel(y * l->factor),
        .w = round_pixel(f->cascade->w * l->factor),
        .h = round_pixel(f->cascade->h * l->factor),
    };
}

/* Moves the window over a level. Where not even the first stage passes, the next place is
 * skipped too: faces are wider than that. */
static void scan_level(struct face_finder *f, const struct level *l)
{
    const struct cascade *c = f->cascade;
    unsigned move = l->factor < FINE_SCALE ? 2 : 1;
    for (unsigned y = 0; y + c->h <= l->h; y += move)
        for (unsigned x = 0; x + c->w <= l->w; x += move) {
            size_t n_passed = cascade_run(c, f->sums + y * l->stride + x, l->stride);
            if (n_passed == c->n_stages)
                add_hit(f, l, x, y);
            else if (n_passed == 0)
                x += move;
        }
}

/* Looks at all sizes, large faces first. */
static void scan(struct face_finder *f, const struct face_picture *pic, const struct face_tuning *t)
{
    const struct cascade *c = f->cascade;
    double factor[LEVELS_MAX] = {1}; /* the picture is not smaller than the window */
    size_t n = 1;
    for (double at = t->step; n < LEVELS_MAX && c->w * at <= pic->w && c->h * at <= pic->h;
         at *= t->step)
        factor[n++] = at;
    while (n-- > 0 && f->n_hits < FACE_HITS_MAX && c->w * factor[n] >= t->min_side) {
        struct level l = {.factor = factor[n],
                          .w = round_pixel(pic->w / factor[n]),
                          .h = round_pixel(pic->h / factor[n])};
        l.stride = (size_t)l.w + 1;
        build_level(f, pic, &l);
        scan_level(f, &l);
    }
}

static int check(const struct face_finder *f, const struct face_picture *pic,
                 const struct face_tuning *t, struct err *e)
{
    if (pic->w > FACE_SIDE_MAX || pic->h > FACE_SIDE_MAX || (size_t)pic->w * pic->h > f->pixels_max)
        return err_set(e, EXIT_USAGE, "faces: a picture of %ux%u is too large", pic->w, pic->h);
    if (pic->stride < pic->w)
        return err_set(e, EXIT_USAGE, "faces: rows of %zu bytes for %u pixels", pic->stride,
                       pic->w);
    if (!(t->step >= FACE_STEP_MIN && t->step <= FACE_STEP_MAX))
        return err_set(e, EXIT_USAGE, "faces: step %g is not between %g and %g", t->step,
                       FACE_STEP_MIN, FACE_STEP_MAX);
    return 0;
}

/* Rounding may put a box's end a pixel outside. */
static void keep_inside(struct face_seen *seen, const struct face_picture *pic)
{
    for (size_t i = 0; i < seen->n_boxes; i++) {
        struct face_box *b = &seen->box[i];
        b->w = b->x + b->w > pic->w ? pic->w - b->x : b->w;
        b->h = b->y + b->h > pic->h ? pic->h - b->y : b->h;
    }
}

int face_finder_see(struct face_finder *f, const struct face_picture *pic,
                    const struct face_tuning *t, struct face_seen *seen, struct err *e)
{
    seen->n_boxes = seen->n_hits = 0;
    int rc = check(f, pic, t, e);
    if (rc < 0 || pic->w < f->cascade->w || pic->h < f->cascade->h)
        return rc;
    rc = reserve(f, pic->w, pic->h, e);
    if (rc < 0)
        return rc;
    f->n_hits = 0;
    scan(f, pic, t);
    face_group(f->hit, f->n_hits, t->min_neighbours, seen);
    keep_inside(seen, pic);
    return 0;
}

static bool is_near(unsigned a, unsigned b, double most)
{
    return (a > b ? a - b : b - a) <= most;
}

static bool are_similar(const struct face_hit *a, const struct face_hit *b)
{
    unsigned w = a->w < b->w ? a->w : b->w;
    unsigned h = a->h < b->h ? a->h : b->h;
    double most = SIMILAR / 2 * (w + h);
    return is_near(a->x, b->x, most) && is_near(a->y, b->y, most) &&
           is_near(a->x + a->w, b->x + b->w, most) && is_near(a->y + a->h, b->y + b->h, most);
}

static unsigned find_group(struct face_hit *hit, unsigned i)
{
    while (hit[i].group != i)
        i = hit[i].group = hit[hit[i].group].group;
    return i;
}

/* Puts similar hits into one group, told by the first of its hits. */
static void join_similar(struct face_hit *hit, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        hit[i].group = i;
        hit[i].n_hits = 1;
        for (unsigned j = 0; j < i; j++) {
            if (!are_similar(&hit[i], &hit[j]))
                continue;
            unsigned a = find_group(hit, i), b = find_group(hit, j);
            hit[a > b ? a : b].group = a > b ? b : a;
        }
    }
}

static void add_up(struct face_hit *hit, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned g = find_group(hit, i);
        if (g == i)
            continue;
        hit[g].x += hit[i].x;
        hit[g].y += hit[i].y;
        hit[g].w += hit[i].w;
        hit[g].h += hit[i].h;
        hit[g].n_hits++;
    }
}

static unsigned mean(unsigned sum, unsigned n)
{
    return (sum + n / 2) / n;
}

/* Moves the means of the groups that are large enough to the front; gives how many. */
static unsigned keep_groups(struct face_hit *hit, unsigned n, unsigned min_neighbours)
{
    unsigned n_groups = 0;
    for (unsigned i = 0; i < n; i++) {
        struct face_hit g = hit[i];
        if (g.group != i || g.n_hits <= min_neighbours)
            continue;
        hit[n_groups++] = (struct face_hit){
            .x = mean(g.x, g.n_hits),
            .y = mean(g.y, g.n_hits),
            .w = mean(g.w, g.n_hits),
            .h = mean(g.h, g.n_hits),
            .n_hits = g.n_hits,
        };
    }
    return n_groups;
}

/* Is a inside b, or nearly, and b the stronger? */
static bool is_swallowed(const struct face_hit *a, const struct face_hit *b)
{
    double dx = b->w * SIMILAR, dy = b->h * SIMILAR;
    bool inside = a->x >= b->x - dx && a->y >= b->y - dy && a->x + a->w <= b->x + b->w + dx &&
                  a->y + a->h <= b->y + b->h + dy;
    bool weaker = b->n_hits > NESTED_STRONG && b->n_hits > a->n_hits;
    return inside && (weaker || a->n_hits < NESTED_STRONG);
}

/* Puts the group in its place by hits; the weakest gives way when there is no room. */
static void insert_box(struct face_seen *seen, const struct face_hit *g)
{
    size_t i = FACE_BOXES_MAX - 1;
    if (seen->n_boxes < FACE_BOXES_MAX)
        i = seen->n_boxes++;
    else if (seen->box[i].n_hits >= g->n_hits)
        return;
    for (; i > 0 && seen->box[i - 1].n_hits < g->n_hits; i--)
        seen->box[i] = seen->box[i - 1];
    seen->box[i] = (struct face_box){g->x, g->y, g->w, g->h, g->n_hits};
}

void face_group(struct face_hit *hit, size_t n, unsigned min_neighbours, struct face_seen *seen)
{
    seen->n_boxes = 0;
    seen->n_hits = n;
    join_similar(hit, (unsigned)n);
    add_up(hit, (unsigned)n);
    unsigned n_groups = keep_groups(hit, (unsigned)n, min_neighbours);
    for (unsigned i = 0; i < n_groups; i++) {
        bool swallowed = false;
        for (unsigned j = 0; j < n_groups && !swallowed; j++)
            swallowed = j != i && is_swallowed(&hit[i], &hit[j]);
        if (!swallowed)
            insert_box(seen, &hit[i]);
    }
}
