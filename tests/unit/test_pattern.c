#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "common/pattern.h"
#include "cli/source.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    unsigned width, height;
} sizes[] = {{640, 480}, {320, 240}, {16, 16}, {17, 19}, {641, 477}, {16, 1024}, {1024, 16}};

static struct pattern new_pattern(unsigned width, unsigned height)
{
    return pattern_over(malloc(pattern_bytes(width, height)), width, height);
}

static void free_pattern(struct pattern *p)
{
    free(p->plane[0]);
}

/* A new picture of frame n, with its background drawn. */
static struct pattern draw(unsigned width, unsigned height, uint64_t n)
{
    struct pattern background = new_pattern(width, height), p = new_pattern(width, height);
    pattern_draw_background(&background);
    pattern_draw_frame(&p, &background, n);
    free_pattern(&background);
    return p;
}

/* The number that the digits show, -1 when a digit is none; read back dot by dot. */
static long read_counter(const uint8_t *luma, size_t stride, struct pattern_rect at)
{
    static const char *const shapes[10] = {
        /* five rows of three dots each */
        "#### ## ## ####", " # ##  #  # ###", "###  #####  ###", "###  ####  ####",
        "# ## ####  #  #", "####  ###  ####", "####  #### ####", "###  #  #  #  #",
        "#### ##### ####", "#### ####  ####",
    };
    long number = 0;
    unsigned dot = at.h / 7;
    for (unsigned digit = 0; digit < 6; digit++) {
        char seen[16] = "";
        for (unsigned i = 0; i < 15; i++) {
            unsigned x = at.x + (1 + 4 * digit + i % 3) * dot + dot / 2;
            unsigned y = at.y + (1 + i / 3) * dot + dot / 2;
            seen[i] = luma[y * stride + x] > 128 ? '#' : ' ';
        }
        size_t value = 0;
        while (value < 10 && strcmp(shapes[value], seen) != 0)
            value++;
        if (value == 10)
            return -1;
        number = number * 10 + (long)value;
    }
    return number;
}

static void the_same_number_gives_the_same_picture_and_another_another(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(sizes); i++) {
        unsigned w = sizes[i].width, h = sizes[i].height;
        struct pattern a = draw(w, h, 20), b = draw(w, h, 20), c = draw(w, h, 45);
        assert_memory_equal(a.plane[0], b.plane[0], pattern_bytes(w, h));
        assert_memory_not_equal(a.plane[0], c.plane[0], pattern_bytes(w, h));
        free_pattern(&a);
        free_pattern(&b);
        free_pattern(&c);
    }
}

static void the_planes_are_as_large_as_the_encoder_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(sizes); i++) {
        int w = (int)sizes[i].width, h = (int)sizes[i].height;
        struct pattern p = draw(sizes[i].width, sizes[i].height, 0);
        size_t n_bytes = 0;
        for (int plane = 0; plane < 3; plane++) {
            assert_int_equal(p.plane[plane] - p.plane[0], n_bytes);
            assert_int_equal(p.stride[plane], tjPlaneWidth(plane, w, TJSAMP_420));
            n_bytes += tjPlaneSizeYUV(plane, w, p.stride[plane], h, TJSAMP_420);
        }
        assert_int_equal(n_bytes, pattern_bytes(sizes[i].width, sizes[i].height));
        free_pattern(&p);
    }
}

static void the_counter_shows_the_frame_number(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 9, 10, 123456, 987650, 999999, 1000000, 1000001};
    for (size_t i = 0; i < N(numbers); i++) {
        struct pattern p = draw(640, 480, numbers[i]);
        assert_int_equal(read_counter(p.plane[0], (size_t)p.stride[0], pattern_counter(640, 480)),
                         numbers[i] % 1000000);
        free_pattern(&p);
    }
}

static void the_box_stays_inside_and_away_from_the_counter(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(sizes); i++)
        for (uint64_t n = 0; n < 300; n++) {
            unsigned w = sizes[i].width, h = sizes[i].height;
            struct pattern_rect box = pattern_box(w, h, n), counter = pattern_counter(w, h);
            assert_true(box.w >= 4 && box.h >= 2);
            assert_true(box.x + box.w <= w && box.y + box.h <= h);
            assert_true(counter.x + counter.w <= w && counter.y + counter.h <= h);
            assert_true(!counter.w || box.y > counter.y + counter.h);
        }
}

static void the_box_never_stops_and_never_jumps(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 600; n++) {
        struct pattern_rect a = pattern_box(640, 480, n), b = pattern_box(640, 480, n + 1);
        int dx = (int)b.x - (int)a.x, dy = (int)b.y - (int)a.y;
        assert_in_range(dx * dx + dy * dy, 1, 16 * 16);
    }
}

static void the_box_is_far_brighter_than_what_it_covers(void **state)
{
    (void)state;
    struct pattern background = new_pattern(640, 480), p = draw(640, 480, 45);
    pattern_draw_background(&background);
    struct pattern_rect box = pattern_box(640, 480, 45);
    for (unsigned y = box.y; y < box.y + box.h; y++)
        for (unsigned x = box.x; x < box.x + box.w; x++)
            assert_true(p.plane[0][y * 640 + x] >= background.plane[0][y * 640 + x] + 60);
    free_pattern(&background);
    free_pattern(&p);
}

static void a_picture_too_small_for_digits_has_none(void **state)
{
    (void)state;
    assert_int_equal(pattern_counter(39, 480).w, 0);
    assert_int_equal(pattern_counter(640, 23).w, 0);
    assert_true(pattern_counter(40, 24).w > 0);
}

/* The source below, on a clock that is set by hand. */

struct probe {
    struct loop loop;
    struct source *source;
    unsigned n_pictures, n_broken;
    long counter; /* what the last picture shows */
    uint64_t index;
    int width, height;
    bool close_it;
};

static void read_picture(struct probe *t, const struct picture *p)
{
    int subsampling, colourspace;
    tjhandle decoder = tjInitDecompress();
    assert_int_equal(tjDecompressHeader3(decoder, p->bytes, p->n_bytes, &t->width, &t->height,
                                         &subsampling, &colourspace),
                     0);
    uint8_t *luma = malloc((size_t)t->width * (size_t)t->height);
    assert_int_equal(tjDecompress2(decoder, p->bytes, p->n_bytes, luma, 0, 0, 0, TJPF_GRAY, 0), 0);
    t->counter = read_counter(luma, (size_t)t->width,
                              pattern_counter((unsigned)t->width, (unsigned)t->height));
    assert_int_equal(subsampling, TJSAMP_420);
    free(luma);
    tjDestroy(decoder);
}

static void on_picture(void *ctx, struct picture *p)
{
    struct probe *t = ctx;
    t->n_pictures++;
    t->index = p->index;
    read_picture(t, p);
    picture_free(p);
    if (t->close_it)
        source_close(t->source);
}

static void on_broken(void *ctx, const char *why)
{
    struct probe *t = ctx;
    assert_string_equal(why, "too large");
    t->n_broken++;
}

static void on_end(void *ctx, int rc, const struct err *why)
{
    (void)ctx;
    fail_msg("ended with %d: %s", rc, why->text);
}

static int open_probe(struct probe *t, const char *spec, size_t picture_bytes_max, struct err *e)
{
    *t = (struct probe){.n_pictures = 0};
    assert_int_equal(loop_init(&t->loop, NULL), 0);
    t->loop.now_us = 5000000;
    struct source_sink sink = {
        .ctx = t, .on_picture = on_picture, .on_broken = on_broken, .on_end = on_end};
    struct source_options o = {.picture_bytes_max = picture_bytes_max};
    return source_test.open(&t->source, spec, &o, &t->loop, &sink, e);
}

/* When the source wants to be called, and the call itself, at now_us. */
static uint64_t due_us(const struct probe *t)
{
    assert_non_null(t->loop.timers);
    return t->loop.timers->due_us;
}

static void fire_at(struct probe *t, uint64_t now_us)
{
    struct loop_timer *timer = t->loop.timers;
    t->loop.now_us = now_us;
    loop_timer_cancel(&t->loop, timer);
    timer->on_due(timer->ctx);
}

static void close_probe(struct probe *t)
{
    source_close(t->source);
    assert_null(t->loop.timers);
    loop_deinit(&t->loop);
}

static void the_source_takes_size_and_rate_in_any_combination(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int width, height;
        uint64_t interval_us;
    } rows[] = {
        {"test:", 640, 480, 33334},           {"test:320x200", 320, 200, 33334},
        {"test:@10", 640, 480, 100000},       {"test:64x48@2.5", 64, 48, 400000},
        {"test:16x16@0.1", 16, 16, 10000000}, {"test:161x121@240", 161, 121, 4167},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct probe t;
        assert_true(source_test.matches(rows[i].spec));
        assert_int_equal(open_probe(&t, rows[i].spec, SIZE_MAX, NULL), 0);
        assert_int_equal(t.n_pictures, 0);
        assert_int_equal(due_us(&t), 5000000);
        fire_at(&t, 5000000);
        assert_int_equal(t.n_pictures, 1);
        assert_int_equal(t.width, rows[i].width);
        assert_int_equal(t.height, rows[i].height);
        assert_int_equal(due_us(&t), 5000000 + rows[i].interval_us);
        close_probe(&t);
    }
}

static void the_source_refuses_sizes_and_rates_it_cannot_make(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "test:640",       "test:x480",     "test:640x",      "test:15x480",
        "test:640x4097",  "test:-640x480", "test:640x 480",  "test:640x480@",
        "test:640x480@0", "test:@0.09",    "test:@240.1",    "test:@-30",
        "test:@nan",      "test:@30x",     "test:640x480x3", "test:640x480 @5",
        "test:fast",      "test:1e3x480",  "test:@30@30",    "test:99999999999999999999x16",
    };
    for (size_t i = 0; i < N(specs); i++) {
        struct probe t;
        struct err e = {.text = ""};
        int rc = open_probe(&t, specs[i], SIZE_MAX, &e);
        if (rc != -EXIT_USAGE || !strstr(e.text, specs[i]) || !strstr(e.text, "16 to 4096"))
            fail_msg("'%s' gave %d: %s", specs[i], rc, e.text);
        assert_null(t.loop.timers);
        loop_deinit(&t.loop);
    }
    assert_false(source_test.matches("test"));
    assert_false(source_test.matches("tests:"));
}

static void the_source_keeps_to_its_schedule_without_drift(void **state)
{
    (void)state;
    struct probe t;
    assert_int_equal(open_probe(&t, "test:48x32@30", SIZE_MAX, NULL), 0);
    for (uint64_t n = 0; n < 90; n++) {
        uint64_t late_us = n % 7 * 1000;
        fire_at(&t, due_us(&t) + (n ? late_us : 0));
        assert_int_equal(t.counter, n);
        assert_int_equal(t.index, n);
    }
    assert_int_equal(due_us(&t), 5000000 + 3000000);
    close_probe(&t);
}

static void the_source_skips_frames_it_could_not_make_in_time(void **state)
{
    (void)state;
    struct probe t;
    assert_int_equal(open_probe(&t, "test:48x32@10", SIZE_MAX, NULL), 0);
    fire_at(&t, 5000000);
    fire_at(&t, 5000000 + 350000); /* frames 1 and 2 are too late, 3 is not */
    assert_int_equal(t.counter, 3);
    assert_int_equal(t.index, 1);
    assert_int_equal(t.n_pictures, 2);
    assert_int_equal(due_us(&t), 5000000 + 400000);
    close_probe(&t);
}

static void the_source_may_be_closed_by_its_sink(void **state)
{
    (void)state;
    struct probe t;
    assert_int_equal(open_probe(&t, "test:48x32", SIZE_MAX, NULL), 0);
    t.close_it = true;
    fire_at(&t, 5000000);
    assert_int_equal(t.n_pictures, 1);
    assert_null(t.loop.timers);
    loop_deinit(&t.loop);
}

static void the_source_tells_pictures_above_the_limit_as_broken(void **state)
{
    (void)state;
    struct probe t;
    assert_int_equal(open_probe(&t, "test:64x64", 100, NULL), 0);
    fire_at(&t, 5000000);
    fire_at(&t, due_us(&t));
    assert_int_equal(t.n_broken, 2);
    assert_int_equal(t.n_pictures, 0);
    close_probe(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_number_gives_the_same_picture_and_another_another),
        cmocka_unit_test(the_planes_are_as_large_as_the_encoder_reads),
        cmocka_unit_test(the_counter_shows_the_frame_number),
        cmocka_unit_test(the_box_stays_inside_and_away_from_the_counter),
        cmocka_unit_test(the_box_never_stops_and_never_jumps),
        cmocka_unit_test(the_box_is_far_brighter_than_what_it_covers),
        cmocka_unit_test(a_picture_too_small_for_digits_has_none),
        cmocka_unit_test(the_source_takes_size_and_rate_in_any_combination),
        cmocka_unit_test(the_source_refuses_sizes_and_rates_it_cannot_make),
        cmocka_unit_test(the_source_keeps_to_its_schedule_without_drift),
        cmocka_unit_test(the_source_skips_frames_it_could_not_make_in_time),
        cmocka_unit_test(the_source_may_be_closed_by_its_sink),
        cmocka_unit_test(the_source_tells_pictures_above_the_limit_as_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
