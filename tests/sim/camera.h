/* camera.h - when a camera's frames arrive at the server, and how much work they are.
 *
 * Open loop: nothing that the server does changes it, so a run of a world can be
 * written down beforehand. Frames are captured at the camera's rate while it is on
 * and delivered in order; while the link is down they pile up and come in one burst.
 *
 * Threads: one at a time.
 */
#pragma once

#include "tests/sim/sim.h"
#include "tests/sim/world.h"

enum work_kind { WORK_FIXED, WORK_EXPONENTIAL, WORK_PARETO, WORK_KINDS };

struct camera_settings {
    double fps;
    double jitter;           /* 0 to 1: share of the interval by which a frame may be later */
    uint64_t start_us;       /* the first frame */
    uint64_t on_us, off_us;  /* means of exponential times; off 0: always on */
    uint64_t up_us, down_us; /* the same for the link */
    uint64_t link_us;        /* delay of a delivery */

    enum work_kind work;
    uint64_t work_us;       /* mean time in the pipeline */
    uint64_t first_work_us; /* of the first frame; 0: like the others */
    double slow_share;      /* frames that take slow_us instead */
    uint64_t slow_us;
    double fail_share;
};

struct camera {
    struct camera_settings set;
    uint32_t session;
    struct rng rng;
    uint64_t n_frames;       /* so far */
    double capture_us;       /* the next one; not rounded, so that no rate drifts */
    uint64_t on_until_us;    /* then it is off */
    uint64_t down_at_us;     /* then the link is down, */
    uint64_t down_until_us;  /* until then */
    uint64_t last_arrive_us; /* nothing overtakes */
};

struct camera camera_make(const struct camera_settings *set, uint32_t session, uint64_t seed);

/* The next frame, as an input for the world. */
struct input camera_next(struct camera *c);
