/* term.h - what programs tell people while they run: standard error.
 *
 * On a terminal one line that is redrawn at most ten times a second; elsewhere a plain line
 * every ten seconds; when quiet neither. Sentences stand above the line.
 *
 * Ownership: the caller's storage. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"

enum term_color { TERM_COLOR_AUTO, TERM_COLOR_ALWAYS, TERM_COLOR_NEVER };
enum term_mode { TERM_OFF, TERM_PLAIN, TERM_LIVE };

struct term {
    const char *program; /* in front of sentences and plain lines */
    enum term_mode mode;
    bool color;
    bool drawn;                                             /* the live line is on the screen */
    uint64_t shown_us;                                      /* when it was shown last; 0: never */
    void (*divert)(void *ctx, const char *bytes, size_t n); /* NULL: to standard error */
    void *divert_ctx;
};

/* Looks at standard error and the environment (TERM, CI, NO_COLOR). program is borrowed. */
void term_init(struct term *t, const char *program, bool quiet, enum term_color color);

/* Is standard error a terminal that understands escape sequences, with somebody looking? */
bool term_is_terminal(void);

/* What would be written goes there instead, escape sequences included. NULL: no more. */
void term_divert(struct term *t, void (*divert)(void *ctx, const char *bytes, size_t n), void *ctx);

/* Is it time to show the line again? So that nobody formats it in vain. */
bool term_is_due(const struct term *t, uint64_t now_us);

/* How long the line may be; 0: as long as it likes. Asked each time, so a new size is noticed. */
unsigned term_columns(const struct term *t);

/* Shows the line. Where it is plain, the first one is left out: the first ten seconds are not
 * worth one yet. */
void term_show(struct term *t, const struct text *line, uint64_t now_us);

/* "program: sentence". term_say is silent when quiet, term_fail is not. */
void term_say(struct term *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void term_fail(struct term *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Takes the line away and prints the text as it is, unless quiet. */
void term_end(struct term *t, const char *text);
