#include "common/governor.h"

#include <math.h>

#define CURVE         0.03 /* of the logarithm of the rate, per cubic second */
#define DRAIN         0.95 /* of the known rate: below it, so that no queue is left */
#define BLIND         0.75 /* when nothing has been measured yet */
#define SLOW_DOWN     0.5
#define FATES         32u
#define DROPS_MIN     2
#define DROP_SHARE    0.08
#define QUEUE_SHARE   0.5      /* of the interval between frames */
#define WINDOW_US     2000000u /* the rate is measured over this, */
#define WINDOW_MAX_US 8000000u /* or longer, until there are GAPS_MIN gaps */
#define GAPS_FEW      4u
#define GAPS_MANY     24u
#define SLOW_PER_S    0.5 /* so that the slowest rise a little faster */
#define STEP_MAX_US   1000000u
#define PERIOD_US     10000000u

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

/* --- what the server did lately --- */

struct sum {
    uint64_t n, us;
};

static double per_s(struct sum s)
{
    return s.us ? (double)s.n * 1e6 / (double)s.us : 0.0;
}

/* Of the gaps that ended in the last window_us, or, until there are n_min of them, a few times
 * as long ago. */
static struct sum sum_gaps(const struct governor *g, bool busy_only, uint64_t window_us,
                           uint64_t n_min, uint64_t now_us)
{
    struct sum sum = {0, 0};
    uint64_t kept = g->n_gaps < GOVERNOR_GAPS ? g->n_gaps : GOVERNOR_GAPS;
    for (uint64_t i = 1; i <= kept; i++) {
        const struct governor_gap *gap = &g->gap[(g->n_gaps - i) % GOVERNOR_GAPS];
        uint64_t ago_us = now_us - gap->end_us;
        if (ago_us > WINDOW_MAX_US || (ago_us > window_us && sum.n >= n_min))
            break;
        if (gap->busy || !busy_only) {
            sum.n++;
            sum.us += gap->us;
        }
    }
    return sum;
}

/* While frames wait the server shows what it can do. Runs of slow frames make a queue, so only
 * many frames tell its rate; but when the last few took twice as long as that, it has changed. */
static struct sum measure_busy(const struct governor *g, uint64_t now_us)
{
    struct sum many = sum_gaps(g, true, WINDOW_US, GAPS_MANY, now_us);
    struct sum few = sum_gaps(g, true, 0, GAPS_FEW, now_us);
    return per_s(few) * 2 < per_s(many) ? few : many;
}

double governor_measured_per_s(const struct governor *g, uint64_t now_us)
{
    struct sum busy = measure_busy(g, now_us);
    struct sum all = sum_gaps(g, false, WINDOW_US, GAPS_FEW, now_us);
    return busy.n >= GAPS_FEW && per_s(busy) > per_s(all) ? per_s(busy) : per_s(all);
}

/* --- down --- */

static void restart(struct governor *g, double known_per_s, double low_per_s, uint64_t now_us)
{
    double floor = floor_per_s(g);
    g->known_per_s = known_per_s > floor ? known_per_s : floor;
    g->low_per_s = g->limit_per_s = low_per_s > floor ? low_per_s : floor;
    g->cut_us = g->heard_us = now_us;
    g->climb_us = 0;
    g->n_fates = g->n_waits = 0;
    g->drops = 0;
    g->n_cuts++;
}

static bool can_cut(const struct governor *g)
{
    return g->options.adapt && g->ceiling_per_s > 0.0;
}

static bool cut_for_queue(struct governor *g, uint64_t pause_us, uint64_t now_us)
{
    if (!can_cut(g))
        return false;
    double wanted = governor_wanted_per_s(g), known = per_s(measure_busy(g, now_us));
    if (known <= 0.0)
        known = wanted;
    restart(g, known, known * DRAIN < wanted ? known * DRAIN : wanted, now_us);
    g->pause_us = pause_us;
    return true;
}

/* What was answered is the least that the server can do, and what was sent was too much: the
 * truth is looked for between them. */
static bool cut_for_drops(struct governor *g, uint64_t now_us)
{
    if (!can_cut(g))
        return false;
    double wanted = governor_wanted_per_s(g);
    struct sum all = sum_gaps(g, false, WINDOW_US, GAPS_FEW, now_us);
    double low = all.n ? per_s(all) : wanted * BLIND;
    if (all.n < GAPS_FEW && low < wanted / 2)
        low = wanted / 2;
    low *= DRAIN;
    if (low > wanted * DRAIN)
        low = wanted * DRAIN;
    restart(g, (low + wanted) / 2, low, now_us);
    return true;
}

/* The server has not seen the lower rate yet when it answers older frames. */
static bool is_old_news(const struct governor *g, uint64_t sent_us)
{
    return g->cut_us && sent_us <= g->cut_us;
}

static bool has_too_many_drops(const struct governor *g)
{
    int n = __builtin_popcount(g->drops);
    return n >= DROPS_MIN && n > DROP_SHARE * g->n_fates;
}

static void add_fate(struct governor *g, bool dropped)
{
    g->drops = g->drops << 1 | dropped;
    if (g->n_fates < FATES)
        g->n_fates++;
}

/* --- up --- */

static bool climb(struct governor *g, uint64_t now_us)
{
    if (g->limit_per_s <= 0.0)
        return false;
    uint64_t step_us = now_us > g->heard_us ? now_us - g->heard_us : 0;
    /* A silence is not a reason to rise; but who is at one frame a minute may. */
    double most_us = 1.5e6 / g->limit_per_s;
    if (most_us < STEP_MAX_US)
        most_us = STEP_MAX_US;
    g->climb_us += (double)step_us < most_us ? step_us : (uint64_t)most_us;
    g->heard_us = now_us;
    double known = g->known_per_s + SLOW_PER_S, low = g->low_per_s + SLOW_PER_S;
    double t = (double)g->climb_us / 1e6 - cbrt(log(known / low) / CURVE);
    g->limit_per_s = known * exp(CURVE * t * t * t) - SLOW_PER_S;
    if (g->limit_per_s >= g->ceiling_per_s)
        g->limit_per_s = 0.0;
    return true;
}

/* --- waiting --- */

static uint64_t least_network_us(const struct governor *g)
{
    uint64_t least_us = g->least_us[0];
    return least_us == 0 || (g->least_us[1] && g->least_us[1] < least_us) ? g->least_us[1]
                                                                          : least_us;
}

static void remember_least(struct governor *g, uint64_t network_us, uint64_t now_us)
{
    if (now_us >= g->period_us + PERIOD_US) {
        g->least_us[1] = g->least_us[0];
        g->least_us[0] = 0;
        g->period_us = now_us;
    }
    if (g->least_us[0] == 0 || network_us < g->least_us[0])
        g->least_us[0] = network_us;
}

/* Does the server say how long it took, and can that be? */
static bool is_timed(const struct governor_answer *a)
{
    return a->has_timing && a->server_us < a->latency_us && a->wait_us <= a->server_us;
}

/* The frame was there when the answer before it left; without timing, at least on its way. */
static void add_gap(struct governor *g, const struct governor_answer *a, uint64_t now_us)
{
    uint64_t there_us = a->sent_us + (is_timed(a) ? least_network_us(g) : 0);
    if (g->answer_us)
        g->gap[g->n_gaps++ % GOVERNOR_GAPS] = (struct governor_gap){
            .end_us = now_us,
            .us = now_us - g->answer_us,
            .busy = there_us <= g->answer_us,
        };
    g->answer_us = now_us;
}

/* For how long the frame stood in queues: at the server, which says so, and on the way to it,
 * by comparison with the fastest. A server that says nothing is part of the way. */
static uint64_t queued_us(struct governor *g, const struct governor_answer *a, uint64_t now_us)
{
    bool timed = is_timed(a);
    uint64_t network_us = a->latency_us - (timed ? a->server_us : 0), way_us = 0;
    remember_least(g, network_us, now_us);
    if (a->age_us > g->options.budget_us)
        way_us = network_us - least_network_us(g);
    g->link_us[g->n_links++ % GOVERNOR_WAITS] = timed ? way_us : 0;
    if (timed)
        return a->wait_us + (g->link_is_others ? 0 : way_us);
    return way_us;
}

/* What every one of the last answers waited for at least; 0 until there are enough. */
static uint64_t standing_us(const uint64_t *wait_us, uint64_t n)
{
    uint64_t least_us = UINT64_MAX;
    for (unsigned i = 0; i < GOVERNOR_WAITS; i++)
        if (wait_us[i] < least_us)
            least_us = wait_us[i];
    return n < GOVERNOR_WAITS ? 0 : least_us;
}

static bool is_queue(const struct governor *g, uint64_t wait_us)
{
    return (double)wait_us * governor_wanted_per_s(g) > QUEUE_SHARE * 1e6;
}

bool governor_on_answer(struct governor *g, const struct governor_answer *a, uint64_t now_us)
{
    uint64_t wait_us = queued_us(g, a, now_us);
    add_gap(g, a, now_us);
    if (is_old_news(g, a->sent_us))
        return false;
    add_fate(g, false);
    g->wait_us[g->n_waits++ % GOVERNOR_WAITS] = wait_us;
    uint64_t standing = standing_us(g->wait_us, g->n_waits);
    return is_queue(g, standing) ? cut_for_queue(g, standing, now_us) : climb(g, now_us);
}

bool governor_on_drop(struct governor *g, uint64_t sent_us, uint64_t now_us)
{
    if (is_old_news(g, sent_us))
        return false;
    add_fate(g, true);
    g->heard_us = now_us;
    return has_too_many_drops(g) && cut_for_drops(g, now_us);
}

bool governor_on_slow_down(struct governor *g, uint64_t now_us)
{
    if (!can_cut(g))
        return false;
    double wanted = governor_wanted_per_s(g), known = governor_measured_per_s(g, now_us);
    double low = wanted * SLOW_DOWN;
    restart(g, known > low && known < wanted ? known : low, low, now_us);
    return true;
}

bool governor_link_is_slow(const struct governor *g)
{
    return is_queue(g, standing_us(g->link_us, g->n_links));
}

uint64_t governor_take_pause_us(struct governor *g)
{
    uint64_t pause_us = g->pause_us;
    g->pause_us = 0;
    return pause_us;
}

double governor_limit_per_s(const struct governor *g)
{
    return g->limit_per_s;
}

double governor_wanted_per_s(const struct governor *g)
{
    return g->limit_per_s > 0.0 ? g->limit_per_s : g->ceiling_per_s;
}
