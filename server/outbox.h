/* outbox.h - replies that the socket cannot take yet, in order, within a limit.
 *
 * Usually empty: a reply goes straight to the socket. When the peer reads
 * slowly, replies wait here until the limit of bytes or of age is reached, and
 * then the session ends: a reader that does not read is never buffered without
 * limit.
 *
 * Ownership: one heap buffer, kept while the session lives. Threads: I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox {
    char *bytes;
    size_t len, cap, head; /* messages lie in [head, len) */
    size_t max;
    size_t n; /* messages */
};

struct outbox outbox_make(size_t bytes_max);
void outbox_deinit(struct outbox *o);

/* Copies a message behind the others. -1: it does not fit, or no memory. */
int outbox_put(struct outbox *o, const char *message, size_t n, uint64_t now_us);

/* The oldest message, borrowed until the next call; NULL when there is none. */
const char *outbox_peek(const struct outbox *o, size_t *n);
void outbox_pop(struct outbox *o);

/* When the oldest message was put; 0 when there is none. */
uint64_t outbox_oldest_us(const struct outbox *o);
