#include "cli/encode.h"

#include <turbojpeg.h>

void encode_deinit(struct encode *c)
{
    if (c->encoder)
        tjDestroy(c->encoder);
    tjFree(c->jpeg);
    raw_scratch_deinit(&c->scratch);
    *c = (struct encode){0};
}

/* Room for the largest JPEG these planes can give. */
static bool has_room(struct encode *c, const struct raw_planes *p)
{
    size_t n_bytes = tjBufSize(p->width, p->height, p->subsampling);
    if (c->jpeg_bytes >= n_bytes)
        return true;
    tjFree(c->jpeg);
    c->jpeg = tjAlloc((int)n_bytes);
    c->jpeg_bytes = c->jpeg ? n_bytes : 0;
    return c->jpeg != NULL;
}

struct picture *encode_picture(struct encode *c, const struct picture *p, unsigned quality,
                               unsigned halvings, const char **why)
{
    struct raw_planes planes;
    const char *ignored;
    if (!why)
        why = &ignored;
    quality = quality ? quality : ENCODE_QUALITY;
    *why = "out of memory";
    if (!c->encoder)
        c->encoder = tjInitCompress();
    if (!c->encoder || !raw_to_planes(&p->raw, halvings, &c->scratch, &planes) ||
        !has_room(c, &planes))
        return NULL;
    unsigned long n_bytes = c->jpeg_bytes;
    if (tjCompressFromYUVPlanes(c->encoder, planes.plane, planes.width, planes.stride,
                                planes.height, planes.subsampling, &c->jpeg, &n_bytes, (int)quality,
                                TJFLAG_NOREALLOC) < 0) {
        *why = "not encoded";
        return NULL;
    }
    struct picture *made = picture_made_of(p, c->jpeg, n_bytes);
    if (!made)
        return NULL;
    made->quality = quality;
    while ((unsigned)planes.width <= p->raw.width >> (made->halvings + 1))
        made->halvings++;
    return made;
}
