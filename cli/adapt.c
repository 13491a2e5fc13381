#include "cli/adapt.h"

void adapt_init(struct adapt *a, const struct adapt_options *o)
{
    governor_init(&a->governor, &o->governor);
    pace_init(&a->pace, o->every);
    ladder_init(&a->ladder, o->quality, o->size, o->as_they_come);
    a->governor.link_is_others = !ladder_is_at_bottom(&a->ladder);
    a->fps_max = o->fps_max;
}

static void set_pace(struct adapt *a, uint64_t now_us)
{
    double limit_per_s = governor_limit_per_s(&a->governor);
    uint64_t pause_us = governor_take_pause_us(&a->governor);
    pace_set_rate(&a->pace, limit_per_s > 0.0 ? limit_per_s : a->fps_max, now_us);
    if (pause_us)
        pace_hold(&a->pace, now_us + pause_us);
}

void adapt_on_tick(struct adapt *a, const struct rate *source, uint64_t now_us)
{
    double ceiling_per_s = rate_per_s(source, now_us) / (double)a->pace.every;
    if (a->fps_max > 0.0 && (ceiling_per_s <= 0.0 || a->fps_max < ceiling_per_s))
        ceiling_per_s = a->fps_max;
    if (ceiling_per_s > 0.0)
        governor_set_ceiling(&a->governor, ceiling_per_s);
    set_pace(a, now_us);
}

bool adapt_is_due(const struct adapt *a, const struct rate *source, uint64_t now_us)
{
    double per_s = rate_per_s(source, now_us);
    uint64_t interval_us = per_s > 0.0 ? (uint64_t)(1e6 * (double)a->pace.every / per_s) : 0;
    return pace_is_due(&a->pace, interval_us, now_us);
}

bool adapt_on_due(struct adapt *a, bool stuck, uint64_t now_us)
{
    bool blocked = stuck || governor_link_is_slow(&a->governor);
    bool changed = ladder_on_frame(&a->ladder, blocked, now_us);
    a->governor.link_is_others = !ladder_is_at_bottom(&a->ladder);
    return changed;
}

bool adapt_on_answer(struct adapt *a, const struct governor_answer *answer, uint64_t now_us)
{
    bool changed = governor_on_answer(&a->governor, answer, now_us);
    if (changed)
        set_pace(a, now_us);
    return changed;
}

void adapt_on_drop(struct adapt *a, uint64_t sent_us, uint64_t now_us)
{
    if (governor_on_drop(&a->governor, sent_us, now_us))
        set_pace(a, now_us);
}

bool adapt_on_slow_down(struct adapt *a, uint64_t now_us)
{
    bool changed = governor_on_slow_down(&a->governor, now_us);
    if (changed)
        set_pace(a, now_us);
    return changed;
}
