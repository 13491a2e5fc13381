#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "plugins/onnx_decode.h"

/* Numbers as a model might give them: 640x480 in 320x320 lies in the rows 40 to 280, halved. */

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define NEAR     1e-4

static struct find room[FINDS_MAX];
static const struct rules usual = {.confidence = 0.25, .iou = 0.45, .background = NO_CLASS};
static const struct fit half = {640, 480, 320, 320, 0, 40, 320, 240};

static void assert_near(double is, double wanted)
{
    assert_true(fabs(is - wanted) <= NEAR);
}

static struct finds none(void)
{
    return (struct finds){.all = room};
}

static struct tensor tensor(const float *data, int64_t a, int64_t b, int64_t c)
{
    return (struct tensor){data, 3, {a, b, c}};
}

static void assert_box(const struct find *f, double x, double y, double w, double h)
{
    assert_near(f->x, x);
    assert_near(f->y, y);
    assert_near(f->w, w);
    assert_near(f->h, h);
}

/* --- geometry --- */

static void a_frame_keeps_its_shape_in_the_middle(void **state)
{
    static const struct {
        uint32_t frame[2], input[2], left, top, w, h;
    } rows[] = {
        {{640, 480}, {320, 320}, 0, 40, 320, 240},
        {{480, 640}, {320, 320}, 40, 0, 240, 320},
        {{64, 64}, {320, 320}, 0, 0, 320, 320},
        {{1920, 1080}, {640, 640}, 0, 140, 640, 360},
        {{100, 10}, {32, 32}, 0, 14, 32, 3},
        {{10000, 1}, {32, 32}, 0, 15, 32, 1},
        {{1, 1}, {1, 1}, 0, 0, 1, 1},
        {{3, 4}, {5, 5}, 0, 0, 4, 5},
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        struct fit f =
            fit_frame(rows[i].frame[0], rows[i].frame[1], rows[i].input[0], rows[i].input[1], 1);
        assert_int_equal(f.left, rows[i].left);
        assert_int_equal(f.top, rows[i].top);
        assert_int_equal(f.w, rows[i].w);
        assert_int_equal(f.h, rows[i].h);
    }
}

static void without_letterbox_it_is_stretched(void **state)
{
    struct fit f = fit_frame(640, 480, 320, 320, 0);
    (void)state;
    assert_int_equal(f.w, 320);
    assert_int_equal(f.h, 320);
    assert_near(frame_x(&f, 160), 320);
    assert_near(frame_y(&f, 160), 240);
}

static void there_and_back_is_the_same_place(void **state)
{
    (void)state;
    for (uint32_t w = 1; w < 2000; w += 37)
        for (uint32_t h = 1; h < 2000; h += 41)
            for (int letterbox = 0; letterbox < 2; letterbox++) {
                struct fit f = fit_frame(w, h, 320, 256, letterbox);
                assert_true(f.left + f.w <= 320 && f.top + f.h <= 256);
                assert_near(frame_x(&f, f.left), 0);
                assert_near(frame_x(&f, f.left + f.w), w);
                assert_near(frame_y(&f, f.top), 0);
                assert_near(frame_y(&f, f.top + f.h), h);
            }
}

/* --- pixels --- */

static void pixels_lie_centre_upon_centre(void **state)
{
    (void)state;
    struct tap same = tap_at(3, 8, 8), halved = tap_at(1, 4, 8), first = tap_at(0, 8, 4);
    struct tap last = tap_at(7, 8, 4), only = tap_at(5, 8, 1);
    assert_int_equal(same.first, 3);
    assert_near((double)same.weight, 0);
    assert_int_equal(halved.first, 2);
    assert_near((double)halved.weight, 0.5);
    assert_int_equal(first.first, 0);
    assert_near((double)first.weight, 0);
    assert_int_equal(last.first, 3);
    assert_int_equal(last.second, 3);
    assert_int_equal(only.second, 0);
}

/* A wide frame of 4x2 in 4x4, with a stride that is more than a row. */
static const uint8_t wide[2][16] = {
    {10, 20, 30, 10, 20, 30, 10, 20, 30, 10, 20, 30, 99, 99, 99, 99},
    {50, 60, 70, 50, 60, 70, 50, 60, 70, 50, 60, 70, 99, 99, 99, 99},
};

static void fill(float *to, int channels_last)
{
    static const double mean[3] = {10, 0, 0}, scale[3] = {2, 1, 0.5};
    struct tap columns[4];
    struct input in = {to, 4, 4, channels_last, norm_of(mean, scale), columns};
    struct fit f = fit_frame(4, 2, 4, 4, 1);
    struct picture p = {wide[0], 4, 2, 16};
    for (int i = 0; i < 48; i++)
        to[i] = NAN;
    fill_input(&in, &f, &p);
}

static void a_picture_is_normalised_and_grey_stands_around_it(void **state)
{
    static const float grey[3] = {208, 114, 57}, upper[3] = {0, 20, 15}, lower[3] = {80, 60, 35};
    float planes[48], pixels[48];
    (void)state;
    fill(planes, 0);
    fill(pixels, 1);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++)
            for (int c = 0; c < 3; c++) {
                float is = y == 1 ? upper[c] : y == 2 ? lower[c] : grey[c];
                assert_true(planes[c * 16 + y * 4 + x] == is);
                assert_true(pixels[(y * 4 + x) * 3 + c] == is);
            }
}

static void resizing_is_linear_between_pixels(void **state)
{
    static const uint8_t two[6] = {0, 0, 0, 100, 100, 100};
    static const double mean[3] = {0, 0, 0}, scale[3] = {1, 1, 1};
    static const float is[4] = {0, 25, 75, 100};
    float to[12];
    struct tap columns[4];
    struct input in = {to, 4, 1, 0, norm_of(mean, scale), columns};
    struct fit f = fit_frame(2, 1, 4, 1, 0);
    struct picture p = {two, 2, 1, 6};
    (void)state;
    fill_input(&in, &f, &p);
    for (int i = 0; i < 12; i++)
        assert_near((double)to[i], (double)is[i % 4]);
}

/* --- yolo --- */

static void yolo_is_told_by_its_shape(void **state)
{
    static const struct {
        size_t n_dims;
        int64_t dim[DIMS_MAX];
        enum yolo_form form;
    } rows[] = {
        {3, {1, 84, 8400}, YOLO_V8},      {3, {1, 25200, 85}, YOLO_V5},
        {3, {1, 5, 21}, YOLO_V8},         {3, {1, 21, 6}, YOLO_V5},
        {3, {1, 8, 8}, YOLO_V8},          {3, {1, 4, 5}, YOLO_NONE},
        {3, {1, 6, 5}, YOLO_NONE},        {3, {1, 84, 4}, YOLO_NONE},
        {3, {1, 84, 0}, YOLO_NONE},       {3, {1, 0, 85}, YOLO_NONE},
        {3, {2, 84, 8400}, YOLO_NONE},    {2, {84, 8400}, YOLO_NONE},
        {4, {1, 1, 84, 8400}, YOLO_NONE}, {0, {0}, YOLO_NONE},
        {3, {1, -1, 84}, YOLO_NONE},      {3, {1, 84, -1}, YOLO_NONE},
        {3, {0, 84, 8400}, YOLO_NONE},    {3, {1, -8, -7}, YOLO_NONE},
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        struct tensor t = {.n_dims = rows[i].n_dims};
        memcpy(t.dim, rows[i].dim, sizeof t.dim);
        assert_int_equal(yolo_form(&t), rows[i].form);
    }
}

/* Seven boxes of 4 numbers and two classes; the third and the sixth say something. */
static void version_8_has_a_column_for_each_box(void **state)
{
    float data[6][7] = {{0}};
    struct finds finds = none();
    (void)state;
    data[0][2] = 160;
    data[1][2] = 160;
    data[2][2] = 100;
    data[3][2] = 50;
    data[4][2] = 0.1F;
    data[5][2] = 0.9F;
    data[0][5] = data[1][5] = 50;
    data[2][5] = data[3][5] = 20;
    data[4][5] = 0.5F;
    struct tensor t = tensor(data[0], 1, 6, 7);
    decode_yolo(&finds, &t, &half, &usual);
    assert_int_equal(finds.n, 2);
    assert_box(&room[0], 220, 190, 200, 100);
    assert_near(room[0].score, 0.9);
    assert_int_equal(room[0].class, 1);
    assert_box(&room[1], 80, 0, 40, 40);
    assert_int_equal(room[1].class, 0);
}

static void version_5_has_a_row_for_each_box_and_multiplies(void **state)
{
    static const float data[8][7] = {
        {160, 160, 100, 50, 0.8F, 0.1F, 0.5F}, /* 0.4 of class 1 */
        {160, 160, 100, 50, 0.2F, 0.9F, 0.9F}, /* too little */
        {160, 160, 100, 50, NAN, 0.9F, 0.9F},
    };
    struct finds finds = none();
    struct tensor t = tensor(data[0], 1, 8, 7);
    (void)state;
    decode_yolo(&finds, &t, &half, &usual);
    assert_int_equal(finds.n, 1);
    assert_box(&room[0], 220, 190, 200, 100);
    assert_near(room[0].score, 0.4);
    assert_int_equal(room[0].class, 1);
}

static void nonsense_is_left_out(void **state)
{
    static const float rows[][6] = {
        {NAN, 160, 10, 10, 1, 1},       {160, INFINITY, 10, 10, 1, 1},
        {160, 160, -10, 10, 1, 1},      {160, 160, 0, 10, 1, 1},
        {160, 160, 10, NAN, 1, 1},      {160, 160, 10, 10, INFINITY, 1},
        {160, 160, 10, 10, 1, NAN},     {160, 160, 10, 10, 1, -INFINITY},
        {1e38F, 1e38F, 10, 10, 1, 1},   {160, 160, 10, 10, 1, 0.2F},
        {160, -500, 10, 10, 1, 1},      {160, 20, 10, 10, 1, 1}, /* in the padding */
        {3e38F, 160, -3e38F, 10, 1, 1},
    };
    struct finds finds = none();
    struct tensor t = tensor(rows[0], 1, N(rows), 6);
    (void)state;
    decode_yolo(&finds, &t, &half, &usual);
    assert_int_equal(finds.n, 0);
}

static void a_box_ends_with_the_frame(void **state)
{
    static const float rows[7][6] = {{0, 40, 100, 100, 1, 1}, {160, 160, 3e38F, 3e38F, 1, 0.5F}};
    struct finds finds = none();
    struct tensor t = tensor(rows[0], 1, 7, 6);
    (void)state;
    decode_yolo(&finds, &t, &half, &usual);
    assert_int_equal(finds.n, 2);
    assert_box(&room[0], 0, 0, 100, 100);
    assert_box(&room[1], 0, 0, 640, 480);
}

static void other_shapes_are_not_touched(void **state)
{
    static const int64_t dims[][3] = {{1, 4, 5}, {2, 84, 84}, {1, -1, 84}, {1, 3, 2}};
    struct finds finds = none();
    (void)state;
    for (size_t i = 0; i < N(dims); i++) {
        struct tensor t = tensor(NULL, dims[i][0], dims[i][1], dims[i][2]);
        decode_yolo(&finds, &t, &half, &usual);
        decode_ssd(&finds, &t, &t, &half, &usual);
    }
    struct tensor empty[] = {tensor(NULL, 1, 84, 0), tensor(NULL, 1, 0, 85), tensor(NULL, 1, 0, 4)};
    decode_yolo(&finds, &empty[0], &half, &usual);
    decode_yolo(&finds, &empty[1], &half, &usual);
    decode_ssd(&finds, &empty[2], &empty[2], &half, &usual);
    assert_int_equal(finds.n, 0);
}

static void confidence_is_the_least_that_counts(void **state)
{
    static const float row[7][6] = {{160, 160, 10, 10, 1, 0.5F}};
    struct tensor t = tensor(row[0], 1, 7, 6);
    struct rules rules = usual;
    (void)state;
    for (int i = 0; i <= 4; i++) {
        struct finds finds = none();
        rules.confidence = 0.25 * (i ? i : 1);
        decode_yolo(&finds, &t, &half, &rules);
        assert_int_equal(finds.n, rules.confidence <= 0.5);
    }
}

/* --- ssd --- */

static void ssd_has_corners_from_0_to_1(void **state)
{
    static const float boxes[3][4] = {
        {0.25F, 0.5F, 0.75F, 1}, {0.5F, 0.5F, 0.25F, 0.75F}, {0.5F, 0.25F, 0.75F, 0.75F}};
    static const float scores[3][2] = {{0.1F, 0.9F}, {0.9F, 0.9F}, {0.6F, NAN}};
    struct finds finds = none();
    struct tensor b = tensor(boxes[0], 1, 3, 4), s = tensor(scores[0], 1, 3, 2);
    (void)state;
    decode_ssd(&finds, &b, &s, &half, &usual);
    assert_int_equal(finds.n, 2);
    assert_box(&room[0], 320, 80, 320, 320);
    assert_int_equal(room[0].class, 1);
    assert_box(&room[1], 160, 240, 320, 160);
    assert_int_equal(room[1].class, 0);
}

static void ssd_may_have_one_score_a_box(void **state)
{
    static const float boxes[2][4] = {{0.25F, 0.5F, 0.75F, 1}, {0.25F, 0.5F, 0.75F, 1}};
    static const float scores[2] = {0.1F, 0.7F};
    struct finds finds = none();
    struct tensor b = tensor(boxes[0], 1, 2, 4), s = {scores, 2, {1, 2}};
    (void)state;
    decode_ssd(&finds, &b, &s, &half, &usual);
    assert_int_equal(finds.n, 1);
    assert_near(room[0].score, 0.7);
    s.dim[1] = 3; /* of other boxes */
    decode_ssd(&finds, &b, &s, &half, &usual);
    assert_int_equal(finds.n, 1);
}

static void the_background_is_nothing(void **state)
{
    static const float boxes[2][4] = {{0.25F, 0.5F, 0.75F, 1}, {0.25F, 0.5F, 0.75F, 1}};
    static const float scores[2][2] = {{0.6F, 0.4F}, {0.9F, 0.1F}};
    struct rules rules = usual;
    struct finds finds = none();
    struct tensor b = tensor(boxes[0], 1, 2, 4), s = tensor(scores[0], 1, 2, 2);
    (void)state;
    rules.background = 0;
    decode_ssd(&finds, &b, &s, &half, &rules);
    assert_int_equal(finds.n, 1);
    assert_int_equal(room[0].class, 1);
    assert_near(room[0].score, 0.4);
}

/* --- suppression --- */

static void overlap_is_of_both(void **state)
{
    static const struct find a = {.w = 10, .h = 10}, b = {.x = 5, .w = 10, .h = 10};
    static const struct find c = {.x = 10, .w = 10, .h = 10};
    (void)state;
    assert_near(overlap(&a, &a), 1);
    assert_near(overlap(&a, &b), 1.0 / 3);
    assert_near(overlap(&a, &c), 0);
}

static void of_one_thing_the_best_is_left(void **state)
{
    struct find all[FINDS_MAX] = {
        {.x = 1, .w = 10, .h = 10, .score = 0.5},
        {.x = 0, .w = 10, .h = 10, .score = 0.9},
        {.x = 0, .w = 10, .h = 10, .score = 0.7, .class = 1},
        {.x = 5, .w = 10, .h = 10, .score = 0.6}, /* overlaps by a third */
    };
    struct finds finds = {.all = all, .n = 4};
    (void)state;
    suppress(&finds, 0.45, 64);
    assert_int_equal(finds.n, 3);
    assert_near(all[0].score, 0.9);
    assert_near(all[1].score, 0.7);
    assert_near(all[2].score, 0.6);
    suppress(&finds, 0.3, 64);
    assert_int_equal(finds.n, 2);
    suppress(&finds, 0.3, 1);
    assert_int_equal(finds.n, 1);
    finds.n = 0;
    suppress(&finds, 0.3, 64);
    assert_int_equal(finds.n, 0);
}

static void of_too_many_the_best_are_left(void **state)
{
    const double corners[4] = {0, 40, 10, 50};
    struct finds finds = none();
    (void)state;
    for (size_t i = 0; i < 10 * FINDS_MAX; i++)
        add_find(&finds, &half, &usual, corners, 0.3 + 1e-6 * (double)(i * 7919 % 20480), i);
    assert_true(finds.n <= FINDS_MAX);
    suppress(&finds, 0.45, 64);
    assert_int_equal(finds.n, 64);
    for (size_t i = 0; i < 64; i++)
        assert_near(room[i].score * 1e6, 3e5 + (double)(20479 - i));
}

static void of_equals_the_first_is_first(void **state)
{
    const double corners[4] = {0, 40, 10, 50};
    struct finds finds = none();
    (void)state;
    for (size_t i = 0; i < 100; i++)
        add_find(&finds, &half, &usual, corners, 0.5, i);
    suppress(&finds, 0.45, 64);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(room[i].class, i);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_keeps_its_shape_in_the_middle),
        cmocka_unit_test(without_letterbox_it_is_stretched),
        cmocka_unit_test(there_and_back_is_the_same_place),
        cmocka_unit_test(pixels_lie_centre_upon_centre),
        cmocka_unit_test(a_picture_is_normalised_and_grey_stands_around_it),
        cmocka_unit_test(resizing_is_linear_between_pixels),
        cmocka_unit_test(yolo_is_told_by_its_shape),
        cmocka_unit_test(version_8_has_a_column_for_each_box),
        cmocka_unit_test(version_5_has_a_row_for_each_box_and_multiplies),
        cmocka_unit_test(nonsense_is_left_out),
        cmocka_unit_test(a_box_ends_with_the_frame),
        cmocka_unit_test(other_shapes_are_not_touched),
        cmocka_unit_test(confidence_is_the_least_that_counts),
        cmocka_unit_test(ssd_has_corners_from_0_to_1),
        cmocka_unit_test(ssd_may_have_one_score_a_box),
        cmocka_unit_test(the_background_is_nothing),
        cmocka_unit_test(overlap_is_of_both),
        cmocka_unit_test(of_one_thing_the_best_is_left),
        cmocka_unit_test(of_too_many_the_best_are_left),
        cmocka_unit_test(of_equals_the_first_is_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
