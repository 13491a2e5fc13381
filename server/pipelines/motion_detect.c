#include "server/pipelines/motion_detect.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "server/pipelines/motion_cells.h"

#define SETTLED_FRAMES 16  /* a plain mean until then, so people in the first frame fade */
#define LIGHT_SHARE    0.6 /* more than this at once is not an object */
#define GAP_CELLS      1   /* boxes this near are one thing: legs and trunk of a person */
#define CANDIDATES_MAX 128 /* pieces before joining; the smallest give way */

/* A connected piece, later a join of several. Bounds are inclusive. */
struct piece {
    int x0, y0, x1, y1;
    unsigned n_cells;
    double weight; /* sum of the cells' parts of the score */
};

struct motion_model {
    int w, h;
    size_t n_cells;
    unsigned n_seen;      /* counts up to SETTLED_FRAMES */
    uint16_t *background; /* usual luma */
    uint16_t *flicker;    /* usual distance from it */
    uint8_t *differs;     /* this frame: 1 or 0; with a border of zeros all around */
    uint8_t *changed;     /* after the vote; eaten while pieces are collected */
    uint32_t *stack;      /* of the flood fill: a cell enters at most once */
};

struct motion_model *motion_model_new(unsigned w, unsigned h)
{
    struct motion_model *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->w = (int)w;
    m->h = (int)h;
    m->n_cells = (size_t)w * h;
    m->background = calloc(m->n_cells, sizeof *m->background);
    m->flicker = calloc(m->n_cells, sizeof *m->flicker);
    m->differs = calloc(((size_t)w + 2) * ((size_t)h + 2), sizeof *m->differs);
    m->changed = calloc(m->n_cells, sizeof *m->changed);
    m->stack = calloc(m->n_cells, sizeof *m->stack);
    if (m->background && m->flicker && m->differs && m->changed && m->stack)
        return m;
    motion_model_free(m);
    return NULL;
}

void motion_model_free(struct motion_model *m)
{
    if (!m)
        return;
    free(m->background);
    free(m->flicker);
    free(m->differs);
    free(m->changed);
    free(m->stack);
    free(m);
}

static void start_over(struct motion_model *m, const uint8_t *grey)
{
    for (size_t i = 0; i < m->n_cells; i++)
        m->background[i] = (uint16_t)(grey[i] * MOTION_LEVEL);
    memset(m->flicker, 0, m->n_cells * sizeof *m->flicker);
    m->n_seen = 1;
}

/* Of row y in `differs`; -1 and h are the border. */
static uint8_t *differs_row(const struct motion_model *m, int y)
{
    return m->differs + (size_t)(y + 1) * ((size_t)m->w + 2) + 1;
}

/* Marks the cells that differ from the usual; gives how many. */
static size_t compare(struct motion_model *m, const uint8_t *grey, uint16_t threshold)
{
    size_t n = 0, at = 0;
    for (int y = 0; y < m->h; y++, at += (size_t)m->w)
        n += motion_cells_compare(grey + at, m->background + at, m->flicker + at, threshold,
                                  differs_row(m, y), m->w);
    return n;
}

static size_t vote(struct motion_model *m)
{
    size_t n = 0, at = 0;
    for (int y = 0; y < m->h; y++, at += (size_t)m->w)
        n += motion_cells_vote(differs_row(m, y - 1), differs_row(m, y), differs_row(m, y + 1),
                               m->changed + at, m->w);
    return n;
}

static void learn(struct motion_model *m, const uint8_t *grey)
{
    bool young = m->n_seen < SETTLED_FRAMES;
    size_t at = 0;
    for (int y = 0; y < m->h; y++, at += (size_t)m->w) {
        if (young)
            motion_cells_learn_young(grey + at, m->background + at, m->flicker + at, m->n_seen,
                                     m->w);
        else
            motion_cells_learn(grey + at, differs_row(m, y), m->background + at, m->flicker + at,
                               m->w);
    }
    m->n_seen += young;
}

static void stretch(struct piece *p, int x0, int y0, int x1, int y1)
{
    p->x0 = x0 < p->x0 ? x0 : p->x0;
    p->y0 = y0 < p->y0 ? y0 : p->y0;
    p->x1 = x1 > p->x1 ? x1 : p->x1;
    p->y1 = y1 > p->y1 ? y1 : p->y1;
}

/* Takes the changed cells around (x, y) off the grid and puts them on the stack. */
static size_t push_neighbours(struct motion_model *m, int x, int y, size_t n_stack)
{
    for (int ny = y > 0 ? y - 1 : 0; ny <= y + 1 && ny < m->h; ny++)
        for (int nx = x > 0 ? x - 1 : 0; nx <= x + 1 && nx < m->w; nx++) {
            size_t i = (size_t)(ny * m->w + nx);
            if (m->changed[i])
                m->stack[n_stack++] = (uint32_t)i;
            m->changed[i] = false;
        }
    return n_stack;
}

/* Takes the piece that hangs together with cell `first`, which has changed. */
static struct piece take_piece(struct motion_model *m, const uint8_t *grey, uint16_t threshold,
                               size_t first)
{
    struct piece p = {.x0 = m->w, .y0 = m->h, .x1 = -1, .y1 = -1};
    size_t n_stack = 1;
    m->stack[0] = (uint32_t)first;
    m->changed[first] = false;
    while (n_stack) {
        uint32_t i = m->stack[--n_stack];
        int x = (int)i % m->w, y = (int)i / m->w;
        stretch(&p, x, y, x, y);
        p.n_cells++;
        p.weight +=
            motion_cells_contrast(grey[i], m->background[i], m->flicker[i], threshold) / 255.0;
        n_stack = push_neighbours(m, x, y, n_stack);
    }
    return p;
}

/* Adds p, in place of the smallest one when there is no room. */
static size_t keep(struct piece *pieces, size_t n, const struct piece *p)
{
    size_t at = 0;
    if (n < CANDIDATES_MAX) {
        pieces[n] = *p;
        return n + 1;
    }
    for (size_t i = 1; i < n; i++)
        if (pieces[i].n_cells < pieces[at].n_cells)
            at = i;
    if (pieces[at].n_cells < p->n_cells)
        pieces[at] = *p;
    return n;
}

static size_t collect(struct motion_model *m, const uint8_t *grey, uint16_t threshold,
                      double min_cells, struct piece *pieces)
{
    size_t n = 0;
    const uint8_t *end = m->changed + m->n_cells, *at = m->changed;
    while ((at = memchr(at, 1, (size_t)(end - at)))) {
        struct piece p = take_piece(m, grey, threshold, (size_t)(at - m->changed));
        if (p.n_cells >= min_cells)
            n = keep(pieces, n, &p);
    }
    return n;
}

static bool are_near(const struct piece *a, const struct piece *b)
{
    return a->x0 <= b->x1 + 1 + GAP_CELLS && b->x0 <= a->x1 + 1 + GAP_CELLS &&
           a->y0 <= b->y1 + 1 + GAP_CELLS && b->y0 <= a->y1 + 1 + GAP_CELLS;
}

/* Joins whatever is near pieces[at] into it; gives how many pieces are left. */
static size_t join_into(struct piece *pieces, size_t n, size_t at)
{
    size_t i = at + 1;
    while (i < n) {
        const struct piece *p = &pieces[i];
        if (!are_near(&pieces[at], p)) {
            i++;
            continue;
        }
        stretch(&pieces[at], p->x0, p->y0, p->x1, p->y1);
        pieces[at].n_cells += p->n_cells;
        pieces[at].weight += p->weight;
        pieces[i] = pieces[--n];
    }
    return n;
}

static size_t join(struct piece *pieces, size_t n)
{
    size_t before;
    do { /* again, because what was far from a piece may be near now that it has grown */
        before = n;
        for (size_t at = 0; at < n; at++)
            n = join_into(pieces, n, at);
    } while (n < before);
    return n;
}

static int box_cells(const struct piece *p)
{
    return (p->x1 - p->x0 + 1) * (p->y1 - p->y0 + 1);
}

/* Largest first; equal ones from the top left, so that the order is always the same. */
static int by_area(const void *a, const void *b)
{
    const struct piece *p = a, *q = b;
    if (box_cells(p) != box_cells(q))
        return box_cells(q) > box_cells(p) ? 1 : -1;
    if (p->y0 != q->y0)
        return p->y0 > q->y0 ? 1 : -1;
    return p->x0 - q->x0;
}

static void tell(const struct piece *pieces, size_t n, struct motion_seen *seen)
{
    seen->n_boxes = n < MOTION_BOXES_MAX ? n : MOTION_BOXES_MAX;
    for (size_t i = 0; i < seen->n_boxes; i++) {
        const struct piece *p = &pieces[i];
        seen->box[i] = (struct motion_box){
            .x = (unsigned)p->x0,
            .y = (unsigned)p->y0,
            .w = (unsigned)(p->x1 - p->x0 + 1),
            .h = (unsigned)(p->y1 - p->y0 + 1),
            .score = p->weight / box_cells(p),
        };
    }
}

void motion_model_see(struct motion_model *m, const uint8_t *grey, const struct motion_tuning *t,
                      struct motion_seen *seen)
{
    struct piece pieces[CANDIDATES_MAX];
    seen->n_boxes = 0;
    seen->changed = 0;
    if (!m->n_seen) {
        start_over(m, grey);
        return;
    }
    double n_cells = (double)m->n_cells;
    double levels = t->threshold * MOTION_LEVEL;
    uint16_t threshold = (uint16_t)fmin(levels, MOTION_THRESHOLD_MAX);
    seen->changed = (double)compare(m, grey, threshold) / n_cells;
    if (seen->changed > LIGHT_SHARE) {
        start_over(m, grey);
        return;
    }
    seen->changed = (double)vote(m) / n_cells;
    size_t n = collect(m, grey, threshold, t->min_area * n_cells, pieces);
    learn(m, grey);
    n = join(pieces, n);
    qsort(pieces, n, sizeof pieces[0], by_area);
    tell(pieces, n, seen);
}
