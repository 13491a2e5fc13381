/* address.h - where the server is: from what users type to host, port and path.
 *
 * Taken are ws://, wss://, http:// and https:// URLs and plain HOST, HOST:PORT,
 * [IPV6]:PORT and :PORT, with or without the path. Without a scheme the port is
 * 8000 if none is given; with one it is the scheme's own, 80 or 443.
 *
 * Pure. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define ADDRESS_DEFAULT "ws://localhost:8000"

struct address {
    bool tls;
    char host[256]; /* without brackets */
    uint16_t port;
    char path[512]; /* the stream's path; begins with '/' */
};

/* 0, or -EXIT_USAGE with what is wrong with text. */
int address_parse(struct address *a, const char *text, struct err *e);

/* "ws://host:8000/ws/video/stream". */
void address_display(const struct address *a, char *out, size_t cap);

/* "http://host:8000" and path, for what the server tells over HTTP. */
void address_http(const struct address *a, const char *path, char *out, size_t cap);
