#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "server/assembly.h"

static struct memory no_cap;

#define N(array)    (sizeof(array) / sizeof((array)[0]))
#define FRAME_MAX   ((size_t)40000)
#define MESSAGE_MAX ((size_t)100000)
#define POOL_BYTES  ((size_t)64 << 20)

static const struct assembly_limits plain = {FRAME_MAX, MESSAGE_MAX, false};
static const struct assembly_limits headed = {FRAME_MAX, MESSAGE_MAX, true};

/* What becomes of one message: everything a session can see of it. */
struct outcome {
    enum assembly_outcome kind;
    struct complaint why; /* ASSEMBLY_ERROR */
    size_t jpeg_bytes;    /* ASSEMBLY_FRAME */
    uint32_t id;
};

static uint8_t message[MESSAGE_MAX + 1000];

/* n bytes that begin and end as a JPEG does. */
static void fill_jpeg(uint8_t *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)(i * 7);
    memcpy(at, "\xff\xd8", 2);
    memcpy(at + n - 2, "\xff\xd9", 2);
}

/* The 16 bytes and a JPEG of n bytes; gives the bytes of both. */
static size_t fill_headed(size_t n, uint32_t length)
{
    struct proto_header h = {.frame_id = 0xfffffffe, .timestamp_s = 1e9, .length = length};
    proto_write_header(message, &h);
    if (n >= 4)
        fill_jpeg(message + PROTO_HEADER_BYTES, n);
    return PROTO_HEADER_BYTES + n;
}

static struct outcome outcome_of(struct assembly *a, struct pool *pool, enum assembly_outcome kind,
                                 const struct complaint *why, size_t offset)
{
    struct outcome o;
    memset(&o, 0, sizeof o); /* the padding too: outcomes are compared as bytes */
    o.kind = kind;
    if (kind == ASSEMBLY_ERROR)
        o.why = *why;
    if (kind != ASSEMBLY_FRAME)
        return o;
    struct frame *f = assembly_take(a);
    o.jpeg_bytes = f->jpeg_bytes;
    o.id = f->id;
    assert_memory_equal(f->jpeg, message + offset, f->jpeg_bytes);
    pool_put(pool, f);
    return o;
}

/* Where a message is cut: a new WebSocket frame begins there, or only a new read. */
struct cut {
    size_t at;
    bool new_frame;
};

static struct outcome send_lasting(const struct assembly_limits *limits, size_t n,
                                   const struct cut *cuts, size_t n_cuts, bool lasts)
{
    struct pool pool = pool_make(&no_cap, POOL_BYTES);
    struct assembly a = {0};
    struct complaint why = {0};
    enum assembly_outcome kind = ASSEMBLY_MORE;
    size_t from = 0;
    for (size_t i = 0; i <= n_cuts && kind == ASSEMBLY_MORE; i++) {
        size_t to = i < n_cuts ? cuts[i].at : n, frame_end = i;
        while (frame_end < n_cuts && !cuts[frame_end].new_frame)
            frame_end++;
        struct assembly_piece p = {
            .bytes = message + from,
            .n = to - from,
            .announced = (frame_end < n_cuts ? cuts[frame_end].at : n) - to,
            .final = i == n_cuts,
            .binary = true,
            .lasts = lasts && i == n_cuts,
        };
        kind = assembly_add(&a, &pool, limits, &p, &why);
        from = to;
    }
    struct outcome o = outcome_of(&a, &pool, kind, &why, limits->header ? PROTO_HEADER_BYTES : 0);
    assert_null(a.frame); /* taken, or forgotten after an error */
    assert_int_equal(a.seen_bytes, 0);
    pool_deinit(&pool);
    return o;
}

/* That the last piece lasts makes no difference to anybody. */
static struct outcome send_cut(const struct assembly_limits *limits, size_t n,
                               const struct cut *cuts, size_t n_cuts)
{
    struct outcome copied = send_lasting(limits, n, cuts, n_cuts, false);
    struct outcome borrowed = send_lasting(limits, n, cuts, n_cuts, true);
    assert_memory_equal(&copied, &borrowed, sizeof copied);
    return copied;
}

static struct outcome send_whole(const struct assembly_limits *limits, size_t n)
{
    return send_cut(limits, n, NULL, 0);
}

static void assert_error(const struct outcome *o, enum proto_error error, const char *detail)
{
    assert_int_equal(o->kind, ASSEMBLY_ERROR);
    assert_int_equal(o->why.error, error);
    if (!strstr(o->why.detail, detail))
        fail_msg("'%s' does not say '%s'", o->why.detail, detail);
}

/* ---- one piece ---- */

static void each_message_gets_the_first_check_it_fails(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *detail; /* NULL: it passes */
    } rows[] = {
        {"", 0, "empty"},
        {"\xff\xd8\xff\xd9", 4, NULL},
        {"\xff\xd8xxxx\xff\xd9", 8, NULL},
        {"x", 1, "SOI"},
        {"\xff", 1, "SOI"},
        {"\xff\xd8", 2, "EOI"},
        {"\xff\xd8\xff", 3, "EOI"},
        {"\xff\xd8\xd9", 3, "EOI"},
        {"\xd8\xff\xff\xd9", 4, "SOI"},
        {"GIF89a", 6, "SOI"}, /* neither: SOI is looked at first */
        {"\xff\xd8xx\xff\xd8", 6, "EOI"},
        {"\xff\xd8xx\xff\xd9 ", 7, "EOI"},
        {" \xff\xd8\xff\xd9", 5, "SOI"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        memcpy(message, rows[i].bytes, rows[i].n);
        struct outcome o = send_whole(&plain, rows[i].n);
        if (rows[i].detail)
            assert_error(&o, PROTO_INVALID_FRAME, rows[i].detail);
        else
            assert_int_equal(o.kind, ASSEMBLY_FRAME);
    }
}

static void a_text_message_is_refused_before_anything_else(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 4, FRAME_MAX + 1, MESSAGE_MAX + 1};
    for (size_t i = 0; i < N(sizes); i++) {
        struct pool pool = pool_make(&no_cap, 0);
        struct assembly a = {0};
        struct outcome o = {0};
        struct assembly_piece p = {message, sizes[i], 0, true, false, false};
        o.kind = assembly_add(&a, &pool, &plain, &p, &o.why);
        assert_error(&o, PROTO_INVALID_MESSAGE, "binary");
        assert_null(a.frame);
    }
}

static void the_limit_is_inclusive(void **state)
{
    (void)state;
    fill_jpeg(message, FRAME_MAX);
    struct outcome o = send_whole(&plain, FRAME_MAX);
    assert_int_equal(o.kind, ASSEMBLY_FRAME);
    assert_int_equal(o.jpeg_bytes, FRAME_MAX);
    fill_jpeg(message, FRAME_MAX + 1);
    o = send_whole(&plain, FRAME_MAX + 1);
    assert_error(&o, PROTO_FRAME_TOO_LARGE, "too large");
    assert_error(&o, PROTO_FRAME_TOO_LARGE, "40001 bytes");
    assert_error(&o, PROTO_FRAME_TOO_LARGE, "40000 bytes");
}

static void the_limit_is_of_the_jpeg_not_of_its_header(void **state)
{
    (void)state;
    struct outcome o = send_whole(&headed, fill_headed(FRAME_MAX, FRAME_MAX));
    assert_int_equal(o.kind, ASSEMBLY_FRAME);
    assert_int_equal(o.jpeg_bytes, FRAME_MAX);
    o = send_whole(&headed, fill_headed(FRAME_MAX + 1, FRAME_MAX + 1));
    assert_error(&o, PROTO_FRAME_TOO_LARGE, "40001 bytes");
}

static void size_is_checked_before_markers_and_header(void **state)
{
    (void)state;
    memset(message, 'x', FRAME_MAX + 100);
    struct outcome o = send_whole(&plain, FRAME_MAX + 1);
    assert_error(&o, PROTO_FRAME_TOO_LARGE, "too large");
    o = send_whole(&headed, FRAME_MAX + PROTO_HEADER_BYTES + 1);
    assert_error(&o, PROTO_FRAME_TOO_LARGE, "too large");
}

static void above_the_hard_cap_it_hangs_up(void **state)
{
    (void)state;
    struct outcome o = send_whole(&plain, MESSAGE_MAX);
    assert_error(&o, PROTO_FRAME_TOO_LARGE, "100000 bytes");
    o = send_whole(&plain, MESSAGE_MAX + 1);
    assert_int_equal(o.kind, ASSEMBLY_HANGUP);
}

/* ---- the header ---- */

static void header_errors_name_the_field(void **state)
{
    (void)state;
    struct outcome o;
    for (size_t n = 1; n < PROTO_HEADER_BYTES; n++) {
        o = send_whole(&headed, n);
        assert_error(&o, PROTO_INVALID_FRAME, "16 bytes");
    }
    o = send_whole(&headed, 0);
    assert_error(&o, PROTO_INVALID_FRAME, "empty");
    o = send_whole(&headed, fill_headed(0, 0));
    assert_error(&o, PROTO_INVALID_FRAME, "no JPEG");
    o = send_whole(&headed, fill_headed(100, 99));
    assert_error(&o, PROTO_INVALID_FRAME, "length says 99 bytes, but 100 bytes follow");
    o = send_whole(&headed, fill_headed(100, 101));
    assert_error(&o, PROTO_INVALID_FRAME, "length says 101");
    o = send_whole(&headed, fill_headed(100, UINT32_MAX));
    assert_error(&o, PROTO_INVALID_FRAME, "length says 4294967295");
}

static void the_jpeg_behind_the_header_is_checked(void **state)
{
    (void)state;
    fill_headed(100, 100);
    message[PROTO_HEADER_BYTES] = 0;
    struct outcome o = send_whole(&headed, 116);
    assert_error(&o, PROTO_INVALID_FRAME, "SOI");
    fill_headed(100, 100);
    message[115] = 0;
    o = send_whole(&headed, 116);
    assert_error(&o, PROTO_INVALID_FRAME, "EOI");
    message[14] = 1; /* length is looked at before the markers */
    o = send_whole(&headed, 116);
    assert_error(&o, PROTO_INVALID_FRAME, "length");
}

static void the_frame_id_is_that_of_the_header(void **state)
{
    (void)state;
    struct outcome o = send_whole(&headed, fill_headed(4, 4));
    assert_int_equal(o.kind, ASSEMBLY_FRAME);
    assert_int_equal(o.id, 0xfffffffe);
    assert_int_equal(o.jpeg_bytes, 4);
}

/* ---- pieces ---- */

static void twelve_fragments_make_one_frame(void **state)
{
    (void)state;
    struct cut cuts[11];
    fill_jpeg(message, 12000);
    for (size_t i = 0; i < N(cuts); i++)
        cuts[i] = (struct cut){(i + 1) * 1000, true};
    struct outcome o = send_cut(&plain, 12000, cuts, N(cuts));
    assert_int_equal(o.kind, ASSEMBLY_FRAME);
    assert_int_equal(o.jpeg_bytes, 12000);
}

static void empty_fragments_are_fine(void **state)
{
    (void)state;
    static const struct cut cuts[] = {{0, true}, {0, true}, {2, true}, {2, true}, {4, true}};
    memcpy(message, "\xff\xd8\xff\xd9", 4);
    struct outcome o = send_cut(&plain, 4, cuts, N(cuts));
    assert_int_equal(o.kind, ASSEMBLY_FRAME);
    assert_int_equal(o.jpeg_bytes, 4);
    o = send_cut(&plain, 0, cuts, 2);
    assert_error(&o, PROTO_INVALID_FRAME, "empty");
}

/* "at least" is the only thing a refusal in the middle may say otherwise. */
static bool is_same(const struct outcome *whole, const struct outcome *split)
{
    if (whole->kind != split->kind || whole->why.error != split->why.error)
        return false;
    if (whole->kind == ASSEMBLY_ERROR && whole->why.error != PROTO_FRAME_TOO_LARGE)
        return strcmp(whole->why.detail, split->why.detail) == 0;
    return whole->jpeg_bytes == split->jpeg_bytes && whole->id == split->id;
}

static void fill_row(unsigned row, const struct assembly_limits **limits, size_t *n)
{
    static const size_t sizes[] = {0,   3,   4,    15,   16,    20,        21,
                                   100, 999, 5000, 9000, 30000, FRAME_MAX, FRAME_MAX + 16};
    *n = sizes[row % N(sizes)];
    *limits = row / N(sizes) ? &headed : &plain;
    if (*limits == &plain && *n >= 4)
        fill_jpeg(message, *n);
    else if (*limits == &headed && *n >= PROTO_HEADER_BYTES)
        fill_headed(*n - PROTO_HEADER_BYTES, (uint32_t)*n - PROTO_HEADER_BYTES);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void any_split_of_a_message_gives_the_same_outcome(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (unsigned i = 0; i < 3000; i++) {
        const struct assembly_limits *limits;
        struct cut cuts[12];
        size_t n, at = 0, n_cuts = next_random(&seed) % N(cuts);
        fill_row(i % 28, &limits, &n);
        if (n > 4 && next_random(&seed) % 4 == 0) /* spoil it somewhere, also in the markers */
            message[(next_random(&seed) % 2) * (n - 2)] ^= 1;
        for (size_t k = 0; k < n_cuts; k++) {
            at += next_random(&seed) % (n - at + 1) / (next_random(&seed) % 4 + 1);
            cuts[k] = (struct cut){at, next_random(&seed) % 2 == 0};
        }
        struct outcome whole = send_whole(limits, n), split = send_cut(limits, n, cuts, n_cuts);
        if (!is_same(&whole, &split))
            fail_msg("%zu bytes, %zu cuts: %d '%s', whole %d '%s'", n, n_cuts, split.kind,
                     split.why.detail, whole.kind, whole.why.detail);
    }
}

static void a_split_at_every_byte_gives_the_same_outcome(void **state)
{
    (void)state;
    size_t n = fill_headed(60, 60);
    for (size_t at = 0; at <= n; at++) {
        struct cut cut = {at, at % 2 == 0};
        struct outcome o = send_cut(&headed, n, &cut, 1);
        assert_int_equal(o.kind, ASSEMBLY_FRAME);
        assert_int_equal(o.jpeg_bytes, 60);
    }
}

/* ---- announcements ---- */

static enum assembly_outcome announce(struct assembly *a, struct pool *pool, size_t n,
                                      uint64_t announced, struct complaint *why)
{
    struct assembly_piece p = {message, n, announced, false, true, false};
    return assembly_add(a, pool, &plain, &p, why);
}

static void what_is_announced_too_large_is_refused_before_it_is_stored(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        uint64_t announced;
        enum assembly_outcome outcome;
    } rows[] = {
        {0, FRAME_MAX, ASSEMBLY_MORE},           {1, FRAME_MAX - 1, ASSEMBLY_MORE},
        {0, FRAME_MAX + 1, ASSEMBLY_ERROR},      {1, FRAME_MAX, ASSEMBLY_ERROR},
        {1, MESSAGE_MAX - 1, ASSEMBLY_ERROR},    {1, MESSAGE_MAX, ASSEMBLY_HANGUP},
        {1, UINT64_C(1) << 63, ASSEMBLY_HANGUP},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct pool pool = pool_make(&no_cap, POOL_BYTES);
        struct assembly a = {0};
        struct complaint why;
        assert_int_equal(announce(&a, &pool, rows[i].n, rows[i].announced, &why), rows[i].outcome);
        if (rows[i].outcome == ASSEMBLY_ERROR)
            assert_int_equal(why.error, PROTO_FRAME_TOO_LARGE);
        if (rows[i].outcome != ASSEMBLY_MORE) {
            assert_null(a.frame);
            assert_int_equal(pool.idle_bytes, 0); /* nothing was ever taken from it */
        }
        assembly_deinit(&a, &pool);
        pool_deinit(&pool);
    }
}

static void fragments_are_refused_as_soon_as_they_exceed_the_limit(void **state)
{
    (void)state;
    struct pool pool = pool_make(&no_cap, POOL_BYTES);
    struct assembly a = {0};
    struct complaint why;
    assert_int_equal(announce(&a, &pool, FRAME_MAX, 0, &why), ASSEMBLY_MORE);
    assert_int_equal(announce(&a, &pool, 0, 0, &why), ASSEMBLY_MORE);
    assert_int_equal(announce(&a, &pool, 1, 0, &why), ASSEMBLY_ERROR);
    assert_int_equal(why.error, PROTO_FRAME_TOO_LARGE);
    assert_non_null(strstr(why.detail, "at least 40001 bytes"));
    assert_null(a.frame);
    pool_deinit(&pool);
}

static void announcing_alone_takes_little_memory(void **state)
{
    (void)state;
    static const struct assembly_limits generous = {(size_t)1 << 30, (size_t)1 << 30, false};
    struct pool pool = pool_make(&no_cap, 0);
    struct assembly a = {0};
    struct complaint why;
    struct assembly_piece p = {message, 1, 400 << 20, false, true, false};
    assert_int_equal(assembly_add(&a, &pool, &generous, &p, &why), ASSEMBLY_MORE);
    assert_true(a.frame->cap <= (size_t)1 << 20);
    assembly_deinit(&a, &pool);
}

/* ---- between messages ---- */

static void after_an_error_the_message_is_forgotten(void **state)
{
    (void)state;
    struct pool pool = pool_make(&no_cap, POOL_BYTES);
    struct assembly a = {0};
    struct complaint why;
    struct assembly_piece first = {(const uint8_t *)"\xff\xd8", 2, 0, false, true, false};
    struct assembly_piece text = {(const uint8_t *)"x", 1, 0, true, false, false};
    struct assembly_piece whole = {(const uint8_t *)"\xff\xd8\xff\xd9", 4, 0, true, true, false};
    assert_int_equal(assembly_add(&a, &pool, &plain, &first, &why), ASSEMBLY_MORE);
    assert_int_equal(assembly_add(&a, &pool, &plain, &text, &why), ASSEMBLY_ERROR);
    assert_null(a.frame);
    assert_int_equal(assembly_add(&a, &pool, &plain, &whole, &why), ASSEMBLY_FRAME);
    struct frame *f = assembly_take(&a);
    assert_int_equal(f->jpeg_bytes, 4);
    pool_put(&pool, f);
    pool_deinit(&pool);
}

static void messages_follow_each_other_in_reused_frames(void **state)
{
    (void)state;
    struct pool pool = pool_make(&no_cap, POOL_BYTES);
    struct assembly a = {0};
    struct complaint why;
    for (size_t n = 4; n < 2000; n += 13) {
        fill_jpeg(message, n);
        struct assembly_piece p = {message, n, 0, true, true, false};
        assert_int_equal(assembly_add(&a, &pool, &plain, &p, &why), ASSEMBLY_FRAME);
        struct frame *f = assembly_take(&a);
        assert_int_equal(f->jpeg_bytes, n);
        assert_int_equal(pool.idle_bytes, 0); /* the same one, again and again */
        pool_put(&pool, f);
    }
    assembly_deinit(&a, &pool); /* between messages: nothing to give back */
    pool_deinit(&pool);
}

static void what_comes_whole_and_lasts_is_not_copied(void **state)
{
    (void)state;
    struct pool pool = pool_make(&no_cap, POOL_BYTES);
    struct assembly a = {0};
    struct complaint why;
    size_t n = fill_headed(1000, 1000);
    struct assembly_piece p = {message, n, 0, true, true, true};
    assert_int_equal(assembly_add(&a, &pool, &headed, &p, &why), ASSEMBLY_FRAME);
    struct frame *f = assembly_take(&a);
    assert_ptr_equal(f->jpeg, message + PROTO_HEADER_BYTES);
    pool_put(&pool, f);

    p = (struct assembly_piece){message, 10, n - 10, false, true, false};
    assert_int_equal(assembly_add(&a, &pool, &headed, &p, &why), ASSEMBLY_MORE);
    p = (struct assembly_piece){message + 10, n - 10, 0, true, true, true};
    assert_int_equal(assembly_add(&a, &pool, &headed, &p, &why), ASSEMBLY_FRAME);
    f = assembly_take(&a);
    assert_ptr_equal(f->jpeg, f->data + PROTO_HEADER_BYTES);
    pool_put(&pool, f);
    pool_deinit(&pool);
}

/* Whole, or in pieces of which a later one finds no room: its id is told in either case. */
static void without_room_it_is_read_to_its_end_and_dropped(void **state)
{
    (void)state;
    struct memory full = {.max_bytes = 16u << 10};
    struct pool pool = pool_make(&full, POOL_BYTES);
    struct complaint why;
    const size_t n = fill_headed(39000, 39000);
    for (size_t piece = 7; piece <= n; piece *= 3) {
        struct assembly a = {0};
        enum assembly_outcome kind = ASSEMBLY_MORE;
        for (size_t at = 0; at < n; at += piece) {
            size_t left = n - at, now = left < piece ? left : piece;
            struct assembly_piece p = {message + at, now, 0, now == left, true, false};
            assert_int_equal(kind, ASSEMBLY_MORE);
            kind = assembly_add(&a, &pool, &headed, &p, &why);
        }
        assert_int_equal(kind, ASSEMBLY_DROP);
        assert_int_equal(assembly_drop(&a), 0xfffffffe);
        assert_null(a.frame);
        assert_int_equal(a.seen_bytes, 0);
        assert_int_equal(send_whole(&headed, n).kind, ASSEMBLY_FRAME); /* in another pool */
    }
    struct assembly a = {0};
    struct assembly_piece small = {message, fill_headed(100, 100), 0, true, true, false};
    assert_int_equal(assembly_add(&a, &pool, &headed, &small, &why), ASSEMBLY_FRAME);
    assembly_deinit(&a, &pool);
    pool_deinit(&pool);
    assert_int_equal(full.used_bytes, 0);
}

static void without_room_the_limits_hold_all_the_same(void **state)
{
    (void)state;
    struct memory full = {.max_bytes = 1};
    struct pool pool = pool_make(&full, POOL_BYTES);
    struct assembly a = {0};
    struct complaint why;
    struct assembly_piece p = {message, FRAME_MAX, 0, false, true, false};
    assert_int_equal(assembly_add(&a, &pool, &plain, &p, &why), ASSEMBLY_MORE);
    p.n = 1;
    assert_int_equal(assembly_add(&a, &pool, &plain, &p, &why), ASSEMBLY_ERROR);
    assert_int_equal(why.error, PROTO_FRAME_TOO_LARGE);
    assert_false(a.no_room);
    pool_deinit(&pool);
}

static void an_unfinished_message_goes_back_to_the_pool(void **state)
{
    (void)state;
    struct pool pool = pool_make(&no_cap, POOL_BYTES);
    struct assembly a = {0};
    struct complaint why;
    assert_int_equal(announce(&a, &pool, 100, 1000, &why), ASSEMBLY_MORE);
    assembly_deinit(&a, &pool);
    assert_null(a.frame);
    assert_true(pool.idle_bytes > 0);
    pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_gets_the_first_check_it_fails),
        cmocka_unit_test(a_text_message_is_refused_before_anything_else),
        cmocka_unit_test(the_limit_is_inclusive),
        cmocka_unit_test(the_limit_is_of_the_jpeg_not_of_its_header),
        cmocka_unit_test(size_is_checked_before_markers_and_header),
        cmocka_unit_test(above_the_hard_cap_it_hangs_up),
        cmocka_unit_test(header_errors_name_the_field),
        cmocka_unit_test(the_jpeg_behind_the_header_is_checked),
        cmocka_unit_test(the_frame_id_is_that_of_the_header),
        cmocka_unit_test(twelve_fragments_make_one_frame),
        cmocka_unit_test(empty_fragments_are_fine),
        cmocka_unit_test(any_split_of_a_message_gives_the_same_outcome),
        cmocka_unit_test(a_split_at_every_byte_gives_the_same_outcome),
        cmocka_unit_test(what_is_announced_too_large_is_refused_before_it_is_stored),
        cmocka_unit_test(fragments_are_refused_as_soon_as_they_exceed_the_limit),
        cmocka_unit_test(announcing_alone_takes_little_memory),
        cmocka_unit_test(after_an_error_the_message_is_forgotten),
        cmocka_unit_test(messages_follow_each_other_in_reused_frames),
        cmocka_unit_test(what_comes_whole_and_lasts_is_not_copied),
        cmocka_unit_test(without_room_it_is_read_to_its_end_and_dropped),
        cmocka_unit_test(without_room_the_limits_hold_all_the_same),
        cmocka_unit_test(an_unfinished_message_goes_back_to_the_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
