/* yard_lws - a WebSocket server of libwebsockets and nothing more, with the settings that were
 * measured to be the fastest: what of streamd's cost is the library's.
 *
 *   yard_lws            listens on a free port of 127.0.0.1 and tells it on stderr
 *
 * One thread, libev. A frame up to RECEIVE_BYTES is one callback and one copy, into a buffer
 * from a pool; the answer is written from within that callback. No permessage-deflate.
 */
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/yard.h"

#define RECEIVE_BYTES (128u << 10)

struct session {
    uint64_t n_frames;
    struct yard_buffer *frame; /* while a message is incomplete */
    size_t got;
};

static int on_receive(struct lws *wsi, struct session *s, const void *in, size_t n)
{
    struct yard_pool *pool = lws_context_user(lws_get_context(wsi));
    char out[LWS_PRE + YARD_ANSWER_MAX];
    if (!s->frame) {
        s->frame = yard_pool_get(pool);
        s->got = 0;
    }
    if (s->got + n > YARD_FRAME_MAX)
        return -1;
    memcpy(s->frame->bytes + s->got, in, n);
    s->got += n;
    if (lws_remaining_packet_payload(wsi) || !lws_is_final_fragment(wsi))
        return 0;
    size_t answer_n = yard_answer(s->frame->bytes, s->got, s->n_frames++, out + LWS_PRE);
    yard_pool_put(pool, s->frame);
    s->frame = NULL;
    if (!answer_n || lws_partial_buffered(wsi)) /* the bench's clients read their answers */
        return -1;
    return lws_write(wsi, (unsigned char *)out + LWS_PRE, answer_n, LWS_WRITE_TEXT) < 0 ? -1 : 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t n)
{
    struct session *s = user;
    switch ((int)reason) {
    case LWS_CALLBACK_RECEIVE:
        return on_receive(wsi, s, in, n);
    case LWS_CALLBACK_CLOSED:
        if (s && s->frame)
            yard_pool_put(lws_context_user(lws_get_context(wsi)), s->frame);
        return 0;
    default:
        return 0;
    }
}

int main(void)
{
    static const struct lws_protocols protocols[] = {
        {.name = "yard", .callback = on_event, .per_session_data_size = sizeof(struct session)},
        {0},
    };
    struct yard_pool pool = {0};
    struct lws_context_creation_info info = {
        .iface = "127.0.0.1",
        .protocols = protocols,
        .pt_serv_buf_size = RECEIVE_BYTES,
        .user = &pool,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
    };
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    struct lws_vhost *vhost = context ? lws_create_vhost(context, &info) : NULL;
    if (!vhost) {
        fprintf(stderr,
                "yard_lws: libwebsockets does not start; is libwebsockets-evlib-ev there?\n");
        return 1;
    }
    yard_tell_port((unsigned)lws_get_vhost_listen_port(vhost));
    while (lws_service(context, 0) >= 0)
        ;
    return 1;
}
