/* A picture again, smaller: and what cannot be decoded goes on as it is. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <turbojpeg.h>

#include "common/pattern.h"
#include "cli/reencode.h"
#include "common/jpeg.h"

/* The test picture at quality 95. */
/* What the stream makes of it: takes p. */
static struct picture *again(struct reencode *r, struct picture *p, unsigned quality,
                             unsigned halvings)
{
    struct picture *smaller = reencode_picture(r, p, quality, halvings);
    if (!smaller)
        return p;
    picture_free(p);
    return smaller;
}

static struct picture *new_picture(unsigned width, unsigned height, int subsampling)
{
    unsigned char *rgb = malloc((size_t)width * height * 3), *jpeg = NULL;
    unsigned long n = 0;
    tjhandle encoder = tjInitCompress();
    for (unsigned i = 0; i < width * height * 3; i++)
        rgb[i] = (unsigned char)(i * i / 97 + i / 7);
    assert_int_equal(tjCompress2(encoder, rgb, (int)width, 0, (int)height, TJPF_RGB, &jpeg, &n,
                                 subsampling, 95, 0),
                     0);
    struct picture *p = picture_new(jpeg, n, 1234);
    p->index = 7;
    p->captured_wall_s = 5.5;
    tjDestroy(encoder);
    tjFree(jpeg);
    free(rgb);
    return p;
}

static void it_gets_smaller_and_keeps_its_time_and_number(void **state)
{
    static const struct {
        unsigned halvings, width, height;
    } rows[] = {{0, 101, 75}, {1, 51, 38}, {2, 26, 19}};
    static const int samplings[] = {TJSAMP_444, TJSAMP_422, TJSAMP_420, TJSAMP_GRAY, TJSAMP_440};
    struct reencode r = {0};
    (void)state;
    for (size_t k = 0; k < sizeof samplings / sizeof samplings[0]; k++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct picture *p = new_picture(101, 75, samplings[k]);
            size_t before = p->n_bytes;
            struct jpeg_info info;
            p = again(&r, p, 60, rows[i].halvings);
            assert_true(p->n_bytes < before);
            assert_int_equal(jpeg_parse(p->bytes, p->n_bytes, &info), 0);
            assert_int_equal(info.width, rows[i].width);
            assert_int_equal(info.height, rows[i].height);
            assert_int_equal(p->quality, 60);
            assert_int_equal(p->halvings, rows[i].halvings);
            assert_int_equal(p->index, 7);
            assert_int_equal(p->captured_us, 1234);
            assert_true(p->captured_wall_s == 5.5);
            picture_free(p);
        }
    }
    reencode_deinit(&r);
}

static void assert_untouched(struct reencode *r, struct picture *p, unsigned quality,
                             unsigned halvings)
{
    struct picture *same = again(r, p, quality, halvings);
    assert_ptr_equal(same, p);
    assert_int_equal(same->quality, 0);
    assert_int_equal(same->halvings, 0);
    picture_free(same);
}

static void what_is_not_wanted_or_does_not_help_is_left_alone(void **state)
{
    struct reencode r = {0};
    (void)state;
    assert_untouched(&r, new_picture(64, 48, TJSAMP_420), 0, 2);
    assert_untouched(&r, new_picture(64, 48, TJSAMP_420), 100, 0); /* would grow */
    reencode_deinit(&r);
}

/* Whatever is not set afterwards is 1: a plausible side, sampling and colour space. */
__attribute__((noinline)) static void leave_ones_on_the_stack(void)
{
    volatile int ones[2000];
    for (size_t i = 0; i < sizeof ones / sizeof ones[0]; i++)
        ones[i] = 1;
}

static void picture_without_a_size_is_not_given_one(void **state)
{
    static const uint8_t shortest[] = {0xff, 0xd8, 0xff, 0xd9};
    struct reencode r = {0};
    (void)state;
    struct picture *p = picture_new(shortest, sizeof shortest, 1);
    leave_ones_on_the_stack();
    assert_null(reencode_picture(&r, p, 60, 1));
    assert_null(r.planes);
    picture_free(p);
    reencode_deinit(&r);
}

static void what_cannot_be_decoded_is_passed_on(void **state)
{
    struct reencode r = {0};
    (void)state;
    assert_untouched(&r, picture_new("", 0, 1), 60, 1);
    struct picture *cut = new_picture(200, 200, TJSAMP_420);
    cut->n_bytes /= 2;
    assert_untouched(&r, cut, 60, 1);
    struct picture *p = again(&r, new_picture(64, 48, TJSAMP_420), 60, 0);
    assert_int_equal(p->quality, 60); /* and the next good one is not harmed */
    picture_free(p);
    reencode_deinit(&r);
}

static void small_pictures_are_not_halved_to_nothing(void **state)
{
    struct reencode r = {0};
    struct picture *p = again(&r, new_picture(48, 33, TJSAMP_444), 60, 2);
    (void)state;
    assert_int_equal(p->halvings, 1);
    picture_free(p);
    p = again(&r, new_picture(20, 400, TJSAMP_444), 60, 2);
    assert_int_equal(p->halvings, 0);
    picture_free(p);
    reencode_deinit(&r);
}

/* Every byte of a picture wrong once: nothing crashes, and something always comes back. */
static void garbage_does_no_harm(void **state)
{
    struct reencode r = {0};
    struct picture *good = new_picture(40, 40, TJSAMP_420);
    (void)state;
    for (size_t i = 0; i < good->n_bytes; i++) {
        struct picture *p = picture_new(good->bytes, good->n_bytes, 1);
        p->bytes[i] ^= (uint8_t)(1 + i % 255);
        p = again(&r, p, 60, (unsigned)(i % 3));
        assert_non_null(p);
        picture_free(p);
    }
    picture_free(good);
    reencode_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gets_smaller_and_keeps_its_time_and_number),
        cmocka_unit_test(what_is_not_wanted_or_does_not_help_is_left_alone),
        cmocka_unit_test(picture_without_a_size_is_not_given_one),
        cmocka_unit_test(what_cannot_be_decoded_is_passed_on),
        cmocka_unit_test(small_pictures_are_not_halved_to_nothing),
        cmocka_unit_test(garbage_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
