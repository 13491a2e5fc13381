/* A model of your own in the ONNX format, run by ONNX Runtime (MIT): boxes with labels.
 *
 *     streamd --pipeline cars=plugin:onnx.so:library=libonnxruntime.so.1,model=yolov8n.onnx
 *
 * library, model: files; must be given. library is ONNX Runtime itself, 1.0 or newer.
 * decode: what the output is, yolo (the default; version 5 or 8) or ssd: see onnx_decode.h.
 * input: size of its input, as 640x640; unless given what the model says, or else 320x320.
 * layout: of its input, nchw (the default) or nhwc.
 * mean, scale: a pixel goes in as (pixel - mean) * scale; 0 and 1/255 unless given. One number, or
 *   three as 123/117/104 for red, green and blue.
 * letterbox: 1 keeps the shape of the picture (the default), 0 stretches it.
 * confidence, iou: less sure is nothing, overlapping more is the same; 0.25 and 0.45 unless given.
 * labels: a file with the names of the classes, one a line; "background" is never reported.
 * threads: of one run, 1 to 64; 1 unless given, as streamd runs sessions side by side.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <streamd/plugin.h>

#include "onnx_decode.h"
#include "onnx_runtime.h"

#define SIDE_MAX     4096
#define SIDE_DEFAULT 320
#define OUTPUTS_MAX  16
#define USED_MAX     2 /* outputs that a decoder reads */
#define LABELS_MAX   65536
#define THREADS_MAX  64

/* --- an instance --- */

struct detector {
    const struct sp_host *host;
    char *library, *model, *labels_file;
    uint32_t w, h; /* of the input; 0: not given */
    int channels_last, letterbox, is_ssd;
    double mean[3], scale[3];
    double n_threads;
    struct rules rules;
    char **labels;
    size_t n_labels;

    const struct ort_base *base;
    const struct ort *ort;
    struct ort_env *env;
    struct ort_session *session; /* many threads may run it at once */
    struct ort_memory *memory;
    struct ort_allocator *allocator; /* ONNX Runtime's own */
    char *input_name, *output_names[OUTPUTS_MAX];
    size_t n_outputs;
    size_t used[USED_MAX]; /* those of the outputs that are read */
    size_t n_used;
};

/* What a session needs for a picture. */
struct scratch {
    struct input input;
    struct ort_value *value; /* input.data, as ONNX Runtime sees it */
    struct finds finds;
};

/* Logs the sentence. 0, so that the caller can return it. */
__attribute__((format(printf, 2, 3))) static int complain(const struct detector *d, const char *fmt,
                                                          ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    d->host->log(d->host, SP_LOG_ERROR, text);
    return 0;
}

/* Takes the status, which is NULL if all is well. */
static int works(const struct detector *d, struct ort_status *status, const char *what)
{
    if (!status)
        return 1;
    complain(d, "%s: %.400s", what, d->ort->message(status));
    d->ort->free_status(status);
    return 0;
}

/* --- configuration --- */

enum kind {
    FILE_NAME,
    CHOICE,
    SIZE,
    CHANNELS,
    NUMBER,
};

#define AT(field) offsetof(struct detector, field)

static const struct setting {
    const char *name;
    enum kind kind;
    size_t at;
    const char *words[2]; /* of a choice: for 0 and for 1 */
    double min, max;      /* of a number */
} settings[] = {
    {"library", FILE_NAME, AT(library), {0}, 0, 0},
    {"model", FILE_NAME, AT(model), {0}, 0, 0},
    {"labels", FILE_NAME, AT(labels_file), {0}, 0, 0},
    {"input", SIZE, AT(w), {0}, 0, 0},
    {"layout", CHOICE, AT(channels_last), {"nchw", "nhwc"}, 0, 0},
    {"mean", CHANNELS, AT(mean), {0}, 0, 0},
    {"scale", CHANNELS, AT(scale), {0}, 0, 0},
    {"letterbox", CHOICE, AT(letterbox), {"0", "1"}, 0, 0},
    {"decode", CHOICE, AT(is_ssd), {"yolo", "ssd"}, 0, 0},
    {"confidence", NUMBER, AT(rules.confidence), {0}, 0, 1},
    {"iou", NUMBER, AT(rules.iou), {0}, 0, 1},
    {"threads", NUMBER, AT(n_threads), {0}, 1, THREADS_MAX},
};

#define N_SETTINGS (sizeof settings / sizeof settings[0])

static int set_text(const struct detector *d, const struct setting *s, char **to, const char *value)
{
    free(*to);
    *to = *value ? strdup(value) : NULL;
    return *to ? 1 : complain(d, "%s: the name of a file is missing", s->name);
}

/* One of two words: which one. */
static int set_choice(const struct detector *d, const struct setting *s, int *to, const char *value)
{
    for (int i = 0; i < 2; i++)
        if (strcmp(value, s->words[i]) == 0) {
            *to = i;
            return 1;
        }
    return complain(d, "%s: '%.40s' is neither %s nor %s", s->name, value, s->words[0],
                    s->words[1]);
}

static int is_side(double n)
{
    return n >= 1 && n <= SIDE_MAX && n == floor(n);
}

static int set_size(struct detector *d, const char *value)
{
    char *end;
    double w = strtod(value, &end);
    double h = *end == 'x' ? strtod(end + 1, &end) : 0;
    if (!is_side(w) || !is_side(h) || *end)
        return complain(d, "input: '%.40s' is not a size such as 640x640, to %d", value, SIDE_MAX);
    d->w = (uint32_t)w;
    d->h = (uint32_t)h;
    return 1;
}

static int set_number(const struct detector *d, const struct setting *s, double *to,
                      const char *value)
{
    char *end;
    *to = strtod(value, &end);
    if (end != value && !*end && *to >= s->min && *to <= s->max)
        return 1;
    return complain(d, "%s: '%.40s' is not a number from %g to %g", s->name, value, s->min, s->max);
}

/* One number, or three with slashes between. */
static int set_channels(const struct detector *d, const struct setting *s, double to[3],
                        const char *value)
{
    size_t n = 0;
    const char *at = value;
    char *end;
    do {
        to[n] = strtod(at, &end);
        if (end == at || !isfinite(to[n]))
            break;
        at = end + 1;
    } while (++n < 3 && *end == '/');
    if (n == 1)
        to[1] = to[2] = to[0];
    if ((n == 1 || n == 3) && !*end)
        return 1;
    return complain(d, "%s: '%.40s' is not a number, nor three such as 123.7/116.3/103.5", s->name,
                    value);
}

static int set_value(struct detector *d, const struct setting *s, const char *value)
{
    void *to = (char *)d + s->at;
    switch (s->kind) {
    case FILE_NAME:
        return set_text(d, s, to, value);
    case CHOICE:
        return set_choice(d, s, to, value);
    case SIZE:
        return set_size(d, value);
    case CHANNELS:
        return set_channels(d, s, to, value);
    case NUMBER:
        return set_number(d, s, to, value);
    }
    return 0;
}

/* One piece between commas. */
static int set(struct detector *d, const char *piece)
{
    size_t n = strcspn(piece, "=");
    for (size_t i = 0; i < N_SETTINGS && piece[n]; i++)
        if (strlen(settings[i].name) == n && strncmp(settings[i].name, piece, n) == 0)
            return set_value(d, &settings[i], piece + n + 1);
    return complain(d,
                    "'%.80s' is not KEY=VALUE with one of the keys library, model, labels, input, "
                    "layout, mean, scale, letterbox, decode, confidence, iou, threads",
                    piece);
}

static int configure(struct detector *d, const char *config)
{
    char *copy = strdup(config), *rest = copy, *piece;
    int ok = copy != NULL;
    while (ok && *config && (piece = strsep(&rest, ",")))
        ok = set(d, piece);
    free(copy);
    if (ok && (!d->library || !d->model))
        return complain(d,
                        "library=PATH of libonnxruntime.so.1 and model=PATH of a .onnx file must "
                        "both be given");
    return ok;
}

static int add_label(struct detector *d, const char *line)
{
    char **all = realloc(d->labels, (d->n_labels + 1) * sizeof *all);
    if (!all)
        return 0;
    d->labels = all;
    all[d->n_labels] = strndup(line, strcspn(line, "\r\n"));
    if (!all[d->n_labels])
        return 0;
    if (strcmp(all[d->n_labels], "background") == 0)
        d->rules.background = d->n_labels;
    d->n_labels++;
    return 1;
}

static int read_labels(struct detector *d)
{
    if (!d->labels_file)
        return 1;
    FILE *f = fopen(d->labels_file, "re");
    if (!f)
        return complain(d, "labels: cannot read '%.300s': %m", d->labels_file);
    char *line = NULL;
    size_t size = 0;
    int ok = 1;
    while (ok && d->n_labels < LABELS_MAX && getline(&line, &size, f) >= 0)
        ok = add_label(d, line);
    free(line);
    fclose(f);
    return ok;
}

/* --- the model --- */

/* It stays loaded: its threads and what they keep cannot be taken away again. */
static int load_library(struct detector *d)
{
    void *handle = dlopen(d->library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        complain(d, "library: %.500s", dlerror());
        return 0;
    }
    const struct ort_base *(*base)(void);
    *(void **)&base = dlsym(handle, "OrtGetApiBase");
    d->base = base ? base() : NULL;
    d->ort = d->base ? d->base->table(ORT_VERSION) : NULL;
    dlclose(handle);
    if (!d->ort)
        complain(d, "library: '%.300s' is not ONNX Runtime", d->library);
    return d->ort != NULL;
}

static int load_model(struct detector *d)
{
    const struct ort *ort = d->ort;
    struct ort_options *options = NULL;
    int ok =
        works(d, ort->new_env(ORT_LOG_FATAL, "streamd", &d->env), "library") &&
        works(d, ort->allocator(&d->allocator), "library") &&
        works(d, ort->new_memory(ORT_ARENA_ALLOCATOR, ORT_MEMORY_DEFAULT, &d->memory), "library") &&
        works(d, ort->new_options(&options), "library") &&
        works(d, ort->set_optimisation(options, ORT_OPTIMISE_ALL), "library") &&
        works(d, ort->set_threads(options, (int)d->n_threads), "threads") &&
        works(d, ort->new_session(d->env, d->model, options, &d->session), "model");
    if (options)
        ort->free_options(options);
    return ok;
}

/* As 1x3x?x640. */
static const char *shape_text(char text[80], const int64_t *dims, size_t n)
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n && at < 60; i++)
        at += (size_t)(dims[i] < 0 ? snprintf(text + at, 80 - at, "%s?", i ? "x" : "")
                                   : snprintf(text + at, 80 - at, "%s%lld", i ? "x" : "",
                                              (long long)dims[i]));
    return text;
}

/* Takes what the model fixes for what was not given; refuses what contradicts it. */
static int fit_input(struct detector *d, const int64_t dims[4])
{
    char text[80];
    int first_side = d->channels_last ? 1 : 2, channels = d->channels_last ? 3 : 1;
    int64_t h = dims[first_side], w = dims[first_side + 1];
    shape_text(text, dims, 4);
    if (dims[0] > 1 || (dims[channels] >= 0 && dims[channels] != 3))
        return complain(d, "model: its input is %s, not one RGB picture in layout=%s", text,
                        d->channels_last ? "nhwc" : "nchw");
    if (d->w && ((w > 0 && w != d->w) || (h > 0 && h != d->h)))
        return complain(d, "input: %ux%u was given, but the model's input is %s", d->w, d->h, text);
    if (w > SIDE_MAX || h > SIDE_MAX)
        return complain(d, "model: its input %s is larger than %d pixels", text, SIDE_MAX);
    if (!d->w) {
        d->w = w > 0 ? (uint32_t)w : SIDE_DEFAULT;
        d->h = h > 0 ? (uint32_t)h : SIDE_DEFAULT;
    }
    return 1;
}

static int look_at_shape(struct detector *d, const struct ort_type *type)
{
    const struct ort_shape *shape = NULL; /* belongs to type */
    int element = 0;
    size_t n = 0;
    int64_t dims[4] = {0};
    if (!works(d, d->ort->shape_of_type(type, &shape), "model"))
        return 0;
    if (shape && (!works(d, d->ort->element(shape, &element), "model") ||
                  !works(d, d->ort->count_dims(shape, &n), "model")))
        return 0;
    if (element != ORT_FLOAT || n != 4)
        return complain(d, "model: its input is not a tensor of float32 with 4 dimensions");
    return works(d, d->ort->dims(shape, dims, 4), "model") && fit_input(d, dims);
}

static int look_at_input(struct detector *d)
{
    struct ort_type *type = NULL;
    size_t n = 0;
    if (!works(d, d->ort->count_inputs(d->session, &n), "model"))
        return 0;
    if (n != 1)
        return complain(d, "model: it has %zu inputs; one picture is all there is", n);
    if (!works(d, d->ort->input_name(d->session, 0, d->allocator, &d->input_name), "model") ||
        !works(d, d->ort->input_type(d->session, 0, &type), "model"))
        return 0;
    int ok = look_at_shape(d, type);
    d->ort->free_type(type);
    return ok;
}

static int look_at_outputs(struct detector *d)
{
    size_t n = 0;
    if (!works(d, d->ort->count_outputs(d->session, &n), "model"))
        return 0;
    while (d->n_outputs < n && d->n_outputs < OUTPUTS_MAX) {
        char **name = &d->output_names[d->n_outputs];
        if (!works(d, d->ort->output_name(d->session, d->n_outputs, d->allocator, name), "model"))
            return 0;
        d->n_outputs++;
    }
    return 1;
}

/* --- a session --- */

static void session_close(void *instance, void *session)
{
    struct detector *d = instance;
    struct scratch *s = session;
    if (s->value)
        d->ort->free_value(s->value);
    free(s->input.data);
    free(s->input.columns);
    free(s->finds.all);
    free(s);
}

static int make_value(struct detector *d, struct scratch *s)
{
    int64_t nchw[4] = {1, 3, d->h, d->w}, nhwc[4] = {1, d->h, d->w, 3};
    size_t n_bytes = (size_t)d->w * d->h * 3 * sizeof(float);
    return works(d,
                 d->ort->new_value(d->memory, s->input.data, n_bytes,
                                   d->channels_last ? nhwc : nchw, 4, ORT_FLOAT, &s->value),
                 "input");
}

static void *session_open(void *instance, const struct sp_session_info *info)
{
    struct detector *d = instance;
    struct scratch *s = calloc(1, sizeof *s);
    (void)info;
    if (!s)
        return NULL;
    s->input = (struct input){.w = d->w, .h = d->h, .channels_last = d->channels_last};
    s->input.norm = norm_of(d->mean, d->scale);
    s->input.data = calloc((size_t)d->w * d->h * 3, sizeof(float));
    s->input.columns = calloc(d->w, sizeof(struct tap));
    s->finds.all = calloc(FINDS_MAX, sizeof(struct find));
    if (s->input.data && s->input.columns && s->finds.all && make_value(d, s))
        return s;
    session_close(d, s);
    return NULL;
}

/* --- a run --- */

static void free_values(const struct detector *d, struct ort_value *values[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (values[i])
            d->ort->free_value(values[i]);
}

/* What is no tensor of float32, or has more dimensions than a decoder knows, gets no dimensions. */
static int read_shape(const struct detector *d, const struct ort_shape *shape, struct tensor *t)
{
    int element = 0;
    size_t n = 0;
    if (!works(d, d->ort->element(shape, &element), "output") ||
        !works(d, d->ort->count_dims(shape, &n), "output"))
        return 0;
    t->n_dims = element == ORT_FLOAT && n <= DIMS_MAX ? n : 0;
    return !t->n_dims || works(d, d->ort->dims(shape, t->dim, n), "output");
}

static int read_tensor(const struct detector *d, struct ort_value *value, struct tensor *t)
{
    struct ort_shape *shape = NULL;
    int is_tensor = 0;
    void *data = NULL;
    memset(t, 0, sizeof *t);
    if (!works(d, d->ort->is_tensor(value, &is_tensor), "output"))
        return 0;
    if (!is_tensor)
        return 1;
    if (!works(d, d->ort->shape_of_value(value, &shape), "output"))
        return 0;
    int ok = read_shape(d, shape, t);
    d->ort->free_shape(shape);
    if (!ok || !t->n_dims)
        return ok;
    ok = works(d, d->ort->data(value, &data), "output");
    t->data = data;
    return ok;
}

/* Gives the outputs with these numbers, which the caller frees also when it fails. */
static int run(const struct detector *d, const struct scratch *s, const size_t numbers[], size_t n,
               struct ort_value *values[])
{
    const char *const in = d->input_name;
    const struct ort_value *const value = s->value;
    const char *names[OUTPUTS_MAX];
    for (size_t i = 0; i < n; i++) {
        names[i] = d->output_names[numbers[i]];
        values[i] = NULL;
    }
    return works(d, d->ort->run(d->session, NULL, &in, &value, 1, names, n, values), "model");
}

static int read_tensors(const struct detector *d, struct ort_value *values[], size_t n,
                        struct tensor tensors[])
{
    for (size_t i = 0; i < n; i++)
        if (!read_tensor(d, values[i], &tensors[i]))
            return 0;
    return 1;
}

static void pick_yolo(struct detector *d, const struct tensor t[])
{
    for (size_t i = 0; i < d->n_outputs && !d->n_used; i++)
        if (yolo_form(&t[i]) != YOLO_NONE)
            d->used[d->n_used++] = i;
}

/* Other outputs may have the shape of scores; then the name tells. */
static void pick_ssd(struct detector *d, const struct tensor t[])
{
    size_t boxes = 0, scores = d->n_outputs;
    while (boxes < d->n_outputs && !ssd_is_boxes(&t[boxes]))
        boxes++;
    for (size_t i = 0; i < d->n_outputs && boxes < d->n_outputs; i++) {
        int fits = i != boxes && ssd_is_scores(&t[i], &t[boxes]);
        if (fits && (scores == d->n_outputs || (strcasestr(d->output_names[i], "score") &&
                                                !strcasestr(d->output_names[scores], "score"))))
            scores = i;
    }
    if (scores == d->n_outputs)
        return;
    d->used[0] = boxes;
    d->used[1] = scores;
    d->n_used = 2;
}

static int pick_outputs(struct detector *d, const struct tensor t[])
{
    char text[80];
    if (d->is_ssd)
        pick_ssd(d, t);
    else
        pick_yolo(d, t);
    if (d->n_used)
        return 1;
    return complain(d, "model: its first output of %zu is %s; decode=%s wants %s", d->n_outputs,
                    shape_text(text, t[0].dim, t[0].n_dims), d->is_ssd ? "ssd" : "yolo",
                    d->is_ssd ? "1xNx4 and 1xN or 1xNxCLASSES"
                              : "1x(4+CLASSES)xN or 1xNx(5+CLASSES)");
}

/* The first run is slow, and shows what the outputs really are. */
static int warm_up(struct detector *d)
{
    struct ort_value *values[OUTPUTS_MAX];
    struct tensor tensors[OUTPUTS_MAX] = {{0}};
    size_t all[OUTPUTS_MAX];
    struct scratch *s = session_open(d, NULL);
    if (!s)
        return 0;
    for (size_t i = 0; i < OUTPUTS_MAX; i++)
        all[i] = i;
    int ok = run(d, s, all, d->n_outputs, values) &&
             read_tensors(d, values, d->n_outputs, tensors) && pick_outputs(d, tensors);
    free_values(d, values, d->n_outputs);
    session_close(d, s);
    return ok;
}

static void tell(const struct detector *d, const struct finds *finds, struct sp_sink *sink)
{
    for (size_t i = 0; i < finds->n; i++) {
        const struct find *f = &finds->all[i];
        char number[32];
        snprintf(number, sizeof number, "%zu", f->class);
        struct sp_detection found = {.struct_size = sizeof found,
                                     .x = f->x,
                                     .y = f->y,
                                     .w = f->w,
                                     .h = f->h,
                                     .score = f->score,
                                     .label =
                                         f->class < d->n_labels ? d->labels[f->class] : number};
        sink->detection(sink, &found);
    }
}

static int process(void *instance, void *session, const struct sp_frame *frame,
                   struct sp_sink *sink)
{
    const struct detector *d = instance;
    struct scratch *s = session;
    const struct picture p = {frame->data, frame->width, frame->height, frame->stride};
    struct fit f = fit_frame(frame->full_width, frame->full_height, d->w, d->h, d->letterbox);
    struct ort_value *values[USED_MAX];
    struct tensor t[USED_MAX] = {{0}};
    fill_input(&s->input, &f, &p);
    if (sink->cancelled(sink)) /* a run is not stopped once it goes */
        return SP_LATE;
    int ok = run(d, s, d->used, d->n_used, values) && read_tensors(d, values, d->n_used, t);
    s->finds.n = s->finds.n_seen = 0;
    if (ok && d->is_ssd)
        decode_ssd(&s->finds, &t[0], &t[1], &f, &d->rules);
    else if (ok)
        decode_yolo(&s->finds, &t[0], &f, &d->rules);
    free_values(d, values, d->n_used);
    suppress(&s->finds, d->rules.iou, SP_DETECTIONS_MAX);
    tell(d, &s->finds, sink);
    return ok ? SP_OK : SP_ERROR;
}

/* --- life --- */

static void free_text(const struct detector *d, char *text)
{
    struct ort_status *status = text ? d->ort->free_text(d->allocator, text) : NULL;
    if (status)
        d->ort->free_status(status);
}

static void close_model(struct detector *d)
{
    if (!d->ort)
        return;
    for (size_t i = 0; i < d->n_outputs; i++)
        free_text(d, d->output_names[i]);
    free_text(d, d->input_name);
    if (d->session)
        d->ort->free_session(d->session);
    if (d->memory)
        d->ort->free_memory(d->memory);
    if (d->env)
        d->ort->free_env(d->env);
}

static void close_detector(void *instance)
{
    struct detector *d = instance;
    close_model(d);
    for (size_t i = 0; i < d->n_labels; i++)
        free(d->labels[i]);
    free(d->labels);
    free(d->library);
    free(d->model);
    free(d->labels_file);
    free(d);
}

static void say_what_it_is(const struct detector *d)
{
    char text[200];
    snprintf(text, sizeof text, "ONNX Runtime %.40s, input %ux%u, output %.80s", d->base->version(),
             d->w, d->h, d->output_names[d->used[0]]);
    d->host->log(d->host, SP_LOG_INFO, text);
}

static int open_model(struct detector *d)
{
    return load_library(d) && load_model(d) && look_at_input(d) && look_at_outputs(d) && warm_up(d);
}

/* As it is before it is configured. */
static struct detector *new_detector(const struct sp_host *host)
{
    struct detector *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->host = host;
    d->letterbox = 1;
    d->rules = (struct rules){.confidence = 0.25, .iou = 0.45, .background = NO_CLASS};
    d->n_threads = 1;
    for (int i = 0; i < 3; i++)
        d->scale[i] = 1.0 / 255;
    return d;
}

static void *open_detector(const struct sp_host *host, const char *config)
{
    struct detector *d = new_detector(host);
    if (!d)
        return NULL;
    if (configure(d, config) && read_labels(d) && open_model(d)) {
        say_what_it_is(d);
        return d;
    }
    close_detector(d);
    return NULL;
}

static const struct sp_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi_major = SP_ABI_MAJOR,
    .abi_minor = SP_ABI_MINOR,
    .format = SP_RGB,
    .scale = 1,
    .name = "onnx",
    .version = "1.0",
    .licence = "MIT",
    .summary = "what an ONNX model finds, by ONNX Runtime",
    .open = open_detector,
    .session_open = session_open,
    .process = process,
    .session_close = session_close,
    .close = close_detector,
};

const struct sp_plugin *sp_plugin_entry(uint32_t host_major, uint32_t host_minor)
{
    (void)host_minor;
    return host_major == SP_ABI_MAJOR ? &plugin : NULL;
}
