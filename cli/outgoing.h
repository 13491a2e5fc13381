/* outgoing.h - the few frames between "due" and "sent": the newest one, and those being encoded.
 *
 * One frame waits, the newest; a newer one replaces it. What needs encoding begins only when it
 * could be sent, so that no work goes into a frame that will be replaced, and comes back to
 * be sent first, because it is older. While anything is in the encoder others go the same way: so
 * the order stays.
 *
 * Ownership: outgoing_put takes the picture; what is sent is the sink's. Threads: the loop's
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/encoder.h"
#include "cli/ladder.h"

struct outgoing_sink {
    void *ctx;
    /* May one more go, when n_ahead are in the encoder? If it may not now but soon, the asked
     * one sees to it that outgoing_push is called then. */
    bool (*has_room)(void *ctx, unsigned n_ahead);
    void (*send)(void *ctx, struct picture *p); /* takes p */
    void (*on_encoded)(void *ctx, const struct picture *p);
    void (*on_replaced)(void *ctx);                /* a frame that will never be sent */
    void (*on_failed)(void *ctx, const char *why); /* the encoder; the frame was told replaced */
};

struct outgoing {
    struct outgoing_sink sink;
    struct encoder *encoder;
    struct picture *held, *encoded;
    struct ladder_rung rung; /* how to encode from now on: the caller's to set */
    bool reencodes;          /* JPEGs too */
};

int outgoing_open(struct outgoing *o, struct loop *l, bool reencodes,
                  const struct outgoing_sink *sink, struct err *e);

/* Frees what is on its way, telling nothing: outgoing_drop comes before. */
void outgoing_close(struct outgoing *o);

/* Takes p, the newest frame, and sends it now if it may go. */
void outgoing_put(struct outgoing *o, struct picture *p);

/* Looks again: there may be room. */
void outgoing_push(struct outgoing *o);

/* Frames that are not sent yet. */
unsigned outgoing_count(const struct outgoing *o);

/* Gives up those that wait; those in the encoder go on. */
void outgoing_drop(struct outgoing *o);

/* Gives up all. Those in the encoder are told replaced now, and freed by outgoing_close. */
void outgoing_drop_all(struct outgoing *o);
