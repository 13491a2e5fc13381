#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/blocks.h"
#include "common/err.h"

#define N(array)     (sizeof(array) / sizeof((array)[0]))
#define COLUMNS_MAX  100
#define ROWS_MAX     50
#define PICTURE_SIDE 200
#define HALF_BLOCK   0x80 /* for the letter that stands for it; no label has it */

/* --- a terminal that knows what blocks may send and fails at anything else --- */

struct shown {
    unsigned char letter; /* 0: nothing was written there */
    uint8_t rgb[2][3];    /* foreground, background */
    unsigned n_writes;
};

struct screen {
    struct shown at[ROWS_MAX][COLUMNS_MAX];
    unsigned row, column; /* the cursor, from 1; 0: unknown */
    bool has[2];          /* a colour is set */
    uint8_t rgb[2][3];
    unsigned n_writes, n_moves, n_colours;
};

static unsigned read_number(const char **p)
{
    char *end;
    assert_in_range(**p, '0', '9');
    unsigned long v = strtoul(*p, &end, 10);
    *p = end;
    return (unsigned)v;
}

static void read_char(const char **p, char c)
{
    assert_int_equal(**p, c);
    ++*p;
}

static void read_colour(struct screen *s, const char **p, int which)
{
    uint8_t rgb[3];
    *p += 4; /* 38;2 or 48;2 */
    for (int i = 0; i < 3; i++) {
        read_char(p, ';');
        unsigned v = read_number(p);
        assert_in_range(v, 0, 255);
        rgb[i] = (uint8_t)v;
    }
    read_char(p, 'm');
    assert_false(s->has[which] && memcmp(rgb, s->rgb[which], 3) == 0); /* in vain */
    memcpy(s->rgb[which], rgb, 3);
    s->has[which] = true;
    s->n_colours++;
}

static void read_move(struct screen *s, const char **p)
{
    unsigned row = read_number(p);
    read_char(p, ';');
    unsigned column = read_number(p);
    read_char(p, 'H');
    assert_in_range(row, 1, ROWS_MAX);
    assert_in_range(column, 1, COLUMNS_MAX);
    assert_false(row == s->row && column == s->column); /* in vain */
    s->row = row;
    s->column = column;
    s->n_moves++;
}

static void read_sequence(struct screen *s, const char **p)
{
    read_char(p, '\033');
    read_char(p, '[');
    if (strncmp(*p, "38;2", 4) == 0)
        read_colour(s, p, 0);
    else if (strncmp(*p, "48;2", 4) == 0)
        read_colour(s, p, 1);
    else if (strncmp(*p, "0m", 2) == 0) {
        *p += 2;
        s->has[0] = s->has[1] = false;
        assert_int_equal(**p, '\0'); /* at the end only */
    } else
        read_move(s, p);
}

static void read_cell(struct screen *s, const char **p)
{
    unsigned char letter = (unsigned char)**p;
    if (strncmp(*p, "\xe2\x96\x80", 3) == 0) {
        letter = HALF_BLOCK;
        *p += 3;
    } else {
        assert_in_range(letter, ' ', '~');
        ++*p;
    }
    assert_true(s->has[0] && s->has[1]);
    assert_in_range(s->row, 1, ROWS_MAX);
    assert_in_range(s->column, 1, COLUMNS_MAX);
    struct shown *at = &s->at[s->row - 1][s->column - 1];
    at->letter = letter;
    memcpy(at->rgb, s->rgb, sizeof at->rgb);
    at->n_writes++;
    s->column++;
    s->n_writes++;
}

/* Another program may have moved the cursor between two drawings. */
static void screen_read(struct screen *s, const char *p)
{
    s->row = s->column = 0;
    s->n_writes = s->n_moves = s->n_colours = 0;
    while (*p)
        if (*p == '\033')
            read_sequence(s, &p);
        else
            read_cell(s, &p);
    assert_false(s->has[0] || s->has[1]); /* the reset came */
}

/* --- a drawing --- */

static uint8_t pixels[PICTURE_SIDE * PICTURE_SIDE * 3];
static struct screen screen;

struct sketch {
    struct blocks b;
    struct blocks_picture p;
    struct text out;
};

static struct sketch sketch_of(unsigned width, unsigned height, unsigned columns, unsigned rows)
{
    struct sketch k = {.p = {pixels, width, height, (size_t)width * 3}, .out = text_heap(1u << 20)};
    memset(pixels, 100, sizeof pixels);
    memset(&screen, 0, sizeof screen);
    blocks_init(&k.b);
    assert_int_equal(blocks_resize(&k.b, columns, rows), 0);
    return k;
}

static void draw_boxes(struct sketch *k, const struct blocks_box *box, size_t n)
{
    text_clear(&k->out);
    blocks_draw(&k->b, &k->p, box, n, &k->out);
    assert_false(k->out.cut);
    assert_true(k->out.len < k->b.columns * k->b.rows * BLOCKS_CELL_BYTES + 1);
    screen_read(&screen, text_str(&k->out));
}

static void draw(struct sketch *k)
{
    draw_boxes(k, NULL, 0);
}

static void end(struct sketch *k)
{
    blocks_deinit(&k->b);
    text_deinit(&k->out);
}

static void set_pixel(struct sketch *k, unsigned x, unsigned y, uint8_t r, uint8_t g, uint8_t b)
{
    uint8_t *at = pixels + y * k->p.stride_bytes + (size_t)x * 3;
    at[0] = r;
    at[1] = g;
    at[2] = b;
}

/* The half cell at x, y. */
static const uint8_t *half(unsigned x, unsigned y)
{
    const struct shown *at = &screen.at[y / 2][x];
    assert_int_equal(at->letter, HALF_BLOCK);
    return at->rgb[y % 2];
}

static bool is_rgb(const uint8_t *rgb, uint8_t r, uint8_t g, uint8_t b)
{
    return rgb[0] == r && rgb[1] == g && rgb[2] == b;
}

static bool is_green(unsigned x, unsigned y)
{
    return is_rgb(half(x, y), 0, 255, 0);
}

/* A row's labels, with a dot for each cell that is none. */
static const char *row_text(unsigned row, unsigned columns)
{
    static char bytes[COLUMNS_MAX + 1];
    for (unsigned i = 0; i < columns; i++) {
        const struct shown *at = &screen.at[row][i];
        bytes[i] = at->letter == HALF_BLOCK ? '.' : (char)at->letter;
        if (at->letter != HALF_BLOCK) {
            assert_true(is_rgb(at->rgb[0], 0, 0, 0));
            assert_true(is_rgb(at->rgb[1], 0, 255, 0));
        }
    }
    bytes[columns] = '\0';
    return bytes;
}

/* --- what must hold --- */

static void the_first_drawing_paints_all(void **state)
{
    (void)state;
    struct sketch k = sketch_of(4, 4, 4, 2);
    for (unsigned i = 0; i < 16; i++)
        set_pixel(&k, i % 4, i / 4, (uint8_t)(10 * i), (uint8_t)(255 - i), (uint8_t)(i * i));
    draw(&k);
    assert_int_equal(screen.n_writes, 8);
    for (unsigned i = 0; i < 16; i++)
        assert_true(
            is_rgb(half(i % 4, i / 4), (uint8_t)(10 * i), (uint8_t)(255 - i), (uint8_t)(i * i)));
    end(&k);
}

static void the_bytes_are_as_documented(void **state)
{
    (void)state;
    struct sketch k = sketch_of(2, 2, 2, 1);
    set_pixel(&k, 1, 1, 1, 22, 255);
    k.b.top = 7;
    draw(&k);
    assert_string_equal(text_str(&k.out),
                        "\033[7;1H\033[38;2;100;100;100m\033[48;2;100;100;100m\xe2\x96\x80"
                        "\033[48;2;1;22;255m\xe2\x96\x80\033[0m");
    end(&k);
}

static void a_plain_picture_needs_two_colours_and_a_move_for_each_row(void **state)
{
    (void)state;
    struct sketch k = sketch_of(40, 40, 40, 20);
    draw(&k);
    assert_int_equal(screen.n_colours, 2);
    assert_int_equal(screen.n_moves, 20);
    end(&k);
}

static void the_same_again_writes_nothing(void **state)
{
    (void)state;
    static const struct blocks_box box = {10, 10, 20, 20, 0.5, "cat"};
    struct sketch k = sketch_of(160, 120, 80, 30);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7);
    draw_boxes(&k, &box, 1);
    assert_int_equal(screen.n_writes, 80 * 30);
    draw_boxes(&k, &box, 1);
    assert_int_equal(k.out.len, 0);
    end(&k);
}

static void only_changed_cells_are_written(void **state)
{
    (void)state;
    struct sketch k = sketch_of(160, 120, 80, 30);
    draw(&k);
    for (unsigned y = 40; y < 48; y++) /* 4 half cells high: 2 cells */
        for (unsigned x = 20; x < 26; x++)
            set_pixel(&k, x, y, 200, 0, 0);
    draw(&k);
    assert_int_equal(screen.n_writes, 6);
    assert_int_equal(screen.n_moves, 2);
    assert_int_equal(screen.n_colours, 2);
    for (unsigned row = 0; row < 30; row++)
        for (unsigned column = 0; column < 80; column++) {
            bool changed = row >= 10 && row < 12 && column >= 10 && column < 13;
            assert_int_equal(screen.at[row][column].n_writes, changed ? 2 : 1);
        }
    assert_true(is_rgb(half(10, 20), 200, 0, 0));
    end(&k);
}

static void changes_apart_are_moved_to(void **state)
{
    (void)state;
    struct sketch k = sketch_of(20, 20, 20, 10);
    draw(&k);
    set_pixel(&k, 3, 5, 0, 0, 0);
    set_pixel(&k, 9, 5, 0, 0, 0);
    set_pixel(&k, 19, 5, 0, 0, 0);
    set_pixel(&k, 0, 6, 0, 0, 0); /* after the end of the row before */
    set_pixel(&k, 7, 10, 0, 0, 0);
    set_pixel(&k, 8, 12, 0, 0, 0); /* one further, but a row below */
    draw(&k);
    assert_int_equal(screen.n_writes, 6);
    assert_int_equal(screen.n_moves, 6);
    end(&k);
}

static void noise_is_no_change(void **state)
{
    (void)state;
    struct sketch k = sketch_of(40, 40, 40, 20);
    draw(&k);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = i % 2 ? 107 : 93;
    draw(&k);
    assert_int_equal(k.out.len, 0);
    end(&k);
}

static void each_channel_of_each_half_counts_from_the_threshold_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        struct sketch k = sketch_of(1, 2, 1, 1);
        draw(&k);
        pixels[i % 6] = i < 6 ? 108 : 92;
        draw(&k);
        assert_int_equal(screen.n_writes, 1);
        assert_int_equal(half(0, i % 6 / 3)[i % 3], pixels[i % 6]);
        end(&k);
    }
}

/* Measured against the screen, not against the picture before. */
static void slow_changes_arrive(void **state)
{
    (void)state;
    struct sketch k = sketch_of(10, 10, 10, 5);
    draw(&k);
    unsigned n_painted = 0;
    for (unsigned v = 100; v <= 200; v++) {
        memset(pixels, (int)v, sizeof pixels);
        draw(&k);
        n_painted += screen.n_writes == 50;
        assert_in_range(half(4, 4)[0], v - 7, v);
    }
    assert_int_equal(n_painted, 12);
    end(&k);
}

static void pixels_are_averaged(void **state)
{
    (void)state;
    struct sketch k = sketch_of(4, 4, 2, 1);
    set_pixel(&k, 0, 0, 0, 10, 255);
    set_pixel(&k, 1, 0, 0, 20, 255);
    set_pixel(&k, 0, 1, 0, 30, 255);
    set_pixel(&k, 1, 1, 2, 41, 255); /* halves are rounded up: 0.5, 25.25 */
    draw(&k);
    assert_true(is_rgb(half(0, 0), 1, 25, 255));
    assert_true(is_rgb(half(1, 0), 100, 100, 100));
    assert_true(is_rgb(half(1, 1), 100, 100, 100));
    end(&k);
}

static void the_stride_is_kept_to(void **state)
{
    (void)state;
    struct sketch k = sketch_of(2, 2, 2, 1);
    k.p.stride_bytes = 10;
    set_pixel(&k, 0, 1, 1, 2, 3);
    set_pixel(&k, 1, 1, 4, 5, 6);
    draw(&k);
    assert_true(is_rgb(half(0, 1), 1, 2, 3));
    assert_true(is_rgb(half(1, 1), 4, 5, 6));
    end(&k);
}

static void a_small_picture_is_enlarged(void **state)
{
    (void)state;
    struct sketch k = sketch_of(2, 2, 20, 10);
    set_pixel(&k, 0, 0, 9, 9, 9);
    draw(&k);
    for (unsigned y = 0; y < 20; y++)
        for (unsigned x = 0; x < 20; x++)
            assert_int_equal(half(x, y)[0], x < 10 && y < 10 ? 9 : 100);
    end(&k);
}

static void the_aspect_is_kept_and_beside_is_black(void **state)
{
    (void)state;
    static const struct {
        unsigned width, height, columns, rows;
        unsigned x, y, w, h; /* where the picture is, in half cells */
    } rows[] = {
        {160, 120, 80, 30, 0, 0, 80, 60},   /* as it is */
        {160, 120, 100, 30, 10, 0, 80, 60}, /* black left and right */
        {160, 120, 80, 40, 0, 10, 80, 60},  /* black above and below */
        {160, 120, 80, 31, 0, 1, 80, 60},   /* half a cell of it */
        {160, 120, 81, 30, 0, 0, 80, 60},   /* a column of it */
        {10, 10, 41, 20, 0, 0, 40, 40},     /* enlarged */
        {200, 1, 100, 20, 0, 19, 100, 1},   /* never nothing */
        {1, 200, 100, 20, 49, 0, 1, 40},    /* never nothing */
        {3, 2, 1, 50, 0, 49, 1, 1},         /* a single half cell */
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct sketch k = sketch_of(rows[i].width, rows[i].height, rows[i].columns, rows[i].rows);
        draw(&k);
        for (unsigned y = 0; y < 2 * rows[i].rows; y++)
            for (unsigned x = 0; x < rows[i].columns; x++) {
                bool inside = x >= rows[i].x && x < rows[i].x + rows[i].w && y >= rows[i].y &&
                              y < rows[i].y + rows[i].h;
                assert_int_equal(half(x, y)[0], inside ? 100 : 0);
            }
        end(&k);
    }
}

static void the_area_that_fits(void **state)
{
    (void)state;
    static const struct {
        unsigned width, height, max_columns, max_rows, columns, rows;
    } rows[] = {
        {160, 120, 80, 30, 80, 30},
        {160, 120, 200, 30, 80, 30},
        {160, 120, 80, 99, 80, 30},
        {1920, 1080, 80, 24, 80, 23}, /* 22.5 */
        {100, 100, 80, 24, 48, 24},
        {1, 1, 1, 1, 1, 1},
        {1000, 1, 80, 24, 80, 1},
        {1, 1000, 80, 24, 1, 24},
        {0, 1, 80, 24, 0, 0},
        {1, 0, 80, 24, 0, 0},
        {1, 1, 0, 24, 0, 0},
        {1, 1, 80, 0, 0, 0},
        {1, 1, 10, 0x80000000, 10, 5},
        {1, 1000000, 10, UINT32_MAX, 1, BLOCKS_SIDE_MAX},
        {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, BLOCKS_SIDE_MAX, 32768},
    };
    for (size_t i = 0; i < N(rows); i++) {
        unsigned columns, n_rows;
        blocks_fit(rows[i].width, rows[i].height, rows[i].max_columns, rows[i].max_rows, &columns,
                   &n_rows);
        assert_int_equal(columns, rows[i].columns);
        assert_int_equal(n_rows, rows[i].rows);
    }
}

static unsigned count_lit(const struct sketch *k)
{
    unsigned n = 0;
    for (unsigned y = 0; y < 2 * k->b.rows; y++)
        for (unsigned x = 0; x < k->b.columns; x++)
            n += half(x, y)[0] == 100;
    return n;
}

/* A picture is as large in the cells that fit it as in all there are. */
static void fitting_loses_nothing(void **state)
{
    (void)state;
    for (unsigned width = 1; width < 60; width += 3)
        for (unsigned height = 1; height < 60; height += 2) {
            unsigned columns, rows;
            blocks_fit(width, height, 23, 9, &columns, &rows);
            assert_true(columns <= 23 && rows <= 9);
            struct sketch all = sketch_of(width, height, 23, 9);
            draw(&all);
            unsigned n_lit = count_lit(&all);
            struct sketch fitted = sketch_of(width, height, columns, rows);
            draw(&fitted);
            assert_int_equal(count_lit(&fitted), n_lit);
            assert_in_range(n_lit, columns * (2 * rows - 1), columns * 2 * rows);
            end(&all);
            end(&fitted);
        }
}

static void a_box_is_outlined(void **state)
{
    (void)state;
    static const struct blocks_box box = {20, 10, 40, 30, NAN, ""};
    struct sketch k = sketch_of(160, 120, 80, 30);
    draw_boxes(&k, &box, 1);
    for (unsigned y = 0; y < 60; y++)
        for (unsigned x = 0; x < 80; x++) {
            bool inside = x >= 10 && x < 30 && y >= 5 && y < 20;
            bool within = x > 10 && x < 29 && y > 5 && y < 19;
            assert_int_equal(is_green(x, y), inside && !within);
        }
    draw(&k); /* and goes away: what it covered comes back, and no more is written */
    assert_int_equal(screen.n_writes, 2 * 20 + 2 * 6); /* the upper and lower edge share no cell */
    for (unsigned i = 0; i < 60 * 80; i++)
        assert_true(is_rgb(half(i % 80, i / 80), 100, 100, 100));
    end(&k);
}

static void a_box_is_cut_to_the_picture(void **state)
{
    (void)state;
    static const struct {
        struct blocks_box box;
        unsigned x0, y0, x1, y1; /* of the outline, in half cells, included; 0, 0, 0, 0: none */
    } rows[] = {
        {{-10, -10, 20, 20, NAN, ""}, 10, 0, 14, 4},
        {{70, 70, 1000, 1000, NAN, ""}, 45, 35, 49, 39},
        {{-DBL_MAX / 2, -DBL_MAX / 2, DBL_MAX, DBL_MAX, NAN, ""}, 10, 0, 49, 39},
        {{0, 0, INFINITY, INFINITY, NAN, ""}, 10, 0, 49, 39},
        {{40.1, 40.1, 0.1, 0.1, NAN, ""}, 30, 20, 30, 20},
        {{79.999, 79.999, 1e-9, 1e-9, NAN, ""}, 49, 39, 49, 39},
        {{0, 0, 5e-324, 5e-324, NAN, ""}, 10, 0, 10, 0},
        {{80, 0, 10, 10, NAN, ""}, 0, 0, 0, 0},
        {{0, 80, 10, 10, NAN, ""}, 0, 0, 0, 0},
        {{-10, 0, 10, 10, NAN, ""}, 0, 0, 0, 0},
        {{0, -10, 10, 10, NAN, ""}, 0, 0, 0, 0},
        {{DBL_MAX, DBL_MAX, DBL_MAX, DBL_MAX, NAN, ""}, 0, 0, 0, 0},
        {{20, 20, -10, 10, NAN, ""}, 0, 0, 0, 0},
        {{20, 20, 10, 0, NAN, ""}, 0, 0, 0, 0},
        {{NAN, 20, 10, 10, NAN, ""}, 0, 0, 0, 0},
        {{20, NAN, 10, 10, NAN, ""}, 0, 0, 0, 0},
        {{20, 20, NAN, 10, NAN, ""}, 0, 0, 0, 0},
        {{20, 20, 10, NAN, NAN, ""}, 0, 0, 0, 0},
        {{-INFINITY, 20, INFINITY, 10, NAN, ""}, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct sketch k = sketch_of(80, 80, 60, 20); /* black in 10 columns at either side */
        draw_boxes(&k, &rows[i].box, 1);
        for (unsigned y = 0; y < 40; y++)
            for (unsigned x = 0; x < 60; x++) {
                bool edge =
                    rows[i].x1 && x >= rows[i].x0 && x <= rows[i].x1 && y >= rows[i].y0 &&
                    y <= rows[i].y1 &&
                    (x == rows[i].x0 || x == rows[i].x1 || y == rows[i].y0 || y == rows[i].y1);
                assert_int_equal(is_green(x, y), edge);
            }
        end(&k);
    }
}

/* Both of its sides are rounded to the same edge of a half cell: 1/3 of the picture. */
static void a_box_thinner_than_rounding_is_drawn(void **state)
{
    (void)state;
    double x = 0.33333333333333331, width = nextafter(x, 1.0) - x;
    const struct blocks_box box = {x, 0, width, 1, NAN, ""};
    struct sketch k = sketch_of(1, 1, 3, 2);
    draw_boxes(&k, &box, 1);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(is_green(i % 3, i / 3), i % 3 == 0);
    end(&k);
}

static void a_label_stands_above_its_box(void **state)
{
    (void)state;
    static const struct {
        struct blocks_box box;
        unsigned row;
        const char *text; /* of the row */
    } rows[] = {
        {{6, 8, 10, 10, 0.87, "cat"}, 3, "......cat 0.87......"},
        {{6, 9, 10, 10, 0.87, "cat"}, 3, "......cat 0.87......"}, /* the lower half */
        {{6, 2, 10, 10, 1, "cat"}, 0, "......cat 1.00......"},
        {{6, 1, 10, 10, 0.004, "cat"}, 0, "......cat 0.00......"}, /* no row above */
        {{6, -9, 10, 10, 0.5, "cat"}, 0, "......cat 0.50......"},
        {{6, 8, 10, 10, NAN, "cat"}, 3, "......cat..........."},
        {{6, 8, 10, 10, -1, "cat"}, 3, "......cat..........."},
        {{6, 8, 10, 10, 1e300, "cat"}, 3, "......cat..........."},
        {{6, 8, 10, 10, 1000, "cat"}, 3, "......cat..........."},
        {{6, 8, 10, 10, INFINITY, "cat"}, 3, "......cat..........."},
        {{6, 8, 10, 10, 999.999, "c"}, 3, "......c 1000.00....."},
        {{6, 8, 10, 10, 0.87, ""}, 3, "......0.87.........."},
        {{15, 8, 4, 10, 0.87, "cat"}, 3, "............cat 0.87"}, /* moved */
        {{6, 8, 10, 10, 0.87, "a giraffe's neck"}, 3, "a giraffe's neck 0.8"},
        {{6, 8, 10, 10, 0.87, "123456789012345678901234"}, 3, "12345678901234567890"},
        {{6, 8, 10, 10, NAN, "\x1b[2J\n\x7f~ \x80\xff"}, 3, "......?[2J??~ ??...."},
        {{6, 8, 10, 10, NAN, "m\xc3\xbc"}, 3, "......m??..........."},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct sketch k = sketch_of(20, 20, 20, 10);
        draw_boxes(&k, &rows[i].box, 1);
        assert_string_equal(row_text(rows[i].row, 20), rows[i].text);
        draw_boxes(&k, &rows[i].box, 1);
        assert_int_equal(k.out.len, 0);
        end(&k);
    }
}

/* The label's 24 bytes may all be used, and the next box begins right behind. */
static void a_label_need_not_end(void **state)
{
    (void)state;
    static const struct blocks_box box = {0, 20, 10, 10, 0.25, "abcdefghijklmnopqrstuvwx"};
    struct sketch k = sketch_of(60, 60, 60, 30);
    draw_boxes(&k, &box, 1);
    assert_memory_equal(row_text(9, 60), "abcdefghijklmnopqrstuvwx 0.25...", 32);
    end(&k);
}

static void a_changed_letter_is_written_alone(void **state)
{
    (void)state;
    static const struct blocks_box box[] = {{2, 8, 16, 10, 0.87, "cat"},
                                            {2, 8, 16, 10, 0.86, "cat"}};
    struct sketch k = sketch_of(20, 20, 20, 10);
    draw_boxes(&k, &box[0], 1);
    draw_boxes(&k, &box[1], 1);
    assert_int_equal(screen.n_writes, 1);
    assert_string_equal(row_text(3, 20), "..cat 0.86..........");
    draw(&k);
    assert_string_equal(row_text(3, 20), "....................");
    end(&k);
}

static void no_outline_runs_through_a_label(void **state)
{
    (void)state;
    static const struct blocks_box box[] = {{2, 8, 16, 10, NAN, "under"}, {4, 2, 2, 18, NAN, ""}};
    struct sketch k = sketch_of(20, 20, 20, 10);
    draw_boxes(&k, box, N(box));
    assert_string_equal(row_text(3, 20), "..under.............");
    end(&k);
}

static void all_is_painted_after_a_resize_and_when_told(void **state)
{
    (void)state;
    struct sketch k = sketch_of(20, 20, 20, 10);
    memset(pixels, 0, sizeof pixels); /* as fresh memory is */
    draw(&k);
    assert_int_equal(screen.n_writes, 200);
    assert_int_equal(blocks_resize(&k.b, 20, 10), 0);
    draw(&k);
    assert_int_equal(screen.n_writes, 200);
    k.b.any = false;
    draw(&k);
    assert_int_equal(screen.n_writes, 200);
    assert_int_equal(blocks_resize(&k.b, 30, 15), 0);
    draw(&k);
    assert_int_equal(screen.n_writes, 450);
    end(&k);
}

static void too_large_a_screen_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    struct sketch k = sketch_of(20, 20, 20, 10);
    draw(&k);
    assert_int_equal(blocks_resize(&k.b, BLOCKS_SIDE_MAX + 1, 1), -EXIT_FAILED);
    assert_int_equal(blocks_resize(&k.b, 1, UINT32_MAX), -EXIT_FAILED);
    draw(&k);
    assert_int_equal(k.out.len, 0);
    end(&k);
}

static void what_does_not_fit_is_left_out_and_painted_later(void **state)
{
    (void)state;
    char bytes[100];
    struct text small = text_fixed(bytes, sizeof bytes);
    struct sketch k = sketch_of(20, 20, 20, 10);
    draw(&k);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 31);
    text_add(&small, "before");
    blocks_draw(&k.b, &k.p, NULL, 0, &small);
    assert_true(small.cut);
    assert_string_equal(text_str(&small), "before");
    assert_int_equal(small.len, 6);
    draw(&k);
    assert_int_equal(screen.n_writes, 200);
    end(&k);
}

/* Every cell has two new colours of three digits, and the rows' numbers are long. */
static void the_promised_room_is_enough(void **state)
{
    (void)state;
    struct sketch k = sketch_of(20, 20, 20, 10);
    size_t cap = (size_t)20 * 10 * BLOCKS_CELL_BYTES;
    char *bytes = malloc(cap);
    assert_non_null(bytes);
    for (unsigned i = 0; i < 400; i++)
        set_pixel(&k, i % 20, i / 20, (uint8_t)(100 + i % 155), (uint8_t)(100 + i / 155), 200);
    k.b.top = UINT32_MAX - 100;
    struct text out = text_fixed(bytes, cap);
    blocks_draw(&k.b, &k.p, NULL, 0, &out);
    assert_false(out.cut);
    free(bytes);
    assert_int_equal(blocks_resize(&k.b, 1, 1), 0);
    char cell[BLOCKS_CELL_BYTES];
    out = text_fixed(cell, sizeof cell);
    blocks_draw(&k.b, &k.p, NULL, 0, &out);
    assert_false(out.cut);
    end(&k);
}

/* The same pixels in memory that ends with them, so that a sanitizer sees who reads on. */
static uint8_t *exact_copy(const struct blocks_picture *p)
{
    size_t n_bytes = p->stride_bytes * p->height;
    uint8_t *rgb = malloc(n_bytes + 1);
    assert_non_null(rgb);
    memcpy(rgb + 1, p->rgb, n_bytes);
    return rgb;
}

static void no_size_is_too_odd(void **state)
{
    (void)state;
    static const unsigned sides[] = {0, 1, 2, 3, 17, 50};
    static const struct blocks_box box[] = {
        {0, 0, 1, 1, 0.5, "a"},        {-5, -5, 100, 100, 0.5, "bcdefghi"},
        {0.5, 0.5, 0.1, 0.1, 2, "\n"}, {NAN, NAN, NAN, NAN, NAN, "never"},
        {1e300, 0, 1e300, 1, 0, ""},   {-1e308, -1e308, INFINITY, INFINITY, 1, "all"},
    };
    for (size_t i = 0; i < N(sides) * N(sides) * N(sides) * N(sides); i++) {
        unsigned n = N(sides), rest = (unsigned)i;
        struct sketch k = sketch_of(sides[rest % n], sides[rest / n % n], sides[rest / n / n % n],
                                    sides[rest / n / n / n]);
        uint8_t *copy = exact_copy(&k.p);
        k.p.rgb = copy + 1;
        for (size_t n_boxes = 0; n_boxes <= N(box); n_boxes += N(box)) {
            k.b.any = false;
            draw_boxes(&k, box, n_boxes);
            assert_int_equal(screen.n_writes, k.b.columns * k.b.rows);
        }
        free(copy);
        end(&k);
    }
}

static uint32_t next_random(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static struct blocks_box random_box(uint32_t *x)
{
    struct blocks_box box = {.score = next_random(x) % 200 / 100.0 - 0.5};
    box.x = (double)(next_random(x) % 120) - 30.0;
    box.y = (double)(next_random(x) % 120) - 30.0;
    box.width = (double)(next_random(x) % 70) - 5.0;
    box.height = (double)(next_random(x) % 70) - 5.0;
    for (size_t i = 0; i < sizeof box.label; i++)
        box.label[i] = (char)next_random(x);
    return box;
}

/* On the screen is what a drawing from nothing would show, but for noise. */
static void assert_as_from_nothing(struct sketch *k, const struct blocks_box *box, size_t n)
{
    static struct screen whole;
    struct sketch fresh = {.p = k->p, .out = text_heap(1u << 20)};
    memset(&whole, 0, sizeof whole);
    blocks_init(&fresh.b);
    assert_int_equal(blocks_resize(&fresh.b, k->b.columns, k->b.rows), 0);
    blocks_draw(&fresh.b, &fresh.p, box, n, &fresh.out);
    screen_read(&whole, text_str(&fresh.out));
    for (unsigned i = 0; i < k->b.columns * k->b.rows; i++) {
        const struct shown *a = &screen.at[i / k->b.columns][i % k->b.columns];
        const struct shown *b = &whole.at[i / k->b.columns][i % k->b.columns];
        assert_int_equal(a->letter, b->letter);
        for (int c = 0; c < 6; c++)
            assert_true(abs(a->rgb[c / 3][c % 3] - b->rgb[c / 3][c % 3]) < BLOCKS_NOISE);
    }
    end(&fresh);
}

static void any_row_of_drawings_shows_the_last(void **state)
{
    (void)state;
    uint32_t x = 1;
    struct sketch k = sketch_of(70, 50, 50, 20);
    for (unsigned round = 0; round < 300; round++) {
        struct blocks_box box[3];
        for (size_t i = 0; i < N(box); i++)
            box[i] = random_box(&x);
        for (unsigned i = 0; i < 400; i++)
            pixels[next_random(&x) % (70 * 50 * 3)] += (uint8_t)(next_random(&x) % 64);
        draw_boxes(&k, box, round % 4);
        assert_as_from_nothing(&k, box, round % 4);
    }
    end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_drawing_paints_all),
        cmocka_unit_test(the_bytes_are_as_documented),
        cmocka_unit_test(a_plain_picture_needs_two_colours_and_a_move_for_each_row),
        cmocka_unit_test(the_same_again_writes_nothing),
        cmocka_unit_test(only_changed_cells_are_written),
        cmocka_unit_test(changes_apart_are_moved_to),
        cmocka_unit_test(noise_is_no_change),
        cmocka_unit_test(each_channel_of_each_half_counts_from_the_threshold_on),
        cmocka_unit_test(slow_changes_arrive),
        cmocka_unit_test(pixels_are_averaged),
        cmocka_unit_test(the_stride_is_kept_to),
        cmocka_unit_test(a_small_picture_is_enlarged),
        cmocka_unit_test(the_aspect_is_kept_and_beside_is_black),
        cmocka_unit_test(the_area_that_fits),
        cmocka_unit_test(fitting_loses_nothing),
        cmocka_unit_test(a_box_is_outlined),
        cmocka_unit_test(a_box_is_cut_to_the_picture),
        cmocka_unit_test(a_box_thinner_than_rounding_is_drawn),
        cmocka_unit_test(a_label_stands_above_its_box),
        cmocka_unit_test(a_label_need_not_end),
        cmocka_unit_test(a_changed_letter_is_written_alone),
        cmocka_unit_test(no_outline_runs_through_a_label),
        cmocka_unit_test(all_is_painted_after_a_resize_and_when_told),
        cmocka_unit_test(too_large_a_screen_is_refused_and_nothing_changes),
        cmocka_unit_test(what_does_not_fit_is_left_out_and_painted_later),
        cmocka_unit_test(the_promised_room_is_enough),
        cmocka_unit_test(no_size_is_too_odd),
        cmocka_unit_test(any_row_of_drawings_shows_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
