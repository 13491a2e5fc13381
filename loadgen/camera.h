/* camera.h - one simulated camera without its socket: when its frames are due, and what became of
 * each of them.
 *
 * The one place where a frame's fate is written into the record: exactly one counter of
 * each line of the ledger in record.h, whatever comes and in whatever order. The session
 * (session.h) says what happens; time is an argument, in microseconds since the start of the run,
 * so tests and simulations run whole loads on a clock set by hand.
 *
 * Ownership: the caller's storage; camera_deinit frees the ring of frames. A book outlives its
 * cameras. Threads: one at a time; a shard's cameras share its book.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"
#include "loadgen/profile.h"
#include "loadgen/record.h"

/* Where a shard writes down what happens to its cameras. */
struct book {
    struct record record;
    struct record_now now;
    uint64_t warmup_us, budget_us;
    uint32_t sessions_open;
    bool out_of_memory; /* the record is not complete */
};

/* 0, or -1: out of memory. */
int book_init(struct book *b, size_t n_parts, uint64_t warmup_us, uint64_t budget_us);
void book_deinit(struct book *b);

enum camera_frame_state { FRAME_QUEUED, FRAME_SENT, FRAME_SETTLED };

struct camera_frame {
    uint64_t due_us, looked_us, sent_us;
    enum camera_frame_state state;
};

#define CAMERA_SUB_BITS 3
#define CAMERA_BUCKETS  ((32 - CAMERA_SUB_BITS + 1) << CAMERA_SUB_BITS)

struct camera {
    uint32_t index;
    uint16_t part; /* of the record: its profile */
    const struct profile *profile;
    uint64_t phase_us, next_frame; /* the schedule */

    /* Frames of this connection, by the index the server gives them: those in [first, end) are
     * kept, those before n_sent are sent. A ring of a power of two. */
    struct camera_frame *ring;
    uint64_t ring_cap, first, n_sent, end;
    uint32_t n_open; /* queued or sent, and not settled */

    struct record_session tally;
    uint32_t coarse[CAMERA_BUCKETS]; /* its latencies, to 1/8 */
};

void camera_init(struct camera *c, uint32_t index, uint16_t part, const struct profile *profile,
                 uint64_t phase_us);
void camera_deinit(struct camera *c);

/* --- the schedule --- */

/* When the next frame is due. */
uint64_t camera_next_due_us(const struct camera *c);

/* Frames before at_us are not due any more, and never were. */
void camera_skip_to(struct camera *c, uint64_t at_us);

/* --- a frame is due: one of these, then the next frame is the next --- */

/* It will be sent as soon as the socket takes it. Without memory it is lost. */
void camera_queue(struct camera *c, struct book *b, uint64_t now_us);

/* It will not be sent: why is RECORD_LOST, RECORD_HELD_BACK or RECORD_UNSENT. */
void camera_give_up(struct camera *c, struct book *b, enum record_count why, uint64_t now_us);

/* --- what happens to frames that are queued --- */

/* Is there one to be sent? */
bool camera_has_queued(const struct camera *c);

/* The kernel has taken all of the first queued one. */
void camera_on_sent(struct camera *c, struct book *b, size_t n_bytes, uint64_t now_us);

/* The server's word about a frame, by its index on this connection. False: there is no such frame
 * (any more). out gets the frame. */
bool camera_on_answer(struct camera *c, struct book *b, const struct proto_message *m,
                      uint64_t now_us, struct camera_frame *out);

/* Those sent timeout_us ago or longer are unanswered. */
void camera_expire(struct camera *c, struct book *b, uint64_t timeout_us, uint64_t now_us);

/* The connection is over: what was sent is unanswered, the rest is lost. The next one
 * counts from 0. */
void camera_on_disconnect(struct camera *c, struct book *b, uint64_t now_us);

/* --- the end --- */

/* Adds its line to the record; after camera_on_disconnect. */
void camera_finish(struct camera *c, struct book *b);

/* A count that is about no frame: connects, errors, slow-downs. */
void book_count(struct book *b, size_t part, enum record_count what, uint64_t now_us);

/* A time that is about no frame: connecting. */
void book_time(struct book *b, size_t part, enum record_time what, uint64_t us);
