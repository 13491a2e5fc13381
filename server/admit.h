/* admit.h - the one place where a frame's fate is decided.
 *
 * Nothing queues: a session has at most one frame in work and one waiting, the
 * newest. Under the policy `latest` a frame that finds the session idle runs,
 * so a slow first frame cannot lock anyone out and recovery is immediate; a
 * frame that finds it busy waits, and the frame that waited before it is
 * dropped, because an answer about the past helps nobody. When a worker picks
 * a frame up and it can no longer be answered within the budget although a
 * fresh one could, it is dropped too: work is never spent on what is already
 * too late. Where the pipeline alone takes longer than the budget, late is all
 * there is, and the newest frame is run anyway.
 *
 * `strict` has no room for a waiting frame: one that finds its session busy is
 * dropped. `phase17` reads the published thresholds literally, for comparison: an
 * answer above the budget counts as a drop, and while more than the drop
 * threshold of all frames since the beginning were dropped, every frame is. It
 * cannot recover, since each of those drops raises the rate that causes them.
 *
 * Pure: no clock, no lock, no socket. The caller looks at the world, fills the
 * view, acts on the verdict. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum policy { POLICY_LATEST, POLICY_STRICT, POLICY_PHASE17 };

struct admit_rule {
    enum policy policy;
    uint64_t budget_us;    /* from arrival to the answer; 0: off */
    double drop_threshold; /* phase17: share of all frames, 0 to 1 */
};

/* --- a frame has arrived --- */

struct admit_view {
    bool in_work;               /* a worker has a frame of this session */
    bool waiting;               /* a frame of this session waits for a worker */
    uint64_t received, dropped; /* since the beginning, without this frame: phase17 */
};

enum verdict {
    VERDICT_RUN,     /* idle session: it is next in its turn */
    VERDICT_WAIT,    /* keep it for when the frame in work is done */
    VERDICT_REPLACE, /* keep it; drop the one that waited (DROP_REPLACED) */
    VERDICT_BUSY,    /* drop it (DROP_BUSY) */
    VERDICT_RATE     /* drop it (DROP_RATE) */
};

enum verdict admit_frame(const struct admit_rule *rule, const struct admit_view *v);

/* --- a worker picks it up --- */

struct pickup_view {
    uint64_t age_us;      /* since its arrival */
    uint64_t expected_us; /* what the pipeline will take; 0 while unknown */
    bool owed;            /* the session lost a turn lately, and nobody else wants this one */
};

/* Can it still be answered in time, or is it run anyway? false: DROP_LATE. */
bool admit_pickup(const struct admit_rule *rule, const struct pickup_view *v);

/* --- it is done --- */

/* May the answer be told, or does it count as dropped (phase17 only: DROP_LATE)? took_us:
 * in the pipeline, which is what the published rule looks at. */
bool admit_answer(const struct admit_rule *rule, uint64_t took_us);
