#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/proto.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* ---- query ---- */

static void queries_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *query, *id;
        bool timing, header;
    } rows[] = {
        {"", "", false, false},
        {"pipeline_id=motion", "motion", false, false},
        {"pipeline_id=a&timing=1&header=1", "a", true, true},
        {"timing=true&header=true", "", true, true},
        {"timing=0&header=", "", false, false},
        {"timing=yes&header=TRUE", "", false, false},
        {"timing&header", "", false, false},
        {"timing=11&header=1 ", "", false, false},
        {"pipeline_id", "", false, false},
        {"pipeline_id=", "", false, false},
        {"PIPELINE_ID=a&Timing=1", "", false, false},
        {"unknown=1&pipeline_id=a&also=2", "a", false, false},
        {"&&pipeline_id=a&&", "a", false, false},
        {"=x&pipeline_id=a&=", "a", false, false},
        /* the last of two wins, whatever it is */
        {"pipeline_id=a&pipeline_id=b", "b", false, false},
        {"pipeline_id=a&pipeline_id=", "", false, false},
        {"timing=1&timing=0&header=0&header=1", "", false, true},
        /* escapes, in names and values */
        {"pipeline_id=%6d%6F%74ion", "motion", false, false},
        {"%70ipeline%5Fid=a", "a", false, false},
        {"pipeline_id=a%26b%3Dc", "a&b=c", false, false},
        {"pipeline_id=a=b", "a=b", false, false},
        {"pipeline_id=a+b%2Bc%20d", "a+b+c d", false, false},
        {"pipeline_id=%C3%A4", "\xc3\xa4", false, false},
        {"timing=%31", "", true, false},
        /* malformed ones stand for themselves */
        {"pipeline_id=%", "%", false, false},
        {"pipeline_id=%4", "%4", false, false},
        {"pipeline_id=%zz%41", "%zzA", false, false},
        {"pipeline_id=%%41", "%A", false, false},
        {"pipeline_id=%4&timing=1", "%4", true, false},
        {"pipeline_id=a;timing=1", "a;timing=1", false, false},
        {"pipeline_id=a?b#c", "a?b#c", false, false},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct proto_query q;
        proto_read_query(rows[i].query, strlen(rows[i].query), &q);
        assert_string_equal(q.pipeline_id, rows[i].id);
        assert_int_equal(q.pipeline_id_bytes, strlen(rows[i].id));
        if (q.timing != rows[i].timing || q.header != rows[i].header)
            fail_msg("'%s': timing %d, header %d", rows[i].query, q.timing, q.header);
    }
}

static void an_id_may_hold_nul(void **state)
{
    (void)state;
    struct proto_query q;
    proto_read_query("pipeline_id=a%00b", 17, &q);
    assert_int_equal(q.pipeline_id_bytes, 3);
    assert_memory_equal(q.pipeline_id, "a\0b", 4);
}

static void a_query_ends_where_it_ends(void **state)
{
    (void)state;
    struct proto_query q;
    proto_read_query("pipeline_id=a%41BC", 16, &q);
    assert_string_equal(q.pipeline_id, "aA");
    proto_read_query("pipeline_id=a%41BC", 15, &q);
    assert_string_equal(q.pipeline_id, "a%4");
}

static void a_long_id_is_cut(void **state)
{
    (void)state;
    char query[2000] = "pipeline_id=";
    struct proto_query q;
    memset(query + 12, 'x', sizeof query - 12);
    for (size_t n = 12; n < sizeof query; n += 7) {
        size_t want = n - 12 < PROTO_ID_MAX - 1 ? n - 12 : PROTO_ID_MAX - 1;
        proto_read_query(query, n, &q);
        assert_int_equal(q.pipeline_id_bytes, want);
        assert_int_equal(strlen(q.pipeline_id), want);
    }
}

static void a_long_name_is_no_known_one(void **state)
{
    (void)state;
    struct proto_query q;
    proto_read_query("pipeline_id_and_more_of_it=a&timingg=1", 38, &q);
    assert_string_equal(q.pipeline_id, "");
    assert_false(q.timing);
}

static void what_is_escaped_is_decoded_again(void **state)
{
    (void)state;
    char id[256], bytes[1000];
    struct proto_query q;
    for (int i = 0; i < 255; i++)
        id[i] = (char)(i + 1);
    id[255] = '\0';
    struct text t = text_fixed(bytes, sizeof bytes);
    text_add(&t, "pipeline_id=");
    proto_add_escaped(&t, id);
    proto_read_query(bytes, t.len, &q);
    assert_int_equal(q.pipeline_id_bytes, 255);
    assert_memory_equal(q.pipeline_id, id, 256);
}

static void unreserved_characters_stay(void **state)
{
    (void)state;
    char bytes[100];
    struct text t = text_fixed(bytes, sizeof bytes);
    proto_add_escaped(&t, "aZ09-._~ +&=%/\xc3");
    assert_string_equal(bytes, "aZ09-._~%20%2B%26%3D%25%2F%C3");
}

/* ---- header ---- */

static void the_header_is_big_endian(void **state)
{
    (void)state;
    static const uint8_t literal[PROTO_HEADER_BYTES] = {
        0x01, 0x02, 0x03, 0x04,                         /* frame_id */
        0x3f, 0xf8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 1.5 */
        0x00, 0x00, 0xab, 0xcd                          /* length */
    };
    struct proto_header h = {.frame_id = 0x01020304, .timestamp_s = 1.5, .length = 0xabcd};
    uint8_t out[PROTO_HEADER_BYTES];
    proto_write_header(out, &h);
    assert_memory_equal(out, literal, sizeof literal);
    proto_read_header(literal, &h);
    assert_int_equal(h.frame_id, 0x01020304);
    assert_true(h.timestamp_s == 1.5);
    assert_int_equal(h.length, 0xabcd);
}

static void any_header_comes_back_bit_for_bit(void **state)
{
    (void)state;
    static const struct proto_header rows[] = {
        {0, 0, 0},
        {UINT32_MAX, NAN, UINT32_MAX},
        {0x80000000, -NAN, 1},
        {1, -0.0, 0x80000000},
        {2, INFINITY, 3},
        {4, 1763683200.123456, 5},
    };
    for (size_t i = 0; i < N(rows); i++) {
        uint8_t first[PROTO_HEADER_BYTES], second[PROTO_HEADER_BYTES];
        struct proto_header h;
        proto_write_header(first, &rows[i]);
        proto_read_header(first, &h);
        assert_int_equal(h.frame_id, rows[i].frame_id);
        assert_int_equal(h.length, rows[i].length);
        assert_memory_equal(&h.timestamp_s, &rows[i].timestamp_s, sizeof h.timestamp_s);
        proto_write_header(second, &h);
        assert_memory_equal(first, second, sizeof first);
    }
}

/* ---- writing ---- */

static const uint32_t id = UINT32_MAX;
static const struct proto_timing timing = {1, 22, 333, 0, false},
                                 with_decode = {1, 22, 333, 9, true};
static const struct proto_reply bare = {7, NULL, NULL}, with_id = {7, &id, NULL},
                                with_timing = {7, NULL, &timing},
                                with_parts = {7, NULL, &with_decode},
                                with_both = {UINT64_C(1) << 52, &id, &timing};

static void results_have_exactly_their_keys(void **state)
{
    (void)state;
    static const struct {
        const struct proto_reply *reply;
        const char *text;
    } rows[] = {
        {&bare, "{\"frame_index\":7,\"result\":{\"a\":1}}"},
        {&with_id, "{\"frame_index\":7,\"result\":{\"a\":1},\"frame_id\":4294967295}"},
        {&with_timing, "{\"frame_index\":7,\"result\":{\"a\":1},"
                       "\"timing\":{\"wait_us\":1,\"pipeline_us\":22,\"server_us\":333}}"},
        {&with_parts, "{\"frame_index\":7,\"result\":{\"a\":1},"
                      "\"timing\":{\"wait_us\":1,\"pipeline_us\":22,\"decode_us\":9,"
                      "\"inference_us\":13,\"server_us\":333}}"},
        {&with_both, "{\"frame_index\":4503599627370496,\"result\":{\"a\":1},"
                     "\"frame_id\":4294967295,"
                     "\"timing\":{\"wait_us\":1,\"pipeline_us\":22,\"server_us\":333}}"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char bytes[500];
        struct text t = text_fixed(bytes, sizeof bytes);
        proto_write_result(&t, rows[i].reply, "{\"a\":1}", 7);
        assert_string_equal(bytes, rows[i].text);
    }
}

static void drops_have_exactly_their_keys(void **state)
{
    (void)state;
    static const struct {
        const struct proto_reply *reply;
        const char *text;
    } rows[] = {
        {&bare, "{\"frame_index\":7,\"dropped\":true}"},
        {&with_id, "{\"frame_index\":7,\"dropped\":true,\"frame_id\":4294967295}"},
        {&with_timing, "{\"frame_index\":7,\"dropped\":true,\"reason\":\"replaced\","
                       "\"timing\":{\"wait_us\":1,\"pipeline_us\":22,\"server_us\":333}}"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char bytes[500];
        struct text t = text_fixed(bytes, sizeof bytes);
        proto_write_drop(&t, rows[i].reply, "replaced");
        assert_string_equal(bytes, rows[i].text);
    }
}

static void slow_down_has_its_one_key(void **state)
{
    (void)state;
    char bytes[100];
    struct text t = text_fixed(bytes, sizeof bytes);
    proto_write_slow_down(&t);
    assert_string_equal(bytes, "{\"warning\":\"slow_down\"}");
}

static void errors_have_their_published_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        [PROTO_INVALID_PIPELINE] = "invalid_pipeline", [PROTO_INVALID_MESSAGE] = "invalid_message",
        [PROTO_INVALID_FRAME] = "invalid_frame",       [PROTO_FRAME_TOO_LARGE] = "frame_too_large",
        [PROTO_PIPELINE_FAILURE] = "pipeline_failure", [PROTO_INTERNAL_ERROR] = "internal_error",
    };
    for (int e = PROTO_INVALID_PIPELINE; e <= PROTO_INTERNAL_ERROR; e++) {
        char bytes[200], want[200];
        struct text t = text_fixed(bytes, sizeof bytes), w = text_fixed(want, sizeof want);
        proto_write_error(&t, (enum proto_error)e, "say \"a\0b\"\xff", 10);
        text_addf(&w, "{\"error\":\"%s\",\"detail\":\"say \\\"a\\u0000b\\\"\xef\xbf\xbd\"}",
                  names[e]);
        assert_string_equal(bytes, want);
    }
}

/* ---- reading ---- */

/* Who skims it learns the same, but for the result. */
static int read_bytes(const char *bytes, size_t n, struct proto_message *m)
{
    struct proto_message skimmed;
    int rc = proto_read_message(bytes, n, m);
    assert_int_equal(proto_skim_message(bytes, n, &skimmed), rc);
    assert_null(skimmed.result);
    assert_int_equal(skimmed.kind, m->kind);
    assert_int_equal(skimmed.frame_index, m->frame_index);
    assert_int_equal(skimmed.has_frame_id, m->has_frame_id);
    assert_int_equal(skimmed.frame_id, m->frame_id);
    assert_int_equal(skimmed.has_timing, m->has_timing);
    assert_memory_equal(&skimmed.timing, &m->timing, sizeof m->timing);
    assert_string_equal(skimmed.name, m->name);
    assert_string_equal(skimmed.detail, m->detail);
    return rc;
}

static int read_text(const char *text, struct proto_message *m)
{
    return read_bytes(text, strlen(text), m);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    char bytes[500];
    struct proto_message m;
    struct text t = text_fixed(bytes, sizeof bytes);
    proto_write_result(&t, &with_both, "{\"a\":[1,2]}", 11);
    assert_int_equal(read_bytes(bytes, t.len, &m), 0);
    assert_int_equal(m.kind, PROTO_RESULT);
    assert_int_equal(m.frame_index, UINT64_C(1) << 52);
    assert_true(m.has_frame_id && m.has_timing);
    assert_int_equal(m.frame_id, UINT32_MAX);
    assert_memory_equal(&m.timing, &timing, sizeof timing);
    assert_string_equal(m.result, "{\"a\":[1,2]}");
    proto_message_free(&m);
    assert_null(m.result);

    text_clear(&t);
    proto_write_result(&t, &with_parts, "{}", 2);
    assert_int_equal(read_bytes(bytes, t.len, &m), 0);
    assert_true(m.timing.has_decode && m.timing.decode_us == 9 && m.timing.server_us == 333);
    proto_message_free(&m);

    text_clear(&t);
    proto_write_drop(&t, &with_timing, "closed");
    assert_int_equal(read_bytes(bytes, t.len, &m), 0);
    assert_int_equal(m.kind, PROTO_DROP);
    assert_int_equal(m.frame_index, 7);
    assert_false(m.has_frame_id);
    assert_string_equal(m.name, "closed");
    assert_memory_equal(&m.timing, &timing, sizeof timing);
    proto_message_free(&m);

    text_clear(&t);
    proto_write_error(&t, PROTO_INVALID_FRAME, "no \"EOI\"", 8);
    assert_int_equal(read_bytes(bytes, t.len, &m), 0);
    assert_int_equal(m.kind, PROTO_ERROR);
    assert_string_equal(m.name, "invalid_frame");
    assert_string_equal(m.detail, "no \"EOI\"");
    proto_message_free(&m);
}

static void each_kind_is_told_by_its_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum proto_kind kind;
        const char *name;
    } rows[] = {
        {"{\"warning\":\"slow_down\"}", PROTO_SLOW_DOWN, "slow_down"},
        {"{\"warning\":\"hot\"}", PROTO_WARNING, "hot"},
        {"{\"error\":\"x\"}", PROTO_ERROR, "x"},
        {"{\"error\":\"x\",\"detail\":5}", PROTO_ERROR, "x"},
        {"{\"frame_index\":0,\"dropped\":true}", PROTO_DROP, ""},
        {"{\"result\":{},\"frame_index\":0}", PROTO_RESULT, ""},
        {" {\r\n\t\"result\" : { } , \"frame_index\" : 0 } \n", PROTO_RESULT, ""},
        {"{\"frame_index\":1e2,\"result\":{}}", PROTO_RESULT, ""},
        {"{\"frame_index\":9007199254740991,\"result\":{}}", PROTO_RESULT, ""},
        {"{\"frame_index\":0,\"result\":{},\"frame_id\":4294967295}", PROTO_RESULT, ""},
        /* other keys may stand beside them */
        {"{\"new\":[{}],\"frame_index\":0,\"result\":{\"error\":1}}", PROTO_RESULT, ""},
        {"{}", PROTO_UNKNOWN, ""},
        {"{\"type\":\"x\",\"payload\":{}}", PROTO_UNKNOWN, ""},
        {"{\"frame_index\":3}", PROTO_UNKNOWN, ""},
        /* the first of two is taken, consistently */
        {"{\"error\":\"x\",\"error\":5}", PROTO_ERROR, "x"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct proto_message m;
        if (read_text(rows[i].text, &m) < 0 || m.kind != rows[i].kind ||
            strcmp(m.name, rows[i].name) != 0)
            fail_msg("%s: kind %d, name '%s'", rows[i].text, m.kind, m.name);
        proto_message_free(&m);
    }
}

static void wrong_types_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        " ",
        "null",
        "true",
        "5",
        "\"text\"",
        "[]",
        "[{}]",
        "{",
        "{\"a\"",
        "{\"a\":}",
        "{a:1}",
        "{'a':1}",
        "\xff",
        "{\"error\":5}",
        "{\"error\":null}",
        "{\"error\":{\"code\":\"x\"}}",
        "{\"warning\":true}",
        "{\"warning\":[\"slow_down\"]}",
        "{\"dropped\":true}",
        "{\"result\":{}}",
        "{\"frame_index\":0,\"dropped\":false}",
        "{\"frame_index\":0,\"dropped\":1}",
        "{\"frame_index\":0,\"dropped\":\"true\"}",
        "{\"frame_index\":0,\"result\":[]}",
        "{\"frame_index\":0,\"result\":null}",
        "{\"frame_index\":0,\"result\":\"{}\"}",
        "{\"frame_index\":\"0\",\"result\":{}}",
        "{\"frame_index\":null,\"result\":{}}",
        "{\"frame_index\":-1,\"result\":{}}",
        "{\"frame_index\":0.5,\"result\":{}}",
        "{\"frame_index\":1e300,\"result\":{}}",
        "{\"frame_index\":1e999,\"result\":{}}",
        "{\"frame_index\":-1e999,\"result\":{}}",
        "{\"frame_index\":18446744073709551616,\"result\":{}}",
        "{\"frame_index\":0,\"result\":{},\"frame_id\":4294967296}",
        "{\"frame_index\":0,\"result\":{},\"frame_id\":-1}",
        "{\"frame_index\":0,\"result\":{},\"frame_id\":\"1\"}",
        "{\"frame_index\":0,\"result\":{},\"timing\":{}}",
        "{\"frame_index\":0,\"result\":{},\"timing\":5}",
        "{\"frame_index\":0,\"result\":{},\"timing\":[1,2,3]}",
        "{\"frame_index\":0,\"result\":{},\"timing\":{\"wait_us\":1,\"pipeline_us\":2}}",
        "{\"frame_index\":0,\"result\":{},"
        "\"timing\":{\"wait_us\":1,\"pipeline_us\":2,\"server_us\":\"3\"}}",
        "{\"frame_index\":0,\"result\":{},"
        "\"timing\":{\"wait_us\":1,\"pipeline_us\":2,\"server_us\":3,\"decode_us\":-1}}",
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct proto_message m;
        if (read_text(rows[i], &m) == 0)
            fail_msg("taken: %s", rows[i]);
        proto_message_free(&m);
    }
}

/* 2^53 + 1 reads as 2^53: a number that may be another one is no frame index. */
static void numbers_that_json_cannot_hold_exactly_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"frame_index\":9007199254740994,\"result\":{}}",
        "{\"frame_index\":9007199254740993,\"result\":{}}",
        "{\"frame_index\":9007199254740992,\"result\":{}}",
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct proto_message m;
        int rc = read_text(rows[i], &m);
        proto_message_free(&m);
        if (rc == 0)
            fail_msg("taken: %s", rows[i]);
    }
}

static void keys_in_other_case_are_other_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum proto_kind kind;
    } rows[] = {
        {"{\"frame_index\":0,\"Result\":{},\"DROPPED\":1}", PROTO_UNKNOWN},
        {"{\"frame_index\":0,\"result\":{},\"Error\":null}", PROTO_RESULT},
        {"{\"frame_index\":0,\"dropped\":true,\"Warning\":5}", PROTO_DROP},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct proto_message m;
        int rc = read_text(rows[i].text, &m);
        enum proto_kind kind = m.kind;
        proto_message_free(&m);
        if (rc < 0 || kind != rows[i].kind)
            fail_msg("%s: rc %d, kind %d", rows[i].text, rc, kind);
    }
}

static void one_message_is_one_object(void **state)
{
    (void)state;
    static const char *const rows[] = {"{} {}", "{}x", "{\"warning\":\"slow_down\"}]"};
    for (size_t i = 0; i < N(rows); i++) {
        struct proto_message m;
        int rc = read_text(rows[i], &m);
        proto_message_free(&m);
        if (rc == 0)
            fail_msg("taken: %s", rows[i]);
    }
}

static void a_message_need_not_be_terminated(void **state)
{
    (void)state;
    static const char text[] = "{\"frame_index\":12,\"dropped\":true}";
    for (size_t n = 0; n < sizeof text; n++) {
        char *exact = malloc(n ? n : 1); /* so that reading behind it is found */
        struct proto_message m;
        memcpy(exact, text, n);
        assert_int_equal(read_bytes(exact, n, &m), n == sizeof text - 1 ? 0 : -1);
        proto_message_free(&m);
        free(exact);
    }
}

static void huge_nesting_is_refused_not_followed(void **state)
{
    (void)state;
    enum { DEPTH = 1000000 };
    char *text = malloc(DEPTH + 32);
    struct proto_message m;
    memcpy(text, "{\"frame_index\":0,\"result\":", 26);
    memset(text + 26, '[', DEPTH);
    assert_int_equal(read_bytes(text, DEPTH + 26, &m), -1);
    proto_message_free(&m);
    for (size_t i = 0; i + 5 <= DEPTH; i += 5)
        memcpy(text + 26 + i, "{\"a\":", 5);
    assert_int_equal(read_bytes(text, DEPTH + 26, &m), -1);
    proto_message_free(&m);
    free(text);
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char text[2000] = "{\"error\":\"";
    struct proto_message m;
    struct text t = {.data = text, .len = strlen(text), .cap = sizeof text, .max = sizeof text};
    for (int i = 0; i < 700; i++)
        text_add_char(&t, 'e');
    text_add(&t, "\",\"detail\":\"");
    for (int i = 0; i < 700; i++)
        text_add_char(&t, 'd');
    text_add(&t, "\"}");
    assert_int_equal(read_bytes(text, t.len, &m), 0);
    assert_int_equal(strlen(m.name), sizeof m.name - 1);
    assert_int_equal(strlen(m.detail), sizeof m.detail - 1);
    proto_message_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_are_decoded),
        cmocka_unit_test(an_id_may_hold_nul),
        cmocka_unit_test(a_query_ends_where_it_ends),
        cmocka_unit_test(a_long_id_is_cut),
        cmocka_unit_test(a_long_name_is_no_known_one),
        cmocka_unit_test(what_is_escaped_is_decoded_again),
        cmocka_unit_test(unreserved_characters_stay),
        cmocka_unit_test(the_header_is_big_endian),
        cmocka_unit_test(any_header_comes_back_bit_for_bit),
        cmocka_unit_test(results_have_exactly_their_keys),
        cmocka_unit_test(drops_have_exactly_their_keys),
        cmocka_unit_test(slow_down_has_its_one_key),
        cmocka_unit_test(errors_have_their_published_names),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(each_kind_is_told_by_its_keys),
        cmocka_unit_test(wrong_types_are_refused),
        cmocka_unit_test(numbers_that_json_cannot_hold_exactly_are_refused),
        cmocka_unit_test(keys_in_other_case_are_other_keys),
        cmocka_unit_test(one_message_is_one_object),
        cmocka_unit_test(a_message_need_not_be_terminated),
        cmocka_unit_test(huge_nesting_is_refused_not_followed),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
