#include "server/streamd.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/log.h"
#include "server/session.h"

static void wake_all(struct streamd *d)
{
    for (unsigned i = 0; i < d->n_io; i++)
        io_wake(&d->io[i]);
}

void streamd_session_opened(struct streamd *d)
{
    struct log_line l;
    unsigned n = atomic_load(&d->n_sessions);
    if (n <= d->settings->recommended_sessions || atomic_exchange(&d->warned_sessions, true))
        return;
    log_begin(&l, LOG_WARN, "sessions_above_recommended");
    log_u64(&l, "sessions", n);
    log_u64(&l, "recommended", d->settings->recommended_sessions);
    log_end(&l);
}

/* ---- the end ---- */

void streamd_stop_all(struct streamd *d)
{
    atomic_store(&d->stopped, true);
    wake_all(d);
}

void streamd_session_gone(struct streamd *d)
{
    if (atomic_load(&d->n_draining) < d->n_io)
        return; /* not draining, or some may still let sessions in */
    if (!atomic_load(&d->n_traces) || (atomic_load(&d->overran) && !atomic_load(&d->n_sessions)))
        streamd_stop_all(d);
}

void streamd_drains(struct streamd *d)
{
    atomic_fetch_add(&d->n_draining, 1);
    streamd_session_gone(d);
}

void streamd_overran(struct streamd *d)
{
    atomic_store(&d->overran, true);
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
    if (atomic_load(&d->stopped))
        return; /* it ends already */
    if (atomic_exchange(&d->draining, true))
        _exit(EXIT_INTERRUPTED); /* asked twice: at once */
    log_begin(&l, LOG_INFO, "shutdown");
    log_str(&l, "signal", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    log_u64(&l, "sessions", atomic_load(&d->n_sessions));
    log_end(&l);
    wake_all(d);
}

/* ---- connections ---- */

static unsigned n_people(const struct io *io)
{
    return atomic_load(&io->n_sessions) + atomic_load(&io->door.n_guests);
}

/* To the thread with the fewest, so far as they are counted: sessions never move, so where one
 * begins is all there is to decide. The kernel's way, SO_REUSEPORT, goes by a hash, and leaves 4
 * sessions on one of two threads once in 8 times; it would also let a second server listen on the
 * same port. */
static void on_accepted(void *ctx, int fd)
{
    struct streamd *d = ctx;
    struct io *least = &d->io[0];
    for (unsigned i = 1; i < d->n_io; i++)
        if (n_people(&d->io[i]) < n_people(least))
            least = &d->io[i];
    io_hand_over(least, fd);
}

/* ---- start ---- */

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    /* Before the threads start, which inherit the mask. */
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

static int watch_signals(struct streamd *d, struct err *e)
{
    sigset_t set;
    block_signals(&set);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    d->signals = (struct loop_watch){.on_ready = on_signal, .ctx = d, .fd = fd};
    if (fd < 0)
        return err_errno(e, EXIT_FAILED, "event loop");
    return loop_watch_set(&d->io[0].loop, &d->signals, EPOLLIN, e);
}

static int make_kin(struct streamd *d, struct err *e)
{
    d->kin = calloc(d->pipelines.n, sizeof *d->kin);
    if (!d->kin)
        return err_set(e, EXIT_FAILED, "out of memory for %zu pipelines", d->pipelines.n);
    return 0;
}

struct cheap *streamd_kin(const struct streamd *d, const struct pipeline *p)
{
    if (!p || pipeline_is_uneven(p) || !d->settings->n_workers)
        return NULL;
    return &d->kin[p - d->pipelines.item];
}

static int make_io(struct streamd *d, struct err *e)
{
    unsigned n = (unsigned)d->settings->n_io_threads;
    int rc = 0;
    d->io = calloc(n, sizeof *d->io);
    if (!d->io)
        return err_set(e, EXIT_FAILED, "out of memory for %u I/O threads", n);
    while (rc == 0 && d->n_io < n)
        rc = io_init(&d->io[d->n_io++], d, e);
    return rc;
}

static void log_listening(const struct listeners *all)
{
    struct log_line l;
    for (unsigned i = 0; i < all->n; i++) {
        log_begin(&l, LOG_INFO, "listening");
        log_str(&l, "address", all->item[i].address);
        log_u64(&l, "port", all->item[i].port);
        log_end(&l);
    }
}

int streamd_start(struct streamd *d, const struct settings *settings, struct err *e)
{
    *d = (struct streamd){.settings = settings,
                          .limits = {.drop_threshold = settings->drop_threshold,
                                     .slow_down_threshold = settings->slow_down_threshold,
                                     .rearm_us = settings->rearm_us},
                          .sched_options = {.rule = {.policy = (enum policy)settings->policy,
                                                     .budget_us = settings->budget_us,
                                                     .drop_threshold = settings->drop_threshold},
                                            .n_workers = (unsigned)settings->n_workers,
                                            .here_below_us = settings->inline_below_us,
                                            .pixels_max = settings->pixels_max},
                          .memory.max_bytes = settings->memory_bytes_max,
                          .signals.fd = -1,
                          .listeners = {.spare_fd = -1, .accepted = on_accepted, .ctx = d}};
    signal(SIGPIPE, SIG_IGN);
    int rc = pipeline_set_init(&d->pipelines, settings->pipelines.item, settings->pipelines.n, e);
    if (rc == 0)
        rc = make_kin(d, e);
    if (rc == 0)
        rc = make_io(d, e);
    if (rc == 0)
        rc = watch_signals(d, e);
    if (rc == 0 && settings->n_workers)
        rc = sched_start(&d->sched, &d->sched_options, e);
    if (rc == 0)
        rc = listeners_open(&d->listeners, &d->io[0].loop, &settings->listen, e);
    if (rc == 0)
        log_listening(&d->listeners);
    return rc;
}

int streamd_run(struct streamd *d, struct err *e)
{
    int rc = 0;
    for (unsigned i = 1; rc == 0 && i < d->n_io; i++)
        rc = io_start(&d->io[i], e);
    if (rc < 0)
        streamd_stop_all(d);
    else
        io_run(&d->io[0]);
    for (unsigned i = 1; i < d->n_io; i++)
        io_join(&d->io[i]);
    return rc;
}

static void log_done(const struct streamd *d)
{
    struct ledger sum = {0};
    uint64_t n_sessions = 0;
    struct log_line l;
    for (unsigned i = 0; i < d->n_io; i++) {
        stats_add_ledger(&sum, &d->io[i]);
        n_sessions += d->io[i].stats.sessions_total;
    }
    log_begin(&l, LOG_INFO, "shutdown_done");
    log_u64(&l, "received", sum.received);
    log_u64(&l, "answered", sum.answered);
    log_u64(&l, "dropped", ledger_dropped(&sum));
    log_u64(&l, "failed", sum.failed);
    log_u64(&l, "sessions", n_sessions);
    log_end(&l);
}

/* A pipeline that does not return must not keep the process: its frame is counted, and the process
 * ends with it. It may be on an I/O thread, which then does not go on after it. */
static void stop_at_once(struct streamd *d)
{
    for (unsigned i = 0; i < d->n_io; i++) {
        io_lock(&d->io[i]);
        for (struct session *s = d->io[i].sessions; s; s = s->next)
            session_abandon(s);
    }
    log_done(d);
    _exit(EXIT_DONE);
}

void streamd_stop(struct streamd *d)
{
    if (d->overran)
        stop_at_once(d);
    listeners_close(&d->listeners);
    if (d->sched.threads)
        sched_stop(&d->sched); /* before the loops go that workers wake */
    if (d->draining)
        log_done(d);
    for (unsigned i = 0; i < d->n_io; i++)
        io_deinit(&d->io[i]);
    if (d->signals.fd >= 0)
        close(d->signals.fd);
    free(d->io);
    free(d->kin);
    pipeline_set_deinit(&d->pipelines);
}
