#include "server/pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"

/* A model that runs elsewhere: it takes time on the wall and no CPU. */

enum { PARAM_MS, PARAM_JITTER_MS, PARAM_FIRST_MS, PARAM_SLOW_MS, PARAM_SLOW_SHARE };

static const struct pipeline_param params[] = {
    [PARAM_MS] = {"ms", 10, 0, 60000, "sleep this many milliseconds"},
    [PARAM_JITTER_MS] = {"jitter_ms", 0, 0, 60000, "and up to this many more, evenly spread"},
    [PARAM_FIRST_MS] = {"first_ms", 0, 0, 60000, "more for the first frame of a session"},
    [PARAM_SLOW_MS] = {"slow_ms", 0, 0, 60000, "more for some frames,"},
    [PARAM_SLOW_SHARE] = {"slow_share", 0, 0, 1, "for this share of them, at random"},
};

struct delay {
    uint64_t random; /* never 0, where xorshift would stay */
};

static void *session_new(const struct pipeline *p)
{
    (void)p;
    struct delay *d = malloc(sizeof *d);
    if (d) /* sessions that begin in the same microsecond still differ in their address */
        d->random = (clock_now_us() * 0x9e3779b97f4a7c15u ^ (uintptr_t)d) | 1;
    return d;
}

/* Evenly spread over 0 to 1, by xorshift64 (Marsaglia 2003, triple 13, 7, 17). */
static double next_share(struct delay *d)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return (double)(d->random >> 11) / (double)(UINT64_C(1) << 53);
}

static void sleep_ms(double ms)
{
    uint64_t ns = (uint64_t)(ms * 1e6);
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000u),
                            .tv_nsec = (long)(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

static int process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result)
{
    double ms = p->param[PARAM_MS] + p->param[PARAM_JITTER_MS] * next_share(state);
    (void)result;
    if (frame->index == 0)
        ms += p->param[PARAM_FIRST_MS];
    if (next_share(state) < p->param[PARAM_SLOW_SHARE])
        ms += p->param[PARAM_SLOW_MS];
    if (ms > 0)
        sleep_ms(ms);
    return 0;
}

const struct pipeline_kind pipeline_delay = {
    .name = "delay",
    .summary = "sleeps, then answers with an empty result; for tests and load",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .session_new = session_new,
    .session_free = free,
    .process = process,
};
