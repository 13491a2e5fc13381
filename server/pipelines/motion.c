#include "server/pipeline.h"

#include <stdbool.h>
#include <stdlib.h>

#include "server/decode.h"
#include "server/pipelines/motion_detect.h"

/* The coarsest grid that still has about 80 x 45 cells: coarse cells average the camera's noise
 * away, and at 1/8 the decoder needs only the mean of each block. */
#define CELLS_MIN (80 * 45)

enum { PARAM_THRESHOLD, PARAM_MIN_AREA };

static const struct pipeline_param params[] = {
    [PARAM_THRESHOLD] = {"threshold", 20, 1, 254, "luma levels that count as a change"},
    [PARAM_MIN_AREA] = {"min_area", 0.001, 0, 1, "share of the picture below which it is ignored"},
};

struct motion {
    unsigned width, height; /* of the frame that was sent; 0 before the first one */
    unsigned cell;          /* pixels a cell is wide and high: 1, 2, 4 or 8 */
    struct motion_model *model;
};

static void session_free(void *state)
{
    struct motion *s = state;
    if (!s)
        return;
    motion_model_free(s->model);
    free(s);
}

static void *session_new(const struct pipeline *p)
{
    (void)p;
    return calloc(1, sizeof(struct motion));
}

/* Cells of a side: the decoder rounds up. */
static unsigned cells(unsigned pixels, unsigned cell)
{
    return (pixels + cell - 1) / cell;
}

/* The pixels of a cell: the most that leave enough cells. */
static unsigned choose_cell(unsigned width, unsigned height)
{
    unsigned cell = 8;
    while (cell > 1 && cells(width, cell) * cells(height, cell) < CELLS_MIN)
        cell /= 2;
    return cell;
}

/* A frame of another size starts a new background. */
static int fit_to_size(struct motion *s, unsigned width, unsigned height)
{
    if (s->width == width && s->height == height)
        return 0;
    motion_model_free(s->model);
    s->cell = choose_cell(width, height);
    s->model = motion_model_new(cells(width, s->cell), cells(height, s->cell));
    s->width = s->model ? width : 0; /* 0 fits nothing: the next frame tries again */
    s->height = s->model ? height : 0;
    return s->model ? 0 : -1;
}

static int decode(struct motion *s, const struct pipeline_frame *frame, struct decoded *grey)
{
    unsigned width, height;
    if (decode_size(frame->decode, &width, &height) < 0 || fit_to_size(s, width, height) < 0)
        return -1;
    return decode_picture(frame->decode, DECODE_GREY, s->cell, grey);
}

/* Cells to pixels of the frame; the last cell may reach beyond its edge. */
static void add_box(const struct motion *s, const struct motion_box *b, struct json *result)
{
    unsigned cell = s->cell;
    unsigned x = b->x * cell, y = b->y * cell, w = b->w * cell, h = b->h * cell;
    unsigned right = s->width - x, below = s->height - y;
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
    struct decoded grey;
    if (decode(s, frame, &grey) < 0)
        return -1;
    struct motion_tuning tuning = {.threshold = p->param[PARAM_THRESHOLD],
                                   .min_area = p->param[PARAM_MIN_AREA]};
    motion_model_see(s->model, grey.pixels, &tuning, &seen);
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
    .format = "gray",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .session_new = session_new,
    .session_free = session_free,
    .process = process,
};
