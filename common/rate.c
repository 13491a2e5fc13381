#include "common/rate.h"

void rate_add(struct rate *r, uint64_t now_us)
{
    r->time_us[r->n++ % RATE_TIMES] = now_us;
}

double rate_per_s(const struct rate *r, uint64_t now_us)
{
    if (r->n < 2)
        return 0.0;
    uint64_t gaps = r->n < RATE_TIMES ? r->n - 1 : RATE_TIMES - 1;
    uint64_t newest_us = r->time_us[(r->n - 1) % RATE_TIMES];
    uint64_t oldest_us = r->time_us[(r->n - 1 - gaps) % RATE_TIMES];
    uint64_t span_us = newest_us - oldest_us;
    /* A silence of more than two gaps is part of the rate. */
    if (now_us > newest_us && (now_us - newest_us) * gaps > 2 * span_us)
        span_us = now_us - oldest_us;
    return span_us ? (double)gaps * 1e6 / (double)span_us : 0.0;
}
