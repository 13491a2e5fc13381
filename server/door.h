/* door.h - listens, reads the head of each request, and shows the way in.
 *
 * A connection is a guest until its head is complete: bounded in bytes
 * (HEAD_BYTES_MAX) and in time. Then it goes to libwebsockets with a plain head
 * (head.h), or is refused with a status and closed in a way that lets the peer
 * read it. When descriptors run out, new connections are accepted and closed at
 * once, so that neither the old ones suffer nor the loop spins.
 *
 * Ownership: the door owns listeners and guests; `enter` takes the descriptor.
 * Threads: I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/loop.h"
#include "common/opt.h"

#define DOOR_LISTENERS_MAX 16

struct guest;

struct door_listener {
    struct door *door;
    struct loop_watch watch;
    char address[64]; /* "127.0.0.1", "::1" */
    unsigned port;
};

struct door {
    struct loop *loop;
    struct door_listener listener[DOOR_LISTENERS_MAX];
    unsigned n_listeners;
    struct guest *guests;
    int spare_fd;         /* given up for a moment when descriptors run out */
    bool refuses_streams; /* the server is shutting down: 503, pages still work */
    /* Takes fd; bytes: a head for libwebsockets, then what came behind it. */
    void (*enter)(void *ctx, int fd, const char *bytes, size_t n);
    void *ctx;
};

/* addresses: "HOST:PORT", "[::1]:8000", ":8000", "8000"; localhost means 127.0.0.1 and ::1.
 * 0, or -EXIT_USAGE (not an address), -EXIT_FAILED (cannot listen there). */
int door_open(struct door *d, struct loop *loop, const struct opt_list *addresses, struct err *e);
void door_close(struct door *d);
