#include "cli/governor.h"

#define CUT_DROP           0.75
#define CUT_LATE           0.85
#define CUT_SLOW_DOWN      0.5
#define LATE_IN_A_ROW      2
#define SECONDS_TO_CEILING 20.0
#define RAISE_LEAST_PER_S  0.5
#define RAISE_STEP_MAX_US  1000000u
#define BEST_PERIOD_US     10000000u

void governor_init(struct governor *g, const struct governor_options *o)
{
    *g = (struct governor){.options = *o};
}

void governor_set_ceiling(struct governor *g, double per_s)
{
    g->ceiling_per_s = per_s;
    if (g->limit_per_s >= per_s)
        g->limit_per_s = 0.0;
}

static double floor_per_s(const struct governor *g)
{
    double least = g->options.min_per_s;
    return least < g->ceiling_per_s ? least : g->ceiling_per_s;
}

static bool cut(struct governor *g, double factor, uint64_t now_us)
{
    if (!g->options.adapt || g->ceiling_per_s <= 0.0)
        return false;
    double limit = governor_wanted_per_s(g) * factor;
    g->limit_per_s = limit > floor_per_s(g) ? limit : floor_per_s(g);
    g->cut_us = now_us;
    g->n_late = 0;
    g->n_cuts++;
    return true;
}

/* The server has not seen the lower rate yet when it answers older frames. */
static bool is_old_news(const struct governor *g, uint64_t sent_us)
{
    return g->cut_us && sent_us <= g->cut_us;
}

static bool raise_limit(struct governor *g, uint64_t now_us)
{
    uint64_t since_us = g->raised_us > g->cut_us ? g->raised_us : g->cut_us;
    if (g->limit_per_s <= 0.0 || now_us < g->cut_us + g->options.hold_us || now_us <= since_us)
        return false;
    uint64_t step_us = now_us - since_us;
    if (step_us > RAISE_STEP_MAX_US)
        step_us = RAISE_STEP_MAX_US;
    double per_s = g->ceiling_per_s / SECONDS_TO_CEILING;
    if (per_s < RAISE_LEAST_PER_S)
        per_s = RAISE_LEAST_PER_S;
    g->limit_per_s += per_s * (double)step_us / 1e6;
    if (g->limit_per_s >= g->ceiling_per_s)
        g->limit_per_s = 0.0;
    g->raised_us = now_us;
    return true;
}

static void remember_best(struct governor *g, uint64_t age_us, uint64_t now_us)
{
    if (now_us >= g->period_us + BEST_PERIOD_US) {
        g->best_us[1] = g->best_us[0];
        g->best_us[0] = 0;
        g->period_us = now_us;
    }
    if (g->best_us[0] == 0 || age_us < g->best_us[0])
        g->best_us[0] = age_us;
}

uint64_t governor_late_us(const struct governor *g)
{
    uint64_t best_us = g->best_us[0];
    if (best_us == 0 || (g->best_us[1] && g->best_us[1] < best_us))
        best_us = g->best_us[1];
    uint64_t queued_us = best_us + best_us / 2;
    return queued_us > g->options.budget_us ? queued_us : g->options.budget_us;
}

bool governor_on_answer(struct governor *g, uint64_t age_us, uint64_t sent_us, uint64_t now_us)
{
    remember_best(g, age_us, now_us);
    if (age_us <= governor_late_us(g)) {
        g->n_late = 0;
        return raise_limit(g, now_us);
    }
    if (is_old_news(g, sent_us) || ++g->n_late < LATE_IN_A_ROW)
        return false;
    return cut(g, CUT_LATE, now_us);
}

bool governor_on_drop(struct governor *g, uint64_t sent_us, uint64_t now_us)
{
    return !is_old_news(g, sent_us) && cut(g, CUT_DROP, now_us);
}

bool governor_on_slow_down(struct governor *g, uint64_t now_us)
{
    return cut(g, CUT_SLOW_DOWN, now_us);
}

double governor_limit_per_s(const struct governor *g)
{
    return g->limit_per_s;
}

double governor_wanted_per_s(const struct governor *g)
{
    return g->limit_per_s > 0.0 ? g->limit_per_s : g->ceiling_per_s;
}
