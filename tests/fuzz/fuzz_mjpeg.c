/* Any bytes into the splitter. What must hold whatever they are: each picture has its ends and
 * is within the limit, and how the stream is cut into reads changes nothing.
 *
 * The first two bytes are the limit, whether a boundary is set, and how the reads are cut. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mjpeg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t picture_max;
    size_t n_pictures, n_broken;
    uint64_t sum; /* of everything given, in order */
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void add(struct seen *seen, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        seen->sum = (seen->sum ^ bytes[i]) * 0x100000001b3u;
}

static void see_picture(void *ctx, const uint8_t *bytes, size_t n, bool mended)
{
    struct seen *seen = ctx;
    require(n >= 4 && n <= seen->picture_max);
    require(bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff);
    require(bytes[n - 2] == 0xff && bytes[n - 1] == 0xd9);
    seen->n_pictures++;
    add(seen, (const uint8_t *)(mended ? "~" : "="), 1);
    add(seen, bytes, n);
}

static void see_broken(void *ctx, const char *why)
{
    struct seen *seen = ctx;
    require(!strcmp(why, "truncated") || !strcmp(why, "too large"));
    seen->n_broken++;
    add(seen, (const uint8_t *)why, strlen(why));
}

/* From memory of its own, so that the sanitizer sees a byte too many, or one too late. */
static void feed(struct mjpeg *m, const uint8_t *bytes, size_t n)
{
    uint8_t *copy = malloc(n);
    require(copy != NULL);
    memcpy(copy, bytes, n);
    mjpeg_feed(m, copy, n);
    free(copy);
}

/* read_max 0: all at once. */
static struct seen split(uint8_t setting, const uint8_t *p, size_t n, size_t read_max)
{
    struct seen seen = {.picture_max = (size_t)16 << (setting & 15)};
    struct mjpeg_sink sink = {&seen, see_picture, see_broken};
    struct mjpeg *m = mjpeg_new(seen.picture_max, &sink);
    uint32_t noise = (uint32_t)read_max;
    require(m != NULL);
    if (setting & 16)
        mjpeg_set_boundary(m, "b0und");
    for (size_t at = 0, most; at < n; at += most) {
        noise = noise * 1664525u + 1013904223u;
        most = read_max ? 1 + (noise >> 8) % read_max : n;
        most = most < n - at ? most : n - at;
        feed(m, p + at, most);
    }
    mjpeg_end(m);
    mjpeg_free(m);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct seen whole = split(data[0], data + 2, size - 2, 0);
    struct seen cut = split(data[0], data + 2, size - 2, 1 + (size_t)data[1]);
    require(whole.n_pictures == cut.n_pictures);
    require(whole.n_broken == cut.n_broken);
    require(whole.sum == cut.sum);
    return 0;
}
