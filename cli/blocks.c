#include "cli/blocks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

#define HALF_BLOCK "\xe2\x96\x80" /* U+2580 */

static const uint8_t green[3] = {0, 255, 0};

struct area { /* where the picture is, in half cells */
    unsigned x, y, width, height;
};

struct span { /* of pixels or half cells; never empty */
    unsigned first, after;
};

struct pen { /* what the terminal will have done with the bytes so far */
    struct text *out;
    unsigned row, column; /* where the cursor is, from 1; 0: unknown */
    bool any;             /* the colours are known */
    uint8_t rgb[2][3];
};

void blocks_init(struct blocks *b)
{
    *b = (struct blocks){.top = 1};
}

void blocks_deinit(struct blocks *b)
{
    free(b->shown); /* and next, which is behind */
    blocks_init(b);
}

int blocks_resize(struct blocks *b, unsigned columns, unsigned rows)
{
    size_t n = (size_t)columns * rows;
    if (columns > BLOCKS_SIDE_MAX || rows > BLOCKS_SIDE_MAX)
        return -EXIT_FAILED;
    struct blocks_cell *cells = calloc(n + 1, 2 * sizeof *cells); /* 0 cells are no failure */
    if (!cells)
        return -EXIT_FAILED;
    free(b->shown);
    b->shown = cells;
    b->next = cells + n;
    b->columns = columns;
    b->rows = rows;
    b->any = false;
    return 0;
}

static unsigned divide_up(uint64_t a, uint64_t b)
{
    return (unsigned)((a + b - 1) / b);
}

/* The largest area of that aspect in the middle of width_max x height_max; no side is 0. */
static struct area fit(uint64_t width, uint64_t height, unsigned width_max, unsigned height_max)
{
    struct area a = {0, 0, width_max, height_max};
    if (width_max * height <= height_max * width)
        a.height = divide_up(width_max * height, width);
    else
        a.width = divide_up(height_max * width, height);
    a.x = (width_max - a.width) / 2;
    a.y = (height_max - a.height) / 2;
    return a;
}

void blocks_fit(unsigned width, unsigned height, unsigned max_columns, unsigned max_rows,
                unsigned *columns, unsigned *rows)
{
    *columns = *rows = 0;
    if (width == 0 || height == 0 || max_columns == 0 || max_rows == 0)
        return;
    max_columns = max_columns < BLOCKS_SIDE_MAX ? max_columns : BLOCKS_SIDE_MAX;
    max_rows = max_rows < BLOCKS_SIDE_MAX ? max_rows : BLOCKS_SIDE_MAX;
    struct area a = fit(width, height, max_columns, 2 * max_rows);
    *columns = a.width;
    *rows = (a.height + 1) / 2;
}

static uint8_t *half_cell(struct blocks *b, unsigned x, unsigned y)
{
    return b->next[(size_t)(y / 2) * b->columns + x].rgb[y % 2];
}

/* The pixels that the half cell at i of n covers: at least one, and each pixel is in one only
 * unless the picture is enlarged. */
static struct span covered(unsigned i, unsigned n, unsigned side)
{
    unsigned first = (unsigned)((uint64_t)i * side / n);
    unsigned after = (unsigned)(((uint64_t)i + 1) * side / n);
    return (struct span){first, after > first ? after : first + 1};
}

static void average(const struct blocks_picture *p, struct span x, struct span y, uint8_t *rgb)
{
    uint64_t sum[3] = {0};
    uint64_t n = (uint64_t)(x.after - x.first) * (y.after - y.first);
    for (unsigned row = y.first; row < y.after; row++) {
        const uint8_t *at = p->rgb + row * p->stride_bytes + (size_t)x.first * 3;
        for (const uint8_t *end = at + (size_t)(x.after - x.first) * 3; at < end; at += 3) {
            sum[0] += at[0];
            sum[1] += at[1];
            sum[2] += at[2];
        }
    }
    for (int i = 0; i < 3; i++)
        rgb[i] = (uint8_t)((sum[i] + n / 2) / n);
}

static void scale(struct blocks *b, const struct blocks_picture *p, const struct area *a)
{
    for (unsigned y = 0; y < a->height; y++) {
        struct span rows = covered(y, a->height, p->height);
        for (unsigned x = 0; x < a->width; x++)
            average(p, covered(x, a->width, p->width), rows, half_cell(b, a->x + x, a->y + y));
    }
}

/* What of start..start+size is inside 0..side, in n half cells. false: nothing, or not numbers. */
static bool clip(double start, double size, unsigned side, unsigned n, struct span *s)
{
    double end = start + size;
    bool inside = end > start && start < side && end > 0.0; /* not where one is NaN */
    if (!inside)
        return false;
    double after = fmin(fmax(ceil(end * n / side), 1.0), n);
    s->after = (unsigned)after;
    s->first = (unsigned)fmin(floor(fmax(start, 0.0) * n / side), after - 1.0);
    return true;
}

static bool place(const struct blocks_box *box, const struct blocks_picture *p,
                  const struct area *a, struct span *x, struct span *y)
{
    if (!clip(box->x, box->width, p->width, a->width, x) ||
        !clip(box->y, box->height, p->height, a->height, y))
        return false;
    *x = (struct span){a->x + x->first, a->x + x->after};
    *y = (struct span){a->y + y->first, a->y + y->after};
    return true;
}

static void outline(struct blocks *b, struct span x, struct span y)
{
    for (unsigned i = x.first; i < x.after; i++) {
        memcpy(half_cell(b, i, y.first), green, sizeof green);
        memcpy(half_cell(b, i, y.after - 1), green, sizeof green);
    }
    for (unsigned i = y.first; i < y.after; i++) {
        memcpy(half_cell(b, x.first, i), green, sizeof green);
        memcpy(half_cell(b, x.after - 1, i), green, sizeof green);
    }
}

/* A control character from the server would be obeyed by the terminal. */
void blocks_add_label(struct text *out, const struct blocks_box *box)
{
    for (size_t i = 0; i < sizeof box->label && box->label[i]; i++)
        text_add_char(out, box->label[i] >= ' ' && box->label[i] <= '~' ? box->label[i] : '?');
    if (box->score >= 0.0 && box->score < 1000.0)
        text_addf(out, out->len ? " %.2f" : "%.2f", box->score);
}

/* Moved to the left where it would leave the screen, and cut where that is too narrow. */
static void write_label(struct blocks *b, const struct blocks_box *box, struct span x,
                        struct span y)
{
    char bytes[40];
    struct text label = text_fixed(bytes, sizeof bytes);
    blocks_add_label(&label, box);
    unsigned n = label.len < b->columns ? (unsigned)label.len : b->columns;
    unsigned column = x.first < b->columns - n ? x.first : b->columns - n;
    unsigned row = y.first / 2 > 0 ? y.first / 2 - 1 : 0;
    struct blocks_cell *cell = b->next + (size_t)row * b->columns + column;
    for (unsigned i = 0; i < n; i++) {
        cell[i] = (struct blocks_cell){.letter = bytes[i]}; /* black */
        memcpy(cell[i].rgb[1], green, sizeof green);
    }
}

/* Labels last: no outline runs through one. */
static void add_boxes(struct blocks *b, const struct blocks_picture *p, const struct area *a,
                      const struct blocks_box *box, size_t n_boxes)
{
    struct span x, y;
    for (size_t i = 0; i < n_boxes; i++)
        if (place(&box[i], p, a, &x, &y))
            outline(b, x, y);
    for (size_t i = 0; i < n_boxes; i++)
        if (place(&box[i], p, a, &x, &y))
            write_label(b, &box[i], x, y);
}

static bool has_changed(const struct blocks_cell *shown, const struct blocks_cell *next)
{
    int most = 0;
    for (int i = 0; i < 6; i++) {
        int by = abs(shown->rgb[i / 3][i % 3] - next->rgb[i / 3][i % 3]);
        most = by > most ? by : most;
    }
    return most >= BLOCKS_NOISE || shown->letter != next->letter;
}

/* printf would take most of the time of a drawing. */
static char *put_number(char *p, unsigned v)
{
    char digits[10];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    memcpy(p, digits + at, sizeof digits - at);
    return p + sizeof digits - at;
}

static char *put_move(char *p, unsigned row, unsigned column)
{
    p = put_number(stpcpy(p, "\033["), row);
    *p++ = ';';
    p = put_number(p, column);
    *p++ = 'H';
    return p;
}

static char *put_colour(char *p, bool background, const uint8_t *rgb)
{
    p = stpcpy(p, background ? "\033[48;2" : "\033[38;2");
    for (int i = 0; i < 3; i++) {
        *p++ = ';';
        p = put_number(p, rgb[i]);
    }
    *p++ = 'm';
    return p;
}

/* At most 24 bytes to move, 19 for each colour and 3 for the block; BLOCKS_CELL_BYTES has room
 * for the reset and a terminator, too. */
static void paint(struct pen *pen, const struct blocks_cell *c, unsigned row, unsigned column)
{
    char bytes[BLOCKS_CELL_BYTES];
    char *p = bytes;
    if (row != pen->row || column != pen->column)
        p = put_move(p, row, column);
    for (int i = 0; i < 2; i++)
        if (!pen->any || memcmp(pen->rgb[i], c->rgb[i], sizeof c->rgb[i]) != 0)
            p = put_colour(p, i == 1, c->rgb[i]);
    if (c->letter)
        *p++ = c->letter;
    else
        p = stpcpy(p, HALF_BLOCK);
    text_add_bytes(pen->out, bytes, (size_t)(p - bytes));
    pen->row = row;
    pen->column = column + 1; /* no cell is there after the last column: the next one moves */
    pen->any = true;
    memcpy(pen->rgb, c->rgb, sizeof pen->rgb);
}

static void paint_changed(struct blocks *b, struct text *out)
{
    struct pen pen = {.out = out};
    struct blocks_cell *shown = b->shown;
    const struct blocks_cell *next = b->next;
    for (unsigned row = 0; row < b->rows; row++) {
        for (unsigned column = 0; column < b->columns; column++, shown++, next++) {
            if (b->any && !has_changed(shown, next))
                continue;
            paint(&pen, next, b->top + row, column + 1);
            *shown = *next;
        }
    }
    if (pen.any)
        text_add(out, "\033[0m");
}

void blocks_draw(struct blocks *b, const struct blocks_picture *p, const struct blocks_box *box,
                 size_t n_boxes, struct text *out)
{
    size_t before = out->len;
    if (b->columns == 0 || b->rows == 0)
        return;
    memset(b->next, 0, (size_t)b->columns * b->rows * sizeof *b->next);
    if (p->width && p->height) {
        struct area a = fit(p->width, p->height, b->columns, 2 * b->rows);
        scale(b, p, &a);
        add_boxes(b, p, &a, box, n_boxes);
    }
    paint_changed(b, out);
    b->any = !out->cut;
    if (out->cut && out->data) {
        out->len = before; /* half a drawing would leave the screen unknown */
        out->data[before] = '\0';
    }
}
