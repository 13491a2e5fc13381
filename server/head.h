/* head.h - reads the head of an HTTP request, and writes the one libwebsockets gets.
 *
 * The handshake is accepted whatever the query says, with any subprotocol
 * offer, and the query is ours to decode; libwebsockets 4.1 refuses malformed
 * escapes, splits at ';', and rejects offers it does not know. So the head is
 * read here, and the library is given a plain one with only what it needs: the
 * query goes to it as hexadecimal digits, offers do not go at all.
 * Syntax: RFC 9112, 2 and 3; handshake: RFC 6455, 4.2.1.
 *
 * Pure functions over borrowed bytes. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/text.h"

#define HEAD_BYTES_MAX 8192
#define HEAD_KEY_BYTES 24 /* base64 of 16 bytes */

enum head_kind {
    HEAD_MORE,   /* not complete yet */
    HEAD_STREAM, /* a WebSocket handshake for PROTO_PATH */
    HEAD_PAGE,   /* GET or HEAD of a plain page */
    HEAD_REFUSE  /* answer `status` and close */
};

struct head {
    enum head_kind kind;
    int status;       /* HEAD_REFUSE: 400, 405, 426, 431 */
    size_t n_bytes;   /* of the head; what follows belongs to the connection */
    const char *path; /* into the bytes; without the query */
    size_t path_n;
    const char *query; /* behind '?'; query_n 0 when there is none */
    size_t query_n;
    bool is_head_method;          /* HEAD, not GET */
    char key[HEAD_KEY_BYTES + 1]; /* Sec-WebSocket-Key */
};

struct head head_read(const char *bytes, size_t n);

/* The head for libwebsockets: for HEAD_STREAM a handshake with ?q=HEX, for
 * HEAD_PAGE a request that asks for the connection to be closed after it. */
void head_write(const struct head *h, struct text *out);

/* The inverse of the hexadecimal query; returns how many bytes, at most cap. */
size_t head_query_from_hex(const char *hex, size_t n, char *out, size_t cap);

/* A complete response for HEAD_REFUSE and other refusals (503). */
void head_write_refusal(int status, struct text *out);
