/* stats.h - what the process counts beside its sessions' ledgers, and /metrics.
 *
 * Times go into fixed buckets with an edge at exactly 0.037 s, so that the
 * share within the budget is one ratio of two series.
 *
 * Threads: each I/O thread has its own; others read it while that stands still (io_look).
 */
#pragma once

#include <stdint.h>

#include "common/err.h"
#include "common/text.h"
#include "server/ledger.h"

#define STATS_EDGES 16

struct stats_histogram {
    uint64_t count[STATS_EDGES + 1]; /* the last one: above all edges */
    uint64_t sum_us;
};

struct stats {           /* of one I/O thread, or of all */
    struct ledger ended; /* of the sessions that are gone */
    uint64_t sessions_total, slow_downs, received_bytes, sent_bytes, replies_unsent, run_inline;
    struct stats_histogram wait, pipeline, total;
    struct stats_pipeline {
        struct stats_histogram time;
        uint64_t failed;
    } * by_pipeline; /* as many as the set has, in its order */
};

/* 0, or -EXIT_FAILED: out of memory. */
int stats_init(struct stats *s, size_t n_pipelines, struct err *e);
void stats_deinit(struct stats *s);

void stats_add_time(struct stats_histogram *h, uint64_t us);

struct io;

/* Of all I/O threads, in Prometheus' text format 0.0.4. From a callback of self's. */
void stats_write_metrics(struct io *self, struct text *out);

/* Adds the sessions of that thread, gone or here. */
void stats_add_ledger(struct ledger *sum, const struct io *io);
