/* sim.h - a virtual clock, the events on it, and random numbers that repeat.
 *
 * Time jumps from one event to the next, so hours pass in seconds and nothing
 * sleeps. Events of the same time come in the order they were put in: a run is
 * a function of its inputs and of nothing else.
 *
 * Out of memory ends the program: this is for tests. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_event {
    uint64_t at_us;
    uint64_t seq;       /* set by sim_put: the order among equals */
    uint32_t kind, who; /* the caller's */
    uint64_t tag;       /* the caller's */
};

struct sim { /* all zero: time 0, nothing to come */
    uint64_t now_us;
    uint64_t n_put;
    struct sim_event *heap;
    size_t n, cap;
};

void sim_deinit(struct sim *s);

/* An event in the past happens now. */
void sim_put(struct sim *s, const struct sim_event *ev);

/* Takes the next event that is due by until_us and moves the clock to it. false: there is
 * none, and the clock stands at until_us. */
bool sim_next(struct sim *s, uint64_t until_us, struct sim_event *ev);

/* ---- random numbers: SplitMix64, for one word of state and any seed ---- */

struct rng {
    uint64_t state;
};

uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* 0 to n - 1; n > 0 */
double rng_unit(struct rng *r);                /* 0 up to, not including, 1 */
bool rng_chance(struct rng *r, double share);
uint64_t rng_exponential_us(struct rng *r, double mean_us);
/* Shape 1.5: a mean, but no variance; cut at 100 times the mean. */
uint64_t rng_pareto_us(struct rng *r, double mean_us);
