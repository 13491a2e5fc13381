#include "server/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/minder.h"

#define READ_BYTES ((size_t)64 << 10)

enum phase { PHASE_DOWN, PHASE_HELLO, PHASE_WARM, PHASE_READY };

/* A frame on its way: its header, then a payload that is borrowed. */
struct parcel {
    uint8_t header[WORKER_HEADER_BYTES];
    const uint8_t *payload;
    size_t payload_bytes, sent_bytes;
};

struct worker {
    struct worker_options o;
    struct minder minder;

    /* Of the thread that calls. */
    int fd; /* -1 when down */
    enum phase phase;
    struct text in; /* bytes that came; the first taken_bytes are done with */
    size_t taken_bytes, searched_bytes;
    struct parcel out;
    struct text scratch; /* for answers that nobody waits for */
    uint8_t *flat;       /* the grey warm-up picture; NULL without */
    uint64_t next_sequence;
    uint64_t busy_until_us; /* when busy: the end of the worker's time */
    uint64_t start_us, retry_us;
    unsigned n_warmed;
    unsigned n_ended; /* processes or connections without a good answer in between */
    bool busy;        /* it owes the answer to next_sequence - 1 */
    bool waited;      /* something in this call was waited for */

    pthread_mutex_t lock; /* for all below, which other threads ask for */
    bool has_hello;
    struct worker_hello hello;
    struct worker_stats stats;
};

struct slice {
    const char *bytes;
    size_t n;
};

const char *worker_status_name(enum worker_status s)
{
    static const char *const names[] = {"ok",      "error",      "timeout", "garbage",
                                        "crashed", "restarting", "starting"};
    return names[s];
}

uint64_t worker_pause_us(uint64_t first_us, unsigned n_failed)
{
    if (n_failed == 0)
        return 0;
    uint64_t growth = n_failed < 8 ? UINT64_C(1) << (n_failed - 1) : WORKER_PAUSE_GROWTH_MAX;
    return first_us * (growth < WORKER_PAUSE_GROWTH_MAX ? growth : WORKER_PAUSE_GROWTH_MAX);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void begin_event(struct log_line *l, enum log_level level, const char *event_type,
                        const char *pipeline)
{
    log_begin(l, level, event_type);
    log_str(l, "pipeline", pipeline);
}

/* ---- down and up ---- */

/* Counts what the worker, not the caller, has done wrong. */
static void count_failure(struct worker *w, const char *reason)
{
    pthread_mutex_lock(&w->lock);
    w->stats.n_failed_in_a_row++;
    snprintf(w->stats.last_failure, sizeof w->stats.last_failure, "%s", reason);
    pthread_mutex_unlock(&w->lock);
}

/* Ends this process or connection; the next one may come after a pause. Gives status back. */
static enum worker_status fail(struct worker *w, enum worker_status status, const char *reason)
{
    struct log_line l;
    close_fd(&w->fd);
    minder_end(&w->minder);
    w->phase = PHASE_DOWN;
    w->busy = false;
    w->n_ended++;
    uint64_t pause_us = worker_pause_us(w->o.pause_us, w->n_ended);
    w->retry_us = clock_now_us() + pause_us;
    count_failure(w, reason);
    begin_event(&l, LOG_WARN, "worker_failed", w->o.name);
    log_str(&l, "status", worker_status_name(status));
    log_str(&l, "reason", reason);
    log_u64(&l, "pause_ms", pause_us / 1000);
    log_end(&l);
    return status;
}

static int open_pair(struct worker *w)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    w->fd = ends[0];
    minder_start(&w->minder, ends[1]);
    return 0;
}

/* Never waits: without room in the listener's queue, connect(2) gives EAGAIN. */
static int open_connection(struct worker *w)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, w->o.path, strlen(w->o.path) + 1);
    w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->fd < 0)
        return -1;
    return connect(w->fd, (const struct sockaddr *)&to, sizeof to);
}

static enum worker_status start(struct worker *w)
{
    struct err e;
    uint64_t now_us = clock_now_us();
    if (now_us < w->retry_us || minder_has_process(&w->minder))
        return WORKER_RESTARTING;
    if ((w->o.command ? open_pair(w) : open_connection(w)) < 0) {
        err_errno(&e, EXIT_FAILED, w->o.path ? "connect to %s" : "a socket for: %s",
                  w->o.path ? w->o.path : w->o.command);
        return fail(w, WORKER_CRASHED, e.text);
    }
    text_clear(&w->in);
    w->taken_bytes = w->searched_bytes = 0;
    w->out = (struct parcel){.payload = NULL};
    w->next_sequence = 0;
    w->n_warmed = 0;
    w->start_us = now_us;
    w->phase = PHASE_HELLO;
    pthread_mutex_lock(&w->lock);
    w->stats.n_restarts += w->stats.n_started > 0;
    w->stats.n_started++;
    pthread_mutex_unlock(&w->lock);
    return WORKER_OK;
}

/* ---- bytes ---- */

/* false: until_us came first. A time that is past only looks. */
static bool await_fd(struct worker *w, short events, uint64_t until_us)
{
    struct pollfd p = {.fd = w->fd, .events = events};
    for (;;) {
        uint64_t now_us = clock_now_us();
        uint64_t left_us = until_us > now_us ? until_us - now_us : 0;
        struct timespec left = {.tv_sec = (time_t)(left_us / 1000000u),
                                .tv_nsec = (long)(left_us % 1000000u * 1000u)};
        w->waited |= left_us > 0;
        int rc = ppoll(&p, 1, &left, NULL);
        if (rc > 0)
            return true;
        if (rc == 0 || errno != EINTR)
            return false;
    }
}

static void load(struct worker *w, const struct worker_frame *f, uint64_t deadline_us)
{
    struct worker_header h = {.payload_bytes = f->payload_bytes,
                              .width = f->width,
                              .height = f->height,
                              .sequence = w->next_sequence++,
                              .deadline_us = deadline_us};
    w->out = (struct parcel){.payload = f->payload, .payload_bytes = f->payload_bytes};
    worker_write_header(w->out.header, &h);
    w->busy = true;
}

/* Sends what is left of the parcel. TIMEOUT: some still is. */
static enum worker_status push(struct worker *w, uint64_t until_us)
{
    struct parcel *p = &w->out;
    while (p->payload && p->sent_bytes < WORKER_HEADER_BYTES + p->payload_bytes) {
        size_t head = p->sent_bytes < WORKER_HEADER_BYTES ? p->sent_bytes : WORKER_HEADER_BYTES;
        size_t body = p->sent_bytes - head;
        struct iovec parts[] = {
            {.iov_base = p->header + head, .iov_len = WORKER_HEADER_BYTES - head},
            {.iov_base = (void *)(p->payload + body), .iov_len = p->payload_bytes - body}};
        struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = sendmsg(w->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            p->sent_bytes += (size_t)n;
        else if (errno == EAGAIN && !await_fd(w, POLLOUT, until_us))
            return WORKER_TIMEOUT;
        else if (errno != EAGAIN && errno != EINTR)
            return WORKER_CRASHED;
    }
    p->payload = NULL; /* no longer ours to look at */
    return WORKER_OK;
}

static enum worker_status receive(struct worker *w, uint64_t until_us)
{
    char bytes[READ_BYTES];
    for (;;) {
        ssize_t n = recv(w->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n > 0)
            text_add_bytes(&w->in, bytes, (size_t)n);
        if (n > 0)
            return w->in.cut ? WORKER_GARBAGE : WORKER_OK;
        if (n < 0 && errno == EAGAIN && !await_fd(w, POLLIN, until_us))
            return WORKER_TIMEOUT;
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return WORKER_CRASHED;
    }
}

static void forget_taken(struct worker *w)
{
    if (w->taken_bytes == 0)
        return;
    w->in.len -= w->taken_bytes;
    memmove(w->in.data, w->in.data + w->taken_bytes, w->in.len + 1);
    w->searched_bytes = w->taken_bytes = 0;
}

/* A whole line among the bytes that are there? */
static bool take_line(struct worker *w, struct slice *line)
{
    const char *bytes = text_str(&w->in);
    const char *end = memchr(bytes + w->searched_bytes, '\n', w->in.len - w->searched_bytes);
    w->searched_bytes = w->in.len;
    if (!end)
        return false;
    *line = (struct slice){bytes, (size_t)(end - bytes)};
    w->taken_bytes = line->n + 1;
    return true;
}

/* The next line without its newline, valid until the next call. Too long: GARBAGE. */
static enum worker_status next_line(struct worker *w, uint64_t until_us, struct slice *line)
{
    enum worker_status st = WORKER_OK;
    *line = (struct slice){"", 0};
    forget_taken(w);
    while (st == WORKER_OK && !take_line(w, line)) {
        if (w->in.len > WORKER_LINE_MAX)
            return WORKER_GARBAGE;
        st = receive(w, until_us);
    }
    return st == WORKER_OK && line->n > WORKER_LINE_MAX ? WORKER_GARBAGE : st;
}

/* ---- lines ---- */

/* Why next_line or push gave this, for people. */
static const char *reason_of(enum worker_status st)
{
    if (st == WORKER_CRASHED)
        return "it closed its socket";
    return st == WORKER_GARBAGE ? "a line of more than 1 MiB" : "no answer in time";
}

static void count_late(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->stats.n_late++;
    pthread_mutex_unlock(&w->lock);
}

/* The answer to the frame that was sent last. TIMEOUT is left to the caller, who knows whose time
 * is over; what else is wrong has failed already. */
static enum worker_status await_answer(struct worker *w, uint64_t until_us, struct text *result)
{
    for (;;) {
        struct slice line;
        enum worker_status st = push(w, until_us);
        if (st == WORKER_OK)
            st = next_line(w, until_us, &line);
        if (st != WORKER_OK)
            return st == WORKER_TIMEOUT ? st : fail(w, st, reason_of(st));
        switch (worker_read_answer(line.bytes, line.n, w->next_sequence - 1, result)) {
        case WORKER_ANSWER_RESULT:
            w->busy = false;
            return WORKER_OK;
        case WORKER_ANSWER_ERROR:
            w->busy = false;
            return WORKER_ERROR;
        case WORKER_ANSWER_LATE:
            count_late(w);
            break;
        case WORKER_ANSWER_GARBAGE:
            fail(w, WORKER_GARBAGE, text_str(result));
            text_clear(result);
            return WORKER_GARBAGE;
        }
        if (clock_now_us() >= until_us) /* or it could go on with them for ever */
            return WORKER_TIMEOUT;
    }
}

static void enter_ready(struct worker *w)
{
    struct log_line l;
    w->phase = PHASE_READY;
    begin_event(&l, LOG_INFO, "worker_ready", w->o.name);
    log_str(&l, "name", w->hello.name);
    log_str(&l, "version", w->hello.version);
    log_str(&l, "format", worker_format_name(w->hello.format));
    log_u64(&l, "scale", w->hello.scale);
    log_u64(&l, "start_ms", clock_age_us(clock_now_us(), w->start_us) / 1000);
    log_end(&l);
}

static enum worker_status await_hello(struct worker *w, uint64_t until_us)
{
    struct err e;
    struct slice line;
    struct worker_hello hello;
    uint64_t end_us = w->start_us + w->o.start_us;
    enum worker_status st = next_line(w, earlier(until_us, end_us), &line);
    if (st == WORKER_TIMEOUT)
        return clock_now_us() < end_us ? WORKER_STARTING : fail(w, st, "no hello in time");
    if (st != WORKER_OK)
        return fail(w, st, reason_of(st));
    if (worker_read_hello(line.bytes, line.n, &hello, &e) < 0)
        return fail(w, WORKER_GARBAGE, e.text);
    pthread_mutex_lock(&w->lock);
    w->hello = hello;
    w->has_hello = true;
    pthread_mutex_unlock(&w->lock);
    w->phase = PHASE_WARM;
    return WORKER_OK;
}

/* The picture that the hello asks for. false: there is none, so no warm-up. */
static bool make_warmup(struct worker *w, struct worker_frame *f)
{
    uint32_t scale = w->hello.scale;
    *f = (struct worker_frame){.width = w->o.warmup_width, .height = w->o.warmup_height};
    if (w->hello.format == WORKER_JPEG) {
        f->payload = w->o.warmup_jpeg;
        f->payload_bytes = (uint32_t)w->o.warmup_jpeg_bytes;
        return f->payload && f->payload_bytes;
    }
    /* rounded up, as libjpeg does */
    f->width = f->width / scale + (f->width % scale > 0);
    f->height = f->height / scale + (f->height % scale > 0);
    size_t bytes = worker_format_bytes(w->hello.format, f->width, f->height);
    free(w->flat);
    w->flat = bytes && bytes <= UINT32_MAX ? malloc(bytes) : NULL;
    if (w->flat)
        memset(w->flat, 128, bytes);
    f->payload = w->flat;
    f->payload_bytes = (uint32_t)bytes;
    return w->flat;
}

/* One more warm-up frame, or the rest of one that an earlier call has begun. */
static enum worker_status warm_up(struct worker *w, uint64_t until_us)
{
    struct worker_frame f;
    if (!w->busy && (w->n_warmed >= w->o.n_warmup || !make_warmup(w, &f))) {
        enter_ready(w);
        return WORKER_OK;
    }
    if (!w->busy) {
        w->busy_until_us = clock_now_us() + w->o.start_us;
        load(w, &f, 0);
    }
    enum worker_status st = await_answer(w, earlier(until_us, w->busy_until_us), &w->scratch);
    if (st == WORKER_TIMEOUT)
        return clock_now_us() < w->busy_until_us ? WORKER_STARTING
                                                 : fail(w, st, "no answer to a warm-up frame");
    w->n_warmed += st == WORKER_OK || st == WORKER_ERROR;
    return st == WORKER_ERROR ? WORKER_OK : st; /* a plain picture may well be refused */
}

/* Too slow for that frame, which is no reason to end it. */
static enum worker_status miss(struct worker *w)
{
    count_failure(w, "no answer by the frame's deadline");
    return WORKER_TIMEOUT;
}

/* Time is over: the worker's own, or only the frame's. */
static enum worker_status expire(struct worker *w)
{
    if (clock_now_us() >= w->busy_until_us || w->out.payload)
        return fail(w, WORKER_TIMEOUT, reason_of(WORKER_TIMEOUT));
    return miss(w);
}

/* Discards what came for earlier frames, so that none can be taken for what comes next. */
static enum worker_status settle(struct worker *w, uint64_t until_us)
{
    if (w->busy) {
        enum worker_status st = await_answer(w, earlier(until_us, w->busy_until_us), &w->scratch);
        if (st == WORKER_TIMEOUT)
            return expire(w);
        if (st != WORKER_OK && st != WORKER_ERROR)
            return st;
        count_late(w);
    }
    for (;;) {
        struct slice line;
        enum worker_status st = next_line(w, 0, &line);
        if (st == WORKER_TIMEOUT)
            return WORKER_OK;
        if (st != WORKER_OK)
            return fail(w, st, reason_of(st));
        if (worker_read_answer(line.bytes, line.n, w->next_sequence, &w->scratch) !=
            WORKER_ANSWER_LATE)
            return fail(w, WORKER_GARBAGE, "a line that no frame has asked for");
        count_late(w);
        if (clock_now_us() >= until_us) /* or it could go on with them for ever */
            return fail(w, WORKER_GARBAGE, "late answers without end");
    }
}

/* OK: it waits for the next frame. */
static enum worker_status make_ready(struct worker *w, uint64_t until_us)
{
    enum worker_status st = w->phase == PHASE_DOWN ? start(w) : WORKER_OK;
    if (st == WORKER_OK && w->phase == PHASE_HELLO)
        st = await_hello(w, until_us);
    while (st == WORKER_OK && w->phase == PHASE_WARM)
        st = warm_up(w, until_us);
    return st == WORKER_OK ? settle(w, until_us) : st;
}

/* ---- what others call ---- */

static enum worker_status run(struct worker *w, const struct worker_frame *f, struct text *result)
{
    uint64_t now_us = clock_now_us();
    uint64_t end_us = now_us + w->o.timeout_us;
    uint64_t until_us = f->until_us ? earlier(f->until_us, end_us) : end_us;
    if (now_us >= until_us)
        return WORKER_TIMEOUT; /* nobody's fault here */
    w->waited = false;
    enum worker_status st = make_ready(w, until_us);
    if (st != WORKER_OK)
        return st;
    if (clock_now_us() >= until_us)
        return miss(w);
    if (f->format != w->hello.format || f->scale != w->hello.scale)
        return WORKER_STARTING;
    /* Whoever starts late, as an earlier frame or the start took long, still has its full time
     * before it is killed for it. */
    w->busy_until_us = w->waited ? clock_now_us() + w->o.timeout_us : end_us;
    load(w, f, f->deadline_us);
    st = push(w, end_us); /* half a frame cannot be given up, only the whole worker */
    if (st == WORKER_OK)
        st = await_answer(w, until_us, result);
    else if (st == WORKER_CRASHED)
        return fail(w, st, reason_of(st));
    return st == WORKER_TIMEOUT ? expire(w) : st;
}

enum worker_status worker_run(struct worker *w, const struct worker_frame *f, struct text *result)
{
    text_clear(result);
    enum worker_status st = run(w, f, result);
    if (st != WORKER_OK && st != WORKER_ERROR)
        text_clear(result);
    if (st == WORKER_OK)
        w->n_ended = 0;
    pthread_mutex_lock(&w->lock);
    w->stats.by_status[st]++;
    if (st == WORKER_OK)
        w->stats.n_failed_in_a_row = 0;
    pthread_mutex_unlock(&w->lock);
    return st;
}

enum worker_status worker_prepare(struct worker *w, uint64_t timeout_us)
{
    return make_ready(w, clock_now_us() + timeout_us);
}

bool worker_get_hello(struct worker *w, struct worker_hello *out)
{
    pthread_mutex_lock(&w->lock);
    bool has = w->has_hello;
    *out = w->hello;
    pthread_mutex_unlock(&w->lock);
    return has;
}

struct worker_stats worker_get_stats(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    struct worker_stats stats = w->stats;
    pthread_mutex_unlock(&w->lock);
    stats.pid = minder_pid(&w->minder);
    return stats;
}

bool worker_is_degraded(struct worker *w)
{
    return worker_get_stats(w).n_failed_in_a_row >= WORKER_DEGRADED;
}

static int check_options(const struct worker_options *o, struct err *e)
{
    size_t path_max = sizeof((struct sockaddr_un *)0)->sun_path;
    if (!o->command == !o->path)
        return err_set(e, EXIT_USAGE, "a worker needs a command or a path");
    if (o->path && (!o->path[0] || strlen(o->path) >= path_max))
        return err_set(e, EXIT_USAGE, "%s: a socket's path has 1 to %zu bytes", o->path,
                       path_max - 1);
    return 0;
}

struct worker *worker_new(const struct worker_options *o, struct err *e)
{
    char *shell_command = NULL;
    if (check_options(o, e) < 0)
        return NULL;
    struct worker *w = calloc(1, sizeof *w);
    if (!w || (o->command && asprintf(&shell_command, "exec %s", o->command) < 0)) {
        free(w);
        err_set(e, EXIT_FAILED, "no memory for a worker");
        return NULL;
    }
    w->o = *o;
    w->o.start_us = o->start_us ? o->start_us : WORKER_START_US;
    w->o.timeout_us = o->timeout_us ? o->timeout_us : WORKER_TIMEOUT_US;
    w->o.pause_us = o->pause_us ? o->pause_us : WORKER_PAUSE_US;
    w->fd = -1;
    /* A line at its limit, and what one read may bring behind it. */
    w->in = text_heap(WORKER_LINE_MAX + READ_BYTES + 1);
    w->scratch = text_heap(WORKER_LINE_MAX);
    pthread_mutex_init(&w->lock, NULL);
    int problem = minder_init(&w->minder, o->name, shell_command);
    if (!problem)
        return w;
    err_set(e, EXIT_FAILED, "a worker's thread: %s", strerrordesc_np(problem));
    worker_free(w);
    return NULL;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    close_fd(&w->fd);
    minder_deinit(&w->minder);
    pthread_mutex_destroy(&w->lock);
    text_deinit(&w->scratch);
    text_deinit(&w->in);
    free(w->flat);
    free(w);
}
