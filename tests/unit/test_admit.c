#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "server/admit.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define LATEST  POLICY_LATEST
#define STRICT  POLICY_STRICT
#define PHASE17 POLICY_PHASE17

static void every_view_has_its_verdict(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        enum policy policy;
        struct admit_view view;
        enum verdict verdict;
    } rows[] = {
        {"an idle session runs its frame", LATEST, {false, false, 0, 0}, VERDICT_RUN},
        {"a busy session keeps it", LATEST, {true, false, 9, 0}, VERDICT_WAIT},
        {"the newest replaces what waits", LATEST, {true, true, 9, 0}, VERDICT_REPLACE},
        {"also when no worker was free", LATEST, {false, true, 9, 0}, VERDICT_REPLACE},
        {"no past keeps a frame out", LATEST, {false, false, 9, 9}, VERDICT_RUN},
        {"not of a busy session either", LATEST, {true, false, 9, 9}, VERDICT_WAIT},

        {"strict runs what finds it idle", STRICT, {false, false, 9, 9}, VERDICT_RUN},
        {"strict has no room beside work", STRICT, {true, false, 9, 0}, VERDICT_BUSY},
        {"strict does not replace", STRICT, {false, true, 9, 0}, VERDICT_BUSY},
        {"strict has no second place", STRICT, {true, true, 9, 0}, VERDICT_BUSY},

        {"phase17 runs the first", PHASE17, {false, false, 0, 0}, VERDICT_RUN},
        {"one of ten is not above 0.10", PHASE17, {false, false, 10, 1}, VERDICT_RUN},
        {"one of nine is", PHASE17, {false, false, 9, 1}, VERDICT_RATE},
        {"one of one is", PHASE17, {false, false, 1, 1}, VERDICT_RATE},
        {"the rate comes before the room", PHASE17, {true, false, 9, 1}, VERDICT_RATE},
        {"also before a full one", PHASE17, {true, true, 9, 1}, VERDICT_RATE},
        {"below it, busy is as ever", PHASE17, {true, false, 10, 1}, VERDICT_WAIT},
        {"and so is full", PHASE17, {true, true, 10, 1}, VERDICT_REPLACE},
        {"large numbers do not round", PHASE17, {false, false, 10000000, 1000000}, VERDICT_RUN},
        {"not by one", PHASE17, {false, false, 10000000, 1000001}, VERDICT_RATE},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct admit_rule rule = {.policy = rows[i].policy, .drop_threshold = 0.10};
        if (admit_frame(&rule, &rows[i].view) != rows[i].verdict)
            fail_msg("not so: %s", rows[i].what);
    }
}

static void the_threshold_of_phase17_is_the_callers(void **state)
{
    (void)state;
    static const struct {
        double threshold;
        uint64_t received, dropped;
        enum verdict verdict;
    } rows[] = {
        {0, 100, 0, VERDICT_RUN},     {0, 1000000, 1, VERDICT_RATE}, {0.5, 2, 1, VERDICT_RUN},
        {0.5, 3, 2, VERDICT_RATE},    {1, 5, 5, VERDICT_RUN},        {0.25, 4, 1, VERDICT_RUN},
        {0.25, 40, 11, VERDICT_RATE},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct admit_rule rule = {.policy = PHASE17, .drop_threshold = rows[i].threshold};
        struct admit_view view = {.received = rows[i].received, .dropped = rows[i].dropped};
        if (admit_frame(&rule, &view) != rows[i].verdict)
            fail_msg("%g: %u of %u", rows[i].threshold, (unsigned)rows[i].dropped,
                     (unsigned)rows[i].received);
    }
}

static void the_budget_does_not_matter_before_a_worker_is_there(void **state)
{
    (void)state;
    for (unsigned p = LATEST; p <= PHASE17; p++) {
        for (unsigned busy = 0; busy < 4; busy++) {
            struct admit_view view = {.in_work = busy & 1, .waiting = busy & 2, .received = 9};
            struct admit_rule off = {.policy = (enum policy)p, .drop_threshold = 0.10};
            struct admit_rule tight = off;
            tight.budget_us = 1;
            assert_int_equal(admit_frame(&off, &view), admit_frame(&tight, &view));
        }
    }
}

static void at_pick_up_only_a_frame_that_a_fresh_one_would_beat_is_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        enum policy policy;
        uint64_t budget_us, age_us, expected_us;
        bool runs;
    } rows[] = {
        {"fresh, nothing known", LATEST, 37000, 0, 0, true},
        {"exactly in time", LATEST, 37000, 7000, 30000, true},
        {"a microsecond late", LATEST, 37000, 7001, 30000, false},
        {"old, nothing known", LATEST, 37000, 37000, 0, true},
        {"too old, nothing known", LATEST, 37000, 37001, 0, false},
        {"a pipeline as long as the budget", LATEST, 37000, 0, 37000, true},
        {"which leaves no time to wait", LATEST, 37000, 1, 37000, false},
        {"a pipeline that is always late", LATEST, 37000, 0, 37001, true},
        {"and so at any age", LATEST, 37000, 10000000, 37001, true},
        {"no budget, no lateness", LATEST, 0, 1u << 31, 1000, true},
        {"strict keeps to the budget too", STRICT, 37000, 7001, 30000, false},
        {"strict, in time", STRICT, 37000, 7000, 30000, true},
        {"strict, always late", STRICT, 37000, 7000, 40000, true},
        {"phase17 never looks", PHASE17, 37000, 10000000, 1000, true},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct admit_rule rule = {.policy = rows[i].policy, .budget_us = rows[i].budget_us};
        struct pickup_view view = {.age_us = rows[i].age_us, .expected_us = rows[i].expected_us};
        if (admit_pickup(&rule, &view) != rows[i].runs)
            fail_msg("not so: %s", rows[i].what);
        view.owed = true;
        assert_true(admit_pickup(&rule, &view));
    }
}

static void only_phase17_counts_an_answer_as_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        enum policy policy;
        uint64_t budget_us, age_us;
        bool told;
    } rows[] = {
        {"phase17, exactly in time", PHASE17, 37000, 37000, true},
        {"phase17, a microsecond late", PHASE17, 37000, 37001, false},
        {"phase17 without a budget", PHASE17, 0, 10000000, true},
        {"latest tells what it has", LATEST, 37000, 10000000, true},
        {"strict too", STRICT, 37000, 10000000, true},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct admit_rule rule = {.policy = rows[i].policy, .budget_us = rows[i].budget_us};
        if (admit_answer(&rule, rows[i].age_us) != rows[i].told)
            fail_msg("not so: %s", rows[i].what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_view_has_its_verdict),
        cmocka_unit_test(the_threshold_of_phase17_is_the_callers),
        cmocka_unit_test(the_budget_does_not_matter_before_a_worker_is_there),
        cmocka_unit_test(at_pick_up_only_a_frame_that_a_fresh_one_would_beat_is_dropped),
        cmocka_unit_test(only_phase17_counts_an_answer_as_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
