#include "server/head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/proto.h"

struct slice {
    const char *at;
    size_t n;
};

static struct head refuse(int status)
{
    return (struct head){.kind = HEAD_REFUSE, .status = status};
}

static struct slice trim(struct slice s)
{
    while (s.n && (s.at[0] == ' ' || s.at[0] == '\t'))
        s.at++, s.n--;
    while (s.n && strchr(" \t\r", s.at[s.n - 1]) && s.at[s.n - 1])
        s.n--;
    return s;
}

/* Cuts the text before the first `c` off *rest; all of it when there is none. */
static struct slice cut(struct slice *rest, char c)
{
    const char *end = memchr(rest->at, c, rest->n);
    struct slice s = {rest->at, end ? (size_t)(end - rest->at) : rest->n};
    size_t step = end ? s.n + 1 : s.n;
    rest->at += step;
    rest->n -= step;
    return s;
}

static bool is_word(struct slice s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.at, word, s.n) == 0;
}

static bool is_exactly(struct slice s, const char *word)
{
    return s.n == strlen(word) && memcmp(s.at, word, s.n) == 0;
}

static bool list_has(struct slice list, const char *word)
{
    while (list.n)
        if (is_word(trim(cut(&list, ',')), word))
            return true;
    return false;
}

/* Bytes of the head with its empty line; 0 when that has not come yet. */
static size_t head_length(const char *bytes, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        if (bytes[i] != '\n')
            continue;
        if (bytes[i + 1] == '\n')
            return i + 2;
        if (bytes[i + 1] == '\r' && i + 2 < n && bytes[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

/* "http://host/path" is as good as "/path" (RFC 9112, 3.2.2). */
static struct slice without_authority(struct slice target)
{
    size_t n = 7;
    if (target.n < n || strncasecmp(target.at, "http://", n) != 0)
        return target;
    while (n < target.n && target.at[n] != '/' && target.at[n] != '?')
        n++;
    return (struct slice){target.at + n, target.n - n};
}

static void split_target(struct slice target, struct head *h)
{
    struct slice rest = without_authority(target);
    struct slice path = cut(&rest, '?');
    bool is_root = path.n == 0 && path.at != target.at; /* "http://host?query" */
    h->path = is_root ? "/" : path.at;
    h->path_n = is_root ? 1 : path.n;
    h->query = rest.at;
    h->query_n = rest.n;
}

static bool is_text(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.at[i] <= ' ' || s.at[i] == 0x7f)
            return false;
    return s.n > 0;
}

struct handshake {
    struct slice key, version;
    bool upgrade, connection;
};

static int read_fields(struct slice lines, struct handshake *hs)
{
    while (lines.n) {
        struct slice value = cut(&lines, '\n');
        if (trim(value).n == 0)
            break;
        if (!memchr(value.at, ':', value.n))
            return -1;
        struct slice name = cut(&value, ':');
        value = trim(value);
        if (is_word(name, "upgrade"))
            hs->upgrade |= list_has(value, "websocket");
        else if (is_word(name, "connection"))
            hs->connection |= list_has(value, "upgrade");
        else if (is_word(name, "sec-websocket-key"))
            hs->key = value;
        else if (is_word(name, "sec-websocket-version"))
            hs->version = value;
    }
    return 0;
}

/* 16 bytes in base64: 22 digits and two signs of equality. */
static bool is_key(struct slice s)
{
    if (s.n != HEAD_KEY_BYTES || memcmp(s.at + 22, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < 22; i++)
        if (!isalnum((unsigned char)s.at[i]) && s.at[i] != '+' && s.at[i] != '/')
            return false;
    return true;
}

static struct head judge(struct head h, const struct handshake *hs, bool is_http_1_0)
{
    h.kind = HEAD_PAGE;
    if (!is_exactly((struct slice){h.path, h.path_n}, PROTO_PATH))
        return h;
    if (!hs->upgrade || !hs->connection || h.is_head_method || is_http_1_0)
        return refuse(426);
    if (!is_word(hs->version, "13"))
        return refuse(426);
    if (!is_key(hs->key))
        return refuse(400);
    memcpy(h.key, hs->key.at, HEAD_KEY_BYTES);
    h.kind = HEAD_STREAM;
    return h;
}

struct head head_read(const char *bytes, size_t n)
{
    struct head h = {.n_bytes = head_length(bytes, n)};
    if (!h.n_bytes)
        return n < HEAD_BYTES_MAX ? h : refuse(431);
    if (h.n_bytes > HEAD_BYTES_MAX)
        return refuse(431);

    struct slice lines = {bytes, h.n_bytes};
    struct slice line = trim(cut(&lines, '\n'));
    struct slice method = cut(&line, ' ');
    struct slice target = cut(&line, ' ');
    struct handshake hs = {0};
    split_target(target, &h);
    if (!is_text(method) || !is_text(target) || h.path_n == 0 || h.path[0] != '/' || line.n != 8 ||
        memcmp(line.at, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)line.at[7]) ||
        read_fields(lines, &hs) < 0)
        return refuse(400);
    h.is_head_method = is_exactly(method, "HEAD");
    if (!h.is_head_method && !is_exactly(method, "GET"))
        return refuse(405);
    return judge(h, &hs, line.at[7] == '0');
}

void head_write(const struct head *h, struct text *out)
{
    if (h->kind == HEAD_STREAM) {
        text_add(out, "GET " PROTO_PATH "?q=");
        for (size_t i = 0; i < h->query_n; i++)
            text_addf(out, "%02x", (unsigned char)h->query[i]);
        text_addf(out,
                  " HTTP/1.1\r\nHost: streamd\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                  h->key);
        return;
    }
    text_add(out, h->is_head_method ? "HEAD " : "GET ");
    text_add_bytes(out, h->path, h->path_n);
    text_add(out, " HTTP/1.1\r\nHost: streamd\r\nConnection: close\r\n\r\n");
}

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

size_t head_query_from_hex(const char *hex, size_t n, char *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i + 1 < n && len < cap; i += 2)
        out[len++] = (char)(hex_digit(hex[i]) * 16 + hex_digit(hex[i + 1]));
    return len;
}

void head_write_refusal(int status, struct text *out)
{
    static const struct {
        int status;
        const char *phrase, *extra, *body;
    } rows[] = {
        {400, "Bad Request", "", "This is not an HTTP request that streamd understands."},
        {405, "Method Not Allowed", "Allow: GET, HEAD\r\n", "Only GET and HEAD work here."},
        {426, "Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
         "This address speaks WebSocket, version 13."},
        {431, "Request Header Fields Too Large", "", "The head of a request may have 8192 bytes."},
        {503, "Service Unavailable", "Retry-After: 1\r\n", "The server is shutting down."},
    };
    size_t i = 0;
    while (i + 1 < sizeof rows / sizeof rows[0] && rows[i].status != status)
        i++;
    text_addf(out,
              "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s"
              "Connection: close\r\n\r\n%s\n",
              rows[i].status, rows[i].phrase, strlen(rows[i].body) + 1, rows[i].extra,
              rows[i].body);
}
