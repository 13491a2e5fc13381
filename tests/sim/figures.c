#include "tests/sim/figures.h"

#include <math.h>

#define DRAWS  8 /* of the cameras' phases, which decide much around a load of 1 */
#define RUN_US 10000000u

/* The same phases, as shares of the interval, at every load. */
static struct scenario overload_scenario(const struct overload_case *c, double fps, unsigned draw)
{
    struct camera_settings cam = {.work = c->work, .work_us = c->work_us, .jitter = 0.2};
    cam.fps = fps;
    struct scenario sc = scenario_make(c->n_sessions, c->n_workers, &cam);
    struct rng r = {draw};
    for (unsigned i = 0; i < c->n_sessions; i++)
        sc.camera[i].start_us = (uint64_t)(1e6 / fps * rng_unit(&r));
    sc.set.rule.policy = c->policy;
    sc.set.rule.budget_us = c->budget_us;
    sc.set.wake_us = sc.set.collect_us = 20;
    sc.until_us = RUN_US;
    sc.seed = draw;
    return sc;
}

static void add_world(struct overload *o, const struct world *w)
{
    const double seconds = DRAWS * (RUN_US / 1e6);
    o->offered += (double)w->total.received / seconds;
    o->answered += (double)w->total.answered / seconds;
    o->within_budget += (double)w->within_budget / seconds;
    for (int k = 0; k < DROP_REASONS; k++)
        o->dropped[k] += (double)w->total.dropped[k] / seconds;
    if (w->broken)
        o->broken = w->broken;
}

struct overload figures_overload(const struct overload_case *c)
{
    struct overload o = {.capacity = c->n_workers * 1e6 / (double)c->work_us};
    struct hist age = {0};
    for (unsigned draw = 1; draw <= DRAWS; draw++) {
        struct world w;
        struct scenario sc = overload_scenario(c, o.capacity * c->load / c->n_sessions, draw);
        world_init(&w, &sc.set);
        scenario_play(&sc, &w);
        hist_merge(&age, &w.age);
        add_world(&o, &w);
        world_deinit(&w);
        scenario_free(&sc);
    }
    o.p50_us = hist_percentile_us(&age, 50);
    o.p99_us = hist_percentile_us(&age, 99);
    return o;
}

double figures_jain(const double *x, unsigned n)
{
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < n; i++) {
        sum += x[i];
        squares += x[i] * x[i];
    }
    return squares > 0 ? sum * sum / (n * squares) : 1;
}

/* What each has when all share alike and nobody gets more than he sends. */
static double fair_rate(const struct world *w, double seconds)
{
    double low = 0, high = 1e6, sum;
    for (int i = 0; i < 100; i++) {
        double mid = (low + high) / 2;
        sum = 0;
        for (unsigned k = 0; k < w->set.n_sessions; k++)
            sum += fmin((double)w->session[k].ledger.received / seconds, mid);
        if (sum < (double)w->total.answered / seconds)
            low = mid;
        else
            high = mid;
    }
    return low;
}

#define SATURATED 1.25

static struct shares shares_of(const struct world *w)
{
    double seconds = (double)w->sim.now_us / 1e6;
    double fair = fair_rate(w, seconds);
    struct shares s = {.answered = (double)w->total.answered / seconds,
                       .within_budget = (double)w->within_budget / seconds,
                       .least = 1e6,
                       .broken = w->broken};
    for (unsigned i = 0; i < w->set.n_sessions; i++) {
        const struct ledger *l = &w->session[i].ledger;
        s.rate[i] = (double)l->answered / seconds;
        if ((double)l->received / seconds < SATURATED * fair)
            continue;
        s.saturated[s.n_saturated++] = s.rate[i];
        s.least = fmin(s.least, s.rate[i]);
        s.most = fmax(s.most, s.rate[i]);
    }
    if (!s.n_saturated)
        s.least = 0;
    s.jain = figures_jain(s.saturated, s.n_saturated);
    return s;
}

static struct shares shares_in(struct scenario *sc)
{
    struct world w;
    sc->set.wake_us = sc->set.collect_us = 20;
    world_init(&w, &sc->set);
    scenario_play(sc, &w);
    struct shares s = shares_of(&w);
    world_deinit(&w);
    scenario_free(sc);
    return s;
}

struct shares figures_shares(const struct shares_case *c, unsigned draw)
{
    struct camera_settings cam = {.jitter = 0.1};
    struct scenario sc = scenario_make(c->n_sessions, c->n_workers, &cam);
    struct rng r = {draw};
    for (unsigned i = 0; i < c->n_sessions; i++) {
        sc.camera[i].fps = c->fps[i % c->n_fps];
        sc.camera[i].work_us = c->work_us[(i / c->n_fps + i) % c->n_work];
        sc.camera[i].start_us = (uint64_t)(1e6 / sc.camera[i].fps * rng_unit(&r));
    }
    sc.set.rule.budget_us = c->budget_us;
    sc.seed = draw;
    sc.until_us = 30000000;
    return shares_in(&sc);
}

struct shares figures_two(uint64_t offset_us)
{
    struct camera_settings cam = {.fps = 30, .work_us = 20000};
    struct scenario sc = scenario_make(2, 1, &cam);
    sc.camera[1].start_us = offset_us;
    sc.until_us = 10000000;
    return shares_in(&sc);
}

/* ---- tables ---- */

static void print_head(FILE *to, const char *name)
{
    fprintf(to, "\n%s; per second\n", name);
    fprintf(to, "%-8s %5s %8s %8s %8s %6s %8s %8s %8s %8s %8s %8s\n", "policy", "load", "offered",
            "answered", "in time", "of max", "replaced", "late", "busy", "rate", "p50 ms",
            "p99 ms");
}

static void print_row(FILE *to, const struct overload_case *c, const struct overload *o)
{
    static const char *const names[] = {"latest", "strict", "phase17"};
    fprintf(to, "%-8s %5.2f %8.1f %8.1f %8.1f %5.1f%% %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f\n",
            names[c->policy], c->load, o->offered, o->answered, o->within_budget,
            100 * o->within_budget / fmin(o->offered, o->capacity), o->dropped[DROP_REPLACED],
            o->dropped[DROP_LATE], o->dropped[DROP_BUSY], o->dropped[DROP_RATE],
            (double)o->p50_us / 1e3, (double)o->p99_us / 1e3);
    if (o->broken)
        fprintf(to, "broken: %s\n", o->broken);
}

int figures_print_overload(FILE *to, const char *name, const struct overload_case *base)
{
    static const double loads[] = {0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4};
    int rc = 0;
    print_head(to, name);
    for (unsigned p = POLICY_LATEST; p <= POLICY_PHASE17; p++) {
        for (unsigned i = 0; i < sizeof loads / sizeof *loads; i++) {
            struct overload_case c = *base;
            c.policy = (enum policy)p;
            c.load = loads[i];
            struct overload o = figures_overload(&c);
            print_row(to, &c, &o);
            rc |= o.broken != NULL;
        }
    }
    return rc;
}

static int print_shares(FILE *to)
{
    static const double mixed_fps[] = {5, 10, 15, 30, 60, 120}, fps_30[] = {30};
    static const uint64_t mixed_us[] = {5000, 10000, 20000, 30000}, us_10[] = {10000},
                          us_20[] = {20000};
    static const struct {
        const char *name;
        struct shares_case c;
    } rows[] = {
        {"48 sessions, 5-120 fps, 5-30 ms, W = 2", {48, 2, mixed_fps, 6, mixed_us, 4, 37000}},
        {"the same, budget off", {48, 2, mixed_fps, 6, mixed_us, 4, 0}},
        {"48 sessions, 5-120 fps, 10 ms, W = 2", {48, 2, mixed_fps, 6, us_10, 1, 37000}},
        {"12 sessions, 5-120 fps, 5-30 ms, W = 2", {12, 2, mixed_fps, 6, mixed_us, 4, 37000}},
        {"12 sessions, 5-120 fps, 5-30 ms, W = 1", {12, 1, mixed_fps, 6, mixed_us, 4, 37000}},
        {"5 sessions, 30 fps, 20 ms, W = 1", {5, 1, fps_30, 1, us_20, 1, 37000}},
        {"2 sessions, 30 fps, 20 ms, W = 1", {2, 1, fps_30, 1, us_20, 1, 37000}},
    };
    int rc = 0;
    fprintf(to, "\n%-40s %4s %8s %8s %9s %7s %6s %6s\n", "shares of sessions; per second", "draw",
            "answered", "in time", "saturated", "Jain", "least", "most");
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (unsigned draw = 1; draw <= 3; draw++) {
            struct shares s = figures_shares(&rows[i].c, draw);
            fprintf(to, "%-40s %4u %8.1f %8.1f %9u %7.4f %6.1f %6.1f\n", rows[i].name, draw,
                    s.answered, s.within_budget, s.n_saturated, s.jain, s.least, s.most);
            rc |= s.broken != NULL;
        }
    }
    return rc;
}

static int print_two(FILE *to)
{
    int rc = 0;
    fprintf(to,
            "\ntwo cameras of 30 fps in step, 20 ms work, one worker: answers per second\n"
            "%9s %6s %6s %8s\n",
            "offset ms", "first", "second", "in time");
    for (unsigned ms = 0; ms <= 32; ms += 2) {
        struct shares s = figures_two(ms * 1000 + 500);
        fprintf(to, "%9.1f %6.1f %6.1f %8.1f\n", ms + 0.5, s.rate[0], s.rate[1], s.within_budget);
        rc |= s.broken != NULL;
    }
    return rc;
}

int figures_print(FILE *to)
{
    static const struct {
        const char *name;
        struct overload_case c;
    } sets[] = {
        {"16 sessions, 2 workers, 10 ms, budget 37 ms",
         {.work = WORK_FIXED, .n_sessions = 16, .n_workers = 2, .work_us = 10000}},
        {"the same, exponential work",
         {.work = WORK_EXPONENTIAL, .n_sessions = 16, .n_workers = 2, .work_us = 10000}},
        {"the same, Pareto work",
         {.work = WORK_PARETO, .n_sessions = 16, .n_workers = 2, .work_us = 10000}},
        {"16 sessions, 2 workers, 30 ms, budget 37 ms",
         {.work = WORK_FIXED, .n_sessions = 16, .n_workers = 2, .work_us = 30000}},
    };
    int rc = 0;
    for (unsigned k = 0; k < sizeof sets / sizeof *sets; k++) {
        struct overload_case c = sets[k].c;
        c.budget_us = 37000;
        rc |= figures_print_overload(to, sets[k].name, &c);
    }
    rc |= print_shares(to);
    return rc | print_two(to);
}
