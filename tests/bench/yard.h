/* yard.h - what the bare servers of the bench have in common: the work itself.
 *
 * yard_epoll and yard_lws do what streamd does for a frame of the null pipeline and no
 * more: take a whole binary message into a buffer, look at its ends, answer. What differs
 * is who reads the socket. Their cost is the floor that streamd is measured against.
 *
 * Threads: one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define YARD_FRAME_MAX  ((size_t)1 << 20)
#define YARD_ANSWER_MAX 96

/* Buffers of YARD_FRAME_MAX bytes; the one given back last is taken first, as it is still
 * in the cache. Of each only the pages that were written to take memory. */
struct yard_buffer {
    struct yard_buffer *next;
    uint8_t bytes[YARD_FRAME_MAX];
};

struct yard_pool {
    struct yard_buffer *free;
};

struct yard_buffer *yard_pool_get(struct yard_pool *p);
void yard_pool_put(struct yard_pool *p, struct yard_buffer *b);

/* Writes the answer to frame `index` of a session. Gives its length; 0 when the frame is no JPEG.
 */
size_t yard_answer(const uint8_t *frame, size_t n, uint64_t index, char out[YARD_ANSWER_MAX]);

/* Tells the bench where to connect: one line of JSON on stderr, as streamd does. */
void yard_tell_port(unsigned port);
