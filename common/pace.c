#include "common/pace.h"

void pace_init(struct pace *p, uint64_t every)
{
    *p = (struct pace){.every = every ? every : 1};
}

void pace_set_rate(struct pace *p, double per_s, uint64_t now_us)
{
    p->interval_ns = per_s > 0.0 ? (uint64_t)(1e9 / per_s + 0.5) : 0;
    uint64_t now_ns = now_us * 1000u;
    uint64_t latest_ns = (now_ns > p->held_ns ? now_ns : p->held_ns) + p->interval_ns;
    if (p->due_ns > latest_ns)
        p->due_ns = latest_ns;
}

void pace_hold(struct pace *p, uint64_t until_us)
{
    p->held_ns = until_us * 1000u;
    if (p->due_ns < p->held_ns)
        p->due_ns = p->held_ns;
}

bool pace_is_candidate(const struct pace *p, uint64_t index)
{
    return index % p->every == 0;
}

bool pace_is_due(const struct pace *p, uint64_t source_interval_us, uint64_t now_us)
{
    uint64_t early_ns = source_interval_us * 1000u / 2;
    if (early_ns > p->interval_ns / 2)
        early_ns = p->interval_ns / 2;
    uint64_t soon_ns = now_us * 1000u + early_ns;
    return soon_ns >= p->held_ns && (soon_ns >= p->due_ns || p->interval_ns == 0);
}

void pace_take(struct pace *p, uint64_t now_us)
{
    uint64_t now_ns = now_us * 1000u;
    if (p->due_ns == 0)
        p->due_ns = now_ns;
    p->due_ns += p->interval_ns;
    if (p->due_ns + p->interval_ns < now_ns)
        p->due_ns = now_ns - p->interval_ns;
}
