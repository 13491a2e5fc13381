#include "server/pressure.h"

const char *pressure_state_name(enum pressure_state s)
{
    static const char *const names[PRESSURE_STATES] = {"normal", "warning", "critical"};
    return names[s];
}

double pressure_drop_rate(const struct pressure *p)
{
    return p->n_fates ? (double)__builtin_popcountll(p->fates) / p->n_fates : 0;
}

#define HYSTERESIS 0.8

/* Above the threshold, or in that state already and not yet clearly below. */
static bool is_above(double rate, double threshold, bool is_there)
{
    return rate > threshold || (is_there && rate > HYSTERESIS * threshold);
}

static enum pressure_state next_state(const struct pressure *p,
                                      const struct pressure_limits *limits)
{
    double rate = pressure_drop_rate(p);
    if (is_above(rate, limits->slow_down_threshold, p->state == PRESSURE_CRITICAL))
        return PRESSURE_CRITICAL;
    return is_above(rate, limits->drop_threshold, p->state != PRESSURE_NORMAL) ? PRESSURE_WARNING
                                                                               : PRESSURE_NORMAL;
}

static void rearm(struct pressure *p, const struct pressure_limits *limits, uint64_t now_us)
{
    if (p->state != PRESSURE_NORMAL)
        p->normal_since_us = now_us;
    else if (limits->rearm_us && now_us - p->normal_since_us >= limits->rearm_us)
        p->told = false;
}

struct pressure_step pressure_add(struct pressure *p, const struct pressure_limits *limits,
                                  bool dropped, uint64_t now_us)
{
    struct pressure_step step = {.from = p->state};
    p->fates = p->fates << 1 | dropped;
    if (p->n_fates < PRESSURE_WINDOW)
        p->n_fates++;
    if (p->n_fates < PRESSURE_SAMPLES_MIN)
        return step;
    p->state = next_state(p, limits);
    rearm(p, limits, now_us);
    step.changed = p->state != step.from;
    step.slow_down = p->state == PRESSURE_CRITICAL && !p->told;
    p->told |= step.slow_down;
    return step;
}
