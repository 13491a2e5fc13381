/* Tags drawn by the library, found by the pipeline: ids and corners. */
#include "server/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#ifdef HAVE_APRILTAG

#include <apriltag/apriltag.h>
#include <apriltag/tag36h11.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "server/decode.h"

#define WIDTH  640
#define HEIGHT 480
#define CELL   12 /* pixels of a tag's cell */

static uint8_t grey[WIDTH * HEIGHT];

/* Tag `id` with its white border, its top left at x, y. */
static void draw_tag(int id, int x, int y)
{
    apriltag_family_t *family = tag36h11_create();
    image_u8_t *tag = apriltag_to_image(family, id);
    for (int v = 0; v < tag->height * CELL; v++)
        for (int u = 0; u < tag->width * CELL; u++)
            grey[(y + v) * WIDTH + x + u] = tag->buf[v / CELL * tag->stride + u / CELL];
    free(tag->buf);
    free(tag);
    tag36h11_destroy(family);
}

static cJSON *see(const char *spec, const char *name)
{
    const char *specs[] = {spec};
    struct pipeline_set set;
    struct text out = text_heap(65536);
    struct json j = json_to(&out);
    unsigned char *jpeg = NULL;
    unsigned long n = 0;
    tjhandle h = tjInitCompress();
    assert_int_equal(
        tjCompress2(h, grey, WIDTH, 0, HEIGHT, TJPF_GRAY, &jpeg, &n, TJSAMP_GRAY, 90, 0), 0);
    tjDestroy(h);
    assert_int_equal(pipeline_set_init(&set, specs, 1, NULL), 0);
    const struct pipeline *p = pipeline_find(&set, name);
    struct decode decode = {0};
    decode_begin(&decode, jpeg, n, 0);
    struct pipeline_frame frame = {.jpeg = jpeg, .jpeg_bytes = n, .decode = &decode};
    json_object_begin(&j, NULL);
    assert_int_equal(p->kind->process(p, NULL, &frame, &j), 0);
    json_object_end(&j);
    cJSON *result = cJSON_ParseWithLength(text_str(&out), out.len);
    assert_non_null(result);
    decode_deinit(&decode);
    pipeline_set_deinit(&set);
    text_deinit(&out);
    tjFree(jpeg);
    return result;
}

static double number(const cJSON *o, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(o, key));
}

/* The black square begins one cell behind the white border. */
static void check_place(const cJSON *tag, int x, int y)
{
    assert_true(fabs(number(tag, "x") - (x + CELL)) < 2);
    assert_true(fabs(number(tag, "y") - (y + CELL)) < 2);
    assert_true(fabs(number(tag, "w") - 8 * CELL) < 3);
    assert_true(fabs(number(tag, "h") - 8 * CELL) < 3);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(tag, "corners")), 4);
    assert_true(number(tag, "score") > 20);
}

static void tags_are_found_with_their_corners(void **state)
{
    static const char *const specs[] = {"t=apriltag:decimate=1", "t=apriltag"};
    (void)state;
    memset(grey, 150, sizeof grey);
    draw_tag(7, 60, 80);
    draw_tag(321, 400, 200);
    for (size_t k = 0; k < sizeof specs / sizeof specs[0]; k++) {
        cJSON *result = see(specs[k], "t");
        const cJSON *tags = cJSON_GetObjectItem(result, "detections");
        assert_int_equal(cJSON_GetArraySize(tags), 2);
        for (int i = 0; i < 2; i++) {
            const cJSON *tag = cJSON_GetArrayItem(tags, i);
            assert_true(number(tag, "id") == 7 || number(tag, "id") == 321);
            if (number(tag, "id") == 7)
                check_place(tag, 60, 80);
            else
                check_place(tag, 400, 200);
        }
        cJSON_Delete(result);
    }
}

static void another_family_is_not_found(void **state)
{
    (void)state;
    memset(grey, 150, sizeof grey);
    draw_tag(7, 60, 80);
    cJSON *result = see("t=apriltag:family=25h9", "t");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(result, "detections")), 0);
    cJSON_Delete(result);
}

static void unknown_families_are_refused(void **state)
{
    const char *specs[] = {"t=apriltag:family=12h3"};
    struct pipeline_set set;
    struct err e;
    (void)state;
    assert_int_equal(pipeline_set_init(&set, specs, 1, &e), -EXIT_USAGE);
    assert_non_null(strstr(e.text, "expected 36h11"));
    pipeline_set_deinit(&set);
}

#endif

int main(void)
{
#ifdef HAVE_APRILTAG
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_found_with_their_corners),
        cmocka_unit_test(another_family_is_not_found),
        cmocka_unit_test(unknown_families_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
#else
    puts("built without libapriltag: nothing to test");
    return 0;
#endif
}
