#include "server/door.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "server/head.h"

#define GUEST_TIMEOUT_US    10000000u
#define FAREWELL_TIMEOUT_US 2000000u

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
    atomic_fetch_sub(&d->n_guests, 1);
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

void door_welcome(struct door *d, int fd)
{
    struct guest *g = calloc(1, sizeof *g);
    if (!g) {
        atomic_fetch_sub(&d->n_guests, 1);
        close(fd);
        return;
    }
    g->door = d;
    g->watch = (struct loop_watch){.on_ready = guest_on_readable, .ctx = g, .fd = fd};
    g->deadline = (struct loop_timer){.on_due = guest_hangup, .ctx = g};
    g->next = d->guests;
    if (g->next)
        g->next->prev = g;
    d->guests = g;
    if (loop_watch_set(d->loop, &g->watch, EPOLLIN, NULL) < 0)
        guest_hangup(g);
    else /* loop->now_us may be old: it comes from another thread, between turns of this loop */
        loop_timer_set(d->loop, &g->deadline, clock_now_us() + GUEST_TIMEOUT_US);
}

void door_close(struct door *d)
{
    for (struct guest *g = d->guests, *next; g; g = next) {
        next = g->next;
        guest_hangup(g);
    }
}
