#include "server/page.h"

#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "server/io.h"
#include "server/session.h"
#include "server/streamd.h"

#define PAGE_BYTES_MAX ((size_t)16 << 20)

#define TEXT    "text/plain; charset=utf-8"
#define JSON    "application/json"
#define METRICS "text/plain; version=0.0.4; charset=utf-8"

static unsigned healthz(struct io *io, struct text *out)
{
    (void)io;
    text_add(out, "ok\n");
    return HTTP_STATUS_OK;
}

/* Those that are ill; the others go on, so the server is ready all the same. */
static void write_degraded(const struct pipeline_set *set, struct json *j)
{
    bool any = false;
    for (size_t i = 0; i < set->n; i++) {
        if (!pipeline_health_of(&set->item[i]).degraded)
            continue;
        if (!any)
            json_array_begin(j, "degraded");
        any = true;
        json_str(j, NULL, set->item[i].name);
    }
    if (any)
        json_array_end(j);
}

static unsigned readyz(struct io *io, struct text *out)
{
    struct json j = json_to(out);
    json_object_begin(&j, NULL);
    bool draining = atomic_load(&io->d->draining);
    json_bool(&j, "ready", !draining);
    if (draining)
        json_str(&j, "reason", "draining");
    write_degraded(&io->d->pipelines, &j);
    json_object_end(&j);
    text_add_char(out, '\n');
    return draining ? HTTP_STATUS_SERVICE_UNAVAILABLE : HTTP_STATUS_OK;
}

static unsigned metrics(struct io *io, struct text *out)
{
    stats_write_metrics(io, out);
    return HTTP_STATUS_OK;
}

struct session_list {
    struct json j;
    uint64_t now_us;
};

static void add_sessions(const struct io *io, void *ctx)
{
    struct session_list *l = ctx;
    for (struct session *s = io->sessions; s; s = s->next)
        if (s->wsi)
            session_write(s, &l->j, l->now_us);
}

static unsigned sessions(struct io *io, struct text *out)
{
    struct session_list l = {.j = json_to(out), .now_us = clock_now_us()};
    json_object_begin(&l.j, NULL);
    json_array_begin(&l.j, "sessions");
    io_look(io, add_sessions, &l);
    json_array_end(&l.j);
    json_object_end(&l.j);
    text_add_char(out, '\n');
    return HTTP_STATUS_OK;
}

static unsigned pipelines(struct io *io, struct text *out)
{
    pipeline_set_json(&io->d->pipelines, out);
    text_add_char(out, '\n');
    return HTTP_STATUS_OK;
}

static unsigned version(struct io *io, struct text *out)
{
    struct json j = json_to(out);
    (void)io;
    json_object_begin(&j, NULL);
    json_str(&j, "name", "streamd");
    json_str(&j, "version", VERSION);
    json_object_end(&j);
    text_add_char(out, '\n');
    return HTTP_STATUS_OK;
}

static unsigned not_found(struct io *io, struct text *out)
{
    (void)io;
    text_add(out, "Not found. There are /healthz /readyz /metrics /sessions /pipelines "
                  "/version, and the stream at " PROTO_PATH "\n");
    return HTTP_STATUS_NOT_FOUND;
}

static const struct page {
    const char *path, *type;
    unsigned (*write)(struct io *io, struct text *out); /* returns the status */
} pages[] = {
    {"/healthz", TEXT, healthz},   {"/readyz", JSON, readyz},       {"/metrics", METRICS, metrics},
    {"/sessions", JSON, sessions}, {"/pipelines", JSON, pipelines}, {"/version", JSON, version},
    {NULL, TEXT, not_found}, /* last */
};

static int send_head(struct lws *wsi, unsigned status, const char *type, size_t n)
{
    unsigned char bytes[LWS_PRE + 1024];
    unsigned char *start = bytes + LWS_PRE, *at = start, *end = bytes + sizeof bytes;
    if (lws_add_http_header_status(wsi, status, &at, end) ||
        lws_add_http_header_by_name(wsi, (const unsigned char *)"content-type:",
                                    (const unsigned char *)type, (int)strlen(type), &at, end) ||
        lws_add_http_header_content_length(wsi, n, &at, end) ||
        lws_add_http_header_by_name(wsi, (const unsigned char *)"cache-control:",
                                    (const unsigned char *)"no-store", 8, &at, end) ||
        lws_add_http_header_by_name(
            wsi, (const unsigned char *)"connection:", (const unsigned char *)"close", 5, &at, end))
        return -1;
    return lws_finalize_write_http_header(wsi, start, &at, end);
}

/* libwebsockets keeps what the socket does not take at once, and closes after it:
 * the door made every request ask for that. */
int page_respond(struct io *io, struct lws *wsi, const char *path)
{
    struct text body = text_heap(PAGE_BYTES_MAX);
    const struct page *p = pages;
    char *uri;
    int uri_n;
    while (p->path && strcmp(p->path, path) != 0)
        p++;
    bool is_get = lws_http_get_uri_and_method(wsi, &uri, &uri_n) == LWSHUMETH_GET;
    char room[LWS_PRE] = {0};
    text_add_bytes(&body, room, sizeof room);
    unsigned status = p->write(io, &body);
    int rc = body.cut ? -1 : send_head(wsi, status, p->type, body.len - LWS_PRE);
    if (rc == 0 && is_get &&
        lws_write(wsi, (unsigned char *)body.data + LWS_PRE, body.len - LWS_PRE,
                  LWS_WRITE_HTTP_FINAL) < 0)
        rc = -1;
    text_deinit(&body);
    return rc == 0 && lws_http_transaction_completed(wsi) ? -1 : rc;
}
