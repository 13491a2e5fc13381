/* link.h - one WebSocket connection to a server, made again when it is lost.
 *
 * The link carries and tells; it decides nothing but when there is room for the
 * next frame: when libwebsockets has nothing buffered and the kernel holds next
 * to nothing that it has not sent yet. A frame is "written" as soon as it is
 * copied to the kernel, and a socket buffer takes seconds of video; what waits
 * there can no longer be replaced by a newer frame.
 *
 * Frames always go with their 16-byte header and ask for timing.
 *
 * Ownership: the caller's storage; link_deinit before engine_deinit. link_send takes
 * the picture. Threads: the engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/address.h"
#include "cli/engine.h"
#include "cli/reconnect.h"
#include "cli/source.h"
#include "common/text.h"

#define LINK_MESSAGE_MAX (1024u * 1024u) /* a longer one ends the connection */

struct link_options {
    struct address at;
    const char *pipeline; /* borrowed */
    bool insecure;        /* take any certificate */
};

/* What a link tells. None of them may deinit the link. */
struct link_sink {
    void *ctx;
    void (*on_open)(void *ctx);
    void (*on_message)(void *ctx, const char *bytes, size_t n); /* one text message */
    void (*on_room)(void *ctx);                                 /* see link_wait_for_room */
    void (*on_down)(void *ctx, const struct link_end *end);     /* not open any more, or never */
};

enum link_state {
    LINK_IDLE,    /* no connection, none wanted */
    LINK_WAITING, /* for the time to try again */
    LINK_DIALING,
    LINK_OPEN,
    LINK_CLOSING /* our close is sent; nothing is read any more */
};

struct link {
    struct link_options options;
    struct link_sink sink;
    struct engine *engine;
    enum link_state state;
    struct lws *wsi;
    struct link_end end; /* what is known of how this connection ends */
    struct text message; /* the one that is arriving */
    uint8_t *masked;     /* room for the frame that is being written */
    size_t masked_cap;
    uint64_t opened_us;
    uint32_t n_sent;   /* on this connection: the next frame's id */
    unsigned n_failed; /* tries in a row; see link_mark_good */
    struct loop_timer redial, room, patience;
};

/* The callback for engine_options. */
int link_on_websocket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                      size_t n_bytes);

void link_init(struct link *l, struct engine *g, const struct link_options *o,
               const struct link_sink *sink);
void link_deinit(struct link *l);

/* Tries to connect now. */
void link_dial(struct link *l);

/* Tries again after the back-off time; gives that time. */
uint64_t link_redial(struct link *l);

/* The server answers as it should: once it has done so for a while, the next back-off
 * starts from the beginning. */
void link_mark_good(struct link *l, uint64_t now_us);

/* Is there room for a frame? */
bool link_has_room(const struct link *l);

/* Calls on_room once, soon, when the link is open: time to look again. */
void link_wait_for_room(struct link *l);

/* Takes p. There must be room. Gives the frame's id on this connection. */
uint32_t link_send(struct link *l, struct picture *p);

/* Closes with the code; on_down follows once the server has closed as well. */
void link_hang_up(struct link *l, unsigned code);

/* Drops the connection without a word; on_down is called before this returns. why: the end
 * of a sentence. */
void link_abort(struct link *l, const char *why);
