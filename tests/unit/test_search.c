#include "loadgen/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A server that keeps the gates up to `limit`, a generator that is valid up to `ours`. */
static uint64_t find(uint64_t from, uint64_t to, uint64_t limit, uint64_t ours, struct search *s)
{
    uint64_t value;
    search_init(s, from, to);
    while ((value = search_next(s)) != 0)
        search_tell(s, value,
                    value > ours    ? SEARCH_INVALID
                    : value > limit ? SEARCH_FAILED
                                    : SEARCH_PASSED);
    return s->confirmed;
}

static void it_finds_the_limit_within_5_percent(void **state)
{
    struct search s;
    (void)state;
    for (uint64_t limit = 1; limit < 10000; limit += 1 + limit / 7) {
        uint64_t found = find(1, 100000, limit, 1000000, &s);
        assert_true(found <= limit);
        assert_true(found + (found < 20 ? 0 : found / 20) >= limit);
        assert_true(s.n_tries < 32);
        assert_false(s.bound_is_ours);
    }
}

static void not_even_the_first(void **state)
{
    struct search s;
    (void)state;
    assert_int_equal(find(10, 100, 9, 1000, &s), 0);
    assert_int_equal(s.n_tries, 1);
}

static void all_that_was_allowed(void **state)
{
    struct search s;
    (void)state;
    assert_int_equal(find(1, 100, 1000, 1000, &s), 100);
    assert_int_equal(find(7, 7, 1000, 1000, &s), 7);
}

static void the_generators_limit_is_told(void **state)
{
    struct search s;
    (void)state;
    uint64_t found = find(1, 10000, 5000, 700, &s);
    assert_true(found <= 700 && found >= 660);
    assert_true(s.bound_is_ours);
    assert_int_equal(find(10, 10000, 5000, 5, &s), 0);
    assert_true(s.bound_is_ours);
}

/* What passed once by luck is not the result. */
static void a_result_is_confirmed(void **state)
{
    struct search s;
    uint64_t value, n = 0;
    (void)state;
    search_init(&s, 1, 1000);
    while ((value = search_next(&s)) != 0) {
        bool lucky = value <= 400 && !s.confirming;
        search_tell(&s, value, lucky || value <= 300 ? SEARCH_PASSED : SEARCH_FAILED);
        n += s.confirming;
    }
    assert_true(s.confirmed > 280 && s.confirmed <= 300);
    assert_true(n > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_finds_the_limit_within_5_percent),
        cmocka_unit_test(not_even_the_first),
        cmocka_unit_test(all_that_was_allowed),
        cmocka_unit_test(the_generators_limit_is_told),
        cmocka_unit_test(a_result_is_confirmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
