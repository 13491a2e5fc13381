#include "loadgen/follow.h"

#include "common/clock.h"

void follow_init(struct follow *f, uint64_t fps_milli, uint64_t budget_us)
{
    struct governor_options o = {.adapt = true, .min_per_s = 1.0, .budget_us = budget_us};
    *f = (struct follow){.interval_us = 1000000000u / fps_milli};
    governor_init(&f->governor, &o);
    governor_set_ceiling(&f->governor, (double)fps_milli / 1000.0);
    pace_init(&f->pace, 1);
}

static void set_pace(struct follow *f, uint64_t now_us)
{
    uint64_t pause_us = governor_take_pause_us(&f->governor);
    pace_set_rate(&f->pace, governor_limit_per_s(&f->governor), now_us);
    if (pause_us)
        pace_hold(&f->pace, now_us + pause_us);
}

bool follow_takes(struct follow *f, uint64_t now_us)
{
    set_pace(f, now_us);
    if (!pace_is_due(&f->pace, f->interval_us, now_us))
        return false;
    pace_take(&f->pace, now_us);
    return true;
}

void follow_on_answer(struct follow *f, const struct proto_message *m, uint64_t due_us,
                      uint64_t sent_us, uint64_t now_us)
{
    struct governor_answer heard = {.sent_us = sent_us,
                                    .age_us = clock_age_us(now_us, due_us),
                                    .latency_us = clock_age_us(now_us, sent_us),
                                    .has_timing = m->has_timing,
                                    .wait_us = m->timing.wait_us,
                                    .server_us = m->timing.server_us};
    if (m->kind == PROTO_RESULT)
        governor_on_answer(&f->governor, &heard, now_us);
    else
        governor_on_drop(&f->governor, sent_us, now_us);
}

void follow_on_slow_down(struct follow *f, uint64_t now_us)
{
    governor_on_slow_down(&f->governor, now_us);
}
