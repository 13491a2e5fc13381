/* loop.h - descriptors and timers beside libwebsockets, in the same event loop.
 *
 * libwebsockets owns the loop. Whatever else a program waits for (listeners,
 * libcurl's sockets, standard input, cameras, timers) is watched by one epoll
 * instance of ours, and that instance's descriptor is handed to libwebsockets
 * as one raw file: an epoll descriptor is itself pollable (epoll(7)). So there
 * is one thread, one wait and no polling, and libwebsockets needs to know
 * nothing of the rest.
 *
 * Ownership: the caller's storage for struct loop, loop_watch and loop_timer;
 * the loop borrows a watch or timer until it is removed. Removing any of them
 * inside any callback is fine. Descriptors stay the caller's.
 * Threads: all calls on the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct loop_timer {
    void (*on_due)(void *ctx);
    void *ctx;
    uint64_t due_us;         /* valid while armed */
    struct loop_timer *next; /* armed timers, earliest first */
    bool armed;
};

struct loop_watch {
    void (*on_ready)(void *ctx, int fd, uint32_t events); /* EPOLLIN, EPOLLOUT, ... */
    void *ctx;
    int fd;
    struct loop_watch *next;
    bool watched;
};

struct loop {
    int epoll_fd, timer_fd;
    uint64_t now_us; /* the clock, read once a turn */
    struct loop_timer *timers;
    struct loop_watch *watches;
};

int loop_init(struct loop *l, struct err *e);
void loop_deinit(struct loop *l);

/* Watches w->fd for events, or changes what it is watched for. 0 or -EXIT_FAILED. */
int loop_watch_set(struct loop *l, struct loop_watch *w, uint32_t events, struct err *e);
void loop_watch_remove(struct loop *l, struct loop_watch *w);

/* Calls t->on_due once, when the clock reaches due_us. Set again to move it. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_us);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

/* Runs what is ready, without waiting. Called when epoll_fd is readable. */
void loop_turn(struct loop *l);
