#include "common/wsframe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a server does, written from RFC 6455, 5.2, one byte at a time. */
struct heard {
    uint8_t *bytes;
    size_t n, n_frames;
};

static size_t hear_frame(struct heard *h, const uint8_t *at, size_t *finished)
{
    size_t length = at[1] & 0x7f, head = 2;
    if (length == 126) {
        length = (size_t)at[2] << 8 | at[3];
        head = 4;
    } else if (length == 127) {
        length = 0;
        for (size_t i = 0; i < 8; i++)
            length = length << 8 | at[2 + i];
        head = 10;
    }
    assert_int_equal(at[1] & 0x80, 0x80);
    assert_int_equal(at[0] & 0x7f, h->n_frames ? 0 : 2);
    const uint8_t *key = at + head, *payload = key + 4;
    for (size_t i = 0; i < length; i++)
        h->bytes[h->n++] = payload[i] ^ key[i % 4];
    h->n_frames++;
    *finished += at[0] >> 7;
    return head + 4 + length;
}

static void check(size_t n, size_t fragment)
{
    uint8_t *in = malloc(n + 1), *out = malloc(wsframe_room(n, fragment));
    struct heard h = {.bytes = malloc(n + 1)};
    uint32_t keys[WSFRAME_FRAGMENTS_MAX];
    size_t used = 0, finished = 0, n_frames = wsframe_count(n, fragment);
    for (size_t i = 0; i < n; i++)
        in[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < n_frames; i++)
        keys[i] = (uint32_t)(0x9e3779b9u * (i + 1));
    size_t length = wsframe_write(out, in, n, fragment, keys);
    assert_true(length <= wsframe_room(n, fragment));
    while (used < length) {
        assert_int_equal(finished, 0);
        used += hear_frame(&h, out + used, &finished);
    }
    assert_int_equal(used, length);
    assert_int_equal(finished, 1);
    assert_int_equal(h.n_frames, n_frames);
    assert_int_equal(h.n, n);
    assert_memory_equal(h.bytes, in, n);
    free(in);
    free(out);
    free(h.bytes);
}

static void a_server_hears_what_was_said(void **state)
{
    static const size_t sizes[] = {1,   2,     3,     4,     31,    32,    33,    125,
                                   126, 65535, 65536, 46000, 65537, 65533, 200000};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check(sizes[i], 0);
}

static void fragments_are_one_message(void **state)
{
    (void)state;
    check(46000, 4000);
    check(46000, 46000);
    check(46000, 45999);
    check(4096, 1);
    check(12, 4);
}

static void another_key_gives_other_bytes(void **state)
{
    uint8_t a[64], b[64];
    uint32_t one = 0x01020304, two = 0x11223344;
    (void)state;
    size_t n = wsframe_write(a, (const uint8_t *)"0123456789", 10, 0, &one);
    assert_int_equal(wsframe_write(b, (const uint8_t *)"0123456789", 10, 0, &two), n);
    assert_memory_not_equal(a + 6, b + 6, 10);
}

static void a_message_of_parts_is_the_same_as_of_one_piece(void **state)
{
    uint8_t in[1000], whole[1000 + WSFRAME_HEAD_MAX], parts[sizeof whole];
    uint32_t key = 0x01020304;
    (void)state;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 7);
    size_t n = wsframe_write(whole, in, sizeof in, 0, &key);
    size_t head = wsframe_head(parts, sizeof in, key);
    assert_int_equal(head + sizeof in, n);
    wsframe_mask(parts + head, in, 36, key);
    wsframe_mask(parts + head + 36, in + 36, sizeof in - 36, key);
    assert_memory_equal(parts, whole, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_hears_what_was_said),
        cmocka_unit_test(fragments_are_one_message),
        cmocka_unit_test(another_key_gives_other_bytes),
        cmocka_unit_test(a_message_of_parts_is_the_same_as_of_one_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
