#include "server/sched.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

static void line_append(struct sched *s, struct seat *seat)
{
    seat->prev = s->last;
    seat->next = NULL;
    *(s->last ? &s->last->next : &s->first) = seat;
    s->last = seat;
    seat->in_line = true;
}

static void line_remove(struct sched *s, struct seat *seat)
{
    *(seat->prev ? &seat->prev->next : &s->first) = seat->next;
    *(seat->next ? &seat->next->prev : &s->last) = seat->prev;
    seat->prev = seat->next = NULL;
    seat->in_line = false;
}

static void run(const struct seat *seat, struct frame *f)
{
    struct json result = json_to(&f->result);
    struct pipeline_frame in = {.jpeg = f->jpeg, .jpeg_bytes = f->jpeg_bytes, .index = f->index};
    f->started_us = clock_now_us();
    json_object_begin(&result, NULL);
    int rc = seat->pipeline->kind->process(seat->pipeline, seat->state, &in, &result);
    json_object_end(&result);
    f->failed = rc < 0 || f->result.cut;
    f->finished_us = clock_now_us();
}

/* Under the lock. True when the I/O thread has to be woken. */
static bool finish(struct sched *s, struct frame *f)
{
    bool wake = !s->woken;
    f->next = NULL;
    *s->finished_end = f;
    s->finished_end = &f->next;
    s->busy_us += f->finished_us - f->started_us;
    s->woken = true;
    return wake;
}

/* Is there a worker that nobody in the line needs? One who was called may not have woken
 * up yet, so behind a frame that can be replaced no other is given away. */
static bool has_free_worker(const struct sched *s)
{
    bool all_claimed = !s->last || s->last->claimed;
    return all_claimed && s->n_sleeping > s->n_claimed;
}

/* Under the lock. Puts a seat with a waiting frame in the line; with a worker to
 * spare, the frame is that worker's and cannot be replaced any more. */
static void stand_in_line(struct sched *s, struct seat *seat, bool is_worker_free)
{
    line_append(s, seat);
    if (!is_worker_free)
        return;
    seat->claimed = seat->waiting;
    seat->waiting = NULL;
    seat->in_work = true;
    s->n_claimed++;
}

static struct frame *take_first(struct sched *s, struct seat *seat)
{
    struct frame *f = seat->claimed ? seat->claimed : seat->waiting;
    line_remove(s, seat);
    if (seat->claimed)
        s->n_claimed--;
    else
        seat->waiting = NULL;
    seat->claimed = NULL;
    seat->in_work = true;
    return f;
}

/* Under the lock, which is released while the pipeline runs. */
static void take_turn(struct sched *s)
{
    struct seat *seat = s->first;
    struct frame *f = take_first(s, seat);
    pthread_mutex_unlock(&s->lock);
    run(seat, f);
    pthread_mutex_lock(&s->lock);
    seat->in_work = false;
    if (seat->waiting)
        stand_in_line(s, seat, !s->first); /* nobody else waits: this worker goes on with it */
    if (finish(s, f)) {
        pthread_mutex_unlock(&s->lock);
        s->on_finished(s->ctx);
        pthread_mutex_lock(&s->lock);
    }
}

static void *worker(void *arg)
{
    struct sched *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping || s->n_claimed) {
        if (s->first) {
            take_turn(s);
            continue;
        }
        s->n_sleeping++;
        pthread_cond_wait(&s->work, &s->lock);
        s->n_sleeping--;
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int sched_start(struct sched *s, unsigned n_workers, void (*on_finished)(void *ctx), void *ctx,
                struct err *e)
{
    *s = (struct sched){.on_finished = on_finished, .ctx = ctx};
    s->finished_end = &s->finished;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    s->threads = calloc(n_workers ? n_workers : 1, sizeof *s->threads);
    if (!s->threads)
        return err_set(e, EXIT_FAILED, "out of memory for %u workers", n_workers);
    for (; s->n_threads < n_workers; s->n_threads++) {
        int rc = pthread_create(&s->threads[s->n_threads], NULL, worker, s);
        if (rc) {
            err_set(e, EXIT_FAILED, "worker %u of %u: %s", s->n_threads + 1, n_workers,
                    strerror(rc));
            sched_stop(s);
            return -EXIT_FAILED;
        }
    }
    return 0;
}

void sched_stop(struct sched *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->n_threads; i++)
        pthread_join(s->threads[i], NULL);
    free(s->threads);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    s->threads = NULL;
    s->n_threads = 0;
}

struct sched_outcome sched_submit(struct sched *s, struct seat *seat, struct frame *f)
{
    pthread_mutex_lock(&s->lock);
    struct admit_view view = {.in_work = seat->in_work, .waiting = seat->waiting != NULL};
    struct sched_outcome out = {.verdict = admit_frame(&view), .replaced = seat->waiting};
    seat->waiting = f;
    if (out.verdict == VERDICT_RUN) {
        stand_in_line(s, seat, has_free_worker(s));
        pthread_cond_signal(&s->work);
        if (s->n_threads == 0)
            take_turn(s);
    }
    pthread_mutex_unlock(&s->lock);
    return out;
}

struct frame *sched_leave(struct sched *s, struct seat *seat)
{
    pthread_mutex_lock(&s->lock);
    struct frame *f = seat->waiting;
    seat->waiting = NULL;
    if (f && seat->in_line && !seat->claimed)
        line_remove(s, seat);
    pthread_mutex_unlock(&s->lock);
    return f;
}

struct frame *sched_collect(struct sched *s)
{
    pthread_mutex_lock(&s->lock);
    struct frame *list = s->finished;
    s->finished = NULL;
    s->finished_end = &s->finished;
    s->woken = false;
    pthread_mutex_unlock(&s->lock);
    return list;
}

void sched_look(struct sched *s, const struct seat *seat, bool *in_work, bool *waiting)
{
    pthread_mutex_lock(&s->lock);
    *in_work = seat->in_work;
    *waiting = seat->waiting != NULL;
    pthread_mutex_unlock(&s->lock);
}

uint64_t sched_busy_us(struct sched *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t us = s->busy_us;
    pthread_mutex_unlock(&s->lock);
    return us;
}
