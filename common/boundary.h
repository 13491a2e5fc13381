/* boundary.h - the line between the parts of a multipart stream (RFC 2046, 5.1.1).
 *
 * What a stream's Content-Type says of it is often not what stands between the
 * parts: dashes are missing or doubled, or it is another one. So a boundary is
 * learned from the lines themselves, and the parameter is only a first guess.
 *
 * Finding one in binary data is resumable: bytes may come in any pieces and none
 * is looked at twice.
 *
 * Ownership: the caller's storage. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct boundary {
    char pattern[128]; /* a newline, and the line as it was seen or is expected */
    size_t len;
    size_t matched; /* of the pattern, by the bytes just seen */
};

/* Nothing known: a newline and two dashes, which is a weak one. */
void boundary_init(struct boundary *b);

/* From the parameter of Content-Type: quoted or not, with dashes or without. */
void boundary_set(struct boundary *b, const char *param);

/* True when the line (without its end) is a boundary; then it is the one from now on. */
bool boundary_learn(struct boundary *b, const char *line, size_t n);

/* False for one so short that pictures contain it by chance. */
bool boundary_is_strong(const struct boundary *b);

/* Whether a boundary ends in p[0..n), or at p[*used]: the byte behind it, which decides
 * and is not used up. *used is n when there is none. */
bool boundary_find(struct boundary *b, const uint8_t *p, size_t n, size_t *used);

/* The bytes that come do not follow those that came, and begin a line. */
void boundary_begin_line(struct boundary *b);
