#include "loadgen/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct settings set = {
    .fps = 30, .pipeline = "motion", .size_bytes = 46000, .geometry = "640x480"};

static int read_text(struct profiles *p, const char *text, struct err *e)
{
    return profiles_read(p, &set, text ? strdup(text) : NULL, e);
}

static void without_a_file_there_is_one(void **state)
{
    struct profiles p;
    struct err e;
    (void)state;
    assert_int_equal(read_text(&p, NULL, &e), 0);
    assert_int_equal(p.n, 1);
    assert_string_equal(p.item[0].name, "default");
    assert_int_equal(p.item[0].fps_milli, 30000);
    assert_int_equal(p.item[0].width, 640);
    profiles_free(&p);
}

static void a_line_is_a_profile(void **state)
{
    struct profiles p;
    struct err e;
    (void)state;
    assert_int_equal(read_text(&p,
                               "# a comment\n\n"
                               "1080p30 weight=3 fps=29.97 geometry=1920x1080 size=180KB\r\n"
                               "  480p10\tfps=10 tag.site=north tag.rack=4 # more\n"
                               "doorbell burst=5s/20s slow-reader=2s in-flight=2 fragment=4KiB "
                               "pipeline=null frames=/x.mjpeg",
                               &e),
                     0);
    assert_int_equal(p.n, 3);
    assert_int_equal(p.item[0].weight, 3);
    assert_int_equal(p.item[0].fps_milli, 29970);
    assert_int_equal(p.item[0].height, 1080);
    assert_int_equal(p.item[0].size_bytes, 180000);
    assert_string_equal(p.item[0].pipeline, "motion");
    assert_string_equal(p.item[1].tags, "site=north rack=4");
    assert_int_equal(p.item[1].size_bytes, 46000);
    assert_int_equal(p.item[2].burst_on_us, 5000000);
    assert_int_equal(p.item[2].burst_off_us, 20000000);
    assert_int_equal(p.item[2].slow_reader_us, 2000000);
    assert_int_equal(p.item[2].in_flight, 2);
    assert_int_equal(p.item[2].fragment_bytes, 4096);
    assert_string_equal(p.item[2].pipeline, "null");
    assert_string_equal(p.item[2].frames, "/x.mjpeg");
    profiles_free(&p);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text, *told;
    } rows[] = {
        {"a\nb speed=3", "line 2"},
        {"a\nb speed=3", "speed"},
        {"a fps=0", "fps"},
        {"a fps=x", "fps"},
        {"a geometry=640", "geometry"},
        {"a geometry=640x480x2", "geometry"},
        {"a geometry=9999x9", "geometry"},
        {"a burst=5s", "burst"},
        {"a burst=0/5s", "burst"},
        {"a size=10", "size"},
        {"a weight=0", "weight"},
        {"a weight", "key=value"},
        {"a\na", "already"},
        {"# nothing", "no profile"},
        {"", "no profile"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct profiles p;
        struct err e = {0};
        if (read_text(&p, rows[i].text, &e) != -EXIT_USAGE || !strstr(e.text, rows[i].told))
            fail_msg("'%s': '%s'", rows[i].text, e.text);
        profiles_free(&p);
    }
}

static void sessions_are_mixed_by_weight(void **state)
{
    struct profiles p;
    struct err e;
    uint16_t of[100];
    size_t n[3] = {0};
    (void)state;
    assert_int_equal(read_text(&p, "a weight=7\nb weight=2\nc", &e), 0);
    profiles_assign(&p, of, 100);
    for (size_t i = 0; i < 100; i++)
        n[of[i]]++;
    assert_int_equal(n[0], 70);
    assert_int_equal(n[1], 20);
    assert_int_equal(n[2], 10);
    for (size_t i = 0; i < 100; i += 10) { /* any ten are a small picture of all */
        size_t as = 0;
        for (size_t k = 0; k < 10; k++)
            as += of[i + k] == 0;
        assert_int_equal(as, 7);
    }
    profiles_free(&p);
}

static void a_burst_is_on_and_off(void **state)
{
    struct profile p = {.burst_on_us = 5, .burst_off_us = 20};
    (void)state;
    assert_true(profile_is_on(&p, 4));
    assert_false(profile_is_on(&p, 5));
    assert_false(profile_is_on(&p, 24));
    assert_true(profile_is_on(&p, 25));
    p.burst_off_us = 0;
    assert_true(profile_is_on(&p, 24));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_there_is_one),
        cmocka_unit_test(a_line_is_a_profile),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(sessions_are_mixed_by_weight),
        cmocka_unit_test(a_burst_is_on_and_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
