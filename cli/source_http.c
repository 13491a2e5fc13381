/* One transfer at a time, and never two connections: many cameras have a single socket, so the
 * old connection is closed before the next one is opened. libcurl does HTTP; when to give up on
 * a transfer, when to ask again and when to end is decided here. */
#include "cli/source.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/backoff.h"
#include "cli/source_out.h"

#define CONNECT_TIMEOUT_MS 5000L
#define REDIRECTS_MAX      5L
#define RECEIVE_BYTES      65536L
#define POLL_DEFAULT_US    1000000u

struct http_socket {
    struct loop_watch watch;
    struct http_source *of;
    struct http_socket *next;
};

struct http_source {
    struct source_out out; /* first */
    struct loop *loop;
    char shown[256]; /* the URL without credentials */
    size_t picture_bytes_max;
    uint64_t stall_us, poll_us;
    bool reconnect;

    CURLM *multi;
    CURL *recipe; /* every transfer is made after it */
    struct http_socket *sockets;
    struct loop_timer curl_timer, stall_timer, again_timer;

    CURL *transfer; /* NULL between a failure and the next try */
    char curl_text[CURL_ERROR_SIZE];
    struct mjpeg *mjpeg; /* of the response that is being read */
    unsigned n_in_response;

    bool worked, polls; /* a picture came, ever; single JPEGs are asked for again */
    unsigned n_failed;  /* in a row */
    uint64_t poll_due_us;
};

/* How a transfer ended. */
struct ending {
    bool clean;     /* by the server's will and without an error */
    bool permanent; /* trying again changes nothing */
    struct err why;
};

/* Pictures */

/* No picture for stall_us, counted from the moment the request was sent. */
static void watch_for_stall(struct http_source *s)
{
    if (s->stall_us)
        loop_timer_set(s->loop, &s->stall_timer, s->loop->now_us + s->stall_us);
}

static void on_picture(void *ctx, const uint8_t *bytes, size_t n, bool mended)
{
    (void)mended;
    struct http_source *s = ctx;
    s->worked = true;
    s->n_failed = 0;
    s->n_in_response++;
    watch_for_stall(s);
    source_out_bytes(&s->out, bytes, n);
}

static void on_broken(void *ctx, const char *why)
{
    struct http_source *s = ctx;
    source_out_broken(&s->out, why);
}

/* The response */

static const char *content_type(const struct http_source *s)
{
    char *type = NULL;
    curl_easy_getinfo(s->transfer, CURLINFO_CONTENT_TYPE, &type);
    return type ? type : "";
}

static long http_status(const struct http_source *s)
{
    long status = 0;
    curl_easy_getinfo(s->transfer, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool is_single_type(const char *type)
{
    return !strncasecmp(type, "image/", strlen("image/"));
}

/* The boundary parameter without its quotes. False: there is none. */
static bool find_boundary(const char *type, char *out, size_t cap)
{
    static const char name[] = "boundary";
    const char *at = type;
    while ((at = strpbrk(at, ";,"))) {
        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, name, sizeof name - 1) != 0)
            continue;
        at += sizeof name - 1;
        at += strspn(at, " \t");
        if (*at != '=')
            continue;
        at += 1 + strspn(at + 1, " \t");
        size_t n = *at == '"' ? strcspn(++at, "\"") : strcspn(at, "; \t");
        snprintf(out, cap, "%.*s", (int)n, at);
        return n > 0 && n < cap;
    }
    return false;
}

static bool begin_response(struct http_source *s)
{
    char boundary[128];
    struct mjpeg_sink found = {.ctx = s, .on_picture = on_picture, .on_broken = on_broken};
    const char *type = content_type(s);
    s->mjpeg = mjpeg_new(s->picture_bytes_max, &found);
    if (!s->mjpeg)
        return false;
    if (find_boundary(type, boundary, sizeof boundary))
        mjpeg_set_boundary(s->mjpeg, boundary);
    if (is_single_type(type)) /* to be polled: worth keeping the connection */
        curl_easy_setopt(s->transfer, CURLOPT_FORBID_REUSE, 0L);
    return true;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct http_source *s = ctx;
    if (s->out.silent || (!s->mjpeg && !begin_response(s)))
        return 0; /* makes libcurl give up the transfer */
    mjpeg_feed(s->mjpeg, (const uint8_t *)bytes, size * n);
    return s->out.silent ? 0 : size * n;
}

/* The connection stands and the request is about to be sent; libcurl had its own deadline
 * until now. */
static int on_request(void *ctx, char *to_ip, char *from_ip, int to_port, int from_port)
{
    (void)to_ip, (void)from_ip, (void)to_port, (void)from_port;
    watch_for_stall(ctx);
    return CURL_PREREQFUNC_OK;
}

/* Transfers */

static void end_response(struct http_source *s)
{
    loop_timer_cancel(s->loop, &s->stall_timer);
    if (s->mjpeg && !s->out.silent)
        mjpeg_end(s->mjpeg);
    /* What the end completed is no reason to wait for more. */
    loop_timer_cancel(s->loop, &s->stall_timer);
    mjpeg_free(s->mjpeg);
    s->mjpeg = NULL;
}

static void drop_transfer(struct http_source *s)
{
    if (!s->transfer)
        return;
    curl_multi_remove_handle(s->multi, s->transfer);
    curl_easy_cleanup(s->transfer);
    s->transfer = NULL;
}

static void end_source(struct http_source *s, const struct ending *end)
{
    int rc = s->worked ? (end->clean ? EXIT_DONE : -EXIT_FAILED) : -EXIT_UNREACHABLE;
    source_out_end(&s->out, rc, &end->why);
}

/* After drop_transfer: tries again later, or ends. */
static void try_again(struct http_source *s, const struct ending *end)
{
    char note[sizeof end->why.text + 64];
    if (!s->reconnect || (end->permanent && !s->worked)) {
        end_source(s, end);
        return;
    }
    uint64_t wait_us = backoff_wait_us(++s->n_failed, backoff_jitter());
    loop_timer_set(s->loop, &s->again_timer, s->loop->now_us + wait_us);
    snprintf(note, sizeof note, "%s; opening it again in %.1f s", end->why.text,
             (double)wait_us / 1e6);
    source_out_note(&s->out, note);
}

static void begin_transfer(struct http_source *s)
{
    s->n_in_response = 0;
    if (!s->transfer)
        s->transfer = curl_easy_duphandle(s->recipe);
    if (s->transfer && !curl_multi_add_handle(s->multi, s->transfer))
        return;
    struct ending end = {0};
    err_set(&end.why, EXIT_FAILED, "%s: out of memory", s->shown);
    curl_easy_cleanup(s->transfer);
    s->transfer = NULL;
    try_again(s, &end);
}

/* Single JPEGs are due at fixed times, however long each takes; those that are missed are left
 * out. */
static void poll_again(struct http_source *s)
{
    uint64_t now_us = s->loop->now_us;
    curl_multi_remove_handle(s->multi, s->transfer); /* keeps the connection */
    s->poll_due_us = s->polls ? s->poll_due_us + s->poll_us : now_us + s->poll_us;
    if (s->poll_due_us <= now_us)
        s->poll_due_us = now_us + 1;
    s->polls = true;
    loop_timer_set(s->loop, &s->again_timer, s->poll_due_us);
}

/* What went wrong, for people */

static void tell_status(const struct http_source *s, long status, struct ending *end)
{
    end->permanent =
        status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
    if (status == 401 || status == 403)
        err_set(&end->why, EXIT_UNREACHABLE,
                "%s: the camera refuses (HTTP %ld): credentials are missing or wrong, give them "
                "with --netrc FILE or as user:pass@ in the URL",
                s->shown, status);
    else if (status == 404)
        err_set(&end->why, EXIT_UNREACHABLE,
                "%s: the camera answers, but there is nothing at this path (HTTP 404)", s->shown);
    else if (status >= 500)
        err_set(&end->why, EXIT_UNREACHABLE,
                "%s: the camera reports an error of its own (HTTP %ld)", s->shown, status);
    else
        err_set(&end->why, EXIT_UNREACHABLE, "%s: the camera answers with HTTP %ld, not pictures",
                s->shown, status);
}

/* Only sentences of our own: libcurl's may repeat parts of the URL, which can be parts of a
 * password that was not percent-encoded. TLS errors are the exception, as nobody can guess
 * them and they tell of certificates only. */
static const char *reason(const struct http_source *s, CURLcode code, char *out, size_t cap)
{
    long sys = 0;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "cannot find the address of this host";
    case CURLE_COULDNT_CONNECT:
        curl_easy_getinfo(s->transfer, CURLINFO_OS_ERRNO, &sys);
        snprintf(out, cap, "cannot connect: %s", sys ? strerror((int)sys) : "nobody answers");
        return out;
    case CURLE_OPERATION_TIMEDOUT:
        return "no connection within 5 s";
    case CURLE_TOO_MANY_REDIRECTS:
        return "redirected more than 5 times";
    case CURLE_UNSUPPORTED_PROTOCOL:
        return "leads to something other than http and https";
    case CURLE_GOT_NOTHING:
        return "the connection was closed without an answer";
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return "the connection broke";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
        snprintf(
            out, cap,
            "TLS: %.200s (for a camera with a certificate of its own: --cacert FILE or --insecure)",
            s->curl_text[0] ? s->curl_text : curl_easy_strerror(code));
        return out;
    default:
        return curl_easy_strerror(code);
    }
}

static void tell_clean_end(const struct http_source *s, struct ending *end)
{
    char type[64] = "no Content-Type";
    if (*content_type(s))
        snprintf(type, sizeof type, "%s", content_type(s));
    for (char *c = type; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    end->clean = s->n_in_response > 0;
    if (end->clean)
        err_set(&end->why, EXIT_FAILED, "%s: the stream ended", s->shown);
    else
        err_set(&end->why, EXIT_FAILED, "%s: no JPEG pictures in the answer (%s)", s->shown, type);
}

static void tell_ending(const struct http_source *s, CURLcode code, struct ending *end)
{
    char text[300];
    long status = http_status(s);
    if (code == CURLE_HTTP_RETURNED_ERROR || (!code && status >= 300))
        tell_status(s, status, end);
    else if (!code)
        tell_clean_end(s, end);
    else
        err_set(&end->why, EXIT_UNREACHABLE, "%s: %s", s->shown,
                reason(s, code, text, sizeof text));
}

/* Events */

/* A single JPEG, or a later one that is broken, but still what is polled here. */
static bool is_single(const struct http_source *s, CURLcode code)
{
    return (!code || code == CURLE_PARTIAL_FILE) && http_status(s) == 200 &&
           is_single_type(content_type(s)) &&
           (s->n_in_response == 1 || (s->n_in_response == 0 && s->polls));
}

static void on_done(struct http_source *s, CURLcode code)
{
    struct ending end = {0};
    end_response(s); /* may complete a picture */
    if (s->out.silent)
        return;
    if (is_single(s, code)) {
        poll_again(s);
        return;
    }
    tell_ending(s, code, &end);
    drop_transfer(s);
    try_again(s, &end);
}

/* libcurl works on its sockets and timers, then this looks for what is done. */
static void work(struct http_source *s, curl_socket_t fd, int events)
{
    int n;
    CURLMsg *msg;
    source_out_hold(&s->out);
    curl_multi_socket_action(s->multi, fd, events, &n);
    while (!s->out.silent && (msg = curl_multi_info_read(s->multi, &n)))
        if (msg->msg == CURLMSG_DONE && msg->easy_handle == s->transfer)
            on_done(s, msg->data.result);
    source_out_release(&s->out);
}

static void on_curl_due(void *ctx)
{
    work(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket_ready(void *ctx, int fd, uint32_t events)
{
    struct http_socket *socket = ctx;
    int for_curl = 0;
    if (events & (EPOLLIN | EPOLLHUP))
        for_curl |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        for_curl |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        for_curl |= CURL_CSELECT_ERR;
    work(socket->of, fd, for_curl);
}

static void on_stalled(void *ctx)
{
    struct http_source *s = ctx;
    struct ending end = {0};
    source_out_hold(&s->out);
    err_set(&end.why, EXIT_FAILED, "%s: no picture for %.1f s", s->shown,
            (double)s->stall_us / 1e6);
    end_response(s);
    drop_transfer(s);
    if (!s->out.silent)
        try_again(s, &end);
    source_out_release(&s->out);
}

static void on_again_due(void *ctx)
{
    struct http_source *s = ctx;
    source_out_hold(&s->out);
    begin_transfer(s);
    source_out_release(&s->out);
}

/* libcurl tells what it waits for */

static int set_curl_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    (void)multi;
    struct http_source *s = ctx;
    if (timeout_ms < 0)
        loop_timer_cancel(s->loop, &s->curl_timer);
    else /* at least 1, so that it comes in a turn of its own */
        loop_timer_set(s->loop, &s->curl_timer, s->loop->now_us + (uint64_t)timeout_ms * 1000 + 1);
    return 0;
}

static void remove_socket(struct http_source *s, struct http_socket *socket)
{
    struct http_socket **at = &s->sockets;
    while (*at != socket)
        at = &(*at)->next;
    *at = socket->next;
    loop_watch_remove(s->loop, &socket->watch);
    free(socket);
}

static struct http_socket *add_socket(struct http_source *s, int fd)
{
    struct http_socket *socket = calloc(1, sizeof *socket);
    if (!socket)
        return NULL;
    socket->watch = (struct loop_watch){.on_ready = on_socket_ready, .ctx = socket, .fd = fd};
    socket->of = s;
    socket->next = s->sockets;
    s->sockets = socket;
    curl_multi_assign(s->multi, fd, socket);
    return socket;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *assigned)
{
    (void)easy;
    struct http_source *s = ctx;
    struct http_socket *socket = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (socket)
            remove_socket(s, socket);
        return 0;
    }
    if (!socket && !(socket = add_socket(s, fd)))
        return -1;
    uint32_t events =
        ((what & CURL_POLL_IN) ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0u);
    return loop_watch_set(s->loop, &socket->watch, events, NULL) ? -1 : 0;
}

/* Opening and closing */

static void free_source(struct source_out *o)
{
    struct http_source *s = (struct http_source *)o;
    loop_timer_cancel(s->loop, &s->again_timer);
    loop_timer_cancel(s->loop, &s->stall_timer);
    if (s->transfer)
        drop_transfer(s);
    curl_easy_cleanup(s->recipe);
    curl_multi_cleanup(s->multi);
    loop_timer_cancel(s->loop, &s->curl_timer);
    while (s->sockets)
        remove_socket(s, s->sockets);
    mjpeg_free(s->mjpeg);
    free(s);
    curl_global_cleanup();
}

static void set_access(CURL *c, const struct source_options *o)
{
    curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_ANY);
    curl_easy_setopt(c, CURLOPT_NETRC, o->netrc ? CURL_NETRC_OPTIONAL : CURL_NETRC_IGNORED);
    curl_easy_setopt(c, CURLOPT_NETRC_FILE, o->netrc);
    if (o->cacert)
        curl_easy_setopt(c, CURLOPT_CAINFO, o->cacert);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, o->insecure ? 0L : 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, o->insecure ? 0L : 2L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
}

static void set_transfer(struct http_source *s, CURL *c)
{
    curl_easy_setopt(c, CURLOPT_USERAGENT, "streamctl/" VERSION);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L); /* closing does not wait for a slow DNS */
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(c, CURLOPT_PREREQDATA, s);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, s->curl_text);
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, set_curl_timer);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
}

static int check_options(const char *spec, const char *shown, const struct source_options *o,
                         struct err *e)
{
    CURLU *url = curl_url();
    bool good = url && !curl_url_set(url, CURLUPART_URL, spec, 0);
    curl_url_cleanup(url);
    if (!good)
        return err_set(e, EXIT_USAGE,
                       "%s is not a valid URL (odd characters in user or password must be "
                       "percent-encoded: @ is %%40, / is %%2F)",
                       shown);
    if (o->netrc && access(o->netrc, R_OK) < 0)
        return err_errno(e, EXIT_USAGE, "cannot read the netrc file %s", o->netrc);
    if (o->cacert && access(o->cacert, R_OK) < 0)
        return err_errno(e, EXIT_USAGE, "cannot read the CA certificates %s", o->cacert);
    return 0;
}

static struct http_source *new_source(const struct source_options *o, struct loop *l,
                                      const struct source_sink *sink)
{
    struct http_source *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    curl_global_init(CURL_GLOBAL_DEFAULT); /* counted by libcurl; free_source undoes it */
    source_out_init(&s->out, l, sink, free_source);
    s->loop = l;
    s->picture_bytes_max = o->picture_bytes_max;
    s->stall_us = o->stall_us;
    s->poll_us = o->poll_us ? o->poll_us : POLL_DEFAULT_US;
    s->reconnect = o->reconnect;
    s->curl_timer = (struct loop_timer){.on_due = on_curl_due, .ctx = s};
    s->stall_timer = (struct loop_timer){.on_due = on_stalled, .ctx = s};
    s->again_timer = (struct loop_timer){.on_due = on_again_due, .ctx = s};
    s->multi = curl_multi_init();
    s->recipe = curl_easy_init();
    return s;
}

static int open_http(struct source **out, const char *spec, const struct source_options *o,
                     struct loop *l, const struct source_sink *sink, struct err *e)
{
    char shown[256];
    source_display(spec, shown, sizeof shown);
    int rc = check_options(spec, shown, o, e);
    if (rc)
        return rc;
    struct http_source *s = new_source(o, l, sink);
    if (!s)
        return err_set(e, EXIT_FAILED, "%s: out of memory", shown);
    memcpy(s->shown, shown, sizeof s->shown);
    if (!s->multi || !s->recipe || curl_easy_setopt(s->recipe, CURLOPT_URL, spec) != CURLE_OK) {
        free_source(&s->out);
        return err_set(e, EXIT_FAILED, "%s: out of memory", shown);
    }
    set_access(s->recipe, o);
    set_transfer(s, s->recipe);
    loop_timer_set(l, &s->again_timer, l->now_us); /* nothing is told before this returns */
    *out = &s->out.source;
    return 0;
}

static bool matches_http(const char *spec)
{
    return !strncasecmp(spec, "http://", strlen("http://")) ||
           !strncasecmp(spec, "https://", strlen("https://"));
}

const struct source_kind source_http = {
    .name = "http",
    .spec = "http(s)://...",
    .matches = matches_http,
    .open = open_http,
};
