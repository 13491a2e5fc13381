#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "server/cheap.h"

#define LIMIT_US 20u

static void add(struct cheap *c, unsigned n, uint64_t took_us, bool here)
{
    while (n--)
        cheap_add(c, took_us, LIMIT_US, here);
}

/* How many quick frames it takes from here on. */
static unsigned n_until_cheap(struct cheap c)
{
    unsigned n = 0;
    for (; !cheap_is(&c); n++)
        cheap_add(&c, LIMIT_US, LIMIT_US, false);
    return n;
}

static void is_cheap_after_16_quick_frames_in_a_row(void **state)
{
    (void)state;
    struct cheap c = {0};
    assert_false(cheap_is(&c));
    assert_int_equal(n_until_cheap(c), 16);
    add(&c, 15, LIMIT_US, false);
    add(&c, 1, LIMIT_US + 1, false);
    assert_int_equal(n_until_cheap(c), 16);
    add(&c, 16, 0, false);
    assert_true(cheap_is(&c));
}

static void one_slow_frame_sends_it_back_to_the_workers(void **state)
{
    (void)state;
    struct cheap c = {0};
    add(&c, 100, 1, false);
    add(&c, 1, LIMIT_US + 1, true);
    assert_false(cheap_is(&c));
    assert_int_equal(n_until_cheap(c), 1 + 16);
}

static void what_a_slow_frame_took_from_the_others_is_earned_first(void **state)
{
    (void)state;
    static const struct {
        uint64_t took_us;
        unsigned n_more;
    } rows[] = {
        {100, 5},
        {3000, 150},
        {50000, 2500},
        {UINT64_MAX, 1000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cheap c = {0};
        add(&c, 16, 1, false);
        add(&c, 1, rows[i].took_us, true);
        assert_int_equal(n_until_cheap(c), rows[i].n_more + 16);
        add(&c, 3, rows[i].took_us, false); /* at a worker it costs the others nothing */
        assert_int_equal(n_until_cheap(c), rows[i].n_more + 16);
    }
}

static void a_quick_frame_pays_no_more_than_its_own_hand_over(void **state)
{
    (void)state;
    struct cheap c = {0};
    add(&c, 100000, 1, true);
    add(&c, 1, 1000, false);
    assert_int_equal(n_until_cheap(c), 16);
    add(&c, 1, 1000, true);
    assert_int_equal(n_until_cheap(c), 1000 / LIMIT_US + 16);
}

static void without_a_limit_nothing_is_cheap(void **state)
{
    (void)state;
    struct cheap c = {0};
    for (unsigned i = 0; i < 100; i++)
        cheap_add(&c, 1, 0, true);
    assert_false(cheap_is(&c));
}

static void who_is_new_starts_as_its_kin(void **state)
{
    (void)state;
    struct cheap kin = {0}, c = {0};
    cheap_start(&c, &kin);
    assert_false(cheap_is(&c));
    add(&kin, 16, 1, false);
    cheap_start(&c, &kin);
    assert_true(cheap_is(&c));
    add(&c, 1, LIMIT_US + 1, true);
    cheap_start(&c, &kin); /* it is known better by now */
    assert_int_equal(n_until_cheap(c), 1 + 16);
    c = (struct cheap){0};
    add(&c, 1, LIMIT_US + 1, false);
    cheap_start(&c, &kin);
    assert_int_equal(n_until_cheap(c), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_cheap_after_16_quick_frames_in_a_row),
        cmocka_unit_test(one_slow_frame_sends_it_back_to_the_workers),
        cmocka_unit_test(what_a_slow_frame_took_from_the_others_is_earned_first),
        cmocka_unit_test(a_quick_frame_pays_no_more_than_its_own_hand_over),
        cmocka_unit_test(without_a_limit_nothing_is_cheap),
        cmocka_unit_test(who_is_new_starts_as_its_kin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
