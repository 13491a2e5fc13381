#include "loadgen/session.h"

#include <linux/net_tstamp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/proto.h"
#include "common/wsframe.h"

#define MESSAGE_MAX   (1024u * 1024u)
#define DIAL_WAIT_US  10000000u
#define CLOSE_WAIT_US 1000000u
#define STAMP_EVERY   16u /* sessions: one in so many has its replies stamped by the kernel */

static void schedule(struct session *s);
static void dial(struct session *s, uint64_t now_us);

static const struct settings *settings(const struct session *s)
{
    return s->shard->load->set;
}

static struct book *book(struct session *s)
{
    return &s->shard->book;
}

static uint64_t since_start(const struct session *s, uint64_t now_us)
{
    return shard_since_start_us(s->shard, now_us);
}

static void count(struct session *s, enum record_count what, uint64_t now_us)
{
    book_count(book(s), s->camera.part, what, since_start(s, now_us));
}

static void note_time(struct session *s, enum record_time what, uint64_t us)
{
    book_time(book(s), s->camera.part, what, us);
}

/* --- when the kernel had a reply, and when we did --- */

static uint64_t realtime_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Looks at the bytes that wait, without taking them; libwebsockets reads them next. */
static void on_stamped(struct ev_loop *ev, struct ev_io *w, int events)
{
    struct session *s = w->data;
    char bytes[256], control[256];
    struct iovec iov = {bytes, sizeof bytes};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    (void)ev;
    (void)events;
    if (recvmsg(w->fd, &m, MSG_PEEK | MSG_DONTWAIT) <= 0)
        return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        struct timespec t[3];
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPING)
            continue;
        memcpy(t, CMSG_DATA(c), sizeof t);
        uint64_t then_us = (uint64_t)t[0].tv_sec * 1000000 + (uint64_t)t[0].tv_nsec / 1000;
        note_time(s, RECORD_LOOP_LAG, clock_age_us(realtime_us(), then_us));
    }
}

static void start_stamps(struct session *s)
{
    int fd = lws_get_socket_fd(s->wsi);
    int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    if (s->camera.index % STAMP_EVERY || s->camera.profile->slow_reader_us ||
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags) < 0)
        return;
    ev_io_init(&s->stamp_watch, on_stamped, fd, EV_READ);
    ev_set_priority(&s->stamp_watch, EV_MAXPRI); /* before libwebsockets reads */
    s->stamp_watch.data = s;
    ev_io_start(s->shard->ev, &s->stamp_watch);
}

static void stop_watches(struct session *s)
{
    ev_io_stop(s->shard->ev, &s->tcp_watch);
    ev_io_stop(s->shard->ev, &s->stamp_watch);
}

/* --- connecting --- */

static void on_tcp(struct ev_loop *ev, struct ev_io *w, int events)
{
    struct session *s = w->data;
    (void)events;
    ev_io_stop(ev, w);
    if (!s->tcp_us) {
        s->tcp_us = clock_now_us();
        note_time(s, RECORD_CONNECT, s->tcp_us - s->dialed_us);
    }
}

static void settle_pending(struct session *s)
{
    if (!s->pending)
        return;
    s->pending = false;
    shard_on_settled(s->shard);
}

/* The connection is gone, or there never was one: what next? */
static void after_down(struct session *s, bool again, uint64_t now_us)
{
    s->state = SESSION_OFF;
    s->wsi = NULL;
    s->blocked = s->leaving = s->come_again = false;
    stop_watches(s);
    text_clear(&s->message);
    settle_pending(s);
    if (again) {
        bool at_once = settings(s)->reconnect == RECONNECT_IMMEDIATE && s->n_failed == 0;
        s->state = SESSION_WAITING;
        s->dial_us = now_us + (at_once ? 0 : backoff_wait_us(s->n_failed + 1, backoff_jitter()));
    }
    schedule(s);
}

static bool may_reconnect(const struct session *s)
{
    return settings(s)->reconnect != RECONNECT_NONE && s->shard->stage <= SHARD_PLAYING;
}

static void on_refused(struct session *s, uint64_t now_us)
{
    count(s, RECORD_CONNECT_ERRORS, now_us);
    s->n_failed++;
    after_down(s, may_reconnect(s), now_us);
}

static void on_closed(struct session *s, uint64_t now_us)
{
    bool wished = s->state == SESSION_CLOSING;
    bool again = wished ? s->come_again : may_reconnect(s);
    camera_on_disconnect(&s->camera, book(s), since_start(s, now_us));
    book(s)->sessions_open--;
    if (!wished)
        count(s, RECORD_DISCONNECTS, now_us);
    if (wished && again) {
        after_down(s, false, now_us);
        dial(s, now_us);
    } else {
        after_down(s, again, now_us);
    }
}

/* The wsi is freed by libwebsockets after this turn, and never calls us again. */
static void let_go(struct session *s)
{
    if (!s->wsi)
        return;
    stop_watches(s);
    lws_set_opaque_user_data(s->wsi, NULL);
    lws_set_timeout(s->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
    s->wsi = NULL;
}

static int tls_flags(const struct session *s)
{
    if (!s->shard->load->at.tls)
        return 0;
    return LCCSCF_USE_SSL | (settings(s)->insecure
                                 ? LCCSCF_ALLOW_SELFSIGNED | LCCSCF_ALLOW_INSECURE |
                                       LCCSCF_ALLOW_EXPIRED | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK
                                 : 0);
}

static void watch_tcp(struct session *s)
{
    ev_io_init(&s->tcp_watch, on_tcp, lws_get_socket_fd(s->wsi), EV_WRITE);
    s->tcp_watch.data = s;
    ev_io_start(s->shard->ev, &s->tcp_watch);
}

static void dial(struct session *s, uint64_t now_us)
{
    const struct load *l = s->shard->load;
    struct lws_client_connect_info info = {
        .context = s->shard->context,
        .vhost = s->shard->vhost,
        .address = l->ip,
        .port = l->at.port,
        .path = l->path[s->camera.part],
        .host = l->host,
        .ssl_connection = tls_flags(s) | LCCSCF_HTTP_NO_FOLLOW_REDIRECT,
        .local_protocol_name = "camera",
        .alpn = "http/1.1",
        .ietf_version_or_minus_one = -1,
        .opaque_user_data = s,
        .pwsi = &s->wsi,
    };
    s->state = SESSION_DIALING;
    s->dialed_us = now_us;
    s->tcp_us = s->tls_us = 0;
    s->patience_us = now_us + DIAL_WAIT_US;
    count(s, RECORD_CONNECTS, now_us);
    bool failed = !lws_client_connect_via_info(&info);
    if (failed && s->state == SESSION_DIALING) /* else the callback has told already */
        on_refused(s, now_us);
    else if (!failed && s->state == SESSION_DIALING)
        watch_tcp(s);
    schedule(s);
}

static void on_handshake(struct session *s, uint64_t now_us)
{
    if (!s->tcp_us)
        on_tcp(s->shard->ev, &s->tcp_watch, 0);
    s->tls_us = now_us;
    if (s->shard->load->at.tls)
        note_time(s, RECORD_TLS, clock_age_us(now_us, s->tcp_us));
}

static void begin_counting(struct session *s, uint64_t now_us)
{
    s->counting = true;
    camera_skip_to(&s->camera, since_start(s, now_us));
}

static void on_open(struct session *s, uint64_t now_us)
{
    struct shard *shard = s->shard;
    note_time(s, RECORD_UPGRADE, clock_age_us(now_us, s->tls_us));
    s->state = SESSION_OPEN;
    s->n_failed = 0;
    if (++book(s)->sessions_open > shard->peak_open)
        shard->peak_open = book(s)->sessions_open;
    start_stamps(s);
    if (s->camera.profile->slow_reader_us) {
        lws_rx_flow_control(s->wsi, 0);
        s->slow_us = now_us + s->camera.profile->slow_reader_us;
    }
    if (shard->stage == SHARD_PLAYING && !s->counting)
        begin_counting(s, now_us);
    settle_pending(s);
    schedule(s);
}

/* --- closing --- */

/* Our own close frame: see say_close in cli/link.c; after lws_close_reason libwebsockets 4.1
 * overruns its buffer when more than one buffer of a message arrives. */
static void say_close(struct session *s)
{
    enum { FIN_CLOSE = 0x88, MASKED_TWO_BYTES = 0x82, NORMAL = 1000, FRAME_BYTES = 8 };
    uint8_t bytes[LWS_PRE + FRAME_BYTES], *frame = bytes + LWS_PRE;
    uint32_t key = shard_key(s->shard);
    frame[0] = FIN_CLOSE;
    frame[1] = MASKED_TWO_BYTES;
    memcpy(frame + 2, &key, sizeof key);
    frame[6] = (uint8_t)(NORMAL >> 8) ^ frame[2];
    frame[7] = (uint8_t)NORMAL ^ frame[3];
    lws_write(s->wsi, frame, FRAME_BYTES, LWS_WRITE_HTTP);
}

static void close_now(struct session *s, uint64_t now_us)
{
    s->state = SESSION_CLOSING;
    s->patience_us = now_us + CLOSE_WAIT_US;
    say_close(s);
    schedule(s);
}

static void close_when_settled(struct session *s, uint64_t now_us)
{
    if (s->leaving && s->state == SESSION_OPEN && s->camera.n_open == 0)
        close_now(s, now_us);
}

static void leave(struct session *s, bool come_again, uint64_t now_us)
{
    s->counting = false;
    if (s->state == SESSION_OPEN) {
        s->leaving = true;
        s->come_again = come_again;
        s->patience_us = now_us + settings(s)->answer_timeout_us;
        close_when_settled(s, now_us);
    } else if (s->state == SESSION_DIALING || s->state == SESSION_WAITING) {
        let_go(s);
        after_down(s, false, now_us);
    }
    schedule(s);
}

void session_hang_up(struct session *s, uint64_t now_us)
{
    leave(s, false, now_us);
    if (s->shard->stage == SHARD_CLOSING && s->state == SESSION_OPEN)
        close_now(s, now_us);
}

void session_churn(struct session *s, uint64_t now_us)
{
    if (s->state == SESSION_OPEN && !s->leaving)
        leave(s, true, now_us);
}

static void give_up_waiting(struct session *s, uint64_t now_us)
{
    if (s->state == SESSION_DIALING) {
        let_go(s);
        on_refused(s, now_us);
    } else if (s->state == SESSION_CLOSING) {
        let_go(s);
        on_closed(s, now_us);
    } else if (s->leaving) {
        close_now(s, now_us);
    }
}

/* --- sending --- */

static bool write_frame(struct session *s)
{
    struct shard *shard = s->shard;
    struct camera *c = &s->camera;
    const struct corpus *corpus = &shard->load->corpus[c->part];
    const struct corpus_frame *f = &corpus->frame[(c->index + c->n_sent) % corpus->n];
    uint32_t keys[WSFRAME_FRAGMENTS_MAX];
    size_t fragment = c->profile->fragment_bytes;
    size_t n_keys = wsframe_count(f->n_bytes, fragment);
    for (size_t i = 0; i < n_keys; i++)
        keys[i] = shard_key(shard);
    size_t n = wsframe_write(shard->scratch + LWS_PRE, f->bytes, f->n_bytes, fragment, keys);
    s->blocked_bytes = f->n_bytes;
    return lws_write(s->wsi, shard->scratch + LWS_PRE, n, LWS_WRITE_HTTP) >= 0;
}

static void note_sent(struct session *s)
{
    uint64_t now_us = clock_now_us();
    s->blocked = false;
    if (camera_has_queued(&s->camera)) /* else the run is over, and it was given up as lost */
        camera_on_sent(&s->camera, book(s), s->blocked_bytes, since_start(s, now_us));
}

static void send_queued(struct session *s)
{
    while (s->state == SESSION_OPEN && !s->blocked && camera_has_queued(&s->camera)) {
        if (!write_frame(s)) { /* it is broken: CLIENT_CLOSED comes next */
            lws_set_timeout(s->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
            return;
        }
        s->blocked = lws_partial_buffered(s->wsi);
        if (s->blocked)
            lws_callback_on_writable(s->wsi);
        else
            note_sent(s);
    }
}

static void check_blocked(struct session *s)
{
    if (s->blocked && !lws_partial_buffered(s->wsi))
        note_sent(s);
}

/* What becomes of the frame that is due. */
static void on_frame_due(struct session *s, uint64_t now_us)
{
    struct camera *c = &s->camera;
    uint64_t since_us = since_start(s, now_us), in_flight = c->profile->in_flight;
    if (!profile_is_on(c->profile, camera_next_due_us(c))) {
        camera_skip_to(c, camera_next_due_us(c) + 1);
    } else if (s->state != SESSION_OPEN) {
        camera_give_up(c, book(s), RECORD_LOST, since_us);
    } else if ((in_flight && c->n_open >= in_flight) ||
               (s->follow && (c->n_open >= FOLLOW_IN_FLIGHT || !follow_takes(s->follow, now_us)))) {
        camera_give_up(c, book(s), RECORD_HELD_BACK, since_us);
    } else {
        camera_queue(c, book(s), since_us);
        send_queued(s);
    }
}

void session_count_unsent(struct session *s, uint64_t end_us, uint64_t now_us)
{
    uint64_t since_us = since_start(s, now_us), end_since_us = since_start(s, end_us);
    while (s->counting && camera_next_due_us(&s->camera) < end_since_us)
        camera_give_up(&s->camera, book(s), RECORD_UNSENT, since_us);
    s->counting = false;
}

/* --- hearing --- */

static void on_answer(struct session *s, const struct proto_message *m, uint64_t now_us)
{
    struct camera_frame f;
    uint64_t start_us = s->shard->start_us;
    check_blocked(s);
    if (!camera_on_answer(&s->camera, book(s), m, since_start(s, now_us), &f))
        count(s, RECORD_ODD, now_us);
    else if (s->follow)
        follow_on_answer(s->follow, m, start_us + f.due_us, start_us + f.sent_us, now_us);
    close_when_settled(s, now_us);
}

static void on_message(struct session *s, const char *bytes, size_t n)
{
    struct proto_message m;
    uint64_t now_us = clock_now_us();
    if (proto_skim_message(bytes, n, &m) < 0) {
        count(s, RECORD_ODD, now_us);
    } else if (m.kind == PROTO_RESULT || m.kind == PROTO_DROP) {
        on_answer(s, &m, now_us);
    } else if (m.kind == PROTO_SLOW_DOWN) {
        count(s, RECORD_SLOW_DOWNS, now_us);
        if (s->follow)
            follow_on_slow_down(s->follow, now_us);
    } else {
        count(s, m.kind == PROTO_ERROR ? RECORD_ERRORS : RECORD_ODD, now_us);
        shard_note_trouble(s->shard, m.detail, strlen(m.detail));
    }
}

/* Most answers come in one piece and are read where they are. */
static void on_receive(struct session *s, const char *bytes, size_t n)
{
    bool first = lws_is_first_fragment(s->wsi), last = lws_is_final_fragment(s->wsi);
    if (s->camera.profile->slow_reader_us)
        lws_rx_flow_control(s->wsi, 0);
    if (s->state != SESSION_OPEN)
        return;
    if (first && last) {
        on_message(s, bytes, n);
        return;
    }
    if (first)
        text_clear(&s->message);
    text_add_bytes(&s->message, bytes, n);
    if (!last)
        return;
    if (s->message.cut)
        count(s, RECORD_ODD, clock_now_us());
    else
        on_message(s, text_str(&s->message), s->message.len);
    text_clear(&s->message);
}

/* Answers the peer's close, unless it is the answer to ours. */
static int on_peer_close(struct session *s)
{
    if (s->state == SESSION_OPEN)
        say_close(s);
    return -1;
}

int session_on_websocket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t n_bytes)
{
    struct session *s = lws_get_opaque_user_data(wsi);
    (void)user;
    if (!s)
        return 0;
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        on_handshake(s, clock_now_us());
        break;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        on_open(s, clock_now_us());
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        on_receive(s, in, n_bytes);
        break;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        check_blocked(s);
        send_queued(s);
        break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return on_peer_close(s);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        lws_set_opaque_user_data(wsi, NULL);
        shard_note_trouble(s->shard, in, in ? n_bytes : 0);
        on_refused(s, clock_now_us());
        break;
    case LWS_CALLBACK_CLIENT_CLOSED:
        lws_set_opaque_user_data(wsi, NULL);
        on_closed(s, clock_now_us());
        break;
    default:
        break;
    }
    return 0;
}

/* --- appointments --- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t frame_due_us(const struct session *s)
{
    uint64_t due_us = s->shard->start_us + camera_next_due_us(&s->camera);
    return s->counting && due_us < s->shard->end_us ? due_us : AGENDA_NEVER;
}

static void schedule(struct session *s)
{
    uint64_t next_us = s->change_us;
    if (s->state == SESSION_WAITING)
        next_us = earlier(next_us, s->dial_us);
    if (s->state == SESSION_DIALING || s->state == SESSION_CLOSING || s->leaving)
        next_us = earlier(next_us, s->patience_us);
    if (s->state == SESSION_OPEN && s->camera.profile->slow_reader_us)
        next_us = earlier(next_us, s->slow_us);
    agenda_set(&s->shard->agenda, &s->item, earlier(next_us, frame_due_us(s)));
}

/* The plan wants it to come, or to go. */
static void follow_plan(struct session *s, uint64_t now_us)
{
    const struct plan *p = &s->shard->load->plan;
    uint64_t since_us = since_start(s, now_us);
    uint64_t next_us = plan_next_change_us(p, s->camera.index, since_us);
    s->change_us = next_us == PLAN_NEVER ? AGENDA_NEVER : s->shard->start_us + next_us;
    if (!plan_wants(p, s->camera.index, since_us))
        leave(s, false, now_us);
    else if (s->state == SESSION_OFF && s->shard->stage == SHARD_PLAYING)
        dial(s, now_us);
}

static void read_again(struct session *s, uint64_t now_us)
{
    s->slow_us = now_us + s->camera.profile->slow_reader_us;
    lws_rx_flow_control(s->wsi, 1);
}

void session_on_due(struct session *s, uint64_t now_us)
{
    if (s->change_us <= now_us)
        follow_plan(s, now_us);
    if (s->state == SESSION_WAITING && s->dial_us <= now_us)
        dial(s, now_us);
    bool waits = s->state == SESSION_DIALING || s->state == SESSION_CLOSING || s->leaving;
    if (waits && s->patience_us <= now_us)
        give_up_waiting(s, now_us);
    if (s->state == SESSION_OPEN && s->camera.profile->slow_reader_us && s->slow_us <= now_us)
        read_again(s, now_us);
    while (frame_due_us(s) <= now_us)
        on_frame_due(s, now_us);
    schedule(s);
}

void session_on_start(struct session *s)
{
    uint64_t next_us = plan_next_change_us(&s->shard->load->plan, s->camera.index, 0);
    s->change_us = next_us == PLAN_NEVER ? AGENDA_NEVER : s->shard->start_us + next_us;
    s->counting = s->state == SESSION_OPEN;
    schedule(s);
}

void session_init(struct session *s, struct shard *shard, uint32_t index)
{
    const struct load *l = shard->load;
    uint16_t part = l->profile_of[index];
    const struct profile *p = &l->profiles.item[part];
    *s = (struct session){.shard = shard, .change_us = AGENDA_NEVER};
    camera_init(&s->camera, index, part, p, plan_phase_us(&l->plan, index, p->fps_milli));
    s->message = text_heap(MESSAGE_MAX);
    if (l->set->adapt && (s->follow = malloc(sizeof *s->follow)))
        follow_init(s->follow, p->fps_milli, l->set->budget_us);
    s->pending = plan_wants(&l->plan, index, 0);
    if (s->pending) {
        s->state = SESSION_WAITING;
        s->dial_us = shard->born_us + (uint64_t)((double)index / l->set->connect_per_s * 1e6);
        schedule(s);
    }
}

void session_deinit(struct session *s)
{
    let_go(s);
    camera_deinit(&s->camera);
    text_deinit(&s->message);
    free(s->follow);
}
