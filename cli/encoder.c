#include "cli/encoder.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/encode.h"
#include "cli/reencode.h"

/* A thread and the one picture it works on. */
struct bench {
    struct encoder *of;
    pthread_t thread;
    bool started;
    struct encode raw;
    struct reencode jpeg;

    /* under the lock: */
    enum { BENCH_IDLE, BENCH_TODO, BENCH_DONE } state;
    struct picture *picture, *made; /* made NULL: send the picture as it is, or why */
    unsigned quality, halvings;
    const char *why; /* it cannot be sent at all */
    uint64_t number; /* of putting */
};

struct encoder {
    struct loop *loop;
    struct encoder_sink sink;
    struct loop_watch done;
    int event_fd;
    pthread_mutex_t lock;
    pthread_cond_t todo;
    bool ends;
    uint64_t n_put, n_back;
    unsigned n_threads;
    struct bench bench[ENCODER_THREADS_MAX];
};

/* --- the threads --- */

static void work(struct bench *b)
{
    const struct picture *p = b->picture;
    b->why = NULL;
    if (p->raw.fourcc)
        b->made = encode_picture(&b->raw, p, b->quality, b->halvings, &b->why);
    else
        b->made = reencode_picture(&b->jpeg, p, b->quality, b->halvings);
    if (b->made || !p->raw.fourcc)
        b->why = NULL;
}

static void *run(void *ctx)
{
    static const uint64_t one = 1;
    struct bench *b = ctx;
    struct encoder *c = b->of;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (b->state != BENCH_TODO && !c->ends)
            pthread_cond_wait(&c->todo, &c->lock);
        if (c->ends)
            break;
        pthread_mutex_unlock(&c->lock);
        work(b);
        pthread_mutex_lock(&c->lock);
        b->state = BENCH_DONE;
        if (write(c->event_fd, &one, sizeof one) < 0) { /* it holds 2^64 of them */
        }
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* --- the loop's side --- */

/* The picture that comes back next, if it is done. */
static struct bench *next_done(struct encoder *c)
{
    struct bench *found = NULL;
    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < c->n_threads; i++)
        if (c->bench[i].state == BENCH_DONE && c->bench[i].number == c->n_back)
            found = &c->bench[i];
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void give_back(struct encoder *c, struct bench *b)
{
    struct picture *p = b->picture, *made = b->made;
    const char *why = b->why;
    b->picture = b->made = NULL;
    c->n_back++;
    pthread_mutex_lock(&c->lock);
    b->state = BENCH_IDLE;
    pthread_mutex_unlock(&c->lock);
    if (why || made)
        picture_free(p);
    if (why)
        c->sink.on_failed(c->sink.ctx, why);
    else
        c->sink.on_encoded(c->sink.ctx, made ? made : p);
}

static void on_done(void *ctx, int fd, uint32_t events)
{
    struct encoder *c = ctx;
    uint64_t n;
    (void)events;
    if (read(fd, &n, sizeof n) < 0)
        return;
    for (struct bench *b; (b = next_done(c));)
        give_back(c, b);
}

int encoder_open(struct encoder **out, unsigned n_threads, struct loop *l,
                 const struct encoder_sink *sink, struct err *e)
{
    struct encoder *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c)
        return err_set(e, EXIT_FAILED, "out of memory");
    *c = (struct encoder){.loop = l, .sink = *sink, .n_threads = n_threads};
    c->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    c->done = (struct loop_watch){.on_ready = on_done, .ctx = c, .fd = c->event_fd};
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->todo, NULL);
    int rc = c->event_fd < 0 ? err_errno(e, EXIT_FAILED, "eventfd")
                             : loop_watch_set(l, &c->done, EPOLLIN, e);
    if (rc < 0)
        encoder_close(c);
    else
        *out = c;
    return rc;
}

static void stop(struct bench *b)
{
    if (b->started)
        pthread_join(b->thread, NULL);
    picture_free(b->picture);
    picture_free(b->made);
    encode_deinit(&b->raw);
    reencode_deinit(&b->jpeg);
}

void encoder_close(struct encoder *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->ends = true;
    pthread_cond_broadcast(&c->todo);
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->n_threads; i++)
        stop(&c->bench[i]);
    if (c->event_fd >= 0) {
        loop_watch_remove(c->loop, &c->done);
        close(c->event_fd);
    }
    pthread_cond_destroy(&c->todo);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

unsigned encoder_count(const struct encoder *c)
{
    return (unsigned)(c->n_put - c->n_back);
}

bool encoder_has_room(const struct encoder *c)
{
    return encoder_count(c) < c->n_threads;
}

/* Only this thread makes a bench busy, so one that is idle stays so. */
static struct bench *find_idle(struct encoder *c)
{
    struct bench *found = NULL;
    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < c->n_threads && !found; i++)
        if (c->bench[i].state == BENCH_IDLE)
            found = &c->bench[i];
    pthread_mutex_unlock(&c->lock);
    return found;
}

int encoder_put(struct encoder *c, struct picture *p, unsigned quality, unsigned halvings,
                struct err *e)
{
    struct bench *b = find_idle(c);
    pthread_mutex_lock(&c->lock);
    b->of = c;
    b->picture = p;
    b->quality = quality;
    b->halvings = halvings;
    b->number = c->n_put++;
    b->state = BENCH_TODO;
    pthread_cond_broadcast(&c->todo);
    pthread_mutex_unlock(&c->lock);
    if (!b->started && pthread_create(&b->thread, NULL, run, b) != 0) {
        b->state = BENCH_IDLE;
        b->picture = NULL;
        c->n_put--;
        picture_free(p);
        return err_set(e, EXIT_FAILED, "cannot start a thread to encode pictures");
    }
    b->started = true;
    return 0;
}
