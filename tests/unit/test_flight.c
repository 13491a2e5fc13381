/* Frames in flight: each settled once, whatever the server says. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/flight.h"

static struct flight flight_of(size_t n)
{
    struct flight f = {.max = n};
    for (uint64_t i = 0; i < n; i++)
        flight_add(&f, &(struct flight_frame){.id = i, .source_index = 10 + i, .sent_us = 100 * i});
    return f;
}

static void there_is_room_up_to_the_limit(void **state)
{
    struct flight f = {.max = 2};
    struct flight_frame out;
    (void)state;
    assert_true(flight_has_room(&f));
    flight_add(&f, &(struct flight_frame){.id = 0});
    assert_true(flight_has_room(&f));
    flight_add(&f, &(struct flight_frame){.id = 1});
    assert_false(flight_has_room(&f));
    assert_true(flight_settle(&f, 0, &out));
    assert_true(flight_has_room(&f));
}

static void answers_settle_frames_in_any_order(void **state)
{
    static const uint64_t order[] = {2, 0, 3, 1};
    struct flight f = flight_of(4);
    struct flight_frame out;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_true(flight_settle(&f, order[i], &out));
        assert_int_equal(out.source_index, 10 + order[i]);
    }
    assert_int_equal(f.n, 0);
}

static void an_answer_settles_only_once(void **state)
{
    struct flight f = flight_of(2);
    struct flight_frame out;
    (void)state;
    assert_true(flight_settle(&f, 1, &out));
    assert_false(flight_settle(&f, 1, &out));
    assert_false(flight_settle(&f, 99, &out));
    assert_int_equal(f.n, 1);
}

static void old_frames_expire_and_young_ones_stay(void **state)
{
    struct flight f = flight_of(FLIGHT_MAX);
    struct flight_frame out;
    (void)state;
    assert_int_equal(flight_expire(&f, 0), 0);
    assert_int_equal(flight_expire(&f, 250), 3); /* sent at 0, 100 and 200 */
    assert_false(flight_settle(&f, 2, &out));
    assert_true(flight_settle(&f, 3, &out));
    assert_int_equal(flight_clear(&f), FLIGHT_MAX - 4);
    assert_int_equal(flight_clear(&f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_room_up_to_the_limit),
        cmocka_unit_test(answers_settle_frames_in_any_order),
        cmocka_unit_test(an_answer_settles_only_once),
        cmocka_unit_test(old_frames_expire_and_young_ones_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
