#include "server/pipeline.h"

#include <apriltag/apriltag.h>
#include <apriltag/tag16h5.h>
#include <apriltag/tag25h9.h>
#include <apriltag/tag36h11.h>
#include <apriltag/tagStandard41h12.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/decode.h"

/* Tags of the AprilTag families, by libapriltag. Built where its headers are installed. */

enum { PARAM_DECIMATE };

static const struct pipeline_param params[] = {
    [PARAM_DECIMATE] = {"decimate", 2, 1, 8, "looks for tags in a picture so many times smaller"},
};

static const struct tag_family {
    const char *name;
    apriltag_family_t *(*create)(void);
    void (*destroy)(apriltag_family_t *);
} families[] = {
    {"36h11", tag36h11_create, tag36h11_destroy},
    {"25h9", tag25h9_create, tag25h9_destroy},
    {"16h5", tag16h5_create, tag16h5_destroy},
    {"41h12", tagStandard41h12_create, tagStandard41h12_destroy},
};

/* A detector takes tens of megabytes and is for one thread at a time: those that are not in use
 * wait here, so there are as many as worker threads, not as sessions. */
struct detector {
    apriltag_detector_t *d;
    apriltag_family_t *family;
    struct detector *next;
};

struct tags { /* of the pipeline */
    const struct tag_family *family;
    pthread_mutex_t lock;
    struct detector *idle; /* under the lock */
};

/* --- detectors --- */

static struct detector *make(const struct tags *t, double decimate)
{
    struct detector *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->family = t->family->create();
    k->d = apriltag_detector_create();
    apriltag_detector_add_family_bits(k->d, k->family, 1); /* 2 needs 36 MB for little */
    k->d->quad_decimate = (float)decimate;
    k->d->nthreads = 1; /* the other cores are for other sessions */
    return k;
}

static struct detector *take(struct tags *t, double decimate)
{
    pthread_mutex_lock(&t->lock);
    struct detector *k = t->idle;
    if (k)
        t->idle = k->next;
    pthread_mutex_unlock(&t->lock);
    return k ? k : make(t, decimate);
}

static void put_back(struct tags *t, struct detector *k)
{
    pthread_mutex_lock(&t->lock);
    k->next = t->idle;
    t->idle = k;
    pthread_mutex_unlock(&t->lock);
}

static int open_tags(struct pipeline *p, struct err *e)
{
    struct tags *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, EXIT_FAILED, "out of memory");
    pthread_mutex_init(&t->lock, NULL);
    p->instance = t;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i].name, p->text) == 0)
            t->family = &families[i];
    return t->family
               ? 0
               : err_set(e, EXIT_USAGE,
                         "apriltag: family=%.40s: expected 36h11, 25h9, 16h5 or 41h12", p->text);
}

static void close_tags(struct pipeline *p)
{
    struct tags *t = p->instance;
    while (t->idle) {
        struct detector *k = t->idle;
        t->idle = k->next;
        apriltag_detector_destroy(k->d);
        t->family->destroy(k->family);
        free(k);
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
    p->instance = NULL;
}

/* --- a frame --- */

static void add_tag(const apriltag_detection_t *tag, const char *family, struct json *result)
{
    double left = tag->p[0][0], right = left, top = tag->p[0][1], bottom = top;
    json_object_begin(result, NULL);
    json_u64(result, "id", (uint64_t)tag->id);
    json_str(result, "label", family);
    json_array_begin(result, "corners");
    for (int i = 0; i < 4; i++) {
        json_array_begin(result, NULL);
        json_num(result, NULL, tag->p[i][0], 1);
        json_num(result, NULL, tag->p[i][1], 1);
        json_array_end(result);
        left = fmin(left, tag->p[i][0]);
        right = fmax(right, tag->p[i][0]);
        top = fmin(top, tag->p[i][1]);
        bottom = fmax(bottom, tag->p[i][1]);
    }
    json_array_end(result);
    json_num(result, "x", left, 1);
    json_num(result, "y", top, 1);
    json_num(result, "w", right - left, 1);
    json_num(result, "h", bottom - top, 1);
    json_u64(result, "hamming", (uint64_t)tag->hamming);
    json_num(result, "score", tag->decision_margin, 1);
    json_object_end(result);
}

static void tell(zarray_t *found, const char *family, struct json *result)
{
    json_array_begin(result, "detections");
    for (int i = 0; i < zarray_size(found); i++) {
        apriltag_detection_t *tag;
        zarray_get(found, i, &tag);
        add_tag(tag, family, result);
    }
    json_array_end(result);
}

static int process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result)
{
    struct tags *t = p->instance;
    struct decoded grey;
    (void)state;
    if (decode_picture(frame->decode, DECODE_GREY, 1, &grey) < 0)
        return -1;
    struct detector *k = take(t, p->param[PARAM_DECIMATE]);
    if (!k)
        return -1;
    image_u8_t image = {.width = (int32_t)grey.width,
                        .height = (int32_t)grey.height,
                        .stride = (int32_t)grey.width,
                        .buf = (uint8_t *)grey.pixels};
    zarray_t *found = apriltag_detector_detect(k->d, &image);
    tell(found, t->family->name, result);
    apriltag_detections_destroy(found);
    put_back(t, k);
    return 0;
}

const struct pipeline_kind pipeline_apriltag = {
    .name = "apriltag",
    .summary = "AprilTags with their corners, by libapriltag",
    .format = "gray",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .text = "family",
    .text_default = "36h11",
    .open = open_tags,
    .close = close_tags,
    .process = process,
};
