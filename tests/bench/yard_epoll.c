/* yard_epoll - a WebSocket server of nothing but epoll: what a frame costs at the least.
 *
 *   yard_epoll          listens on a free port of 127.0.0.1 and tells it on stderr
 *
 * One thread. Each turn one recv per readable session, into one buffer for all; the payload
 * is unmasked on its way into the frame's buffer, so it is touched once. Only what the
 * bench's clients send is understood: binary messages of one fragment. Anything else
 * ends the session.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/yard.h"

#define RECEIVE_BYTES  ((size_t)256 << 10)
#define HEAD_BYTES_MAX 512 /* of a handshake; also room for the head of a message */
#define EVENTS_MAX     256

struct session {
    int fd;
    bool upgraded;
    uint8_t key[4];
    uint64_t n_frames;
    struct yard_buffer *frame; /* while a message is incomplete */
    size_t want, got;          /* of its payload */
    size_t head_n;             /* of what came of a handshake or of a message's head */
    char *head;                /* only while that is incomplete, which is rare */
};

struct server {
    int epoll_fd, listen_fd;
    struct yard_pool pool;
    uint8_t received[HEAD_BYTES_MAX + RECEIVE_BYTES];
};

/* ---- a session's bytes ---- */

static void session_free(struct server *v, struct session *s)
{
    if (s->frame)
        yard_pool_put(&v->pool, s->frame);
    close(s->fd);
    free(s->head);
    free(s);
}

static int session_send(const struct session *s, const char *bytes, size_t n)
{
    return send(s->fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -1;
}

/* RFC 6455, 4.2.2: the key and a fixed text, hashed. */
static int session_upgrade(struct session *s, const char *request)
{
    static const char name[] = "Sec-WebSocket-Key: ",
                      guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const char *key = strstr(request, name);
    char text[24 + sizeof guid], accept[32], answer[160];
    unsigned char hash[SHA_DIGEST_LENGTH];
    if (!key || strlen(key) < sizeof name + 24)
        return -1;
    int n = snprintf(text, sizeof text, "%.24s%s", key + sizeof name - 1, guid);
    SHA1((unsigned char *)text, (size_t)n, hash);
    EVP_EncodeBlock((unsigned char *)accept, hash, sizeof hash);
    n = snprintf(answer, sizeof answer,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                 accept);
    s->upgraded = true;
    return session_send(s, answer, (size_t)n);
}

static int session_answer(struct server *v, struct session *s)
{
    char out[2 + YARD_ANSWER_MAX];
    size_t n = yard_answer(s->frame->bytes, s->want, s->n_frames++, out + 2);
    yard_pool_put(&v->pool, s->frame);
    s->frame = NULL;
    if (!n)
        return -1;
    out[0] = (char)0x81;
    out[1] = (char)n; /* below 126 */
    return session_send(s, out, n + 2);
}

/* The key is turned so that it begins with the byte of position s->got. */
static void unmask(uint8_t *out, const uint8_t *in, size_t n, const uint8_t key[4], size_t at)
{
    uint8_t turned[8];
    uint64_t wide, word[4];
    size_t i = 0;
    for (size_t k = 0; k < 8; k++)
        turned[k] = key[(at + k) % 4];
    memcpy(&wide, turned, sizeof wide);
    for (; i + sizeof word <= n; i += sizeof word) {
        memcpy(word, in + i, sizeof word);
        for (size_t k = 0; k < 4; k++)
            word[k] ^= wide;
        memcpy(out + i, word, sizeof word);
    }
    for (; i < n; i++)
        out[i] = in[i] ^ turned[i % 4];
}

static size_t take_payload(struct session *s, const uint8_t *in, size_t n)
{
    size_t left = s->want - s->got, take = n < left ? n : left;
    unmask(s->frame->bytes + s->got, in, take, s->key, s->got);
    s->got += take;
    return take;
}

/* RFC 6455, 5.2. Gives the length of the head, 0 when it is not all there yet, -1 when it is
 * not what a client of the bench sends. */
static int take_head(struct server *v, struct session *s, const uint8_t *in, size_t n)
{
    if (n < 2)
        return 0;
    size_t length_bytes = (in[1] & 0x7f) == 127 ? 8 : (in[1] & 0x7f) == 126 ? 2 : 0;
    if (in[0] != 0x82 || !(in[1] & 0x80))
        return -1;
    if (n < 6 + length_bytes)
        return 0;
    uint64_t want = length_bytes ? 0 : in[1] & 0x7f;
    for (size_t i = 0; i < length_bytes; i++)
        want = want << 8 | in[2 + i];
    if (want == 0 || want > YARD_FRAME_MAX)
        return -1;
    memcpy(s->key, in + 2 + length_bytes, 4);
    s->frame = yard_pool_get(&v->pool);
    s->want = (size_t)want;
    s->got = 0;
    return (int)(6 + length_bytes);
}

/* Gives how many bytes were of use, or -1. */
static ssize_t session_take(struct server *v, struct session *s, const uint8_t *in, size_t n)
{
    size_t at = 0;
    while (at < n) {
        if (!s->frame) {
            int head = take_head(v, s, in + at, n - at);
            if (head <= 0)
                return head < 0 ? -1 : (ssize_t)at;
            at += (size_t)head;
        }
        at += take_payload(s, in + at, n - at);
        if (s->got == s->want && session_answer(v, s) < 0)
            return -1;
    }
    return (ssize_t)at;
}

static ssize_t session_take_request(struct session *s, uint8_t *in, size_t n)
{
    in[n] = '\0';
    if (!strstr((char *)in, "\r\n\r\n"))
        return 0;
    return session_upgrade(s, (char *)in) < 0 ? -1 : (ssize_t)n;
}

/* What is left of a head waits in the session; the next bytes are read behind it. */
static int session_keep(struct session *s, const uint8_t *in, size_t n)
{
    if (n > HEAD_BYTES_MAX - 1)
        return -1;
    if (n && !s->head && !(s->head = malloc(HEAD_BYTES_MAX)))
        return -1;
    if (n)
        memcpy(s->head, in, n);
    else if (s->head) {
        free(s->head);
        s->head = NULL;
    }
    s->head_n = n;
    return 0;
}

static int session_on_readable(struct server *v, struct session *s)
{
    uint8_t *in = v->received;
    if (s->head_n)
        memcpy(in, s->head, s->head_n);
    ssize_t got = recv(s->fd, in + s->head_n, RECEIVE_BYTES, MSG_DONTWAIT);
    if (got <= 0)
        return -1;
    size_t n = s->head_n + (size_t)got;
    ssize_t used = s->upgraded ? session_take(v, s, in, n) : session_take_request(s, in, n);
    return used < 0 ? -1 : session_keep(s, in + used, n - (size_t)used);
}

/* ---- the server ---- */

static void watch(const struct server *v, int fd, void *ptr)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = ptr};
    if (epoll_ctl(v->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        perror("yard_epoll");
        exit(1);
    }
}

static void accept_all(const struct server *v)
{
    int fd, on = 1;
    while ((fd = accept4(v->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct session *s = calloc(1, sizeof *s);
        if (!s)
            abort();
        s->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(v, fd, s);
    }
}

static int server_open(struct server *v)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_n = sizeof at;
    v->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    v->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(v->listen_fd, (struct sockaddr *)&at, sizeof at) < 0 ||
        listen(v->listen_fd, 1024) < 0 ||
        getsockname(v->listen_fd, (struct sockaddr *)&at, &at_n) < 0)
        return -1;
    watch(v, v->listen_fd, NULL);
    yard_tell_port(ntohs(at.sin_port));
    return 0;
}

int main(void)
{
    static struct server v;
    struct epoll_event ready[EVENTS_MAX];
    if (server_open(&v) < 0) {
        perror("yard_epoll");
        return 1;
    }
    for (;;) {
        int n = epoll_wait(v.epoll_fd, ready, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            struct session *s = ready[i].data.ptr;
            if (!s)
                accept_all(&v);
            else if (session_on_readable(&v, s) < 0)
                session_free(&v, s);
        }
    }
}
