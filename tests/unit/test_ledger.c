#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "server/ledger.h"

static const struct ledger some = {
    .received = 100,
    .answered = 80,
    .dropped = {[DROP_REPLACED] = 5,
                [DROP_LATE] = 3,
                [DROP_BUSY] = 2,
                [DROP_RATE] = 1,
                [DROP_CLOSED] = 3,
                [DROP_MEMORY] = 1},
    .failed = 1,
    .rejected = 7,
};

static void every_reason_has_a_counter_and_a_name_of_its_own(void **state)
{
    (void)state;
    for (int r = 0; r < DROP_REASONS; r++) {
        assert_true(some.dropped[r] > 0);
        for (int other = 0; other < r; other++)
            assert_string_not_equal(drop_reason_name((enum drop_reason)r),
                                    drop_reason_name((enum drop_reason)other));
    }
}

static void drops_of_every_reason_are_summed(void **state)
{
    (void)state;
    assert_int_equal(ledger_dropped(&some), 15);
}

static void what_has_no_fate_yet_is_open(void **state)
{
    (void)state;
    assert_int_equal(ledger_open(&some), 4);
}

static void a_rejected_message_was_never_a_frame(void **state)
{
    (void)state;
    struct ledger l = {.rejected = 1};
    assert_int_equal(ledger_open(&l), 0);
}

static void an_ended_session_has_nothing_open(void **state)
{
    (void)state;
    struct ledger l = some;
    l.dropped[DROP_CLOSED] += ledger_open(&l);
    assert_int_equal(ledger_open(&l), 0);
    assert_int_equal(l.received, l.answered + ledger_dropped(&l) + l.failed);
}

static void adding_keeps_every_counter_apart(void **state)
{
    (void)state;
    struct ledger sum = {0};
    ledger_add(&sum, &some);
    ledger_add(&sum, &some);
    assert_int_equal(sum.received, 200);
    assert_int_equal(sum.answered, 160);
    for (int r = 0; r < DROP_REASONS; r++)
        assert_int_equal(sum.dropped[r], 2 * some.dropped[r]);
    assert_int_equal(sum.failed, 2);
    assert_int_equal(sum.rejected, 14);
    assert_int_equal(ledger_open(&sum), 2 * ledger_open(&some));
}

static void reasons_are_called_as_on_the_wire(void **state)
{
    (void)state;
    assert_string_equal(drop_reason_name(DROP_REPLACED), "replaced");
    assert_string_equal(drop_reason_name(DROP_LATE), "late");
    assert_string_equal(drop_reason_name(DROP_BUSY), "busy");
    assert_string_equal(drop_reason_name(DROP_RATE), "rate");
    assert_string_equal(drop_reason_name(DROP_CLOSED), "closed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_a_counter_and_a_name_of_its_own),
        cmocka_unit_test(drops_of_every_reason_are_summed),
        cmocka_unit_test(what_has_no_fate_yet_is_open),
        cmocka_unit_test(a_rejected_message_was_never_a_frame),
        cmocka_unit_test(an_ended_session_has_nothing_open),
        cmocka_unit_test(adding_keeps_every_counter_apart),
        cmocka_unit_test(reasons_are_called_as_on_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
