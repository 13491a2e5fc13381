/* json.h - writes JSON into a text, without a tree and without allocating.
 *
 * Every reply, log line and report is one pass of these calls. Reading JSON is
 * cJSON's business (see proto.h); writing happens per frame, where building a
 * tree only to print it would cost more than the rest of the reply.
 *
 * key is the member's name inside an object and NULL inside an array or at the
 * top. Strings are escaped (RFC 8259, 7) and bytes that are not UTF-8 become
 * U+FFFD, so whatever a peer sent can be told back. Numbers that JSON cannot
 * hold (NaN, infinities) become null.
 *
 * Ownership: borrows the text. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"

struct json {
    struct text *out;
    bool comma; /* the next member needs one before it */
};

struct json json_to(struct text *out);

void json_object_begin(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array_begin(struct json *j, const char *key);
void json_array_end(struct json *j);
void json_str(struct json *j, const char *key, const char *value);
void json_str_n(struct json *j, const char *key, const char *value, size_t n);
void json_u64(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);
/* value rounded to at most `decimals` (0 to 9) digits after the point. */
void json_num(struct json *j, const char *key, double value, int decimals);
/* value is JSON already, n bytes of it. */
void json_raw(struct json *j, const char *key, const char *value, size_t n);
/* object is a JSON object already: its members become members of the open one. */
void json_members(struct json *j, const char *object, size_t n);

/* Whether the n bytes are UTF-8 from the first to the last, as JSON between strangers has to be
 * (RFC 8259, 8.1). */
bool json_is_utf8(const char *bytes, size_t n);
