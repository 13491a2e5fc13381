/* admit.h - the one place where a frame's fate is decided.
 *
 * Nothing queues: a session has at most one frame in work and one waiting, the
 * newest. A frame that finds the session idle runs, so a slow first frame
 * cannot lock anyone out and recovery is immediate. A frame that finds it busy
 * waits, and the frame that waited before it is dropped, because an answer
 * about the past helps nobody.
 *
 * Pure: no clock, no lock, no socket. The caller looks at the world, fills the
 * view, acts on the verdict. Threads: any.
 */
#pragma once

#include <stdbool.h>

struct admit_view {
    bool in_work; /* a worker has a frame of this session */
    bool waiting; /* a frame of this session waits for a worker */
};

enum verdict {
    VERDICT_RUN,    /* idle session: it is next in its turn */
    VERDICT_WAIT,   /* keep it for when the frame in work is done */
    VERDICT_REPLACE /* keep it; drop the one that waited (DROP_REPLACED) */
};

enum verdict admit_frame(const struct admit_view *v);
