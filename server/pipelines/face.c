#include "server/pipeline.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/decode.h"
#include "server/pipelines/face_detect.h"

#define CASCADE_BYTES_MAX ((size_t)16 << 20)
#define ANY_PIXELS        ((size_t)FACE_SIDE_MAX * FACE_SIDE_MAX) /* decode.h has the limit */

enum { PARAM_STEP, PARAM_NEIGHBORS, PARAM_SCALE };

static const struct pipeline_param params[] = {
    [PARAM_STEP] = {"step", FACE_STEP_USUAL, FACE_STEP_MIN, 2, "from one size to the next"},
    [PARAM_NEIGHBORS] = {"neighbors", FACE_NEIGHBOURS_USUAL, 0, 100, "hits that make a face"},
    [PARAM_SCALE] = {"scale", 2, 1, 8, "the picture is made that many times smaller first"},
};

static unsigned scale_of(const struct pipeline *p)
{
    return (unsigned)p->param[PARAM_SCALE];
}

/* --- the pipeline: the cascade, which all sessions share --- */

static int read_file(const char *path, char **bytes, size_t *n, struct err *e)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_errno(e, EXIT_USAGE, "face: %s (Debian: apt-get install opencv-data)", path);
    *bytes = malloc(CASCADE_BYTES_MAX);
    *n = *bytes ? fread(*bytes, 1, CASCADE_BYTES_MAX, f) : 0;
    fclose(f);
    return *bytes ? 0 : err_set(e, EXIT_FAILED, "out of memory");
}

static int open_cascade(struct pipeline *p, struct err *e)
{
    char *xml = NULL;
    size_t n = 0;
    struct err why = {{0}};
    struct cascade *c = NULL;
    unsigned scale = scale_of(p);
    if (scale != p->param[PARAM_SCALE] || (scale & (scale - 1)))
        return err_set(e, EXIT_USAGE, "face: scale is 1, 2, 4 or 8");
    int rc = read_file(p->text, &xml, &n, e);
    if (rc == 0 && cascade_load(&c, xml, n, &why) < 0)
        rc = err_set(e, EXIT_USAGE, "face: %s: %.300s", p->text, why.text);
    free(xml);
    p->instance = c;
    return rc;
}

static void close_cascade(struct pipeline *p)
{
    cascade_free(p->instance);
}

/* --- a session --- */

static void session_free(void *state)
{
    face_finder_free(state);
}

static void *session_new(const struct pipeline *p)
{
    return face_finder_new(p->instance, ANY_PIXELS);
}

static void add_box(const struct face_box *b, unsigned scale, struct json *result)
{
    json_object_begin(result, NULL);
    json_u64(result, "x", (uint64_t)b->x * scale);
    json_u64(result, "y", (uint64_t)b->y * scale);
    json_u64(result, "w", (uint64_t)b->w * scale);
    json_u64(result, "h", (uint64_t)b->h * scale);
    json_str(result, "label", "face");
    json_u64(result, "score", b->n_hits);
    json_object_end(result);
}

static int process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result)
{
    struct decoded grey;
    struct face_seen seen;
    struct face_tuning tuning = {.step = p->param[PARAM_STEP],
                                 .min_neighbours = (unsigned)p->param[PARAM_NEIGHBORS]};
    if (decode_picture(frame->decode, DECODE_GREY, scale_of(p), &grey) < 0)
        return -1;
    struct face_picture picture = {
        .grey = grey.pixels, .w = grey.width, .h = grey.height, .stride = grey.width};
    if (face_finder_see(state, &picture, &tuning, &seen, NULL) < 0)
        return -1;
    json_array_begin(result, "detections");
    for (size_t i = 0; i < seen.n_boxes; i++)
        add_box(&seen.box[i], scale_of(p), result);
    json_array_end(result);
    return 0;
}

const struct pipeline_kind pipeline_face = {
    .name = "face",
    .summary = "boxes around faces that look at the camera, by a cascade of local binary patterns",
    .format = "gray",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .text = "cascade",
    .text_default = "/usr/share/opencv4/lbpcascades/lbpcascade_frontalface_improved.xml",
    .open = open_cascade,
    .close = close_cascade,
    .session_new = session_new,
    .session_free = session_free,
    .process = process,
};
