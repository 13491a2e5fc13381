#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "server/frame.h"

static struct memory no_cap;

#define KIB      ((size_t)1 << 10)
#define MIB      ((size_t)1 << 20)
#define N(array) (sizeof(array) / sizeof((array)[0]))

static void a_frame_has_room_in_powers_of_two(void **state)
{
    (void)state;
    static const struct {
        size_t asked, cap;
    } rows[] = {
        {0, 16 * KIB},          {1, 16 * KIB},      {16 * KIB, 16 * KIB}, {16 * KIB + 1, 32 * KIB},
        {100000, 128 * KIB},    {5 * MIB, 8 * MIB}, {8 * MIB, 8 * MIB},   {8 * MIB + 1, 16 * MIB},
        {512 * MIB, 512 * MIB},
    };
    struct pool p = pool_make(&no_cap, 0);
    for (size_t i = 0; i < N(rows); i++) {
        struct frame *f = pool_get(&p, rows[i].asked);
        assert_non_null(f);
        assert_int_equal(f->cap, rows[i].cap);
        pool_put(&p, f);
    }
    pool_deinit(&p);
}

static void more_than_the_largest_class_is_refused(void **state)
{
    (void)state;
    struct pool p = pool_make(&no_cap, 0);
    assert_null(pool_get(&p, 512 * MIB + 1));
    assert_null(pool_get(&p, SIZE_MAX));
    struct frame *f = pool_get(&p, 100);
    assert_int_equal(frame_reserve(&p, f, 100, 512 * MIB + 1), -1);
    assert_int_equal(f->cap, 16 * KIB);
    pool_put(&p, f);
    pool_deinit(&p);
}

static void a_frame_put_back_is_used_again(void **state)
{
    (void)state;
    struct pool p = pool_make(&no_cap, MIB);
    struct frame *first = pool_get(&p, 20 * KIB), *second = pool_get(&p, 20 * KIB);
    pool_put(&p, first);
    pool_put(&p, second);
    assert_int_equal(p.idle_bytes, 64 * KIB);
    assert_ptr_equal(pool_get(&p, 17 * KIB), second);
    assert_ptr_equal(pool_get(&p, 32 * KIB), first);
    assert_int_equal(p.idle_bytes, 0);
    pool_put(&p, first);
    pool_put(&p, second);
    pool_deinit(&p);
    assert_int_equal(p.idle_bytes, 0);
}

static void a_frame_of_another_class_is_not_used(void **state)
{
    (void)state;
    struct pool p = pool_make(&no_cap, MIB);
    struct frame *small = pool_get(&p, 1), *large = pool_get(&p, 100 * KIB);
    pool_put(&p, small);
    pool_put(&p, large);
    struct frame *middle = pool_get(&p, 40 * KIB);
    assert_ptr_not_equal(middle, small);
    assert_ptr_not_equal(middle, large);
    assert_int_equal(middle->cap, 64 * KIB);
    pool_put(&p, middle);
    pool_deinit(&p);
}

static void a_used_frame_comes_back_without_its_past(void **state)
{
    (void)state;
    struct pool p = pool_make(&no_cap, MIB);
    struct frame *f = pool_get(&p, 1), *other = pool_get(&p, 1);
    text_add(&f->result, "{\"old\":1}");
    f->fate = FRAME_DROPPED;
    f->reason = DROP_LATE;
    f->next = other;
    pool_put(&p, f);
    assert_ptr_equal(pool_get(&p, 1), f);
    assert_string_equal(text_str(&f->result), "");
    assert_int_equal(f->result.len, 0);
    assert_int_equal(f->fate, FRAME_ANSWERED);
    assert_null(f->next);
    pool_put(&p, f);
    pool_put(&p, other);
    pool_deinit(&p);
}

static void idle_frames_stay_within_the_limit(void **state)
{
    (void)state;
    struct pool p = pool_make(&no_cap, 40 * KIB);
    struct frame *f[4];
    for (size_t i = 0; i < N(f); i++)
        f[i] = pool_get(&p, 1);
    for (size_t i = 0; i < N(f); i++) {
        pool_put(&p, f[i]);
        assert_true(p.idle_bytes <= p.idle_bytes_max);
    }
    assert_int_equal(p.idle_bytes, 32 * KIB);
    pool_put(&p, pool_get(&p, 64 * KIB)); /* alone larger than the limit */
    assert_int_equal(p.idle_bytes, 32 * KIB);
    pool_deinit(&p);
}

static void frames_that_were_not_needed_are_freed(void **state)
{
    (void)state;
    struct memory m = {0};
    struct pool p = pool_make(&m, MIB);
    struct frame *f[16];
    for (size_t i = 0; i < N(f); i++)
        f[i] = pool_get(&p, 1);
    for (size_t i = 0; i < N(f); i++)
        pool_put(&p, f[i]);
    assert_int_equal(pool_trim(&p), 0); /* all were in use a moment ago */
    f[0] = pool_get(&p, 1);
    f[1] = pool_get(&p, 1);
    pool_put(&p, f[0]);
    pool_put(&p, f[1]);
    assert_int_equal(pool_trim(&p), 7 * 16 * KIB); /* half of the 14 that were not */
    assert_int_equal(p.idle_bytes, 9 * 16 * KIB);
    assert_int_equal(m.used_bytes, p.idle_bytes);
    for (unsigned i = 0; i < 4; i++)
        assert_true(pool_trim(&p) > 0);
    assert_int_equal(m.used_bytes, 0);
    assert_int_equal(pool_trim(&p), 0);
    pool_deinit(&p);
}

static void all_pools_together_stay_below_the_cap(void **state)
{
    (void)state;
    struct memory m = {.max_bytes = 100 * KIB};
    struct pool p = pool_make(&m, MIB), other = pool_make(&m, MIB);
    struct frame *f = pool_get(&p, 64 * KIB), *g = pool_get(&other, 32 * KIB);
    assert_int_equal(m.used_bytes, 96 * KIB);
    assert_null(pool_get(&p, 1));
    assert_int_equal(frame_reserve(&other, g, 10, 33 * KIB), -1);
    assert_int_equal(g->cap, 32 * KIB);
    assert_int_equal(m.used_bytes, 96 * KIB);
    pool_put(&p, f);
    assert_null(pool_get(&other, 16 * KIB)); /* idle frames of another thread are not ours */
    pool_trim(&p);
    assert_true(pool_trim(&p) > 0);
    struct frame *h = pool_get(&other, 16 * KIB);
    assert_non_null(h);
    pool_put(&other, h);
    m.max_bytes = 70 * KIB;
    assert_int_equal(frame_reserve(&other, g, 0, 64 * KIB), 0); /* at the cost of the idle one */
    assert_int_equal(m.used_bytes, 64 * KIB);
    pool_put(&other, g);
    pool_deinit(&other);
    pool_deinit(&p);
    assert_int_equal(m.used_bytes, 0);
}

static void a_long_result_is_not_kept(void **state)
{
    (void)state;
    struct pool p = pool_make(&no_cap, MIB);
    struct frame *f = pool_get(&p, 1);
    for (size_t i = 0; i < 17 * KIB; i++)
        text_add_char(&f->result, 'x');
    pool_put(&p, f);
    assert_int_equal(f->result.cap, 0);
    assert_ptr_equal(pool_get(&p, 1), f);
    text_add(&f->result, "it grows again");
    assert_false(f->result.cut);
    pool_put(&p, f);
    pool_deinit(&p);
}

static void growing_keeps_the_bytes_that_are_used(void **state)
{
    (void)state;
    struct pool p = pool_make(&no_cap, 0);
    struct frame *f = pool_get(&p, 1);
    for (size_t i = 0; i < 16 * KIB; i++)
        f->data[i] = (uint8_t)(i * 31);
    assert_int_equal(frame_reserve(&p, f, 16 * KIB, 16 * KIB), 0);
    assert_int_equal(f->cap, 16 * KIB);
    assert_int_equal(frame_reserve(&p, f, 16 * KIB, MIB + 1), 0);
    assert_int_equal(f->cap, 2 * MIB);
    for (size_t i = 0; i < 16 * KIB; i++)
        assert_int_equal(f->data[i], (uint8_t)(i * 31));
    assert_int_equal(frame_reserve(&p, f, 0, 3 * MIB), 0);
    assert_int_equal(f->cap, 4 * MIB);
    memset(f->data, 0xff, f->cap);
    pool_put(&p, f);
    pool_deinit(&p);
}

static void a_grown_frame_goes_back_to_its_new_class(void **state)
{
    (void)state;
    struct pool p = pool_make(&no_cap, MIB);
    struct frame *f = pool_get(&p, 1);
    assert_int_equal(frame_reserve(&p, f, 0, 100 * KIB), 0);
    pool_put(&p, f);
    assert_int_equal(p.idle_bytes, 128 * KIB);
    assert_ptr_equal(pool_get(&p, 128 * KIB), f);
    pool_put(&p, f);
    pool_deinit(&p);
}

/* As large messages do, of which only a part is trusted in advance. */
static void frames_that_grow_use_what_grew_before(void **state)
{
    (void)state;
    struct memory m = {.max_bytes = 0};
    struct pool p = pool_make(&m, 64 * MIB);
    for (unsigned i = 0; i < 100; i++) {
        struct frame *f = pool_get(&p, 300 * KIB);
        memset(f->data, (int)i, 300 * KIB);
        assert_int_equal(frame_reserve(&p, f, 300 * KIB, MIB), 0);
        assert_int_equal(f->cap, MIB);
        for (size_t k = 0; k < 300 * KIB; k++)
            assert_int_equal(f->data[k], i);
        pool_put(&p, f);
    }
    assert_true(m.used_bytes <= 512 * KIB + MIB);
    assert_int_equal(m.used_bytes, p.idle_bytes);
    pool_deinit(&p);
    assert_int_equal(m.used_bytes, 0);
}

/* frame_reserve leaves a frame without a buffer when memory runs out. */
static void a_frame_without_a_buffer_is_not_used_again(void **state)
{
    (void)state;
    struct pool p = pool_make(&no_cap, MIB);
    struct frame *f = pool_get(&p, 1);
    free(f->data);
    f->data = NULL;
    f->cap = 0;
    pool_put(&p, f);
    f = pool_get(&p, 1);
    size_t cap = f->cap;
    pool_put(&p, f);
    pool_deinit(&p);
    assert_int_equal(cap, 16 * KIB);
}

static void putting_nothing_back_is_fine(void **state)
{
    (void)state;
    struct pool p = pool_make(&no_cap, MIB);
    pool_put(&p, NULL);
    assert_int_equal(p.idle_bytes, 0);
    pool_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_has_room_in_powers_of_two),
        cmocka_unit_test(more_than_the_largest_class_is_refused),
        cmocka_unit_test(a_frame_put_back_is_used_again),
        cmocka_unit_test(a_frame_of_another_class_is_not_used),
        cmocka_unit_test(a_used_frame_comes_back_without_its_past),
        cmocka_unit_test(idle_frames_stay_within_the_limit),
        cmocka_unit_test(frames_that_were_not_needed_are_freed),
        cmocka_unit_test(all_pools_together_stay_below_the_cap),
        cmocka_unit_test(a_long_result_is_not_kept),
        cmocka_unit_test(growing_keeps_the_bytes_that_are_used),
        cmocka_unit_test(a_grown_frame_goes_back_to_its_new_class),
        cmocka_unit_test(frames_that_grow_use_what_grew_before),
        cmocka_unit_test(a_frame_without_a_buffer_is_not_used_again),
        cmocka_unit_test(putting_nothing_back_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
