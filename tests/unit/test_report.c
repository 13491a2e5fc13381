/* A report: to JSON and back, merged, refused; and the outputs that are made of it. */
#include "loadgen/report_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "loadgen/outputs.h"
#include "tests/sim/sample_report.h"

#define TEXT_MAX ((size_t)1 << 26)

static struct text json_of(const struct report *r)
{
    struct text t = text_heap(TEXT_MAX);
    report_json_write(&t, r);
    assert_false(t.cut);
    return t;
}

static void what_is_written_is_read(void **state)
{
    struct report a, b;
    struct err e;
    (void)state;
    sample_report(&a, 7, 20, 12);
    struct text one = json_of(&a);
    assert_int_equal(report_json_read(&b, one.data, one.len, &e), 0);
    struct text two = json_of(&b);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    text_deinit(&one);
    text_deinit(&two);
    report_deinit(&a);
    report_deinit(&b);
}

/* A byte that is not UTF-8, in a text that would grow past its room when written again; and words
 * that are none of those a report knows. */
static void strange_texts_are_refused(void **state)
{
    static const struct {
        const char *was, *is;
    } rows[] = {{"\"wait\":\"sleep\"", "\"wait\":\"s\xffp\""},
                {"\"wait\":\"sleep\"", "\"wait\":\"steep\""},
                {"\"ended\":\"done\"", "\"ended\":\"gone\""}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct report a, b;
        sample_report(&a, 7, 4, 1);
        struct text t = json_of(&a);
        char *at = strstr(t.data, rows[i].was);
        assert_non_null(at);
        memset(at, ' ', strlen(rows[i].was));
        memcpy(at, rows[i].is, strlen(rows[i].is));
        assert_int_equal(report_json_read(&b, t.data, t.len, NULL), -EXIT_USAGE);
        report_deinit(&b);
        text_deinit(&t);
        report_deinit(&a);
    }
}

/* Every prefix of a report, and every report with a byte changed, is refused or read, and
 * nothing worse. */
static void damage_is_refused(void **state)
{
    struct report a, b;
    (void)state;
    sample_report(&a, 7, 4, 1);
    struct text t = json_of(&a);
    size_t refused = 0, tried = 0;
    for (size_t n = 0; n < t.len - 2; n += 13, tried++) {
        refused += report_json_read(&b, t.data, n, NULL) < 0;
        report_deinit(&b);
    }
    assert_int_equal(refused, tried);
    for (size_t i = 0; i < t.len; i += 7) {
        char was = t.data[i];
        t.data[i] = '9';
        report_json_read(&b, t.data, t.len, NULL);
        report_deinit(&b);
        t.data[i] = was;
    }
    text_deinit(&t);
    report_deinit(&a);
}

static void replace(struct text *t, const char *from, const char *to)
{
    char *at = strstr(t->data, from);
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *from, *to, *told;
    } rows[] = {
        {"streamload-report/1", "streamload-report/2", "schema"},
        {"\"duration_us\":3", "\"duration_us\":x", "JSON"},
        {"\"budget_us\"", "\"budget_xx\"", "budget_us"},
        {"\"n_segments\":1", "\"n_segments\":x", "JSON"},
        {"\"share_sum\":\"", "\"share_sum\":\"", NULL},
        {"\"buckets\":[[", "\"buckxts\":[[", "buckets"},
        {"\"host\":\"example\"", "\"hxst\":\"example\"", "host"},
        {"{\"counts\":{\"due\":", "{\"counts\":{\"dux\":", "due"},
    };
    struct report a, b;
    (void)state;
    sample_report(&a, 7, 4, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err e = {0};
        struct text t = json_of(&a);
        replace(&t, rows[i].from, rows[i].to);
        int rc = report_json_read(&b, t.data, t.len, &e);
        if ((rc == 0) != (rows[i].told == NULL) || (rc < 0 && !strstr(e.text, rows[i].told)))
            fail_msg("%s: '%s'", rows[i].to, e.text);
        report_deinit(&b);
        text_deinit(&t);
    }
    report_deinit(&a);
}

/* --- merging --- */

static void set_segment(struct report *r, uint32_t i, uint32_t n)
{
    r->generator[0].segment = i;
    r->generator[0].n_segments = n;
}

static void segments_add_up(void **state)
{
    struct report a, b;
    struct err e;
    (void)state;
    sample_report(&a, 1, 10, 5);
    sample_report(&b, 2, 10, 7);
    set_segment(&a, 1, 2);
    set_segment(&b, 2, 2);
    uint64_t due = a.record.part[1].count[RECORD_DUE] + b.record.part[1].count[RECORD_DUE];
    uint64_t n =
        a.record.part[0].time[RECORD_LATENCY].count + b.record.part[0].time[RECORD_LATENCY].count;
    assert_int_equal(report_merge(&a, &b, &e), 0);
    assert_int_equal(a.record.part[1].count[RECORD_DUE], due);
    assert_int_equal(a.record.part[0].time[RECORD_LATENCY].count, n);
    assert_int_equal(a.n_generators, 2);
    assert_int_equal(a.record.n_seconds, 7);
    assert_int_equal(a.duration_us, 7000000);
    report_deinit(&a);
    report_deinit(&b);
}

static void unlike_runs_are_not_merged(void **state)
{
    struct report a, b;
    struct err e = {0};
    (void)state;
    sample_report(&a, 1, 10, 5);
    sample_report(&b, 2, 10, 5);
    assert_int_equal(report_merge(&a, &b, &e), -EXIT_USAGE);
    assert_non_null(strstr(e.text, "segment 1/1"));
    set_segment(&a, 1, 2);
    set_segment(&b, 2, 3);
    assert_int_equal(report_merge(&a, &b, &e), -EXIT_USAGE);
    set_segment(&b, 2, 2);
    assert_int_equal(report_add_setting(&b, "fps", "60"), 0);
    assert_int_equal(report_merge(&a, &b, &e), -EXIT_USAGE);
    assert_non_null(strstr(e.text, "fps"));
    report_deinit(&a);
    report_deinit(&b);
}

/* --- outputs --- */

static struct text made(void (*write_it)(struct text *, const struct report *),
                        const struct report *r)
{
    struct text t = text_heap(TEXT_MAX);
    write_it(&t, r);
    assert_false(t.cut);
    text_add_char(&t, '\0');
    return t;
}

static size_t occurrences(const char *in, const char *what)
{
    size_t n = 0;
    for (const char *at = in; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static void junit_has_a_case_per_gate(void **state)
{
    struct report r;
    (void)state;
    sample_report(&r, 3, 10, 9);
    assert_int_equal(report_add_gate(&r, "profile:<\"&>.due==\x01"), 0);
    struct text t = made(junit_write, &r);
    assert_int_equal(occurrences(t.data, "<testcase"), r.n_gates + 1);
    assert_int_equal(occurrences(t.data, "<failure"), 3); /* p99 and max have missing frames */
    assert_non_null(strstr(t.data, "profile:&lt;&quot;&amp;&gt;.due==?"));
    assert_null(strstr(t.data, "<error"));
    text_deinit(&t);
    r.generator[0].sessions_achieved--;
    t = made(junit_write, &r);
    assert_int_equal(occurrences(t.data, "<error"), 1);
    text_deinit(&t);
    report_deinit(&r);
}

static void csv_has_a_line_per_second(void **state)
{
    struct report r;
    (void)state;
    sample_report(&r, 3, 10, 9);
    r.warmup_us = 2000000;
    struct text t = made(csv_write, &r);
    assert_int_equal(occurrences(t.data, "\r\n"), 10);
    assert_non_null(strstr(t.data, "\r\n0,1,10,200,200,"));
    assert_non_null(strstr(t.data, "\r\n2,0,10,200,200,"));
    text_deinit(&t);
    report_deinit(&r);
}

static void prom_counts_the_budget_exactly(void **state)
{
    struct report r;
    char line[160];
    (void)state;
    sample_report(&r, 3, 10, 9);
    const struct record_part *p = &r.record.part[0];
    struct text t = made(prom_write, &r);
    snprintf(line, sizeof line, "_bucket{profile=\"1080p30\",le=\"0.037\"} %llu\n",
             (unsigned long long)(p->count[RECORD_ANSWERED] - p->count[RECORD_LATE]));
    assert_non_null(strstr(t.data, line));
    snprintf(line, sizeof line, "_bucket{profile=\"1080p30\",le=\"+Inf\"} %llu\n",
             (unsigned long long)p->count[RECORD_ANSWERED]);
    assert_non_null(strstr(t.data, line));
    assert_int_equal(occurrences(t.data, "streamload_gate_passed{"), r.n_gates);
    text_deinit(&t);
    report_deinit(&r);
}

static void tags_are_in_every_output(void **state)
{
    static void (*const writers[])(struct text *, const struct report *) = {
        junit_write, markdown_write, prom_write, html_write, report_json_write};
    struct report r;
    (void)state;
    sample_report(&r, 3, 10, 2);
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        struct text t = made(writers[i], &r);
        assert_true(strstr(t.data, "hd=1") ||
                    strstr(t.data, "{profile=\"1080p30\",tag_hd=\"1\"} 1"));
        text_deinit(&t);
    }
    report_deinit(&r);
}

static void annotations_are_escaped_and_few(void **state)
{
    struct report r;
    (void)state;
    sample_report(&r, 3, 10, 9);
    for (int i = 0; i < 20; i++)
        assert_int_equal(report_add_gate(&r, "drop_rate<=0.1%"), 0);
    struct text t = made(annotations_write, &r);
    assert_int_equal(occurrences(t.data, "::error "), 10);
    assert_non_null(strstr(t.data, "%25"));
    text_deinit(&t);
    report_deinit(&r);
}

static void markdown_begins_with_the_verdict(void **state)
{
    struct report r;
    (void)state;
    sample_report(&r, 3, 10, 9);
    struct text t = made(markdown_write, &r);
    assert_memory_equal(t.data, "### streamload: failed\n", 23);
    assert_int_equal(occurrences(t.data, "❌"), 2);
    text_deinit(&t);
    report_deinit(&r);
}

static void the_summary_fits_a_screen(void **state)
{
    struct report r;
    struct text t = text_heap(TEXT_MAX);
    (void)state;
    sample_report(&r, 3, 10, 9);
    summary_write(&t, &r, false);
    assert_true(occurrences(text_str(&t), "\n") <= 40);
    assert_non_null(strstr(text_str(&t), "FAILED"));
    assert_null(strstr(text_str(&t), "\033"));
    text_deinit(&t);
    report_deinit(&r);
}

static void plain_summary_write(struct text *out, const struct report *r)
{
    summary_write(out, r, false);
}

/* As the gate on latency.max has it; and a row of nothing but those is a row, too. */
static void an_answer_that_never_came_is_the_longest_everywhere(void **state)
{
    static void (*const writers[])(struct text *, const struct report *) = {
        markdown_write, html_write, plain_summary_write};
    struct report r;
    (void)state;
    sample_report(&r, 3, 10, 9);
    r.record.part[0].count[RECORD_UNANSWERED] = 1;
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
            struct text t = made(writers[i], &r);
            const char *row = strstr(t.data, "sent to answer");
            assert_non_null(row);
            const char *end = strchr(row, '\n'), *never = strstr(row, "never");
            assert_true(never && never < end);
            text_deinit(&t);
        }
        memset(r.record.part[0].time, 0, sizeof r.record.part[0].time);
        memset(r.record.part[1].time, 0, sizeof r.record.part[1].time);
    }
    report_deinit(&r);
}

static void an_empty_report_breaks_no_output(void **state)
{
    static void (*const writers[])(struct text *, const struct report *) = {
        junit_write, markdown_write, annotations_write, csv_write,
        prom_write,  hdr_write,      html_write,        report_json_write};
    struct report r;
    (void)state;
    sample_report(&r, 1, 1, 1);
    record_deinit(&r.record);
    assert_int_equal(record_init(&r.record, 2), 0);
    r.n_generators = 0;
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        struct text t = made(writers[i], &r);
        assert_null(strstr(t.data, " nan"));
        assert_null(strstr(t.data, ",nan"));
        assert_null(strstr(t.data, "-nan"));
        text_deinit(&t);
    }
    report_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(strange_texts_are_refused),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(segments_add_up),
        cmocka_unit_test(unlike_runs_are_not_merged),
        cmocka_unit_test(junit_has_a_case_per_gate),
        cmocka_unit_test(csv_has_a_line_per_second),
        cmocka_unit_test(prom_counts_the_budget_exactly),
        cmocka_unit_test(tags_are_in_every_output),
        cmocka_unit_test(annotations_are_escaped_and_few),
        cmocka_unit_test(markdown_begins_with_the_verdict),
        cmocka_unit_test(the_summary_fits_a_screen),
        cmocka_unit_test(an_answer_that_never_came_is_the_longest_everywhere),
        cmocka_unit_test(an_empty_report_breaks_no_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
