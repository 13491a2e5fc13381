/* stream.c - libwebsockets' callbacks, translated: sessions, pages, our own loop. */

#include <string.h>

#include "common/loop.h"
#include "server/head.h"
#include "server/io.h"
#include "server/page.h"
#include "server/session.h"

struct slot { /* what libwebsockets keeps for each connection */
    struct session *session;
};

static struct io *io_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

/* The door wrote the handshake: its query is ?q=HEX, see head.h. */
static int on_established(struct lws *wsi, struct slot *slot)
{
    char hex[2 * HEAD_BYTES_MAX + 8], raw[HEAD_BYTES_MAX];
    struct proto_query query;
    int n = lws_hdr_copy(wsi, hex, sizeof hex, WSI_TOKEN_HTTP_URI_ARGS);
    size_t raw_n = n > 2 ? head_query_from_hex(hex + 2, (size_t)n - 2, raw, sizeof raw) : 0;
    proto_read_query(raw, raw_n, &query);
    slot->session = session_new(io_of(wsi), wsi, &query);
    return slot->session ? 0 : -1;
}

static void on_receive(struct lws *wsi, struct session *s, const void *bytes, size_t n)
{
    struct assembly_piece piece = {
        .bytes = bytes,
        .n = n,
        .announced = lws_remaining_packet_payload(wsi),
        .final = lws_is_final_fragment(wsi),
        .binary = lws_frame_is_binary(wsi),
    };
    session_on_piece(s, &piece);
}

static void on_peer_close(struct session *s, const unsigned char *payload, size_t n)
{
    session_on_peer_close(s, n >= 2 ? (unsigned)(payload[0] << 8 | payload[1]) : 0);
}

static int on_stream(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t n)
{
    struct slot *slot = user;
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
        return page_respond(io_of(wsi), wsi, in);
    case LWS_CALLBACK_HTTP_WRITEABLE: /* all of the page is written */
    case LWS_CALLBACK_HTTP_FILE_COMPLETION:
        return -1;
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(wsi, slot);
    case LWS_CALLBACK_RECEIVE:
        on_receive(wsi, slot->session, in, n);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return session_on_writable(slot->session);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        on_peer_close(slot->session, in, n);
        return 0;
    case LWS_CALLBACK_CLOSED: /* comes without ESTABLISHED when that refused */
        if (slot && slot->session)
            session_on_closed(slot->session);
        return 0;
    default:
        return 0;
    }
}

static int on_loop(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t n)
{
    (void)user;
    (void)in;
    (void)n;
    if (reason == LWS_CALLBACK_RAW_RX_FILE)
        loop_turn(&io_of(wsi)->loop);
    return 0;
}

/* The first one serves clients that offer no subprotocol, which all do here: the
 * door takes offers out. */
const struct lws_protocols io_protocols[] = {
    {.name = "stream", .callback = on_stream, .per_session_data_size = sizeof(struct slot)},
    {.name = "loop", .callback = on_loop},
    {0},
};
