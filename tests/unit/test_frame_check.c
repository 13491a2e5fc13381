/* Whole, padded, cut and empty frames of a camera; and Huffman tables that are left out. */
#include "cli/v4l2/frame_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "common/jpeg.h"
#include "common/jpeg_tables.h"

#define ROOM 65536

/* A real JPEG at the start of ROOM bytes. */
static size_t make_jpeg(uint8_t *bytes)
{
    unsigned char pixels[32 * 32 * 3], *jpeg = NULL;
    unsigned long n = 0;
    tjhandle h = tjInitCompress();
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (unsigned char)(i * 31 % 251);
    assert_int_equal(tjCompress2(h, pixels, 32, 0, 32, TJPF_RGB, &jpeg, &n, TJSAMP_420, 90, 0), 0);
    memset(bytes, 0, ROOM);
    memcpy(bytes, jpeg, n);
    tjFree(jpeg);
    tjDestroy(h);
    return n;
}

static void padding_is_left_out(void **state)
{
    static uint8_t bytes[ROOM];
    static const uint8_t junk[] = {0, 1, 0xff, 0xd9, 0xff, 0, 7};
    size_t n = make_jpeg(bytes), found = 0;
    (void)state;
    assert_int_equal(frame_check_jpeg(bytes, n, &found), FRAME_WHOLE);
    assert_int_equal(found, n);
    assert_int_equal(frame_check_jpeg(bytes, ROOM, &found), FRAME_WHOLE); /* zeros */
    assert_int_equal(found, n);
    memcpy(bytes + n, junk, sizeof junk); /* what the frame before left there */
    assert_int_equal(frame_check_jpeg(bytes, n + sizeof junk, &found), FRAME_WHOLE);
    assert_int_equal(found, n);
}

/* Behind a segment stray bytes may come before the next marker: they are passed over. */
static void stray_bytes_are_no_markers(void **state)
{
    static const uint8_t bytes[] = {0xff, 0xd8, 0xff, 0xfe, 0, 4,    1,    2,    0x11, 0xd9, 0xff,
                                    0xda, 0,    4,    1,    2, 0x33, 0xff, 0xd9, 0,    0,    7};
    size_t found = 0;
    (void)state;
    assert_int_equal(frame_check_jpeg(bytes, sizeof bytes, &found), FRAME_WHOLE);
    assert_int_equal(found, 19);
    assert_int_equal(jpeg_check(bytes, found), JPEG_ENDS_OK);
}

static void what_is_not_whole_is_named(void **state)
{
    static uint8_t bytes[ROOM];
    size_t n = make_jpeg(bytes), found = 0;
    (void)state;
    assert_int_equal(frame_check_jpeg(bytes, 0, &found), FRAME_EMPTY);
    for (size_t cut = 4; cut < n; cut++)
        assert_int_equal(frame_check_jpeg(bytes, cut, &found), FRAME_TRUNCATED);
    memset(bytes + n - 2, 0, 2); /* cut, and padded with zeros */
    assert_int_equal(frame_check_jpeg(bytes, ROOM, &found), FRAME_TRUNCATED);
    assert_int_equal(frame_check_jpeg(bytes, 3, &found), FRAME_GARBAGE);
    bytes[0] = 0;
    assert_int_equal(frame_check_jpeg(bytes, n, &found), FRAME_GARBAGE);
    assert_string_equal(frame_fault_name(FRAME_TRUNCATED), "truncated");
}

/* Cuts out every DHT segment. */
static size_t without_tables(uint8_t *bytes, size_t n)
{
    size_t at = 2;
    while (bytes[at + 1] != 0xda) {
        size_t length = 2 + ((size_t)bytes[at + 2] << 8 | bytes[at + 3]);
        if (bytes[at + 1] == 0xc4) {
            memmove(bytes + at, bytes + at + length, n - at - length);
            n -= length;
        } else {
            at += length;
        }
    }
    return n;
}

static void decode(const uint8_t *bytes, size_t n, unsigned char *pixels)
{
    tjhandle h = tjInitDecompress();
    assert_int_equal(tjDecompress2(h, bytes, n, pixels, 32, 0, 32, TJPF_RGB, TJFLAG_STOPONWARNING),
                     0);
    tjDestroy(h);
}

static void missing_tables_are_put_in(void **state)
{
    static uint8_t bytes[ROOM];
    unsigned char before[32 * 32 * 3], after[32 * 32 * 3];
    struct jpeg_info info;
    size_t n = make_jpeg(bytes);
    (void)state;
    decode(bytes, n, before);
    assert_false(jpeg_tables_are_missing(bytes, n));
    n = without_tables(bytes, n);
    assert_true(jpeg_tables_are_missing(bytes, n));
    size_t more = jpeg_tables_add(bytes, n);
    assert_int_equal(more, n + JPEG_TABLES_BYTES);
    assert_false(jpeg_tables_are_missing(bytes, more));
    assert_int_equal(jpeg_parse(bytes, more, &info), 0);
    assert_memory_equal(bytes + 2, "\xff\xe0", 2); /* JFIF wants its segment first */
    decode(bytes, more, after);
    assert_memory_equal(before, after, sizeof before);
    assert_false(jpeg_tables_are_missing(bytes, 10));
    assert_false(jpeg_tables_are_missing((const uint8_t *)"no", 2));
}

/* Segments that lie about their length: the tables go somewhere inside, never outside. */
static void tables_stay_inside(void **state)
{
    static const uint8_t begin[] = {0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff, 1, 2};
    uint8_t *bytes = malloc(sizeof begin + JPEG_TABLES_BYTES);
    (void)state;
    for (size_t n = 2; n <= sizeof begin; n++) {
        memcpy(bytes, begin, n);
        assert_int_equal(jpeg_tables_add(bytes, n), n + JPEG_TABLES_BYTES);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padding_is_left_out),        cmocka_unit_test(stray_bytes_are_no_markers),
        cmocka_unit_test(what_is_not_whole_is_named), cmocka_unit_test(missing_tables_are_put_in),
        cmocka_unit_test(tables_stay_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
