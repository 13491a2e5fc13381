#include "server/estimate.h"

/* The k-th smallest, from 0: a count for each value is enough for 16 of them. */
static uint32_t kth_smallest(const uint32_t *v, uint32_t n, uint32_t k)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t below = 0, same = 0;
        for (uint32_t j = 0; j < n; j++) {
            below += v[j] < v[i];
            same += v[j] == v[i];
        }
        if (below <= k && k < below + same)
            return v[i];
    }
    return 0;
}

void estimate_add(struct estimate *e, uint64_t took_us)
{
    e->took_us[e->n % ESTIMATE_SAMPLES] = took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX;
    /* Once the ring is full, only where n stands in it matters. */
    e->n = e->n + 1 < 2 * ESTIMATE_SAMPLES ? e->n + 1 : ESTIMATE_SAMPLES;
    uint32_t n = e->n < ESTIMATE_SAMPLES ? e->n : ESTIMATE_SAMPLES;
    e->expected_us = kth_smallest(e->took_us, n, n * 3 / 4);
}

void estimate_doubt(struct estimate *e)
{
    e->expected_us -= e->expected_us / 16;
}

uint64_t estimate_expected_us(const struct estimate *e)
{
    return e->expected_us;
}
