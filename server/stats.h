/* stats.h - what the process counts beside its sessions' ledgers, and /metrics.
 *
 * Times go into fixed buckets with an edge at exactly 0.037 s, so that the
 * share within the budget is one ratio of two series.
 *
 * Threads: I/O.
 */
#pragma once

#include <stdint.h>

#include "common/text.h"
#include "server/ledger.h"

#define STATS_EDGES 16

struct stats_histogram {
    uint64_t count[STATS_EDGES + 1]; /* the last one: above all edges */
    uint64_t sum_us;
};

struct stats {
    struct ledger ended; /* of the sessions that are gone */
    uint64_t sessions_total, slow_downs, received_bytes, sent_bytes, replies_unsent;
    struct stats_histogram wait, pipeline, total;
    struct stats_pipeline {
        struct stats_histogram time;
        uint64_t failed;
    } * by_pipeline; /* as many as the set has, in its order */
};

void stats_add_time(struct stats_histogram *h, uint64_t us);

struct streamd;

/* Prometheus text format 0.0.4. */
void stats_write_metrics(struct streamd *d, struct text *out);

/* The ledger of the process: sessions that are gone, and those that are here. */
struct ledger stats_ledger(const struct streamd *d);
