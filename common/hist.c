#include "common/hist.h"

#include <math.h>
#include <string.h>

#define SUB_BUCKETS (1u << HIST_SUB_BITS)

size_t hist_bucket_of(uint64_t value_us)
{
    uint64_t v = value_us > HIST_MAX_US ? HIST_MAX_US : value_us;
    if (v < SUB_BUCKETS)
        return (size_t)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - HIST_SUB_BITS;
    return (size_t)shift * SUB_BUCKETS + (size_t)(v >> shift);
}

uint64_t hist_bucket_low_us(size_t bucket)
{
    if (bucket < SUB_BUCKETS)
        return bucket;
    size_t shift = bucket / SUB_BUCKETS - 1;
    return (uint64_t)(bucket - shift * SUB_BUCKETS) << shift;
}

uint64_t hist_bucket_high_us(size_t bucket)
{
    return hist_bucket_low_us(bucket + 1) - 1;
}

void hist_add(struct hist *h, uint64_t value_us)
{
    if (h->count == 0 || value_us < h->min_us)
        h->min_us = value_us;
    if (value_us > h->max_us)
        h->max_us = value_us;
    h->count++;
    h->sum_us += value_us;
    h->bucket[hist_bucket_of(value_us)]++;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min_us < into->min_us)
        into->min_us = from->min_us;
    if (from->max_us > into->max_us)
        into->max_us = from->max_us;
    into->count += from->count;
    into->sum_us += from->sum_us;
    for (size_t i = 0; i < HIST_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

void hist_clear(struct hist *h)
{
    memset(h, 0, sizeof *h);
}

uint64_t hist_percentile_us(const struct hist *h, double percent)
{
    uint64_t seen = 0;
    double rank = ceil(percent / 100.0 * (double)h->count);
    uint64_t wanted = rank < 1.0 ? 1 : (uint64_t)rank;
    for (size_t i = 0; i + 1 < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen < wanted)
            continue;
        uint64_t high = hist_bucket_high_us(i);
        return high < h->max_us ? high : h->max_us;
    }
    return h->max_us;
}

double hist_mean_us(const struct hist *h)
{
    return h->count ? (double)h->sum_us / (double)h->count : 0.0;
}
