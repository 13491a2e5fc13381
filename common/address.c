#include "common/address.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/opt.h"
#include "common/proto.h"

struct scheme {
    const char *prefix;
    bool tls;
    uint16_t port;
};

static const struct scheme schemes[] = {
    {"ws://", false, 80},    {"wss://", true, 443},   {"http://", false, 80},
    {"https://", true, 443}, {"", false, PROTO_PORT}, /* last: it begins every text */
};

static const struct scheme *find_scheme(const char *text)
{
    const struct scheme *s = schemes;
    while (strncasecmp(text, s->prefix, strlen(s->prefix)) != 0)
        s++;
    return s;
}

static int wrong(struct err *e, const char *text, const char *why)
{
    return err_set(e, EXIT_USAGE, "'%s' is not a server's address: %s", text, why);
}

/* Copies n bytes of text; false when they do not fit. */
static bool copy(char *out, size_t cap, const char *text, size_t n)
{
    if (n >= cap)
        return false;
    memcpy(out, text, n);
    out[n] = '\0';
    return true;
}

static bool read_port(uint16_t *port, const char *text, size_t n)
{
    char digits[8];
    uint64_t value;
    if (!copy(digits, sizeof digits, text, n) || opt_parse_count(digits, &value, NULL) < 0)
        return false;
    if (value == 0 || value > 65535)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* "host:port", "host", "[::1]:port", ":port"; n bytes of at. */
static const char *read_authority(struct address *a, const char *at, size_t n)
{
    const char *end = at + n, *colon = memchr(at, ':', n), *host = at;
    size_t host_bytes = colon ? (size_t)(colon - at) : n;
    if (n && *at == '[') {
        const char *bracket = memchr(at, ']', n);
        if (!bracket)
            return "the bracket is not closed";
        host = at + 1;
        host_bytes = (size_t)(bracket - host);
        colon = bracket + 1 < end ? bracket + 1 : NULL;
        if (host_bytes == 0)
            return "between the brackets there is nothing";
        if (colon && *colon != ':')
            return "after the bracket comes the port or nothing";
    }
    if (host_bytes == 0)
        memcpy(a->host, "localhost", sizeof "localhost");
    else if (!copy(a->host, sizeof a->host, host, host_bytes))
        return "the host is too long";
    if (strpbrk(a->host, " \t\r\n"))
        return "a host has no spaces";
    if (colon && !read_port(&a->port, colon + 1, (size_t)(end - colon) - 1))
        return "the port must be a number from 1 to 65535";
    return n ? NULL : "the host is missing";
}

static const char *read_path(struct address *a, const char *at)
{
    if (strchr(at, '?') || strchr(at, '#'))
        return "it has a query; the pipeline is given with --pipeline";
    if (strpbrk(at, " \t\r\n"))
        return "a path has no spaces";
    if (at[0] == '\0' || strcmp(at, "/") == 0)
        at = PROTO_PATH;
    return copy(a->path, sizeof a->path, at, strlen(at)) ? NULL : "the path is too long";
}

int address_parse(struct address *a, const char *text, struct err *e)
{
    const struct scheme *scheme = find_scheme(text);
    const char *at = text + strlen(scheme->prefix);
    size_t n = strcspn(at, "/?#");
    *a = (struct address){.tls = scheme->tls, .port = scheme->port};
    if (memchr(at, '@', n)) /* not repeated: it may hold a password */
        return err_set(e, EXIT_USAGE, "the server's address must not have a user or password");
    if (strstr(at, "://"))
        return wrong(e, text, "known are ws://, wss:// and HOST:PORT");
    const char *why = read_authority(a, at, n);
    if (!why)
        why = read_path(a, at + n);
    return why ? wrong(e, text, why) : 0;
}

static void display(const struct address *a, const char *scheme, const char *path, char *out,
                    size_t cap)
{
    bool bare = !strchr(a->host, ':');
    snprintf(out, cap, "%s%s://%s%s%s:%u%s", scheme, a->tls ? "s" : "", bare ? "" : "[", a->host,
             bare ? "" : "]", a->port, path);
}

void address_display(const struct address *a, char *out, size_t cap)
{
    display(a, "ws", a->path, out, cap);
}

void address_http(const struct address *a, const char *path, char *out, size_t cap)
{
    display(a, "http", path, out, cap);
}
