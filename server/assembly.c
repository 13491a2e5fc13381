#include "server/assembly.h"

#include <stdio.h>
#include <string.h>

#include "common/jpeg.h"

/* Trusted in advance from an announcement; beyond it, memory follows the bytes
 * that really came, so announcing alone cannot take any. */
#define TRUSTED_BYTES ((uint64_t)256 << 10)

static enum assembly_outcome complain(struct complaint *why, enum proto_error error,
                                      const char *detail)
{
    why->error = error;
    snprintf(why->detail, sizeof why->detail, "%s", detail);
    return ASSEMBLY_ERROR;
}

struct assembly_limits assembly_limits(double frame_mib_max, double message_mib_max, bool header)
{
    struct assembly_limits l = {.frame_bytes_max = (size_t)(frame_mib_max * 1048576.0),
                                .message_bytes_max = (size_t)(message_mib_max * 1048576.0),
                                .header = header};
    if (l.message_bytes_max < l.frame_bytes_max + PROTO_HEADER_BYTES)
        l.message_bytes_max = l.frame_bytes_max + PROTO_HEADER_BYTES;
    return l;
}

static size_t overhead(const struct assembly_limits *limits)
{
    return limits->header ? PROTO_HEADER_BYTES : 0;
}

/* Before the last piece only a lower bound is known: more fragments may follow. */
static enum assembly_outcome too_large(const struct assembly_limits *limits, uint64_t total,
                                       bool is_whole, struct complaint *why)
{
    why->error = PROTO_FRAME_TOO_LARGE;
    snprintf(why->detail, sizeof why->detail,
             "Frame too large: %s%llu bytes, the limit is %zu bytes", is_whole ? "" : "at least ",
             (unsigned long long)(total - overhead(limits)), limits->frame_bytes_max);
    return ASSEMBLY_ERROR;
}

static int borrow(struct assembly *a, struct pool *pool, const struct assembly_piece *p)
{
    a->frame = pool_get(pool, p->n);
    a->bytes = p->bytes;
    a->seen_bytes = p->n;
    return a->frame ? 0 : -1;
}

/* Copies the piece behind what is there. */
static int store(struct assembly *a, struct pool *pool, const struct assembly_piece *p)
{
    if (p->lasts && p->final && !a->frame)
        return borrow(a, pool, p);
    uint64_t ahead = p->announced < TRUSTED_BYTES ? p->announced : TRUSTED_BYTES;
    size_t need = a->seen_bytes + p->n;
    if (!a->frame)
        a->frame = pool_get(pool, need + (size_t)ahead);
    if (!a->frame || frame_reserve(pool, a->frame, a->seen_bytes, need) < 0)
        return -1;
    if (p->n)
        memcpy(a->frame->data + a->seen_bytes, p->bytes, p->n);
    a->bytes = a->frame->data;
    a->seen_bytes = need;
    return 0;
}

static void keep_head(struct assembly *a, const struct assembly_piece *p)
{
    size_t room = a->seen_bytes < sizeof a->head ? sizeof a->head - a->seen_bytes : 0;
    size_t n = p->n < room ? p->n : room;
    if (n)
        memcpy(a->head + a->seen_bytes, p->bytes, n);
}

static enum assembly_outcome check_header(struct assembly *a, struct complaint *why)
{
    struct frame *f = a->frame;
    struct proto_header h;
    if (a->seen_bytes < PROTO_HEADER_BYTES)
        return complain(why, PROTO_INVALID_FRAME, "Invalid header: shorter than 16 bytes");
    proto_read_header(a->bytes, &h);
    f->id = h.frame_id;
    f->jpeg += PROTO_HEADER_BYTES;
    f->jpeg_bytes -= PROTO_HEADER_BYTES;
    if (h.length == f->jpeg_bytes)
        return ASSEMBLY_FRAME;
    why->error = PROTO_INVALID_FRAME;
    snprintf(why->detail, sizeof why->detail,
             "Invalid header: length says %u bytes, but %zu bytes follow", h.length, f->jpeg_bytes);
    return ASSEMBLY_ERROR;
}

static enum assembly_outcome check(struct assembly *a, const struct assembly_limits *limits,
                                   struct complaint *why)
{
    struct frame *f = a->frame;
    if (a->seen_bytes == 0)
        return complain(why, PROTO_INVALID_FRAME, "Invalid frame: empty message");
    f->jpeg = a->bytes;
    f->jpeg_bytes = a->seen_bytes;
    if (limits->header && check_header(a, why) == ASSEMBLY_ERROR)
        return ASSEMBLY_ERROR;
    if (f->jpeg_bytes == 0)
        return complain(why, PROTO_INVALID_FRAME, "Invalid frame: no JPEG behind the header");
    switch (jpeg_check(f->jpeg, f->jpeg_bytes)) {
    case JPEG_ENDS_NO_SOI:
        return complain(why, PROTO_INVALID_FRAME,
                        "Invalid JPEG: SOI marker (FF D8) missing at the start");
    case JPEG_ENDS_NO_EOI:
        return complain(why, PROTO_INVALID_FRAME,
                        "Invalid JPEG: EOI marker (FF D9) missing at the end");
    case JPEG_ENDS_OK:
        break;
    }
    return ASSEMBLY_FRAME;
}

static enum assembly_outcome add(struct assembly *a, struct pool *pool,
                                 const struct assembly_limits *limits,
                                 const struct assembly_piece *p, struct complaint *why)
{
    uint64_t total = a->seen_bytes + p->n + p->announced;
    if (!p->binary)
        return complain(why, PROTO_INVALID_MESSAGE,
                        "Text message received: a binary frame is expected");
    if (total > limits->message_bytes_max)
        return ASSEMBLY_HANGUP;
    if (total > limits->frame_bytes_max + overhead(limits))
        return too_large(limits, total, p->final, why);
    if (limits->header)
        keep_head(a, p);
    if (!a->no_room && store(a, pool, p) < 0) {
        pool_put(pool, a->frame);
        a->frame = NULL;
        a->no_room = true;
    }
    if (a->no_room)
        a->seen_bytes += p->n;
    if (!p->final)
        return ASSEMBLY_MORE;
    return a->no_room ? ASSEMBLY_DROP : check(a, limits, why);
}

enum assembly_outcome assembly_add(struct assembly *a, struct pool *pool,
                                   const struct assembly_limits *limits,
                                   const struct assembly_piece *piece, struct complaint *why)
{
    enum assembly_outcome outcome = add(a, pool, limits, piece, why);
    if (outcome == ASSEMBLY_ERROR || outcome == ASSEMBLY_HANGUP)
        assembly_deinit(a, pool);
    return outcome;
}

uint32_t assembly_drop(struct assembly *a)
{
    struct proto_header h;
    proto_read_header(a->head, &h);
    *a = (struct assembly){0};
    return h.frame_id;
}

struct frame *assembly_take(struct assembly *a)
{
    struct frame *f = a->frame;
    *a = (struct assembly){0};
    return f;
}

void assembly_deinit(struct assembly *a, struct pool *pool)
{
    pool_put(pool, a->frame);
    *a = (struct assembly){0};
}
