#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/proto.h"
#include "server/head.h"

#define N(array)            (sizeof(array) / sizeof((array)[0]))
#define KEY                 "dGhlIHNhbXBsZSBub25jZQ=="
#define UPGRADE             "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define FIELDS              UPGRADE "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n"
#define HANDSHAKE           "GET " PROTO_PATH " HTTP/1.1\r\nHost: h\r\n" FIELDS "\r\n"
#define STREAM_WITH(fields) "GET " PROTO_PATH " HTTP/1.1\r\n" fields "\r\n"

static struct head read_text(const char *text)
{
    return head_read(text, strlen(text));
}

static void assert_slice(const char *at, size_t n, const char *want)
{
    if (n != strlen(want) || memcmp(at, want, n) != 0)
        fail_msg("'%.*s' is not '%s'", (int)n, at, want);
}

static const struct {
    const char *text;
    enum head_kind kind;
    int status;
} requests[] = {
    {HANDSHAKE, HEAD_STREAM, 0},
    {"GET / HTTP/1.1\r\n\r\n", HEAD_PAGE, 0},
    {"HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n", HEAD_PAGE, 0},
    {"GET /healthz HTTP/1.0\r\n\r\n", HEAD_PAGE, 0},
    {"GET /healthz HTTP/1.1\n\n", HEAD_PAGE, 0},
    {"GET /healthz HTTP/1.1\nHost: h\r\n\n", HEAD_PAGE, 0},
    {"GET /ws/video/streams HTTP/1.1\r\n" FIELDS "\r\n", HEAD_PAGE, 0},
    {"GET /ws/video/stream/ HTTP/1.1\r\n" FIELDS "\r\n", HEAD_PAGE, 0},
    /* methods */
    {"POST / HTTP/1.1\r\n\r\n", HEAD_REFUSE, 405},
    {"OPTIONS * HTTP/1.1\r\n\r\n", HEAD_REFUSE, 400},
    {"GETS / HTTP/1.1\r\n\r\n", HEAD_REFUSE, 405},
    {"get / HTTP/1.1\r\n\r\n", HEAD_REFUSE, 405},
    {"DELETE " PROTO_PATH " HTTP/1.1\r\n" FIELDS "\r\n", HEAD_REFUSE, 405},
    /* request lines that are none */
    {"\n\n", HEAD_REFUSE, 400},
    {"\r\n\r\n", HEAD_REFUSE, 400},
    {"GET\r\n\r\n", HEAD_REFUSE, 400},
    {"GET /\r\n\r\n", HEAD_REFUSE, 400},
    {"GET  / HTTP/1.1\r\n\r\n", HEAD_REFUSE, 400},
    {"GET / HTTP/1.1 x\r\n\r\n", HEAD_REFUSE, 400},
    {"GET / HTTP/2.0\r\n\r\n", HEAD_REFUSE, 400},
    {"GET / HTTP/1.10\r\n\r\n", HEAD_REFUSE, 400},
    {"GET / http/1.1\r\n\r\n", HEAD_REFUSE, 400},
    {"GET / HTTP/1.x\r\n\r\n", HEAD_REFUSE, 400},
    {"GET x HTTP/1.1\r\n\r\n", HEAD_REFUSE, 400},
    {"GET ?x HTTP/1.1\r\n\r\n", HEAD_REFUSE, 400},
    {"GET /\x01 HTTP/1.1\r\n\r\n", HEAD_REFUSE, 400},
    {"GET /\t HTTP/1.1\r\n\r\n", HEAD_REFUSE, 400},
    {"GET /\x7f HTTP/1.1\r\n\r\n", HEAD_REFUSE, 400},
    {"G\x01T / HTTP/1.1\r\n\r\n", HEAD_REFUSE, 400},
    {"\x16\x03\x01\x02\n\n", HEAD_REFUSE, 400}, /* TLS on the plain port */
    /* fields */
    {"GET / HTTP/1.1\r\nno colon\r\n\r\n", HEAD_REFUSE, 400},
    {"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", HEAD_REFUSE, 400},
    {"GET / HTTP/1.1\r\nA:\r\nB: :\r\n\r\n", HEAD_PAGE, 0},
    /* handshakes that are none: what is missing is told */
    {STREAM_WITH(""), HEAD_REFUSE, 426},
    {"HEAD " PROTO_PATH " HTTP/1.1\r\n" FIELDS "\r\n", HEAD_REFUSE, 426},
    {"GET " PROTO_PATH " HTTP/1.0\r\n" FIELDS "\r\n", HEAD_REFUSE, 426},
    {STREAM_WITH("Connection: Upgrade\r\nSec-WebSocket-Key: " KEY
                 "\r\nSec-WebSocket-Version: 13\r\n"),
     HEAD_REFUSE, 426},
    {STREAM_WITH("Upgrade: websocket\r\nSec-WebSocket-Key: " KEY
                 "\r\nSec-WebSocket-Version: 13\r\n"),
     HEAD_REFUSE, 426},
    {STREAM_WITH("Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY
                 "\r\nSec-WebSocket-Version: 13\r\n"),
     HEAD_REFUSE, 426},
    {STREAM_WITH(UPGRADE "Sec-WebSocket-Key: " KEY "\r\n"), HEAD_REFUSE, 426},
    {STREAM_WITH(UPGRADE "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 8\r\n"), HEAD_REFUSE,
     426},
    {STREAM_WITH(UPGRADE "Sec-WebSocket-Version: 13\r\n"), HEAD_REFUSE, 400},
    /* headers in other forms */
    {STREAM_WITH("UPGRADE: WebSocket\r\nconnection: keep-alive, upgrade\r\n"
                 "SEC-WEBSOCKET-KEY:" KEY "\r\nsec-websocket-version:\t13 \r\n"),
     HEAD_STREAM, 0},
    {STREAM_WITH("Upgrade: h2c , websocket\r\nConnection: a\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n"),
     HEAD_STREAM, 0},
    {STREAM_WITH(FIELDS "Sec-WebSocket-Protocol: chat\r\n"
                        "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
     HEAD_STREAM, 0},
    {"GET " PROTO_PATH " HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade\n"
     "Sec-WebSocket-Key: " KEY "\nSec-WebSocket-Version: 13\n\n",
     HEAD_STREAM, 0},
};

static void requests_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(requests); i++) {
        struct head h = read_text(requests[i].text);
        if (h.kind != requests[i].kind || h.status != requests[i].status)
            fail_msg("kind %d, status %d: %s", h.kind, h.status, requests[i].text);
        if (h.kind != HEAD_REFUSE)
            assert_int_equal(h.n_bytes, strlen(requests[i].text));
    }
}

static void keys_are_16_bytes_in_base64(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        enum head_kind kind;
    } rows[] = {
        {KEY, HEAD_STREAM},
        {"++++//////////////////==", HEAD_STREAM},
        {"", HEAD_REFUSE},
        {"dGhlIHNhbXBsZSBub25jZQ=", HEAD_REFUSE},
        {"dGhlIHNhbXBsZSBub25jZQ===", HEAD_REFUSE},
        {"dGhlIHNhbXBsZSBub25jZQQ=", HEAD_REFUSE},
        {"dGhlIHNhbXBsZSBub25jZQQQ", HEAD_REFUSE},
        {"dGhlIHNhbXBsZSBub2 jZQ==", HEAD_REFUSE},
        {"dGhlIHNhbXBsZSBub2-jZQ==", HEAD_REFUSE},
        {"dGhlIHNhbXBsZSBub25jZ-==", HEAD_REFUSE},
        {"dGhlIHNhbXBsZSBub2\xe4jZQ==", HEAD_REFUSE},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char bytes[500];
        struct text t = text_fixed(bytes, sizeof bytes);
        text_addf(&t,
                  "GET %s HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Key: %s\r\n"
                  "Sec-WebSocket-Version: 13\r\n\r\n",
                  PROTO_PATH, rows[i].key);
        struct head h = head_read(bytes, t.len);
        if (h.kind != rows[i].kind)
            fail_msg("'%s': kind %d, status %d", rows[i].key, h.kind, h.status);
        if (h.kind == HEAD_STREAM)
            assert_string_equal(h.key, rows[i].key);
        else
            assert_int_equal(h.status, 400);
    }
}

static void the_last_of_two_fields_wins(void **state)
{
    (void)state;
    struct head h =
        read_text(STREAM_WITH("Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 8\r\n" FIELDS));
    assert_int_equal(h.kind, HEAD_STREAM);
    assert_string_equal(h.key, KEY);
    h = read_text(STREAM_WITH(FIELDS "Sec-WebSocket-Version: 8\r\n"));
    assert_int_equal(h.status, 426);
    h = read_text(STREAM_WITH(FIELDS "Sec-WebSocket-Key: x\r\n"));
    assert_int_equal(h.status, 400);
}

static void a_folded_field_is_not_a_field(void **state)
{
    (void)state;
    struct head h = read_text(STREAM_WITH("A: b\r\n Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                          "Sec-WebSocket-Key: " KEY "\r\n"
                                          "Sec-WebSocket-Version: 13\r\n"));
    assert_int_equal(h.kind, HEAD_REFUSE);
}

static void path_and_query_are_parted(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } rows[] = {
        {"/", "/", ""},
        {"/a/b", "/a/b", ""},
        {"/a?", "/a", ""},
        {"/a?b=c&d", "/a", "b=c&d"},
        {"/a?b?c", "/a", "b?c"},
        {"/a?%zz;<>\"#\xff", "/a", "%zz;<>\"#\xff"},
        {"http://h/a?b", "/a", "b"},
        {"HTTP://h:8000/a?b", "/a", "b"},
        {"http://user@h/a", "/a", ""},
        {"http://h", "/", ""},
        {"http:///a", "/a", ""},
        /* the authority ends at '?' as well (RFC 3986, 3.2) */
        {"http://h?b/c", "/", "b/c"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char bytes[200];
        struct text t = text_fixed(bytes, sizeof bytes);
        text_addf(&t, "GET %s HTTP/1.1\r\n\r\n", rows[i].target);
        struct head h = head_read(bytes, t.len);
        assert_int_equal(h.kind, HEAD_PAGE);
        assert_slice(h.path, h.path_n, rows[i].path);
        assert_slice(h.query, h.query_n, rows[i].query);
    }
}

static void a_handshake_may_be_in_absolute_form(void **state)
{
    (void)state;
    struct head h =
        read_text("GET http://h:8000" PROTO_PATH "?pipeline_id=a HTTP/1.1\r\n" FIELDS "\r\n");
    assert_int_equal(h.kind, HEAD_STREAM);
    assert_slice(h.query, h.query_n, "pipeline_id=a");
}

static void the_method_is_told(void **state)
{
    (void)state;
    assert_false(read_text("GET / HTTP/1.1\r\n\r\n").is_head_method);
    assert_true(read_text("HEAD / HTTP/1.1\r\n\r\n").is_head_method);
}

static void nul_is_refused_in_the_request_line_and_harmless_behind(void **state)
{
    (void)state;
    assert_int_equal(head_read("GET /\0 HTTP/1.1\r\n\r\n", 19).status, 400);
    assert_int_equal(head_read("G\0T / HTTP/1.1\r\n\r\n", 18).status, 400);
    assert_int_equal(head_read("GET / HTTP/1.\0\r\n\r\n", 18).status, 400);
    assert_int_equal(head_read("GET / HTTP/1.1\r\nA: \0\r\n\r\n", 24).kind, HEAD_PAGE);
}

/* Bytes in memory of exactly their size, so that reading behind them is found. */
static struct head read_exact(const char *bytes, size_t n)
{
    char *exact = malloc(n ? n : 1);
    memcpy(exact, bytes, n);
    struct head h = head_read(exact, n);
    free(exact);
    h.path = h.query = NULL;
    return h;
}

static void a_head_is_incomplete_at_every_byte_before_its_end(void **state)
{
    (void)state;
    static const char *const rows[] = {
        HANDSHAKE,
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\n\n",
        "GET /a?b HTTP/1.1\nHost: h\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\n\r\n",
    };
    for (size_t i = 0; i < N(rows); i++) {
        size_t n = strlen(rows[i]);
        for (size_t part = 0; part < n; part++) {
            struct head h = read_exact(rows[i], part);
            assert_int_equal(h.kind, HEAD_MORE);
            assert_int_equal(h.n_bytes, 0);
        }
        assert_int_not_equal(read_exact(rows[i], n).kind, HEAD_MORE);
    }
}

static void what_follows_the_head_is_not_part_of_it(void **state)
{
    (void)state;
    struct head h = read_text(HANDSHAKE "\x82\x04more\r\n\r\n");
    assert_int_equal(h.kind, HEAD_STREAM);
    assert_int_equal(h.n_bytes, strlen(HANDSHAKE));
}

static void a_head_has_at_most_8192_bytes(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        enum head_kind kind;
    } rows[] = {{HEAD_BYTES_MAX, HEAD_PAGE}, {HEAD_BYTES_MAX + 1, HEAD_REFUSE}};
    for (size_t i = 0; i < N(rows); i++) {
        char bytes[HEAD_BYTES_MAX + 1];
        memset(bytes, 'x', sizeof bytes);
        memcpy(bytes, "GET / HTTP/1.1\r\nA: ", 19);
        memcpy(bytes + rows[i].n - 4, "\r\n\r\n", 4);
        struct head h = head_read(bytes, rows[i].n);
        assert_int_equal(h.kind, rows[i].kind);
        assert_int_equal(h.status, rows[i].kind == HEAD_REFUSE ? 431 : 0);
        assert_int_equal(head_read(bytes, HEAD_BYTES_MAX - 1).kind, HEAD_MORE);
        assert_int_equal(head_read(bytes, HEAD_BYTES_MAX).kind, rows[i].kind);
    }
}

/* ---- for libwebsockets ---- */

static void any_query_survives_the_way_through_libwebsockets(void **state)
{
    (void)state;
    char head[1000], written[2000], query[256];
    struct text t = text_fixed(head, sizeof head), out = text_fixed(written, sizeof written);
    text_add(&t, "GET " PROTO_PATH "?");
    for (int c = '!'; c < 256; c++)
        if (c != 0x7f)
            text_add_char(&t, (char)c);
    text_add(&t, " HTTP/1.1\r\n" FIELDS "Sec-WebSocket-Protocol: chat\r\n\r\n");
    struct head h = head_read(head, t.len);
    assert_int_equal(h.kind, HEAD_STREAM);
    head_write(&h, &out);
    struct head again = head_read(written, out.len);
    assert_int_equal(again.kind, HEAD_STREAM);
    assert_string_equal(again.key, h.key);
    assert_null(strstr(written, "chat"));
    assert_memory_equal(again.query, "q=", 2);
    size_t n = head_query_from_hex(again.query + 2, again.query_n - 2, query, sizeof query);
    assert_int_equal(n, h.query_n);
    assert_memory_equal(query, h.query, n);
}

static void an_empty_query_stays_empty(void **state)
{
    (void)state;
    char written[500], query[4];
    struct text out = text_fixed(written, sizeof written);
    struct head h = read_text(HANDSHAKE);
    head_write(&h, &out);
    struct head again = head_read(written, out.len);
    assert_slice(again.query, again.query_n, "q=");
    assert_int_equal(head_query_from_hex("", 0, query, sizeof query), 0);
}

static void hex_is_decoded_within_its_room(void **state)
{
    (void)state;
    char out[3] = "??";
    assert_int_equal(head_query_from_hex("00ff7f41", 8, out, 2), 2);
    assert_memory_equal(out, "\0\xff", 3);
    assert_int_equal(head_query_from_hex("0af", 3, out, 2), 1); /* half a byte is none */
    assert_int_equal(out[0], '\n');
}

static void a_page_is_asked_for_plainly_and_once(void **state)
{
    (void)state;
    char written[500];
    struct text out = text_fixed(written, sizeof written);
    struct head h = read_text("HEAD http://h/a?b HTTP/1.0\r\nCookie: x\r\n\r\n");
    head_write(&h, &out);
    assert_string_equal(written, "HEAD /a HTTP/1.1\r\nHost: streamd\r\nConnection: close\r\n\r\n");
}

static void refusals_are_complete_responses(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *line, *field;
    } rows[] = {
        {400, "HTTP/1.1 400 Bad Request\r\n", "Content-Type: text/plain\r\n"},
        {405, "HTTP/1.1 405 Method Not Allowed\r\n", "\r\nAllow: GET, HEAD\r\n"},
        {426, "HTTP/1.1 426 Upgrade Required\r\n", "\r\nSec-WebSocket-Version: 13\r\n"},
        {431, "HTTP/1.1 431 ", "\r\nConnection: close\r\n"},
        {503, "HTTP/1.1 503 Service Unavailable\r\n", "\r\nRetry-After: "},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char bytes[1000];
        struct text t = text_fixed(bytes, sizeof bytes);
        head_write_refusal(rows[i].status, &t);
        assert_memory_equal(bytes, rows[i].line, strlen(rows[i].line));
        assert_non_null(strstr(bytes, rows[i].field));
        const char *body = strstr(bytes, "\r\n\r\n"), *length = strstr(bytes, "Content-Length: ");
        assert_non_null(body);
        assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body + 4));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_told_apart),
        cmocka_unit_test(keys_are_16_bytes_in_base64),
        cmocka_unit_test(the_last_of_two_fields_wins),
        cmocka_unit_test(a_folded_field_is_not_a_field),
        cmocka_unit_test(path_and_query_are_parted),
        cmocka_unit_test(a_handshake_may_be_in_absolute_form),
        cmocka_unit_test(the_method_is_told),
        cmocka_unit_test(nul_is_refused_in_the_request_line_and_harmless_behind),
        cmocka_unit_test(a_head_is_incomplete_at_every_byte_before_its_end),
        cmocka_unit_test(what_follows_the_head_is_not_part_of_it),
        cmocka_unit_test(a_head_has_at_most_8192_bytes),
        cmocka_unit_test(any_query_survives_the_way_through_libwebsockets),
        cmocka_unit_test(an_empty_query_stays_empty),
        cmocka_unit_test(hex_is_decoded_within_its_room),
        cmocka_unit_test(a_page_is_asked_for_plainly_and_once),
        cmocka_unit_test(refusals_are_complete_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
