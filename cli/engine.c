#include "cli/engine.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A frame goes to the kernel in one call, not in a dozen with a turn of the loop between them. */
#define TX_BYTES_MAX ((size_t)1 << 30)

/* The epoll descriptor is readable: our side of the loop has something to do. */
static int on_loop(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t n_bytes)
{
    (void)user;
    (void)in;
    (void)n_bytes;
    if (reason == LWS_CALLBACK_RAW_RX_FILE)
        loop_turn(lws_context_user(lws_get_context(wsi)));
    return 0;
}

static void on_signals(void *ctx, int fd, uint32_t events)
{
    struct engine *g = ctx;
    struct signalfd_siginfo info;
    (void)events;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (g->on_signal)
            g->on_signal(g->signal_ctx, (int)info.ssi_signo);
}

static int open_signals(struct engine *g, struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, &g->mask_before) < 0)
        return err_errno(e, EXIT_FAILED, "block signals");
    g->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (g->signal_fd < 0)
        return err_errno(e, EXIT_FAILED, "signalfd");
    g->signals = (struct loop_watch){.on_ready = on_signals, .ctx = g, .fd = g->signal_fd};
    return loop_watch_set(&g->loop, &g->signals, EPOLLIN, e);
}

/* What came until now was for what ran: output.c looks at it and leaves it there. What comes later
 * ends the program, whose next step, such as writing into a pipe, may take for ever. */
static void close_signals(struct engine *g)
{
    struct signalfd_siginfo info;
    if (g->signal_fd < 0)
        return;
    while (read(g->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        ;
    close(g->signal_fd);
    sigprocmask(SIG_SETMASK, &g->mask_before, NULL);
}

/* libwebsockets closes what it adopts, hence the duplicate. */
static int adopt_loop(struct engine *g, struct err *e)
{
    int fd = fcntl(g->loop.epoll_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(e, EXIT_FAILED, "event loop");
    lws_sock_file_fd_type file = {.filefd = fd};
    if (!lws_adopt_descriptor_vhost(g->vhost, LWS_ADOPT_RAW_FILE_DESC, file, "loop", NULL)) {
        close(fd);
        return err_set(e, EXIT_FAILED, "event loop: libwebsockets does not take it");
    }
    return 0;
}

static int open_context(struct engine *g, const struct engine_options *o, struct err *e)
{
    g->protocols[0] = (struct lws_protocols){
        .name = "stream", .callback = o->on_websocket, .tx_packet_size = TX_BYTES_MAX};
    g->protocols[1] = (struct lws_protocols){.name = "loop", .callback = on_loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = g->protocols,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .client_ssl_ca_filepath = o->cacert,
        .user = &g->loop,
        .http_proxy_address = "", /* or http_proxy would catch ws://localhost as well */
        .timeout_secs = 10,
        .connect_timeout_secs = 5,
    };
    lws_set_log_level(0, NULL);
    if (o->cacert && access(o->cacert, R_OK) < 0)
        return err_errno(e, EXIT_USAGE, "--cacert %s", o->cacert);
    g->context = lws_create_context(&info);
    if (!g->context)
        return err_set(e, EXIT_FAILED, "libwebsockets cannot start");
    g->vhost = lws_create_vhost(g->context, &info);
    if (!g->vhost)
        return err_set(e, EXIT_FAILED, "libwebsockets cannot start: no client%s%s",
                       o->cacert ? "; are there certificates in " : "", o->cacert ? o->cacert : "");
    return adopt_loop(g, e);
}

int engine_init(struct engine *g, const struct engine_options *o, struct err *e)
{
    *g = (struct engine){.signal_fd = -1};
    int rc = loop_init(&g->loop, e);
    if (rc < 0)
        return rc;
    rc = open_signals(g, e);
    if (rc == 0)
        rc = open_context(g, o, e);
    if (rc < 0)
        engine_deinit(g);
    return rc;
}

void engine_deinit(struct engine *g)
{
    if (g->context)
        lws_context_destroy(g->context);
    loop_watch_remove(&g->loop, &g->signals);
    close_signals(g);
    loop_deinit(&g->loop);
    *g = (struct engine){.signal_fd = -1, .loop = {.epoll_fd = -1, .timer_fd = -1}};
}

void engine_on_signal(struct engine *g, void (*on_signal)(void *ctx, int signo), void *ctx)
{
    g->on_signal = on_signal;
    g->signal_ctx = ctx;
}

void engine_run(struct engine *g)
{
    while (!g->stopped && lws_service(g->context, 0) >= 0)
        ;
}

void engine_stop(struct engine *g)
{
    g->stopped = true;
}
