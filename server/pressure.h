/* pressure.h - how much of what a session sends is being dropped, lately.
 *
 * The rate is taken over the last 64 fates, about two seconds at 30 fps, never
 * since the beginning: a rate since the beginning cannot recover. It drives
 * the session's state and the slow_down signal and never causes a drop. A state
 * is left only when the rate is a fifth below the threshold it was entered at,
 * so that a rate near a threshold does not flap.
 *
 * Pure. Threads: the I/O thread owns a session's pressure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PRESSURE_WINDOW      64 /* fates: the bits of one word */
#define PRESSURE_SAMPLES_MIN 10 /* nothing is said about fewer */

enum pressure_state {
    PRESSURE_NORMAL,
    PRESSURE_WARNING,  /* above the drop threshold */
    PRESSURE_CRITICAL, /* above the slow-down threshold */
    PRESSURE_STATES
};

const char *pressure_state_name(enum pressure_state s);

struct pressure_limits {
    double drop_threshold;      /* 0.10: STREAM_DROP_THRESHOLD */
    double slow_down_threshold; /* 0.30: STREAM_SLOWDOWN_THRESHOLD */
    uint64_t rearm_us;          /* slow_down again after normal for so long; 0: never */
};

struct pressure {     /* all zero: a new session */
    uint64_t fates;   /* bit k: the fate k frames ago; 1 is a drop */
    unsigned n_fates; /* at most PRESSURE_WINDOW */
    enum pressure_state state;
    bool told;                /* slow_down was sent, and is not armed again */
    uint64_t normal_since_us; /* while in state normal */
};

/* What has to be done after a fate was added. */
struct pressure_step {
    bool changed; /* the state did: from `from` to p->state */
    enum pressure_state from;
    bool slow_down; /* send it now, after the message about this frame */
};

/* Share of drops in the window, 0 to 1; 0 for an empty one. */
double pressure_drop_rate(const struct pressure *p);

struct pressure_step pressure_add(struct pressure *p, const struct pressure_limits *limits,
                                  bool dropped, uint64_t now_us);
