#include "loadgen/calibrate.h"

#include <time.h>

#include "common/clock.h"

#define N_WAITS     100
#define WAIT_US     1000u
#define LATE_MAX_US 500u

void calibrate_slip(struct hist *late)
{
    uint64_t due_us = clock_now_us();
    for (int i = 0; i < N_WAITS; i++) {
        due_us += WAIT_US;
        struct timespec t = {.tv_sec = (time_t)(due_us / 1000000),
                             .tv_nsec = (long)(due_us % 1000000) * 1000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        uint64_t now_us = clock_now_us();
        hist_add(late, clock_age_us(now_us, due_us));
        if (now_us > due_us + WAIT_US)
            due_us = now_us; /* one long wait is one, not many */
    }
}

bool calibrate_wants_spin(enum wait_mode wait, uint64_t late_p99_us, unsigned n_threads,
                          unsigned n_cpus)
{
    if (wait != WAIT_AUTO)
        return wait == WAIT_SPIN;
    return late_p99_us > LATE_MAX_US && n_threads + 2 <= n_cpus;
}
