#include "tests/sim/scenario.h"

#include <math.h>
#include <stdlib.h>

static struct camera_settings *cameras(unsigned n)
{
    struct camera_settings *c = calloc(n, sizeof *c);
    if (!c)
        abort();
    return c;
}

struct scenario scenario_make(unsigned n_sessions, unsigned n_workers,
                              const struct camera_settings *all)
{
    struct scenario sc = {.set = {.n_sessions = n_sessions, .n_workers = n_workers}};
    sc.set.rule.budget_us = 37000;
    sc.set.rule.drop_threshold = sc.set.limits.drop_threshold = 0.10;
    sc.set.limits.slow_down_threshold = 0.30;
    sc.camera = cameras(n_sessions);
    for (unsigned i = 0; i < n_sessions; i++)
        sc.camera[i] = *all;
    return sc;
}

void scenario_free(struct scenario *sc)
{
    free(sc->camera);
    sc->camera = NULL;
}

/* ---- where the inputs come from: the cameras, and three kinds of trouble ---- */

enum source { STALLS, LEAVES, WAKES, CAMERAS };

struct feed {
    const struct scenario *sc;
    struct sim order; /* one event a source: its next input */
    struct input *next;
    struct camera *camera;
    struct rng rng;
};

static uint64_t some_us(struct feed *f, uint64_t mean_us)
{
    return rng_exponential_us(&f->rng, (double)mean_us) + 1;
}

static void put_next(struct feed *f, uint32_t source)
{
    sim_put(&f->order, &(struct sim_event){.at_us = f->next[source].at_us, .who = source});
}

/* Every so often one of n at random. */
static void plan(struct feed *f, uint32_t source, enum input_kind kind, uint64_t every_us)
{
    bool of_session = kind == INPUT_LEAVE;
    unsigned n = of_session ? f->sc->set.n_sessions : f->sc->set.n_workers;
    if (!every_us)
        return;
    f->next[source] = (struct input){.at_us = f->order.now_us + some_us(f, every_us),
                                     .kind = kind,
                                     .who = (uint32_t)rng_below(&f->rng, n)};
    if (kind == INPUT_STALL)
        f->next[source].for_us = some_us(f, f->sc->stall_us);
    put_next(f, source);
}

static void refill(struct feed *f, uint32_t source)
{
    struct input was = f->next[source];
    if (source == STALLS) {
        plan(f, source, INPUT_STALL, f->sc->stall_every_us);
    } else if (source == WAKES) {
        plan(f, source, INPUT_WAKE, f->sc->wake_every_us);
    } else if (source == LEAVES && was.kind == INPUT_LEAVE) {
        f->next[source].kind = INPUT_JOIN;
        f->next[source].at_us += some_us(f, f->sc->leave_every_us / 4);
        put_next(f, source);
    } else if (source == LEAVES) {
        plan(f, source, INPUT_LEAVE, f->sc->leave_every_us);
    } else {
        f->next[source] = camera_next(&f->camera[source - CAMERAS]);
        put_next(f, source);
    }
}

static void feed_open(struct feed *f, const struct scenario *sc)
{
    unsigned n = sc->set.n_sessions;
    *f = (struct feed){.sc = sc, .rng.state = sc->seed};
    f->next = calloc(n + CAMERAS, sizeof *f->next);
    f->camera = calloc(n, sizeof *f->camera);
    if (!f->next || !f->camera)
        abort();
    for (uint32_t i = 0; i < n; i++)
        f->camera[i] = camera_make(&sc->camera[i], i, sc->seed);
    f->next[LEAVES].kind = INPUT_JOIN; /* so that the first one is a leave */
    for (uint32_t source = 0; source < n + CAMERAS; source++)
        refill(f, source);
}

static bool feed_next(struct feed *f, struct input *in)
{
    struct sim_event ev;
    if (!sim_next(&f->order, f->sc->until_us, &ev))
        return false;
    *in = f->next[ev.who];
    refill(f, ev.who);
    return true;
}

static void feed_close(struct feed *f)
{
    sim_deinit(&f->order);
    free(f->next);
    free(f->camera);
}

void scenario_play(const struct scenario *sc, struct world *w)
{
    struct feed f;
    struct input in;
    feed_open(&f, sc);
    while (!w->broken && feed_next(&f, &in))
        world_input(w, &in);
    world_advance(w, sc->until_us);
    feed_close(&f);
}

struct script scenario_script(const struct scenario *sc)
{
    struct script s = {.set = sc->set};
    struct feed f;
    struct input in;
    feed_open(&f, sc);
    while (feed_next(&f, &in))
        script_add(&s, &in);
    feed_close(&f);
    return s;
}

/* ---- at random ---- */

static uint64_t one_of(struct rng *r, const uint64_t *of, size_t n)
{
    return of[rng_below(r, n)];
}
#define ONE_OF(r, ...)                                                                             \
    one_of(r, (const uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* Evenly over the powers between low and high. */
static uint64_t any_us(struct rng *r, double low_us, double high_us)
{
    return (uint64_t)(low_us * pow(high_us / low_us, rng_unit(r)));
}

static struct camera_settings random_camera(struct rng *r)
{
    struct camera_settings c = {
        .fps = (double)ONE_OF(r, 5, 10, 15, 24, 30, 30, 60, 120, 1000),
        .jitter = rng_chance(r, 0.5) ? rng_unit(r) : 0,
        .start_us = rng_chance(r, 0.3) ? 0 : rng_below(r, 1000000),
        .link_us = ONE_OF(r, 0, 1000, 30000),
        .work = (enum work_kind)rng_below(r, WORK_KINDS),
        .work_us = any_us(r, 200, 100000),
        .first_work_us = ONE_OF(r, 0, 0, 40000, 500000),
        .slow_share = rng_chance(r, 0.3) ? 0.05 : 0,
        .slow_us = any_us(r, 10000, 300000),
        .fail_share = rng_chance(r, 0.2) ? 0.01 : 0,
    };
    if (rng_chance(r, 0.3)) {
        c.on_us = any_us(r, 10000, 1000000);
        c.off_us = any_us(r, 10000, 1000000);
    }
    if (rng_chance(r, 0.3)) {
        c.up_us = any_us(r, 100000, 3000000);
        c.down_us = any_us(r, 10000, 1000000);
    }
    return c;
}

struct scenario scenario_random(uint64_t seed)
{
    struct rng r = {seed};
    unsigned n_sessions = (unsigned)(rng_chance(&r, 0.05) ? 200 : 1 + rng_below(&r, 12));
    struct camera_settings any = {0};
    struct scenario sc = scenario_make(n_sessions, 1 + (unsigned)rng_below(&r, 4), &any);
    for (unsigned i = 0; i < n_sessions; i++)
        sc.camera[i] = random_camera(&r);
    sc.seed = rng_next(&r);
    sc.until_us = n_sessions > 12 ? 500000 : any_us(&r, 500000, 10000000);
    sc.set.rule.policy =
        rng_chance(&r, 0.8) ? POLICY_LATEST : (enum policy)(1 + rng_below(&r, POLICY_PHASE17));
    sc.set.rule.budget_us = ONE_OF(&r, 37000, 37000, 37000, 0, 5000, 100000);
    sc.set.wake_us = ONE_OF(&r, 0, 20, 50, 1000);
    sc.set.gap_us = ONE_OF(&r, 0, 0, 5, 200);
    sc.set.collect_us = ONE_OF(&r, 0, 50, 5000, 60000);
    sc.set.limits.rearm_us = ONE_OF(&r, 0, 1000000);
    sc.stall_every_us = ONE_OF(&r, 0, 0, 1000000, 100000);
    sc.stall_us = ONE_OF(&r, 2000000, 100000, 10000);
    sc.leave_every_us = ONE_OF(&r, 0, 0, 300000, 30000);
    sc.wake_every_us = ONE_OF(&r, 0, 0, 10000);
    return sc;
}
