#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "common/text.h"

static void an_empty_text_is_the_empty_string(void **state)
{
    (void)state;
    char bytes[4];
    struct text fixed = text_fixed(bytes, sizeof bytes), heap = text_heap(100);
    assert_string_equal(text_str(&fixed), "");
    assert_string_equal(text_str(&heap), "");
    assert_null(heap.data);
    text_clear(&heap);
    text_deinit(&heap);
}

static void everything_that_was_added_stands_in_order(void **state)
{
    (void)state;
    struct text t = text_heap(1000);
    text_add(&t, "a");
    text_add_char(&t, 'b');
    text_add_bytes(&t, "cd", 2);
    text_add_u64(&t, 0);
    text_add_u64(&t, UINT64_MAX);
    text_addf(&t, "[%s %03d]", "x", 7);
    assert_string_equal(text_str(&t), "abcd018446744073709551615[x 007]");
    assert_int_equal(t.len, strlen(t.data));
    assert_false(t.cut);
    text_deinit(&t);
}

static void a_text_may_hold_nul(void **state)
{
    (void)state;
    char bytes[8];
    struct text t = text_fixed(bytes, sizeof bytes);
    text_add_bytes(&t, "a\0b", 3);
    assert_int_equal(t.len, 3);
    assert_memory_equal(bytes, "a\0b", 4);
}

static void a_fixed_text_holds_one_byte_less_than_its_room(void **state)
{
    (void)state;
    char bytes[9] = "????????#";
    struct text t = text_fixed(bytes, 8);
    text_add(&t, "1234567");
    assert_false(t.cut);
    assert_string_equal(bytes, "1234567");
    text_add_char(&t, '8');
    assert_true(t.cut);
    assert_string_equal(bytes, "1234567");
    assert_int_equal(bytes[8], '#');
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    char bytes[8];
    struct text t = text_fixed(bytes, sizeof bytes);
    text_add(&t, "12345");
    text_add(&t, "abc");
    text_addf(&t, "%d", 678);
    text_add_u64(&t, 123);
    assert_string_equal(text_str(&t), "12345");
    assert_true(t.cut);
    text_add(&t, "67");
    assert_string_equal(text_str(&t), "1234567");
    assert_true(t.cut);
}

static void a_heap_text_grows_to_exactly_its_limit(void **state)
{
    (void)state;
    for (size_t max = 1; max < 1200; max++) {
        struct text t = text_heap(max);
        for (size_t n = 0; n < 1300; n++)
            text_add_char(&t, 'x');
        assert_int_equal(t.len, max - 1);
        assert_true(t.cut);
        assert_true(t.cap <= max);
        assert_int_equal(strlen(text_str(&t)), max - 1);
        text_deinit(&t);
    }
}

static void one_long_piece_fits_as_well_as_many_short_ones(void **state)
{
    (void)state;
    static char piece[10000];
    struct text t = text_heap(sizeof piece + 1);
    memset(piece, 'x', sizeof piece);
    text_add_bytes(&t, piece, sizeof piece);
    assert_false(t.cut);
    assert_int_equal(t.len, sizeof piece);
    text_add_char(&t, 'y');
    assert_true(t.cut);
    assert_int_equal(t.len, sizeof piece);
    text_deinit(&t);
}

static void a_size_beyond_all_memory_does_not_wrap_around(void **state)
{
    (void)state;
    struct text t = text_heap(100);
    text_add(&t, "abc");
    text_add_bytes(&t, "", SIZE_MAX);
    text_add_bytes(&t, "", SIZE_MAX - 3);
    assert_true(t.cut);
    assert_string_equal(text_str(&t), "abc");
    text_deinit(&t);
}

static void clearing_keeps_the_memory_and_forgets_the_cut(void **state)
{
    (void)state;
    struct text t = text_heap(300);
    for (int i = 0; i < 400; i++)
        text_add_char(&t, 'x');
    size_t cap = t.cap;
    text_clear(&t);
    assert_string_equal(text_str(&t), "");
    assert_int_equal(t.len, 0);
    assert_int_equal(t.cap, cap);
    assert_false(t.cut);
    text_deinit(&t);
    assert_null(t.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_text_is_the_empty_string),
        cmocka_unit_test(everything_that_was_added_stands_in_order),
        cmocka_unit_test(a_text_may_hold_nul),
        cmocka_unit_test(a_fixed_text_holds_one_byte_less_than_its_room),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
        cmocka_unit_test(a_heap_text_grows_to_exactly_its_limit),
        cmocka_unit_test(one_long_piece_fits_as_well_as_many_short_ones),
        cmocka_unit_test(a_size_beyond_all_memory_does_not_wrap_around),
        cmocka_unit_test(clearing_keeps_the_memory_and_forgets_the_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
