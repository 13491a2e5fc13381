#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "tests/unit/source_seen.h"

/* ---- a camera: a thread that speaks canned bytes ---- */

enum then { THEN_KEEP, THEN_CLOSE, THEN_HOLD };

/* In text, '@' stands for the next picture, '#' for the length of one, '$' for the port. */
struct reply {
    const char *text;
    enum then then;
};

struct camera {
    int listen_fd;
    unsigned port;
    pthread_t thread;
    const struct reply *replies; /* one a request, in this order; the last one stays */
    unsigned n_replies, n_pictures;
    atomic_uint n_requests, n_connections;
    atomic_bool overlap; /* a connection came while the one before was open */
    char requests[8192]; /* read by the test when the thread has ended */
};

static bool read_request(struct camera *c, int fd)
{
    char text[4096];
    size_t n = 0;
    while (n < sizeof text - 1) {
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
        text[n] = '\0';
        if (strstr(text, "\r\n\r\n")) {
            size_t used = strlen(c->requests);
            snprintf(c->requests + used, sizeof c->requests - used, "%s", text);
            return true;
        }
    }
    return false;
}

static void send_reply(struct camera *c, int fd, const char *text)
{
    char bytes[8192];
    size_t n = 0;
    for (const char *at = text; *at && n < sizeof bytes - 64; at++) {
        if (*at == '@') {
            make_jpeg((uint8_t *)bytes + n, ++c->n_pictures);
            n += JPEG_BYTES;
        } else if (*at == '#' || *at == '$') {
            n += (size_t)sprintf(bytes + n, "%u", *at == '#' ? (unsigned)JPEG_BYTES : c->port);
        } else {
            bytes[n++] = *at;
        }
    }
    (void)!send(fd, bytes, n, MSG_NOSIGNAL);
}

/* Until the other side closes. A new connection that is there before the end of the old one
 * is what a camera with one socket would refuse. */
static void hold(struct camera *c, int fd)
{
    char sink[256];
    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = c->listen_fd, .events = POLLIN}};
        if (poll(p, 2, (int)(CAP_US / 1000)) <= 0)
            return;
        if (p[0].revents && recv(fd, sink, sizeof sink, 0) <= 0)
            return;
        if (!p[0].revents && p[1].revents & POLLIN)
            c->overlap = true;
        if (!p[0].revents)
            return;
    }
}

static void serve(struct camera *c, int fd)
{
    while (read_request(c, fd)) {
        unsigned i = c->n_requests++;
        const struct reply *r = &c->replies[i < c->n_replies ? i : c->n_replies - 1];
        send_reply(c, fd, r->text);
        if (r->then == THEN_HOLD)
            hold(c, fd);
        if (r->then != THEN_KEEP)
            return;
    }
}

static void *camera_thread(void *arg)
{
    struct camera *c = arg;
    int fd;
    while ((fd = accept(c->listen_fd, NULL, NULL)) >= 0) {
        c->n_connections++;
        serve(c, fd);
        close(fd);
    }
    return NULL;
}

static int listen_somewhere(unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void camera_start(struct camera *c, const struct reply *replies, size_t n)
{
    *c = (struct camera){.replies = replies, .n_replies = (unsigned)n};
    c->listen_fd = listen_somewhere(&c->port);
    assert_int_equal(pthread_create(&c->thread, NULL, camera_thread, c), 0);
}

/* The source is closed first: then no connection keeps the thread. */
static void camera_stop(struct camera *c, struct seen *s)
{
    source_close(s->source);
    s->source = NULL;
    shutdown(c->listen_fd, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    close(c->listen_fd);
    assert_false(c->overlap);
}

static void open_camera(struct seen *s, const struct camera *c, const char *userinfo)
{
    char url[128];
    snprintf(url, sizeof url, "http://%s127.0.0.1:%u/video", userinfo, c->port);
    assert_int_equal(open_source(s, url), 0);
}

/* One camera, one source, until it ends. */
static void run_camera(struct seen *s, struct camera *c, const struct reply *replies, size_t n)
{
    camera_start(c, replies, n);
    open_camera(s, c, "");
    run_to_end(s);
    camera_stop(c, s);
}

static void multipart_in_any_form_gives_its_pictures(void **state)
{
    (void)state;
#define PART(b) b "Content-Type: image/jpeg\r\nContent-Length: #\r\n\r\n@\r\n"
    static const struct reply rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n" PART(
             "--frame\r\n") PART("--frame\r\n") "--frame--\r\n",
         THEN_CLOSE},
        {"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; "
         "boundary=--frame\r\n\r\n" PART("--frame\r\n") PART("--frame\r\n"),
         THEN_CLOSE},
        {"HTTP/1.0 200 OK\r\nCONTENT-TYPE: Multipart/X-Mixed-Replace; "
         "BOUNDARY=\"fr;ame\"\r\n\r\n" PART("--fr;ame\r\n") PART("--fr;ame\r\n"),
         THEN_CLOSE},
        {"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n" PART("--x\r\n")
             PART("--x\r\n"),
         THEN_CLOSE},
        {"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=\r\n\r\n@--y\r\n@",
         THEN_CLOSE},
        {"HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n@@", THEN_CLOSE},
        {"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n@@", THEN_CLOSE},
        {"HTTP/1.0 200 OK\r\n\r\n@@", THEN_CLOSE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n17\r\n@\r\n17\r\n@\r\n0\r\n\r\n",
         THEN_HOLD},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct camera c;
        struct seen *s;
        assert_int_equal(set_up((void **)&s), 0);
        run_camera(s, &c, &rows[i], 1);
        check_numbers(s, "1 2");
        assert_int_equal(s->n_broken, 0);
        assert_int_equal(s->rc, 0);
        assert_int_equal(tear_down((void **)&s), 0);
    }
}

#define STREAM                                                                                     \
    "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n--x\r\n\r\n"

static void answers_that_are_no_pictures_end_it_with_a_sentence(void **state)
{
    static const struct {
        struct reply reply;
        const char *says;
        bool permanent; /* whatever reconnect says */
    } rows[] = {
        {{"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", THEN_HOLD}, "--netrc", true},
        {{"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", THEN_HOLD}, "user:pass@", true},
        {{"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", THEN_HOLD}, "path", true},
        {{"HTTP/1.1 410 No\r\nContent-Length: 0\r\n\r\n", THEN_HOLD}, "410", true},
        {{"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", THEN_HOLD}, "503", false},
        {{"HTTP/1.1 304 No\r\n\r\n", THEN_HOLD}, "304", false},
        {{"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", THEN_CLOSE},
         "text/html",
         false},
        {{"HTTP/1.0 302 Go\r\nLocation: ftp://127.0.0.1/\r\n\r\n", THEN_CLOSE},
         "http and https",
         false},
        {{"HTTP/1.0 302 Go\r\nLocation: file:///etc/hosts\r\n\r\n", THEN_CLOSE},
         "http and https",
         false},
        {{"HTTP/1.0 302 Go\r\nLocation: /video\r\n\r\n", THEN_CLOSE}, "redirected", false},
        {{"", THEN_CLOSE}, "without an answer", false},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct camera c;
        struct seen *s;
        assert_int_equal(set_up((void **)&s), 0);
        s->options.reconnect = rows[i].permanent;
        run_camera(s, &c, &rows[i].reply, 1);
        assert_int_equal(s->rc, -EXIT_UNREACHABLE);
        if (!strstr(s->why.text, rows[i].says))
            fail_msg("\"%s\" does not say \"%s\"", s->why.text, rows[i].says);
        assert_int_equal(s->n_notes, 0);
        assert_int_equal(tear_down((void **)&s), 0);
    }
}

static void credentials_are_sent_when_asked_for_and_never_told(void **state)
{
    static const struct reply replies[] = {
        {"HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=\"cam\"\r\n\r\n", THEN_CLOSE},
        {STREAM "@", THEN_CLOSE},
        {"HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=\"cam\"\r\n\r\n", THEN_CLOSE},
    };
    struct seen *s = *state;
    struct camera c;
    s->options.reconnect = true;
    camera_start(&c, replies, N_ROWS(replies));
    open_camera(s, &c, "joe:s3cr%40t@");
    run_until(s, &s->n_notes, 2); /* the stream ended; then it refused */
    camera_stop(&c, s);
    assert_int_equal(s->n_pictures, 1);
    assert_non_null(strstr(c.requests, "Authorization: Basic am9lOnMzY3JAdA==\r\n"));
    for (unsigned i = 0; i < s->n_notes; i++) {
        assert_null(strstr(s->notes[i], "s3cr"));
        assert_null(strstr(s->notes[i], "joe"));
        assert_non_null(strstr(s->notes[i], "http://***@127.0.0.1"));
    }
}

static void digest_is_answered_with_digest(void **state)
{
    static const struct reply replies[] = {
        {"HTTP/1.0 401 No\r\nWWW-Authenticate: Digest realm=\"cam\", nonce=\"n\", qop=\"auth\"\r\n"
         "WWW-Authenticate: Basic realm=\"cam\"\r\n\r\n",
         THEN_CLOSE},
        {STREAM "@", THEN_CLOSE},
    };
    struct seen *s = *state;
    struct camera c;
    camera_start(&c, replies, N_ROWS(replies));
    open_camera(s, &c, "joe:secret@");
    run_to_end(s);
    camera_stop(&c, s);
    assert_int_equal(s->rc, 0);
    assert_non_null(strstr(c.requests, "Authorization: Digest username=\"joe\""));
    assert_null(strstr(c.requests, "Authorization: Basic"));
}

static void netrc_file_has_the_credentials(void **state)
{
    static const struct reply replies[] = {
        {"HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=\"cam\"\r\n\r\n", THEN_CLOSE},
        {STREAM "@", THEN_CLOSE},
    };
    static const char netrc[] = "machine 127.0.0.1 login joe password pass\n";
    struct seen *s = *state;
    struct camera c;
    s->options.netrc = "/nowhere/netrc";
    assert_int_equal(open_source(s, "http://127.0.0.1/"), -EXIT_USAGE);
    write_file("netrc", netrc, strlen(netrc));
    s->options.netrc = path_of("netrc");
    run_camera(s, &c, replies, N_ROWS(replies));
    assert_int_equal(s->rc, 0);
    assert_non_null(strstr(c.requests, "Authorization: Basic am9lOnBhc3M=\r\n"));
}

static void redirect_is_followed_without_credentials_for_others(void **state)
{
    static const struct reply first[] = {
        {"HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=\"cam\"\r\n\r\n", THEN_CLOSE},
        {NULL, THEN_CLOSE},
    };
    static const struct reply second[] = {{STREAM "@", THEN_CLOSE}};
    struct seen *s = *state;
    struct camera from, to;
    struct reply replies[2] = {first[0], first[1]};
    char go[128];
    camera_start(&to, second, 1);
    snprintf(go, sizeof go, "HTTP/1.0 302 Go\r\nLocation: http://127.0.0.1:%u/there\r\n\r\n",
             to.port);
    replies[1].text = go;
    camera_start(&from, replies, 2);
    open_camera(s, &from, "joe:pass@");
    run_to_end(s);
    camera_stop(&from, s);
    camera_stop(&to, s);
    assert_int_equal(s->rc, 0);
    check_numbers(s, "1");
    assert_non_null(strstr(from.requests, "Authorization:"));
    assert_non_null(strstr(to.requests, "GET /there "));
    assert_null(strstr(to.requests, "Authorization:"));
}

static void single_jpeg_is_asked_for_again_on_the_same_connection(void **state)
{
    static const struct reply replies[] = {
        {"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: #\r\n\r\n@", THEN_KEEP},
        {"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: #\r\n\r\n@", THEN_KEEP},
        {"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\n\r\ntext", THEN_KEEP},
        {"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: #\r\n\r\n@", THEN_KEEP},
    };
    struct seen *s = *state;
    struct camera c;
    camera_start(&c, replies, N_ROWS(replies));
    open_camera(s, &c, "");
    run_until(s, &s->n_pictures, 5);
    camera_stop(&c, s);
    assert_int_equal(c.n_connections, 1);
    assert_true(c.n_requests >= 6);
    assert_int_equal(s->n_notes, 0);
}

static void poll_follows_an_absolute_schedule(void **state)
{
    static const struct reply replies[] = {
        {"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n@", THEN_CLOSE},
    };
    struct seen *s = *state;
    struct camera c;
    s->options.poll_us = 300000;
    s->options.stall_us = 200000; /* the pause between two is no stall */
    camera_start(&c, replies, 1);
    open_camera(s, &c, "");
    run_until(s, &s->n_pictures, 3);
    camera_stop(&c, s);
    assert_true(s->captured_us[2] - s->captured_us[0] >= 2 * 300000 - 100000);
    assert_int_equal(s->n_notes, 0);
}

static void stalled_stream_is_closed_then_opened_again(void **state)
{
    static const struct reply replies[] = {
        {STREAM "@", THEN_HOLD},                               /* one picture, then silence */
        {STREAM "--x\r\nContent-Type: text/plain", THEN_HOLD}, /* no picture at all */
        {"", THEN_HOLD},                                       /* no answer at all */
        {STREAM "@\r\n--x\r\n\r\n@\r\n--x\r\n\r\n@", THEN_HOLD},
    };
    struct seen *s = *state;
    struct camera c;
    s->options.stall_us = 50000;
    s->options.reconnect = true;
    camera_start(&c, replies, N_ROWS(replies));
    open_camera(s, &c, "");
    run_until(s, &s->n_pictures, 4);
    camera_stop(&c, s);
    assert_int_equal(c.n_connections, 4);
    assert_int_equal(s->n_notes, 3); /* one for each reopening */
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(strstr(s->notes[i], "no picture for"));
    check_numbers(s, "1 2 3 4");
}

/* What a note says about the wait: "...; opening it again in 0.4 s". */
static double wait_in_note(const char *note)
{
    static const char before[] = "again in ";
    const char *at = strstr(note, before);
    assert_non_null(at);
    return strtod(at + sizeof before - 1, NULL);
}

static void ended_stream_is_opened_again_or_is_over(void **state)
{
    static const struct reply replies[] = {{STREAM "@", THEN_CLOSE}};
    struct seen *s = *state;
    struct camera c;
    s->options.reconnect = true;
    camera_start(&c, replies, 1);
    open_camera(s, &c, "");
    run_until(s, &s->n_notes, 3);
    camera_stop(&c, s);
    assert_int_equal(s->n_pictures, 3);
    assert_int_equal(s->n_ends, 0);
    for (unsigned i = 0; i < 3; i++) /* a good picture begins the back-off anew */
        assert_true(wait_in_note(s->notes[i]) < 0.55);
}

static void broken_connection_fails_when_it_may_not_reconnect(void **state)
{
    static const struct reply replies[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n@@", THEN_CLOSE},
    };
    struct seen *s = *state;
    struct camera c;
    run_camera(s, &c, replies, 1);
    assert_int_equal(s->n_pictures, 2);
    assert_int_equal(s->rc, -EXIT_FAILED);
}

static void refused_connection_is_unreachable(void **state)
{
    struct seen *s = *state;
    unsigned port;
    char url[64];
    close(listen_somewhere(&port));
    snprintf(url, sizeof url, "http://joe:secret@127.0.0.1:%u/", port);
    assert_int_equal(open_source(s, url), 0);
    run_to_end(s);
    assert_int_equal(s->rc, -EXIT_UNREACHABLE);
    assert_non_null(strstr(s->why.text, "refused"));
    assert_null(strstr(s->why.text, "secret"));
    source_close(s->source);
    s->n_ends = 0;
    s->options.reconnect = true;
    assert_int_equal(open_source(s, url), 0);
    run_until(s, &s->n_notes, 3);
    assert_int_equal(s->n_ends, 0);
    assert_true(wait_in_note(s->notes[2]) > 0.95); /* of 2 s, at least half */
}

static void invalid_url_is_wrong_usage_and_tells_no_password(void **state)
{
    struct seen *s = *state;
    assert_int_equal(open_source(s, "http://joe:sec/ret@cam/"), -EXIT_USAGE);
    assert_non_null(strstr(s->why.text, "percent-encoded"));
    assert_null(strstr(s->why.text, "ret@"));
    assert_int_equal(open_source(s, "http://"), -EXIT_USAGE);
}

/* ---- closing from inside ---- */

static void any_callback_may_close_the_source(void **state)
{
    static const struct {
        char closes_on;
        struct reply reply;
    } rows[] = {
        {'p', {STREAM "@@@", THEN_HOLD}},
        {'p', {"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n@", THEN_CLOSE}},
        {'b', {STREAM "\xff\xd8\xff\xe0", THEN_CLOSE}},
        {'n', {STREAM "@", THEN_CLOSE}},
        {'e', {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", THEN_HOLD}},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct camera c;
        struct seen *s;
        assert_int_equal(set_up((void **)&s), 0);
        s->options.reconnect = true;
        s->closes_on = rows[i].closes_on;
        camera_start(&c, &rows[i].reply, 1);
        open_camera(s, &c, "");
        run_until(s,
                  s->closes_on == 'p'   ? &s->n_pictures
                  : s->closes_on == 'b' ? &s->n_broken
                  : s->closes_on == 'n' ? &s->n_notes
                                        : &s->n_ends,
                  1);
        loop_turn(&s->loop);
        assert_null(s->source);
        assert_int_equal(s->n_after_close, 0);
        camera_stop(&c, s);
        assert_int_equal(tear_down((void **)&s), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multipart_in_any_form_gives_its_pictures),
        cmocka_unit_test(answers_that_are_no_pictures_end_it_with_a_sentence),
        IN_LOOP(credentials_are_sent_when_asked_for_and_never_told),
        IN_LOOP(digest_is_answered_with_digest),
        IN_DIR(netrc_file_has_the_credentials),
        IN_LOOP(redirect_is_followed_without_credentials_for_others),
        IN_LOOP(single_jpeg_is_asked_for_again_on_the_same_connection),
        IN_LOOP(poll_follows_an_absolute_schedule),
        IN_LOOP(stalled_stream_is_closed_then_opened_again),
        IN_LOOP(ended_stream_is_opened_again_or_is_over),
        IN_LOOP(broken_connection_fails_when_it_may_not_reconnect),
        IN_LOOP(refused_connection_is_unreachable),
        IN_LOOP(invalid_url_is_wrong_usage_and_tells_no_password),
        cmocka_unit_test(any_callback_may_close_the_source),
    };
    unsetenv("http_proxy"); /* libcurl would heed them */
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
