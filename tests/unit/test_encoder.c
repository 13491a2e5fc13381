/* The pool: pictures come back in order, one a thread, and closing in mid-work loses nothing. */
#include "cli/encoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <linux/videodev2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/jpeg.h"

#define SIDE_MAX 640

static unsigned n_freed;

static void release(struct picture *p)
{
    n_freed++;
    free(p);
}

/* A grey picture of that side; it is given back through release. */
static struct picture *raw_picture(unsigned side, uint64_t index)
{
    static uint8_t grey[SIDE_MAX * SIDE_MAX];
    struct picture *p = calloc(1, sizeof *p);
    p->index = index;
    p->release = release;
    p->raw = (struct raw){.fourcc = V4L2_PIX_FMT_GREY,
                          .width = side,
                          .height = side,
                          .full_range = true,
                          .plane = {grey},
                          .stride = {side}};
    return p;
}

struct seen {
    uint64_t index[100];
    unsigned quality[100];
    size_t n, n_failed;
};

static void on_encoded(void *ctx, struct picture *p)
{
    struct seen *s = ctx;
    s->quality[s->n] = p->quality;
    s->index[s->n++] = p->index;
    assert_int_equal(p->raw.fourcc, 0);
    assert_int_equal(jpeg_check(p->bytes, p->n_bytes), JPEG_ENDS_OK);
    picture_free(p);
}

static void on_failed(void *ctx, const char *why)
{
    struct seen *s = ctx;
    assert_non_null(why);
    s->n_failed++;
}

static struct encoder *open_pool(unsigned n_threads, struct loop *l, struct seen *seen)
{
    struct encoder *c;
    struct encoder_sink sink = {.ctx = seen, .on_encoded = on_encoded, .on_failed = on_failed};
    assert_int_equal(loop_init(l, NULL), 0);
    assert_int_equal(encoder_open(&c, n_threads, l, &sink, NULL), 0);
    n_freed = 0;
    return c;
}

static void turn(struct loop *l)
{
    struct pollfd ready = {.fd = l->epoll_fd, .events = POLLIN};
    assert_true(poll(&ready, 1, 20000) > 0);
    loop_turn(l);
}

/* Large and small ones by turns: a small one is done before the large one that was put before. */
static void pictures_come_back_in_order(void **state)
{
    struct seen seen = {.n = 0};
    struct loop l;
    (void)state;
    struct encoder *c = open_pool(3, &l, &seen);
    for (uint64_t i = 0; i < 60; i++) {
        while (!encoder_has_room(c))
            turn(&l);
        assert_int_equal(encoder_put(c, raw_picture(i % 3 ? 16 : SIDE_MAX, i), 70, 0, NULL), 0);
        assert_true(encoder_count(c) <= 3);
    }
    while (encoder_count(c))
        turn(&l);
    assert_int_equal(seen.n, 60);
    for (uint64_t i = 0; i < 60; i++) {
        assert_int_equal(seen.index[i], i);
        assert_int_equal(seen.quality[i], 70);
    }
    assert_int_equal(n_freed, 60);
    encoder_close(c);
    loop_deinit(&l);
}

static void what_cannot_be_encoded_is_told_in_its_turn(void **state)
{
    struct seen seen = {.n = 0};
    struct loop l;
    (void)state;
    struct encoder *c = open_pool(2, &l, &seen);
    struct picture *strange = raw_picture(16, 7);
    strange->raw.fourcc = V4L2_PIX_FMT_SBGGR8;
    encoder_put(c, strange, 0, 0, NULL);
    encoder_put(c, raw_picture(16, 8), 0, 0, NULL);
    assert_false(encoder_has_room(c));
    while (encoder_count(c))
        turn(&l);
    assert_int_equal(seen.n_failed, 1);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.index[0], 8);
    assert_int_equal(n_freed, 2);
    encoder_close(c);
    loop_deinit(&l);
}

/* A JPEG that would not get smaller comes back itself. */
static void a_jpeg_is_left_alone(void **state)
{
    static const uint8_t shortest[] = {0xff, 0xd8, 0xff, 0xd9};
    struct seen seen = {.n = 0};
    struct loop l;
    (void)state;
    struct encoder *c = open_pool(1, &l, &seen);
    struct picture *p = picture_new(shortest, sizeof shortest, 5);
    p->index = 42;
    encoder_put(c, p, 60, 1, NULL);
    while (encoder_count(c))
        turn(&l);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.index[0], 42);
    assert_int_equal(seen.quality[0], 0);
    encoder_close(c);
    loop_deinit(&l);
}

static void closing_frees_what_is_in_work(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct seen seen = {.n = 0};
        struct loop l;
        struct encoder *c = open_pool(2, &l, &seen);
        encoder_put(c, raw_picture(SIDE_MAX, 0), 0, 0, NULL);
        encoder_put(c, raw_picture(SIDE_MAX, 1), 0, 0, NULL);
        encoder_close(c);
        assert_int_equal(n_freed, 2);
        assert_int_equal(seen.n, 0);
        loop_deinit(&l);
    }
    encoder_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_come_back_in_order),
        cmocka_unit_test(what_cannot_be_encoded_is_told_in_its_turn),
        cmocka_unit_test(a_jpeg_is_left_alone),
        cmocka_unit_test(closing_frees_what_is_in_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
