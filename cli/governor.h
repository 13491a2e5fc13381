/* governor.h - how many frames per second the server can take, found by trying.
 *
 * Additive increase, multiplicative decrease: a dropped frame, two late answers
 * in a row and a slow_down lower the rate at once; answers in time raise it
 * slowly, after a hold time. (One late answer is an accident: at 30 per second
 * one in a hundred would halve the rate for good.) What is heard about frames that were sent before
 * the last decrease says nothing about the new rate and is not counted twice.
 *
 * Late is an answer whose age is above the budget. Where even an unhurried
 * answer takes longer than the budget, fewer frames cannot make it faster; then
 * late is what took half as long again as the best of the last 10 to 20 s,
 * which is what waiting in a queue looks like.
 *
 * A pure function of events and time. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct governor_options {
    bool adapt;         /* false: the rate never changes */
    double min_per_s;   /* the floor */
    uint64_t budget_us; /* an answer older than this is late */
    uint64_t hold_us;   /* no increase for this long after a decrease */
};

struct governor {
    struct governor_options options;
    double ceiling_per_s; /* what --fps or the source gives; 0: not known yet */
    double limit_per_s;   /* 0: at the ceiling, nothing is held back */
    uint64_t cut_us;      /* the last decrease; 0: none */
    uint64_t raised_us;   /* the last increase */
    unsigned n_late;      /* in a row */
    uint64_t best_us[2];  /* least age in this period and in the one before; 0: none */
    uint64_t period_us;   /* when this period began */
    uint64_t n_cuts;
};

void governor_init(struct governor *g, const struct governor_options *o);

/* The most there is to send: --fps or the measured rate of the source. */
void governor_set_ceiling(struct governor *g, double per_s);

/* What is heard from the server. sent_us: when the frame it is about was sent.
 * Gives true when the rate changed. */
bool governor_on_answer(struct governor *g, uint64_t age_us, uint64_t sent_us, uint64_t now_us);
bool governor_on_drop(struct governor *g, uint64_t sent_us, uint64_t now_us);
bool governor_on_slow_down(struct governor *g, uint64_t now_us);

/* The age above which an answer is late now. */
uint64_t governor_late_us(const struct governor *g);

/* What may be sent; 0: no limit but the ceiling. */
double governor_limit_per_s(const struct governor *g);

/* What is wanted, for people: the limit, or the ceiling. */
double governor_wanted_per_s(const struct governor *g);
