/* What people see: the status line and the summary. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "cli/status.h"
#include "cli/summary.h"

static const struct status_view view = {
    .fps_now = 14.96,
    .fps_wanted = 30,
    .p50_us = 4100,
    .p99_us = 9800,
    .drop_rate = 0.0123,
    .state = "slowed",
    .mood = STATUS_UNEASY,
};

static const char *line(unsigned columns, bool color)
{
    static char bytes[512];
    struct text t = text_fixed(bytes, sizeof bytes);
    status_format(&t, &view, columns, color);
    return bytes;
}

static void the_line_tells_all_there_is_to_know(void **state)
{
    (void)state;
    assert_string_equal(line(0, false), "slowed  15.0/30.0 fps [#####.....]  latency p50 4.1 p99 "
                                        "9.8 ms  drops 1.2 %");
}

static void a_narrow_terminal_cuts_the_line(void **state)
{
    (void)state;
    for (unsigned columns = 1; columns < 100; columns++)
        assert_true(strlen(line(columns, false)) <= columns);
    assert_string_equal(line(3, false), "slo");
}

static void color_is_put_around_the_state_only(void **state)
{
    (void)state;
    assert_string_equal(line(10, true), "\033[33mslowed\033[0m  15");
    assert_null(strchr(line(0, false), '\033'));
}

static void the_bar_never_leaves_its_brackets(void **state)
{
    static const double now[] = {0, 1, 29, 30, 31, 1000};
    char bytes[512];
    (void)state;
    for (size_t i = 0; i < sizeof now / sizeof now[0]; i++) {
        struct text t = text_fixed(bytes, sizeof bytes);
        struct status_view v = view;
        v.fps_now = now[i];
        status_format(&t, &v, 0, false);
        assert_int_equal(strchr(bytes, ']') - strchr(bytes, '['), 11);
    }
}

static void the_summary_fits_ten_lines(void **state)
{
    static struct tally t;
    char bytes[4096];
    struct text text = text_fixed(bytes, sizeof bytes);
    struct output_end end = {
        .tally = &t, .reason = "source_ended", .duration_s = 2, .budget_us = 37000};
    size_t lines = 0;
    (void)state;
    t.ledger = (struct ledger){.read = 60, .paced_out = 30, .sent = 30};
    t.slow_downs = 1;
    for (int i = 0; i < 30; i++)
        tally_answer(&t, 4000, 5000, 1000);
    t.late = 3;
    summary_format(&text, &end, "test:", "ws://box:8000/ws/video/stream");
    for (const char *c = bytes; *c; c++)
        lines += *c == '\n';
    assert_in_range(lines, 4, 10);
    assert_non_null(strstr(bytes, "test: -> ws://box:8000/ws/video/stream, 2.0 s: the source is "
                                  "over\n"));
    assert_non_null(strstr(bytes, "sent      30 (15.0/s): answered 30, dropped 0, unanswered 0"));
    assert_non_null(strstr(bytes, "90.0 % of the answers within 37 ms"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_tells_all_there_is_to_know),
        cmocka_unit_test(a_narrow_terminal_cuts_the_line),
        cmocka_unit_test(color_is_put_around_the_state_only),
        cmocka_unit_test(the_bar_never_leaves_its_brackets),
        cmocka_unit_test(the_summary_fits_ten_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
