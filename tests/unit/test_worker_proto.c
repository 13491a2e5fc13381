#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "server/worker_proto.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define NAME_64  "0123456789012345678901234567890123456789012345678901234567890123"
#define HELLO(x) "{\"protocol\":1,\"name\":\"n\"" x "}"

static void header_is_32_bytes_little_endian(void **state)
{
    (void)state;
    static const uint8_t want[WORKER_HEADER_BYTES] = {
        'S',  'P',  'W',  '1',  0x04, 0x03, 0x02, 0x01, 0x80, 0x02, 0x00, 0x00, 0xe0, 0x01, 0, 0,
        0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0, 0};
    struct worker_header h = {.payload_bytes = 0x01020304,
                              .width = 640,
                              .height = 480,
                              .sequence = 0x1112131415161718,
                              .deadline_us = 0x232425262728};
    uint8_t bytes[WORKER_HEADER_BYTES];
    worker_write_header(bytes, &h);
    assert_memory_equal(bytes, want, sizeof want);
}

static void pictures_have_no_padding(void **state)
{
    (void)state;
    assert_int_equal(worker_format_bytes(WORKER_JPEG, 640, 480), 0);
    assert_int_equal(worker_format_bytes(WORKER_GRAY, 641, 3), 1923);
    assert_int_equal(worker_format_bytes(WORKER_RGB, 641, 3), 5769);
    assert_true(worker_format_bytes(WORKER_RGB, UINT32_MAX, 4) == (size_t)UINT32_MAX * 12);
}

static void understands_every_hello(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        struct worker_hello want;
    } rows[] = {
        {HELLO(""), {"n", "", WORKER_JPEG, 1, 1}},
        {HELLO(" ,\"version\":\"1.2\",\"format\":\"jpeg\",\"scale\":1,\"in_flight\":3"),
         {"n", "1.2", WORKER_JPEG, 1, 3}},
        {HELLO(",\"format\":\"gray\",\"scale\":8"), {"n", "", WORKER_GRAY, 8, 1}},
        {HELLO(",\"format\":\"rgb\",\"scale\":2"), {"n", "", WORKER_RGB, 2, 1}},
        {HELLO(",\"format\":\"rgb\",\"scale\":4,\"later\":[1]"), {"n", "", WORKER_RGB, 4, 1}},
        {HELLO(",\"in_flight\":4294967295"), {"n", "", WORKER_JPEG, 1, 4294967295u}},
        {"{\"protocol\":1,\"name\":\"" NAME_64 "\"}\r", {NAME_64, "", WORKER_JPEG, 1, 1}},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct worker_hello h;
        struct err e = {.text = ""};
        if (worker_read_hello(rows[i].line, strlen(rows[i].line), &h, &e) != 0)
            fail_msg("%s: %s", rows[i].line, e.text);
        assert_string_equal(h.name, rows[i].want.name);
        assert_string_equal(h.version, rows[i].want.version);
        assert_int_equal(h.format, rows[i].want.format);
        assert_int_equal(h.scale, rows[i].want.scale);
        assert_int_equal(h.in_flight, rows[i].want.in_flight);
    }
}

static void refuses_a_wrong_hello_and_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"", "not one JSON object"},
        {"Loading the model...", "not one JSON object: Loading the model..."},
        {"\x1b[31mred\x7f", "?[31mred?"},
        {"[]", "not one JSON object"},
        {HELLO("") "x", "not one JSON object"},
        {HELLO("") HELLO(""), "not one JSON object"},
        {"{\"protocol\":1,\"name\":\"\xff\"}", "not one JSON object"},
        {"{\"name\":\"n\"}", "\"protocol\""},
        {"{\"protocol\":2,\"name\":\"n\"}", "\"protocol\""},
        {"{\"protocol\":1.5,\"name\":\"n\"}", "\"protocol\""},
        {"{\"protocol\":\"1\",\"name\":\"n\"}", "\"protocol\""},
        {"{\"protocol\":1}", "\"name\""},
        {"{\"protocol\":1,\"name\":\"\"}", "\"name\""},
        {"{\"protocol\":1,\"name\":7}", "\"name\""},
        {"{\"protocol\":1,\"name\":\"a\\nb\"}", "\"name\""},
        {"{\"protocol\":1,\"name\":\"\xc3\xa4\"}", "\"name\""},
        {"{\"protocol\":1,\"name\":\"" NAME_64 "5\"}", "\"name\""},
        {HELLO(",\"version\":1"), "\"version\""},
        {HELLO(",\"version\":\"" NAME_64 "5\""), "\"version\""},
        {HELLO(",\"format\":\"JPEG\""), "\"format\""},
        {HELLO(",\"format\":null"), "\"format\""},
        {HELLO(",\"scale\":2"), "\"scale\""},
        {HELLO(",\"format\":\"gray\",\"scale\":3"), "\"scale\""},
        {HELLO(",\"format\":\"gray\",\"scale\":0"), "\"scale\""},
        {HELLO(",\"format\":\"gray\",\"scale\":16"), "\"scale\""},
        {HELLO(",\"in_flight\":0"), "\"in_flight\""},
        {HELLO(",\"in_flight\":-1"), "\"in_flight\""},
        {HELLO(",\"in_flight\":4294967296"), "\"in_flight\""},
        {HELLO(",\"in_flight\":1e999"), "\"in_flight\""},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct worker_hello h;
        struct err e = {.text = ""};
        int rc = worker_read_hello(rows[i].line, strlen(rows[i].line), &h, &e);
        if (rc != -EXIT_FAILED || !strstr(e.text, rows[i].says))
            fail_msg("'%s' gave %d: %s", rows[i].line, rc, e.text);
    }
}

static void every_line_is_one_kind_of_answer(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum worker_answer kind;
        const char *out;
    } rows[] = {
        {"{\"seq\":17,\"result\":{ \"a\" : [1, 2.5] }}", WORKER_ANSWER_RESULT, "{\"a\":[1,2.5]}"},
        {"{\"result\":{},\"seq\":17,\"more\":1}", WORKER_ANSWER_RESULT, "{}"},
        {"{\"seq\":17,\"result\":{\"a\":\"\\u00e4\\n\"}}\r", WORKER_ANSWER_RESULT,
         "{\"a\":\"\xc3\xa4\\n\"}"},
        {"{\"seq\":17,\"error\":\"no face\"}", WORKER_ANSWER_ERROR, "no face"},
        {"{\"seq\":17,\"error\":\"\"}", WORKER_ANSWER_ERROR, ""},
        {"{\"seq\":16,\"result\":{}}", WORKER_ANSWER_LATE, ""},
        {"{\"seq\":0,\"error\":\"x\"}", WORKER_ANSWER_LATE, ""},
        {"{\"seq\":18,\"result\":{}}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":-1,\"result\":{}}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":16.5,\"result\":{}}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":\"17\",\"result\":{}}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":1e300,\"result\":{}}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"result\":{}}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":17}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":17,\"result\":[]}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":17,\"result\":null}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":17,\"error\":3}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":17,\"result\":{},\"error\":\"x\"}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":17,\"result\":{\"a\":\"\xff\"}}", WORKER_ANSWER_GARBAGE, NULL},
        {"{\"seq\":17,\"result\":{}} {}", WORKER_ANSWER_GARBAGE, NULL},
        {"", WORKER_ANSWER_GARBAGE, NULL},
        {"17", WORKER_ANSWER_GARBAGE, NULL},
    };
    struct text out = text_heap(1000);
    for (size_t i = 0; i < N(rows); i++) {
        const char *line = rows[i].line;
        enum worker_answer kind = worker_read_answer(line, strlen(line), 17, &out);
        if (kind != rows[i].kind || (rows[i].out && strcmp(text_str(&out), rows[i].out) != 0))
            fail_msg("'%s' gave %d: %s", line, (int)kind, text_str(&out));
        if (kind == WORKER_ANSWER_GARBAGE)
            assert_non_null(strstr(text_str(&out), "no answer to frame 17"));
    }
    text_deinit(&out);
}

static void half_a_result_is_an_error(void **state)
{
    (void)state;
    static const char line[] = "{\"seq\":0,\"result\":{\"a\":\"012345678901234567890123456789"
                               "012345678901234567890123456789\"}}";
    char bytes[64];
    struct text out = text_fixed(bytes, sizeof bytes);
    assert_int_equal(worker_read_answer(line, sizeof line - 1, 0, &out), WORKER_ANSWER_ERROR);
    assert_string_equal(bytes, "a result of 68 bytes has no room in 64");
}

static void long_errors_are_cut_between_characters(void **state)
{
    (void)state;
    char line[2000] = "{\"seq\":0,\"error\":\"x";
    for (unsigned i = 0; i < 400; i++)
        strcat(line, "\xc3\xa4");
    strcat(line, "\"}");
    struct text out = text_heap(4000);
    assert_int_equal(worker_read_answer(line, strlen(line), 0, &out), WORKER_ANSWER_ERROR);
    assert_int_equal(out.len, WORKER_ERROR_MAX - 1);
    assert_int_equal((unsigned char)out.data[out.len - 1], 0xa4);
    text_deinit(&out);
}

static void a_line_above_its_limit_is_garbage(void **state)
{
    (void)state;
    static const char head[] = "{\"seq\":0,\"result\":{}}";
    char *line = malloc(WORKER_LINE_MAX + 1);
    struct text out = text_heap(4000);
    assert_non_null(line);
    memset(line, ' ', WORKER_LINE_MAX + 1);
    memcpy(line, head, sizeof head - 1);
    assert_int_equal(worker_read_answer(line, WORKER_LINE_MAX, 0, &out), WORKER_ANSWER_RESULT);
    assert_int_equal(worker_read_answer(line, WORKER_LINE_MAX + 1, 0, &out), WORKER_ANSWER_GARBAGE);
    text_deinit(&out);
    free(line);
}

static void deep_nesting_is_garbage(void **state)
{
    (void)state;
    static const char head[] = "{\"seq\":0,\"result\":";
    size_t n = 100000;
    char *line = malloc(n);
    struct text out = text_heap(4000);
    assert_non_null(line);
    memset(line, '[', n);
    memcpy(line, head, sizeof head - 1);
    assert_int_equal(worker_read_answer(line, n, 0, &out), WORKER_ANSWER_GARBAGE);
    text_deinit(&out);
    free(line);
}

static void control_characters_do_not_reach_a_terminal(void **state)
{
    (void)state;
    static const char in[] = "a\x1b[2Jb\tc\x7f\xc2\x9b"
                             "d\xc2\xa0"
                             "e\xc2";
    char bytes[100];
    struct text out = text_fixed(bytes, sizeof bytes);
    worker_add_printable(&out, in, sizeof in - 1, 100);
    assert_string_equal(bytes, "a?[2Jb?c??d\xc2\xa0"
                               "e\xc2");
    text_clear(&out);
    worker_add_printable(&out, in, sizeof in - 1, 2);
    assert_string_equal(bytes, "a?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_32_bytes_little_endian),
        cmocka_unit_test(pictures_have_no_padding),
        cmocka_unit_test(understands_every_hello),
        cmocka_unit_test(refuses_a_wrong_hello_and_says_why),
        cmocka_unit_test(every_line_is_one_kind_of_answer),
        cmocka_unit_test(half_a_result_is_an_error),
        cmocka_unit_test(long_errors_are_cut_between_characters),
        cmocka_unit_test(a_line_above_its_limit_is_garbage),
        cmocka_unit_test(deep_nesting_is_garbage),
        cmocka_unit_test(control_characters_do_not_reach_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
