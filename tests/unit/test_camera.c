/* The account of each frame, on a clock set by hand. */
#include "loadgen/camera.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loadgen/plan.h"

#define BUDGET_US 37000u

static const struct profile thirty = {.name = "thirty", .weight = 1, .fps_milli = 30000};

struct bench {
    struct book book;
    struct camera camera;
};

static void begin(struct bench *b, uint64_t warmup_us)
{
    assert_int_equal(book_init(&b->book, 1, warmup_us, BUDGET_US), 0);
    camera_init(&b->camera, 0, 0, &thirty, 0);
}

static uint64_t counted(const struct bench *b, enum record_count what)
{
    return b->book.record.part[0].count[what];
}

/* Nothing is in flight any more, and each line of the ledger adds up. */
static void end(struct bench *b)
{
    assert_int_equal(b->camera.n_open, 0);
    assert_int_equal(counted(b, RECORD_DUE),
                     counted(b, RECORD_SENT) + counted(b, RECORD_HELD_BACK) +
                         counted(b, RECORD_LOST) + counted(b, RECORD_UNSENT));
    assert_int_equal(counted(b, RECORD_SENT), counted(b, RECORD_ANSWERED) +
                                                  counted(b, RECORD_DROPPED) +
                                                  counted(b, RECORD_UNANSWERED));
    camera_deinit(&b->camera);
    book_deinit(&b->book);
}

static bool hear(struct bench *b, enum proto_kind kind, uint64_t index, uint64_t now_us)
{
    struct proto_message m = {.kind = kind, .frame_index = index, .name = "replaced"};
    struct camera_frame f;
    return camera_on_answer(&b->camera, &b->book, &m, now_us, &f);
}

static void latency_runs_from_when_it_was_due(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, 0);
    camera_queue(&b.camera, &b.book, 4000); /* due at 0: we are 4 ms late */
    camera_on_sent(&b.camera, &b.book, 46000, 5000);
    assert_true(hear(&b, PROTO_RESULT, 0, 9000));
    const struct hist *t = b.book.record.part[0].time;
    assert_int_equal(t[RECORD_SLIP].max_us, 4000);
    assert_int_equal(t[RECORD_BLOCKED].max_us, 1000);
    assert_int_equal(t[RECORD_RESPONSE].max_us, 4000);
    assert_int_equal(t[RECORD_LATENCY].max_us, 9000);
    assert_int_equal(counted(&b, RECORD_SENT_BYTES), 46000);
    assert_int_equal(counted(&b, RECORD_LATE), 0);
    end(&b);
}

static void late_begins_above_the_budget(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, 0);
    for (uint64_t i = 0; i < 2; i++) {
        uint64_t due_us = camera_next_due_us(&b.camera);
        camera_queue(&b.camera, &b.book, due_us);
        camera_on_sent(&b.camera, &b.book, 1, due_us);
        assert_true(hear(&b, PROTO_RESULT, i, due_us + BUDGET_US + i));
    }
    assert_int_equal(counted(&b, RECORD_LATE), 1);
    end(&b);
}

static void answers_come_in_any_order_and_once(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, 0);
    for (uint64_t i = 0; i < 40; i++) { /* more than the ring has at first */
        camera_queue(&b.camera, &b.book, i * 33334);
        camera_on_sent(&b.camera, &b.book, 1, i * 33334);
    }
    for (uint64_t i = 40; i-- > 0;) {
        assert_true(hear(&b, i % 4 ? PROTO_RESULT : PROTO_DROP, i, 2000000));
        assert_false(hear(&b, PROTO_RESULT, i, 2000000));
    }
    assert_false(hear(&b, PROTO_RESULT, 40, 2000000));
    assert_int_equal(counted(&b, RECORD_ANSWERED), 30);
    assert_int_equal(counted(&b, RECORD_DROPPED_REPLACED), 10);
    end(&b);
}

static void what_is_not_sent_cannot_be_answered(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, 0);
    camera_queue(&b.camera, &b.book, 0);
    assert_true(camera_has_queued(&b.camera));
    assert_false(hear(&b, PROTO_RESULT, 0, 10));
    camera_on_disconnect(&b.camera, &b.book, 20);
    assert_int_equal(counted(&b, RECORD_LOST), 1);
    end(&b);
}

static void a_lost_connection_settles_all(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, 0);
    for (int i = 0; i < 3; i++)
        camera_queue(&b.camera, &b.book, 100000);
    camera_on_sent(&b.camera, &b.book, 1, 100001);
    camera_on_sent(&b.camera, &b.book, 1, 100001);
    assert_true(hear(&b, PROTO_RESULT, 1, 100002));
    camera_on_disconnect(&b.camera, &b.book, 100003);
    assert_int_equal(counted(&b, RECORD_UNANSWERED), 1);
    assert_int_equal(counted(&b, RECORD_LOST), 1);
    camera_queue(&b.camera, &b.book, 200000); /* the next connection counts from 0 */
    camera_on_sent(&b.camera, &b.book, 1, 200000);
    assert_true(hear(&b, PROTO_RESULT, 0, 200001));
    end(&b);
}

static void patience_ends_for_the_oldest_first(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, 0);
    for (uint64_t i = 0; i < 3; i++) {
        camera_queue(&b.camera, &b.book, i * 1000);
        camera_on_sent(&b.camera, &b.book, 1, i * 1000);
    }
    camera_expire(&b.camera, &b.book, 5000, 5999);
    assert_int_equal(counted(&b, RECORD_UNANSWERED), 1);
    camera_expire(&b.camera, &b.book, 5000, 6000);
    assert_int_equal(counted(&b, RECORD_UNANSWERED), 2);
    assert_false(hear(&b, PROTO_RESULT, 0, 6001));
    assert_true(hear(&b, PROTO_RESULT, 2, 6001));
    end(&b);
}

static void the_warm_up_is_in_the_series_only(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, 50000); /* frames 0 and 1 are due before */
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t due_us = camera_next_due_us(&b.camera);
        camera_queue(&b.camera, &b.book, due_us);
        camera_on_sent(&b.camera, &b.book, 1, due_us);
        assert_true(hear(&b, PROTO_RESULT, i, due_us + 10));
    }
    assert_int_equal(record_now_end(&b.book.record, &b.book.now, 1), 0);
    assert_int_equal(counted(&b, RECORD_DUE), 1);
    assert_int_equal(counted(&b, RECORD_ANSWERED), 1);
    assert_int_equal(b.book.record.second[0].due, 3);
    assert_int_equal(b.book.record.second[0].answered, 3);
    end(&b);
}

static void frames_that_are_skipped_never_were_due(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, 0);
    camera_skip_to(&b.camera, 1000000);
    assert_int_equal(camera_next_due_us(&b.camera), 1000000);
    camera_give_up(&b.camera, &b.book, RECORD_HELD_BACK, 1000000);
    camera_give_up(&b.camera, &b.book, RECORD_UNSENT, 1100000);
    assert_int_equal(counted(&b, RECORD_DUE), 2);
    camera_finish(&b.camera, &b.book);
    assert_int_equal(b.book.record.worst[0].missing, 1); /* what is held back is not missed */
    end(&b);
}

/* --- a split run is the whole run --- */

#define N_SESSIONS 23
#define PLAYED_US  3000000u

/* A server without randomness: what it does with a frame depends on the frame alone. */
static void play_camera(struct book *b, const struct plan *p, uint32_t index, uint64_t *end_us)
{
    static const struct profile kinds[] = {{.name = "a", .weight = 1, .fps_milli = 30000},
                                           {.name = "b", .weight = 1, .fps_milli = 7000}};
    struct camera c;
    uint16_t part = (uint16_t)(index % 2);
    camera_init(&c, index, part, &kinds[part], plan_phase_us(p, index, kinds[part].fps_milli));
    for (uint64_t n = 0; camera_next_due_us(&c) < PLAYED_US; n++) {
        uint64_t due_us = camera_next_due_us(&c), seed = due_us * 31 + index;
        if (seed % 50 == 0) {
            camera_give_up(&c, b, RECORD_LOST, due_us);
            n--;
            continue;
        }
        struct proto_message m = {.kind = seed % 10 ? PROTO_RESULT : PROTO_DROP,
                                  .frame_index = n,
                                  .has_timing = true,
                                  .timing = {.wait_us = seed % 100,
                                             .pipeline_us = seed % 1000,
                                             .server_us = seed % 1200}};
        struct camera_frame f;
        camera_queue(&c, b, due_us + seed % 50);
        camera_on_sent(&c, b, 1000, due_us + seed % 60 + 50);
        camera_on_answer(&c, b, &m, due_us + 1000 + seed % 900, &f);
    }
    *end_us = camera_next_due_us(&c);
    camera_finish(&c, b);
    camera_deinit(&c);
}

/* Sessions segment, segment + n, ... of the load. Time only goes on within a book, so the sessions
 * are played one after the other into books of their own, as threads do, and merged. */
static void play_segment(struct record *into, uint32_t segment, uint32_t n_segments)
{
    struct plan p = {.sessions = N_SESSIONS, .phase = PHASE_EVEN};
    for (uint32_t i = segment; i < N_SESSIONS; i += n_segments) {
        struct book b;
        uint64_t end_us;
        assert_int_equal(book_init(&b, 2, 500000, BUDGET_US), 0);
        play_camera(&b, &p, i, &end_us);
        assert_int_equal(record_now_end(&b.record, &b.now, 1), 0);
        assert_int_equal(record_merge(into, &b.record), 0);
        book_deinit(&b);
    }
}

static void assert_same(const struct record *a, const struct record *b)
{
    assert_int_equal(a->n_seconds, b->n_seconds);
    assert_memory_equal(a->part, b->part, a->n_parts * sizeof *a->part);
    for (size_t i = 0; i < a->n_seconds; i++) {
        struct record_second x = a->second[i], y = b->second[i];
        assert_int_equal(x.n_buckets, y.n_buckets);
        assert_memory_equal(x.buckets, y.buckets, x.n_buckets * sizeof *x.buckets);
        x.buckets = y.buckets = NULL;
        assert_memory_equal(&x, &y, sizeof x);
    }
    assert_int_equal(a->n_worst, b->n_worst);
    assert_memory_equal(a->worst, b->worst, a->n_worst * sizeof a->worst[0]);
    assert_int_equal(a->n_sessions, b->n_sessions);
    assert_int_equal(a->share_sum, b->share_sum);
    assert_int_equal(a->share_squares, b->share_squares);
}

static void a_split_run_equals_the_whole(void **state)
{
    struct record whole, parts;
    (void)state;
    assert_int_equal(record_init(&whole, 2), 0);
    play_segment(&whole, 0, 1);
    assert_true(whole.part[0].count[RECORD_ANSWERED] > 100);
    for (uint32_t n = 2; n <= 5; n++) {
        assert_int_equal(record_init(&parts, 2), 0);
        for (uint32_t i = n; i-- > 0;) { /* and in another order */
            struct record one;
            assert_int_equal(record_init(&one, 2), 0);
            play_segment(&one, i, n);
            assert_int_equal(record_merge(&parts, &one), 0);
            record_deinit(&one);
        }
        assert_same(&whole, &parts);
        record_deinit(&parts);
    }
    record_deinit(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latency_runs_from_when_it_was_due),
        cmocka_unit_test(late_begins_above_the_budget),
        cmocka_unit_test(answers_come_in_any_order_and_once),
        cmocka_unit_test(what_is_not_sent_cannot_be_answered),
        cmocka_unit_test(a_lost_connection_settles_all),
        cmocka_unit_test(patience_ends_for_the_oldest_first),
        cmocka_unit_test(the_warm_up_is_in_the_series_only),
        cmocka_unit_test(frames_that_are_skipped_never_were_due),
        cmocka_unit_test(a_split_run_equals_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
