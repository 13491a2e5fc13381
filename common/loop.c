#include "common/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"

int loop_init(struct loop *l, struct err *e)
{
    *l = (struct loop){.epoll_fd = -1, .timer_fd = -1, .now_us = clock_now_us()};
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = l};
    if (l->epoll_fd < 0 || l->timer_fd < 0 ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->timer_fd, &ev) < 0) {
        int rc = err_errno(e, EXIT_FAILED, "event loop");
        loop_deinit(l);
        return rc;
    }
    return 0;
}

void loop_deinit(struct loop *l)
{
    if (l->timer_fd >= 0)
        close(l->timer_fd);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    l->timer_fd = l->epoll_fd = -1;
}

int loop_watch_set(struct loop *l, struct loop_watch *w, uint32_t events, struct err *e)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};
    int op = w->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(l->epoll_fd, op, w->fd, &ev) < 0)
        return err_errno(e, EXIT_FAILED, "watch descriptor %d", w->fd);
    if (!w->watched) {
        w->watched = true;
        w->next = l->watches;
        l->watches = w;
    }
    return 0;
}

void loop_watch_remove(struct loop *l, struct loop_watch *w)
{
    if (!w->watched)
        return;
    /* Fails when the descriptor is closed already, which removed it as well. */
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->watched = false;
    struct loop_watch **at = &l->watches;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

/* The kernel wakes us for the earliest timer; 0 would disarm it, hence the 1. */
static void arm(struct loop *l)
{
    struct itimerspec when = {0};
    if (l->timers) {
        uint64_t us = l->timers->due_us ? l->timers->due_us : 1;
        when.it_value.tv_sec = (time_t)(us / 1000000u);
        when.it_value.tv_nsec = (long)(us % 1000000u) * 1000;
    }
    timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void unlink_timer(struct loop *l, struct loop_timer *t)
{
    struct loop_timer **at = &l->timers;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    t->armed = false;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_us)
{
    struct loop_timer *first = l->timers;
    uint64_t first_due_us = first ? first->due_us : 0;
    if (t->armed)
        unlink_timer(l, t);
    struct loop_timer **at = &l->timers;
    while (*at && (*at)->due_us <= due_us)
        at = &(*at)->next;
    t->due_us = due_us;
    t->next = *at;
    t->armed = true;
    *at = t;
    if (l->timers != first || l->timers->due_us != first_due_us)
        arm(l);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
    if (!t->armed)
        return;
    bool was_first = l->timers == t;
    unlink_timer(l, t);
    if (was_first)
        arm(l);
}

static void run_timers(struct loop *l)
{
    uint64_t expirations;
    while (read(l->timer_fd, &expirations, sizeof expirations) < 0 && errno == EINTR)
        ;
    unsigned n_due = 0; /* those that their callbacks set anew have their turn in the next one */
    for (struct loop_timer *t = l->timers; t && t->due_us <= l->now_us; t = t->next)
        n_due++;
    while (n_due-- && l->timers && l->timers->due_us <= l->now_us) {
        struct loop_timer *t = l->timers;
        unlink_timer(l, t);
        t->on_due(t->ctx);
    }
    arm(l);
}

/* A callback may have removed this watch after epoll_wait reported it. */
static bool is_watched(const struct loop *l, const struct loop_watch *w)
{
    for (const struct loop_watch *at = l->watches; at; at = at->next)
        if (at == w)
            return true;
    return false;
}

void loop_turn(struct loop *l)
{
    struct epoll_event ready[16];
    int n = epoll_wait(l->epoll_fd, ready, sizeof ready / sizeof ready[0], 0);
    l->now_us = clock_now_us();
    for (int i = 0; i < n; i++) {
        struct loop_watch *w = ready[i].data.ptr;
        if (ready[i].data.ptr == l)
            run_timers(l);
        else if (is_watched(l, w))
            w->on_ready(w->ctx, w->fd, ready[i].events);
    }
}
