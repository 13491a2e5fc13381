#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "common/json.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define FFFD     "\xef\xbf\xbd"

static void strings_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } rows[] = {
        {"", 0, "\"\""},
        {"plain text", 10, "\"plain text\""},
        {"a\"b\\c/", 6, "\"a\\\"b\\\\c/\""},
        {"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
        {"\0", 1, "\"\\u0000\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\x01\x1f\x7f", 3, "\"\\u0001\\u001f\\u007f\""},
        /* UTF-8 of every length stays, at both ends of its range */
        {"\xc2\x80\xdf\xbf", 4, "\"\xc2\x80\xdf\xbf\""},
        {"\xe0\xa0\x80\xef\xbf\xbf", 6, "\"\xe0\xa0\x80\xef\xbf\xbf\""},
        {"\xed\x9f\xbf\xee\x80\x80", 6, "\"\xed\x9f\xbf\xee\x80\x80\""},
        {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8, "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
        /* what is not UTF-8 becomes U+FFFD, a byte each */
        {"\x80", 1, "\"" FFFD "\""},
        {"a\xff"
         "b",
         3, "\"a" FFFD "b\""},
        {"\xc3", 1, "\"" FFFD "\""},
        {"\xc3(", 2, "\"" FFFD "(\""},
        {"\xc0\x80", 2, "\"" FFFD FFFD "\""}, /* overlong NUL */
        {"\xc1\xbf", 2, "\"" FFFD FFFD "\""},
        {"\xe0\x9f\xbf", 3, "\"" FFFD FFFD FFFD "\""}, /* overlong */
        {"\xed\xa0\x80", 3, "\"" FFFD FFFD FFFD "\""}, /* a surrogate */
        {"\xf0\x8f\xbf\xbf", 4, "\"" FFFD FFFD FFFD FFFD "\""},
        {"\xf4\x90\x80\x80", 4, "\"" FFFD FFFD FFFD FFFD "\""}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", 4, "\"" FFFD FFFD FFFD FFFD "\""},
        {"\xe2\x82", 2, "\"" FFFD FFFD "\""}, /* cut */
        {"\xe2\x82\"", 3, "\"" FFFD FFFD "\\\"\""},
        {"\xf0\x9f\x98", 3, "\"" FFFD FFFD FFFD "\""},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char bytes[100];
        struct text t = text_fixed(bytes, sizeof bytes);
        struct json j = json_to(&t);
        json_str_n(&j, NULL, rows[i].in, rows[i].n);
        assert_string_equal(bytes, rows[i].out);
        assert_int_equal(json_is_utf8(rows[i].in, rows[i].n), !strstr(rows[i].out, FFFD));
    }
}

/* The byte after the string is not part of it, even if it would complete a sequence. */
static void a_sequence_is_not_completed_from_behind_the_end(void **state)
{
    (void)state;
    char bytes[20];
    struct text t = text_fixed(bytes, sizeof bytes);
    struct json j = json_to(&t);
    json_str_n(&j, NULL, "\xc3\xa4", 1);
    assert_string_equal(bytes, "\"" FFFD "\"");
}

static void any_bytes_become_a_string_that_parses(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int round = 0; round < 20000; round++) {
        char in[12], bytes[100];
        for (size_t i = 0; i < sizeof in; i++) {
            random = random * 1664525u + 1013904223u;
            in[i] = (char)(random >> 24);
        }
        struct text t = text_fixed(bytes, sizeof bytes);
        struct json j = json_to(&t);
        json_str_n(&j, NULL, in, (size_t)round % sizeof in);
        cJSON *parsed = cJSON_ParseWithOpts(bytes, NULL, 1);
        assert_true(cJSON_IsString(parsed));
        cJSON_Delete(parsed);
    }
}

static void numbers_are_rounded_and_short(void **state)
{
    (void)state;
    static const struct {
        double in;
        int decimals;
        const char *out;
    } rows[] = {
        {0, 0, "0"},
        {0, 9, "0"},
        {-0.0, 0, "0"},
        {-0.0, 3, "0"},
        {-0.0004, 3, "0"},
        {-0.0006, 3, "-0.001"},
        {1, 3, "1"},
        {10, 0, "10"},
        {100, 2, "100"},
        {1.5, 3, "1.5"},
        {1.25, 1, "1.2"},
        {0.1, 9, "0.1"},
        {2.0 / 3, 3, "0.667"},
        {0.9996, 3, "1"},
        {-12.340, 3, "-12.34"},
        {1e15, 3, "1000000000000000"},
        {1e-300, 9, "0"},
        {NAN, 3, "null"},
        {-NAN, 3, "null"},
        {INFINITY, 3, "null"},
        {-INFINITY, 0, "null"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char bytes[400];
        struct text t = text_fixed(bytes, sizeof bytes);
        struct json j = json_to(&t);
        json_num(&j, NULL, rows[i].in, rows[i].decimals);
        assert_string_equal(bytes, rows[i].out);
    }
}

static void the_largest_number_fits(void **state)
{
    (void)state;
    char bytes[400];
    struct text t = text_fixed(bytes, sizeof bytes);
    struct json j = json_to(&t);
    json_num(&j, NULL, -DBL_MAX, 9);
    cJSON *parsed = cJSON_ParseWithOpts(bytes, NULL, 1);
    assert_true(parsed->valuedouble == -DBL_MAX);
    cJSON_Delete(parsed);
}

static void commas_stand_between_members_and_nowhere_else(void **state)
{
    (void)state;
    struct text t = text_heap(1000);
    struct json j = json_to(&t);
    json_object_begin(&j, NULL);
    json_object_begin(&j, "empty");
    json_object_end(&j);
    json_array_begin(&j, "list");
    json_array_begin(&j, NULL);
    json_array_end(&j);
    json_u64(&j, NULL, UINT64_MAX);
    json_bool(&j, NULL, true);
    json_bool(&j, NULL, false);
    json_null(&j, NULL);
    json_object_begin(&j, NULL);
    json_str(&j, "a", "b");
    json_num(&j, "n", NAN, 1);
    json_object_end(&j);
    json_str(&j, NULL, "last");
    json_array_end(&j);
    json_raw(&j, "raw", "{\"x\":[1]}", 9);
    json_object_end(&j);
    assert_string_equal(text_str(&t),
                        "{\"empty\":{},\"list\":[[],18446744073709551615,true,false,null,"
                        "{\"a\":\"b\",\"n\":null},\"last\"],\"raw\":{\"x\":[1]}}");
    text_deinit(&t);
}

static void keys_are_escaped_too(void **state)
{
    (void)state;
    char bytes[100];
    struct text t = text_fixed(bytes, sizeof bytes);
    struct json j = json_to(&t);
    json_object_begin(&j, NULL);
    json_u64(&j, "a\"\n\xff", 0);
    json_object_end(&j);
    assert_string_equal(bytes, "{\"a\\\"\\n" FFFD "\":0}");
}

static void what_does_not_fit_is_told_by_the_text(void **state)
{
    (void)state;
    char bytes[8];
    struct text t = text_fixed(bytes, sizeof bytes);
    struct json j = json_to(&t);
    json_str(&j, NULL, "longer than that");
    assert_true(t.cut);
    assert_true(t.len < sizeof bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(a_sequence_is_not_completed_from_behind_the_end),
        cmocka_unit_test(any_bytes_become_a_string_that_parses),
        cmocka_unit_test(numbers_are_rounded_and_short),
        cmocka_unit_test(the_largest_number_fits),
        cmocka_unit_test(commas_stand_between_members_and_nowhere_else),
        cmocka_unit_test(keys_are_escaped_too),
        cmocka_unit_test(what_does_not_fit_is_told_by_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
