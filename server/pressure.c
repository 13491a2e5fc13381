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

static enum pressure_state state_at(double rate, const struct pressure_limits *limits)
{
    if (rate > limits->slow_down_threshold)
        return PRESSURE_CRITICAL;
    return rate > limits->drop_threshold ? PRESSURE_WARNING : PRESSURE_NORMAL;
}

struct pressure_step pressure_add(struct pressure *p, const struct pressure_limits *limits,
                                  bool dropped)
{
    struct pressure_step step = {.from = p->state};
    p->fates = p->fates << 1 | dropped;
    if (p->n_fates < PRESSURE_WINDOW)
        p->n_fates++;
    if (p->n_fates < PRESSURE_SAMPLES_MIN)
        return step;
    p->state = state_at(pressure_drop_rate(p), limits);
    step.changed = p->state != step.from;
    step.slow_down = p->state == PRESSURE_CRITICAL && !p->told;
    p->told |= step.slow_down;
    return step;
}
