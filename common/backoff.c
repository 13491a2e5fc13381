#include "common/backoff.h"

#include <sys/random.h>

uint64_t backoff_wait_us(unsigned n_failed, double jitter)
{
    uint64_t whole_us = n_failed ? BACKOFF_FIRST_US : 0;
    for (unsigned i = 1; i < n_failed && whole_us < BACKOFF_MAX_US; i++)
        whole_us *= 2;
    if (whole_us > BACKOFF_MAX_US)
        whole_us = BACKOFF_MAX_US;
    if (!(jitter > 0)) /* so written that NaN is 0 as well */
        jitter = 0;
    if (jitter > 1)
        jitter = 1;
    uint64_t half_us = whole_us / 2;
    return half_us + (uint64_t)((double)half_us * jitter);
}

double backoff_jitter(void)
{
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != (ssize_t)sizeof chance)
        return 0.5; /* no entropy yet, early at boot: any number will do */
    return (double)chance / (double)UINT32_MAX;
}
