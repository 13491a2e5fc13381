/* Raw pixels to JPEG: every format shows the same picture, and bytes that are too few are none. */
#include "cli/raw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <linux/videodev2.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "cli/encode.h"

#define WIDTH  64
#define HEIGHT 48
#define N(a)   (sizeof(a) / sizeof(a)[0])

/* The picture: left half one colour, right half another; as full-range Y, Cb, Cr. */
static const uint8_t left[3] = {90, 110, 150}, right[3] = {200, 140, 110};

static const uint8_t *colour_at(unsigned x)
{
    return x < WIDTH / 2 ? left : right;
}

static uint8_t limited(uint8_t v, bool chroma)
{
    double f = chroma ? 128 + (v - 128) * 224.0 / 255 : 16 + v * 219.0 / 255;
    return (uint8_t)(f + 0.5);
}

static uint8_t sample(unsigned x, int channel, bool full)
{
    uint8_t v = colour_at(x)[channel];
    return full ? v : limited(v, channel > 0);
}

/* Fills `bytes` as a camera with `stride` would. Gives how many bytes there are. */
static size_t fill(uint32_t fourcc, bool full, unsigned pad, uint8_t *bytes)
{
    static const struct {
        uint32_t fourcc;
        const char *group; /* packed 4:2:2 */
    } packed[] = {{V4L2_PIX_FMT_YUYV, "YUYV"},
                  {V4L2_PIX_FMT_UYVY, "UYVY"},
                  {V4L2_PIX_FMT_YVYU, "YVYU"},
                  {V4L2_PIX_FMT_VYUY, "VYUY"}};
    for (size_t k = 0; k < N(packed); k++) {
        if (packed[k].fourcc != fourcc)
            continue;
        size_t stride = 2 * WIDTH + pad;
        for (unsigned y = 0; y < HEIGHT; y++)
            for (unsigned x = 0; x < WIDTH * 2; x++) {
                char c = packed[k].group[x % 4];
                bytes[y * stride + x] = sample(x / 2, c == 'Y' ? 0 : c == 'U' ? 1 : 2, full);
            }
        return stride * HEIGHT;
    }
    size_t stride = WIDTH + pad, used = stride * HEIGHT;
    bool semi = fourcc == V4L2_PIX_FMT_NV12 || fourcc == V4L2_PIX_FMT_NV21;
    bool swapped = fourcc == V4L2_PIX_FMT_NV21 || fourcc == V4L2_PIX_FMT_YVU420;
    for (unsigned y = 0; y < HEIGHT; y++)
        for (unsigned x = 0; x < WIDTH; x++)
            bytes[y * stride + x] = sample(x, 0, full);
    if (fourcc == V4L2_PIX_FMT_GREY)
        return used;
    for (unsigned plane = 0; plane < 2; plane++)
        for (unsigned y = 0; y < HEIGHT / 2; y++)
            for (unsigned x = 0; x < WIDTH / 2; x++) {
                size_t at = semi
                                ? used + y * stride + 2 * x + plane
                                : used + plane * (stride / 2) * (HEIGHT / 2) + y * (stride / 2) + x;
                bytes[at] = sample(2 * x, swapped ? 2 - (int)plane : 1 + (int)plane, full);
            }
    return used + stride * HEIGHT / 2;
}

static void expect_near(int a, int b)
{
    assert_in_range(a - b + 100, 96, 104);
}

/* Decodes to YUV planes and looks at a pixel in each half. */
static void check_jpeg(const struct picture *p, int width, int height, int subsampling)
{
    int w, h, samp, cs;
    tjhandle d = tjInitDecompress();
    assert_int_equal(tjDecompressHeader3(d, p->bytes, p->n_bytes, &w, &h, &samp, &cs), 0);
    assert_int_equal(w, width);
    assert_int_equal(h, height);
    assert_int_equal(samp, subsampling);
    uint8_t *out = malloc(tjBufSizeYUV2(w, 1, h, samp));
    assert_int_equal(tjDecompressToYUV2(d, p->bytes, p->n_bytes, out, w, 1, h, 0), 0);
    size_t at = 0;
    for (int c = 0; c < (samp == TJSAMP_GRAY ? 1 : 3); c++) {
        int pw = tjPlaneWidth(c, w, samp), ph = tjPlaneHeight(c, h, samp);
        expect_near(out[at + (size_t)(ph / 2 * pw + pw / 4)], left[c]);
        expect_near(out[at + (size_t)(ph / 2 * pw + pw * 3 / 4)], right[c]);
        at += (size_t)pw * (size_t)ph;
    }
    free(out);
    tjDestroy(d);
}

static void check_format(uint32_t fourcc, int subsampling, bool full, unsigned pad)
{
    static uint8_t bytes[4 * (WIDTH + 64) * HEIGHT];
    struct encode encode = {0};
    struct picture p = {.index = 3, .captured_us = 99};
    bool packed = subsampling == TJSAMP_422;
    struct raw_memory m = {.fourcc = fourcc,
                           .width = WIDTH,
                           .height = HEIGHT,
                           .full_range = full,
                           .n = 1,
                           .at = {bytes},
                           .stride = {(packed ? 2u : 1u) * WIDTH + pad}};
    m.n_bytes[0] = fill(fourcc, full, pad, bytes);
    for (unsigned halvings = 0; halvings < 2; halvings++) {
        assert_true(raw_lay_out(&p.raw, &m));
        struct picture *made = encode_picture(&encode, &p, 95, halvings, NULL);
        assert_non_null(made);
        check_jpeg(made, WIDTH >> halvings, HEIGHT >> halvings, subsampling);
        assert_int_equal(made->index, 3);
        assert_int_equal(made->captured_us, 99);
        assert_int_equal(made->halvings, halvings);
        picture_free(made);
    }
    m.n_bytes[0] -= pad + 1;
    assert_false(raw_lay_out(&p.raw, &m));
    encode_deinit(&encode);
}

static void every_format_shows_the_same_picture(void **state)
{
    static const struct {
        uint32_t fourcc;
        int subsampling;
    } rows[] = {{V4L2_PIX_FMT_YUYV, TJSAMP_422},   {V4L2_PIX_FMT_UYVY, TJSAMP_422},
                {V4L2_PIX_FMT_YVYU, TJSAMP_422},   {V4L2_PIX_FMT_VYUY, TJSAMP_422},
                {V4L2_PIX_FMT_NV12, TJSAMP_420},   {V4L2_PIX_FMT_NV21, TJSAMP_420},
                {V4L2_PIX_FMT_YUV420, TJSAMP_420}, {V4L2_PIX_FMT_YVU420, TJSAMP_420},
                {V4L2_PIX_FMT_GREY, TJSAMP_GRAY}};
    (void)state;
    for (size_t i = 0; i < N(rows); i++)
        for (unsigned pad = 0; pad <= 32; pad += 32) {
            check_format(rows[i].fourcc, rows[i].subsampling, false, pad);
            check_format(rows[i].fourcc, rows[i].subsampling, true, pad);
        }
}

static void rgb_is_converted_by_the_library(void **state)
{
    static uint8_t bytes[3 * WIDTH * HEIGHT];
    struct encode encode = {0};
    (void)state;
    for (int swapped = 0; swapped < 2; swapped++) {
        struct picture p = {.index = 0};
        struct raw_memory m = {.fourcc = swapped ? V4L2_PIX_FMT_BGR24 : V4L2_PIX_FMT_RGB24,
                               .width = WIDTH,
                               .height = HEIGHT,
                               .n = 1,
                               .at = {bytes},
                               .n_bytes = {sizeof bytes}};
        for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
            for (unsigned c = 0; c < 3; c++) { /* BT.601 of T.871 */
                const uint8_t *k = colour_at(i % WIDTH);
                double rgb[3] = {k[0] + 1.402 * (k[2] - 128),
                                 k[0] - 0.344136 * (k[1] - 128) - 0.714136 * (k[2] - 128),
                                 k[0] + 1.772 * (k[1] - 128)};
                double v = rgb[swapped ? 2 - c : c];
                bytes[3 * i + c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
            }
        assert_true(raw_lay_out(&p.raw, &m));
        struct picture *made = encode_picture(&encode, &p, 95, 0, NULL);
        assert_non_null(made);
        check_jpeg(made, WIDTH, HEIGHT, TJSAMP_420);
        picture_free(made);
    }
    encode_deinit(&encode);
}

static void planes_in_memories_of_their_own(void **state)
{
    static uint8_t bytes[2 * WIDTH * HEIGHT];
    struct encode encode = {0};
    struct picture p = {.index = 0};
    (void)state;
    fill(V4L2_PIX_FMT_NV12, true, 0, bytes);
    struct raw_memory m = {.fourcc = V4L2_PIX_FMT_NV12M,
                           .width = WIDTH,
                           .height = HEIGHT,
                           .full_range = true,
                           .n = 2,
                           .at = {bytes, bytes + WIDTH * HEIGHT},
                           .n_bytes = {WIDTH * HEIGHT, WIDTH * HEIGHT / 2},
                           .stride = {WIDTH, WIDTH}};
    assert_true(raw_lay_out(&p.raw, &m));
    struct picture *made = encode_picture(&encode, &p, 95, 0, NULL);
    check_jpeg(made, WIDTH, HEIGHT, TJSAMP_420);
    picture_free(made);
    m.n_bytes[1]--;
    assert_false(raw_lay_out(&p.raw, &m));
    encode_deinit(&encode);
}

static void odd_sizes_and_unknown_formats(void **state)
{
    struct encode encode = {0};
    struct picture p = {.index = 0};
    uint8_t bytes[3 * 33 * 17];
    (void)state;
    memset(bytes, 128, sizeof bytes);
    static const uint32_t formats[] = {V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_YUYV,
                                       V4L2_PIX_FMT_GREY, V4L2_PIX_FMT_RGB24};
    for (size_t i = 0; i < N(formats); i++)
        for (unsigned w = 1; w <= 33; w += 8)
            for (unsigned h = 1; h <= 17; h += 8) {
                struct raw_memory m = {.fourcc = formats[i],
                                       .width = w,
                                       .height = h,
                                       .n = 1,
                                       .at = {bytes},
                                       .n_bytes = {sizeof bytes}};
                assert_true(raw_lay_out(&p.raw, &m));
                struct picture *made = encode_picture(&encode, &p, 0, 1, NULL);
                assert_non_null(made);
                assert_int_equal(made->quality, ENCODE_QUALITY);
                picture_free(made);
            }
    struct raw_memory strange = {.fourcc = V4L2_PIX_FMT_SBGGR8,
                                 .width = 4,
                                 .height = 4,
                                 .n = 1,
                                 .at = {bytes},
                                 .n_bytes = {sizeof bytes}};
    assert_false(raw_lay_out(&p.raw, &strange));
    assert_true(raw_cost(V4L2_PIX_FMT_SBGGR8) == 0.0);
    encode_deinit(&encode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_shows_the_same_picture),
        cmocka_unit_test(rgb_is_converted_by_the_library),
        cmocka_unit_test(planes_in_memories_of_their_own),
        cmocka_unit_test(odd_sizes_and_unknown_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
