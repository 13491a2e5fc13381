#include "server/pipeline.h"

#include <pthread.h>
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

/* As many as there are frames in work at once: what one remembers is memory, not a session. */
struct finder {
    struct face_finder *f;
    struct finder *next;
};

struct faces { /* of the pipeline */
    struct cascade *cascade;
    pthread_mutex_t lock;
    struct finder *idle; /* under the lock */
};

static unsigned scale_of(const struct pipeline *p)
{
    return (unsigned)p->param[PARAM_SCALE];
}

/* --- finders --- */

static struct finder *make(const struct faces *s)
{
    struct finder *k = calloc(1, sizeof *k);
    if (k)
        k->f = face_finder_new(s->cascade, ANY_PIXELS);
    if (k && k->f)
        return k;
    free(k);
    return NULL;
}

static struct finder *take(struct faces *s)
{
    pthread_mutex_lock(&s->lock);
    struct finder *k = s->idle;
    if (k)
        s->idle = k->next;
    pthread_mutex_unlock(&s->lock);
    return k ? k : make(s);
}

static void put_back(struct faces *s, struct finder *k)
{
    pthread_mutex_lock(&s->lock);
    k->next = s->idle;
    s->idle = k;
    pthread_mutex_unlock(&s->lock);
}

/* --- the pipeline: the cascade, which all finders share --- */

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

static int load(struct faces *s, const char *path, struct err *e)
{
    char *xml = NULL;
    size_t n = 0;
    struct err why = {{0}};
    int rc = read_file(path, &xml, &n, e);
    if (rc == 0 && cascade_load(&s->cascade, xml, n, &why) < 0)
        rc = err_set(e, EXIT_USAGE, "face: %s: %.300s", path, why.text);
    free(xml);
    return rc;
}

static int open_faces(struct pipeline *p, struct err *e)
{
    unsigned scale = scale_of(p);
    if (scale != p->param[PARAM_SCALE] || (scale & (scale - 1)))
        return err_set(e, EXIT_USAGE, "face: scale is 1, 2, 4 or 8");
    struct faces *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, EXIT_FAILED, "out of memory");
    pthread_mutex_init(&s->lock, NULL);
    p->instance = s;
    return load(s, p->text, e);
}

static void close_faces(struct pipeline *p)
{
    struct faces *s = p->instance;
    while (s->idle) {
        struct finder *k = s->idle;
        s->idle = k->next;
        face_finder_free(k->f);
        free(k);
    }
    cascade_free(s->cascade);
    pthread_mutex_destroy(&s->lock);
    free(s);
    p->instance = NULL;
}

/* --- a frame --- */

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

static void tell(const struct face_seen *seen, unsigned scale, struct json *result)
{
    json_array_begin(result, "detections");
    for (size_t i = 0; i < seen->n_boxes; i++)
        add_box(&seen->box[i], scale, result);
    json_array_end(result);
}

static int process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result)
{
    struct faces *s = p->instance;
    struct decoded grey;
    struct face_seen seen;
    struct face_tuning tuning = {.step = p->param[PARAM_STEP],
                                 .min_neighbours = (unsigned)p->param[PARAM_NEIGHBORS]};
    (void)state;
    if (decode_picture(frame->decode, DECODE_GREY, scale_of(p), &grey) < 0)
        return -1;
    struct face_picture picture = {
        .grey = grey.pixels, .w = grey.width, .h = grey.height, .stride = grey.width};
    struct finder *k = take(s);
    if (!k)
        return -1;
    int rc = face_finder_see(k->f, &picture, &tuning, &seen, NULL);
    put_back(s, k);
    if (rc == 0)
        tell(&seen, scale_of(p), result);
    return rc < 0 ? -1 : 0;
}

const struct pipeline_kind pipeline_face = {
    .name = "face",
    .summary = "boxes around faces that look at the camera, by a cascade of local binary patterns",
    .format = "gray",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .text = "cascade",
    .text_default = "/usr/share/opencv4/lbpcascades/lbpcascade_frontalface_improved.xml",
    .open = open_faces,
    .close = close_faces,
    .process = process,
};
