#include "loadgen/agenda.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N 200

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* The least by looking at all of them. */
static uint64_t least(const struct agenda_item *item)
{
    uint64_t best = AGENDA_NEVER;
    for (size_t i = 0; i < N; i++)
        best = item[i].at && item[i].due_us < best ? item[i].due_us : best;
    return best;
}

static void the_first_is_always_the_earliest(void **state)
{
    struct agenda a;
    struct agenda_item item[N] = {0};
    uint32_t random = 1;
    (void)state;
    assert_int_equal(agenda_init(&a, N), 0);
    for (int step = 0; step < 20000; step++) {
        struct agenda_item *one = &item[next_random(&random) % N];
        uint64_t due_us = next_random(&random) % 5 ? next_random(&random) % 1000 : AGENDA_NEVER;
        agenda_set(&a, one, due_us);
        assert_int_equal(one->at != 0, due_us != AGENDA_NEVER);
        struct agenda_item *first = agenda_first(&a);
        assert_true(first ? first->due_us == least(item) : least(item) == AGENDA_NEVER);
    }
    agenda_deinit(&a);
}

static void an_empty_one_has_no_first(void **state)
{
    struct agenda a;
    struct agenda_item item = {0};
    (void)state;
    assert_int_equal(agenda_init(&a, 1), 0);
    assert_null(agenda_first(&a));
    agenda_set(&a, &item, AGENDA_NEVER);
    assert_null(agenda_first(&a));
    agenda_set(&a, &item, 5);
    agenda_set(&a, &item, AGENDA_NEVER);
    assert_null(agenda_first(&a));
    agenda_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_always_the_earliest),
        cmocka_unit_test(an_empty_one_has_no_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
