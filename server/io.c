#include "server/io.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "server/head.h"
#include "server/session.h"
#include "server/streamd.h"

#define POOL_IDLE_BYTES ((size_t)64 << 20)
#define TICK_US         250000u
#define TICKS_PER_TRIM  4
#define TRIMMED_BYTES   ((size_t)4 << 20) /* worth the milliseconds that malloc_trim may take */
#define FAREWELL_US     1000000U
/* One buffer per I/O thread: a typical frame then is one callback instead of twelve. */
#define RECEIVE_BYTES (128u << 10)

/* ---- what wakes it ---- */

/* No system call unless the thread sleeps: libev looks at that. */
void io_wake(struct io *io)
{
    ev_async_send(io->ev, &io->wake);
}

static void on_finished(void *ctx) /* on a worker */
{
    io_wake(ctx);
}

void io_collect(struct io *io)
{
    struct frame *f = sched_collect(io->sched, &io->outlet);
    while (f) {
        struct frame *next = f->next;
        session_on_finished(f->session, f);
        f = next;
    }
}

void io_hand_over(struct io *io, int fd)
{
    atomic_fetch_add(&io->door.n_guests, 1);
    pthread_mutex_lock(&io->inbox_lock);
    if (io->n_inbox == io->inbox_cap) {
        size_t cap = io->inbox_cap ? 2 * io->inbox_cap : 64;
        int *grown = realloc(io->inbox, cap * sizeof *grown);
        if (grown) {
            io->inbox = grown;
            io->inbox_cap = cap;
        }
    }
    bool has_room = io->n_inbox < io->inbox_cap;
    if (has_room)
        io->inbox[io->n_inbox++] = fd;
    pthread_mutex_unlock(&io->inbox_lock);
    if (has_room) {
        io_wake(io);
    } else { /* out of memory */
        atomic_fetch_sub(&io->door.n_guests, 1);
        close(fd);
    }
}

static void empty_inbox(struct io *io)
{
    pthread_mutex_lock(&io->inbox_lock);
    for (size_t i = 0; i < io->n_inbox; i++)
        door_welcome(&io->door, io->inbox[i]);
    io->n_inbox = 0;
    pthread_mutex_unlock(&io->inbox_lock);
}

static void trim(struct io *io)
{
    io->freed_bytes += pool_trim(&io->pool);
    if (io->freed_bytes < TRIMMED_BYTES && io->pool.idle_bytes)
        return;
    malloc_trim(0);
    io->freed_bytes = 0;
}

static void on_tick(void *ctx)
{
    struct io *io = ctx;
    uint64_t now_us = io->loop.now_us;
    for (struct session *s = io->sessions; s; s = s->next)
        session_tick(s, now_us);
    if (++io->n_ticks % TICKS_PER_TRIM == 0 && io->pool.idle_bytes)
        trim(io);
    if (io->sessions || io->pool.idle_bytes)
        loop_timer_set(&io->loop, &io->tick, now_us + TICK_US);
}

void io_session_opened(struct io *io)
{
    if (!io->tick.armed)
        loop_timer_set(&io->loop, &io->tick, clock_now_us() + TICK_US);
    streamd_session_opened(io->d);
}

/* ---- the end ---- */

/* Once for what is in work, then once more for clients that do not take their close. */
static void on_deadline(void *ctx)
{
    struct io *io = ctx;
    if (io->overran) {
        streamd_stop_all(io->d);
        return;
    }
    io->overran = true;
    loop_timer_set(&io->loop, &io->deadline, clock_now_us() + FAREWELL_US);
    for (struct session *s = io->sessions, *next; s; s = next) {
        next = s->next;
        session_dismiss(s);
    }
    streamd_overran(io->d);
}

static void drain(struct io *io)
{
    io->draining = true;
    io->door.refuses_streams = true;
    loop_timer_set(&io->loop, &io->deadline, clock_now_us() + io->d->settings->drain_timeout_us);
    for (struct session *s = io->sessions, *next; s; s = next) {
        next = s->next;
        session_drain(s);
    }
    streamd_drains(io->d);
}

static void on_wake(struct ev_loop *ev, struct ev_async *w, int events)
{
    struct io *io = w->data;
    (void)events;
    io_collect(io);
    empty_inbox(io);
    if (atomic_load(&io->d->draining) && !io->draining)
        drain(io);
    if (atomic_load(&io->d->stopped))
        ev_break(ev, EVBREAK_ALL);
}

/* ---- standing still ---- */

/* An unlocked mutex is not handed to who waits for it: a busy thread would lock it again before
 * that one has woken up, thousands of times in a row. So it has to wait at the gate first. */
void io_lock(struct io *io)
{
    pthread_mutex_lock(&io->gate);
    pthread_mutex_lock(&io->lock);
    pthread_mutex_unlock(&io->gate);
}

void io_unlock(struct io *io)
{
    pthread_mutex_unlock(&io->lock);
}

/* Stands still itself, or two that look at each other would wait for ever. */
void io_look(struct io *self, void (*look)(const struct io *io, void *ctx), void *ctx)
{
    struct streamd *d = self->d;
    io_unlock(self);
    for (unsigned i = 0; i < d->n_io; i++) {
        io_lock(&d->io[i]);
        look(&d->io[i], ctx);
        io_unlock(&d->io[i]);
    }
    io_lock(self);
}

static void release(struct ev_loop *ev) EV_NOEXCEPT
{
    io_unlock(ev_userdata(ev));
}

static void acquire(struct ev_loop *ev) EV_NOEXCEPT
{
    io_lock(ev_userdata(ev));
}

/* ---- start ---- */

static void enter(void *ctx, int fd, const char *bytes, size_t n)
{
    struct io *io = ctx;
    /* Closes fd itself when it cannot take it. */
    (void)lws_adopt_socket_vhost_readbuf(io->vhost, fd, bytes, n);
}

static int make_loop(struct io *io, struct err *e)
{
    io->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (!io->ev)
        return err_errno(e, EXIT_FAILED, "event loop");
    ev_set_userdata(io->ev, io);
    ev_set_loop_release_cb(io->ev, release, acquire);
    ev_async_init(&io->wake, on_wake);
    io->wake.data = io;
    ev_async_start(io->ev, &io->wake);
    return loop_init(&io->loop, e);
}

static int make_lws(struct io *io, struct err *e)
{
    /* A connection that sends nothing hears nothing, so pings as late as the library can:
     * after 9 hours; only no pong for another 9 hours ends a session. */
    static const lws_retry_bo_t late_pings = {.secs_since_valid_ping = UINT16_MAX / 2,
                                              .secs_since_valid_hangup = UINT16_MAX};
    void *loops[] = {io->ev};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = io_protocols,
        .pt_serv_buf_size = RECEIVE_BYTES,
        .max_http_header_data = 4 * HEAD_BYTES_MAX,
        .max_http_header_pool = 16,
        .retry_and_idle_policy = &late_pings,
        .user = io,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_LIBEV,
        .foreign_loops = loops,
    };
    lws_sock_file_fd_type loop_fd;
    lws_set_log_level(0, NULL); /* what matters is in our own events */
    io->lws = lws_create_context(&info);
    io->vhost = io->lws ? lws_create_vhost(io->lws, &info) : NULL;
    if (!io->vhost)
        return err_set(e, EXIT_FAILED, "libwebsockets does not start");
    loop_fd.filefd = dup(io->loop.epoll_fd); /* libwebsockets closes what it adopts */
    if (!lws_adopt_descriptor_vhost(io->vhost, LWS_ADOPT_RAW_FILE_DESC, loop_fd, "loop", NULL))
        return err_set(e, EXIT_FAILED, "libwebsockets does not take the event loop");
    return 0;
}

int io_init(struct io *io, struct streamd *d, struct err *e)
{
    *io = (struct io){.d = d,
                      .number = (unsigned)(io - d->io),
                      .pool = pool_make(&d->memory, POOL_IDLE_BYTES),
                      .message = text_heap(LWS_PRE + 2 * RESULT_BYTES_MAX),
                      .loop = {.epoll_fd = -1, .timer_fd = -1},
                      .sched = d->settings->n_workers ? &d->sched : &io->own,
                      .door = {.loop = &io->loop, .enter = enter, .ctx = io},
                      .tick = {.on_due = on_tick, .ctx = io},
                      .deadline = {.on_due = on_deadline, .ctx = io}};
    outlet_init(&io->outlet, on_finished, io);
    pthread_mutex_init(&io->lock, NULL);
    pthread_mutex_init(&io->gate, NULL);
    pthread_mutex_init(&io->inbox_lock, NULL);
    int rc = stats_init(&io->stats, d->pipelines.n, e);
    if (rc == 0)
        rc = make_loop(io, e);
    if (rc == 0 && io->sched == &io->own)
        rc = sched_start(&io->own, &d->sched_options, e);
    return rc == 0 ? make_lws(io, e) : rc;
}

void io_deinit(struct io *io)
{
    empty_inbox(io);
    door_close(&io->door);
    if (io->lws)
        lws_context_destroy(io->lws);
    if (io->own.threads)
        sched_stop(&io->own);
    outlet_deinit(&io->outlet);
    if (io->ev)
        ev_loop_destroy(io->ev);
    loop_deinit(&io->loop);
    text_deinit(&io->message);
    pool_deinit(&io->pool);
    stats_deinit(&io->stats);
    free(io->inbox);
    pthread_mutex_destroy(&io->inbox_lock);
    pthread_mutex_destroy(&io->gate);
    pthread_mutex_destroy(&io->lock);
}

/* ---- its life ---- */

void io_run(struct io *io)
{
    io_lock(io);
    while (!atomic_load(&io->d->stopped))
        ev_run(io->ev, 0);
    io_unlock(io);
}

static void *run(void *arg)
{
    io_run(arg);
    return NULL;
}

int io_start(struct io *io, struct err *e)
{
    int rc = pthread_create(&io->thread, NULL, run, io);
    io->has_thread = rc == 0;
    return rc ? err_set(e, EXIT_FAILED, "I/O thread: %s", strerror(rc)) : 0;
}

void io_join(struct io *io)
{
    if (io->has_thread && atomic_load(&io->d->overran))
        pthread_detach(io->thread);
    else if (io->has_thread)
        pthread_join(io->thread, NULL);
    io->has_thread = false;
}
