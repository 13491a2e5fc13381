#include "loadgen/live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "loadgen/calibrate.h"

static const struct live_view view = {
    .elapsed_us = 15000000,
    .duration_us = 30000000,
    .sessions = 50,
    .sessions_wanted = 50,
    .answered_per_s = 1490.2,
    .answered = 950,
    .dropped = 40,
    .missing = 10,
    .slow_downs = 2,
    .p50_us = 8100,
    .p99_us = 21300,
    .budget_us = 37000,
};

static void a_line_says_how_it_goes(void **state)
{
    char bytes[512];
    struct text t = text_fixed(bytes, sizeof bytes);
    (void)state;
    live_format(&t, &view, 0, false);
    assert_string_equal(bytes,
                        "[######......] 15/30 s  50 sessions  1490 fps  p50 8.1 p99 21.3 ms  "
                        "drops 5.0 %  slow-downs 2");
}

static void it_fits_the_terminal(void **state)
{
    char bytes[512];
    struct text t = text_fixed(bytes, sizeof bytes);
    (void)state;
    live_format(&t, &view, 20, false);
    assert_string_equal(bytes, "[######......] 15/30");
    text_clear(&t);
    live_format(&t, &view, 10, true);
    assert_string_equal(bytes, "\033[32m[######...\033[0m");
}

static void connecting_is_told(void **state)
{
    char bytes[512];
    struct text t = text_fixed(bytes, sizeof bytes);
    struct live_view v = view;
    (void)state;
    v.connecting = true;
    v.sessions = 7;
    live_format(&t, &v, 0, false);
    assert_string_equal(bytes, "connecting: 7 of 50 sessions");
}

static void spinning_needs_processors_to_spare(void **state)
{
    (void)state;
    assert_false(calibrate_wants_spin(WAIT_AUTO, 100, 1, 8));
    assert_true(calibrate_wants_spin(WAIT_AUTO, 900, 1, 8));
    assert_false(calibrate_wants_spin(WAIT_AUTO, 900, 1, 2));
    assert_false(calibrate_wants_spin(WAIT_AUTO, 900, 7, 8));
    assert_true(calibrate_wants_spin(WAIT_SPIN, 0, 8, 1));
    assert_false(calibrate_wants_spin(WAIT_SLEEP, 9000, 1, 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_how_it_goes),
        cmocka_unit_test(it_fits_the_terminal),
        cmocka_unit_test(connecting_is_told),
        cmocka_unit_test(spinning_needs_processors_to_spare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
