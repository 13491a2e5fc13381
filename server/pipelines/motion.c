#include "server/pipeline.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "server/pipelines/motion_detect.h"

/* More is refused before anything is allocated: a header of a few bytes can claim 65535 x 65535. */
#define PIXELS_MAX (64u * 1000 * 1000)

/* The coarsest grid that still has about 80 x 45 cells: coarse cells average the camera's noise
 * away, and at 1/8 the decoder needs only the mean of each block. */
#define CELLS_MIN (80 * 45)

enum { PARAM_THRESHOLD, PARAM_MIN_AREA };

static const struct pipeline_param params[] = {
    [PARAM_THRESHOLD] = {"threshold", 20, 1, 254, "luma levels that count as a change"},
    [PARAM_MIN_AREA] = {"min_area", 0.001, 0, 1, "share of the picture below which it is ignored"},
};

struct motion {
    tjhandle decoder;   /* NULL before the first frame and after a bad one */
    int width, height;  /* of the frame that was sent; 0 before the first one */
    int cell;           /* pixels a cell is wide and high: 1, 2, 4 or 8 */
    int grid_w, grid_h; /* cells */
    uint8_t *grey;      /* grid_w x grid_h */
    struct motion_model *model;
};

static void drop_decoder(struct motion *s)
{
    if (s->decoder)
        tjDestroy(s->decoder);
    s->decoder = NULL;
}

static void session_free(void *state)
{
    struct motion *s = state;
    if (!s)
        return;
    drop_decoder(s);
    motion_model_free(s->model);
    free(s->grey);
    free(s);
}

static void *session_new(const struct pipeline *p)
{
    (void)p;
    return calloc(1, sizeof(struct motion));
}

/* The pixels of a cell: the largest of 8, 4, 2, 1 that the decoder offers and that leaves
 * enough cells; 1 is always offered. */
static tjscalingfactor choose_scale(int width, int height)
{
    int n = 0;
    tjscalingfactor *offered = tjGetScalingFactors(&n);
    tjscalingfactor best = {1, 1};
    for (int i = 0; i < n; i++) {
        tjscalingfactor f = offered[i];
        bool wanted = f.num == 1 && (f.denom == 2 || f.denom == 4 || f.denom == 8);
        if (wanted && f.denom > best.denom && TJSCALED(width, f) * TJSCALED(height, f) >= CELLS_MIN)
            best = f;
    }
    return best;
}

/* A frame of another size starts a new background. */
static int fit_to_size(struct motion *s, int width, int height)
{
    if (s->width == width && s->height == height)
        return 0;
    motion_model_free(s->model);
    free(s->grey);
    tjscalingfactor f = choose_scale(width, height);
    s->cell = f.denom;
    s->grid_w = TJSCALED(width, f);
    s->grid_h = TJSCALED(height, f);
    s->model = motion_model_new((unsigned)s->grid_w, (unsigned)s->grid_h);
    s->grey = malloc((size_t)s->grid_w * (size_t)s->grid_h);
    bool made = s->model && s->grey;
    s->width = made ? width : 0; /* 0 fits nothing: the next frame tries again */
    s->height = made ? height : 0;
    return made ? 0 : -1;
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

static int decode(struct motion *s, const struct pipeline_frame *frame)
{
    int width, height, subsampling, colourspace;
    unsigned long n_bytes = frame->jpeg_bytes;
    if (!s->decoder)
        s->decoder = tjInitDecompress();
    if (!s->decoder)
        return -1;
    if (tjDecompressHeader3(s->decoder, frame->jpeg, n_bytes, &width, &height, &subsampling,
                            &colourspace) < 0)
        return -1;
    if (width < 1 || height < 1 || (uint64_t)width * (uint64_t)height > PIXELS_MAX)
        return -1;
    if (fit_to_size(s, width, height) < 0)
        return -1;
    if (tjDecompress2(s->decoder, frame->jpeg, n_bytes, s->grey, s->grid_w, 0, s->grid_h, TJPF_GRAY,
                      TJFLAG_LIMITSCANS) < 0 &&
        !is_only_padding(s->decoder))
        return -1;
    return 0;
}

/* Cells to pixels of the frame; the last cell may reach beyond its edge. */
static void add_box(const struct motion *s, const struct motion_box *b, struct json *result)
{
    unsigned cell = (unsigned)s->cell;
    unsigned x = b->x * cell, y = b->y * cell, w = b->w * cell, h = b->h * cell;
    unsigned right = (unsigned)s->width - x, below = (unsigned)s->height - y;
    json_object_begin(result, NULL);
    json_u64(result, "x", x);
    json_u64(result, "y", y);
    json_u64(result, "w", w < right ? w : right);
    json_u64(result, "h", h < below ? h : below);
    json_str(result, "label", "motion");
    json_num(result, "score", b->score, 3);
    json_object_end(result);
}

static int process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result)
{
    struct motion *s = state;
    struct motion_seen seen;
    if (decode(s, frame) < 0) {
        drop_decoder(s); /* after a fatal error it may refuse whatever comes next */
        return -1;
    }
    struct motion_tuning tuning = {.threshold = p->param[PARAM_THRESHOLD],
                                   .min_area = p->param[PARAM_MIN_AREA]};
    motion_model_see(s->model, s->grey, &tuning, &seen);
    json_array_begin(result, "detections");
    for (size_t i = 0; i < seen.n_boxes; i++)
        add_box(s, &seen.box[i], result);
    json_array_end(result);
    json_num(result, "motion", seen.changed, 4);
    return 0;
}

const struct pipeline_kind pipeline_motion = {
    .name = "motion",
    .summary = "boxes around what moves, against a background it learns per session",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .session_new = session_new,
    .session_free = session_free,
    .process = process,
};
