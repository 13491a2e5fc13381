#include "common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text text_fixed(char *bytes, size_t cap)
{
    bytes[0] = '\0';
    return (struct text){.data = bytes, .cap = cap, .max = cap};
}

struct text text_heap(size_t max_bytes)
{
    return (struct text){.max = max_bytes};
}

void text_deinit(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

void text_clear(struct text *t)
{
    t->len = 0;
    t->cut = false;
    if (t->data)
        t->data[0] = '\0';
}

/* Room for n more bytes and the terminator? */
static bool reserve(struct text *t, size_t n)
{
    if (n < t->cap - t->len && t->cap)
        return true;
    if (t->cap == t->max || n >= t->max - t->len) {
        t->cut = true;
        return false;
    }
    size_t want = t->cap ? t->cap : 256;
    while (want <= t->len + n)
        want *= 2;
    if (want > t->max)
        want = t->max;
    char *grown = realloc(t->data, want);
    if (!grown) {
        t->cut = true;
        return false;
    }
    t->data = grown;
    t->cap = want;
    return true;
}

void text_add_bytes(struct text *t, const void *bytes, size_t n)
{
    if (!reserve(t, n))
        return;
    memcpy(t->data + t->len, bytes, n);
    t->len += n;
    t->data[t->len] = '\0';
}

void text_add(struct text *t, const char *s)
{
    text_add_bytes(t, s, strlen(s));
}

void text_add_char(struct text *t, char c)
{
    if (!reserve(t, 1))
        return;
    t->data[t->len++] = c;
    t->data[t->len] = '\0';
}

void text_add_u64(struct text *t, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    text_add_bytes(t, digits + at, sizeof digits - at);
}

void text_addf(struct text *t, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n >= 0 && reserve(t, (size_t)n)) {
        vsnprintf(t->data + t->len, (size_t)n + 1, fmt, again);
        t->len += (size_t)n;
    }
    va_end(again);
}

const char *text_str(const struct text *t)
{
    return t->data ? t->data : "";
}
