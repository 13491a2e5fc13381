/* Names of metrics, gates over them, and whether a run was valid. */
#include "loadgen/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "loadgen/validity.h"
#include "loadgen/verdict.h"

/* 100 frames due in 10 s: 90 answered at 1..90 ms, 6 dropped, 4 unanswered. */
static void fill(struct report *r)
{
    struct report_profile one = {.name = "480p.a", .weight = 1, .fps_milli = 10000};
    struct report_profile two = {.name = "empty", .weight = 1, .fps_milli = 10000};
    struct report_generator g = {.host = "h",
                                 .segment = 1,
                                 .n_segments = 1,
                                 .sessions_asked = 5,
                                 .sessions_achieved = 5,
                                 .run_us = 10000000,
                                 .wait = "sleep"};
    *r = (struct report){
        .duration_us = 12000000, .warmup_us = 2000000, .budget_us = 37000, .ended = strdup("done")};
    assert_int_equal(record_init(&r->record, 2), 0);
    assert_int_equal(report_add_profile(r, &one) | report_add_profile(r, &two), 0);
    assert_int_equal(report_add_generator(r, &g), 0);
    struct record_part *p = &r->record.part[0];
    for (uint64_t ms = 1; ms <= 90; ms++)
        hist_add(&p->time[RECORD_LATENCY], ms * 1000);
    for (int i = 0; i < 100; i++)
        hist_add(&p->time[RECORD_SLIP], 100);
    p->count[RECORD_DUE] = p->count[RECORD_SENT] = 100;
    p->count[RECORD_ANSWERED] = 90;
    p->count[RECORD_LATE] = 53;
    p->count[RECORD_DROPPED] = 6;
    p->count[RECORD_UNANSWERED] = 4;
    p->count[RECORD_CONNECTS] = 5;
}

static void metrics_are_found_by_name(void **state)
{
    static const struct {
        const char *name;
        double value;
    } rows[] = {
        {"latency.max", INFINITY},   {"latency.p99", INFINITY},
        {"latency.p50", 47000},      {"latency.count", 90},
        {"latency.min", 1000},       {"slip.p99", 100},
        {"drop_rate", 0.10},         {"budget_miss", 57.0 / 94},
        {"answered_fps", 9},         {"due", 100},
        {"failed_sessions", 0},      {"sessions", 5},
        {"profile:480p.a.due", 100}, {"profile:480p.a.slip.p50", 100},
        {"profile:empty.due", 0},
    };
    struct report r;
    struct err e;
    (void)state;
    fill(&r);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct metric m;
        if (metric_read(&r, rows[i].name, &m, &e) < 0 || !m.has_data)
            fail_msg("%s: %s", rows[i].name, e.text);
        double off = isinf(rows[i].value) ? !isinf(m.value) : fabs(m.value - rows[i].value);
        if (off > fabs(rows[i].value) * 0.033) /* a bucket's width */
            fail_msg("%s is %g, not %g", rows[i].name, m.value, rows[i].value);
    }
    report_deinit(&r);
}

static void every_metric_of_the_list_is_one(void **state)
{
    size_t n = 0;
    struct metric m;
    struct err e;
    (void)state;
    for (const char *name; (name = metric_name(n)); n++) {
        assert_int_equal(metric_check(name, &m, &e), 0);
    }
    assert_true(n > 40);
}

static void unknown_metrics_are_named(void **state)
{
    static const struct {
        const char *name, *told;
    } rows[] = {
        {"latncy.p99", "latncy"},        {"drop_rat", "drop_rate"},
        {"latency", "latency.p99"},      {"latency.p101", "p101"},
        {"latency.p", "latency.p"},      {"", "no metric"},
        {"profile:a.nope", "nope"},      {"profile:a", "'a'"},
        {"profile:a.fairness", "whole"}, {"latency.p99.9x", "no metric"},
    };
    struct metric m;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err e = {0};
        if (metric_check(rows[i].name, &m, &e) != -EXIT_USAGE || !strstr(e.text, rows[i].told))
            fail_msg("'%s': '%s'", rows[i].name, e.text);
    }
}

static void a_profile_that_is_not_there_is_named(void **state)
{
    struct report r;
    struct metric m;
    struct err e = {0};
    (void)state;
    fill(&r);
    assert_int_equal(metric_read(&r, "profile:nope.due", &m, &e), -EXIT_USAGE);
    assert_non_null(strstr(e.text, "nope"));
    report_deinit(&r);
}

static void gates_hold_or_not(void **state)
{
    static const struct {
        const char *gate;
        enum gate_outcome outcome;
        const char *told;
    } rows[] = {
        {"latency.p50<48ms", GATE_PASSED, "p50"},
        {"latency.p50<46ms", GATE_FAILED, "not < 46.0 ms"},
        {" latency.p50 <= 48ms", GATE_PASSED, "<="},
        {"latency.p99<37ms", GATE_FAILED, "never"},
        {"latency.max<500ms", GATE_FAILED, "never"},
        {"warn:latency.p99<37ms", GATE_WARNED, "never"},
        {"drop_rate<=10%", GATE_PASSED, "10.00 %"},
        {"drop_rate<=0.1", GATE_PASSED, "10.00 %"},
        {"drop_rate<10%", GATE_FAILED, "10.00 %"},
        {"due==100", GATE_PASSED, "100"},
        {"due!=100", GATE_FAILED, "100"},
        {"answered>=90", GATE_PASSED, "90"},
        {"answered>90", GATE_FAILED, "90"},
        {"answered_fps>8.9", GATE_PASSED, "9.0/s"},
        {"failed_sessions==0", GATE_PASSED, "0"},
        {"profile:480p.a.due==100", GATE_PASSED, "100"},
        {"tls.p99<1s", GATE_FAILED, "no data"},
        {"profile:empty.latency.p99<37ms", GATE_FAILED, "no data"},
        {"profile:empty.drop_rate<1%", GATE_FAILED, "no data"},
        {"profile:nope.due==1", GATE_FAILED, "nope"},
    };
    struct report r;
    (void)state;
    fill(&r);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gate g;
        struct gate_verdict v;
        struct err e;
        if (gate_parse(&g, rows[i].gate, &e) < 0)
            fail_msg("%s: %s", rows[i].gate, e.text);
        gate_judge(&g, &r, &v);
        if (v.outcome != rows[i].outcome || !strstr(v.why, rows[i].told))
            fail_msg("%s: %d, %s", rows[i].gate, v.outcome, v.why);
    }
    report_deinit(&r);
}

static void wrong_gates_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "latency.p99",
        "latency.p99<",
        "latency.p99<37",
        "<37ms",
        "nope<1",
        "latency.p99=37ms",
        "latency.p99<37 m",
        "drop_rate<1ms",
        "due<x",
        "due<1<2",
        "warn:",
        "latency.p99!37ms",
        "drop_rate<=10%%",
        "due<inf",
        "due==nan",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct gate g;
        struct err e = {0};
        if (gate_parse(&g, wrong[i], &e) != -EXIT_USAGE || !strstr(e.text, "gate"))
            fail_msg("'%s' was taken", wrong[i]);
    }
}

static void the_default_gates_are_gates(void **state)
{
    (void)state;
    for (size_t i = 0; gate_defaults[i]; i++) {
        struct gate g;
        struct err e;
        assert_int_equal(gate_parse(&g, gate_defaults[i], &e), 0);
    }
}

/* --- validity --- */

struct change {
    const char *finding; /* NULL: still valid */
    void (*make)(struct report *r);
};

static void slip_more(struct report *r)
{
    for (int i = 0; i < 2; i++)
        hist_add(&r->record.part[0].time[RECORD_SLIP], 2200);
}

static void slip_once(struct report *r)
{
    hist_add(&r->record.part[0].time[RECORD_SLIP], 900000);
}

static void leave_unsent(struct report *r)
{
    r->record.part[0].count[RECORD_UNSENT] = 1;
}

static void lose_a_session(struct report *r)
{
    r->generator[0].sessions_achieved--;
}

static void saturate(struct report *r)
{
    r->generator[0].busiest_cpu_us = 9100000;
}

static void spin(struct report *r)
{
    saturate(r);
    strcpy(r->generator[0].wait, "spin");
}

static void queue_up(struct report *r)
{
    r->generator[0].run_queue_us = 510000;
}

static void interrupt(struct report *r)
{
    free(r->ended);
    r->ended = strdup("interrupted");
}

static void send_nothing(struct report *r)
{
    r->record.part[0].count[RECORD_DUE] = 0;
}

static void nothing(struct report *r)
{
    (void)r;
}

static void what_makes_a_run_invalid(void **state)
{
    static const struct change changes[] = {
        {NULL, nothing},
        {"slip", slip_more},
        {NULL, slip_once},
        {"unsent", leave_unsent},
        {"sessions", lose_a_session},
        {"cpu", saturate},
        {NULL, spin},
        {"run_queue", queue_up},
        {"interrupted", interrupt},
        {"empty", send_nothing},
    };
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct report r;
        struct validity v;
        fill(&r);
        changes[i].make(&r);
        validity_judge(&r, &v);
        if (v.n != (changes[i].finding != NULL))
            fail_msg("%zu: %zu findings, %s", i, v.n, v.n ? v.finding[0].text : "");
        if (v.n)
            assert_string_equal(v.finding[0].name, changes[i].finding);
        report_deinit(&r);
    }
}

static void invalid_comes_before_failed(void **state)
{
    struct report r;
    (void)state;
    fill(&r);
    assert_int_equal(report_add_gate(&r, "due==100"), 0);
    assert_int_equal(verdict_of(&r), EXIT_DONE);
    assert_int_equal(report_add_gate(&r, "warn:due==1"), 0);
    assert_int_equal(verdict_of(&r), EXIT_DONE);
    assert_int_equal(report_add_gate(&r, "due==1"), 0);
    assert_int_equal(verdict_of(&r), EXIT_GATE);
    saturate(&r);
    assert_int_equal(verdict_of(&r), EXIT_INVALID);
    report_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_found_by_name),
        cmocka_unit_test(every_metric_of_the_list_is_one),
        cmocka_unit_test(unknown_metrics_are_named),
        cmocka_unit_test(a_profile_that_is_not_there_is_named),
        cmocka_unit_test(gates_hold_or_not),
        cmocka_unit_test(wrong_gates_are_refused),
        cmocka_unit_test(the_default_gates_are_gates),
        cmocka_unit_test(what_makes_a_run_invalid),
        cmocka_unit_test(invalid_comes_before_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
