/* encoder.h - threads that make JPEGs of pictures which are none, or too large ones.
 *
 * A picture that is put in comes back encoded, on the loop's thread and in the order of
 * putting, however long each took. There is room for one picture a thread and for none that
 * waits: what waits is the caller's, so that it can be replaced by a newer one.
 *
 * Ownership: encoder_put takes the picture until it comes back. Threads: all calls on the loop's
 * thread; the pool has its own.
 */
#pragma once

#include <stdbool.h>

#include "cli/picture.h"
#include "common/loop.h"

struct encoder; /* opaque: see encoder.c */

#define ENCODER_THREADS_MAX 8

struct encoder_sink {
    void *ctx;
    /* The JPEG that p became; p itself when it was JPEG and would not get smaller. Takes it. */
    void (*on_encoded)(void *ctx, struct picture *p);
    /* p is freed already: it cannot be encoded. */
    void (*on_failed)(void *ctx, const char *why);
};

/* Nothing is started before the first picture. n_threads: 1 to ENCODER_THREADS_MAX. */
int encoder_open(struct encoder **out, unsigned n_threads, struct loop *l,
                 const struct encoder_sink *sink, struct err *e);

/* Waits for the pictures in work and frees them; nothing is told. NULL is fine. */
void encoder_close(struct encoder *c);

/* Is a thread idle? */
bool encoder_has_room(const struct encoder *c);

/* Pictures put in and not back yet. */
unsigned encoder_count(const struct encoder *c);

/* Takes p. There must be room. quality 1 to 100; 0: leave a JPEG alone. */
int encoder_put(struct encoder *c, struct picture *p, unsigned quality, unsigned halvings,
                struct err *e);
