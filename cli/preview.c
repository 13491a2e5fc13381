#include "cli/preview.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <turbojpeg.h>
#include <unistd.h>

#include "cli/blocks.h"
#include "cli/detections.h"
#include "common/clock.h"

#define EVERY_US      66666u
#define BOXES_MAX     32
#define PENDING_MAX   65536u
#define DRAWING_MAX   ((size_t)8 << 20)
#define JOIN_MS       500
#define COLUMNS_LEAST 8
#define ROWS_BELOW    6 /* for what is printed */

/* What is handed to the thread, under the lock. */
struct order {
    uint8_t *jpeg;
    size_t n_bytes, cap;
    unsigned halvings;
    bool has_picture;
    struct blocks_box box[BOXES_MAX]; /* in pixels of the source */
    size_t n_boxes;
    struct text line; /* of term.h, with its escape sequences */
};

struct preview {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ends;
    struct order next;

    struct term *term; /* the caller's thread */
    uint64_t offered_us;

    struct order now; /* the thread's */
    struct blocks blocks;
    tjhandle decoder;
    uint8_t *rgb;
    size_t rgb_bytes;
    struct winsize size; /* that the screen was laid out for */
    struct text out;
};

/* --- the thread: drawing --- */

static void write_all(const struct text *t)
{
    const char *at = text_str(t);
    size_t left = t->len;
    while (left > 0) {
        struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
        poll(&room, 1, -1); /* somebody may have made it non-blocking */
        ssize_t n = write(STDERR_FILENO, at, left);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return; /* nowhere to complain */
        at += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
}

/* The picture above, a region that scrolls below it; again when the terminal's size changes. */
static bool lay_out(struct preview *v, unsigned width, unsigned height)
{
    struct winsize size = {0};
    unsigned columns, rows;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < COLUMNS_LEAST ||
        size.ws_row <= 2 * ROWS_BELOW)
        return false;
    blocks_fit(width, height, size.ws_col, size.ws_row - ROWS_BELOW, &columns, &rows);
    bool same = size.ws_col == v->size.ws_col && size.ws_row == v->size.ws_row &&
                columns == v->blocks.columns && rows == v->blocks.rows;
    if (same)
        return true;
    if (!columns || !rows || blocks_resize(&v->blocks, columns, rows) < 0)
        return false;
    v->size = size;
    text_addf(&v->out, "\033[r\033[2J\033[%u;%ur\033[%u;1H", rows + 1, size.ws_row, size.ws_row);
    return true;
}

/* Decodes at 1/8 into v->rgb. */
static bool decode(struct preview *v, struct blocks_picture *p, unsigned *full_width)
{
    static const tjscalingfactor eighth = {1, 8};
    int width = 0, height = 0, subsampling, colours; /* tables alone leave them as they are */
    if (tjDecompressHeader3(v->decoder, v->now.jpeg, v->now.n_bytes, &width, &height, &subsampling,
                            &colours) < 0 ||
        width < 1 || height < 1)
        return false;
    *full_width = (unsigned)width << v->now.halvings;
    width = TJSCALED(width, eighth);
    height = TJSCALED(height, eighth);
    size_t n_bytes = (size_t)width * (size_t)height * 3;
    if (n_bytes > v->rgb_bytes) {
        free(v->rgb);
        v->rgb = malloc(n_bytes);
        v->rgb_bytes = v->rgb ? n_bytes : 0;
    }
    *p = (struct blocks_picture){v->rgb, (unsigned)width, (unsigned)height, (size_t)width * 3};
    if (!v->rgb)
        return false;
    int rc = tjDecompress2(v->decoder, v->now.jpeg, v->now.n_bytes, v->rgb, width, 0, height,
                           TJPF_RGB, TJFLAG_FASTDCT | TJFLAG_FASTUPSAMPLE);
    return rc == 0 || tjGetErrorCode(v->decoder) == TJERR_WARNING; /* worth seeing all the same */
}

static struct blocks_box scaled(const struct blocks_box *box, double by)
{
    struct blocks_box b = *box;
    b.x *= by;
    b.y *= by;
    b.width *= by;
    b.height *= by;
    return b;
}

static void draw(struct preview *v)
{
    struct blocks_picture p;
    struct blocks_box box[BOXES_MAX];
    unsigned full_width;
    if (!decode(v, &p, &full_width) || !lay_out(v, p.width, p.height))
        return;
    double scale = (double)p.width / full_width;
    for (size_t i = 0; i < v->now.n_boxes; i++)
        box[i] = scaled(&v->now.box[i], scale);
    text_add(&v->out, "\0337"); /* the cursor stays where what is printed goes on */
    size_t before = v->out.len;
    blocks_draw(&v->blocks, &p, box, v->now.n_boxes, &v->out);
    if (v->out.len == before)
        v->out.len = before - 2; /* nothing changed */
    else
        text_add(&v->out, "\0338");
}

/* Takes over what there is to do. false: nothing more, ever. */
static bool take_order(struct preview *v)
{
    pthread_mutex_lock(&v->lock);
    while (!v->ends && !v->next.has_picture && v->next.line.len == 0)
        pthread_cond_wait(&v->changed, &v->lock);
    struct order taken = v->next;
    v->next.jpeg = v->now.jpeg; /* the two buffers change places */
    v->next.cap = v->now.cap;
    v->next.line = v->now.line;
    v->next.has_picture = false;
    text_clear(&v->next.line);
    v->now = taken;
    bool goes_on = !v->ends || taken.line.len > 0;
    pthread_mutex_unlock(&v->lock);
    return goes_on;
}

static void *run(void *ctx)
{
    struct preview *v = ctx;
    while (take_order(v)) {
        text_clear(&v->out);
        if (v->now.has_picture)
            draw(v);
        text_add_bytes(&v->out, text_str(&v->now.line), v->now.line.len);
        if (!v->out.cut)
            write_all(&v->out);
    }
    text_clear(&v->out);
    if (v->blocks.rows) /* everything scrolls again, below the picture */
        text_addf(&v->out, "\033[r\033[%u;1H\n", v->size.ws_row);
    write_all(&v->out);
    return NULL;
}

/* --- the caller's side --- */

static void take_line(void *ctx, const char *bytes, size_t n)
{
    struct preview *v = ctx;
    pthread_mutex_lock(&v->lock);
    text_add_bytes(&v->next.line, bytes, n); /* too much for a slow terminal: left out */
    pthread_cond_signal(&v->changed);
    pthread_mutex_unlock(&v->lock);
}

void preview_offer(struct preview *v, const struct picture *p)
{
    uint64_t now_us = clock_now_us();
    if (!v || now_us < v->offered_us + EVERY_US)
        return;
    v->offered_us = now_us;
    pthread_mutex_lock(&v->lock);
    struct order *o = &v->next;
    if (o->cap < p->n_bytes) {
        free(o->jpeg);
        o->jpeg = malloc(p->n_bytes);
        o->cap = o->jpeg ? p->n_bytes : 0;
    }
    o->has_picture = o->jpeg != NULL;
    if (o->jpeg) {
        memcpy(o->jpeg, p->bytes, p->n_bytes);
        o->n_bytes = p->n_bytes;
        o->halvings = p->halvings;
    }
    pthread_cond_signal(&v->changed);
    pthread_mutex_unlock(&v->lock);
}

void preview_result(struct preview *v, const char *result, unsigned halvings)
{
    struct detections found;
    if (!v || detections_read(&found, result) < 0)
        return;
    pthread_mutex_lock(&v->lock);
    v->next.n_boxes = 0;
    for (size_t i = 0; i < found.n && i < BOXES_MAX; i++)
        v->next.box[v->next.n_boxes++] = scaled(&found.item[i].box, 1u << halvings);
    pthread_mutex_unlock(&v->lock);
}

static void free_preview(struct preview *v)
{
    free(v->next.jpeg);
    free(v->now.jpeg);
    free(v->rgb);
    text_deinit(&v->next.line);
    text_deinit(&v->now.line);
    text_deinit(&v->out);
    blocks_deinit(&v->blocks);
    if (v->decoder)
        tjDestroy(v->decoder);
    pthread_cond_destroy(&v->changed);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

int preview_open(struct preview **out, struct term *t, struct err *e)
{
    *out = NULL;
    if (!term_is_terminal())
        return err_set(e, EXIT_USAGE,
                       "--preview draws on standard error, which has to be a terminal");
    struct preview *v = calloc(1, sizeof *v);
    if (!v)
        return err_set(e, EXIT_FAILED, "out of memory");
    v->term = t;
    v->next.line = text_heap(PENDING_MAX);
    v->now.line = text_heap(PENDING_MAX);
    v->out = text_heap(DRAWING_MAX);
    v->decoder = tjInitDecompress();
    blocks_init(&v->blocks);
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->changed, NULL);
    if (!v->decoder || pthread_create(&v->thread, NULL, run, v) != 0) {
        free_preview(v);
        return err_set(e, EXIT_FAILED, "cannot start the preview");
    }
    term_divert(t, take_line, v);
    *out = v;
    return 0;
}

void preview_close(struct preview *v)
{
    struct timespec until;
    if (!v)
        return;
    term_divert(v->term, NULL, NULL);
    pthread_mutex_lock(&v->lock);
    v->ends = true;
    pthread_cond_signal(&v->changed);
    pthread_mutex_unlock(&v->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += JOIN_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    if (pthread_timedjoin_np(v->thread, NULL, &until) == 0)
        free_preview(v);
    /* else it hangs in a write to a terminal that was stopped (^S), and ends with the program */
}
