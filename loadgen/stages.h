/* stages.h - the rows of every table of latencies: what is shown, what it is called, and the
 * published target beside it.
 *
 * Threads: any; const tables and a pure function. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/record.h"

struct stage_row {
    enum record_time time;
    const char *name;
    uint64_t target_us; /* 0: none is published */
};

#define STAGE_ROWS 8

/* The budget of the protocol: validate 2 ms, infer 30, send 5, together 37. What a frame waits for
 * stands for the first, the way to the server and back for the last. */
extern const struct stage_row stage_rows[STAGE_ROWS];

/* p50, p90, p99, p99.9, max; UINT64_MAX: never. */
#define STAGE_COLUMNS 5
#define STAGE_P99     2

/* false: there is nothing to show. */
bool stage_times_us(const struct record_part *p, const struct stage_row *row,
                    uint64_t out[STAGE_COLUMNS]);

/* Reasons for drops, for tables. */
struct drop_row {
    enum record_count count;
    const char *name;
};

#define DROP_ROWS 7
extern const struct drop_row drop_rows[DROP_ROWS];
