#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "common/pattern.h"
#include "server/decode.h"
#include "server/pipeline.h"
#include "server/pipelines/motion_detect.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* A grid of grey cells and the model that looks at it. */

#define W 40
#define H 30

static const struct motion_tuning usual = {.threshold = 20, .min_area = 0};

struct scene {
    struct motion_model *model;
    struct motion_seen seen;
    uint8_t grey[W * H];
};

static void fill(struct scene *s, unsigned x0, unsigned y0, unsigned w, unsigned h, int luma)
{
    for (unsigned y = y0; y < y0 + h; y++)
        memset(s->grey + y * W + x0, luma, w);
}

static void see(struct scene *s, const struct motion_tuning *t)
{
    motion_model_see(s->model, s->grey, t, &s->seen);
}

/* A scene that has been plain grey for n frames. */
static struct scene still_scene(unsigned n)
{
    struct scene s = {.model = motion_model_new(W, H)};
    assert_non_null(s.model);
    fill(&s, 0, 0, W, H, 100);
    while (n--)
        see(&s, &usual);
    return s;
}

static void assert_box(const struct scene *s, size_t i, unsigned x, unsigned y, unsigned w,
                       unsigned h)
{
    assert_true(i < s->seen.n_boxes);
    const struct motion_box *b = &s->seen.box[i];
    if (b->x != x || b->y != y || b->w != w || b->h != h)
        fail_msg("box %zu is %u,%u %ux%u, not %u,%u %ux%u", i, b->x, b->y, b->w, b->h, x, y, w, h);
}

static void the_first_frame_is_only_learnt(void **state)
{
    (void)state;
    struct scene s = still_scene(0);
    fill(&s, 5, 5, 10, 10, 250);
    see(&s, &usual);
    assert_int_equal(s.seen.n_boxes, 0);
    assert_true(s.seen.changed == 0);
    motion_model_free(s.model);
}

static void what_appears_is_boxed_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        unsigned x, y, w, h;
        int luma;
        size_t n_boxes;
    } rows[] = {
        {"nothing", 0, 0, 0, 0, 0, 0},
        {"a bright block", 10, 8, 6, 4, 200, 1},
        {"a dark block", 10, 8, 6, 4, 10, 1},
        {"a strip two cells wide", 10, 8, 2, 9, 200, 1},
        {"a block in the top left corner", 0, 0, 5, 5, 200, 1},
        {"a block in the bottom right corner", W - 5, H - 5, 5, 5, 200, 1},
        {"a block just above the threshold", 10, 8, 6, 4, 121, 1},
        {"a block just at the threshold", 10, 8, 6, 4, 120, 0},
        {"a single cell, which is noise", 10, 8, 1, 1, 250, 0},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct scene s = still_scene(20);
        fill(&s, rows[i].x, rows[i].y, rows[i].w, rows[i].h, rows[i].luma);
        see(&s, &usual);
        if (s.seen.n_boxes != rows[i].n_boxes)
            fail_msg("%s gave %zu boxes", rows[i].what, s.seen.n_boxes);
        if (rows[i].n_boxes)
            assert_box(&s, 0, rows[i].x, rows[i].y, rows[i].w, rows[i].h);
        double share = rows[i].n_boxes ? rows[i].w * rows[i].h / (double)(W * H) : 0;
        assert_true(s.seen.changed == share);
        motion_model_free(s.model);
    }
}

static void boxes_come_largest_first(void **state)
{
    (void)state;
    struct scene s = still_scene(20);
    fill(&s, 2, 2, 3, 3, 200);
    fill(&s, 20, 2, 8, 8, 200);
    fill(&s, 2, 20, 5, 4, 200);
    see(&s, &usual);
    assert_int_equal(s.seen.n_boxes, 3);
    assert_box(&s, 0, 20, 2, 8, 8);
    assert_box(&s, 1, 2, 20, 5, 4);
    assert_box(&s, 2, 2, 2, 3, 3);
    motion_model_free(s.model);
}

/* Corner to corner: side by side, the vote alone closes a gap of one. */
static void boxes_that_nearly_touch_are_one(void **state)
{
    (void)state;
    static const struct {
        unsigned gap;
        size_t n_boxes;
    } rows[] = {{0, 1}, {1, 1}, {2, 2}, {3, 2}};
    for (size_t i = 0; i < N(rows); i++) {
        struct scene s = still_scene(20);
        fill(&s, 10, 3, 4, 4, 200);
        fill(&s, 14 + rows[i].gap, 7 + rows[i].gap, 4, 8, 200);
        see(&s, &usual);
        assert_int_equal(s.seen.n_boxes, rows[i].n_boxes);
        if (rows[i].n_boxes == 1)
            assert_box(&s, 0, 10, 3, 8 + rows[i].gap, 12 + rows[i].gap);
        motion_model_free(s.model);
    }
}

static void boxes_that_overlap_only_once_they_have_grown_are_one(void **state)
{
    (void)state;
    struct scene s = still_scene(20);
    fill(&s, 20, 2, 3, 3, 200); /* far from both, but not from the join of both */
    fill(&s, 5, 3, 3, 18, 200);
    fill(&s, 9, 22, 16, 3, 200);
    see(&s, &usual);
    assert_int_equal(s.seen.n_boxes, 1);
    assert_box(&s, 0, 5, 2, 20, 23);
    motion_model_free(s.model);
}

static void pieces_below_the_smallest_area_are_dropped(void **state)
{
    (void)state;
    static const struct {
        double min_area;
        size_t n_boxes;
    } rows[] = {{0, 1}, {24.0 / (W * H), 1}, {24.5 / (W * H), 0}, {1, 0}};
    for (size_t i = 0; i < N(rows); i++) {
        struct motion_tuning t = {.threshold = 20, .min_area = rows[i].min_area};
        struct scene s = still_scene(20);
        fill(&s, 10, 8, 6, 4, 200);
        see(&s, &t);
        assert_int_equal(s.seen.n_boxes, rows[i].n_boxes);
        motion_model_free(s.model);
    }
}

static void the_largest_32_boxes_are_kept_of_any_number(void **state)
{
    (void)state;
    enum { SIDE = 120 };
    static uint8_t grey[SIDE * SIDE];
    struct motion_model *m = motion_model_new(SIDE, SIDE);
    struct motion_seen seen;
    memset(grey, 50, sizeof grey);
    motion_model_see(m, grey, &usual, &seen);
    for (unsigned y = 0; y + 4 < SIDE; y += 5) /* 24 x 24 blocks of 2 x 2 ... */
        for (unsigned i = 0; i < 2 * SIDE; i++)
            if (i % SIDE % 5 < 2)
                grey[(y + i / SIDE) * SIDE + i % SIDE] = 200;
    for (unsigned i = 0; i < 9; i++) /* ... and the last of them 3 x 3 */
        grey[(115 + i / 3) * SIDE + 115 + i % 3] = 200;
    motion_model_see(m, grey, &usual, &seen);
    assert_int_equal(seen.n_boxes, MOTION_BOXES_MAX);
    assert_int_equal(seen.box[0].x, 115);
    assert_int_equal(seen.box[0].y, 115);
    assert_int_equal(seen.box[0].w, 3);
    motion_model_free(m);
}

static void the_score_tells_how_solid_the_change_is(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int luma;
        bool has_hole;
        double min, max;
    } rows[] = {
        {"clear and full", 200, false, 1, 1},
        {"twice the threshold", 141, false, 0.99, 1},
        {"just above the threshold", 121, false, 0.5, 0.55},
        {"a clear frame around nothing", 200, true, 0.6, 0.7},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct scene s = still_scene(20);
        fill(&s, 10, 8, 10, 10, rows[i].luma);
        if (rows[i].has_hole)
            fill(&s, 12, 10, 6, 6, 100);
        see(&s, &usual);
        assert_int_equal(s.seen.n_boxes, 1);
        double score = s.seen.box[0].score;
        if (score < rows[i].min || score > rows[i].max)
            fail_msg("%s: score %g", rows[i].what, score);
        motion_model_free(s.model);
    }
}

static void a_change_of_light_is_no_object_and_is_over_at_once(void **state)
{
    (void)state;
    struct scene s = still_scene(20);
    fill(&s, 0, 0, W, H, 160);
    see(&s, &usual);
    assert_int_equal(s.seen.n_boxes, 0);
    assert_true(s.seen.changed == 1);
    see(&s, &usual);
    assert_int_equal(s.seen.n_boxes, 0);
    assert_true(s.seen.changed == 0);
    fill(&s, 10, 8, 6, 4, 100);
    see(&s, &usual);
    assert_box(&s, 0, 10, 8, 6, 4);
    motion_model_free(s.model);
}

static void light_that_changes_slowly_is_never_seen(void **state)
{
    (void)state;
    struct scene s = still_scene(20);
    for (int luma = 100; luma < 200; luma++) {
        fill(&s, 0, 0, W, H, luma);
        see(&s, &usual);
        assert_true(s.seen.changed == 0);
    }
    motion_model_free(s.model);
}

static void what_stays_is_seen_for_a_while_and_then_usual(void **state)
{
    (void)state;
    struct scene s = still_scene(20);
    fill(&s, 10, 8, 6, 4, 160);
    for (unsigned n = 0; n < 60; n++) {
        see(&s, &usual);
        assert_int_equal(s.seen.n_boxes, 1);
    }
    for (unsigned n = 0; n < 500; n++)
        see(&s, &usual);
    assert_int_equal(s.seen.n_boxes, 0);
    motion_model_free(s.model);
}

static void who_leaves_the_first_frame_leaves_no_ghost_for_long(void **state)
{
    (void)state;
    struct scene s = still_scene(0);
    fill(&s, 10, 8, 6, 4, 200);
    see(&s, &usual);
    fill(&s, 10, 8, 6, 4, 100);
    for (unsigned n = 0; n < 30; n++)
        see(&s, &usual);
    assert_int_equal(s.seen.n_boxes, 0);
    motion_model_free(s.model);
}

static void what_always_flickers_is_tolerated_but_not_blind(void **state)
{
    (void)state;
    struct scene s = still_scene(1);
    size_t n_late = 0;
    for (unsigned n = 0; n < 200; n++) {
        fill(&s, 10, 8, 6, 4, n % 2 ? 77 : 123); /* 23 levels off the mean */
        see(&s, &usual);
        n_late += n >= 100 ? s.seen.n_boxes : 0;
    }
    assert_int_equal(n_late, 0);
    fill(&s, 10, 8, 6, 4, 160);
    see(&s, &usual);
    assert_int_equal(s.seen.n_boxes, 1);
    motion_model_free(s.model);
}

/* The pipeline, on real JPEGs. */

struct jpeg {
    unsigned char *bytes;
    unsigned long n_bytes;
};

static struct jpeg encode(unsigned width, unsigned height, uint64_t n, int flags)
{
    struct jpeg out = {0};
    struct pattern background = pattern_over(malloc(pattern_bytes(width, height)), width, height);
    struct pattern p = pattern_over(malloc(pattern_bytes(width, height)), width, height);
    pattern_draw_background(&background);
    pattern_draw_frame(&p, &background, n);
    const unsigned char *planes[3] = {p.plane[0], p.plane[1], p.plane[2]};
    tjhandle encoder = tjInitCompress();
    assert_int_equal(tjCompressFromYUVPlanes(encoder, planes, (int)width, p.stride, (int)height,
                                             TJSAMP_420, &out.bytes, &out.n_bytes, 80, flags),
                     0);
    tjDestroy(encoder);
    free(background.plane[0]);
    free(p.plane[0]);
    return out;
}

struct session {
    struct pipeline pipeline;
    struct decode decode; /* of the worker */
    void *state;
    cJSON *result; /* of the last frame */
};

static struct session open_session(void)
{
    struct session s = {.pipeline = {.kind = &pipeline_motion, .name = "motion"}};
    for (size_t i = 0; i < pipeline_motion.n_params; i++)
        s.pipeline.param[i] = pipeline_motion.params[i].def;
    s.state = pipeline_motion.session_new(&s.pipeline);
    assert_non_null(s.state);
    return s;
}

static void close_session(struct session *s)
{
    pipeline_motion.session_free(s->state);
    decode_deinit(&s->decode);
    cJSON_Delete(s->result);
}

static int run(struct session *s, const void *bytes, size_t n_bytes)
{
    struct text out = text_heap(65536);
    struct json j = json_to(&out);
    json_object_begin(&j, NULL);
    decode_begin(&s->decode, bytes, n_bytes, 0);
    struct pipeline_frame frame = {.jpeg = bytes, .jpeg_bytes = n_bytes, .decode = &s->decode};
    int rc = pipeline_motion.process(&s->pipeline, s->state, &frame, &j);
    json_object_end(&j);
    cJSON_Delete(s->result);
    s->result = cJSON_Parse(text_str(&out));
    text_deinit(&out);
    return rc;
}

static int run_pattern(struct session *s, unsigned width, unsigned height, uint64_t n)
{
    struct jpeg jpeg = encode(width, height, n, 0);
    int rc = run(s, jpeg.bytes, jpeg.n_bytes);
    tjFree(jpeg.bytes);
    return rc;
}

static const cJSON *detections(const struct session *s)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(s->result, "detections");
    assert_true(cJSON_IsArray(list));
    return list;
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static bool is_within(double a, double b, double tolerance)
{
    return a >= b - tolerance && a <= b + tolerance;
}

static bool has_box(const struct session *s, struct pattern_rect want, double tolerance)
{
    const cJSON *d;
    cJSON_ArrayForEach(d, detections(s))
    {
        double x = number(d, "x"), y = number(d, "y");
        if (is_within(x, want.x, tolerance) && is_within(y, want.y, tolerance) &&
            is_within(x + number(d, "w"), want.x + want.w, tolerance) &&
            is_within(y + number(d, "h"), want.y + want.h, tolerance))
            return true;
    }
    return false;
}

/* The box covers its own trace for the first frames, and from then on is found to two cells. */
static void the_moving_box_is_found_where_it_is(void **state)
{
    (void)state;
    static const struct {
        unsigned width, height;
        double tolerance;
    } rows[] = {{640, 480, 16}, {320, 240, 8}, {1280, 720, 16}, {161, 121, 6}};
    for (size_t i = 0; i < N(rows); i++) {
        struct session s = open_session();
        unsigned n_found = 0;
        for (uint64_t n = 0; n < 90; n++) {
            assert_int_equal(run_pattern(&s, rows[i].width, rows[i].height, n), 0);
            struct pattern_rect box = pattern_box(rows[i].width, rows[i].height, n);
            n_found += n >= 30 && has_box(&s, box, rows[i].tolerance);
        }
        if (n_found < 54)
            fail_msg("%ux%u: found in %u of 60 frames", rows[i].width, rows[i].height, n_found);
        close_session(&s);
    }
}

static void every_detection_is_inside_the_picture_and_complete(void **state)
{
    (void)state;
    struct session s = open_session();
    for (uint64_t n = 0; n < 120; n++) { /* at 100 it is at the lower edge */
        assert_int_equal(run_pattern(&s, 331, 251, n), 0);
        assert_true(number(s.result, "motion") >= 0 && number(s.result, "motion") <= 1);
        const cJSON *d;
        cJSON_ArrayForEach(d, detections(&s))
        {
            assert_int_equal(cJSON_GetArraySize(d), 6);
            assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(d, "label")), "motion");
            assert_true(number(d, "x") >= 0 && number(d, "w") >= 1);
            assert_true(number(d, "y") >= 0 && number(d, "h") >= 1);
            assert_true(number(d, "x") + number(d, "w") <= 331);
            assert_true(number(d, "y") + number(d, "h") <= 251);
            assert_true(number(d, "score") > 0 && number(d, "score") <= 1);
        }
    }
    close_session(&s);
}

static void a_first_frame_and_a_new_size_give_no_detections(void **state)
{
    (void)state;
    static const struct {
        unsigned width, height;
        uint64_t n;
        bool detects;
    } rows[] = {
        {640, 480, 0, false}, {640, 480, 40, true}, {640, 472, 80, false}, {640, 472, 120, true},
        {320, 240, 0, false}, {320, 240, 40, true}, {640, 480, 0, false},
    };
    struct session s = open_session();
    for (size_t i = 0; i < N(rows); i++) {
        assert_int_equal(run_pattern(&s, rows[i].width, rows[i].height, rows[i].n), 0);
        assert_int_equal(cJSON_GetArraySize(detections(&s)) > 0, rows[i].detects);
    }
    close_session(&s);
}

static void sessions_do_not_see_each_other(void **state)
{
    (void)state;
    struct session a = open_session(), b = open_session();
    for (unsigned n = 0; n < 5; n++) {
        assert_int_equal(run_pattern(&a, 320, 240, 0), 0);
        assert_int_equal(run_pattern(&b, 320, 240, 40), 0);
        assert_int_equal(cJSON_GetArraySize(detections(&a)), 0);
        assert_int_equal(cJSON_GetArraySize(detections(&b)), 0);
    }
    close_session(&a);
    close_session(&b);
}

/* Where the size stands in the SOF0 segment: FF C0, two bytes length, one precision. */
static unsigned char *size_field(const struct jpeg *jpeg)
{
    for (unsigned long i = 0; i + 9 < jpeg->n_bytes; i++)
        if (jpeg->bytes[i] == 0xff && jpeg->bytes[i + 1] == 0xc0)
            return jpeg->bytes + i + 5;
    fail_msg("no SOF0");
    return NULL;
}

static void a_picture_that_is_not_whole_fails_and_the_next_one_does_not(void **state)
{
    (void)state;
    struct session s = open_session();
    struct jpeg jpeg = encode(320, 240, 0, 0);
    static const uint8_t shortest[] = {0xff, 0xd8, 0xff, 0xd9};
    assert_int_equal(run(&s, shortest, sizeof shortest), -1);
    assert_int_equal(run(&s, jpeg.bytes, jpeg.n_bytes), 0);

    unsigned long half = jpeg.n_bytes / 2;
    unsigned char *cut = malloc(half);
    memcpy(cut, jpeg.bytes, half);
    memcpy(cut + half - 2, "\xff\xd9", 2);
    assert_int_equal(run(&s, cut, half), -1);
    memcpy(cut + 2, "garbage that is no marker", 25);
    assert_int_equal(run(&s, cut, half), -1);
    free(cut);

    static const char *const absurd[] = {"\xff\xff\xff\xff", "\xfd\xe8\xfd\xe8",
                                         "\x1f\x41\x1f\x40"};
    for (size_t i = 0; i < N(absurd); i++) {
        memcpy(size_field(&jpeg), absurd[i], 4);
        assert_int_equal(run(&s, jpeg.bytes, jpeg.n_bytes), -1);
    }
    tjFree(jpeg.bytes);
    assert_int_equal(run_pattern(&s, 320, 240, 0), 0);
    assert_int_equal(cJSON_GetArraySize(detections(&s)), 0);
    assert_int_equal(run_pattern(&s, 320, 240, 40), 0);
    assert_true(cJSON_GetArraySize(detections(&s)) > 0);
    close_session(&s);
}

static void padding_before_the_end_marker_is_no_damage(void **state)
{
    (void)state;
    struct session s = open_session();
    for (size_t n_padding = 1; n_padding <= 64; n_padding *= 4) {
        struct jpeg jpeg = encode(320, 240, 0, 0);
        size_t n_bytes = jpeg.n_bytes + n_padding;
        unsigned char *padded = calloc(1, n_bytes);
        memcpy(padded, jpeg.bytes, jpeg.n_bytes - 2);
        memcpy(padded + n_bytes - 2, "\xff\xd9", 2);
        assert_int_equal(run(&s, padded, n_bytes), 0);
        free(padded);
        tjFree(jpeg.bytes);
    }
    close_session(&s);
}

static void a_progressive_picture_is_read_like_any_other(void **state)
{
    (void)state;
    struct session s = open_session();
    assert_int_equal(run_pattern(&s, 320, 240, 0), 0);
    struct jpeg same = encode(320, 240, 0, TJFLAG_PROGRESSIVE);
    assert_int_equal(run(&s, same.bytes, same.n_bytes), 0);
    assert_int_equal(cJSON_GetArraySize(detections(&s)), 0);
    assert_true(number(s.result, "motion") == 0);
    tjFree(same.bytes);
    close_session(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_frame_is_only_learnt),
        cmocka_unit_test(what_appears_is_boxed_exactly),
        cmocka_unit_test(boxes_come_largest_first),
        cmocka_unit_test(boxes_that_nearly_touch_are_one),
        cmocka_unit_test(boxes_that_overlap_only_once_they_have_grown_are_one),
        cmocka_unit_test(pieces_below_the_smallest_area_are_dropped),
        cmocka_unit_test(the_largest_32_boxes_are_kept_of_any_number),
        cmocka_unit_test(the_score_tells_how_solid_the_change_is),
        cmocka_unit_test(a_change_of_light_is_no_object_and_is_over_at_once),
        cmocka_unit_test(light_that_changes_slowly_is_never_seen),
        cmocka_unit_test(what_stays_is_seen_for_a_while_and_then_usual),
        cmocka_unit_test(who_leaves_the_first_frame_leaves_no_ghost_for_long),
        cmocka_unit_test(what_always_flickers_is_tolerated_but_not_blind),
        cmocka_unit_test(the_moving_box_is_found_where_it_is),
        cmocka_unit_test(every_detection_is_inside_the_picture_and_complete),
        cmocka_unit_test(a_first_frame_and_a_new_size_give_no_detections),
        cmocka_unit_test(sessions_do_not_see_each_other),
        cmocka_unit_test(a_picture_that_is_not_whole_fails_and_the_next_one_does_not),
        cmocka_unit_test(padding_before_the_end_marker_is_no_damage),
        cmocka_unit_test(a_progressive_picture_is_read_like_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
