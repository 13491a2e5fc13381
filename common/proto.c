#include "common/proto.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- query ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes n bytes into out (cap bytes); returns how many were written. */
static size_t percent_decode(const char *in, size_t n, char *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < n && len < cap; i++) {
        char c = in[i];
        if (c == '%' && i + 2 < n && hex_digit(in[i + 1]) >= 0 && hex_digit(in[i + 2]) >= 0) {
            c = (char)(hex_digit(in[i + 1]) * 16 + hex_digit(in[i + 2]));
            i += 2;
        }
        out[len++] = c;
    }
    return len;
}

static bool is_on(const char *value, size_t n)
{
    return (n == 1 && value[0] == '1') || (n == 4 && memcmp(value, "true", 4) == 0);
}

static void read_parameter(const char *text, size_t n, struct proto_query *q)
{
    const char *equals = memchr(text, '=', n);
    size_t name_n = equals ? (size_t)(equals - text) : n;
    char name[16], value[PROTO_ID_MAX];
    size_t name_len = percent_decode(text, name_n, name, sizeof name);
    size_t len = 0;
    if (equals)
        len = percent_decode(equals + 1, n - name_n - 1, value, sizeof value - 1);
    if (name_len == 11 && memcmp(name, "pipeline_id", 11) == 0) {
        memcpy(q->pipeline_id, value, len);
        q->pipeline_id[len] = '\0';
        q->pipeline_id_bytes = len;
    } else if (name_len == 6 && memcmp(name, "timing", 6) == 0) {
        q->timing = is_on(value, len);
    } else if (name_len == 6 && memcmp(name, "header", 6) == 0) {
        q->header = is_on(value, len);
    }
}

void proto_read_query(const char *query, size_t n, struct proto_query *q)
{
    *q = (struct proto_query){0};
    while (n) {
        const char *end = memchr(query, '&', n);
        size_t len = end ? (size_t)(end - query) : n;
        read_parameter(query, len, q);
        size_t step = end ? len + 1 : len;
        query += step;
        n -= step;
    }
}

void proto_add_escaped(struct text *out, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *text; text++) {
        if (strchr(plain, *text))
            text_add_char(out, *text);
        else
            text_addf(out, "%%%02X", (unsigned char)*text);
    }
}

/* ---- frame header ---- */

static void put_be(uint8_t *out, uint64_t v, unsigned n)
{
    while (n--) {
        out[n] = (uint8_t)v;
        v >>= 8;
    }
}

static uint64_t get_be(const uint8_t *in, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | in[i];
    return v;
}

void proto_write_header(uint8_t out[PROTO_HEADER_BYTES], const struct proto_header *h)
{
    uint64_t bits;
    memcpy(&bits, &h->timestamp_s, sizeof bits);
    put_be(out, h->frame_id, 4);
    put_be(out + 4, bits, 8);
    put_be(out + 12, h->length, 4);
}

void proto_read_header(const uint8_t in[PROTO_HEADER_BYTES], struct proto_header *h)
{
    uint64_t bits = get_be(in + 4, 8);
    h->frame_id = (uint32_t)get_be(in, 4);
    memcpy(&h->timestamp_s, &bits, sizeof bits);
    h->length = (uint32_t)get_be(in + 12, 4);
}

/* ---- writing messages ---- */

const char *proto_error_name(enum proto_error e)
{
    static const char *const names[] = {"invalid_pipeline", "invalid_message",  "invalid_frame",
                                        "frame_too_large",  "pipeline_failure", "internal_error"};
    return names[e];
}

void proto_write_timing(struct json *j, const struct proto_timing *t)
{
    json_object_begin(j, "timing");
    json_u64(j, "wait_us", t->wait_us);
    json_u64(j, "pipeline_us", t->pipeline_us);
    if (t->has_decode) {
        json_u64(j, "decode_us", t->decode_us);
        json_u64(j, "inference_us",
                 t->pipeline_us > t->decode_us ? t->pipeline_us - t->decode_us : 0);
    }
    json_u64(j, "server_us", t->server_us);
    json_object_end(j);
}

static void write_optional(struct json *j, const struct proto_reply *r)
{
    if (r->frame_id)
        json_u64(j, "frame_id", *r->frame_id);
    if (r->timing)
        proto_write_timing(j, r->timing);
}

void proto_write_result(struct text *out, const struct proto_reply *r, const char *result, size_t n)
{
    struct json j = json_to(out);
    json_object_begin(&j, NULL);
    json_u64(&j, "frame_index", r->frame_index);
    json_raw(&j, "result", result, n);
    write_optional(&j, r);
    json_object_end(&j);
}

void proto_write_drop(struct text *out, const struct proto_reply *r, const char *reason)
{
    struct json j = json_to(out);
    json_object_begin(&j, NULL);
    json_u64(&j, "frame_index", r->frame_index);
    json_bool(&j, "dropped", true);
    if (r->timing)
        json_str(&j, "reason", reason);
    write_optional(&j, r);
    json_object_end(&j);
}

void proto_write_slow_down(struct text *out)
{
    struct json j = json_to(out);
    json_object_begin(&j, NULL);
    json_str(&j, "warning", "slow_down");
    json_object_end(&j);
}

void proto_write_error(struct text *out, enum proto_error error, const char *detail, size_t n)
{
    struct json j = json_to(out);
    json_object_begin(&j, NULL);
    json_str(&j, "error", proto_error_name(error));
    json_str_n(&j, "detail", detail, n);
    json_object_end(&j);
}

/* ---- reading messages ---- */

/* 2^53 - 1: what a JSON number holds exactly, without doubt (RFC 8259, 6) */
#define INTEGER_MAX 9007199254740991.0

/* A whole number of that name in *out? *present tells an absent one from a wrong one. */
static bool get_u64(const cJSON *object, const char *key, uint64_t *out, bool *present)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    *present = v != NULL;
    if (!v || !cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= INTEGER_MAX) ||
        v->valuedouble != floor(v->valuedouble))
        return false;
    *out = (uint64_t)v->valuedouble;
    return true;
}

static bool get_str(const cJSON *object, const char *key, char *out, size_t cap)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsString(v))
        return false;
    snprintf(out, cap, "%s", v->valuestring);
    return true;
}

static int read_optional(const cJSON *object, struct proto_message *m)
{
    const cJSON *timing = cJSON_GetObjectItemCaseSensitive(object, "timing");
    uint64_t id = 0;
    bool present, ok = true;
    m->has_frame_id = get_u64(object, "frame_id", &id, &present);
    if (present && (!m->has_frame_id || id > UINT32_MAX))
        return -1;
    m->frame_id = (uint32_t)id;
    if (!timing)
        return 0;
    m->has_timing = true;
    ok &= get_u64(timing, "wait_us", &m->timing.wait_us, &present);
    ok &= get_u64(timing, "pipeline_us", &m->timing.pipeline_us, &present);
    ok &= get_u64(timing, "server_us", &m->timing.server_us, &present);
    m->timing.has_decode = get_u64(timing, "decode_us", &m->timing.decode_us, &present);
    ok &= present == m->timing.has_decode;
    return ok ? 0 : -1;
}

static int read_answer(const cJSON *object, const cJSON *result, struct proto_message *m)
{
    bool present;
    if (!get_u64(object, "frame_index", &m->frame_index, &present) || read_optional(object, m) < 0)
        return -1;
    if (!result) {
        m->kind = PROTO_DROP;
        get_str(object, "reason", m->name, sizeof m->name);
        return 0;
    }
    m->kind = PROTO_RESULT;
    return cJSON_IsObject(result) ? 0 : -1;
}

static int read_object(const cJSON *object, struct proto_message *m)
{
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(object, "result");
    const cJSON *dropped = cJSON_GetObjectItemCaseSensitive(object, "dropped");
    if (cJSON_GetObjectItemCaseSensitive(object, "error")) {
        m->kind = PROTO_ERROR;
        get_str(object, "detail", m->detail, sizeof m->detail);
        return get_str(object, "error", m->name, sizeof m->name) ? 0 : -1;
    }
    if (cJSON_GetObjectItemCaseSensitive(object, "warning")) {
        bool ok = get_str(object, "warning", m->name, sizeof m->name);
        m->kind = strcmp(m->name, "slow_down") == 0 ? PROTO_SLOW_DOWN : PROTO_WARNING;
        return ok ? 0 : -1;
    }
    if (result)
        return read_answer(object, result, m);
    if (dropped)
        return cJSON_IsTrue(dropped) ? read_answer(object, NULL, m) : -1;
    return 0;
}

static bool is_blank(const char *from, const char *to)
{
    while (from < to && strchr(" \t\r\n", *from) && *from)
        from++;
    return from == to;
}

static int read_message(const char *bytes, size_t n, bool with_result, struct proto_message *m)
{
    *m = (struct proto_message){.kind = PROTO_UNKNOWN};
    const char *end = NULL;
    cJSON *object = cJSON_ParseWithLengthOpts(bytes, n, &end, 0);
    bool whole = object && is_blank(end, bytes + n);
    int rc = whole && cJSON_IsObject(object) ? read_object(object, m) : -1;
    if (rc == 0 && with_result && m->kind == PROTO_RESULT) {
        m->result = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(object, "result"));
        rc = m->result ? 0 : -1;
    }
    cJSON_Delete(object);
    return rc;
}

int proto_read_message(const char *bytes, size_t n, struct proto_message *m)
{
    return read_message(bytes, n, true, m);
}

int proto_skim_message(const char *bytes, size_t n, struct proto_message *m)
{
    return read_message(bytes, n, false, m);
}

void proto_message_free(struct proto_message *m)
{
    cJSON_free(m->result);
    m->result = NULL;
}
