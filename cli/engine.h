/* engine.h - what runs everything: libwebsockets' event loop with ours inside, and signals.
 *
 * libwebsockets waits; the epoll descriptor of common/loop.h is one more thing
 * it waits for, and so are SIGINT and SIGTERM (signalfd, so that they arrive as
 * events and interrupt nothing). Its own log is off: what it has to say is said
 * by link.c, in our sentences.
 *
 * Ownership: the caller's storage. Threads: one; engine_init blocks the signals,
 * so it comes before any thread is started, and engine_deinit lets them through
 * again.
 */
#pragma once

#include <libwebsockets.h>
#include <signal.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/loop.h"

struct engine {
    struct loop loop;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct lws_protocols protocols[3];
    int signal_fd;
    sigset_t mask_before;
    struct loop_watch signals;
    void (*on_signal)(void *ctx, int signo);
    void *signal_ctx;
    bool stopped;
};

struct engine_options {
    lws_callback_function *on_websocket; /* for every client connection: link_on_websocket */
    const char *cacert;                  /* file with CA certificates, or NULL: the system's */
};

int engine_init(struct engine *g, const struct engine_options *o, struct err *e);
void engine_deinit(struct engine *g);

/* SIGINT and SIGTERM go there from now on. */
void engine_on_signal(struct engine *g, void (*on_signal)(void *ctx, int signo), void *ctx);

/* Runs until engine_stop is called (from a callback). */
void engine_run(struct engine *g);
void engine_stop(struct engine *g);
