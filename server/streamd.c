#include "server/streamd.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/head.h"
#include "server/session.h"

#define POOL_IDLE_BYTES ((size_t)64 << 20)
#define TICK_US         250000u
#define FAREWELL_US     1000000U
/* One buffer per I/O thread: a typical frame then is one callback instead of twelve. */
#define RECEIVE_BYTES (128u << 10)

/* ---- what wakes the I/O thread ---- */

/* On a worker. No system call unless the I/O thread sleeps: libev looks at that. */
static void wake(void *ctx)
{
    struct streamd *d = ctx;
    ev_async_send(d->ev, &d->finished);
}

void streamd_collect(struct streamd *d)
{
    struct frame *f = sched_collect(&d->sched);
    while (f) {
        struct frame *next = f->next;
        session_on_finished(f->session, f);
        f = next;
    }
}

static void on_finished(struct ev_loop *ev, struct ev_async *w, int events)
{
    (void)ev;
    (void)events;
    streamd_collect(w->data);
}

static void on_tick(void *ctx)
{
    struct streamd *d = ctx;
    uint64_t now_us = d->loop.now_us;
    for (struct session *s = d->sessions; s; s = s->next)
        session_tick(s, now_us);
    if (d->sessions)
        loop_timer_set(&d->loop, &d->tick, now_us + TICK_US);
}

void streamd_session_opened(struct streamd *d)
{
    struct log_line l;
    if (!d->tick.armed)
        loop_timer_set(&d->loop, &d->tick, clock_now_us() + TICK_US);
    if (d->warned_sessions || d->n_sessions <= d->settings->recommended_sessions)
        return;
    d->warned_sessions = true;
    log_begin(&l, LOG_WARN, "sessions_above_recommended");
    log_u64(&l, "sessions", d->n_sessions);
    log_u64(&l, "recommended", d->settings->recommended_sessions);
    log_end(&l);
}

/* ---- the end ---- */

static void stop(struct streamd *d)
{
    d->stopped = true;
    ev_break(d->ev, EVBREAK_ALL);
}

void streamd_session_gone(struct streamd *d)
{
    if (d->draining && (!d->sessions || (d->overran && !d->n_sessions)))
        stop(d);
}

/* Once for what is in work, then once more for clients that do not take their close. */
static void on_deadline(void *ctx)
{
    struct streamd *d = ctx;
    if (d->overran) {
        stop(d);
        return;
    }
    d->overran = true;
    loop_timer_set(&d->loop, &d->deadline, clock_now_us() + FAREWELL_US);
    for (struct session *s = d->sessions, *next; s; s = next) {
        next = s->next;
        session_dismiss(s);
    }
    streamd_session_gone(d);
}

static void drain(struct streamd *d)
{
    d->draining = true;
    d->door.refuses_streams = true;
    loop_timer_set(&d->loop, &d->deadline, d->loop.now_us + d->settings->drain_timeout_us);
    for (struct session *s = d->sessions, *next; s; s = next) {
        next = s->next;
        session_drain(s);
    }
    streamd_session_gone(d);
}

static void on_signal(void *ctx, int fd, uint32_t events)
{
    struct streamd *d = ctx;
    struct signalfd_siginfo info;
    struct log_line l;
    (void)events;
    if (read(fd, &info, sizeof info) != sizeof info)
        return;
    if (d->draining)
        _exit(EXIT_INTERRUPTED); /* asked twice: at once */
    log_begin(&l, LOG_INFO, "shutdown");
    log_str(&l, "signal", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    log_u64(&l, "sessions", d->n_sessions);
    log_end(&l);
    drain(d);
}

/* ---- start ---- */

static void enter(void *ctx, int fd, const char *bytes, size_t n)
{
    struct streamd *d = ctx;
    /* Closes fd itself when it cannot take it. */
    (void)lws_adopt_socket_vhost_readbuf(d->vhost, fd, bytes, n);
}

static int watch(struct streamd *d, struct loop_watch *w, int fd,
                 void (*on_ready)(void *ctx, int fd, uint32_t events), struct err *e)
{
    *w = (struct loop_watch){.on_ready = on_ready, .ctx = d, .fd = fd};
    if (fd < 0)
        return err_errno(e, EXIT_FAILED, "event loop");
    return loop_watch_set(&d->loop, w, EPOLLIN, e);
}

static int start_watches(struct streamd *d, struct err *e)
{
    d->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (!d->ev)
        return err_errno(e, EXIT_FAILED, "event loop");
    ev_async_init(&d->finished, on_finished);
    d->finished.data = d;
    ev_async_start(d->ev, &d->finished);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    /* Before the workers start, which inherit the mask. */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int rc = watch(d, &d->signals, signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), on_signal, e);
    d->tick = (struct loop_timer){.on_due = on_tick, .ctx = d};
    d->deadline = (struct loop_timer){.on_due = on_deadline, .ctx = d};
    return rc;
}

static int start_lws(struct streamd *d, struct err *e)
{
    /* A connection that sends nothing hears nothing, so pings as late as the library can:
     * after 9 hours; only no pong for another 9 hours ends a session. */
    void *loops[] = {d->ev};
    static const lws_retry_bo_t late_pings = {.secs_since_valid_ping = UINT16_MAX / 2,
                                              .secs_since_valid_hangup = UINT16_MAX};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = streamd_protocols,
        .pt_serv_buf_size = RECEIVE_BYTES,
        .max_http_header_data = 4 * HEAD_BYTES_MAX,
        .max_http_header_pool = 16,
        .retry_and_idle_policy = &late_pings,
        .user = d,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_LIBEV,
        .foreign_loops = loops,
    };
    lws_sock_file_fd_type loop_fd;
    lws_set_log_level(0, NULL); /* what matters is in our own events */
    d->lws = lws_create_context(&info);
    d->vhost = d->lws ? lws_create_vhost(d->lws, &info) : NULL;
    if (!d->vhost)
        return err_set(e, EXIT_FAILED, "libwebsockets does not start");
    loop_fd.filefd = dup(d->loop.epoll_fd); /* libwebsockets closes what it adopts */
    if (!lws_adopt_descriptor_vhost(d->vhost, LWS_ADOPT_RAW_FILE_DESC, loop_fd, "loop", NULL))
        return err_set(e, EXIT_FAILED, "libwebsockets does not take the event loop");
    return 0;
}

static void log_listening(const struct door *door)
{
    struct log_line l;
    for (unsigned i = 0; i < door->n_listeners; i++) {
        log_begin(&l, LOG_INFO, "listening");
        log_str(&l, "address", door->listener[i].address);
        log_u64(&l, "port", door->listener[i].port);
        log_end(&l);
    }
}

int streamd_start(struct streamd *d, const struct settings *settings, struct err *e)
{
    *d = (struct streamd){.settings = settings,
                          .limits = {.drop_threshold = settings->drop_threshold,
                                     .slow_down_threshold = settings->slow_down_threshold,
                                     .rearm_us = settings->rearm_us},
                          .pool = pool_make(POOL_IDLE_BYTES),
                          .message = text_heap(LWS_PRE + 2 * RESULT_BYTES_MAX),
                          .loop = {.epoll_fd = -1, .timer_fd = -1},
                          .signals.fd = -1,
                          .door = {.enter = enter, .ctx = d, .spare_fd = -1}};
    struct admit_rule rule = {.policy = (enum policy)settings->policy,
                              .budget_us = settings->budget_us,
                              .drop_threshold = settings->drop_threshold};
    signal(SIGPIPE, SIG_IGN);
    int rc = pipeline_set_init(&d->pipelines, settings->pipelines.item, settings->pipelines.n, e);
    d->stats.by_pipeline = calloc(d->pipelines.n + 1, sizeof *d->stats.by_pipeline);
    if (rc == 0 && !d->stats.by_pipeline)
        rc = err_set(e, EXIT_FAILED, "out of memory");
    if (rc == 0)
        rc = loop_init(&d->loop, e);
    if (rc == 0)
        rc = start_watches(d, e);
    if (rc == 0)
        rc = sched_start(&d->sched, &rule, (unsigned)settings->n_workers, wake, d, e);
    if (rc == 0)
        rc = start_lws(d, e);
    if (rc == 0)
        rc = door_open(&d->door, &d->loop, &settings->listen, e);
    if (rc == 0)
        log_listening(&d->door);
    return rc;
}

void streamd_run(struct streamd *d)
{
    while (!d->stopped)
        ev_run(d->ev, 0);
}

static void log_done(const struct streamd *d)
{
    struct ledger sum = stats_ledger(d);
    struct log_line l;
    log_begin(&l, LOG_INFO, "shutdown_done");
    log_u64(&l, "received", sum.received);
    log_u64(&l, "answered", sum.answered);
    log_u64(&l, "dropped", ledger_dropped(&sum));
    log_u64(&l, "failed", sum.failed);
    log_u64(&l, "sessions", d->stats.sessions_total);
    log_end(&l);
}

/* A worker that does not return must not keep the process: its frame is counted,
 * and the process ends with it. */
static void stop_at_once(struct streamd *d)
{
    for (struct session *s = d->sessions; s; s = s->next)
        session_abandon(s);
    log_done(d);
    _exit(EXIT_DONE);
}

void streamd_stop(struct streamd *d)
{
    if (d->overran)
        stop_at_once(d);
    door_close(&d->door);
    if (d->lws)
        lws_context_destroy(d->lws);
    if (d->sched.threads)
        sched_stop(&d->sched);
    if (d->stopped)
        log_done(d);
    if (d->ev)
        ev_loop_destroy(d->ev);
    if (d->signals.fd >= 0)
        close(d->signals.fd);
    loop_deinit(&d->loop);
    text_deinit(&d->message);
    pool_deinit(&d->pool);
    pipeline_set_deinit(&d->pipelines);
    free(d->stats.by_pipeline);
}
