#include "cli/picture.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

struct picture *picture_new(const void *bytes, size_t n_bytes, uint64_t captured_us)
{
    struct picture *p = malloc(sizeof *p + n_bytes);
    if (!p)
        return NULL;
    *p = (struct picture){
        .captured_us = captured_us,
        .captured_wall_s = clock_wall_s(),
        .n_bytes = n_bytes,
        .bytes = (uint8_t *)(p + 1),
    };
    if (bytes && n_bytes)
        memcpy(p->bytes, bytes, n_bytes);
    return p;
}

struct picture *picture_made_of(const struct picture *of, const void *bytes, size_t n_bytes)
{
    struct picture *p = picture_new(bytes, n_bytes, of->captured_us);
    if (!p)
        return NULL;
    p->captured_wall_s = of->captured_wall_s;
    p->index = of->index;
    return p;
}

void picture_free(struct picture *p)
{
    if (p && p->release)
        p->release(p);
    else
        free(p);
}
