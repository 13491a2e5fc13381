/* hist.h - how long things took: a histogram that can be added to another one.
 *
 * The layout is fixed, so histograms of two threads, processes or machines
 * merge bucket for bucket and the merged one equals the one that had seen
 * everything. Each power of two is cut into 32 equal buckets: below 64 us a
 * bucket is 1 us wide, above that at most 1/32 of its value, so what
 * hist_percentile_us gives is never below the true value and less than 3.2 %
 * above it. Values beyond HIST_MAX_US (71 minutes) count in the last bucket.
 *
 * All zero is a valid, empty histogram. 7 KiB, no allocation.
 * Threads: one at a time; merge to combine.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HIST_SUB_BITS 5
#define HIST_MAX_US   0xffffffffu
#define HIST_BUCKETS  ((32 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
    uint64_t count, sum_us;
    uint64_t min_us, max_us; /* exact; 0 while empty */
    uint64_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t value_us);

/* Adds all of `from`; `from` is unchanged. */
void hist_merge(struct hist *into, const struct hist *from);

void hist_clear(struct hist *h);

/* The value that percent (0 to 100) of the values do not exceed: the upper edge of
 * its bucket, never above the maximum. 0 while empty. */
uint64_t hist_percentile_us(const struct hist *h, double percent);

/* 0 while empty. */
double hist_mean_us(const struct hist *h);

/* The bucket a value counts in, and the least and greatest value of a bucket. */
size_t hist_bucket_of(uint64_t value_us);
uint64_t hist_bucket_low_us(size_t bucket);
uint64_t hist_bucket_high_us(size_t bucket);
