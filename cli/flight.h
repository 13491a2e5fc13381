/* flight.h - the frames that were sent and are not settled yet.
 *
 * A frame is settled by its answer, by a message that it was dropped, by not
 * being answered in time, or by the end of its connection: once, whatever the
 * server says and in whatever order.
 *
 * All zero but max is a valid, empty flight. Pure. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLIGHT_MAX 64

struct flight_frame {
    uint64_t id;           /* counts the frames sent on this connection, from 0 */
    uint64_t source_index; /* counts the frames the source gave */
    uint64_t captured_us, sent_us;
    double captured_wall_s;
    unsigned halvings; /* of its sides, before it was sent */
};

struct flight {
    size_t max; /* 1 to FLIGHT_MAX */
    size_t n;
    struct flight_frame frame[FLIGHT_MAX]; /* the first n, in the order they were sent */
};

bool flight_has_room(const struct flight *f);

/* There must be room. */
void flight_add(struct flight *f, const struct flight_frame *frame);

/* Takes the frame of that id out. false: it is not in flight (an answer that came
 * twice, or too late, or was made up). */
bool flight_settle(struct flight *f, uint64_t id, struct flight_frame *out);

/* Takes out what was sent before sent_us; gives how many. */
size_t flight_expire(struct flight *f, uint64_t sent_us);

/* Takes out all; gives how many. */
size_t flight_clear(struct flight *f);
