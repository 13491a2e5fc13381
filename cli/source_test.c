#include "cli/source.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "common/pattern.h"
#include "common/clock.h"
#include "common/opt.h"

/* The test picture as a camera: frame k is due at start + k / fps whatever happened before, so
 * the rate has no drift. A frame that could not be made in time is skipped, as a camera's would
 * be; its number is missing from the digits in the picture. */

#define QUALITY 80 /* until told otherwise */
#define FPS_MIN 0.1
#define FPS_MAX 240

struct test_spec {
    unsigned width, height;
    double fps;
};

struct test_source {
    struct source source; /* first: struct source is what others see */
    struct loop *loop;
    struct loop_timer timer;
    struct source_sink sink;
    struct test_spec spec;
    unsigned quality, halvings;
    uint8_t *planes; /* of both patterns, at full size */
    struct pattern background, frame;
    tjhandle encoder;
    unsigned char *jpeg; /* room for the largest that this size can give */
    size_t picture_bytes_max;
    uint64_t start_us; /* frame 0 was due; 0 before */
    uint64_t n;        /* number of the next frame */
    uint64_t n_given;
};

static bool test_matches(const char *spec)
{
    return !strncmp(spec, "test:", 5);
}

static bool read_side(const char **at, unsigned *side)
{
    char *end;
    if (!isdigit((unsigned char)**at))
        return false;
    unsigned long v = strtoul(*at, &end, 10);
    *at = end;
    *side = v <= PATTERN_SIDE_MAX ? (unsigned)v : 0;
    return *side >= PATTERN_SIDE_MIN;
}

static bool read_size(const char **at, struct test_spec *s)
{
    if (!read_side(at, &s->width) || **at != 'x')
        return false;
    ++*at;
    return read_side(at, &s->height);
}

static bool read_fps(const char *text, double *fps)
{
    return opt_parse_real(text, fps, NULL) == 0 && *fps >= FPS_MIN && *fps <= FPS_MAX;
}

static int parse_spec(const char *spec, struct test_spec *s, struct err *e)
{
    *s = (struct test_spec){.width = 640, .height = 480, .fps = 30};
    const char *at = spec + strlen("test:");
    const char *wrong = NULL;
    if (*at && *at != '@' && !read_size(&at, s))
        wrong = "size";
    else if (*at == '@' && !read_fps(at + 1, &s->fps))
        wrong = "rate";
    else if (*at && *at != '@')
        wrong = "size";
    if (!wrong)
        return 0;
    return err_set(e, EXIT_USAGE,
                   "source '%.80s': bad %s; expected test:[WxH][@FPS], W and H %d to %d, "
                   "FPS %g to %d",
                   spec, wrong, PATTERN_SIDE_MIN, PATTERN_SIDE_MAX, FPS_MIN, FPS_MAX);
}

/* Gives the size of the JPEG in s->jpeg, 0 when it cannot be made. */
static size_t encode_frame(struct test_source *s)
{
    const struct pattern *p = &s->frame;
    const unsigned char *planes[3] = {p->plane[0], p->plane[1], p->plane[2]};
    int width = (int)p->width, height = (int)p->height;
    unsigned long n_bytes = tjBufSize(width, height, TJSAMP_420);
    pattern_draw_frame(p, &s->background, s->n);
    if (tjCompressFromYUVPlanes(s->encoder, planes, width, p->stride, height, TJSAMP_420, &s->jpeg,
                                &n_bytes, (int)s->quality, TJFLAG_NOREALLOC) < 0)
        return 0;
    return n_bytes;
}

/* The last thing of a turn: any of the sink's functions may close the source. */
static void give_frame(struct test_source *s, size_t n_bytes)
{
    struct err why;
    struct picture *p = NULL;
    if (n_bytes > s->picture_bytes_max) {
        s->sink.on_broken(s->sink.ctx, "too large");
        return;
    }
    if (n_bytes)
        p = picture_new(s->jpeg, n_bytes, clock_now_us());
    if (p) {
        p->index = s->n_given++;
        p->quality = s->quality;
        p->halvings = s->halvings;
        s->sink.on_picture(s->sink.ctx, p);
        return;
    }
    loop_timer_cancel(s->loop, &s->timer);
    int rc = err_set(&why, EXIT_FAILED, "test picture: %s",
                     n_bytes ? "out of memory" : tjGetErrorStr2(s->encoder));
    s->sink.on_end(s->sink.ctx, rc, &why);
}

static uint64_t due_us(const struct test_source *s, uint64_t n)
{
    return s->start_us + (uint64_t)ceil((double)n * 1e6 / s->spec.fps);
}

static void on_due(void *ctx)
{
    struct test_source *s = ctx;
    uint64_t now_us = s->loop->now_us;
    if (!s->start_us)
        s->start_us = now_us;
    uint64_t newest = (uint64_t)((double)(now_us - s->start_us) * s->spec.fps / 1e6);
    if (newest > s->n)
        s->n = newest;
    size_t n_bytes = encode_frame(s);
    s->n++;
    loop_timer_set(s->loop, &s->timer, due_us(s, s->n));
    give_frame(s, n_bytes);
}

static void test_close(struct source *source)
{
    struct test_source *s = (struct test_source *)source;
    loop_timer_cancel(s->loop, &s->timer);
    if (s->encoder)
        tjDestroy(s->encoder);
    tjFree(s->jpeg);
    free(s->planes);
    free(s);
}

static void lay_out(struct test_source *s)
{
    unsigned w = s->spec.width >> s->halvings, h = s->spec.height >> s->halvings;
    s->background = pattern_over(s->planes, w, h);
    s->frame = pattern_over(s->planes + pattern_bytes(w, h), w, h);
    pattern_draw_background(&s->background);
}

static void set_encoding(struct source *source, unsigned quality, unsigned halvings)
{
    struct test_source *s = (struct test_source *)source;
    unsigned side = s->spec.width < s->spec.height ? s->spec.width : s->spec.height;
    while (halvings && side >> halvings < PATTERN_SIDE_MIN)
        halvings--;
    s->quality = quality ? quality : QUALITY;
    if (halvings == s->halvings)
        return;
    s->halvings = halvings;
    lay_out(s);
}

static bool make_buffers(struct test_source *s)
{
    unsigned w = s->spec.width, h = s->spec.height;
    size_t n_bytes = pattern_bytes(w, h);
    s->encoder = tjInitCompress();
    s->jpeg = tjAlloc((int)tjBufSize((int)w, (int)h, TJSAMP_420));
    s->planes = malloc(2 * n_bytes);
    if (!s->encoder || !s->jpeg || !s->planes)
        return false;
    lay_out(s);
    return true;
}

static int test_open(struct source **out, const char *spec, const struct source_options *o,
                     struct loop *l, const struct source_sink *sink, struct err *e)
{
    struct test_spec parsed;
    int rc = parse_spec(spec, &parsed, e);
    if (rc < 0)
        return rc;
    struct test_source *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, EXIT_FAILED, "out of memory for the test picture");
    s->source.close = test_close;
    s->source.set_encoding = set_encoding;
    s->quality = QUALITY;
    s->loop = l;
    s->sink = *sink;
    s->spec = parsed;
    s->picture_bytes_max = o->picture_bytes_max;
    s->timer = (struct loop_timer){.on_due = on_due, .ctx = s};
    if (!make_buffers(s)) {
        test_close(&s->source);
        return err_set(e, EXIT_FAILED, "out of memory for a test picture of %u x %u", parsed.width,
                       parsed.height);
    }
    loop_timer_set(l, &s->timer, l->now_us); /* the next turn */
    *out = &s->source;
    return 0;
}

const struct source_kind source_test = {
    .name = "test",
    .spec = "test:[WxH][@FPS]",
    .matches = test_matches,
    .open = test_open,
};
