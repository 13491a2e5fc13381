#include "common/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct json json_to(struct text *out)
{
    return (struct json){.out = out};
}

/* Bytes of the UTF-8 sequence at s, 0 when it is not one (RFC 3629, 4). */
static size_t utf8_len(const unsigned char *s, size_t n)
{
    static const struct {
        unsigned char first, last, second_min, second_max, len;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (s[0] < rows[i].first || s[0] > rows[i].last)
            continue;
        if (rows[i].len > n)
            return 0;
        if (rows[i].len > 1 && (s[1] < rows[i].second_min || s[1] > rows[i].second_max))
            return 0;
        for (size_t k = 2; k < rows[i].len; k++)
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        return rows[i].len;
    }
    return 0;
}

bool json_is_utf8(const char *bytes, size_t n)
{
    size_t i = 0, len = 1;
    for (; i < n && len; i += len)
        len = utf8_len((const unsigned char *)bytes + i, n - i);
    return len > 0;
}

static void add_escaped(struct text *out, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        text_add_char(out, '\\');
        text_add_char(out, to[at - from]);
    } else {
        text_addf(out, "\\u%04x", c);
    }
}

static void add_string(struct text *out, const char *s, size_t n)
{
    size_t i = 0;
    text_add_char(out, '"');
    while (i < n) {
        const unsigned char *at = (const unsigned char *)s + i;
        size_t plain = 0;
        while (i + plain < n && at[plain] >= 0x20 && at[plain] < 0x7f && at[plain] != '"' &&
               at[plain] != '\\')
            plain++;
        if (plain) {
            text_add_bytes(out, at, plain);
            i += plain;
            continue;
        }
        size_t len = utf8_len(at, n - i);
        if (len > 1)
            text_add_bytes(out, at, len);
        else if (len == 1)
            add_escaped(out, *at);
        else
            text_add(out, "\xef\xbf\xbd");
        i += len ? len : 1;
    }
    text_add_char(out, '"');
}

static void begin_member(struct json *j, const char *key)
{
    if (j->comma)
        text_add_char(j->out, ',');
    j->comma = true;
    if (key) {
        add_string(j->out, key, strlen(key));
        text_add_char(j->out, ':');
    }
}

static void begin(struct json *j, const char *key, char bracket)
{
    begin_member(j, key);
    text_add_char(j->out, bracket);
    j->comma = false;
}

static void end(struct json *j, char bracket)
{
    text_add_char(j->out, bracket);
    j->comma = true;
}

void json_object_begin(struct json *j, const char *key)
{
    begin(j, key, '{');
}

void json_object_end(struct json *j)
{
    end(j, '}');
}

void json_array_begin(struct json *j, const char *key)
{
    begin(j, key, '[');
}

void json_array_end(struct json *j)
{
    end(j, ']');
}

void json_str_n(struct json *j, const char *key, const char *value, size_t n)
{
    begin_member(j, key);
    add_string(j->out, value, n);
}

void json_str(struct json *j, const char *key, const char *value)
{
    json_str_n(j, key, value, strlen(value));
}

void json_u64(struct json *j, const char *key, uint64_t value)
{
    begin_member(j, key);
    text_add_u64(j->out, value);
}

void json_bool(struct json *j, const char *key, bool value)
{
    begin_member(j, key);
    text_add(j->out, value ? "true" : "false");
}

void json_null(struct json *j, const char *key)
{
    begin_member(j, key);
    text_add(j->out, "null");
}

void json_num(struct json *j, const char *key, double value, int decimals)
{
    char digits[352]; /* DBL_MAX has 309 digits before the point */
    if (!isfinite(value)) {
        json_null(j, key);
        return;
    }
    int n = snprintf(digits, sizeof digits, "%.*f", decimals, value);
    if (memchr(digits, '.', (size_t)n)) {
        while (digits[n - 1] == '0')
            n--;
        if (digits[n - 1] == '.')
            n--;
    }
    if (n == 2 && memcmp(digits, "-0", 2) == 0)
        json_raw(j, key, "0", 1);
    else
        json_raw(j, key, digits, (size_t)n);
}

void json_raw(struct json *j, const char *key, const char *value, size_t n)
{
    begin_member(j, key);
    text_add_bytes(j->out, value, n);
}

void json_members(struct json *j, const char *object, size_t n)
{
    while (n > 0 && object[n - 1] != '}')
        n--;
    while (n > 0 && *object != '{') {
        object++;
        n--;
    }
    if (n <= 2)
        return;
    begin_member(j, NULL);
    text_add_bytes(j->out, object + 1, n - 2);
}
