/* gate.h - what must hold, and whether it did.
 *
 * A gate is text: [warn:]METRIC OP VALUE, OP one of < <= > >= == !=, METRIC as in metric.h:
 *   latency.p99<37ms   drop_rate<=1%   profile:480p10.latency.p99.9<50ms   warn:slow_downs==0
 * A metric without data fails its gate, and so does one that does not exist. The
 * profile's name may hold anything but "." at its end.
 *
 * Pure. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "loadgen/metric.h"
#include "loadgen/report.h"

enum gate_op { GATE_LT, GATE_LE, GATE_GT, GATE_GE, GATE_EQ, GATE_NE };

struct gate {
    bool warn;        /* reports only */
    char metric[128]; /* with its profile */
    enum gate_op op;
    double limit;
    enum metric_unit unit;
};

enum gate_outcome { GATE_PASSED, GATE_WARNED, GATE_FAILED };

struct gate_verdict {
    enum gate_outcome outcome;
    struct metric measured;
    char why[384]; /* "latency.p99 is 41.2 ms, not < 37 ms"; "latency.p99: no data" */
};

/* What is judged when no gate is given; NULL behind the last. */
extern const char *const gate_defaults[];

/* 0, or -EXIT_USAGE with what is wrong with text. */
int gate_parse(struct gate *g, const char *text, struct err *e);

void gate_judge(const struct gate *g, const struct report *r, struct gate_verdict *v);

/* The i-th gate of the report, judged. One that cannot be parsed has failed. */
void gate_judge_at(const struct report *r, size_t i, struct gate_verdict *v);
