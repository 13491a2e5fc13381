/* What results of all kinds of pipelines say, and what a strange one does. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/detections.h"

static struct detections found;

static void a_box_a_label_and_a_score_are_read(void **state)
{
    (void)state;
    assert_int_equal(detections_read(&found, "{\"detections\":[{\"x\":1.5,\"y\":2,\"w\":3,\"h\":4,"
                                             "\"label\":\"cat\",\"score\":0.5},"
                                             "{\"x\":-1,\"y\":0,\"w\":9,\"h\":9}],\"more\":1}"),
                     0);
    assert_int_equal(found.n, 2);
    const struct detection *d = &found.item[0];
    assert_true(d->box.x == 1.5 && d->box.y == 2 && d->box.width == 3 && d->box.height == 4);
    assert_true(d->box.score == 0.5 && !d->has_corners);
    assert_string_equal(d->box.label, "cat");
    assert_string_equal(found.item[1].box.label, "");
    assert_true(isnan(found.item[1].box.score));
    assert_string_equal(found.status, "");
}

static void an_id_ends_the_label_however_long_that_is(void **state)
{
    static const struct {
        const char *label, *id, *shown;
    } rows[] = {
        {"36h11", "7", "36h11 #7"},
        {"", "7", " #7"},
        {"cat", "\"a\"", "cat"},
        {"cat", "-1", "cat"},
        {"cat", "1e300", "cat"},
        {"abcdefghijklmnopqrstuvwxyz", "123", "abcdefghijklmnopqr #123"},
        {"abcdefghijklmnopqrstuvwxyz", "null", "abcdefghijklmnopqrstuvw"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "{\"detections\":[{\"x\":1,\"y\":1,\"w\":1,\"h\":1,\"label\":\"%s\",\"id\":%s}]}",
                 rows[i].label, rows[i].id);
        assert_int_equal(detections_read(&found, text), 0);
        assert_string_equal(found.item[0].box.label, rows[i].shown);
    }
}

static void corners_are_four_points_or_none(void **state)
{
    static const struct {
        const char *corners;
        bool has;
    } rows[] = {
        {"[[1,2],[3,4],[5,6],[7,8.5]]", true},
        {"[[1,2],[3,4],[5,6]]", false},
        {"[[1,2],[3,4],[5,6],[7]]", false},
        {"[[1,2],[3,4],[5,6],[7,\"8\"]]", false},
        {"[[1,2],[3,4],[5,6],[7,1e999]]", false},
        {"[1,2,3,4]", false},
        {"\"none\"", false},
        {"{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "{\"detections\":[{\"x\":1,\"y\":1,\"w\":1,\"h\":1,\"corners\":%s}]}",
                 rows[i].corners);
        assert_int_equal(detections_read(&found, text), 0);
        assert_int_equal(found.item[0].has_corners, rows[i].has);
    }
    detections_read(&found, "{\"detections\":[{\"x\":1,\"y\":1,\"w\":1,\"h\":1,"
                            "\"corners\":[[1,2],[3,4],[5,6],[7,8.5]]}]}");
    for (int i = 0; i < 8; i++)
        assert_true(found.item[0].corner[i / 2][i % 2] == (i == 7 ? 8.5 : i + 1));
}

static void what_has_no_box_is_left_out(void **state)
{
    static const char *const results[] = {
        "{}",
        "[]",
        "{\"detections\":7}",
        "{\"detections\":[1,null,\"x\",[]]}",
        "{\"detections\":[{\"x\":1,\"y\":1,\"w\":1}]}",
        "{\"detections\":[{\"x\":1,\"y\":1,\"w\":1,\"h\":\"1\"}]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        assert_int_equal(detections_read(&found, results[i]), 0);
        assert_int_equal(found.n, 0);
    }
    assert_int_equal(detections_read(&found, "no JSON"), -1);
    assert_int_equal(found.n, 0);
}

static void a_status_is_told_and_harmless(void **state)
{
    static const struct {
        const char *result, *shown;
    } rows[] = {
        {"{\"status\":\"timeout\"}", "timeout"},
        {"{\"status\":\"error\",\"detail\":\"cannot see\"}", "error: cannot see"},
        {"{\"status\":\"\\u001b[31m\"}", "?[31m"},
        {"{\"detail\":\"nothing\"}", ""},
        {"{\"status\":7}", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(detections_read(&found, rows[i].result), 0);
        assert_string_equal(found.status, rows[i].shown);
    }
}

static void more_than_there_is_room_for_is_left_out(void **state)
{
    struct text t = text_heap(1 << 20);
    (void)state;
    text_add(&t, "{\"detections\":[");
    for (int i = 0; i < DETECTIONS_MAX + 5; i++)
        text_addf(&t, "%s{\"x\":%d,\"y\":1,\"w\":1,\"h\":1}", i ? "," : "", i);
    text_add(&t, "]}");
    assert_int_equal(detections_read(&found, text_str(&t)), 0);
    assert_int_equal(found.n, DETECTIONS_MAX);
    assert_true(found.item[DETECTIONS_MAX - 1].box.x == DETECTIONS_MAX - 1);
    text_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_box_a_label_and_a_score_are_read),
        cmocka_unit_test(an_id_ends_the_label_however_long_that_is),
        cmocka_unit_test(corners_are_four_points_or_none),
        cmocka_unit_test(what_has_no_box_is_left_out),
        cmocka_unit_test(a_status_is_told_and_harmless),
        cmocka_unit_test(more_than_there_is_room_for_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
