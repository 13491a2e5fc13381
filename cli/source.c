#include "cli/source.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"

const struct source_kind *const source_kinds[] = {
    &source_http, &source_test, &source_stdin, &source_v4l2, &source_file, NULL,
};

bool source_set_encoding(struct source *s, unsigned quality, unsigned halvings)
{
    if (!s || !s->set_encoding)
        return false;
    s->set_encoding(s, quality, halvings);
    return true;
}

int source_unknown(const char *spec, struct err *e)
{
    char shown[128], known[256];
    struct text list = text_fixed(known, sizeof known);
    for (const struct source_kind *const *k = source_kinds; *k; k++)
        text_addf(&list, "%s%s", k == source_kinds ? "" : ", ", (*k)->spec);
    source_display(spec, shown, sizeof shown);
    return err_set(e, EXIT_USAGE,
                   "\"%s\" is not a source: no such file, and none of these: %s (any video: ffmpeg "
                   "-i VIDEO -f mjpeg - | streamctl stream -)",
                   shown, known);
}

const struct source_kind *source_find(const char *spec)
{
    for (const struct source_kind *const *k = source_kinds; *k; k++)
        if ((*k)->matches(spec))
            return *k;
    return NULL;
}

int source_open(struct source **out, const char *spec, const struct source_options *o,
                struct loop *l, const struct source_sink *sink, struct err *e)
{
    const struct source_kind *kind = source_find(spec);
    *out = NULL;
    return kind ? kind->open(out, spec, o, l, sink, e) : source_unknown(spec, e);
}

void source_close(struct source *s)
{
    if (s)
        s->close(s);
}

void source_say_broken(void *ctx, const char *why)
{
    (void)ctx;
    fprintf(stderr, "streamctl: a broken picture was left out: %s\n", why);
}

void source_say_note(void *ctx, const char *sentence)
{
    (void)ctx;
    fprintf(stderr, "streamctl: %s\n", sentence);
}

/* Where the text behind "user:pass@" begins; from when there is no such thing. A password may
 * hold any character, typed as it is: '@', '/', '?' and '#' too. So the last '@' ends it,
 * whenever what is in front can be credentials at all; hiding too much is the lesser harm. */
static const char *behind_userinfo(const char *from)
{
    const char *at = strrchr(from, '@');
    size_t n_authority = strcspn(from, "/?#");
    bool can_be = memchr(from, '@', n_authority) || memchr(from, ':', n_authority);
    return at && can_be ? at + 1 : from;
}

/* Cameras also take passwords in the query: ?loginuse=admin&loginpas=... */
static bool is_secret(const char *name, size_t n)
{
    static const char *const words[] = {"pas", "pwd",    "pw",   "token",
                                        "key", "secret", "auth", "sig"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        for (size_t at = 0; at + strlen(words[i]) <= n; at++)
            if (!strncasecmp(name + at, words[i], strlen(words[i])))
                return true;
    return false;
}

static void add_printable(struct text *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        text_add_char(t, iscntrl((unsigned char)s[i]) ? '?' : s[i]);
}

static void add_query(struct text *t, const char *query)
{
    while (*query) {
        size_t n = strcspn(query, "&;#"), n_name = strcspn(query, "=&;#");
        if (n_name < n && is_secret(query, n_name)) {
            add_printable(t, query, n_name);
            text_add(t, "=***");
        } else {
            add_printable(t, query, n);
        }
        query += n;
        if (*query)
            add_printable(t, query++, 1);
    }
}

/* Where no credentials can be an '@' is only an '@': paths, "test:@30". Anything else may be
 * a URL whose scheme was forgotten. */
static bool is_plain(const char *spec)
{
    return *spec == '/' || *spec == '.' || source_test.matches(spec) || source_v4l2.matches(spec);
}

/* Behind "http://", or all of it. */
static const char *behind_scheme(const char *spec)
{
    const char *end = strstr(spec, "://");
    return end ? end + 3 : spec;
}

void source_display(const char *spec, char *out, size_t cap)
{
    struct text t = text_fixed(out, cap);
    const char *from = behind_scheme(spec);
    const char *rest = is_plain(spec) ? from : behind_userinfo(from);
    add_printable(&t, spec, (size_t)(from - spec));
    if (rest != from)
        text_add(&t, "***@");
    size_t n = is_plain(spec) ? strlen(rest) : strcspn(rest, "?");
    add_printable(&t, rest, n);
    add_query(&t, rest + n);
}

void source_hide(char *spec)
{
    char *from = spec + (behind_scheme(spec) - spec);
    if (is_plain(spec))
        return;
    const char *rest = behind_userinfo(from);
    while (from + 1 < rest)
        *from++ = '*';
    for (char *at = strchr(rest, '?'); at && *at; at += strcspn(at + 1, "&;#") + 1) {
        size_t n_name = strcspn(at + 1, "=&;#");
        char *value = at + 1 + n_name;
        if (*value == '=' && is_secret(at + 1, n_name))
            memset(value + 1, '*', strcspn(value + 1, "&;#"));
    }
}
