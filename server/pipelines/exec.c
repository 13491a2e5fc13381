#include "server/pipeline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <turbojpeg.h>

#include "common/clock.h"
#include "server/decode.h"
#include "server/worker.h"

/* Models in processes of their own: `exec` starts them, `unix` finds them. A frame takes one that
 * is free; the thread that runs the pipeline waits for the answer. What goes wrong is told as a
 * status in place of a result, never as a result with nothing in it. */

#define WORKERS_MAX    64
#define WARM_UPS       2
#define WARM_UP_WIDTH  640
#define WARM_UP_HEIGHT 480

enum { PARAM_WORKERS, PARAM_TIMEOUT_MS, PARAM_START_MS };

static const struct pipeline_param params[] = {
    [PARAM_WORKERS] = {"workers", 1, 1, WORKERS_MAX, "processes"},
    [PARAM_TIMEOUT_MS] = {"timeout_ms", 1000, 1, 60000, "an answer later than that is none"},
    [PARAM_START_MS] = {"start_ms", 10000, 100, 600000, "how long a start may take"},
};

/* The workers of one pipeline. */
struct crew {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    unsigned n;
    struct worker *worker[WORKERS_MAX];
    bool busy[WORKERS_MAX];                   /* under the lock */
    _Atomic uint64_t n_told[WORKER_STATUSES]; /* frames that ended so */
    unsigned char *warm_up;
    unsigned long warm_up_bytes;
};

struct exec { /* of a session */
    struct text answer;
};

_Static_assert(WORKER_STATUSES - WORKER_ERROR <= PIPELINE_ERRORS_MAX, "each has its counter");
_Static_assert(WORKER_NAME_MAX <= PIPELINE_WORD_MAX, "names are not cut");

/* --- the crew --- */

static void close_crew(struct pipeline *p)
{
    struct crew *c = p->instance;
    for (unsigned i = 0; i < c->n; i++)
        worker_free(c->worker[i]);
    tjFree(c->warm_up);
    pthread_cond_destroy(&c->freed);
    pthread_mutex_destroy(&c->lock);
    free(c);
    p->instance = NULL;
}

static void init_lock(struct crew *c)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&c->lock, NULL);
}

/* A plain picture, so that the first real one does not pay for what is done once. */
static void make_warm_up(struct crew *c)
{
    static const unsigned char grey[WARM_UP_WIDTH * WARM_UP_HEIGHT];
    tjhandle h = tjInitCompress();
    if (h && tjCompress2(h, grey, WARM_UP_WIDTH, 0, WARM_UP_HEIGHT, TJPF_GRAY, &c->warm_up,
                         &c->warm_up_bytes, TJSAMP_GRAY, 80, 0) < 0)
        c->warm_up_bytes = 0;
    if (h)
        tjDestroy(h);
}

static int add_workers(struct crew *c, const struct pipeline *p, bool starts, struct err *e)
{
    struct worker_options o = {.name = p->name,
                               .command = starts ? p->text : NULL,
                               .path = starts ? NULL : p->text,
                               .start_us = (uint64_t)(p->param[PARAM_START_MS] * 1000),
                               .timeout_us = (uint64_t)(p->param[PARAM_TIMEOUT_MS] * 1000),
                               .n_warmup = WARM_UPS,
                               .warmup_jpeg = c->warm_up_bytes ? c->warm_up : NULL,
                               .warmup_jpeg_bytes = c->warm_up_bytes,
                               .warmup_width = WARM_UP_WIDTH,
                               .warmup_height = WARM_UP_HEIGHT};
    for (unsigned n = (unsigned)p->param[PARAM_WORKERS]; c->n < n; c->n++) {
        c->worker[c->n] = worker_new(&o, e);
        if (!c->worker[c->n])
            return -EXIT_FAILED;
        worker_prepare(c->worker[c->n], 1); /* they start side by side */
    }
    return 0;
}

/* Until all have said hello: a command that does not work is told now, not to the first client. */
static int await_workers(const struct crew *c, const struct pipeline *p, struct err *e)
{
    uint64_t start_us = (uint64_t)(p->param[PARAM_START_MS] * 1000) * (1 + WARM_UPS);
    for (unsigned i = 0; i < c->n; i++) {
        enum worker_status status = worker_prepare(c->worker[i], start_us);
        if (status == WORKER_OK)
            continue;
        struct worker_stats s = worker_get_stats(c->worker[i]);
        return err_set(e, EXIT_FAILED, "pipeline '%s': its worker does not start: %s", p->name,
                       s.last_failure[0] ? s.last_failure : worker_status_name(status));
    }
    return 0;
}

static int open_crew(struct pipeline *p, bool starts, struct err *e)
{
    struct crew *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, EXIT_FAILED, "out of memory");
    init_lock(c);
    make_warm_up(c);
    p->instance = c;
    int rc = add_workers(c, p, starts, e);
    return rc == 0 && starts ? await_workers(c, p, e) : rc;
}

static int open_exec(struct pipeline *p, struct err *e)
{
    return open_crew(p, true, e);
}

static int open_unix(struct pipeline *p, struct err *e)
{
    return open_crew(p, false, e); /* it may come later */
}

/* A free one that is not among the `tried`; NULL: none is free in time. */
static struct worker *take(struct crew *c, const bool *tried, uint64_t until_us, unsigned *which)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / 1000000u),
                             .tv_nsec = (long)(until_us % 1000000u) * 1000};
    struct worker *found = NULL;
    int rc = 0;
    pthread_mutex_lock(&c->lock);
    while (!found && rc == 0) {
        for (unsigned i = 0; i < c->n && !found; i++)
            if (!c->busy[i] && !tried[i])
                found = c->worker[ *which = i];
        if (!found)
            rc = pthread_cond_timedwait(&c->freed, &c->lock, &until);
    }
    if (found)
        c->busy[*which] = true;
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void put_back(struct crew *c, unsigned which)
{
    pthread_mutex_lock(&c->lock);
    c->busy[which] = false;
    pthread_cond_signal(&c->freed);
    pthread_mutex_unlock(&c->lock);
}

static void health(const struct pipeline *p, struct pipeline_health *out)
{
    const struct crew *c = p->instance;
    for (unsigned i = 0; i < c->n; i++) {
        struct worker_stats s = worker_get_stats(c->worker[i]);
        out->degraded = out->degraded || worker_is_degraded(c->worker[i]);
        out->n_restarts += s.n_restarts;
    }
    for (unsigned k = WORKER_ERROR; k < WORKER_STATUSES; k++)
        out->errors[k - WORKER_ERROR] = (struct pipeline_error){
            worker_status_name((enum worker_status)k), atomic_load(&c->n_told[k])};
}

/* As its hello says, as soon as there was one. */
static void about(const struct pipeline *p, struct pipeline_about *out)
{
    const struct crew *c = p->instance;
    struct worker_hello h = {.format = WORKER_JPEG};
    if (c->n)
        worker_get_hello(c->worker[0], &h);
    snprintf(out->model, sizeof out->model, "%s", h.name);
    snprintf(out->version, sizeof out->version, "%s", h.version);
    out->licence = "";
    out->format = worker_format_name(h.format);
    out->source = p->text;
}

/* What a broken one answers at once, "restarting", says nothing of the time that it takes when it
 * works again. */
static bool waits(const struct pipeline *p)
{
    (void)p;
    return true;
}

/* --- a session --- */

static void session_free(void *state)
{
    struct exec *s = state;
    if (!s)
        return;
    text_deinit(&s->answer);
    free(s);
}

static void *session_new(const struct pipeline *p)
{
    (void)p;
    struct exec *s = calloc(1, sizeof *s);
    if (s)
        s->answer = text_heap(WORKER_LINE_MAX + 1);
    return s;
}

/* The frame as the worker wants it. -1: it cannot be decoded. */
static int make_frame(const struct pipeline_frame *in, const struct worker_hello *hello,
                      struct worker_frame *out)
{
    struct decoded pixels;
    *out = (struct worker_frame){.payload = in->jpeg,
                                 .payload_bytes = (uint32_t)in->jpeg_bytes,
                                 .format = hello->format,
                                 .scale = hello->scale,
                                 .deadline_us = in->deadline_us};
    if (hello->format == WORKER_JPEG)
        return decode_size(in->decode, &out->width, &out->height);
    if (decode_picture(in->decode, hello->format == WORKER_RGB ? DECODE_RGB : DECODE_GREY,
                       hello->scale, &pixels) < 0)
        return -1;
    out->payload = pixels.pixels;
    out->width = pixels.width;
    out->height = pixels.height;
    out->payload_bytes = (uint32_t)worker_format_bytes(hello->format, pixels.width, pixels.height);
    return 0;
}

/* -1: the frame cannot be decoded. */
static int run_on(struct worker *w, struct exec *s, const struct pipeline_frame *in,
                  enum worker_status *status)
{
    struct worker_hello hello = {.format = WORKER_JPEG, .scale = 1};
    struct worker_frame f;
    worker_get_hello(w, &hello); /* none yet: it says that it is starting */
    if (make_frame(in, &hello, &f) < 0)
        return -1;
    *status = worker_run(w, &f, &s->answer);
    return 0;
}

static bool was_not_sent(enum worker_status s)
{
    return s == WORKER_RESTARTING || s == WORKER_STARTING;
}

static void tell(enum worker_status status, const struct text *answer, struct json *result)
{
    if (status == WORKER_OK) {
        json_members(result, text_str(answer), answer->len);
        return;
    }
    json_str(result, "status", worker_status_name(status));
    if (status == WORKER_ERROR)
        json_str(result, "detail", text_str(answer));
}

static int process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result)
{
    struct crew *c = p->instance;
    struct exec *s = state;
    bool tried[WORKERS_MAX] = {false};
    enum worker_status status = WORKER_TIMEOUT; /* none is free */
    uint64_t until_us = clock_now_us() + (uint64_t)(p->param[PARAM_TIMEOUT_MS] * 1000);
    unsigned which, n_tried = 0;
    struct worker *w;
    text_clear(&s->answer);
    do {
        w = take(c, tried, until_us, &which);
        if (!w)
            break;
        int rc = run_on(w, s, frame, &status);
        put_back(c, which);
        if (rc < 0)
            return -1;
        tried[which] = true;
    } while (was_not_sent(status) && ++n_tried < c->n);
    atomic_fetch_add(&c->n_told[status], 1);
    tell(status, &s->answer, result);
    return 0;
}

const struct pipeline_kind pipeline_exec = {
    .name = "exec",
    .summary = "a model of your own: starts a command and gives it the frames",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .text = "CMD",
    .text_is_rest = true,
    .open = open_exec,
    .close = close_crew,
    .health = health,
    .about = about,
    .waits = waits,
    .session_new = session_new,
    .session_free = session_free,
    .process = process,
};

const struct pipeline_kind pipeline_unix = {
    .name = "unix",
    .summary = "the same behind a Unix socket where it runs already",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .text = "PATH",
    .text_is_rest = true,
    .open = open_unix,
    .close = close_crew,
    .health = health,
    .about = about,
    .waits = waits,
    .session_new = session_new,
    .session_free = session_free,
    .process = process,
};
