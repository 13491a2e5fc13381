#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "server/outbox.h"

static void assert_oldest(const struct outbox *o, const char *message, uint64_t put_us)
{
    size_t n = 0;
    const char *at = outbox_peek(o, &n);
    assert_non_null(at);
    assert_int_equal(n, strlen(message));
    assert_memory_equal(at, message, n);
    assert_int_equal(outbox_oldest_us(o), put_us);
}

static void an_empty_outbox_gives_nothing(void **state)
{
    (void)state;
    struct outbox o = outbox_make(1000);
    size_t n;
    assert_null(outbox_peek(&o, &n));
    assert_int_equal(outbox_oldest_us(&o), 0);
    outbox_deinit(&o);
}

static void messages_leave_in_the_order_they_came(void **state)
{
    (void)state;
    struct outbox o = outbox_make(1000);
    assert_int_equal(outbox_put(&o, "first", 5, 10), 0);
    assert_int_equal(outbox_put(&o, "", 0, 20), 0);
    assert_int_equal(outbox_put(&o, "third one", 9, 30), 0);
    assert_int_equal(o.n, 3);
    assert_oldest(&o, "first", 10);
    outbox_pop(&o);
    assert_oldest(&o, "", 20);
    outbox_pop(&o);
    assert_oldest(&o, "third one", 30);
    outbox_pop(&o);
    size_t n;
    assert_null(outbox_peek(&o, &n));
    assert_int_equal(outbox_oldest_us(&o), 0);
    outbox_deinit(&o);
}

static void the_message_is_copied(void **state)
{
    (void)state;
    struct outbox o = outbox_make(1000);
    char message[] = "mine";
    assert_int_equal(outbox_put(&o, message, 4, 1), 0);
    memset(message, '?', 4);
    assert_oldest(&o, "mine", 1);
    outbox_deinit(&o);
}

static void an_emptied_outbox_takes_messages_again(void **state)
{
    (void)state;
    struct outbox o = outbox_make(8192);
    char message[16];
    for (unsigned i = 0; i < 10000; i++) {
        int n = snprintf(message, sizeof message, "%u", i);
        assert_int_equal(outbox_put(&o, message, (size_t)n, i), 0);
        assert_oldest(&o, message, i);
        outbox_pop(&o);
    }
    assert_true(o.cap <= 8192);
    outbox_deinit(&o);
}

/* A reader that is always some messages behind: the bytes in front must be used again. */
static void a_steady_backlog_needs_no_more_room(void **state)
{
    (void)state;
    struct outbox o = outbox_make(8192);
    char message[16];
    for (unsigned i = 0; i < 10000; i++) {
        int n = snprintf(message, sizeof message, "%u", i);
        assert_int_equal(outbox_put(&o, message, (size_t)n, i), 0);
        if (i < 50)
            continue;
        snprintf(message, sizeof message, "%u", i - 50);
        assert_oldest(&o, message, i - 50);
        outbox_pop(&o);
    }
    assert_int_equal(o.n, 50);
    assert_true(o.cap <= 8192);
    outbox_deinit(&o);
}

static void a_message_above_the_limit_is_refused(void **state)
{
    (void)state;
    static char message[10001];
    struct outbox o = outbox_make(10000);
    assert_int_equal(outbox_put(&o, message, sizeof message, 1), -1);
    assert_int_equal(outbox_put(&o, message, SIZE_MAX - 100, 1), -1);
    assert_int_equal(o.n, 0);
    outbox_deinit(&o);
}

/* The limit is what the caller said, not what the buffer was rounded up to. */
static void all_messages_together_stay_within_the_limit(void **state)
{
    (void)state;
    static const size_t limits[] = {200, 4096, 5000, 65536, 100000};
    static const char message[100];
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct outbox o = outbox_make(limits[i]);
        size_t n = 0;
        while (n <= limits[i] && outbox_put(&o, message, sizeof message, 1) == 0)
            n += sizeof message;
        if (n > limits[i] || n < limits[i] / 2)
            fail_msg("limit %zu bytes: %zu bytes are waiting", limits[i], n);
        assert_int_equal(o.n, n / sizeof message);
        outbox_deinit(&o);
    }
}

static void a_refused_message_leaves_the_others_alone(void **state)
{
    (void)state;
    static char large[70000];
    struct outbox o = outbox_make(65536);
    assert_int_equal(outbox_put(&o, "one", 3, 1), 0);
    assert_int_equal(outbox_put(&o, "two", 3, 2), 0);
    outbox_pop(&o);
    assert_int_equal(outbox_put(&o, large, sizeof large, 3), -1);
    assert_oldest(&o, "two", 2);
    assert_int_equal(outbox_put(&o, "three", 5, 4), 0);
    outbox_pop(&o);
    assert_oldest(&o, "three", 4);
    outbox_deinit(&o);
}

static void growing_keeps_what_waits(void **state)
{
    (void)state;
    static char large[50000];
    struct outbox o = outbox_make(65536);
    size_t n;
    memset(large, 'L', sizeof large);
    assert_int_equal(outbox_put(&o, "small", 5, 1), 0);
    assert_int_equal(outbox_put(&o, large, sizeof large, 2), 0);
    assert_oldest(&o, "small", 1);
    outbox_pop(&o);
    assert_memory_equal(outbox_peek(&o, &n), large, sizeof large);
    assert_int_equal(n, sizeof large);
    outbox_deinit(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_outbox_gives_nothing),
        cmocka_unit_test(messages_leave_in_the_order_they_came),
        cmocka_unit_test(the_message_is_copied),
        cmocka_unit_test(an_emptied_outbox_takes_messages_again),
        cmocka_unit_test(a_steady_backlog_needs_no_more_room),
        cmocka_unit_test(a_message_above_the_limit_is_refused),
        cmocka_unit_test(all_messages_together_stay_within_the_limit),
        cmocka_unit_test(a_refused_message_leaves_the_others_alone),
        cmocka_unit_test(growing_keeps_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
