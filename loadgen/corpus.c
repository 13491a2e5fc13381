#include "loadgen/corpus.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <turbojpeg.h>

#include "common/jpeg.h"
#include "common/mjpeg.h"
#include "common/pattern.h"

#define N_MADE           8u
#define NOISE            12u /* of 255, as a camera's sensor has in poor light */
#define FRAME_BYTES_MAX  (256u << 20)
#define CORPUS_BYTES_MAX ((size_t)1 << 30)
#define COM_BYTES_MAX    65537u /* marker, length and 65533 bytes: T.81, B.2.4.5 */
#define COM_BYTES_MIN    4u

static int no_memory(struct err *e)
{
    return err_set(e, EXIT_FAILED, "out of memory for the frames");
}

static int add_frame(struct corpus *c, const uint8_t *bytes, size_t n, struct err *e)
{
    struct corpus_frame *more = realloc(c->frame, (c->n + 1) * sizeof *more);
    if (!more)
        return no_memory(e);
    c->frame = more;
    uint8_t *copy = malloc(n);
    if (!copy)
        return no_memory(e);
    memcpy(copy, bytes, n);
    c->frame[c->n++] = (struct corpus_frame){copy, n};
    c->bytes_max = n > c->bytes_max ? n : c->bytes_max;
    return 0;
}

static void sum_up(struct corpus *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->n; i++)
        sum += c->frame[i].n_bytes;
    c->bytes_mean = c->n ? sum / c->n : 0;
}

/* --- made frames --- */

struct maker {
    struct pattern background, picture;
    uint8_t *planes;
    tjhandle encoder;
    unsigned char *jpeg;
    unsigned long jpeg_bytes, jpeg_cap;
    uint32_t random;
};

static void maker_deinit(struct maker *m)
{
    if (m->encoder)
        tjDestroy(m->encoder);
    tjFree(m->jpeg);
    free(m->planes);
    *m = (struct maker){0};
}

static int maker_init(struct maker *m, unsigned width, unsigned height, struct err *e)
{
    size_t n = pattern_bytes(width, height);
    *m = (struct maker){.planes = malloc(2 * n), .encoder = tjInitCompress(), .random = 1};
    m->jpeg_cap = tjBufSize((int)width, (int)height, TJSAMP_420);
    m->jpeg = tjAlloc((int)m->jpeg_cap);
    if (!m->planes || !m->encoder || !m->jpeg) {
        maker_deinit(m);
        return no_memory(e);
    }
    m->background = pattern_over(m->planes, width, height);
    m->picture = pattern_over(m->planes + n, width, height);
    pattern_draw_background(&m->background);
    return 0;
}

static void add_noise(struct maker *m)
{
    const struct pattern *p = &m->picture;
    for (unsigned y = 0; y < p->height; y++) {
        uint8_t *row = p->plane[0] + (size_t)y * (size_t)p->stride[0];
        for (unsigned x = 0; x < p->width; x++) {
            m->random = m->random * 1664525u + 1013904223u;
            unsigned v = row[x] + (m->random >> 24) * NOISE / 256;
            row[x] = (uint8_t)(v < 255 ? v : 255);
        }
    }
}

static int encode(struct maker *m, int quality, struct err *e)
{
    const struct pattern *p = &m->picture;
    const unsigned char *planes[3] = {p->plane[0], p->plane[1], p->plane[2]};
    m->jpeg_bytes = m->jpeg_cap;
    if (tjCompressFromYUVPlanes(m->encoder, planes, (int)p->width, p->stride, (int)p->height,
                                TJSAMP_420, &m->jpeg, &m->jpeg_bytes, quality,
                                TJFLAG_NOREALLOC) < 0)
        return err_set(e, EXIT_FAILED, "cannot encode a frame: %s", tjGetErrorStr2(m->encoder));
    return 0;
}

/* The best quality whose frame is at most that large and leaves no gap too small to fill. */
static int encode_to_size(struct maker *m, size_t frame_bytes, struct err *e)
{
    int low = 0, high = 101; /* low fits, high does not */
    while (high - low > 1) {
        int middle = (low + high) / 2, rc = encode(m, middle, e);
        if (rc < 0)
            return rc;
        bool fits = m->jpeg_bytes == frame_bytes || m->jpeg_bytes + COM_BYTES_MIN <= frame_bytes;
        *(fits ? &low : &high) = middle;
    }
    if (low == 0)
        return err_set(e, EXIT_USAGE,
                       "--size: %ux%u takes at least %lu bytes; ask for more, or for a smaller "
                       "--geometry",
                       m->picture.width, m->picture.height, m->jpeg_bytes + COM_BYTES_MIN);
    return encode(m, low, e);
}

/* Behind SOI; a rest too small for a segment of its own is never left. */
static void fill_up(uint8_t *at, size_t n)
{
    while (n) {
        size_t segment = n < COM_BYTES_MAX ? n : COM_BYTES_MAX;
        if (n > segment && n - segment < COM_BYTES_MIN)
            segment -= COM_BYTES_MIN;
        size_t length = segment - 2; /* counts its own two bytes, not the marker */
        memset(at, ' ', segment);
        at[0] = 0xff;
        at[1] = 0xfe;
        at[2] = (uint8_t)(length >> 8);
        at[3] = (uint8_t)length;
        at += segment;
        n -= segment;
    }
}

static int make_one(struct corpus *c, struct maker *m, size_t frame_bytes, struct err *e)
{
    pattern_draw_frame(&m->picture, &m->background, c->n);
    add_noise(m);
    int rc = encode_to_size(m, frame_bytes, e);
    if (rc < 0)
        return rc;
    uint8_t *bytes = malloc(frame_bytes);
    if (!bytes)
        return no_memory(e);
    size_t gap = frame_bytes - m->jpeg_bytes;
    memcpy(bytes, m->jpeg, 2);
    fill_up(bytes + 2, gap);
    memcpy(bytes + 2 + gap, m->jpeg + 2, m->jpeg_bytes - 2);
    rc = add_frame(c, bytes, frame_bytes, e);
    free(bytes);
    return rc;
}

int corpus_make(struct corpus *c, unsigned width, unsigned height, size_t frame_bytes,
                struct err *e)
{
    struct maker m;
    *c = (struct corpus){0};
    int rc = maker_init(&m, width, height, e);
    if (rc < 0)
        return rc;
    while (rc == 0 && c->n < N_MADE)
        rc = make_one(c, &m, frame_bytes, e);
    maker_deinit(&m);
    sum_up(c);
    return rc;
}

/* --- frames of others --- */

struct loading {
    struct corpus *corpus;
    struct err *e;
    size_t total_bytes;
    int rc;
};

static void take(struct loading *l, const uint8_t *bytes, size_t n)
{
    l->total_bytes += n;
    if (l->total_bytes > CORPUS_BYTES_MAX)
        l->rc = err_set(l->e, EXIT_USAGE, "--frames: more than 1 GiB");
    else
        l->rc = add_frame(l->corpus, bytes, n, l->e);
}

static void on_picture(void *ctx, const uint8_t *bytes, size_t n, bool mended)
{
    struct loading *l = ctx;
    (void)mended;
    if (l->rc == 0)
        take(l, bytes, n);
}

static void on_broken(void *ctx, const char *why)
{
    (void)ctx;
    (void)why; /* a file that holds others is good enough */
}

static int load_file(struct loading *l, const char *path)
{
    struct mjpeg_sink sink = {.ctx = l, .on_picture = on_picture, .on_broken = on_broken};
    uint8_t chunk[65536];
    size_t n;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_errno(l->e, EXIT_UNREACHABLE, "--frames %s", path);
    struct mjpeg *m = mjpeg_new(FRAME_BYTES_MAX, &sink);
    while (m && l->rc == 0 && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
        mjpeg_feed(m, chunk, n);
    if (m)
        mjpeg_end(m);
    else
        l->rc = no_memory(l->e);
    mjpeg_free(m);
    fclose(f);
    return l->rc;
}

static int is_jpeg_name(const struct dirent *d)
{
    const char *dot = strrchr(d->d_name, '.');
    return dot && (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg"));
}

static int load_folder(struct loading *l, const char *path)
{
    struct dirent **names;
    char file[4096];
    int n = scandir(path, &names, is_jpeg_name, versionsort);
    if (n < 0)
        return err_errno(l->e, EXIT_UNREACHABLE, "--frames %s", path);
    for (int i = 0; i < n; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        if (l->rc == 0)
            load_file(l, file);
        free(names[i]);
    }
    free(names);
    return l->rc;
}

int corpus_load(struct corpus *c, const char *path, struct err *e)
{
    struct loading l = {.corpus = c, .e = e};
    struct stat st;
    *c = (struct corpus){0};
    if (stat(path, &st) < 0)
        return err_errno(e, EXIT_UNREACHABLE, "--frames %s", path);
    int rc = S_ISDIR(st.st_mode) ? load_folder(&l, path) : load_file(&l, path);
    if (rc == 0 && c->n == 0)
        rc = err_set(e, EXIT_USAGE, "--frames %s: no JPEG in it", path);
    sum_up(c);
    return rc;
}

void corpus_free(struct corpus *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->frame[i].bytes);
    free(c->frame);
    *c = (struct corpus){0};
}
