#include "tests/sim/camera.h"

struct camera camera_make(const struct camera_settings *set, uint32_t session, uint64_t seed)
{
    struct camera c = {.set = *set, .session = session, .capture_us = (double)set->start_us};
    c.rng.state = seed ^ (session + 1) * 0xd1342543de82ef95u;
    c.on_until_us = set->start_us + rng_exponential_us(&c.rng, (double)set->on_us);
    c.down_at_us = rng_exponential_us(&c.rng, (double)set->up_us);
    c.down_until_us = c.down_at_us + rng_exponential_us(&c.rng, (double)set->down_us);
    return c;
}

/* Time of the next capture; moves on to the one after it. */
static uint64_t capture(struct camera *c)
{
    double interval_us = 1e6 / c->set.fps;
    while (c->set.off_us && c->capture_us >= (double)c->on_until_us) {
        uint64_t off_us = rng_exponential_us(&c->rng, (double)c->set.off_us);
        c->capture_us = (double)(c->on_until_us + off_us);
        c->on_until_us += off_us + rng_exponential_us(&c->rng, (double)c->set.on_us) + 1;
    }
    double at_us = c->capture_us + interval_us * c->set.jitter * rng_unit(&c->rng);
    c->capture_us += interval_us;
    return (uint64_t)at_us;
}

static uint64_t deliver(struct camera *c, uint64_t sent_us)
{
    uint64_t at_us = sent_us;
    while (c->set.down_us && sent_us >= c->down_until_us) {
        c->down_at_us = c->down_until_us + rng_exponential_us(&c->rng, (double)c->set.up_us) + 1;
        c->down_until_us = c->down_at_us + rng_exponential_us(&c->rng, (double)c->set.down_us);
    }
    if (c->set.down_us && sent_us >= c->down_at_us)
        at_us = c->down_until_us;
    at_us += c->set.link_us;
    if (at_us < c->last_arrive_us)
        at_us = c->last_arrive_us;
    c->last_arrive_us = at_us;
    return at_us;
}

static uint64_t work_of(struct camera *c)
{
    if (c->n_frames == 0 && c->set.first_work_us)
        return c->set.first_work_us;
    if (rng_chance(&c->rng, c->set.slow_share))
        return c->set.slow_us;
    switch (c->set.work) {
    case WORK_EXPONENTIAL:
        return rng_exponential_us(&c->rng, (double)c->set.work_us);
    case WORK_PARETO:
        return rng_pareto_us(&c->rng, (double)c->set.work_us);
    default:
        return c->set.work_us;
    }
}

struct input camera_next(struct camera *c)
{
    struct input in = {.who = c->session, .at_us = deliver(c, capture(c))};
    in.kind = rng_chance(&c->rng, c->set.fail_share) ? INPUT_FAIL : INPUT_FRAME;
    in.for_us = work_of(c);
    c->n_frames++;
    return in;
}
