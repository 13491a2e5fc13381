#include "tests/sim/sim.h"

#include <math.h>
#include <stdlib.h>

void sim_deinit(struct sim *s)
{
    free(s->heap);
    *s = (struct sim){0};
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void sift_up(struct sim *s, size_t i, struct sim_event ev)
{
    while (i > 0 && is_before(&ev, &s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = ev;
}

static void sift_down(struct sim *s, size_t i, struct sim_event ev)
{
    for (size_t child = 2 * i + 1; child < s->n; child = 2 * i + 1) {
        if (child + 1 < s->n && is_before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (is_before(&ev, &s->heap[child]))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = ev;
}

void sim_put(struct sim *s, const struct sim_event *ev)
{
    struct sim_event in = *ev;
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 64;
        s->heap = realloc(s->heap, s->cap * sizeof *s->heap);
        if (!s->heap)
            abort();
    }
    if (in.at_us < s->now_us)
        in.at_us = s->now_us;
    in.seq = s->n_put++;
    sift_up(s, s->n++, in);
}

bool sim_next(struct sim *s, uint64_t until_us, struct sim_event *ev)
{
    if (!s->n || s->heap[0].at_us > until_us) {
        if (s->now_us < until_us)
            s->now_us = until_us;
        return false;
    }
    *ev = s->heap[0];
    s->now_us = ev->at_us;
    s->n--;
    if (s->n)
        sift_down(s, 0, s->heap[s->n]);
    return true;
}

/* Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014 */
uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    return rng_next(r) % n;
}

double rng_unit(struct rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}

bool rng_chance(struct rng *r, double share)
{
    return rng_unit(r) < share;
}

uint64_t rng_exponential_us(struct rng *r, double mean_us)
{
    return (uint64_t)(-mean_us * log(1 - rng_unit(r)));
}

uint64_t rng_pareto_us(struct rng *r, double mean_us)
{
    double value_us = mean_us / 3 * pow(1 - rng_unit(r), -1 / 1.5);
    return (uint64_t)fmin(value_us, 100 * mean_us);
}
