#include "server/pipeline.h"

#include <time.h>

/* A model that runs here: it takes CPU, so sessions slow each other down. The time is the
 * thread's own: on a busy machine the answer comes later, as a real model's would. */

enum { PARAM_MS };

static const struct pipeline_param params[] = {
    [PARAM_MS] = {"ms", 10, 0, 60000, "use this many milliseconds of CPU"},
};

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result)
{
    (void)state;
    (void)frame;
    (void)result;
    uint64_t end_ns = thread_cpu_ns() + (uint64_t)(p->param[PARAM_MS] * 1e6);
    volatile unsigned work = 0;
    while (thread_cpu_ns() < end_ns)
        for (int i = 0; i < 2000; i++) /* a few microseconds, else it would all be system calls */
            work = work + 1;
    return 0;
}

const struct pipeline_kind pipeline_spin = {
    .name = "spin",
    .summary = "burns CPU, then answers with an empty result; for tests and load",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .process = process,
};
