#include "common/boundary.h"

#include <string.h>

/* "\n--ab". In random data this turns up once per terabyte, a shorter one every hour. */
enum { STRONG_BYTES_MIN = 5 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_printable(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] < ' ' || s[i] > '~')
            return false;
    return true;
}

/* Keeps the old one when the new one cannot be. */
static bool set_pattern(struct boundary *b, const char *dashes, const char *name, size_t n)
{
    size_t n_dashes = strlen(dashes);
    if (n > sizeof b->pattern - 1 - n_dashes || !is_printable(name, n))
        return false;
    b->pattern[0] = '\n';
    memcpy(b->pattern + 1, dashes, n_dashes);
    memcpy(b->pattern + 1 + n_dashes, name, n);
    b->len = 1 + n_dashes + n;
    return true;
}

void boundary_init(struct boundary *b)
{
    b->matched = 0;
    set_pattern(b, "--", "", 0);
}

void boundary_set(struct boundary *b, const char *param)
{
    size_t n = strlen(param);
    while (n && (is_blank(param[n - 1]) || param[n - 1] == '"'))
        n--;
    for (; n && (is_blank(*param) || *param == '"'); n--)
        param++;
    for (; n && *param == '-'; n--)
        param++;
    set_pattern(b, "--", param, n);
}

/* The line is the boundary as it stands, or the parameter without any dashes. */
static bool is_known(const struct boundary *b, const char *line, size_t n)
{
    for (size_t skip = 1; skip <= 3 && boundary_is_strong(b); skip += 2)
        if (n + 1 >= STRONG_BYTES_MIN && b->len - skip == n && !memcmp(b->pattern + skip, line, n))
            return true;
    return false;
}

bool boundary_learn(struct boundary *b, const char *line, size_t n)
{
    size_t n_dashes = 0;
    while (n && is_blank(line[n - 1]))
        n--;
    if (is_known(b, line, n))
        return set_pattern(b, "", line, n);
    while (n && line[n - 1] == '-')
        n--; /* the last boundary has dashes behind it */
    while (n_dashes < n && line[n_dashes] == '-')
        n_dashes++;
    return n_dashes >= 2 && set_pattern(b, "", line, n);
}

bool boundary_is_strong(const struct boundary *b)
{
    return b->len >= STRONG_BYTES_MIN;
}

/* After the line comes its end, or the dashes of the last one. */
static bool may_follow(const struct boundary *b, uint8_t c)
{
    return c == '\n' || c == '-' || is_blank((char)c) || !boundary_is_strong(b);
}

bool boundary_find(struct boundary *b, const uint8_t *p, size_t n, size_t *used)
{
    size_t i = 0;
    bool found = false;
    while (i < n && !found) {
        if (b->matched == b->len) {
            found = may_follow(b, p[i]);
            b->matched = 0;
        } else if (b->matched && p[i] == (uint8_t)b->pattern[b->matched]) {
            b->matched++;
            i++;
        } else { /* only a newline can begin it, so there is nothing to go back for */
            const uint8_t *newline = memchr(p + i, '\n', n - i);
            b->matched = newline ? 1 : 0;
            i = newline ? (size_t)(newline - p) + 1 : n;
        }
    }
    *used = i;
    return found;
}

void boundary_begin_line(struct boundary *b)
{
    b->matched = 1;
}
