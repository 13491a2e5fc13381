#include "cli/v4l2/capture.h"

#include <assert.h>
#include <errno.h>
#include <libv4l2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/raw.h"
#include "cli/v4l2/modes.h"
#include "common/clock.h"
#include "common/jpeg_tables.h"

#define EOI_BYTES 2

/* One buffer of the driver's, and the picture that lies in it while it is out. */
struct buffer {
    struct picture picture; /* first: what others hold is this */
    struct capture_buffers *set;
    uint32_t index;
    unsigned n_planes;
    struct mapping {
        uint8_t *at;
        size_t n_bytes;
    } plane[RAW_PLANES_MAX];
};

struct capture_buffers {
    const struct device *device; /* NULL: the stream is over, nothing is given back */
    unsigned n_out;              /* pictures that others hold */
    unsigned n;
    struct buffer buffer[VIDEO_MAX_FRAME];
};

/* --- memory --- */

static void unmap(const struct mapping *m, bool converts)
{
    if (!m->at)
        return;
    if (converts)
        v4l2_munmap(m->at, m->n_bytes);
    else
        munmap(m->at, m->n_bytes);
}

static void free_buffers(struct capture_buffers *set, bool converts)
{
    for (unsigned i = 0; i < set->n; i++)
        for (unsigned k = 0; k < set->buffer[i].n_planes; k++)
            unmap(&set->buffer[i].plane[k], converts);
    free(set);
}

/* A mapping keeps the driver's file open, and so the camera busy, also after close(). So what is
 * still out gets memory of its own with the same bytes; those that read on meanwhile (the
 * encoder's threads) notice nothing, because the pages change places in one step. */
static void detach(struct mapping *m)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t all = (m->n_bytes + page - 1) / page * page;
    uint8_t *copy = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        return; /* then the camera stays busy until the picture is freed */
    memcpy(copy, m->at, m->n_bytes);
    if (mremap(copy, all, all, MREMAP_MAYMOVE | MREMAP_FIXED, m->at) == MAP_FAILED)
        munmap(copy, all);
}

static void detach_buffers(struct capture_buffers *set)
{
    for (unsigned i = 0; i < set->n; i++)
        for (unsigned k = 0; k < set->buffer[i].n_planes; k++)
            detach(&set->buffer[i].plane[k]);
}

static bool map(struct mapping *m, const struct device *d, size_t n_bytes, off_t offset)
{
    int prot = PROT_READ | PROT_WRITE;
    void *at = d->converts ? v4l2_mmap(NULL, n_bytes, prot, MAP_SHARED, d->fd, offset)
                           : mmap(NULL, n_bytes, prot, MAP_SHARED, d->fd, offset);
    m->n_bytes = n_bytes;
    m->at = at == MAP_FAILED ? NULL : at;
    return m->at != NULL;
}

/* --- asking the driver --- */

/* A v4l2_buffer with room for planes, as both kinds of device want it. */
struct query {
    struct v4l2_buffer buffer;
    struct v4l2_plane plane[VIDEO_MAX_PLANES];
};

static void begin_query(struct query *q, const struct device *d, uint32_t index)
{
    *q =
        (struct query){.buffer = {.type = d->buf_type, .memory = V4L2_MEMORY_MMAP, .index = index}};
    if (d->is_mplane) {
        q->buffer.m.planes = q->plane;
        q->buffer.length = VIDEO_MAX_PLANES;
    }
}

static int give_to_driver(const struct device *d, uint32_t index)
{
    struct query q;
    begin_query(&q, d, index);
    return device_ioctl(d, VIDIOC_QBUF, &q.buffer);
}

static int map_buffer(struct buffer *b, const struct device *d)
{
    struct query q;
    begin_query(&q, d, b->index);
    if (device_ioctl(d, VIDIOC_QUERYBUF, &q.buffer) < 0)
        return -1;
    unsigned n = d->is_mplane ? q.buffer.length : 1;
    for (unsigned i = 0; i < n && i < RAW_PLANES_MAX; i++) {
        size_t n_bytes = d->is_mplane ? q.plane[i].length : q.buffer.length;
        off_t offset = d->is_mplane ? q.plane[i].m.mem_offset : q.buffer.m.offset;
        if (!map(&b->plane[i], d, n_bytes, offset))
            return -1;
        b->n_planes = i + 1;
    }
    return 0;
}

static int request(const struct device *d, uint32_t n)
{
    struct v4l2_requestbuffers r = {.count = n, .type = d->buf_type, .memory = V4L2_MEMORY_MMAP};
    if (device_ioctl(d, VIDIOC_REQBUFS, &r) < 0)
        return -1;
    return (int)r.count;
}

static int fill_set(struct capture_buffers *set, const struct device *d, int n)
{
    for (int i = 0; i < n && i < VIDEO_MAX_FRAME; i++) {
        struct buffer *b = &set->buffer[i];
        b->set = set;
        b->index = (uint32_t)i;
        set->n = (unsigned)i + 1;
        if (map_buffer(b, d) < 0 || give_to_driver(d, b->index) < 0)
            return -1;
    }
    return 0;
}

static int start_streaming(struct capture *c, struct err *e)
{
    const struct device *d = c->device;
    int type = (int)d->buf_type;
    c->buffers = calloc(1, sizeof *c->buffers);
    if (!c->buffers)
        return err_set(e, EXIT_FAILED, "out of memory");
    c->buffers->device = d;
    int n = request(d, CAPTURE_BUFFERS);
    if (n <= 0)
        return device_explain(d->path, "get buffers of", e);
    if (fill_set(c->buffers, d, n) < 0)
        return device_explain(d->path, "map the buffers of", e);
    if (device_ioctl(d, VIDIOC_STREAMON, &type) < 0)
        return device_explain(d->path, "start", e);
    return 0;
}

int capture_start(struct capture *c, const struct device *d, const struct device_format *format,
                  const struct capture_options *o, struct err *e)
{
    *c = (struct capture){.device = d, .options = *o, .format = *format};
    int rc = d->streams ? start_streaming(c, e) : 0;
    if (rc < 0)
        capture_stop(c);
    return rc;
}

void capture_stop(struct capture *c)
{
    struct capture_buffers *set = c->buffers;
    c->buffers = NULL;
    if (!set)
        return;
    int type = (int)set->device->buf_type;
    bool converts = set->device->converts;
    device_ioctl(set->device, VIDIOC_STREAMOFF, &type);
    set->device = NULL;
    if (set->n_out == 0)
        free_buffers(set, converts);
    else
        detach_buffers(set);
}

/* --- pictures --- */

static void release(struct picture *p)
{
    struct buffer *b = (struct buffer *)p;
    struct capture_buffers *set = b->set;
    set->n_out--;
    if (set->device)
        give_to_driver(set->device, b->index);
    else if (set->n_out == 0)
        free_buffers(set, false); /* converted pictures are copied: none is out */
}

/* Stamps that lie ahead are believed to be now: some drivers guess the end of the frame. */
static uint64_t captured_us(const struct v4l2_buffer *v, uint64_t now_us, enum capture_stamp *kind)
{
    *kind = CAPTURE_STAMP_OURS;
    if ((v->flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) != V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC)
        return now_us;
    uint64_t us = (uint64_t)v->timestamp.tv_sec * 1000000u + (uint64_t)v->timestamp.tv_usec;
    *kind = (v->flags & V4L2_BUF_FLAG_TSTAMP_SRC_MASK) == V4L2_BUF_FLAG_TSTAMP_SRC_SOE
                ? CAPTURE_STAMP_EXPOSURE
                : CAPTURE_STAMP_END;
    return us && us < now_us ? us : now_us;
}

/* A copy that ends with EOI and has the tables a decoder needs. */
static struct picture *mend(const struct picture *p, bool adds_eoi)
{
    struct picture *made =
        picture_new(NULL, p->n_bytes + JPEG_TABLES_BYTES + EOI_BYTES, p->captured_us);
    if (!made)
        return NULL;
    made->captured_wall_s = p->captured_wall_s;
    made->n_bytes = p->n_bytes;
    memcpy(made->bytes, p->bytes, p->n_bytes);
    if (adds_eoi) {
        made->bytes[made->n_bytes++] = 0xff;
        made->bytes[made->n_bytes++] = 0xd9;
    }
    if (jpeg_tables_are_missing(made->bytes, made->n_bytes))
        made->n_bytes = jpeg_tables_add(made->bytes, made->n_bytes);
    return made;
}

/* p's n_bytes are the driver's; they become those of the JPEG. What is changed is a copy: then
 * *made has it. */
static enum frame_fault check_jpeg(const struct capture *c, struct picture *p,
                                   struct picture **made)
{
    size_t n_jpeg = p->n_bytes;
    enum frame_fault fault = frame_check_jpeg(p->bytes, p->n_bytes, &n_jpeg);
    bool adds_eoi = fault == FRAME_TRUNCATED && c->options.allow_truncated;
    if (fault != FRAME_WHOLE && !adds_eoi)
        return fault;
    p->n_bytes = adds_eoi ? p->n_bytes : n_jpeg;
    if (p->n_bytes > c->options.picture_bytes_max)
        return FRAME_TOO_LARGE;
    if (c->device->converts || adds_eoi || jpeg_tables_are_missing(p->bytes, p->n_bytes))
        *made = mend(p, adds_eoi);
    return FRAME_WHOLE;
}

/* What libv4l2 converted lies in memory of its own, which may go before the picture does. */
static struct picture *copy_raw(const struct picture *p, struct raw_memory *m)
{
    struct picture *made = picture_new(m->at[0], m->n_bytes[0], p->captured_us);
    if (!made)
        return NULL;
    made->captured_wall_s = p->captured_wall_s;
    m->at[0] = made->bytes;
    raw_lay_out(&made->raw, m);
    return made;
}

static enum frame_fault check(const struct capture *c, struct picture *p, struct raw_memory *m,
                              struct picture **made)
{
    if (modes_is_mjpeg(c->format.fourcc))
        return check_jpeg(c, p, made);
    if (m->n_bytes[0] == 0)
        return FRAME_EMPTY;
    if (!raw_lay_out(&p->raw, m))
        return FRAME_TRUNCATED;
    if (c->device->converts)
        *made = copy_raw(p, m);
    return FRAME_WHOLE;
}

static struct raw_memory memory_of(const struct capture *c)
{
    return (struct raw_memory){
        .fourcc = c->format.fourcc,
        .width = c->format.width,
        .height = c->format.height,
        .full_range = c->format.full_range,
        .stride = {c->format.stride[0], c->format.stride[1], c->format.stride[2]}};
}

/* A full buffer becomes the newest picture, or is counted and goes back. */
static void take_buffer(struct capture *c, const struct query *q, struct capture_news *news)
{
    struct buffer *b = &c->buffers->buffer[q->buffer.index];
    struct raw_memory m = memory_of(c);
    struct picture *made = NULL;
    enum capture_stamp stamp;
    uint64_t now_us = clock_now_us();
    uint64_t stamp_us = captured_us(&q->buffer, now_us, &stamp);
    for (m.n = 0; m.n < b->n_planes; m.n++) {
        size_t used = c->device->is_mplane ? q->plane[m.n].bytesused : q->buffer.bytesused;
        size_t skip = c->device->is_mplane ? q->plane[m.n].data_offset : 0; /* in bytesused */
        used = used < b->plane[m.n].n_bytes ? used : b->plane[m.n].n_bytes;
        skip = skip < used ? skip : used;
        m.at[m.n] = b->plane[m.n].at + skip;
        m.n_bytes[m.n] = used - skip;
    }
    b->picture =
        (struct picture){.captured_us = stamp_us,
                         .captured_wall_s = clock_wall_s() - (double)(now_us - stamp_us) / 1e6,
                         .n_bytes = m.n_bytes[0],
                         .bytes = (uint8_t *)m.at[0],
                         .release = release};
    c->buffers->n_out++;
    enum frame_fault fault =
        q->buffer.flags & V4L2_BUF_FLAG_ERROR ? FRAME_FLAGGED : check(c, &b->picture, &m, &made);
    if (fault != FRAME_WHOLE) {
        news->n_faulty[fault]++;
        picture_free(&b->picture);
        return;
    }
    if (made)
        picture_free(&b->picture);
    news->n_older += news->picture != NULL;
    picture_free(news->picture);
    news->picture = made ? made : &b->picture;
    news->stamp = stamp;
}

static void count_lost(struct capture *c, uint32_t sequence, struct capture_news *news)
{
    uint32_t gap = sequence - c->sequence - 1;
    if (c->has_sequence && gap < UINT32_MAX / 2) /* else it began anew */
        news->n_lost += gap;
    c->has_sequence = true;
    c->sequence = sequence;
}

static int take_streamed(struct capture *c, struct capture_news *news)
{
    for (unsigned i = 0; i <= c->buffers->n; i++) { /* more than there are: it is faster than we */
        struct query q;
        begin_query(&q, c->device, 0);
        if (device_ioctl(c->device, VIDIOC_DQBUF, &q.buffer) < 0)
            return errno == EAGAIN ? 0 : -1;
        if (q.buffer.index >= c->buffers->n) {
            errno = EIO;
            return -1;
        }
        count_lost(c, q.buffer.sequence, news);
        take_buffer(c, &q, news);
    }
    return 0;
}

/* read() gives whole pictures, one at a time. */
static int take_read(struct capture *c, struct capture_news *news)
{
    struct raw_memory m = memory_of(c);
    size_t room = c->format.size_bytes[0];
    struct picture *p = picture_new(NULL, room, clock_now_us()), *made = NULL;
    if (!p) {
        errno = ENOMEM;
        return -1;
    }
    ssize_t n = c->device->converts ? v4l2_read(c->device->fd, p->bytes, room)
                                    : read(c->device->fd, p->bytes, room);
    if (n < 0) {
        free(p);
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    p->n_bytes = m.n_bytes[0] = (size_t)n;
    m.at[0] = p->bytes;
    m.n = 1;
    enum frame_fault fault = check(c, p, &m, &made);
    news->n_faulty[fault] += fault != FRAME_WHOLE;
    if (fault != FRAME_WHOLE || made)
        picture_free(p);
    news->picture = fault == FRAME_WHOLE ? (made ? made : p) : NULL;
    return 0;
}

int capture_take(struct capture *c, struct capture_news *news)
{
    *news = (struct capture_news){.picture = NULL};
    return c->buffers ? take_streamed(c, news) : take_read(c, news);
}
