#include "loadgen/gate.h"

#include <stdio.h>
#include <string.h>

#define WARN "warn:"

const char *const gate_defaults[] = {"latency.p99<37ms", "drop_rate<=10%", "failed_sessions==0",
                                     NULL};

static const char *const op_names[] = {[GATE_LT] = "<",  [GATE_LE] = "<=", [GATE_GT] = ">",
                                       [GATE_GE] = ">=", [GATE_EQ] = "==", [GATE_NE] = "!="};

/* The longest operator that stands there. */
static bool read_op(const char *text, enum gate_op *op, size_t *length)
{
    *length = 0;
    for (size_t i = 0; i < sizeof op_names / sizeof op_names[0]; i++) {
        size_t n = strlen(op_names[i]);
        if (n > *length && strncmp(text, op_names[i], n) == 0) {
            *op = (enum gate_op)i;
            *length = n;
        }
    }
    return *length > 0;
}

static const char *skip_spaces(const char *text)
{
    return text + strspn(text, " \t");
}

static int read_metric(struct gate *g, const char *text, size_t n, struct err *e)
{
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    if (n == 0 || n >= sizeof g->metric)
        return err_set(e, EXIT_USAGE, "no metric's name is that %s", n ? "long" : "short");
    memcpy(g->metric, text, n);
    g->metric[n] = '\0';
    return 0;
}

static int read_gate(struct gate *g, const char *text, struct err *e)
{
    struct metric m = {0};
    size_t length;
    const char *name = skip_spaces(text);
    if (strncmp(name, WARN, strlen(WARN)) == 0) {
        g->warn = true;
        name = skip_spaces(name + strlen(WARN));
    }
    size_t n = strcspn(name, "<>=!");
    if (!read_op(name + n, &g->op, &length))
        return err_set(e, EXIT_USAGE,
                       "METRIC, one of < <= > >= == !=, VALUE, as in "
                       "latency.p99<37ms");
    int rc = read_metric(g, name, n, e);
    if (rc == 0)
        rc = metric_check(g->metric, &m, e);
    if (rc < 0)
        return rc;
    g->unit = m.unit;
    return metric_parse_value(skip_spaces(name + n + length), m.unit, &g->limit, e);
}

int gate_parse(struct gate *g, const char *text, struct err *e)
{
    struct err why = {0};
    *g = (struct gate){0};
    if (read_gate(g, text, &why) == 0)
        return 0;
    return err_set(e, EXIT_USAGE, "gate '%.100s': %.300s", text, why.text);
}

static bool holds(enum gate_op op, double value, double limit)
{
    switch (op) {
    case GATE_LT:
        return value < limit;
    case GATE_LE:
        return value <= limit;
    case GATE_GT:
        return value > limit;
    case GATE_GE:
        return value >= limit;
    case GATE_EQ:
        return value >= limit && value <= limit;
    case GATE_NE:
        return value < limit || value > limit;
    }
    return false;
}

static void explain(const struct gate *g, struct gate_verdict *v, bool passed)
{
    char measured[64], limit[64];
    struct text m = text_fixed(measured, sizeof measured), l = text_fixed(limit, sizeof limit);
    metric_format(&m, v->measured.value, g->unit);
    metric_format(&l, g->limit, g->unit);
    snprintf(v->why, sizeof v->why, "%s is %s, %s%s %s", g->metric, measured, passed ? "" : "not ",
             op_names[g->op], limit);
}

void gate_judge(const struct gate *g, const struct report *r, struct gate_verdict *v)
{
    struct err why = {0};
    bool passed = false;
    *v = (struct gate_verdict){0};
    if (metric_read(r, g->metric, &v->measured, &why) < 0) {
        snprintf(v->why, sizeof v->why, "%.200s", why.text);
    } else if (!v->measured.has_data) {
        snprintf(v->why, sizeof v->why, "%s: no data", g->metric);
    } else {
        passed = holds(g->op, v->measured.value, g->limit);
        explain(g, v, passed);
    }
    v->outcome = passed ? GATE_PASSED : g->warn ? GATE_WARNED : GATE_FAILED;
}

void gate_judge_at(const struct report *r, size_t i, struct gate_verdict *v)
{
    struct gate g;
    struct err why = {0};
    if (gate_parse(&g, r->gate[i], &why) == 0) {
        gate_judge(&g, r, v);
        return;
    }
    *v = (struct gate_verdict){.outcome = GATE_FAILED};
    snprintf(v->why, sizeof v->why, "%.200s", why.text);
}
