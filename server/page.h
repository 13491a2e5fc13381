/* page.h - what the server tells over plain HTTP.
 *
 * /healthz /readyz /metrics /sessions /pipelines /version. Threads: I/O.
 */
#pragma once

#include <libwebsockets.h>

struct io;

/* Answers a request for that path. Returns what the callback has to return. */
int page_respond(struct io *io, struct lws *wsi, const char *path);
