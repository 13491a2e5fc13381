/* The loops over cells, which are written for vector code, do to the bit what plain code does. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "server/pipelines/motion_cells.h"
#include "server/pipelines/motion_detect.h"

#define N(array)    (sizeof(array) / sizeof((array)[0]))
#define W_MAX       270
#define SETTLED     16
#define LIGHT_SHARE 0.6

/* Around the vectors' sizes, and the rows of real pictures. */
static const int widths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 47, 80, 160, 161, 240, W_MAX};
static const uint16_t thresholds[] = {0,    1,     2,     255,   256,   5120,
                                      5145, 32767, 32768, 65023, 65024, MOTION_THRESHOLD_MAX};

static uint32_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

/* --- plain code, a cell at a time --- */

struct cell {
    uint8_t grey;
    uint16_t background, flicker;
};

static int plain_distance(const struct cell *c)
{
    return abs(c->grey * 256 - c->background);
}

/* 0: it does not differ. */
static int plain_contrast(const struct cell *c, int threshold)
{
    int slack = 2 * c->flicker;
    int tolerance = threshold + (slack < threshold ? slack : threshold);
    int d = plain_distance(c);
    if (d <= tolerance)
        return 0;
    return d > 2 * tolerance ? 255 : d * 255 / (2 * tolerance);
}

static uint16_t plain_average(uint16_t average, int value, int divisor)
{
    return (uint16_t)(average + (value - average) / divisor);
}

static void plain_learn(struct cell *c, bool differs, unsigned n_seen)
{
    bool young = n_seen < SETTLED;
    int mean = (int)n_seen + 1;
    c->flicker = plain_average(c->flicker, plain_distance(c), young ? mean : differs ? 1024 : 32);
    c->background = plain_average(c->background, c->grey * 256, young ? mean : differs ? 256 : 16);
}

static unsigned plain_votes(const bool *differs, int w, int h, int x, int y)
{
    unsigned votes = 0;
    for (int ny = y - 1; ny <= y + 1; ny++)
        for (int nx = x - 1; nx <= x + 1; nx++)
            votes += nx >= 0 && nx < w && ny >= 0 && ny < h && differs[ny * w + nx];
    return votes;
}

/* --- rows --- */

struct row {
    uint8_t grey[W_MAX], differs[W_MAX];
    uint16_t background[W_MAX], flicker[W_MAX];
};

static uint16_t near_or_far(uint16_t value)
{
    uint32_t r = next_random();
    return (uint16_t)(r % 4 ? value + r / 4 % 64 - 32 : r / 4);
}

/* Any values, among them many at the edges of what counts. */
static struct row random_row(uint16_t threshold)
{
    struct row r;
    for (int x = 0; x < W_MAX; x++) {
        uint32_t v = next_random();
        r.grey[x] = (uint8_t)(v % 8 == 0 ? 0 : v % 8 == 1 ? 255 : v >> 8);
        r.flicker[x] = near_or_far((uint16_t)(v % 3 ? threshold / 2 : 0));
        uint32_t tolerance = threshold + (v % 5) * (uint32_t)r.flicker[x];
        int below = v % 2 ? (int)(tolerance & 0xffff) : -(int)(tolerance & 0xffff);
        r.background[x] = near_or_far((uint16_t)(r.grey[x] * 256 - below));
        r.differs[x] = v % 7 < 3;
    }
    return r;
}

static struct cell cell_of(const struct row *r, int x)
{
    return (struct cell){r->grey[x], r->background[x], r->flicker[x]};
}

static void compared_as_by_plain_code(void **state)
{
    (void)state;
    unsigned n_on = 0, n_cells = 0;
    for (size_t i = 0; i < N(widths) * N(thresholds) * 20; i++) {
        int w = widths[i % N(widths)];
        uint16_t threshold = thresholds[i / N(widths) % N(thresholds)];
        struct row r = random_row(threshold);
        uint8_t differs[W_MAX + 1];
        unsigned n_want = 0;
        memset(differs, 77, sizeof differs);
        unsigned n = motion_cells_compare(r.grey, r.background, r.flicker, threshold, differs, w);
        for (int x = 0; x < w; x++) {
            struct cell c = cell_of(&r, x);
            int want = plain_contrast(&c, threshold);
            assert_int_equal(differs[x], want > 0);
            assert_int_equal(motion_cells_contrast(c.grey, c.background, c.flicker, threshold),
                             want);
            n_want += want > 0;
        }
        assert_int_equal(n, n_want);
        assert_int_equal(differs[w], 77);
        n_on += n;
        n_cells += (unsigned)w;
    }
    assert_in_range(n_on, n_cells / 5, n_cells / 5 * 4); /* or it would prove little */
}

static void learnt_as_by_plain_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(widths) * (SETTLED + 1) * 20; i++) {
        int w = widths[i % N(widths)];
        unsigned n_seen = (unsigned)(i / N(widths) % (SETTLED + 1));
        struct row r = random_row(5120), was = r;
        if (n_seen < SETTLED)
            motion_cells_learn_young(r.grey, r.background, r.flicker, n_seen, w);
        else
            motion_cells_learn(r.grey, r.differs, r.background, r.flicker, w);
        for (int x = 0; x < W_MAX; x++) {
            struct cell c = cell_of(&was, x);
            if (x < w)
                plain_learn(&c, was.differs[x], n_seen);
            assert_int_equal(r.background[x], c.background);
            assert_int_equal(r.flicker[x], c.flicker);
        }
    }
}

/* --- whole pictures --- */

struct film {
    int w, h, n_cells;
    unsigned n_seen;
    struct cell cell[W_MAX * 8];
    bool differs[W_MAX * 8];
};

/* Gives the share that changed; *weight is what the boxes' scores must come from. */
static double plain_see(struct film *f, const uint8_t *grey, int threshold, double *weight)
{
    unsigned n_differ = 0, n_changed = 0;
    *weight = 0;
    for (int i = 0; i < f->n_cells; i++) {
        f->cell[i].grey = grey[i];
        f->differs[i] = f->n_seen && plain_contrast(&f->cell[i], threshold);
        n_differ += f->differs[i];
    }
    if (!f->n_seen || n_differ / (double)f->n_cells > LIGHT_SHARE) {
        for (int i = 0; i < f->n_cells; i++)
            f->cell[i] = (struct cell){grey[i], (uint16_t)(grey[i] * 256), 0};
        f->n_seen = 1;
        return n_differ / (double)f->n_cells;
    }
    for (int i = 0; i < f->n_cells; i++)
        if (plain_votes(f->differs, f->w, f->h, i % f->w, i / f->w) >= MOTION_VOTES_TO_CHANGE) {
            n_changed++;
            *weight += plain_contrast(&f->cell[i], threshold) / 255.0;
        }
    for (int i = 0; i < f->n_cells; i++)
        plain_learn(&f->cell[i], f->differs[i], f->n_seen);
    f->n_seen += f->n_seen < SETTLED;
    return n_changed / (double)f->n_cells;
}

/* Still, with noise; and something that goes through it. */
static void draw(uint8_t *grey, int w, int h, int frame)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            grey[y * w + x] = (uint8_t)(abs(x - frame % w) < w / 8 && y >= h / 4
                                            ? 220 - frame
                                            : 90 + x % 30 + (int)(next_random() % 12));
    if (frame == 30)
        memset(grey, 255, (size_t)(w * h)); /* the light */
}

static void a_film_is_seen_as_by_plain_code(void **state)
{
    (void)state;
    static struct film f;
    static uint8_t grey[W_MAX * 8];
    unsigned n_moved = 0;
    for (size_t i = 0; i < N(widths) * 8; i++) {
        int w = widths[i % N(widths)], h = 1 + (int)(i / N(widths));
        struct motion_tuning t = {.threshold = 12.3};
        struct motion_model *m = motion_model_new((unsigned)w, (unsigned)h);
        f = (struct film){.w = w, .h = h, .n_cells = w * h};
        for (int frame = 0; frame < 40; frame++) {
            struct motion_seen seen;
            double want_weight, weight = 0;
            draw(grey, w, h, frame);
            motion_model_see(m, grey, &t, &seen);
            assert_true(seen.changed == plain_see(&f, grey, (int)(12.3 * 256), &want_weight));
            for (size_t k = 0; k < seen.n_boxes; k++)
                weight += seen.box[k].score * seen.box[k].w * seen.box[k].h;
            assert_true(weight > want_weight - 1e-6 && weight < want_weight + 1e-6);
            n_moved += seen.n_boxes > 0;
        }
        motion_model_free(m);
    }
    assert_true(n_moved > N(widths) * 8 * 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compared_as_by_plain_code),
        cmocka_unit_test(learnt_as_by_plain_code),
        cmocka_unit_test(a_film_is_seen_as_by_plain_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
