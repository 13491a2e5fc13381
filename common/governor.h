/* governor.h - how many frames per second the server can take.
 *
 * It watches what becomes of the frames. Two things are congestion:
 *   drops: the server dropped at least two frames, and more than 8 %, of the last
 *          32. (One frame in twenty that is slow is an accident: at 30 per second it
 *          would keep the rate down for good.)
 *   queue: eight answers in a row have waited for longer than half the interval
 *          between our frames. The least of them is what stands in front of every
 *          frame, and sending fewer ends it; a long wait now and then, or a pipeline
 *          that is slow by itself, is neither.
 *
 * A queue shows what the server can do: while frames wait, answers come at its own
 * pace. That becomes the limit, a little less of it at first, and the next frame
 * waits for as long as the queue is, so that it ends at once. Drops only show that the
 * truth lies between what was answered and what was sent: the limit goes down to
 * the one and looks for it in the middle. From there it follows a cubic curve: up to
 * the known rate, along it for a while, then on, faster the longer all goes well.
 * Growth is relative to the rate, and a queue is long or short relative to the
 * interval: who sends more gives way first, so clients that take turns at one server
 * end up with equal shares.
 *
 * What is heard about frames that were sent before the last decrease says nothing
 * about the new rate and is not counted twice.
 *
 * A pure function of events and time. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GOVERNOR_GAPS  128 /* between answers, that the measured rate is made of, at most */
#define GOVERNOR_WAITS 8

struct governor_options {
    bool adapt;         /* false: the rate never changes */
    double min_per_s;   /* the floor */
    uint64_t budget_us; /* within it, waiting on the way does not count */
};

struct governor {
    struct governor_options options;
    double ceiling_per_s; /* what --fps or the source gives; 0: not known yet */
    double limit_per_s;   /* 0: at the ceiling, nothing is held back */

    double known_per_s; /* what the curve is about: measured at the last decrease */
    double low_per_s;   /* where it begins */
    uint64_t cut_us;    /* the last decrease; 0: none */
    uint64_t climb_us;  /* how far along the curve */
    uint64_t heard_us;  /* up to when that was counted */
    uint64_t pause_us;  /* what is to be waited, once; see governor_take_pause_us */

    uint32_t drops; /* bit k: k-th last frame sent since the decrease was dropped */
    unsigned n_fates, n_waits;
    bool link_is_others; /* waiting on the link is somebody else's business: ladder.h */
    uint64_t wait_us[GOVERNOR_WAITS]; /* a ring; of answers to frames sent since then */
    struct governor_gap {
        uint64_t end_us;  /* an answer came; */
        uint64_t us;      /* so long after the one before */
        bool busy;        /* and its frame was at the server by then: no pause of ours */
    } gap[GOVERNOR_GAPS]; /* a ring */
    uint64_t n_gaps;      /* so far */
    uint64_t answer_us;   /* the last answer; 0: none */
    uint64_t least_us[2]; /* time on the network, least of this period and the one before */
    uint64_t period_us;   /* when this period began */
    uint64_t link_us[GOVERNOR_WAITS]; /* a ring: waits on the way, of all answers */
    uint64_t n_links;
    uint64_t n_cuts;
};

struct governor_answer {
    uint64_t sent_us;    /* when the frame left */
    uint64_t age_us;     /* from its capture to its answer */
    uint64_t latency_us; /* from sent to answered */
    bool has_timing;     /* the server says how long: */
    uint64_t wait_us;    /* the frame stood in front of the pipeline */
    uint64_t server_us;  /* it was in the server at all */
};

void governor_init(struct governor *g, const struct governor_options *o);

/* The most there is to send: --fps or the measured rate of the source. */
void governor_set_ceiling(struct governor *g, double per_s);

/* What is heard from the server. sent_us: when the frame it is about was sent.
 * Gives true when the limit changed. */
bool governor_on_answer(struct governor *g, const struct governor_answer *a, uint64_t now_us);
bool governor_on_drop(struct governor *g, uint64_t sent_us, uint64_t now_us);
bool governor_on_slow_down(struct governor *g, uint64_t now_us);

/* For so long nothing should be sent, from the last decrease on, so that a queue
 * ends at once and not little by little. Told once. */
uint64_t governor_take_pause_us(struct governor *g);

/* What may be sent; 0: no limit but the ceiling. */
double governor_limit_per_s(const struct governor *g);

/* What is wanted, for people: the limit, or the ceiling. */
double governor_wanted_per_s(const struct governor *g);

/* Do the last eight answers tell of a queue on the way, not at the server? */
bool governor_link_is_slow(const struct governor *g);

/* What the server did lately, answers per second; 0: not known. */
double governor_measured_per_s(const struct governor *g, uint64_t now_us);
