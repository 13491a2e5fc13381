/* door.h - reads the head of each request, and shows the way in.
 *
 * A connection is a guest until its head is complete: bounded in bytes
 * (HEAD_BYTES_MAX) and in time. Then it goes to libwebsockets with a plain head
 * (head.h), or is refused with a status and closed in a way that lets the peer
 * read it.
 *
 * Ownership: the door owns its guests; `enter` takes the descriptor.
 * Threads: I/O; n_guests may be read and raised by any.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/loop.h"

struct guest;

struct door {
    struct loop *loop;
    struct guest *guests;
    _Atomic unsigned n_guests; /* raised by who sends one, before door_welcome */
    bool refuses_streams;      /* the server is shutting down: 503, pages still work */
    /* Takes fd; bytes: a head for libwebsockets, then what came behind it. */
    void (*enter)(void *ctx, int fd, const char *bytes, size_t n);
    void *ctx;
};

/* Takes the descriptor of a connection. */
void door_welcome(struct door *d, int fd);

/* Sends all guests away. */
void door_close(struct door *d);
