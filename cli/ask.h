/* ask.h - a picture of a source, and what the server found in it.
 *
 * Sends the source's pictures one at a time, always the newest, until something is found in one:
 * a detector may miss a thing once, and what looks for motion needs a picture to compare with.
 *
 * Threads: one.
 */
#pragma once

#include "cli/detections.h"
#include "cli/options.h"
#include "cli/picture.h"

#define ASK_COUNT 10 /* pictures, where --count says nothing else */

struct answer {
    struct picture *picture; /* JPEG as it was sent; the caller's to free, NULL is fine */
    struct detections found; /* in it; none: in none that was sent, and it is the last */
    uint64_t n_asked;        /* pictures that were sent */
};

/* 0, with an answer; or -exit_code: the source or the server cannot be reached, it says that
 * something is wrong, or it did not answer, or dropped all of them. */
int ask_server(const struct settings *set, const char *source, const char *url, struct answer *a,
               struct err *e);
