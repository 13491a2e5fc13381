/* listen.h - the sockets that connections come to.
 *
 * When descriptors run out, new connections are accepted and closed at once, so
 * that neither the old ones suffer nor the loop spins.
 *
 * Ownership: the listeners' descriptors are theirs; `accepted` takes that of a connection.
 * Threads: that of the loop.
 */
#pragma once

#include "common/err.h"
#include "common/loop.h"
#include "common/opt.h"

#define LISTENERS_MAX 16

struct listener {
    struct listeners *of;
    struct loop_watch watch;
    char address[64]; /* "127.0.0.1", "::1" */
    unsigned port;
};

struct listeners {
    struct loop *loop;
    struct listener item[LISTENERS_MAX];
    unsigned n;
    int spare_fd;                        /* given up for a moment when descriptors run out */
    void (*accepted)(void *ctx, int fd); /* a connection: not blocking, TCP_NODELAY */
    void *ctx;
};

/* addresses: "HOST:PORT", "[::1]:8000", ":8000", "8000"; localhost means 127.0.0.1 and ::1.
 * 0, or -EXIT_USAGE (not an address), -EXIT_FAILED (cannot listen there). */
int listeners_open(struct listeners *l, struct loop *loop, const struct opt_list *addresses,
                   struct err *e);
void listeners_close(struct listeners *l);
