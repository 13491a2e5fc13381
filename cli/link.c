#include "cli/link.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/proto.h"
#include "common/wsframe.h"

/* A few packets: enough to keep a wire busy, too little to be behind. */
#define UNSENT_MAX_BYTES 4096
#define ROOM_POLL_US     2000u
#define DIAL_WAIT_US     5000000u

static const lws_retry_bo_t idle_policy = {
    .secs_since_valid_ping = 15,
    .secs_since_valid_hangup = 30,
};

/* A connection that lasts less is one more failure, even if it answered. */
#define STEADY_US 5000000u

/* --- the end of a connection --- */

static void set_end_text(struct link_end *end, const char *text)
{
    snprintf(end->text, sizeof end->text, "%s", text);
}

/* libwebsockets' words for why a connection was not made, and ours. */
static const struct reason {
    const char *begins, *text;
    bool for_good;
} reasons[] = {
    {"Unable to connect", "nobody answers there", false},
    {"conn fail", "nobody answers there", false},
    {"connect fail", "nobody answers there", false},
    {"closed before established", "it hung up during the handshake", false},
    {"read failed", "it hung up during the handshake", false},
    {"Timed out", "it did not answer in time", false},
    {"tls: ", "the TLS handshake failed; does it speak TLS there", false},
    {"connect SSL err", "the TLS handshake failed; does it speak TLS there", false},
    {"HS: ", "it does not speak WebSocket there", true},
};

static void explain_refusal(struct link_end *end, const char *text)
{
    if (end->refused_for_good) /* and why is known */
        return;
    if (end->http_status) {
        snprintf(end->text, sizeof end->text, "it answered HTTP %u instead of WebSocket",
                 end->http_status);
        return;
    }
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (strncasecmp(text, reasons[i].begins, strlen(reasons[i].begins)) == 0) {
            end->refused_for_good = reasons[i].for_good;
            set_end_text(end, reasons[i].text);
            return;
        }
    }
    set_end_text(end, text);
}

/* Called for each certificate of the chain; the verdict is OpenSSL's, we only note it. */
static void on_certificate(struct link *l, bool is_trusted)
{
    if (is_trusted)
        return;
    l->end.refused_for_good = true;
    set_end_text(&l->end, "its certificate is not trusted for that name (--cacert, --insecure)");
}

static void down(struct link *l)
{
    struct link_end end = l->end;
    loop_timer_cancel(&l->engine->loop, &l->room);
    loop_timer_cancel(&l->engine->loop, &l->patience);
    if (!end.text[0])
        set_end_text(&end, end.opened ? "the connection broke" : "it hung up during the handshake");
    l->wsi = NULL;
    l->state = LINK_IDLE;
    text_clear(&l->message);
    l->sink.on_down(l->sink.ctx, &end);
}

static void on_refused(struct link *l, struct lws *wsi, const char *text, size_t n)
{
    char why[200] = "";
    if (text && n)
        snprintf(why, sizeof why, "%.*s", (int)n, text);
    unsigned status = lws_http_client_http_response(wsi);
    l->end.http_status = status == 101 ? 0 : status;
    explain_refusal(&l->end, why);
    down(l);
}

/* Our own close frame (RFC 6455, 5.5.1) instead of lws_close_reason: while libwebsockets 4.1 waits
 * for the answer to its close frame, a message of more than its buffer overruns it. Here it knows
 * of no close and hands us, as ever, what comes, and we look away. */
static void say_close(struct lws *wsi, unsigned code)
{
    enum { FIN_CLOSE = 0x88, MASKED_TWO_BYTES = 0x82, FRAME_BYTES = 8 };
    uint8_t bytes[LWS_PRE + FRAME_BYTES], mask[4], *frame = bytes + LWS_PRE;
    lws_get_random(lws_get_context(wsi), mask, sizeof mask);
    frame[0] = FIN_CLOSE;
    frame[1] = MASKED_TWO_BYTES;
    memcpy(frame + 2, mask, sizeof mask);
    frame[6] = (uint8_t)(code >> 8) ^ mask[0];
    frame[7] = (uint8_t)code ^ mask[1];
    lws_write(wsi, frame, FRAME_BYTES, LWS_WRITE_HTTP); /* as it is */
}

/* RFC 6455, 5.5.1: a code of two bytes and a text, or nothing. */
static void read_close(struct link *l, const uint8_t *bytes, size_t n)
{
    char reason[124] = "";
    if (n < 2)
        return;
    l->end.close_code = (unsigned)bytes[0] << 8 | bytes[1];
    snprintf(reason, sizeof reason, "%.*s", (int)(n - 2), (const char *)bytes + 2);
    for (char *c = reason; *c; c++) /* it goes to a terminal */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    const char *meaning = reconnect_code_text(l->end.close_code);
    snprintf(l->end.text, sizeof l->end.text, "the server closed with %u%s%s%s%s%s",
             l->end.close_code, meaning[0] ? " (" : "", meaning, meaning[0] ? ")" : "",
             reason[0] ? ": " : "", reason);
}

/* Answers the peer's close, unless it is the answer to ours. -1: libwebsockets is to
 * end the connection. */
static int on_peer_close(struct link *l, struct lws *wsi, const uint8_t *bytes, size_t n)
{
    if (l->state == LINK_OPEN) {
        read_close(l, bytes, n);
        say_close(wsi, n < 2 ? LWS_CLOSE_STATUS_NORMAL : l->end.close_code);
        l->state = LINK_CLOSING;
    }
    return -1;
}

/* --- messages --- */

static void refuse_message(struct link *l, unsigned code, const char *why)
{
    l->end.close_code = code;
    say_close(l->wsi, code);
    link_abort(l, why);
}

static void on_receive(struct link *l, struct lws *wsi, const char *bytes, size_t n)
{
    if (l->state != LINK_OPEN)
        return;
    if (lws_frame_is_binary(wsi)) {
        refuse_message(l, 1003, "it sent a binary message, which streamd never does");
        return;
    }
    if (lws_is_first_fragment(wsi))
        text_clear(&l->message);
    text_add_bytes(&l->message, bytes, n);
    if (l->message.cut) {
        refuse_message(l, 1009, "it sent a message of more than 1 MiB");
        return;
    }
    if (!lws_is_final_fragment(wsi))
        return;
    l->sink.on_message(l->sink.ctx, text_str(&l->message), l->message.len);
    text_clear(&l->message);
}

/* A connection we gave up on has no link any more and says nothing. */
int link_on_websocket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                      size_t n_bytes)
{
    struct link *l = lws_get_opaque_user_data(wsi);
    (void)user;
    if (!l)
        return 0;
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        loop_timer_cancel(&l->engine->loop, &l->patience);
        l->state = LINK_OPEN;
        l->end.opened = true;
        l->opened_us = clock_now_us();
        l->sink.on_open(l->sink.ctx);
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        on_receive(l, wsi, in, n_bytes);
        break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return on_peer_close(l, wsi, in, n_bytes);
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
        on_certificate(l, n_bytes != 0);
        break;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        lws_set_opaque_user_data(wsi, NULL);
        on_refused(l, wsi, in, n_bytes);
        break;
    case LWS_CALLBACK_CLIENT_CLOSED:
        lws_set_opaque_user_data(wsi, NULL);
        down(l);
        break;
    default:
        break;
    }
    return 0;
}

/* --- connecting --- */

static void on_redial_due(void *ctx)
{
    link_dial(ctx);
}

static void on_patience_due(void *ctx)
{
    link_abort(ctx, "it did not answer the handshake in time");
}

static void on_room_due(void *ctx)
{
    struct link *l = ctx;
    l->sink.on_room(l->sink.ctx);
}

void link_init(struct link *l, struct engine *g, const struct link_options *o,
               const struct link_sink *sink)
{
    *l = (struct link){.options = *o, .sink = *sink, .engine = g};
    l->message = text_heap(LINK_MESSAGE_MAX + 1);
    l->redial = (struct loop_timer){.on_due = on_redial_due, .ctx = l};
    l->room = (struct loop_timer){.on_due = on_room_due, .ctx = l};
    l->patience = (struct loop_timer){.on_due = on_patience_due, .ctx = l};
}

/* The wsi is freed by libwebsockets after this turn, and never calls us again. */
static void let_go(struct link *l)
{
    if (!l->wsi)
        return;
    lws_set_opaque_user_data(l->wsi, NULL);
    lws_set_timeout(l->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
    l->wsi = NULL;
}

void link_deinit(struct link *l)
{
    if (!l->engine)
        return;
    let_go(l);
    loop_timer_cancel(&l->engine->loop, &l->redial);
    loop_timer_cancel(&l->engine->loop, &l->room);
    loop_timer_cancel(&l->engine->loop, &l->patience);
    text_deinit(&l->message);
    free(l->masked);
    l->engine = NULL;
}

static void add_path(struct text *path, const struct link_options *o)
{
    text_add(path, o->at.path);
    text_add(path, "?pipeline_id=");
    proto_add_escaped(path, o->pipeline);
    text_add(path, "&timing=1&header=1");
}

static int tls_flags(const struct link_options *o)
{
    if (!o->at.tls)
        return 0;
    return LCCSCF_USE_SSL |
           (o->insecure ? LCCSCF_ALLOW_SELFSIGNED | LCCSCF_ALLOW_INSECURE | LCCSCF_ALLOW_EXPIRED |
                              LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK
                        : 0);
}

void link_dial(struct link *l)
{
    char path_bytes[2048], host[300];
    struct text path = text_fixed(path_bytes, sizeof path_bytes);
    const struct address *at = &l->options.at;
    bool bare = !strchr(at->host, ':');
    add_path(&path, &l->options);
    snprintf(host, sizeof host, "%s%s%s:%u", bare ? "" : "[", at->host, bare ? "" : "]", at->port);
    l->end = (struct link_end){0};
    l->n_sent = 0;
    l->state = LINK_DIALING;
    loop_timer_set(&l->engine->loop, &l->patience, clock_now_us() + DIAL_WAIT_US);
    struct lws_client_connect_info info = {
        .context = l->engine->context,
        .vhost = l->engine->vhost,
        .address = at->host,
        .port = at->port,
        .path = path_bytes,
        .host = host,
        .ssl_connection = tls_flags(&l->options) | LCCSCF_HTTP_NO_FOLLOW_REDIRECT,
        .local_protocol_name = "stream",
        .alpn = "http/1.1",
        .ietf_version_or_minus_one = -1,
        .opaque_user_data = l,
        .retry_and_idle_policy = &idle_policy,
        .pwsi = &l->wsi,
    };
    /* Of a name that cannot be resolved the callback is not told. */
    bool failed = !lws_client_connect_via_info(&info);
    if (failed && l->state == LINK_DIALING) {
        set_end_text(&l->end, "its host name is not known");
        down(l);
    }
}

uint64_t link_redial(struct link *l)
{
    uint64_t wait_us = backoff_wait_us(++l->n_failed, backoff_jitter());
    l->state = LINK_WAITING;
    loop_timer_set(&l->engine->loop, &l->redial, clock_now_us() + wait_us);
    return wait_us;
}

void link_mark_good(struct link *l, uint64_t now_us)
{
    if (now_us >= l->opened_us + STEADY_US)
        l->n_failed = 0;
}

/* --- sending --- */

bool link_has_room(const struct link *l)
{
    int unsent_bytes = 0;
    if (l->state != LINK_OPEN || lws_partial_buffered(l->wsi))
        return false;
    /* The NSD form leaves out what is sent and not acknowledged: on a long way that is
     * a round trip of frames, which the limit of frames in flight bounds. */
    if (ioctl(lws_get_socket_fd(l->wsi), SIOCOUTQNSD, &unsent_bytes) < 0)
        return true;
    return unsent_bytes <= UNSENT_MAX_BYTES;
}

void link_wait_for_room(struct link *l)
{
    if (l->state == LINK_OPEN && !l->room.armed)
        loop_timer_set(&l->engine->loop, &l->room, clock_now_us() + ROOM_POLL_US);
}

/* Room for a masked frame; LWS_PRE is what lws_write wants in front of it. */
static bool reserve(struct link *l, size_t frame_bytes)
{
    size_t n_bytes = LWS_PRE + frame_bytes;
    if (n_bytes <= l->masked_cap)
        return true;
    free(l->masked);
    l->masked = malloc(n_bytes);
    l->masked_cap = l->masked ? n_bytes : 0;
    return l->masked != NULL;
}

_Static_assert(PROTO_HEADER_BYTES % 4 == 0, "the mask goes on behind it");

/* As one binary message, masked by us: see wsframe.h. */
static bool write_frame(struct link *l, const struct proto_header *header, const struct picture *p)
{
    uint8_t header_bytes[PROTO_HEADER_BYTES];
    size_t n_bytes = sizeof header_bytes + p->n_bytes;
    uint32_t key = 0;
    if (!reserve(l, WSFRAME_HEAD_MAX + n_bytes))
        return false;
    lws_get_random(l->engine->context, &key, sizeof key);
    proto_write_header(header_bytes, header);
    uint8_t *frame = l->masked + LWS_PRE, *at = frame + wsframe_head(frame, n_bytes, key);
    wsframe_mask(at, header_bytes, sizeof header_bytes, key);
    wsframe_mask(at + sizeof header_bytes, p->bytes, p->n_bytes, key);
    size_t all = (size_t)(at - frame) + n_bytes;
    return lws_write(l->wsi, frame, all, LWS_WRITE_HTTP) >= 0; /* as it is */
}

uint32_t link_send(struct link *l, struct picture *p)
{
    uint32_t id = l->n_sent++;
    struct proto_header header = {
        .frame_id = id, .timestamp_s = p->captured_wall_s, .length = (uint32_t)p->n_bytes};
    bool written = write_frame(l, &header, p);
    picture_free(p);
    if (!written) /* it is broken, or memory is short: CLIENT_CLOSED comes next */
        lws_set_timeout(l->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
    return id;
}

/* --- ending --- */

void link_hang_up(struct link *l, unsigned code)
{
    loop_timer_cancel(&l->engine->loop, &l->redial);
    if (l->state == LINK_OPEN) {
        l->state = LINK_CLOSING;
        say_close(l->wsi, code);
    } else if (l->state == LINK_DIALING) {
        link_abort(l, "it was given up");
    }
}

void link_abort(struct link *l, const char *why)
{
    set_end_text(&l->end, why);
    let_go(l);
    down(l);
}
