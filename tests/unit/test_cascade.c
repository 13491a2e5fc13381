#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <malloc.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/pipelines/cascade.h"
#include "server/pipelines/face_detect.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* A cascade of two stages for a window of 6x6 pixels. The first passes everything: its set is
 * all codes. The second passes a window whose middle 2x2 pixels are brighter than each of the
 * eight 2x2 cells around them: its set is code 0 alone. */

#define NONE "0 0 0 0 0 0 0"
#define ALL  "-1 -1 -1 -1 -1 -1 -1 -1"

#define STAGE_ANY                                                                                  \
    "<_><maxWeakCount>1</maxWeakCount><stageThreshold>0.5</stageThreshold>"                        \
    "<weakClassifiers><_><internalNodes>0 -1 0 " ALL "</internalNodes>"                            \
    "<leafValues>1. 0.</leafValues></_></weakClassifiers></_>\n"
#define STAGE_SPOT                                                                                 \
    "<_><maxWeakCount>1</maxWeakCount><stageThreshold>2.5e-1</stageThreshold>"                     \
    "<weakClassifiers><_><internalNodes>0 -1 1 1 " NONE "</internalNodes>"                         \
    "<leafValues>0.25 -1</leafValues></_></weakClassifiers></_>\n"
#define HEAD                                                                                       \
    "<?xml version=\"1.0\"?>\n<opencv_storage>\n<cascade type_id=\"a>b\">"                         \
    "<stageType>BOOST</stageType><featureType>LBP</featureType>\n"                                 \
    "<height>6</height><width>6</width>"                                                           \
    "<featureParams><maxCatCount>256</maxCatCount><featSize>1</featSize></featureParams>\n"
#define RECTS                                                                                      \
    "<features><_><rect>1 2 1 1</rect></_><_><rect>0 0 2 2</rect></_></features>"                  \
    "</cascade>\n</opencv_storage>"

static const char small_xml[] =
    HEAD "<stageNum>2</stageNum><stages>\n" STAGE_ANY STAGE_SPOT "</stages>\n" RECTS;
static const char spot_xml[] = HEAD "<stageNum>1</stageNum><stages>" STAGE_SPOT "</stages>" RECTS;
static const char any_xml[] = HEAD "<stageNum>1</stageNum><stages>" STAGE_ANY "</stages>" RECTS;

static struct cascade *load(const char *xml)
{
    struct cascade *c = NULL;
    struct err e = {""};
    if (cascade_load(&c, xml, strlen(xml), &e) != 0)
        fail_msg("not loaded: %s", e.text);
    return c;
}

/* Loads from memory that ends with the XML, so that one byte too far is seen by asan. */
static int load_exactly(struct cascade **c, const char *xml, size_t n, struct err *e)
{
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, xml, n);
    int rc = cascade_load(c, copy, n, e);
    free(copy);
    return rc;
}

static char *replaced(const char *xml, const char *from, const char *to)
{
    const char *at = strstr(xml, from);
    assert_non_null(at);
    char *text = NULL;
    assert_true(asprintf(&text, "%.*s%s%s", (int)(at - xml), xml, to, at + strlen(from)) > 0);
    return text;
}

static void the_parts_are_read_as_they_stand(void **state)
{
    (void)state;
    struct cascade *c = load(small_xml);
    assert_int_equal(c->w, 6);
    assert_int_equal(c->h, 6);
    assert_int_equal(c->n_stages, 2);
    assert_int_equal(c->n_weaks, 2);
    assert_int_equal(c->stage[1].n_weaks, 1);
    assert_true(fabs(c->stage[1].threshold - 0.25) < 1e-4);
    static const struct cascade_cell first = {1, 2, 1, 1}, second = {0, 0, 2, 2};
    assert_memory_equal(&c->weak[0].cell, &first, sizeof first);
    assert_memory_equal(&c->weak[1].cell, &second, sizeof second);
    assert_int_equal(c->weak[0].set[7], UINT32_MAX);
    assert_int_equal(c->weak[1].set[0], 1);
    assert_int_equal(c->weak[1].set[1], 0);
    assert_true(fabsf(c->weak[1].value[1] - 0.25F) < 1e-6F); /* in the set: the first leaf */
    assert_true(fabsf(c->weak[1].value[0] + 1) < 1e-6F);
    cascade_free(c);
}

static void what_means_the_same_is_read_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } same[] = {
        {"<stages>", "<stages >"},
        {"<stages>", "<!-- <stages> & -- --><stages a='>' b=\"'/>\">"},
        {"<cascade", "<more/><more a='1'/><more>x<y>z</y><!-- <q> --></more><cascade"},
        {"<height>6</height><width>6</width>", "<width>\r\n\t6 </width><height>6.0</height>"},
        {"<stageNum>2", "<stageParams><maxDepth>1</maxDepth></stageParams><stageNum>2"},
        {"0.25 -1", "2.5e-001\n -1."},
        {"</opencv_storage>", "</opencv_storage><!-- end -->\n"},
    };
    for (size_t i = 0; i < N(same); i++) {
        char *xml = replaced(small_xml, same[i].from, same[i].to);
        struct cascade *c = load(xml), *plain = load(small_xml);
        assert_int_equal(c->n_weaks, plain->n_weaks);
        assert_memory_equal(c->weak, plain->weak, c->n_weaks * sizeof *c->weak);
        assert_memory_equal(c->stage, plain->stage, c->n_stages * sizeof *c->stage);
        cascade_free(c);
        cascade_free(plain);
        free(xml);
    }
}

static void what_is_wrong_is_refused_and_told(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *told;
    } wrong[] = {
        {"BOOST", "TREE", "line 3: stageType is not BOOST"},
        {">LBP<", ">HAAR<", "featureType is not LBP"},
        {"<featureType>LBP</featureType>", "", "missing"},
        {"<height>6", "<height>0", "count or size"},
        {"<height>6", "<height>5", "leaves the window"},
        {"<width>6", "<width>5", "leaves the window"},
        {"<width>6", "<width>256", "count or size"},
        {"<width>6", "<width>6.5", "count or size"},
        {"<width>6", "<width>2", "below 3"},
        {"<width>6</width>", "", "width or height is missing"},
        {"<maxCatCount>256", "<maxCatCount>255", "maxCatCount"},
        {"<maxCatCount>256", "<maxCatCount>0", "count or size"},
        {"<stageNum>2", "<stageNum>1", "stageNum"},
        {"<stageNum>2</stageNum>", "", "stageNum"},
        {"<maxWeakCount>1", "<maxWeakCount>2", "maxWeakCount"},
        {"<maxWeakCount>1", "<maxWeakCount>-1", "count or size"},
        {"<stageThreshold>0.5</stageThreshold>", "", "a stage without threshold"},
        {"<stageThreshold>0.5", "<stageThreshold>0.5 1", "stageThreshold"},
        {"<stageThreshold>0.5", "<stageThreshold>nan", "stageThreshold"},
        {"<stageThreshold>0.5", "<stageThreshold>1e999", "stageThreshold"},
        {"<stageThreshold>0.5", "<stageThreshold>1e7", "stageThreshold"},
        {"<stageThreshold>0.5", "<stageThreshold>0x1", "stageThreshold"},
        {"<stageThreshold>0.5", "<stageThreshold>0.5.", "stageThreshold"},
        {"<stageThreshold>0.5", "<stageThreshold>0.50000000000000000000000000000000000000000000000",
         "stageThreshold"},
        {"<internalNodes>0 -1 0 " ALL "</internalNodes>", "", "without node"},
        {"0 -1 0 -1", "1 -1 0 -1", "one node"},
        {"0 -1 0 -1", "0 -2 0 -1", "one node"},
        {"0 -1 0 -1", "0 -1 2 -1", "an existing feature"},
        {"0 -1 0 -1", "0 -1 -1 -1", "feature that cannot be"},
        {"0 -1 0 -1", "0 -1 0.5 -1", "feature that cannot be"},
        {"0 -1 0 -1", "0 -1 0 -1 -1", "11 numbers"},
        {"0 -1 0 -1", "0 -1 0", "11 numbers"},
        {"0 -1 0 -1", "0 -1 0 2147483648", "32-bit"},
        {"<leafValues>1. 0.</leafValues>", "", "leaves"},
        {"<leafValues>1. 0.", "<leafValues>1.", "leafValues"},
        {"<leafValues>1. 0.", "<leafValues>1. 0. 0.", "leafValues"},
        {"<leafValues>1. 0.", "<leafValues>-2e6 0.", "leafValues"},
        {"<rect>1 2 1 1", "<rect>1 2 1", "rect"},
        {"<rect>1 2 1 1", "<rect>1 2 0 1", "empty"},
        {"<rect>1 2 1 1", "<rect>-1 2 1 1", "outside"},
        {"<rect>1 2 1 1", "<rect>1 4 1 1", "leaves the window"},
        {"<rect>1 2 1 1</rect>", "", "without rect"},
        {"<rect>1 2 1 1", "<rect><_>1</_> 2 1 1", "where a value"},
        {"<features>", "<features>x", "where an element"},
        {"</stages>", "</stage>", "not the last that began"},
        {"</stages>", "</stagex>", "not the last that began"},
        {"</opencv_storage>", "</opencv_storage><opencv_storage>", "more than one"},
        {"</opencv_storage>", "</opencv_storage></a>", "an end without"},
        {"<opencv_storage>", "<html>", "not an opencv_storage"},
        {"</opencv_storage>", "", "too early"},
        {"<stages>", "<stages <", "tag"},
        {"<stages>", "<!-- <stages>", "comment"},
        {"<stages>", "<![CDATA[ ]]><stages>", ""},
        {"<cascade", "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><cascade", "deep"},
    };
    for (size_t i = 0; i < N(wrong); i++) {
        char *xml = replaced(small_xml, wrong[i].from, wrong[i].to);
        struct cascade *c = NULL;
        struct err e = {""};
        if (load_exactly(&c, xml, strlen(xml), &e) != -EXIT_USAGE || c)
            fail_msg("taken: %s", wrong[i].to);
        if (!strstr(e.text, wrong[i].told) || strchr(e.text, '\n'))
            fail_msg("%s: told as: %s", wrong[i].to, e.text);
        free(xml);
    }
}

static void more_than_the_limits_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *head, *item, *tail;
        size_t max;
    } kind[] = {
        {HEAD "<stages>", STAGE_ANY, "</stages>", CASCADE_STAGES_MAX},
        {HEAD "<stages><_><weakClassifiers>", "<_></_>", "", CASCADE_WEAKS_MAX},
        {HEAD "<features>", "<_><rect>0 0 1 1</rect></_>", "", CASCADE_RECTS_MAX},
    };
    for (size_t k = 0; k < N(kind); k++) {
        size_t n_item = strlen(kind[k].item), n_head = strlen(kind[k].head);
        char *xml = malloc(n_head + n_item * (kind[k].max + 1) + 1);
        assert_non_null(xml);
        char *at = stpcpy(xml, kind[k].head);
        for (size_t i = 0; i < kind[k].max + 1; i++)
            at = stpcpy(at, kind[k].item);
        struct cascade *c = NULL;
        struct err e = {""};
        assert_int_equal(cascade_load(&c, xml, (size_t)(at - xml), &e), -EXIT_USAGE);
        assert_non_null(strstr(e.text, "more stages"));
        at -= n_item; /* one less is within the limit: only the rest is missing */
        assert_int_equal(cascade_load(&c, xml, (size_t)(at - xml), &e), -EXIT_USAGE);
        assert_non_null(strstr(e.text, "too early"));
        free(xml);
    }
}

static void no_part_of_the_document_is_taken_for_the_whole(void **state)
{
    (void)state;
    for (size_t n = 0; n < strlen(small_xml); n++) {
        struct cascade *c = NULL;
        struct err e = {""};
        if (load_exactly(&c, small_xml, n, &e) != -EXIT_USAGE || c || !*e.text)
            fail_msg("the first %zu bytes are taken", n);
    }
    assert_int_equal(cascade_load(NULL, "", 0, NULL), -EXIT_USAGE);
}

/* A window of noise in an integral image that is exactly as large as needed. */
static void run_on_noise(const struct cascade *c)
{
    size_t stride = (size_t)c->w + 1;
    uint32_t *sum = calloc(stride * (c->h + 1), sizeof *sum);
    assert_non_null(sum);
    for (size_t i = 0; i < stride * (c->h + 1); i++)
        sum[i] = (uint32_t)(i * 2654435761U);
    assert_true(cascade_run(c, sum, stride) <= c->n_stages);
    free(sum);
}

static void any_changed_byte_is_refused_or_harmless(void **state)
{
    (void)state;
    static const char to[] = {'\0', '0', '9', '-', '.', 'e', '<', '>', '/', ' ', 'x', '\xff'};
    char xml[sizeof small_xml];
    size_t n_taken = 0, n_refused = 0;
    for (size_t i = 0; i < strlen(small_xml); i++)
        for (size_t k = 0; k < sizeof to; k++) {
            memcpy(xml, small_xml, sizeof xml);
            xml[i] = to[k];
            struct cascade *c = NULL;
            int rc = load_exactly(&c, xml, strlen(small_xml), NULL);
            assert_true(rc == 0 ? c != NULL : rc == -EXIT_USAGE && !c);
            n_taken += rc == 0;
            n_refused += rc != 0;
            if (c)
                run_on_noise(c);
            cascade_free(c);
        }
    assert_true(n_taken > 0 && n_refused > n_taken);
}

/* One test of one pattern on nine pixels. */
static bool is_hit(const uint8_t grey[9], unsigned code)
{
    struct cascade_weak weak = {.cell = {0, 0, 1, 1}, .value = {0, 1}};
    weak.set[code / 32] = UINT32_C(1) << code % 32;
    struct cascade_stage stage = {1, 0.5};
    struct cascade c = {3, 3, 1, 1, &stage, &weak};
    uint32_t sum[16] = {0};
    for (size_t i = 0; i < 9; i++) {
        size_t at = (i / 3 + 1) * 4 + i % 3 + 1;
        sum[at] = sum[at - 1] + sum[at - 4] - sum[at - 5] + grey[i];
    }
    return cascade_run(&c, sum, 4) == 1;
}

static void each_neighbour_has_its_bit_in_the_code(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint8_t grey[9];
        unsigned code;
    } rows[] = {
        {"middle brightest", {9, 9, 9, 9, 10, 9, 9, 9, 9}, 0},
        {"all equal", {9, 9, 9, 9, 9, 9, 9, 9, 9}, 255},
        {"top left", {10, 9, 9, 9, 10, 9, 9, 9, 9}, 128},
        {"top", {9, 11, 9, 9, 10, 9, 9, 9, 9}, 64},
        {"top right", {9, 9, 255, 9, 10, 9, 9, 9, 9}, 32},
        {"right", {9, 9, 9, 9, 10, 10, 9, 9, 9}, 16},
        {"bottom right", {9, 9, 9, 9, 10, 9, 9, 9, 10}, 8},
        {"bottom", {9, 9, 9, 9, 10, 9, 9, 10, 9}, 4},
        {"bottom left", {9, 9, 9, 9, 10, 9, 10, 9, 9}, 2},
        {"left", {9, 9, 9, 10, 10, 9, 9, 9, 9}, 1},
        {"a column", {0, 1, 5, 0, 2, 5, 0, 1, 5}, 32 | 16 | 8},
    };
    for (size_t i = 0; i < N(rows); i++)
        for (unsigned code = 0; code < 256; code++)
            if (is_hit(rows[i].grey, code) != (code == rows[i].code))
                fail_msg("%s: code %u", rows[i].what, code);
}

static void a_stage_passes_when_its_sum_reaches_the_threshold(void **state)
{
    (void)state;
    static const struct {
        const char *threshold;
        size_t n_passed;
    } rows[] = {{"1.25", 2}, {"1.2501", 0}, {"-3", 2}, {"1.2", 2}, {"1.3", 0}};
    for (size_t i = 0; i < N(rows); i++) {
        /* Both tests in one stage: 1 and 0.25, then a stage that looks for no spot. */
        char stage[1024];
        (void)snprintf(stage, sizeof stage,
                       "<stageNum>2</stageNum><stages><_><maxWeakCount>2</maxWeakCount>"
                       "<stageThreshold>%s</stageThreshold><weakClassifiers>"
                       "<_><internalNodes>0 -1 0 %s</internalNodes><leafValues>1 0</leafValues></_>"
                       "<_><internalNodes>0 -1 1 %s</internalNodes><leafValues>.25 0</leafValues>"
                       "</_></weakClassifiers></_>",
                       rows[i].threshold, ALL, ALL);
        char *xml = replaced(any_xml, "<stageNum>1</stageNum><stages>", stage);
        struct cascade *c = load(xml);
        uint32_t black[7 * 7] = {0};
        assert_int_equal(cascade_run(c, black, 7), rows[i].n_passed);
        cascade_free(c);
        free(xml);
    }
}

/* Pictures. */

#define W 20
#define H 20

static const struct face_tuning one_size = {.step = FACE_STEP_MAX, .min_neighbours = 0};

static void draw_spot(uint8_t *grey, unsigned stride, unsigned x, unsigned y, unsigned side)
{
    for (unsigned i = 0; i < side; i++)
        memset(grey + (y + i) * stride + x, 200, side);
}

static void fill_noise(uint8_t *grey, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        grey[i] = (uint8_t)(seed >> 24);
    }
}

static struct face_seen look(const struct cascade *c, const struct face_picture *pic,
                             const struct face_tuning *t)
{
    struct face_finder *f = face_finder_new(c, (size_t)pic->w * pic->h);
    struct face_seen seen;
    struct err e = {""};
    assert_non_null(f);
    if (face_finder_see(f, pic, t, &seen, &e) != 0)
        fail_msg("%s", e.text);
    face_finder_free(f);
    return seen;
}

static void assert_box(const struct face_seen *seen, size_t i, struct face_box want)
{
    assert_true(i < seen->n_boxes);
    struct face_box b = seen->box[i];
    if (memcmp(&b, &want, sizeof b) != 0)
        fail_msg("box %zu is %u,%u %ux%u by %u hits", i, b.x, b.y, b.w, b.h, b.n_hits);
}

static void a_spot_is_found_where_it_is(void **state)
{
    (void)state;
    struct cascade *c = load(small_xml);
    for (unsigned y = 2; y <= H - 4; y++)
        for (unsigned x = 2; x <= W - 4; x++) {
            uint8_t grey[W * H] = {0};
            draw_spot(grey, W, x, y, 2);
            struct face_seen seen = look(c, &(struct face_picture){grey, W, H, W}, &one_size);
            /* The window moves by two pixels: only even places can match exactly. */
            assert_int_equal(seen.n_boxes, x % 2 == 0 && y % 2 == 0);
            if (seen.n_boxes)
                assert_box(&seen, 0, (struct face_box){x - 2, y - 2, 6, 6, 1});
        }
    cascade_free(c);
}

static void after_a_first_stage_that_fails_one_place_is_skipped(void **state)
{
    (void)state;
    struct cascade *c = load(spot_xml);
    for (unsigned x = 2; x <= W - 4; x += 2) {
        uint8_t grey[W * H] = {0};
        draw_spot(grey, W, x, 4, 2);
        struct face_seen seen = look(c, &(struct face_picture){grey, W, H, W}, &one_size);
        assert_int_equal(seen.n_boxes, x % 4 == 2);
    }
    cascade_free(c);
}

static void a_larger_spot_is_found_at_its_size(void **state)
{
    (void)state;
    struct cascade *c = load(small_xml);
    uint8_t grey[22 * 22] = {0};
    draw_spot(grey, 22, 10, 10, 4);
    struct face_picture pic = {grey, 22, 22, 22};
    struct face_tuning t = {.step = 2};
    struct face_seen seen = look(c, &pic, &t);
    assert_int_equal(seen.n_boxes, 1);
    assert_box(&seen, 0, (struct face_box){6, 6, 12, 12, 1});
    t.min_side = 12;
    assert_int_equal(look(c, &pic, &t).n_boxes, 1);
    t.min_side = 13;
    assert_int_equal(look(c, &pic, &t).n_boxes, 0);
    t.min_side = 0;
    t.min_neighbours = 1; /* more than one hit is needed */
    assert_int_equal(look(c, &pic, &t).n_boxes, 0);
    cascade_free(c);
}

static void a_smaller_copy_has_the_mean_of_the_pixels(void **state)
{
    (void)state;
    struct cascade *c = load(small_xml);
    uint8_t grey[22 * 30] = {0};
    /* Four faint dots: at half the size each is 2/4, which rounds to 1, and makes a spot. */
    grey[11 * 30 + 11] = grey[11 * 30 + 13] = grey[13 * 30 + 11] = grey[13 * 30 + 13] = 2;
    struct face_tuning t = {.step = 2};
    struct face_seen seen = look(c, &(struct face_picture){grey, 22, 22, 30}, &t);
    assert_int_equal(seen.n_boxes, 1);
    assert_box(&seen, 0, (struct face_box){6, 6, 12, 12, 1});
    cascade_free(c);
}

static void what_lies_between_the_rows_is_not_looked_at(void **state)
{
    (void)state;
    struct cascade *c = load(small_xml);
    for (unsigned side = 2; side <= 4; side += 2) {
        struct face_tuning t = {.step = 8. / side};
        uint8_t grey[22 * 30];
        fill_noise(grey, sizeof grey, side);
        for (unsigned y = 0; y < 22; y++)
            memset(grey + y * 30, 0, 22);
        draw_spot(grey, 30, 10, 10, side);
        struct face_seen seen = look(c, &(struct face_picture){grey, 22, 22, 30}, &t);
        assert_int_equal(seen.n_boxes, 1);
        assert_int_equal(seen.box[0].w, side * 3);
        assert_int_equal(seen.box[0].x, 10 - side);
        assert_int_equal(seen.box[0].y, 10 - side);
    }
    cascade_free(c);
}

static void odd_sizes_and_strides_stay_inside_the_picture(void **state)
{
    (void)state;
    struct cascade *c = load(any_xml);
    static const double steps[] = {1.05, 1.2, 1.37, 3};
    for (unsigned w = 0; w <= 19; w++)
        for (unsigned h = 0; h <= 19; h++) {
            size_t stride = w + w % 3, n = h ? (h - 1) * stride + w : 0;
            uint8_t *grey = malloc(n + !n);
            assert_non_null(grey);
            memset(grey, 7, n + !n);
            struct face_tuning t = {.step = steps[(w + h) % N(steps)]};
            struct face_seen seen = look(c, &(struct face_picture){grey, w, h, stride}, &t);
            assert_int_equal(seen.n_hits > 0, w >= 6 && h >= 6);
            assert_int_equal(seen.n_boxes > 0, w >= 6 && h >= 6);
            for (size_t i = 0; i < seen.n_boxes; i++) {
                struct face_box b = seen.box[i];
                assert_true(b.w && b.h && b.x + b.w <= w && b.y + b.h <= h);
            }
            free(grey);
        }
    cascade_free(c);
}

static void what_is_out_of_range_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct face_picture pic;
        double step;
        const char *told;
    } rows[] = {
        {{NULL, 21, 20, 21}, 1.2, "21x20 is too large"},
        {{NULL, UINT32_MAX, UINT32_MAX, UINT32_MAX}, 1.2, "too large"},
        {{NULL, FACE_SIDE_MAX + 1, 0, FACE_SIDE_MAX + 1}, 1.2, "too large"},
        {{NULL, 20, 20, 19}, 1.2, "rows of 19"},
        {{NULL, 20, 20, 20}, 1.0, "step"},
        {{NULL, 20, 20, 20}, -1.2, "step"},
        {{NULL, 20, 20, 20}, 4.1, "step"},
        {{NULL, 20, 20, 20}, NAN, "step"},
    };
    struct cascade *c = load(any_xml);
    struct face_finder *f = face_finder_new(c, 400);
    assert_non_null(f);
    for (size_t i = 0; i < N(rows); i++) {
        struct face_tuning t = {.step = rows[i].step};
        struct face_seen seen = {.n_boxes = 1, .n_hits = 1};
        struct err e = {""};
        assert_int_equal(face_finder_see(f, &rows[i].pic, &t, &seen, &e), -EXIT_USAGE);
        assert_non_null(strstr(e.text, rows[i].told));
        assert_int_equal(seen.n_boxes + seen.n_hits, 0);
    }
    face_finder_free(f);
    cascade_free(c);
}

static void a_cascade_that_takes_anything_is_cut_short(void **state)
{
    (void)state;
    struct cascade *c = load(any_xml);
    static uint8_t grey[300 * 300];
    struct face_tuning t = {.step = FACE_STEP_USUAL, .min_neighbours = FACE_NEIGHBOURS_USUAL};
    struct face_seen seen = look(c, &(struct face_picture){grey, 300, 300, 300}, &t);
    assert_int_equal(seen.n_hits, FACE_HITS_MAX);
    assert_true(seen.n_boxes <= FACE_BOXES_MAX);
    cascade_free(c);
}

static void memory_is_kept_and_nothing_else_is(void **state)
{
    (void)state;
    static const struct {
        unsigned w, h;
    } sizes[] = {{20, 20}, {64, 48}, {20, 20}, {48, 64}, {5, 5},
                 {63, 40}, {64, 48}, {7, 200}, {64, 48}};
    struct cascade *c = load(small_xml);
    struct face_finder *f = face_finder_new(c, 64 * 48);
    struct face_tuning t = {.step = 1.2};
    uint8_t grey[64 * 48];
    for (size_t i = 0; i < N(sizes); i++) {
        fill_noise(grey, sizeof grey, (uint32_t)i);
        struct face_picture pic = {grey, sizes[i].w, sizes[i].h, sizes[i].w};
        struct face_seen fresh, seen;
        memset(&seen, 0, sizeof seen);
        fresh = look(c, &pic, &t);
        size_t in_use = mallinfo2().uordblks; /* 0 under asan */
        assert_int_equal(face_finder_see(f, &pic, &t, &seen, NULL), 0);
        /* The second picture is the largest, and as wide as any. */
        assert_true(i <= 1 || mallinfo2().uordblks == in_use);
        assert_int_equal(seen.n_hits, fresh.n_hits);
        assert_int_equal(seen.n_boxes, fresh.n_boxes);
        assert_memory_equal(seen.box, fresh.box, seen.n_boxes * sizeof *seen.box);
        assert_true(sizes[i].w < 20 || seen.n_hits > 0);
    }
    face_finder_free(f);
    cascade_free(c);
}

/* Grouping. */

static const struct {
    const char *what;
    unsigned min_neighbours;
    struct face_hit hit[12];
    struct face_box box[4];
} groupings[] = {
    {"nothing", 0, {{0}}, {{0}}},
    {"one, if one is enough", 0, {{1, 2, 10, 10, 0, 0}}, {{1, 2, 10, 10, 1}}},
    {"one, if more are needed", 1, {{1, 2, 10, 10, 0, 0}}, {{0}}},
    {"as many as min_neighbours are too few",
     3,
     {{0, 0, 10, 10, 0, 0}, {0, 0, 10, 10, 0, 0}, {0, 0, 10, 10, 0, 0}},
     {{0}}},
    {"the mean, rounded",
     3,
     {{10, 20, 50, 50, 0, 0},
      {12, 20, 50, 50, 0, 0},
      {12, 22, 50, 51, 0, 0},
      {13, 20, 52, 50, 0, 0}},
     {{12, 21, 51, 50, 4}}},
    {"differing by a fifth is similar",
     0,
     {{0, 0, 50, 50, 0, 0}, {10, 10, 50, 50, 0, 0}},
     {{5, 5, 50, 50, 2}}},
    {"by more it is not, side by side",
     0,
     {{0, 0, 50, 50, 0, 0}, {11, 11, 50, 50, 0, 0}},
     {{0, 0, 50, 50, 1}, {11, 11, 50, 50, 1}}},
    {"far ends of a chain are one",
     1,
     {{0, 0, 50, 50, 0, 0}, {20, 0, 50, 50, 0, 0}, {30, 0, 50, 50, 0, 0}, {10, 0, 50, 50, 0, 0}},
     {{15, 0, 50, 50, 4}}},
    {"the smaller decides what is similar",
     2,
     {{0, 0, 50, 50, 0, 0},
      {0, 0, 50, 50, 0, 0},
      {0, 0, 50, 50, 0, 0},
      {0, 0, 61, 61, 0, 0},
      {0, 0, 61, 61, 0, 0},
      {0, 0, 61, 61, 0, 0}},
     {{0, 0, 50, 50, 3}, {0, 0, 61, 61, 3}}},
    {"of equals, neither is swallowed",
     2,
     {{0, 0, 90, 90, 0, 0},
      {0, 0, 90, 90, 0, 0},
      {0, 0, 90, 90, 0, 0},
      {0, 0, 90, 90, 0, 0},
      {30, 30, 20, 20, 0, 0},
      {30, 30, 20, 20, 0, 0},
      {30, 30, 20, 20, 0, 0},
      {30, 30, 20, 20, 0, 0}},
     {{0, 0, 90, 90, 4}, {30, 30, 20, 20, 4}}},
    {"the group with more hits is first",
     1,
     {{100, 0, 20, 20, 0, 0},
      {0, 0, 20, 20, 0, 0},
      {100, 0, 20, 20, 0, 0},
      {0, 0, 20, 20, 0, 0},
      {0, 0, 20, 20, 0, 0},
      {50, 0, 20, 20, 0, 0}},
     {{0, 0, 20, 20, 3}, {100, 0, 20, 20, 2}}},
    {"a weaker one inside is swallowed",
     2,
     {{0, 0, 90, 90, 0, 0},
      {0, 0, 90, 90, 0, 0},
      {0, 0, 90, 90, 0, 0},
      {0, 0, 90, 90, 0, 0},
      {30, 30, 20, 20, 0, 0},
      {30, 30, 20, 20, 0, 0},
      {30, 30, 20, 20, 0, 0}},
     {{0, 0, 90, 90, 4}}},
    {"a stronger one inside is kept, and the outer too",
     2,
     {{0, 0, 90, 90, 0, 0},
      {0, 0, 90, 90, 0, 0},
      {0, 0, 90, 90, 0, 0},
      {30, 30, 20, 20, 0, 0},
      {30, 30, 20, 20, 0, 0},
      {30, 30, 20, 20, 0, 0},
      {30, 30, 20, 20, 0, 0}},
     {{30, 30, 20, 20, 4}, {0, 0, 90, 90, 3}}},
};

static void hits_become_groups(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(groupings); i++) {
        struct face_hit hit[N(groupings[0].hit)];
        memcpy(hit, groupings[i].hit, sizeof hit);
        size_t n_hits = 0, n_boxes = 0;
        while (n_hits < N(hit) && hit[n_hits].w)
            n_hits++;
        while (n_boxes < N(groupings[0].box) && groupings[i].box[n_boxes].w)
            n_boxes++;
        struct face_seen seen;
        face_group(hit, n_hits, groupings[i].min_neighbours, &seen);
        if (seen.n_boxes != n_boxes || seen.n_hits != n_hits)
            fail_msg("%s: %zu boxes", groupings[i].what, seen.n_boxes);
        for (size_t k = 0; k < n_boxes; k++)
            assert_box(&seen, k, groupings[i].box[k]);
    }
}

static void of_too_many_groups_the_strongest_are_kept(void **state)
{
    (void)state;
    static struct face_hit hit[FACE_HITS_MAX];
    for (unsigned n_groups = 30; n_groups <= 40; n_groups++) {
        size_t n = 0;
        for (unsigned g = 0; g < n_groups; g++) /* all counts differ, unless 11 divides */
            for (unsigned k = 0; k <= g * 11 % n_groups; k++)
                hit[n++] = (struct face_hit){.x = g * 100, .y = 0, .w = 20, .h = 20};
        struct face_seen seen;
        face_group(hit, n, 0, &seen);
        assert_int_equal(seen.n_boxes, n_groups < FACE_BOXES_MAX ? n_groups : FACE_BOXES_MAX);
        for (unsigned i = 0; n_groups % 11 && i < seen.n_boxes; i++)
            assert_int_equal(seen.box[i].n_hits, n_groups - i);
    }
}

/* The real thing, if it is installed: Debian's package opencv-data. */

#define OPENCV_DIR "/usr/share/opencv4/lbpcascades/"

static char *read_opencv_file(const char *name, size_t *n)
{
    char path[256];
    (void)snprintf(path, sizeof path, OPENCV_DIR "%s", name);
    FILE *file = fopen(path, "rb");
    if (!file) {
        print_message("skipped: %s is not installed (package opencv-data)\n", path);
        skip();
    }
    static char text[1 << 20];
    *n = fread(text, 1, sizeof text, file);
    assert_int_equal(fclose(file), 0);
    return text;
}

static void opencv_files_are_read_whole_and_only_whole(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned side;
        size_t n_stages, n_weaks;
    } rows[] = {
        {"lbpcascade_frontalface_improved.xml", 45, 19, 149},
        {"lbpcascade_frontalface.xml", 24, 20, 139},
    };
    for (size_t i = 0; i < N(rows); i++) {
        size_t n;
        char *text = read_opencv_file(rows[i].name, &n);
        struct cascade *c = NULL;
        struct err e = {""};
        if (cascade_load(&c, text, n, &e) != 0)
            fail_msg("%s", e.text);
        assert_int_equal(c->w, rows[i].side);
        assert_int_equal(c->h, rows[i].side);
        assert_int_equal(c->n_stages, rows[i].n_stages);
        assert_int_equal(c->n_weaks, rows[i].n_weaks);
        run_on_noise(c);
        cascade_free(c);
        while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
            n--;
        for (size_t cut = 0; cut < n; cut += 997)
            assert_int_equal(cascade_load(&c, text, cut, NULL), -EXIT_USAGE);
        assert_int_equal(cascade_load(&c, text, n - 1, NULL), -EXIT_USAGE);
    }
}

/* A drawn face: it has what the cascade learnt to look for, and is nobody's. */

#define FACE_SIDE 160

struct stroke {
    double x, y, rx, ry; /* an ellipse */
    double luma, soft;   /* the share of its radius over which it fades */
};

static void draw_stroke(uint8_t *grey, const struct stroke *s)
{
    for (unsigned i = 0; i < FACE_SIDE * FACE_SIDE; i++) {
        double dx = (i % FACE_SIDE - s->x) / s->rx;
        double dy = ((unsigned)(i / FACE_SIDE) - s->y) / s->ry;
        double part = (1 - dx * dx - dy * dy) / s->soft;
        part = part < 0 ? 0 : part > 1 ? 1 : part;
        grey[i] = (uint8_t)(grey[i] * (1 - part) + s->luma * part + 0.5);
    }
}

static void draw_face(uint8_t *grey)
{
    static const struct stroke face[] = {
        {80, 70, 48, 60, 16, 0.25},                              /* hair */
        {80, 85, 40, 52, 185, 0.25},                             /* skin */
        {63, 86, 11, 6, 50, 0.6},                                /* eyes */
        {97, 86, 11, 6, 50, 0.6},    {63, 77, 13, 3.5, 83, 0.6}, /* brows */
        {97, 77, 13, 3.5, 83, 0.6},  {80, 98, 6, 16, 205, 1},    /* nose */
        {80, 110, 9, 4, 145, 0.8},   {80, 121, 16, 5, 47, 0.6},  /* mouth */
    };
    memset(grey, 119, FACE_SIDE * FACE_SIDE);
    for (size_t i = 0; i < N(face); i++)
        draw_stroke(grey, &face[i]);
}

static void turn_over(uint8_t *grey, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        uint8_t keep = grey[i];
        grey[i] = grey[n - 1 - i];
        grey[n - 1 - i] = keep;
    }
}

static void the_improved_cascade_finds_a_face_and_nothing_else(void **state)
{
    (void)state;
    size_t n;
    char *text = read_opencv_file("lbpcascade_frontalface_improved.xml", &n);
    struct cascade *c = NULL;
    assert_int_equal(cascade_load(&c, text, n, NULL), 0);
    static uint8_t grey[FACE_SIDE * FACE_SIDE];
    struct face_picture pic = {grey, FACE_SIDE, FACE_SIDE, FACE_SIDE};
    struct face_tuning t = {.step = 1.1, .min_neighbours = FACE_NEIGHBOURS_USUAL};

    draw_face(grey);
    struct face_seen seen = look(c, &pic, &t);
    assert_int_equal(seen.n_boxes, 1);
    struct face_box b = seen.box[0];
    print_message("the drawn face: %u,%u %ux%u by %u hits\n", b.x, b.y, b.w, b.h, b.n_hits);
    assert_true(b.n_hits >= 10); /* it spans brows to mouth */
    assert_in_range(b.x, 46, 56);
    assert_in_range(b.y, 66, 80);
    assert_in_range(b.w, 50, 70);

    turn_over(grey, sizeof grey);
    assert_int_equal(look(c, &pic, &t).n_boxes, 0);
    memset(grey, 128, sizeof grey);
    assert_int_equal(look(c, &pic, &t).n_hits, 0);
    fill_noise(grey, sizeof grey, 1);
    assert_int_equal(look(c, &pic, &t).n_boxes, 0);
    cascade_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_are_read_as_they_stand),
        cmocka_unit_test(what_means_the_same_is_read_the_same),
        cmocka_unit_test(what_is_wrong_is_refused_and_told),
        cmocka_unit_test(more_than_the_limits_is_refused),
        cmocka_unit_test(no_part_of_the_document_is_taken_for_the_whole),
        cmocka_unit_test(any_changed_byte_is_refused_or_harmless),
        cmocka_unit_test(each_neighbour_has_its_bit_in_the_code),
        cmocka_unit_test(a_stage_passes_when_its_sum_reaches_the_threshold),
        cmocka_unit_test(a_spot_is_found_where_it_is),
        cmocka_unit_test(after_a_first_stage_that_fails_one_place_is_skipped),
        cmocka_unit_test(a_larger_spot_is_found_at_its_size),
        cmocka_unit_test(a_smaller_copy_has_the_mean_of_the_pixels),
        cmocka_unit_test(what_lies_between_the_rows_is_not_looked_at),
        cmocka_unit_test(odd_sizes_and_strides_stay_inside_the_picture),
        cmocka_unit_test(what_is_out_of_range_is_refused),
        cmocka_unit_test(a_cascade_that_takes_anything_is_cut_short),
        cmocka_unit_test(memory_is_kept_and_nothing_else_is),
        cmocka_unit_test(hits_become_groups),
        cmocka_unit_test(of_too_many_groups_the_strongest_are_kept),
        cmocka_unit_test(opencv_files_are_read_whole_and_only_whole),
        cmocka_unit_test(the_improved_cascade_finds_a_face_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
