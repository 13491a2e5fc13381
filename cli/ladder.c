#include "cli/ladder.h"

#define SECOND_US    1000000u
#define FRAMES_MIN   3u
#define SHARE        0.15
#define WAIT_US      5000000u
#define WAIT_MAX_US  80000000u
#define MISTAKE_US   10000000u
#define QUALITY_BEST 80u

static void add(struct ladder *l, unsigned quality, unsigned halvings)
{
    l->rung[l->n++] = (struct ladder_rung){quality, halvings};
}

void ladder_init(struct ladder *l, bool quality, bool size, bool as_they_come)
{
    unsigned lowest = quality ? 60 : QUALITY_BEST;
    *l = (struct ladder){.wait_us = WAIT_US};
    if (as_they_come)
        add(l, 0, 0);
    if (!as_they_come || quality)
        add(l, QUALITY_BEST, 0);
    if (quality) {
        add(l, 70, 0);
        add(l, 60, 0);
    }
    if (size) {
        add(l, lowest, 1);
        add(l, lowest, 2);
    }
}

static void begin_second(struct ladder *l, uint64_t now_us)
{
    l->second_us = now_us;
    l->n_frames = l->n_blocked = 0;
}

static bool step_down(struct ladder *l, uint64_t now_us)
{
    bool mistake = l->tried_us && now_us - l->tried_us < MISTAKE_US;
    l->calm_us = 0;
    if (ladder_is_at_bottom(l))
        return false;
    l->wait_us = mistake ? 2 * l->wait_us : WAIT_US;
    if (l->wait_us > WAIT_MAX_US)
        l->wait_us = WAIT_MAX_US;
    l->tried_us = 0; /* one step up is one mistake, however far down it leads */
    l->at++;
    return true;
}

static bool step_up(struct ladder *l, uint64_t now_us)
{
    if (l->calm_us == 0)
        l->calm_us = l->second_us;
    if (ladder_is_at_top(l) || now_us - l->calm_us < l->wait_us)
        return false;
    l->calm_us = l->tried_us = now_us;
    l->at--;
    return true;
}

bool ladder_on_frame(struct ladder *l, bool blocked, uint64_t now_us)
{
    bool changed = false;
    if (l->second_us == 0)
        begin_second(l, now_us);
    l->n_frames++;
    l->n_blocked += blocked;
    if (now_us - l->second_us < SECOND_US || l->n_frames < FRAMES_MIN)
        return false;
    if (l->n_blocked > SHARE * l->n_frames)
        changed = step_down(l, now_us);
    else if (l->n_blocked)
        l->calm_us = 0;
    else
        changed = step_up(l, now_us);
    begin_second(l, now_us);
    return changed;
}

struct ladder_rung ladder_now(const struct ladder *l)
{
    return l->rung[l->at];
}

bool ladder_is_at_top(const struct ladder *l)
{
    return l->at == 0;
}

bool ladder_is_at_bottom(const struct ladder *l)
{
    return l->at + 1 >= l->n;
}

double ladder_scale(unsigned halvings)
{
    return 1.0 / (double)(1u << halvings);
}
