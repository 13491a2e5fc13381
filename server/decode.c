#include "server/decode.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "common/clock.h"

/* Huffman codes have a bit at least, and each block of 64 pixels has a code at least. (Arithmetic
 * coding can do with less for a flat picture; no camera has it.) */
#define PIXELS_PER_BYTE_MAX (64 * 8)

static void drop_decoder(struct decode *d)
{
    if (d->decoder)
        tjDestroy(d->decoder);
    d->decoder = NULL;
}

void decode_deinit(struct decode *d)
{
    drop_decoder(d);
    free(d->pixels);
    *d = (struct decode){0};
}

void decode_begin(struct decode *d, const uint8_t *jpeg, size_t n, uint64_t pixels_max)
{
    *d = (struct decode){.decoder = d->decoder,
                         .pixels = d->pixels,
                         .n_bytes = d->n_bytes,
                         .jpeg = jpeg,
                         .jpeg_bytes = n,
                         .pixels_max = pixels_max ? pixels_max : DECODE_PIXELS_MAX};
}

static int refuse(struct decode *d, const char *why)
{
    d->why = why;
    return -1;
}

static int refuse_broken(struct decode *d)
{
    drop_decoder(d);
    return refuse(d, "it cannot be decoded");
}

static int read_size(struct decode *d)
{
    int w = 0, h = 0, subsampling, colourspace; /* a file of tables alone leaves them as they are */
    if (!d->decoder)
        d->decoder = tjInitDecompress();
    if (!d->decoder)
        return -1;
    if (tjDecompressHeader3(d->decoder, d->jpeg, d->jpeg_bytes, &w, &h, &subsampling,
                            &colourspace) < 0 ||
        w < 1 || h < 1)
        return refuse_broken(d);
    uint64_t n_pixels = (uint64_t)w * (uint64_t)h;
    if (n_pixels > d->pixels_max)
        return refuse(d, "it has more pixels than this server decodes");
    if (n_pixels / PIXELS_PER_BYTE_MAX > d->jpeg_bytes)
        return refuse(d, "it claims more pixels than its bytes can hold");
    d->now.full_width = (unsigned)w;
    d->now.full_height = (unsigned)h;
    return 0;
}

int decode_size(struct decode *d, unsigned *width, unsigned *height)
{
    uint64_t begin_us = clock_now_us();
    int rc = d->now.full_width ? 0 : read_size(d);
    d->spent_us += clock_now_us() - begin_us;
    *width = d->now.full_width;
    *height = d->now.full_height;
    return rc;
}

/* Warnings mean that part of the picture is missing or invented: boxes on garbage are worse
 * than none, so they fail the frame. One is harmless and common: cheap cameras pad between the
 * last block and the EOI. libjpeg keeps the text of the first warning, so nothing hides behind it.
 */
static bool is_only_padding(tjhandle decoder)
{
    return tjGetErrorCode(decoder) == TJERR_WARNING &&
           strstr(tjGetErrorStr2(decoder), "extraneous bytes before marker 0xd9");
}

static bool has_room(struct decode *d, size_t n_bytes)
{
    if (d->n_bytes >= n_bytes)
        return true;
    free(d->pixels);
    d->pixels = malloc(n_bytes);
    d->n_bytes = d->pixels ? n_bytes : 0;
    return d->pixels != NULL;
}

static int make_pixels(struct decode *d, enum decode_format format, unsigned scale)
{
    tjscalingfactor by = {1, (int)scale};
    int w = TJSCALED((int)d->now.full_width, by), h = TJSCALED((int)d->now.full_height, by);
    int pixel_format = format == DECODE_RGB ? TJPF_RGB : TJPF_GRAY;
    d->now.pixels = NULL; /* whatever there was is overwritten or freed */
    if (!has_room(d, (size_t)w * (size_t)h * (format == DECODE_RGB ? 3 : 1)))
        return -1;
    if (tjDecompress2(d->decoder, d->jpeg, d->jpeg_bytes, d->pixels, w, 0, h, pixel_format,
                      TJFLAG_LIMITSCANS) < 0 &&
        !is_only_padding(d->decoder))
        return refuse_broken(d);
    d->now.pixels = d->pixels;
    d->now.width = (unsigned)w;
    d->now.height = (unsigned)h;
    d->format = format;
    d->scale = scale;
    d->n_decoded++;
    return 0;
}

int decode_picture(struct decode *d, enum decode_format format, unsigned scale, struct decoded *out)
{
    unsigned w, h;
    int rc = decode_size(d, &w, &h);
    uint64_t begin_us = clock_now_us();
    if (rc == 0 && !(d->now.pixels && d->format == format && d->scale == scale))
        rc = make_pixels(d, format, scale);
    d->spent_us += clock_now_us() - begin_us;
    *out = d->now;
    return rc;
}
