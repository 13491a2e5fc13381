#include "server/sched.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "server/pipeline.h"

void outlet_init(struct outlet *o, void (*on_finished)(void *ctx), void *ctx)
{
    *o = (struct outlet){.on_finished = on_finished, .ctx = ctx};
    o->finished_end = &o->finished;
}

void outlet_deinit(struct outlet *o)
{
    decode_deinit(&o->decode);
}

static void run(const struct sched *s, struct frame *f, struct decode *decode)
{
    struct json result = json_to(&f->result);
    struct pipeline_frame in = {
        .jpeg = f->jpeg, .jpeg_bytes = f->jpeg_bytes, .decode = decode, .index = f->index};
    uint64_t budget_us = s->turns.rule.budget_us;
    decode_begin(decode, f->jpeg, f->jpeg_bytes, s->pixels_max);
    in.deadline_us = budget_us ? f->arrived_us + budget_us : 0;
    json_object_begin(&result, NULL);
    int rc = pipeline_process(f->pipeline, f->state, &in, &result);
    json_object_end(&result);
    f->fate = rc < 0 || f->result.cut ? FRAME_FAILED : FRAME_ANSWERED;
    f->decode_us = decode->spent_us;
    f->why = decode->why;
    f->finished_us = clock_now_us();
}

/* Under the lock, which is released to wake the I/O thread. */
static void put_finished(struct sched *s, struct frame *f)
{
    struct outlet *o = f->outlet;
    f->next = NULL;
    *o->finished_end = f;
    o->finished_end = &f->next;
    if (o->woken)
        return;
    o->woken = true;
    pthread_mutex_unlock(&s->lock);
    o->on_finished(o->ctx);
    pthread_mutex_lock(&s->lock);
}

/* Under the lock, which is released while the pipeline runs. */
static void run_turn(struct sched *s, struct seat *seat, struct frame *f, struct decode *decode)
{
    pthread_mutex_unlock(&s->lock);
    f->started_us = clock_now_us();
    run(s, f, decode);
    pthread_mutex_lock(&s->lock);
    turns_finish(&s->turns, seat, f);
}

/* Under the lock, which is released while the pipeline runs and to wake the I/O thread.
 * false: nobody is in line. */
static bool take_turn(struct sched *s, struct decode *decode)
{
    struct seat *seat;
    struct frame *f = turns_take(&s->turns, clock_now_us(), &seat);
    if (!f)
        return false;
    if (f->fate != FRAME_DROPPED) {
        run_turn(s, seat, f, decode);
        s->busy_us += f->finished_us - f->started_us;
    }
    put_finished(s, f);
    return true;
}

static void *worker(void *arg)
{
    struct sched *s = arg;
    struct decode decode = {0};
    pthread_mutex_lock(&s->lock);
    while (!s->stopping || s->turns.n_claimed) {
        if (take_turn(s, &decode))
            continue;
        s->turns.n_free++;
        pthread_cond_wait(&s->work, &s->lock);
        s->turns.n_free--;
    }
    pthread_mutex_unlock(&s->lock);
    decode_deinit(&decode);
    return NULL;
}

int sched_start(struct sched *s, const struct sched_options *o, struct err *e)
{
    unsigned n_workers = o->n_workers;
    *s = (struct sched){.turns = {.rule = o->rule,
                                  .always_here = n_workers == 0,
                                  .here_below_us = o->here_below_us},
                        .pixels_max = o->pixels_max};
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

bool sched_runs_here(struct sched *s, struct seat *seat)
{
    if (s->turns.always_here)
        return turns_runs_here(&s->turns, seat); /* no worker that could look at the seat */
    pthread_mutex_lock(&s->lock);
    bool here = turns_runs_here(&s->turns, seat);
    pthread_mutex_unlock(&s->lock);
    return here;
}

struct turns_outcome sched_submit(struct sched *s, struct seat *seat, struct frame *f)
{
    pthread_mutex_lock(&s->lock);
    struct turns_outcome out = turns_submit(&s->turns, seat, f);
    bool calls = out.verdict == VERDICT_RUN && !out.here && s->turns.n_free;
    if (out.here)
        run_turn(s, seat, f, &f->outlet->decode);
    pthread_mutex_unlock(&s->lock);
    if (calls) /* only now: who is called under the lock has to wait for it at once */
        pthread_cond_signal(&s->work);
    return out;
}

void sched_miss(struct sched *s, struct seat *seat)
{
    pthread_mutex_lock(&s->lock);
    turns_miss(&s->turns, seat);
    pthread_mutex_unlock(&s->lock);
}

struct frame *sched_leave(struct sched *s, struct seat *seat)
{
    pthread_mutex_lock(&s->lock);
    struct frame *f = turns_leave(&s->turns, seat);
    pthread_mutex_unlock(&s->lock);
    return f;
}

struct frame *sched_collect(struct sched *s, struct outlet *o)
{
    pthread_mutex_lock(&s->lock);
    struct frame *list = o->finished;
    o->finished = NULL;
    o->finished_end = &o->finished;
    o->woken = false;
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
