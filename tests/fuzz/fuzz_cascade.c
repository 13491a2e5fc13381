/* Any bytes as a cascade's XML: it is refused with a sentence, or it is safe to run and what it
 * finds is inside the picture. */

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "server/pipelines/cascade.h"
#include "server/pipelines/face_detect.h"

#define W 37
#define H 29

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_plausible(const struct cascade *c)
{
    size_t n_weaks = 0;
    require(c->w >= 3 && c->w <= CASCADE_SIDE_MAX && c->h >= 3 && c->h <= CASCADE_SIDE_MAX);
    require(c->n_stages >= 1 && c->n_stages <= CASCADE_STAGES_MAX);
    for (size_t i = 0; i < c->n_stages; i++)
        n_weaks += c->stage[i].n_weaks;
    require(n_weaks == c->n_weaks && n_weaks <= CASCADE_WEAKS_MAX);
}

static void find(const struct cascade *c, size_t size)
{
    uint8_t grey[W * H];
    for (size_t i = 0; i < sizeof grey; i++)
        grey[i] = (uint8_t)(i * i * (size + 7) >> 3);
    struct face_finder *f = face_finder_new(c, sizeof grey);
    struct face_picture pic = {grey, W, H, W};
    struct face_tuning t = {.step = 1.3, .min_neighbours = (unsigned)size % 3};
    struct face_seen seen;
    require(f && face_finder_see(f, &pic, &t, &seen, NULL) == 0);
    require(seen.n_boxes <= FACE_BOXES_MAX && seen.n_hits <= FACE_HITS_MAX);
    for (size_t i = 0; i < seen.n_boxes; i++) {
        const struct face_box *b = &seen.box[i];
        require(b->w && b->h && b->x + b->w <= W && b->y + b->h <= H);
        require(b->n_hits > t.min_neighbours);
    }
    face_finder_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cascade *c = NULL;
    struct err e = {""};
    int rc = cascade_load(&c, data, size, &e);
    require(rc == 0 ? c != NULL : rc == -EXIT_USAGE && !c && e.text[0]);
    if (!c)
        return 0;
    require_plausible(c);
    find(c, size);
    cascade_free(c);
    return 0;
}
