/* scenario.h - cameras before a world: by hand or at random, played or written down.
 *
 * Played, the inputs are made as they are needed, so thousands of sessions or
 * hours take no memory. Written down, they are a script that can be shrunk.
 *
 * Ownership: scenario_free frees the cameras. Threads: one at a time.
 */
#pragma once

#include "tests/sim/camera.h"
#include "tests/sim/script.h"

struct scenario {
    struct world_settings set; /* n_sessions cameras */
    struct camera_settings *camera;
    uint64_t seed, until_us;
    uint64_t stall_every_us, stall_us; /* of a worker, means of exponential times; 0: never */
    uint64_t leave_every_us;           /* one session hangs up and comes back; 0: never */
    uint64_t wake_every_us;            /* of a worker for no reason; 0: never */
};

/* n cameras that are all alike; the thresholds as they are by default, budget 37 ms. */
struct scenario scenario_make(unsigned n_sessions, unsigned n_workers,
                              const struct camera_settings *all);

/* Anything that may happen, small enough to be written down. */
struct scenario scenario_random(uint64_t seed);

void scenario_free(struct scenario *sc);

/* Runs it in w, which the caller has made with its settings, up to until_us. May be
 * called again with a later until_us only on a new world. */
void scenario_play(const struct scenario *sc, struct world *w);

/* Gives the script of it. */
struct script scenario_script(const struct scenario *sc);
