/* The server's address: what people type, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "common/address.h"

static void addresses_are_read(void **state)
{
    static const struct {
        const char *text, *url;
    } rows[] = {
        {"ws://localhost:8000", "ws://localhost:8000/ws/video/stream"},
        {"ws://localhost:8000/", "ws://localhost:8000/ws/video/stream"},
        {"ws://localhost:8000/ws/video/stream", "ws://localhost:8000/ws/video/stream"},
        {"ws://localhost:8000/gpu/ws", "ws://localhost:8000/gpu/ws"},
        {"WS://Box", "ws://Box:80/ws/video/stream"},
        {"wss://box", "wss://box:443/ws/video/stream"},
        {"https://box:8443", "wss://box:8443/ws/video/stream"},
        {"http://box:8000", "ws://box:8000/ws/video/stream"},
        {"box", "ws://box:8000/ws/video/stream"},
        {"box:9000", "ws://box:9000/ws/video/stream"},
        {"box:9000/x", "ws://box:9000/x"},
        {":9000", "ws://localhost:9000/ws/video/stream"},
        {"[::1]", "ws://[::1]:8000/ws/video/stream"},
        {"[::1]:9000", "ws://[::1]:9000/ws/video/stream"},
        {"ws://[fe80::1%eth0]:1", "ws://[fe80::1%eth0]:1/ws/video/stream"},
        {"127.0.0.1:65535", "ws://127.0.0.1:65535/ws/video/stream"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address a;
        struct err e = {0};
        char url[800];
        if (address_parse(&a, rows[i].text, &e) < 0)
            fail_msg("%s: %s", rows[i].text, e.text);
        address_display(&a, url, sizeof url);
        assert_string_equal(url, rows[i].url);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const rows[] = {
        "",          "ws://",   "ws:///path", "ftp://box", "box:0",   "box:65536",
        "box:",      "box:x",   "box:80x",    "[::1",      "[::1]x",  "[]",
        "b ox",      "box/a b", "box?a=b",    "box/x?a=b", "box/x#y", "me:pw@box",
        "ws://me@b", "box:-1",  "box: 1",     "a:b:c",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address a;
        struct err e = {0};
        if (address_parse(&a, rows[i], &e) != -EXIT_USAGE)
            fail_msg("'%s' is taken", rows[i]);
        assert_true(e.text[0]);
        assert_null(strstr(e.text, "pw"));
    }
}

static void what_is_too_long_is_refused(void **state)
{
    char text[2000];
    struct address a;
    (void)state;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(address_parse(&a, text, NULL), -EXIT_USAGE);
    text[10] = '/';
    assert_int_equal(address_parse(&a, text, NULL), -EXIT_USAGE);
}

static void the_http_address_has_the_same_host(void **state)
{
    struct address a;
    char url[800];
    (void)state;
    assert_int_equal(address_parse(&a, "wss://box:8443/x", NULL), 0);
    address_http(&a, "/pipelines", url, sizeof url);
    assert_string_equal(url, "https://box:8443/pipelines");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(the_http_address_has_the_same_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
