#include "server/door.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/head.h"

#define GUEST_TIMEOUT_US    10000000u
#define FAREWELL_TIMEOUT_US 2000000u
#define BACKLOG             1024

struct guest {
    struct door *door;
    struct guest *prev, *next;
    struct loop_watch watch;
    struct loop_timer deadline;
    bool leaving; /* refused; waits until the peer has read why */
    size_t n;
    char bytes[HEAD_BYTES_MAX];
};

/* ---- guests ---- */

/* Forgets the guest; its descriptor is the caller's. */
static int guest_release(struct guest *g)
{
    struct door *d = g->door;
    int fd = g->watch.fd;
    loop_watch_remove(d->loop, &g->watch);
    loop_timer_cancel(d->loop, &g->deadline);
    *(g->prev ? &g->prev->next : &d->guests) = g->next;
    if (g->next)
        g->next->prev = g->prev;
    free(g);
    return fd;
}

static void guest_hangup(void *guest)
{
    close(guest_release(guest));
}

/* Closing with unread bytes would reset the connection and destroy the answer
 * (RFC 9112, 9.6), so: say it, stop sending, read until the peer closes. */
static void guest_refuse(struct guest *g, int status)
{
    char bytes[512];
    struct text answer = text_fixed(bytes, sizeof bytes);
    head_write_refusal(status, &answer);
    g->leaving = true;
    if (send(g->watch.fd, answer.data, answer.len, MSG_NOSIGNAL) < 0 ||
        shutdown(g->watch.fd, SHUT_WR) < 0)
        guest_hangup(g);
    else
        loop_timer_set(g->door->loop, &g->deadline, g->door->loop->now_us + FAREWELL_TIMEOUT_US);
}

static void guest_enter(struct guest *g, const struct head *h)
{
    struct door *d = g->door;
    struct text bytes = text_heap(4 * HEAD_BYTES_MAX);
    head_write(h, &bytes);
    text_add_bytes(&bytes, g->bytes + h->n_bytes, g->n - h->n_bytes);
    int fd = guest_release(g);
    if (bytes.cut)
        close(fd); /* out of memory */
    else
        d->enter(d->ctx, fd, bytes.data, bytes.len);
    text_deinit(&bytes);
}

static void guest_judge(struct guest *g)
{
    struct head h = head_read(g->bytes, g->n);
    if (h.kind == HEAD_MORE)
        return;
    if (h.kind == HEAD_REFUSE)
        guest_refuse(g, h.status);
    else if (h.kind == HEAD_STREAM && g->door->refuses_streams)
        guest_refuse(g, 503);
    else
        guest_enter(g, &h);
}

static void guest_on_readable(void *ctx, int fd, uint32_t events)
{
    struct guest *g = ctx;
    char ignored[16384];
    (void)events;
    ssize_t n = g->leaving ? recv(fd, ignored, sizeof ignored, 0)
                           : recv(fd, g->bytes + g->n, sizeof g->bytes - g->n, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        guest_hangup(g);
    } else if (!g->leaving) {
        g->n += (size_t)n;
        guest_judge(g);
    }
}

static void guest_welcome(struct door *d, int fd)
{
    int on = 1;
    struct guest *g = calloc(1, sizeof *g);
    if (!g) {
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    g->door = d;
    g->watch = (struct loop_watch){.on_ready = guest_on_readable, .ctx = g, .fd = fd};
    g->deadline = (struct loop_timer){.on_due = guest_hangup, .ctx = g};
    g->next = d->guests;
    if (g->next)
        g->next->prev = g;
    d->guests = g;
    if (loop_watch_set(d->loop, &g->watch, EPOLLIN, NULL) < 0)
        guest_hangup(g);
    else
        loop_timer_set(d->loop, &g->deadline, d->loop->now_us + GUEST_TIMEOUT_US);
}

/* ---- listeners ---- */

/* Out of descriptors: the connection that waits would keep the listener readable
 * for ever. Give up the spare descriptor to take it, and send it away. */
static void turn_away(struct door *d, int listen_fd)
{
    close(d->spare_fd);
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void listener_on_readable(void *ctx, int listen_fd, uint32_t events)
{
    struct door_listener *l = ctx;
    (void)events;
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            guest_welcome(l->door, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            turn_away(l->door, listen_fd);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static int listener_bind(const struct addrinfo *at, const char *text, struct err *e)
{
    int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(e, EXIT_FAILED, "socket for %s", text);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int rc = err_errno(e, EXIT_FAILED, "cannot listen on %s", text);
        close(fd);
        return rc;
    }
    return fd;
}

/* Host and port as bound, which matters for port 0. */
static void listener_name(struct door_listener *l)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    char port[8] = "0";
    getsockname(l->watch.fd, (struct sockaddr *)&at, &n);
    getnameinfo((struct sockaddr *)&at, n, l->address, sizeof l->address, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    l->port = (unsigned)strtoul(port, NULL, 10);
}

static int listener_add(struct door *d, const struct addrinfo *at, const char *text, struct err *e)
{
    struct door_listener *l = &d->listener[d->n_listeners];
    if (d->n_listeners == DOOR_LISTENERS_MAX)
        return err_set(e, EXIT_USAGE, "more than %d addresses to listen on", DOOR_LISTENERS_MAX);
    int fd = listener_bind(at, text, e);
    if (fd < 0)
        return fd;
    l->door = d;
    l->watch = (struct loop_watch){.on_ready = listener_on_readable, .ctx = l, .fd = fd};
    d->n_listeners++; /* from here on door_close closes it */
    listener_name(l);
    return loop_watch_set(d->loop, &l->watch, EPOLLIN, e);
}

/* Splits "HOST:PORT", "[V6]:PORT", ":PORT", "PORT". */
static int split_address(const char *text, char host[256], char port[8], struct err *e)
{
    const char *colon = strrchr(text, ':');
    const char *digits = colon ? colon + 1 : text;
    size_t host_n = colon ? (size_t)(colon - text) : 0;
    const char *start = text;
    if (host_n >= 2 && text[0] == '[' && text[host_n - 1] == ']') {
        start++;
        host_n -= 2;
    } else if (memchr(text, ':', host_n)) {
        return err_set(e, EXIT_USAGE, "--listen %s: an IPv6 address needs brackets: [::1]:8000",
                       text);
    }
    char *end;
    unsigned long number = strtoul(digits, &end, 10);
    if (host_n >= 256 || *digits < '0' || *digits > '9' || *end || number > 65535)
        return err_set(e, EXIT_USAGE, "--listen %s: expected HOST:PORT with a port from 0 to 65535",
                       text);
    memcpy(host, start, host_n);
    host[host_n] = '\0';
    snprintf(port, 8, "%lu", number);
    return 0;
}

/* On every address of that name. errno is that of the first failure. */
static int listen_at(struct door *d, const char *host, const char *port, const char *text,
                     struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc)
        return err_set(e, EXIT_USAGE, "--listen %s: %s", text, gai_strerror(rc));
    for (const struct addrinfo *at = list; at && rc == 0; at = at->ai_next)
        rc = listener_add(d, at, text, e);
    int saved = errno;
    freeaddrinfo(list);
    errno = saved;
    return rc;
}

/* localhost is both loopbacks, on the same port; a machine without IPv6 has only one. */
static int listen_on(struct door *d, const char *text, struct err *e)
{
    char host[256] = "", port[8];
    int rc = split_address(text, host, port, e);
    if (rc < 0)
        return rc;
    if (strcmp(host, "localhost") != 0)
        return listen_at(d, host[0] ? host : NULL, port, text, e);
    rc = listen_at(d, "127.0.0.1", port, text, e);
    if (rc < 0)
        return rc;
    snprintf(port, sizeof port, "%u", d->listener[d->n_listeners - 1].port);
    rc = listen_at(d, "::1", port, text, e);
    return rc < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) ? 0 : rc;
}

int door_open(struct door *d, struct loop *loop, const struct opt_list *addresses, struct err *e)
{
    d->loop = loop;
    d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < addresses->n; i++) {
        int rc = listen_on(d, addresses->item[i], e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void door_close(struct door *d)
{
    for (struct guest *g = d->guests, *next; g; g = next) {
        next = g->next;
        guest_hangup(g);
    }
    for (unsigned i = 0; i < d->n_listeners; i++) {
        loop_watch_remove(d->loop, &d->listener[i].watch);
        close(d->listener[i].watch.fd);
    }
    d->n_listeners = 0;
    if (d->spare_fd >= 0)
        close(d->spare_fd);
    d->spare_fd = -1;
}
