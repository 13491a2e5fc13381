#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "common/jpeg.h"

struct jpeg {
    uint8_t *bytes;
    unsigned long n;
};

static struct jpeg compress(int w, int h, int subsampling, int flags)
{
    struct jpeg j = {NULL, 0};
    uint8_t *pixels = calloc((size_t)(w * h), 3);
    tjhandle tj = tjInitCompress();
    assert_non_null(pixels);
    assert_int_equal(
        tjCompress2(tj, pixels, w, 0, h, TJPF_RGB, &j.bytes, &j.n, subsampling, 70, flags), 0);
    tjDestroy(tj);
    free(pixels);
    return j;
}

/* ---- both ends ---- */

static void checks_the_markers_at_both_ends(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        enum jpeg_ends want;
    } rows[] = {
        {"", 0, JPEG_ENDS_NO_SOI},
        {"\xff", 1, JPEG_ENDS_NO_SOI},
        {"\xff\xd9", 2, JPEG_ENDS_NO_SOI},
        {"\xd8\xff\xff\xd9", 4, JPEG_ENDS_NO_SOI},
        {"\x89PNG\xff\xd9", 6, JPEG_ENDS_NO_SOI},
        {"\xff\xd8", 2, JPEG_ENDS_NO_EOI},
        {"\xff\xd8\xd9", 3, JPEG_ENDS_NO_EOI},
        {"\xff\xd8\xff\xd9", 4, JPEG_ENDS_OK},
        {"\xff\xd8 text \xff\xd9", 10, JPEG_ENDS_OK},
        {"\xff\xd8\xff\xd9\0", 5, JPEG_ENDS_NO_EOI},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(jpeg_check((const uint8_t *)rows[i].bytes, rows[i].n), rows[i].want);
}

/* ---- real headers ---- */

static void reads_what_turbojpeg_writes(void **state)
{
    static const struct {
        int w, h, subsampling, flags;
        unsigned n_components;
        const char *name;
    } rows[] = {
        {640, 480, TJSAMP_420, 0, 3, "4:2:0"},
        {33, 1, TJSAMP_422, 0, 3, "4:2:2"},
        {1, 33, TJSAMP_444, 0, 3, "4:4:4"},
        {64, 48, TJSAMP_440, 0, 3, "4:4:0"},
        {64, 48, TJSAMP_411, 0, 3, "4:1:1"},
        {64, 48, TJSAMP_GRAY, 0, 1, "grey"},
        {99, 77, TJSAMP_420, TJFLAG_PROGRESSIVE, 3, "4:2:0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct jpeg j = compress(rows[i].w, rows[i].h, rows[i].subsampling, rows[i].flags);
        struct jpeg_info info;
        assert_int_equal(jpeg_check(j.bytes, j.n), JPEG_ENDS_OK);
        assert_int_equal(jpeg_parse(j.bytes, j.n, &info), 0);
        assert_int_equal(info.width, rows[i].w);
        assert_int_equal(info.height, rows[i].h);
        assert_int_equal(info.precision, 8);
        assert_int_equal(info.n_components, rows[i].n_components);
        assert_string_equal(jpeg_subsampling(&info), rows[i].name);
        assert_int_equal(info.progressive, rows[i].flags != 0);
        assert_int_equal(info.restart_interval, 0);
        assert_true(info.has_huffman_tables);
        assert_in_range(info.scan_offset, 100, j.n - 3);
        tjFree(j.bytes);
    }
}

static void reads_the_restart_interval(void **state)
{
    struct jpeg_info info;
    (void)state;
    setenv("TJ_RESTART", "3B", 1);
    struct jpeg j = compress(64, 64, TJSAMP_420, 0);
    unsetenv("TJ_RESTART");
    assert_int_equal(jpeg_parse(j.bytes, j.n, &info), 0);
    assert_int_equal(info.restart_interval, 3);
    tjFree(j.bytes);
}

/* From memory of just that size, so that the sanitizer sees a byte too many. */
static int parse_copy(const uint8_t *bytes, size_t n, struct jpeg_info *info)
{
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    int rc = jpeg_parse(copy, n, info);
    free(copy);
    return rc;
}

static void needs_the_whole_header_and_no_more(void **state)
{
    struct jpeg_info info, part;
    (void)state;
    struct jpeg j = compress(64, 64, TJSAMP_420, 0);
    assert_int_equal(jpeg_parse(j.bytes, j.n, &info), 0);
    for (size_t n = 0; n < info.scan_offset; n++)
        assert_int_equal(parse_copy(j.bytes, n, &part), -1);
    assert_int_equal(parse_copy(j.bytes, info.scan_offset, &part), 0);
    assert_int_equal(part.scan_offset, info.scan_offset);
    tjFree(j.bytes);
}

static void survives_any_byte_being_wrong(void **state)
{
    struct jpeg_info info, wrong;
    (void)state;
    struct jpeg j = compress(16, 16, TJSAMP_420, 0);
    assert_int_equal(jpeg_parse(j.bytes, j.n, &info), 0);
    for (size_t i = 0; i < info.scan_offset; i++) {
        uint8_t right = j.bytes[i];
        for (unsigned v = 0; v < 256; v++) {
            j.bytes[i] = (uint8_t)v;
            if (parse_copy(j.bytes, j.n, &wrong) == 0)
                assert_in_range(wrong.scan_offset, 2, j.n);
        }
        j.bytes[i] = right;
    }
    tjFree(j.bytes);
}

/* ---- handmade headers ---- */

#define SOF(kind, components) "ff " kind " 00 " components
#define GREY                  SOF("c0", "0b 08 00 10 00 20 01 01 11 00")
#define SCAN                  "ff da 00 08 01 01 00 00 3f 00"

struct row {
    const char *name;
    const char *hex;
    int want;
};

static size_t from_hex(const char *hex, uint8_t out[256])
{
    size_t n = 0;
    for (const char *s = hex; *s;) {
        char *end;
        out[n++] = (uint8_t)strtoul(s, &end, 16);
        s = end + strspn(end, " ");
    }
    return n;
}

static int parse_hex(const char *hex, struct jpeg_info *info)
{
    uint8_t bytes[256];
    return parse_copy(bytes, from_hex(hex, bytes), info);
}

static void tells_plausible_headers_from_others(void **state)
{
    static const struct row rows[] = {
        {"grey, baseline", "ff d8 " GREY " " SCAN, 0},
        {"fill bytes", "ff d8 ff ff " GREY " ff ff " SCAN, 0},
        {"bytes between segments", "ff d8 00 " GREY " 31 ff 00 32 " SCAN, 0},
        {"a comment and a stray restart", "ff d8 ff fe 00 04 ff d9 ff d0 " GREY " " SCAN, 0},
        {"lossless, 16 bits", "ff d8 " SOF("c3", "0b 10 00 10 00 20 01 01 11 00") " " SCAN, 0},
        {"arithmetic",
         "ff d8 ff cc 00 04 00 00 " SOF("c9", "0b 08 00 10 00 20 01 01 11 00") " " SCAN, 0},
        {"height to be told by DNL", "ff d8 " SOF("c0", "0b 08 00 00 00 20 01 01 11 00") " " SCAN,
         0},
        {"no SOI", GREY " " SCAN, -1},
        {"no frame header", "ff d8 " SCAN, -1},
        {"two frame headers", "ff d8 " GREY " " GREY " " SCAN, -1},
        {"SOI within", "ff d8 ff d8 " GREY " " SCAN, -1},
        {"EOI before the scan", "ff d8 " GREY " ff d9 " SCAN, -1},
        {"no scan", "ff d8 " GREY, -1},
        {"nothing behind FF", "ff d8 ff", -1},
        {"only fill bytes", "ff d8 ff ff ff ff", -1},
        {"a length below two", "ff d8 ff e0 00 01 " GREY " " SCAN, -1},
        {"a length beyond the end", "ff d8 ff e0 ff ff " GREY " " SCAN, -1},
        {"no width", "ff d8 " SOF("c0", "0b 08 00 10 00 00 01 01 11 00") " " SCAN, -1},
        {"one bit", "ff d8 " SOF("c0", "0b 01 00 10 00 20 01 01 11 00") " " SCAN, -1},
        {"no components", "ff d8 " SOF("c0", "08 08 00 10 00 20 00") " " SCAN, -1},
        {"five components",
         "ff d8 " SOF("c0",
                      "17 08 00 10 00 20 05 01 11 00 02 11 00 03 11 00 04 11 00 05 11 00") " " SCAN,
         -1},
        {"fewer components than said", "ff d8 " SOF("c0", "0b 08 00 10 00 20 03 01 11 00") " " SCAN,
         -1},
        {"more components than said",
         "ff d8 " SOF("c0", "0e 08 00 10 00 20 01 01 11 00 02 11 00") " " SCAN, -1},
        {"sampling 0", "ff d8 " SOF("c0", "0b 08 00 10 00 20 01 01 10 00") " " SCAN, -1},
        {"sampling 5", "ff d8 " SOF("c0", "0b 08 00 10 00 20 01 01 51 00") " " SCAN, -1},
        {"a frame header without its end", "ff d8 ff c0 00 04 08 00 " SCAN, -1},
        {"a scan of nothing", "ff d8 " GREY " ff da 00 06 00 00 3f 00", -1},
        {"a scan without a body", "ff d8 " GREY " ff da 00 02", -1},
        {"a scan of another component", "ff d8 " GREY " ff da 00 08 01 02 00 00 3f 00", -1},
        {"a scan of more than there are", "ff d8 " GREY " ff da 00 0a 02 01 00 01 00 00 3f 00", -1},
        {"a restart interval of three bytes", "ff d8 ff dd 00 05 00 00 01 " GREY " " SCAN, -1},
        {"a Huffman table cut off", "ff d8 ff c4 00 04 00 00 " GREY " " SCAN, -1},
        {"a Huffman table of more symbols than are there",
         "ff d8 ff c4 00 13 00 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 " GREY " " SCAN, -1},
        {"Huffman table 4",
         "ff d8 ff c4 00 14 04 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 " GREY " " SCAN,
         -1},
    };
    struct jpeg_info info;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (parse_hex(rows[i].hex, &info) != rows[i].want)
            fail_msg("%s: not %d", rows[i].name, rows[i].want);
}

static void says_what_the_header_says(void **state)
{
    struct jpeg_info info;
    (void)state;
    assert_int_equal(parse_hex("ff d8 ff dd 00 04 01 02 " GREY " " SCAN " 99 99", &info), 0);
    assert_int_equal(info.width, 32);
    assert_int_equal(info.height, 16);
    assert_int_equal(info.restart_interval, 0x102);
    assert_int_equal(info.scan_offset, 2 + 6 + 13 + 10);
    assert_false(info.has_huffman_tables);
    assert_false(info.progressive);
}

static void names_the_subsampling(void **state)
{
    static const struct {
        struct jpeg_info info;
        const char *want;
    } rows[] = {
        {{.n_components = 1, .h = {2}, .v = {2}}, "grey"},
        {{.n_components = 3, .h = {2, 1, 1}, .v = {2, 1, 1}}, "4:2:0"},
        {{.n_components = 3, .h = {2, 1, 1}, .v = {2, 2, 2}}, "4:2:2"},
        {{.n_components = 3, .h = {2, 2, 2}, .v = {2, 2, 2}}, "4:4:4"},
        {{.n_components = 3, .h = {2, 2, 2}, .v = {2, 1, 1}}, "4:4:0"},
        {{.n_components = 3, .h = {4, 1, 1}, .v = {1, 1, 1}}, "4:1:1"},
        {{.n_components = 3, .h = {2, 1, 2}, .v = {2, 1, 1}}, "other"},
        {{.n_components = 3, .h = {3, 2, 2}, .v = {1, 1, 1}}, "other"},
        {{.n_components = 3, .h = {1, 2, 2}, .v = {1, 1, 1}}, "other"},
        {{.n_components = 2, .h = {1, 1}, .v = {1, 1}}, "other"},
        {{.n_components = 4, .h = {2, 1, 1, 2}, .v = {2, 1, 1, 2}}, "4:2:0"},
        {{.n_components = 4, .h = {2, 1, 1, 1}, .v = {2, 1, 1, 1}}, "other"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(jpeg_subsampling(&rows[i].info), rows[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_the_markers_at_both_ends),
        cmocka_unit_test(reads_what_turbojpeg_writes),
        cmocka_unit_test(reads_the_restart_interval),
        cmocka_unit_test(needs_the_whole_header_and_no_more),
        cmocka_unit_test(survives_any_byte_being_wrong),
        cmocka_unit_test(tells_plausible_headers_from_others),
        cmocka_unit_test(says_what_the_header_says),
        cmocka_unit_test(names_the_subsampling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
