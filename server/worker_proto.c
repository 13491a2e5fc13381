#include "server/worker_proto.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/json.h"

/* 2^53 - 1: what a JSON number holds exactly, without doubt (RFC 8259, 6) */
#define INTEGER_MAX 9007199254740991.0

#define QUOTE_MAX 80 /* bytes of a refused line that are told */

static const char *const format_names[] = {"jpeg", "gray", "rgb"};

const char *worker_format_name(enum worker_format f)
{
    return format_names[f];
}

size_t worker_format_bytes(enum worker_format f, uint32_t width, uint32_t height)
{
    static const size_t bytes_per_pixel[] = {0, 1, 3};
    return bytes_per_pixel[f] * width * height;
}

static void put_le(uint8_t *out, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++, v >>= 8)
        out[i] = (uint8_t)v;
}

void worker_write_header(uint8_t out[WORKER_HEADER_BYTES], const struct worker_header *h)
{
    out[0] = 'S', out[1] = 'P', out[2] = 'W', out[3] = '1';
    put_le(out + 4, h->payload_bytes, 4);
    put_le(out + 8, h->width, 4);
    put_le(out + 12, h->height, 4);
    put_le(out + 16, h->sequence, 8);
    put_le(out + 24, h->deadline_us, 8);
}

/* U+0080 to U+009F are controls too: C2 80 to C2 9F. */
static size_t control_bytes(const unsigned char *at, size_t n)
{
    if (at[0] < 0x20 || at[0] == 0x7f)
        return 1;
    return at[0] == 0xc2 && n > 1 && at[1] >= 0x80 && at[1] <= 0x9f ? 2 : 0;
}

void worker_add_printable(struct text *out, const char *bytes, size_t n, size_t n_max)
{
    const unsigned char *at = (const unsigned char *)bytes;
    size_t end = n < n_max ? n : n_max;
    for (size_t i = 0; i < end;) {
        size_t skip = control_bytes(at + i, end - i);
        text_add_char(out, skip ? '?' : bytes[i]);
        i += skip ? skip : 1;
    }
}

/* ---- reading JSON ---- */

static bool is_blank(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t' || *from == '\r'))
        from++;
    return from == to;
}

/* The object that is the whole line, or NULL. cJSON lets bytes through that are not UTF-8, and
 * what it prints goes to WebSocket clients, who end the connection over them (RFC 6455, 8.1). */
static cJSON *parse_object(const char *line, size_t n)
{
    const char *end = NULL;
    if (n > WORKER_LINE_MAX || !json_is_utf8(line, n))
        return NULL;
    cJSON *object = cJSON_ParseWithLengthOpts(line, n, &end, 0);
    if (cJSON_IsObject(object) && is_blank(end, line + n))
        return object;
    cJSON_Delete(object);
    return NULL;
}

/* *out keeps its value when the member is absent. */
static bool get_whole(const cJSON *object, const char *key, double max, double *out)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!v)
        return true;
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= max) ||
        v->valuedouble != floor(v->valuedouble))
        return false;
    *out = v->valuedouble;
    return true;
}

static bool get_printable(const cJSON *object, const char *key, char out[WORKER_NAME_MAX + 1])
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    size_t n = cJSON_IsString(v) ? strlen(v->valuestring) : 0;
    out[0] = '\0';
    if (v && (!cJSON_IsString(v) || n > WORKER_NAME_MAX))
        return false;
    for (size_t i = 0; i < n; i++)
        if (v->valuestring[i] < 0x20 || v->valuestring[i] > 0x7e)
            return false;
    if (n)
        memcpy(out, v->valuestring, n + 1);
    return true;
}

/* ---- hello ---- */

static bool get_format(const cJSON *object, enum worker_format *out)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, "format");
    *out = WORKER_JPEG;
    if (!v)
        return true;
    for (unsigned i = 0; i < sizeof format_names / sizeof format_names[0]; i++) {
        *out = (enum worker_format)i;
        if (cJSON_IsString(v) && strcmp(v->valuestring, format_names[i]) == 0)
            return true;
    }
    return false;
}

static bool get_scale(const cJSON *object, struct worker_hello *h)
{
    double scale = 1;
    if (!get_whole(object, "scale", 8, &scale))
        return false;
    h->scale = (unsigned)scale;
    if (h->format == WORKER_JPEG)
        return h->scale == 1;
    return h->scale == 1 || h->scale == 2 || h->scale == 4 || h->scale == 8;
}

/* NULL, or what is wrong with it. */
static const char *read_hello(const cJSON *object, struct worker_hello *h)
{
    double protocol = 0, in_flight = 1;
    if (!get_whole(object, "protocol", INTEGER_MAX, &protocol) || protocol != WORKER_PROTOCOL)
        return "\"protocol\" is not 1";
    if (!get_printable(object, "name", h->name) || !h->name[0])
        return "\"name\" is not 1 to 64 printable bytes";
    if (!get_printable(object, "version", h->version))
        return "\"version\" is not up to 64 printable bytes";
    if (!get_format(object, &h->format))
        return "\"format\" is none of jpeg, gray, rgb";
    if (!get_scale(object, h))
        return "\"scale\" is none of 1, 2, 4, 8, or not 1 for jpeg";
    if (!get_whole(object, "in_flight", UINT32_MAX, &in_flight) || in_flight < 1)
        return "\"in_flight\" is not a whole number from 1";
    h->in_flight = (unsigned)in_flight;
    return NULL;
}

int worker_read_hello(const char *line, size_t n, struct worker_hello *h, struct err *e)
{
    char bytes[QUOTE_MAX + 1];
    struct text quoted = text_fixed(bytes, sizeof bytes);
    cJSON *object = parse_object(line, n);
    *h = (struct worker_hello){.format = WORKER_JPEG};
    const char *wrong = object ? read_hello(object, h) : "not one JSON object";
    cJSON_Delete(object);
    if (!wrong)
        return 0;
    worker_add_printable(&quoted, line, n, QUOTE_MAX);
    return err_set(e, EXIT_FAILED, "its first line is no hello: %s: %s", wrong, text_str(&quoted));
}

/* ---- answers ---- */

static enum worker_answer read_result(const cJSON *result, struct text *out)
{
    char *printed = cJSON_IsObject(result) ? cJSON_PrintUnformatted(result) : NULL;
    if (!printed)
        return WORKER_ANSWER_GARBAGE;
    size_t n = strlen(printed);
    text_add_bytes(out, printed, n);
    cJSON_free(printed);
    if (!out->cut)
        return WORKER_ANSWER_RESULT;
    size_t room = out->max;
    text_clear(out);
    text_addf(out, "a result of %zu bytes has no room in %zu", n, room);
    return WORKER_ANSWER_ERROR;
}

static enum worker_answer read_error(const cJSON *error, struct text *out)
{
    if (!cJSON_IsString(error))
        return WORKER_ANSWER_GARBAGE;
    size_t n = strlen(error->valuestring);
    if (n > WORKER_ERROR_MAX) /* not in the middle of a character */
        for (n = WORKER_ERROR_MAX; n && ((unsigned char)error->valuestring[n] & 0xc0) == 0x80;)
            n--;
    text_add_bytes(out, error->valuestring, n);
    return WORKER_ANSWER_ERROR;
}

static enum worker_answer read_answer(const cJSON *object, uint64_t sequence, struct text *out)
{
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(object, "result");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(object, "error");
    double seq = -1;
    if (!get_whole(object, "seq", INTEGER_MAX, &seq) || seq < 0)
        return WORKER_ANSWER_GARBAGE;
    if ((uint64_t)seq < sequence)
        return WORKER_ANSWER_LATE;
    if ((uint64_t)seq > sequence || !result == !error)
        return WORKER_ANSWER_GARBAGE;
    return result ? read_result(result, out) : read_error(error, out);
}

enum worker_answer worker_read_answer(const char *line, size_t n, uint64_t sequence,
                                      struct text *out)
{
    text_clear(out);
    cJSON *object = parse_object(line, n);
    enum worker_answer kind = object ? read_answer(object, sequence, out) : WORKER_ANSWER_GARBAGE;
    cJSON_Delete(object);
    if (kind != WORKER_ANSWER_GARBAGE)
        return kind;
    text_clear(out);
    text_addf(out, "no answer to frame %llu: ", (unsigned long long)sequence);
    worker_add_printable(out, line, n, QUOTE_MAX);
    return kind;
}
