/* When a connection is over: again, or not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/reconnect.h"

static const struct row {
    const char *what;
    struct link_end end;
    int wanted, ever;
    enum reconnect_verdict verdict;
} rows[] = {
    {"nobody there: again", {.opened = false}, 1, 0, RECONNECT_RETRY},
    {"nobody there, for a script", {.opened = false}, 0, 0, RECONNECT_STOP_UNREACHABLE},
    {"nobody there any more", {.opened = false}, 1, 1, RECONNECT_RETRY},
    {"nobody there any more, for a script", {.opened = false}, 0, 1, RECONNECT_STOP_LOST},
    {"no such path", {.http_status = 404}, 1, 0, RECONNECT_STOP_UNREACHABLE},
    {"no such path any more", {.http_status = 404}, 1, 1, RECONNECT_STOP_UNREACHABLE},
    {"not authorized", {.http_status = 401}, 1, 0, RECONNECT_STOP_UNREACHABLE},
    {"a redirect", {.http_status = 302}, 1, 0, RECONNECT_STOP_UNREACHABLE},
    {"not ready", {.http_status = 503}, 1, 0, RECONNECT_RETRY},
    {"a bad certificate", {.refused_for_good = true}, 1, 0, RECONNECT_STOP_UNREACHABLE},
    {"broken", {.opened = true}, 1, 1, RECONNECT_RETRY},
    {"broken, for a script", {.opened = true}, 0, 1, RECONNECT_STOP_LOST},
    {"closed normally", {.opened = true, .close_code = 1000}, 1, 1, RECONNECT_STOP_LOST},
    {"shutting down", {.opened = true, .close_code = 1001}, 1, 1, RECONNECT_RETRY},
    {"shutting down, for a script",
     {.opened = true, .close_code = 1001},
     0,
     1,
     RECONNECT_STOP_LOST},
    {"1013, as libwebsockets tells it",
     {.opened = true, .close_code = 1002},
     1,
     1,
     RECONNECT_RETRY},
    {"too big", {.opened = true, .close_code = 1009}, 1, 1, RECONNECT_STOP_LOST},
    {"against the rules", {.opened = true, .close_code = 1008}, 1, 1, RECONNECT_STOP_LOST},
    {"an accident", {.opened = true, .close_code = 1011}, 1, 1, RECONNECT_RETRY},
    {"full", {.opened = true, .close_code = 1013}, 1, 1, RECONNECT_RETRY},
    {"an unknown code", {.opened = true, .close_code = 4000}, 1, 1, RECONNECT_RETRY},
    {"an error, then 1000",
     {.opened = true, .close_code = 1000, .told_error = true},
     1,
     1,
     RECONNECT_STOP_LOST},
    {"an error, then broken", {.opened = true, .told_error = true}, 1, 1, RECONNECT_STOP_LOST},
    {"an error, then 1013",
     {.opened = true, .close_code = 1013, .told_error = true},
     1,
     1,
     RECONNECT_RETRY},
    {"an error, then shutting down",
     {.opened = true, .close_code = 1001, .told_error = true},
     1,
     1,
     RECONNECT_RETRY},
};

static void every_ending_has_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (reconnect_decide(&rows[i].end, rows[i].wanted, rows[i].ever) != rows[i].verdict)
            fail_msg("%s", rows[i].what);
}

static void codes_have_a_meaning_or_none(void **state)
{
    (void)state;
    assert_string_equal(reconnect_code_text(1001), "going away");
    assert_string_equal(reconnect_code_text(4711), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ending_has_its_verdict),
        cmocka_unit_test(codes_have_a_meaning_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
