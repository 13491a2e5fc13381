/* proto.h - the wire between a camera's client and streamd, both directions.
 *
 * One binary WebSocket message is one JPEG frame, with header=1 preceded by 16
 * bytes; answers are JSON text. streamd-protocol(7) is the full description.
 * Everything here is a pure function over borrowed bytes. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "common/text.h"

#define PROTO_PATH         "/ws/video/stream"
#define PROTO_PORT         8000
#define PROTO_HEADER_BYTES 16
#define PROTO_ID_MAX       256 /* longer pipeline ids are cut: they are unknown anyway */

/* --- what the query string asks for --- */

struct proto_query {
    char pipeline_id[PROTO_ID_MAX]; /* percent-decoded bytes; "" when absent or empty */
    size_t pipeline_id_bytes;       /* an id may hold NUL */
    bool timing, header;            /* "1" or "true" */
};

/* query is the part behind '?', undecoded. Never fails: what is not understood is
 * ignored, a malformed escape stands for itself, the last of two wins. '+' is a plus. */
void proto_read_query(const char *query, size_t n, struct proto_query *q);

/* Adds text percent-encoded (RFC 3986 unreserved characters stay). */
void proto_add_escaped(struct text *out, const char *text);

/* --- the optional header before each frame, network byte order --- */

struct proto_header {
    uint32_t frame_id;
    double timestamp_s; /* Unix seconds; any value the client likes */
    uint32_t length;    /* bytes of JPEG that follow; the rest of the message */
};

void proto_write_header(uint8_t out[PROTO_HEADER_BYTES], const struct proto_header *h);
void proto_read_header(const uint8_t in[PROTO_HEADER_BYTES], struct proto_header *h);

/* --- server to client: writing --- */

enum proto_error {
    PROTO_INVALID_PIPELINE,
    PROTO_INVALID_MESSAGE,
    PROTO_INVALID_FRAME,
    PROTO_FRAME_TOO_LARGE,
    PROTO_PIPELINE_FAILURE,
    PROTO_INTERNAL_ERROR
};

const char *proto_error_name(enum proto_error e);

struct proto_timing {
    uint64_t wait_us;     /* arrival of the last byte to start of work */
    uint64_t pipeline_us; /* the pipeline */
    uint64_t server_us;   /* arrival to the reply being written */
    uint64_t decode_us;   /* what decoding took of pipeline_us; the rest is inference_us */
    bool has_decode;      /* the server tells both */
};

struct proto_reply {
    uint64_t frame_index;
    const uint32_t *frame_id;          /* NULL without header=1 */
    const struct proto_timing *timing; /* NULL without timing=1 */
};

/* result: a complete JSON object of n bytes. */
void proto_write_result(struct text *out, const struct proto_reply *r, const char *result,
                        size_t n);
/* reason is told only with timing. */
void proto_write_drop(struct text *out, const struct proto_reply *r, const char *reason);
/* The member `timing` of an object. */
void proto_write_timing(struct json *j, const struct proto_timing *t);
void proto_write_slow_down(struct text *out);
void proto_write_error(struct text *out, enum proto_error error, const char *detail, size_t n);

/* --- server to client: reading --- */

enum proto_kind {
    PROTO_RESULT,
    PROTO_DROP,
    PROTO_SLOW_DOWN,
    PROTO_WARNING, /* a warning other than slow_down */
    PROTO_ERROR,
    PROTO_UNKNOWN /* JSON, but none of the above: ignore it */
};

struct proto_message {
    enum proto_kind kind;
    uint64_t frame_index; /* result, drop */
    bool has_frame_id, has_timing;
    uint32_t frame_id;
    struct proto_timing timing;
    char *result;     /* result: compact JSON text; owned, see proto_message_free; else NULL */
    char name[64];    /* error code or warning, or a drop's reason; "" when absent */
    char detail[512]; /* error: detail */
};

/* Reads one text message. 0; -1: not a JSON object, or known keys of a wrong type.
 * Call proto_message_free in either case. */
int proto_read_message(const char *bytes, size_t n, struct proto_message *m);
/* The same for those who do not look at the result: it stays NULL, which saves half of the work,
 * and there is nothing to free. */
int proto_skim_message(const char *bytes, size_t n, struct proto_message *m);
void proto_message_free(struct proto_message *m);
