#include "server/decode.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

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

int decode_size(struct decode *d, const uint8_t *jpeg, size_t n, unsigned *width, unsigned *height)
{
    int w, h, subsampling, colourspace;
    if (!d->decoder)
        d->decoder = tjInitDecompress();
    if (!d->decoder)
        return -1;
    if (tjDecompressHeader3(d->decoder, jpeg, n, &w, &h, &subsampling, &colourspace) < 0) {
        drop_decoder(d);
        return -1;
    }
    if (w < 1 || h < 1 || (uint64_t)w * (uint64_t)h > DECODE_PIXELS_MAX)
        return -1;
    *width = (unsigned)w;
    *height = (unsigned)h;
    return 0;
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

int decode_picture(struct decode *d, const uint8_t *jpeg, size_t n, enum decode_format format,
                   unsigned scale, struct decoded *out)
{
    tjscalingfactor by = {1, (int)scale};
    if (decode_size(d, jpeg, n, &out->full_width, &out->full_height) < 0)
        return -1;
    int w = TJSCALED((int)out->full_width, by), h = TJSCALED((int)out->full_height, by);
    if (!has_room(d, (size_t)w * (size_t)h * (format == DECODE_RGB ? 3 : 1)))
        return -1;
    int pixel_format = format == DECODE_RGB ? TJPF_RGB : TJPF_GRAY;
    if (tjDecompress2(d->decoder, jpeg, n, d->pixels, w, 0, h, pixel_format, TJFLAG_LIMITSCANS) <
            0 &&
        !is_only_padding(d->decoder)) {
        drop_decoder(d);
        return -1;
    }
    out->pixels = d->pixels;
    out->width = (unsigned)w;
    out->height = (unsigned)h;
    return 0;
}
