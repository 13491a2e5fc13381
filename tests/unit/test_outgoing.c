/* What waits, what is encoded, what is replaced; in which order frames leave. */
#include "cli/outgoing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <linux/videodev2.h>
#include <poll.h>
#include <stdlib.h>

struct world {
    struct loop loop;
    struct outgoing outgoing;
    bool room;
    unsigned n_ahead_max, n_replaced, n_encoded, n_failed;
    uint64_t sent[20];
    unsigned quality[20];
    size_t n_sent;
};

static bool has_room(void *ctx, unsigned n_ahead)
{
    struct world *w = ctx;
    return w->room && n_ahead <= w->n_ahead_max;
}

static void send_picture(void *ctx, struct picture *p)
{
    struct world *w = ctx;
    w->quality[w->n_sent] = p->quality;
    w->sent[w->n_sent++] = p->index;
    picture_free(p);
}

static void on_encoded(void *ctx, const struct picture *p)
{
    struct world *w = ctx;
    assert_int_equal(p->raw.fourcc, 0);
    w->n_encoded++;
}

static void on_replaced(void *ctx)
{
    struct world *w = ctx;
    w->n_replaced++;
}

static void on_failed(void *ctx, const char *why)
{
    struct world *w = ctx;
    assert_non_null(why);
    w->n_failed++;
}

static void set_up(struct world *w, bool reencodes)
{
    struct outgoing_sink sink = {.ctx = w,
                                 .has_room = has_room,
                                 .send = send_picture,
                                 .on_encoded = on_encoded,
                                 .on_replaced = on_replaced,
                                 .on_failed = on_failed};
    *w = (struct world){.room = true, .n_ahead_max = 5};
    assert_int_equal(loop_init(&w->loop, NULL), 0);
    assert_int_equal(outgoing_open(&w->outgoing, &w->loop, reencodes, &sink, NULL), 0);
}

static void tear_down(struct world *w)
{
    outgoing_close(&w->outgoing);
    loop_deinit(&w->loop);
}

static struct picture *jpeg(uint64_t index)
{
    static const uint8_t shortest[] = {0xff, 0xd8, 0xff, 0xd9};
    struct picture *p = picture_new(shortest, sizeof shortest, 1);
    p->index = index;
    return p;
}

static struct picture *raw(uint64_t index, uint32_t fourcc)
{
    static uint8_t grey[64 * 64];
    struct picture *p = calloc(1, sizeof *p);
    p->index = index;
    p->raw =
        (struct raw){.fourcc = fourcc, .width = 64, .height = 64, .plane = {grey}, .stride = {64}};
    return p;
}

/* Until the encoder has given everything back. */
static void settle(struct world *w)
{
    while (encoder_count(w->outgoing.encoder)) {
        struct pollfd ready = {.fd = w->loop.epoll_fd, .events = POLLIN};
        assert_true(poll(&ready, 1, 20000) > 0);
        loop_turn(&w->loop);
    }
}

static void a_jpeg_leaves_at_once_and_the_newest_waits(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, false);
    outgoing_put(&w.outgoing, jpeg(0));
    w.room = false;
    outgoing_put(&w.outgoing, jpeg(1));
    outgoing_put(&w.outgoing, jpeg(2));
    assert_int_equal(outgoing_count(&w.outgoing), 1);
    assert_int_equal(w.n_replaced, 1);
    w.room = true;
    outgoing_push(&w.outgoing);
    assert_int_equal(w.n_sent, 2);
    assert_int_equal(w.sent[0], 0);
    assert_int_equal(w.sent[1], 2);
    assert_int_equal(w.n_encoded, 0);
    tear_down(&w);
}

static void nothing_is_encoded_that_could_not_be_sent(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, false);
    w.room = false;
    for (uint64_t i = 0; i < 5; i++)
        outgoing_put(&w.outgoing, raw(i, V4L2_PIX_FMT_GREY));
    assert_int_equal(encoder_count(w.outgoing.encoder), 0);
    assert_int_equal(w.n_replaced, 4);
    w.room = true;
    outgoing_push(&w.outgoing);
    settle(&w);
    assert_int_equal(w.n_encoded, 1);
    assert_int_equal(w.n_sent, 1);
    assert_int_equal(w.sent[0], 4);
    assert_int_equal(w.quality[0], 80);
    tear_down(&w);
}

/* Two are encoded at once; the third waits and is replaced; a JPEG keeps its place behind. */
static void the_order_stays(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, false);
    for (uint64_t i = 0; i < 4; i++)
        outgoing_put(&w.outgoing, raw(i, V4L2_PIX_FMT_GREY));
    assert_int_equal(outgoing_count(&w.outgoing), 3);
    assert_int_equal(w.n_replaced, 1);
    outgoing_put(&w.outgoing, jpeg(9));
    assert_int_equal(w.n_replaced, 2);
    settle(&w);
    assert_int_equal(w.n_sent, 3);
    assert_int_equal(w.sent[0], 0);
    assert_int_equal(w.sent[1], 1);
    assert_int_equal(w.sent[2], 9);
    assert_int_equal(w.quality[2], 0); /* as it came */
    tear_down(&w);
}

/* Encoded, and then there is no room: a newer one takes its place. */
static void an_encoded_frame_can_be_replaced(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, false);
    outgoing_put(&w.outgoing, raw(0, V4L2_PIX_FMT_GREY));
    w.room = false;
    settle(&w);
    assert_int_equal(w.n_sent, 0);
    assert_int_equal(outgoing_count(&w.outgoing), 1);
    outgoing_put(&w.outgoing, raw(1, V4L2_PIX_FMT_GREY));
    assert_int_equal(w.n_replaced, 1);
    w.room = true;
    outgoing_push(&w.outgoing);
    settle(&w);
    assert_int_equal(w.n_sent, 1);
    assert_int_equal(w.sent[0], 1);
    tear_down(&w);
}

static void everything_given_up_is_counted_once(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, false);
    for (uint64_t i = 0; i < 3; i++)
        outgoing_put(&w.outgoing, raw(i, V4L2_PIX_FMT_GREY));
    outgoing_drop_all(&w.outgoing);
    assert_int_equal(w.n_replaced, 3);
    settle(&w); /* what comes back is nobody's */
    assert_int_equal(w.n_replaced, 3);
    assert_int_equal(w.n_sent, 0);
    tear_down(&w);
}

static void what_cannot_be_encoded_is_told(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, false);
    outgoing_put(&w.outgoing, raw(0, V4L2_PIX_FMT_SBGGR8));
    settle(&w);
    assert_int_equal(w.n_failed, 1);
    assert_int_equal(w.n_replaced, 1);
    tear_down(&w);
}

static void jpegs_are_encoded_again_where_it_is_allowed(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, true);
    outgoing_put(&w.outgoing, jpeg(0)); /* the top of the ladder: as they come */
    assert_int_equal(w.n_sent, 1);
    w.outgoing.rung = (struct ladder_rung){.quality = 60};
    outgoing_put(&w.outgoing, jpeg(1));
    assert_int_equal(encoder_count(w.outgoing.encoder), 1);
    settle(&w);
    assert_int_equal(w.n_sent, 2);
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jpeg_leaves_at_once_and_the_newest_waits),
        cmocka_unit_test(nothing_is_encoded_that_could_not_be_sent),
        cmocka_unit_test(the_order_stays),
        cmocka_unit_test(an_encoded_frame_can_be_replaced),
        cmocka_unit_test(everything_given_up_is_counted_once),
        cmocka_unit_test(what_cannot_be_encoded_is_told),
        cmocka_unit_test(jpegs_are_encoded_again_where_it_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
