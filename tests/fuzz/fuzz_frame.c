/* What a camera may hand over: any bytes as a JPEG with padding and perhaps without tables, and as
 * raw pixels of any shape that they may not be enough for. */

#include <linux/videodev2.h>
#include <stdlib.h>
#include <string.h>

#include "cli/encode.h"
#include "cli/raw.h"
#include "cli/v4l2/frame_check.h"
#include "common/jpeg.h"
#include "common/jpeg_tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_jpeg(const uint8_t *data, size_t size)
{
    size_t n = 0;
    if (frame_check_jpeg(data, size, &n) != FRAME_WHOLE)
        return;
    must(n >= 4 && n <= size);
    must(jpeg_check(data, n) == JPEG_ENDS_OK);
    if (!jpeg_tables_are_missing(data, n))
        return;
    uint8_t *more = malloc(n + JPEG_TABLES_BYTES);
    must(more != NULL);
    memcpy(more, data, n);
    must(jpeg_tables_add(more, n) == n + JPEG_TABLES_BYTES);
    must(!jpeg_tables_are_missing(more, n + JPEG_TABLES_BYTES));
    must(jpeg_check(more, n + JPEG_TABLES_BYTES) == JPEG_ENDS_OK);
    free(more);
}

/* The first bytes say the shape, the rest are the pixels: exactly so many, so that a read behind
 * them is seen. */
static void check_raw(const uint8_t *data, size_t size)
{
    static const uint32_t formats[] = {
        V4L2_PIX_FMT_YUYV,  V4L2_PIX_FMT_UYVY,  V4L2_PIX_FMT_YVYU,   V4L2_PIX_FMT_VYUY,
        V4L2_PIX_FMT_NV12,  V4L2_PIX_FMT_NV21,  V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YVU420,
        V4L2_PIX_FMT_RGB24, V4L2_PIX_FMT_BGR24, V4L2_PIX_FMT_GREY,   V4L2_PIX_FMT_NV12M};
    static struct encode encode; /* kept, as the program keeps it */
    struct picture p = {.index = 0};
    if (size < 6)
        return;
    struct raw_memory m = {.fourcc = formats[data[0] % (sizeof formats / sizeof formats[0])],
                           .width = data[1],
                           .height = data[2],
                           .full_range = data[3] & 1,
                           .n = 1 + (data[3] >> 1 & 1),
                           .stride = {data[4], data[4]}};
    size_t first = m.n == 2 ? (size - 6) / 2 : size - 6;
    uint8_t *pixels = malloc(size - 6);
    must(pixels != NULL || size == 6);
    if (size > 6)
        memcpy(pixels, data + 6, size - 6);
    m.at[0] = pixels;
    m.n_bytes[0] = first;
    m.at[1] = pixels ? pixels + first : NULL;
    m.n_bytes[1] = size - 6 - first;
    if (pixels && raw_lay_out(&p.raw, &m))
        picture_free(encode_picture(&encode, &p, data[5] % 101, data[3] >> 6, NULL));
    free(pixels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_jpeg(data, size);
    check_raw(data, size);
    return 0;
}
