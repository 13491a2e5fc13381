/* Boxes, corners and labels on a picture's pixels: these and no others. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "cli/annotate.h"
#include "common/glyph.h"
#include "common/jpeg.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define GREY     0x64

/* Exactly as large as it has to be, so that a sanitizer sees every pixel beside it. */
static struct canvas canvas_of(unsigned width, unsigned height)
{
    struct canvas c = {malloc((size_t)width * height * 3), width, height};
    memset(c.rgb, GREY, (size_t)width * height * 3);
    return c;
}

/* 'g' green, 'b' black, '.' untouched. */
static char pixel(const struct canvas *c, unsigned x, unsigned y)
{
    static const struct {
        uint8_t rgb[3];
        char name;
    } known[] = {{{0, 255, 0}, 'g'}, {{0, 0, 0}, 'b'}, {{GREY, GREY, GREY}, '.'}};
    const uint8_t *at = c->rgb + ((size_t)y * c->width + x) * 3;
    for (size_t i = 0; i < N(known); i++)
        if (memcmp(at, known[i].rgb, 3) == 0)
            return known[i].name;
    fail_msg("%u, %u, %u at %u, %u", at[0], at[1], at[2], x, y);
    return 0;
}

static size_t count(const struct canvas *c, char what)
{
    size_t n = 0;
    for (unsigned y = 0; y < c->height; y++)
        for (unsigned x = 0; x < c->width; x++)
            n += pixel(c, x, y) == what;
    return n;
}

static struct detections one(double x, double y, double width, double height, const char *label)
{
    struct detections found = {.n = 1};
    found.item[0].box = (struct blocks_box){x, y, width, height, (double)NAN, ""};
    snprintf(found.item[0].box.label, sizeof found.item[0].box.label, "%s", label);
    return found;
}

static void a_box_has_its_lines_just_inside_and_nothing_else(void **state)
{
    static const struct {
        unsigned width, height, pen;
    } sizes[] = {{160, 120, 1}, {640, 480, 2}, {1280, 1000, 3}};
    const unsigned left = 40, top = 30, width = 50, height = 40;
    (void)state;
    for (size_t i = 0; i < N(sizes); i++) {
        struct canvas c = canvas_of(sizes[i].width, sizes[i].height);
        unsigned pen = sizes[i].pen;
        struct detections found = one(left, top, width, height, "");
        assert_int_equal(annotate_line_width(c.width, c.height), pen);
        annotate_draw(&c, &found);
        for (unsigned y = 0; y < c.height; y++)
            for (unsigned x = 0; x < c.width; x++) {
                bool in = x >= left && x < left + width && y >= top && y < top + height;
                bool deep = x >= left + pen && x < left + width - pen && y >= top + pen &&
                            y < top + height - pen;
                assert_int_equal(pixel(&c, x, y), in && !deep ? 'g' : '.');
            }
        free(c.rgb);
    }
}

static void boxes_are_cut_to_the_picture(void **state)
{
    static const struct {
        double x, y, width, height;
        size_t n_green;
    } rows[] = {
        {-5, -5, 1000, 1000, 2 * 32 + 2 * 22}, /* its edge */
        {-1e300, -1e300, 2e300, 2e300, 2 * 32 + 2 * 22},
        {30, 20, 50, 50, 8},
        {31.5, 23.5, 0.1, 0.1, 1},
        {32, 5, 5, 5, 0},
        {-5, 5, 5, 5, 0},
        {5, 5, 0, 5, 0},
        {5, 5, -3, 5, 0},
        {NAN, 5, 5, 5, 0},
        {5, 5, NAN, 5, 0},
        {-INFINITY, 5, INFINITY, 5, 0},
        {5, 5, INFINITY, 3, 27 + 27 + 2},
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        struct canvas c = canvas_of(32, 24);
        struct detections found = one(rows[i].x, rows[i].y, rows[i].width, rows[i].height, "");
        annotate_draw(&c, &found);
        assert_int_equal(count(&c, 'g'), rows[i].n_green);
        free(c.rgb);
    }
}

static void corners_are_drawn_instead_of_the_box(void **state)
{
    static const unsigned on[][2] = {{50, 10}, {90, 50}, {50, 90}, {10, 50},
                                     {70, 30}, {70, 70}, {30, 70}, {30, 30}};
    static const unsigned off[][2] = {{10, 10}, {90, 10}, {90, 90}, {10, 90}, {50, 50}};
    struct canvas c = canvas_of(100, 100);
    struct detections found = one(10, 10, 81, 81, "");
    (void)state;
    found.item[0].has_corners = true;
    for (unsigned i = 0; i < 8; i++)
        found.item[0].corner[i / 2][i % 2] = on[i / 2][i % 2] + 0.5;
    annotate_draw(&c, &found);
    for (size_t i = 0; i < N(on); i++)
        assert_int_equal(pixel(&c, on[i][0], on[i][1]), 'g');
    for (size_t i = 0; i < N(off); i++)
        assert_int_equal(pixel(&c, off[i][0], off[i][1]), '.');
    assert_int_equal(count(&c, 'g'), 4 * 40);
    free(c.rgb);
}

static void corners_far_outside_are_not_followed(void **state)
{
    static const double outside[] = {-101, 201, 1e300, -1e300};
    (void)state;
    for (size_t i = 0; i < N(outside); i++) {
        struct canvas c = canvas_of(100, 100);
        struct detections found = one(10, 10, 20, 20, "");
        found.item[0].has_corners = true;
        found.item[0].corner[2][1] = outside[i];
        annotate_draw(&c, &found);
        assert_int_equal(count(&c, 'g'), 4 * 19); /* the box */
        free(c.rgb);
    }
}

static size_t dots_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += (size_t)__builtin_popcount(glyph_dots(*text));
    return n;
}

/* A letter is 3 x 5 dots and its plate 7 high: n letters are 4n + 1 wide. */
static void a_label_stands_above_or_inside_and_in_the_picture(void **state)
{
    static const struct {
        double x, y;
        const char *label;
        unsigned left, top, width; /* of the plate */
    } rows[] = {
        {20, 30, "cat", 20, 23, 13},   {20, 7, "cat", 20, 0, 13},
        {20, 6, "cat", 20, 6, 13}, /* no room above */
        {90, 30, "cat", 87, 23, 13},   {20, 30, "abcdefghijklmnopqrstuvw", 7, 23, 93},
        {20, 30, "\n\xff", 20, 23, 9}, /* shown as ?? */
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        struct canvas c = canvas_of(100, 60);
        struct detections found = one(rows[i].x, rows[i].y, 8, 10, rows[i].label);
        annotate_draw(&c, &found);
        size_t n_black = 0;
        for (unsigned y = rows[i].top; y < rows[i].top + 7; y++)
            for (unsigned x = rows[i].left; x < rows[i].left + rows[i].width; x++) {
                assert_int_not_equal(pixel(&c, x, y), '.');
                n_black += pixel(&c, x, y) == 'b';
            }
        size_t n_dots = i == N(rows) - 1 ? dots_of("??") : dots_of(rows[i].label);
        assert_int_equal(n_black, n_dots);
        assert_int_equal(count(&c, 'b'), n_dots);
        free(c.rgb);
    }
}

static void a_label_too_long_for_the_picture_is_cut(void **state)
{
    struct canvas c = canvas_of(20, 16);
    struct detections found = one(5, 8, 8, 8, "abcdefghijklmnopqrstuvw");
    (void)state;
    found.item[0].box.score = 0.25;
    annotate_draw(&c, &found);
    for (unsigned x = 0; x < c.width; x++)
        assert_int_equal(pixel(&c, x, 1), 'g');
    assert_true(count(&c, 'b') > 0);
    free(c.rgb);
}

static void capital_and_small_letters_look_the_same_and_all_different(void **state)
{
    (void)state;
    for (char c = 'A'; c <= 'Z'; c++) {
        assert_int_equal(glyph_dots(c), glyph_dots((char)(c - 'A' + 'a')));
        for (char d = '0'; d < c; d++)
            assert_int_not_equal(glyph_dots(c), glyph_dots(d));
    }
    assert_int_equal(glyph_dots('~'), glyph_dots('?'));
    assert_int_equal(glyph_dots('\xe4'), glyph_dots('?'));
    assert_int_equal(glyph_dots(' '), 0);
}

static struct picture *new_jpeg(unsigned width, unsigned height)
{
    struct canvas c = canvas_of(width, height);
    unsigned char *jpeg = NULL;
    unsigned long n = 0;
    tjhandle encoder = tjInitCompress();
    assert_int_equal(tjCompress2(encoder, c.rgb, (int)width, 0, (int)height, TJPF_RGB, &jpeg, &n,
                                 TJSAMP_420, 80, 0),
                     0);
    struct picture *p = picture_new(jpeg, n, 1234);
    p->index = 7;
    tjDestroy(encoder);
    tjFree(jpeg);
    free(c.rgb);
    return p;
}

static void the_new_picture_has_its_size_its_time_and_all_colour(void **state)
{
    struct picture *p = new_jpeg(101, 75);
    struct detections found = one(10, 10, 20, 20, "cat");
    struct jpeg_info info;
    const char *why;
    (void)state;
    struct picture *drawn = annotate_picture(p, &found, &why);
    assert_non_null(drawn);
    assert_int_equal(jpeg_parse(drawn->bytes, drawn->n_bytes, &info), 0);
    assert_int_equal(info.width, 101);
    assert_int_equal(info.height, 75);
    assert_string_equal(jpeg_subsampling(&info), "4:4:4");
    assert_int_equal(drawn->captured_us, 1234);
    assert_int_equal(drawn->index, 7);
    picture_free(drawn);
    picture_free(p);
}

static void what_cannot_be_decoded_is_told(void **state)
{
    static const uint8_t huge[] = {0xff, 0xd8, 0xff, 0xc0, 0,    11, 8,    0xff, 0xff,
                                   0xff, 0xff, 1,    1,    0x11, 0,  0xff, 0xda, 0,
                                   8,    1,    1,    0,    0,    63, 0,    0xff, 0xd9};
    static const struct {
        const void *bytes;
        size_t n;
    } rows[] = {{"\xff\xd8\xff\xd9", 4}, {"", 0}, {huge, sizeof huge}};
    struct detections found = one(10, 10, 20, 20, "cat");
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        struct picture *p = picture_new(rows[i].bytes, rows[i].n, 0);
        const char *why = "";
        assert_null(annotate_picture(p, &found, &why));
        assert_non_null(strstr(why, "decoded"));
        picture_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_box_has_its_lines_just_inside_and_nothing_else),
        cmocka_unit_test(boxes_are_cut_to_the_picture),
        cmocka_unit_test(corners_are_drawn_instead_of_the_box),
        cmocka_unit_test(corners_far_outside_are_not_followed),
        cmocka_unit_test(a_label_stands_above_or_inside_and_in_the_picture),
        cmocka_unit_test(a_label_too_long_for_the_picture_is_cut),
        cmocka_unit_test(capital_and_small_letters_look_the_same_and_all_different),
        cmocka_unit_test(the_new_picture_has_its_size_its_time_and_all_colour),
        cmocka_unit_test(what_cannot_be_decoded_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
