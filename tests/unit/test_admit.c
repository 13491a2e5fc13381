#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "server/admit.h"

static void every_view_has_its_verdict(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct admit_view view;
        enum verdict verdict;
    } rows[] = {
        {"an idle session runs its frame", {false, false}, VERDICT_RUN},
        {"a busy session keeps it", {true, false}, VERDICT_WAIT},
        {"the newest takes the place of the one that waits", {true, true}, VERDICT_REPLACE},
        {"also when no worker was free for the first", {false, true}, VERDICT_REPLACE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (admit_frame(&rows[i].view) != rows[i].verdict)
            fail_msg("not so: %s", rows[i].what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_view_has_its_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
