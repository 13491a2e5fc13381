/* A frame's pixels: made once for all who want them alike, never for a size that makes no sense. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "server/decode.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define WIDTH    72
#define HEIGHT   48

struct jpeg {
    unsigned char *bytes;
    unsigned long n;
};

/* A picture of slopes, or with flags of the encoder and `flat` the smallest file of its size. */
static struct jpeg make_jpeg(unsigned w, unsigned h, bool flat, int flags)
{
    struct jpeg j = {0};
    uint8_t *rgb = calloc((size_t)w * h, 3);
    tjhandle encoder = tjInitCompress();
    for (size_t i = 0; !flat && i < (size_t)w * h * 3; i++)
        rgb[i] = (uint8_t)(i / 5 + i % 3 * 60);
    assert_int_equal(tjCompress2(encoder, rgb, (int)w, 0, (int)h, TJPF_RGB, &j.bytes, &j.n,
                                 flat ? TJSAMP_GRAY : TJSAMP_420, 85, flags),
                     0);
    tjDestroy(encoder);
    free(rgb);
    return j;
}

/* What its header claims. */
static void claim(struct jpeg *j, unsigned w, unsigned h)
{
    for (unsigned long i = 0; i + 9 < j->n; i++)
        if (j->bytes[i] == 0xff && j->bytes[i + 1] == 0xc0) {
            uint8_t size[] = {(uint8_t)(h >> 8), (uint8_t)h, (uint8_t)(w >> 8), (uint8_t)w};
            memcpy(j->bytes + i + 5, size, sizeof size);
            return;
        }
    fail_msg("no SOF0");
}

static void who_wants_the_same_gets_the_same(void **state)
{
    (void)state;
    struct jpeg j = make_jpeg(WIDTH, HEIGHT, false, 0);
    struct decode d = {0};
    struct decoded a, b;
    unsigned w, h;
    decode_begin(&d, j.bytes, j.n, 0);
    assert_int_equal(decode_size(&d, &w, &h), 0);
    assert_true(w == WIDTH && h == HEIGHT && d.n_decoded == 0 && !d.pixels);
    assert_int_equal(decode_picture(&d, DECODE_GREY, 2, &a), 0);
    assert_int_equal(decode_picture(&d, DECODE_GREY, 2, &b), 0);
    assert_int_equal(d.n_decoded, 1);
    assert_true(a.pixels && a.pixels == b.pixels);
    assert_true(b.width == WIDTH / 2 && b.height == HEIGHT / 2);
    assert_true(b.full_width == WIDTH && b.full_height == HEIGHT);
    decode_deinit(&d);
    tjFree(j.bytes);
}

/* What a decoder makes that has never seen anything else. */
static void assert_fresh(const struct jpeg *j, const struct decoded *got, enum decode_format format,
                         unsigned scale)
{
    struct decode d = {0};
    struct decoded want;
    decode_begin(&d, j->bytes, j->n, 0);
    assert_int_equal(decode_picture(&d, format, scale, &want), 0);
    assert_true(got->width == want.width && got->height == want.height);
    assert_memory_equal(got->pixels, want.pixels,
                        (size_t)want.width * want.height * (format == DECODE_RGB ? 3 : 1));
    decode_deinit(&d);
}

static void who_wants_something_else_gets_that(void **state)
{
    (void)state;
    static const struct {
        enum decode_format format;
        unsigned scale;
    } rows[] = {{DECODE_GREY, 2}, {DECODE_GREY, 1}, {DECODE_RGB, 1}, {DECODE_RGB, 8},
                {DECODE_GREY, 8}, {DECODE_GREY, 2}, {DECODE_RGB, 2}, {DECODE_GREY, 2}};
    struct jpeg j = make_jpeg(WIDTH + 3, HEIGHT + 1, false, 0);
    struct decode d = {0};
    decode_begin(&d, j.bytes, j.n, 0);
    for (size_t i = 0; i < N(rows); i++) {
        struct decoded got;
        assert_int_equal(decode_picture(&d, rows[i].format, rows[i].scale, &got), 0);
        assert_int_equal(d.n_decoded, i + 1);
        assert_fresh(&j, &got, rows[i].format, rows[i].scale);
    }
    decode_deinit(&d);
    tjFree(j.bytes);
}

/* Buffers come again: a frame is not known by its address. */
static void another_frame_is_decoded_anew(void **state)
{
    (void)state;
    struct jpeg one = make_jpeg(WIDTH, HEIGHT, false, 0), two = make_jpeg(WIDTH, HEIGHT, true, 0);
    struct decode d = {0};
    struct decoded got;
    decode_begin(&d, one.bytes, one.n, 0);
    assert_int_equal(decode_picture(&d, DECODE_GREY, 1, &got), 0);
    assert_true(two.n < one.n);
    memcpy(one.bytes, two.bytes, two.n);
    decode_begin(&d, one.bytes, two.n, 0);
    assert_true(d.n_decoded == 0 && d.spent_us == 0);
    assert_int_equal(decode_picture(&d, DECODE_GREY, 1, &got), 0);
    assert_int_equal(d.n_decoded, 1);
    assert_fresh(&two, &got, DECODE_GREY, 1);
    decode_deinit(&d);
    tjFree(one.bytes);
    tjFree(two.bytes);
}

static void a_bad_frame_says_why_and_is_forgotten(void **state)
{
    (void)state;
    static const uint8_t bad[] = {0xff, 0xd8, 0xff, 0xd9};
    struct jpeg j = make_jpeg(WIDTH, HEIGHT, false, 0);
    struct decode d = {0};
    struct decoded got;
    for (int i = 0; i < 2; i++) {
        decode_begin(&d, j.bytes, j.n, 0);
        assert_int_equal(decode_picture(&d, DECODE_RGB, 1, &got), 0);
        assert_null(d.why);
        decode_begin(&d, bad, sizeof bad, 0);
        assert_int_equal(decode_picture(&d, DECODE_RGB, 1, &got), -1);
        assert_string_equal(d.why, "it cannot be decoded");
        decode_begin(&d, j.bytes, j.n / 2, 0);
        assert_int_equal(decode_picture(&d, DECODE_RGB, 1, &got), -1);
        assert_string_equal(d.why, "it cannot be decoded");
    }
    decode_deinit(&d);
    tjFree(j.bytes);
}

static void too_many_pixels_are_refused_before_there_is_memory_for_them(void **state)
{
    (void)state;
    static const struct {
        unsigned w, h;
        uint64_t pixels_max;
        const char *why;
    } rows[] = {{WIDTH, HEIGHT, WIDTH * HEIGHT, NULL},
                {WIDTH, HEIGHT, WIDTH * HEIGHT - 1, "more pixels than this server decodes"},
                {65500, 65500, 0, "more pixels than this server decodes"},
                {8000, 8000, 0, "more pixels than its bytes can hold"}, /* 64 million are not */
                {8001, 8000, 0, "more pixels than this server decodes"},
                {2000, 1000, 0, "more pixels than its bytes can hold"}};
    struct jpeg j = make_jpeg(WIDTH, HEIGHT, false, 0);
    assert_true(j.n < 2000 * 1000 / 512);
    for (size_t i = 0; i < N(rows); i++) {
        struct decode d = {0};
        struct decoded got;
        claim(&j, rows[i].w, rows[i].h);
        decode_begin(&d, j.bytes, j.n, rows[i].pixels_max);
        assert_int_equal(decode_picture(&d, DECODE_GREY, 8, &got), rows[i].why ? -1 : 0);
        if (rows[i].why)
            assert_true(strstr(d.why, rows[i].why) && !d.pixels && d.n_decoded == 0);
        decode_deinit(&d);
    }
    tjFree(j.bytes);
}

/* Three bits for each block are all that is in there. */
static void the_smallest_file_of_its_size_is_decoded(void **state)
{
    (void)state;
    struct jpeg j = make_jpeg(4096, 4096, true, TJFLAG_PROGRESSIVE);
    struct decode d = {0};
    struct decoded got;
    assert_true(4096 * 4096 / j.n > 150);
    decode_begin(&d, j.bytes, j.n, 0);
    assert_int_equal(decode_picture(&d, DECODE_GREY, 8, &got), 0);
    decode_deinit(&d);
    tjFree(j.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_wants_the_same_gets_the_same),
        cmocka_unit_test(who_wants_something_else_gets_that),
        cmocka_unit_test(another_frame_is_decoded_anew),
        cmocka_unit_test(a_bad_frame_says_why_and_is_forgotten),
        cmocka_unit_test(too_many_pixels_are_refused_before_there_is_memory_for_them),
        cmocka_unit_test(the_smallest_file_of_its_size_is_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
