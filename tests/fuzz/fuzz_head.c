/* Any bytes as the head of a request: a part of them is either too little or enough for the
 * same judgement, and what libwebsockets gets means the same. */

#include <stdlib.h>
#include <string.h>

#include "server/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool is_same(const struct head *a, const struct head *b)
{
    return a->kind == b->kind && a->status == b->status && a->n_bytes == b->n_bytes &&
           a->path == b->path && a->path_n == b->path_n && a->query == b->query &&
           a->query_n == b->query_n && a->is_head_method == b->is_head_method &&
           memcmp(a->key, b->key, sizeof a->key) == 0;
}

static void check_slices(const struct head *h, const char *bytes)
{
    must(h->n_bytes > 0 && h->n_bytes <= HEAD_BYTES_MAX);
    must(h->path_n > 0 && h->path[0] == '/');
    if (h->query_n)
        must(h->query >= bytes && h->query + h->query_n <= bytes + h->n_bytes);
}

static void check_query(const struct head *h, const struct head *again)
{
    char raw[HEAD_BYTES_MAX];
    must(again->query_n >= 2 && memcmp(again->query, "q=", 2) == 0);
    size_t n = head_query_from_hex(again->query + 2, again->query_n - 2, raw, sizeof raw);
    must(n == h->query_n && memcmp(raw, h->query, n) == 0);
    must(memcmp(again->key, h->key, sizeof h->key) == 0);
}

static void check_written(const struct head *h)
{
    struct text out = text_heap(4 * HEAD_BYTES_MAX);
    head_write(h, &out);
    must(!out.cut);
    struct head again = head_read(text_str(&out), out.len);
    if (out.len <= HEAD_BYTES_MAX) {
        must(again.kind == h->kind && again.n_bytes == out.len);
        must(again.path_n == h->path_n && memcmp(again.path, h->path, h->path_n) == 0);
        if (h->kind == HEAD_STREAM)
            check_query(h, &again);
        else
            must(again.is_head_method == h->is_head_method && again.query_n == 0);
    }
    text_deinit(&out);
}

static void check_refusal(int status)
{
    struct text out = text_heap(4096);
    must(status == 400 || status == 405 || status == 426 || status == 431);
    head_write_refusal(status, &out);
    must(!out.cut && strtol(text_str(&out) + 9, NULL, 10) == status);
    text_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct head whole = head_read(bytes, size);
    /* Every part of a short head, some parts of a long one: the time is square. */
    for (size_t n = 0; n < size; n += 1 + size / 512) {
        struct head part = head_read(bytes, n);
        must(part.kind == HEAD_MORE || is_same(&part, &whole));
    }
    if (whole.kind == HEAD_MORE)
        must(size < HEAD_BYTES_MAX);
    if (whole.kind == HEAD_REFUSE)
        check_refusal(whole.status);
    if (whole.kind == HEAD_STREAM || whole.kind == HEAD_PAGE) {
        check_slices(&whole, bytes);
        check_written(&whole);
    }
    return 0;
}
