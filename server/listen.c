#include "server/listen.h"

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

#define BACKLOG 1024

/* Out of descriptors: the connection that waits would keep the listener readable
 * for ever. Give up the spare descriptor to take it, and send it away. */
static void turn_away(struct listeners *all, int listen_fd)
{
    close(all->spare_fd);
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    all->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_readable(void *ctx, int listen_fd, uint32_t events)
{
    struct listener *l = ctx;
    int on = 1;
    (void)events;
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            l->of->accepted(l->of->ctx, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            turn_away(l->of, listen_fd);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static int bind_to(const struct addrinfo *at, const char *text, struct err *e)
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
static void name_of(struct listener *l)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    char port[8] = "0";
    getsockname(l->watch.fd, (struct sockaddr *)&at, &n);
    getnameinfo((struct sockaddr *)&at, n, l->address, sizeof l->address, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    l->port = (unsigned)strtoul(port, NULL, 10);
}

static int add(struct listeners *all, const struct addrinfo *at, const char *text, struct err *e)
{
    struct listener *l = &all->item[all->n];
    if (all->n == LISTENERS_MAX)
        return err_set(e, EXIT_USAGE, "more than %d addresses to listen on", LISTENERS_MAX);
    int fd = bind_to(at, text, e);
    if (fd < 0)
        return fd;
    l->of = all;
    l->watch = (struct loop_watch){.on_ready = on_readable, .ctx = l, .fd = fd};
    all->n++; /* from here on listeners_close closes it */
    name_of(l);
    return loop_watch_set(all->loop, &l->watch, EPOLLIN, e);
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
static int listen_at(struct listeners *all, const char *host, const char *port, const char *text,
                     struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc)
        return err_set(e, EXIT_USAGE, "--listen %s: %s", text, gai_strerror(rc));
    for (const struct addrinfo *at = list; at && rc == 0; at = at->ai_next)
        rc = add(all, at, text, e);
    int saved = errno;
    freeaddrinfo(list);
    errno = saved;
    return rc;
}

/* localhost is both loopbacks, on the same port; a machine without IPv6 has only one. */
static int listen_on(struct listeners *all, const char *text, struct err *e)
{
    char host[256] = "", port[8];
    int rc = split_address(text, host, port, e);
    if (rc < 0)
        return rc;
    if (strcmp(host, "localhost") != 0)
        return listen_at(all, host[0] ? host : NULL, port, text, e);
    rc = listen_at(all, "127.0.0.1", port, text, e);
    if (rc < 0)
        return rc;
    snprintf(port, sizeof port, "%u", all->item[all->n - 1].port);
    rc = listen_at(all, "::1", port, text, e);
    return rc < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) ? 0 : rc;
}

int listeners_open(struct listeners *l, struct loop *loop, const struct opt_list *addresses,
                   struct err *e)
{
    l->loop = loop;
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < addresses->n; i++) {
        int rc = listen_on(l, addresses->item[i], e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void listeners_close(struct listeners *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        loop_watch_remove(l->loop, &l->item[i].watch);
        close(l->item[i].watch.fd);
    }
    l->n = 0;
    if (l->spare_fd >= 0)
        close(l->spare_fd);
    l->spare_fd = -1;
}
