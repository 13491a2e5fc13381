#include "loadgen/stages.h"

const struct stage_row stage_rows[STAGE_ROWS] = {
    {RECORD_LATENCY, "due to answer", 37000},   {RECORD_RESPONSE, "sent to answer", 0},
    {RECORD_WAIT, "server: wait", 2000},        {RECORD_PIPELINE, "server: pipeline", 30000},
    {RECORD_NETWORK, "network and send", 5000}, {RECORD_DROP_LATENCY, "due to drop", 0},
    {RECORD_BLOCKED, "socket full", 0},         {RECORD_SLIP, "our own lateness", 2000},
};

bool stage_times_us(const struct record_part *p, const struct stage_row *row,
                    uint64_t out[STAGE_COLUMNS])
{
    static const double percents[STAGE_COLUMNS] = {50, 90, [STAGE_P99] = 99, 99.9, 100};
    const struct hist *h = &p->time[row->time];
    uint64_t never = record_infinite(p, row->time);
    for (size_t i = 0; i < STAGE_COLUMNS; i++)
        out[i] = record_percentile_us(h, never, percents[i]);
    return h->count + never > 0;
}

const struct drop_row drop_rows[DROP_ROWS] = {
    {RECORD_DROPPED_REPLACED, "replaced by a newer one"},
    {RECORD_DROPPED_LATE, "would have been late"},
    {RECORD_DROPPED_BUSY, "server busy"},
    {RECORD_DROPPED_RATE, "drop rate"},
    {RECORD_DROPPED_CLOSED, "session closed"},
    {RECORD_DROPPED_MEMORY, "memory"},
    {RECORD_DROPPED_OTHER, "other or no reason"},
};
