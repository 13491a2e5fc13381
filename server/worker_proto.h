/* worker_proto.h - the bytes between streamd and an out-of-process worker, version 1.
 *
 * To the worker: 32 bytes little-endian, then the picture. From the worker: lines of JSON, first
 * a hello, then exactly one answer for each frame. streamd-pipeline(7) is the full description.
 *
 * What a worker writes is not trusted: any bytes are either understood or refused with a sentence
 * that says why. Unknown members are ignored, so that a later version can add some.
 *
 * Everything here is a pure function over borrowed bytes. Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/text.h"

#define WORKER_PROTOCOL     1
#define WORKER_HEADER_BYTES 32
#define WORKER_LINE_MAX     ((size_t)1 << 20) /* bytes, without the newline */
#define WORKER_NAME_MAX     64                /* bytes of a name or a version */
#define WORKER_ERROR_MAX    480               /* bytes of an error text; the rest is cut */

enum worker_format { WORKER_JPEG, WORKER_GRAY, WORKER_RGB };

/* "jpeg", "gray", "rgb" */
const char *worker_format_name(enum worker_format f);

/* The bytes of a picture: width x height of 1 (gray) or 3 (rgb); 0 for jpeg, where only the
 * file knows. */
size_t worker_format_bytes(enum worker_format f, uint32_t width, uint32_t height);

struct worker_header {
    uint32_t payload_bytes;
    uint32_t width, height; /* of the payload's picture; of the JPEG's own size when it is one */
    uint64_t sequence;      /* from 0 in every process or connection, counting up by one */
    uint64_t deadline_us;   /* CLOCK_MONOTONIC; an answer after that is not used; 0: none */
};

void worker_write_header(uint8_t out[WORKER_HEADER_BYTES], const struct worker_header *h);

/* What the worker says of itself in its first line. */
struct worker_hello {
    char name[WORKER_NAME_MAX + 1];    /* 1 to 64 printable ASCII bytes */
    char version[WORKER_NAME_MAX + 1]; /* 0 to 64 of them; "" when absent */
    enum worker_format format;         /* jpeg when absent */
    unsigned scale;                    /* 1, 2, 4 or 8; 1 when absent and for jpeg */
    unsigned in_flight;                /* at least 1; 1 when absent; not used in protocol 1 */
};

/* line: n bytes without the newline. 0, or -EXIT_FAILED and the reason in e (may be NULL);
 * *h is then not to be used. */
int worker_read_hello(const char *line, size_t n, struct worker_hello *h, struct err *e);

enum worker_answer {
    WORKER_ANSWER_RESULT, /* out: the JSON object, printed anew without white space */
    WORKER_ANSWER_ERROR,  /* out: the worker's words, UTF-8 */
    WORKER_ANSWER_LATE,   /* of an earlier frame: ignore it */
    WORKER_ANSWER_GARBAGE /* anything else; out: why, for the log */
};

/* Reads the answer to the frame `sequence`. out is emptied first. A result that out has no room
 * for is an error that says so: half an object helps nobody. */
enum worker_answer worker_read_answer(const char *line, size_t n, uint64_t sequence,
                                      struct text *out);

/* Adds at most n_max bytes of the n bytes with every control character as '?', for a log. */
void worker_add_printable(struct text *out, const char *bytes, size_t n, size_t n_max);
