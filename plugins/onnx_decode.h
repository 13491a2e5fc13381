/* onnx_decode.h - the arithmetic of onnx.c: pixels into a model's input, a model's output into
 * boxes.
 *
 * Pure functions over plain numbers; nothing here knows ONNX Runtime or streamd. Numbers of a model
 * are not trusted: what is not finite, not a box or outside the frame is left out.
 *
 * Units: pixels of the frame, or of the model's input, as it says there; both from the top left.
 */
#ifndef ONNX_DECODE_H
#define ONNX_DECODE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define DIMS_MAX  4
#define BEST_MAX  1024 /* the surest of a picture; the others never reach the suppression */
#define FINDS_MAX (2 * (size_t)BEST_MAX)
#define PAD_GREY  114.0F /* what the networks were trained with around the picture */
#define NO_CLASS  SIZE_MAX

/* --- a frame in the model's input --- */

struct fit {
    uint32_t frame_w, frame_h;
    uint32_t input_w, input_h;
    uint32_t left, top, w, h; /* where in the input the frame lies */
};

static inline uint32_t scaled(uint32_t n, double by, uint32_t max)
{
    double to = floor(n * by + 0.5);
    return to < 1 ? 1 : to > max ? max : (uint32_t)to;
}

/* In the middle with its shape kept, or over all of the input. */
static inline struct fit fit_frame(uint32_t frame_w, uint32_t frame_h, uint32_t input_w,
                                   uint32_t input_h, int letterbox)
{
    struct fit f = {frame_w, frame_h, input_w, input_h, 0, 0, input_w, input_h};
    if (!letterbox)
        return f;
    double by = fmin((double)input_w / frame_w, (double)input_h / frame_h);
    f.w = scaled(frame_w, by, input_w);
    f.h = scaled(frame_h, by, input_h);
    f.left = (input_w - f.w) / 2;
    f.top = (input_h - f.h) / 2;
    return f;
}

static inline double frame_x(const struct fit *f, double input_x)
{
    return (input_x - f->left) * f->frame_w / f->w;
}

static inline double frame_y(const struct fit *f, double input_y)
{
    return (input_y - f->top) * f->frame_h / f->h;
}

/* --- pixels --- */

struct picture {
    const uint8_t *data; /* RGB */
    uint32_t w, h, stride;
};

/* What becomes of a channel: pixel * gain + offset. */
struct norm {
    float gain[3], offset[3];
};

/* Two neighbours of a row or column, and how much the second weighs. */
struct tap {
    uint32_t first, second;
    float weight;
};

struct input {
    float *data; /* w * h * 3 */
    uint32_t w, h;
    int channels_last;
    struct norm norm;
    struct tap *columns; /* room for w */
};

/* (pixel - mean) * scale */
static inline struct norm norm_of(const double mean[3], const double scale[3])
{
    struct norm n;
    for (int c = 0; c < 3; c++) {
        n.gain[c] = (float)scale[c];
        n.offset[c] = (float)(-mean[c] * scale[c]);
    }
    return n;
}

/* Of n_from pixels, those that make pixel i of n_to: centre upon centre. */
static inline struct tap tap_at(uint32_t i, uint32_t n_to, uint32_t n_from)
{
    double at = (i + 0.5) * n_from / n_to - 0.5;
    at = at < 0 ? 0 : at > n_from - 1.0 ? n_from - 1.0 : at;
    uint32_t first = (uint32_t)at;
    return (struct tap){first, first + 1 < n_from ? first + 1 : first, (float)(at - first)};
}

static inline size_t pixel_step(const struct input *in)
{
    return in->channels_last ? 3 : 1;
}

static inline size_t channel_step(const struct input *in)
{
    return in->channels_last ? 1 : (size_t)in->w * in->h;
}

static inline void fill_grey(const struct input *in)
{
    size_t n = (size_t)in->w * in->h, step = pixel_step(in);
    for (size_t c = 0; c < 3; c++) {
        float *to = in->data + c * channel_step(in);
        float grey = PAD_GREY * in->norm.gain[c] + in->norm.offset[c];
        for (size_t i = 0; i < n; i++)
            to[i * step] = grey;
    }
}

/* Row y of the frame's place in the input. */
static inline void fill_row(const struct input *in, const struct fit *f, const struct picture *p,
                            uint32_t y)
{
    struct tap r = tap_at(y, f->h, p->h);
    const uint8_t *a = p->data + (size_t)r.first * p->stride;
    const uint8_t *b = p->data + (size_t)r.second * p->stride;
    size_t step = pixel_step(in), channel = channel_step(in);
    float *to = in->data + ((size_t)(f->top + y) * in->w + f->left) * step;
    for (uint32_t x = 0; x < f->w; x++, to += step) {
        size_t left = (size_t)in->columns[x].first * 3, right = (size_t)in->columns[x].second * 3;
        float weight = in->columns[x].weight;
        for (size_t c = 0; c < 3; c++) {
            float upper = (float)a[left + c] + weight * (float)(a[right + c] - a[left + c]);
            float lower = (float)b[left + c] + weight * (float)(b[right + c] - b[left + c]);
            float pixel = upper + r.weight * (lower - upper);
            to[c * channel] = pixel * in->norm.gain[c] + in->norm.offset[c];
        }
    }
}

/* Resizes, pads, normalises. The picture may be smaller than the frame that f was made for. */
static inline void fill_input(const struct input *in, const struct fit *f, const struct picture *p)
{
    if (f->w < in->w || f->h < in->h)
        fill_grey(in);
    for (uint32_t x = 0; x < f->w; x++)
        in->columns[x] = tap_at(x, f->w, p->w);
    for (uint32_t y = 0; y < f->h; y++)
        fill_row(in, f, p, y);
}

/* --- boxes --- */

struct find {
    double x, y, w, h; /* in the frame */
    double score;
    size_t class;
    size_t order; /* of two that are as sure, the one that came first goes first */
};

/* The finds of a picture, from first to last. */
struct finds {
    struct find *all; /* room for FINDS_MAX */
    size_t n;
    size_t n_seen;
};

struct rules {
    double confidence; /* less is nothing */
    double iou;        /* more is the same thing again */
    size_t background; /* the class that is nothing, or NO_CLASS */
};

static inline int best_first(const void *left, const void *right)
{
    const struct find *a = left, *b = right;
    if (a->score > b->score || a->score < b->score)
        return a->score > b->score ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static inline void sort_finds(struct finds *finds)
{
    qsort(finds->all, finds->n, sizeof finds->all[0], best_first);
}

static inline double clipped(double v, double max)
{
    return v < 0 ? 0 : v > max ? max : v;
}

/* The part of a box of the input that is in the frame. 0: there is none. */
static inline int put_box(struct find *to, const struct fit *f, const double corners[4])
{
    for (int i = 0; i < 4; i++)
        if (!isfinite(corners[i]))
            return 0;
    double left = clipped(frame_x(f, corners[0]), f->frame_w);
    double top = clipped(frame_y(f, corners[1]), f->frame_h);
    to->x = left;
    to->y = top;
    to->w = clipped(frame_x(f, corners[2]), f->frame_w) - left;
    to->h = clipped(frame_y(f, corners[3]), f->frame_h) - top;
    return to->w > 0 && to->h > 0;
}

/* corners: left, top, right, bottom in the input. */
static inline void add_find(struct finds *finds, const struct fit *f, const struct rules *r,
                            const double corners[4], double score, size_t class)
{
    struct find found = {.score = score, .class = class, .order = finds->n_seen};
    if (!(score >= r->confidence) || !isfinite(score)) /* NaN is less */
        return;
    if (!put_box(&found, f, corners))
        return;
    if (finds->n == FINDS_MAX) {
        sort_finds(finds);
        finds->n = BEST_MAX;
    }
    finds->all[finds->n++] = found;
    finds->n_seen++;
}

/* How much of both is in both: 0 to 1. */
static inline double overlap(const struct find *a, const struct find *b)
{
    double w = fmin(a->x + a->w, b->x + b->w) - fmax(a->x, b->x);
    double h = fmin(a->y + a->h, b->y + b->h) - fmax(a->y, b->y);
    if (w <= 0 || h <= 0)
        return 0;
    return w * h / (a->w * a->h + b->w * b->h - w * h);
}

static inline int is_again(const struct finds *finds, size_t n_kept, const struct find *f,
                           double iou)
{
    for (size_t i = 0; i < n_kept; i++)
        if (finds->all[i].class == f->class && overlap(&finds->all[i], f) > iou)
            return 1;
    return 0;
}

/* Leaves the best of each thing, at most max, best first. */
static inline void suppress(struct finds *finds, double iou, size_t max)
{
    size_t n_kept = 0;
    sort_finds(finds);
    size_t n = finds->n < BEST_MAX ? finds->n : BEST_MAX;
    for (size_t i = 0; i < n && n_kept < max; i++)
        if (!is_again(finds, n_kept, &finds->all[i], iou))
            finds->all[n_kept++] = finds->all[i];
    finds->n = n_kept;
}

/* --- what models say --- */

struct tensor {
    const float *data;
    size_t n_dims; /* 0: nothing that can be read here */
    int64_t dim[DIMS_MAX];
};

enum yolo_form {
    YOLO_NONE,
    YOLO_V5, /* [1,N,5+classes]: x, y, w, h, how sure of a thing, how sure of each class */
    YOLO_V8, /* [1,4+classes,N]: x, y, w, h, how sure of each class */
};

/* There are more boxes than numbers of a box. */
static inline enum yolo_form yolo_form(const struct tensor *t)
{
    if (t->n_dims != 3 || t->dim[0] != 1)
        return YOLO_NONE;
    if (t->dim[1] <= t->dim[2])
        return t->dim[1] >= 5 ? YOLO_V8 : YOLO_NONE;
    return t->dim[2] >= 6 ? YOLO_V5 : YOLO_NONE;
}

/* The surest but skip of n scores that stand step apart. */
static inline size_t best_class(const float *scores, size_t n, size_t step, size_t skip,
                                double *score)
{
    size_t best = 0;
    *score = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        double s = (double)scores[i * step];
        if (i != skip && s > *score) { /* NaN never is */
            *score = s;
            best = i;
        }
    }
    return best;
}

/* from: the middle and the size. */
static inline void corners_of(double corners[4], const float *from, size_t step)
{
    double x = (double)from[0], y = (double)from[step];
    double w = (double)from[2 * step], h = (double)from[3 * step];
    corners[0] = x - w / 2;
    corners[1] = y - h / 2;
    corners[2] = x + w / 2;
    corners[3] = y + h / 2;
}

static inline void decode_yolo(struct finds *finds, const struct tensor *t, const struct fit *f,
                               const struct rules *r)
{
    enum yolo_form form = yolo_form(t);
    if (form == YOLO_NONE)
        return;
    int is_v8 = form == YOLO_V8;
    size_t n_boxes = (size_t)t->dim[is_v8 ? 2 : 1], n_numbers = (size_t)t->dim[is_v8 ? 1 : 2];
    size_t step = is_v8 ? n_boxes : 1, first_class = is_v8 ? 4 : 5;
    for (size_t i = 0; i < n_boxes; i++) {
        const float *box = t->data + i * (is_v8 ? 1 : n_numbers);
        double corners[4], score;
        size_t class = best_class(box + first_class * step, n_numbers - first_class, step,
                                  r->background, &score);
        if (!is_v8)
            score *= (double)box[4];
        corners_of(corners, box, step);
        add_find(finds, f, r, corners, score, class);
    }
}

static inline int ssd_is_boxes(const struct tensor *t)
{
    return t->n_dims == 3 && t->dim[0] == 1 && t->dim[1] >= 0 && t->dim[2] == 4;
}

static inline int ssd_is_scores(const struct tensor *t, const struct tensor *boxes)
{
    if ((t->n_dims != 2 && t->n_dims != 3) || t->dim[0] != 1 || t->dim[1] != boxes->dim[1])
        return 0;
    return t->n_dims == 2 || t->dim[2] >= 1;
}

/* boxes: [1,N,4], top, left, bottom, right from 0 to 1; scores: [1,N] or [1,N,classes]. */
static inline void decode_ssd(struct finds *finds, const struct tensor *boxes,
                              const struct tensor *scores, const struct fit *f,
                              const struct rules *r)
{
    if (!ssd_is_boxes(boxes) || !ssd_is_scores(scores, boxes))
        return;
    size_t n_classes = scores->n_dims == 3 ? (size_t)scores->dim[2] : 1;
    for (size_t i = 0; i < (size_t)boxes->dim[1]; i++) {
        const float *box = boxes->data + i * 4;
        double score, corners[4] = {(double)box[1] * f->input_w, (double)box[0] * f->input_h,
                                    (double)box[3] * f->input_w, (double)box[2] * f->input_h};
        size_t class =
            best_class(scores->data + i * n_classes, n_classes, 1, r->background, &score);
        add_find(finds, f, r, corners, score, class);
    }
}

#endif
