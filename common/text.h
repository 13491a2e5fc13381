/* text.h - text that grows up to a limit and never overflows.
 *
 * Every message, log line and page is built in one of these. What does not fit
 * is left out and remembered in .cut, so a builder checks once, at the end.
 * The text is always terminated; .len does not count the terminator.
 *
 * Ownership: text_fixed borrows the caller's bytes and never allocates;
 * text_heap owns memory that grows by doubling and that text_deinit frees.
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *data; /* NULL only before the first byte of a heap text */
    size_t len; /* bytes, without the terminator */
    size_t cap; /* bytes that data has room for, with the terminator */
    size_t max; /* cap may grow to this; equal to cap for a fixed text */
    bool cut;   /* something did not fit, or memory ran out */
};

struct text text_fixed(char *bytes, size_t cap);
struct text text_heap(size_t max_bytes);
void text_deinit(struct text *t);
void text_clear(struct text *t); /* empty again; memory is kept */

void text_add(struct text *t, const char *s);
void text_add_bytes(struct text *t, const void *bytes, size_t n);
void text_add_char(struct text *t, char c);
void text_add_u64(struct text *t, uint64_t v);
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The text, "" when nothing was added. Valid until the next change. */
const char *text_str(const struct text *t);
