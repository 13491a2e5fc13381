/* search.h - the largest number that still passes, with few tries.
 *
 * Doubles while tries pass, then halves the gap between the largest that passed and the smallest
 * that did not, until it is within 5 %; then the number is confirmed by one more try, or stepped
 * down by 5 % until one confirms it. A try that was invalid (the generator, not the server, was at
 * its limit) bounds the search like a failed one, and is remembered.
 *
 * Pure. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum search_outcome { SEARCH_PASSED, SEARCH_FAILED, SEARCH_INVALID };

struct search {
    uint64_t from, to;
    uint64_t passed;    /* the largest that passed; 0: none */
    uint64_t failed;    /* the smallest that did not; 0: none */
    bool bound_is_ours; /* that one was invalid, not failed */
    bool confirming;
    uint64_t confirmed; /* the result; 0: none (yet) */
    unsigned n_tries;
};

/* 1 <= from <= to. */
void search_init(struct search *s, uint64_t from, uint64_t to);

/* What to try next; 0: the search is over. */
uint64_t search_next(struct search *s);

/* How the try of `value` ended. */
void search_tell(struct search *s, uint64_t value, enum search_outcome outcome);
