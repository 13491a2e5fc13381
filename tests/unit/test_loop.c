#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/loop.h"

#define N_MAX 20

/* What happened, one letter a callback. */
struct story {
    struct loop loop;
    char text[100];
};

struct actor {
    struct story *story;
    char letter;
    struct loop_timer timer;
    struct loop_watch watch;
    int pipe[2];
    uint32_t events;
    /* What it does when called: NULL is nothing. */
    struct actor *cancels, *removes, *sets;
    uint64_t sets_for_us;
};

static void act(struct actor *a)
{
    size_t n = strlen(a->story->text);
    a->story->text[n] = a->letter;
    if (a->cancels)
        loop_timer_cancel(&a->story->loop, &a->cancels->timer);
    if (a->removes)
        loop_watch_remove(&a->story->loop, &a->removes->watch);
    if (a->sets)
        loop_timer_set(&a->story->loop, &a->sets->timer, a->sets_for_us);
}

static void on_due(void *ctx)
{
    struct actor *a = ctx;
    assert_true(a->story->loop.now_us >= a->timer.due_us);
    act(a);
}

static void on_ready(void *ctx, int fd, uint32_t events)
{
    struct actor *a = ctx;
    assert_int_equal(fd, a->watch.fd);
    a->events = events;
    act(a);
}

static void story_begin(struct story *s)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(loop_init(&s->loop, NULL), 0);
}

static void cast(struct story *s, struct actor *actors, size_t n)
{
    memset(actors, 0, n * sizeof *actors);
    for (size_t i = 0; i < n; i++) {
        actors[i].story = s;
        actors[i].letter = (char)('a' + i);
        actors[i].timer = (struct loop_timer){.on_due = on_due, .ctx = &actors[i]};
        actors[i].watch = (struct loop_watch){.on_ready = on_ready, .ctx = &actors[i]};
    }
}

/* Watches the reading end of a new pipe; one byte is in it when ready. */
static void watch_pipe(struct actor *a, bool ready)
{
    assert_int_equal(pipe(a->pipe), 0);
    a->watch.fd = a->pipe[0];
    assert_int_equal(loop_watch_set(&a->story->loop, &a->watch, EPOLLIN, NULL), 0);
    if (ready)
        assert_int_equal(write(a->pipe[1], "x", 1), 1);
}

static void close_pipe(struct actor *a)
{
    loop_watch_remove(&a->story->loop, &a->watch);
    close(a->pipe[0]);
    close(a->pipe[1]);
}

static void set_in(struct actor *a, int64_t us)
{
    loop_timer_set(&a->story->loop, &a->timer, (uint64_t)((int64_t)clock_now_us() + us));
}

/* Waits for the event, as libwebsockets does, then turns. */
static void await_turn(struct story *s)
{
    struct pollfd p = {.fd = s->loop.epoll_fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    loop_turn(&s->loop);
}

static bool is_anything_ready(const struct story *s)
{
    struct pollfd p = {.fd = s->loop.epoll_fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

static void turn_until(struct story *s, const char *text)
{
    for (int turns = 0; strlen(s->text) < strlen(text) && turns < 100; turns++)
        await_turn(s);
    assert_string_equal(s->text, text);
}

/* ---- timers ---- */

static void timers_fire_in_the_order_they_are_due(void **state)
{
    (void)state;
    static const int64_t due_in_us[] = {3000, -1000, 2000, 1000, -2000};
    struct story s;
    struct actor a[5];
    story_begin(&s);
    cast(&s, a, 5);
    for (size_t i = 0; i < 5; i++)
        set_in(&a[i], due_in_us[i]);
    turn_until(&s, "ebdca");
    assert_null(s.loop.timers);
    assert_false(is_anything_ready(&s));
    loop_deinit(&s.loop);
}

static void timers_due_at_once_fire_in_the_order_they_were_set(void **state)
{
    (void)state;
    struct story s;
    struct actor a[4];
    story_begin(&s);
    cast(&s, a, 4);
    for (size_t i = 0; i < 4; i++)
        loop_timer_set(&s.loop, &a[3 - i].timer, 1000);
    turn_until(&s, "dcba");
    loop_deinit(&s.loop);
}

static void a_timer_does_not_fire_before_it_is_due(void **state)
{
    (void)state;
    struct story s;
    struct actor a[2];
    story_begin(&s);
    cast(&s, a, 2);
    set_in(&a[0], 3600 * INT64_C(1000000));
    set_in(&a[1], 2000);
    uint64_t due_us = a[1].timer.due_us;
    turn_until(&s, "b");
    assert_true(s.loop.now_us >= due_us);
    assert_true(a[0].timer.armed);
    loop_turn(&s.loop);
    assert_string_equal(s.text, "b");
    loop_timer_cancel(&s.loop, &a[0].timer);
    loop_deinit(&s.loop);
}

static void a_timer_due_at_zero_fires_too(void **state)
{
    (void)state;
    struct story s;
    struct actor a[1];
    story_begin(&s);
    cast(&s, a, 1);
    loop_timer_set(&s.loop, &a[0].timer, 0);
    turn_until(&s, "a");
    loop_deinit(&s.loop);
}

static void setting_a_timer_again_moves_it(void **state)
{
    (void)state;
    struct story s;
    struct actor a[3];
    story_begin(&s);
    cast(&s, a, 3);
    for (size_t i = 0; i < 3; i++)
        loop_timer_set(&s.loop, &a[i].timer, 1000 * i);
    loop_timer_set(&s.loop, &a[0].timer, 5000); /* the first one later */
    loop_timer_set(&s.loop, &a[2].timer, 500);  /* the last one sooner */
    loop_timer_set(&s.loop, &a[1].timer, 1000); /* one where it is */
    turn_until(&s, "cba");
    loop_deinit(&s.loop);
}

static void the_first_timer_moved_away_does_not_wake(void **state)
{
    (void)state;
    struct story s;
    struct actor a[1];
    story_begin(&s);
    cast(&s, a, 1);
    set_in(&a[0], -1000);
    assert_true(is_anything_ready(&s));
    set_in(&a[0], 3600 * INT64_C(1000000));
    assert_false(is_anything_ready(&s));
    loop_timer_cancel(&s.loop, &a[0].timer);
    loop_deinit(&s.loop);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
    (void)state;
    struct story s;
    struct actor a[3];
    story_begin(&s);
    cast(&s, a, 3);
    loop_timer_cancel(&s.loop, &a[0].timer); /* not armed: fine */
    for (size_t i = 0; i < 3; i++)
        loop_timer_set(&s.loop, &a[i].timer, 1000 * i);
    loop_timer_cancel(&s.loop, &a[0].timer);
    loop_timer_cancel(&s.loop, &a[1].timer);
    loop_timer_cancel(&s.loop, &a[1].timer);
    turn_until(&s, "c");
    loop_timer_set(&s.loop, &a[2].timer, 0);
    loop_timer_cancel(&s.loop, &a[2].timer);
    assert_false(is_anything_ready(&s));
    loop_deinit(&s.loop);
}

static void a_timer_may_cancel_others_that_are_due(void **state)
{
    (void)state;
    struct story s;
    struct actor a[4];
    story_begin(&s);
    cast(&s, a, 4);
    for (size_t i = 0; i < 4; i++)
        loop_timer_set(&s.loop, &a[i].timer, 1000 * i);
    a[0].cancels = &a[1];
    a[2].cancels = &a[2]; /* itself: it is not armed any more */
    turn_until(&s, "acd");
    assert_false(a[1].timer.armed);
    loop_deinit(&s.loop);
}

static void a_timer_may_set_itself_and_others(void **state)
{
    (void)state;
    struct story s;
    struct actor a[3];
    story_begin(&s);
    cast(&s, a, 3);
    a[0].sets = &a[0];
    a[0].sets_for_us = UINT64_MAX / 2000; /* later than this test */
    a[1].sets = &a[2];
    a[1].sets_for_us = 3000; /* due already: in the next turn */
    loop_timer_set(&s.loop, &a[0].timer, 1000);
    loop_timer_set(&s.loop, &a[1].timer, 2000);
    turn_until(&s, "abc");
    assert_true(a[0].timer.armed);
    assert_false(is_anything_ready(&s));
    loop_timer_cancel(&s.loop, &a[0].timer);
    loop_deinit(&s.loop);
}

/* Else it would keep everything else from being served. */
static void a_timer_that_is_always_due_fires_once_a_turn(void **state)
{
    (void)state;
    struct story s;
    struct actor a[1];
    story_begin(&s);
    cast(&s, a, 1);
    a[0].sets = &a[0];
    a[0].sets_for_us = 1;
    loop_timer_set(&s.loop, &a[0].timer, 1);
    await_turn(&s);
    assert_string_equal(s.text, "a");
    await_turn(&s);
    assert_string_equal(s.text, "aa");
    loop_deinit(&s.loop);
}

static void many_timers_keep_their_order_under_changes(void **state)
{
    (void)state;
    struct story s;
    struct actor a[N_MAX];
    uint32_t random = 1;
    story_begin(&s);
    cast(&s, a, N_MAX);
    for (int i = 0; i < 2000; i++) {
        random = random * 1664525u + 1013904223u;
        struct loop_timer *t = &a[(random >> 24) % N_MAX].timer;
        if (random >> 20 & 1)
            loop_timer_set(&s.loop, t, random >> 8 & 1023);
        else
            loop_timer_cancel(&s.loop, t);
        for (t = s.loop.timers; t && t->next; t = t->next)
            assert_true(t->armed && t->due_us <= t->next->due_us);
    }
    loop_deinit(&s.loop);
}

/* ---- watches ---- */

static void a_ready_descriptor_is_told_until_it_is_read(void **state)
{
    (void)state;
    struct story s;
    struct actor a[2];
    char byte;
    story_begin(&s);
    cast(&s, a, 2);
    watch_pipe(&a[0], true);
    watch_pipe(&a[1], false);
    turn_until(&s, "a");
    assert_int_equal(a[0].events, EPOLLIN);
    turn_until(&s, "aa");
    assert_int_equal(read(a[0].pipe[0], &byte, 1), 1);
    assert_false(is_anything_ready(&s));
    loop_turn(&s.loop);
    assert_string_equal(s.text, "aa");
    close_pipe(&a[0]);
    close_pipe(&a[1]);
    loop_deinit(&s.loop);
}

static void a_watch_may_change_what_it_waits_for(void **state)
{
    (void)state;
    struct story s;
    struct actor a[1];
    story_begin(&s);
    cast(&s, a, 1);
    watch_pipe(&a[0], true);
    assert_int_equal(loop_watch_set(&s.loop, &a[0].watch, 0, NULL), 0);
    loop_turn(&s.loop);
    assert_string_equal(s.text, "");
    assert_int_equal(loop_watch_set(&s.loop, &a[0].watch, EPOLLIN, NULL), 0);
    turn_until(&s, "a");
    close_pipe(&a[0]);
    assert_null(s.loop.watches);
    loop_deinit(&s.loop);
}

static void a_removed_watch_is_not_called(void **state)
{
    (void)state;
    struct story s;
    struct actor a[1];
    story_begin(&s);
    cast(&s, a, 1);
    loop_watch_remove(&s.loop, &a[0].watch); /* not watched: fine */
    watch_pipe(&a[0], true);
    loop_watch_remove(&s.loop, &a[0].watch);
    loop_watch_remove(&s.loop, &a[0].watch);
    assert_false(is_anything_ready(&s));
    loop_turn(&s.loop);
    assert_string_equal(s.text, "");
    close_pipe(&a[0]);
    loop_deinit(&s.loop);
}

/* Both are ready, each removes the other: whoever comes first, the second must not be called. */
static void a_watch_may_remove_another_that_is_ready(void **state)
{
    (void)state;
    struct story s;
    struct actor a[2];
    story_begin(&s);
    cast(&s, a, 2);
    a[0].removes = &a[1];
    a[1].removes = &a[0];
    watch_pipe(&a[0], true);
    watch_pipe(&a[1], true);
    await_turn(&s);
    assert_int_equal(strlen(s.text), 1);
    close_pipe(&a[0]);
    close_pipe(&a[1]);
    loop_deinit(&s.loop);
}

static void a_watch_may_remove_itself(void **state)
{
    (void)state;
    struct story s;
    struct actor a[3];
    story_begin(&s);
    cast(&s, a, 3);
    for (size_t i = 0; i < 3; i++) {
        a[i].removes = &a[i];
        watch_pipe(&a[i], true);
    }
    await_turn(&s);
    assert_int_equal(strlen(s.text), 3);
    assert_null(s.loop.watches);
    assert_false(is_anything_ready(&s));
    for (size_t i = 0; i < 3; i++)
        close_pipe(&a[i]);
    loop_deinit(&s.loop);
}

static void a_timer_may_remove_a_ready_watch_and_a_watch_cancel_a_due_timer(void **state)
{
    (void)state;
    struct story s;
    struct actor a[2];
    story_begin(&s);
    cast(&s, a, 2);
    watch_pipe(&a[0], true);
    loop_timer_set(&s.loop, &a[1].timer, 1000);
    a[0].cancels = &a[1];
    a[1].removes = &a[0];
    await_turn(&s);
    assert_int_equal(strlen(s.text), 1);
    assert_false(s.loop.timers && s.loop.watches);
    loop_timer_cancel(&s.loop, &a[1].timer);
    close_pipe(&a[0]);
    loop_deinit(&s.loop);
}

static void more_descriptors_than_one_turn_takes_are_all_served(void **state)
{
    (void)state;
    struct story s;
    struct actor a[N_MAX];
    story_begin(&s);
    cast(&s, a, N_MAX);
    for (size_t i = 0; i < N_MAX; i++) {
        a[i].removes = &a[i];
        watch_pipe(&a[i], true);
    }
    while (s.loop.watches)
        await_turn(&s);
    assert_int_equal(strlen(s.text), N_MAX);
    for (size_t i = 0; i < N_MAX; i++) {
        assert_non_null(strchr(s.text, a[i].letter));
        close_pipe(&a[i]);
    }
    loop_deinit(&s.loop);
}

static void a_descriptor_that_cannot_be_watched_is_an_error(void **state)
{
    (void)state;
    struct story s;
    struct actor a[1];
    struct err e = {{0}};
    story_begin(&s);
    cast(&s, a, 1);
    a[0].watch.fd = -1;
    assert_int_equal(loop_watch_set(&s.loop, &a[0].watch, EPOLLIN, &e), -EXIT_FAILED);
    assert_true(strlen(e.text) > 0);
    assert_null(s.loop.watches);
    loop_watch_remove(&s.loop, &a[0].watch);
    loop_deinit(&s.loop);
}

static void a_descriptor_closed_before_it_was_removed_is_forgotten(void **state)
{
    (void)state;
    struct story s;
    struct actor a[1];
    story_begin(&s);
    cast(&s, a, 1);
    watch_pipe(&a[0], true);
    close(a[0].pipe[0]);
    loop_watch_remove(&s.loop, &a[0].watch);
    assert_null(s.loop.watches);
    close(a[0].pipe[1]);
    loop_deinit(&s.loop);
}

static void now_is_read_once_a_turn(void **state)
{
    (void)state;
    struct story s;
    uint64_t before_us = clock_now_us();
    story_begin(&s);
    assert_in_range(s.loop.now_us, before_us, clock_now_us());
    s.loop.now_us = 0;
    loop_turn(&s.loop);
    assert_in_range(s.loop.now_us, before_us, clock_now_us());
    loop_deinit(&s.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_the_order_they_are_due),
        cmocka_unit_test(timers_due_at_once_fire_in_the_order_they_were_set),
        cmocka_unit_test(a_timer_does_not_fire_before_it_is_due),
        cmocka_unit_test(a_timer_due_at_zero_fires_too),
        cmocka_unit_test(setting_a_timer_again_moves_it),
        cmocka_unit_test(the_first_timer_moved_away_does_not_wake),
        cmocka_unit_test(a_cancelled_timer_does_not_fire),
        cmocka_unit_test(a_timer_may_cancel_others_that_are_due),
        cmocka_unit_test(a_timer_may_set_itself_and_others),
        cmocka_unit_test(a_timer_that_is_always_due_fires_once_a_turn),
        cmocka_unit_test(many_timers_keep_their_order_under_changes),
        cmocka_unit_test(a_ready_descriptor_is_told_until_it_is_read),
        cmocka_unit_test(a_watch_may_change_what_it_waits_for),
        cmocka_unit_test(a_removed_watch_is_not_called),
        cmocka_unit_test(a_watch_may_remove_another_that_is_ready),
        cmocka_unit_test(a_watch_may_remove_itself),
        cmocka_unit_test(a_timer_may_remove_a_ready_watch_and_a_watch_cancel_a_due_timer),
        cmocka_unit_test(more_descriptors_than_one_turn_takes_are_all_served),
        cmocka_unit_test(a_descriptor_that_cannot_be_watched_is_an_error),
        cmocka_unit_test(a_descriptor_closed_before_it_was_removed_is_forgotten),
        cmocka_unit_test(now_is_read_once_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
