#include "loadgen/validity.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SLIP_MAX_US   2000u
#define UNSENT_MAX    0.001
#define CPU_MAX       0.90 /* of one processor, by one thread */
#define RUN_QUEUE_MAX 0.05 /* of the run */

static void find(struct validity *v, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void find(struct validity *v, const char *name, const char *fmt, ...)
{
    va_list ap;
    if (v->n == VALIDITY_MAX)
        return;
    struct validity_finding *f = &v->finding[v->n++];
    f->name = name;
    va_start(ap, fmt);
    vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
}

static bool has(const struct validity *v, const char *name)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->finding[i].name, name) == 0)
            return true;
    return false;
}

static void judge_record(struct validity *v, const struct record_part *p)
{
    uint64_t slip_us = hist_percentile_us(&p->time[RECORD_SLIP], 99);
    double due = (double)p->count[RECORD_DUE], unsent = (double)p->count[RECORD_UNSENT];
    if (p->count[RECORD_DUE] == 0)
        find(v, "empty", "no frame was due: nothing was measured");
    if (slip_us > SLIP_MAX_US)
        find(v, "slip",
             "we were late ourselves: slip p99 %.1f ms (limit %.0f ms); fewer sessions, more "
             "--threads, or a machine that is less busy",
             (double)slip_us / 1000.0, SLIP_MAX_US / 1000.0);
    if (due > 0.0 && unsent / due > UNSENT_MAX)
        find(v, "unsent",
             "%.2f %% of the frames were never sent (limit %.1f %%): fewer sessions or more "
             "--threads",
             100.0 * unsent / due, 100.0 * UNSENT_MAX);
}

/* One finding of a kind is enough, however many generators there are. */
static void judge_generator(struct validity *v, const struct report_generator *g)
{
    double run_us = (double)g->run_us;
    if (g->sessions_achieved < g->sessions_asked && !has(v, "sessions"))
        find(v, "sessions",
             "only %u of %u sessions were open at the same time: look for connection errors, at "
             "`ulimit -n` and at the server's limits",
             g->sessions_achieved, g->sessions_asked);
    bool spins = strcmp(g->wait, "spin") == 0; /* that is what it is for */
    if (run_us > 0.0 && (double)g->busiest_cpu_us / run_us > CPU_MAX && !spins && !has(v, "cpu"))
        find(v, "cpu",
             "a thread of ours used %.0f %% of a processor (limit %.0f %%): fewer sessions or more "
             "--threads",
             100.0 * (double)g->busiest_cpu_us / run_us, 100.0 * CPU_MAX);
    if (run_us > 0.0 && (double)g->run_queue_us / run_us > RUN_QUEUE_MAX && !has(v, "run_queue"))
        find(v, "run_queue",
             "we waited for a processor for %.1f %% of the run (limit %.0f %%): pin the server "
             "elsewhere (taskset), or use another machine",
             100.0 * (double)g->run_queue_us / run_us, 100.0 * RUN_QUEUE_MAX);
}

void validity_judge(const struct report *r, struct validity *v)
{
    struct record_part total;
    *v = (struct validity){0};
    record_total(&r->record, &total);
    if (r->ended && strcmp(r->ended, "interrupted") == 0)
        find(v, "interrupted", "the run was interrupted: its gates were judged over a part of it");
    judge_record(v, &total);
    for (size_t i = 0; i < r->n_generators; i++)
        judge_generator(v, &r->generator[i]);
}
