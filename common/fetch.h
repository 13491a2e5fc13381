/* fetch.h - what a server tells over HTTP: one GET of a short text.
 *
 * Blocking, by libcurl, without proxies: the server is reached as the stream is.
 * curl_global_init is the program's. Threads: any.
 */
#pragma once

#include <stdbool.h>

#include "common/err.h"
#include "common/text.h"

struct fetch_options {
    const char *cacert; /* NULL: the system's */
    bool insecure;
    long timeout_ms;
};

/* Adds the body to a heap text, which limits it. 0, -EXIT_UNREACHABLE, or -EXIT_FAILED when the
 * answer is not 200 or too long. */
int fetch_text(const char *url, const struct fetch_options *o, struct text *answer, struct err *e);
