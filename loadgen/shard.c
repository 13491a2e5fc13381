#include "loadgen/shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "loadgen/session.h"

#define TICK_US 100000u
#define COALESCE_US                                                                                \
    200u /* the timer fires at most so often: half the processor time at 30000/s                   \
          */
#define CATCH_UP_US   100000u /* after the end, for frames that were due before it */
#define CLOSE_WAIT_US 1500000u
#define TX_BYTES_MAX  ((size_t)1 << 30) /* a frame goes to the kernel in one call */
#define SERVICE_BYTES 16384

uint64_t shard_since_start_us(const struct shard *s, uint64_t now_us)
{
    return s->start_us ? clock_age_us(now_us, s->start_us) : 0;
}

uint32_t shard_key(struct shard *s)
{
    if (s->n_keys == 0) {
        if (getrandom(s->key, sizeof s->key, 0) != (ssize_t)sizeof s->key)
            abort(); /* with these flags and so few bytes it cannot fail: getrandom(2) */
        s->n_keys = sizeof s->key / sizeof s->key[0];
    }
    return s->key[--s->n_keys];
}

void shard_note_trouble(struct shard *s, const char *text, size_t n)
{
    pthread_mutex_lock(&s->lock);
    if (!s->view.trouble[0] && text)
        snprintf(s->view.trouble, sizeof s->view.trouble, "%.*s", (int)n, text);
    pthread_mutex_unlock(&s->lock);
}

/* --- what others see --- */

static void publish(struct shard *s)
{
    pthread_mutex_lock(&s->lock);
    memcpy(s->view.part, s->book.record.part, s->book.record.n_parts * sizeof *s->view.part);
    s->view.recent = s->book.now.latency;
    if (s->book.record.n_seconds)
        record_unpack(&s->book.record.second[s->book.record.n_seconds - 1], &s->view.recent);
    s->view.sessions_open = s->book.sessions_open;
    pthread_mutex_unlock(&s->lock);
}

void shard_add_view(struct shard *s, struct shard_view *into)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->load->profiles.n; i++) {
        for (size_t k = 0; k < RECORD_TIMES; k++)
            hist_merge(&into->part[i].time[k], &s->view.part[i].time[k]);
        for (size_t k = 0; k < RECORD_COUNTS; k++)
            into->part[i].count[k] += s->view.part[i].count[k];
    }
    hist_merge(&into->recent, &s->view.recent);
    into->sessions_open += s->view.sessions_open;
    if (!into->trouble[0])
        memcpy(into->trouble, s->view.trouble, sizeof into->trouble);
    pthread_mutex_unlock(&s->lock);
}

void shard_on_settled(struct shard *s)
{
    if (--s->n_pending > 0)
        return;
    publish(s); /* who sees that it is ready looks at once how many are open */
    atomic_store(&s->ready, true);
}

/* --- what this thread costs --- */

static uint64_t thread_cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* How long this thread could have run, but no processor was free: the second number of
 * schedstat (Documentation/scheduler/sched-stats.rst). 0 where the kernel does not tell. */
static uint64_t thread_run_queue_us(void)
{
    char path[64];
    char line[128] = "", *waited = line;
    snprintf(path, sizeof path, "/proc/self/task/%ld/schedstat", (long)syscall(SYS_gettid));
    FILE *f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f))
        strtoull(line, &waited, 10); /* the first number: how long it ran */
    if (f)
        fclose(f);
    return strtoull(waited, NULL, 10) / 1000;
}

/* --- stages of the run --- */

static void begin_play(struct shard *s, uint64_t start_us)
{
    s->start_us = start_us;
    s->end_us = start_us + s->load->plan.duration_us;
    s->stage = SHARD_PLAYING;
    s->peak_open = s->book.sessions_open; /* a server may open a session only to refuse it */
    s->cpu_us = thread_cpu_us();
    s->run_queue_us = thread_run_queue_us();
    for (size_t i = 0; i < s->n_sessions; i++)
        session_on_start(&s->session[i]);
}

static void begin_drain(struct shard *s, uint64_t now_us)
{
    s->stage = SHARD_DRAINING;
    s->cpu_us = thread_cpu_us() - s->cpu_us;
    s->run_queue_us = thread_run_queue_us() - s->run_queue_us;
    s->drain_us = now_us + s->load->set->answer_timeout_us;
    for (size_t i = 0; i < s->n_sessions; i++)
        session_count_unsent(&s->session[i], s->end_us, now_us);
}

static bool is_settled(const struct shard *s)
{
    for (size_t i = 0; i < s->n_sessions; i++)
        if (s->session[i].camera.n_open)
            return false;
    return true;
}

static void begin_close(struct shard *s, uint64_t now_us)
{
    uint64_t since_us = shard_since_start_us(s, now_us);
    s->stage = SHARD_CLOSING;
    s->drain_us = now_us + CLOSE_WAIT_US;
    for (size_t i = 0; i < s->n_sessions; i++) {
        camera_on_disconnect(&s->session[i].camera, &s->book, since_us);
        camera_finish(&s->session[i].camera, &s->book);
        session_hang_up(&s->session[i], now_us);
    }
}

/* All that were due have been looked at, or it is too late for them. */
static bool is_played(const struct shard *s, uint64_t now_us)
{
    struct agenda_item *first = agenda_first(&s->agenda);
    if (now_us < s->end_us)
        return false;
    return !first || first->due_us >= s->end_us || now_us >= s->end_us + CATCH_UP_US;
}

static void step(struct shard *s, uint64_t now_us)
{
    uint64_t told_us = atomic_load(&s->told_end_us);
    if (s->stage == SHARD_CONNECTING && atomic_load(&s->told_start_us))
        begin_play(s, atomic_load(&s->told_start_us));
    if (told_us && s->start_us && told_us < s->end_us)
        s->end_us = told_us > s->start_us ? told_us : s->start_us;
    if (s->stage == SHARD_CONNECTING && told_us)
        begin_close(s, now_us);
    bool never_began = told_us && told_us <= s->start_us;
    if (s->stage == SHARD_PLAYING && (never_began || is_played(s, now_us)))
        begin_drain(s, now_us);
    if (s->stage == SHARD_DRAINING && (is_settled(s) || now_us >= s->drain_us))
        begin_close(s, now_us);
    if (s->stage == SHARD_CLOSING && (s->book.sessions_open == 0 || now_us >= s->drain_us))
        s->stage = SHARD_OVER;
}

/* --- the loop --- */

static void on_timer(struct ev_loop *ev, struct ev_io *w, int events)
{
    uint64_t n_times;
    (void)ev;
    (void)events;
    if (read(w->fd, &n_times, sizeof n_times) < 0)
        return; /* it was set anew meanwhile */
}

static void on_wake(struct ev_loop *ev, struct ev_async *w, int events)
{
    (void)ev;
    (void)w;
    (void)events; /* the loop looks at everything after each turn */
}

static void set_timer(struct shard *s, uint64_t now_us)
{
    struct agenda_item *first = agenda_first(&s->agenda);
    uint64_t due_us = first && first->due_us < s->tick_us ? first->due_us : s->tick_us;
    if (s->stage == SHARD_PLAYING && s->end_us < due_us)
        due_us = s->end_us;
    if (due_us < now_us + COALESCE_US)
        due_us = now_us + COALESCE_US;
    if (due_us == s->timer_us)
        return;
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(due_us / 1000000),
                                         .tv_nsec = (long)(due_us % 1000000) * 1000}};
    timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    s->timer_us = due_us;
}

static void churn(struct shard *s, uint64_t now_us)
{
    double per_s = s->load->set->churn_per_s;
    if (per_s <= 0.0 || s->stage != SHARD_PLAYING)
        return;
    double wanted = (double)shard_since_start_us(s, now_us) / 1e6 * per_s;
    for (; (double)s->n_churned < wanted; s->n_churned++) {
        uint64_t index = s->n_churned % s->load->plan.sessions;
        for (size_t i = 0; i < s->n_sessions; i++)
            if (s->session[i].camera.index == index)
                session_churn(&s->session[i], now_us);
    }
}

static void tick(struct shard *s, uint64_t now_us)
{
    s->tick_us = now_us + TICK_US;
    for (size_t i = 0; i < s->n_sessions; i++)
        camera_expire(&s->session[i].camera, &s->book, s->load->set->answer_timeout_us,
                      shard_since_start_us(s, now_us));
    churn(s, now_us);
    publish(s);
}

static void run_due(struct shard *s, uint64_t now_us)
{
    struct agenda_item *first;
    while ((first = agenda_first(&s->agenda)) && first->due_us <= now_us)
        session_on_due((struct session *)first, clock_now_us());
}

static void *run(void *arg)
{
    struct shard *s = arg;
    while (s->stage != SHARD_OVER) {
        uint64_t now_us = clock_now_us();
        run_due(s, now_us);
        if (now_us >= s->tick_us)
            tick(s, now_us);
        step(s, now_us);
        set_timer(s, clock_now_us());
        ev_run(s->ev, s->spin ? EVRUN_NOWAIT : EVRUN_ONCE);
    }
    if (record_now_end(&s->book.record, &s->book.now, s->book.sessions_open) < 0)
        s->book.out_of_memory = true;
    publish(s);
    atomic_store(&s->over, true);
    return NULL;
}

/* --- start and end --- */

static int open_loop(struct shard *s, struct err *e)
{
    s->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (!s->ev || s->timer_fd < 0)
        return err_errno(e, EXIT_FAILED, "event loop");
    ev_io_init(&s->timer_watch, on_timer, s->timer_fd, EV_READ);
    ev_io_start(s->ev, &s->timer_watch);
    ev_async_init(&s->wake, on_wake);
    ev_async_start(s->ev, &s->wake);
    return 0;
}

/* TLS only where it is used: OpenSSL's certificates are megabytes, and libwebsockets 4.1 frees
 * those of the last context only (its index of private data is one for all of them). */
static int open_context(struct shard *s, struct err *e)
{
    void *loops[] = {s->ev};
    s->protocols[0] = (struct lws_protocols){.name = "camera",
                                             .callback = session_on_websocket,
                                             .rx_buffer_size = 1024,
                                             .tx_packet_size = TX_BYTES_MAX};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = s->protocols,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_LIBEV |
                   (s->load->at.tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .foreign_loops = loops,
        .pt_serv_buf_size = SERVICE_BYTES,
        .provided_client_ssl_ctx = s->load->tls,
        .http_proxy_address = "", /* or http_proxy would catch ws://localhost as well */
        .timeout_secs = 15,
        .connect_timeout_secs = 15,
    };
    lws_set_log_level(0, NULL);
    s->context = lws_create_context(&info);
    s->vhost = s->context ? lws_create_vhost(s->context, &info) : NULL;
    if (!s->vhost)
        return err_set(e, EXIT_FAILED, "libwebsockets cannot start");
    return 0;
}

/* Session i of the segment belongs to thread i % n_threads. */
static int make_sessions(struct shard *s, unsigned n_shards, struct err *e)
{
    uint64_t n = load_n_sessions(s->load);
    s->n_sessions = n > s->number ? (size_t)((n - s->number - 1) / n_shards + 1) : 0;
    s->session = calloc(s->n_sessions + 1, sizeof *s->session);
    if (!s->session || agenda_init(&s->agenda, s->n_sessions) < 0)
        return err_set(e, EXIT_FAILED, "out of memory");
    for (size_t i = 0; i < s->n_sessions; i++) {
        session_init(&s->session[i], s, load_session_index(s->load, i * n_shards + s->number));
        s->n_pending += s->session[i].pending;
    }
    atomic_store(&s->ready, s->n_pending == 0);
    return 0;
}

int shard_init(struct shard *s, const struct load *load, unsigned number, unsigned n_shards,
               struct err *e)
{
    *s = (struct shard){.load = load, .number = number, .timer_fd = -1, .born_us = clock_now_us()};
    pthread_mutex_init(&s->lock, NULL);
    s->scratch = malloc(LWS_PRE + load->message_bytes_max);
    s->view.part = calloc(load->profiles.n, sizeof *s->view.part);
    if (!s->scratch || !s->view.part ||
        book_init(&s->book, load->profiles.n, load->set->warmup_us, load->set->budget_us) < 0)
        return err_set(e, EXIT_FAILED, "out of memory");
    int rc = open_loop(s, e);
    if (rc == 0)
        rc = open_context(s, e);
    return rc < 0 ? rc : make_sessions(s, n_shards, e);
}

int shard_start(struct shard *s, struct err *e)
{
    int rc = pthread_create(&s->thread, NULL, run, s);
    s->started = rc == 0;
    if (rc == 0)
        return 0;
    return err_set(e, EXIT_FAILED, "thread: %s", strerror(rc));
}

void shard_join(struct shard *s)
{
    if (s->started)
        pthread_join(s->thread, NULL);
    s->started = false;
}

void shard_tell_start(struct shard *s, uint64_t start_us)
{
    atomic_store(&s->told_start_us, start_us);
    ev_async_send(s->ev, &s->wake);
}

void shard_tell_end(struct shard *s, uint64_t end_us)
{
    atomic_store(&s->told_end_us, end_us);
    ev_async_send(s->ev, &s->wake);
}

void shard_deinit(struct shard *s)
{
    for (size_t i = 0; s->session && i < s->n_sessions; i++)
        session_deinit(&s->session[i]);
    if (s->context)
        lws_context_destroy(s->context);
    if (s->timer_fd >= 0)
        close(s->timer_fd);
    if (s->ev)
        ev_loop_destroy(s->ev);
    agenda_deinit(&s->agenda);
    book_deinit(&s->book);
    free(s->session);
    free(s->scratch);
    free(s->view.part);
    pthread_mutex_destroy(&s->lock);
}
