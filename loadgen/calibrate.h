/* calibrate.h - how exactly this machine wakes up, and so how a run is to wait.
 *
 * Threads: blocks the caller for about a tenth of a second. */
#pragma once

#include "common/hist.h"
#include "loadgen/options.h"

/* How late 100 waits of a millisecond ended, without load. */
void calibrate_slip(struct hist *late);

/* Pure: spin only if asked to, or if sleeping is late (p99 above half a millisecond) and each
 * of the threads would leave the server and the system a processor. */
bool calibrate_wants_spin(enum wait_mode wait, uint64_t late_p99_us, unsigned n_threads,
                          unsigned n_cpus);
