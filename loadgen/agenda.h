/* agenda.h - what is due next: a binary heap of items that know their place.
 *
 * Ownership: borrows the items, owns its array. Threads: one at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define AGENDA_NEVER UINT64_MAX

/* Embedded in what has an appointment; all zero but due_us before the first agenda_set. */
struct agenda_item {
    uint64_t due_us;
    size_t at; /* its place in the heap, counted from 1; 0: it has none */
};

struct agenda {
    struct agenda_item **item; /* [1] is the earliest */
    size_t n, cap;
};

/* Room for n items. 0, or -1: out of memory. */
int agenda_init(struct agenda *a, size_t n);
void agenda_deinit(struct agenda *a);

/* Sets or moves an appointment; AGENDA_NEVER takes it out. There must be room. */
void agenda_set(struct agenda *a, struct agenda_item *item, uint64_t due_us);

/* The earliest, or NULL. It stays where it is. */
struct agenda_item *agenda_first(const struct agenda *a);
