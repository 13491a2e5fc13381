/* frame.h - one camera frame on its way through the server, and the pool it comes from.
 *
 * A frame has exactly one owner at any moment: the session's assembly, then the
 * session's seat at the scheduler, then a worker, then the scheduler's list of
 * finished frames, then the session again, which answers it and gives it back
 * to the pool; one that the I/O thread runs itself skips the list. Buffers are powers of two, kept
 * for reuse up to a limit, because allocating per frame costs tail latency with many sessions; what
 * was not needed for a while goes back to the system, so a burst leaves nothing behind. All pools
 * together stay below a cap.
 *
 * Threads: a pool belongs to its I/O thread; a frame to whoever owns it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"
#include "server/ledger.h"

#define RESULT_BYTES_MAX (256u << 10) /* a longer result cannot be told */

struct session;
struct pipeline;
struct outlet;

enum frame_fate {
    FRAME_ANSWERED, /* also while nothing is known to the contrary */
    FRAME_FAILED,   /* the pipeline could not, or its result is too long to tell */
    FRAME_DROPPED
};

struct frame {
    uint8_t *data; /* room for the message, with its 16-byte header if there is one */
    size_t cap;
    const uint8_t *jpeg; /* points into data, or to where it was received, and data is not used */
    size_t jpeg_bytes;

    struct session *session;         /* borrowed; a session outlives its frames */
    struct outlet *outlet;           /* borrowed: where it comes out of the scheduler */
    const struct pipeline *pipeline; /* borrowed: what runs on it, */
    void *state;                     /* and with which state of the session */
    uint64_t index;                  /* frame_index on the wire */
    uint32_t id;                     /* frame_id, with header=1 */

    uint64_t arrived_us;  /* last byte was there */
    uint64_t started_us;  /* a worker took it */
    uint64_t finished_us; /* the pipeline returned */
    uint64_t decode_us;   /* what decoding took of that */
    enum frame_fate fate;
    enum drop_reason reason; /* FRAME_DROPPED */
    struct text result;      /* FRAME_ANSWERED: a JSON object */
    const char *why;         /* FRAME_FAILED: a clause for the client, or NULL */

    struct frame *next; /* in the list of the current owner */
};

#define POOL_CLASSES 16 /* 16 KiB to 512 MiB */

/* Of the data of all frames, idle or not. */
struct memory {
    _Atomic size_t used_bytes;
    size_t max_bytes; /* 0: no cap */
};

struct pool {
    struct memory *memory; /* borrowed; shared with other pools */
    struct pool_class {
        struct frame *idle;
        size_t n, n_min; /* idle ones; the fewest since the last trim: so many were not needed */
    } class[POOL_CLASSES];
    size_t idle_bytes, idle_bytes_max;
};

struct pool pool_make(struct memory *memory, size_t idle_bytes_max);
void pool_deinit(struct pool *p);

/* A frame whose data has room for n bytes; NULL: out of memory, or that of the cap. The caller
 * owns it. */
struct frame *pool_get(struct pool *p, size_t n);
/* Takes the frame; NULL is fine. */
void pool_put(struct pool *p, struct frame *f);

/* Frees half of the idle frames that were not needed since the last call: called once a second,
 * the pool forgets a burst within several. The bytes that were freed. */
size_t pool_trim(struct pool *p);

/* Makes room for n bytes, keeping the first `used`. -1: out of memory, or that of the cap. */
int frame_reserve(struct pool *p, struct frame *f, size_t used, size_t n);
